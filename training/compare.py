"""`cardinal compare`: SFT against GRPO from one warmed-up base, at equal compute.

Examples:
    cardinal compare experiment=gp_l seeds=5
"""

from .config import ExperimentConfig
from .launch import command
from .run_place import run_root


@command("compare", folder=run_root)
def main(config: ExperimentConfig) -> None:
    from .comparison import run_comparison
    from .runs import finish, opened

    config.distributed.refuse_spreading("compare")
    with opened(config, "compare") as folder:
        run_comparison(config, folder.root)
        finish(folder, {"command": "compare", "seeds": config.seeds})


if __name__ == "__main__":
    main()
