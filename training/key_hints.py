"""Which key a user may have meant: other trainers' names for a setting, and near misses anywhere.

learning_rate          ->  grpo.optim.lr, pretrain.optim.lr, ...   (the command's section first)
sft.learning_rate      ->  sft.optim.lr
group_size             ->  grpo.group_size                         (the section was left out)
grpo.optm.lr, cards    ->  grpo.optim.lr, env.num_cards            (by letters)
"""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ..envs.settings import did_you_mean

__all__ = ["did_you_mean", "likely_keys"]

MAX_HINTS = 4
NEAR_SIBLING, NEAR_NAME, NEAR_PATH, NEAR_SYNONYM = 0.6, 0.7, 0.75, 0.85  # of difflib's ratio
_STEPS, _GROUP, _CLIP = ("budget.steps",), ("group_size",), ("clip_low", "clip_high")
_BATCH, _WEIGHTS = ("batch_size", "groups_per_step"), ("policy.path",)

SYNONYMS: dict[str, tuple[str, ...]] = {  # the ends of the keys that are meant
    "learning_rate": ("lr",), "lr_scheduler": ("schedule",), "lr_scheduler_type": ("schedule",),
    "batch_size": _BATCH, "train_batch_size": _BATCH, "per_device_train_batch_size": _BATCH,
    "bs": _BATCH, "eval_batch_size": ("batch_episodes",),
    "steps": _STEPS, "max_steps": _STEPS, "num_steps": _STEPS, "iterations": _STEPS,
    "train_steps": _STEPS, "total_steps": _STEPS, "flops": ("budget.tflops",),
    "epochs": ("epochs", "budget.steps"), "num_epochs": ("epochs", "budget.steps"),
    "num_train_epochs": ("epochs", "budget.steps"),
    "num_generations": _GROUP, "num_samples": _GROUP, "num_rollouts": _GROUP, "n_samples": _GROUP,
    "beta": ("kl_coef",), "kl": ("kl_coef",), "kl_beta": ("kl_coef",), "gamma": ("discount",),
    "epsilon": _CLIP, "clip_eps": _CLIP, "clip_range": _CLIP, "cliprange": _CLIP, "clip": _CLIP,
    "max_tokens": ("max_new_tokens",), "max_completion_length": ("max_new_tokens",),
    "max_length": ("max_context",), "max_seq_length": ("max_context",), "fp16": ("dtype",),
    "bf16": ("dtype",), "grad_clip": ("max_grad_norm",), "gradient_clipping": ("max_grad_norm",),
    "gradient_accumulation_steps": ("micro_batch_tokens",),
    "num_episodes": ("final_episodes", "episodes"), "n": ("final_episodes",),
    "model": ("policy", *_WEIGHTS), "model_name": _WEIGHTS, "model_name_or_path": _WEIGHTS,
    "checkpoint": _WEIGHTS, "ckpt": _WEIGHTS,
    "dataset": ("data",), "run_name": ("name",), "out_dir": ("output_dir",),
    "out": ("output_dir", "export.path"), "output": ("output_dir", "export.path"),
    "num_seeds": ("seeds",), "turns": ("max_turns",), "num_turns": ("max_turns",),
    "logger": ("trackers",), "report_to": ("trackers",), "num_workers": ("processes",),
    "task": ("env",), "environment": ("env",), "look": ("visuals", "visual"),
    "num_hands": ("hands",), "games": ("hands",),
}  # fmt: skip


def likely_keys(parent: Any, prefix: str, key: str, siblings: Sequence[str]) -> list[str]:
    """Full keys that `prefix` + `key`, which does not exist, may stand for; the likeliest first.

    parent: the section in which it was looked for. siblings: the keys that there are in it, at the
        top also the groups.
    """
    root = parent._get_root() if isinstance(parent, DictConfig) else None
    known = list(dict.fromkeys([f"{prefix}{name}" for name in siblings] + list(_walk(root))))
    meant = _meant(key.lower(), prefix, known)
    if meant:
        return _commands_first(meant, root)
    near = difflib.get_close_matches(key, siblings, n=1, cutoff=NEAR_SIBLING)
    if near:
        return [f"{prefix}{near[0]}"]
    for synonym in difflib.get_close_matches(key.lower(), SYNONYMS, n=1, cutoff=NEAR_SYNONYM):
        return _commands_first(_meant(synonym, prefix, known), root)
    return _commands_first(_ending_in((key,), known) or _alike(f"{prefix}{key}", known), root)


def _meant(synonym: str, prefix: str, known: Sequence[str]) -> list[str]:
    """Keys of another name for them; those of the section alone, if it has any."""
    found = _ending_in(SYNONYMS.get(synonym, ()), known)
    return [full for full in found if full.startswith(prefix)] or found


def _ending_in(ends: Iterable[str], known: Sequence[str]) -> list[str]:
    return [full for end in ends for full in known if f".{full}".endswith(f".{end}")]


def _alike(wanted: str, known: Sequence[str]) -> list[str]:
    """By the letters of the whole key, then of its last part."""
    paths = difflib.get_close_matches(wanted, known, n=2, cutoff=NEAR_PATH)
    if paths:
        return paths
    names = {full.rpartition(".")[2] for full in known}
    last = wanted.rpartition(".")[2]
    return _ending_in(difflib.get_close_matches(last, names, n=1, cutoff=NEAR_NAME), known)


def _commands_first(found: Sequence[str], root: Any) -> list[str]:
    """At most MAX_HINTS, the section of the command at hand before the others."""
    command = None if root is None else OmegaConf.select(root, "hydra.job.name", default=None)
    ordered = sorted(dict.fromkeys(found), key=lambda full: not full.startswith(f"{command}."))
    return ordered[:MAX_HINTS]


def _walk(node: Any, prefix: str = "") -> Iterator[str]:
    """Full keys of all sections and settings below a node."""
    is_section = isinstance(node, DictConfig) and not node._is_none()
    for key in node if is_section else ():  # of a mapping also numbers
        if prefix or key != "hydra":
            yield f"{prefix}{key}"
            yield from _walk(node._get_node(key), f"{prefix}{key}.")
