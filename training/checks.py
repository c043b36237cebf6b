"""What is looked at before a run folder exists: mistakes that would show after hours of training.

Each of these needs more than one section of the configuration, the files that it names, or what is
installed; what a section can tell by itself is checked where it is made (`config.py`).
"""

import dataclasses
import json
import logging
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ..agents.adapters import base_of, is_adapter
from ..agents.chat import encode_next
from ..agents.config import PolicyConfig
from ..agents.families import FAMILIES, family_of
from ..agents.hub import check_reachable
from ..agents.policy import Policy, load_policy, torch_device
from ..envs.core import Observation
from ..envs.settings import PromptStyle
from .chat_records import read_records
from .config import ExperimentConfig, cell_envs
from .contamination import DealtTasks, check_contamination
from .demonstrations import bare_env
from .familiar import warn_of_familiar_cells
from .judging.pay import check_reward
from .sft_files import FileDemonstrations
from .task_checks import check_tasks
from .trackers import check_trackers

_logger = logging.getLogger(__name__)

STAGES = {  # that a command trains after the base
    "pretrain": (),
    "sft": ("warmup", "sft"),
    "grpo": ("warmup", "grpo"),
    "compare": ("warmup", "sft", "grpo"),
}
HIGH_LEARNING_RATE = 2e-5  # for all weights of a model that somebody else has trained
LOW_LEARNING_RATE = 1e-5  # for a policy built here
NUM_PROMPTS = 8  # encoded to see how much room they leave


def check_run(config: ExperimentConfig, command: str) -> DealtTasks:
    """The tasks that were looked at.

    Raises ValueError in one line, with the full key, for the first thing that cannot work.
    """
    stages = _stages(config, command)
    if command in STAGES and config.policy.path is None and config.policy.build is None:
        raise ValueError(
            f"policy must have a path or a build to be trained; got {config.policy.name}, which "
            "eval alone can measure"
        )
    if command in STAGES:
        check_policy(config.policy)
    if command != "compare" and config.seeds != 1:
        raise ValueError(
            f"seeds must be 1 for {command}, which runs one seed; got {config.seeds}: write "
            "-m seed=0,1,2 for one run each, or use compare"
        )
    if "grpo" in stages:
        check_reward(config)
    check_requests(config, stages)
    check_trackers(config.trackers)
    check_tasks(config.env, config.suite, config.evaluate)
    check_sight(config)
    dealt = check_contamination(config, stages)
    policy = _built(config.policy)
    check_room(config, stages, policy)
    check_data(config, stages, policy)
    warn_of_familiar_cells(dataclasses.asdict(config))
    if command == "eval":
        warn_of_compact_prompt(config)
    warn_of_learning_rates(config, stages)
    return dealt


def warn_of_compact_prompt(config: ExperimentConfig) -> None:
    """One line in the log for a model from elsewhere that is asked in a tiny policy's words."""
    if config.env.prompt is PromptStyle.compact and _is_from_elsewhere(config.policy):
        _logger.warning(
            "env.prompt is compact: words for the tiny policies built here, which say nothing of "
            "an answer's format. Unless %s was trained on them, use env.prompt=study and room for "
            "its answers (evaluate.max_new_tokens=512), or no experiment but env=general_points",
            config.policy.model or config.policy.path,
        )


def warn_of_learning_rates(config: ExperimentConfig, stages: Collection[str]) -> None:
    """One line in the log for a whole model from elsewhere that learns as fast as a tiny policy.

    And for a tiny policy that learns as slowly as one of billions of weights.
    """
    if not _is_from_elsewhere(config.policy):
        if "grpo" in stages and config.grpo.optim.lr < LOW_LEARNING_RATE:
            _logger.warning(
                "grpo.optim.lr=%g is for models of billions of weights; a tiny one hardly moves: "
                "algorithm=loss/NAME has an algorithm's loss alone, and leaves learning rate and "
                "batch to the experiment",
                config.grpo.optim.lr,
            )
        return
    if config.policy.lora.rank:
        return
    rates = {"sft": config.sft.optim.lr, "grpo": config.grpo.optim.lr}
    high = [
        f"{name}.optim.lr={lr:g}"
        for name, lr in rates.items()
        if name in stages and lr > HIGH_LEARNING_RATE
    ]
    if high:
        _logger.warning(
            "%s suits the tiny policies built here; papers train whole models at 1e-6 (GRPO) to "
            "1e-5 (SFT): set them, or train an adapter (policy.lora.rank=16)",
            ", ".join(high),
        )


def _is_from_elsewhere(policy: PolicyConfig) -> bool:
    """Whether a policy is neither built here nor has a word-level tokenizer built here."""
    if policy.base_url is not None:
        return True
    if policy.path is None:
        return False
    tokenizer = _told(Path(policy.path).expanduser() / "tokenizer.json").get("model")
    return not isinstance(tokenizer, dict) or tokenizer.get("type") != "WordLevel"


def _told(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is none that can be read, which loading will tell of."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def check_policy(config: PolicyConfig) -> None:
    """Whether the policy can be had, and put where it is to be; it is not loaded."""
    torch_device(config.device)
    if config.path is not None:
        check_reachable(str(Path(config.path).expanduser()))


def check_sight(config: ExperimentConfig) -> None:
    """ValueError for a policy without eyes where pictures are shown, as far as files here tell."""
    shown = {"env": config.env} | {
        f"suite.cells.{name}": env for name, env in cell_envs(config.env, config.suite).items()
    }
    where = [name for name, env in shown.items() if env.modality.value == "image"]
    path, build = config.policy.path, config.policy.build
    if not where or (path is None and build is None):
        return
    if path is None:
        assert build is not None
        is_blind = FAMILIES[build.family].vision is None
    else:
        folder = Path(path).expanduser()
        folder = Path(base_of(folder)) if is_adapter(folder) else folder
        kind = _told(folder / "config.json").get("model_type")
        if kind is None:  # the hub's, or damaged: known when it is loaded
            return
        is_blind = family_of(str(kind)).vision is None
    if is_blind:
        raise ValueError(
            f"{where[0]}.modality must be text for {path or config.policy.name}, a language model "
            "that cannot see; got image"
        )


def check_room(config: ExperimentConfig, stages: Collection[str], policy: Policy | None) -> None:
    """Whether an answer of `max_new_tokens` fits behind a prompt, as far as can be known.

    policy: as it is built; None: it has not been loaded, and only `policy.max_context` is known.
    """
    limit_name, limit = _context_limit(config.policy)
    if limit is None:
        return
    prompt = _longest_prompt(config.env, policy)
    wanted = {"evaluate.max_new_tokens": config.evaluate.max_new_tokens}
    if "grpo" in stages:
        wanted["grpo.max_new_tokens"] = config.grpo.max_new_tokens
    for name, count in wanted.items():
        if prompt + count > limit:
            raise ValueError(
                f"{name} must be at most {max(limit - prompt, 0)}, what prompts of {prompt} tokens "
                f"leave of {limit_name} ({limit}); got {count}"
            )


def check_requests(config: ExperimentConfig, stages: Collection[str]) -> None:
    """ValueError for demonstrations that are asked for a length where RL would ask for none."""
    for stage in ("warmup", "sft"):
        share = getattr(config, stage).length_requests if stage in stages else 0
        if share and not config.grpo.length.asks:
            raise ValueError(
                f"{stage}.length_requests must be 0 unless grpo.length.kind is l1_exact or l1_max; "
                f"got {share}"
            )


def check_data(config: ExperimentConfig, stages: Collection[str], policy: Policy | None) -> None:
    """Read the files of demonstrations; with a policy at hand also their pictures and lengths."""
    for stage in ("warmup", "sft"):
        data = getattr(config, stage).data if stage in stages else None
        if data is None:
            continue
        try:
            if policy is None:
                read_records(Path(data))
            else:
                FileDemonstrations(policy, Path(data), seed=config.seed)
        except ValueError as error:
            raise ValueError(f"{stage}.data: {error}") from error


def _built(config: PolicyConfig) -> Policy | None:
    """A policy from scratch, to count its tokens; None for one that must be loaded first."""
    if config.path is not None or config.build is None:
        return None
    return load_policy(dataclasses.replace(config, device="cpu", attn_implementation="sdpa"))


def _stages(config: ExperimentConfig, command: str) -> list[str]:
    """The stages that generate training tasks, the base's first."""
    is_given = config.policy.path is not None
    left_out = {name for name in ("pretrain", "warmup") if getattr(config, name) is None}
    if is_given and command != "compare":  # the policy is the base as it is (`run_single`)
        left_out.add("warmup")
    first = () if is_given or command not in STAGES else ("pretrain",)
    return [stage for stage in (*first, *STAGES.get(command, ())) if stage not in left_out]


def _context_limit(policy: PolicyConfig) -> tuple[str, int | None]:
    """The smallest known limit of prompt and answer together, with its key."""
    known: dict[str, int] = {}
    if policy.max_context is not None:
        known["policy.max_context"] = policy.max_context
    if policy.path is None and policy.build is not None:
        known["policy.build.max_position"] = policy.build.max_position
    return min(known.items(), key=lambda item: item[1]) if known else ("", None)


def _longest_prompt(env: Any, policy: Policy | None) -> int:
    """Tokens of the longest of a few first prompts; 1 where the policy is not at hand."""
    if policy is None:
        return 1
    bare = bare_env(env)
    observed = [Observation(**bare.reset(seed=seed)[0]) for seed in range(NUM_PROMPTS)]
    return max(len(encode_next(policy, [], each).ids) for each in observed)
