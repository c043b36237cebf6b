"""What `cardinal reproduce` is told: studies as data, and the published figures beside them.

A study is one experiment of `compare`, alone or in several variants, or the evaluation of policies
that another study trained. The figures are those of arXiv 2501.17161 (*SFT Memorizes, RL
Generalizes*); the YAML says where each stands.
"""

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from ..config import ExperimentConfig
from ..field_checks import require_at_least_zero, require_positive
from ..key_hints import did_you_mean

ARMS = ("sft", "grpo")
BASE, REFERENCE = "base", "reference"  # what an arm may be compared with
POLICIES = (BASE, *ARMS)


class Measure(str, Enum):
    success = "success"  # share of episodes solved within the allowed attempts
    steps = "steps"  # share of right answers over walks


@dataclass(kw_only=True, slots=True)
class CellClaim:
    """One cell of a study, and what was published of it, in per cent.

    cell: of the experiment's suite. start, rl, sft: before training and after each kind of it.
    about: how ours differs, in a few words. further: a second reading of a published cell, outside
    the six.
    """

    title: str
    cell: str
    measure: Measure = Measure.success
    start: float
    rl: float
    sft: float
    about: str = ""
    further: bool = False

    @property
    def published(self) -> dict[str, float]:
        """The paper's rates in per cent, by what here has the same part."""
        return dict(zip(POLICIES, (self.start, self.sft, self.rl), strict=True))


@dataclass(kw_only=True, slots=True)
class SideClaim:
    """A published finding beside the six cells, as the sign of a difference.

    says: the finding in one line. arm less against, of `variant`, on `cell`; `against` may be
    `reference`, the base of the study's `reference`. sign: 1, -1, or 0 where no change was found.
    """

    says: str
    cell: str
    arm: str
    sign: int
    against: str = BASE
    variant: str = ""

    def __post_init__(self) -> None:
        if self.sign not in (-1, 0, 1):
            raise ValueError(f"sign must be -1, 0 or 1; got {self.sign}")
        for name, allowed in (("arm", POLICIES), ("against", (*POLICIES, REFERENCE))):
            if getattr(self, name) not in allowed:
                got = getattr(self, name)
                raise ValueError(f"{name} must be one of {', '.join(allowed)}; got {got}")


@dataclass(kw_only=True, slots=True)
class Pace:
    """Minutes of one core that the parts of one seed took on the reference machine.

    tflops: the budget of the arms then. pretrain: of a base that is not in the cache, once.
    """

    tflops: float = 5.0
    pretrain: float = 0.0
    base: float = 1.0
    sft: float = 4.0
    grpo: float = 8.0

    def __post_init__(self) -> None:
        require_positive(self, "tflops", "base", "sft", "grpo")
        require_at_least_zero(self, "pretrain")


@dataclass(kw_only=True, slots=True)
class StudyConfig:
    """One question, and the runs that answer it.

    title, about: in reports. experiment: a choice of the group of that name.
    settings: overrides of it. variants: further ones by name, one run each; none: a single run.
    full: overrides in the place of experiment and settings for a policy given by path; empty: the
        study is not part of the full size.
    arms: what is trained from the base. seeds: at most so many; null: as many as asked for.
    policies_of: train nothing; measure the final policies of this study. turns: published gain of
        RL, in points, by allowed attempts; the largest is what episodes are played with.
    reference: the study whose base the claims may compare with.
    run: a finished run folder of `compare` to take in the place of running; of a study with
        variants, the folder that holds one by each name.
    """

    title: str = ""
    about: str = ""
    experiment: str = ""
    settings: list[str] = field(default_factory=list)
    variants: dict[str, list[str]] = field(default_factory=dict)
    full: list[str] = field(default_factory=list)
    arms: list[str] = field(default_factory=lambda: list(ARMS))
    seeds: int | None = None
    policies_of: str | None = None
    turns: dict[int, float] = field(default_factory=dict)
    reference: str | None = None
    cells: list[CellClaim] = field(default_factory=list)
    claims: list[SideClaim] = field(default_factory=list)
    pace: Pace = field(default_factory=Pace)
    run: str | None = None

    def __post_init__(self) -> None:
        if self.seeds is not None:
            require_positive(self, "seeds")
        if not self.experiment:
            raise ValueError("experiment must name an experiment; got none")
        unknown = [arm for arm in self.arms if arm not in ARMS]
        if unknown:
            raise ValueError(f"arms must be among {', '.join(ARMS)}; got {unknown[0]}")
        for name in self.variants:
            if not name.replace("_", "").isalnum():
                raise ValueError(f"variants must be named by letters, digits and _; got {name!r}")
        unknown = [claim.variant for claim in self.claims if claim.variant not in self.names]
        if unknown:
            raise ValueError(
                f"claims must be of variants {', '.join(self.names)}; got {unknown[0]!r}"
            )
        if bool(self.turns) != (self.policies_of is not None) or any(t < 1 for t in self.turns):
            raise ValueError("turns must be positive and go with policies_of; got one alone")

    @property
    def names(self) -> list[str]:
        """Of the variants; of a single run, an empty one."""
        return list(self.variants) or [""]


@dataclass(kw_only=True, slots=True)
class ReproduceConfig(ExperimentConfig):
    """All studies. What is typed beside the settings below goes to every study's experiment.

    only: the studies to run, by name; empty: all that have the size asked for.
    dry_run: print what would run and what it would cost, and stop.
    report_only: run nothing; write the report of what has finished, also while others go on.
    full_size: overrides that every study's `full` begins with.
    """

    studies: dict[str, StudyConfig] = field(default_factory=dict)
    only: list[str] = field(default_factory=list)
    dry_run: bool = False
    report_only: bool = False
    full_size: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        ExperimentConfig.__post_init__(self)  # super() does not work in a class with slots
        for name in self.only:
            self._require("only", name)
        for name, study in self.studies.items():
            if not name.replace("_", "").isalnum():
                raise ValueError(f"studies must be named by letters, digits and _; got {name!r}")
            for key in ("policies_of", "reference"):
                if getattr(study, key) is not None:
                    self._require(f"studies.{name}.{key}", getattr(study, key))

    @property
    def is_full_size(self) -> bool:
        """Whether a policy was chosen that somebody else has pretrained."""
        return self.policy.path is not None

    @property
    def chosen(self) -> list[str]:
        """Names of the studies to run, in their order; those that others need are not added."""
        if self.only:
            return [name for name in self.studies if name in self.only]
        return [name for name, study in self.studies.items() if study.full or not self.is_full_size]

    def _require(self, key: str, name: str) -> None:
        if name not in self.studies:
            known = list(self.studies)
            raise ValueError(
                f"{key} must be among the studies {', '.join(known)}; "
                f"got {name}{did_you_mean(name, known)}"
            )


def reproduce_root(config: ReproduceConfig) -> Path:
    return Path(config.output_dir) / "reproduce" / config.name
