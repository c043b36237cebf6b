"""`cardinal pretrain`: the base alone, from random weights; stands in for a foundation model.

Examples:
    cardinal pretrain experiment=gp_l
"""

from .config import ExperimentConfig
from .launch import command
from .run_place import run_root


@command("pretrain", folder=run_root)
def main(config: ExperimentConfig) -> None:
    from .runs import run_single

    run_single(config, "pretrain", None)


if __name__ == "__main__":
    main()
