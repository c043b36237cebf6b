"""What a reproduction would run and what it would cost, as text; nothing is loaded or written.

At tiny scale minutes of a core, from the reference machine. At full size the arithmetic of
`cardinal plan`: device hours of each part at best, on the devices that one job has, and whether it
fits their memory.
"""

from collections.abc import Sequence
from dataclasses import replace

from ..config import ExperimentConfig
from ..distributed_config import Sharding
from ..planning.estimate import Estimate, estimate
from .clock import Clock, duration
from .config import BASE, ReproduceConfig, reproduce_root
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
    for run in runs:
        found = estimate(_on_own_devices(run.config))
        seconds = {part: part_seconds(found, part) for part in ("warmup", *run.arms)}
        measuring = evaluation_seconds(found, len(run.arms))
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


def part_seconds(found: Estimate, part: str) -> float:
    """Wall seconds of one stage on the machine of the estimate, at best; 0 without the stage.

    part: `warmup`, `sft` or `grpo`.
    """
    section = getattr(found.config, part)
    if section is None:
        return 0.0
    budget, time = section.budget, found.time
    if part == "grpo":
        steps = budget.steps if budget.tflops is None else budget.tflops / time.tflop
        return float(steps or 0) * time.step_s
    if budget.tflops is None:
        tokens = float(budget.steps or 0) * section.batch_size * found.work.row_tokens
    else:
        tokens = budget.tflops * 1e12 / (6 * found.shape.parameters.total)
    return tokens / (found.config.plan.num_devices * time.train_tokens_s)


def evaluation_seconds(found: Estimate, num_arms: int) -> float:
    """Wall seconds of all evaluations of a seed, of the base and along each arm, where answers come
    as fast as in a rollout and none ends early."""
    chosen, time = found.config.evaluate, found.time
    episodes = chosen.final_episodes * (1 + num_arms)
    episodes += chosen.episodes * (chosen.milestones - 1) * num_arms
    sampled = any(not metric.is_greedy for metric in chosen.metrics)  # all from the same answers
    greedy = any(metric.is_greedy for metric in chosen.metrics)
    turns = found.work.turns * chosen.samples * sampled + greedy
    tokens = episodes * len(found.config.suite.cells) * turns * chosen.max_new_tokens
    return tokens * (time.read_s + time.decode_s) / found.work.sampled_tokens


def _on_own_devices(config: ExperimentConfig) -> ExperimentConfig:
    """With the devices of one job as the machine that is planned for."""
    own = replace(config.plan, num_devices=config.distributed.num_processes)
    return replace(config, plan=own)


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
