"""Settings of verdicts, of reward models and of what learns from them; no torch here."""

from dataclasses import dataclass, field
from enum import Enum

from ..field_checks import require_at_least_zero, require_fraction, require_positive

REQUEST = (
    "{task}\n\nA proposed answer:\n{answer}\n\n"
    "Check it step by step. End with yes if it is right, else with no."
)


class RewardSource(str, Enum):
    """Who pays an answer in training; evaluation always asks the rule."""

    rule = "rule"  # the environment
    model = "model"  # a head trained on verdicts: the probability that the answer is right
    judge = "judge"  # a policy that reasons before its verdict: 1 or 0
    self = "self"  # the same by the policy that is trained, with its present weights


class RewardModelKind(str, Enum):
    head = "head"
    judge = "judge"


SOURCE_OF = {RewardModelKind.head: RewardSource.model, RewardModelKind.judge: RewardSource.judge}


@dataclass(kw_only=True, slots=True)
class ModelRewardConfig:
    """Who pays in GRPO (`grpo.reward`), and how a policy is asked to judge.

    path: the folder of a reward model, for the sources `model` and `judge`.
    request: what a judge reads; `{task}` stands for the observation, `{answer}` for the answer.
    max_new_tokens: of a judge's verdict.
    """

    source: RewardSource = RewardSource.rule
    path: str | None = None
    request: str = REQUEST
    max_new_tokens: int = 64

    def __post_init__(self) -> None:
        require_positive(self, "max_new_tokens")
        for part in ("{task}", "{answer}"):
            if part not in self.request:
                raise ValueError(f"reward.request must contain {part}; got {self.request!r}")
        if self.path is not None and self.source in (RewardSource.rule, RewardSource.self):
            raise ValueError(
                f"reward.path must be null with source={self.source.value}; got {self.path}"
            )


@dataclass(kw_only=True, slots=True)
class VerdictsConfig:
    """Answers of a policy with the rule's verdict on each (`verdicts`).

    num_tasks: training tasks. samples: answers to each. temperature: of sampling.
    held_out: share of tasks whose verdicts train nothing and measure reward models.
    answers: of the file of demonstrations, the share that are the policy's own right answers to
        the tasks; the others are verdicts told in words. For a policy that is to do both.
    """

    num_tasks: int = 512
    samples: int = 4
    temperature: float = 1.0
    held_out: float = 0.2
    answers: float = 0.5

    def __post_init__(self) -> None:
        require_positive(self, "num_tasks", "samples", "temperature")
        require_fraction(self, "held_out", "answers")
        for name in ("held_out", "answers"):
            if getattr(self, name) == 1:
                raise ValueError(f"{name} must be below 1; got 1")


@dataclass(kw_only=True, slots=True)
class RewardModelConfig:
    """A model of the rule's verdicts (`reward_model`); the section `sft` says how it is trained.

    kind: `head` classifies, `judge` writes its reasons and then its verdict.
    hidden_sizes: of the perceptron of a `head`; none is a linear map.
    """

    kind: RewardModelKind = RewardModelKind.head
    hidden_sizes: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        kinds = [kind.value for kind in RewardModelKind]
        if self.kind not in kinds:
            raise ValueError(
                f"reward_model.kind must be one of {', '.join(kinds)}; got {self.kind}"
            )
        self.kind = RewardModelKind(self.kind)
        if any(size < 1 for size in self.hidden_sizes):
            raise ValueError(f"hidden_sizes must be positive; got {self.hidden_sizes}")


@dataclass(kw_only=True, slots=True)
class DpoConfig:
    """Direct preference optimisation (`dpo`); the section `sft` says batch and optimizer.

    beta: how strongly the policy is held at the reference.
    label_smoothing: how often a verdict is taken to be wrong, below .5.
    per_prompt: pairs of a right and a wrong answer to one prompt, at most.
    """

    beta: float = 0.1
    label_smoothing: float = 0.0
    per_prompt: int = 2

    def __post_init__(self) -> None:
        require_positive(self, "beta", "per_prompt")
        require_at_least_zero(self, "label_smoothing")
        if not self.label_smoothing < 0.5:
            raise ValueError(f"label_smoothing must be below 0.5; got {self.label_smoothing}")
