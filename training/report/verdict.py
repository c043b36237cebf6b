"""The report's first sentence: what the numbers say, in plain words, and no more than they say."""

from dataclasses import dataclass

from ..statistics import PairedDifference
from .analysis import Match, TableRow
from .words import percent, points, points_interval, signed, upper

CLOSE_POINTS = 0.05  # "kept": even the interval's lower limit loses less than this


@dataclass(frozen=True, slots=True)
class Verdict:
    """headline: one sentence.  figures: its numbers in one line.  details: all of them in
    sentences.  cautions: what limits the claim."""

    headline: str
    figures: str
    details: tuple[str, ...]
    cautions: tuple[str, ...]


def judge(rows: list[TableRow], matches: list[Match], metric: str, *, is_done: bool) -> Verdict:
    """Weigh the final paired differences of every OOD cell under the first metric."""
    shifted = [row for row in rows if row.metric == metric and row.cell != "id"]
    comparable = [row for row in shifted if ("sft", "grpo") in row.differences]
    cautions = [] if is_done else ["The run is still in progress: figures are those so far."]
    if not comparable:
        measured = [row for row in rows if row.metric == metric]
        return Verdict(_without_both_arms(measured), "", tuple(_details(shifted)), tuple(cautions))
    headline = _headline(comparable)
    seeds = min(row.differences["sft", "grpo"].num_seeds for row in comparable)
    if not comparable[0].differences["sft", "grpo"].spans_seeds:
        several = "One training seed" if seeds == 1 else f"{seeds} training seeds"
        cautions.append(
            f"{several}: the intervals speak of these policies, not of SFT and GRPO in general."
        )
    details = [*_details(comparable), *(_matched(match) for match in matches)]
    return Verdict(headline, _figures(comparable[0]), tuple(details), tuple(cautions))


def _headline(rows: list[TableRow]) -> str:
    """One sentence for all cells of which the same can be said."""
    said: dict[str, list[str]] = {}
    for row in rows:
        said.setdefault(_claim(row), []).append(row.words.phrase)
    return " ".join(f"{upper(_listed(where))}, {claim}." for claim, where in said.items())


def _claim(row: TableRow) -> str:
    """What happened on one shifted cell."""
    gap = row.differences["sft", "grpo"]
    sft = _change(row.differences.get(("base", "sft")))
    grpo = _change(row.differences.get(("base", "grpo")))
    if gap.low > 0:
        if sft == "lost" and grpo == "kept":
            return "SFT loses success that GRPO keeps"
        if sft == "lost" and grpo == "gained":
            return "SFT loses success and GRPO gains"
        both = {"lost": "both lose success, GRPO less", "gained": "GRPO gains more than SFT"}
        return both[grpo] if sft == grpo and grpo in both else "GRPO ends above SFT"
    if gap.high < 0:
        return "SFT ends above GRPO"
    return "SFT and GRPO cannot be told apart"


def _listed(phrases: list[str]) -> str:
    return phrases[0] if len(phrases) == 1 else ", ".join(phrases[:-1]) + f" and {phrases[-1]}"


def _change(change: PairedDifference | None) -> str:
    if change is None:
        return "unknown"
    if change.high < 0:
        return "lost"
    if change.low > 0:
        return "gained"
    return "kept" if change.low > -CLOSE_POINTS else "unclear"


def _figures(row: TableRow) -> str:
    """The changes on one cell in one line."""
    pairs = {("base", "sft"): "SFT", ("base", "grpo"): "GRPO", ("sft", "grpo"): "GRPO − SFT"}
    known = [
        f"{name} {signed(found.estimate)} {points_interval(found)}"
        for pair, name in pairs.items()
        if (found := row.differences.get(pair)) is not None
    ]
    return f"{row.words.short}, points from the base: {'  ·  '.join(known)}"


def _details(rows: list[TableRow]) -> list[str]:
    """One sentence per cell with every arm's rate and change."""
    sentences = []
    for row in rows:
        parts = []
        if "base" in row.rates:
            parts.append(f"the base solves {percent(row.rates['base'].estimate)}")
        for arm in ("sft", "grpo"):
            if arm in row.rates:
                change = row.differences.get(("base", arm))
                tail = f" ({_by(change)})" if change is not None else ""
                parts.append(f"{arm.upper()} {percent(row.rates[arm].estimate)}{tail}")
        gap = row.differences.get(("sft", "grpo"))
        end = f"; GRPO − SFT = {points(gap.estimate)} {points_interval(gap)}" if gap else ""
        sentences.append(f"{upper(row.words.phrase)}, {', '.join(parts)}{end}.")
    return sentences


def _by(change: PairedDifference) -> str:
    return f"{points(change.estimate)}, {points_interval(change)}"


def _matched(match: Match) -> str:
    where = match.words.phrase
    levels = " and ".join(percent(rate) for rate in match.id_rates)
    gap = match.difference
    if not match.is_matched:
        return (
            f"No checkpoints of equal in-distribution success could be compared {where} "
            f"(nearest: {levels})."
        )
    return (
        f"At equal in-distribution success (SFT and GRPO at {levels}), GRPO − SFT {where} = "
        f"{points(gap.estimate)} {points_interval(gap)}."
    )


def _without_both_arms(rows: list[TableRow]) -> str:
    """What can be said of one policy, or of nothing yet."""
    if not rows:
        return "Nothing has been evaluated yet."
    arms = [arm for arm in rows[0].rates if arm != "base"]
    arm = arms[-1] if arms else "base"
    parts = [
        f"{percent(row.rates[arm].estimate)} {row.words.phrase}" for row in rows if arm in row.rates
    ]
    name = arm.upper() if arms else "The policy"
    return f"{name} solves {_listed(parts)}."
