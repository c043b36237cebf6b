"""`cardinal plan`: what an experiment takes on a machine, before it is rented.

    cardinal plan policy=llama_3_2_11b_vision hardware=8xh100
    cardinal plan policy=qwen2_5_vl_3b hardware=1x24gb policy.lora.rank=16
    cardinal plan experiment=gp_l plan.device=h200 plan.num_devices=2 plan.json=true

Parameters by part, memory of a device by part, tokens per second and the time of a GRPO step. No
weights are loaded, nothing is downloaded, and no accelerator is needed. It is an estimate: counts
of parameters, gradients and moments are exact, activations within a tenth or so, and times are what
the machine could reach at `plan.mfu` and `plan.bandwidth_share`.
"""

import json

from .config import ExperimentConfig
from .launch import command


@command("plan", on_interrupt="interrupted; nothing was written")
def main(config: ExperimentConfig) -> None:
    from .planning.estimate import estimate
    from .planning.table import as_text

    found = estimate(config)
    print(json.dumps(found.as_dict(), indent=2) if config.plan.json else as_text(found))


if __name__ == "__main__":
    main()
