"""`cardinal grpo`: the GRPO arm alone.

Examples:
    cardinal grpo experiment=gp_l                          # pretrain (cached), warm up, then GRPO
    cardinal grpo experiment=gp_l policy.path=FOLDER       # GRPO from a Hugging Face folder or name
    accelerate launch -m cardinal_gym.training.grpo experiment=gp_l
"""

from .config import ExperimentConfig
from .launch import command
from .run_place import run_root


@command("grpo", folder=run_root)
def main(config: ExperimentConfig) -> None:
    from .runs import run_single

    run_single(config, "grpo", "grpo")


if __name__ == "__main__":
    main()
