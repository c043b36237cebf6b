"""`cardinal reproduce`: the six cells of arXiv 2501.17161 and its side questions, with a report.

Examples:
    cardinal reproduce                                      # everything, at tiny scale, five seeds
    cardinal reproduce dry_run=true                         # what would run, and what it costs
    cardinal reproduce only=[gp_l,turns] studies.gp_l.run=runs/gp_l/default
    cardinal reproduce policy=llama_3_2_11b_vision hardware=8xh100 dry_run=true
    cardinal reproduce resume=true                          # go on after an interruption
    cardinal reproduce report_only=true                     # the report of what has finished so far
"""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig

from ..launch import command
from .config import ReproduceConfig, reproduce_root


def folder(config: ReproduceConfig) -> Path | None:
    return None if config.dry_run or config.report_only else reproduce_root(config)


@command("reproduce", folder=folder)
def main(config: ReproduceConfig) -> None:
    from .runner import reproduce

    reproduce(config, list(HydraConfig.get().overrides.task))


if __name__ == "__main__":
    main()
