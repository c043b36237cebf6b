"""A made-up comparison run with the shape of a real one; nothing in it is a result."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from PIL import Image, ImageDraw

RANKS = ("A", "2", "3", "4", "5", "6", "7", "8", "9", "10", "J", "Q", "K")
FAULTS = {"wrong_value": 0.5, "wrong_numbers": 0.3, "illegal_formula": 0.15, "no_answer": 0.05}
SMALL = {"milestones": 3, "episodes": 96, "final_episodes": 192, "samples": 2}
METRICS = {"success_within_turns": 0.0, "greedy_single": -0.04, "sampled_single": -0.08}
SHIFTS = {"id": {}, "ood_ranks": {"rule": "faces_as_ranks"}, "ood_red": {"visual": "red_suits"}}


@dataclass(frozen=True)
class Shape:
    """seeds, milestones and sizes of the made-up run; the skills move from the base's to these."""

    seeds: int = 5
    image: bool = False
    milestones: int = 6
    episodes: int = 256
    final_episodes: int = 768
    samples: int = 6
    arms: tuple[str, ...] = ("sft", "grpo")
    done: bool = True

    @property
    def cells(self) -> tuple[str, ...]:
        return ("id", "ood_ranks", "ood_red") if self.image else ("id", "ood_ranks")


BASE = {"id": 0.55, "ood_ranks": 0.33, "ood_red": 0.30}
END = {
    "sft": {"id": 0.97, "ood_ranks": 0.10, "ood_red": 0.17},
    "grpo": {"id": 0.85, "ood_ranks": 0.35, "ood_red": 0.42},
}


def write_run(root: Path, shape: Shape | None = None, **changes: object) -> Path:
    """Write `<root>/gp_l/full` and return it."""
    shape = shape or Shape(**changes)  # type: ignore[arg-type]
    run = root / ("gp_vl" if shape.image else "gp_l") / "full"
    run.mkdir(parents=True)
    rng = np.random.default_rng(7)
    tasks = np.array([f"{i:03d}-24" for i in range(266)])
    hardness = rng.normal(0, 1.2, size=tasks.size)
    dealt = rng.integers(0, tasks.size, size=shape.final_episodes)
    for seed in range(shape.seeds):
        _Seed(run / f"seed_{seed}", seed, shape, rng, tasks, hardness, dealt).write()
    config = {
        "command": "compare", "experiment": run.parent.name, "name": "full", "seeds": shape.seeds,
        "env": {"modality": "image" if shape.image else "text"},
        "pretrain": {"seed": None}, "sft": {"batch_size": 64},
        "grpo": {"groups_per_step": 32, "group_size": 8},
        "suite": {"name": "made_up", "cells": {c: {"shift": SHIFTS[c]} for c in shape.cells}},
    }  # fmt: skip
    (run / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    command = f"cardinal compare experiment={run.parent.name} name=full seeds={shape.seeds}"
    environment = {
        "started": "2025-06-01T12:00:00+00:00", "command": command, "python": "3.11.9",
        "packages": {"cardinal-gym": "0.1.0", "torch": "2.13.0", "transformers": "5.23.0"},
        "platform": "Linux-6.1-x86_64", "cpu": "Example CPU @ 2.4 GHz", "cpu_cores": 2,
        "git_commit": "0123456789abcdef0123456789abcdef01234567",
    }  # fmt: skip
    (run / "environment.json").write_text(json.dumps(environment))
    if shape.done:
        (run / "done.json").write_text("{}")
    return run


@dataclass
class _Seed:
    folder: Path
    seed: int
    shape: Shape
    rng: np.random.Generator
    tasks: np.ndarray
    hardness: np.ndarray
    dealt: np.ndarray

    def write(self) -> None:
        (self.folder / "episodes").mkdir(parents=True)
        luck = {arm: self.rng.normal(0, 0.03) for arm in ("base", "sft", "grpo")}
        lines = self._evaluate("base", 0, 0.0, luck["base"])
        self._log("base", 20, 1e11)
        ledger = {"num_parameters": 800_000, "train_tokens": 2_000_000, "cpu_s": 160.0}
        spent = {"pretrain": ledger, "warmup": ledger | {"train_tokens": 60_000, "cpu_s": 5.0}}
        (self.folder / "base" / "spent.json").write_text(json.dumps(spent))
        for arm in self.shape.arms:
            last = 662 if arm == "sft" else 293
            for k in range(1, self.shape.milestones + 1):
                step = last * k // self.shape.milestones
                lines += self._evaluate(arm, step, k / self.shape.milestones, luck[arm])
            self._log(arm, last, 1.03e13)
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (self.folder / "evals.jsonl").write_text(text)

    def _evaluate(self, arm: str, step: int, done: float, luck: float) -> list[dict]:
        final = done in (0.0, 1.0)
        n = self.shape.final_episodes if final else min(self.shape.episodes, self.dealt.size)
        lines = []
        for cell in self.shape.cells:
            skill = self._skill(arm, cell, done) + luck
            for metric, bonus in METRICS.items():
                lines.append(self._cell(arm, step, done, cell, metric, skill + bonus, n))
            if final:
                self._samples(arm, step, cell, skill)
        return lines

    def _skill(self, arm: str, cell: str, done: float) -> float:
        if arm == "base":
            return BASE[cell]
        rise = 1 - np.exp(-4 * done) if arm == "sft" else done**0.8
        early = 0.12 * np.exp(-((done - 0.15) ** 2) / 0.01) if cell != "id" else 0.0
        path = rise if cell == "id" or arm == "grpo" else done**1.2
        return float(BASE[cell] + (END[arm][cell] - BASE[cell]) * path + early * (arm == "sft"))

    def _cell(
        self, arm: str, step: int, done: float, cell: str, metric: str, rate: float, n: int
    ) -> dict:
        rate = float(np.clip(rate, 0.01, 0.99))
        ids = self.dealt[:n]
        logit = np.log(rate / (1 - rate)) * 1.3 - self.hardness[ids]
        success = self.rng.random(n) < 1 / (1 + np.exp(-logit))
        read = np.full(n, -1, dtype=np.int8)
        if self.shape.image:
            read = (self.rng.random(n) < min(0.99, rate * 0.3 + 0.65)).astype(np.int8)
        name = f"evals/cells/{arm}_{step:06d}_{cell}_{metric}.npz"
        (self.folder / "evals" / "cells").mkdir(parents=True, exist_ok=True)
        seeds = np.arange(n, dtype=np.int64) + 1_000_000
        turns = np.ones(n, dtype=np.int16)
        faults = np.random.default_rng(n).choice(list(FAULTS), size=n, p=list(FAULTS.values()))
        outcome = np.where(success, "correct", faults)
        np.savez(
            self.folder / name, task_id=self.tasks[ids], seed=seeds, success=success,
            outcome=outcome, recognized=read, num_turns=turns, num_tokens=turns * 30,
        )  # fmt: skip
        outcomes = dict(zip(*np.unique(outcome, return_counts=True), strict=True))
        return {
            "arm": arm, "step": step, "flops": 1.03e13 * done, "train_tokens": int(2.2e6 * done),
            "sampled_tokens": int(6e5 * done) if arm == "grpo" else 0, "env_steps": int(4e4 * done),
            "cpu_s": 400 * done, "cell": cell, "metric": metric, "successes": int(success.sum()),
            "n": n, "num_tasks": len(set(ids.tolist())),
            "recognized": int(read.sum()) if self.shape.image else None,
            "outcomes": {str(name): int(count) for name, count in outcomes.items()},
            "mean_turns": 1.8, "mean_tokens": 54.0, "per_episode": name,
        }  # fmt: skip

    def _log(self, arm: str, steps: int, flops: float) -> None:
        (self.folder / arm).mkdir()
        every = max(1, steps // 60)
        lines = []
        for step in range(every, steps + 1, every):
            done, noise = step / steps, self.rng.normal(0, 0.02)
            line = {"kind": "train", "step": step, "lr": 1e-4, "flops": int(flops * done)}
            if arm == "grpo":
                solved = 0.5 + 0.3 * done + noise
                line |= {"reward/mean": solved + 0.1, "success": solved, "groups/total": 32,
                         "groups/zero_variance": int(32 * (0.3 + 0.35 * done))}  # fmt: skip
            else:
                line |= {"loss": float(0.9 * np.exp(-4 * done) + 0.2 + noise)}
            lines.append(line)
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (self.folder / arm / "metrics.jsonl").write_text(text)

    def _samples(self, arm: str, step: int, cell: str, skill: float) -> None:
        lines = []
        for k in range(self.shape.samples):
            rng = np.random.default_rng(k)
            hand = [RANKS[i] for i in rng.integers(0, 13, size=4)]
            solved = bool(self.rng.random() < skill)
            first = k % 2 == 0
            picture = self._picture(hand, k, cell == "ood_red") if self.shape.image else None
            values = ("11", "12", "13") if cell == "ood_ranks" else ("10", "10", "10")
            rule = "rule J = {} Q = {} K = {} target 24".format(*values)
            cards = "" if self.shape.image else " cards " + " ".join(hand)
            turns = [] if first and solved else [_turn(rule + cards, hand, False, picture, "wrong")]
            turns.append(_turn("wrong" if turns else rule + cards, hand, solved, picture, ""))
            lines.append({
                "task_id": self.tasks[self.dealt[k]], "group": k, "member": 0,
                "rule": "faces_as_ranks" if cell == "ood_ranks" else "faces_as_ten",
                "visual": "red_suits" if cell == "ood_red" else "black_suits",
                "seed": 1_000_000 + k, "success": solved, "return": 1.1 if solved else 0.1,
                "status": "terminated" if solved else "turn_limit", "turns": turns,
            })  # fmt: skip
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (
            self.folder / "episodes" / f"{arm}_{step:06d}_{cell}_success_within_turns.jsonl"
        ).write_text(text)

    def _picture(self, hand: list[str], number: int, red: bool) -> str:
        name = f"images/{number}{'r' if red else 'b'}.png"
        path = self.folder / "episodes" / name
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            canvas = Image.new("RGB", (112, 56), "#35654d")
            draw = ImageDraw.Draw(canvas)
            for place, rank in enumerate(hand):
                draw.rounded_rectangle((3 + 27 * place, 8, 26 + 27 * place, 48), 3, fill="white")
                draw.text((8 + 27 * place, 20), rank, fill="#c0272d" if red else "black")
            canvas.save(path)
        return name


def _turn(text: str, hand: list[str], solved: bool, picture: str | None, feedback: str) -> dict:
    formula = "(5-3)*10+4=24" if solved else "9*3-2=25"
    numbers = ", ".join(f'"{rank}"' for rank in hand)
    return {
        "observation": text, "image": picture,
        "answer": f'{{"cards": [{numbers}], "number": [5, 10, 3, 4], "formula": "{formula}"}}',
        "outcome": "correct" if solved else "wrong_value", "reward": 1.1 if solved else 0.1,
        "reward_terms": {"accuracy": float(solved), "format": 1.0}, "feedback": feedback,
    }  # fmt: skip
