"""A whole GRPO step against TRL's: `make bench BENCH=tests/benchmarks/bench_grpo_step.py`.

The same 1.8 M Llama, prompts and lengths, fp32, one thread, each in a process of its own so that
peak memory can be told apart, in turns so that a busy minute of the machine counts for both.
Needs TRL: `pip install -e .[benchmarks]`.
"""

import importlib.util
import json
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from cardinal_gym.agents.config import BuildConfig, PolicyConfig
from cardinal_gym.agents.policy import load_policy

STEPS = 4
ROUNDS = 3
BUILD = BuildConfig(hidden_size=192, num_layers=4, num_heads=4, intermediate_size=512)


def test_a_step_takes_at_most_half_of_trls_time_and_less_memory(tmp_path: Path) -> None:
    load_policy(PolicyConfig(name="bench", build=BUILD, device="cpu")).save(tmp_path)
    names = ["cardinal"] + ["trl"] * (importlib.util.find_spec("trl") is not None)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(ROUNDS):
        for name in names:
            found[name].append(run(name, tmp_path))
    for name, runs in found.items():
        times = ", ".join(f"{each['cpu_s']:.2f}" for each in runs)
        print(f"\n{name}: {times} CPU-s a step, {most(runs):,.0f} MiB at most")
    if "trl" not in names:
        pytest.skip("TRL is not installed: pip install -e .[benchmarks]")
    pairs = zip(found["cardinal"], found["trl"], strict=True)
    ratio = statistics.median(ours["cpu_s"] / theirs["cpu_s"] for ours, theirs in pairs)
    print(f"ratio of time {ratio:.2f}, the median of {ROUNDS}")
    assert ratio <= 0.5
    assert most(found["cardinal"]) < most(found["trl"])


def most(runs: list[dict[str, float]]) -> float:
    return max(each["peak_mib"] for each in runs)


def run(name: str, folder: Path) -> dict[str, float]:
    script = Path(__file__).with_name("step_contenders.py")
    command = [sys.executable, str(script), name, str(folder), str(STEPS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found
