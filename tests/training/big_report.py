"""A made-up run with as many sample episodes as a page can carry; nothing in it is a result."""

import json
from pathlib import Path

import numpy as np
from PIL import Image
from suite_report import METRIC, cross_cells, write_suite_run

ARMS = ("base", "sft", "grpo")
NUM_EPISODES = 10_000
NUM_PICTURES = 300
FEEDBACK = "You failed this trial because your formula is incorrect. Try again, {} attempts left."
RULES = (
    "You are an expert 24 points card game player. You will see four cards; each is used once, and "
    "the formula must equal the target. 'J', 'Q', and 'K' count as '{0}', '{1}', and '{2}'. Answer "
    "with the cards, their numbers and the formula in a JSON dictionary. "
) * 4


def write_many(root: Path) -> Path:
    """10,000 episodes of three to five answers with long thoughts under three arms and nine cells,
    300 of the tasks with a picture of their own."""
    cells = cross_cells()
    rates = {arm: dict.fromkeys(cells, 0.5) for arm in ARMS}
    run = write_suite_run(root, cells, rates, seeds=1)
    folder = run / "seed_0" / "episodes"
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for k in range(NUM_PICTURES):
        noise = rng.integers(0, 256, size=(14, 28, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((448, 224)).save(folder / "images" / f"{k}.png")
    per_file = -(-NUM_EPISODES // (len(ARMS) * len(cells)))
    for arm in ARMS:
        for cell in cells:
            lines = [_episode(rng, k, cell) for k in range(per_file)]
            path = folder / f"{arm}_{0 if arm == 'base' else 10:06d}_{cell}_{METRIC}.jsonl"
            path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return run


def _episode(rng: np.random.Generator, number: int, cell: str) -> dict[str, object]:
    num_turns = int(rng.integers(3, 6))
    solved = bool(rng.random() < 0.5)
    hand = [int(rank) for rank in np.random.default_rng(number).integers(1, 14, size=4)]
    values = (11, 12, 13) if "ranks" in cell else (10, 10, 10)
    prompt = RULES.format(*values) + f"Cards: {hand}. Target: 24."
    turns = []
    for turn in range(num_turns):
        tried = rng.integers(1, 14, size=(20, 3))
        thought = "; ".join(f"{a} * {b} - {c} = {a * b - c}" for a, b, c in tried)
        right = solved and turn == num_turns - 1
        turns.append({
            "observation": prompt if turn == 0 else FEEDBACK.format(num_turns - turn),
            "image": f"images/{number}.png" if number < NUM_PICTURES else None,
            "answer": json.dumps({"cards": hand, "thoughts": thought, "formula": thought[-9:]}),
            "outcome": "correct" if right else "wrong_value", "reward": float(right),
            "reward_terms": {"accuracy": float(right), "format": 1.0},
            "feedback": "" if right else FEEDBACK.format(num_turns - turn - 1),
        })  # fmt: skip
    return {
        "task_id": "-".join(map(str, sorted(hand))) + f"|{number}", "seed": number, "rule": cell,
        "visual": "black_suits", "success": solved, "return": float(solved),
        "status": "terminated" if solved else "turn_limit", "turns": turns,
    }  # fmt: skip
