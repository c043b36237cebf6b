"""Free movement, its measures, and shortest ways, against independent formulas and libraries."""

import itertools
import math
from typing import Any

import networkx as nx
import numpy as np
import pytest
from cardinal_gym.envs.street_nav.actions import TURN_RULES, Rule
from cardinal_gym.envs.street_nav.env import StreetNavEnv
from cardinal_gym.envs.street_nav.metrics import dtw_m, ndtw, spl
from cardinal_gym.envs.street_nav.paths import path_length_m, shortest_path
from cardinal_gym.envs.street_nav.walk import facing_after, step_towards, turned, way_ahead
from grid_world import GridWorld
from hypothesis import given
from hypothesis import strategies as st

WORLD = GridWorld(slant=17.0)
COORDINATES = st.floats(-50, 50, allow_nan=False)
WALKS = st.lists(st.tuples(COORDINATES, COORDINATES), min_size=1, max_size=5)


def make(**fields: Any) -> StreetNavEnv:
    return StreetNavEnv(streets=WORLD, split="all", mode="free", **fields)


def answer(action: str) -> str:
    return f'{{"action": "{action}"}}'


def least_alignment(walk: list[tuple[float, float]], route: list[tuple[float, float]]) -> float:
    """DTW by trying every monotone path through the table of distances."""
    steps = ((1, 0), (0, 1), (1, 1))
    best = math.inf
    paths = [[(0, 0)]]
    while paths:
        path = paths.pop()
        i, j = path[-1]
        if (i, j) == (len(walk) - 1, len(route) - 1):
            best = min(best, sum(math.dist(walk[a], route[b]) for a, b in path))
            continue
        for di, dj in steps:
            if i + di < len(walk) and j + dj < len(route):
                paths.append([*path, (i + di, j + dj)])
    return best


@given(WALKS, WALKS)
def test_dtw_is_the_least_sum_over_all_alignments(walk: list, route: list) -> None:
    assert dtw_m(walk, route) == pytest.approx(least_alignment(walk, route))
    expected = math.exp(-least_alignment(walk, route) / (len(route) * 25.0))
    assert ndtw(walk, route, 25.0) == pytest.approx(expected)


def test_a_route_is_like_itself_and_a_detour_is_not() -> None:
    route = [(0.0, 0.0), (10.0, 0.0), (20.0, 0.0)]
    assert ndtw(route, route, 25.0) == 1.0
    assert ndtw([*route, (20.0, 10.0)], route, 25.0) == pytest.approx(math.exp(-10 / 75))


@pytest.mark.parametrize(
    ("success", "walked", "shortest", "expected"),
    [
        (True, 100.0, 50.0, 0.5),
        (True, 50.0, 50.0, 1.0),
        (True, 40.0, 50.0, 1.0),
        (False, 50.0, 50.0, 0.0),
        (True, 0.0, 0.0, 1.0),
    ],
)
def test_spl(success: bool, walked: float, shortest: float, expected: float) -> None:
    assert spl(success, walked, shortest) == expected


def test_shortest_ways_are_those_of_networkx() -> None:
    graph = nx.Graph()
    for node in range(21 * 21):
        for other in WORLD.exits(node):
            length = math.dist(WORLD.position(node), WORLD.position(other))
            graph.add_edge(node, other, weight=length)
    nodes = np.random.default_rng(0).choice(sorted(graph), (60, 2))
    for start, goal in nodes.tolist():
        way = shortest_path(WORLD, start, goal)
        assert (way[0], way[-1]) == (start, goal)
        assert all(b in WORLD.exits(a) for a, b in itertools.pairwise(way))
        expected = nx.shortest_path_length(graph, start, goal, weight="weight")
        assert path_length_m(WORLD, way) == pytest.approx(expected)


def test_a_turn_takes_the_street_in_its_direction_and_the_next_one_when_repeated() -> None:
    exits = {1: 20.0, 2: 60.0, 3: 75.0, 4: 200.0}
    turns = TURN_RULES[Rule.relative]
    assert turned(300, "right", turns, exits) == 20
    assert turned(0, "right", turns, exits) == 75
    assert turned(0, "left", turns, exits) == 200
    assert turned(90, "slightly right", turns, exits) == 112  # no street: the word's own direction
    absolute = TURN_RULES[Rule.absolute]
    assert turned(180, "northeast", absolute, exits) == 60
    assert turned(60, "northeast", absolute, {1: 30.0, 2: 60.0}) == 30
    assert turned(30, "northeast", absolute, {1: 30.0, 2: 60.0}) == 60


def test_forward_takes_the_nearest_street_within_45_degrees() -> None:
    assert way_ahead(350, {1: 20.0, 2: 100.0}) == 1
    assert way_ahead(150, {1: 20.0, 2: 100.0}) is None
    assert way_ahead(145, {1: 20.0, 2: 100.0}) == 2


@given(
    st.sampled_from(Rule),
    st.integers(0, 359),
    st.lists(st.integers(0, 359), min_size=1, max_size=5, unique=True),
)
def test_every_street_can_be_reached_by_turns(rule: Rule, facing: int, headings: list[int]) -> None:
    class Star(GridWorld):
        def exits(self, node: int) -> dict[int, float]:
            return dict(enumerate(map(float, headings), start=1))

    turns, world = TURN_RULES[rule], Star()
    for target in range(1, len(headings) + 1):
        looking = facing
        for _ in range(12):
            action = step_towards(world, 0, looking, target, turns)
            if action == "forward()":
                break
            word = action[len("turn_direction(") : -1]
            looking = turned(looking, word, turns, world.exits(0))
        assert way_ahead(looking, world.exits(0)) == target


def test_on_a_bend_the_head_follows_the_street() -> None:
    class Bend(GridWorld):
        def exits(self, node: int) -> dict[int, float]:
            return {0: {1: 0.0}, 1: {0: 180.0, 2: 40.0}}[node]

    assert facing_after(Bend(), 0, 1) == 40
    middle = 21 * 8 + 6
    assert facing_after(WORLD, middle, middle + 1) == 17


def test_every_allowed_action_is_carried_out() -> None:
    env = make(rule="absolute")
    env.reset(seed=1)
    start = env.walk.scene.node
    outcomes = []
    for action in ("turn_direction(east)", "forward()", "turn_direction(south)", "forward()"):
        outcomes.append(env.step(answer(action))[4]["outcome"])
    assert outcomes == ["turned", "blocked", "turned", "moved"]
    assert env.walk.visited[0] == start
    assert len(env.walk.visited) == 2
    later = env.step(answer("jump()"))
    assert (later[4]["outcome"], later[2], later[3]) == ("unparsable", False, False)
    assert "No action was found" in later[0]["update"]


@pytest.mark.parametrize(("success_m", "outcome"), [(25.0, "arrived"), (11.0, "overshoot")])
def test_success_is_stopping_within_reach(success_m: float, outcome: str) -> None:
    env = make(success_m=success_m, reward="study")
    env.reset(seed=1)
    while env.walk.right_action() != "stop()":
        env.step(env.oracle_action())
    _, _, _, _, info = env.step(answer("forward()"))  # 12 m too far
    assert "distance_m" not in info
    _, reward, terminated, truncated, info = env.step(answer("stop()"))
    assert (terminated, truncated, info["outcome"]) == (True, False, outcome)
    assert info["success"] is (outcome == "arrived")
    assert reward == (1.0 if info["success"] else -1.0)
    assert info["distance_m"] == pytest.approx(12.0)
    assert info["walked_m"] == pytest.approx(12.0 * (len(env.walk.visited) - 1))
    assert info["ndtw"] == pytest.approx(math.exp(-12 / (len(env.walk.path) * success_m)))
    share = info["shortest_m"] / info["walked_m"]
    assert info["spl"] == pytest.approx(share if info["success"] else 0.0)


def test_stopping_early_and_running_out_of_turns() -> None:
    env = make(max_turns=3)
    env.reset(seed=1)
    _, _, terminated, _, info = env.step(answer("stop()"))
    assert (terminated, info["outcome"], info["spl"]) == (True, "premature_stop", 0.0)
    env.reset(seed=1)
    for _ in range(2):
        env.step(env.oracle_action())
    _, _, terminated, truncated, info = env.step(env.oracle_action())
    assert (terminated, truncated, info["success"], info["spl"]) == (False, True, False, 0.0)


def test_the_oracle_finds_its_way_back_from_anywhere() -> None:
    rng = np.random.default_rng(0)
    for rule in Rule:
        env = make(rule=rule.value, max_turns=400)
        for seed in range(10):
            env.reset(seed=seed)
            for _ in range(30):
                env.step(env.walk.answer("forward()"))
                words = env.walk.wrong_action(rng)
                assert words is not None
                env.step(env.walk.answer(words))
            done = False
            while not done:
                _, _, done, truncated, info = env.step(env.oracle_action())
                assert not truncated
            assert info["success"]
            assert info["distance_m"] == 0.0
