"""What an episode of General Points costs on one core: `make bench`.

CPU time of this process through gymnasium's own wrappers, the median of several rounds, beside this
project's target and the reference study's code (SFTvsRL, measured on one core of a shared machine:
a reset takes 298-371 ms, a step 0.11-2.4 ms, starting 2.58 s and 276 MB).
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import cardinal_gym.envs  # noqa: F401  registers the environments
import gymnasium as gym
import pytest

ROUNDS = 5
WRONG = '{"cards": ["5", "J", "3", "A"], "number": [5, 10, 3, 1], "formula": "5+10+3+1=24"}'
START = """
import resource, time
import gymnasium as gym, cardinal_gym.envs
gym.make("cardinal/GeneralPoints-v0", modality={modality!r}).reset(seed=0)
print(time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


@pytest.mark.parametrize("prompt", ["study", "compact"])
def test_resets_a_second(prompt: str) -> None:
    env = gym.make("cardinal/GeneralPoints-v0", prompt=prompt)
    env.reset(seed=0)
    rate = rate_of(env.reset, times=2000)
    say(f"reset, {prompt} prompt", f"{rate:,.0f}/s", "10,000/s", "3/s")


@pytest.mark.parametrize("feedback", ["verdict", "detail"])
def test_steps_a_second(feedback: str) -> None:
    env = gym.make("cardinal/GeneralPoints-v0", feedback=feedback, max_turns=1_000_000)
    env.reset(seed=0)
    rate = rate_of(lambda: env.step(WRONG), times=5000)
    say(f"step, wrong answer, {feedback}", f"{rate:,.0f}/s", "20,000/s", "420-9,100/s")


def test_episodes_of_the_oracle_a_second() -> None:
    env = gym.make("cardinal/GeneralPoints-v0")

    def episode() -> None:
        env.reset()
        env.step(env.unwrapped.oracle_action())  # type: ignore[attr-defined]

    env.reset(seed=0)
    say("reset, oracle, step", f"{rate_of(episode, times=1000):,.0f}/s", "", "")


@pytest.mark.parametrize("modality", ["text", "image"])
def test_starting(modality: str) -> None:
    runs = [
        subprocess.run(
            [sys.executable, "-c", START.format(modality=modality)],
            capture_output=True, text=True, check=True,
        ).stdout.split()
        for _ in range(ROUNDS)
    ]  # fmt: skip
    seconds = statistics.median(float(run[0]) for run in runs)
    megabytes = statistics.median(float(run[1]) for run in runs)
    say(
        f"import, make, first reset ({modality})",
        f"{seconds:.2f} s, {megabytes:.0f} MB", "0.5 s, 120 MB", "2.58 s, 276 MB",
    )  # fmt: skip


def rate_of(call: Callable[[], object], times: int) -> float:
    """Calls a second of CPU time."""
    rates = []
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(times):
            call()
        rates.append(times / (time.process_time() - start))
    return statistics.median(rates)


def say(what: str, measured: str, target: str, study: str) -> None:
    print(f"\n{what:<36}{measured:>16}   target {target:<16} study {study}", end="")
