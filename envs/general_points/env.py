"""The General Points environment: an episode, composed of the parts of this folder."""

import json
import re
import sys
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np

from ..core import FreeText, LanguageEnv, Observation, Verdict
from ..settings import as_render_mode, given_config
from ..tools import Call, write_call
from .answer import FORMULA, read_answer
from .calls import CalculatorCalls, random_call
from .cards import RANK_INDEX
from .config import GeneralPointsConfig, Modality, config_of
from .oracle import flawed_answer, oracle_answer, random_answer
from .pictures import HandPictures
from .prompts import (
    PromptFrame,
    feedback_text,
    legend_text,
    over_budget_text,
    prompt_frame,
    revision_text,
)
from .reward import Assessment, assess, episode_return, reward_terms, total_reward
from .splits import canonical_id
from .task import Dealer, Task, dealer_of, hand_of, task_of
from .tools import CALCULATOR
from .trace import thought_terms

_SEED_RANGE = 2**63  # of the integer from which an episode's other streams are derived
_PICTURE, _ORACLE, _FLAW, _RULE, _CALLS = range(5)  # names of those streams


class GeneralPointsEnv(LanguageEnv):
    """Combine the values of a hand of cards into a formula that equals the target.

    ## Description
    A hand of `num_cards` cards is dealt from a 52-card deck. Every card is worth a number, which
    the rule in force says (faces as ten, faces as 11, 12, 13, ...), and all of them, each exactly
    once, must be combined with the allowed operators and parentheses into a formula that equals the
    target: `target`, or one that each episode draws from `targets` (as it draws its rule, from
    `rules`, if there are any). A wrong answer may be revised
    until `max_turns` answers are given. The hands are a uniform deal conditioned on the filters:
    solvable under the rule in force and under every compared rule (so that one seed gives the same
    hand and target under each rule and look), in the split, with a face card if so required. A
    configuration under which no hand qualifies raises ValueError at reset.

    ## Action Space
    The model's raw text, `FreeText(max_answer_chars)`. The answer in it is an object with `cards`
    (ranks), `number` (their values) and `formula`, for example
    `{"cards": ["5", "J", "3", "A"], "number": [5, 10, 3, 1], "formula": "10*3-5-1=24"}`. The
    format `steps` asks for the working too, `"steps": "10*3=30, 30-5=25, 25-1=24"` before the
    formula, which alone is judged; `tagged` wants the object between <answer> and </answer>. Any
    text is judged, in bounded time.

    With `tools.calculator.budget`, a text without an answer may hold a call instead,
    `{"calculator": "(10-5)*3"}`: the next observation says the exact value. So many calls an
    episode take no turn; one that cannot be read is spent too (outcome tool_error). A further call
    is an answer without a formula (outcome over_budget).

    ## Observation
    `text`: self-contained; rule, target, in text mode the cards, later the last formula and the
    verifier's message, and what the calculator said. `update`: what a running conversation gains in
    this turn. `image`, in image
    mode only: uint8 [H, W, 3], the same picture at every turn of an episode.
    `info` is for logs: task_id, split, rule, visual, ranks, values, target; after a step also turn,
    outcome, success, reward_terms, feedback, recognized, episode_return (so far); with tools also
    tool (of this call, None for an answer), tool_calls and tool_errors (so far).

    ## Rewards
    The terms of `reward.kind` (see `reward.py`): study +5, -1, -2 or -3, and -1.5 for misread cards
    in image mode; binary 1 or 0; weighted accuracy, format, recognition, and of a thought before
    the answer its tags and the consistency of its words. A call pays -`tools.calculator.cost`
    (term `calculator`). `episode_return` in the last `info` is the last answer's reward, the sum,
    or the sum discounted by answers, as configured, less what the calls cost.

    ## Termination
    A correct answer terminates; `max_turns` wrong answers truncate; a call does neither.

    ## References
    *SFT Memorizes, RL Generalizes* (https://arxiv.org/abs/2501.17161), General Points; how each
    part departs from the study's code stands at the top of its file.

    ## Version History
    * v0: first version.
    """

    metadata = {"render_modes": ["rgb_array", "ansi", "human"], "render_fps": 1}  # noqa: RUF012

    def __init__(
        self,
        config: GeneralPointsConfig | Mapping[str, Any] | None = None,
        render_mode: str | None = None,
        **fields: Any,
    ) -> None:
        """Takes a configuration, or its fields by name, not both. ValueError for a bad value."""
        config = given_config(GeneralPointsConfig, config_of, config, fields)
        self.config = config
        self.render_mode = as_render_mode(render_mode, self.metadata["render_modes"])
        self.max_turns = config.max_turns
        self.tools = config.tools.offered
        self.action_space = FreeText(config.max_answer_chars)
        self.observation_space = _observation_space(config)
        self._rules = config.rules_in_force
        self._tables = tuple(rule.value_table for rule in self._rules)
        # By target and the rule's place, made when first needed.
        self._deals: dict[tuple[int, int], tuple[Dealer, PromptFrame]] = {}
        self._id_table = config.split_rule.value_table
        self._pictures = HandPictures(config.visual)
        self._task: Task
        self._assessment: Assessment | None = None  # of the last answer

    def oracle_action(self) -> str:
        """An answer that earns the maximum return, or a call before it, see `tools`.

        ValueError before the first reset.
        """
        self._require_task()
        config = self.config
        answer = oracle_answer(
            self._task, config.oracle_style, self._stream(_ORACLE), config.answer, config.thought
        )
        if not self.tools:
            return answer
        return self._asked.oracle_call(answer, self._task, self._stream(_CALLS)) or answer

    def flawed_action(self) -> str | None:
        """A well-formed wrong answer, another one at every turn; None if there is none."""
        self._require_task()
        return flawed_answer(self._task, self._stream(_FLAW), self.config.answer)

    def random_action(self, rng: np.random.Generator) -> str:
        """The cards, and a legal formula over all of their values drawn from `rng`.

        While calls are left, as often as not a call about such a formula.
        """
        self._require_task()
        if self.tools and self._asked.num_left and rng.random() < 0.5:
            return random_call(self._task, rng)
        return random_answer(self._task, rng, self.config.answer)

    def legend(self) -> str:
        """The rule in force and an example of an answer, for a person who plays."""
        self._require_task()
        return legend_text(self._task, self.config.tools.calculator.budget)

    def spelt_out(self, typed: str) -> str:
        """A bare formula as an answer; it names no cards, so nothing is paid for reading them.

        With a calculator, `= 3*8` asks for a value.
        """
        if "{" in typed:
            return typed
        if self.tools and typed.startswith("="):
            return write_call(CALCULATOR, re.sub(r'["\\]', "", typed[1:].strip()))
        return f"<answer>{json.dumps({FORMULA: typed})}</answer>"

    @property
    def percept_sizes(self) -> tuple[int, ...]:
        """For each card which of the 13 ranks it is."""
        return (len(RANK_INDEX),) * self.config.num_cards

    def percepts(self) -> tuple[int, ...]:
        """Each card's rank, in the order shown; ValueError before the first reset."""
        self._require_task()
        return tuple(RANK_INDEX[rank] for rank in self._task.ranks)

    def render(self) -> Any:
        """`rgb_array`: the cards, uint8 [H, W, 3]; `ansi`: the observation's text.

        `human`, called at every reset and step: writes the text to the terminal and, in image mode,
        opens the picture of a new hand in the desktop's viewer (without a desktop: names its file).
        """
        self._require_task()
        if self.render_mode == "rgb_array":
            return self._picture()
        if self.render_mode == "ansi":
            return self._spoken
        if self.render_mode == "human":
            sys.stdout.write(self._spoken + "\n")
            if self.config.modality is Modality.image and self._turn == 0:
                self._pictures.present(self._task.ranks, self._seed_of(_PICTURE))
        return None

    def _deal(self, options: dict[str, Any]) -> None:
        config = self.config
        self._episode_seed = int(self.np_random.integers(_SEED_RANGE))
        target = config.target
        if config.targets:
            target = config.targets[int(self.np_random.integers(len(config.targets)))]
        place = 0
        if len(self._rules) > 1:
            place = int(self._stream(_RULE).integers(len(self._rules)))
        dealer, frame = self._deals.get((target, place)) or self._prepare(target, place)
        if "ranks" in options:
            hand = hand_of(options["ranks"], config.num_cards)
        else:
            hand = dealer.deal(self.np_random)
        self._task = task_of(hand, self._rules[place], target, self._tables[place])
        self._task_id = canonical_id([self._id_table[index] for index in hand], target)
        self._prompt = frame.fill(self._task.ranks)
        self._pictures.forget()
        self._rewards: list[float] = []  # of answers
        self._assessment, self._asked = None, CalculatorCalls(self.config)

    def _prepare(self, target: int, place: int) -> tuple[Dealer, PromptFrame]:
        config, rule = self.config, self._rules[place]
        frame = prompt_frame(
            rule,
            target,
            config.num_cards,
            config.prompt,
            config.modality,
            config.answer,
            config.tools.calculator.budget,
        )
        self._deals[target, place] = dealer_of(config, target, rule), frame
        return self._deals[target, place]

    def _judge(self, action: str) -> Verdict:
        config = self.config
        found = assess(read_answer(action, config.answer), self._task)
        terms = reward_terms(found, config.reward, config.modality)
        if config.reward.pays_thoughts:
            terms |= thought_terms(action)
        reward = total_reward(terms, config.reward)
        self._assessment = found
        self._asked.answered()
        self._rewards.append(reward)
        return Verdict(
            outcome=found.outcome.value,
            success=found.success,
            reward=reward,
            terms=terms,
            feedback=feedback_text(found, config.feedback, config.prompt),
            details={"recognized": found.recognized},
        )

    def _call_in(self, action: str) -> Call | None:
        return self._asked.read(action)

    def _ask(self, call: Call) -> Verdict:
        return self._asked.ask(call)

    def _say_over_budget(self, call: Call) -> str:
        return over_budget_text(self.config.prompt)

    def _observe(self, verdict: Verdict | None) -> Observation:
        style, text = self.config.prompt, self._prompt
        update = text if verdict is None else verdict.feedback
        if verdict is not None and verdict.details.get("tool") is None:
            self._last_feedback = update
        if self._assessment is not None:
            text = revision_text(self._prompt, self._assessment, self._last_feedback, style)
        text = self._asked.added_to(text)
        self._spoken = text
        if self.render_mode == "human":
            self.render()
        image = self._picture() if self.config.modality is Modality.image else None
        return Observation(text=text, update=update, image=image)

    def _task_info(self) -> dict[str, Any]:
        config, task = self.config, self._task
        return {
            "task_id": self._task_id,
            "split": config.split.value,
            "rule": task.rule.name,
            "visual": config.visual.name,
            "ranks": list(task.ranks),
            "values": list(task.values),
            "target": task.target,
        }

    def _verdict_info(self, verdict: Verdict) -> dict[str, Any]:
        info = super()._verdict_info(verdict)
        info["episode_return"] = episode_return(self._rewards, self.config) - self._asked.spent
        return info

    def _picture(self) -> np.ndarray:
        return self._pictures.picture(self._task.ranks, self._seed_of(_PICTURE))

    def _stream(self, name: int) -> np.random.Generator:
        """A stream of this episode's own that leaves the dealing of hands alone."""
        return np.random.default_rng(self._seed_of(name))

    def _seed_of(self, name: int) -> list[int]:
        turn = 0 if name in (_PICTURE, _RULE) else self._turn  # one of each an episode
        return [self._episode_seed, name, turn]

    def _require_task(self) -> None:
        if not hasattr(self, "_task"):
            raise ValueError("there is no task yet: call reset() first")


def _observation_space(config: GeneralPointsConfig) -> gym.spaces.Dict:
    spaces: dict[str, gym.Space[Any]] = {"text": FreeText(), "update": FreeText()}
    if config.modality is Modality.image:
        shape = (config.visual.height, config.visual.width, 3)
        spaces["image"] = gym.spaces.Box(0, 255, shape, np.uint8)
    return gym.spaces.Dict(spaces)
