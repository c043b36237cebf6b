"""What a reproduction would run and what it would cost, as text; nothing is loaded or written.

At tiny scale minutes of a core, from the reference machine. At full size the arithmetic of
`cardinal plan`: device hours of each part at best, on the devices that one job has, and whether it
fits their memory.
"""

from collections.abc import Sequence

from ..config import ExperimentConfig
from ..distributed_config import Sharding
from ..progress import progress
from .clock import Clock, duration
from .config import BASE, ReproduceConfig, reproduce_root
from .full_size import evaluation_seconds, job_estimate, part_seconds
from .plan import PlannedRun

PARTS = ("warmup", "sft", "grpo")


def as_text(config: ReproduceConfig, runs: Sequence[PlannedRun], clock: Clock) -> str:
    """A line for every run, and the sum."""
    told = _full_size(runs) if config.is_full_size else _tiny(runs, clock)
    head = f"cardinal reproduce, in {reproduce_root(config)}"
    return "\n".join([head, "", *told, "", "Nothing was run (dry_run=true)."])


def _tiny(runs: Sequence[PlannedRun], clock: Clock) -> list[str]:
    rows = [("run", "experiment", "seeds", "an arm", "left to do, one core")]
    for run in runs:
        left = [job for job in clock.left if job.name.startswith(f"{run.label} seed ")]
        minutes = sum(clock.expected_s(job) for job in left)
        work = f"{duration(minutes)} in {len(left)} jobs" if left else "nothing: finished"
        if run.is_taken:
            work = f"nothing: taken from {run.root}"
        rows.append((run.label, run.config.experiment, str(run.config.seeds), _arm(run), work))
    total = (
        f"{len(clock.left)} jobs: about {duration(clock.core_s())} of one core, "
        f"{duration(clock.left_s())} on {clock.processes}"
    )
    return [*_aligned(rows), "", total]


def _full_size(runs: Sequence[PlannedRun]) -> list[str]:
    """Every job of every seed with the time that its devices need at best."""
    rows: list[tuple[str, ...]] = [
        ("run", "seeds", "budget an arm", "warm-up", "SFT", "RL", "evaluations",
         "memory of a device", "device hours")
    ]  # fmt: skip
    total = 0.0
    for run in progress(runs, "estimate", unit="run"):  # seconds each: models are built, empty
        found = job_estimate(run.config)
        seconds = {part: part_seconds(found, part) for part in ("warmup", *run.arms)}
        measuring = sum(evaluation_seconds(found, part) for part in (BASE, *run.arms))
        hours = run.config.seeds * (sum(seconds.values()) + measuring) * _devices(run) / 3600
        total += hours
        told = [duration(seconds[part]) if part in seconds else "" for part in PARTS]
        gib = found.memory.peak / 2**30
        fits = f"{gib:.0f} GiB, {'fits' if found.fits else 'does NOT fit'}"
        rows.append(
            (run.label, str(run.config.seeds), _arm(run), *told, duration(measuring), fits,
             f"{hours:,.0f}")
        )  # fmt: skip
    first = runs[0]
    at_once = first.config.processes or 1
    wall = duration(3600 * total / (_devices(first) * at_once))
    return [
        _machine(first.config),
        "Times are of one seed, at best (cardinal plan says how they are counted); evaluations "
        "with every answer as long as it may be.",
        "",
        *_aligned(rows),
        "",
        f"about {total:,.0f} device hours in all: {wall} with {_jobs(at_once)} at a time",
    ]


def _devices(run: PlannedRun) -> int:
    return run.config.distributed.num_processes


def _machine(config: ExperimentConfig) -> str:
    spread, plan = config.distributed, config.plan
    split = f", split by {spread.sharding.value}" if spread.sharding is not Sharding.none else ""
    count = spread.num_processes
    own = "one process" if count == 1 else f"{count} processes, each"
    told = f"{config.policy.name}: every base and arm by {own} on one {plan.device}{split}"
    idle = plan.num_devices - count * (config.processes or 1)
    return told + (f" ({idle} of {plan.num_devices} devices stay idle)" if idle > 0 else "")


def _jobs(count: int) -> str:
    return "one job" if count == 1 else f"{count} jobs"


def _arm(run: PlannedRun) -> str:
    if run.policies_of is not None:
        return f"measures those of {run.policies_of}"
    budgets = {arm: getattr(run.config, arm).budget for arm in run.arms}
    told = {
        f"{budget.tflops:g} TFLOP" if budget.tflops is not None else f"{budget.steps} steps"
        for budget in budgets.values()
    }
    return f"{' / '.join(sorted(told))} ({', '.join((BASE, *budgets))})"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
