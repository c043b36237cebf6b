"""Names and numbers as the report prints them, the same in figures, tables and sentences."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..statistics import Interval, PairedDifference

ARM_WORDS = {"base": "Base", "sft": "SFT", "grpo": "GRPO"}

# What fields of a shift change, and what is unseen where nothing else changes.
KINDS = {"rule": "rule", "wording": "rule", "visual": "look", "look": "look", "city": "city"}
UNSEEN = {
    ("rule",): "Unseen rule",
    ("look",): "Unseen look",
    ("city",): "Unseen city",
    ("look", "rule"): "Unseen rule and look",
}
STREET_WORDS = {
    ("rule", "absolute"): "compass directions",
    ("rule", "relative"): "relative directions",
    ("rule", "clock"): "clock directions",
    ("rule", "degrees"): "turns in degrees",
    ("mode", "free"): "free walking",
    ("mode", "rail"): "guided walking",
}


@dataclass(frozen=True, slots=True)
class CellWords:
    """title: of a panel.  short: the same without its kind.  phrase: within a sentence."""

    title: str
    short: str
    phrase: str


CELLS = {
    "id": CellWords("In distribution", "In distribution", "in distribution"),
    "rule_ood": CellWords("Unseen rule", "Unseen rule", "on the unseen rule"),
    "visual_ood": CellWords("Unseen look", "Unseen look", "on the unseen look"),
}


def cell_words(cell: str, shift: Mapping[str, Any] | None = None) -> CellWords:
    """A cell in words: from what it shifts where that is known, else from its name."""
    if cell in CELLS:
        return CELLS[cell]
    if not shift:
        spaced = cell.replace("_", " ")
        return CellWords(upper(spaced), upper(spaced), f"on “{spaced}”")
    fields = sorted(shift, key=lambda name: (name not in ("rule", "visual"), name))
    values = {name: value_words(name, shift[name]) for name in fields}
    kind = UNSEEN.get(tuple(sorted({KINDS.get(name, name) for name in fields})), "Shifted")
    told = values.pop("wording", None)  # the words that a route is described in
    title = " and ".join(values.values())
    phrase = " and ".join(
        f"the {value} look" if name == "look" else value for name, value in values.items()
    )
    if told is not None:
        kind = kind if values else "Unseen wording"
        title = f"{title}, {told}" if values else told
        phrase = f"{phrase or 'the route'} in {told}"
    return CellWords(f"{kind}: {title}", upper(title), f"with {phrase}")


def titled_words(title: str) -> CellWords:
    """A cell whose suite names it: "Difficulty: 4 turns"."""
    short = title.partition(": ")[2] or title
    return CellWords(title, upper(short), f"on “{short}”")


def arm_words(arm: str) -> str:
    return ARM_WORDS.get(arm, arm)


def percent(rate: float, digits: int = 1) -> str:
    return f"{100 * rate:.{digits}f}%"


def points(difference: float) -> str:
    """A difference of rates in percentage points, with a true minus sign."""
    rounded = round(100 * difference, 1)
    sign = "+" if rounded > 0 else "−" if rounded < 0 else "±"
    return f"{sign}{abs(rounded):.1f} points"


def signed(difference: float) -> str:
    return points(difference).removesuffix(" points")


def upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def points_interval(interval: Interval) -> str:
    return f"[{signed(interval.low)}, {signed(interval.high)}]"


def percent_interval(interval: Interval) -> str:
    return f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def sample_size(interval: Interval) -> str:
    """n, distinct tasks, and seeds where there are several."""
    seeds = f", {interval.num_seeds} seeds" if interval.num_seeds > 1 else ""
    return f"n = {grouped(interval.n)}, {grouped(interval.num_tasks)} tasks{seeds}"


def rate_words(rate: Interval) -> str:
    """33.1% [29.9, 36.4]"""
    return f"{percent(rate.estimate)} {percent_interval(rate)}"


def sample_sizes(intervals: Iterable[Interval]) -> str:
    """The sizes of several intervals: each once, or from the least to the most."""
    known = list(intervals)
    sizes = list(dict.fromkeys(sample_size(interval) for interval in known))
    if len(sizes) < 3:
        return " / ".join(sizes)
    n, tasks = (_range([getattr(i, name) for i in known]) for name in ("n", "num_tasks"))
    return f"n = {n}, {tasks} tasks"


def step_sizes(intervals: Iterable[Interval]) -> str:
    """`sample_sizes` of shares of answers, whose n counts these and differs between arms."""
    known = list(intervals)
    seeds = max(interval.num_seeds for interval in known)
    n, tasks = (_range([getattr(i, name) for i in known]) for name in ("n", "num_tasks"))
    return f"n = {n} answers, {tasks} tasks{f', {seeds} seeds' if seeds > 1 else ''}"


def grouped(number: float) -> str:
    """1234567 -> 1 234 567 with thin spaces."""
    return f"{number:,.0f}".replace(",", "\u202f")


def scaled(amount: float, unit: str) -> str:
    """A large quantity with an SI prefix: 1.23e13 FLOP -> 12.3 TFLOP."""
    for factor, prefix in (
        (1e18, "E"),
        (1e15, "P"),
        (1e12, "T"),
        (1e9, "G"),
        (1e6, "M"),
        (1e3, "k"),
    ):
        if abs(amount) >= factor:
            return f"{amount / factor:.3g} {prefix}{unit}"
    return f"{amount:.3g} {unit}"


def p_words(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def holm_words(found: PairedDifference) -> str:
    """The corrected p and how many it is corrected for; empty where nothing was compared beside."""
    if found.adjusted_p is None or found.num_compared < 2:
        return ""
    return f"Holm {p_words(found.adjusted_p)} of {found.num_compared}"


def _range(numbers: list[int]) -> str:
    low, high = grouped(min(numbers)), grouped(max(numbers))
    return low if low == high else f"{low}–{high}"


def value_words(name: str, value: Any) -> str:
    """`rule: faces_as_ranks` -> "faces as ranks"; `num_cards: 5` -> "num cards 5"."""
    if isinstance(value, Mapping):
        if name == "city":
            return "another city"
        value = value.get("name") or "a changed " + name
    if (name, str(value)) in STREET_WORDS:
        return STREET_WORDS[name, str(value)]
    text = str(value).replace("_", " ")
    if name == "wording":
        return f"{text} words"
    return text if name in ("rule", "visual", "look") else f"{name.replace('_', ' ')} {text}"
