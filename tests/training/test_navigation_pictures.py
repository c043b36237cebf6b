"""Walks with a new picture at every turn: what is sampled, scored and trained on saw the pixels.

Invariants 8 to 11 of trainers: order and layout of rows change nothing, the rows of an episode hold
exactly what was read and sampled, and no batch leaves anything behind for the next.
"""

from collections.abc import Callable
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch
from cardinal_gym.agents.chat import encode_first
from cardinal_gym.agents.config import Family, SamplingConfig
from cardinal_gym.agents.policy import Policy
from cardinal_gym.agents.policy_agent import PolicyAgent
from cardinal_gym.agents.rollout import rollout
from cardinal_gym.agents.rows import Row, collate, row_from_answer, rows_from_episode
from cardinal_gym.agents.scoring import token_logprobs
from cardinal_gym.agents.types import ContextMode, Episode
from cardinal_gym.envs.core import Observation
from cardinal_gym.training import grpo_rollout
from cardinal_gym.training.config import BudgetConfig
from cardinal_gym.training.demonstrations import OracleDemonstrations
from cardinal_gym.training.distributed import Workers
from cardinal_gym.training.loop import TrainState
from cardinal_gym.training.supervised import SupervisedStage
from toys import (
    assert_close,
    gradients,
    grpo_config,
    grpo_stage,
    noisy_returns,
    optim,
    run_steps,
)
from walks import differ, led, open_walk, seeds_of, shown, streets_policy, walked

SAMPLING = SamplingConfig(max_new_tokens=5)
KINDS = [(Family.qwen_vl, ContextMode.concat), (Family.mllama, ContextMode.single_turn)]
SAMPLED = [*KINDS, (Family.mllama, ContextMode.concat)]
BOTH = pytest.mark.parametrize(("family", "context"), KINDS)


@pytest.fixture(scope="module")
def seeds() -> list[int]:
    """Of routes of two and of three places."""
    config = shown().env
    return [*seeds_of(config, 2, 1), *seeds_of(config, 3, 2)]


@pytest.fixture(
    scope="module", params=SAMPLED, ids=lambda kind: "-".join(part.value for part in kind)
)
def policy(request: pytest.FixtureRequest) -> Policy:
    return streets_policy(*request.param)


@pytest.fixture(scope="module")
def episodes(policy: Policy, seeds: list[int]) -> list[Episode]:
    """Two members of every route; whatever they answer leads on."""
    return play(policy, seeds)


def play(policy: Policy, seeds: list[int], **options: object) -> list[Episode]:
    doubled = [seed for seed in seeds for _ in range(2)]
    return rollout(
        led(shown().env), PolicyAgent(policy, SAMPLING), doubled,
        groups=doubled, members=[k % 2 for k in range(len(doubled))],
        **options,
    )  # fmt: skip


def sampled(episodes: list[Episode]) -> list[list[tuple[int, ...]]]:
    return [[turn.completion.token_ids for turn in episode.turns] for episode in episodes]


def test_every_turn_brings_another_picture(episodes: list[Episode]) -> None:
    assert [len(episode.turns) for episode in episodes] == [2, 2, 3, 3, 3, 3]
    for episode in episodes:
        seen = [turn.observation.image for turn in episode.turns]
        pictures = [picture for picture in seen if picture is not None]
        assert len(pictures) == len(episode.turns)
        assert differ(pictures)
    answers = sampled(episodes)
    assert answers[0] != answers[1]


def test_rows_hold_what_was_read_and_pictures_match_placeholders_at_every_cut(
    policy: Policy, episodes: list[Episode]
) -> None:
    assert policy.vision is not None
    for episode in episodes:
        for cut in range(1, len(episode.turns) + 1):
            turns = episode.turns[:cut]
            rows = rows_from_episode(replace(episode, turns=turns), policy)
            whole = [i for t in turns for i in (*t.prompt_ids, *t.completion.token_ids)]
            assert [i for row in rows for i in row.ids] == whole
            assert sum(sum(row.mask) for row in rows) == sum(
                len(turn.completion.token_ids) for turn in turns
            )
            shown_pictures = [picture for row in rows for picture in row.images]
            assert len(shown_pictures) == cut
            for turn, picture in zip(turns, shown_pictures, strict=True):
                assert turn.observation.image is not None
                assert np.array_equal(turn.observation.image, picture)
            for row in rows:
                found = row.ids.count(policy.vision.image_token_id)
                assert found == policy.vision.num_placeholders(row.images) > 0


def rows_of(policy: Policy, episodes: list[Episode]) -> list[Row]:
    return [row for episode in episodes for row in rows_from_episode(episode, policy)]


def scores(policy: Policy, rows: list[Row], **layout: object) -> list[torch.Tensor]:
    """The log-probabilities of each row's sampled tokens."""
    batch = collate(policy, rows, **layout)
    with torch.no_grad():
        logp = token_logprobs(policy, batch)
    return [values[mask > 0] for values, mask in zip(logp, batch.mask, strict=True)]


def assert_same(left: list[torch.Tensor], right: list[torch.Tensor]) -> None:
    for one, other in zip(left, right, strict=True):
        torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-5)


def test_layout_and_neighbours_change_no_score(policy: Policy, episodes: list[Episode]) -> None:
    """Padding on either side or in excess, a row alone, beside more pictures or none, any order."""
    rows = rows_of(policy, episodes)
    wanted = scores(policy, rows)
    said = [torch.tensor(row.logprobs)[torch.tensor(row.mask) > 0] for row in rows]
    for one, other in zip(wanted, said, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)  # the sampler's own
    assert_same(scores(policy, rows, pad_side="left"), wanted)
    assert_same(scores(policy, rows, pad_side="left", extra_padding=9), wanted)
    assert_same(scores(policy, rows, extra_padding=9), wanted)
    assert_same([scores(policy, [row])[0] for row in rows], wanted)
    order = np.random.default_rng(0).permutation(len(rows))
    shuffled = scores(policy, [rows[i] for i in order])
    assert_same(shuffled, [wanted[i] for i in order])
    blind = row_from_answer(policy, policy.tokenizer.encode("turn left"), "right")  # no picture
    assert_same(scores(policy, [blind, *rows])[1:], wanted)


def test_a_picture_changes_what_is_said_after_it_and_nothing_before(
    policy: Policy, episodes: list[Episode]
) -> None:
    row = max(rows_of(policy, episodes), key=lambda row: len(row.images))
    if len(row.images) < 2:
        pytest.skip("a row of this context shows one picture")
    *earlier, last = row.images
    other = replace(row, images=(*earlier, 255 - last))
    (one,), (two,) = scores(policy, [row]), scores(policy, [other])
    shown_at = max(k for k, token in enumerate(row.ids) if token == policy.vision.image_token_id)
    before = sum(mask > 0 for mask in row.mask[:shown_at])
    assert before > 0
    torch.testing.assert_close(one[:before], two[:before], atol=2e-5, rtol=1e-5)
    assert (one[before:] - two[before:]).abs().max() > 1e-4


def test_generating_with_other_batches_leaves_nothing_behind(
    policy: Policy, episodes: list[Episode], seeds: list[int]
) -> None:
    wanted = sampled(episodes)
    assert sampled(play(policy, seeds[1:])) == wanted[2:]
    assert sampled(play(policy, seeds, max_concurrency=2)) == wanted
    pool: list[gym.Env] = []
    agent = PolicyAgent(policy, SAMPLING)
    for part in (seeds[2:], seeds[:1], seeds[2:]):
        again = rollout(led(shown().env), agent, part, groups=part, pool=pool)
        assert sampled(again) == [wanted[2 * seeds.index(seed)] for seed in part]


def same_text(config_overrides: tuple[str, ...] = ()) -> tuple[Observation, Observation]:
    """Two places of one walk whose texts are equal: without history only the picture tells."""
    config = shown("env.history=0", *config_overrides).env
    env = open_walk(config)
    (seed,) = seeds_of(config, 3, 1)
    one, two = (Observation(**walked(env, seed, place)) for place in (0, 1))
    return replace(one, update=one.text), replace(two, update=two.text)


def test_two_places_with_the_same_text_are_told_apart_by_their_pixels_alone(
    policy: Policy,
) -> None:
    """In sampling, and in training on the very same ids."""
    places = same_text()
    assert places[0] == replace(places[1], image=places[0].image)
    prompts = [encode_first(policy, place) for place in places]
    assert prompts[0].ids == prompts[1].ids
    found = []
    for place in (*places, places[0]):
        agent = PolicyAgent(policy, SAMPLING)
        (episode,) = rollout(lambda place=place: Still(place), agent, [0])
        found.append(episode.turns[0].completion)
    assert found[0] == found[2]
    assert found[0].logprobs != found[1].logprobs
    rows = [row_from_answer(policy, p.ids, "turn left", p.images) for p in prompts]
    one, two = scores(policy, rows)
    assert (one - two).abs().max() > 1e-4
    swapped = [
        replace(row, images=other.images) for row, other in zip(rows, rows[::-1], strict=True)
    ]
    assert_same(scores(policy, swapped), [two, one])


class Still(gym.Env):
    """Shows one observation; any answer ends the episode."""

    def __init__(self, shown: Observation) -> None:
        self.shown = shown

    def reset(self, *, seed=None, options=None):
        info = {"task_id": "still", "split": "all", "rule": "none", "visual": "none"}
        return self.shown.as_dict(), info

    def step(self, action: str):
        judged = {"reward_terms": {}, "outcome": "x", "success": False, "feedback": ""}
        return self.shown.as_dict(), 0.0, True, False, {**self.reset()[1], **judged}


def walk_gradient(family: Family, context: ContextMode, **settings: object) -> torch.Tensor:
    """Of one multi-turn GRPO update on pictures."""
    config = grpo_config(groups_per_step=2, group_size=3, max_new_tokens=4, **settings)
    return gradients(*grpo_stage(streets_policy(family, context), led(shown().env), config))


@BOTH
def test_the_update_depends_on_neither_order_nor_micro_batches(
    family: Family, context: ContextMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    noisy_returns(monkeypatch)
    wanted = walk_gradient(family, context)
    assert_close(walk_gradient(family, context, optim=optim(micro_batch_tokens=1)), wanted)
    ordered: Callable[..., list[Episode]] = grpo_rollout.rollout
    shuffle = np.random.default_rng(0).permutation(6)
    monkeypatch.setattr(
        grpo_rollout, "rollout", lambda *a, **k: [ordered(*a, **k)[i] for i in shuffle]
    )
    assert_close(walk_gradient(family, context), wanted)


@BOTH
def test_at_the_first_update_sampler_and_trainer_agree_and_the_tower_learns(
    family: Family, context: ContextMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    noisy_returns(monkeypatch)
    policy = streets_policy(family, context)
    stage, state = grpo_stage(
        policy, led(shown().env), grpo_config(groups_per_step=2, group_size=3, max_new_tokens=4)
    )
    before = [parameter.detach().clone() for parameter in policy.vision_parameters()]
    (metrics,) = run_steps(stage, state, 1)
    assert metrics["ratio/max"] == 1.0
    assert metrics["sampler_gap/mean"] < 1e-4
    assert metrics["episodes/mean_turns"] > 1.0
    moved = [not torch.equal(a, b) for a, b in zip(before, policy.vision_parameters(), strict=True)]
    assert sum(moved) > 0.9 * len(moved)


@BOTH
def test_supervised_gradients_on_walks_do_not_depend_on_the_micro_batch(
    family: Family, context: ContextMode
) -> None:
    found = []
    for tokens in (1, 10_000):
        policy = streets_policy(family, context)
        rows = OracleDemonstrations(
            policy, shown().env, stream="sft", seed=0, revision_fraction=0.5, max_wrong_attempts=1
        )
        stage = SupervisedStage(
            "sft", rows, batch_size=3, budget=BudgetConfig(steps=9),
            optim=optim(1e-3, micro_batch_tokens=tokens),
        )  # fmt: skip
        state = TrainState.create(policy, stage.optim, stage.budget, Workers("cpu"))
        found.append(gradients(stage, state))
    assert_close(found[0], found[1])
