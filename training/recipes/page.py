"""A recipe's page: its figures and tables in one file that loads nothing from anywhere."""

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

import jinja2

from ..report.style import inline_svg, page_css
from .figures import Drawn
from .tables import Table, all_tables, spanned

OWN_CSS = (
    ".broad { max-width: 1020px; overflow-x: auto; margin: 26px 0; } "
    ".broad svg { min-width: 640px; } .scroll { margin-bottom: 28px; }\n"
)


def render(found: Mapping[str, Any], figures: Sequence[Drawn]) -> str:
    """The page of a summary; every text is escaped."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    seeds = max((len(each["seeds"]) for each in found["evaluations"]), default=0)
    template = (files(__package__) / "page.html.j2").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        title=found["recipe"],
        eyebrow=f"recipe={found['recipe']} · tflops={found['tflops']:g} · training seeds: {seeds}",
        headline=found["about"] or found["recipe"],
        figures=[inline_svg(each.svg, escape(each.told, quote=True)) for each in figures],
        tables=_labelled(all_tables(found)),
        spans=" / ".join(dict.fromkeys(map(spanned, found["evaluations"]))),
        css=page_css() + OWN_CSS,
    )


def _labelled(tables: Sequence[Table]) -> list[dict[str, Any]]:
    """Tables with every cell as its value and what stands below it, and a label for readers."""
    found: list[dict[str, Any]] = []
    label = ""
    for table in tables:
        label = table.title or label
        rows = [[_parts(cell) for cell in row] for row in table.rows]
        named = table.title or f"{label}: {', '.join(table.head[:4])}"
        found.append({"title": table.title, "label": named, "head": table.head, "rows": rows})
    return found


def _parts(cell: str) -> tuple[str, str]:
    """`.62 [.55, .69]` as `.62` and the interval; a metric's name without its quotes."""
    value, bracket, interval = cell.partition(" [")
    return value.strip("`"), f"[{interval}" if bracket else ""
