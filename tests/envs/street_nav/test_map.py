"""The map tells what a map tells; asking for it takes neither a turn nor an attempt."""

from typing import Any

import numpy as np
import pytest
from cardinal_gym.agents.config import Vocabulary
from cardinal_gym.agents.tokenizer import UNK, build_tokenizer
from cardinal_gym.envs.street_nav.env import StreetNavEnv
from cardinal_gym.envs.street_nav.render.maps import ROUTE_COLOR
from cardinal_gym.envs.street_nav.sketch import sketch_around
from cardinal_gym.envs.street_nav.surroundings import Spot, nodes_within, surroundings
from cardinal_gym.training.demonstrations import oracle_conversation
from grid_world import BLOCK, STEP_M, GridWorld

ASK = '{"map": "here"}'
WORLD = GridWorld()
SMALL = {"num_blocks": 4, "num_landmarks": 60}
SIDE = 5 * BLOCK + 1  # nodes of a row
CROSSING = BLOCK * SIDE + BLOCK  # the second of the second street


def walking(budget: int = 2, **settings: Any) -> StreetNavEnv:
    tool = {name: settings.pop(name) for name in ("cost", "oracle_share", "reach_m")
            if name in settings}  # fmt: skip
    tools = {"map": {"budget": budget, **tool}}
    return StreetNavEnv(streets=WORLD, split="all", tools=tools, **settings)


def test_the_surroundings_of_a_place() -> None:
    """One step south of a crossing, looking east: the crossing is north, its landmark there."""
    found = surroundings(WORLD, CROSSING - 1, 90, reach_m=BLOCK * STEP_M + 1)
    assert (found.heading, found.ways) == ("east", ("north", "south"))
    assert found.intersections[0] == Spot("", 12, "north")
    assert found.landmarks[0] == Spot(WORLD.name_at(CROSSING), 12, "north")
    assert {spot.direction for spot in found.intersections} == {"north", "south"}
    assert surroundings(WORLD, CROSSING, 0, 60.0).landmarks[0].direction == "here"


def test_the_map_reaches_as_far_as_it_is_told() -> None:
    for reach in (11.0, 30.0, 90.0):
        near = nodes_within(WORLD, CROSSING, reach)
        distances = [np.hypot(*np.subtract(WORLD.position(n), WORLD.position(CROSSING)))
                     for n in near]  # fmt: skip
        assert near[0] == CROSSING
        assert max(distances) <= reach
    assert nodes_within(WORLD, CROSSING, 11.0) == [CROSSING]


@pytest.mark.parametrize("prompt", ["study", "compact"])
@pytest.mark.parametrize("mode", ["rail", "free"])
def test_asking_takes_no_turn_and_the_map_stays_until_one_moves(prompt: str, mode: str) -> None:
    env = walking(prompt=prompt, mode=mode, oracle_share=0.0)
    before = env.reset(seed=1)[0]["text"]
    observation, reward, terminated, truncated, info = env.step(ASK)
    assert (reward, terminated, truncated) == (0.0, False, False)
    assert (info["outcome"], info["tool"], info["turn"], info["tool_calls"]) == (
        "called", "map", 0, 1,
    )  # fmt: skip
    told = env._asked.told
    assert told is not None
    assert told in observation["update"]
    assert observation["text"].startswith(before)
    assert told in observation["text"]
    assert told in env.step("nothing")[0]["text"]  # a wrong answer leaves the agent where it is
    while env._asked.told is not None:
        observation, *_ = env.step(env.oracle_action())
    assert told not in observation["text"]


def test_the_map_says_the_same_whatever_the_route_asks_for() -> None:
    """Two routes over one place: what is told depends on the place and where one looks alone."""
    told: dict[tuple[int, int], set[str]] = {}
    routes: dict[tuple[int, int], set[str]] = {}
    env = walking(budget=100, oracle_share=0.0)
    for seed in range(30):
        env.reset(seed=seed)
        over = False
        while not over:
            scene = env.walk.scene
            env.step(ASK)
            told.setdefault((scene.node, scene.facing), set()).add(str(env._asked.told))
            routes.setdefault((scene.node, scene.facing), set()).add(env.walk.right_action())
            over = env.step(env.oracle_action())[2]
    assert max(len(actions) for actions in routes.values()) > 1
    assert all(len(texts) == 1 for texts in told.values())


def test_calls_that_ask_nothing_and_calls_beyond_the_budget() -> None:
    env = walking(budget=1, attempts=2, cost=0.5)
    env.reset(seed=0)
    observation, reward, *_, info = env.step('{"map": "there"}')
    assert (reward, info["outcome"], info["tool_errors"]) == (-0.5, "tool_error", 1)
    assert 'only be asked about "here"' in observation["update"]
    *_, truncated, info = env.step(ASK)
    assert (info["outcome"], info["turn"], truncated) == ("over_budget", 1, False)
    *_, truncated, info = env.step(ASK)  # the second attempt at this place
    assert truncated
    assert (info["tool_calls"], info["tool_errors"]) == (1, 3)


@pytest.mark.parametrize("kind", ["mean", "sum", "discounted"])
def test_what_calls_cost_is_in_the_return(kind: str) -> None:
    settings = {"episode_return": kind, "discount": 1.0, "reward": "binary"}
    free, paid = (walking(cost=cost, oracle_share=1.0, **settings) for cost in (0.0, 0.25))
    returns = []
    for env in (free, paid):
        env.reset(seed=2)
        over = False
        while not over:
            *_, over, _, info = env.step(env.oracle_action())
        assert info["success"]
        assert info["accuracy"] == 1.0  # calls are no answers
        assert info["tool_calls"] == 2
        returns.append(info["episode_return"])
    places = len(env.route.waypoints) if kind == "mean" else 1
    assert returns[0] - returns[1] == pytest.approx(0.5 / places)


def test_in_pictures_the_map_is_on_the_right_and_no_text_names_anything() -> None:
    env, plain = walking(modality="image", views={"size": 28}), StreetNavEnv(
        streets=WORLD, split="all", modality="image", views={"size": 28}
    )  # fmt: skip
    first, without = env.reset(seed=0)[0], plain.reset(seed=0)[0]
    width = without["image"].shape[1]
    assert env.observation_space["image"].shape == first["image"].shape
    assert np.array_equal(first["image"][:, :width], without["image"])
    assert not first["image"][:, width:].any()
    asked = env.step(ASK)[0]
    assert np.array_equal(asked["image"][:, :width], without["image"])
    assert asked["image"][:, width + 5 :].any()
    assert "Cafe" not in asked["update"]
    assert asked["update"].startswith("The map is in the picture, on the right.")
    env.step(env._walk.answer(env._walk.right_action()))
    assert not env.step("nothing")[0]["image"][:, width:].any()


def test_a_plain_map_has_streets_and_no_route() -> None:
    """The same place on two routes gives the same pixels; another place gives others."""
    here, there = (sketch_around(WORLD, node, 0, 60.0, 64) for node in (CROSSING, CROSSING + 2))
    assert here.shape == (64, 64, 3)
    assert not np.array_equal(here, there)
    env = walking(modality="image", views={"size": 28})
    env.reset(seed=0)
    scene = env.walk.scene
    drawn = env._pictures().around(env.walk, 64, 60.0)
    assert np.array_equal(drawn, sketch_around(WORLD, scene.node, scene.facing, 60.0, 64))


def test_the_map_of_a_city_shows_the_place_and_not_the_route() -> None:
    """The pixels are those of the city's map around the place, walker and all."""
    env = StreetNavEnv(city=SMALL, tools={"map": {"budget": 1}})
    env.reset(seed=0)
    presenter, scene = env._pictures(), env.walk.scene
    drawn = presenter.around(env.walk, 96, 60.0)
    city_map = presenter._map
    assert city_map is not None
    around = city_map.around(env.world.position(scene.node), scene.facing, 96, 120.0)
    assert np.array_equal(drawn, around)
    with_route = city_map.route([waypoint.node for waypoint in env.route.waypoints], 96)
    assert not (drawn == ROUTE_COLOR).all(axis=-1).any()
    assert (with_route == ROUTE_COLOR).all(axis=-1).any()


def test_demonstrations_hold_the_oracles_calls_at_its_places() -> None:
    env = walking(budget=3, oracle_share=1.0)
    conversation = oracle_conversation(env, 4, 2)
    asked = [answer == ASK for answer in conversation.answers]
    assert sum(asked) == 3
    assert sum(not right for right in conversation.imitated) == 2
    assert all(right for call, right in zip(asked, conversation.imitated, strict=True) if call)
    assert len(conversation.answers) == len(env.route.waypoints) + 3 + 2


@pytest.mark.parametrize("prompt", ["study", "compact"])
@pytest.mark.parametrize("mode", ["rail", "free"])
def test_in_fog_only_the_map_tells_of_a_place(prompt: str, mode: str) -> None:
    """Walks are the same, as is their description; the oracle earns what it earns in clear air."""
    fields = {"prompt": prompt, "mode": mode, "wording": "other", "oracle_share": 0.0}
    clear, foggy = walking(**fields), walking(fog=True, **fields)
    said = "nothing" if prompt == "compact" else "Nothing can be seen in the fog"
    texts = [env.reset(seed=3)[0]["text"] for env in (clear, foggy)]
    opening = texts[1].removesuffix(said)
    assert texts[0].startswith(opening)
    assert "heading" in texts[0].removeprefix(opening)
    assert str(foggy.step(ASK)[0]["update"]).casefold().startswith("map")
    over = False
    while not over:
        *_, over, _, info = foggy.step(foggy.oracle_action())
        *_, done, _, told = clear.step(clear.oracle_action())
        assert over == done
        assert foggy._walk.shown == said
        assert info["recognized"] == told["recognized"]
    assert info["success"]
    assert info["episode_return"] == told["episode_return"]


def test_in_fog_the_same_words_stand_before_a_turn_and_on_the_way_and_the_map_tells_which() -> None:
    """So asking pays: where it names the landmark of the description as here, a leg ends."""
    env = walking(fog=True, prompt="compact", oracle_share=0.0, budget=100, reach_m=10)
    seen: dict[bool, set[str]] = {True: set(), False: set()}
    for seed in range(10):
        env.reset(seed=seed)
        env.step(env.oracle_action())  # of the first turn the description alone tells
        while (action := env.walk.right_action()) != "stop()":  # this world's goals have no sign
            ends = [each.sight for each in env.route.waypoints if each.kind.value != "passing"]
            names = [sight.name for sight in ends if sight is not None]
            seen[action == "forward()"].add(env._walk.shown)
            told = env.step(ASK)[0]["update"]
            assert any(f"{name} here" in told for name in names) == (action != "forward()")
            env.step(env.oracle_action())
    assert seen == {True: {"nothing"}, False: {"nothing"}}


def test_fog_is_of_words() -> None:
    for value, modality in (("no", "text"), (True, "image")):
        with pytest.raises(ValueError, match="fog must be"):
            walking(fog=value, modality=modality)


def test_the_tiny_vocabulary_has_every_word() -> None:
    tokenizer = build_tokenizer(vocabulary=Vocabulary.street_tools)
    env = StreetNavEnv(
        city=SMALL,
        prompt="compact",
        tools={"map": {"budget": 3, "oracle_share": 1.0}},
    )
    texts = [env.reset(seed=0)[0]["text"]]
    for said in (ASK, '{"map": "x"}', ASK, ASK):
        texts += list(map(str, env.step(said)[0].values()))
    assert [text for text in texts if UNK in tokenizer.tokenize(text)] == []
    ids = tokenizer.encode(ASK, add_special_tokens=False)
    assert tokenizer.decode(ids) == ASK
    assert len(ids) == 3


def test_a_reach_must_make_sense() -> None:
    with pytest.raises(ValueError, match=r"tools\.map\.reach_m must be at least 10; got 2"):
        walking(reach_m=2)
