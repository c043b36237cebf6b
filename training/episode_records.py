"""Finished episodes as plain data, complete enough to be counted again under any metric.

A record holds what was answered and how it was judged, turn by turn; what was observed is left out,
because the seed and the answers bring it back (`replayed`), pictures and all.
"""

import json
import zlib
from collections.abc import Mapping
from typing import Any

import gymnasium as gym

from ..agents.rollout import turn_from_step
from ..agents.types import Completion, ContextMode, Episode, FinishReason, Status, Turn
from ..envs.core import Observation
from .files import plain

NOTHING_SEEN = Observation(text="", update="")
EPISODE_FIELDS = (
    "group", "member", "seed", "task_id", "split", "rule", "visual", "success", "episode_return",
)  # fmt: skip
TURN_FIELDS = ("reward", "outcome", "success", "feedback")


def pack(episode: Episode) -> bytes:
    """An episode as compressed JSON; the same episode gives the same bytes."""
    record = {
        **{name: plain(getattr(episode, name)) for name in EPISODE_FIELDS},
        "context": episode.context.value,
        "status": episode.status.value,
        "turns": [_turn_record(turn) for turn in episode.turns],
    }
    return zlib.compress(json.dumps(record, ensure_ascii=False).encode("utf-8"))


def unpack(data: bytes) -> Episode:
    """The episode of `pack`, without observations, prompt ids and log-probabilities.

    Raises ValueError (or a subclass, or zlib.error) for anything else.
    """
    record = json.loads(zlib.decompress(data))
    try:
        return Episode(
            **{name: record[name] for name in EPISODE_FIELDS},
            context=ContextMode(record["context"]),
            status=Status(record["status"]),
            turns=tuple(_turn(turn) for turn in record["turns"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"an episode's record must be whole; got none of {error}") from error


def replayed(env: Any, episode: Episode) -> Episode:
    """The episode with its observations, from playing its answers once more.

    env: the configuration that it was played in. Raises ValueError if the game now judges
    otherwise, as another version of it would.
    """
    game = gym.make(env.id, config=env)
    turns: list[Turn] = []
    try:
        observed, _ = game.reset(seed=episode.seed)
        for turn in episode.turns:
            seen = Observation(**observed)
            observed, reward, _, _, info = game.step(turn.completion.text)
            turns.append(turn_from_step(seen, (), turn.completion, float(reward), info))
    finally:
        game.close()
    if [turn.outcome for turn in turns] != [turn.outcome for turn in episode.turns]:
        raise ValueError(
            f"the game must judge a stored episode as before; task {episode.task_id} differs: "
            "choose another file as evaluate.database"
        )
    return Episode(
        **{name: getattr(episode, name) for name in EPISODE_FIELDS},
        context=episode.context,
        status=episode.status,
        turns=tuple(turns),
    )


def _turn_record(turn: Turn) -> dict[str, Any]:
    answer = turn.completion
    return {
        **{name: plain(getattr(turn, name)) for name in TURN_FIELDS},
        "reward_terms": plain(turn.reward_terms),
        "details": plain(turn.details),
        "answer": answer.text,
        "token_ids": plain(answer.token_ids),
        "reported_tokens": answer.reported_tokens,
        "finish_reason": answer.finish_reason.value,
    }


def _turn(record: Mapping[str, Any]) -> Turn:
    return Turn(
        observation=NOTHING_SEEN,
        prompt_ids=(),
        completion=Completion(
            text=record["answer"],
            token_ids=tuple(record["token_ids"]),
            reported_tokens=record["reported_tokens"],
            finish_reason=FinishReason(record["finish_reason"]),
        ),
        reward_terms=record["reward_terms"],
        details=record["details"],
        **{name: record[name] for name in TURN_FIELDS},
    )
