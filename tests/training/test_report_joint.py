"""Several evaluations in one report: what is compared, what does not fit, where it goes."""

import json
import shutil
from pathlib import Path

import pytest
from cardinal_gym.training.report import NotARun, latex, main
from cardinal_gym.training.report.analysis import spending, table
from cardinal_gym.training.report.build import build_joint_report, collect
from cardinal_gym.training.report.joint import load_joint
from cardinal_gym.training.report.results import Run
from cardinal_gym.training.report.samples import read_samples
from eval_folders import write_eval


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    """Policies that solve 40 % and 60 % of the same tasks."""
    runs = tmp_path / "gp_l"
    return [write_eval(runs / "a", "weak", 0.4), write_eval(runs / "b", "strong", 0.6)]


@pytest.fixture
def joint(two: list[Path]) -> Run:
    return load_joint(two)


def test_policies_are_compared_on_the_same_tasks(joint: Run) -> None:
    row = table(joint)[1]
    assert (row.cell, list(row.rates)) == ("ood_ranks", ["weak", "strong"])
    assert {arm: round(rate.estimate, 2) for arm, rate in row.rates.items()} == {
        "weak": 0.4,
        "strong": 0.6,
    }
    gap, exact = row.differences["weak", "strong"], row.mcnemars["weak", "strong"]
    assert (round(gap.estimate, 2), gap.n, gap.num_tasks, gap.num_compared) == (0.2, 400, 100, 2)
    assert gap.is_clear
    assert exact.flip_p == pytest.approx(2 * 0.5**20)  # twenty tasks, all for one side


def test_the_verdict_names_who_does_better_and_what_it_speaks_of(joint: Run) -> None:
    verdict = collect(joint).verdict
    assert (
        verdict.headline == "In distribution and with faces as ranks, strong solves more than weak."
    )
    assert "strong − weak = +20.0 points" in verdict.details[0]
    assert verdict.cautions[0].startswith("The intervals speak of these policies")


def test_policies_that_differ_little_cannot_be_told_apart(tmp_path: Path) -> None:
    folders = [write_eval(tmp_path / "x" / name, name, rate) for name, rate in
               (("a", 0.4), ("b", 0.41), ("c", 0.7))]  # fmt: skip
    verdict = collect(load_joint(folders)).verdict
    assert verdict.headline.endswith("c solves more than every other policy.")
    verdict = collect(load_joint(folders[:2])).verdict
    assert verdict.headline.endswith("a and b cannot be told apart.")


def test_of_many_policies_each_is_compared_with_the_first(tmp_path: Path) -> None:
    names = ["e", "d", "c", "b", "a"]
    joint = load_joint([write_eval(tmp_path / "x" / name, name, 0.5) for name in names])
    assert joint.arms == names
    assert list(table(joint)[0].differences) == [("e", other) for other in names[1:]]


def test_cells_and_episodes_that_one_alone_has_are_told(tmp_path: Path) -> None:
    more = write_eval(tmp_path / "x" / "a", "a", 0.4, cells=("id", "ood_ranks", "ood_red"))
    joint = load_joint([more, write_eval(tmp_path / "x" / "b", "b", 0.4, n=200)])
    cautions = collect(joint).verdict.cautions
    assert any(text.startswith("Not paired: Unseen look: red suits") for text in cautions)
    assert any("a 400, b 200; differences are of those in common" in text for text in cautions)
    rows = {row.cell: row for row in table(joint)}
    assert rows["ood_red"].differences == {}
    assert rows["id"].differences["a", "b"].n == 200


def test_episodes_of_both_are_told_apart_by_their_folder(joint: Run) -> None:
    samples = read_samples(joint)
    assert {(sample.arm, sample.cell) for sample in samples} == {
        (arm, cell) for arm in ("weak", "strong") for cell in ("id", "ood_ranks")
    }


def test_nobody_was_trained_and_facts_that_differ_stand_side_by_side(joint: Run) -> None:
    assert spending(joint) == []
    assert joint.environment["git_commit"] == "commit of weak / commit of strong"
    assert joint.environment["python"] == "3.11.9"
    assert "strong - weak" in latex.differences_tex(joint, table(joint))


def test_a_policy_called_like_an_arm_is_none(tmp_path: Path) -> None:
    folders = [write_eval(tmp_path / "x" / name, name, 0.5) for name in ("sft", "grpo")]
    joint = load_joint(folders)
    assert joint.arms == ["sft-policy", "grpo-policy"]
    assert [joint.arm_words(arm) for arm in joint.arms] == ["sft", "grpo"]


def test_labels_name_the_policies(two: list[Path]) -> None:
    joint = load_joint(two, ["before & after/1", "before & after 1"])
    assert joint.arms == ["before-after-1", "before-after-1-2"]
    assert joint.arm_words("before-after-1") == "before & after/1"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"command": "compare"}, "must be of `cardinal eval`; got"),
        ({"suite": {"name": "other"}}, 'agree in suite.name; got made_up in'),
        ({"env": {"target": 30}}, "agree in cell id.target; got 24 in"),
        ({"evaluate": {"seed": 3}}, "agree in evaluate.seed; got 1000000 in"),
        ({"evaluate": {"temperature": 1.0}}, "agree in evaluate.temperature; got 0.6 in"),
        ({"policy": {"name": "weak"}}, "names of their own"),
    ],
)  # fmt: skip
def test_runs_that_do_not_fit_are_refused_in_one_line(
    two: list[Path], changes: dict, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    same_name = two[0].parent.parent / "other" / "gp_l" / "a"  # called gp_l/a as well
    other = write_eval(same_name, "strong", 0.6, changes=changes)
    before = sorted(two[0].parent.rglob("*"))
    assert main([str(two[0]), str(other)]) == 2
    message = capsys.readouterr().err
    assert said in message
    assert message.count("\n") == 1
    assert sorted(two[0].parent.rglob("*")) == before


def test_the_same_twice_and_other_versions_are_refused(two: list[Path]) -> None:
    with pytest.raises(NotARun, match=r"different folders; got .* twice"):
        load_joint([two[0], two[0]])
    copied = shutil.copytree(two[0], two[0].parent / "c")
    with pytest.raises(NotARun, match=r"of different policies; got .* both of weak"):
        load_joint([two[0], copied])
    path = two[1] / "seed_0" / "evals" / "policy.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": "0.2.0/2"}))
    with pytest.raises(NotARun, match=r"agree in results.version; got 0.1.0/1 in .* and 0.2.0/2"):
        load_joint(two)
    with pytest.raises(NotARun, match="at least two"):
        load_joint(two[:1])


def test_the_report_goes_beside_the_runs_and_overwrites_nothing_else(
    two: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(folder) for folder in two]) == 0
    page = two[0].parent / "reports" / "weak+strong" / "index.html"
    assert capsys.readouterr().out.strip() == str(page)
    text = page.read_text()
    assert "2 policies, measured on the same tasks" in text
    assert "strong − weak" in text
    tables = page.parent / "tables"
    assert "success_within_turns,id,weak,strong,0.20000" in (tables / "differences.csv").read_text()
    assert (page.parent / "figures" / "grid_success_within_turns.png").stat().st_size > 10_000
    with pytest.raises(NotARun, match="--out must be a new folder"):
        build_joint_report(two, two[0])
    third = write_eval(two[0].parent / "c", "third", 0.5)
    with pytest.raises(NotARun, match="--out must be a new folder"):
        build_joint_report([two[0], third], page.parent)
    assert build_joint_report(two, page.parent) == page


def test_out_and_labels_are_for_several(
    two: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([str(two[0]), "--label", "x"])
    assert "are for several runs" in capsys.readouterr().err
    assert main([*map(str, two), "--label", "x"]) == 2
    assert "once for each run; got 1 of 2" in capsys.readouterr().err
