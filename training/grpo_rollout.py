"""The episodes of one step: tasks in groups, and fresh ones for groups that teach nothing.

Source of the latter: DAPO's dynamic sampling (arXiv 2503.14476, section 3.2). Departures: as many
groups are drawn as are missing, at most `dynamic_sampling` times a step, and a group teaches
something if its returns differ, whichever rewards they are made of.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import gymnasium as gym

from ..agents.policy_agent import PolicyAgent
from ..agents.rollout import rollout
from ..agents.types import Episode
from .credit import groups_with_signal
from .grpo_config import GrpoConfig
from .loop import TrainState
from .rollout_progress import RolloutProgress
from .sampler import task_seed
from .shaping import shaped


@dataclass(slots=True)
class GroupSampler:
    """Plays the groups of a step, and has them paid where it is not the environment that pays.

    num_groups: of the last step, on all processes together.
    """

    config: GrpoConfig
    make_env: Callable[[], gym.Env]
    agent: PolicyAgent
    run_seed: int
    stage: str
    pay: Callable[[Sequence[Episode]], list[Episode]] | None = None
    num_groups: int = 0
    envs: list[gym.Env] = field(default_factory=list)  # made once, used by every rollout

    def play(self, state: TrainState) -> list[Episode]:
        """This process's share of the step's episodes.

        Every step owns its task numbers, those for replacements included, so that no task depends
        on how many earlier groups were silent.
        """
        wanted, rounds = self.config.groups_per_step, self.config.dynamic_sampling
        first = state.step * wanted * (1 + rounds)
        episodes = self._play(state, range(first, first + wanted))
        self.num_groups, missing = wanted, wanted
        fresh = episodes
        for attempt in range(rounds):
            pays = shaped(fresh, self.config, state.step)
            signal = groups_with_signal(fresh, pays, self.config)
            missing -= int(state.workers.sum({"signal": len(signal)})["signal"])
            if missing <= 0:
                break
            start = first + wanted * (attempt + 1)
            fresh = self._play(state, range(start, start + missing))
            episodes = episodes + fresh
            self.num_groups += missing
        return episodes

    def _play(self, state: TrainState, tasks: Sequence[int]) -> list[Episode]:
        groups = state.workers.share(tasks)
        places = [(group, member) for group in groups for member in range(self.config.group_size)]
        progress = RolloutProgress(lambda quantity: state.tell(self.stage, quantity))
        self.agent.on_tokens = progress.tokens
        episodes = rollout(
            self.make_env,
            self.agent,
            [task_seed(self.run_seed, "grpo", group) for group, _ in places],
            groups=[group for group, _ in places],
            members=[member for _, member in places],
            run_seed=self.run_seed,
            step=state.step,
            on_progress=progress.episodes,
            pool=self.envs,
        )
        return episodes if self.pay is None else self.pay(episodes)
