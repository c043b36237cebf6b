"""The one configuration schema: every command reads the sections it needs.

`cardinal sft experiment=gp_l` and `cardinal compare experiment=gp_l` therefore mean the same
experiment. Defaults live here; YAML holds only what differs. Dataclasses are not frozen, because
OmegaConf refuses overrides of frozen ones; values are checked in `__post_init__`.
"""

from dataclasses import dataclass, field
from typing import Any

from ..agents.config import BuildConfig, PolicyConfig
from ..envs.general_points.config import MAX_CARDS, MIN_CARDS, AnswerFormat
from ..envs.street_nav.actions import Rule
from ..envs.street_nav.render.config import LOOKS
from ..envs.street_nav.wording import Wording
from .advantages import Credit
from .distributed_config import DistributedConfig
from .evaluation_config import EvaluateConfig, MetricKind
from .field_checks import require_at_least_zero, require_fraction, require_positive
from .grpo_config import Aggregation, CriticConfig, GrpoConfig, KLKind, LengthConfig
from .optim_config import BudgetConfig, OptimConfig, Schedule
from .plan_config import PlanConfig
from .suite_config import Axis, CellConfig, SuiteConfig, cell_envs, shifted

__all__ = [  # beside what is defined here
    "Aggregation",
    "Axis",
    "BudgetConfig",
    "CellConfig",
    "CriticConfig",
    "EvaluateConfig",
    "GrpoConfig",
    "KLKind",
    "LengthConfig",
    "MetricKind",
    "OptimConfig",
    "PlanConfig",
    "Schedule",
    "SuiteConfig",
    "cell_envs",
    "shifted",
]

WEIGHTLESS = ("random", "oracle", "human")  # policies that are no models
THOUGHT = "thought"  # a format of pretraining alone: the thought without tags and answer
FORMATS = [*(each.value for each in AnswerFormat), THOUGHT]


@dataclass(kw_only=True, slots=True)
class StreetsPretrainConfig:
    """The walks of broad pretraining in street navigation.

    rules, wordings: drawn independently of each other, except the pairs in `withheld`, written as
        "rule/wording".
    num_cities: cities walked in, with seeds from `first_city_seed` on.
    looks: of the cities, in turn; empty: all have the experiment's own. A look that is to be
        unseen must not be among them.
    """

    rules: list[str] = field(default_factory=lambda: [rule.value for rule in Rule])
    wordings: list[str] = field(default_factory=lambda: [wording.value for wording in Wording])
    withheld: list[str] = field(default_factory=list)
    num_cities: int = 4
    looks: list[str] = field(default_factory=list)
    first_city_seed: int = 1000

    def __post_init__(self) -> None:
        require_positive(self, "num_cities")
        require_at_least_zero(self, "first_city_seed")
        if self.looks:
            _require_names("looks", self.looks, list(LOOKS))
        pairs = [f"{rule}/{wording}" for rule in self.rules for wording in self.wordings]
        _require_names("rules", self.rules, [rule.value for rule in Rule])
        _require_names("wordings", self.wordings, [wording.value for wording in Wording])
        every = [f"{rule.value}/{wording.value}" for rule in Rule for wording in Wording]
        if self.withheld:
            _require_names("withheld", self.withheld, every)
        if not set(pairs) - set(self.withheld):
            raise ValueError(
                f"withheld must leave a pair of rules and wordings over; got {self.withheld}"
            )


@dataclass(kw_only=True, slots=True)
class PretrainConfig:
    """Broad supervised pretraining on many rules: stands in for the foundation model.

    face_range: values that J, Q and K may take (inclusive).
    allow_ood_faces: false keeps J = 11, Q = 12 and K = 13 each out of every rule (11-13 still occur
        as values of the other faces); true leaves out only the exact triple.
    revision_fraction: share of examples that begin with wrong attempts and their feedback, so that
        the base has seen a conversation of several turns.
    vision_steps: supervised steps for the vision tower alone (a 13-way head per card) beforehand.
    text_steps: supervised steps of an image policy on the same tasks with the cards in words, ahead
        of the pictures: a vision-language model grows from a language model that can do sums.
    seed: of the base; null takes the run's seed. With a number every seed of an experiment starts
        from one base, as every run of the study started from one foundation model.
    formats: share of examples by how they are answered, in General Points: one of its formats by
        name, or `thought`, what would stand in the tags alone. Empty: all in the experiment's own.
    streets: street navigation's own settings; the faces, targets and counts are General Points'.
    """

    budget: BudgetConfig = field(default_factory=lambda: BudgetConfig(steps=700))
    batch_size: int = 64
    optim: OptimConfig = field(
        default_factory=lambda: OptimConfig(lr=2e-3, schedule=Schedule.cosine, warmup_steps=30)
    )
    face_range: list[int] = field(default_factory=lambda: [1, 13])
    allow_ood_faces: bool = False
    targets: list[int] = field(default_factory=lambda: list(range(10, 41)))
    main_target_fraction: float = 0.5  # share of tasks with the environment's own target
    card_counts: list[int] = field(default_factory=lambda: [3, 4])
    main_count_fraction: float = 0.8  # share of tasks with the environment's own number of cards
    revision_fraction: float = 0.2
    max_wrong_attempts: int = 3
    vision_steps: int = 0
    text_steps: int = 0
    seed: int | None = None
    formats: dict[str, float] = field(default_factory=dict)
    vision_batch_size: int = 64
    vision_lr: float = 2e-3
    streets: StreetsPretrainConfig = field(default_factory=StreetsPretrainConfig)

    def __post_init__(self) -> None:
        require_positive(self, "batch_size", "vision_batch_size", "vision_lr", "max_wrong_attempts")
        require_at_least_zero(self, "vision_steps", "text_steps")
        require_fraction(self, "main_target_fraction", "main_count_fraction", "revision_fraction")
        if len(self.face_range) != 2 or self.face_range[0] > self.face_range[1]:
            raise ValueError(f"face_range must be [low, high]; got {self.face_range}")
        if self.formats:
            _require_names("formats", list(self.formats), FORMATS)
            if min(self.formats.values()) < 0 or abs(sum(self.formats.values()) - 1) > 1e-6:
                raise ValueError(f"formats must be shares that add up to 1; got {self.formats}")
        if not self.targets:
            raise ValueError("targets must name at least one target; got none")
        counts = self.card_counts
        if not counts or not all(MIN_CARDS <= count <= MAX_CARDS for count in counts):
            raise ValueError(
                f"card_counts must be numbers from {MIN_CARDS} to {MAX_CARDS}, at least one; "
                f"got {counts}"
            )


@dataclass(kw_only=True, slots=True)
class SftConfig:
    """Supervised fine-tuning on oracle episodes, loss on assistant tokens only.

    data: a JSONL file of chat `messages` (or the study's `conversations`), or the folder of an
        export; null generates episodes.
    num_demonstrations: how many different episodes are generated; more steps pass over them again,
        as training on a collected data set does. null: no episode comes twice.
    length_requests: share of the oracle's episodes whose prompt asks for the number of tokens that
        they have, in the words of `grpo.length.request`, so that a policy knows what RL with
        `grpo.length.kind=l1_exact` or `l1_max` will ask it.
    """

    budget: BudgetConfig = field(default_factory=lambda: BudgetConfig(steps=300))
    batch_size: int = 64
    optim: OptimConfig = field(default_factory=OptimConfig)
    aggregation: Aggregation = Aggregation.token_mean
    revision_fraction: float = 0.2
    max_wrong_attempts: int = 3
    data: str | None = None
    num_demonstrations: int | None = None
    length_requests: float = 0.0

    def __post_init__(self) -> None:
        require_positive(self, "batch_size", "max_wrong_attempts")
        if self.num_demonstrations is not None:
            require_positive(self, "num_demonstrations")
        require_fraction(self, "revision_fraction", "length_requests")
        if self.data is not None and self.length_requests:
            raise ValueError(
                "length_requests must be 0 with data, whose prompts stay as they are; "
                f"got {self.length_requests}"
            )


@dataclass(kw_only=True, slots=True)
class ExportConfig:
    """Oracle episodes written as a file of chat messages: those that the `sft` section describes.

    count: episodes. path: folder to write, new or empty; null: the run folder.
    """

    count: int = 1000
    path: str | None = None

    def __post_init__(self) -> None:
        require_positive(self, "count")


@dataclass(kw_only=True, slots=True)
class ExperimentConfig:
    """Everything one run needs. The run folder is `<output_dir>/<experiment>/<name>`.

    experiment, name, output_dir: the run folder is <output_dir>/<experiment>/<name>.
    seed: of everything random: tasks, weights, sampling; the first one of `compare`.
    resume: go on with the run folder that exists; without it a folder that exists is an error.
    threads: of torch, in every process.
    trackers: accelerate's, by name: tensorboard, wandb, ...; what they log is in metrics.jsonl too.
    checkpoint_every, keep_checkpoints: steps between two, and how many stay.
    distributed: how one policy is trained by several processes.
    env: the environment; choose it by the group (env=gp_text), its fields by env.<field>.
    policy: who answers; choose it by the group, or by policy.path=FOLDER_OR_HUB_NAME.
    suite: the cells of an evaluation.
    sft, grpo, evaluate: the stages of a run; grpo is the other arm of `compare`.
    pretrain, warmup: null leaves the stage out; a policy with a `path` is never pretrained.
    seeds: number of training seeds of `compare` (seed, seed + 1, ...).
    processes: how many arms `compare` trains at the same time; null: one per core, or a single one
        that distributed.num_processes train together.
    checkpoint_updates: also save after so many updates within a step of many, with the rollout that
        they train on; null: only between steps, and a step that is killed plays its rollout again.
    """

    experiment: str = "scratch"
    name: str = "default"
    output_dir: str = "runs"
    seed: int = 0
    seeds: int = 1
    resume: bool = False
    threads: int = 1
    processes: int | None = None
    trackers: list[str] = field(default_factory=lambda: ["tensorboard"])
    checkpoint_every: int = 50
    checkpoint_updates: int | None = None
    keep_checkpoints: int = 2
    distributed: DistributedConfig = field(default_factory=DistributedConfig)
    env: Any = None
    policy: PolicyConfig = field(
        default_factory=lambda: PolicyConfig(name="tiny_text", build=BuildConfig())
    )
    suite: SuiteConfig = field(default_factory=SuiteConfig)
    pretrain: PretrainConfig | None = field(default_factory=PretrainConfig)
    warmup: SftConfig | None = field(
        default_factory=lambda: SftConfig(budget=BudgetConfig(steps=20))
    )
    sft: SftConfig = field(default_factory=SftConfig)
    grpo: GrpoConfig = field(default_factory=GrpoConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
    plan: PlanConfig = field(default_factory=PlanConfig)

    def __post_init__(self) -> None:
        require_positive(self, "seeds", "threads", "checkpoint_every", "keep_checkpoints")
        require_at_least_zero(self, "seed")
        if self.processes is not None:
            require_positive(self, "processes")
        if self.checkpoint_updates is not None:
            require_positive(self, "checkpoint_updates")
        if self.policy.path is not None and self.policy.name in WEIGHTLESS:
            raise ValueError(
                f"policy.path must be left out with policy={self.policy.name}, which has no "
                f"weights; got {self.policy.path}"
            )
        if self.env is not None:
            self.suite = self.suite.fitted(self.env)
        request = self.grpo.length.request
        for name in ("warmup", "sft"):
            asks = getattr(getattr(self, name), "length_requests", 0) > 0
            if asks and "{tokens}" not in request:
                raise ValueError(
                    f"grpo.length.request must contain {{tokens}} with {name}.length_requests; "
                    f"got {request!r}"
                )
        judge = getattr(self.env, "refuse_paid_stalling", None)
        credit = self.grpo.credit
        if judge is not None and credit is not Credit.trajectory:  # the others add rewards up
            judge(self.grpo.discount, f"grpo.credit={credit.value}")
        for name in ("experiment", "name"):
            value = getattr(self, name)
            if not value or value.strip(".") != value or any(c in value for c in "/\\\0"):
                raise ValueError(f"{name} must be a plain folder name; got {value!r}")


def _require_names(name: str, values: list[str], allowed: list[str]) -> None:
    unknown = [value for value in values if value not in allowed]
    if unknown or not values:
        got = ", ".join(unknown) or "none"
        raise ValueError(f"{name} must be among {', '.join(allowed)}; got {got}")
