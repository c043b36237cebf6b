"""Stages with their settings worked out and their inputs found, before anything runs.

`planned(config)` merges what a stage says over the experiment's sections, typed and checked as if
it had been written there, and refuses what cannot work in one line with the stage's key.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ..checks import check_data, check_room, check_sight
from ..config import ExperimentConfig
from ..contamination import check_contamination
from ..evaluate import check_tasks
from ..judging.config import SOURCE_OF
from ..judging.pay import check_reward
from ..key_hints import did_you_mean
from ..override_errors import CONF, explain, groups
from .config import (
    LEARNS_VERDICTS,
    LEAVES_POLICY,
    SECTIONS,
    SELF,
    STARTS_FROM_POLICY,
    SUPERVISED,
    RecipeConfig,
    StageConfig,
    StageKind,
)

BY_NAME = ("rule", "visual")  # of an environment: given by a preset's name


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStage:
    """A stage ready to run.

    config: the experiment with this stage's settings in its sections.
    start: the stage whose policy it begins with; None for a base.
    policies: what an `evaluate` stage measures. pairs: (a, b), b to be compared with a.
    envs: by policy, the environment that an `evaluate` stage measures it in.
    """

    name: str
    stage: StageConfig
    config: ExperimentConfig
    start: str | None
    policies: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    envs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> StageKind:
        return self.stage.kind

    @property
    def needs(self) -> tuple[str, ...]:
        """The stages whose results this one reads."""
        stage = self.stage
        judges = (name for name in stage.judges if name != SELF)
        inputs = (self.start, stage.data, stage.judge, *self.policies, *judges)
        return tuple(dict.fromkeys(name for name in inputs if name is not None))


def planned(config: RecipeConfig) -> list[PlannedStage]:
    """Every stage of a recipe in order; ValueError in one line for what cannot work."""
    if not config.stages:
        known = ", ".join(groups().get("recipe", ()))
        raise ValueError(f"recipe must be one of {known}; got none (recipe=... chooses one)")
    plan: dict[str, PlannedStage] = {}
    for name, stage in config.stages.items():
        plan[name] = _planned(config, name, stage, plan)
    _check_requests(list(plan.values()))
    return list(plan.values())


def check_plan(plan: list[PlannedStage]) -> None:
    """What needs tasks to be dealt: they must exist, fit, and not be evaluation tasks; and what
    stages are given from outside: demonstrations that can be read, pictures for who can see.

    Raises ValueError in one line with the stage's name.
    """
    seen: list[tuple[str, Any]] = []
    for each in plan:
        config, stream = each.config, "pretrain" if each.kind is StageKind.pretrain else "sft"
        try:
            if each.kind is StageKind.grpo and each.stage.judge is None:
                check_reward(config)
            if each.kind is StageKind.sft and each.stage.data is None:
                check_data(config, ["sft"], None)
            check_sight(config)
            check_room(config, ["grpo"] if each.kind is StageKind.grpo else [], None)
            if (stream, config.env) in seen:
                continue
            seen.append((stream, config.env))
            if each.kind is StageKind.evaluate:
                check_tasks(config.env, config.suite, config.evaluate)
            elif stream != "pretrain" or config.policy.path is None:
                check_contamination(config, [stream])
        except ValueError as error:
            raise ValueError(f"stages.{each.name}: {error}") from error


def _planned(
    config: RecipeConfig, name: str, stage: StageConfig, before: Mapping[str, PlannedStage]
) -> PlannedStage:
    _refuse_unused(name, stage)
    policies = [key for key, each in before.items() if each.kind in LEAVES_POLICY]
    start = None
    if stage.kind in STARTS_FROM_POLICY:
        start = stage.start or (policies[-1] if policies else None)
        if start is None:
            raise ValueError(f"stages.{name}.start must be a stage before it that leaves a policy; "
                             "got none: let the recipe begin with kind: pretrain")  # fmt: skip
        _require(f"stages.{name}.start", start, policies, "that leaves a policy")
    _check_data(name, stage, before)
    models = [key for key, each in before.items() if each.kind is StageKind.reward_model]
    for key, given in (("judge", [stage.judge] if stage.judge else []), ("judges", stage.judges)):
        for each in given:
            known = [*models, SELF] if key == "judges" else models
            _require(f"stages.{name}.{key}", each, known, "of kind reward_model")
    measured = stage.policies or policies if stage.kind is StageKind.evaluate else []
    for each in measured:
        _require(f"stages.{name}.policies", each, policies, "that leaves a policy")
    for each in (key for pair in stage.pairs for key in pair):
        _require(f"stages.{name}.pairs", each, measured, "that it measures")
    if stage.kind is StageKind.evaluate and not measured:
        raise ValueError(f"stages.{name}.policies must name a stage that leaves a policy; got none")
    settings = _stage_config(config, name, stage, before)
    own = {key: before[key].config.env for key in measured if stage.own_env}
    return PlannedStage(
        name=name,
        stage=stage,
        config=settings,
        start=start,
        policies=tuple(measured),
        pairs=tuple((a, b) for a, b in stage.pairs),
        envs={key: own.get(key, settings.env) for key in measured},
    )


def _refuse_unused(name: str, stage: StageConfig) -> None:
    """Settings that a stage of this kind would not look at."""
    kind = stage.kind
    uses: dict[str, bool] = {
        "start": kind in STARTS_FROM_POLICY,
        "data": kind in SUPERVISED,
        "share": kind in (*SUPERVISED, StageKind.grpo),
        "algorithm": kind is StageKind.grpo,
        "pretrain": kind is StageKind.pretrain,
        "sft": kind in SUPERVISED,
        "grpo": kind not in (StageKind.pretrain, StageKind.sft, StageKind.dpo),
        "judge": kind is StageKind.grpo,
        "judges": kind is StageKind.evaluate,
        "policies": kind is StageKind.evaluate,
        "pairs": kind is StageKind.evaluate,
        "own_env": kind is StageKind.evaluate,
        "asked_tokens": kind is StageKind.evaluate,
    }
    for key, is_used in uses.items():
        if getattr(stage, key) and not is_used:
            raise ValueError(
                f"stages.{name}.{key} must be left out where kind is {kind.value}; "
                f"got {getattr(stage, key)}"
            )


def _check_data(name: str, stage: StageConfig, before: Mapping[str, PlannedStage]) -> None:
    """Whether what a stage learns from is made before it."""
    wanted: tuple[StageKind, ...] = (StageKind.verdicts,)
    if stage.kind not in LEARNS_VERDICTS:
        wanted = (StageKind.reject_sample, StageKind.verdicts)
    made = [key for key, each in before.items() if each.kind in wanted]
    which = f"of kind {' or '.join(kind.value for kind in wanted)}"
    if stage.data is not None or stage.kind in LEARNS_VERDICTS:
        _require(f"stages.{name}.data", stage.data or "none", made, which)


def _check_requests(plan: list[PlannedStage]) -> None:
    """Whether demonstrations that are asked for a length can be, and are followed by one that asks.

    Only what the recipe itself asks counts: a stage of RL that pays for it, or an evaluation.
    """
    asks = any(
        each.stage.asked_tokens or (each.kind is StageKind.grpo and each.config.grpo.length.asks)
        for each in plan
    )
    for each in plan:
        share = each.config.sft.length_requests if each.kind is StageKind.sft else 0
        key = f"stages.{each.name}.sft.length_requests"
        if share and each.stage.data is not None:
            raise ValueError(f"{key} must be 0 with data, whose prompts stay as they are; "
                             f"got {share}")  # fmt: skip
        if share and not asks:
            raise ValueError(f"{key} must be 0 in a recipe that asks for no length later "
                             f"(grpo.length.kind, asked_tokens); got {share}")  # fmt: skip


def _require(key: str, name: str, known: list[str], which: str) -> None:
    if name not in known:
        raise ValueError(
            f"{key} must be a stage before it {which}: {', '.join(known) or 'there is none'}; "
            f"got {name}{did_you_mean(name, known)}"
        )


def _stage_config(
    config: RecipeConfig, name: str, stage: StageConfig, before: Mapping[str, PlannedStage]
) -> ExperimentConfig:
    """The experiment with the stage's settings in its sections."""
    changes: dict[str, Any] = {key: getattr(stage, key) for key in SECTIONS}
    if stage.algorithm is not None:
        changes["grpo"] = _merged(_algorithm(name, stage.algorithm), stage.grpo)
    if stage.share is not None:
        budget = {"steps": None, "tflops": stage.share * config.tflops}
        section = "sft" if stage.kind in SUPERVISED else "grpo"
        changes[section] = _merged({"budget": budget}, changes[section])
    if stage.judge is not None:
        source = SOURCE_OF[before[stage.judge].stage.reward_model.kind]
        changes["grpo"] = _merged({"reward": {"source": source.value}}, changes["grpo"])
    made: dict[str, Any] = {}
    for key, given in changes.items():
        where = f"stages.{name}.{key}"
        if given:
            made[key] = changed(getattr(config, key), given, where)
    fields = [each.name for each in dataclasses.fields(ExperimentConfig)]
    own = {key: getattr(config, key) for key in fields}
    try:
        return ExperimentConfig(**{**own, **made})
    except ValueError as error:
        raise ValueError(f"stages.{name}: {error}") from error


def changed(section: Any, given: Mapping[str, Any], where: str) -> Any:
    """A section with some settings replaced, nested ones one by one; typed as in YAML.

    Rules and looks of an environment may be given by name. ValueError, with the full key, for an
    unknown key or a bad value; where: the section's own key.
    """
    if section is None:
        raise ValueError(f"{where} must belong to a section that is not null; got {dict(given)}")
    by_name = {key: given[key] for key in BY_NAME if isinstance(given.get(key), str)}
    rest = {key: value for key, value in given.items() if key not in by_name}
    try:
        if by_name:
            section = section.shifted(**by_name)
        made = OmegaConf.merge(OmegaConf.structured(section), rest)
        return OmegaConf.to_object(made)
    except OmegaConfBaseException as error:
        raise ValueError(f"{where}.{explain(error)}") from error
    except ValueError as error:
        raise ValueError(f"{where}.{error}") from error


def _algorithm(stage: str, name: str) -> dict[str, Any]:
    """The settings of a choice of the group `algorithm`."""
    known = groups()["algorithm"]
    if name not in known:
        raise ValueError(
            f"stages.{stage}.algorithm must be one of {', '.join(known)}; "
            f"got {name}{did_you_mean(name, known)}"
        )
    return _preset(name)


def _preset(name: str) -> dict[str, Any]:
    """What a file of the group sets, over the one that it begins with."""
    text = (files(CONF) / "algorithm" / f"{name}.yaml").read_text(encoding="utf-8")
    own: dict[str, Any] = yaml.safe_load(text)
    first = [base for base in own.pop("defaults", []) if base != "_self_"]
    found: dict[str, Any] = {}
    for base in first:
        found = _merged(found, _preset(base))
    return _merged(found, own)


def _merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings, the second over the first."""
    found = dict(first)
    for key, value in second.items():
        old = found.get(key)
        nested = isinstance(old, Mapping) and isinstance(value, Mapping)
        found[key] = _merged(found[key], value) if nested else value
    return found
