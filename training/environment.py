"""What a run was made with: versions, machine, threads, command line, git commit."""

import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

PACKAGES = (
    "cardinal-gym", "torch", "transformers", "tokenizers", "accelerate", "numpy", "gymnasium",
    "pillow", "opencv-python-headless", "numba", "hydra-core",
)  # fmt: skip


def describe_environment() -> dict[str, Any]:
    """Versions, machine, threads, command line and git commit; nothing here enters a result."""
    versions: dict[str, str] = {}
    for name in PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    environment: dict[str, Any] = {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        # `cardinal eval` is two words, which a shell must be able to read again
        "command": shlex.join([*Path(sys.argv[0]).name.split(" "), *sys.argv[1:]]),
        "python": platform.python_version(),
        "packages": versions,
        "platform": platform.platform(),
        "cpu": _cpu_name(),
        "cpu_cores": usable,
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
        "git_commit": _git_commit(),
    }
    torch = sys.modules.get("torch")  # not imported for its own sake: a second of start-up
    if torch is not None:
        environment["torch_threads"] = torch.get_num_threads()
        if torch.cuda.is_available():
            environment["accelerator"] = torch.cuda.get_device_name()
            environment["num_accelerators"] = torch.cuda.device_count()
    return environment


def _cpu_name() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _git_commit() -> str | None:
    """Commit of the checkout that tracks this file, `+changes` if modified; None otherwise."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(source.parent), *arguments],
            capture_output=True, text=True, check=True, timeout=10,
        ).stdout.strip()  # fmt: skip

    source = Path(__file__).resolve()
    try:
        git("ls-files", "--error-unmatch", source.name)
        return git("rev-parse", "HEAD") + (
            "+changes" if git("status", "--porcelain", "-uno") else ""
        )
    except (OSError, subprocess.SubprocessError):
        return None
