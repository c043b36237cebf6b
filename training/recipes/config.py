"""What a stage is, and the configuration of `cardinal run`.

A recipe is data: an ordered mapping of stages by name, each with what differs from the experiment's
own sections. The stage kinds are the trainer's parts; nothing here trains.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ..config import ExperimentConfig
from ..field_checks import require_fraction, require_positive
from ..judging.config import DpoConfig, RewardModelConfig, VerdictsConfig
from ..override_errors import explain


class StageKind(str, Enum):
    pretrain = "pretrain"  # the base: broad pretraining (cached), or the policy given by path
    sft = "sft"  # supervised: the oracle's episodes, or answers that another stage accepted
    grpo = "grpo"  # reinforcement learning of any kind that the section `grpo` describes
    reject_sample = "reject_sample"  # a policy answers; the right answers are kept
    verdicts = "verdicts"  # a policy answers; every answer is kept with the rule's verdict
    reward_model = "reward_model"  # a model of the verdicts, which may pay in `grpo`
    dpo = "dpo"  # preference optimisation on pairs of right and wrong answers
    evaluate = "evaluate"  # measures policies on the suite; trains nothing


LEAVES_POLICY = (StageKind.pretrain, StageKind.sft, StageKind.grpo, StageKind.dpo)
STARTS_FROM_POLICY = (
    StageKind.sft, StageKind.grpo, StageKind.reject_sample, StageKind.verdicts,
    StageKind.reward_model, StageKind.dpo,
)  # fmt: skip
SUPERVISED = (StageKind.sft, StageKind.reward_model, StageKind.dpo)  # by the section `sft`
LEARNS_VERDICTS = (StageKind.reward_model, StageKind.dpo)
SELF = "self"  # among `judges`: every policy judges its own answers
SECTIONS = ("env", "pretrain", "sft", "grpo")  # of the experiment that a stage may change


@dataclass(kw_only=True, slots=True)
class RejectionConfig:
    """How answers are sampled and which are kept (`reject_sample`).

    num_tasks: training tasks. samples: answers to each. temperature: of sampling.
    per_task: right answers kept of one task, the first of them; more would repeat easy tasks.
    sound: keep an answer only if every step of its thought is true.
    min_consistency: share of a thought's marks that must be English, its prompt's language.
    """

    num_tasks: int = 512
    samples: int = 4
    temperature: float = 1.0
    per_task: int = 1
    sound: bool = True
    min_consistency: float = 0.0

    def __post_init__(self) -> None:
        require_positive(self, "num_tasks", "samples", "temperature", "per_task")
        require_fraction(self, "min_consistency")


@dataclass(kw_only=True, slots=True)
class StageConfig:
    """One stage of a recipe.

    start: the stage whose policy this one begins with; null: the nearest before it that leaves one.
    data: `sft` learns the answers that this `reject_sample` stage kept, or the answers and told
        verdicts of a `verdicts` stage; null: the oracle's. `reward_model` and `dpo` learn from the
        `verdicts` stage named here.
    share: budget as a share of the recipe's `tflops`; null: the budget of the section.
    algorithm: a choice of the group `algorithm`, for this stage; null: the experiment's.
    env, pretrain, sft, grpo: what differs from the experiment's sections.
    reject, verdicts, reward_model, dpo: of the kinds of these names.
    judge: `grpo` is paid by this `reward_model` stage's model; null: as `grpo.reward` says.
    judges: `reward_model` stages that score what `evaluate` plays, beside the rule; `self`: each
        policy its own answers.
    policies: stages that `evaluate` measures; empty: every one before it that leaves a policy.
    pairs: `[a, b]` in addition to every policy with the one it began with: b is compared with a.
    own_env: `evaluate` measures every policy in the environment of its own stage, with the tools
        that it was trained with, on the same tasks; false: all in this stage's.
    asked_tokens: `evaluate` asks for each of these numbers of tokens in turn, in the words of
        `grpo.length.request`; empty: it asks for none.
    """

    kind: StageKind
    start: str | None = None
    data: str | None = None
    share: float | None = None
    algorithm: str | None = None
    env: dict[str, Any] = field(default_factory=dict)
    pretrain: dict[str, Any] = field(default_factory=dict)
    sft: dict[str, Any] = field(default_factory=dict)
    grpo: dict[str, Any] = field(default_factory=dict)
    reject: RejectionConfig = field(default_factory=RejectionConfig)
    verdicts: VerdictsConfig = field(default_factory=VerdictsConfig)
    reward_model: RewardModelConfig = field(default_factory=RewardModelConfig)
    dpo: DpoConfig = field(default_factory=DpoConfig)
    judge: str | None = None
    judges: list[str] = field(default_factory=list)
    policies: list[str] = field(default_factory=list)
    pairs: list[list[str]] = field(default_factory=list)
    own_env: bool = False
    asked_tokens: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.share is not None:
            require_positive(self, "share")
        if any(len(pair) != 2 for pair in self.pairs):
            raise ValueError(f"pairs must be lists of two stages, [a, b]; got {self.pairs}")
        if any(count < 1 for count in self.asked_tokens):
            raise ValueError(f"asked_tokens must be positive; got {self.asked_tokens}")


@dataclass(kw_only=True, slots=True)
class RecipeConfig(ExperimentConfig):
    """An experiment whose training is a pipeline. The sections `warmup` and `sft` hold what its
    stages have in common; `stages` is in the order in which they run.

    about: what the recipe shows, in one line of its report.
    tflops: the compute that shares of stages refer to (6 N per trained and 2 N per sampled token).
    stages: of `StageConfig`, or mappings of its fields (`Any`, because OmegaConf makes no dataclass
        on the way to a stage of one's own: `+stages.mine.kind=grpo`).
    """

    about: str = ""
    tflops: float = 4.0
    stages: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ExperimentConfig.__post_init__(self)  # super() does not work in a class with slots
        require_positive(self, "tflops")
        self.stages = {name: as_stage(name, stage) for name, stage in self.stages.items()}


_OWN_SETTINGS: dict[str, Any] = {
    "reject": RejectionConfig,
    "verdicts": VerdictsConfig,
    "reward_model": RewardModelConfig,
    "dpo": DpoConfig,
}


def as_stage(name: str, stage: Any) -> StageConfig:
    """A stage from a mapping of its fields; ValueError, with its key, for what is none."""
    if isinstance(stage, StageConfig):
        return stage
    where = f"stages.{name}"
    if not name.replace("_", "").isalnum():
        raise ValueError(f"{where} must be named by letters, digits and _; got {name!r}")
    known = StageConfig.__dataclass_fields__
    if not isinstance(stage, Mapping) or "kind" not in stage:
        raise ValueError(f"{where} must be a section with a kind; got {stage!r}")
    unknown = [key for key in stage if key not in known]
    if unknown:
        raise ValueError(f"{where} must have keys among {', '.join(known)}; got {unknown[0]}")
    given = dict(stage)
    kinds = [kind.value for kind in StageKind]
    if given["kind"] not in kinds:
        raise ValueError(f"{where}.kind must be one of {', '.join(kinds)}; got {given['kind']}")
    for key, settings in _OWN_SETTINGS.items():
        if isinstance(given.get(key), Mapping):
            given[key] = _typed(settings, given[key], f"{where}.{key}")
    made: StageConfig = _typed(StageConfig, given, where)
    return made


def _typed(kind: type, given: Mapping[str, Any], where: str) -> Any:
    """A dataclass from a mapping of its fields; ValueError, with the full key, for bad ones."""
    try:
        return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(kind), dict(given)))
    except OmegaConfBaseException as error:
        raise ValueError(f"{where}.{explain(error)}") from error
    except ValueError as error:
        raise ValueError(f"{where}.{error}") from error
