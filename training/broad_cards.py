"""Broad tasks of General Points: many face-value rules, targets and numbers of cards.

No rule gives J 11, Q 12 or K 13 (unless `allow_ood_faces`, which keeps out only the exact triple),
although 11-13 occur as values of the other faces; no task shares its sorted ranks, or its sorted
values and target, with an evaluation task under any compared rule. With a calculator the base meets
every number of calls from none to the budget, so that it knows the game with the tool and without.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from ..agents.policy import Policy
from ..agents.rows import Row
from ..envs.general_points.config import AnswerFormat, GeneralPointsConfig, Split
from ..envs.general_points.rules import OPERATORS, Rule
from ..envs.general_points.task import Task, deal_task, task_split
from ..envs.general_points.tools import GeneralPointsTools
from ..envs.general_points.trace import thought_of
from .config import THOUGHT, PretrainConfig
from .demonstrations import bare_env, encode_rows, num_wrong_attempts, oracle_conversation
from .sampler import task_rng, task_seed

FACES = ("J", "Q", "K")
OOD_FACES = {"J": 11, "Q": 12, "K": 13}
_FORMATS, _CALLS = 1_000, 1_001  # name the streams that formats and numbers of calls come from
MAX_DRAWS = 200  # of rule, target and number of cards that no hand satisfies, in a row


class BroadDealer:
    """Deals tasks over many rules, targets and card counts that share nothing with evaluation."""

    def __init__(self, env: GeneralPointsConfig, config: PretrainConfig) -> None:
        self._env = env
        self._config = config
        self._split = task_split(env)

    def deal(self, rng: np.random.Generator) -> Task:
        """A solvable task under a rule of its own."""
        for _ in range(MAX_DRAWS):
            rule, target, num_cards = self._draw(rng)
            # With one target, a held-out hand is held out under every target; with several, a task
            # is a hand with a target, and what one target holds out may be seen with another.
            split = self._split
            if self._env.targets:
                split = dataclasses.replace(split, target=target)
            try:
                return deal_task(rng, rule, target, num_cards, split)
            except ValueError as error:  # no hand reaches this target under this rule
                refused = error
        raise ValueError(f"pretraining must find solvable tasks; gave up: {refused}")

    def _draw(self, rng: np.random.Generator) -> tuple[Rule, int, int]:
        """A rule, a target and a number of cards."""
        config, env = self._config, self._env
        rule = random_rule(rng, config, env.rule.operators)
        target, num_cards = int(rng.choice(env.targets or [env.target])), env.num_cards
        if rng.random() >= config.main_target_fraction:
            target = int(rng.choice(config.targets))
        if rng.random() >= config.main_count_fraction:
            num_cards = int(rng.choice(config.card_counts))
        return rule, target, num_cards


class BroadTasks:
    """Demonstrations of the tasks of a `BroadDealer`, addressed by index."""

    def __init__(
        self,
        policy: Policy,
        env: GeneralPointsConfig,
        config: PretrainConfig,
        *,
        seed: int,
        stream: str = "pretrain",
    ) -> None:
        self._policy = policy
        self._env = env
        self._config = config
        self._seed = seed
        self._stream = stream
        self._dealer = BroadDealer(env, config)

    def rows(self, indices: Sequence[int]) -> list[Row]:
        return [row for index in indices for row in self._rows(index)]

    def _rows(self, index: int) -> list[Row]:
        rng = task_rng(self._seed, self._stream, index)
        config = self._config
        task = self._dealer.deal(rng)
        form = self._draw_format(index)
        env = bare_env(
            dataclasses.replace(
                self._env,
                rule=task.rule,
                rules=[],
                target=task.target,
                targets=[],
                num_cards=len(task.ranks),
                solvable_under=[],
                split=Split.all,  # the hand is dealt by `BroadDealer`
                tools=self._draw_tools(index),
                answer=AnswerFormat.tagged if form == THOUGHT else AnswerFormat(form),
            )
        )
        most = min(config.max_wrong_attempts, self._env.max_turns - 1)
        wrong = num_wrong_attempts(rng, config.revision_fraction, most)
        seed = task_seed(self._seed, self._stream, index)
        conversation = oracle_conversation(env, seed, wrong, ranks=task.ranks)
        if form == THOUGHT:
            bare = tuple(thought_of(answer) or answer for answer in conversation.answers)
            conversation = dataclasses.replace(conversation, answers=bare)
        return encode_rows(self._policy, conversation)

    def _draw_tools(self, index: int) -> GeneralPointsTools:
        """Of example `index`; a stream of its own, so that the tasks stay."""
        told = self._env.tools.calculator
        if not told.budget:
            return self._env.tools
        rng = np.random.default_rng([self._seed, _CALLS, index])
        budget = int(rng.integers(told.budget + 1))
        return GeneralPointsTools(calculator=dataclasses.replace(told, budget=budget))

    def _draw_format(self, index: int) -> str:
        """How example `index` is answered; a stream of its own, so that the tasks stay."""
        formats = self._config.formats
        if not formats:
            return self._env.answer.value
        rng = np.random.default_rng([self._seed, _FORMATS, index])
        return str(rng.choice(list(formats), p=list(formats.values())))


def random_rule(
    rng: np.random.Generator, config: PretrainConfig, operators: Sequence[str] = OPERATORS
) -> Rule:
    """Face values drawn uniformly from `face_range`, without what must stay unseen."""
    low, high = config.face_range
    while True:
        values = {face: int(rng.integers(low, high + 1)) for face in FACES}
        same = [values[face] == OOD_FACES[face] for face in FACES]
        if not (all(same) if config.allow_ood_faces else any(same)):
            name = "-".join(str(values[face]) for face in FACES)
            return Rule(name=f"faces_{name}", face_values=values, operators=list(operators))
