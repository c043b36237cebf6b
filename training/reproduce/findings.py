"""What the runs show, set beside what was published: differences, intervals, Holm, and a verdict.

    reproduced      the sign that was published, and it stands after Holm's correction
    opposite        the other sign, and it stands
    not told apart  the interval or the correction leaves both signs open
    not measured    no run, or no such cell in it

Where the study found no change, "reproduced" takes an interval within 5 points of zero, and a
change that stands is "opposite". A family for Holm is one comparison of arms over all published
cells, the same over further cells, all claims of one side study, an arm's changes of recognition,
or its gains by attempts on one cell.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from ..report.analysis import finals
from ..report.load import load_run
from ..report.matching import Match, all_matched
from ..report.pairing import difference, pooled_rate, step_accuracy, step_difference
from ..report.results import Evaluation, Run
from ..statistics import Interval, PairedDifference, corrected
from .config import (
    BASE,
    REFERENCE,
    CellClaim,
    Measure,
    ReproduceConfig,
    SideClaim,
    StudyConfig,
)
from .contamination import CellOverlap, overlaps
from .details import Gain, Reading, VariantRow, gains, reading_family, readings, variant_rows
from .plan import PlannedRun, source_root

METRIC = "success_within_turns"  # the study's own
NO_CHANGE = 0.05  # "no change" was reproduced: the whole interval is nearer to zero than this
PAIRS = ((BASE, "sft"), (BASE, "grpo"), ("sft", "grpo"))
Pair = tuple[str, str]


class Verdict(str, Enum):
    reproduced = "reproduced"
    untold = "not told apart"
    opposite = "opposite"
    unmeasured = "not measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """published: the difference in points; None where there is none. ours: as shares."""

    published: float | None
    ours: PairedDifference | None
    verdict: Verdict

    @property
    def leans(self) -> bool | None:
        """Whether ours has the published sign, however small; None where one is missing."""
        if self.ours is None or not self.published:
            return None
        return (self.ours.estimate > 0) == (self.published > 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class CellFinding:
    """One cell. rates: by arm, as its measure counts; contrasts: by (a, b), for b less a."""

    study: str
    claim: CellClaim
    rates: Mapping[str, Interval]
    contrasts: Mapping[Pair, Contrast]


@dataclass(frozen=True, slots=True, kw_only=True)
class SideFinding:
    """A side study's claim. rates: of what is compared, `against` first."""

    study: str
    claim: SideClaim
    rates: tuple[Interval, Interval] | None
    contrast: Contrast


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Everything that the report shows. runs: those that were read, by label."""

    cells: list[CellFinding]
    sides: list[SideFinding]
    variants: list[VariantRow]
    gains: dict[str, list[Gain]]  # by study
    readings: list[Reading]
    matches: list[tuple[str, Match]]
    overlaps: list[CellOverlap]
    runs: dict[str, Run]


def findings(config: ReproduceConfig, plan: Sequence[PlannedRun]) -> Findings:
    """Of all runs of the plan that are finished."""
    runs = {run.label: load_run(run.root) for run in plan if run.is_done}
    main = {name: runs[name] for name in config.studies if _is_main(config, name) and name in runs}
    return Findings(
        cells=_all_cells(config, runs),
        sides=[each for name in config.chosen for each in _sides(config, name, plan, runs)],
        variants=[
            row
            for run in plan
            if run.variant and run.label in runs
            for row in variant_rows(run.study, run.variant, runs[run.label], METRIC)
        ],
        gains={
            name: gains(runs[name], METRIC, study.turns)
            for name, study in config.studies.items()
            if study.turns and name in runs
        },
        readings=reading_family(
            [row for name, run in main.items() for row in readings(name, run, METRIC)]
        ),
        matches=[(name, match) for name, run in main.items() for match in all_matched(run, METRIC)],
        overlaps=overlaps(plan, runs),
        runs=runs,
    )


def judged(ours: PairedDifference | None, sign: int) -> Verdict:
    """See above. sign: of what was published; 0: no change."""
    if ours is None:
        return Verdict.unmeasured
    if sign == 0:
        if ours.is_clear:
            return Verdict.opposite
        near = ours.low > -NO_CHANGE and ours.high < NO_CHANGE
        return Verdict.reproduced if near else Verdict.untold
    if not ours.is_clear:
        return Verdict.untold
    return Verdict.reproduced if (ours.estimate > 0) == (sign > 0) else Verdict.opposite


def growth_verdict(row: Gain) -> Verdict | None:
    """Of the finding that RL gains more on the unseen rule with more attempts; None for the fewest
    and in distribution."""
    ours = row.growth.get("grpo")
    return None if ours is None or row.published is None else judged(ours, 1)


def reading_verdict(row: Reading) -> Verdict | None:
    """Of the finding that RL raises recognition and SFT lowers it; None for the base."""
    ours = row.recognition_change
    return None if ours is None else judged(ours, {"grpo": 1, "sft": -1}[row.arm])


def published_differences(claim: CellClaim) -> dict[Pair, float]:
    """In points, by pair."""
    values = claim.published
    return {(a, b): values[b] - values[a] for a, b in PAIRS}


def _is_main(config: ReproduceConfig, name: str) -> bool:
    study = config.studies[name]
    return bool(study.cells) and not study.turns


def _all_cells(config: ReproduceConfig, runs: Mapping[str, Run]) -> list[CellFinding]:
    """The published cells, measured or not, then the further ones that were measured."""
    claims = [
        (name, claim)
        for name, study in config.studies.items()
        if _is_main(config, name)
        for claim in study.cells
    ]
    published = [(name, claim) for name, claim in claims if not claim.further]
    further = [(n, c) for n, c in claims if c.further and n in runs]
    return [*_family(published, runs), *_family(further, runs)]


def _family(claims: Sequence[tuple[str, CellClaim]], runs: Mapping[str, Run]) -> list[CellFinding]:
    """Cells whose p-values are corrected together, for each pair of arms."""
    last = [_last(runs.get(name), claim.cell) for name, claim in claims]
    found: dict[Pair, dict[int, PairedDifference]] = {}
    for a, b in PAIRS:
        family = {}
        for place, (_, claim) in enumerate(claims):
            ours = _difference(last[place].get(a), last[place].get(b), claim.measure)
            if ours is not None:
                family[place] = ours
        found[a, b] = corrected(family)
    made = []
    for place, (name, claim) in enumerate(claims):
        told = published_differences(claim)
        contrasts = {}
        for pair in PAIRS:
            ours, points = found[pair].get(place), told[pair]
            sign = 1 if points > 0 else -1
            contrasts[pair] = Contrast(published=points, ours=ours, verdict=judged(ours, sign))
        rates = {arm: _rate(each, claim.measure) for arm, each in last[place].items()}
        known = {arm: rate for arm, rate in rates.items() if rate is not None}
        made.append(CellFinding(study=name, claim=claim, rates=known, contrasts=contrasts))
    return made


def _sides(
    config: ReproduceConfig, name: str, plan: Sequence[PlannedRun], runs: Mapping[str, Run]
) -> list[SideFinding]:
    """The claims of one study, corrected together."""
    study = config.studies[name]
    labels = {run.variant: run.label for run in plan if run.study == name}
    reference = _reference(config, study, runs)
    sides = []
    for claim in study.claims:
        run = runs.get(labels.get(claim.variant, ""))
        arm = _last(run, claim.cell).get(claim.arm)
        other = (
            _last(reference, claim.cell).get(BASE)
            if claim.against == REFERENCE
            else _last(run, claim.cell).get(claim.against)
        )
        sides.append((claim, other, arm))
    family = {}
    for place, (_, other, arm) in enumerate(sides):
        ours = _difference(other, arm, Measure.success)
        if ours is not None:
            family[place] = ours
    adjusted = corrected(family)
    found = []
    for place, (claim, other, arm) in enumerate(sides):
        ours = adjusted.get(place)
        rates = None
        if ours is not None and other is not None and arm is not None:
            rates = pooled_rate(list(other.values())), pooled_rate(list(arm.values()))
        contrast = Contrast(published=None, ours=ours, verdict=judged(ours, claim.sign))
        found.append(SideFinding(study=name, claim=claim, rates=rates, contrast=contrast))
    return found


def _reference(config: ReproduceConfig, study: StudyConfig, runs: Mapping[str, Run]) -> Run | None:
    """The run whose base a study's claims compare with, of this plan or finished before."""
    if study.reference is None:
        return None
    if study.reference in runs:
        return runs[study.reference]
    root = source_root(config, study.reference)
    return load_run(root) if (root / "done.json").exists() else None


def _last(run: Run | None, cell: str) -> dict[str, dict[int, Evaluation]]:
    """The final evaluations by arm and training seed."""
    if run is None:
        return {}
    found = {arm: finals(run, arm, cell, METRIC) for arm in (BASE, "sft", "grpo")}
    return {arm: each for arm, each in found.items() if each}


def _difference(
    a: Mapping[int, Evaluation] | None, b: Mapping[int, Evaluation] | None, measure: Measure
) -> PairedDifference | None:
    if a is None or b is None:
        return None
    return (step_difference if measure is Measure.steps else difference)(a, b)


def _rate(last: Mapping[int, Evaluation], measure: Measure) -> Interval | None:
    evaluations = list(last.values())
    return step_accuracy(evaluations) if measure is Measure.steps else pooled_rate(evaluations)
