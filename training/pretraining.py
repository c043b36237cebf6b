"""Broad pretraining: many rules, targets and hands, so that a tiny policy has a skill to lose.

It stands in for the foundation model of the study and is accounted apart from both arms. No rule
gives J 11, Q 12 or K 13 (unless `allow_ood_faces`, which keeps out only the exact triple), although
11-13 occur as values of the other faces; no task shares its sorted ranks, or its sorted values and
target, with an evaluation task under any compared rule.

The result is cached under the hash of everything that shapes it: `<output_dir>/.cache/pretrain/`.
"""

import dataclasses
import hashlib
import json
import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..agents.policy import Policy, load_policy, torch_device
from ..agents.rows import Row
from ..envs.general_points.config import GeneralPointsConfig, Modality, Split
from ..envs.general_points.rules import OPERATORS, Rule
from ..envs.general_points.task import Task, deal_task, task_split
from .config import BudgetConfig, ExperimentConfig, PretrainConfig
from .demonstrations import bare_env, demonstrate, num_wrong_attempts
from .distributed import Workers
from .files import atomic_write_json, plain
from .loop import TrainState, train
from .progress import ProgressReporter
from .run_folder import RunFolder
from .sampler import task_rng, task_seed
from .supervised import SupervisedStage
from .vision_warmup import VisionStage

logger = logging.getLogger(__name__)

FACES = ("J", "Q", "K")
OOD_FACES = {"J": 11, "Q": 12, "K": 13}
MAX_DRAWS = 200  # of rule, target and number of cards that no hand satisfies, in a row
CACHE_VERSION = 3  # raise it when the same configuration would give another base


class BroadDealer:
    """Deals tasks over many rules, targets and card counts that share nothing with evaluation."""

    def __init__(self, env: GeneralPointsConfig, config: PretrainConfig) -> None:
        self._env = env
        self._config = config
        self._split = task_split(env)

    def deal(self, rng: np.random.Generator) -> Task:
        """A solvable task under a rule of its own."""
        for _ in range(MAX_DRAWS):
            rule, target, num_cards = self._draw(rng)
            # With one target, a held-out hand is held out under every target; with several, a task
            # is a hand with a target, and what one target holds out may be seen with another.
            split = self._split
            if self._env.targets:
                split = dataclasses.replace(split, target=target)
            try:
                return deal_task(rng, rule, target, num_cards, split)
            except ValueError as error:  # no hand reaches this target under this rule
                refused = error
        raise ValueError(f"pretraining must find solvable tasks; gave up: {refused}")

    def _draw(self, rng: np.random.Generator) -> tuple[Rule, int, int]:
        """A rule, a target and a number of cards."""
        config, env = self._config, self._env
        rule = random_rule(rng, config, env.rule.operators)
        target, num_cards = int(rng.choice(env.targets or [env.target])), env.num_cards
        if rng.random() >= config.main_target_fraction:
            target = int(rng.choice(config.targets))
        if rng.random() >= config.main_count_fraction:
            num_cards = int(rng.choice(config.card_counts))
        return rule, target, num_cards


class BroadTasks:
    """Demonstrations of the tasks of a `BroadDealer`, addressed by index."""

    def __init__(
        self,
        policy: Policy,
        env: GeneralPointsConfig,
        config: PretrainConfig,
        *,
        seed: int,
        stream: str = "pretrain",
    ) -> None:
        self._policy = policy
        self._env = env
        self._config = config
        self._seed = seed
        self._stream = stream
        self._dealer = BroadDealer(env, config)

    def rows(self, indices: Sequence[int]) -> list[Row]:
        return [self._row(index) for index in indices]

    def _row(self, index: int) -> Row:
        rng = task_rng(self._seed, self._stream, index)
        config = self._config
        task = self._dealer.deal(rng)
        env = bare_env(
            dataclasses.replace(
                self._env,
                rule=task.rule,
                target=task.target,
                targets=[],
                num_cards=len(task.ranks),
                solvable_under=[],
                split=Split.all,  # the hand is dealt by `BroadDealer`
            )
        )
        most = min(config.max_wrong_attempts, self._env.max_turns - 1)
        wrong = num_wrong_attempts(rng, config.revision_fraction, most)
        seed = task_seed(self._seed, self._stream, index)
        return demonstrate(self._policy, env, seed, wrong, ranks=task.ranks)


def random_rule(
    rng: np.random.Generator, config: PretrainConfig, operators: Sequence[str] = OPERATORS
) -> Rule:
    """Face values drawn uniformly from `face_range`, without what must stay unseen."""
    low, high = config.face_range
    while True:
        values = {face: int(rng.integers(low, high + 1)) for face in FACES}
        same = [values[face] == OOD_FACES[face] for face in FACES]
        if not (all(same) if config.allow_ood_faces else any(same)):
            name = "-".join(str(values[face]) for face in FACES)
            return Rule(name=f"faces_{name}", face_values=values, operators=list(operators))


def pretrained(
    config: ExperimentConfig, seed: int, workers: Workers, reporter: ProgressReporter
) -> tuple[Policy, dict[str, Any]]:
    """The pretrained policy, from the cache or by training, and what it cost.

    An interrupted pretraining goes on where it stopped. Raises ValueError when the policy has no
    shape to build or the environment has no broad variant.
    """
    pretrain = config.pretrain
    assert pretrain is not None
    if pretrain.seed is not None:
        seed = pretrain.seed
    if not isinstance(config.env, GeneralPointsConfig):
        raise ValueError(f"pretraining must have General Points tasks; got {config.env.id}")
    recipe = _recipe(config, seed)
    root = Path(config.output_dir) / ".cache" / "pretrain" / _digest(recipe)
    done = root / "spent.json"
    # Another command that wants the same base waits for it instead of training it a second time.
    with _held(root, recipe, workers):
        if not done.exists():
            _train(config, pretrain, seed, root, workers, reporter)
    loaded = load_policy(dataclasses.replace(config.policy, path=str(root / "policy")))
    logger.info("pretrained base: %s", root)
    return loaded, json.loads(done.read_text(encoding="utf-8"))


def _train(
    config: ExperimentConfig,
    pretrain: PretrainConfig,
    seed: int,
    root: Path,
    workers: Workers,
    reporter: ProgressReporter,
) -> None:
    policy, spent = _fresh(config, seed), {}
    if pretrain.vision_steps and policy.vision is not None:
        eyes = VisionStage(policy, config.env, pretrain, seed=seed)
        state = TrainState.create(policy, eyes.optim, eyes.budget, workers, eyes.parameters)
        spent["vision"] = _run(config, eyes, state, root / "vision", seed, reporter)
    parts = [("pretrain", config.env, pretrain.budget, root)]
    if pretrain.text_steps and policy.vision is not None:
        in_words = dataclasses.replace(config.env, modality=Modality.text)
        budget = BudgetConfig(steps=pretrain.text_steps)
        parts.insert(0, ("text", in_words, budget, root / "text"))
    for name, env, budget, folder in parts:
        tasks = BroadTasks(policy, env, pretrain, seed=seed, stream=name)
        size, optim = pretrain.batch_size, pretrain.optim
        stage = SupervisedStage(name, tasks, batch_size=size, budget=budget, optim=optim)
        state = TrainState.create(policy, optim, budget, workers)
        spent[name] = _run(config, stage, state, folder, seed, reporter)
    if workers.is_main:
        policy.save(root / "policy")
        atomic_write_json(root / "spent.json", spent)
    workers.wait()


def _run(
    config: ExperimentConfig, stage: Any, state: TrainState, folder: Path, seed: int, reporter: Any
) -> dict[str, Any]:
    """Train one stage; what it spent."""
    train(
        stage,
        state,
        folder,
        checkpoint_every=config.checkpoint_every,
        keep_checkpoints=config.keep_checkpoints,
        reporter=reporter,
        seed=seed,
    )
    ledger = state.ledger
    return {**ledger.asdict(), "flops": ledger.flops(), "cpu_s": ledger.cpu_s}


@contextmanager
def _held(root: Path, recipe: dict[str, Any], workers: Workers) -> Iterator[None]:
    """Hold the cache folder on the main process; the others wait until it is open."""
    if not workers.is_main:
        workers.wait()
        yield
        return
    with RunFolder.open(root, resume=True, config=recipe, wait_s=math.inf):
        workers.wait()
        yield


def _fresh(config: ExperimentConfig, seed: int) -> Policy:
    build = config.policy.build
    if build is None:
        raise ValueError(f"policy {config.policy.name!r} must have a build to be pretrained")
    seeded = dataclasses.replace(build, seed=build.seed + seed)
    return load_policy(dataclasses.replace(config.policy, path=None, build=seeded))


def _recipe(config: ExperimentConfig, seed: int) -> dict[str, Any]:
    """Everything that shapes the base; of the environment, not what only evaluations use.

    Number format, kernels and kind of device are part of it: they change the rounding, so a base
    that was trained with others is another base.
    """
    env = dataclasses.asdict(config.env)
    for unused in ("rule", "split", "reward", "episode_return", "discount"):
        env.pop(unused)
    assert config.policy.build is not None
    assert config.pretrain is not None
    return plain(
        {
            "version": CACHE_VERSION,
            "seed": seed,
            "threads": config.threads,
            "env": env,
            "policy": dataclasses.asdict(config.policy.build),
            "context": config.policy.context,
            "dtype": config.policy.dtype,
            "attn_implementation": config.policy.attn_implementation,
            "device": torch_device(config.policy.device).type,
            "pretrain": dataclasses.asdict(config.pretrain),
        }
    )


def _digest(recipe: dict[str, Any]) -> str:
    text = json.dumps(recipe, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
