"""What an answer pays. On the rail every answer is right or wrong, in free movement only the end.

    rail       terms and what they pay
    study      action +1 right, -1 wrong; misread -0.5 more when a wrong action comes with a wrong
               `current observation` about the intersection (the paper's -1.5); with
               `punish_instruction` misled -0.75 more, in place of misread, when it comes with a
               wrong `current instruction` (the paper's -1.75)
    binary     accuracy 1 when right
    weighted   accuracy 1 when right; wrong -1 when not; format 1 for an object with all three
               fields and an allowed action; observation 1 when the field is right about the
               intersection and the landmark; instruction 1 when it names the sentence in force

    free       terms and what they pay
    study      action +1 for stopping within reach of the destination, -1 for stopping elsewhere and
               for what is no allowed action, 0 for every other move
    binary     accuracy 1 for stopping within reach
    weighted   accuracy as binary; wrong -1 as study; ndtw the walk's nDTW, at the stop

Terms of `weighted` are multiplied by `weights`. Source of `study`: https://arxiv.org/abs/2501.17161,
appendix. Departures: the observation is scored against the place, the action against the right
action (the study's code scores a right remark with a wrong action as a wrong remark); an answer
without the field counts as a wrong remark; the last wrong answer at a place gets its own reward and
no further -1. The study's -1.75 for a wrong instruction, which its code never pays, is off unless
asked for; of two faults in one answer the greater is paid.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from ..settings import member, require_flag, require_number
from .judge import Assessment

STUDY_RIGHT, STUDY_WRONG, STUDY_MISREAD, STUDY_MISLED = 1.0, -1.0, -0.5, -0.75
WEIGHTED_TERMS = ("accuracy", "wrong", "format", "observation", "instruction", "ndtw")


class RewardKind(str, Enum):
    study = "study"
    binary = "binary"
    weighted = "weighted"


@dataclass(kw_only=True, slots=True)
class RewardConfig:
    """How an answer is paid.

    weights: by term, for the kind `weighted`; a term that is not named weighs 0.
    punish_instruction: for the kind `study`, on the rail: a wrong action with a wrong or no
        `current instruction` pays -1.75, as the paper has it and its code does not.
    """

    kind: RewardKind = RewardKind.weighted
    weights: dict[str, float] = field(
        default_factory=lambda: {
            "accuracy": 1.0,
            "wrong": 0.3,
            "format": 0.1,
            "observation": 0.1,
            "instruction": 0.1,
        }
    )
    punish_instruction: bool = False

    def __post_init__(self) -> None:
        self.kind = member(RewardKind, "reward.kind", self.kind)
        require_flag("reward.punish_instruction", self.punish_instruction)
        if self.punish_instruction and self.kind is not RewardKind.study:
            raise ValueError(
                "reward.punish_instruction must be false unless reward.kind is study; got true "
                f"with {self.kind.value}"
            )
        unknown = set(self.weights) - set(WEIGHTED_TERMS)
        if unknown:
            raise ValueError(
                f"reward.weights must name {', '.join(WEIGHTED_TERMS)}; got {sorted(unknown)}"
            )
        for term, weight in self.weights.items():
            require_number(f"reward.weights.{term}", weight, "at least 0", 0.0, math.inf)


def rail_terms(assessment: Assessment, reward: RewardConfig) -> dict[str, float]:
    """The terms of one answer on the rail by name, before weighting."""
    is_right = assessment.is_right
    if reward.kind is RewardKind.binary:
        return {"accuracy": float(is_right)}
    if reward.kind is RewardKind.weighted:
        return {
            "accuracy": float(is_right),
            "wrong": 0.0 if is_right else -1.0,
            "format": float(assessment.is_well_formed),
            "observation": float(assessment.recognized),
            "instruction": float(assessment.instruction_right),
        }
    misled = reward.punish_instruction and not is_right and not assessment.instruction_right
    misread = not is_right and not misled and not assessment.intersection_right
    terms = {
        "action": STUDY_RIGHT if is_right else STUDY_WRONG,
        "misread": STUDY_MISREAD if misread else 0.0,
    }
    if reward.punish_instruction:
        terms["misled"] = STUDY_MISLED if misled else 0.0
    return terms


def free_terms(assessment: Assessment, ndtw: float, reward: RewardConfig) -> dict[str, float]:
    """The terms of one answer in free movement; `ndtw` is that of a walk that ends, else 0."""
    arrived, is_wrong = assessment.is_arrival, assessment.is_fault
    if reward.kind is RewardKind.binary:
        return {"accuracy": float(arrived)}
    if reward.kind is RewardKind.weighted:
        return {"accuracy": float(arrived), "wrong": -1.0 if is_wrong else 0.0, "ndtw": ndtw}
    return {"action": STUDY_RIGHT if arrived else STUDY_WRONG if is_wrong else 0.0}


def total_reward(terms: Mapping[str, float], reward: RewardConfig) -> float:
    """The weighted sum of the terms; weights are 1 except for the kind `weighted`."""
    if reward.kind is not RewardKind.weighted:
        return sum(terms.values())
    weights = reward.weights
    total = 0.0
    for name, value in terms.items():
        total += weights.get(name, 0.0) * value
    return total


def maximum_return(reward: RewardConfig, num_places: int | None) -> float:
    """The highest sum of rewards: of `num_places` right answers on the rail, or (None) of a walk.

    A walk that follows the route exactly has an nDTW of 1.
    """
    if reward.kind is not RewardKind.weighted:
        return 1.0 if num_places is None else float(num_places)
    weights = reward.weights
    if num_places is None:
        return weights.get("accuracy", 0.0) + weights.get("ndtw", 0.0)
    earned = ("accuracy", "format", "observation", "instruction")
    return num_places * sum(weights.get(term, 0.0) for term in earned)
