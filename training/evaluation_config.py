"""Settings of measuring: metrics, suites of shifted environments, sizes. Part of `config.py`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any

from .field_checks import require_at_least_zero, require_positive


class MetricKind(str, Enum):
    """Ways to count a success; each names its sampling and its number of turns."""

    success_within_turns = "success_within_turns"  # the study's: sampled, with feedback
    sampled_single = "sampled_single"  # the first of those attempts alone
    greedy_single = "greedy_single"  # one attempt, argmax


@dataclass(kw_only=True, slots=True)
class CellConfig:
    """One place to measure: a shift of the environment, e.g. `{rule: faces_as_ranks}`."""

    shift: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.shift, Mapping):
            raise ValueError(
                f"shift must map fields of the environment to values; got {self.shift}"
            )


@dataclass(kw_only=True, slots=True)
class SuiteConfig:
    """Named cells, evaluated on the same seeds for every policy. `id` is in distribution.

    cells: of `CellConfig`, or mappings of its fields. The annotation says Any, because OmegaConf
        makes no dataclass on the way to `+suite.cells.mine.shift.rule=faces_as_sevens`.
    """

    name: str = "custom"
    cells: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.cells = {name: _as_cell(name, cell) for name, cell in self.cells.items()}


@dataclass(kw_only=True, slots=True)
class EvaluateConfig:
    """How policies are measured.

    temperature, top_p: of the sampled metrics (the study's evaluator uses the checkpoint's
        defaults; for Llama these).
    milestones: evaluations along each arm; the last one is final and uses `final_episodes`.
    """

    episodes: int = 256
    final_episodes: int = 768
    milestones: int = 4
    temperature: float = 0.6
    top_p: float = 0.9
    max_new_tokens: int = 64
    metrics: list[MetricKind] = field(default_factory=lambda: list(MetricKind))
    seed: int = 1_000_000  # of the evaluation hands; the same for every policy and arm
    batch_episodes: int = 256
    sample_episodes: int = 12  # kept with pictures per cell, for the report's browser

    def __post_init__(self) -> None:
        require_positive(self, "episodes", "final_episodes", "milestones", "max_new_tokens")
        require_positive(self, "temperature", "batch_episodes")
        require_at_least_zero(self, "sample_episodes", "seed")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be in (0, 1]; got {self.top_p}")
        if not self.metrics:
            raise ValueError("metrics must name at least one metric; got none")


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
    return env.shifted(**shift)


def _as_cell(name: str, cell: Any) -> CellConfig:
    if isinstance(cell, CellConfig):
        return cell
    if not isinstance(cell, Mapping) or any(key != "shift" for key in cell):
        raise ValueError(
            f"cells.{name} must be a section with shift alone, as in "
            f"{{shift: {{rule: faces_as_ranks}}}}; got {cell!r}"
        )
    try:
        return CellConfig(**cell)
    except ValueError as error:
        raise ValueError(f"cells.{name}.{error}") from error
