"""Sampling: its own randomness per row, exact log-probabilities, nothing left behind."""

import numpy as np
import pytest
import torch
from cardinal_gym.agents.chat import Prompt, encode_first
from cardinal_gym.agents.config import Family, SamplingConfig
from cardinal_gym.agents.generation import generate
from cardinal_gym.agents.policy import Policy
from cardinal_gym.agents.rows import Batch, Row, collate
from cardinal_gym.agents.sampling import draw, uniforms
from cardinal_gym.agents.types import Completion, FinishReason, StreamKey
from toy import observation, picture, streams

SAMPLING = SamplingConfig(max_new_tokens=12)
TEXTS = ("target 24 cards 5 J", "rule J = 10 target 24 cards 5 J 3 A", "target 7", "cards A A 2 9")


@pytest.fixture
def prompts(policy: Policy) -> list[Prompt]:
    """Three members for each of four prompts of unequal lengths."""
    sees = policy.vision is not None
    return [
        encode_first(policy, observation(text, picture(i) if sees and i != 2 else None))
        for i, text in enumerate(TEXTS)
        for _ in range(3)
    ]


def ids(completions: list[Completion]) -> list[tuple[int, ...]]:
    return [completion.token_ids for completion in completions]


def as_transformers_wants(policy: Policy, batch: Batch) -> dict[str, torch.Tensor]:
    """The pictures of a batch in which every row has one of its own."""
    vision = dict(batch.vision)
    if policy.family in (Family.qwen_vl, Family.qwen3_vl):
        shown = (batch.input_ids == policy.vision.image_token_id).int()
        return {
            "pixel_values": vision["pixel_values"],
            "image_grid_thw": vision["image_grid_thw"],
            "mm_token_type_ids": shown,
        }
    if policy.family is Family.idefics3:  # [B, tiles of each, 3, S, S]
        tiles = vision["pixel_values"]
        return {"pixel_values": tiles.unflatten(0, (len(batch.input_ids), -1))}
    if policy.family is Family.llava_onevision:
        tiles = vision["pixel_values"]
        return {
            "pixel_values": tiles,
            "image_sizes": torch.tensor([tiles.shape[-2:]] * len(tiles)),
            "batch_num_images": torch.tensor([2]),  # more than one: one tile each
        }
    for ours in ("image_rows", "entry_keys"):
        vision.pop(ours, None)
    return vision


def test_a_row_samples_the_same_alone_as_in_any_batch(
    policy: Policy, prompts: list[Prompt]
) -> None:
    keys = streams(len(prompts))
    together = ids(generate(policy, prompts, keys, SAMPLING))
    alone = [
        ids(generate(policy, [p], [k], SAMPLING))[0] for p, k in zip(prompts, keys, strict=True)
    ]
    portions = ids(generate(policy, prompts, keys, SAMPLING, max_rows=5))
    backwards = ids(generate(policy, prompts[::-1], keys[::-1], SAMPLING))[::-1]
    assert together == alone == portions == backwards


def test_generating_twice_leaves_no_stale_state(policy: Policy, prompts: list[Prompt]) -> None:
    keys = streams(len(prompts))
    first = generate(policy, prompts, keys, SAMPLING)
    generate(policy, prompts[:5], streams(5, step=1), SamplingConfig(max_new_tokens=3))
    assert generate(policy, prompts, keys, SAMPLING) == first


def test_members_and_turns_and_steps_draw_differently(text_policy: Policy) -> None:
    prompt = encode_first(text_policy, observation(TEXTS[0]))
    keys = [
        StreamKey(seed=0, step=step, group=0, member=member, turn=turn)
        for step in (0, 1) for member in (0, 1) for turn in (0, 1)
    ]  # fmt: skip
    drawn = ids(generate(text_policy, [prompt] * len(keys), keys, SAMPLING))
    assert len(set(drawn)) == len(keys)


def test_greedy_decoding_equals_that_of_transformers(policy: Policy, prompts: list[Prompt]) -> None:
    chosen = prompts[::3] if policy.vision is None else prompts[:6:3]  # each with a picture
    rows = [
        Row(ids=list(p.ids), mask=[0] * len(p.ids), logprobs=[0.0] * len(p.ids), images=p.images)
        for p in chosen
    ]
    batch = collate(policy, rows, pad_side="left")
    vision = as_transformers_wants(policy, batch)
    banned = policy.banned_ids
    theirs = policy.model.generate(
        input_ids=batch.input_ids,
        attention_mask=batch.attention_mask,
        do_sample=False,
        max_new_tokens=12,
        suppress_tokens=list(banned),
        **vision,
    )[:, batch.input_ids.shape[1] :].tolist()
    greedy = SamplingConfig(max_new_tokens=12, greedy=True)
    ours = ids(generate(policy, chosen, streams(len(chosen)), greedy))
    assert [tuple(row[: len(mine)]) for row, mine in zip(theirs, ours, strict=True)] == ours


def test_a_changed_picture_changes_what_is_sampled(seeing_policy: Policy) -> None:
    prompts = [encode_first(seeing_policy, observation(TEXTS[0], picture(i))) for i in (0, 1)]
    one, other = generate(seeing_policy, prompts, [streams(1)[0]] * 2, SAMPLING)
    assert one.logprobs[0] != pytest.approx(other.logprobs[0], abs=1e-4)


def test_a_completion_ends_with_its_end_token_or_at_the_limit(text_policy: Policy) -> None:
    prompt = encode_first(text_policy, observation(TEXTS[0]))
    drawn = generate(text_policy, [prompt] * 200, streams(200), SAMPLING)
    ends = set(text_policy.end_ids)
    assert {c.finish_reason for c in drawn} == {FinishReason.stop, FinishReason.length}
    for completion in drawn:
        *body, last = completion.token_ids
        assert not ends & set(body)
        assert (last in ends) == (completion.finish_reason is FinishReason.stop)
        assert len(completion.logprobs) == len(completion.token_ids) <= 12


def test_special_tokens_are_never_sampled(text_policy: Policy) -> None:
    prompt = encode_first(text_policy, observation(TEXTS[0]))
    drawn = generate(text_policy, [prompt] * 200, streams(200), SAMPLING)
    assert not set(text_policy.banned_ids) & {i for c in drawn for i in c.token_ids}


def test_the_mode_of_the_model_is_put_back(text_policy: Policy) -> None:
    text_policy.model.train()
    generate(text_policy, [encode_first(text_policy, observation("24"))], streams(1), SAMPLING)
    assert text_policy.model.training
    text_policy.model.eval()


def test_a_prompt_must_leave_room_for_the_answer(text_policy: Policy) -> None:
    prompt = encode_first(text_policy, observation("24"))
    with pytest.raises(ValueError, match=r"must be at most 1024 tokens; got 4 [+] 1021"):
        generate(text_policy, [prompt], streams(1), SamplingConfig(max_new_tokens=1021))


def test_tokens_are_drawn_in_proportion_to_their_probability() -> None:
    probabilities = torch.tensor([0.5, 0.0, 0.3, 0.2])
    logits = probabilities.log().expand(20000, 4)
    drawn, logprobs = draw(
        logits, torch.rand(20000, generator=torch.Generator().manual_seed(0)).double(),
        torch.tensor([], dtype=torch.long), SamplingConfig(temperature=1.0),
    )  # fmt: skip
    counts = torch.bincount(drawn, minlength=4) / 20000
    torch.testing.assert_close(counts, probabilities, atol=0.015, rtol=0)
    torch.testing.assert_close(logprobs.exp(), probabilities[drawn])


@pytest.mark.parametrize(
    ("sampling", "allowed"),
    [
        (SamplingConfig(top_k=2), {0, 2}),
        (SamplingConfig(top_p=0.49), {0}),
        (SamplingConfig(top_p=0.51), {0, 2}),
        (SamplingConfig(top_p=0.81), {0, 2, 3}),
        (SamplingConfig(top_k=1, top_p=0.9), {0}),
    ],
)
def test_truncation_leaves_the_likeliest_and_reports_the_full_softmax(
    sampling: SamplingConfig, allowed: set[int]
) -> None:
    probabilities = torch.tensor([0.5, 0.0, 0.3, 0.2])
    uniform = torch.linspace(0, 1 - 1e-9, 1000).double()
    nothing = torch.tensor([], dtype=torch.long)
    drawn, logprobs = draw(probabilities.log().expand(1000, 4), uniform, nothing, sampling)
    assert set(drawn.tolist()) == allowed
    torch.testing.assert_close(logprobs.exp(), probabilities[drawn])


def test_the_extreme_uniforms_draw_tokens_that_have_a_chance() -> None:
    logits = torch.tensor([[-torch.inf, 0.0, 1.0, -torch.inf]]).expand(2, 4)
    uniform = torch.tensor([0.0, np.nextafter(1.0, 0.0)], dtype=torch.float64)
    drawn, _ = draw(logits, uniform, torch.tensor([0]), SamplingConfig())
    assert drawn.tolist() == [1, 2]


def test_a_stream_of_uniforms_depends_on_its_key_alone() -> None:
    keys = streams(6)
    together = uniforms(keys, 8)
    assert torch.equal(together[3], uniforms([keys[3]], 8)[0])
    assert len({tuple(row.tolist()) for row in together}) == 6
    assert torch.equal(uniforms(keys, 4), together[:, :4])
