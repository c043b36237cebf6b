"""Broad pretraining: many rules and many tasks, so that a tiny policy has a skill to lose.

It stands in for the foundation model of the study and is accounted apart from both arms. What its
tasks are, and what is kept from them, is told by `broad_cards` and `broad_streets`.

The result is cached under the hash of everything that shapes it: `<output_dir>/.cache/pretrain/`.
"""

import dataclasses
import hashlib
import json
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..agents.config import LoraConfig
from ..agents.policy import Policy, load_policy, torch_device
from ..envs.general_points.config import GeneralPointsConfig
from ..envs.general_points.thought import forget_once
from ..envs.settings import Modality
from ..envs.street_nav.config import StreetNavConfig
from .broad_cards import BroadTasks
from .broad_streets import BroadWalks
from .config import BudgetConfig, ExperimentConfig, OptimConfig, PretrainConfig
from .distributed import Workers
from .files import atomic_write_json, plain
from .loop import TrainState, train
from .progress import ProgressReporter
from .run_folder import RunFolder
from .supervised import Demonstrations, SupervisedStage
from .vision_warmup import VisionStage

logger = logging.getLogger(__name__)

CACHE_VERSION = 4  # raise it when the same configuration would give another base


def pretrained(
    config: ExperimentConfig, seed: int, workers: Workers, reporter: ProgressReporter
) -> tuple[Policy, dict[str, Any]]:
    """The pretrained policy, from the cache or by training, and what it cost.

    An interrupted pretraining goes on where it stopped. Raises ValueError when the policy has no
    shape to build or the environment has no broad variant.
    """
    pretrain = config.pretrain
    assert pretrain is not None
    seed = seed if pretrain.seed is None else pretrain.seed
    root, recipe = cached_base(config, seed)
    done = root / "spent.json"
    # Another command that wants the same base waits for it instead of training it a second time.
    with _held(root, recipe, workers):
        if not done.exists():
            _train(config, pretrain, seed, root, workers, reporter)
    loaded = load_policy(dataclasses.replace(config.policy, path=str(root / "policy")))
    logger.info("pretrained base: %s", root)
    return loaded, json.loads(done.read_text(encoding="utf-8"))


def cached_base(config: ExperimentConfig, seed: int) -> tuple[Path, dict[str, Any]]:
    """Folder of this base in the cache, trained or not (`spent.json` ends it), and its recipe.

    seed: of the run; a `pretrain.seed` goes before it.
    """
    assert config.pretrain is not None
    own = config.pretrain.seed
    recipe = _recipe(config, seed if own is None else own)
    return Path(config.output_dir) / ".cache" / "pretrain" / _digest(recipe), recipe


def broad_tasks(
    policy: Policy, env: Any, pretrain: PretrainConfig, *, seed: int, stream: str = "pretrain"
) -> Demonstrations:
    """The broad demonstrations of an environment's kind; ValueError for one that has none."""
    if isinstance(env, GeneralPointsConfig):
        return BroadTasks(policy, env, pretrain, seed=seed, stream=stream)
    if isinstance(env, StreetNavConfig):
        return BroadWalks(policy, env, pretrain, seed=seed, stream=stream)
    raise ValueError(f"pretraining must have tasks of General Points or streets; got {env.id}")


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
        tasks = broad_tasks(policy, env, pretrain, seed=seed, stream=name)
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
    whole = dataclasses.replace(  # adapters and frozen towers come later: there is nothing to keep
        config.policy, path=None, build=seeded, lora=LoraConfig(), freeze_vision=False
    )
    return load_policy(whole)


def _recipe(config: ExperimentConfig, seed: int) -> dict[str, Any]:
    """Everything that shapes the base; of the environment, not what only evaluations use.

    Number format, kernels and kind of device are part of it: they change the rounding, so a base
    that was trained with others is another base.
    """
    env = dataclasses.asdict(config.env)
    for unused in ("split", "reward", "episode_return", "discount"):
        env.pop(unused)
    if env.get("thought") is None:  # bases of before there were thoughts keep their name
        env.pop("thought", None)
    if "tools" in env and not config.env.tools.offered:  # and of before there were tools
        env.pop("tools")
    if env.get("fog") is False:  # and of before there was fog
        env.pop("fog")
    forget_once(env.get("thought"))  # and of before thoughts checked themselves several times
    if isinstance(config.env, GeneralPointsConfig):
        env["rule"] = config.env.rule.operators  # broad tasks have faces of their own
    else:
        env.pop("rule")
        env.pop("wording")
    assert config.policy.build is not None
    assert config.pretrain is not None
    pretrain = dataclasses.asdict(config.pretrain)
    if not config.pretrain.formats:
        pretrain.pop("formats")
    if config.pretrain.optim.eps == OptimConfig().eps:  # and of before it could be set
        pretrain["optim"].pop("eps")
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
            "pretrain": pretrain,
        }
    )


def _digest(recipe: dict[str, Any]) -> str:
    text = json.dumps(recipe, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
