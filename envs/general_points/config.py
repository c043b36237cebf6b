"""Everything that can be set about General Points, with the defaults; rules are data, not code."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from ..core import MAX_TEXT_CHARS
from ..settings import (
    Modality,
    PromptStyle,
    Split,
    as_list,
    did_you_mean,
    member,
    require_flag,
    require_number,
)
from .render.config import VISUALS, VisualConfig, as_visual
from .rules import OPERATORS, RULES, Rule, as_rule, preset_rule, require_short_int
from .thought import ThoughtConfig, as_thought
from .tools import GeneralPointsTools, as_tools

__all__ = [  # beside what is defined here
    "OPERATORS",
    "RULES",
    "VISUALS",
    "Modality",
    "PromptStyle",
    "Rule",
    "Split",
    "VisualConfig",
]

MIN_CARDS, MAX_CARDS = 2, 6


class AnswerFormat(str, Enum):
    json = "json"  # the study's object with `cards`, `number` and `formula`
    steps = "steps"  # the same with `steps`, the working, between `number` and `formula`
    tagged = "tagged"  # reasoning first, then the same object inside <answer> tags


class RewardKind(str, Enum):
    study = "study"
    binary = "binary"
    weighted = "weighted"


class EpisodeReturn(str, Enum):
    """What an episode of several answers is worth."""

    last = "last"  # the reward of the last answer
    sum = "sum"
    discounted = "discounted"  # sum of discount^k * reward_k


class FeedbackKind(str, Enum):
    none = "none"
    verdict = "verdict"  # the paper's: only that the answer is wrong
    detail = "detail"  # also which numbers are unused or invalid


class OracleStyle(str, Enum):
    first = "first"
    shortest = "shortest"
    random = "random"


THOUGHT_TERMS = ("tags", "consistency")  # of what stands before the answer (see `trace.py`)
WEIGHTED_TERMS = ("accuracy", "format", "recognition", *THOUGHT_TERMS)


@dataclass(kw_only=True, slots=True)
class RewardConfig:
    """How an answer is paid; see `reward.py` for the terms of each kind.

    weights: by term, for the kind `weighted`; a term that is not named weighs 0.
    """

    kind: RewardKind = RewardKind.weighted
    weights: dict[str, float] = field(
        default_factory=lambda: {"accuracy": 1.0, "format": 0.1, "recognition": 0.1}
    )

    def __post_init__(self) -> None:
        self.kind = member(RewardKind, "reward.kind", self.kind)
        terms = ", ".join(WEIGHTED_TERMS)
        if not isinstance(self.weights, Mapping):
            raise ValueError(f"reward.weights must map {terms} to numbers; got {self.weights!r}")
        unknown = [term for term in self.weights if term not in WEIGHTED_TERMS]
        if unknown:
            raise ValueError(f"reward.weights must name {terms}; got {unknown}")
        for term, weight in self.weights.items():
            require_number(f"reward.weights.{term}", weight, "a number, at least 0", 0.0, math.inf)

    @property
    def pays_thoughts(self) -> bool:
        """Whether a term looks at the thought before the answer."""
        is_named = not self.weights.keys().isdisjoint(THOUGHT_TERMS)
        return self.kind is RewardKind.weighted and is_named


def as_reward(value: RewardConfig | Mapping[str, Any] | str) -> RewardConfig:
    """A reward from a kind's name, a mapping of fields, or a reward; else ValueError."""
    if isinstance(value, RewardConfig):
        return value
    if isinstance(value, str):
        return RewardConfig(kind=member(RewardKind, "reward", value))
    if not isinstance(value, Mapping):
        kinds = ", ".join(kind.value for kind in RewardKind)
        raise ValueError(
            f"reward must be a kind ({kinds}), a mapping with kind and weights, or a RewardConfig; "
            f"got {value!r}"
        )
    unknown = [key for key in value if key not in ("kind", "weights")]
    if unknown:
        raise ValueError(f"reward must have kind and weights; got {unknown}")
    return RewardConfig(**value)


@dataclass(kw_only=True, slots=True)
class GeneralPointsConfig:
    """One General Points environment.

    modality: cards in the text or in a picture.
    target: the number that a formula must reach.
    num_cards: 2 to 6. replacement: whether one deal may hold a card twice.
    split: tasks to deal: of the training half, the held-out half, or all.
    prompt: the study's fields explained in sentences, or a few dozen words for tiny policies.
    answer: the study's JSON, JSON with the working written out, or tagged reasoning before JSON.
    reward: what an answer is paid. max_turns: answers that an episode allows.
    feedback: after a wrong answer: nothing, the verdict (the paper's), or what is at fault in it.
    episode_return: what an episode is worth: its last answer, the sum, or a sum with `discount`.
    discount: per turn, of `episode_return=discounted`.
    oracle_style: which of the solutions the oracle writes.
    rule, visual: a preset's name, a mapping of fields, or the dataclass itself.
    targets: when not empty, each episode draws its target from these instead of `target`.
    rules: when not empty, each episode draws its rule from these instead of `rule`, for training on
        several rules at once; a shift to a `rule` is to that rule alone.
    require_face_card: every hand holds at least one J, Q or K.
    solvable_only: hands must be solvable under `rule` and under every rule of `solvable_under`.
    solvable_under: the rules compared with each other; hands are drawn among those solvable under
        all of them, so that one seed gives the same hand under each.
    split_rule: the rule whose values decide which hands are held out (the training rule).
    held_out_fraction: of all canonical ids, by a hash salted with `split_salt`.
    thought: how the oracle thinks aloud before a tagged answer; null: it works the solution out.
    tools: what may be asked before an answer; calls are turns of their own with their own budgets.
    """

    id: str = "cardinal/GeneralPoints-v0"
    modality: Modality = Modality.text
    rule: Rule = field(default_factory=lambda: preset_rule("faces_as_ten"))
    target: int = 24
    targets: list[int] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    num_cards: int = 4
    replacement: bool = False
    require_face_card: bool = False
    solvable_only: bool = True
    solvable_under: list[Rule] = field(
        default_factory=lambda: [preset_rule("faces_as_ten"), preset_rule("faces_as_ranks")]
    )
    split: Split = Split.train
    split_rule: Rule = field(default_factory=lambda: preset_rule("faces_as_ten"))
    held_out_fraction: float = 0.5
    split_salt: int = 0
    prompt: PromptStyle = PromptStyle.study
    answer: AnswerFormat = AnswerFormat.json
    reward: RewardConfig = field(default_factory=RewardConfig)
    episode_return: EpisodeReturn = EpisodeReturn.last
    discount: float = 0.9
    max_turns: int = 5
    feedback: FeedbackKind = FeedbackKind.verdict
    visual: VisualConfig = field(default_factory=lambda: as_visual("black_suits"))
    oracle_style: OracleStyle = OracleStyle.first
    thought: ThoughtConfig | None = None
    tools: GeneralPointsTools = field(default_factory=GeneralPointsTools)
    max_answer_chars: int = MAX_TEXT_CHARS

    def __post_init__(self) -> None:
        self._coerce()
        for name in ("target", "num_cards", "split_salt", "max_turns", "max_answer_chars"):
            require_short_int(name, getattr(self, name))
        self.targets = as_list("targets", self.targets, "a list of integers")
        for target in self.targets:
            require_short_int("targets", target)
        if not MIN_CARDS <= self.num_cards <= MAX_CARDS:
            raise ValueError(f"num_cards must be {MIN_CARDS} to {MAX_CARDS}; got {self.num_cards}")
        for name in ("replacement", "require_face_card", "solvable_only"):
            require_flag(name, getattr(self, name))
        for name in ("held_out_fraction", "discount"):
            require_number(name, getattr(self, name), "in [0, 1]", 0.0, 1.0)
        if self.max_turns < 1:
            raise ValueError(f"max_turns must be at least 1; got {self.max_turns}")
        if self.max_answer_chars < 1:
            raise ValueError(f"max_answer_chars must be at least 1; got {self.max_answer_chars}")
        if self.episode_return is not EpisodeReturn.last:
            summed = self.episode_return is EpisodeReturn.sum
            self.refuse_paid_stalling(1.0 if summed else self.discount, "episode_return")

    def refuse_paid_stalling(self, discount: float, where: str) -> None:
        """Raise ValueError if wrong answers earn more than waiting costs, when rewards add up.

        discount: per turn, of the sum of rewards. where: the setting that adds them up, for the
            message.
        """
        if self.reward.kind is not RewardKind.weighted or self.max_turns < 2:
            return
        partial = sum(w for term, w in self.reward.weights.items() if term != "accuracy")
        whole = sum(self.reward.weights.values())
        if partial > (1.0 - discount) * whole:
            raise ValueError(
                f"{where} must not add up paid wrong answers (up to {partial:g} each, and waiting "
                f"costs {(1.0 - discount) * whole:g}): answering wrongly on purpose would earn "
                "more; lower reward.weights of all terms but accuracy, or the discount"
            )

    @property
    def compared_rules(self) -> tuple[Rule, ...]:
        """The rules in force, the split's rule and those of `solvable_under`."""
        return (*self.rules_in_force, self.split_rule, *self.solvable_under)

    @property
    def rules_in_force(self) -> tuple[Rule, ...]:
        """Those that an episode may have."""
        return tuple(self.rules) or (self.rule,)

    def single_attempt(self) -> "GeneralPointsConfig":
        """The same tasks without revision: the first answer counts."""
        return replace(self, max_turns=1)

    def shifted(self, **changes: Any) -> "GeneralPointsConfig":
        """A copy with some fields replaced.

        A look given by name or by some of its fields keeps this canvas; rules given so, in `rule`,
        `rules` or `solvable_under`, keep the allowed operators.
        """
        if "rule" in changes:
            changes = {"rules": [], **changes, "rule": self._own_rule("rule", changes["rule"])}
        for name in ("rules", "solvable_under"):
            if name in changes:
                given = as_list(name, changes[name], "a list of rules")
                rules = [self._own_rule(f"{name}[{k}]", rule) for k, rule in enumerate(given)]
                changes = {**changes, name: rules}
        look = changes.get("visual")
        if isinstance(look, str):
            canvas = {"width": self.visual.width, "height": self.visual.height}
            changes = {**changes, "visual": as_visual(look, **canvas)}
        elif isinstance(look, Mapping):
            canvas = {"width": self.visual.width, "height": self.visual.height}
            changes = {**changes, "visual": as_visual({**canvas, **look})}
        return replace(self, **changes)

    def _own_rule(self, name: str, value: Any) -> Rule:
        """A rule by name or fields, with this environment's operators unless it names its own."""
        rule = as_rule(value, name)
        names_operators = isinstance(value, Mapping) and "operators" in value
        if isinstance(value, Rule) or names_operators:
            return rule
        return replace(rule, operators=list(self.rule.operators))

    def _coerce(self) -> None:
        self.modality = member(Modality, "modality", self.modality)
        self.split = member(Split, "split", self.split)
        self.prompt = member(PromptStyle, "prompt", self.prompt)
        self.answer = member(AnswerFormat, "answer", self.answer)
        self.episode_return = member(EpisodeReturn, "episode_return", self.episode_return)
        self.feedback = member(FeedbackKind, "feedback", self.feedback)
        self.oracle_style = member(OracleStyle, "oracle_style", self.oracle_style)
        self.rule = as_rule(self.rule)
        self.split_rule = as_rule(self.split_rule, "split_rule")
        for name in ("rules", "solvable_under"):
            rules = as_list(name, getattr(self, name), "a list of rules")
            setattr(self, name, [as_rule(r, f"{name}[{k}]") for k, r in enumerate(rules)])
        self.visual = as_visual(self.visual)
        self.reward = as_reward(self.reward)
        self.thought = as_thought(self.thought)
        self.tools = as_tools(self.tools)


def config_of(fields: Mapping[str, Any]) -> GeneralPointsConfig:
    """A configuration from its fields by name; ValueError for an unknown one."""
    known = GeneralPointsConfig.__dataclass_fields__
    unknown = [name for name in fields if name not in known]
    if unknown:
        got = f"{', '.join(unknown)}{did_you_mean(unknown[0], known)}"
        raise ValueError(f"fields must be among {', '.join(known)}; got {got}")
    return GeneralPointsConfig(**fields)
