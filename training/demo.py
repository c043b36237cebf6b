"""`cardinal demo`: the text comparison on one seed and a short image run, in the time given.

    cardinal demo              # at most 15 minutes on two cores; the budget is printed first
    cardinal demo minutes=40   # the same with longer training
    cardinal demo name=again seed=1

Two ordinary runs, `experiment=demo_text` and `experiment=demo_image`, share the machine. How long
an update takes is measured first, with every process busy, and the stages' steps are scaled to fit;
the scale is kept, so that a demo that was interrupted goes on with the same plan when it is called
again.
"""

import dataclasses
import json
import logging
import time
from pathlib import Path

from .config import BudgetConfig, EvaluateConfig, ExperimentConfig
from .launch import command, compose_experiment
from .run_place import check_writable, run_root
from .schema import DemoConfig

logger = logging.getLogger(__name__)

# Estimates: wall time of the unscaled plan (conf/experiment/demo_*.yaml) with two processes, and of
# one pretraining update within it.
PLAN_S, PLAN_UPDATE_S, PLAN_PROCESSES = 600.0, 0.5, 2
OVERHEAD_S = 60.0  # imports, calibration and reports: not scaled
SCALES = (0.05, 8.0)


@command("demo", on_interrupt="interrupted; the same command goes on from what was saved")
def main(config: DemoConfig) -> None:
    check_writable(Path(config.output_dir))
    from .comparison import comparison_jobs, num_processes
    from .jobs import run_jobs
    from .runs import finish, opened

    start_s = time.monotonic()
    text = _experiment("demo_text", config)
    image = _experiment("demo_image", config)
    processes = config.processes or num_processes(text)
    scale = kept_scale(plan_path(run_root(text)), text, config.minutes, processes)
    text, image = scaled(text, scale), scaled(image, scale)
    logger.info(describe(text, image, config.minutes, scale))
    with opened(text, "compare") as text_folder, opened(image, "grpo") as image_folder:
        jobs = [
            *comparison_jobs(text, text_folder.root, prefix="text "),
            *comparison_jobs(image, image_folder.root, arms=("grpo",), prefix="image "),
        ]
        # Bases first: the text arms and the image arm then fill the processes side by side.
        jobs.sort(key=lambda job: len(job.needs))
        run_jobs(jobs, processes=processes, folder=text_folder.root / "jobs", threads=1)
        pages = [
            finish(folder, {"command": "demo", "scale": scale})
            for folder in (text_folder, image_folder)
        ]
    minutes = (time.monotonic() - start_s) / 60
    logger.info("done in %.1f minutes; open\n  %s  SFT against GRPO, text\n  %s  pictures",
                minutes, *pages)  # fmt: skip


def plan_path(root: Path) -> Path:
    """Where the plan is kept, beside the run folder; the folder's name may have dots."""
    return root.with_name(f"{root.name}.plan.json")


def kept_scale(path: Path, config: ExperimentConfig, minutes: float, processes: int) -> float:
    """What the plan's steps are multiplied with: measured once, then read from `path`.

    Raises ValueError if the plan was made for another time.
    """
    from .calibration import update_seconds
    from .files import atomic_write_json

    if path.exists():
        plan = json.loads(path.read_text(encoding="utf-8"))
        if plan["minutes"] != minutes:
            raise ValueError(
                f"minutes must be {plan['minutes']:g}, as planned in {path}; got {minutes:g} (for "
                "another time use another name, as in name=again, or delete that file and the runs)"
            )
        return float(plan["scale"])
    logger.info("measuring how fast %d processes train on this machine", processes)
    update_s = update_seconds(config, processes)
    # The plan's two arms run side by side; a single process does one after the other.
    side_by_side = min(processes, PLAN_PROCESSES) / PLAN_PROCESSES
    wanted = (minutes * 60 - OVERHEAD_S) / PLAN_S * PLAN_UPDATE_S / update_s * side_by_side
    scale = min(max(wanted, SCALES[0]), SCALES[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write_json(path, {"scale": scale, "update_s": update_s, "minutes": minutes})
    return scale


def scaled(config: ExperimentConfig, scale: float) -> ExperimentConfig:
    """The experiment with every stage's steps, and the evaluations' sizes, multiplied."""

    def budget(given: BudgetConfig) -> BudgetConfig:
        steps = None if given.steps is None else max(2, round(given.steps * scale))
        tflops = None if given.tflops is None else given.tflops * scale
        return BudgetConfig(steps=steps, tflops=tflops)

    changes = {
        name: dataclasses.replace(stage, budget=budget(stage.budget))
        for name in ("pretrain", "warmup", "sft", "grpo")
        if (stage := getattr(config, name)) is not None
    }
    for name in ("vision_steps", "text_steps"):
        steps = getattr(config.pretrain, name, 0)
        if steps:
            given = {name: max(2, round(steps * scale))}
            changes["pretrain"] = dataclasses.replace(changes["pretrain"], **given)
    return dataclasses.replace(config, evaluate=_evaluation(config.evaluate, scale), **changes)


def describe(text: ExperimentConfig, image: ExperimentConfig, minutes: float, scale: float) -> str:
    """The plan in one paragraph."""
    parts = []
    for name, config in (("text", text), ("image", image)):
        pretrain = config.pretrain.budget.steps if config.pretrain is not None else 0
        arms = f"{config.grpo.budget.tflops:.3g} TFLOP of GRPO"
        if name == "text":
            arms = f"{config.sft.budget.tflops:.3g} TFLOP of SFT and as many of GRPO"
        parts.append(f"{name}: {pretrain} updates of pretraining, then {arms}")
    return (
        f"budget: at most {minutes:g} minutes ({scale:.2g} x the plan for the reference machine); "
        + "; ".join(parts)
    )


def _evaluation(config: EvaluateConfig, scale: float) -> EvaluateConfig:
    """Fewer episodes on a slow machine, never more than asked for."""
    factor = min(scale, 1.0)
    return dataclasses.replace(
        config,
        episodes=max(16, round(config.episodes * factor)),
        final_episodes=max(32, round(config.final_episodes * factor)),
    )


def _experiment(name: str, config: DemoConfig) -> ExperimentConfig:
    return compose_experiment(
        "compare",
        [
            f"experiment={name}",
            f"name={config.name}",
            f"seed={config.seed}",
            f"output_dir={config.output_dir}",
            "resume=true",
        ],
    )


if __name__ == "__main__":
    main()
