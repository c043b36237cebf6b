"""The report's first sentence: what the numbers say, in plain words, and no more than they say."""

from dataclasses import dataclass, replace

from ..statistics import PairedDifference
from .analysis import TableRow
from .comparisons import sight_words
from .matching import Match
from .words import (
    arm_words,
    grouped,
    points,
    points_interval,
    rate_words,
    sample_size,
    sample_sizes,
    signed,
    step_sizes,
    upper,
)

CLOSE_POINTS = 0.05  # "kept": even the interval's lower limit loses less than this
MIN_EPISODES = 768  # for a claimed number


@dataclass(frozen=True, slots=True)
class Verdict:
    """headline: one sentence.  figures: its numbers in two lines.  details: all of them in
    sentences.  cautions: what limits the claim."""

    headline: str
    figures: str
    details: tuple[str, ...]
    cautions: tuple[str, ...]


def judge(
    rows: list[TableRow],
    matches: list[Match],
    metric: str,
    *,
    is_done: bool,
    has_one_base: bool,
    measured_alone: str | None = None,
) -> Verdict:
    """Weigh the final paired differences of every OOD cell under the first metric.

    has_one_base: whether all training seeds start from the same pretrained weights.
    measured_alone: who was measured, where nobody was trained.
    """
    measured = [row for row in rows if row.metric == metric]
    shifted = [row for row in measured if row.cell != "id"]
    comparable = [row for row in shifted if ("sft", "grpo") in row.differences]
    cautions = [] if is_done else ["The run is still in progress: figures are those so far."]
    if not comparable:
        changes = [change for row in measured for change in row.differences.values()]
        cautions += [*_seed_cautions(changes, has_one_base), *size_cautions(measured)]
        base = measured_alone or "the base"
        details = [*_details(shifted, base), *_steps(measured, base)]
        headline = _without_both_arms(measured, measured_alone or "The policy")
        return Verdict(headline, "", tuple(details), tuple(cautions))
    gaps = [row.differences["sft", "grpo"] for row in comparable]
    cautions += [*_seed_cautions(gaps, has_one_base), *size_cautions(measured)]
    cautions += _family_cautions(measured)
    details = [*_details(comparable), *(_matched(match) for match in matches), *_steps(measured)]
    figures = _figures(comparable[0])
    return Verdict(_headline(comparable), figures, tuple(details), tuple(cautions))


def size_cautions(rows: list[TableRow]) -> list[str]:
    """What few episodes limit."""
    fewest = min((rate.n for row in rows for rate in row.rates.values()), default=MIN_EPISODES)
    if fewest >= MIN_EPISODES:
        return []
    return [
        f"n = {grouped(fewest)} final episodes are fewer than the {MIN_EPISODES} that a claimed "
        "number needs: a first look."
    ]


def _seed_cautions(gaps: list[PairedDifference], has_one_base: bool) -> list[str]:
    """What differences between arms do not speak of."""
    if not gaps:
        return []
    seeds = min(gap.num_seeds for gap in gaps)
    if not all(gap.spans_seeds for gap in gaps):
        several = "One training seed" if seeds == 1 else f"{seeds} training seeds"
        return [f"{several}: the intervals speak of these policies, not of training in general."]
    if has_one_base:
        return [
            f"All {seeds} training seeds start from one pretrained base: the intervals span "
            "training seeds from one base, not bases."
        ]
    return []


def _family_cautions(rows: list[TableRow]) -> list[str]:
    """Intervals that exclude zero by themselves, but not among as many comparisons."""
    weak = [
        f"{arm_words(b)} − {arm_words(a)} {row.words.phrase}"
        for row in rows
        for (a, b), found in row.differences.items()
        if found.is_significant and not found.is_clear
    ]
    if not weak:
        return []
    return [f"Not clear after Holm's correction over the cells: {_listed(weak)}."]


def _headline(rows: list[TableRow]) -> str:
    """One sentence for all cells of which the same can be said."""
    said: dict[str, list[str]] = {}
    for row in rows:
        said.setdefault(_claim(row), []).append(row.words.phrase)
    return " ".join(
        f"{upper(_listed(_shortened(where)))}, {claim}." for claim, where in said.items()
    )


def _shortened(phrases: list[str]) -> list[str]:
    """What the first one says already is not said again: "with A", "in matching words"."""
    first, *others = phrases
    return [first, *(other.removeprefix(first).strip() if other.startswith(f"{first} in ")
                     else other for other in others)]  # fmt: skip


def _claim(row: TableRow, what: str = "success") -> str:
    """What happened on one shifted cell to success, or to another measure in `differences`."""
    gap = row.differences["sft", "grpo"]
    sft = _change(row.differences.get(("base", "sft")))
    grpo = _change(row.differences.get(("base", "grpo")))
    if gap.is_clear and gap.estimate > 0:
        if sft == "lost" and grpo == "kept":
            return f"SFT loses {what} that GRPO keeps"
        if sft == "lost" and grpo == "gained":
            return f"SFT loses {what} and GRPO gains"
        both = {"lost": f"both lose {what}, GRPO less", "gained": "GRPO gains more than SFT"}
        return both[grpo] if sft == grpo and grpo in both else "GRPO ends above SFT"
    if gap.is_clear and gap.estimate < 0:
        return "SFT ends above GRPO"
    return "SFT and GRPO cannot be told apart"


def _listed(phrases: list[str]) -> str:
    return phrases[0] if len(phrases) == 1 else ", ".join(phrases[:-1]) + f" and {phrases[-1]}"


def _change(change: PairedDifference | None) -> str:
    if change is None:
        return "unknown"
    if change.is_clear:
        return "lost" if change.estimate < 0 else "gained"
    return "kept" if change.low > -CLOSE_POINTS else "unclear"


def _figures(row: TableRow) -> str:
    """The changes on one cell: what they are of, then their numbers."""
    pairs = {
        ("base", "sft"): "SFT − base",
        ("base", "grpo"): "GRPO − base",
        ("sft", "grpo"): "GRPO − SFT",
    }
    known = [
        f"{name} {signed(found.estimate)} {points_interval(found)}"
        for pair, name in pairs.items()
        if (found := row.differences.get(pair)) is not None
    ]
    size = sample_sizes(found for pair in pairs if (found := row.differences.get(pair)))
    return f"{row.words.short}, differences in points, {size}:\n{'  ·  '.join(known)}"


def _details(rows: list[TableRow], base: str = "the base") -> list[str]:
    """One sentence per cell with every arm's rate and change."""
    return [
        f"{upper(row.words.phrase)} ({sample_sizes(row.rates.values())}), "
        f"{_told(row, 'solves', base)}."
        for row in rows
    ]


def _told(row: TableRow, verb: str, base: str) -> str:
    """Every arm's rate and change, and the arms' difference."""
    parts = []
    if "base" in row.rates:
        parts.append(f"{base} {verb} {rate_words(row.rates['base'])}")
    for arm in ("sft", "grpo"):
        if arm in row.rates:
            change = row.differences.get(("base", arm))
            tail = f" ({_by(change)})" if change is not None else ""
            parts.append(f"{arm.upper()} {rate_words(row.rates[arm])}{tail}")
    gap = row.differences.get(("sft", "grpo"))
    if gap is None:
        return ", ".join(parts)
    told = f"GRPO − SFT = {points(gap.estimate)} {points_interval(gap)}, where {sight_words(gap)}"
    return f"{', '.join(parts)}; {told}"


def _steps(rows: list[TableRow], base: str = "the base") -> list[str]:
    """One sentence per cell on right steps; on a shifted one it says what happened to them."""
    sentences = []
    for row in rows:
        if not row.steps:
            continue
        same = replace(row, rates=row.steps, differences=row.step_differences)
        compared = row.cell != "id" and ("sft", "grpo") in row.step_differences
        claim = f", {_claim(same, 'right steps')}" if compared else ""
        told = _told(same, "gets right", base)
        where = f"{row.words.phrase} ({step_sizes(row.steps.values())})"
        sentences.append(f"Step by step {where}{claim}: {told}.")
    return sentences


def _by(change: PairedDifference) -> str:
    return f"{points(change.estimate)}, {points_interval(change)}"


def _matched(match: Match) -> str:
    where = match.words.phrase
    levels = " and ".join(rate_words(rate) for rate in match.id_rates)
    gap = match.difference
    if not match.is_matched:
        return (
            f"No checkpoints of equal in-distribution success could be compared {where} "
            f"(nearest: {levels}; {sample_sizes(match.id_rates)})."
        )
    return (
        f"At equal in-distribution success (SFT and GRPO at {levels}; "
        f"{sample_sizes(match.id_rates)}), GRPO − SFT {where} = {points(gap.estimate)} "
        f"{points_interval(gap)} ({sample_size(gap)})."
    )


def _without_both_arms(rows: list[TableRow], policy: str) -> str:
    """What can be said of one policy, or of nothing yet."""
    if not rows:
        return "Nothing has been evaluated yet."
    arms = [arm for arm in rows[0].rates if arm != "base"]
    arm = arms[-1] if arms else "base"
    known = [row for row in rows if arm in row.rates]
    parts = [f"{rate_words(row.rates[arm])} {row.words.phrase}" for row in known]
    name = arm.upper() if arms else policy
    return f"{name} solves {_listed(parts)} ({sample_sizes(row.rates[arm] for row in known)})."
