"""Runs the stages of one seed in order; a stage that is done is left alone.

    seed_<k>/<stage>/policy/       the policy that it leaves
    seed_<k>/<stage>/train.jsonl   answers that it accepted (`reject_sample`)
    seed_<k>/<stage>/spent.json    tokens, FLOPs, CPU seconds, memory
    seed_<k>/<stage>/done.json     written last: the stage is finished
    seed_<k>/<stage>/checkpoints/  a training stage that was interrupted goes on from the newest

What a stage draws depends on the run's seed and on the stage's name, so two stages of one kind see
different tasks, and a stage's result does not depend on those beside it.
"""

import dataclasses
import json
import logging
import zlib
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from ...agents.policy import Policy, load_policy
from ..chat_records import DATA_NAME
from ..config import ExperimentConfig
from ..demonstrations import OracleDemonstrations
from ..distributed import Workers
from ..files import atomic_write_json
from ..judging.identity import check_identity, identity
from ..judging.pay import Scorer, load_reward_model, own_judge, pay_of, read_about
from ..judging.verdicts import VERDICTS_NAME, JudgedAnswer
from ..length_request import hindsight_requests, with_length_requests
from ..loop import Stage, TrainState, train, trained_parameters
from ..metrics import Ledger
from ..policy_gradient import GrpoStage
from ..pretraining import pretrained
from ..progress import ProgressReporter
from ..run_folder import RunFolder
from ..sft_files import FileDemonstrations
from ..step_costs import MIB, peak_memory
from ..supervised import Demonstrations, SupervisedStage
from ..trackers import make_trackers
from .config import SELF, StageKind
from .judging import (
    make_verdicts,
    measure_reward_model,
    preference_stage,
    reward_model_stage,
    verdicts_of,
)
from .measures import measure_policy
from .plan import PlannedStage
from .rejection import reject_sample

logger = logging.getLogger(__name__)


@dataclasses.dataclass(slots=True)
class SeedPipeline:
    """All stages of one seed. folder: .../seed_<k>."""

    plan: Sequence[PlannedStage]
    folder: Path
    seed: int
    workers: Workers
    reporter: ProgressReporter

    def run(self) -> None:
        """Run every stage that is not done."""
        for stage in self.plan:
            self.run_stage(stage)

    def run_stage(self, stage: PlannedStage) -> None:
        """Run one stage unless it is done; ValueError where its input is missing."""
        done = self.folder / stage.name / "done.json"
        if done.exists():
            logger.info("stage %s of seed %d is done", stage.name, self.seed)
            return
        counts = _WORK[stage.kind](self, stage)
        if self.workers.is_main:
            atomic_write_json(done, counts)
        self.workers.wait()

    def pretrain(self, stage: PlannedStage) -> dict[str, Any]:
        """The base: given by path, from the cache, or trained now."""
        config = stage.config
        spent: dict[str, Any] = {}
        if config.policy.path is not None or config.pretrain is None:
            policy = load_policy(config.policy)
        else:
            policy, spent = pretrained(config, self.seed, self.workers, self.reporter)
        self._keep(policy, stage.name)
        self._tell_spent(stage, spent.get("pretrain", {}))
        return {"parameters": policy.num_parameters}

    def sft(self, stage: PlannedStage) -> dict[str, Any]:
        """More or less supervised fine-tuning from the stage's start."""
        config, policy = stage.config, self._start(stage)
        sft = config.sft
        work = SupervisedStage(
            "sft",
            self._demonstrations(stage, policy),
            batch_size=sft.batch_size,
            budget=sft.budget,
            optim=sft.optim,
            aggregation=sft.aggregation,
        )
        return self._train(stage, work, policy)

    def grpo(self, stage: PlannedStage) -> dict[str, Any]:
        """Reinforcement learning from the stage's start, which is also the reference."""
        config, policy = self._with_judge(stage), self._start(stage)
        env = config.env
        work = GrpoStage(
            config.grpo,
            lambda: with_length_requests(gym.make(env.id, config=env), config.grpo.length),
            policy,
            run_seed=stage_seed(self.seed, stage.name),
            reference=self._start(stage) if config.grpo.kl_coef > 0 else None,
            pay=pay_of(config, policy),
        )
        return self._train(stage, work, policy)

    def reject(self, stage: PlannedStage) -> dict[str, Any]:
        """Answers of the start's policy that are right, as a file of demonstrations."""
        ledger, counts = reject_sample(
            self._start(stage),
            stage.config.env,
            stage.stage.reject,
            max_new_tokens=stage.config.grpo.max_new_tokens,
            seed=stage_seed(self.seed, stage.name),
            folder=self.folder / stage.name,
        )
        self._tell_spent(stage, _spent(ledger))
        return counts

    def verdicts(self, stage: PlannedStage) -> dict[str, Any]:
        """Answers of the start's policy, right and wrong, with the rule's verdict on each."""
        seed, folder = stage_seed(self.seed, stage.name), self.folder / stage.name
        ledger, counts = make_verdicts(self._start(stage), stage, seed=seed, folder=folder)
        self._tell_spent(stage, _spent(ledger))
        return counts

    def reward_model(self, stage: PlannedStage) -> dict[str, Any]:
        """A model of a stage's verdicts, from the start's policy; how it agrees with the rule."""
        policy, verdicts = self._start(stage), self._verdicts(stage)
        seed = stage_seed(self.seed, stage.name)
        work, model = reward_model_stage(stage, policy, verdicts, seed=seed)
        done = self._train(stage, work, policy)
        folder = self.folder / stage.name
        if self.workers.is_main:
            model.save(folder / "policy", {"identity": identity(stage.config.env)})
            measure_reward_model(model, verdicts, folder)
        self.workers.wait()
        return done

    def dpo(self, stage: PlannedStage) -> dict[str, Any]:
        """Preference optimisation from the stage's start, which is also the reference."""
        policy, verdicts = self._start(stage), self._verdicts(stage)
        seed = stage_seed(self.seed, stage.name)
        return self._train(stage, preference_stage(stage, policy, verdicts, seed=seed), policy)

    def evaluate(self, stage: PlannedStage) -> dict[str, Any]:
        """Every policy on every cell; what is measured already is left alone."""
        for name in stage.policies:
            policy = self._policy(stage, name)
            folder, judges = self.folder / stage.name, self._judges(stage, policy)
            measure_policy(policy, name, stage, folder, self.workers, self.reporter, judges)
        return {"policies": list(stage.policies)}

    def _start(self, stage: PlannedStage) -> Policy:
        assert stage.start is not None
        return self._policy(stage, stage.start)

    def _policy(self, stage: PlannedStage, name: str) -> Policy:
        """What another stage left; ValueError where it is gone."""
        path = self._input(stage, name, "policy")
        return load_policy(dataclasses.replace(stage.config.policy, path=str(path)))

    def _input(self, stage: PlannedStage, name: str, part: str) -> Path:
        path = self.folder / name / part
        if not path.exists():
            raise ValueError(
                f"stages.{stage.name} must find {part} of stage {name}; got no {path}: delete "
                f"{self.folder / name} to have it made again"
            )
        return path

    def _verdicts(self, stage: PlannedStage) -> list[JudgedAnswer]:
        assert stage.stage.data is not None
        return verdicts_of(stage, self._input(stage, stage.stage.data, VERDICTS_NAME).parent)

    def _with_judge(self, stage: PlannedStage) -> ExperimentConfig:
        """The stage's settings, with the folder of the model that pays."""
        config, name = stage.config, stage.stage.judge
        if name is None:
            return config
        path = str(self._input(stage, name, "policy"))
        reward = dataclasses.replace(config.grpo.reward, path=path)
        return dataclasses.replace(config, grpo=dataclasses.replace(config.grpo, reward=reward))

    def _judges(self, stage: PlannedStage, policy: Policy) -> dict[str, Scorer]:
        """What scores a policy's answers in an evaluation, beside the rule."""
        found: dict[str, Scorer] = {}
        for name in stage.stage.judges:
            if name == SELF:
                found[name] = own_judge(policy, stage.config.grpo.reward)
                continue
            folder = self._input(stage, name, "policy")
            check_identity(read_about(folder, name)["identity"], stage.config.env, name)
            found[name] = load_reward_model(folder, stage.config.policy)
        return found

    def _demonstrations(self, stage: PlannedStage, policy: Policy) -> Demonstrations:
        sft, seed = stage.config.sft, stage_seed(self.seed, stage.name)
        data = sft.data
        if stage.stage.data is not None:
            data = str(self._input(stage, stage.stage.data, DATA_NAME))
        if data is not None:
            return FileDemonstrations(policy, Path(data), seed=seed)
        return OracleDemonstrations(
            policy,
            stage.config.env,
            stream="sft",
            seed=seed,
            revision_fraction=sft.revision_fraction,
            max_wrong_attempts=sft.max_wrong_attempts,
            count=sft.num_demonstrations,
            requests=hindsight_requests(policy, sft, stage.config.grpo.length, seed=seed),
        )

    def _train(self, stage: PlannedStage, work: Stage, policy: Policy) -> dict[str, Any]:
        config, folder = stage.config, self.folder / stage.name
        folder.mkdir(parents=True, exist_ok=True)
        state = TrainState.create(
            policy, work.optim, work.budget, self.workers, trained_parameters(policy, work)
        )
        names = config.trackers if self.workers.is_main else []
        about = {"stage": stage.name, "seed": self.seed}
        with closing(make_trackers(names, RunFolder(folder), about)) as trackers:
            train(
                work,
                state,
                folder,
                checkpoint_every=config.checkpoint_every,
                keep_checkpoints=config.keep_checkpoints,
                checkpoint_updates=config.checkpoint_updates,
                on_metrics=lambda step, metrics: trackers.log(metrics, step),
                reporter=self.reporter,
                seed=stage_seed(self.seed, stage.name),
            )
        self._keep(policy, stage.name)
        self._tell_spent(stage, _spent(state.ledger, peak_memory(policy.device) / MIB))
        return {"step": state.step}

    def _keep(self, policy: Policy, name: str) -> None:
        if self.workers.is_main:
            policy.save(self.folder / name / "policy")
        self.workers.wait()

    def _tell_spent(self, stage: PlannedStage, spent: dict[str, Any]) -> None:
        if self.workers.is_main:
            atomic_write_json(self.folder / stage.name / "spent.json", spent)


_WORK = {
    StageKind.pretrain: SeedPipeline.pretrain,
    StageKind.sft: SeedPipeline.sft,
    StageKind.grpo: SeedPipeline.grpo,
    StageKind.reject_sample: SeedPipeline.reject,
    StageKind.verdicts: SeedPipeline.verdicts,
    StageKind.reward_model: SeedPipeline.reward_model,
    StageKind.dpo: SeedPipeline.dpo,
    StageKind.evaluate: SeedPipeline.evaluate,
}


def stage_seed(seed: int, name: str) -> int:
    """The seed of everything that a stage draws: 32 bits, from the run's seed and its name."""
    words = np.random.SeedSequence([seed, zlib.crc32(name.encode())]).generate_state(1)
    return int(words[0])


def read_spent(folder: Path) -> dict[str, Any]:
    """What a finished stage has spent; empty where it trained nothing."""
    path = folder / "spent.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def _spent(ledger: Ledger, peak_mib: float | None = None) -> dict[str, Any]:
    memory = {} if peak_mib is None else {"peak_mib": peak_mib}
    return {**ledger.asdict(), "flops": ledger.flops(), "cpu_s": ledger.cpu_s, **memory}
