"""`cardinal compare`: SFT against GRPO from one warmed-up base, at equal compute.

Examples:
    cardinal compare experiment=gp_l seeds=5
    cardinal compare experiment=gp_l distributed.num_processes=2   # each arm by two processes
"""

from .config import ExperimentConfig
from .launch import command
from .run_place import run_root


@command("compare", folder=run_root)
def main(config: ExperimentConfig) -> None:
    from .comparison import run_comparison
    from .runs import finish, opened
    from .spreading import check_spreading

    check_spreading(config, "compare")
    with opened(config, "compare") as folder:
        run_comparison(config, folder.root)
        finish(folder, {"command": "compare", "seeds": config.seeds})


if __name__ == "__main__":
    main()
