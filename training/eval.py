"""`cardinal eval`: measure one policy on a suite; no training.

Examples:
    cardinal eval experiment=gp_l policy.path=runs/gp_l/default/seed_0/grpo/policy name=grpo_0
    cardinal eval experiment=gp_l policy=oracle name=oracle
    cardinal eval experiment=gp_l suite=gp_rule_ladder -m policy.path=runs/a/policy,runs/b/policy

What has been played is kept (`kept_results.py`): another cell, or more episodes under another name,
cost only what is new. `cardinal results` lists it.
"""

from .config import ExperimentConfig
from .launch import command
from .run_place import run_root


@command("eval", folder=run_root)
def main(config: ExperimentConfig) -> None:
    from .evaluation import run_evaluation

    run_evaluation(config)


if __name__ == "__main__":
    main()
