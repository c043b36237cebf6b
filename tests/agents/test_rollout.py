"""Episodes: what is recorded, how they end, and that they do not depend on their neighbours."""

import subprocess
import sys
from typing import Any

import pytest
import torch
from cardinal_gym.agents.baselines import OracleAgent, RandomAgent
from cardinal_gym.agents.config import Family, SamplingConfig
from cardinal_gym.agents.policy import Policy
from cardinal_gym.agents.policy_agent import PolicyAgent
from cardinal_gym.agents.rollout import rollout
from cardinal_gym.agents.rows import collate, rows_from_episode
from cardinal_gym.agents.scoring import hidden_states, token_logprobs
from cardinal_gym.agents.seating import Seat
from cardinal_gym.agents.types import ContextMode, Episode, Status
from cardinal_gym.envs.core import Verdict
from tinies import tiny
from toy import GuessEnv, picture

SAMPLING = SamplingConfig(max_new_tokens=6)
SEEDS, GROUPS, MEMBERS = [1, 1, 2, 2, 3], [0, 0, 1, 1, 2], [0, 1, 0, 1, 0]


def play(policy: Policy, **options: object) -> list[Episode]:
    sees = policy.vision is not None
    return rollout(
        lambda: GuessEnv(with_image=sees), PolicyAgent(policy, SAMPLING), SEEDS, groups=GROUPS,
        members=MEMBERS, **options,
    )  # fmt: skip


def sampled_ids(episodes: list[Episode]) -> list[list[tuple[int, ...]]]:
    return [[turn.completion.token_ids for turn in episode.turns] for episode in episodes]


def logprobs(episodes: list[Episode]) -> list[list[float]]:
    return [[p for turn in episode.turns for p in turn.completion.logprobs] for episode in episodes]


@pytest.fixture(params=list(Family))
def family(request: pytest.FixtureRequest) -> Family:
    return request.param


@pytest.mark.parametrize("context", list(ContextMode))
def test_rows_hold_exactly_the_sampled_ids_and_their_log_probabilities(
    family: Family, context: ContextMode
) -> None:
    policy = tiny(family, context)
    episodes = play(policy)
    for episode in episodes:
        rows = rows_from_episode(episode, policy)
        assert len(rows) == (1 if context is ContextMode.concat else len(episode.turns))
        assert sum(sum(row.mask) for row in rows) == episode.num_sampled_tokens
        sampled = [i for row in rows for i, m in zip(row.ids, row.mask, strict=True) if m]
        assert sampled == [i for turn in episode.turns for i in turn.completion.token_ids]
        batch = collate(policy, rows)
        with torch.no_grad():
            scored = token_logprobs(policy, batch)
        torch.testing.assert_close(scored, batch.logprobs, atol=1e-4, rtol=1e-4)


def test_an_episode_does_not_depend_on_its_neighbours(family: Family) -> None:
    policy = tiny(family)
    together = play(policy)
    apart = play(policy, max_concurrency=2)
    assert sampled_ids(together) == sampled_ids(apart)


def test_fewer_rows_at_once_give_the_same_episodes(
    text_policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`policy.max_rows` bounds the cache of every agent of the policy, and changes nothing else."""
    widths: list[int] = []

    def watch(*args: Any, **kwargs: Any) -> torch.Tensor:
        widths.append(args[1].shape[0])
        return hidden_states(*args, **kwargs)

    monkeypatch.setattr("cardinal_gym.agents.running.hidden_states", watch)
    together = play(text_policy)
    assert max(widths) == len(SEEDS) > 2
    widths.clear()
    monkeypatch.setattr(text_policy, "max_rows", 2)
    assert sampled_ids(play(text_policy)) == sampled_ids(together)
    assert max(widths) == 2


def test_a_remembered_conversation_samples_what_a_fresh_reading_would(
    text_policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    remembered = play(text_policy)
    monkeypatch.setattr(Seat, "leads_to", lambda *args: False)
    fresh = play(text_policy)
    assert sampled_ids(remembered) == sampled_ids(fresh)
    for one, other in zip(logprobs(remembered), logprobs(fresh), strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def test_a_later_turn_reads_only_its_new_ids(
    text_policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    widths: list[int] = []

    def watch(*args: Any, **kwargs: Any) -> torch.Tensor:
        widths.append(args[1].shape[1])
        return hidden_states(*args, **kwargs)

    for module in ("running", "prefill", "scoring"):
        monkeypatch.setattr(f"cardinal_gym.agents.{module}.hidden_states", watch)
    episodes = play(text_policy)
    assert max(len(episode.turns) for episode in episodes) == 3
    first, *later = [width for width in widths if width > 1]
    assert first == len(episodes[0].turns[0].prompt_ids)
    assert max(later) <= 1 + 4  # the last sampled id, <end> <user> wrong <assistant>


def test_an_agent_remembers_nothing_after_a_rollout(text_policy: Policy) -> None:
    agent = PolicyAgent(text_policy, SAMPLING)
    rollout(GuessEnv, agent, SEEDS)
    assert agent._engine is None


def test_members_of_a_group_share_the_task_and_differ_in_their_answers(
    text_policy: Policy,
) -> None:
    one, other = play(text_policy)[:2]
    assert one.task_id == other.task_id
    assert one.turns[0].prompt_ids == other.turns[0].prompt_ids
    assert one.turns[0].completion.token_ids != other.turns[0].completion.token_ids


def test_pooled_environments_are_used_again_with_the_same_result(text_policy: Policy) -> None:
    pool: list[GuessEnv] = []
    first = play(text_policy, pool=pool)
    assert len(pool) == len(SEEDS)
    assert play(text_policy, pool=pool) == first
    assert len(pool) == len(SEEDS)


def test_the_three_ways_to_end_are_kept_apart(text_policy: Policy) -> None:
    assert play(text_policy)[0].status is Status.turn_limit
    (solved,) = rollout(GuessEnv, OracleAgent(), [4])
    assert (solved.status, solved.success, solved.episode_return) == (Status.terminated, True, 1.0)
    short = tiny(Family.text)
    short.max_context = 26
    cut = play(short)[0]
    assert cut.status is Status.context_limit
    assert 1 <= len(cut.turns) < 3


def test_the_first_prompt_must_fit() -> None:
    short = tiny(Family.text)
    short.max_context = 12
    with pytest.raises(ValueError, match="must be at most 12 tokens"):
        play(short)


def test_the_oracle_solves_every_task_and_the_random_agent_hardly_any() -> None:
    seeds = list(range(40))
    oracle = rollout(GuessEnv, OracleAgent(), seeds)
    chance = rollout(GuessEnv, RandomAgent(), seeds, groups=seeds)
    assert all(episode.success for episode in oracle)
    assert sum(episode.success for episode in chance) < 20
    assert chance == rollout(GuessEnv, RandomAgent(), seeds, groups=seeds)


def test_progress_counts_finished_episodes(text_policy: Policy) -> None:
    seen: list[tuple[int, int]] = []
    play(text_policy, max_concurrency=2, on_progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (5, 5)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_seeds_groups_and_members_must_match() -> None:
    with pytest.raises(ValueError, match="must have equal lengths; got 2, 1 and 2"):
        rollout(GuessEnv, RandomAgent(), [1, 2], groups=[0])


def test_baselines_and_rollouts_import_no_torch() -> None:
    code = (
        "import sys, cardinal_gym.agents.baselines, cardinal_gym.agents.rollout, "
        "cardinal_gym.agents.config; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class ChangingEnv(GuessEnv):
    """Another picture at every turn."""

    def _judge(self, action: str) -> Verdict:
        self.image = picture(int(self.np_random.integers(1000)))
        return super()._judge(action)


def test_a_picture_in_every_turn_is_read_once_and_like_a_whole_prompt(
    seeing_policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def play_pictures() -> list[Episode]:
        agent = PolicyAgent(seeing_policy, SAMPLING)
        options = {"groups": GROUPS, "members": MEMBERS}
        return rollout(lambda: ChangingEnv(with_image=True), agent, SEEDS, **options)

    kept = play_pictures()
    monkeypatch.setattr(Seat, "leads_to", lambda *args: False)
    fresh = play_pictures()
    assert sampled_ids(kept) == sampled_ids(fresh)
    for one, other in zip(logprobs(kept), logprobs(fresh), strict=True):
        assert one == pytest.approx(other, abs=1e-4)
    rows = [row for episode in kept for row in rows_from_episode(episode, seeing_policy)]
    assert max(len(row.images) for row in rows) == 3
    batch = collate(seeing_policy, rows)
    with torch.no_grad():
        scored = token_logprobs(seeing_policy, batch)
    torch.testing.assert_close(scored, batch.logprobs, atol=1e-4, rtol=1e-4)


def test_last_k_shows_the_last_turns_and_drops_whole_ones_with_their_pictures(
    seeing_policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seeing_policy, "context", ContextMode.last_k)

    def pictures_by_turn(**budgets: int | None) -> list[list[int]]:
        for name, value in budgets.items():
            monkeypatch.setattr(seeing_policy, name, value)
        agent = PolicyAgent(seeing_policy, SAMPLING)
        (episode,) = rollout(lambda: ChangingEnv(4, with_image=True), agent, [7])
        rows = rows_from_episode(episode, seeing_policy)
        batch = collate(seeing_policy, rows)
        with torch.no_grad():
            scored = token_logprobs(seeing_policy, batch)
        torch.testing.assert_close(scored, batch.logprobs, atol=1e-4, rtol=1e-4)
        seen = [turn.observation.image.tobytes() for turn in episode.turns]
        return [[seen.index(image.tobytes()) for image in row.images] for row in rows]

    assert pictures_by_turn(context_turns=2) == [[0], [0, 1], [1, 2], [2, 3]]
    assert pictures_by_turn(context_turns=9) == [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3]]
    assert pictures_by_turn(max_images=3) == [[0], [0, 1], [0, 1, 2], [1, 2, 3]]
    assert pictures_by_turn(max_images=1) == [[0], [1], [2], [3]]


def test_last_k_drops_turns_that_do_not_fit(
    text_policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_policy, "context", ContextMode.last_k)
    whole = [len(turn.prompt_ids) for turn in play(text_policy)[0].turns]
    assert whole[0] < whole[1] < whole[2]
    monkeypatch.setattr(text_policy, "max_context", whole[2] - 1 + SAMPLING.max_new_tokens)
    cut = play(text_policy)[0]
    assert cut.status is Status.turn_limit
    assert len(cut.turns[2].prompt_ids) < whole[2]
