"""A person as the policy of `cardinal eval`: shown what any policy is, and recorded the same."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from cardinal_gym.agents.rollout import rollout
from cardinal_gym.envs.general_points.config import GeneralPointsConfig, Modality
from cardinal_gym.envs.general_points.env import GeneralPointsEnv
from cardinal_gym.training import evaluation
from cardinal_gym.training.config import ExperimentConfig, MetricKind
from cardinal_gym.training.human import HumanAgent
from cardinal_gym.training.measured import fitted
from cardinal_gym.training.schema import PlayConfig
from PIL import Image
from toys import experiment

Typing = Callable[..., None]


@pytest.fixture
def typing(monkeypatch: pytest.MonkeyPatch) -> Typing:
    """Types these lines, one for every prompt; then Ctrl-D."""

    def typing(*answers: str) -> None:
        lines: Iterator[str] = iter(answers)

        def read(_: str = "") -> str:
            for line in lines:
                return line
            raise EOFError

        monkeypatch.setattr("builtins.input", read)

    return typing


def test_a_person_plays_one_hand_after_another(
    typing: Typing, capsys: pytest.CaptureFixture[str]
) -> None:
    typing("help", "", "no idea", "pass", "pass", "pass")
    env = GeneralPointsEnv(GeneralPointsConfig(max_turns=2))
    legend = GeneralPointsEnv(GeneralPointsConfig(max_turns=2))
    legend.reset(seed=3)
    episodes = rollout(lambda: env, HumanAgent(), [3, 4])
    said = capsys.readouterr().out
    assert [episode.seed for episode in episodes] == [3, 4]
    assert [[turn.completion.text for turn in episode.turns] for episode in episodes] == [
        [legend.spelt_out("no idea"), legend.spelt_out("pass")], [legend.spelt_out("pass")] * 2,
    ]  # fmt: skip
    assert said.count(legend.legend()) == 2  # at the start and when asked for
    assert said.count("--- 1 ---") == said.count("--- 2 ---") == 1
    assert said.index("--- 1 ---") < said.index(episodes[0].turns[0].observation.text)
    assert episodes[0].turns[1].observation.update in said
    assert legend.oracle_action() not in said


def test_a_formula_is_answer_enough(typing: Typing) -> None:
    env = GeneralPointsEnv(GeneralPointsConfig())
    env.reset(seed=3)
    formula = str(env.unwrapped.oracle_action()).split('"formula": "')[-1].split("=")[0].strip('" ')
    typing(formula)
    (episode,) = rollout(lambda: GeneralPointsEnv(GeneralPointsConfig()), HumanAgent(), [3])
    assert episode.success
    assert len(episode.turns) == 1


def test_pictures_are_shown(typing: Typing, tmp_path: Path) -> None:
    typing("pass")
    config = GeneralPointsConfig(modality=Modality.image, max_turns=1)
    agent = HumanAgent(PlayConfig(pictures=str(tmp_path), open_pictures=False))
    (episode,) = rollout(lambda: GeneralPointsEnv(config), agent, [3])
    shown = np.asarray(Image.open(tmp_path / "001.png"))
    assert np.array_equal(shown, episode.turns[0].observation.image)


def human(*overrides: str) -> ExperimentConfig:
    return experiment(
        "env=gp_text", "suite=general_points", "policy=human", "evaluate.final_episodes=2",
        "trackers=[]", "env.max_turns=1", "evaluate.sample_episodes=0", *overrides,
    )  # fmt: skip


def test_who_leaves_goes_on_later_with_the_next_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    typing: Typing,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    told: list[Path] = []
    monkeypatch.setattr(evaluation, "finish", lambda folder, _: told.append(folder.root))
    typing("1", "2", "3", "q")  # two hands of the first cell, one of the other
    with pytest.raises(KeyboardInterrupt):
        evaluation.run_evaluation(human())
    assert not told
    typing("4")
    evaluation.run_evaluation(human("resume=true"))
    assert told
    assert "done; ood_ranks success 0.00" in capsys.readouterr().out
    for cell, answers in (("id", ["1", "2"]), ("ood_ranks", ["3", "4"])):
        (path,) = told[0].glob(f"seed_0/evals/cells/*_{cell}_success_within_turns.npz")
        with np.load(path) as arrays:
            assert len(arrays["success"]) == len(answers)


def test_nobody_is_dealt_a_hand_twice() -> None:
    config = fitted(human("evaluate.samples=3"))
    assert config.evaluate.metrics == [MetricKind.success_within_turns, MetricKind.sampled_single]
    assert (config.evaluate.batch_episodes, config.evaluate.samples) == (1, 1)
    assert fitted(human("policy=random")) == human("policy=random")
    with pytest.raises(ValueError, match=r"evaluate\.metrics must name one that a person can"):
        fitted(human("evaluate.metrics=[greedy_single]"))
