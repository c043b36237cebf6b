"""How a run is spread over processes. No torch here."""

import os
from dataclasses import asdict, dataclass
from enum import Enum

from .field_checks import require_positive


class Sharding(str, Enum):
    """Where the weights, gradients and moments of the policy lie."""

    none = "none"  # whole on every process: gradients are summed, as in DDP
    zero2 = "zero2"  # split, but the weights are whole from a forward pass to its backward pass
    fsdp2 = "fsdp2"  # split, each block gathered while it is computed (ZeRO stage 3)
    deepspeed_zero1 = "deepspeed_zero1"  # by DeepSpeed: the moments are split
    deepspeed_zero2 = "deepspeed_zero2"  # and the gradients
    deepspeed_zero3 = "deepspeed_zero3"  # and the weights


STAGES = {  # of ZeRO, by DeepSpeed
    Sharding.deepspeed_zero1: 1,
    Sharding.deepspeed_zero2: 2,
    Sharding.deepspeed_zero3: 3,
}


class Offload(str, Enum):
    """What DeepSpeed keeps in the memory of the host."""

    none = "none"
    optimizer = "optimizer"  # moments, and AdamW's arithmetic
    weights = "weights"  # the weights of stage 3 as well


@dataclass(kw_only=True, slots=True)
class DistributedConfig:
    """Only what concerns several processes; none of it changes what is learnt.

    sharding: of the policy and its reference in warm-up, SFT and GRPO (pretraining is for small
        policies, and never sharded).
    offload: what DeepSpeed's stages keep in the memory of the host instead of the device's.
    peer_timeout_s: a process without a sign of life for so long is taken for dead, and ends the run
        on all others.
    collective_timeout_s: how long a process may wait for the others to come to the same point; they
        may be busy with longer episodes.
    num_processes: of each base and arm of `compare` and `reproduce`, which start them, one for a
        device; `sft`, `grpo` and `pretrain` have as many as their launcher starts.
    num_nodes: machines that share an arm; more than one only with a launcher on each.
    """

    sharding: Sharding = Sharding.none
    offload: Offload = Offload.none
    peer_timeout_s: float = 30.0
    collective_timeout_s: float = 7200.0
    num_processes: int = 1
    num_nodes: int = 1

    def __post_init__(self) -> None:
        require_positive(
            self, "peer_timeout_s", "collective_timeout_s", "num_processes", "num_nodes"
        )
        needed = {Offload.none: 0, Offload.optimizer: 1, Offload.weights: 3}
        if STAGES.get(self.sharding, 0) < needed[self.offload]:
            raise ValueError(
                "distributed.offload must be none unless distributed.sharding is deepspeed_zero1, "
                "_zero2 or _zero3 (weights: _zero3 alone); "
                f"got {self.offload.value} with {self.sharding.value}"
            )

    def check_jobs(self, command: str) -> None:
        """ValueError where a command that starts its own processes would need several machines, is
        itself one of several, or has nothing to split a policy over."""
        instead = (
            "train each arm by accelerate launch --num_machines N ... -m cardinal_gym.training.sft "
            "and .grpo on every node"
        )
        if self.num_nodes > 1:
            raise ValueError(
                f"distributed.num_nodes must be 1 for {command}, which starts processes on this "
                f"machine alone; got {self.num_nodes}: {instead}"
            )
        world = os.environ.get("WORLD_SIZE", "1")
        if int(world) > 1:
            raise ValueError(
                f"{command} must be started once, for it starts processes itself (as many for each "
                f"job as distributed.num_processes says); got {world} processes"
            )
        if self.sharding is not Sharding.none and self.num_processes == 1:
            raise ValueError(
                f"distributed.sharding must be none for {command} with one process a job; got "
                f"{self.sharding.value}: add distributed.num_processes=N to split each job over N "
                "devices, or distributed.sharding=none"
            )

    def refuse_spreading(self, command: str) -> None:
        """ValueError where a command that starts a process for each part is told to spread them."""
        instead = (
            "to spread one arm over processes, train it with accelerate launch -m "
            "cardinal_gym.training.sft or .grpo"
        )
        for name, usual in asdict(DistributedConfig()).items():
            value = getattr(self, name)
            if value != usual:
                told = [each.value if isinstance(each, Enum) else each for each in (usual, value)]
                raise ValueError(
                    f"distributed.{name} must be {told[0]} for {command}, which trains each part "
                    f"in one process; got {told[1]}: {instead}, or add distributed.{name}={told[0]}"
                )
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise ValueError(
                f"{command} must be started once, for it starts processes itself; got "
                f"{os.environ['WORLD_SIZE']} processes: {instead}"
            )


def refuse_second_tasks() -> None:
    """ValueError in a further task of a SLURM job that nobody has told of the others.

    Such tasks would take themselves for whole runs, and write to one folder.
    """
    task = os.environ.get("SLURM_PROCID", "0")
    if int(task) > 0 and "RANK" not in os.environ:
        raise ValueError(
            f"a SLURM job must start one task (ntasks_per_node=1, nodes=1); this is number {task}: "
            "for several processes let that one task, on each node, call accelerate launch"
        )
