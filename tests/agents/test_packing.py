"""Rows that share a prompt in training: the same log-probabilities and gradients as rows apart."""

import pytest
import torch
from cardinal_gym.agents import packing
from cardinal_gym.agents.chat import encode_first
from cardinal_gym.agents.policy import Policy
from cardinal_gym.agents.rows import Batch, Row, collate
from cardinal_gym.agents.scoring import token_logprobs
from toy import observation, picture

TEXTS = ("rule J = 10 target 24 cards 5 J 3 A", "target 7", "cards A A 2 9")
ANSWERS = ([20, 31, 44, 50], [20], [61, 44], [23, 24, 25, 26, 27, 28], [30, 31], [32, 33, 34])


@pytest.fixture
def rows(policy: Policy) -> list[Row]:
    """Six answers of unequal lengths to three prompts, not in order; each prompt has a picture."""
    sees = policy.vision is not None
    prompts = [
        encode_first(policy, observation(text, picture(i) if sees else None))
        for i, text in enumerate(TEXTS)
    ]
    asked = [prompts[i] for i in (0, 1, 0, 2, 0, 1)]
    return [
        Row(
            ids=[*prompt.ids, *answer],
            mask=[0] * len(prompt.ids) + [1] * len(answer),
            logprobs=[0.0] * (len(prompt.ids) + len(answer)),
            images=prompt.images,
        )
        for prompt, answer in zip(asked, ANSWERS, strict=True)
    ]


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pack also where it does not pay, as with toys."""
    monkeypatch.setattr(packing, "WORTHWHILE", 1e9)


def gradients(policy: Policy, batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    policy.model.zero_grad()
    logp = token_logprobs(policy, batch)
    weights = torch.linspace(-1, 1, logp.numel()).view_as(logp)  # no two tokens count alike
    (logp * weights).sum().backward()
    found = {n: p.grad.clone() for n, p in policy.model.named_parameters() if p.grad is not None}
    policy.model.zero_grad()
    return logp.detach(), found


@pytest.mark.usefixtures("always")
def test_packed_rows_have_the_log_probabilities_and_gradients_of_rows_apart(
    policy: Policy, rows: list[Row]
) -> None:
    apart, packed = collate(policy, rows), collate(policy, rows, share_prompts=True)
    assert packed.packed is not None
    assert len(packed.packed.input_ids) == len(TEXTS)
    (wanted, slopes), (found, packed_slopes) = gradients(policy, apart), gradients(policy, packed)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    assert slopes.keys() == packed_slopes.keys()
    for name, slope in slopes.items():
        scale = float(slope.abs().max()) + 1e-3
        torch.testing.assert_close(packed_slopes[name], slope, atol=2e-4 * scale, rtol=1e-3)


@pytest.mark.usefixtures("always")
def test_an_answer_does_not_see_its_neighbours(text_policy: Policy) -> None:
    prompt = encode_first(text_policy, observation(TEXTS[0])).ids

    def score(other: int) -> torch.Tensor:
        pair = [
            Row(ids=[*prompt, *ids], mask=[0] * len(prompt) + [1, 1], logprobs=[0.0] * 20)
            for ids in ([other, other], [20, 31])
        ]
        pair = [Row(ids=r.ids, mask=r.mask, logprobs=[0.0] * len(r.ids)) for r in pair]
        with torch.no_grad():
            return token_logprobs(text_policy, collate(text_policy, pair, share_prompts=True))[1]

    assert torch.equal(score(40), score(41))


def test_rows_are_packed_only_where_that_is_cheaper(text_policy: Policy) -> None:
    prompt = list(range(10, 60))

    def packs(num_rows: int, num_new: int) -> bool:
        row = Row(
            ids=prompt + [20] * num_new,
            mask=[0] * len(prompt) + [1] * num_new,
            logprobs=[0.0] * (len(prompt) + num_new),
        )
        return collate(text_policy, [row] * num_rows, share_prompts=True).packed is not None

    assert packs(8, 5)
    assert not packs(1, 5)
    assert not packs(8, 400)  # answers so long that the prompt hardly counts
