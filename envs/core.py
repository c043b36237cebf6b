"""What every environment of the suite shares: observations, verdicts and the language interface.

An environment is a plain `gymnasium.Env` whose action is the model's raw text. One step judges one
answer: `judge(text) -> Verdict`, and the verdict says what happened (`outcome`), what it is worth
(`terms`, weighted into `reward`) and what the agent is told (`feedback`). Success is part of the
verdict and is never inferred from a reward. Where a game offers tools, a call takes a step that is
no answer: it is judged by the tool, and spends of the tool's budget in the place of a turn.

Source of the interaction loop: *SFT Memorizes, RL Generalizes* (arXiv 2501.17161), section 3.2
("sequential revision"). Departures: the turn limit is `truncated`, no answer is judged past it, and
all randomness comes from `self.np_random`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector.utils import (  # registration points for spaces of one's own
    batch_space,
    concatenate,
    create_empty_array,
    create_shared_memory,
)

from .tools import OVER_BUDGET, TOOL_ERROR, Call, ToolConfig

MAX_TEXT_CHARS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What the agent sees before it answers.

    text: self-contained; a reader who sees nothing else can act on it; states the rule in force.
    update: what this turn adds to a running conversation (equals `text` after a reset).
    image: uint8 [H, W, 3], or None in text mode; a copy that the caller may keep.
    """

    text: str
    update: str
    image: np.ndarray | None = None

    def as_dict(self) -> dict[str, Any]:
        """The value handed to gymnasium: `image` is absent in text mode."""
        spoken = {"text": self.text, "update": self.update}
        return spoken if self.image is None else {**spoken, "image": self.image}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The judgement of one answer.

    outcome: a lowercase name from the environment's own taxonomy, e.g. "correct" or "wrong_value".
    success: whether the task is solved by this answer.
    terms: reward terms by name, before weighting.
    reward: their weighted sum, the reward of this step.
    feedback: the verifier's message for the next turn; never contains a solution.
    details: JSON-able extras for logs (for example whether the cards were recognised).
    """

    outcome: str
    success: bool
    reward: float
    terms: Mapping[str, float]
    feedback: str
    details: Mapping[str, Any] = field(default_factory=dict)


class FreeText(gym.Space[str]):
    """Any Unicode string of at most `max_chars` characters.

    `gymnasium.spaces.Text` is limited to a character set (the default one has neither spaces nor
    line breaks), and a model's answer or a prompt may hold anything.
    """

    def __init__(self, max_chars: int = MAX_TEXT_CHARS, seed: int | None = None) -> None:
        if max_chars < 1:
            raise ValueError(f"max_chars must be at least 1; got {max_chars}")
        self.max_chars = max_chars
        super().__init__(shape=None, dtype=None, seed=seed)

    @property
    def is_np_flattenable(self) -> bool:
        return False

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """A short random string of printable characters; masks have no meaning for text."""
        if mask is not None or probability is not None:
            raise ValueError("FreeText.sample takes neither a mask nor probabilities")
        length = int(self.np_random.integers(1, min(self.max_chars, 32) + 1))
        return "".join(chr(c) for c in self.np_random.integers(32, 127, size=length))

    def contains(self, x: Any) -> bool:
        return isinstance(x, str) and len(x) <= self.max_chars

    def to_jsonable(self, sample_n: Any) -> list[str]:
        return list(sample_n)

    def from_jsonable(self, sample_n: Any) -> list[str]:
        return list(sample_n)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FreeText) and other.max_chars == self.max_chars

    def __repr__(self) -> str:
        return f"FreeText({self.max_chars})"


class LanguageEnv(gym.Env[dict[str, Any], str], ABC):
    """Base class: a language agent answers a task over at most `max_turns` turns.

    A subclass deals a task in `_deal`, describes it in `_observe` and judges an answer in `_judge`;
    the episode's bookkeeping is here, once. Subclasses set `observation_space`, `action_space` and
    `max_turns`. One with tools sets `tools`, reads calls in `_call_in` and answers them in `_ask`;
    a call never ends an episode, and one beyond its budget is judged as the answer that it is not.

    Raises (from `step`): ValueError for an action that is not a string or is longer than the action
    space allows; gymnasium's own `ResetNeeded` comes from its wrapper, and ValueError after the
    end.
    """

    max_turns: int
    tools: Mapping[str, ToolConfig] = MappingProxyType({})  # by name, those with a budget
    _turn: int = 0
    _done: bool = True
    _calls: Mapping[str, int] = MappingProxyType({})  # spent in this episode, by tool
    _tool_errors: int = 0  # calls that told nothing

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        super().reset(seed=seed)
        self._turn, self._done = 0, False
        self._calls, self._tool_errors = dict.fromkeys(self.tools, 0), 0
        self._deal(options or {})
        return self._observe(None).as_dict(), self._task_info()

    def step(self, action: str) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        self._check(action)
        call = self._call_in(action) if self.tools else None
        if call is not None and self.calls_left(call.tool):
            return self._step_of_tool(call)
        self._turn += 1
        verdict = self._judge(action)
        if call is not None:
            self._tool_errors += 1
            feedback = self._say_over_budget(call)
            verdict = replace(verdict, outcome=OVER_BUDGET, feedback=feedback)
        terminated = self._is_over(verdict)
        truncated = not terminated and self._is_out_of_turns()
        self._done = terminated or truncated
        info = self._task_info()
        info.update(self._verdict_info(verdict))
        return self._observe(verdict).as_dict(), verdict.reward, terminated, truncated, info

    @abstractmethod
    def oracle_action(self) -> str:
        """An answer that earns the maximum return from the present state."""

    def flawed_action(self) -> str | None:
        """A well-formed wrong answer, for demonstrations of revision; None if there is none.

        It must not end the game.
        """
        return None

    def random_action(self, rng: np.random.Generator) -> str:
        """A well-formed, legal answer drawn from `rng` without regard to the task's solution.

        The floor of every table: what is to be read or seen is named rightly, as by an agent that
        understands the rules and nothing more. Here, without rules: any text.
        """
        return FreeText(seed=int(rng.integers(2**31))).sample()

    def legend(self) -> str:
        """For a person who plays: the rule in force and what may be typed; never a solution."""
        return "Type any text."

    def spelt_out(self, typed: str) -> str:
        """The answer that a person's shorthand means, as `legend` describes it; else the text."""
        return typed

    @property
    def num_answers(self) -> int:
        """Answers judged since the last reset; calls of tools are none."""
        return self._turn

    def calls_left(self, tool: str) -> int:
        """Of a tool that this environment has, in this episode."""
        return self.tools[tool].budget - self._calls[tool]

    @property
    def percept_sizes(self) -> tuple[int, ...]:
        """How many answers each question about the picture has, see `percepts`."""
        raise ValueError(f"{type(self).__name__} must be in image mode to ask what a picture shows")

    def percepts(self) -> tuple[int, ...]:
        """What the present picture shows, one class index per question.

        Supervision for a vision tower that starts from nothing; never part of an observation.
        """
        raise ValueError(f"{type(self).__name__} must be in image mode to ask what a picture shows")

    @abstractmethod
    def _deal(self, options: dict[str, Any]) -> None:
        """Draw the next task from `self.np_random`."""

    @abstractmethod
    def _observe(self, verdict: Verdict | None) -> Observation:
        """Describe the present state; `verdict` is that of the last answer, None after a reset."""

    @abstractmethod
    def _judge(self, action: str) -> Verdict:
        """Judge one answer and move the game on. Any text gives a verdict; nothing is raised."""

    def _call_in(self, action: str) -> Call | None:
        """The call in a text that is no answer; asked only where there are `tools`."""
        return None

    def _ask(self, call: Call) -> Verdict:
        """What a tool says: `feedback` is the result, `outcome` called or tool_error.

        `details` holds "tool"; the reward is what the call costs. Nothing is raised.
        """
        raise NotImplementedError(f"{type(self).__name__} has tools and does not answer calls")

    def _say_over_budget(self, call: Call) -> str:
        """The feedback to a call when none is left."""
        return f"No calls of the {call.tool} are left."

    def _step_of_tool(self, call: Call) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """A step that is no answer: it takes no turn and never ends the episode."""
        self._calls = {**self._calls, call.tool: self._calls[call.tool] + 1}
        verdict = self._ask(call)
        self._tool_errors += verdict.outcome == TOOL_ERROR
        info = {**self._task_info(), **self._verdict_info(verdict)}
        return self._observe(verdict).as_dict(), verdict.reward, False, False, info

    def _is_over(self, verdict: Verdict) -> bool:
        return verdict.success

    def _is_out_of_turns(self) -> bool:
        return self._turn >= self.max_turns

    @abstractmethod
    def _task_info(self) -> dict[str, Any]:
        """What identifies the task, for logs: at least task_id, split, rule and visual."""

    def _verdict_info(self, verdict: Verdict) -> dict[str, Any]:
        info = {
            "turn": self._turn,
            "outcome": verdict.outcome,
            "success": verdict.success,
            "reward_terms": dict(verdict.terms),
            "feedback": verdict.feedback,
        }
        if self.tools:
            info.update(self._tool_info())
        info.update(verdict.details)
        return info

    def _tool_info(self) -> dict[str, Any]:
        """So far in this episode; details of a call overwrite `tool`."""
        calls = sum(self._calls.values())
        return {"tool": None, "tool_calls": calls, "tool_errors": self._tool_errors}

    def _check(self, action: str) -> None:
        if self._done:
            raise ValueError("the episode is over (or never began): call reset() before step()")
        if not isinstance(action, str):
            raise ValueError(f"action must be a string; got {type(action).__name__}")
        if not self.action_space.contains(action):
            raise ValueError(f"action must be in {self.action_space}; got {len(action)} characters")


@batch_space.register(FreeText)
def _batch_free_text(space: FreeText, n: int = 1) -> gym.spaces.Tuple:
    return gym.spaces.Tuple(tuple(FreeText(space.max_chars) for _ in range(n)))


@create_empty_array.register(FreeText)
def _empty_free_text(space: FreeText, n: int = 1, fn: Any = None) -> tuple[str, ...]:
    return ("",) * n


@concatenate.register(FreeText)
def _concatenate_free_text(space: FreeText, items: Any, out: Any) -> tuple[str, ...]:
    return tuple(items)


@create_shared_memory.register(FreeText)
def _refuse_shared_memory(space: FreeText, n: int = 1, ctx: Any = None) -> Any:
    raise ValueError(
        "text observations cannot live in shared memory (gymnasium would return stale text): "
        "use SyncVectorEnv, or AsyncVectorEnv(..., shared_memory=False)"
    )
