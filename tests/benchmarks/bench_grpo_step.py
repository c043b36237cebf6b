"""A whole GRPO step against TRL's: `make bench BENCH=tests/benchmarks/bench_grpo_step.py`.

The same 1.8 M Llama, prompts and lengths, fp32, one thread, each in a process of its own so that
peak memory can be told apart. Needs TRL: `pip install -e .[benchmarks]`.
"""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from cardinal_gym.agents.config import BuildConfig, PolicyConfig
from cardinal_gym.agents.policy import load_policy

STEPS = 5
BUILD = BuildConfig(hidden_size=192, num_layers=4, num_heads=4, intermediate_size=512)


def test_a_step_takes_at_most_half_of_trls_time_and_less_memory(tmp_path: Path) -> None:
    load_policy(PolicyConfig(name="bench", build=BUILD, device="cpu")).save(tmp_path)
    ours = run("cardinal", tmp_path)
    print(f"\ncardinal: {ours['cpu_s']:.2f} CPU-s a step, {ours['peak_mib']:,.0f} MiB at most")
    if importlib.util.find_spec("trl") is None:
        pytest.skip("TRL is not installed: pip install -e .[benchmarks]")
    theirs = run("trl", tmp_path)
    print(f"TRL: {theirs['cpu_s']:.2f} CPU-s a step, {theirs['peak_mib']:,.0f} MiB at most")
    print(f"ratio of time {ours['cpu_s'] / theirs['cpu_s']:.2f}")
    assert ours["cpu_s"] <= 0.5 * theirs["cpu_s"]
    assert ours["peak_mib"] < theirs["peak_mib"]


def run(name: str, folder: Path) -> dict[str, float]:
    script = Path(__file__).with_name("step_contenders.py")
    command = [sys.executable, str(script), name, str(folder), str(STEPS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found
