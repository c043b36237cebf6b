"""`cardinal sft`: the SFT arm alone.

Examples:
    cardinal sft experiment=gp_l                          # pretrain (cached), warm up, then SFT
    cardinal sft experiment=gp_l policy.path=FOLDER       # SFT from a Hugging Face folder or name
    accelerate launch -m cardinal_gym.training.sft experiment=gp_l
"""

from .config import ExperimentConfig
from .launch import command
from .run_place import run_root


@command("sft", folder=run_root)
def main(config: ExperimentConfig) -> None:
    from .runs import run_single

    run_single(config, "sft", "sft")


if __name__ == "__main__":
    main()
