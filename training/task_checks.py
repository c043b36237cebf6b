"""Deals every evaluation task before a run begins: finds what cannot be dealt or is not paired."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from .config import Axis, EvaluateConfig, SuiteConfig, cell_envs, shifted
from .demonstrations import bare_env
from .sampler import task_seed

logger = logging.getLogger(__name__)

NUM_CHECKED = 256  # training tasks dealt before a run starts


def check_tasks(env: Any, suite: SuiteConfig, config: EvaluateConfig) -> None:
    """Deal every evaluation task of a suite once, in words, and some training tasks.

    Raises ValueError, naming the cell, where one cannot be dealt: better now than after hours of
    training. Warns of cells whose tasks are not those of `id`, unless they are meant to be others.
    """
    largest = max(config.episodes, config.final_episodes)
    dealt: dict[str, tuple[Any, str, int]] = {}
    dealt["training"] = (env, "sft", min(largest, NUM_CHECKED))
    for name, cell_env in cell_envs(env, suite).items():
        dealt[f"cell {name}"] = (cell_env, "evaluate", largest)
    ids: dict[str, list[str]] = {}
    for place, (chosen, stream, count) in dealt.items():
        bare = bare_env(shifted(chosen, {"modality": "text"}))
        seeds = (task_seed(config.seed, stream, index) for index in range(count))
        try:
            ids[place] = [str(bare.reset(seed=seed)[1]["task_id"]) for seed in seeds]
        except ValueError as error:
            raise ValueError(f"tasks for {place} must exist: {error}") from error
    _warn_of_unpaired(suite, ids)


def _warn_of_unpaired(suite: SuiteConfig, ids: Mapping[str, Sequence[str]]) -> None:
    """ids: of the tasks of every cell, by "cell <name>"."""
    for name, cell in suite.cells.items():
        is_meant = cell.axis in (Axis.difficulty, Axis.transfer) or cell.env is not None
        if "id" in suite.cells and not is_meant and ids[f"cell {name}"] != ids["cell id"]:
            logger.warning(
                "suite.cells.%s deals other tasks than suite.cells.id on the same seeds, so that "
                "the two are not paired: in General Points list all rules in "
                "suite.common.solvable_under, else give the cell axis: difficulty or transfer",
                name,
            )
