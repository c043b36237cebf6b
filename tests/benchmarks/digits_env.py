"""An environment for timing a training step: any text is judged, at no cost."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
from cardinal_gym.envs.core import FreeText, LanguageEnv, Observation, Verdict


class DigitsEnv(LanguageEnv):
    """Rewards digits. make_text: the prompt of a task number."""

    def __init__(self, make_text: Callable[[int], str]) -> None:
        self.make_text, self.max_turns = make_text, 1
        self.action_space = FreeText()
        self.observation_space = gym.spaces.Dict({"text": FreeText(), "update": FreeText()})

    def oracle_action(self) -> str:
        return "7"

    def _deal(self, options: dict[str, Any]) -> None:
        self.text = self.make_text(int(self.np_random.integers(1 << 30)))

    def _observe(self, verdict: Verdict | None) -> Observation:
        return Observation(text=self.text, update=self.text)

    def _judge(self, action: str) -> Verdict:
        reward = sum(character.isdigit() for character in action) / max(len(action), 1)
        return Verdict(
            outcome="wrong_value", success=False, reward=reward, terms={"digits": reward},
            feedback="",
        )  # fmt: skip

    def _task_info(self) -> dict[str, Any]:
        return {"task_id": self.text, "split": "all", "rule": "toy", "visual": "none"}
