"""Sentences and short texts of the report, the same on page, slide and in Markdown."""

from collections.abc import Sequence

from ..arms import seed_folder
from ..report.comparisons import sight_parts
from ..report.training_tasks import STAGES
from ..report.words import (
    arm_words,
    grouped,
    p_words,
    points_interval,
    sample_size,
    sample_sizes,
    signed,
    step_sizes,
)
from ..statistics import MIN_SEEDS, Interval, PairedDifference
from .config import BASE, REFERENCE, Measure
from .contamination import CellOverlap
from .findings import PAIRS, CellFinding, Findings, Pair, SideFinding, Verdict
from .plan import PlannedRun

PAPER = "arXiv 2501.17161"
PAIR_WORDS: dict[Pair, str] = {
    (BASE, "sft"): "SFT − start",
    (BASE, "grpo"): "RL − start",
    ("sft", "grpo"): "RL − SFT",
}
PAIR_CLAIMS: dict[Pair, str] = {
    (BASE, "sft"): "SFT ends below the start",
    (BASE, "grpo"): "RL ends above the start",
    ("sft", "grpo"): "RL ends above SFT",
}
SMALL = (
    "The published figures are of a model with 11 B parameters, one run an arm, on 234 hands and "
    "48 or 18 routes; these policies have about a million and were pretrained here. Directions "
    "can be compared, sizes cannot."
)
SEES_ABOUT = (
    "“Sees” is the smallest true difference that such data show with 80% power at p < .05 before "
    "correction; in brackets what a smaller one would need, with the rest as it is. Tasks are "
    "hands, whatever their target, or routes: episodes of one are not independent of each other."
)
OVERLAP_ABOUT = (
    "The first distinct evaluation tasks of each cell against the first 256 training tasks of "
    "every stage, by canonical id (a hand's values and ranks with its target, or a route). A run "
    "of an older version has no record: there the tasks of its settings are dealt again."
)


def published_cells(found: Findings) -> list[CellFinding]:
    return [cell for cell in found.cells if not cell.claim.further]


def further_cells(found: Findings) -> list[CellFinding]:
    return [cell for cell in found.cells if cell.claim.further]


def headline(found: Findings) -> str:
    """One sentence: the arms' difference, which is what the study is named after."""
    leans, stands, against, measured = _counts(found, ("sft", "grpo"))
    if not measured:
        return "None of the study's six cells has been measured yet."
    many = "both" if leans == measured == 2 else f"{leans} of {measured}"
    told = f"RL ends above SFT, as published, in {many} cells; after Holm's correction "
    told += f"{_number(stands)} of these differences {'stand' if stands > 1 else 'stands'}"
    return told + (f", and {_number(against)} the other way." if against else ".")


def counts(found: Findings) -> list[str]:
    """A line for each comparison of arms."""
    lines = []
    for pair in PAIRS:
        leans, stands, against, measured = _counts(found, pair)
        if measured:
            lines.append(
                f"{PAIR_CLAIMS[pair]}: the published direction in {leans} of {measured} cells, "
                f"reproduced in {stands}, opposite in {against}, "
                f"not told apart in {measured - stands - against}."
            )
    return lines


def cell_sentence(cell: CellFinding) -> str:
    """GP-L, rule, n = …. SFT − start −4.9 [−9.5, −0.3], … (published −8.1): not told apart; …"""
    told = [
        f"{PAIR_WORDS[pair]} {contrast_words(contrast.ours)} (published "
        f"{signed((contrast.published or 0) / 100)}): {contrast.verdict.value}"
        for pair, contrast in cell.contrasts.items()
    ]
    about = f" ({cell.claim.about})" if cell.claim.about else ""
    return f"{cell.claim.title}{about}, {cell_sizes(cell)}. {'; '.join(told)}."


def cell_sizes(cell: CellFinding) -> str:
    """n counts episodes, or answers of a measure by steps, of which arms give different numbers."""
    if not cell.rates:
        return "not measured"
    told = step_sizes if cell.claim.measure is Measure.steps else sample_sizes
    return told(cell.rates.values())


def side_words(side: SideFinding) -> str:
    """SFT − base, on the unseen rule."""
    against = "the usual base" if side.claim.against == REFERENCE else arm_words(side.claim.against)
    return f"{arm_words(side.claim.arm)} − {against}"


def contrast_words(ours: PairedDifference | None) -> str:
    """−4.9 [−9.5, −0.3], p = 0.17 after Holm"""
    if ours is None:
        return "not measured"
    return f"{change_words(ours)}, {holm_words(ours)}; {sees_words(ours)}"


def change_words(ours: PairedDifference | None) -> str:
    """−4.9 [−9.5, −0.3]; nothing for nothing."""
    return "" if ours is None else f"{signed(ours.estimate)} {points_interval(ours)}"


def sees_words(ours: PairedDifference) -> str:
    """What such data could have seen: sees 6.1 points (5 points would need 340 tasks or 7 seeds)"""
    seen, needs = sight_parts(ours)
    return f"sees {seen}{f' ({needs})' if needs else ''}"


def overlap_words(row: CellOverlap) -> str:
    """0 of 165 tasks are among the first of pretraining, warm-up, SFT, GRPO"""
    if not row.seen:
        return "not known: the run was trained with other settings and has no record"
    names = {stage: STAGES.get(stage, stage) for stage in row.seen}
    bad = [f"{count} in {names[stage]}" for stage, count in row.seen.items() if count]
    if bad:
        return f"**OVERLAP**: of {row.num_tasks} tasks, {', '.join(bad)} too"
    return f"0 of {row.num_tasks} tasks are among the first of {', '.join(names.values())}"


def overlap_caution(rows: Sequence[CellOverlap]) -> list[str]:
    """One sentence where a policy was measured on what it was trained on; else none."""
    bad = [f"{row.label}, {row.cell}" for row in rows if row.is_bad]
    if not bad:
        return []
    return [f"WARNING: evaluation tasks were trained on ({'; '.join(bad)}): see Contamination."]


def holm_words(ours: PairedDifference) -> str:
    if ours.adjusted_p is None or ours.num_compared < 2:
        return p_words(ours.p_value)
    return f"{p_words(ours.adjusted_p)} after Holm over {ours.num_compared}"


def expected_words(sign: int) -> str:
    return {1: "above 0", -1: "below 0", 0: "no change"}[sign]


def size_words(interval: Interval | None) -> str:
    return "" if interval is None else sample_size(interval)


def missing(plan: Sequence[PlannedRun]) -> list[str]:
    """What of the plan is not finished and so not in the report: one sentence, or none."""
    left = [run for run in plan if not run.is_done]
    if not left:
        return []
    told = [f"{run.label} ({_finished(run)})" for run in left]
    return [
        f"Not finished, and left out: {', '.join(told)}; the same command with resume=true goes on."
    ]


def notes(
    found: Findings, differs: Sequence[tuple[str, Sequence[str]]], *, is_full_size: bool
) -> list[str]:
    """What limits the comparison with the published figures, and with the configured studies.

    differs: label of a run that was taken, and its other settings.
    """
    told = [*overlap_caution(found.overlaps), *([] if is_full_size else [SMALL])]
    seeds = {len(run.train_seeds) for run in found.runs.values()}
    if seeds and min(seeds) < MIN_SEEDS:
        told.append(
            f"Fewer than {MIN_SEEDS} training seeds: such intervals speak of these policies only."
        )
    if any(run.has_one_base for run in found.runs.values()):
        told.append(
            "All training seeds of a study start from one pretrained base: the intervals span "
            "training seeds, not bases."
        )
    for label, settings in differs:
        if settings:
            told.append(f"{label} was taken from a run with other settings: {', '.join(settings)}.")
    return told


def _counts(found: Findings, pair: Pair) -> tuple[int, int, int, int]:
    """Cells that lean as published, that reproduce, that are opposite, that were measured."""
    contrasts = [cell.contrasts[pair] for cell in published_cells(found)]
    verdicts = [contrast.verdict for contrast in contrasts]
    return (
        sum(bool(contrast.leans) for contrast in contrasts),
        verdicts.count(Verdict.reproduced),
        verdicts.count(Verdict.opposite),
        len(verdicts) - verdicts.count(Verdict.unmeasured),
    )


def _finished(run: PlannedRun) -> str:
    """3 of 9 policies are there"""
    parts = [
        seed_folder(run.root, seed) / arm / "done.json"
        for seed in run.train_seeds
        for arm in (BASE, *run.arms)
    ]
    return f"{sum(part.exists() for part in parts)} of {len(parts)} policies are there"


def _number(count: int) -> str:
    return "none" if count == 0 else grouped(count)
