"""Routes of procedural cities, checked against networkx and the city's own arrays."""

import subprocess
import sys
import threading

import networkx as nx
import numpy as np
import pytest
from cardinal_gym.envs.street_nav.city.network import StreetNetwork
from cardinal_gym.envs.street_nav.city.world import CityWorld
from cardinal_gym.envs.street_nav.types import Route, WaypointKind
from cities import LAYOUTS, city_of, world_of


@pytest.fixture(params=LAYOUTS)
def world(request: pytest.FixtureRequest) -> CityWorld:
    return world_of(request.param)


def deals(world: CityWorld, count: int, split: str = "train") -> list[Route]:
    rng = np.random.default_rng(7)
    return [world.deal(rng, split) for _ in range(count)]


def turn(before: float, after: float) -> float:
    return (after - before + 180.0) % 360.0 - 180.0


def graph_of(world: CityWorld) -> nx.Graph:
    graph = nx.Graph()
    for node in range(world.city.num_nodes):
        for neighbour in world.exits(node):
            length = np.subtract(world.position(node), world.position(neighbour))
            graph.add_edge(node, neighbour, length=float(np.hypot(*length)))
    return graph


def path_of(graph: nx.Graph, route: Route) -> list[int]:
    """All nodes of a route, in order."""
    nodes = [route.waypoints[0].node]
    for waypoint in route.waypoints[1:]:
        nodes += nx.shortest_path(graph, nodes[-1], waypoint.node, weight="length")[1:]
    return nodes


def test_a_route_has_a_start_turns_and_a_goal(world: CityWorld) -> None:
    counts = set()
    for route in deals(world, 400):
        kinds = [waypoint.kind for waypoint in route.waypoints]
        assert kinds[0] is WaypointKind.start
        assert kinds[-1] is WaypointKind.goal
        assert not {WaypointKind.start, WaypointKind.goal} & set(kinds[1:-1])
        counts.add(route.num_turns)
        nodes = [waypoint.node for waypoint in route.waypoints]
        assert len(set(nodes)) == len(nodes)
    assert counts == set(range(2, 11))


def test_headings_lead_along_the_streets(world: CityWorld) -> None:
    graph = graph_of(world)
    for route in deals(world, 60):
        path = path_of(graph, route)
        assert len(set(path)) == len(path)
        for waypoint in route.waypoints[:-1]:
            ahead = path[path.index(waypoint.node) + 1]
            assert world.exits(waypoint.node)[ahead] == waypoint.heading
        for waypoint in route.waypoints[1:]:
            behind = path[path.index(waypoint.node) - 1]
            assert world.exits(behind)[waypoint.node] == waypoint.arrival
        assert route.waypoints[-1].heading == route.waypoints[-1].arrival


def test_turns_are_turns_and_passing_points_are_not(world: CityWorld) -> None:
    for route in deals(world, 200):
        for waypoint in route.waypoints[1:-1]:
            assert waypoint.arrival is not None
            angle = abs(turn(waypoint.arrival, waypoint.heading))
            if waypoint.kind is WaypointKind.turn:
                assert waypoint.intersection
                assert 30.0 <= angle <= 150.0
            else:
                assert angle <= 40.0


def test_a_turn_is_told_apart_by_compass_and_by_side(world: CityWorld) -> None:
    def compass(heading: float) -> int:
        return round(heading / 45.0) % 8

    def side(off: float) -> str:
        if abs(off) > 45.0:
            return "right" if off > 0 else "left"
        return "slightly right" if off > 0 else "slightly left"

    for route in deals(world, 200):
        for waypoint in route.waypoints:
            if waypoint.kind is not WaypointKind.turn:
                continue
            assert waypoint.arrival is not None
            others = [h for h in world.exits(waypoint.node).values() if h != waypoint.heading]
            assert compass(waypoint.heading) not in map(compass, others)
            forward = [h for h in others if abs(turn(waypoint.arrival + 180.0, h)) > 1e-6]
            said = side(turn(waypoint.arrival, waypoint.heading))
            ahead = [
                side(turn(waypoint.arrival, h))
                for h in forward
                if abs(turn(waypoint.arrival, h)) < 135.0
            ]
            assert said not in ahead


def test_turns_and_goals_name_a_landmark_that_is_clearly_seen_there(world: CityWorld) -> None:
    city = world.city
    clear = {
        (int(node), city.landmark_names[mark]): float(bearing)
        for node, mark, bearing, is_clear in zip(
            city.sight_node, city.sight_landmark, city.sight_bearing, city.sight_clear, strict=True
        )
        if is_clear
    }
    for route in deals(world, 200):
        assert route.waypoints[-1].sight is not None
        assert route.destination == route.waypoints[-1].sight.name
        for waypoint in route.waypoints:
            if waypoint.kind in (WaypointKind.turn, WaypointKind.goal):
                assert waypoint.sight is not None
                assert clear[waypoint.node, waypoint.sight.name] == waypoint.sight.bearing
                assert waypoint.sight in world.sights(waypoint.node)
            else:
                assert waypoint.sight is None


def test_the_landmark_of_a_leg_is_not_seen_where_one_might_stop_too_early(
    world: CityWorld,
) -> None:
    for route in deals(world, 200):
        passed: list[int] = []
        for waypoint in route.waypoints:
            if waypoint.sight is not None:
                seen = [sight.name for node in passed for sight in world.sights(node)]
                assert waypoint.sight.name not in seen
                passed = []
            if waypoint.kind is not WaypointKind.start and waypoint.intersection:
                passed.append(waypoint.node)


def test_the_agent_never_starts_along_or_against_its_way(world: CityWorld) -> None:
    for route in deals(world, 200):
        off = abs(turn(route.waypoints[0].heading, route.init_heading))
        assert 9.0 <= off <= 171.0
        assert route.init_heading == int(route.init_heading)


def test_splits_share_no_route_and_none_walked_backwards(world: CityWorld) -> None:
    train, held_out = world.pool("train"), world.pool("eval")
    assert not set(train.ids()) & set(held_out.ids())
    assert len(train) > 5_000
    book = world.routes
    ways = {
        pool: {book.junctions(walk.stretches) for walk in pool.walks()}
        for pool in (train, held_out)
    }
    assert not {way[::-1] for way in ways[train]} & ways[held_out]
    assert len(ways[train]) == len(train)
    everything = world.pool("all").walks()
    share = np.mean([book.is_held_out(book.junctions(walk.stretches)) for walk in everything])
    assert 0.45 < share < 0.55


def test_the_same_generator_state_gives_the_same_route_in_another_process() -> None:
    world = world_of("mixed")
    program = (
        "import numpy as np\n"
        "from cardinal_gym.envs.street_nav.city.world import CityWorld\n"
        "world = CityWorld({'seed': 0})\n"
        "rng = np.random.default_rng(7)\n"
        "print([world.deal(rng, 'train').id for _ in range(5)], world.key)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    ids = [route.id for route in deals(world, 5)]
    assert done.stdout.strip() == f"{ids} {world.key}", done.stderr


def test_drop_rate_thins_out_passing_points_only() -> None:
    def passing(world: CityWorld) -> list[int]:
        kinds = [[w.kind for w in route.waypoints] for route in deals(world, 50)]
        return [row.count(WaypointKind.passing) for row in kinds]

    none = world_of("mixed", drop_rate=1, max_crossings=0, max_turns=3)
    whole = world_of("mixed", drop_rate=0, max_crossings=0, max_turns=3)
    assert np.mean(passing(none)) < 1  # where streets bend
    assert np.mean(passing(whole)) > 3
    assert {
        w.intersection
        for route in deals(none, 50)
        for w in route.waypoints
        if w.kind is WaypointKind.passing
    } <= {False}


def test_an_unknown_split_and_impossible_turns_are_refused() -> None:
    with pytest.raises(ValueError, match="split must be one of train, eval, all; got 'test'"):
        world_of("mixed").deal(np.random.default_rng(0), "test")
    long = CityWorld(
        {"num_blocks": 4, "seed": 1, "num_landmarks": 5},
        routes={"min_turns": 20, "max_turns": 20},
    )
    with pytest.raises(ValueError, match="min_turns and max_turns must fit the city"):
        long.deal(np.random.default_rng(0), "train")


def test_threads_share_a_world() -> None:
    world = CityWorld({"seed": 0}, routes={"max_turns": 3})
    found: list[list[str]] = [[] for _ in range(4)]

    def walk(index: int) -> None:
        rng = np.random.default_rng(3)
        found[index] = [world.deal(rng, "eval").id for _ in range(200)]

    threads = [threading.Thread(target=walk, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(row == found[0] for row in found)


def test_text_needs_nothing_that_draws() -> None:
    program = (
        "import sys, numpy as np\n"
        "from cardinal_gym.envs.street_nav.city.world import CityWorld\n"
        "CityWorld({'seed': 0}).deal(np.random.default_rng(0), 'train')\n"
        "print([name for name in ('numba', 'cv2', 'PIL', 'torch') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_network_is_the_contraction_of_the_street_graph(layout: str) -> None:
    city = city_of(layout)
    network = StreetNetwork(city)
    junctions = [node for node in range(city.num_nodes) if city.node_arms[node] >= 3]
    assert sorted(network.leaving) == junctions
    assert all(len(network.leaving[node]) == city.node_arms[node] for node in junctions)
    for index, stretch in enumerate(network.stretches):
        assert network.stretches[index ^ 1].nodes == stretch.nodes[::-1]
        assert stretch.smooth
    walked = {
        frozenset(pair)
        for stretch in network.stretches
        for pair in zip(stretch.nodes, stretch.nodes[1:], strict=False)
    }
    assert walked == {frozenset(pair) for pair in city.edge_nodes.tolist()}
