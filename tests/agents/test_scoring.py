"""Log-probabilities do not depend on how rows are laid out in a batch."""

import pytest
import torch
from cardinal_gym.agents.chat import encode_first
from cardinal_gym.agents.config import SamplingConfig
from cardinal_gym.agents.generation import generate
from cardinal_gym.agents.policy import Policy
from cardinal_gym.agents.rows import Row, collate
from cardinal_gym.agents.scoring import imitation_logprobs, token_logprobs
from toy import observation, picture, streams

TEXTS = ("target 24 cards 5 J", "rule J = 10 target 24 cards 5 J 3 A", "target 7", "cards A A 2 9")


@pytest.fixture
def rows(policy: Policy) -> list[Row]:
    """Sampled rows of unequal lengths; a vision policy's with a picture except the third."""
    sees = policy.vision is not None
    prompts = [
        encode_first(policy, observation(text, picture(i) if sees and i != 2 else None))
        for i, text in enumerate(TEXTS)
    ]
    sampling = SamplingConfig(max_new_tokens=9)
    completions = generate(policy, prompts, streams(len(prompts)), sampling)
    return [
        Row(
            ids=[*p.ids, *c.token_ids],
            mask=[0] * len(p.ids) + [1] * len(c.token_ids),
            logprobs=[0.0] * len(p.ids) + list(c.logprobs),
            images=p.images,
        )
        for p, c in zip(prompts, completions, strict=True)
    ]


def scores(policy: Policy, rows: list[Row], **layout: object) -> list[torch.Tensor]:
    """The log-probabilities of each row's sampled tokens."""
    batch = collate(policy, rows, **layout)
    with torch.no_grad():
        logp = token_logprobs(policy, batch)
    return [values[mask > 0] for values, mask in zip(logp, batch.mask, strict=True)]


def assert_equal(left: list[torch.Tensor], right: list[torch.Tensor]) -> None:
    for one, other in zip(left, right, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_the_sampler_reports_what_the_trainer_computes(policy: Policy, rows: list[Row]) -> None:
    sampled = [torch.tensor(row.logprobs)[torch.tensor(row.mask) > 0] for row in rows]
    for one, other in zip(scores(policy, rows), sampled, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_padding_on_either_side_or_in_excess_changes_nothing(
    policy: Policy, rows: list[Row]
) -> None:
    plain = scores(policy, rows)
    assert_equal(scores(policy, rows, pad_side="left"), plain)
    assert_equal(scores(policy, rows, extra_padding=7), plain)
    assert_equal(scores(policy, rows, pad_side="left", extra_padding=7), plain)


def test_a_row_alone_scores_as_in_a_batch(policy: Policy, rows: list[Row]) -> None:
    assert_equal([scores(policy, [row])[0] for row in rows], scores(policy, rows))


def test_the_order_of_rows_does_not_matter(policy: Policy, rows: list[Row]) -> None:
    shuffled = scores(policy, [rows[i] for i in (2, 0, 3, 1)])
    assert_equal([shuffled[i] for i in (1, 3, 0, 2)], scores(policy, rows))


def test_members_that_share_a_picture_score_as_if_they_did_not(seeing_policy: Policy) -> None:
    prompt = encode_first(seeing_policy, observation(TEXTS[0], picture(0)))
    rows = [
        Row(ids=[*prompt.ids, i], mask=[0] * len(prompt.ids) + [1], logprobs=[], images=images)
        for i, images in ((20, prompt.images), (21, (picture(0),)), (22, (picture(5),)))
    ]
    rows = [Row(ids=r.ids, mask=r.mask, logprobs=[0.0] * len(r.ids), images=r.images) for r in rows]
    tower = seeing_policy.vision.modules(seeing_policy.model)[0]
    seen: list[int] = []
    hook = tower.register_forward_hook(lambda *call: seen.append(1))
    scores(seeing_policy, rows)
    hook.remove()
    vision = collate(seeing_policy, rows).vision
    assert len(vision["entry_keys"]) == 2
    assert len(seen) == 1
    assert_equal([scores(seeing_policy, [row])[0] for row in rows], scores(seeing_policy, rows))


def test_scores_are_zero_and_flat_where_nothing_was_sampled(
    policy: Policy, rows: list[Row]
) -> None:
    batch = collate(policy, rows)
    logp = token_logprobs(policy, batch)
    assert torch.all(logp[batch.mask == 0] == 0)
    logp[batch.mask == 0].sum().backward()
    gradients = [p.grad for p in policy.model.parameters() if p.grad is not None]
    assert all(torch.all(gradient == 0) for gradient in gradients)
    policy.model.zero_grad()


def test_a_batch_in_which_nothing_was_sampled_gives_a_finite_zero(
    policy: Policy, rows: list[Row]
) -> None:
    unsampled = [
        Row(ids=r.ids, mask=[0] * len(r.ids), logprobs=[0.0] * len(r.ids), images=r.images)
        for r in rows
    ]
    loss = token_logprobs(policy, collate(policy, unsampled)).sum()
    loss.backward()
    policy.model.zero_grad()
    assert loss.item() == 0


@pytest.mark.parametrize("with_banned", [True, False])
def test_scores_are_those_of_the_softmax_at_the_temperature(
    text_policy: Policy, with_banned: bool
) -> None:
    """Over all ids for imitation; over those that may be sampled where sampled ones are scored."""
    ids = [2, 20, 31, 44, 50, 61]
    row = Row(ids=ids, mask=[0, 1, 1, 1, 1, 1], logprobs=[0.0] * 6)
    batch = collate(text_policy, [row])
    with torch.no_grad():
        logits = text_policy.model(input_ids=batch.input_ids).logits[0] / 0.7
        logp, entropy = token_logprobs(
            text_policy, batch, 0.7, with_entropy=True, with_banned=with_banned
        )
    if not with_banned:
        logits[:, list(text_policy.banned_ids)] = -1e9
    reference = torch.log_softmax(logits, -1)
    wanted = reference[:-1].gather(-1, batch.input_ids[0, 1:, None])[:, 0]
    torch.testing.assert_close(logp[0, 1:], wanted, atol=1e-5, rtol=1e-5)
    spread = -(reference.exp() * reference).sum(-1)[:-1]
    torch.testing.assert_close(entropy[0, 1:], spread, atol=1e-5, rtol=1e-5)


def test_imitation_tells_which_ids_were_the_likeliest(text_policy: Policy) -> None:
    """Beside log-probabilities over all ids, in one piece or in several."""
    ids = [2, 20, 31, 44, 50, 61]
    with torch.no_grad():
        logits = text_policy.model(input_ids=torch.tensor([ids])).logits[0]
    ids[-1] = int(logits[-2].argmax())  # one that the policy would have said itself
    batch = collate(text_policy, [Row(ids=ids, mask=[0, 1, 1, 0, 1, 1], logprobs=[0.0] * 6)])
    for most in (1 << 27, 300):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("cardinal_gym.agents.scoring.MAX_LOGITS", most)
            logp, hits = imitation_logprobs(text_policy, batch)
        torch.testing.assert_close(logp, token_logprobs(text_policy, batch, with_banned=True))
        assert hits.tolist() == [[0.0, 0.0, 0.0, 0.0, 0.0, 1.0]]
        assert (logp.requires_grad, hits.requires_grad) == (True, False)


def test_a_large_vocabulary_is_scored_in_pieces_with_the_same_gradient(
    text_policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = encode_first(text_policy, observation(TEXTS[1]))
    count = len(prompt.ids)
    batch = collate(
        text_policy, [Row(ids=list(prompt.ids), mask=[1] * count, logprobs=[0.0] * count)]
    )

    def gradient() -> tuple[float, torch.Tensor]:
        text_policy.model.zero_grad()
        loss = token_logprobs(text_policy, batch, with_banned=True).sum()
        loss.backward()
        return loss.item(), text_policy.model.get_input_embeddings().weight.grad.clone()

    whole = gradient()
    monkeypatch.setattr("cardinal_gym.agents.scoring.MAX_LOGITS", 1000)
    pieces = gradient()
    text_policy.model.zero_grad()
    assert pieces[0] == pytest.approx(whole[0], rel=1e-5)
    torch.testing.assert_close(pieces[1], whole[1], atol=1e-4, rtol=1e-4)


def test_a_changed_picture_changes_the_trained_log_probabilities(seeing_policy: Policy) -> None:
    prompt = encode_first(seeing_policy, observation(TEXTS[1], picture(0)))
    ids = [*prompt.ids, 20, 21]
    mask = [0] * len(prompt.ids) + [1, 1]
    rows = [
        Row(ids=ids, mask=mask, logprobs=[0.0] * len(ids), images=(picture(seed),))
        for seed in (0, 1)
    ]
    one, other = scores(seeing_policy, rows)
    assert (one - other).abs().min() > 1e-4


def test_every_part_of_a_seeing_policy_receives_a_gradient(seeing_policy: Policy) -> None:
    prompt = encode_first(seeing_policy, observation(TEXTS[1], picture(0)))
    ids = [*prompt.ids, 20, 21]
    mask = [0] * len(prompt.ids) + [1, 1]
    row = Row(ids=ids, mask=mask, logprobs=[0.0] * len(ids), images=prompt.images)
    token_logprobs(seeing_policy, collate(seeing_policy, [row])).sum().backward()
    idle = {
        name
        for name, parameter in seeing_policy.model.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    }
    seeing_policy.model.zero_grad()
    # LLaVA-OneVision reads its tower ahead of the last norm.
    expected = ("bias", "k_norm", "vision_tower.post_layernorm")
    assert not {name for name in idle if not any(part in name for part in expected)}


def test_a_row_must_have_a_placeholder_for_each_picture(seeing_policy: Policy) -> None:
    row = Row(ids=[1, 2, 3], mask=[0, 0, 1], logprobs=[0.0] * 3, images=(picture(0),))
    with pytest.raises(ValueError, match=r"must hold [0-9]+ placeholders for its pictures; got 0"):
        collate(seeing_policy, [row])
