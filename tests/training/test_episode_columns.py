"""Per-episode columns of an evaluation: attempts, returns and reward terms, from play to report."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from cardinal_gym.agents.sampling import uniforms
from cardinal_gym.agents.types import Completion, ContextMode, Reply, Request
from cardinal_gym.envs.general_points.config import GeneralPointsConfig, PromptStyle
from cardinal_gym.training.config import CellConfig, EvaluateConfig, SuiteConfig
from cardinal_gym.training.distributed import Workers
from cardinal_gym.training.evaluate import evaluate
from cardinal_gym.training.report.measures import attempts_of
from cardinal_gym.training.statistics import attempts_rate, pass_at_k, pass_hat_k

COUNT, ATTEMPTS, CHANCE = 60, 4, 0.3


class Coin:
    """Right with a fixed probability, by the stream alone."""

    context = ContextMode.single_turn

    def act(self, requests: Sequence[Request]) -> list[Reply]:
        return [Reply(completion=Completion(text=self._answer(each))) for each in requests]

    def _answer(self, request: Request) -> str:
        knows = float(uniforms([request.stream], 1)) < CHANCE
        return request.oracle() if knows else "pass"


@pytest.fixture(scope="module")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, np.ndarray]]:
    """By metric: two turns, four attempts at each of sixty hands."""
    folder = tmp_path_factory.mktemp("run")
    results = evaluate(
        lambda _: Coin(),
        GeneralPointsConfig(prompt=PromptStyle.compact, max_turns=2),
        SuiteConfig(cells={"id": CellConfig()}),
        EvaluateConfig(max_new_tokens=6, samples=ATTEMPTS),
        num_episodes=COUNT, folder=folder, label="base_000000", keep_episodes=False,
        workers=Workers("cpu"),
    )  # fmt: skip
    return {result.metric: stored(folder / result.per_episode) for result in results}


def stored(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return dict(file)


def test_every_deal_is_tried_as_often_as_asked(arrays: dict[str, dict[str, np.ndarray]]) -> None:
    sampled = arrays["success_within_turns"]
    assert sampled["sample"].tolist() == list(range(ATTEMPTS)) * COUNT
    assert attempts_of(sampled["seed"]) == ATTEMPTS
    assert len(np.unique(sampled["seed"])) == COUNT
    assert arrays["greedy_single"]["sample"].tolist() == [0] * COUNT


def test_attempts_are_independent_draws(arrays: dict[str, dict[str, np.ndarray]]) -> None:
    """A coin of 0.3: within one answer, any of four solves 0.76 and all four 0.01."""
    single = arrays["sampled_single"]
    values = single["success"], single["seed"], single["task_id"]
    for estimator, truth in ((pass_at_k, 1 - 0.7**4), (pass_hat_k, 0.3**4)):
        got = attempts_rate(estimator, ATTEMPTS, *values)
        assert got.low <= truth <= got.high
        assert (got.n, got.num_tasks) == (COUNT, len(set(single["task_id"])))


def test_returns_and_terms_are_those_of_the_game(arrays: dict[str, dict[str, np.ndarray]]) -> None:
    sampled = arrays["success_within_turns"]
    accuracy = sampled["reward/accuracy"]
    assert (accuracy[sampled["success"]] > 0).all()
    assert (accuracy[~sampled["success"]] <= 0).all()
    assert (
        sampled["return"][sampled["success"]].min() > sampled["return"][~sampled["success"]].max()
    )
    assert set(sampled["status"].tolist()) == {"terminated", "turn_limit"}


def test_what_a_shortened_episode_is_worth_is_not_known(
    arrays: dict[str, dict[str, np.ndarray]],
) -> None:
    single = arrays["sampled_single"]
    assert np.isnan(single["return"][~single["success"]]).all()
    assert np.isfinite(single["return"][single["success"]]).all()
    assert np.isfinite(single["reward/accuracy"]).all()  # of its only answer
