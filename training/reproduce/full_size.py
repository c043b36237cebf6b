"""How long the jobs of the full size take at best, by the arithmetic of `cardinal plan`."""

from dataclasses import replace

from ..config import ExperimentConfig
from ..planning.estimate import Estimate, estimate
from .config import BASE


def job_estimate(config: ExperimentConfig) -> Estimate:
    """A plan of the experiment on the devices that one job has.

    Raises ValueError for a policy whose shape is not known without loading it.
    """
    own = replace(config.plan, num_devices=config.distributed.num_processes)
    return estimate(replace(config, plan=own))


def job_seconds(found: Estimate, part: str) -> float:
    """Wall seconds of the base or an arm of one seed, with its evaluations."""
    stage = "warmup" if part == BASE else part
    return part_seconds(found, stage) + evaluation_seconds(found, part)


def part_seconds(found: Estimate, stage: str) -> float:
    """Wall seconds of training, at best; 0 without the stage.

    stage: `warmup`, `sft` or `grpo`.
    """
    section = getattr(found.config, stage)
    if section is None:
        return 0.0
    budget, time = section.budget, found.time
    if stage == "grpo":
        steps = budget.steps if budget.tflops is None else budget.tflops / time.tflop
        return float(steps or 0) * time.step_s
    if budget.tflops is None:
        tokens = float(budget.steps or 0) * section.batch_size * found.work.row_tokens
    else:
        tokens = budget.tflops * 1e12 / (6 * found.shape.parameters.total)
    return tokens / (found.config.plan.num_devices * time.train_tokens_s)


def evaluation_seconds(found: Estimate, part: str) -> float:
    """Wall seconds of measuring the base, or along an arm, where answers come as fast as in a
    rollout and none ends before its longest."""
    chosen, time = found.config.evaluate, found.time
    episodes = chosen.final_episodes
    if part != BASE:
        episodes += chosen.episodes * (chosen.milestones - 1)
    sampled = any(not metric.is_greedy for metric in chosen.metrics)  # all from the same answers
    greedy = any(metric.is_greedy for metric in chosen.metrics)
    turns = found.work.turns * chosen.samples * sampled + greedy
    tokens = episodes * len(found.config.suite.cells) * turns * chosen.max_new_tokens
    return tokens * (time.read_s + time.decode_s) / found.work.sampled_tokens
