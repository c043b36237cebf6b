"""Which runs the chosen studies make, each with its whole configuration, before anything starts.

    <output_dir>/reproduce/<name>/<study>[/<variant>]/   a run folder of `compare`, each
    <output_dir>/.cache/pretrain/                        bases, shared with every other command

A study may take a finished folder instead; it is refused where it is of another experiment or not
finished, and what else differs is kept for the report.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..arms import seed_folder
from ..config import ExperimentConfig
from ..files import plain
from ..launch import compose_experiment
from ..override_errors import CONFIG_ERRORS, explain
from ..run_folder import VOLATILE_KEYS, RunFolder, flatten
from .config import BASE, ReproduceConfig, StudyConfig, reproduce_root

OWN = (  # settings of this command, and those that it gives every run by itself
    "studies", "only", "dry_run", "report_only", "full_size", "name", "resume", "seed", "seeds",
    "output_dir", "processes", "hydra",
)  # fmt: skip
# Of a folder that is taken: where and how many, not what.
MAY_DIFFER = VOLATILE_KEYS | {
    "command", "name", "seed", "seeds", "threads", "keep_checkpoints", "checkpoint_every",
    "evaluate.sample_episodes", "evaluate.batch_episodes", "suite.name",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """One run folder. root: where it is or will be. is_taken: given, and left as it is.

    differs: settings in which a taken run is not the study's, as `key=value`.
    """

    study: str
    variant: str
    config: ExperimentConfig
    root: Path
    arms: tuple[str, ...]
    policies_of: str | None = None
    is_taken: bool = False
    differs: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return f"{self.study}_{self.variant}" if self.variant else self.study

    @property
    def is_done(self) -> bool:
        return RunFolder(self.root).is_done

    @property
    def train_seeds(self) -> range:
        return range(self.config.seed, self.config.seed + self.config.seeds)

    def stored(self) -> dict[str, Any]:
        """The configuration as the folder keeps it."""
        command = "eval" if self.policies_of else "compare"
        return {"command": command, **asdict(self.config), "resume": False}


def planned(config: ReproduceConfig, typed: Sequence[str]) -> list[PlannedRun]:
    """Every run of the chosen studies, in their order.

    typed: overrides of the command line; those that are not this command's own go to every run,
        over its settings and under what makes it a variant.
    Raises ValueError in one line for what cannot be.
    """
    shared = [override for override in typed if _key(override) not in OWN]
    if any(_key(override) == "experiment" for override in shared):
        raise ValueError(
            "experiment must be left out: every study names its own; got "
            f"{next(o for o in shared if _key(o) == 'experiment')} (only=[...] chooses studies)"
        )
    runs = [
        _planned(config, name, variant, shared)
        for name in config.chosen
        for variant in config.studies[name].names
    ]
    if not runs:
        raise ValueError("only must leave a study to run; got none")
    for run in runs:
        if run.policies_of is not None and not run.is_taken:
            _require_source(config, runs, run)
    return runs


def source_root(config: ReproduceConfig, study: str) -> Path:
    """Where the single run of another study is."""
    taken = config.studies[study].run
    return Path(taken) if taken is not None else reproduce_root(config) / study


def _planned(config: ReproduceConfig, name: str, variant: str, shared: Sequence[str]) -> PlannedRun:
    study = config.studies[name]
    experiment = _experiment(config, name, study, [*shared, *study.variants.get(variant, [])])
    above = reproduce_root(config) / name if study.run is None else Path(study.run)
    run = PlannedRun(
        study=name,
        variant=variant,
        config=experiment,
        root=above / variant if variant else above,
        arms=tuple(study.arms),
        policies_of=study.policies_of,
        is_taken=study.run is not None,
    )
    run = replace(run, config=replace(experiment, name=run.label))
    return replace(run, differs=checked_taken(run)) if run.is_taken else run


def _experiment(
    config: ReproduceConfig, name: str, study: StudyConfig, last: Sequence[str]
) -> ExperimentConfig:
    """The study's configuration with `last` over it, in this command's place and with its seeds."""
    if config.is_full_size:
        if not study.full:
            raise ValueError(
                f"only must name studies of the full size with policy={config.policy.name}; got "
                f"{name}, which is for the policies of conf/experiment"
            )
        chosen = [*config.full_size, *study.full]
    else:
        chosen = [f"experiment={study.experiment}", *study.settings]
    try:
        made: ExperimentConfig = compose_experiment("compare", [*chosen, *last])
    except CONFIG_ERRORS as error:
        raise ValueError(f"studies.{name}: {explain(error)}") from error
    seeds = config.seeds if study.seeds is None else min(config.seeds, study.seeds)
    return replace(
        made,
        experiment=study.experiment,
        output_dir=config.output_dir,
        seed=config.seed,
        seeds=seeds,
        processes=config.processes,
    )


def checked_taken(run: PlannedRun) -> tuple[str, ...]:
    """The settings in which a finished folder differs from the study, as `key=value`.

    Raises ValueError for one of another experiment or command, and for one that is not finished.
    """
    where, folder = f"studies.{run.study}.run", RunFolder(run.root)
    if not run.root.is_dir():
        raise ValueError(f"{where} must be a finished run folder; got {run.root}, which is none")
    stored = folder.config
    wanted = {"command": run.stored()["command"], "experiment": run.config.experiment}
    for key, value in wanted.items():
        if stored.get(key) != value:
            raise ValueError(
                f"{where} must be a run with {key}={value}; got {run.root}, which has "
                f"{key}={stored.get(key)}"
            )
    missing = _unfinished(run, folder, stored)
    if missing:
        raise ValueError(
            f"{where} must be finished; got {run.root} without {missing}: the same command with "
            "resume=true in its place finishes it"
        )
    return _differences(stored, plain(asdict(run.config)))


def _unfinished(run: PlannedRun, folder: RunFolder, stored: Mapping[str, Any]) -> str:
    """The first thing that a finished folder would have; empty if it has all."""
    if not folder.is_done:
        return "done.json"
    first = int(stored.get("seed") or 0)
    for seed in range(first, first + int(stored.get("seeds") or 1)):
        part = seed_folder(folder.root, seed)
        for name in ("evals.jsonl", *(f"{arm}/done.json" for arm in (BASE, *run.arms))):
            if not (part / name).exists():
                return f"{part.name}/{name}"
    return ""


def _differences(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[str, ...]:
    """Of settings that both know: a version may have added some since."""
    old, new = flatten(stored), flatten(wanted)
    return tuple(
        f"{key}={old[key]}"
        for key in new
        if key in old
        and repr(old[key]) != repr(new[key])
        and not any(key == name or key.startswith(f"{name}.") for name in MAY_DIFFER)
    )


def _require_source(config: ReproduceConfig, runs: Sequence[PlannedRun], run: PlannedRun) -> None:
    """ValueError where the policies that a run measures are neither there nor made by another."""
    source = str(run.policies_of)
    if any(each.study == source for each in runs):
        return
    root = source_root(config, source)
    if not RunFolder(root).is_done:
        raise ValueError(
            f"only must have {source}, whose policies {run.study} measures, or "
            f"studies.{source}.run a finished folder of it; got neither"
        )


def _key(override: str) -> str:
    """`+studies.mine.run=x` -> "studies"."""
    return override.lstrip("+~").split("=", 1)[0].split(".", 1)[0].split("@", 1)[0]
