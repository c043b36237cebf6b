"""`cardinal export`: oracle episodes as JSONL of chat messages, with their pictures.

    cardinal export experiment=gp_l export.count=19200         # to runs/gp_l/demonstrations
    cardinal export experiment=gp_vl export.path=data/gp_vl
    cardinal sft experiment=gp_l sft.data=runs/gp_l/demonstrations

They are the episodes that the SFT arm of the same configuration and seed would generate, in order:
index k of the file is demonstration k.
For trainers that imitate every answer (that do not know `weight`) add sft.revision_fraction=0.
"""

import logging
from pathlib import Path

from .config import ExperimentConfig
from .launch import command
from .run_place import check_writable, run_root

logger = logging.getLogger(__name__)


@command("export", on_interrupt="interrupted; nothing was written")
def main(config: ExperimentConfig) -> None:
    chosen = config.export
    if config.sft.length_requests:
        raise ValueError(
            "sft.length_requests must be 0 to export: lengths are counted by the policy that is "
            f"trained, and a file is for any; got {config.sft.length_requests}"
        )
    folder = run_root(config) if chosen.path is None else Path(chosen.path).expanduser()
    check_writable(folder, "output_dir" if chosen.path is None else "export.path")
    from .sft_files import export_demonstrations

    about = export_demonstrations(
        config.env,
        folder,
        chosen.count,
        seed=config.seed,
        revision_fraction=config.sft.revision_fraction,
        max_wrong_attempts=config.sft.max_wrong_attempts,
        resume=config.resume,
    )
    logger.info(
        "%d episodes of %d distinct tasks: %s", about["count"], about["distinct_tasks"], folder
    )


if __name__ == "__main__":
    main()
