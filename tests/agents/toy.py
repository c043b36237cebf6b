"""A toy language environment and helpers for the agents' tests."""

from typing import Any

import gymnasium as gym
import numpy as np
from cardinal_gym.agents.types import StreamKey
from cardinal_gym.envs.core import FreeText, LanguageEnv, Observation, Verdict


class GuessEnv(LanguageEnv):
    """Name the secret number; after a wrong answer the feedback is `wrong`."""

    def __init__(self, max_turns: int = 3, with_image: bool = False) -> None:
        self.max_turns = max_turns
        self.with_image = with_image
        self.action_space = FreeText()
        text = gym.spaces.Dict({"text": FreeText(), "update": FreeText()})
        self.observation_space = text

    def oracle_action(self) -> str:
        return str(self.secret)

    def _deal(self, options: dict[str, Any]) -> None:
        self.secret = int(self.np_random.integers(1, 11))
        self.image = self.np_random.integers(0, 256, (56, 112, 3), dtype=np.uint8)

    def _observe(self, verdict: Verdict | None) -> Observation:
        task = f"rule J = 10 target 24 cards {self.secret} J 3"
        return Observation(
            text=task if verdict is None else f"{task} last {self.secret} wrong",
            update=task if verdict is None else "wrong",
            image=self.image.copy() if self.with_image else None,
        )

    def _judge(self, action: str) -> Verdict:
        right = action == str(self.secret)
        return Verdict(
            outcome="correct" if right else "wrong_value",
            success=right,
            reward=float(right),
            terms={"accuracy": float(right)},
            feedback="" if right else "wrong",
        )

    def _task_info(self) -> dict[str, Any]:
        return {"task_id": str(self.secret), "split": "all", "rule": "toy", "visual": "none"}


def observation(text: str, image: np.ndarray | None = None) -> Observation:
    return Observation(text=text, update=text, image=image)


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (56, 112, 3), dtype=np.uint8)


def streams(count: int, *, step: int = 0) -> list[StreamKey]:
    return [StreamKey(seed=3, step=step, group=i // 2, member=i % 2) for i in range(count)]
