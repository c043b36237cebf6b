"""What of a run goes into a checkpoint, and back: weights, optimizer, counters, random states.

Tensors are whole whatever the sharding, and the main process writes them (see `sharding`): the
number of processes may change from one start to the next. Only the main process looks for the
newest sound checkpoint, so that all take up the same one.
"""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .checkpoint import Checkpoint, capture_rng, latest_checkpoint, restore_rng, save_checkpoint
from .metrics import Ledger, MetricsLog, cpu_s_until
from .sharding import is_spread
from .whole_tensors import split_like, split_moments, whole, whole_head, whole_weights

if TYPE_CHECKING:
    from .loop import Stage, TrainState

logger = logging.getLogger(__name__)

CHECKPOINTS = "checkpoints"


def save(
    stage: "Stage",
    state: "TrainState",
    folder: Path,
    metrics: MetricsLog | None,
    *,
    keep: int,
    update: int = 0,
    unfinished: dict[str, Any] | None = None,
) -> None:
    """Write a checkpoint to `folder`; all processes must call it.

    metrics: of the main process; None on the others. keep: checkpoints.
    update, unfinished: updates made of the present step, and what is left to do of it.
    """
    workers, is_main, zero = state.workers, state.workers.is_main, state.zero
    if zero is None:
        optimizer = whole(state.optimizer.state_dict(), keep=is_main)
    else:
        optimizer = zero.moments(keep=is_main)
    saved: dict[str, Any] = {
        "model": whole_weights(state.policy, all_of_them=False, keep=is_main),
        "head": whole_head(stage.head, zero, keep=is_main),
        "optimizer": optimizer,
        "ledger": state.ledger.asdict(),
        "step": state.step,
        "bad_updates": state.bad_updates,
        "milestones_done": state.milestones_done,
        "rng": capture_rng(),
    }
    if workers.size > 1:
        saved["rng_of_others"] = workers.gather([saved["rng"]])[1:]
    if unfinished is not None:
        saved["unfinished"] = unfinished
    if metrics is not None:
        saved["metrics_offset"] = metrics.offset
        save_checkpoint(folder / CHECKPOINTS, state.step, saved, keep=keep, update=update)
    workers.wait()


def resume(
    stage: "Stage", state: "TrainState", folder: Path, metrics: MetricsLog | None, *, keep: int
) -> None:
    """Take up the newest sound checkpoint of `folder`, if there is one; arguments as in `save`."""
    found: Checkpoint | None = None
    if metrics is not None:
        found = latest_checkpoint(folder / CHECKPOINTS, keep=keep)
    found = state.workers.broadcast(found)
    if found is None:
        if metrics is not None:
            metrics.truncate(0)
        return
    saved = found.load(mapped=is_spread(state.policy.model))
    _put_back(stage, state, saved)
    state.step, state.bad_updates = saved["step"], saved["bad_updates"]
    cpu_s = cpu_s_until(folder / "timings.jsonl", state.step)
    state.ledger = Ledger.from_dict(saved["ledger"], cpu_s=cpu_s)
    state.milestones_done = saved["milestones_done"]
    state.unfinished = saved.get("unfinished")
    others = saved.get("rng_of_others", [])
    rank = state.workers.rank
    restore_rng(others[rank - 1] if 0 < rank <= len(others) else saved["rng"])
    if metrics is not None:
        metrics.truncate(saved["metrics_offset"])
    logger.info("resumed at step %d from %s", state.step, found.path)


def _put_back(stage: "Stage", state: "TrainState", saved: dict[str, Any]) -> None:
    """Weights of policy and head, and the optimizer's moments."""
    policy, head = state.policy, stage.head

    def put() -> None:
        policy.load_state_dict(split_like(saved["model"], policy.model.state_dict()))
        if head is not None:
            head.load_state_dict(split_like(saved["head"], head.state_dict()))

    if state.zero is None:
        put()
        state.optimizer.load_state_dict(split_moments(saved["optimizer"], state.parameters))
        return
    parts = [(policy.model, saved["model"]), *([(head, saved["head"])] if head is not None else [])]
    weights = [
        found[name]
        for module, found in parts
        for name, parameter in module.named_parameters()
        if parameter.requires_grad
    ]
    state.zero.load(put, weights, saved["optimizer"])
