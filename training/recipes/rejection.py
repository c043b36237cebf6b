"""Rejection sampling: a policy answers training tasks, and its right answers become demonstrations.

Source: DeepSeek-R1 (arXiv 2501.12948, section 2.3.3: several answers a prompt, the right ones kept,
thoughts in mixed languages filtered out). Departure: with `sound` a thought's steps are checked as
well, which cards allow.

The file is one of chat messages (`chat_records`), as an export of the oracle's episodes is, so
that any trainer can read it.
"""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym

from ...agents.config import SamplingConfig
from ...agents.policy import Policy
from ...agents.policy_agent import PolicyAgent
from ...agents.rollout import rollout
from ...agents.types import Episode
from ..chat_records import DATA_NAME
from ..demonstrations import Conversation
from ..files import atomic_write_text
from ..judging.config import VerdictsConfig
from ..metrics import Ledger
from ..rollout_metrics import played
from ..sampler import task_seed
from ..sft_files import as_record
from .config import RejectionConfig
from .thoughts import read_thought


def reject_sample(
    policy: Policy,
    env: Any,
    config: RejectionConfig,
    *,
    max_new_tokens: int,
    seed: int,
    folder: Path,
) -> tuple[Ledger, dict[str, int]]:
    """Write `<folder>/train.jsonl`; what it cost, and how many answers were sampled and kept.

    env: the environment's configuration. Raises ValueError where no answer was accepted.
    """
    ledger = Ledger(num_parameters=policy.num_parameters)
    with ledger.counting_cpu():
        episodes = sample_answers(policy, env, config, max_new_tokens=max_new_tokens, seed=seed)
    kept = accepted(episodes, config)
    counts = {
        "tasks": config.num_tasks,
        "answers": len(episodes),
        "right": sum(episode.success for episode in episodes),
        "kept": len(kept),
        "tasks_kept": len({episode.group for episode in kept}),
    }
    if not kept:
        raise ValueError(
            f"reject_sample must accept an answer; got none of {len(episodes)} "
            f"({counts['right']} right): train the policy longer, or sample more tasks"
        )
    folder.mkdir(parents=True, exist_ok=True)
    records = [as_record(folder, _conversation(episode)) for episode in kept]
    lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in records]
    atomic_write_text(folder / DATA_NAME, "".join(lines))
    ledger.add(**played(episodes))
    return ledger, counts


def sample_answers(
    policy: Policy,
    env: Any,
    config: RejectionConfig | VerdictsConfig,
    *,
    max_new_tokens: int,
    seed: int,
) -> list[Episode]:
    """`samples` episodes of each of `num_tasks` training tasks, a task's together, in order."""
    agent = PolicyAgent(
        policy, SamplingConfig(temperature=config.temperature, max_new_tokens=max_new_tokens)
    )
    places = [
        (task, member) for task in range(config.num_tasks) for member in range(config.samples)
    ]
    return rollout(
        lambda: gym.make(env.id, config=env),
        agent,
        [task_seed(seed, "sft", task) for task, _ in places],
        groups=[task for task, _ in places],
        members=[member for _, member in places],
        run_seed=seed,
        max_concurrency=agent.max_rows,
    )


def accepted(episodes: Sequence[Episode], config: RejectionConfig) -> list[Episode]:
    """The episodes that are right and whose thoughts are as asked, `per_task` of each task."""
    found: list[Episode] = []
    count = Counter[int]()
    for episode in episodes:
        if count[episode.group] < config.per_task and _is_accepted(episode, config):
            count[episode.group] += 1
            found.append(episode)
    return found


def _is_accepted(episode: Episode, config: RejectionConfig) -> bool:
    if not episode.success:
        return False
    read = read_thought(episode.turns[-1])
    if read is None:  # nothing is thought in this format, or this game has no traces
        return not config.min_consistency
    if config.sound and not read.is_sound:
        return False
    return not read.marks or read.english >= config.min_consistency * read.marks


def _conversation(episode: Episode) -> Conversation:
    """The episode as something to imitate: its last answer, and what it asked tools before.

    Earlier answers are read only.
    """
    last = len(episode.turns) - 1
    return Conversation(
        observations=tuple(turn.observation for turn in episode.turns),
        answers=tuple(turn.completion.text for turn in episode.turns),
        imitated=tuple(place == last or turn.is_call for place, turn in enumerate(episode.turns)),
        task_id=episode.task_id,
    )
