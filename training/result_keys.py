"""By what a stored result is found again: digests of contents, never of names or places.

policy     its weights, configuration, tokenizer and chat template, and how it is shown a game
cell       every field of the environment that is played
sampling   how answers are drawn, and the evaluation seed
version    of this package and of `RESULTS_VERSION`; results of two versions are never mixed
"""

import hashlib
import importlib.metadata
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers.utils import cached_file

from ..agents.adapters import base_of, is_adapter
from ..agents.api.config import MEANS
from ..agents.config import PolicyConfig, SamplingConfig
from ..envs.general_points.thought import forget_once
from ..envs.street_nav.config import StreetNavConfig
from ..envs.street_nav.render.config import as_look
from .files import plain

PERSON = "human"  # the policy that nobody else is
RESULTS_VERSION = 1  # raised when the same policy, cell and sampling would give other episodes
DIGEST_CHARS = 32
SHOWN_AS = (  # of a policy's settings, what changes its answers
    "dtype", "attn_implementation", "context", "context_turns", "max_context", "max_images",
    "max_image_tokens",
)  # fmt: skip
MODEL_FILES = (".safetensors", ".bin", ".json", ".jinja", ".txt", ".model")
CHUNK_BYTES = 1 << 22


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyKey:
    """digest: of what answers. name, path: for people. details: what the digest was made of."""

    digest: str
    name: str
    path: str | None
    details: Mapping[str, Any]


def policy_key(policy: PolicyConfig, run: str) -> PolicyKey:
    """The identity of a policy: a folder, a cached hub model, a server's model, or a baseline.

    A folder that is copied or renamed stays the same policy; one whose files change does not.
    run: of the run folder; a person is another one in every run.
    """
    details = _policy_details(policy, run)
    where = policy.path or policy.model
    return PolicyKey(digest=digest(details), name=policy.called, path=where, details=details)


def is_local(path: str) -> bool:
    """Whether all files of a policy are in folders here; an adapter's base may be of the hub."""
    folder = Path(path).expanduser()
    return folder.is_dir() and (not is_adapter(folder) or is_local(base_of(folder)))


def cell_details(env: Any) -> dict[str, Any]:
    """Every field of an environment's configuration, with its look spelt out."""
    details = dict(plain(env))
    if isinstance(env, StreetNavConfig):
        details["look"] = plain(as_look(env.look))
    if (
        "tools" in details and not env.tools.offered
    ):  # cells of before there were tools keep their name
        details.pop("tools")
    if details.get("fog") is False:  # and those of before there was fog
        details.pop("fog")
    forget_once(details.get("thought"))  # and of before thoughts checked themselves several times
    return details


def sampling_details(sampling: SamplingConfig, seed: int) -> dict[str, Any]:
    """seed: of the evaluation. What argmax does not depend on is left out of it."""
    drawn = {} if sampling.greedy else {
        "temperature": float(sampling.temperature),
        "top_p": float(sampling.top_p),
        "top_k": sampling.top_k,
    }  # fmt: skip
    common = {"greedy": sampling.greedy, "max_new_tokens": sampling.max_new_tokens, "seed": seed}
    return {**drawn, **common}


def results_version() -> str:
    return f"{importlib.metadata.version('cardinal-gym')}/{RESULTS_VERSION}"


def digest(value: Any) -> str:
    """Of plain data; the order of keys does not matter."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:DIGEST_CHARS]


def _policy_details(policy: PolicyConfig, run: str) -> dict[str, Any]:
    settings = plain(policy)
    shown = {name: settings[name] for name in SHOWN_AS}
    if policy.thinking is not None:  # policies of before it could be chosen keep their name
        shown["thinking"] = policy.thinking
    if policy.path is not None:
        return {"files": _files_digest(_folder(policy.path)), **shown}
    if policy.base_url is not None:
        asked = {name: value for name, value in settings["api"].items() if name not in MEANS}
        return {"base_url": policy.base_url, "model": policy.model, "api": asked, **shown}
    if policy.name == PERSON:
        return {"baseline": policy.name, "run": run}
    return {"baseline": policy.name}


def _folder(path: str) -> Path:
    """The folder that a path or a hub name (which has been loaded before) stands for."""
    folder = Path(path).expanduser()
    if folder.is_dir():
        return folder
    found = cached_file(path, "config.json")
    assert found is not None
    return Path(found).parent


def _files_digest(folder: Path) -> str:
    """Of the names and contents of a model's files; of an adapter's, its base's too."""
    files = sorted(path for path in folder.iterdir() if path.suffix in MODEL_FILES)
    parts = [f"{path.name} {_file_digest(path)}" for path in files if path.is_file()]
    if is_adapter(folder):
        parts.append(f"base {_files_digest(_folder(base_of(folder)))}")
    return hashlib.sha256("\n".join(parts).encode("utf-8")).hexdigest()[:DIGEST_CHARS]


def _file_digest(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            found.update(chunk)
    return found.hexdigest()
