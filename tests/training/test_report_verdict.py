"""What a report claims in words, and what limits the claim."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from cardinal_gym.training.report import build, load_run
from cardinal_gym.training.report.verdict import Verdict
from report_fixture import SMALL, write_run

RATE = r"\d+\.\d% \[\d+\.\d, \d+\.\d\]"


def test_the_verdict_says_who_loses_and_by_how_much(five_seeds: Path) -> None:
    verdict = build.collect(load_run(five_seeds)).verdict
    assert verdict.headline.startswith("With faces as ranks, SFT loses success")
    assert re.search(r"GRPO − SFT = \+\d+\.\d points \[\+", verdict.details[0])
    assert verdict.cautions == ()


def test_one_seed_is_told_to_be_one(one_seed: Path) -> None:
    cautions = build.collect(load_run(one_seed)).verdict.cautions
    assert "One training seed" in cautions[0]


def test_no_difference_is_claimed_where_there_is_none(one_seed: Path) -> None:
    for path in one_seed.glob("seed_0/evals/cells/*.npz"):
        source = one_seed / "seed_0/evals/cells/base_000000_id_success_within_turns.npz"
        if path != source:
            shutil.copy(source, path)
    verdict = build.collect(load_run(one_seed)).verdict
    assert verdict.headline == "With faces as ranks, SFT and GRPO cannot be told apart."


def test_every_rate_in_a_sentence_has_its_interval_and_n(five_seeds: Path) -> None:
    verdict = verdict_of(five_seeds)
    for sentence in verdict.details:
        assert len(re.findall(r"\d%", sentence)) == len(re.findall(RATE, sentence)) > 0
        assert re.search(r"n = \d", sentence)
    assert re.search(rf"the base solves {RATE}, SFT {RATE}", verdict.details[0])
    assert re.search(r"n = 960, \d+ tasks, 5 seeds", verdict.figures)


@pytest.mark.parametrize("arms", [(), ("sft",)])
def test_one_policy_is_told_with_interval_and_n(tmp_path: Path, arms: tuple[str, ...]) -> None:
    verdict = verdict_of(write_run(tmp_path, seeds=1, arms=arms, **SMALL))
    name = "SFT" if arms else "The policy"
    wanted = rf"{name} solves {RATE} in distribution and {RATE} with faces as ranks "
    assert re.fullmatch(wanted + r"\(n = 192, \d+ tasks\)\.", verdict.headline)
    assert any("768" in caution for caution in verdict.cautions)


def test_too_few_episodes_for_a_claim_are_told(tmp_path: Path, one_seed: Path) -> None:
    assert any(c.startswith("n = 192 final episodes") for c in verdict_of(one_seed).cautions)
    enough = write_run(tmp_path / "enough", seeds=1, milestones=1, samples=1)
    assert not any("768" in caution for caution in verdict_of(enough).cautions)


def test_one_base_under_all_seeds_is_told(tmp_path: Path) -> None:
    folder = write_run(tmp_path, seeds=5, **SMALL)
    path = folder / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config["pretrain"]["seed"] = 0
    path.write_text(yaml.safe_dump(config))
    (caution,) = verdict_of(folder).cautions
    assert "intervals span training seeds from one base" in caution


def verdict_of(folder: Path) -> Verdict:
    return build.collect(load_run(folder)).verdict
