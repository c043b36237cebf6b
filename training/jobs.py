"""Runs the seeds and arms of a comparison as processes of one thread each, with a bar for each.

A job starts when the jobs that it needs are done and a place is free. One that fails stops the
others; what they finished stays, and the same command with `resume=true` goes on. A job ends by
itself when its parent is gone, so that even `kill -9` of the parent leaves nothing running.
"""

import logging
import multiprocessing
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from tqdm import tqdm

from .bar import Bar
from .failures import FAILURE, USAGE, Failed, exit_status, words
from .progress import read_status

POLL_S = 0.25
STOP_S = 10.0  # for a job to end that is told to
BUG = 70  # exit code of a job that crashed, among processes of this module
TRACEBACK = "Traceback (most recent call last)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One process: `work(*arguments, status_path)`, importable by name; output goes to a log.

    needs: names of jobs that must have finished before.
    num_processes: more than one: the work is done by so many together (`spreading.py`).
    """

    name: str
    work: Callable[..., None]
    arguments: tuple[Any, ...]
    needs: tuple[str, ...] = ()
    num_processes: int = 1


class JobRefused(ValueError):
    """A job told the user what to mend; the message names it, its last words and its log."""


class JobFailed(Failed):
    """A job ended badly and no bug is to blame, e.g. it was killed; the message is alike."""


class JobCrashed(RuntimeError):
    """A job had a bug; the message ends with its traceback."""


def run_jobs(
    jobs: Sequence[Job],
    *,
    processes: int,
    folder: Path,
    threads: int,
    on_done: Callable[[str, float], None] | None = None,
    devices: Sequence[str] = (),
) -> None:
    """Run all jobs, at most `processes` at a time; logs and states go to `folder`.

    on_done: told the name of every job that ended well, and the seconds that it took.
    devices: accelerators that the jobs share out among them; empty: each sees what there is.

    Raises JobRefused, JobFailed or JobCrashed for the first job that ends badly, after stopping the
    others.
    """
    folder.mkdir(parents=True, exist_ok=True)
    waiting, running, finished = list(jobs), dict[str, _Running](), set[str]()
    _limit_threads(threads)
    try:
        while waiting or running:
            for job in [job for job in waiting if finished.issuperset(job.needs)]:
                if len(running) < processes:
                    waiting.remove(job)
                    row = _free_row(running)
                    own = devices_of(row, job.num_processes, devices)
                    running[job.name] = _Running.start(job, folder, row, own)
            for name in list(running):
                if running[name].look(folder):
                    finished.add(name)
                    seconds = time.monotonic() - running.pop(name).start_s
                    if on_done is not None:
                        on_done(name, seconds)
            time.sleep(POLL_S)
    finally:
        for left in running.values():
            left.stop()


@dataclass(slots=True)
class _Running:
    job: Job
    process: BaseProcess
    bar: Bar
    row: int
    status: Path
    start_s: float  # monotonic
    stage: str = ""

    @classmethod
    def start(cls, job: Job, folder: Path, row: int, devices: Sequence[str]) -> "_Running":
        stem = job.name.replace(" ", "_")
        status, log = folder / f"{stem}.status.json", folder / f"{stem}.log"
        status.unlink(missing_ok=True)
        process = multiprocessing.get_context("spawn").Process(
            target=_work,
            args=(job, status, log, os.getpid(), devices),
            daemon=job.num_processes == 1,  # a daemon may have no processes of its own
        )
        process.start()
        return cls(job, process, Bar(job.name, position=row), row, status, time.monotonic())

    def look(self, folder: Path) -> bool:
        """Redraw; True when the job is done. Raises what `run_jobs` does when it ended badly."""
        ended = self.process.exitcode is not None
        state = read_status(self.status)
        if state is not None:
            if state["stage"] != self.stage:
                self.stage = state["stage"]
                name = f"{self.job.name}: {self.stage}"
                self.bar.restart(name, state["total"], state["step"], state.get("unit"))
            self.bar.show(state["step"], total=state["total"], quantity=state["quantity"])
        if not ended:
            return False
        self.bar.close()
        if self.process.exitcode != 0:
            log = folder / f"{self.job.name.replace(' ', '_')}.log"
            raise _ending(self.job, self.process, log)
        return True

    def stop(self) -> None:
        if self.process.is_alive():
            self.process.terminate()
            self.process.join(timeout=STOP_S)
            if self.process.is_alive():  # what it has started ends with it
                self.process.kill()
        self.bar.close()


def devices_of(place: int, num_processes: int, devices: Sequence[str]) -> list[str]:
    """Those of the job at a place among several that run side by side; none where there are none.

    Jobs of one process take turns where there are fewer devices than places.
    """
    first = place * num_processes % max(1, len(devices))
    return list(devices[first : first + num_processes])


def end_with(parent: int) -> None:
    """End this process soon after its parent, whatever it is doing."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _work(job: Job, status: Path, log: Path, parent: int, devices: Sequence[str]) -> None:
    """In the child: send all output to the log, watch the parent, do the work."""
    tqdm.set_lock(threading.RLock())  # its own is a semaphore, which a stopped job leaves behind
    with log.open("a", encoding="utf-8", buffering=1) as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
        sys.stdout = sys.stderr = stream
        logging.basicConfig(level=logging.INFO, stream=stream, force=True)
        threading.Thread(target=end_with, args=(parent,), daemon=True).start()
        if devices:
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(devices)
        try:
            _do(job, status)
        except BaseException as error:
            traceback.print_exc(file=stream)
            known = exit_status(error)
            said = f"{type(error).__name__}: {error}" if known is None else words(error)
            stream.write(" ".join(said.split()) + "\n")
            stream.flush()
            os._exit(_exit_code(error, known))


def _do(job: Job, status: Path) -> None:
    if job.num_processes == 1:
        job.work(*job.arguments, status)
        return
    from .spreading import run_spread

    run_spread(job.work, job.arguments, status, job.num_processes)


def _limit_threads(threads: int) -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


def _free_row(running: dict[str, _Running]) -> int:
    taken = {each.row for each in running.values()}
    return next(row for row in range(len(taken) + 1) if row not in taken)


def _exit_code(error: BaseException, known: int | None) -> int:
    if not isinstance(error, Exception):  # Ctrl-C and exits
        return FAILURE
    return BUG if known is None else known


def _ending(job: Job, process: BaseProcess, log: Path) -> Exception:
    """What to raise for a job that ended badly."""
    message = f"{job.name} failed: {_last_line(log, process)}; see {log}"
    if process.exitcode == USAGE:
        return JobRefused(message)
    if process.exitcode != BUG:
        return JobFailed(message)
    said = _said(log)
    return JobCrashed(f"{message}\n\n{said[said.rfind(TRACEBACK) :]}")


def _last_line(log: Path, process: BaseProcess) -> str:
    lines = _said(log).strip().splitlines()
    if process.exitcode is not None and process.exitcode < 0:
        return f"killed by signal {-process.exitcode}"
    return lines[-1] if lines else f"exit status {process.exitcode}"


def _said(log: Path) -> str:
    """Empty for a process that ended before it could open its log."""
    return log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
