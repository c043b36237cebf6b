"""Plays episodes: every running episode asks the agent, the agent answers all of them at once.

    episodes = rollout(lambda: gym.make("cardinal/GeneralPoints-v0"), agent, seeds=[7, 7], ...)

A policy decodes while environments step: an episode whose answer is complete is judged by another
thread and joins the batch again with its next turn, or its environment begins the next episode.
Who joins when is a matter of counts, never of the clock, so that a rollout can be repeated
exactly. Other agents answer all running episodes at once, turn by turn. An episode's result depends
on its own seed and stream alone, never on which episodes run beside it.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import gymnasium as gym

from ..envs.core import Observation
from .types import (
    Agent,
    Completion,
    Episode,
    Reply,
    Request,
    Status,
    StreamingAgent,
    StreamKey,
    Turn,
)

TURN_FIELDS = ("reward_terms", "outcome", "success", "feedback")


def rollout(
    make_env: Callable[[], gym.Env[Any, Any]],
    agent: Agent,
    seeds: Sequence[int],
    *,
    groups: Sequence[int] | None = None,
    members: Sequence[int] | None = None,
    run_seed: int = 0,
    step: int = 0,
    max_concurrency: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    pool: list[gym.Env[Any, Any]] | None = None,
) -> list[Episode]:
    """Play one episode per seed and return them in order.

    make_env: makes one environment; as many are made as episodes run at once.
    seeds: reset seed of each episode; a group's members share theirs.
    groups, members: names of the episodes in sampling randomness (default: 0, 1, 2, ... and 0).
    run_seed, step: the rest of the sampling randomness (see `StreamKey`).
    max_concurrency: episodes at once; None: all.
    on_progress: told (episodes finished, episodes in all) after every turn.
    pool: environments of an earlier call to use again; new ones are added to it, and it is not
        closed. None: environments are closed at the end.
    """
    streams = _streams(len(seeds), groups, members, run_seed, step)
    envs = [] if pool is None else pool
    width = max(1, max_concurrency or len(seeds))
    try:
        if isinstance(agent, StreamingAgent):
            jobs = [(int(seed), stream) for seed, stream in zip(seeds, streams, strict=True)]
            runs = _stream(jobs, agent, envs, make_env, width, on_progress)
        else:
            runs = []
            for start in range(0, len(seeds), width):
                for place, i in enumerate(range(start, min(start + width, len(seeds)))):
                    env = _env(envs, place, make_env)
                    runs.append(_Run(env, int(seeds[i]), streams[i]))
                _play(runs[start:], agent, start, len(seeds), on_progress)
        episodes = [run.episode(agent) for run in runs]
    finally:
        forget: Callable[[], None] = getattr(agent, "forget", _nothing)
        forget()  # an agent may remember conversations, and these are over
        if pool is None:
            for env in envs:
                env.close()
    return episodes


def turn_from_step(
    observation: Observation,
    prompt_ids: tuple[int, ...],
    completion: Completion,
    reward: float,
    info: Mapping[str, Any],
) -> Turn:
    """The turn that `env.step(completion.text)` ended; `prompt_ids` as in `Turn`."""
    return Turn(
        observation=observation,
        prompt_ids=prompt_ids,
        completion=completion,
        reward=reward,
        details={name: value for name, value in info.items() if name not in TURN_FIELDS},
        **{name: info[name] for name in TURN_FIELDS},
    )


def _streams(
    count: int,
    groups: Sequence[int] | None,
    members: Sequence[int] | None,
    run_seed: int,
    step: int,
) -> list[StreamKey]:
    """The sampling randomness of every episode, of its first turn."""
    groups = range(count) if groups is None else groups
    members = [0] * count if members is None else members
    if not count == len(groups) == len(members):
        raise ValueError(
            "seeds, groups and members must have equal lengths; "
            f"got {count}, {len(groups)} and {len(members)}"
        )
    return [
        StreamKey(seed=run_seed, step=step, group=group, member=member)
        for group, member in zip(groups, members, strict=True)
    ]


def _nothing() -> None:
    pass


def _env(
    envs: list[gym.Env[Any, Any]], place: int, make_env: Callable[[], gym.Env[Any, Any]]
) -> gym.Env[Any, Any]:
    if place == len(envs):
        envs.append(make_env())
    return envs[place]


def _stream(
    jobs: Sequence[tuple[int, StreamKey]],
    agent: StreamingAgent,
    envs: list[gym.Env[Any, Any]],
    make_env: Callable[[], gym.Env[Any, Any]],
    width: int,
    on_progress: Callable[[int, int], None] | None,
) -> list["_Run"]:
    """Play all jobs (seed, stream), at most `width` at once; the runs in order of the jobs."""
    width = min(width, agent.max_rows, len(jobs))
    waiting = iter(jobs[width:])
    ended: dict[StreamKey, _Run] = {}

    def judge(run: _Run, reply: Reply) -> _Run | None:
        """Who asks next in the environment of `run`."""
        run.take(reply)
        if run.status is None:
            return run
        ended[run.stream] = run
        following = next(waiting, None)
        return None if following is None else _Run(run.env, *following)

    runs = [_Run(_env(envs, i, make_env), *job) for i, job in enumerate(jobs[:width])]
    asked: dict[StreamKey, _Run] = {}
    judged: list[tuple[_Run, Future[_Run | None]]] = []
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="environments") as worker:
        while asked or runs or judged:
            if agent.is_hungry:
                for run, verdict in judged:
                    following = verdict.result()
                    if following is not run:
                        agent.leave(run.stream)
                    if following is not None:
                        runs.append(following)
                if on_progress is not None and judged:
                    on_progress(len(ended), len(jobs))
                judged = []
                asked |= {run.stream: run for run in runs}
                agent.ask([run.request() for run in runs])
                runs = []
            for stream, reply in agent.answers():
                run = asked.pop(stream)
                judged.append((run, worker.submit(judge, run, reply)))
    return [ended[stream] for _, stream in jobs]


def _play(
    runs: Sequence["_Run"],
    agent: Agent,
    already: int,
    total: int,
    on_progress: Callable[[int, int], None] | None,
) -> None:
    running = list(runs)
    while running:
        replies = agent.act([run.request() for run in running])
        for run, reply in zip(running, replies, strict=True):
            run.take(reply)
        running = [run for run in running if run.status is None]
        if on_progress is not None:
            on_progress(already + len(runs) - len(running), total)


@dataclass(slots=True)
class _Run:
    """One episode being played."""

    env: gym.Env[Any, Any]
    seed: int
    stream: StreamKey
    turns: list[Turn] = field(default_factory=list)
    status: Status | None = None
    observation: Observation = field(init=False)
    info: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        observed, self.info = self.env.reset(seed=self.seed)
        self.observation = Observation(**observed)

    def request(self) -> Request:
        return Request(
            observation=self.observation,
            history=tuple(self.turns),
            stream=replace(self.stream, turn=len(self.turns)),
            oracle=getattr(self.env.unwrapped, "oracle_action", None),
            random=getattr(self.env.unwrapped, "random_action", None),
            game=self.env.unwrapped,
        )

    def take(self, reply: Reply) -> None:
        """Let the environment judge an answer; a missing one means that the context is full."""
        if reply.completion is None:
            self.status = Status.context_limit
            return
        answer = reply.completion
        observed, reward, terminated, truncated, self.info = self.env.step(answer.text)
        self.turns.append(
            turn_from_step(self.observation, reply.prompt_ids, answer, float(reward), self.info)
        )
        self.observation = Observation(**observed)
        if terminated or truncated:
            self.status = Status.terminated if terminated else Status.turn_limit

    def episode(self, agent: Agent) -> Episode:
        assert self.status is not None
        rewards = sum(turn.reward for turn in self.turns)
        return Episode(
            group=self.stream.group,
            member=self.stream.member,
            seed=self.seed,
            task_id=str(self.info["task_id"]),
            split=str(self.info["split"]),
            rule=str(self.info["rule"]),
            visual=str(self.info["visual"]),
            context=agent.context,
            turns=tuple(self.turns),
            status=self.status,
            success=any(turn.success for turn in self.turns),
            # So far, where the context was full before the environment ended the episode.
            episode_return=float(self.info.get("episode_return", rewards)),
        )
