"""The findings as Markdown: every table with its verdicts, intervals, sizes and what they see."""

from collections.abc import Iterable, Mapping, Sequence

from ..report.words import arm_words, rate_words, signed
from ..statistics import PairedDifference
from .config import POLICIES, ReproduceConfig
from .findings import Findings, Verdict, growth_verdict, reading_verdict
from .words import (
    OVERLAP_ABOUT,
    PAIR_WORDS,
    PAPER,
    SEES_ABOUT,
    cell_sizes,
    change_words,
    contrast_words,
    counts,
    expected_words,
    further_cells,
    headline,
    overlap_words,
    published_cells,
    sees_words,
    side_words,
    size_words,
)


def as_markdown(config: ReproduceConfig, found: Findings, notes: Sequence[str]) -> str:
    """The tables with their verdicts."""
    lines = [f"# The study reproduced: {PAPER}", "", headline(found), "", *_bulleted(counts(found))]
    lines += ["", *_cell_lines(found), SEES_ABOUT, ""]
    for name, study in config.studies.items():
        part = [*_side_lines(found, name), *_variant_lines(found, name), *_turn_lines(found, name)]
        if part:
            lines += [f"## {study.title}", "", *([study.about, ""] if study.about else []), *part]
    names = {name: study.title or name for name, study in config.studies.items()}
    lines += [*_reading_lines(found, names), *_match_lines(found, names), *_overlap_lines(found)]
    lines += ["## What limits this", "", *_bulleted(notes)]
    return "\n".join(lines) + "\n"


def _cell_lines(found: Findings) -> list[str]:
    head = "| Cell | | start | SFT | RL | " + " | ".join(PAIR_WORDS.values()) + " |"
    lines = ["## The six cells", "", head, "|---" * 8 + "|"]
    for cell in [*published_cells(found), *further_cells(found)]:
        claim = cell.claim
        told = [signed((contrast.published or 0.0) / 100) for contrast in cell.contrasts.values()]
        lines.append(
            f"| **{claim.title}** | published | {claim.start} | {claim.sft} | {claim.rl} | "
            f"{' | '.join(told)} |"
        )
        rates = [rate_words(cell.rates[arm]) if arm in cell.rates else "" for arm in POLICIES]
        ours = [f"{contrast_words(c.ours)}: **{c.verdict.value}**" for c in cell.contrasts.values()]
        about = f"here{f' ({claim.about})' if claim.about else ''}, {cell_sizes(cell)}"
        lines.append(f"| | {about} | {' | '.join([*rates, *ours])} |")
    return [*lines, ""]


def _side_lines(found: Findings, study: str) -> list[str]:
    sides = [side for side in found.sides if side.study == study]
    if not sides:
        return []
    lines = ["| The study's finding | here | expected | points | |", "|---" * 5 + "|"]
    for side in sides:
        expected, ours = expected_words(side.claim.sign), contrast_words(side.contrast.ours)
        size = size_words(side.contrast.ours)
        lines.append(
            f"| {side.claim.says} | {side_words(side)}{f', {size}' if size else ''} | {expected} "
            f"| {ours} | **{side.contrast.verdict.value}** |"
        )
    return [*lines, ""]


def _variant_lines(found: Findings, study: str) -> list[str]:
    rows = [row for row in found.variants if row.study == study]
    if not rows:
        return []
    lines = ["| Variant | cell | policy | success | change from its base |", "|---" * 5 + "|"]
    for row in rows:
        lines.append(
            f"| {row.variant} | {row.words.title} | {arm_words(row.arm)} | "
            f"{rate_words(row.rate)}, {size_words(row.rate)} | {_seen(row.change)} |"
        )
    return [*lines, ""]


def _turn_lines(found: Findings, study: str) -> list[str]:
    rows = found.gains.get(study, [])
    if not rows:
        return []
    lines = ["| Cell | attempts | " + " | ".join(arm_words(arm) for arm in rows[0].rates)
             + " | size | RL − base | published | RL's gain grown since the fewest |",
             "|---" * (6 + len(rows[0].rates)) + "|"]  # fmt: skip
    for row in rows:
        rates = " | ".join(rate_words(rate) for rate in row.rates.values())
        gain, growth = (_seen(changes.get("grpo")) for changes in (row.gains, row.growth))
        verdict = growth_verdict(row)
        published = "" if row.published is None else f"{row.published:+g}"
        lines.append(
            f"| {row.words.title} | {row.attempts} | {rates} | "
            f"{size_words(next(iter(row.rates.values())))} | {gain} | {published} | "
            f"{growth}{_bold(verdict)} |"
        )
    return [*lines, ""]


def _reading_lines(found: Findings, names: Mapping[str, str]) -> list[str]:
    if not found.readings:
        return []
    lines = ["## Recognition against success", "",
             "| Study | cell | policy | size | read rightly | solved | change of reading | "
             "of success |", "|---" * 8 + "|"]  # fmt: skip
    for row in found.readings:
        lines.append(
            f"| {names[row.study]} | {row.words.title} | {arm_words(row.arm)} | "
            f"{size_words(row.success)} | {rate_words(row.recognition)} | "
            f"{rate_words(row.success)} | {_seen(row.recognition_change)}"
            f"{_bold(reading_verdict(row))} | {_seen(row.success_change)} |"
        )
    return [*lines, ""]


def _match_lines(found: Findings, names: Mapping[str, str]) -> list[str]:
    if not found.matches:
        return []
    lines = ["## OOD at equal success in distribution", "",
             "| Study | cell | SFT in distribution | RL in distribution | largest gap of a seed | "
             "RL − SFT | |", "|---" * 7 + "|"]  # fmt: skip
    for study, match in found.matches:
        levels = " | ".join(f"{rate_words(rate)}, {size_words(rate)}" for rate in match.id_rates)
        verdict = "matched" if match.is_matched else "no equal checkpoints"
        ours = f"{contrast_words(match.difference)}; {size_words(match.difference)}"
        where = f"{names[study]} | {match.words.title}"
        lines.append(f"| {where} | {levels} | {100 * match.id_gap:.1f} | {ours} | {verdict} |")
    return [*lines, ""]


def _overlap_lines(found: Findings) -> list[str]:
    if not found.overlaps:
        return []
    lines = ["## Contamination", "", OVERLAP_ABOUT, "",
             "| Run | cell | evaluated on what was trained on | |", "|---" * 4 + "|"]  # fmt: skip
    for row in found.overlaps:
        source = "recorded in the run" if row.is_recorded else "dealt again"
        lines.append(f"| {row.label} | {row.words.title} | {overlap_words(row)} | {source} |")
    return [*lines, ""]


def _seen(change: PairedDifference | None) -> str:
    return "" if change is None else f"{change_words(change)}; {sees_words(change)}"


def _bold(verdict: Verdict | None) -> str:
    return "" if verdict is None else f": **{verdict.value}**"


def _bulleted(sentences: Iterable[str]) -> list[str]:
    return [f"* {sentence}" for sentence in sentences]
