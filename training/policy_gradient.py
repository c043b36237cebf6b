"""Multi-turn GRPO and its relatives: one update, from tasks to gradients.

    groups of G episodes on one reset seed -> pay -> advantages (within the group, the batch, or
    against a critic) -> rows (ids as sampled, mask from lengths) -> surrogate -> optimizer steps

`README.md` in this folder walks through it with every formula and metric. Source: DeepSeekMath
(arXiv 2402.03300), with the choices of Dr. GRPO (arXiv 2503.20783: no division by the group's
deviation) and DAPO (arXiv 2503.14476: token mean, asymmetric clip, no KL) as defaults; `conf/
algorithm/` has the rest by name. Departures: rows without a signal are dropped before the forward
pass; with one update per rollout the old log-probabilities are the detached present ones (exactly
r = 1) and the sampler's are only compared with them (`sampler_gap/mean`); credit may go by turn, so
that a first answer is not blamed for the ones that follow it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import gymnasium as gym
import numpy as np
from torch import Tensor, nn

from ..agents.config import SamplingConfig
from ..agents.policy import Policy
from ..agents.policy_agent import PolicyAgent
from ..agents.types import Episode
from .advantages import AdvantageKind
from .batch import WeightedRow
from .credit import ByTurn, Credited, credited
from .critic import value_head_of
from .grpo_config import GrpoConfig, KLPlace
from .grpo_rollout import GroupSampler
from .grpo_rows import by_turn, numbered_rows, rows_with_signal
from .grpo_update import (
    Measured,
    Models,
    TrainRows,
    count_totals,
    measure,
    minibatches,
    train_on,
    update_metrics,
)
from .judging.config import RewardSource
from .judging.pay import ModelPay, describe_agreement
from .loop import Metrics, TrainState
from .rollout_metrics import (
    advantage_sums,
    describe_advantages,
    describe_pay,
    describe_penalties,
    describe_rollout,
    describe_values,
    played,
)
from .shaping import fined, shaped
from .sharding import gathered
from .step_costs import StepCosts
from .unfinished import Rollout, pack_rollout, unpack_rollout

RANK_STRIDE = 1_000_000  # an index names a row on all processes together


class GrpoStage:
    """The GRPO arm. `reference` is needed when `kl_coef` is positive, `pay` where a model pays."""

    name = "grpo"

    def __init__(
        self,
        config: GrpoConfig,
        make_env: Callable[[], gym.Env],
        policy: Policy,
        *,
        run_seed: int,
        reference: Policy | None = None,
        pay: ModelPay | None = None,
    ) -> None:
        if config.kl_coef > 0 and reference is None:
            raise ValueError("kl_coef > 0 needs a reference policy; got None")
        if (config.reward.source is RewardSource.rule) is not (pay is None):
            got = "no model" if pay is None else "a model that pays"
            raise ValueError(f"reward.source must fit; got {config.reward.source.value} and {got}")
        self.budget, self.optim = config.budget, config.optim
        self._config = config
        self._run_seed = run_seed
        critic = None
        if config.advantage is AdvantageKind.gae:
            critic = value_head_of(policy, config.critic.hidden_sizes, seed=run_seed)
        self._models = Models(reference=reference, head=critic)
        self.head = _kept_in_checkpoints(self._models, config)
        sampling = SamplingConfig(
            temperature=config.temperature, max_new_tokens=config.max_new_tokens
        )
        agent = PolicyAgent(policy, sampling)
        self._sampler = GroupSampler(config, make_env, agent, run_seed, self.name, pay)
        self._pay = pay

    def update(self, state: TrainState) -> Metrics:
        """Roll out `groups_per_step` groups over all processes and train on them."""
        costs = StepCosts(state.policy.device)
        if state.unfinished is not None:  # resumed between two updates of this step
            rollout = unpack_rollout(state.unfinished, state.workers)
            state.unfinished = None
        else:
            rollout = self._roll_out(state, costs)
        metrics = dict(rollout.metrics)
        if rollout.batch.totals.tokens == 0:  # nothing to learn: momentum may not move weights
            return {**metrics, **costs.as_metrics()}
        with costs.part("train"):
            metrics |= self._train(rollout, state)
        return {**metrics, **costs.as_metrics()}

    def _roll_out(self, state: TrainState, costs: StepCosts) -> Rollout:
        """Play, and make rows with advantages of what was played."""
        self._refresh_reference(state)
        with costs.part("rollout"), gathered(state.policy):
            episodes = self._sampler.play(state)
        if self._pay is not None:
            spent = state.workers.sum({"flops": self._pay.new_flops()})
            state.ledger.add(judge_flops=int(spent["flops"]))
        with costs.part("measure"):
            rows = self._number(episodes, state)
            measured = self._measure(rows, state)
        credits, metrics = self._credit(episodes, rows, measured, state)
        batch, counts = self._batch(episodes, rows, credits, measured, state)
        metrics |= describe_advantages(counts, batch.totals.tokens)
        if self._is_off_policy and not self._measures_all and batch.totals.tokens > 0:
            with costs.part("train"):
                old = measure(batch.rows, state.policy, self._config, self._models, state.workers)
            batch = replace(batch, measured=old)
        return Rollout(batch, metrics)

    def _refresh_reference(self, state: TrainState) -> None:
        """Let the reference become the policy, every `reference_every` steps."""
        every, reference = self._config.reference_every, self._models.reference
        if every is not None and reference is not None and state.step and state.step % every == 0:
            reference.model.load_state_dict(state.policy.model.state_dict())

    def _number(self, episodes: Sequence[Episode], state: TrainState) -> list[list[WeightedRow]]:
        first = state.workers.rank * RANK_STRIDE
        return numbered_rows(episodes, state.policy, first_index=first)

    def _measure(self, rows: Sequence[Sequence[WeightedRow]], state: TrainState) -> Measured:
        """What advantages need of the models: values, or the reference's log-probabilities."""
        if not self._measures_all:
            return Measured()
        every = [row for parts in rows for row in parts]
        in_reward = self._config.kl_in is KLPlace.reward
        return measure(
            every, state.policy, self._config, self._models, state.workers, reference=in_reward
        )

    def _credit(
        self,
        episodes: Sequence[Episode],
        rows: Sequence[Sequence[WeightedRow]],
        measured: Measured,
        state: TrainState,
    ) -> tuple[list[Credited], Metrics]:
        """Advantages of every sampled token, and what is logged of the rollout."""
        config, workers = self._config, state.workers
        paid = shaped(episodes, config, state.step)
        pays, values, penalties = paid, None, None
        extra: Metrics = {}
        both = list(zip(episodes, rows, strict=True))
        if self._pay is not None:
            extra |= describe_agreement(episodes, workers)
        if config.length.is_on:
            extra |= describe_pay(paid, workers)
        if config.kl_in is KLPlace.reward:
            penalties = [_penalties(*each, measured.reference, config.kl_coef) for each in both]
            extra |= describe_penalties(penalties, config.kl_coef, workers)
            if config.advantage is not AdvantageKind.reinforce_plus_plus:
                pays = fined(paid, penalties)
        if self._models.head is not None:
            values = [by_turn(*each, measured.values) for each in both]
        found = credited(
            episodes, pays, config, penalties=penalties, values=values, pool=workers.sum
        )
        if values is not None:
            extra |= describe_values(values, found, workers)
        told = describe_rollout(episodes, found, self._sampler.num_groups, workers)
        return found, {**told, **extra}

    def _batch(
        self,
        episodes: Sequence[Episode],
        rows: Sequence[Sequence[WeightedRow]],
        credits: Sequence[Credited],
        measured: Measured,
        state: TrainState,
    ) -> tuple[TrainRows, dict[str, float]]:
        """Rows with a signal and what the loss is divided by; and counts over all processes."""
        kept = rows_with_signal(episodes, rows, credits)
        totals, counts = count_totals(
            kept,
            self._config.max_new_tokens,
            state.workers,
            trained=sum(row.num_tokens for row in kept),
            **played(episodes),
            **advantage_sums(credits),
        )
        state.ledger.add(
            train_tokens=int(counts["trained"]) * self._config.epochs,
            **{name: int(counts[name]) for name in played(())},
        )
        return TrainRows(rows=kept, totals=totals, measured=measured), counts

    def _train(self, rollout: Rollout, state: TrainState) -> Metrics:
        """All updates of one rollout that have not been made."""
        config, sums, metrics, count = self._config, rollout.sums, {}, 0
        for epoch in range(config.epochs):
            parts = minibatches(rollout.batch, config, state, run_seed=self._run_seed, epoch=epoch)
            for part in parts:
                count += 1
                if count <= rollout.num_done:
                    continue
                metrics = train_on(part, config, state, self._models, sums)
                rollout.num_done = count
                is_last = epoch == config.epochs - 1 and part is parts[-1]
                if state.updated is not None and not is_last:
                    state.updated(count, lambda: pack_rollout(rollout, state.workers))
        return {**metrics, **update_metrics(sums, state.workers)}

    @property
    def _is_off_policy(self) -> bool:
        """Whether the second and later updates need log-probabilities from before the first."""
        return self._config.epochs * self._config.minibatches > 1

    @property
    def _measures_all(self) -> bool:
        """Whether every row is measured before there are advantages."""
        return self._models.head is not None or self._config.kl_in is KLPlace.reward


def _penalties(
    episode: Episode,
    rows: Sequence[WeightedRow],
    reference: Mapping[int, Tensor],
    kl_coef: float,
) -> ByTurn:
    """beta * k1 of every sampled token: the sampler's log-probability less the reference's."""
    return [
        kl_coef * (np.array(turn.completion.logprobs) - logp)
        for turn, logp in zip(episode.turns, by_turn(episode, rows, reference), strict=True)
    ]


def _kept_in_checkpoints(models: Models, config: GrpoConfig) -> nn.Module | None:
    """What a resumed run needs beside the policy: the critic, and a reference that has moved."""
    parts: dict[str, nn.Module] = {}
    if models.head is not None:
        parts["value"] = models.head
    if config.reference_every is not None and models.reference is not None:
        parts["reference"] = models.reference.model.requires_grad_(False)
    return nn.ModuleDict(parts) if parts else None
