"""TensorBoard, Weights & Biases and others through accelerate's trackers."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from .files import disk_full_error, plain
from .metrics import CONTEXT_FIELDS
from .run_folder import RunFolder, flatten


class Trackers:
    """TensorBoard, Weights & Biases and the like, fed the numbers that metrics.jsonl gets."""

    def __init__(self, trackers: Sequence[Any], root: Path) -> None:
        self._trackers, self._root = list(trackers), root

    def log(self, values: Mapping[str, Any], step: int) -> None:
        numbers = {
            name: value
            for name, value in values.items()
            if name not in CONTEXT_FIELDS and isinstance(value, (int, float))
        }
        try:
            for tracker in self._trackers:
                tracker.log(numbers, step=step)
        except OSError as error:
            raise disk_full_error(error, self._root) or error from error

    def close(self) -> None:
        for tracker in self._trackers:
            tracker.finish()


def check_trackers(names: Sequence[str]) -> None:
    """Raises ValueError in one line for an unknown name or a missing package."""
    if not names:
        return
    from accelerate import tracking  # costs a second, and a run without trackers needs none

    known = sorted(tracking.LOGGER_TYPE_TO_CLASS)
    available = [str(name) for name in tracking.get_available_trackers()]
    for name in names:
        if name not in known:
            raise ValueError(f"trackers must be among {', '.join(known)}; got {name}")
        if name not in available:
            raise ValueError(f"trackers must be installed (pip install {name}); got {name}")


def make_trackers(
    names: Sequence[str], run_folder: RunFolder, config: Mapping[str, Any], *, first_step: int = 0
) -> Trackers:
    """Start accelerate's trackers by name, on the main process, after any `Accelerator` was made.

    names: of accelerate's tracker classes (`tensorboard`, `wandb`, `mlflow`, `comet_ml`, ...).
    first_step: that a resumed run does; TensorBoard hides what had been logged from it on.

    Raises ValueError in one line for an unknown name or a missing package.
    """
    if not names:
        return Trackers([], run_folder.root)
    check_trackers(names)
    from accelerate import tracking

    classes = tracking.LOGGER_TYPE_TO_CLASS
    started = []
    for name in dict.fromkeys(names):
        tracker = _start(classes[name], name, run_folder.root, first_step)
        if name == "tensorboard":  # its own way writes a second run, named by the time
            text = yaml.safe_dump(plain(config), sort_keys=False)
            tracker.tracker.add_text("config", f"```yaml\n{text}```", global_step=first_step)
        else:
            tracker.store_init_configuration(flatten(plain(config)))
        started.append(tracker)
    return Trackers(started, run_folder.root)


def _start(kind: Any, name: str, root: Path, first_step: int) -> Any:
    """One of accelerate's trackers, writing below `root`."""
    arguments: dict[str, Any] = {}
    project = root.resolve().parent.name
    if name == "tensorboard":
        project = name  # accelerate makes the folder <logging_dir>/<run_name>
        arguments["purge_step"] = first_step if first_step > 0 else None
    elif name == "wandb":
        identity = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]
        arguments = {"name": root.name, "dir": str(root), "id": identity, "resume": "allow"}
    if kind.requires_logging_directory:
        arguments["logging_dir"] = str(root)
    tracker = kind(project, **arguments)
    if hasattr(tracker, "start"):  # older versions of accelerate start in __init__
        tracker.start()
    return tracker
