"""Prompts that training rows share: how many rows one packed sequence has, as training decides.

The rule is that of `agents/packing.py`, applied to groups whose rows are all as long as can be.
"""

from dataclasses import dataclass

from ...agents.packing import LINEAR, MASKABLE, WORTHWHILE
from ..config import ExperimentConfig
from .shape import Shape
from .workload import Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """rows: in one sequence; 1: prompts are not shared. width: ids of the sequence."""

    rows: int
    width: int

    @property
    def tokens(self) -> float:
        """Ids that the model reads for one row."""
        return self.width / self.rows


def packing(config: ExperimentConfig, shape: Shape, work: Workload) -> Packing:
    """Rows with a picture behind their prompt share none, nor do those that are turns."""
    optim, row, own = config.grpo.optim, work.row_tokens, work.own_tokens
    apart = Packing(rows=1, width=row)
    is_open = config.policy.attn_implementation in MASKABLE and not work.row_per_turn
    if optim.share_prompts is False or not is_open or work.images > 1 or not own:
        return apart
    room = max(optim.micro_batch_tokens, row) - (row - own)
    rows = max(1, min(work.members, room // own))
    together = Packing(rows=rows, width=row - own + rows * own)
    linear = LINEAR * shape.hidden
    cost, limit = together.tokens * (linear + together.width), row * (linear + row / 2)
    return together if cost < WORTHWHILE * limit else apart
