"""Runs everything that a reproduction lacks, as processes of one pool, then writes its report.

Jobs start in the order of the studies, each as soon as what it needs is there, whatever study it is
of, so that no core waits. After an interruption the same command with `resume=true` goes on; a run
that is finished, or was given, is never written to.
"""

import logging
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from ..arms import seed_folder
from ..checks import check_run
from ..comparison import comparison_jobs, num_processes
from ..contamination import DealtTasks
from ..jobs import Job, run_jobs
from ..overlap import write_overlap
from ..run_folder import RunFolder
from ..spreading import check_spreading, shared_devices
from ..trackers import check_trackers
from .clock import Clock, TimedJob, duration, timed_jobs
from .config import BASE, ReproduceConfig, reproduce_root
from .dry_run import as_text
from .plan import PlannedRun, planned, source_root
from .verification import measuring_jobs

logger = logging.getLogger(__name__)

VOLATILE = frozenset({"resume", "output_dir", "processes", "runs"})


def reproduce(config: ReproduceConfig, typed: Sequence[str]) -> Path | None:
    """Run the chosen studies, or go on with them; the report's page, None for a dry run.

    typed: the command line's overrides. Raises ValueError in one line for what cannot work, before
    anything is written.
    """
    runs = planned(config, typed)
    root = reproduce_root(config)
    clock = _clock(config, runs, root)
    if config.dry_run:
        config.distributed.check_jobs("reproduce")
        sys.stdout.write(as_text(config, runs, clock) + "\n")
        return None
    if config.report_only:
        return _report(config, runs, root)
    check_spreading(config, "reproduce")
    check_trackers(config.trackers)
    RunFolder(root).check_free(config.resume)
    dealt = {run.label: _checked(run) for run in _missing(runs)}
    stored = {"command": "reproduce", "name": config.name, "runs": [r.label for r in runs]}
    with RunFolder.open(root, resume=config.resume, config=stored, volatile=VOLATILE) as folder:
        _run_missing(config, runs, dealt, clock, folder.root)
        page = _report(config, runs, folder.root)
        folder.mark_done({"command": "reproduce", "runs": [run.label for run in runs]})
    return page


def jobs_of(config: ReproduceConfig, runs: Sequence[PlannedRun]) -> list[Job]:
    """What the runs still lack; what is done is neither started nor waited for."""
    jobs: list[Job] = []
    trained = {run.study for run in _missing(runs)}
    for run in _missing(runs):
        if run.policies_of is None:
            made = comparison_jobs(run.config, run.root, run.arms, prefix=f"{run.label} ")
        else:
            source = source_root(config, run.policies_of)
            made = measuring_jobs(run, source, needs=run.policies_of in trained)
        jobs += [job for job in made if not _is_job_done(run, job.name)]
    left = {job.name for job in jobs}
    return [replace(job, needs=tuple(name for name in job.needs if name in left)) for job in jobs]


def _report(config: ReproduceConfig, runs: Sequence[PlannedRun], root: Path) -> Path:
    """Write the report of what has finished, and tell its summary; ValueError if nothing has."""
    from .build import build_report

    if not any(run.is_done for run in runs):
        raise ValueError(
            f"report_only must have a finished run to report on; got none in {root}: leave it out "
            "to start, or add resume=true in its place to go on"
        )
    page, summary = build_report(config, runs, root)
    sys.stdout.write(f"\n{summary}\nreport: {page}\n")
    sys.stdout.flush()
    return page


def _run_missing(
    config: ReproduceConfig,
    runs: Sequence[PlannedRun],
    dealt: Mapping[str, DealtTasks],
    clock: Clock,
    root: Path,
) -> None:
    missing = _missing(runs)
    if not missing:
        return
    left = _left(clock, config.is_full_size)
    logger.info("%s, %d at a time", left, clock.processes)
    with ExitStack() as stack:
        for run in missing:
            opened = RunFolder.open(run.root, resume=True, config=run.stored())
            stack.enter_context(opened)
            source = run.policies_of and str(source_root(config, run.policies_of))
            policy = replace(run.config.policy, path=source) if source else run.config.policy
            write_overlap(run.root, dealt[run.label], policy)
        jobs = jobs_of(config, runs)
        _mark_done(missing, {job.name for job in jobs})

        def ended(name: str, seconds: float) -> None:
            clock.done(name, seconds)
            _mark_done(missing, {job.name for job in clock.left})

        run_jobs(
            jobs,
            processes=clock.processes,
            folder=root / "jobs",
            threads=missing[0].config.threads,
            on_done=ended,
            devices=shared_devices(config),
        )


def _mark_done(runs: Sequence[PlannedRun], left: Collection[str]) -> None:
    """Every run of which no job is left: readers need not wait for the others."""
    for run in runs:
        if not run.is_done and not any(name.startswith(f"{run.label} seed ") for name in left):
            summary = {"command": run.stored()["command"], "seeds": run.config.seeds}
            RunFolder(run.root).mark_done(summary)


def _clock(config: ReproduceConfig, runs: Sequence[PlannedRun], root: Path) -> Clock:
    """Over the jobs of every run that was not given."""
    made: set[Path] = set()
    jobs: list[TimedJob] = []
    finished: list[str] = []
    for run in runs:
        if run.is_taken:
            continue
        timed = timed_jobs(run, config.studies[run.study], made)
        jobs += timed
        finished += [job.name for job in timed if _is_job_done(run, job.name)]
    processes = num_processes(runs[0].config)
    return Clock.of(jobs, finished, processes, root / "times.json")


def _is_job_done(run: PlannedRun, name: str) -> bool:
    """Of a job named `<label> seed <k> <part>`; a base also has to have been measured."""
    _, seed, part = name.rsplit(" ", 2)
    folder = seed_folder(run.root, int(seed))
    measured = part != BASE or (folder / "evals" / "base_000000.json").exists()
    return measured and (folder / part / "done.json").exists()


def _missing(runs: Sequence[PlannedRun]) -> list[PlannedRun]:
    return [run for run in runs if not run.is_taken and not run.is_done]


def _checked(run: PlannedRun) -> DealtTasks:
    """The tasks of a run that is to start; ValueError, with the study's name, for what is wrong."""
    config = run.config if run.policies_of is None else replace(run.config, seeds=1)
    try:
        return check_run(config, str(run.stored()["command"]))
    except ValueError as error:
        raise ValueError(f"studies.{run.study}: {error}") from error


def _left(clock: Clock, is_full_size: bool) -> str:
    what = "job after job" if is_full_size else "of one core"
    return (
        f"{len(clock.left)} jobs, about {duration(clock.core_s())} {what}, "
        f"{duration(clock.left_s())} in all"
    )
