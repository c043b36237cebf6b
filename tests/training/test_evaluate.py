"""Measuring: the same hands and numbers for everybody, each result once, nothing disturbed."""

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cardinal_gym.agents.baselines import OracleAgent, RandomAgent
from cardinal_gym.agents.config import SamplingConfig
from cardinal_gym.agents.policy_agent import PolicyAgent
from cardinal_gym.agents.sampling import uniforms
from cardinal_gym.agents.types import Completion, ContextMode, Episode, Reply, Request
from cardinal_gym.envs.general_points.config import GeneralPointsConfig, PromptStyle
from cardinal_gym.training.cell_results import CellResult
from cardinal_gym.training.config import CellConfig, EvaluateConfig, MetricKind, SuiteConfig
from cardinal_gym.training.distributed import Workers
from cardinal_gym.training.evaluate import MakeAgent, check_tasks, evaluate
from cardinal_gym.training.progress import ProgressReporter
from toys import experiment, tiny_policy

SUITES = sorted(
    path.stem for path in (Path(__file__).parents[2] / "conf/suite").glob("general_points*.yaml")
)
ENV = GeneralPointsConfig(prompt=PromptStyle.compact, max_turns=3)
PAIR = SuiteConfig(
    cells={"id": CellConfig(), "ood_ranks": CellConfig(shift={"rule": "faces_as_ranks"})}
)


class Coin:
    """Right with probability 0.4, by the stream alone; greedy: by the task alone."""

    context = ContextMode.single_turn

    def __init__(self, sampling: SamplingConfig, seen: list[Request] | None = None) -> None:
        self.greedy = sampling.greedy
        self.seen = seen if seen is not None else []

    def act(self, requests: Sequence[Request]) -> list[Reply]:
        self.seen += requests
        return [Reply(completion=Completion(text=self._answer(r))) for r in requests]

    def _answer(self, request: Request) -> str:
        if self.greedy:
            knows = len(request.observation.text) % 2 == 0
        else:
            knows = float(uniforms([request.stream], 1)) < 0.4
        return request.oracle() if knows else "pass"


def rules() -> tuple[GeneralPointsConfig, SuiteConfig]:
    """An environment and suite as the command line gives them: five rules, pictures left out."""
    config = experiment("env=gp_text", "suite=general_points_rules", "env.max_turns=3")
    return config.env, config.suite


def measure(
    make_agent: MakeAgent, folder: Path, env: Any = ENV, cells: SuiteConfig = PAIR,
    count: int = 40, label: str = "base_000000", **settings: Any,
) -> dict[tuple[str, str], CellResult]:  # fmt: skip
    results = evaluate(
        make_agent, env, cells, EvaluateConfig(max_new_tokens=6, **settings),
        num_episodes=count, folder=folder, label=label, keep_episodes=False,
        workers=Workers("cpu"),
    )  # fmt: skip
    return {(result.cell, result.metric): result for result in results}


def stored(folder: Path, result: CellResult) -> dict[str, np.ndarray]:
    with np.load(folder / result.per_episode) as arrays:
        return dict(arrays)


def ranks(episodes: Sequence[Episode]) -> list[tuple[str, ...]]:
    return [tuple(episode.turns[0].details["ranks"]) for episode in episodes]


def first_ids(episodes: Sequence[Episode]) -> list[tuple[int, ...]]:
    return [episode.turns[0].completion.token_ids for episode in episodes]


def test_one_seed_gives_one_hand_in_every_cell_and_metric(
    tmp_path: Path, played: list[list[Episode]]
) -> None:
    env, cells = rules()
    results = measure(Coin, tmp_path, env, cells)
    assert len(played) == 5 * 2  # cells; sampled and greedy
    assert len(results) == 5 * 3
    assert all(ranks(episodes) == ranks(played[0]) for episodes in played)
    ids = [stored(tmp_path, result)["task_id"].tolist() for result in results.values()]
    assert all(each == ids[0] for each in ids)
    assert {result.num_tasks for result in results.values()} == {len(set(ids[0]))}
    assert len({episode.rule for episodes in played for episode in episodes}) == 5


def test_two_policies_meet_the_same_tasks_with_the_same_random_numbers(tmp_path: Path) -> None:
    one: list[Request] = []
    two: list[Request] = []
    measure(lambda sampling: Coin(sampling, one), tmp_path / "one", label="sft_000010")
    measure(lambda sampling: Coin(sampling, two), tmp_path / "two", label="grpo_000020")
    assert [r.stream for r in one] == [r.stream for r in two]
    assert [r.observation.text for r in one] == [r.observation.text for r in two]
    cells = len({r.observation.text for r in one if not r.history})
    assert cells > len({r.stream.group for r in one})  # the rule stands in the text


def test_results_do_not_depend_on_the_batch(tmp_path: Path) -> None:
    whole = measure(Coin, tmp_path / "whole")
    parts = measure(Coin, tmp_path / "parts", batch_episodes=7)
    assert whole == parts
    result = whole["id", "success_within_turns"]
    assert stored(tmp_path / "whole", result)["success"].tolist() == (
        stored(tmp_path / "parts", result)["success"].tolist()
    )


def test_a_finished_result_is_read_back_and_not_computed_again(tmp_path: Path) -> None:
    first = measure(Coin, tmp_path)
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def refuse(_: SamplingConfig) -> Any:
        raise AssertionError("must not be asked again")

    assert measure(refuse, tmp_path) == first
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == files
    with pytest.raises(AssertionError, match="asked again"):  # another number is another result
        measure(refuse, tmp_path, count=41)


def test_after_an_interruption_only_what_is_missing_is_played(
    tmp_path: Path, played: list[list[Episode]]
) -> None:
    first = measure(Coin, tmp_path)
    played.clear()
    lost = first["ood_ranks", "greedy_single"]
    (tmp_path / "evals/cells/base_000000_ood_ranks_greedy_single.json").unlink()
    assert measure(Coin, tmp_path) == first
    assert len(played) == 1
    assert lost.n == len(played[0])


@pytest.mark.parametrize("greedy", [True, False])
def test_one_attempt_is_the_first_of_several(tmp_path: Path, greedy: bool) -> None:
    """Of a policy that is measured with a single turn, and of one that may try again."""
    results = measure(Coin, tmp_path)
    one = measure(Coin, tmp_path / "one", env=ENV.shifted(max_turns=1))
    kind = MetricKind.greedy_single if greedy else MetricKind.sampled_single
    for cell in PAIR.cells:
        found = stored(tmp_path, results[cell, kind.value])
        wanted = stored(tmp_path / "one", one[cell, kind.value])
        assert found["success"].tolist() == wanted["success"].tolist()
        assert (found["num_turns"] == 1).all()
    within = results["id", "success_within_turns"]
    assert one["id", "success_within_turns"].successes == results["id", "sampled_single"].successes
    assert 0 < results["id", "sampled_single"].successes < within.successes < 40


@pytest.mark.parametrize("context", list(ContextMode))
def test_the_greedy_attempt_is_the_first_greedy_turn_to_the_token(
    tmp_path: Path, played: list[list[Episode]], context: ContextMode
) -> None:
    policy = tiny_policy(context=context, spread=3.0)
    greedy = [MetricKind.greedy_single]
    only = SuiteConfig(cells={"id": CellConfig()})
    measure(lambda s: PolicyAgent(policy, s), tmp_path, cells=only, count=6, metrics=greedy)
    measure(
        lambda s: PolicyAgent(policy, SamplingConfig(greedy=True, max_new_tokens=6)),
        tmp_path / "turns", cells=only, count=6, metrics=[MetricKind.success_within_turns],
    )  # fmt: skip
    single, several = played
    assert [len(e.turns) for e in several] == [3] * 6
    assert first_ids(single) == first_ids(several)


@pytest.mark.parametrize("name", SUITES)
def test_the_oracle_solves_every_cell_and_legal_answers_at_random_few(
    tmp_path: Path, name: str
) -> None:
    seeing = name.endswith("image")
    config = experiment(f"env={'gp_image' if seeing else 'gp_text'}", f"suite={name}")
    cells, count = config.suite, 12 if seeing else 50
    best = measure(lambda _: OracleAgent(), tmp_path / "oracle", config.env, cells, count)
    floor = measure(lambda _: RandomAgent(), tmp_path / "random", config.env, cells, count)
    assert {cell for cell, _ in best} == set(cells.cells)
    for key, result in best.items():
        assert result.successes == result.n == count, key
        assert result.recognized == count
        assert result.mean_turns == 1.0
        assert floor[key].successes <= 0.25 * count, key
        assert floor[key].outcomes.keys() <= {"correct", "wrong_value"}


def test_measuring_leaves_random_numbers_and_the_policy_alone(tmp_path: Path) -> None:
    policy = tiny_policy()
    policy.model.train()
    before = {name: value.clone() for name, value in policy.model.state_dict().items()}
    states = (torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate())  # noqa: NPY002
    measure(lambda s: PolicyAgent(policy, s), tmp_path, count=4)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.random.get_state()[1].tolist() == states[1]  # noqa: NPY002
    assert random.getstate() == states[2]
    assert policy.model.training
    assert all(torch.equal(before[name], v) for name, v in policy.model.state_dict().items())
    assert all(parameter.grad is None for parameter in policy.model.parameters())


def test_every_episode_moves_the_progress(tmp_path: Path) -> None:
    """Over all cells and metrics at once, with the success of what has been played."""
    seen: list[dict[str, Any]] = []

    class Reporter(ProgressReporter):
        def update(self, **told: Any) -> None:
            seen.append(told)

    def play() -> None:
        seen.clear()
        evaluate(
            Coin, ENV, PAIR, EvaluateConfig(max_new_tokens=6, batch_episodes=16),
            num_episodes=40, folder=tmp_path, label="sft_000010", keep_episodes=False,
            workers=Workers("cpu"), reporter=Reporter(),
        )  # fmt: skip

    play()
    steps = [told["step"] for told in seen]
    assert steps == sorted(steps)
    assert len(set(steps)) > 2 * 2 * 3  # cells, rollouts, batches; and turns within
    assert steps[-1] == 160
    assert {(told["stage"], told["total"], told["unit"]) for told in seen} == {
        ("evaluating sft_000010", 160, "episode")
    }
    cells = tmp_path / "evals/cells"
    last = json.loads((cells / "sft_000010_ood_ranks_greedy_single.json").read_text())
    assert seen[-1]["quantity"] == f"ood_ranks success {last['successes'] / 40:.2f}"
    (cells / "sft_000010_id_greedy_single.json").unlink()
    play()  # what is read back is not counted
    assert {told["total"] for told in seen} == {40}


def test_counts_say_what_happened(tmp_path: Path) -> None:
    result = measure(Coin, tmp_path)["id", "success_within_turns"]
    arrays = stored(tmp_path, result)
    assert result.successes == arrays["success"].sum()
    assert sum(result.outcomes.values()) == result.n == 40
    assert result.outcomes["correct"] == result.successes
    assert result.mean_turns == pytest.approx(arrays["num_turns"].mean())
    assert arrays["outcome"].tolist().count("correct") == result.successes
    assert result.num_tasks == len(set(arrays["task_id"].tolist())) < 40
    path = tmp_path / "evals/cells/base_000000_id_success_within_turns.json"
    assert CellResult(**json.loads(path.read_text(encoding="utf-8"))) == result


def test_an_empty_suite_and_an_unknown_shift_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must have at least one cell"):
        measure(Coin, tmp_path, cells=SuiteConfig())
    with pytest.raises(ValueError, match=r"must name fields of .*; got rulez"):
        measure(Coin, tmp_path, cells=SuiteConfig(cells={"a": CellConfig(shift={"rulez": "x"})}))


def test_tasks_that_cannot_be_dealt_are_told_before_anything_is_trained() -> None:
    """Three cards, + and -, a face that counts 7 among them: nothing makes 29."""
    config = experiment("env=gp_text", "env.num_cards=3", "env.rule.operators=[+,-]")
    env = replace(config.env, targets=[5], solvable_under=[])
    small = EvaluateConfig(final_episodes=16)
    check_tasks(env, SuiteConfig(cells={"id": CellConfig()}), small)
    shift = {"targets": [29], "require_face_card": True, "rule": "faces_as_sevens"}
    with pytest.raises(ValueError, match="tasks for cell ood must exist: no hand qualifies"):
        check_tasks(env, SuiteConfig(cells={"ood": CellConfig(shift=shift)}), small)
