"""The tables of a recipe's summary: as data, which the page shows too, and in Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..statistics import MIN_SEEDS
from .gaming import HELD_OUT

TITLES = {
    "success": "success", "tokens": "tokens", "tokens_right": "tokens if right",
    "tokens_wrong": "tokens if wrong", "missed_by": "tokens from those asked",
    "within": "within those asked",
    "calls": "calls", "called": "episodes with a call", "tool_errors": "calls that told nothing",
    "tags": "whole format", "true_steps": "true steps", "rechecks": "re-checks",
    "rechecked": "answers with a re-check", "dead_ends": "dead ends", "english": "English marks",
    "sound": "sound thoughts",
}  # fmt: skip
OF_THOUGHTS = ("tags", "true_steps", "rechecks", "rechecked", "dead_ends", "english", "sound")
OF_TOOLS = ("calls", "called", "tool_errors")
OF_LENGTHS = ("missed_by", "within")
IN_NUMBERS = (  # the others are shares
    "tokens", "tokens_right", "tokens_wrong", "dead_ends", "missed_by", "calls",
)  # fmt: skip
JUDGED = ("score", "gap", "agrees", "wrong_paid")
COSTS = {"tflops": "TFLOP", "updates": "updates", "cpu_s": "CPU s", "peak_mib": "peak MiB"}

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """title: a heading, or empty: it belongs to the table before it. rows: as wide as head."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def all_tables(found: Mapping[str, Any]) -> list[Table]:
    """Every table of a summary, in order; those without rows are left out."""
    tables: list[Table] = []
    for evaluation in found["evaluations"]:
        tables += _evaluation(evaluation)
    tables += _reward_models(found.get("reward_models", []))
    tables += [_training(found["training"]), _side_by_side(found["training_differences"])]
    tables.append(_costs(found["costs"]))
    return [table for table in tables if table.rows]


def as_text(found: Mapping[str, Any], figures: Sequence[str] = ()) -> str:
    """The summary in Markdown. figures: paths of pictures, shown before the tables."""
    lines = [f"# {found['recipe']}", ""]
    lines += [found["about"], ""] if found["about"] else []
    for path in figures:
        name = path.rpartition("/")[2].partition(".")[0]
        lines += [f"![{name}]({path})", ""]
    for table in all_tables(found):
        lines += [f"## {table.title}", ""] if table.title else []
        lines += [_line(table.head), "|" + "---|" * len(table.head)]
        lines += [*map(_line, table.rows), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _evaluation(evaluation: Mapping[str, Any]) -> list[Table]:
    seeds, rows = evaluation["seeds"], evaluation["policies"]
    title = (
        f"{evaluation['stage']}: {len(seeds)} seed{'s' * (len(seeds) != 1)}, "
        f"95 % intervals over {spanned(evaluation)}"
    )
    if len(seeds) < MIN_SEEDS:
        title += f"; fewer than {MIN_SEEDS} seeds: of these policies"
    shown = _columns(rows)
    thoughts = [name for name in shown if name in OF_THOUGHTS]
    others = [name for name in shown if name not in OF_THOUGHTS]
    gains = evaluation["gains"]
    return [
        _policies(title, rows, others, evaluation["unit"]),
        _policies("", rows, thoughts, evaluation["unit"]) if thoughts else Table("", (), ()),
        _gains(gains),
        _further(gains, [name for name in shown if name in (*OF_TOOLS, *OF_THOUGHTS)]),
        _judged(rows),
        *_lengths(evaluation.get("lengths", {})),
    ]


def spanned(evaluation: Row) -> str:
    """What its intervals span: `hands and seeds`; fewer than three seeds are not spanned."""
    return f"{evaluation['unit']}{' and seeds' * (len(evaluation['seeds']) >= MIN_SEEDS)}"


def _policies(title: str, rows: Sequence[Row], names: Sequence[str], unit: str) -> Table:
    head = ("policy", "place", "n", unit, *(TITLES[name] for name in names))
    return Table(title, head, tuple(
        (row["policy"], row["place"], str(row["n"]), str(row["num_units"]),
         *(shown(row.get(name), is_rate=name not in IN_NUMBERS) for name in names))
        for row in rows
    ))  # fmt: skip


def _gains(gains: Sequence[Row]) -> Table:
    head = ("gain of", "over", "place", "n", "success", "p (Holm)", "tokens",
            "tokens if both are wrong", "tokens saved")  # fmt: skip
    return Table("", head, tuple(
        (gain["to"], gain["from"], gain["place"], str(gain["success"]["n"]),
         shown(gain["success"], is_rate=True, signed=True), f"{gain['p_holm']:.3f}",
         shown(gain["tokens"], is_rate=False, signed=True),
         shown(gain["tokens_wrong"], is_rate=False, signed=True),
         _percent(gain["tokens_saved"]))
        for gain in gains
    ))  # fmt: skip


def _further(gains: Sequence[Row], names: Sequence[str]) -> Table:
    """Differences of what else is measured."""
    gains = [gain for gain in gains if any(name in gain["further"] for name in names)]
    names = [name for name in names if any(name in gain["further"] for gain in gains)]
    head = ("gain of", "over", "place", *(TITLES[name] for name in names))
    rows = tuple(
        (gain["to"], gain["from"], gain["place"],
         *(shown(gain["further"].get(name), is_rate=name not in IN_NUMBERS, signed=True)
           for name in names))
        for gain in gains
    )  # fmt: skip
    return Table("", head, rows if names else ())


def _lengths(found: Mapping[str, Sequence[Row]]) -> list[Table]:
    """How closely asked lengths are kept, over all of them."""
    kept, gains = found.get("policies", ()), found.get("gains", ())
    head = ("cell", "n", "tokens per asked token", TITLES["missed_by"])
    asked = sorted({count for row in kept for count in row["asked"]})
    title = f"Over all asked lengths ({', '.join(map(str, asked))} tokens)"
    return [
        Table(title, ("policy", *head, TITLES["within"]), tuple(
            (row["policy"], row["cell"], str(row["n"]), _slope(row["slope"]),
             shown(row["missed_by"], is_rate=False), shown(row["within"], is_rate=True))
            for row in kept
        )),
        Table("", ("gain of", "over", *head), tuple(
            (gain["to"], gain["from"], gain["cell"], str(gain["n"]),
             _slope(gain["slope"], signed=True),
             shown(gain["missed_by"], is_rate=False, signed=True))
            for gain in gains
        )),
    ]  # fmt: skip


def _slope(value: Row | None, *, signed: bool = False) -> str:
    return shown(value, is_rate=False, signed=signed, digits=".2f")


def _columns(rows: Sequence[Row]) -> list[str]:
    """Names of what there is to tell of some of these policies."""
    absent = set[str]()
    if not any("asked" in row for row in rows):
        absent.update(OF_LENGTHS)
    if not any(row.get("calls") for row in rows):
        absent.update(OF_TOOLS)
    if not any(row["true_steps"] or row["tags"]["estimate"] for row in rows):
        absent.update(OF_THOUGHTS)
    return [name for name in TITLES if name not in absent]


def _reward_models(models: Sequence[Row]) -> list[Table]:
    """How reward models agree with the rule on verdicts that they were not trained on."""
    title = "Reward models on held-out verdicts, as many right as wrong (means, 95 % over seeds)"
    head = ("stage", "kind", "n", "agrees", "AUC", "wrong taken for right", "right taken for wrong")
    return [
        Table(title, head, tuple(
            (model["stage"], model["kind"], str(model["n"]),
             *(mean(model[name], model["over_seeds"][name], ".3f") for name in HELD_OUT))
            for model in models
        )),
        Table("", ("stage", "answers whose outcome is", "n", "agrees"), tuple(
            (model["stage"], name, str(part["n"]), mean(part["accuracy"], part["interval"], ".3f"))
            for model in models
            for name, part in model["by_outcome"].items()
        )),
    ]  # fmt: skip


def _judged(rows: Sequence[Row]) -> Table:
    """What reward models would pay each policy, beside what is right."""
    head = ("policy", "place", "right by rule", "judge", "mean score", "score less right", "agrees",
            "wrong paid", "AUC")  # fmt: skip
    return Table("", head, tuple(
        (row["policy"], row["place"], shown(row["success"], is_rate=True), judge,
         *(shown(values[name], is_rate=True, signed=name == "gap") for name in JUDGED),
         mean(values["auc"], values["auc_over_seeds"], ".3f"))
        for row in rows
        for judge, values in row.get("judged", {}).items()
    ))  # fmt: skip


def _training(stages: Sequence[Row]) -> Table:
    """How RL changed what it sampled."""
    title = "Over RL training: the first and the last tenth of the steps, sampled (95 % over seeds)"
    head = ("stage", "steps", "metric", "first", "last", "change", "last, by seed")
    return Table(title, head, tuple(
        (stage["stage"], "/".join(map(str, stage["steps"])), f"`{name}`",
         *(mean(found[end], found["over_seeds"][end], ".3g") for end in ("first", "last")),
         shown(found["change"], is_rate=False, signed=True, digits=".3g"),
         " / ".join(f"{last:.3g}" for _, last in found["by_seed"]))
        for stage in stages
        for name, found in stage["metrics"].items()
    ))  # fmt: skip


def _side_by_side(differences: Sequence[Row]) -> Table:
    """Stages beside each other, over all of training."""
    title = "Over RL training: means over all of the steps, sampled, one stage less another"
    head = ("stage", "less", "metric", "difference, 95 % over seeds", "by seed")
    return Table(title, head, tuple(
        (each["to"], each["from"], f"`{each['metric']}`",
         shown(each["change"], is_rate=False, signed=True, digits=".3g"),
         " / ".join(f"{value:+.3g}" for value in each["by_seed"]))
        for each in differences
    ))  # fmt: skip


def _costs(costs: Sequence[Row]) -> Table:
    head = ("stage", "kind", "begins with", *COSTS.values())
    return Table("Costs (means, 95 % over seeds)", head, tuple(
        (cost["stage"], cost["kind"], cost["start"] or "",
         *(mean(cost[name], cost["over_seeds"][name], ".3g") for name in COSTS))
        for cost in costs
    ))  # fmt: skip


def shown(value: Row | None, *, is_rate: bool, signed: bool = False, digits: str = "") -> str:
    """`.62 [.55, .69]`, or `41.3 [40.1, 42.5]`."""
    if value is None:
        return ""
    digits = digits or (".3f" if is_rate else ".1f")
    low, high = ("?" if value[key] is None else f"{value[key]:{digits}}" for key in ("low", "high"))
    return f"{value['estimate']:{'+' if signed else ''}{digits}} [{low}, {high}]"


def mean(estimate: float | None, over_seeds: Row | None, digits: str) -> str:
    """A mean over seeds, with its interval where several seeds are known."""
    if estimate is None:
        return ""
    if over_seeds is None:
        return f"{estimate:{digits}}"
    return shown(over_seeds, is_rate=True, digits=digits)


def _percent(value: Row) -> str:
    """`+12.3% [10.1%, 14.5%]`."""
    low, high = ("?" if value[key] is None else f"{value[key]:.1%}" for key in ("low", "high"))
    return f"{value['estimate']:+.1%} [{low}, {high}]"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
