"""What a reproduction would run and what it would cost, as text; nothing is loaded or written.

At tiny scale minutes of a core, from the reference machine. At full size the arithmetic of
`cardinal plan`: accelerator hours of each arm at best, and whether an update fits the machine.
"""

from collections.abc import Sequence

from ..config import ExperimentConfig
from ..planning.estimate import Estimate, estimate
from .clock import Clock, duration
from .config import BASE, ReproduceConfig, reproduce_root
from .plan import PlannedRun


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
    """Every arm of every seed with the time that the machine needs at best."""
    rows: list[tuple[str, ...]] = [
        ("run", "seeds", "budget an arm", "an SFT arm", "a GRPO arm", "memory", "all seeds")
    ]
    hours = 0.0
    for run in runs:
        found = estimate(run.config)
        seconds = {arm: arm_seconds(run.config, found, arm) for arm in run.arms}
        told = [duration(seconds[arm]) if arm in seconds else "" for arm in ("sft", "grpo")]
        every = run.config.seeds * sum(seconds.values())
        hours += every * run.config.plan.num_devices / 3600
        gib = found.memory.peak / 2**30
        fits = f"{gib:.0f} GiB, {'fits' if found.fits else 'does NOT fit'}"
        row = (run.label, str(run.config.seeds), _arm(run), *told, fits, duration(every))
        rows.append(row)
    plan = runs[0].config.plan
    machine = f"{plan.num_devices} x {plan.device}"
    return [
        f"{runs[0].config.policy.name} on {machine}, at best (cardinal plan says how it is "
        "counted); evaluations come on top",
        "",
        *_aligned(rows),
        "",
        f"about {hours:,.0f} device hours in all",
    ]


def arm_seconds(config: ExperimentConfig, found: Estimate, arm: str) -> float:
    """Wall seconds of one arm on the machine of `config.plan`, at best."""
    budget = config.grpo.budget if arm == "grpo" else config.sft.budget
    time, devices = found.time, config.plan.num_devices
    if arm == "grpo":
        steps = budget.steps if budget.tflops is None else budget.tflops / time.tflop
        return float(steps or 0) * time.step_s
    per_token = 6 * found.shape.parameters.total
    if budget.tflops is None:
        tokens = float(budget.steps or 0) * config.sft.batch_size * found.work.row_tokens
    else:
        tokens = budget.tflops * 1e12 / per_token
    return tokens / (devices * time.train_tokens_s)


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
