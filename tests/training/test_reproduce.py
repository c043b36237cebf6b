"""What `cardinal reproduce` plans, refuses, estimates and concludes; nothing is trained here."""

import functools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cardinal_gym.training.distributed_config import DistributedConfig
from cardinal_gym.training.launch import compose_experiment
from cardinal_gym.training.override_errors import CONFIG_ERRORS, explain
from cardinal_gym.training.planning.estimate import estimate
from cardinal_gym.training.reproduce import clock, plan
from cardinal_gym.training.reproduce.clock import Clock, TimedJob, duration, timed_jobs
from cardinal_gym.training.reproduce.config import CellClaim, Measure, ReproduceConfig
from cardinal_gym.training.reproduce.dry_run import as_text
from cardinal_gym.training.reproduce.findings import Verdict, judged, published_differences
from cardinal_gym.training.reproduce.full_size import (
    evaluation_seconds,
    job_estimate,
    part_seconds,
)
from cardinal_gym.training.reproduce.plan import planned
from cardinal_gym.training.reproduce.runner import jobs_of
from cardinal_gym.training.schema import register
from cardinal_gym.training.statistics import PairedDifference, paired_difference
from report_fixture import write_run

register()
SMALL = {"seeds": 5, "milestones": 1, "episodes": 32, "final_episodes": 64, "samples": 0}


@functools.cache
def composed(*overrides: str) -> ReproduceConfig:
    config = compose_experiment("reproduce", list(overrides))
    assert isinstance(config, ReproduceConfig)
    return config


def chosen(*only: str, runs: dict[str, Path] | None = None, **changes: Any) -> ReproduceConfig:
    """The command's configuration with these studies; runs: folders to take."""
    studies = dict(composed().studies)
    for name, folder in (runs or {}).items():
        studies[name] = replace(studies[name], run=str(folder))
    return replace(composed(), **{"only": list(only), "studies": studies, **changes})


@pytest.fixture(autouse=True)
def _compose_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Composing an experiment takes half a second, and the same ones are used again and again."""
    monkeypatch.setattr(plan, "compose_experiment", compose_once)


def compose_once(primary: str, overrides: list[str]) -> Any:
    return _composed_once(primary, tuple(overrides))


@functools.cache
def _composed_once(primary: str, overrides: tuple[str, ...]) -> Any:
    return compose_experiment(primary, list(overrides))


def finished(root: Path, *, image: bool = False) -> Path:
    """A made-up run folder with the marks of one that has ended."""
    folder = write_run(root, image=image, **SMALL)
    for part in folder.glob("seed_*"):
        for arm in ("base", "sft", "grpo"):
            (part / arm).mkdir(exist_ok=True)
            (part / arm / "done.json").write_text("{}")
    return folder


def difference(low: float, high: float, adjusted_p: float | None = 0.01) -> PairedDifference:
    """One with these limits and this p; nothing else of it matters here."""
    made = paired_difference([0, 1, 0, 1], [1, 1, 0, 0], ["a", "b", "c", "d"])
    values = {name: getattr(made, name) for name in PairedDifference.__dataclass_fields__}
    middle = (low + high) / 2
    changed = {"estimate": middle, "low": low, "high": high, "adjusted_p": adjusted_p}
    return PairedDifference(**{**values, **changed})


def test_the_six_cells_are_the_papers() -> None:
    claims = [c for study in composed().studies.values() for c in study.cells if not c.further]
    told = {claim.title: (claim.start, claim.rl, claim.sft) for claim in claims}
    assert told == {
        "GP-L, rule": (11.5, 15.0, 3.4),
        "V-IRL-L, rule": (80.8, 91.8, 1.3),
        "GP-VL, rule": (11.2, 14.2, 5.6),
        "GP-VL, look": (23.6, 41.2, 13.7),
        "V-IRL-VL, rule": (35.7, 45.0, 2.5),
        "V-IRL-VL, look": (16.7, 77.8, 11.1),
    }
    walks = {claim.title: claim.measure for claim in claims if claim.title.startswith("V-IRL")}
    assert [walks[name] for name in sorted(walks)] == [
        Measure.steps, Measure.success, Measure.steps,
    ]  # fmt: skip


@pytest.mark.slow
def test_every_cell_and_claim_is_one_that_its_run_measures() -> None:
    for run in planned(composed(), []):
        study, cells = composed().studies[run.study], set(run.config.suite.cells)
        assert {claim.cell for claim in study.cells} <= cells
        assert {c.cell for c in study.claims if c.variant == run.variant} <= cells


def test_published_differences_are_rl_and_sft_less_the_start_and_each_other() -> None:
    claim = CellClaim(title="x", cell="y", start=10.0, rl=15.0, sft=3.0)
    told = {("base", "sft"): -7.0, ("base", "grpo"): 5.0, ("sft", "grpo"): 12.0}
    assert published_differences(claim) == told


@pytest.mark.parametrize(
    ("limits", "p", "sign", "verdict"),
    [
        ((-0.09, -0.01), 0.02, -1, Verdict.reproduced),
        ((-0.09, -0.01), 0.02, 1, Verdict.opposite),
        ((-0.09, -0.01), 0.20, -1, Verdict.untold),  # its own interval is not enough
        ((-0.09, 0.01), 0.08, -1, Verdict.untold),
        ((-0.02, 0.03), 0.60, 0, Verdict.reproduced),
        ((-0.02, 0.06), 0.60, 0, Verdict.untold),  # as much as 6 points are possible
        ((0.01, 0.03), 0.01, 0, Verdict.opposite),
    ],
)
def test_a_verdict_needs_the_sign_and_the_correction(
    limits: tuple[float, float], p: float, sign: int, verdict: Verdict
) -> None:
    assert judged(difference(*limits, p), sign) is verdict


def test_what_no_run_measured_is_said_to_be_so() -> None:
    assert judged(None, 1) is Verdict.unmeasured


def test_what_is_typed_goes_to_every_run_under_what_makes_its_variant() -> None:
    config = chosen("lr", seeds=2)
    study = config.studies["lr"]
    two = {name: study.variants[name] for name in ("low", "usual")}
    config.studies["lr"] = replace(study, variants=two, claims=[])
    runs = {run.variant: run for run in planned(config, ["grpo.optim.lr=0.5", "sft.batch_size=7"])}
    assert list(runs) == ["low", "usual"]
    assert runs["low"].config.grpo.optim.lr == 1.5e-5
    assert {run.config.sft.batch_size for run in runs.values()} == {7}
    assert {run.config.seeds for run in runs.values()} == {2}
    assert runs["low"].root == Path("runs/reproduce/default/lr/low")
    assert runs["low"].label == runs["low"].config.name == "lr_low"


def test_a_study_of_few_seeds_stays_with_them() -> None:
    runs = {run.label: run for run in planned(chosen("gp_l", "turns"), [])}
    assert (runs["gp_l"].config.seeds, runs["turns"].config.seeds) == (5, 3)


def test_the_full_size_is_the_same_command_with_the_papers_policy() -> None:
    typed = ["policy=llama_3_2_11b_vision", "hardware=8xh100"]
    config = composed(*typed)
    assert config.chosen == ["gp_l", "nav_l", "gp_vl", "nav_vl"]
    (run,) = planned(replace(config, only=["gp_vl"]), typed)
    assert run.config.policy.path == "meta-llama/Llama-3.2-11B-Vision-Instruct"
    assert run.config.pretrain is None
    assert run.config.sft.budget == run.config.grpo.budget
    assert run.config.env.prompt.value == "study"
    assert set(run.config.suite.cells) == {"id", "ood_ranks", "ood_red"}
    with pytest.raises(ValueError, match="only must name studies of the full size"):
        planned(replace(config, only=["lr"]), typed)


def test_a_dry_run_of_the_full_size_counts_the_devices_of_a_job() -> None:
    typed = ["policy=llama_3_2_11b_vision", "hardware=8xh100"]
    config = replace(composed(*typed), only=["gp_vl"], seeds=2)
    runs = planned(config, typed)
    assert {job.num_processes for job in jobs_of(config, runs)} == {8}
    text = as_text(config, runs, Clock.of([], [], 1))
    assert "every base and arm by 8 processes, each on one h100, split by fsdp2" in text
    assert "GiB, fits" in text
    (line,) = (line for line in text.splitlines() if line.startswith("gp_vl"))
    (run,) = runs
    alone = replace(run, config=replace(run.config, distributed=DistributedConfig(), processes=2))
    told = as_text(config, [alone], Clock.of([], [], 1))
    assert "by one process on one h100 (6 of 8 devices stay idle)" in told
    assert "does NOT fit" in told
    assert "with 2 jobs at a time" in told
    assert float(line.split()[-1]) > 10  # device hours


def test_evaluations_are_counted_with_their_longest_answers() -> None:
    typed = ["policy=llama_3_2_11b_vision", "hardware=8xh100"]
    (run,) = planned(replace(composed(*typed), only=["gp_vl"]), typed)
    found = estimate(run.config)
    rollout_s = found.time.read_s + found.time.decode_s
    episodes = 768 * 3 + 256 * 3 * 2  # the base, two ends, three milestones before each end
    tokens = episodes * 3 * 5 * 512  # cells, attempts
    wanted = rollout_s * tokens / found.work.sampled_tokens
    told = sum(evaluation_seconds(found, part) for part in ("base", "sft", "grpo"))
    assert told == pytest.approx(wanted)


def test_the_time_of_the_full_size_is_that_of_its_devices() -> None:
    typed = ["policy=llama_3_2_11b_vision", "hardware=8xh100"]
    config = replace(composed(*typed), only=["gp_vl"], seeds=2)
    (run,) = planned(config, typed)
    jobs = {job.name: job for job in timed_jobs(run, config.studies["gp_vl"], set())}
    assert set(jobs) == {job.name for job in jobs_of(config, [run])}
    plan = job_estimate(run.config)
    wanted = part_seconds(plan, "grpo") + evaluation_seconds(plan, "grpo")
    assert jobs["gp_vl seed 1 grpo"].expected_s == pytest.approx(wanted)
    assert 0.5 * 3600 < wanted < 4 * 3600


def test_a_policy_of_unknown_shape_has_a_time_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unknown(config: Any) -> Any:
        raise ValueError("policy must be known")

    monkeypatch.setattr(clock, "job_estimate", unknown)
    typed = ["policy=llama_3_2_11b_vision", "hardware=8xh100"]
    config = replace(composed(*typed), only=["gp_vl"], seeds=1)
    (run,) = planned(config, typed)
    with caplog.at_level("INFO"):
        jobs = timed_jobs(run, config.studies["gp_vl"], set())
    assert {job.expected_s for job in jobs} == {3600.0}
    assert "a guess until jobs have finished: policy must be known" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gp_l", "nav_l", "nav_vl"])
def test_every_study_of_the_full_size_composes(name: str) -> None:
    typed = ["policy=llama_3_2_11b_vision", "hardware=8xh100"]
    (run,) = planned(replace(composed(*typed), only=[name]), typed)
    study = composed().studies[name]
    assert {claim.cell for claim in study.cells if not claim.further} <= set(run.config.suite.cells)


@pytest.mark.parametrize(
    ("only", "typed", "message"),
    [
        ("gpl", [], "only must be among the studies gp_l, .*; got gpl.*did you mean gp_l"),
        ("turns", [], "only must have gp_l, whose policies turns measures"),
        ("gp_l", ["experiment=nav_l"], "experiment must be left out"),
        ("gp_l", ["evaluate.final_episodes=0"], "evaluate.final_episodes must be"),
        ("gp_l", ["nonsense=1"], "studies.gp_l: nonsense is not a key"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(only: str, typed: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        planned(chosen(only), typed)
    assert "\n" not in str(raised.value)


def test_an_unknown_study_is_no_key() -> None:
    with pytest.raises(CONFIG_ERRORS) as raised:
        composed("studies.gpl.run=somewhere")
    said = explain(raised.value)
    assert said.startswith("studies.gpl is not a key of studies; did you mean studies.gp_l")


def test_a_finished_folder_is_taken_and_its_other_settings_are_kept(tmp_path: Path) -> None:
    folder = finished(tmp_path)
    (run,) = planned(chosen("gp_l", runs={"gp_l": folder}), [])
    assert run.is_taken
    assert run.is_done
    assert "grpo.groups_per_step=32" in run.differs  # the experiment has 16
    assert not any(each.startswith(("name=", "seeds=")) for each in run.differs)
    assert jobs_of(composed(), [run]) == []


def test_a_folder_that_is_not_the_studys_is_refused(tmp_path: Path) -> None:
    folder, nowhere = finished(tmp_path), tmp_path / "nowhere"
    with pytest.raises(ValueError, match=r"nav_l.run must be a run with experiment=nav_l; got"):
        planned(chosen("nav_l", runs={"nav_l": folder}), [])
    with pytest.raises(ValueError, match=r"must be a finished run folder; got .*nowhere"):
        planned(chosen("gp_l", runs={"gp_l": nowhere}), [])
    (folder / "seed_1" / "grpo" / "done.json").unlink()
    with pytest.raises(ValueError, match=r"must be finished; got .* without seed_1/grpo/done.json"):
        planned(chosen("gp_l", runs={"gp_l": folder}), [])


def test_arms_wait_for_their_base_and_measuring_for_what_it_measures() -> None:
    config = chosen("gp_l", "turns", seeds=1)
    jobs = {job.name: job.needs for job in jobs_of(config, planned(config, []))}
    assert jobs["gp_l seed 0 grpo"] == ("gp_l seed 0 base",)
    assert jobs["turns seed 0 grpo"] == ("gp_l seed 0 grpo",)


def test_what_is_done_is_neither_started_nor_waited_for(tmp_path: Path) -> None:
    config = chosen("gp_l", seeds=1, output_dir=str(tmp_path))
    (run,) = planned(config, [])
    for name in ("base/done.json", "evals/base_000000.json", "sft/done.json"):
        path = run.root / "seed_0" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    (job,) = jobs_of(config, [run])
    assert (job.name, job.needs) == ("gp_l seed 0 grpo", ())


def test_the_estimate_names_the_jobs_as_they_are_run(tmp_path: Path) -> None:
    config = chosen("gp_l", "overfit", "turns", seeds=2, output_dir=str(tmp_path))
    runs = planned(config, [])
    made: set[Path] = set()
    timed = [job for run in runs for job in timed_jobs(run, config.studies[run.study], made)]
    assert {job.name for job in timed} == {job.name for job in jobs_of(config, runs)}
    pretrained = [job.name for job in timed if job.extra_s]
    assert pretrained == ["gp_l seed 0 base"]  # one base serves all


def test_the_time_left_follows_what_has_finished(tmp_path: Path) -> None:
    jobs = [TimedJob(f"a seed {k} sft", "a sft", 60.0) for k in range(3)]
    jobs.append(TimedJob("b seed 0 sft", "b sft", 30.0))
    clock = Clock.of(jobs, [], 2, tmp_path / "times.json")
    assert clock.left_s() == 105.0  # 210 core seconds on two
    clock.done("a seed 0 sft", 120.0)  # twice as slow as the reference machine
    assert clock.core_s() == 120.0 + 120.0 + 60.0
    resumed = Clock.of(jobs, ["a seed 0 sft"], 2, tmp_path / "times.json")
    assert resumed.core_s() == clock.core_s()
    assert json.loads((tmp_path / "times.json").read_text()) == {"a seed 0 sft": 120.0}


def test_durations_are_told_in_the_unit_that_suits_them() -> None:
    told = [duration(seconds) for seconds in (45, 600, 7_200, 400_000)]
    assert told == ["45 s", "10 min", "2.0 h", "4.6 days"]


def test_a_dry_run_tells_what_is_left_to_do(tmp_path: Path) -> None:
    folder = finished(tmp_path)
    config = chosen("gp_l", "turns", runs={"gp_l": folder}, output_dir=str(tmp_path / "runs"))
    runs = planned(config, [])
    timed = timed_jobs(runs[1], config.studies["turns"], set())
    text = as_text(config, runs, Clock.of(timed, [], 2))
    assert f"taken from {folder}" in text
    assert "9 jobs: about 4.5 min of one core, 2.2 min on 2" in text
    assert not (tmp_path / "runs").exists()
