"""A made-up comparison of walks: `report_fixture`'s run under another game; nothing is a result."""

import json
from pathlib import Path

import numpy as np
import yaml
from PIL import Image
from report_fixture import write_run

SHIFTS = {
    "id": {},
    "ood_ranks": {"rule": "relative", "wording": "other"},
    "ood_red": {"look": "winter"},
}
METRIC = "success_within_turns"
NUM_STEPS = 12
STEP = {
    "outcome": "correct", "success": False, "reward": 1.0, "reward_terms": {"accuracy": 1.0},
    "feedback": "right",
}  # fmt: skip


def write_walks(root: Path, **shape: object) -> Path:
    """A run of walks of 3 to 10 answers under one metric; a walk that fails has two wrong ones."""
    settings = {"milestones": 1, "episodes": 96, "final_episodes": 96, "samples": 1, **shape}
    folder = write_run(root, **settings)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["env"]["id"] = "cardinal/StreetNav-v0"
    config["suite"]["cells"] = {cell: {"shift": SHIFTS[cell]} for cell in config["suite"]["cells"]}
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    for seed in folder.glob("seed_*"):
        lines = [json.loads(line) for line in (seed / "evals.jsonl").read_text().splitlines()]
        kept = [line | _steps(seed / line["per_episode"]) for line in lines
                if line["metric"] == METRIC]  # fmt: skip
        (seed / "evals.jsonl").write_text("".join(json.dumps(line) + "\n" for line in kept))
        for path in seed.glob("episodes/*.jsonl"):
            records = [json.loads(line) for line in path.read_text().splitlines()]
            told = [record | _walk(path.parent, record) for record in records]
            path.write_text("".join(json.dumps(line) + "\n" for line in told))
    return folder


def without_steps(folder: Path) -> Path:
    """The run as one that counted no answers would have written it."""
    for path in folder.glob("seed_*/evals.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        kept = [{k: v for k, v in line.items() if "answers" not in k} for line in lines]
        path.write_text("".join(json.dumps(line) + "\n" for line in kept))
    for path in folder.glob("seed_*/evals/cells/*.npz"):
        with np.load(path) as stored:
            np.savez(path, **{name: stored[name] for name in stored if name != "num_right"})
    return folder


def _steps(path: Path) -> dict[str, int]:
    with np.load(path) as stored:
        arrays = dict(stored)
    answers = np.random.default_rng(arrays["seed"]).integers(3, 11, size=arrays["seed"].size)
    right = np.where(arrays["success"], answers, answers - 2)
    arrays |= {"num_turns": answers.astype(np.int16), "num_right": right.astype(np.int16)}
    np.savez(path, **arrays)
    return {"answers": int(answers.sum()), "answers_right": int(right.sum())}


def _walk(folder: Path, record: dict) -> dict:
    """Turns of a walk whose sixth answer is wrong, a picture at every second turn's place."""
    turns = []
    for number in range(NUM_STEPS):
        action = "turn_direction(left)" if number == 2 else "forward()"
        answer = {"current observation": "nothing", "action": action}
        turn = {**STEP, "observation": "right" if number else "rule relative 1 turn left",
                "image": _picture(folder, number // 2), "answer": json.dumps(answer)}  # fmt: skip
        turns.append(turn)
    turns[5] |= {"outcome": "wrong_turn", "feedback": "wrong"}
    turns[6] |= {"observation": "wrong"}
    return {"task_id": f"city-0123456789abcdef/{record['seed']:016x}", "turns": turns}


def _picture(folder: Path, number: int) -> str:
    name = f"images/view{number}.png"
    path = folder / name
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 256, size=(117, 117, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
    return name
