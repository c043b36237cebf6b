"""What the street world costs on one core: text, views, cities, memory, beside the targets.

    make bench          or          python tests/benchmarks/bench_street_nav.py

Rates are CPU time of this process, medians of rounds after one warm-up. `cold` draws every panorama
anew; `random walk` goes from node to neighbour through the world's memory of panoramas; `from
cache` finds city, scene and compiled code on disk. The peers' figures were measured on a machine of
this kind: MiniWorld and ProcTHOR draw one view a step, not four.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cardinal_gym.envs  # noqa: F401  (registers the environments)
import cv2
import gymnasium as gym
import numpy as np
from cardinal_gym.envs.street_nav.city.config import CityConfig
from cardinal_gym.envs.street_nav.city.world import CityWorld
from cardinal_gym.envs.street_nav.render import LOOKS
from cardinal_gym.envs.street_nav.render.crop import view_grid

ROUNDS = 5
ID = "cardinal/StreetNav-v0"
WIDTHS = {224: 1024, 448: 2048}  # of panoramas, by size of a view

READY = """
import re, sys, time
started = time.process_time()
from cardinal_gym.envs.street_nav.city.config import CityConfig
from cardinal_gym.envs.street_nav.city.world import CityWorld
import cardinal_gym.envs.street_nav.render.panorama
imported = time.process_time()
world = CityWorld(CityConfig(seed=int(sys.argv[1])), "harbor")
world.renderer
ready = time.process_time()
world.panorama(0)
drawn = time.process_time()
for node in range(0, world.city.num_nodes, 5):
    world.panorama(node)
peak_kb = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read()).group(1)
print(imported - started, ready - imported, drawn - ready, int(peak_kb) / 1024)
"""


def rate(work: Callable[[], None], count: int, rounds: int = ROUNDS) -> float:
    """Median number a second of CPU time; `work` does `count` of them."""
    work()
    seconds = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return count / statistics.median(seconds)


def text_rates(count: int = 500) -> tuple[float, float, float]:
    """Resets, steps, and steps with the oracle's own work a second, in a prepared city.

    Through `gym.make`. Steps alone are given the answers of an earlier walk, as a policy's come.
    """
    env = gym.make(ID, modality="text")

    def resets() -> None:
        for seed in range(count):
            env.reset(seed=seed)

    def walk(seed: int, answers: list[str] | None) -> tuple[list[str], float]:
        """What was answered on the right way, and CPU seconds without the reset."""
        env.reset(seed=seed)
        said, over = [], False
        started = time.process_time()
        while not over:
            said.append(answers[len(said)] if answers else env.unwrapped.oracle_action())
            _, _, terminated, truncated, _ = env.step(said[-1])
            over = terminated or truncated
        return said, time.process_time() - started

    def steps(known: list[list[str]] | None) -> float:
        walks = [walk(seed, known and known[seed]) for seed in range(count // 10)]
        return sum(len(said) for said, _ in walks) / sum(seconds for _, seconds in walks)

    reset_rate = rate(resets, count)
    known = [walk(seed, None)[0] for seed in range(count // 10)]
    alone, led = (
        statistics.median(steps(answers) for _ in range(ROUNDS)) for answers in (known, None)
    )
    return reset_rate, alone, led


def views_from_memory(world: CityWorld, size: int, count: int = 60) -> float:
    panoramas = [world.panorama(node) for node in range(12)]

    def work() -> None:
        for k in range(count):
            view_grid(panoramas[k % 12], 37.0 * k, size)

    return rate(work, count)


def views_cold(world: CityWorld, size: int, count: int = 20) -> float:
    renderer, nodes = world.renderer, world.city.num_nodes

    def work() -> None:
        for k in range(count):
            view_grid(renderer.panorama(k * 17 % nodes), 37.0 * k, size)

    return rate(work, count, rounds=3)


def views_walking(world: CityWorld, size: int, count: int = 400) -> float:
    """A random walk that turns at every step, misses of the memory included."""
    rng = np.random.default_rng(0)
    node, nodes = 0, []
    for _ in range(count):
        node = int(rng.choice(list(world.exits(node))))
        nodes.append(node)
    started = time.process_time()
    for k, node in enumerate(nodes):
        view_grid(world.panorama(node), 90.0 * (k % 4), size)
    return count / (time.process_time() - started)


def ready_to_draw(seed: int, folder: Path) -> list[float]:
    """CPU seconds to import, to be ready, to draw the first panorama; peak MB of that process."""
    environment = {**os.environ, "CARDINAL_GYM_CACHE": str(folder), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", READY, str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return [float(part) for part in done.stdout.split()]


def line(what: str, measured: str, target: str = "", peers: str = "") -> None:
    print(f"{what:<46}{measured:>16}{target:>16}{peers:>26}")


def test_street_nav() -> None:
    cv2.setNumThreads(1)
    print()
    line("Street navigation, one core, CPU time", "measured", "target", "rendering study")
    resets, steps, led = text_rates()
    line("reset, text", f"{resets:,.0f}/s", ">= 5,000/s")
    line("step, text", f"{steps:,.0f}/s", ">= 30,000/s")
    line("step and the oracle's answer, text", f"{led:,.0f}/s", ">= 30,000/s")
    for size, width in WIDTHS.items():
        world = CityWorld(CityConfig(), "harbor", width=width)
        first = size == 224
        line(
            f"four views of {size} px, in memory", f"{views_from_memory(world, size):,.0f}/s",
            ">= 500/s" if first else "", "620-940/s" if first else "106-179/s",
        )  # fmt: skip
        line(
            f"four views of {size} px, random walk", f"{views_walking(world, size):,.0f}/s",
            ">= 100/s" if first else "", "136/s" if first else "24-57/s",
        )  # fmt: skip
        line(
            f"four views of {size} px, cold, harbor", f"{views_cold(world, size):,.1f}/s",
            ">= 40/s" if first else "", "60/s" if first else "18/s",
        )  # fmt: skip
    for look in list(LOOKS)[1:]:
        world = CityWorld(CityConfig(), look)
        line(f"four views of 224 px, cold, {look}", f"{views_cold(world, 224):,.1f}/s", ">= 40/s")
    with tempfile.TemporaryDirectory() as name:
        ready_to_draw(1, Path(name))  # numba's code is compiled now
        runs = [ready_to_draw(seed, Path(name)) for seed in (2, 3, 4)]
        again = [ready_to_draw(seed, Path(name)) for seed in (2, 3, 4)]
    new, kept = (np.median(group, axis=0) for group in (runs, again))
    line("a new city ready to draw", f"{new[1]:.2f} s", "< 4 s", "9 s")
    line("the same from its cache", f"{kept[1]:.2f} s", "< 0.5 s")
    line("imports", f"{kept[0]:.2f} s")
    line("first panorama", f"{kept[2]:.2f} s")
    line("peak memory, new city", f"{new[3]:.0f} MB", "< 400 MB", "700-900 MB (textures)")
    line("peak memory, from its cache", f"{kept[3]:.0f} MB", "< 400 MB")


if __name__ == "__main__":
    test_street_nav()
