"""One folder per run: opened once, locked while written, resumed only with the same configuration.

    runs/<experiment>/<name>/
        config.yaml        the resolved configuration, written first and never again
        environment.json   versions, machine, command line; one more record for every resumption
        done.json          the run's summary; its presence says that the run is finished
        .lock              held by the process that writes the folder

Files are replaced atomically (temporary file in the same folder, fsync, rename, fsync of the
folder): Ctrl-C, kill -9 or a full disk leave either the old or the new content, never half of it.
"""

import dataclasses
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from ..agents.api.config import MEANS
from .environment import describe_environment
from .files import (
    atomic_write_bytes,
    atomic_write_json,
    atomic_write_text,
    plain,
    remove_leftovers,
)
from .locks import FolderLock

__all__ = [
    "RunFolder", "atomic_write_bytes", "atomic_write_json", "atomic_write_text", "flatten",
]  # fmt: skip

# May differ between a run and its resumption: they change where and how, not what.
VOLATILE_KEYS = frozenset(
    {
        "resume",
        "output_dir",
        "trackers",
        "processes",
        "distributed",
        "plan",
        "evaluate.database",
        "policy.max_rows",
    }
) | {f"policy.api.{name}" for name in MEANS}


class RunFolder:
    """The folder of one run.

    `RunFolder.open` is for the one process that writes. `RunFolder(root)` neither creates nor
    locks: for readers, and for the further ranks of a distributed run.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self._lock: FolderLock | None = None

    @classmethod
    def open(
        cls,
        root: Path,
        *,
        resume: bool,
        config: Mapping[str, Any],
        volatile: Collection[str] = VOLATILE_KEYS,
        wait_s: float = 0.0,
        defaults: Mapping[str, Any] | None = None,
    ) -> "RunFolder":
        """Create the folder, or open it again if `resume`, and lock it.

        config: nested, resolved; Enums, Paths, tuples and dataclasses are stored as plain values.
        volatile: dotted keys that a resumption may change; a name covers everything below it.
        wait_s: how long to wait for another process that is using the folder.
        defaults: nested; what settings stood for before they existed (see `defaults_of`): a run of
            an older version, whose configuration lacks them, may go on while they are at them.

        Raises ValueError in one line if the folder holds a run and `resume` is false, if its
        configuration differs, if it is no run folder, or if another process is writing it.
        """
        folder = cls(root)
        try:
            folder.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(
                f"run folder must be a folder that can be written; got {root}: {error.strerror}"
            ) from error
        folder.check_free(resume)  # before anything is written into somebody else's folder
        lock = FolderLock(folder.root, wait_s=wait_s)
        lock.acquire()
        folder._lock = lock
        try:
            folder.check_free(resume)  # again: another process may have been faster
            remove_leftovers(folder.root)
            folder._keep_config(plain(config), volatile, plain(defaults or {}))
            folder._record_environment()
        except BaseException:
            folder.close()
            raise
        return folder

    def check_free(self, resume: bool) -> None:
        """ValueError where the folder holds something, unless that is a run to be resumed."""
        entries = [
            entry.name
            for entry in (self.root.iterdir() if self.root.is_dir() else ())
            if not entry.name.startswith(".")
        ]
        if entries and not resume:
            raise ValueError(
                f"run folder must be new; got {self.root}, which exists: add resume=true to go on "
                "with it, or choose another name"
            )
        if entries and not self.config_path.exists():
            raise ValueError(
                f"run folder must hold config.yaml to be resumed; got {self.root} with "
                f"{', '.join(sorted(entries)[:3])}: choose another name"
            )

    def path(self, *parts: str | Path) -> Path:
        """A path inside the folder; the folders above it are created."""
        path = self.root.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    @property
    def config_path(self) -> Path:
        return self.root / "config.yaml"

    @property
    def config(self) -> dict[str, Any]:
        """The stored configuration, plain values."""
        try:
            config = yaml.safe_load(self.config_path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ValueError(
                f"{self.root} must be a run folder with a readable config.yaml; got "
                f"{type(error).__name__}"
            ) from error
        if not isinstance(config, dict):
            raise ValueError(f"{self.config_path} must hold a mapping; got {type(config).__name__}")
        return config

    @property
    def is_done(self) -> bool:
        return (self.root / "done.json").exists()

    @property
    def summary(self) -> dict[str, Any]:
        """What `mark_done` stored; FileNotFoundError while the run is unfinished."""
        return dict(json.loads((self.root / "done.json").read_text(encoding="utf-8")))

    def mark_done(self, summary: Mapping[str, Any]) -> None:
        """Write done.json. No wall-clock values: a resumed run must end the same."""
        atomic_write_json(self.root / "done.json", summary)

    def close(self) -> None:
        """Release the lock. The operating system does the same when the process dies."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _keep_config(
        self, config: Mapping[str, Any], volatile: Collection[str], defaults: Mapping[str, Any]
    ) -> None:
        """Store the configuration of a new run; refuse another one for a run that has one."""
        if self.config_path.exists():
            _refuse_changes(self.root, self.config, config, volatile, defaults)
        else:
            text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
            atomic_write_text(self.config_path, text)

    def _record_environment(self) -> None:
        path = self.root / "environment.json"
        record = describe_environment()
        try:
            first = json.loads(path.read_text(encoding="utf-8"))
            first.setdefault("resumed", []).append(record)
        except (FileNotFoundError, ValueError):  # a new run, or a damaged record: start it again
            first = record
        atomic_write_json(path, first)


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mapping -> dotted keys; empty mappings and lists are values."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{name}."))
        else:
            flat[name] = value
    return flat


def defaults_of(config: Any) -> dict[str, Any]:
    """Nested: the default of every setting of a dataclass and of the dataclasses in it."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            found[field.name] = defaults_of(value)
        elif field.default is not dataclasses.MISSING:
            found[field.name] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            found[field.name] = field.default_factory()
    return found


def _refuse_changes(
    root: Path,
    stored: Mapping[str, Any],
    given: Mapping[str, Any],
    volatile: Collection[str],
    defaults: Mapping[str, Any],
) -> None:
    """ValueError naming every key whose value is not the stored one."""
    old, new = {**flatten(defaults), **flatten(stored)}, flatten(given)
    known = new.keys() | flatten(stored).keys()
    changes = []
    for key in dict.fromkeys([*old, *new]):
        if key not in known or any(key == name or key.startswith(f"{name}.") for name in volatile):
            continue
        # by repr: 1 and 1.0 and True are different settings, and NaN equals itself
        before, after = (repr(side[key]) if key in side else "absent" for side in (old, new))
        if before != after:
            changes.append(f"{key}={after} (was {before})")
    if changes:
        more = f" and {len(changes) - 6} more" if len(changes) > 6 else ""
        raise ValueError(
            f"configuration must be the one of the run resumed in {root}; got "
            f"{', '.join(changes[:6])}{more}: choose another name, or leave the stored values"
        )
