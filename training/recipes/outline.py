"""What a summary needs to know of a recipe: its stages, and what is measured where.

Made from the plan of a recipe that has just run, or read from the `config.yaml` of a finished one,
so that its summary can be written again by a later version of the program.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..report.games import CARDS, GameWords, game_of
from .config import (
    LEAVES_POLICY,
    STARTS_FROM_POLICY,
    RecipeConfig,
    StageConfig,
    StageKind,
    as_stage,
)
from .measures import place_names
from .plan import PlannedStage

COMMAND = "run"  # in config.yaml: the folder is a recipe's


@dataclass(frozen=True, slots=True, kw_only=True)
class StageOutline:
    """One stage.

    start: the stage whose policy it begins with. policies, pairs, places: of an `evaluate` stage;
    a place is its name in file names and the asked number of tokens, None where none is asked.
    model: kind of a `reward_model` stage, else empty.
    """

    name: str
    kind: StageKind
    start: str | None
    policies: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    places: tuple[tuple[str, int | None], ...] = ()
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """A recipe as its summary sees it. tflops: what the shares of stages refer to. game: in whose
    words it is told.
    """

    recipe: str
    about: str
    tflops: float
    seeds: tuple[int, ...]
    stages: tuple[StageOutline, ...]
    game: GameWords = CARDS


def outline_of(config: RecipeConfig, plan: Sequence[PlannedStage]) -> Outline:
    """Of a recipe that is planned."""
    stages = {each.name: each.stage for each in plan}
    return Outline(
        recipe=config.experiment,
        about=config.about,
        tflops=config.tflops,
        seeds=tuple(range(config.seed, config.seed + config.seeds)),
        stages=_outlines(stages, list(config.suite.cells)),
        game=game_of(config.env.id),
    )


def is_recipe(root: Path) -> bool:
    """Whether a run folder is that of a recipe."""
    return _stored(root).get("command") == COMMAND


def read_outline(root: Path) -> Outline:
    """Of a run folder; ValueError in one line where it is no recipe's."""
    stored = _stored(root)
    if stored.get("command") != COMMAND:
        raise ValueError(f"run must be the folder of a recipe, with config.yaml; got {root}")
    known = StageConfig.__dataclass_fields__  # another version may have had settings more
    stages = {
        name: as_stage(name, {key: value for key, value in given.items() if key in known})
        for name, given in stored["stages"].items()
    }
    return Outline(
        recipe=str(stored["experiment"]),
        about=str(stored.get("about", "")),
        tflops=float(stored["tflops"]),
        seeds=tuple(range(stored["seed"], stored["seed"] + stored["seeds"])),
        stages=_outlines(stages, list(stored["suite"]["cells"])),
        game=game_of(str(stored["env"]["id"])),
    )


def _outlines(stages: Mapping[str, StageConfig], cells: Sequence[str]) -> tuple[StageOutline, ...]:
    found: list[StageOutline] = []
    for name, stage in stages.items():
        found.append(_outlined(name, stage, found, cells))
    return tuple(found)


def _outlined(
    name: str, stage: StageConfig, before: Sequence[StageOutline], cells: Sequence[str]
) -> StageOutline:
    """As `plan.planned` works it out: the nearest policy before, every policy before."""
    policies = [each.name for each in before if each.kind in LEAVES_POLICY]
    is_measured = stage.kind is StageKind.evaluate
    start = None
    if stage.kind in STARTS_FROM_POLICY:
        start = stage.start or (policies[-1] if policies else None)
    named = place_names(cells, stage.asked_tokens)
    return StageOutline(
        name=name,
        kind=stage.kind,
        start=start,
        policies=tuple(stage.policies or policies) if is_measured else (),
        pairs=tuple((a, b) for a, b in stage.pairs),
        places=tuple((place, asked) for _, place, asked in named) if is_measured else (),
        model=stage.reward_model.kind.value if stage.kind is StageKind.reward_model else "",
    )


def _stored(root: Path) -> Mapping[str, Any]:
    """`config.yaml`; empty where there is none that can be read."""
    try:
        found = yaml.safe_load((root / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}
