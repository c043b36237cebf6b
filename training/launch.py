"""The entry of every Hydra command: `@command("grpo")` over `hydra.main`.

    @command("grpo")
    def main(config: ExperimentConfig) -> None: ...

    if __name__ == "__main__":
        main()

`hydra.main` itself stays the entry, so `-m`, launchers, `--cfg`, `--config-dir` and
`accelerate launch -m` work. Around it: the composed configuration arrives as a dataclass, and what
a user can get wrong ends in one line on stderr.

| What happened                                          | stderr      | status |
|--------------------------------------------------------|-------------|--------|
| misspelt override, unknown choice, bad value           | one line    | 2      |
| ValueError raised by this package                      | one line    | 2      |
| Ctrl-C                                                 | one line    | 130    |
| full disk, accelerator out of memory, a killed process | one line    | 1      |
| anything else is a bug of ours                         | a traceback | 1      |

With HYDRA_FULL_ERROR=1 every error shows its traceback.
"""

import functools
import hashlib
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import zip_longest
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from .distributed_config import refuse_second_tasks
from .failures import USAGE, exit_status, words
from .key_hints import did_you_mean
from .override_errors import CONF, CONFIG_ERRORS, explain, one_line, to_config
from .printing import notes_beside_help, reader_has_left
from .run_folder import RunFolder
from .run_place import check_place
from .schema import register

logger = logging.getLogger(__name__)

FolderOf = Callable[[Any], Path | None]  # of a configuration

FULL_ERROR = "HYDRA_FULL_ERROR"
WANTS_TRACEBACK = os.environ.get(FULL_ERROR) == "1"  # read once: the boundary sets it too
INTERRUPTED = 130
FLAGS = (
    "--help", "--hydra-help", "--version", "--cfg", "--resolve", "--package", "--run", "--multirun",
    "--shell-completion", "--config-path", "--config-name", "--config-dir", "--experimental-rerun",
    "--info",
)  # fmt: skip
FLAGS_WITH_VALUE = (
    "--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn",
    "--config-dir", "-cd", "--experimental-rerun", "--info", "-i",
)  # fmt: skip
SHORT_FLAGS = ("-h", "-r", "-m", "-sc", "-c", "-p", "-cp", "-cn", "-cd", "-i")
SHOWN = ("job", "hydra", "all")  # by --cfg
MAX_NAME_CHARS = 120
RESUMABLE = "interrupted; the same command with resume=true goes on from what was saved"
NOT_BEGUN = "interrupted before a run folder was written; the same command starts anew"


class JobEnded(Exception):
    """(message, exit status) of a job in a sweep, on its way between processes."""


def command(
    config_name: str,
    *,
    on_interrupt: str = RESUMABLE,
    folder: FolderOf | None = None,
) -> Callable[[Callable[[Any], None]], Callable[[], None]]:
    """Make a function of one configuration dataclass a Hydra program.

    config_name: the primary file in conf/, and the command's name in messages.
    on_interrupt: what Ctrl-C says.
    folder: the run folder that a configuration leads to, refused before the function is called if
        it cannot be had (so let the function import what is heavy); None: it writes none.
    """

    def decorate(run: Callable[[Any], None]) -> Callable[[], None]:
        @functools.wraps(run)
        def task(cfg: DictConfig) -> None:
            with _default_error_mode():
                _run(run, cfg, config_name, folder)

        @functools.wraps(run)
        def main() -> None:
            register()
            entry = hydra.main(
                config_path=f"pkg://{CONF}", config_name=config_name, version_base="1.3"
            )(task)
            not_begun = on_interrupt if folder is None else NOT_BEGUN
            with _errors_in_one_line(config_name, on_interrupt, not_begun):
                _refuse_bad_flags(sys.argv[1:])
                sys.argv[1:] = flags_first(sys.argv[1:])
                with notes_beside_help(sys.argv[1:]):
                    entry()

        return main

    return decorate


def compose_experiment(config_name: str, overrides: list[str]) -> Any:
    """The dataclass of another configuration, for a command that starts several runs.

    Works inside a running Hydra job. Raises what composing raises; `@command` tells it in one line.
    """
    running = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_module(CONF, version_base="1.3"):
            return to_config(hydra.compose(config_name, overrides=overrides))
    finally:
        GlobalHydra.instance().hydra = running


def flags_first(arguments: list[str]) -> list[str]:
    """The same command line in the order that Hydra's parser wants: overrides in one piece.

    `experiment=gp_l -m seed=0,1` would otherwise end in "unrecognized arguments".
    """
    flags: list[str] = []
    overrides: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("-"):
            overrides.append(argument)
            continue
        flags.append(argument)
        if argument in FLAGS_WITH_VALUE:
            value = next(rest, None)
            if value is not None:
                is_override = argument in ("--info", "-i") and "=" in value  # its value is optional
                (overrides if is_override else flags).append(value)
    return [*flags, *overrides]


def _run(
    run: Callable[[Any], None], cfg: DictConfig, config_name: str, folder: FolderOf | None
) -> None:
    """The job itself, inside Hydra.

    Hydra prints a line of its own for an exception that leaves a job; what is told in one line
    leaves as SystemExit, except in a sweep, where it must not end the other jobs.
    """
    multirun = HydraConfig.get().mode == RunMode.MULTIRUN
    if multirun:
        _name_after_overrides(cfg)
    try:
        refuse_second_tasks()
        config = to_config(cfg)
        root = None if folder is None else folder(config)
        with nullcontext() if root is None else _in_folder(root, config.resume, multirun):
            run(config)
    except BrokenPipeError:
        if not reader_has_left():
            raise
    except Exception as error:
        status = _status(error)
        if status is not None and multirun:
            raise JobEnded(words(error), status) from error
        if status is None or WANTS_TRACEBACK:
            raise
        logger.debug("where it was raised", exc_info=True)
        raise SystemExit(_report(config_name, words(error), status)) from error


@contextmanager
def _in_folder(root: Path, resume: bool, multirun: bool) -> Iterator[None]:
    """A job with a run folder: refused where it cannot be had; Ctrl-C knows whether it is there."""
    check_place(root, resume=resume)
    try:
        yield
    except KeyboardInterrupt:
        if multirun or RunFolder(root).config_path.exists():
            raise KeyboardInterrupt(RESUMABLE) from None
        raise


@contextmanager
def _errors_in_one_line(config_name: str, on_interrupt: str, not_begun: str) -> Iterator[None]:
    """The boundary. Hydra hands exceptions over instead of printing them only under FULL_ERROR.

    on_interrupt, not_begun: what Ctrl-C says, with and without a run folder.
    """
    if WANTS_TRACEBACK:
        yield
        return
    os.environ[FULL_ERROR] = "1"
    try:
        yield
    except KeyboardInterrupt as interrupt:
        says = on_interrupt if interrupt.args else not_begun
        raise SystemExit(_report(config_name, says, INTERRUPTED)) from None
    except CONFIG_ERRORS as error:
        raise SystemExit(_report(config_name, explain(error), USAGE)) from None
    except BrokenPipeError:
        if not reader_has_left():
            raise
    except Exception as error:
        status = _status(error)
        if status is None:
            raise
        message = error.args[0] if isinstance(error, JobEnded) else words(error)
        raise SystemExit(_report(config_name, message, status)) from None
    finally:
        os.environ.pop(FULL_ERROR, None)


@contextmanager
def _default_error_mode() -> Iterator[None]:
    """While a job runs, so that programs it starts do not inherit the switch of the boundary."""
    switch = os.environ.pop(FULL_ERROR, None) if not WANTS_TRACEBACK else None
    try:
        yield
    finally:
        if switch is not None:
            os.environ[FULL_ERROR] = switch


def _status(error: Exception) -> int | None:
    """Exit status of an error that is told in one line; None for a bug."""
    return int(error.args[1]) if isinstance(error, JobEnded) else exit_status(error)


def _report(config_name: str, message: str, status: int) -> int:
    sys.stdout.flush()
    sys.stderr.write(f"cardinal {config_name}: {one_line(message)}\n")
    return status


def _refuse_bad_flags(arguments: list[str]) -> None:
    """ValueError for `--seed 3` and the like, where argparse would print its whole usage."""
    for argument, after in zip_longest(arguments, arguments[1:]):
        flag, equals, value = argument.partition("=")
        if flag.startswith("--") and not any(known.startswith(flag) for known in FLAGS):
            setting = f"{flag.lstrip('-')}={value if equals else 'value'}"
            raise ValueError(
                f"{flag} is not a flag{did_you_mean(flag, FLAGS)}; a setting is written without "
                f"dashes, as in {setting}; flags: {', '.join(FLAGS)}"
            )
        if flag.startswith("-") and not flag.startswith(("--", *SHORT_FLAGS)):
            raise ValueError(f"{flag} is not a flag; short ones: {', '.join(SHORT_FLAGS)}")
        if flag not in FLAGS_WITH_VALUE or flag in ("--info", "-i"):  # whose value is optional
            continue
        given = value if equals else after
        if given is None or given.startswith("-"):
            raise ValueError(f"{flag} must be followed by a value; got none")
        if flag in ("--cfg", "-c") and given not in SHOWN:
            raise ValueError(f"{flag} must be one of {', '.join(SHOWN)}; got {given}")


def _name_after_overrides(cfg: DictConfig) -> None:
    """In a sweep every job gets a folder of its own, named after what was overridden.

    A name that was given comes first: `name=floor -m seed=0,1` makes floor,seed=0.
    """
    if "name" not in cfg:
        return
    job = HydraConfig.get()
    is_given = any(item.lstrip("+").startswith("name=") for item in job.overrides.task)
    parts = [cfg.name if is_given else "", job_name(job.job.override_dirname)]
    cfg.name = ",".join(filter(None, parts)) or cfg.name


def job_name(overrides: str) -> str:
    """A folder's name for the job of these overrides; no two long ones are cut to the same."""
    name = re.sub(r"[^\w.,=+-]+", "_", overrides).strip(".")
    if len(name) <= MAX_NAME_CHARS:
        return name
    mark = hashlib.sha256(overrides.encode("utf-8")).hexdigest()[:8]
    return f"{name[: MAX_NAME_CHARS - len(mark) - 1]}-{mark}"
