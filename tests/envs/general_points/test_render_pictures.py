"""Pictures of hands: the same bytes everywhere, every rank and colour to be seen, nothing else."""

import hashlib
import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
from cardinal_gym.envs.general_points.render import RANKS, VISUALS, CardRenderer, as_visual
from cardinal_gym.envs.general_points.render.compose import clear_caches, deal_suits
from cardinal_gym.envs.general_points.render.layout import resolve

HAND = ["K", "7", "10", "3"]
SIZES = [(56, 56), (112, 56), (112, 112), (224, 224)]

HASHES = """
import hashlib, numpy as np
from cardinal_gym.envs.general_points.render import VISUALS, CardRenderer, as_visual
for name in VISUALS:
    renderer = CardRenderer(as_visual(name, width=160, height=120))
    image = renderer.render(["K", "7", "10", "3"], np.random.default_rng(5))
    print(name, hashlib.sha256(image.tobytes()).hexdigest())
"""


def picture(name: str, hand: list[str], seed: int = 0, **changes: object) -> np.ndarray:
    return CardRenderer(as_visual(name, **changes)).render(hand, np.random.default_rng(seed))


def digest(image: np.ndarray) -> str:
    return hashlib.sha256(image.tobytes()).hexdigest()


@pytest.mark.parametrize("size", [*SIZES, (300, 100), (560, 560), (1200, 1200)])
def test_a_picture_fills_its_canvas(size: tuple[int, int]):
    image = picture("mixed_suits", HAND, width=size[0], height=size[1])
    assert image.shape == (size[1], size[0], 3)
    assert image.dtype == np.uint8
    assert image.flags.writeable
    assert image.flags.c_contiguous


def test_other_processes_draw_the_same_bytes():
    outputs = [
        subprocess.run([sys.executable, "-c", HASHES], capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    here = {name: digest(picture(name, HAND, seed=5, width=160, height=120)) for name in VISUALS}
    for output in outputs:
        assert dict(line.split() for line in output.stdout.splitlines()) == here


@pytest.mark.parametrize("name", VISUALS)
def test_caches_change_nothing(name: str):
    warm = picture(name, HAND, seed=3)
    picture(name, ["A", "A", "Q"], seed=4)
    assert digest(picture(name, HAND, seed=3)) == digest(warm)
    clear_caches()
    assert digest(picture(name, HAND, seed=3)) == digest(warm)


def test_a_picture_is_the_callers_own():
    renderer = CardRenderer(VISUALS["black_suits"])
    first = renderer.render(HAND, np.random.default_rng(0))
    before = digest(first)
    first[:] = 0
    assert digest(renderer.render(HAND, np.random.default_rng(0))) == before


def test_a_renderer_ignores_later_changes_to_its_look():
    visual = as_visual("black_suits")
    renderer = CardRenderer(visual)
    visual.width = 112
    assert renderer.render(HAND, np.random.default_rng(0)).shape == (224, 224, 3)


@pytest.mark.parametrize("size", SIZES)
def test_every_look_differs_in_pixels(size: tuple[int, int]):
    pictures = [picture(name, HAND, width=size[0], height=size[1]) for name in VISUALS]
    for one, other in combinations(pictures, 2):
        assert np.mean(np.any(one != other, axis=2)) > 0.02


@pytest.mark.parametrize("name", VISUALS)
@pytest.mark.parametrize("size", [(56, 56), (112, 56)])
def test_every_rank_looks_different_where_it_is_smallest(name: str, size: tuple[int, int]):
    """Swapping one rank for another moves at least twelve pixels by a third of the range."""
    hands = [[rank, "2", "3", "4"] for rank in RANKS]
    pictures = [picture(name, hand, width=size[0], height=size[1]).astype(int) for hand in hands]
    for (rank, one), (other_rank, other) in combinations(zip(RANKS, pictures, strict=True), 2):
        changed = np.abs(one - other).max(axis=2) > 85
        assert changed.sum() >= 12, (rank, other_rank)


@pytest.mark.parametrize("size", [*SIZES, (1200, 1200)])
def test_red_suits_print_red_ink_and_black_suits_none(size: tuple[int, int]):
    """On pip cards alone: the court portraits wear red under any suit."""
    hand = ["7", "2", "10", "3"]
    share = {}
    for name in ("black_suits", "red_suits"):
        red, green, blue = np.moveaxis(picture(name, hand, width=size[0], height=size[1]), 2, 0)
        share[name] = np.mean((red > 150) & (green < 90) & (blue < 90))
    assert share["black_suits"] == 0
    assert share["red_suits"] > 0.01


def test_the_training_table_is_the_studys_green():
    corner = picture("black_suits", HAND, width=560, height=560)[:60].reshape(-1, 3).mean(axis=0)
    assert np.abs(corner - (0x35, 0x65, 0x4D)).max() < 20


@pytest.mark.parametrize("suits", [(0, 2), (1, 3), (0, 1, 2, 3)])
def test_equal_ranks_get_different_suits_while_there_are_some(suits: tuple[int, ...]):
    for seed in range(200):
        dealt = deal_suits(["9", "K", "9", "K"], suits, np.random.default_rng(seed))
        assert dealt[0] != dealt[2]
        assert dealt[1] != dealt[3]
        four = deal_suits(["5"] * 4, suits, np.random.default_rng(seed))
        assert sorted(map(four.count, set(four))) == [4 // len(suits)] * len(suits)


def test_suits_of_the_first_cards_do_not_depend_on_ranks():
    for seed in range(50):
        one = deal_suits(["2", "3", "4", "5"], (0, 1, 2, 3), np.random.default_rng(seed))
        other = deal_suits(["A", "K", "Q", "J"], (0, 1, 2, 3), np.random.default_rng(seed))
        assert one == other


def test_all_suits_of_a_set_are_dealt_about_equally():
    rng = np.random.default_rng(0)
    dealt = [suit for _ in range(1000) for suit in deal_suits(HAND, (0, 1, 2, 3), rng)]
    assert np.bincount(dealt, minlength=4) == pytest.approx(1000, abs=120)


@pytest.mark.parametrize("layout", ["fan", "scatter"])
@pytest.mark.parametrize("num_cards", range(2, 7))
@pytest.mark.parametrize("size", [(56, 56), (112, 56), (224, 224), (300, 900)])
def test_turned_cards_stay_on_the_canvas(size: tuple[int, int], num_cards: int, layout: str):
    visual = as_visual("mixed_suits", width=size[0], height=size[1], layout=layout)
    plan = resolve(visual, num_cards)
    for seed in range(20):
        for slot in plan.deal(np.random.default_rng(seed)):
            turn = np.radians(slot.angle_deg)
            wide = plan.width_px * abs(np.cos(turn)) + plan.height_px * abs(np.sin(turn))
            high = plan.height_px * abs(np.cos(turn)) + plan.width_px * abs(np.sin(turn))
            assert wide / 2 - 1 <= slot.x_px <= size[0] - wide / 2 + 1
            assert high / 2 - 1 <= slot.y_px <= size[1] - high / 2 + 1


@pytest.mark.parametrize("num_cards", range(2, 7))
@pytest.mark.parametrize("name", VISUALS)
def test_two_to_six_cards_are_drawn_on_any_canvas(name: str, num_cards: int):
    hand = ["10", "Q", "8", "K", "9", "A"][:num_cards]
    for width, height in ((56, 56), (57, 131), (333, 56), (250, 190)):
        image = picture(name, hand, width=width, height=height)
        assert image.shape == (height, width, 3)


@pytest.mark.parametrize(
    ("hand", "message"),
    [
        (["A"], "a hand must be 2 to 6 cards; got 1"),
        (["A"] * 7, "a hand must be 2 to 6 cards; got 7"),
        (["A", "11"], "ranks must be among A 2 3 4 5 6 7 8 9 10 J Q K; got '11'"),
    ],
)
def test_an_impossible_hand_says_what_is_allowed(hand: list[str], message: str):
    with pytest.raises(ValueError) as error:
        picture("black_suits", hand)
    assert str(error.value) == message
