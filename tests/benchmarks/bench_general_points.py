"""What General Points costs on one core, beside the targets and the study's own environment.

    make bench          or          python tests/benchmarks/bench_general_points.py

Rates are medians of rounds of CPU time of this process, through `gym.make` with its wrappers, after
one warm-up round. The peers' figures are CPU times of their public code on a machine of this
kind; differences under 15 % are noise.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import combinations_with_replacement
from typing import Any

import cardinal_gym.envs  # noqa: F401  (registers the environments)
import gymnasium as gym
from cardinal_gym.envs.general_points import solver
from cardinal_gym.envs.general_points.expression import write

ROUNDS = 9
ID = "cardinal/GeneralPoints-v0"
WRONG = '{"cards": ["5", "J", "3", "A"], "number": [5, 10, 3, 1], "formula": "(5-3)*10-4*1=24"}'
HANDS = list(combinations_with_replacement(range(1, 14), 4))

STUDY_RESET_MS, STUDY_STEP_MS, STUDY_IMPORT = 298.0, 0.11, "2.58 s, 276 MB"  # its best figures


def rate(work: Callable[[], None], count: int) -> float:
    """Median number a second of CPU time; `work` does `count` of them."""
    work()
    seconds = []
    for _ in range(ROUNDS):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return count / statistics.median(seconds)


def reset_rate(*, seeded: bool, count: int = 2_000, **fields: Any) -> float:
    env = gym.make(ID, **fields)

    def work() -> None:
        for seed in range(count):
            env.reset(seed=seed if seeded else None)

    return rate(work, count)


def step_rate(oracle: bool, **fields: Any) -> float:
    env, count = gym.make(ID, max_turns=10**9, **fields), 2_000
    env.reset(seed=0)
    answer = env.unwrapped.oracle_action() if oracle else WRONG

    def work() -> None:
        for _ in range(count):
            if env.step(answer)[2]:
                env.unwrapped._done = False  # the same hand again: resets are not timed here

    return rate(work, count)


def solver_ms(work: Callable[[tuple[int, ...]], object]) -> float:
    """Milliseconds a hand over all 1,820, with nothing remembered beforehand."""
    seconds = []
    for _ in range(3):
        for cached in (solver._is_solvable, solver._reachable_few, solver._reachable_many):
            cached.cache_clear()
        started = time.process_time()
        for hand in HANDS:
            work(hand)
        seconds.append(time.process_time() - started)
    return 1_000 * statistics.median(seconds) / len(HANDS)


def one_uncached_ms() -> float:
    """Milliseconds to decide one hand when every cache is empty, the median hand."""
    times = []
    for hand in HANDS[::10]:
        for cached in (solver._is_solvable, solver._reachable_few, solver._reachable_many):
            cached.cache_clear()
        started = time.process_time()
        solver.is_solvable(hand, 24)
        times.append(time.process_time() - started)
    return 1_000 * statistics.median(times)


def first_solution(hand: tuple[int, ...]) -> str | None:
    return next((write(node) for node in solver.solve(hand, 24)), None)


_COLD = f"""
import re, time
import gymnasium, cardinal_gym.envs
gymnasium.make("{ID}").reset(seed=0)
seconds = time.process_time()
peak_kb = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read()).group(1)
print(seconds, int(peak_kb) / 1024)
"""


def cold_start() -> tuple[float, float]:
    """CPU seconds and MB of a fresh process up to its first reset, interpreter included.

    Linux only: the peak is the kernel's VmHWM, because `ru_maxrss` begins at the parent's size.
    """
    runs = [
        subprocess.run([sys.executable, "-c", _COLD], capture_output=True, text=True, check=True)
        for _ in range(3)
    ]
    figures = [tuple(map(float, run.stdout.split())) for run in runs]
    return statistics.median(f[0] for f in figures), statistics.median(f[1] for f in figures)


def line(what: str, measured: str, target: str, study: str = "") -> None:
    print(f"{what:<44}{measured:>16}{target:>18}{study:>18}")


def test_general_points() -> None:
    seconds, megabytes = cold_start()
    print()
    line("General Points, one core, CPU time", "measured", "target", "the study")
    study_reset, study_step = f"{1000 / STUDY_RESET_MS:.1f}/s", f"{1000 / STUDY_STEP_MS:,.0f}/s"
    for name, fields in {"compact": {"prompt": "compact"}, "study": {"prompt": "study"}}.items():
        for what, seeded in (("reset", False), ("reset with a seed", True)):
            measured = reset_rate(seeded=seeded, **fields)
            line(f"{what}, text, {name} prompt", f"{measured:,.0f}/s", ">= 10,000/s", study_reset)
        for what, oracle in (("a wrong answer", False), ("a right answer", True)):
            measured = step_rate(oracle, **fields)
            line(f"step, {name} prompt, {what}", f"{measured:,.0f}/s", ">= 20,000/s", study_step)
    for size, target, count in ((224, ">= 1,500/s", 400), (1200, ">= 100/s", 30)):
        look = {"name": "row", "layout": "row", "width": size, "height": size}
        measured = reset_rate(seeded=False, count=count, modality="image", visual=look)
        line(f"reset with a picture, {size} px", f"{measured:,.0f}/s", target, study_reset)
    line("solvable? one hand, all caches empty", f"{one_uncached_ms():.3f} ms", "<= 0.5 ms")
    all_hands = solver_ms(lambda hand: solver.is_solvable(hand, 24))
    line("solvable? all 1,820 hands, a hand", f"{all_hands:.3f} ms", "")
    line("first solution, a hand", f"{solver_ms(first_solution):.3f} ms", "<= 1 ms", "130-175 ms")
    counted = solver_ms(lambda hand: solver.count_solutions(hand, 24))
    line("all solutions, a hand", f"{counted:.3f} ms", "<= 1 ms")
    line(
        "import, make and first reset", f"{seconds:.2f} s, {megabytes:.0f} MB",
        "< 0.5 s, 120 MB", STUDY_IMPORT,
    )  # fmt: skip


if __name__ == "__main__":
    test_general_points()
