"""Looks at real tasks before a run: none that is trained on may be one that is measured.

The environments keep their splits apart by construction, and tests prove it for the experiments of
this project; this check finds what a configuration of one's own got wrong, e.g. `env.split=all`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..envs.general_points.config import GeneralPointsConfig
from ..envs.general_points.splits import contamination, task_keys
from ..envs.settings import Modality, Split
from ..envs.street_nav.config import StreetNavConfig, WorldKind
from .broad_cards import BroadDealer
from .broad_streets import BroadEpisodes, broad_walks
from .config import ExperimentConfig, cell_envs
from .demonstrations import bare_env
from .sampler import task_rng, task_seed

NUM_SAMPLED = 256  # tasks of every stage and cell: they find leaks, they prove nothing


@dataclass(frozen=True, slots=True)
class DealtTasks:
    """The first tasks of a run, each as the keys that it may not share with one of the other side.

    unit: what keys stand for; those of different units cannot be compared.
    trained: all keys by stage.  measured: the distinct tasks of every cell.
    unknown: stages whose demonstrations come from files, which do not name their tasks.
    """

    unit: str
    trained: Mapping[str, frozenset[str]]
    measured: Mapping[str, frozenset[frozenset[str]]]
    unknown: tuple[str, ...] = ()


def check_contamination(
    config: ExperimentConfig, stages: Iterable[str], *, refuse: bool = True
) -> DealtTasks:
    """Compare the first tasks of every training stage with the first evaluation tasks.

    stages: of "pretrain", "warmup", "sft", "grpo". Cells of another split than `eval` were asked
    for as they are: they are not refused, and told in what is returned. Raises ValueError, naming
    the stage, when a task is on both sides, unless `refuse` is false: then that is only told.
    """
    by_cell = {name: list(_measured_keys(config, env)) for name, env in _cells(config).items()}
    held_out = _measured(config)
    kept_apart = set[str]().union(*(keys for name in held_out for keys in by_cell[name]))
    trained: dict[str, frozenset[str]] = {}
    for stage in stages:
        if refuse and stage == "pretrain" and isinstance(config.env, StreetNavConfig):
            _check_cities(config)
        trained[stage] = frozenset().union(*training_keys(config, stage, NUM_SAMPLED))
        try:
            contamination(trained[stage], kept_apart if refuse else set())
        except ValueError as error:
            split = f"env.split={config.env.split.value}"
            raise ValueError(f"tasks of {stage} ({split}): {error}") from error
    unknown = tuple(stage for stage in trained if _reads_files(config, stage))
    return DealtTasks(
        unit=_unit(config),
        trained={stage: keys for stage, keys in trained.items() if stage not in unknown},
        measured={
            name: frozenset(frozenset(keys) for keys in tasks) for name, tasks in by_cell.items()
        },
        unknown=unknown,
    )


def training_keys(config: ExperimentConfig, stage: str, count: int) -> Iterator[set[str]]:
    """What each of the first tasks of a stage must not share with an evaluation task."""
    if stage == "pretrain":
        assert config.pretrain is not None
        if isinstance(config.env, GeneralPointsConfig):
            dealer = BroadDealer(config.env, config.pretrain)
            for index in range(count):
                task = dealer.deal(task_rng(config.seed, stage, index))
                yield _keys(config, task.ranks, task.values, task.target)
        else:
            told = replace(config.env, modality=Modality.text)
            walks = BroadEpisodes(told, config.pretrain, seed=config.seed)
            for index in range(count):
                yield {walks.conversation(index).task_id}
    else:
        yield from _dealt(config, config.env, config.seed, stage, count)


def evaluation_keys(config: ExperimentConfig) -> Iterator[set[str]]:
    """The same of the first tasks that every cell of the suite is measured on."""
    for env in _measured(config).values():
        yield from _measured_keys(config, env)


def _measured(config: ExperimentConfig) -> dict[str, Any]:
    """The environments of the suite's cells by name: those of this game and the split `eval`."""
    return {name: env for name, env in _cells(config).items() if env.split is Split.eval}


def _cells(config: ExperimentConfig) -> dict[str, Any]:
    """The environments of the suite's cells by name, as far as they are of this game."""
    envs = cell_envs(config.env, config.suite)
    return {name: env for name, env in envs.items() if env.id == config.env.id}


def _measured_keys(config: ExperimentConfig, env: Any) -> Iterator[set[str]]:
    return _dealt(config, env, config.evaluate.seed, "evaluate", NUM_SAMPLED)


def _reads_files(config: ExperimentConfig, stage: str) -> bool:
    return getattr(getattr(config, stage), "data", None) is not None


def _unit(config: ExperimentConfig) -> str:
    """See `DealtTasks`."""
    if not isinstance(config.env, GeneralPointsConfig):
        return "route"
    return "hand and target" if config.env.targets else "hand"


def _check_cities(config: ExperimentConfig) -> None:
    """Refuse a base that walks where a cell measures: few of its routes would be met by chance."""
    assert config.pretrain is not None
    seeds = {walk.city_seed for walk in broad_walks(config.env, config.pretrain)}
    for name, env in _measured(config).items():
        if env.world is WorldKind.city and env.city.seed in seeds:
            first = config.pretrain.streets.first_city_seed
            raise ValueError(
                f"pretrain.streets.first_city_seed must leave out city {env.city.seed} of "
                f"suite.cells.{name}; got {first} with {len(seeds)} cities"
            )


def _dealt(
    config: ExperimentConfig, env: Any, seed: int, stream: str, count: int
) -> Iterator[set[str]]:
    bare = bare_env(replace(env, modality=Modality.text))  # the same tasks, without drawing them
    for index in range(count):
        _, info = bare.reset(seed=task_seed(seed, stream, index))
        if isinstance(env, GeneralPointsConfig):
            yield _keys(config, info["ranks"], info["values"], info["target"])
        else:  # a route's id is that of its city and path, whatever the rule and the look
            yield {info["task_id"]}


def _keys(config: ExperimentConfig, ranks: Any, values: Any, target: int) -> set[str]:
    return task_keys(ranks, values, target, is_target_drawn=bool(config.env.targets))
