"""What is logged of a rollout: means over all episodes of the step, whichever process played them.

Every name is defined in `metrics.py` and in this folder's README.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from ..agents.types import Episode, FinishReason, Status
from .credit import ByTurn, Credited
from .distributed import Workers
from .loop import Metrics
from .shaping import Pay


def played(episodes: Sequence[Episode]) -> dict[str, int]:
    """What these episodes add to the ledger."""
    turns = [turn for episode in episodes for turn in episode.turns]
    return {
        "sampled_tokens": sum(len(turn.completion.token_ids) for turn in turns),
        "prompt_tokens": sum(len(turn.prompt_ids) for turn in turns),
        "env_steps": len(turns),
        "episodes": len(episodes),
    }


def describe_rollout(
    episodes: Sequence[Episode], credits: Sequence[Credited], num_groups: int, workers: Workers
) -> Metrics:
    """Rewards, outcomes and lengths as the environment gave them, and how many groups are silent.

    num_groups: on all processes together.
    """
    total = workers.sum(_rollout_sums(episodes, credits))
    count = max(total.pop("n"), 1.0)
    silent = total.pop("groups/zero_variance")
    cut = total.pop("answers/cut") / max(total.pop("answers"), 1.0)
    lengths = {**_mean_lengths(total), "completions/length_limit": cut}
    means = {name: value / count for name, value in sorted(total.items())}
    means["reward/std"] = _deviation(episodes, means.get("reward/mean", 0.0), count, workers)
    counts = {"groups/zero_variance": silent, "groups/total": float(num_groups)}
    return {**means, **lengths, **counts}


def advantage_sums(credits: Sequence[Credited]) -> dict[str, float]:
    """Sums over sampled tokens; those that are not trained on have 0 and add nothing."""
    flat = _flat([credit.advantages for credit in credits])
    return {"advantages": float(flat.sum()), "squares": float((flat**2).sum())}


def describe_advantages(sums: Mapping[str, float], tokens: float) -> Metrics:
    """Mean and deviation over the trained tokens, from `advantage_sums` of all processes."""
    count = max(tokens, 1.0)
    mean = sums["advantages"] / count
    variance = max(sums["squares"] / count - mean**2, 0.0)
    return {"advantage/mean": mean, "advantage/std": variance**0.5}


def describe_pay(pays: Sequence[Pay], workers: Workers) -> Metrics:
    """The mean return after rewards for length."""
    total = workers.sum({"n": len(pays), "paid": sum(pay.total for pay in pays)})
    return {"reward/shaped": total["paid"] / max(total["n"], 1.0)}


def describe_penalties(penalties: Sequence[ByTurn], kl_coef: float, workers: Workers) -> Metrics:
    """The mean k1 of sampled tokens, where the penalty stands in the reward."""
    flat = _flat(penalties) / kl_coef
    total = workers.sum({"n": len(flat), "kl": float(flat.sum())})
    return {"kl": total["kl"] / max(total["n"], 1.0)}


def describe_values(
    values: Sequence[ByTurn], credits: Sequence[Credited], workers: Workers
) -> Metrics:
    """The critic before the updates: its mean, and how much of the targets it explains."""
    fitted = _flat([credit.is_target or [] for credit in credits]) > 0
    value = _flat(values)[fitted]
    target = _flat([credit.targets or [] for credit in credits])[fitted]
    first = workers.sum({"n": len(value), "v": float(value.sum()), "t": float(target.sum())})
    count = max(first["n"], 1.0)
    mean = first["v"] / count
    error = target - value
    mean_target, mean_error = first["t"] / count, first["t"] / count - mean
    second = workers.sum(
        {
            "t": float(((target - mean_target) ** 2).sum()),
            "e": float(((error - mean_error) ** 2).sum()),
        }
    )
    explained = 1.0 - second["e"] / second["t"] if second["t"] > 0 else 0.0
    return {"value/mean": mean, "value/explained_variance": explained}


def _deviation(episodes: Sequence[Episode], mean: float, count: float, workers: Workers) -> float:
    """Of the returns of all processes, with n - 1; in a second pass, for squares would cancel."""
    returns = np.array([episode.episode_return for episode in episodes])
    squares = workers.sum({"squares": float(((returns - mean) ** 2).sum())})["squares"]
    return float(np.sqrt(squares / max(count - 1.0, 1.0)))


def _mean_lengths(total: dict[str, float]) -> Metrics:
    """Mean tokens of right and of wrong episodes; sums and counts are taken out of `total`."""
    found: Metrics = {}
    for kind in ("right", "wrong"):
        tokens, count = total.pop(f"tokens/{kind}", 0.0), total.pop(f"n/{kind}", 0.0)
        if count:
            found[f"episodes/mean_tokens_{kind}"] = tokens / count
    return found


def _rollout_sums(episodes: Sequence[Episode], credits: Sequence[Credited]) -> dict[str, float]:
    """Sums over episodes of what is logged as their mean; `n`, answers and silent groups count."""
    sums: dict[str, float] = {"n": len(episodes), "answers": 0.0, "answers/cut": 0.0}
    signal = {
        episode.group
        for episode, credit in zip(episodes, credits, strict=True)
        if any(each.any() for each in credit.advantages)
    }
    sums["groups/zero_variance"] = len({e.group for e in episodes}) - len(signal)
    for episode in episodes:
        last, answers = (episode.turns[-1] if episode.turns else None), episode.answers
        parts = {
            "reward/mean": episode.episode_return,
            "success": float(episode.success),
            "success/first_turn": float(bool(answers and answers[0].success)),
            "episodes/mean_turns": float(len(answers)),
            "episodes/truncated": float(episode.status is not Status.terminated),
            "episodes/context_limit": float(episode.status is Status.context_limit),
            "episodes/mean_tokens": float(episode.num_sampled_tokens),
        }
        finished = [turn.completion.finish_reason for turn in episode.turns]
        parts |= {"answers": len(finished), "answers/cut": finished.count(FinishReason.length)}
        kind = "right" if episode.success else "wrong"
        parts |= {f"tokens/{kind}": float(episode.num_sampled_tokens), f"n/{kind}": 1.0}
        if last is not None and "tool_calls" in last.details:
            calls = float(last.details["tool_calls"])
            parts |= {"tools/calls": calls, "tools/episodes": float(calls > 0)}
            parts["tools/errors"] = float(last.details["tool_errors"])
        for name, value in last.reward_terms.items() if last else ():
            parts[f"reward/{name}"] = float(value)
        if last:
            parts[f"outcome/{last.outcome}"] = 1.0
        for name, value in parts.items():
            sums[name] = sums.get(name, 0.0) + value
    return sums


def _flat(values: Sequence[ByTurn]) -> np.ndarray:
    return np.concatenate([turn for each in values for turn in each] or [np.zeros(0)])
