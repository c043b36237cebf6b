"""What `cardinal plan` is told beside the experiment: the machine, and how well it is used.

No torch here. The devices' figures are their makers' (data sheets; dense, without sparsity).
"""

import difflib
from dataclasses import dataclass

from .field_checks import require_fraction, require_positive


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One accelerator, or one CPU core.

    memory_gib: what a program can have. bandwidth_gb_s: of that memory, 1e9 bytes a second.
    tflops_16, tflops_32: peak rates of matrix products in bfloat16 and in float32.
    layer_ms: what Python and the launching of kernels take for one layer of an uncompiled pass; a
        pass never takes less, however little there is to compute.
    """

    memory_gib: float
    bandwidth_gb_s: float
    tflops_16: float
    tflops_32: float
    layer_ms: float = 0.5


DEVICES = {
    "cpu": Device(  # one core with AVX-512 of 2019; bfloat16 is emulated
        memory_gib=8.0, bandwidth_gb_s=10.0, tflops_16=0.01, tflops_32=0.1, layer_ms=0.2
    ),
    "rtx_4090": Device(memory_gib=23.5, bandwidth_gb_s=1008, tflops_16=165, tflops_32=82.6),
    "l40s": Device(memory_gib=44.5, bandwidth_gb_s=864, tflops_16=362, tflops_32=91.6),
    "a100": Device(memory_gib=79.2, bandwidth_gb_s=2039, tflops_16=312, tflops_32=19.5),
    "h100": Device(memory_gib=79.2, bandwidth_gb_s=3350, tflops_16=989, tflops_32=67),
    "h200": Device(memory_gib=139.8, bandwidth_gb_s=4800, tflops_16=989, tflops_32=67),
}


@dataclass(kw_only=True, slots=True)
class PlanConfig:
    """The machine that an experiment is planned for, and what cannot be known before it runs.

    device: cpu, rtx_4090, l40s, a100, h100 or h200. num_devices: one process each;
        `distributed.sharding` says whether each holds all weights.
    memory_gib: of one device; null: as the device has it.
    mfu: the share of the peak rate that matrix products reach in training and in reading prompts.
    bandwidth_share: the share of the memory's bandwidth that decoding reaches.
    prompt_tokens: of a first prompt, pictures included; null: from the environment's own text, four
        characters to a token where the tokenizer is not at hand.
    answer_tokens: sampled per answer; null: the limit, `grpo.max_new_tokens`.
    turns: of an episode; null: as many as the environment allows.
    json: print one JSON object in the place of the tables.
    """

    device: str = "cpu"
    num_devices: int = 1
    memory_gib: float | None = None
    mfu: float = 0.4
    bandwidth_share: float = 0.6
    prompt_tokens: int | None = None
    answer_tokens: int | None = None
    turns: int | None = None
    json: bool = False

    def __post_init__(self) -> None:
        if self.device not in DEVICES:
            near = difflib.get_close_matches(self.device, DEVICES, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise ValueError(f"device must be one of {', '.join(DEVICES)}; got {self.device}{hint}")
        require_positive(self, "num_devices", "mfu", "bandwidth_share")
        require_fraction(self, "mfu", "bandwidth_share")
        for name in ("memory_gib", "prompt_tokens", "answer_tokens", "turns"):
            if getattr(self, name) is not None:
                require_positive(self, name)

    @property
    def machine(self) -> Device:
        return DEVICES[self.device]

    @property
    def device_gib(self) -> float:
        """Memory of one device."""
        return self.machine.memory_gib if self.memory_gib is None else self.memory_gib
