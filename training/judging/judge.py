"""A reward model that reasons, in words, before its verdict.

    reads   the task and an answer, in the words of `request`
    writes  J=10; 10, 5, 3; 10+5=15, 15+3=18 yes
    score   1 where its last word of the two is yes, else 0

It is an ordinary policy, trained by SFT on verdicts whose reasons the environment wrote
(`envs/general_points/verification.py`), and it is asked greedily. Any policy may be asked, also the
one that is being trained: then it pays itself. Sources: generative verifiers (Zhang et al. 2024,
arXiv 2408.15240, section 3.2), DeepSeek-V3's reward model that is trained with its chain of
thought (arXiv 2412.19437, section 5.2.1), self-rewarding (Yuan et al. 2024, arXiv 2401.10020).
Departures: one greedy verdict instead of the probability of `yes` or a vote.

    <folder>/                    the policy, as `save_pretrained` writes it, with its tokenizer
    <folder>/reward_model.json   kind, request, length of a verdict, identity of the environment
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...agents.config import SamplingConfig
from ...agents.policy import Policy
from ...agents.policy_agent import PolicyAgent
from ...agents.types import Request, StreamKey
from ...envs.core import Observation
from ...envs.general_points.verification import read_verdict
from ..files import atomic_write_json
from .config import RewardModelKind
from .head import ABOUT_NAME
from .verdicts import judging_prompt


class JudgeModel:
    """Scores answers by asking a policy. flops: spent so far, 2 N a token read or written.

    unread: verdicts so far that said neither yes nor no.
    """

    def __init__(self, policy: Policy, *, request: str, max_new_tokens: int) -> None:
        self.policy = policy
        self._request, self._max_new_tokens = request, max_new_tokens
        sampling = SamplingConfig(greedy=True, max_new_tokens=max_new_tokens)
        self._agent = PolicyAgent(policy, sampling)
        self.flops = 0
        self.unread = 0

    def scores(self, asked: Sequence[tuple[Observation, str]]) -> np.ndarray:
        """1 for each answer that is judged right, else 0. float64 [N]"""
        said = [read_verdict(text) for text in self.verdicts(asked)]
        self.unread += sum(each is None for each in said)
        return np.array([float(bool(each)) for each in said])

    def verdicts(self, asked: Sequence[tuple[Observation, str]]) -> list[str]:
        """What the judge writes about each answer."""
        found: list[str] = []
        tokens = 0
        for start in range(0, len(asked), self._agent.max_rows):
            part = asked[start : start + self._agent.max_rows]
            replies = self._agent.act([self._ask(i, *each) for i, each in enumerate(part)])
            for reply in replies:
                assert reply.completion is not None  # of a first prompt there always is one
                tokens += len(reply.prompt_ids) + reply.completion.num_tokens
                found.append(reply.completion.text)
            self._agent.forget()  # the next part is about others, perhaps with other weights
        self.flops += 2 * self.policy.num_parameters * tokens
        return found

    def save(self, folder: Path, about: dict[str, Any]) -> None:
        """about: kept in `reward_model.json`, beside how the judge is asked."""
        self.policy.save(folder)
        asked = {"request": self._request, "max_new_tokens": self._max_new_tokens}
        kind = RewardModelKind.judge.value
        atomic_write_json(folder / ABOUT_NAME, {"kind": kind, **asked, **about})

    def _ask(self, place: int, observation: Observation, answer: str) -> Request:
        return Request(
            observation=judging_prompt(self._request, observation, answer),
            history=(),
            stream=StreamKey(seed=0, step=0, group=place, member=0),  # greedy: draws nothing
        )
