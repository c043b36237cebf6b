"""Suites: named places to measure one policy at. Part of `config.py`.

A cell is a shift of the experiment's environment, or another environment for transfer. Cells are
made, and so checked field by field, as soon as a configuration is composed: `ExperimentConfig`
keeps the suite that fits its environment, and `cell_envs` gives what is played.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from typing import Any

from ..envs.general_points.config import GeneralPointsConfig
from ..envs.settings import Modality, member
from ..envs.street_nav.config import StreetNavConfig

ENVIRONMENTS: dict[str, type] = {kind().id: kind for kind in (GeneralPointsConfig, StreetNavConfig)}
LOOKS = ("visual", "look")  # fields that only a picture shows
CARRIED_OVER = ("modality", "prompt")  # into another environment: how this policy is spoken to


class Axis(str, Enum):
    """What a cell changes, for curves along it."""

    rule = "rule"
    visual = "visual"
    difficulty = "difficulty"
    wording = "wording"
    transfer = "transfer"  # another environment, or another city


@dataclass(kw_only=True, slots=True)
class CellConfig:
    """One place to measure: a shift of the environment, e.g. `{rule: faces_as_ranks}`.

    shift: fields of the environment and their values, presets by name.
    env: id of another environment; `shift` is then of its defaults, in this one's modality and
        style of prompt. None: the experiment's own.
    modality: the cell is left out unless the experiment's environment has this modality. None: in
        both; but in words a cell of another look than `id` is left out: it would be `id` again.
    axis, severity: where the cell lies in a ladder; 0 is the training value, more is further away.
    title: of the cell in reports; None: made from the shift.
    """

    shift: dict[str, Any] = field(default_factory=dict)
    env: str | None = None
    modality: Modality | None = None
    axis: Axis | None = None
    severity: float | None = None
    title: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.shift, Mapping):
            raise ValueError(
                f"shift must map fields of the environment to values; got {self.shift}"
            )
        if self.env is not None and self.env not in ENVIRONMENTS:
            raise ValueError(f"env must be one of {', '.join(ENVIRONMENTS)}; got {self.env!r}")
        if self.modality is not None:
            self.modality = member(Modality, "modality", self.modality)
        if self.axis is not None:
            self.axis = member(Axis, "axis", self.axis)
        if self.title is not None and not isinstance(self.title, str):
            raise ValueError(f"title must be text; got {self.title!r}")
        if self.severity is not None:
            self._check_severity(self.severity)

    def _check_severity(self, value: Any) -> None:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or value < 0:
            raise ValueError(f"severity must be a number, at least 0; got {value!r}")
        if self.axis is None:
            raise ValueError(f"severity must come with an axis; got {value!r} alone")


@dataclass(kw_only=True, slots=True)
class SuiteConfig:
    """Named cells, evaluated on the same seeds for every policy. `id` is in distribution.

    env: id of the environment that the cells are shifts of; None: any that has their fields.
    common: what every cell of that environment shifts alike; a cell's own shift wins.
    cells: of `CellConfig`, or mappings of its fields. The annotation says Any, because OmegaConf
        makes no dataclass on the way to `+suite.cells.mine.shift.rule=faces_as_sevens`.
    by_env: further cells, by the id of the environment that they are for, so that one suite can
        serve several.
    only: names of the cells to measure; empty: all.
    """

    name: str = "custom"
    env: str | None = None
    common: dict[str, Any] = field(default_factory=dict)
    cells: dict[str, Any] = field(default_factory=dict)
    by_env: dict[str, Any] = field(default_factory=dict)
    only: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.env is not None and self.env not in ENVIRONMENTS:
            raise ValueError(f"env must be one of {', '.join(ENVIRONMENTS)}; got {self.env!r}")
        self.cells = _as_cells("cells", self.cells)
        unknown = [env for env in self.by_env if env not in ENVIRONMENTS]
        if unknown:
            raise ValueError(
                f"by_env must name environments of {', '.join(ENVIRONMENTS)}; got {unknown[0]}"
            )
        self.by_env = {env: _as_cells(f"by_env.{env}", cells) for env, cells in self.by_env.items()}

    def fitted(self, env: Any) -> "SuiteConfig":
        """The cells that are for this environment; each of them can be made.

        env: the environment's configuration. Raises ValueError, with the full key, for a suite of
        another environment, an unknown name in `only`, and whatever a cell's environment refuses.
        """
        cells = {**self.cells, **self.by_env.get(env.id, {})}
        if self.env not in (None, env.id) or (self.by_env and not cells):
            known = self.env or ", ".join(self.by_env)
            raise ValueError(
                f"suite must be one for {env.id}; got {self.name}, which is for {known}: choose "
                "another (suite=study fits every environment), or another env"
            )
        unknown = [name for name in self.only if name not in cells]
        if unknown:
            raise ValueError(
                f"suite.only must name cells of {', '.join(cells) or 'a suite that has some'}; "
                f"got {', '.join(unknown)}"
            )
        chosen = {
            name: cell
            for name, cell in cells.items()
            if name in (self.only or cells) and cell.modality in (None, env.modality)
        }
        cell_envs(env, replace(self, cells=chosen, by_env={}, only=[]))
        if env.modality is Modality.text:
            start = cells.get("id")
            chosen = {k: cell for k, cell in chosen.items() if not _is_look(cell, start)}
        if cells and not chosen:
            raise ValueError(
                f"suite must have a cell for env.modality={env.modality.value}; got {self.name} "
                f"with {', '.join(self.only or cells)}"
            )
        return replace(self, cells=chosen, by_env={}, only=[])


def cell_envs(env: Any, suite: SuiteConfig) -> dict[str, Any]:
    """The environment of every cell by name, of the split `eval` unless the cell says otherwise.

    env: the experiment's configuration of an environment. Raises ValueError with the full key of
    the first field that cannot be.
    """
    return {name: _cell_env(env, suite, name) for name in suite.cells}


def shifted(env: Any, shift: Mapping[str, Any]) -> Any:
    """The environment's configuration with some fields replaced; presets may be given by name.

    Raises ValueError for a field that the configuration does not have.
    """
    known = [f.name for f in fields(env)]
    unknown = [name for name in shift if name not in known]
    if unknown:
        raise ValueError(
            f"a shift of {env.id} must name fields of {', '.join(known)}; got {', '.join(unknown)}"
        )
    if shift.get("id", env.id) != env.id:
        raise ValueError(
            f"id must be {env.id}, or the cell must name another environment as env; "
            f"got {shift['id']}"
        )
    return env.shifted(**shift)


def _cell_env(env: Any, suite: SuiteConfig, name: str) -> Any:
    cell: CellConfig = suite.cells[name]
    base, common = env, suite.common
    if cell.env not in (None, env.id):
        carried = {key: getattr(env, key) for key in CARRIED_OVER}
        base, common = ENVIRONMENTS[str(cell.env)](**carried), {}
    try:
        return shifted(base, {"split": "eval", **common, **cell.shift})
    except ValueError as error:
        subject = re.split(r"[ .:\[]", str(error), maxsplit=1)[0]
        if subject in common and subject not in cell.shift:
            raise ValueError(f"suite.common.{error}") from error
        joint = "." if subject in cell.shift else ": "
        raise ValueError(f"suite.cells.{name}.shift{joint}{error}") from error


def _is_look(cell: CellConfig, start: CellConfig | None) -> bool:
    """Whether a cell changes how pictures look, against the one in distribution."""
    before = {} if start is None else start.shift
    return any(name in cell.shift and cell.shift[name] != before.get(name) for name in LOOKS)


def _as_cells(place: str, cells: Any) -> dict[str, CellConfig]:
    if not isinstance(cells, Mapping):
        raise ValueError(f"{place} must be a section of cells by name; got {cells!r}")
    return {_cell_name(place, name): _as_cell(place, name, cell) for name, cell in cells.items()}


def _cell_name(place: str, name: Any) -> str:
    """A name that can be part of a file's."""
    if not isinstance(name, str) or not re.fullmatch(r"\w[\w.+-]*", name):
        raise ValueError(
            f"{place} must have names of letters, digits, '_', '-', '+' and '.'; got {name!r}"
        )
    return name


def _as_cell(place: str, name: str, cell: Any) -> CellConfig:
    if isinstance(cell, CellConfig):
        return cell
    known = [f.name for f in fields(CellConfig)]
    if not isinstance(cell, Mapping) or any(key not in known for key in cell):
        raise ValueError(
            f"{place}.{name} must be a section with {', '.join(known)}, as in "
            f"{{shift: {{rule: faces_as_ranks}}}}; got {cell!r}"
        )
    try:
        return CellConfig(**cell)
    except ValueError as error:
        raise ValueError(f"{place}.{name}.{error}") from error
