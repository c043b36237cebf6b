"""One seed of an experiment: the base, and the arms that start from it.

    seed_<k>/base/     pretraining (cached), SFT warm-up, policy/
    seed_<k>/sft/      more SFT        from base/policy
    seed_<k>/grpo/     GRPO            from base/policy
    seed_<k>/evals/    one result per (policy, cell, metric);  evals.jsonl lists them all
    seed_<k>/episodes/ sample episodes with their pictures

Every function may be called again after an interruption: what is finished is read back, what is
not goes on from its newest checkpoint. Compute is accounted per arm; pretraining and warm-up stand
apart (they are common to both arms).
"""

import dataclasses
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import gymnasium as gym

from ..agents.policy import Policy, load_policy
from ..agents.policy_agent import PolicyAgent
from .arm_results import collect_evals, results_path, tracked, write_results
from .chat_records import read_records
from .checkpoint import latest_checkpoint
from .config import ExperimentConfig
from .demonstrations import OracleDemonstrations
from .distributed import Workers
from .evaluate import MakeAgent, evaluate
from .files import atomic_write_json
from .judging.pay import pay_of
from .kept_results import KeptResults
from .length_request import hindsight_requests, with_length_requests
from .loop import Stage, TrainState, train, trained_parameters
from .metrics import Ledger
from .policy_gradient import GrpoStage
from .pretraining import pretrained
from .progress import ProgressReporter
from .run_folder import RunFolder
from .sft_files import FileDemonstrations
from .sharding import for_reference, gathered, spread
from .supervised import Demonstrations, SupervisedStage
from .trackers import Trackers, make_trackers
from .whole_tensors import save_policy

ARMS = ("sft", "grpo")


@dataclasses.dataclass(slots=True)
class SeedRun:
    """What the base and the arms of one seed share."""

    config: ExperimentConfig
    folder: Path  # .../seed_<k>
    seed: int
    workers: Workers
    reporter: ProgressReporter
    kept: KeptResults | None = None  # of a policy that is only measured

    def run_base(self, *, warm_up: bool = True) -> None:
        """Pretrain (or load) and warm up; leaves `base/policy` and its evaluation."""
        done = self.folder / "base" / "done.json"
        for stage in (self.config.warmup, self.config.sft):
            if stage is not None and stage.data is not None:
                read_records(Path(stage.data))  # a faulty file is told before hours of training
        if not done.exists():
            policy, spent = self._start()
            size = policy.num_parameters  # of a policy that is whole: training may split it
            if warm_up and self.config.warmup is not None:
                state = self._warm_up(policy)
                spent["warmup"] = {**state.ledger.asdict(), "cpu_s": state.ledger.cpu_s}
            self._keep(policy, "base")
            if self.workers.is_main:
                atomic_write_json(self.folder / "base" / "spent.json", spent)
                atomic_write_json(done, {"parameters": size})
            self.workers.wait()
        policy = self._base()
        self.measure_base(_sampler(policy), policy.num_parameters)

    def run_arm(self, arm: str) -> None:
        """Train one arm from the base to its budget, measuring at every milestone."""
        done = self.folder / arm / "done.json"
        if done.exists():
            return
        policy = self._base()
        stage = self._stage(arm, policy)
        state = self._train(stage, policy, arm, milestones=self.config.evaluate.milestones)
        self._keep(policy, arm)
        if self.workers.is_main:
            atomic_write_json(done, {"step": state.step, **state.ledger.asdict()})
        self.workers.wait()

    def measure_base(self, make_agent: MakeAgent, num_parameters: int) -> None:
        """Evaluate what both arms start from, or a policy that is only measured."""
        warmed_up = latest_checkpoint(self.folder / "base" / "checkpoints")
        with closing(self._trackers("base")) as trackers:
            self.measure(
                make_agent,
                "base",
                0,
                Ledger(num_parameters=num_parameters),
                final=True,
                on_values=lambda values: trackers.log(values, warmed_up.step if warmed_up else 0),
            )

    def measure(
        self,
        make_agent: MakeAgent,
        arm: str,
        step: int,
        ledger: Ledger,
        *,
        final: bool,
        on_values: Callable[[dict[str, float]], None] | None = None,
    ) -> None:
        """Evaluate on every cell and note what had been spent by then.

        on_values: told success (and recognition) by `eval/<cell>/<metric>`, and the compute.
        """
        config = self.config
        if not config.suite.cells:
            return
        label = f"{arm}_{step:06d}"
        chosen = config.evaluate
        results = evaluate(
            make_agent,
            config.env,
            config.suite,
            chosen,
            num_episodes=chosen.final_episodes if final else chosen.episodes,
            folder=self.folder,
            label=label,
            keep_episodes=final,
            workers=self.workers,
            reporter=self.reporter,
            kept=self.kept,
        )
        if not self.workers.is_main:
            return
        path = results_path(self.folder, label)
        if on_values is not None and not path.exists():  # a resumed run has told it already
            on_values({**tracked(results), **ledger.as_metrics()})
        write_results(path, results, ledger, {"arm": arm, "step": step, "final": final})
        collect_evals(self.folder)

    def _start(self) -> tuple[Policy, dict[str, Any]]:
        config = self.config
        if config.policy.path is not None or config.pretrain is None:
            return load_policy(config.policy), {}
        return pretrained(config, self.seed, self.workers, self.reporter)

    def _base(self) -> Policy:
        path = str(self.folder / "base" / "policy")
        return load_policy(dataclasses.replace(self.config.policy, path=path))

    def _warm_up(self, policy: Policy) -> TrainState:
        warmup = self.config.warmup
        assert warmup is not None
        stage = SupervisedStage(
            "warmup",
            self._demonstrations(policy, "warmup"),
            batch_size=warmup.batch_size,
            budget=warmup.budget,
            optim=warmup.optim,
            aggregation=warmup.aggregation,
        )
        return self._train(stage, policy, "base", milestones=0)

    def _stage(self, arm: str, policy: Policy) -> Stage:
        if arm == "sft":
            sft = self.config.sft
            return SupervisedStage(
                "sft",
                self._demonstrations(policy, "sft"),
                batch_size=sft.batch_size,
                budget=sft.budget,
                optim=sft.optim,
                aggregation=sft.aggregation,
            )
        if arm != "grpo":
            raise ValueError(f"arm must be one of {', '.join(ARMS)}; got {arm!r}")
        env, reference = self.config.env, None
        if self.config.grpo.kl_coef > 0:
            sharding = for_reference(self.config.distributed.sharding)
            reference = spread(self._base(), self.workers, sharding)
        return GrpoStage(
            self.config.grpo,
            lambda: with_length_requests(gym.make(env.id, config=env), self.config.grpo.length),
            policy,
            run_seed=self.seed,
            reference=reference,
            pay=pay_of(self.config, policy),
        )

    def _demonstrations(self, policy: Policy, stream: str) -> Demonstrations:
        sft = self.config.warmup if stream == "warmup" else self.config.sft
        assert sft is not None
        if sft.data is not None:
            return FileDemonstrations(policy, Path(sft.data), seed=self.seed)
        return OracleDemonstrations(
            policy,
            self.config.env,
            stream=stream,
            seed=self.seed,
            revision_fraction=sft.revision_fraction,
            max_wrong_attempts=sft.max_wrong_attempts,
            count=sft.num_demonstrations,
            requests=hindsight_requests(policy, sft, self.config.grpo.length, seed=self.seed),
        )

    def _train(self, stage: Stage, policy: Policy, arm: str, *, milestones: int) -> TrainState:
        config = self.config
        spread(policy, self.workers, config.distributed.sharding, stage.head)
        state = TrainState.create(
            policy, stage.optim, stage.budget, self.workers, trained_parameters(policy, stage)
        )
        state.hand_over(stage, config.distributed)

        with closing(self._trackers(arm)) as trackers:

            def measure(state: TrainState, milestone: int) -> None:
                with gathered(policy):
                    self.measure(
                        _sampler(policy),
                        arm,
                        state.step,
                        state.ledger,
                        final=milestone == milestones,
                        on_values=lambda values: trackers.log(values, state.step),
                    )

            return train(
                stage,
                state,
                self.folder / arm,
                checkpoint_every=config.checkpoint_every,
                keep_checkpoints=config.keep_checkpoints,
                checkpoint_updates=config.checkpoint_updates,
                num_milestones=milestones if config.suite.cells else 0,
                on_milestone=measure,
                on_metrics=lambda step, metrics: trackers.log(metrics, step),
                reporter=self.reporter,
                seed=self.seed,
            )

    def _trackers(self, arm: str) -> Trackers:
        """Those of the configuration, on the main process; the caller closes them."""
        folder = self.folder / arm
        newest = latest_checkpoint(folder / "checkpoints")
        return make_trackers(
            self.config.trackers if self.workers.is_main else [],
            RunFolder(folder),
            {"arm": arm, "seed": self.seed},
            first_step=newest.step + 1 if newest is not None else 0,
        )

    def _keep(self, policy: Policy, arm: str) -> None:
        save_policy(policy, self.folder / arm / "policy", self.workers)


def _sampler(policy: Policy) -> MakeAgent:
    return lambda sampling: PolicyAgent(policy, sampling)


def seed_folder(root: Path, seed: int) -> Path:
    return root / f"seed_{seed}"
