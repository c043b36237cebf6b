"""The tables of a recipe's summary, in Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..statistics import MIN_SEEDS
from .gaming import HELD_OUT

TITLES = {
    "success": "success", "tokens": "tokens", "tokens_wrong": "tokens if wrong",
    "tags": "whole format", "true_steps": "true steps", "rechecks": "re-checks",
    "dead_ends": "dead ends", "english": "English marks", "sound": "sound thoughts",
    "missed_by": "tokens from those asked",
    "calls": "calls", "called": "episodes with a call", "tool_errors": "calls that told nothing",
}  # fmt: skip
OF_THOUGHTS = ("tags", "true_steps", "rechecks", "dead_ends", "english", "sound")
OF_TOOLS = ("calls", "called", "tool_errors")
IN_NUMBERS = ("tokens", "tokens_wrong", "dead_ends", "missed_by", "calls")  # the others are shares
JUDGED = ("score", "gap", "agrees", "wrong_paid")


def as_text(found: dict[str, Any]) -> str:
    """The tables in Markdown."""
    lines = [f"# {found['recipe']}", ""]
    lines += [found["about"], ""] if found["about"] else []
    for evaluation in found["evaluations"]:
        lines += _evaluation_lines(evaluation)
    lines += _reward_model_lines(found.get("reward_models", []))
    lines += _training_lines(found["training"])
    lines += ["## Costs (means over seeds)", "", "| stage | kind | begins with | TFLOP | CPU s |"
              " peak MiB |", "|---|---|---|---|---|---|"]  # fmt: skip
    for cost in found["costs"]:
        numbers = (cost["tflops"], cost["cpu_s"], cost["peak_mib"])
        shown = " | ".join("" if number is None else f"{number:.3g}" for number in numbers)
        lines.append(f"| {cost['stage']} | {cost['kind']} | {cost['start'] or ''} | {shown} |")
    return "\n".join(lines) + "\n"


def _evaluation_lines(evaluation: dict[str, Any]) -> list[str]:
    seeds = evaluation["seeds"]
    shown = {name: TITLES[name] for name in _columns(evaluation["policies"])}
    speaks = "" if len(seeds) >= MIN_SEEDS else f"; fewer than {MIN_SEEDS} seeds: of these policies"
    lines = [
        f"## {evaluation['stage']}: {len(seeds)} seed{'s' * (len(seeds) != 1)}, "
        f"95 % intervals{speaks}",
        "",
        "| policy | place | n | " + " | ".join(shown.values()) + " |",
        "|---|---|---" + "|---" * len(shown) + "|",
    ]
    for row in evaluation["policies"]:
        cells = [_shown(row[name], is_rate=name not in IN_NUMBERS) for name in shown]
        lines.append(f"| {row['policy']} | {row['place']} | {row['n']} | {' | '.join(cells)} |")
    if evaluation["gains"]:
        lines += ["", "| gain of | over | place | success | p (Holm) | tokens | tokens saved |",
                  "|---|---|---|---|---|---|---|"]  # fmt: skip
    for gain in evaluation["gains"]:
        lines.append(
            f"| {gain['to']} | {gain['from']} | {gain['place']} | "
            f"{_shown(gain['success'], is_rate=True, signed=True)} | {gain['p_holm']:.3f} | "
            f"{_shown(gain['tokens'], is_rate=False, signed=True)} | {gain['tokens_saved']:+.1%} |"
        )
    return [*lines, *_judged_lines(evaluation["policies"]), ""]


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of what there is to tell of some of these policies."""
    absent = set[str]()
    if not any("asked" in row for row in rows):
        absent.add("missed_by")
    if not any(row.get("calls") for row in rows):
        absent.update(OF_TOOLS)
    if not any(row["true_steps"] or row["tags"]["estimate"] for row in rows):
        absent.update(OF_THOUGHTS)
    return [name for name in TITLES if name not in absent]


def _reward_model_lines(models: Sequence[Mapping[str, Any]]) -> list[str]:
    """How reward models agree with the rule on verdicts that they were not trained on."""
    if not models:
        return []
    lines = ["## Reward models on held-out verdicts, as many right as wrong (means over seeds)", "",
             "| stage | kind | n | agrees | AUC | wrong taken for right | right taken for wrong |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    for model in models:
        cells = " | ".join(_number(model[name]) for name in HELD_OUT)
        lines.append(f"| {model['stage']} | {model['kind']} | {model['n']} | {cells} |")
    lines += ["", "| stage | answers whose outcome is | n | agrees |", "|---|---|---|---|"]
    for model in models:
        for name, part in model["by_outcome"].items():
            agrees = _number(part["accuracy"])
            lines.append(f"| {model['stage']} | {name} | {part['n']} | {agrees} |")
    return [*lines, ""]


def _judged_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What reward models would pay each policy, beside what is right."""
    if not any(row.get("judged") for row in rows):
        return []
    lines = ["", "| policy | place | right by rule | judge | mean score | score less right |"
             " agrees | wrong paid | AUC |", "|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for row in rows:
        for judge, values in row.get("judged", {}).items():
            cells = " | ".join(
                _shown(values[name], is_rate=True, signed=name == "gap") for name in JUDGED
            )
            lines.append(
                f"| {row['policy']} | {row['place']} | {_shown(row['success'], is_rate=True)} | "
                f"{judge} | {cells} | {_number(values['auc'])} |"
            )
    return lines


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _shown(
    value: dict[str, Any] | None, *, is_rate: bool, signed: bool = False, digits: str = ""
) -> str:
    """`.62 [.55, .69]`, or `41.3 [40.1, 42.5]`."""
    if value is None:
        return ""
    digits = digits or (".3f" if is_rate else ".1f")
    low, high = ("?" if value[key] is None else f"{value[key]:{digits}}" for key in ("low", "high"))
    return f"{value['estimate']:{'+' if signed else ''}{digits}} [{low}, {high}]"


def _training_lines(stages: list[dict[str, Any]]) -> list[str]:
    """How RL changed what it sampled."""
    if not stages:
        return []
    lines = ["## Over RL training: the first and the last tenth of the steps, sampled", "",
             "| stage | steps | metric | first | last | change, 95 % over seeds |",
             "|---|---|---|---|---|---|"]  # fmt: skip
    for stage in stages:
        steps = "/".join(map(str, stage["steps"]))
        for name, found in stage["metrics"].items():
            change = _shown(found["change"], is_rate=False, signed=True, digits=".3g")
            numbers = f"{found['first']:.3g} | {found['last']:.3g} | {change}"
            lines.append(f"| {stage['stage']} | {steps} | `{name}` | {numbers} |")
    return [*lines, ""]
