"""Rows of the page's tables: numbers turned into what is printed."""

from collections.abc import Iterable, Sequence
from typing import Any

from ..statistics import Interval, PairedDifference
from .analysis import Curve, OutcomeRow, Spending, TableRow
from .comparisons import sight_parts, sight_words
from .effects import Effect
from .matching import Match
from .measures import Measure
from .results import Run
from .words import (
    arm_words,
    grouped,
    holm_words,
    p_words,
    percent,
    percent_interval,
    points,
    points_interval,
    sample_size,
    sample_sizes,
    scaled,
    signed,
    step_sizes,
)

MAX_TILES = 6
STAGE_WORDS = {
    "pretrain": "Pretraining",
    "warmup": "SFT warm-up",
    "vision": "Vision warm-up",
    "text": "Pretraining in words",
}


def pairs(rows: Sequence[TableRow]) -> list[tuple[str, str]]:
    return list(dict.fromkeys(pair for row in rows for pair in row.differences))


def row(run: Run, row: TableRow, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    return {
        "title": row.words.title,
        "size": sample_sizes(row.rates.values()),
        "read_size": sample_sizes(row.recognition.values()),
        "step_size": step_sizes(row.steps.values()) if row.steps else "",
        "rates": [
            {
                "solved": _rate(row.rates.get(arm)),
                "read": _rate(row.recognition.get(arm)),
                "steps": _rate(row.steps.get(arm)),
            }
            for arm in run.arms
        ],
        "differences": [
            {
                "solved": _difference(row.differences.get(pair)),
                "steps": _difference(row.step_differences.get(pair)),
            }
            for pair in pairs
        ],
    }


def _rate(rate: Interval | None) -> dict[str, str] | None:
    if rate is None:
        return None
    return {"value": percent(rate.estimate), "interval": percent_interval(rate)}


def _difference(found: PairedDifference | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "value": signed(found.estimate),
        "interval": points_interval(found),
        "p": p_words(found.p_value),
        "holm": holm_words(found),
        "is_clear": found.is_clear,  # not `clear`, which every dict has
    }


def comparisons(run: Run, rows: Sequence[TableRow]) -> list[dict[str, Any]]:
    """One line for every comparison of success: what its n could have seen, and McNemar's test."""
    return [
        {
            "title": row.words.title,
            "pair": f"{run.arm_words(b)} − {run.arm_words(a)}",
            "size": sample_size(found),
            "seen": sight_parts(found)[0],
            "needs": sight_parts(found)[1],
            "discordant": f"{grouped(found.only_a)} / {grouped(found.only_b)}",
            "mcnemar": p_words(row.mcnemars[a, b].flip_p) if (a, b) in row.mcnemars else "–",
            **(_difference(found) or {}),
        }
        for row in rows
        for (a, b), found in row.differences.items()
    ]


def effects(run: Run, rows: Sequence[Effect]) -> list[dict[str, Any]]:
    """A line for every effect, with every arm's change."""
    known = {(row.name, row.arm): row.found for row in rows}
    arms = [arm for arm in run.arms if any(row.arm == arm for row in rows)]
    return [
        {
            "name": name,
            "size": sample_sizes(found for arm in arms if (found := known.get((name, arm)))),
            "arms": arms,
            "values": [_difference(known.get((name, arm))) for arm in arms],
        }
        for name in dict.fromkeys(row.name for row in rows)
    ]


def measures(run: Run, rows: Sequence[Measure]) -> list[dict[str, Any]]:
    """A line for every measure and cell, with every arm's value."""
    known = {(row.name, row.cell, row.arm): row for row in rows}
    lines = []
    for name, cell in dict.fromkeys((row.name, row.cell) for row in rows):
        found = [known.get((name, cell, arm)) for arm in run.arms]
        lines.append(
            {
                "name": name,
                "title": run.words(cell).title,
                "size": sample_sizes(each.value for each in found if each is not None),
                "values": [None if each is None else _measure(each) for each in found],
            }
        )
    return lines


def _measure(found: Measure) -> dict[str, str]:
    if found.is_share:
        return {"value": percent(found.value.estimate), "interval": percent_interval(found.value)}
    value, low, high = (
        f"{x:.4g}" for x in (found.value.estimate, found.value.low, found.value.high)
    )
    return {"value": value, "interval": f"[{low}, {high}]"}


def match(match: Match) -> dict[str, Any]:
    gap = match.difference
    first = [step for _, step, _ in match.steps]
    second = [step for _, _, step in match.steps]
    quality = "matched" if match.is_matched else "not matched"
    return {
        "title": match.words.title,
        "size": sample_size(gap),
        "rates": [_rate(rate) for rate in match.rates],
        "levels": [_rate(rate) for rate in match.id_rates],
        "level_size": sample_sizes(match.id_rates),
        "quality": f"{quality}: at most {points(match.id_gap).lstrip('+±')} apart",
        "steps": f"{_range(first)} / {_range(second)}",
        "sight": sight_words(gap),
        **(_difference(gap) or {}),
    }


def _range(steps: Sequence[int]) -> str:
    low, high = min(steps), max(steps)
    return grouped(low) if low == high else f"{grouped(low)}–{grouped(high)}"


def tiles(run: Run, rows: Sequence[TableRow]) -> list[dict[str, str]]:
    """The change of each arm on every OOD cell, in large figures."""
    metric = run.metric_names[0] if run.metric_names else ""
    if run.policies:
        return _policy_tiles(run, [row for row in rows if row.metric == metric])
    tiles = []
    for row in rows:
        if row.metric != metric or row.cell == "id":
            continue
        for arm in ("sft", "grpo"):
            change = row.differences.get(("base", arm))
            if change is not None:
                name = f"{arm_words(arm)} {row.words.phrase}"
                note = f"points from the base, {points_interval(change)}, {sample_size(change)}"
                tiles.append(
                    {"arm": arm, "name": name, "value": signed(change.estimate), "note": note}
                )
        gap = row.differences.get(("sft", "grpo"))
        if gap is not None:
            name = f"GRPO − SFT {row.words.phrase}"
            told = [points_interval(gap), p_words(gap.p_value), holm_words(gap), sample_size(gap)]
            note = ", ".join(["points", *(part for part in told if part)])
            tiles.append({"arm": "gap", "name": name, "value": signed(gap.estimate), "note": note})
    return tiles


def _policy_tiles(run: Run, rows: Sequence[TableRow]) -> list[dict[str, str]]:
    """The differences of measured policies, those out of distribution first."""
    return [
        {
            "arm": "gap",
            "name": f"{run.arm_words(b)} − {run.arm_words(a)} {row.words.phrase}",
            "value": signed(found.estimate),
            "note": ", ".join(
                part
                for part in ("points", points_interval(found), p_words(found.p_value),
                             holm_words(found), sample_size(found))
                if part
            ),
        }
        for row in sorted(rows, key=lambda row: row.cell == "id")
        for (a, b), found in row.differences.items()
    ][:MAX_TILES]  # fmt: skip


def curve_sizes(curves: Iterable[Curve], *, is_done: bool) -> str:
    """n of the base and the final policies, and of the checkpoints before: these play fewer."""
    known = [curve.points for curve in curves]
    before = [point.rate for points in known for point in points[1:-1]]
    ends = [point.rate for points in known for point in (points[0], points[-1])]
    text = f"Base and {'final' if is_done else 'latest'}: {sample_sizes(ends)}"
    return f"{text}; before: {sample_sizes(before)}" if before else text


def outcomes(run: Run, rows: Sequence[OutcomeRow]) -> dict[str, Any]:
    """Shares by outcome with their intervals: names, then a line per cell and arm."""
    names = list(dict.fromkeys(name for row in rows for name in row.shares))
    lines = [
        {
            "title": row.words.title,
            "arm": run.arm_words(row.arm),
            "size": sample_sizes(row.shares.values()),
            "shares": [_rate(row.shares.get(name)) for name in names],
        }
        for row in rows
    ]
    return {"names": [name.replace("_", " ") for name in names], "lines": lines}


def spending(row: Spending) -> dict[str, Any]:
    def tell(name: str, unit: str) -> str:
        amount = row.amounts[name]
        return "–" if amount is None else scaled(amount, unit) if amount else "0"

    seconds = row.amounts["cpu_s"]
    return {
        "arm": row.arm,
        "words": STAGE_WORDS.get(row.arm, arm_words(row.arm)),
        "note": "" if row.final_step is not None else "before both arms, apart",
        "cells": [
            tell("flops", "FLOP"),
            tell("train_tokens", ""),
            tell("sampled_tokens", ""),
            tell("env_steps", ""),
            "–" if seconds is None else f"{grouped(seconds)} s",
            "–" if row.final_step is None else grouped(row.final_step),
        ],
    }
