"""The report's grid of cells: heat maps, what rule and look cost, and curves of severity."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cardinal_gym.training.bar import Bar
from cardinal_gym.training.report import build, load_run
from cardinal_gym.training.report.analysis import table
from cardinal_gym.training.report.cells import cross, ladders
from cardinal_gym.training.report.effects import effects
from cardinal_gym.training.report.figures import new_panel
from cardinal_gym.training.report.heatmap import draw_heat_map, frame_of, grid_map, scale_top
from cardinal_gym.training.report.plots import Plotter
from cardinal_gym.training.report.results import Evaluation, Run
from cardinal_gym.training.report.shifts import shift_plots
from cardinal_gym.training.report.style import COLOURS, FIRST_ON_PAPER, HEAT_STEPS, drawing
from cardinal_gym.training.report.verdict import judge
from cardinal_gym.training.statistics import wilson
from suite_report import LADDER, METRIC, cross_cells, write_suite_run

COSTS = {"ranks": 0.4, "shifted": 0.3, "red": 0.1, "neon": 0.2}
MEANS = {"rule": -0.35, "look": -0.15, "both": -0.5, "beyond": 0.0}  # of COSTS, which add up


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three rules by three looks, where costs add up."""
    cells = cross_cells()
    rates = {cell: 0.9 - sum(COSTS.get(part, 0.0) for part in cell.split("_")) for cell in cells}
    folder = tmp_path_factory.mktemp("runs")
    return write_suite_run(folder, cells, {"base": rates, "sft": rates}, n=400)


def test_what_rule_and_look_cost_is_paired_and_adds_up(crossed: Path) -> None:
    run = load_run(crossed)
    found = effects(run, cross(run), METRIC)
    means = {each.kind: each.found for each in found if each.arm == "sft" and each.is_mean}
    assert list(means) == list(MEANS)
    for kind, expected in MEANS.items():
        assert means[kind].estimate == pytest.approx(expected, abs=0.03)
        assert means[kind].low < means[kind].estimate < means[kind].high
        assert (means[kind].n, means[kind].num_seeds) == (1200, 3)
    sum_of_parts = sum(means[kind].estimate for kind in ("rule", "look", "beyond"))
    assert means["both"].estimate == pytest.approx(sum_of_parts)
    single = {each.name: each.found.estimate for each in found if not each.is_mean}
    assert single.keys() == {"Faces as ranks", "Faces shifted", "Red suits", "Neon night"}
    lines = [e.episodes for e in run.evaluations if (e.arm, e.train_seed) == ("sft", 0)]
    cells = [e.cell for e in run.evaluations if (e.arm, e.train_seed) == ("sft", 0)]
    success = {cell: line.success for cell, line in zip(cells, lines, strict=True) if line}
    change = success["ood_red"].astype(int) - success["id"]
    assert change.min() == -1  # the made-up run pairs episodes, and so must the effect
    assert change.max() == 0
    assert all(each.found.num_compared == 8 for each in found)


def test_deals_that_one_cell_lacks_are_left_out(crossed: Path, tmp_path: Path) -> None:
    run = load_run(crossed)
    path = tmp_path / "cut.npz"
    evaluations = []
    for each in run.evaluations:
        if (each.cell, each.train_seed) == ("ood_red", 0):
            with np.load(each.arrays) as stored:
                np.savez(path, **{name: stored[name][100:] for name in stored})
            each = replace(each, arrays=path)
        evaluations.append(each)
    found = effects(replace(run, evaluations=tuple(evaluations)), cross(run), METRIC)
    assert {each.found.n for each in found} == {1100}


def test_a_cross_needs_every_combination() -> None:
    cells = cross_cells()
    run = load_run_of(cells)
    assert cross(run) is not None
    del cells["ood_ranks_neon"]
    assert cross(load_run_of(cells)) is None
    plain = {name: cells[name] for name in ("id", "ood_ranks", "ood_red")}
    assert cross(load_run_of(plain)) is None
    assert effects(run, None, METRIC) == []


def test_a_ladder_is_sorted_and_begins_in_distribution() -> None:
    cells = {name: deepcopy(LADDER[name]) for name in ("far", "id", "near", "mid")}
    (ladder,) = ladders(load_run_of(cells))
    assert ladder.axis == "rule"
    assert ladder.steps == ((0, "id"), (1, "near"), (3, "mid"), (8, "far"))
    del cells["id"]["axis"], cells["id"]["severity"]
    assert ladders(load_run_of(cells))[0].steps == ladder.steps
    assert ladders(load_run_of({name: {} for name in cells})) == []


def test_every_square_has_its_rate_interval_and_n(tmp_path: Path) -> None:
    rates = {arm: dict.fromkeys(LADDER, 0.5) for arm in ("base", "sft")}
    run = load_run(write_suite_run(tmp_path, LADDER, rates, seeds=1, n=50))
    rows = table(run)
    plots = shift_plots(Plotter(run, {}, Bar("figures")), rows, cross(run), [], METRIC)
    assert plots.grid is not None
    assert (plots.cross, plots.effects) == ((), None)
    for row in rows:
        for rate in row.rates.values():
            told = f"{100 * rate.estimate:.1f}% [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"
            assert f"{told}, n = 50" in plots.grid.svg  # the alternative text
            assert f">{told.split('% ')[1]}</text>" in plots.grid.svg
            assert f"{told} at severity" in plots.ladders[0].svg
    assert plots.grid.svg.count("n = 50 · ") == 8
    assert "n = 50" in plots.ladders[0].svg.partition("aria-label")[2].partition(">")[2]
    assert "Rule: three faces" in plots.grid.svg  # the suite's own title
    assert plots.grid.png.startswith(b"\x89PNG")
    downloads = build.collect(run).downloads
    assert downloads["severity.csv"].splitlines()[1].startswith(f"{METRIC},rule,0,id,base,0.")
    assert "effects.csv" not in downloads


def test_arms_stand_beside_few_cells_and_above_many() -> None:
    run = load_run_of(LADDER)
    rate = wilson(3, 10)
    few = [replace(row, rates={"base": rate, "sft": rate}) for row in table(run)]
    run = replace(run, evaluations=tuple(replace(e, arm=a) for e in run.evaluations
                                         for a in ("base", "sft")))  # fmt: skip
    shown = grid_map(run, few)
    assert shown is not None
    assert shown.rows == ("Base", "SFT")
    many = grid_map(run, few * 2)
    assert many is not None
    assert many.columns == ("Base", "SFT")
    assert scale_top([rate]) == 0.4
    assert scale_top([wilson(10, 10)]) == 1.0


def test_the_scale_of_a_single_column_stays_in_the_picture() -> None:
    run = load_run_of(LADDER)
    shown = grid_map(run, [replace(row, rates={"base": wilson(10, 10)}) for row in table(run)])
    assert shown is not None
    for each in (shown, replace(shown, rows=("A",) * len(shown.rows))):  # names short and long
        frame = frame_of(each)
        with drawing():
            figure, axes = new_panel(frame)
            draw_heat_map(axes, each, frame)
            (end,) = [text for text in axes.texts if text.get_text() == "100%"]
            (begin,) = [text for text in axes.texts if text.get_text() == "0%"]
            assert end.get_window_extent().x1 <= figure.bbox.x1
            assert begin.get_window_extent().x0 >= 0


def test_every_step_of_heat_can_be_read_in_both_themes() -> None:
    for theme in (0, 1):
        lightness = []
        for step in range(HEAT_STEPS):
            text = "paper" if step >= FIRST_ON_PAPER else "ink"
            fill = COLOURS[f"heat{step}"][theme]
            assert _contrast(fill, COLOURS[text][theme]) >= 4.5
            lightness.append(_luminance(fill))
        assert lightness == sorted(lightness, reverse=theme == 0)
    assert len({pair[0] for pair in COLOURS.values()}) == len(COLOURS)


@pytest.mark.parametrize(
    ("policy", "name"),
    [
        ({"name": "random"}, "random"),
        ({"name": "tiny_text", "path": "/models/mine"}, "mine"),
        ({"name": "tiny_text", "path": "runs/gp_l/default/seed_0/grpo/policy"}, "grpo/policy"),
        ({"name": "tiny_text", "path": "org/model-1b"}, "org/model-1b"),
        ({"name": "api", "path": None, "model": "gpt"}, "gpt"),
        ({}, "Policy"),
    ],
)
def test_a_policy_that_is_only_measured_is_called_what_the_user_called_it(
    tmp_path: Path, policy: dict[str, Any], name: str
) -> None:
    run = load_run_of({"id": {}, "rule_ood": {}})
    run = replace(run, config={"command": "eval", "policy": policy})
    assert run.arm_words("base") == name
    rows = [replace(row, rates={"base": wilson(3, 10)}) for row in table(run)]
    said = judge(
        rows, [], rows[0].metric, is_done=True, has_one_base=False, measured_alone=run.measured
    )
    assert said.headline.startswith(f"{name} solves 30.0%")
    assert f", {name} solves 30.0%" in said.details[0]


def load_run_of(cells: Mapping[str, Any]) -> Run:
    """A run on these cells, one evaluation each, without files."""
    evaluations = tuple(
        Evaluation(train_seed=0, arm="base", step=0, cell=cell, metric=METRIC, successes=1, n=2,
                   num_tasks=2, recognized=None, outcomes={}, compute={}, arrays=None)
        for cell in cells
    )  # fmt: skip
    config = {"suite": {"cells": cells}}
    return Run(folder=Path("run"), config=config, environment={}, evaluations=evaluations,
               metrics={}, spent={}, episode_files=(), is_done=True)  # fmt: skip


def _contrast(a: str, b: str) -> float:
    """WCAG 2.1."""
    low, high = sorted((_luminance(a), _luminance(b)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
