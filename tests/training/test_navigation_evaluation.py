"""Measuring walks: the oracle's ceiling, chance, one attempt a place, and what is counted."""

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cardinal_gym.agents.baselines import OracleAgent, RandomAgent
from cardinal_gym.agents.config import BuildConfig, PolicyConfig, SamplingConfig
from cardinal_gym.agents.sampling import uniforms
from cardinal_gym.agents.types import (
    Completion,
    ContextMode,
    Episode,
    Reply,
    Request,
    Status,
    Turn,
)
from cardinal_gym.envs.core import Observation
from cardinal_gym.envs.street_nav.actions import TURN_RULES
from cardinal_gym.training.cell_results import CellResult, count_cell, first_attempt, packed
from cardinal_gym.training.config import (
    CellConfig,
    EvaluateConfig,
    ExperimentConfig,
    MetricKind,
    SuiteConfig,
    shifted,
)
from cardinal_gym.training.distributed import Workers
from cardinal_gym.training.evaluate import MakeAgent, check_tasks, evaluate
from cardinal_gym.training.measured import fitted
from walks import open_walk, shown, told

WITHIN, SINGLE = MetricKind.success_within_turns.value, MetricKind.sampled_single.value


def measure(
    make_agent: MakeAgent, folder: Path, config: ExperimentConfig, count: int, **settings: object
) -> dict[tuple[str, str], CellResult]:
    chosen = EvaluateConfig(**settings)
    results = evaluate(
        make_agent, config.env, config.suite, chosen, num_episodes=count, folder=folder,
        label="base_000000", keep_episodes=False, workers=Workers("cpu"),
    )  # fmt: skip
    return {(result.cell, result.metric): result for result in results}


def stored(folder: Path, result: CellResult) -> dict[str, np.ndarray]:
    with np.load(folder / result.per_episode) as arrays:
        return dict(arrays)


def assert_perfect(found: dict[tuple[str, str], CellResult], cells: set[str], count: int) -> None:
    assert set(found) == {(cell, kind.value) for cell in cells for kind in MetricKind}
    for key, result in found.items():
        assert result.successes == result.n == count, key
        assert result.mean_turns >= 2
        if key[0] == "ood_free":  # no answer there is right or wrong; the walk as a whole is told
            assert result.answers is None
            assert 0.5 < result.measures["spl"] <= 1  # routes are seldom the shortest ways
            assert result.measures["ndtw"] == pytest.approx(1.0, abs=1e-6)
            assert 0 <= result.measures["distance_m"] <= 25
        else:
            assert result.recognized == count, key
            assert result.answers == result.answers_right == round(result.mean_turns * count), key
            assert result.measures == {}


@pytest.mark.parametrize("suite", ["street_nav", "street_nav_rules"])
def test_the_oracle_walks_every_route_of_every_cell(tmp_path: Path, suite: str) -> None:
    config = told(f"suite={suite}")
    found = measure(lambda _: OracleAgent(), tmp_path, config, 15)
    assert_perfect(found, set(config.suite.cells), 15)
    if "ood_free" in config.suite.cells:
        walked = stored(tmp_path, found["ood_free", WITHIN])
        assert walked["spl"].dtype == np.float32
        assert np.isfinite(walked["spl"]).all()
    here = {cell for cell in config.suite.cells if cell != "ood_city"}
    ids = {cell: stored(tmp_path, found[cell, WITHIN])["task_id"].tolist() for cell in here}
    assert all(each == ids["id"] for each in ids.values())  # the same routes in every cell


def test_the_oracle_walks_every_route_in_pictures(tmp_path: Path) -> None:
    config = shown()
    assert config.suite.name == "street_nav_image"
    found = measure(lambda _: OracleAgent(), tmp_path, config, 2)
    assert_perfect(found, set(config.suite.cells), 2)


def test_random_actions_are_right_as_often_as_chance_has_it(tmp_path: Path) -> None:
    """One of the rule's actions at every answer, whatever the wording; hardly ever a whole walk."""
    count = 120
    config = told("suite=street_nav_rules")
    rail = {name: cell for name, cell in config.suite.cells.items() if name != "ood_free"}
    config = replace(config, suite=SuiteConfig(cells=rail))
    for (cell, metric), result in measure(
        lambda _: RandomAgent(), tmp_path, config, count, metrics=[MetricKind.success_within_turns]
    ).items():
        rule = shifted(config.env, rail[cell].shift).rule
        chance = 1 / len(TURN_RULES[rule].actions)
        assert result.answers is not None
        assert result.answers_right is not None
        spread = (result.answers * chance * (1 - chance)) ** 0.5
        assert abs(result.answers_right - result.answers * chance) < 4 * spread, (cell, metric)
        assert result.successes <= 0.05 * count
        assert result.recognized == count  # it says rightly what it sees


class Coin:
    """Right with probability 0.8, by the stream alone, in any number of attempts."""

    context = ContextMode.single_turn

    def __init__(self, _: SamplingConfig) -> None:
        pass

    def act(self, requests: Sequence[Request]) -> list[Reply]:
        return [Reply(completion=Completion(text=self._answer(r))) for r in requests]

    def _answer(self, request: Request) -> str:
        return request.oracle() if float(uniforms([request.stream], 1)) < 0.8 else "pass"


def test_the_first_attempts_are_those_of_an_environment_with_one_attempt(tmp_path: Path) -> None:
    config = replace(told(), suite=SuiteConfig(cells={"id": CellConfig()}))
    single = [MetricKind.sampled_single]
    several = measure(Coin, tmp_path / "several", config, 80, metrics=single)
    config = replace(config, env=config.env.single_attempt())
    whole = [MetricKind.success_within_turns]
    alone = measure(Coin, tmp_path / "alone", config, 80, metrics=whole)
    first, other = several["id", SINGLE], alone["id", WITHIN]
    assert replace(first, metric=WITHIN, per_episode=other.per_episode) == other
    one, two = stored(tmp_path / "several", first), stored(tmp_path / "alone", other)
    for name in ("task_id", "success", "outcome", "num_turns", "num_right", "recognized"):
        assert one[name].tolist() == two[name].tolist(), name
    assert 0 < first.successes < 60


def test_greedy_measuring_allows_one_attempt_a_place_and_all_places() -> None:
    config = told().env
    single = config.single_attempt()
    assert replace(single, attempts=config.attempts) == config
    assert single.max_turns == config.max_turns > 100
    env = open_walk(single)
    env.reset(seed=0)
    env.step(env.oracle_action())
    *_, terminated, truncated, info = env.step("pass")
    assert (terminated, truncated, info["success"]) == (False, True, False)


def turn(
    right: bool | None, *, success: bool = False, recognized: bool | None = True, outcome: str = "x"
) -> Turn:
    """An answer; right: None where the game has no steps of their own."""
    details = {"recognized": recognized} | ({} if right is None else {"correct": right})
    observation = Observation(text="t", update="u")
    return Turn(
        observation=observation, prompt_ids=(), completion=Completion(text="a", token_ids=(1, 2)),
        reward=0.0, reward_terms={}, outcome=outcome, success=success, feedback="",
        details=details,
    )  # fmt: skip


def episode(*turns: Turn, status: Status = Status.terminated) -> Episode:
    return Episode(
        group=0, member=0, seed=3, task_id="city/1", split="eval", rule="absolute",
        visual="harbor", context=ContextMode.single_turn, turns=turns, status=status,
        success=any(each.success for each in turns), episode_return=0.5,
    )  # fmt: skip


RIGHT, WRONG = turn(True, outcome="correct"), turn(False, outcome="wrong_turn")
ARRIVED = turn(True, success=True, outcome="correct")
SOLVED, UNSOLVED = turn(None, success=True), turn(None)


def test_a_first_attempt_ends_with_the_first_wrong_answer() -> None:
    straight = episode(RIGHT, RIGHT, ARRIVED)
    assert first_attempt(straight) is straight
    revised = first_attempt(episode(RIGHT, WRONG, RIGHT, ARRIVED))
    assert revised.turns == (RIGHT, WRONG)
    assert not revised.success
    at_once = first_attempt(episode(WRONG, RIGHT, ARRIVED))
    assert at_once.turns == (WRONG,)
    assert not at_once.success
    unfinished = episode(RIGHT, RIGHT, status=Status.context_limit)
    assert first_attempt(unfinished) is unfinished
    assert not unfinished.success
    nothing = episode(status=Status.context_limit)
    assert first_attempt(nothing) is nothing


def test_a_first_attempt_at_cards_is_the_first_answer() -> None:
    solved = episode(SOLVED)
    assert first_attempt(solved) is solved
    later = first_attempt(episode(UNSOLVED, SOLVED))
    assert (later.turns, later.success) == ((UNSOLVED,), False)


def test_answers_are_counted_one_by_one_and_walks_as_a_whole() -> None:
    misread = turn(True, recognized=False, outcome="correct")
    walks = [
        episode(RIGHT, RIGHT, ARRIVED),
        episode(RIGHT, WRONG, RIGHT, ARRIVED),
        episode(misread, ARRIVED),
        episode(WRONG, WRONG, status=Status.turn_limit),
        episode(status=Status.context_limit),
    ]
    found = count_cell("id", MetricKind.success_within_turns, walks, per_episode="a.npz")
    assert (found.n, found.successes, found.num_tasks) == (5, 3, 1)
    assert (found.answers, found.answers_right) == (11, 8)
    assert found.recognized == 3
    assert found.outcomes == {"context_limit": 1, "correct": 3, "wrong_turn": 1}
    assert found.mean_turns == pytest.approx(11 / 5)
    assert found.mean_tokens == pytest.approx(22 / 5)
    with np.load(io.BytesIO(packed(walks))) as arrays:
        assert arrays["num_right"].tolist() == [3, 3, 2, 0, -1]
        assert arrays["recognized"].tolist() == [1, 1, 0, 1, -1]
        assert arrays["num_turns"].tolist() == [3, 4, 2, 2, 0]
        assert arrays["success"].tolist() == [True, True, True, False, False]


def test_at_cards_no_answer_is_a_step_of_its_own() -> None:
    hands = [episode(SOLVED), episode(UNSOLVED, SOLVED)]
    found = count_cell("id", MetricKind.success_within_turns, hands, per_episode="a.npz")
    assert (found.answers, found.answers_right) == (None, None)
    assert (found.successes, found.recognized) == (2, 2)
    with np.load(io.BytesIO(packed(hands))) as arrays:
        assert arrays["num_right"].tolist() == [-1, -1]


def test_routes_that_cannot_be_dealt_are_told_with_their_cell() -> None:
    config = told()
    cells = SuiteConfig(
        cells={"far": CellConfig(shift={"routes": {"min_turns": 20, "max_turns": 20}})}
    )
    with pytest.raises(ValueError, match=r"^tasks for cell far must exist: "):
        check_tasks(config.env, cells, EvaluateConfig(episodes=4, final_episodes=4))


@pytest.mark.parametrize("name", ["random", "oracle", "api"])
def test_the_shape_that_an_experiment_gives_its_policy_is_not_that_of_a_baseline(name: str) -> None:
    config = ExperimentConfig(policy=PolicyConfig(name=name, build=BuildConfig()))
    assert fitted(config).policy.build is None
    named = ExperimentConfig(policy=PolicyConfig(name="tiny_text", build=BuildConfig()))
    assert fitted(named) is named
