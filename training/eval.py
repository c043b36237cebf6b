"""`cardinal eval`: measure one policy on a suite; no training.

Examples:
    cardinal eval experiment=gp_l policy.path=runs/gp_l/default/seed_0/grpo/policy name=grpo_0
    cardinal eval experiment=gp_l policy=oracle name=oracle
"""

from .config import ExperimentConfig
from .launch import command


@command("eval")
def main(config: ExperimentConfig) -> None:
    from .evaluation import run_evaluation

    run_evaluation(config)


if __name__ == "__main__":
    main()
