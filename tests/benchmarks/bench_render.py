"""Times pictures of hands: images per second of CPU time on one core, warm, beside the targets.

    make bench          or          python tests/benchmarks/bench_render.py

Every figure is the median of several rounds; `cold` is the first picture of a look: table, shadows
and cards are painted then. The study's environment draws its cards anew at every reset, in text
mode too; its figure is that of a whole reset.
"""

import statistics
import time

import cv2
import numpy as np
from cardinal_gym.envs.general_points.render import RANKS, VISUALS, CardRenderer, as_visual
from cardinal_gym.envs.general_points.render.compose import clear_caches

ROUNDS = 7
ROW_TARGETS = {224: ">= 1500", 560: "", 1200: ">= 100"}  # images/s
STUDY = "2.7-3.4"  # resets/s: 298 to 371 ms each


def cpu_seconds(renderer: CardRenderer, hands: list[list[str]], rng: np.random.Generator) -> float:
    """CPU seconds of this process for one picture of every hand."""
    start = time.process_time()
    for hand in hands:
        renderer.render(hand, rng)
    return time.process_time() - start


def measure(name: str, size: int, **changes: object) -> tuple[float, float]:
    """(milliseconds of the first picture, images per second warm)."""
    rng = np.random.default_rng(0)
    hands = [list(rng.choice(RANKS, size=4)) for _ in range(max(20, 20_000 // size))]
    renderer = CardRenderer(as_visual(name, width=size, height=size, **changes))
    clear_caches()
    cold = cpu_seconds(renderer, hands[:1], rng)
    for _ in range(2):
        cpu_seconds(renderer, hands, rng)
    rounds = [cpu_seconds(renderer, hands, rng) for _ in range(ROUNDS)]
    return 1000 * cold, len(hands) / statistics.median(rounds)


def test_pictures() -> None:
    cv2.setNumThreads(1)
    print(f"\n{'look':<24}{'px':>6}{'cold ms':>10}{'images/s':>10}{'target':>10}{'the study':>12}")
    for size, target in ROW_TARGETS.items():
        cold, rate = measure("black_suits", size, layout="row")
        print(f"{'black_suits, row':<24}{size:>6}{cold:>10.0f}{rate:>10.0f}{target:>10}{STUDY:>12}")
    for size in (112, 224, 560, 1200):
        for name in VISUALS:
            cold, rate = measure(name, size)
            print(f"{name:<24}{size:>6}{cold:>10.0f}{rate:>10.0f}")


if __name__ == "__main__":
    test_pictures()
