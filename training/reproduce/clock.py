"""How long a reproduction takes: a guess from the reference machine, then from what has finished.

Every job is of a kind (a study's base, SFT arm or GRPO arm). A kind that has finished jobs takes
their mean; the others take what the reference machine took for them, times the ratio by which this
machine has been slower so far. What has finished is kept in `times.json`, so that a resumed command
knows it.
"""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..config import BudgetConfig
from ..files import atomic_write_json
from ..pretraining import cached_base
from .config import BASE, Pace, StudyConfig
from .full_size import job_estimate, job_seconds
from .plan import PlannedRun

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TimedJob:
    """kind: of jobs that take equally long. expected_s: on one core of the reference machine, or at
    full size on the devices of a job, at best.

    extra_s: part of `expected_s` that only this job of its kind has: pretraining.
    """

    name: str
    kind: str
    expected_s: float
    extra_s: float = 0.0


@dataclass(slots=True)
class Clock:
    """Seconds that are left of all jobs.

    finished: names of jobs that are done. taken_s: what they took, where that is known.
    path: where the times are kept.
    """

    jobs: Mapping[str, TimedJob]
    finished: set[str]
    processes: int
    path: Path | None = None
    taken_s: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        jobs: Sequence[TimedJob],
        finished: Iterable[str],
        processes: int,
        path: Path | None = None,
    ) -> "Clock":
        """With the times that an earlier part of the same reproduction kept at `path`."""
        known: dict[str, float] = {}
        if path is not None and path.exists():
            kept = json.loads(path.read_text(encoding="utf-8"))
            known = {str(name): float(seconds) for name, seconds in kept.items()}
        return cls({job.name: job for job in jobs}, set(finished), processes, path, known)

    @property
    def left(self) -> list[TimedJob]:
        return [job for job in self.jobs.values() if job.name not in self.finished]

    def done(self, name: str, seconds: float) -> None:
        """A job has ended well: keep its time, and say how far everything is."""
        self.finished.add(name)
        self.taken_s[name] = seconds
        if self.path is not None:
            atomic_write_json(self.path, self.taken_s)
        left = f"about {duration(self.left_s())} left" if self.left else "all runs are done"
        so_far = f"{len(self.jobs) - len(self.left)} of {len(self.jobs)} jobs"
        logger.info("%s took %s; %s, %s", name, duration(seconds), so_far, left)

    def left_s(self) -> float:
        """Wall seconds with all processes busy; never less than the longest job that is left."""
        left = [self.expected_s(job) for job in self.left]
        return max([sum(left) / self.processes, *left], default=0.0)

    def core_s(self) -> float:
        """Seconds of one core."""
        return sum(self.expected_s(job) for job in self.left)

    def expected_s(self, job: TimedJob) -> float:
        """Of one core: the mean of its kind, or the reference machine's time at our pace."""
        known = [
            (self.taken_s[each.name], each)
            for each in self.jobs.values()
            if each.name in self.finished and each.name in self.taken_s
        ]
        guessed = sum(each.expected_s for _, each in known)
        slower = sum(seconds for seconds, _ in known) / guessed if guessed > 0 else 1.0
        alike = [taken for taken, each in known if each.kind == job.kind and not each.extra_s]
        if alike:
            return sum(alike) / len(alike) + job.extra_s * slower
        return job.expected_s * slower


def timed_jobs(run: PlannedRun, study: StudyConfig, made: set[Path]) -> list[TimedJob]:
    """The jobs of one run, named as `comparison_jobs` names them.

    made: folders of bases that earlier runs of the plan will have trained; added to.
    """
    if run.config.policy.path is not None and run.policies_of is None:
        return _full_size_jobs(run)
    pace, found = study.pace, []
    for seed in run.train_seeds:
        extra = 60 * pace.pretrain if _pretrains(run, seed, made) else 0.0
        parts = {BASE: 60 * pace.base + extra}
        parts |= {arm: 60 * arm_minutes(run, pace, arm) for arm in run.arms}
        for part, seconds in parts.items():
            own = extra if part == BASE else 0.0
            name = f"{run.label} seed {seed} {part}"
            found.append(TimedJob(name, f"{run.label} {part}", seconds, own))
    return found


def _full_size_jobs(run: PlannedRun) -> list[TimedJob]:
    """With what the machine needs at best; an hour each where that cannot be told."""
    parts = (BASE, *run.arms)
    try:
        plan = job_estimate(run.config)
        seconds = {part: job_seconds(plan, part) for part in parts}
    except ValueError as error:  # of a policy that is known once it is loaded
        logger.info("the time left is a guess until jobs have finished: %s", error)
        seconds = dict.fromkeys(parts, 3600.0)
    return [
        TimedJob(f"{run.label} seed {seed} {part}", f"{run.label} {part}", seconds[part])
        for seed in run.train_seeds
        for part in parts
    ]


def arm_minutes(run: PlannedRun, pace: Pace, arm: str) -> float:
    """Of one core; of training in proportion to the budget, where it is one of compute."""
    minutes = float(getattr(pace, arm))
    budget: BudgetConfig = getattr(run.config, arm).budget
    if run.policies_of is not None or budget.tflops is None:
        return minutes
    return minutes * budget.tflops / pace.tflops


def _pretrains(run: PlannedRun, seed: int, made: set[Path]) -> bool:
    """Whether the base of this seed has to be trained first."""
    config = run.config
    if run.policies_of is not None or config.pretrain is None or config.policy.path is not None:
        return False
    folder, _ = cached_base(config, seed)
    is_new = folder not in made and not (folder / "spent.json").exists()
    made.add(folder)
    return is_new


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3.1 h`, `9 days`."""
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            amount = seconds / size
            return f"{amount:.1f} {unit}" if amount < 10 else f"{amount:.0f} {unit}"
    return f"{seconds:.0f} s"
