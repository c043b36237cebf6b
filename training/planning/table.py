"""A plan as text, for people: what it is, what it takes, whether it fits, what to turn down."""

from collections.abc import Sequence

from .estimate import Estimate, suggestions
from .memory import GIB, splits

Row = tuple[str, str, str]  # name, number, remark


def as_text(found: Estimate) -> str:
    """Sections of aligned lines."""
    sections = [
        (_title(found), []),
        ("Parameters", _parameters(found)),
        ("One step of GRPO", _workload(found)),
        (f"Memory of each of {found.config.plan.num_devices} (GiB)", _memory(found)),
        ("Time of a step, at best", _time(found)),
    ]
    width = max(len(name) for _, rows in sections for name, _, _ in rows)
    lines = []
    for title, rows in sections:
        lines += [title, *(_line(row, width) for row in rows), ""]
    return "\n".join([*lines, *_verdict(found)])


def _title(found: Estimate) -> str:
    config, plan = found.config, found.config.plan
    machine = f"{plan.num_devices} x {plan.device}"
    sharing = f", split by {config.distributed.sharding.value}" if splits(config) else ""
    return f"{config.policy.name} on {machine} ({plan.device_gib:g} GiB each{sharing})"


def _parameters(found: Estimate) -> list[Row]:
    shape, policy = found.shape, found.config.policy
    parts = shape.parameters
    how = "all"
    if policy.lora.rank:
        how = f"adapters of rank {policy.lora.rank}"
    elif policy.freeze_vision and parts.vision:
        how = "all but the vision tower"
    rows = [
        ("vision tower", _count(parts.vision), ""),
        ("language layers", _count(parts.language), ""),
        ("embedding", _count(parts.embedding), "" if parts.head else "is the head as well"),
        ("head", _count(parts.head), ""),
        ("total", _count(parts.total), f"{shape.weight_bytes} bytes each"),
        ("trained", _count(shape.trained), how),
    ]
    return [row for row in rows if row[1] != "0"]


def _workload(found: Estimate) -> list[Row]:
    work, config = found.work, found.config
    rows = "a row per turn" if work.row_per_turn else "a row per episode"
    return [
        ("episodes", f"{work.episodes:,}", f"{work.groups} tasks x {work.members}"),
        ("turns", f"{work.turns:,}", f"each; {config.policy.context.value}: {rows}"),
        ("first prompt", f"{work.prompt:,}", "tokens"),
        ("answer", f"{work.answer:,}", "tokens at most"),
        ("longest row", f"{work.row_tokens:,}", "tokens"),
        ("sampled", f"{work.sampled_tokens:,}", "tokens"),
        ("trained", f"{work.trained_tokens:,}", "tokens"),
    ]


def _memory(found: Estimate) -> list[Row]:
    memory, config = found.memory, found.config
    again = "computed again" if config.policy.gradient_checkpointing else "all kept"
    rows = [
        ("weights", memory.weights, ""),
        ("put together", memory.gathered_update, "update: the blocks at hand"),
        ("put together", memory.gathered_rollout, "rollout: all weights"),
        ("optimizer", memory.optimizer, "AdamW: two moments"),
        ("reference", memory.reference, "for the KL penalty"),
        ("static cache", memory.static_cache, "policy.compile_decode: kept between rollouts"),
        ("gradients", memory.gradients, "update"),
        ("activations", memory.activations, f"update; {again}"),
        ("pictures", memory.vision, "update"),
        ("logits", memory.logits, "update; at sampled tokens alone"),
        ("KV cache", memory.kv_cache, "rollout; each prompt once"),
        ("reading prompts", memory.prefill, "rollout"),
        ("drawing tokens", memory.drawing, "rollout"),
        ("peak of an update", memory.update, ""),
        ("peak of a rollout", memory.rollout, ""),
    ]
    return [(name, f"{size / GIB:,.2f}", remark) for name, size, remark in rows if size]


def _time(found: Estimate) -> list[Row]:
    time, plan = found.time, found.config.plan
    bandwidth = f"{plan.bandwidth_share:.0%} of {plan.machine.bandwidth_gb_s:,} GB/s"
    peak = plan.machine.tflops_32 if found.shape.weight_bytes == 4 else plan.machine.tflops_16
    rate = f"{plan.mfu:.0%} of {peak:,} TFLOP/s"
    devices = plan.num_devices
    return [
        ("reading prompts", _seconds(time.read_s), rate),
        (
            "decoding", _seconds(time.decode_s),
            f"{_rate(devices * time.decode_tokens_s)} tokens/s together; {bandwidth}, or "
            f"{plan.machine.layer_ms:g} ms a layer",
        ),
        (
            "updates", _seconds(time.train_s),
            f"{_rate(devices * time.train_tokens_s)} tokens/s together; {rate}",
        ),
        ("step", _seconds(time.step_s), "environments step meanwhile"),
        ("compute", f"{_rate(time.tflop)} TFLOP a step", _budget(found)),
    ]  # fmt: skip


def _budget(found: Estimate) -> str:
    budget = found.config.grpo.budget
    if budget.tflops is not None:
        steps = budget.tflops / found.time.tflop
        spent = f"{_rate(budget.tflops)} TFLOP are {_rate(steps)} steps"
        if steps < 1:
            return f"the budget, {_rate(budget.tflops)} TFLOP, is over in the first"
    else:
        steps = float(budget.steps or 0)
        spent = f"{steps:,.0f} steps"
    return f"{spent}, {_seconds(steps * found.time.step_s)} in all"


def _verdict(found: Estimate) -> list[str]:
    peak, limit = found.memory.peak / GIB, found.limit / GIB
    said = f"{peak:,.1f} GiB at most, of {limit:,.1f} that can be filled"
    if found.fits:
        return [f"It fits: {said}."]
    made = suggestions(found)
    lines = [f"It does not fit: {said}." + (" Turn down, one after the other:" if made else "")]
    width = max((len(each.settings) for each in made), default=0)
    lines += [f"  {each.settings:<{width}}  {each.peak / GIB:,.1f} GiB" for each in made]
    if not made or made[-1].peak > found.limit:
        lines.append(
            "Even so it needs larger devices, or more of them with distributed.sharding=fsdp2."
        )
    return lines


def _line(row: Row, width: int) -> str:
    name, number, remark = row
    return f"  {name:<{width}}  {number:>14}  {remark}".rstrip()


def _count(number: int) -> str:
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= limit:
            return f"{number / limit:,.2f} {unit}"
    return str(number)


def _rate(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:,.3g}"


def _seconds(number: float) -> str:
    scales: Sequence[tuple[float, str]] = ((86_400, "days"), (3_600, "h"), (60, "min"), (1, "s"))
    for size, unit in scales:
        if number >= 2 * size:
            return f"{number / size:,.1f} {unit}"
    return f"{number * 1e3:,.1f} ms" if number < 1 else f"{number:,.2f} s"
