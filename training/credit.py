"""From what episodes are paid to the advantage of every sampled token.

`advantages.py`, `whitening.py` and `gae.py` hold the formulas; here they are chosen by `advantage`
and `credit`, and spread from episodes and turns to tokens.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..agents.types import Episode, Turn
from .advantages import (
    AdvantageKind,
    Credit,
    anchor_advantages,
    group_advantages,
    returns_to_go,
    turn_advantages,
)
from .gae import bilevel_gae, gae
from .grpo_config import GrpoConfig
from .shaping import Pay
from .whitening import Pool, alone, pooled_std, token_returns, whiten

ByTurn = list[np.ndarray]  # of one episode: a number for every sampled token of every turn


@dataclass(frozen=True, slots=True)
class Credited:
    """What one episode's tokens are trained towards.

    advantages: by turn, one per sampled token. targets: with a critic, by turn, what the value
    before each token should be; is_target: 1 for the tokens whose value is fitted.
    """

    advantages: ByTurn
    targets: ByTurn | None = None
    is_target: ByTurn | None = None


def credited(
    episodes: Sequence[Episode],
    pays: Sequence[Pay],
    config: GrpoConfig,
    *,
    penalties: Sequence[ByTurn] | None = None,
    values: Sequence[ByTurn] | None = None,
    pool: Pool = alone,
) -> list[Credited]:
    """Advantages of all episodes of this process.

    pays: without the penalties of REINFORCE++, which stand apart because each token's counts.
    penalties: of REINFORCE++ alone, beta * k1 by episode, turn and token. values: of a critic, the
    same way. pool: sums over processes, for statistics of the whole batch.
    """
    if config.advantage is AdvantageKind.gae:
        assert values is not None
        return _with_critic(pays, values, config, pool)
    if config.advantage is AdvantageKind.reinforce_plus_plus:
        return [
            Credited(each) for each in _whitened_returns(episodes, pays, penalties, config, pool)
        ]
    by_turn = _compared(episodes, pays, config, pool)
    spread = [_spread(episode, each) for episode, each in zip(episodes, by_turn, strict=True)]
    if config.advantage is AdvantageKind.reinforce_plus_plus_baseline:
        spread = _whiten_nested(spread, pool)
    return [Credited(each) for each in spread]


def groups_with_signal(
    episodes: Sequence[Episode], pays: Sequence[Pay], config: GrpoConfig
) -> set[int]:
    """The groups in which some advantage is not zero, whatever it will be divided by."""
    compared = _compared(episodes, pays, config, alone)
    return {e.group for e, values in zip(episodes, compared, strict=True) if values.any()}


def _compared(
    episodes: Sequence[Episode], pays: Sequence[Pay], config: GrpoConfig, pool: Pool
) -> list[np.ndarray]:
    """Comparisons within groups: one number per turn of every episode. float64 [turns] each"""
    groups = [episode.group for episode in episodes]
    rewards = [pay.rewards for pay in pays]
    options: dict[str, Any] = {
        "successes": [episode.success for episode in episodes],
        "outcome_gate": config.outcome_gate,
        "min_std": config.min_std,
    }
    by_turn = config.credit is Credit.turn_return
    if config.advantage is AdvantageKind.batch_std:
        returns = [returns_to_go(each, config.discount) for each in rewards]
        compared = [x for each in returns for x in each] if by_turn else [pay.total for pay in pays]
        options["batch_std"] = pooled_std(np.array(compared, dtype=np.float64), pool)
    if by_turn:
        return turn_advantages(
            rewards, groups, config.advantage, discount=config.discount, **options
        )
    totals = [pay.total for pay in pays]
    whole = group_advantages(totals, groups, config.advantage, **options).values
    found = [np.full(len(e.turns), value) for e, value in zip(episodes, whole, strict=True)]
    if config.credit is not Credit.gigpo:
        return found
    anchors = [[_anchor(turn) for turn in episode.turns] for episode in episodes]
    steps = anchor_advantages(
        rewards,
        groups,
        anchors,
        config.advantage,
        discount=config.discount,
        min_std=config.min_std,
    )
    gate = _open_groups(episodes) if config.outcome_gate else set(groups)
    return [
        each + config.anchor_weight * step if group in gate else each
        for each, step, group in zip(found, steps, groups, strict=True)
    ]


def _whitened_returns(
    episodes: Sequence[Episode],
    pays: Sequence[Pay],
    penalties: Sequence[ByTurn] | None,
    config: GrpoConfig,
    pool: Pool,
) -> list[ByTurn]:
    """REINFORCE++: what follows from each token, whitened over all tokens of the batch."""
    found: list[ByTurn] = []
    for i, (episode, pay) in enumerate(zip(episodes, pays, strict=True)):
        bases: Sequence[float] = [pay.total] * len(episode.turns)
        if config.credit is Credit.turn_return:
            bases = returns_to_go(pay.rewards, config.discount)
        counts = [len(turn.completion.token_ids) for turn in episode.turns]
        fines = [np.zeros(count) for count in counts] if penalties is None else penalties[i]
        later = [float(sum(each.sum() for each in fines[k + 1 :])) for k in range(len(fines))]
        parts = zip(bases, fines, later, strict=True)
        found.append([token_returns(base, fine, after) for base, fine, after in parts])
    return _whiten_nested(found, pool)


def _with_critic(
    pays: Sequence[Pay], values: Sequence[ByTurn], config: GrpoConfig, pool: Pool
) -> list[Credited]:
    """Advantages over turns (or tokens), whitened; targets are what was found plus the value."""
    decay = {"discount": config.discount, "gae_lambda": config.gae_lambda}
    if config.credit is Credit.bilevel:
        raw = [
            bilevel_gae(pay.rewards, each, **decay) for pay, each in zip(pays, values, strict=True)
        ]
        advantages = _whiten_nested(raw, pool)
        targets = [
            [advantage + value for advantage, value in zip(episode, each, strict=True)]
            for episode, each in zip(raw, values, strict=True)
        ]
        fitted = [[np.ones(len(turn)) for turn in each] for each in values]
        return [Credited(*each) for each in zip(advantages, targets, fitted, strict=True)]
    firsts = [np.array([turn[0] if len(turn) else 0.0 for turn in each]) for each in values]
    by_turn = [gae(pay.rewards, list(v), **decay) for pay, v in zip(pays, firsts, strict=True)]
    found = []
    for raw_turns, white, first, each in zip(
        by_turn, whiten(by_turn, pool), firsts, values, strict=True
    ):
        lengths = [len(turn) for turn in each]
        found.append(
            Credited(
                [np.full(n, value) for n, value in zip(lengths, white, strict=True)],
                [np.full(n, value) for n, value in zip(lengths, raw_turns + first, strict=True)],
                [(np.arange(n) == 0).astype(np.float64) for n in lengths],
            )
        )
    return found


def _spread(episode: Episode, by_turn: np.ndarray) -> ByTurn:
    counts = [len(turn.completion.token_ids) for turn in episode.turns]
    return [np.full(count, value) for count, value in zip(counts, by_turn, strict=True)]


def _whiten_nested(values: Sequence[ByTurn], pool: Pool) -> list[ByTurn]:
    flat = iter(whiten([turn for each in values for turn in each], pool))
    return [[next(flat) for _ in each] for each in values]


def _open_groups(episodes: Sequence[Episode]) -> set[int]:
    return {episode.group for episode in episodes if episode.success}


def _anchor(turn: Turn) -> Hashable:
    """What a turn answered, as the policy saw it."""
    image = turn.observation.image
    return (turn.observation.text, None if image is None else image.tobytes())
