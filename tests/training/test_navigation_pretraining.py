"""Broad walks: every allowed pair of rule and wording, in cities that nothing else walks in."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cardinal_gym.agents.rows import Row
from cardinal_gym.envs.core import LanguageEnv
from cardinal_gym.envs.general_points.cards import RANKS
from cardinal_gym.training import broad_streets
from cardinal_gym.training.broad_streets import BroadEpisodes, BroadWalks, Walk, broad_walks
from cardinal_gym.training.config import (
    ExperimentConfig,
    PretrainConfig,
    StreetsPretrainConfig,
)
from cardinal_gym.training.demonstrations import Conversation, bare_env, oracle_conversation
from cardinal_gym.training.pretraining import _digest, _recipe, broad_tasks
from cardinal_gym.training.sampler import task_seed
from cardinal_gym.training.vision_warmup import _Pictures
from toys import experiment
from walks import PAIRS, open_walk, shown, streets_policy, told, walked

TWO = "pretrain.streets.num_cities=2"
ONE = "pretrain.streets.num_cities=1", "pretrain.streets.looks=[]"


def episodes(config: ExperimentConfig, seed: int = 0) -> BroadEpisodes:
    assert config.pretrain is not None
    return BroadEpisodes(config.env, config.pretrain, seed=seed)


def dealt(
    config: ExperimentConfig, count: int, monkeypatch: pytest.MonkeyPatch
) -> list[tuple[str, str, int]]:
    """Rule, wording and city of the first walks."""
    seen: list[tuple[str, str, int]] = []

    def noted(env: LanguageEnv, *args: Any) -> Conversation:
        own = env.config
        seen.append((own.rule.value, own.wording.value, own.city.seed))
        assert own.split.value == "all"
        return oracle_conversation(env, *args)

    monkeypatch.setattr(broad_streets, "oracle_conversation", noted)
    source = episodes(config)
    for index in range(count):
        source.conversation(index)
    return seen


def test_every_pair_of_rule_and_wording_is_dealt_about_equally(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = dealt(told(TWO), 360, monkeypatch)
    for pair in PAIRS:
        assert 12 <= sum(each[:2] == pair for each in seen) <= 52
    assert {city for *_, city in seen} == {1000, 1001}


def test_withheld_pairs_are_never_dealt(monkeypatch: pytest.MonkeyPatch) -> None:
    withheld = [("relative", "matching"), ("relative", "other"), ("clock", "both")]
    names = ",".join("/".join(pair) for pair in withheld)
    seen = dealt(told(TWO, f"pretrain.streets.withheld=[{names}]"), 300, monkeypatch)
    assert {each[:2] for each in seen} == set(PAIRS) - set(withheld)


def test_what_is_said_is_of_the_pair() -> None:
    """With `relative/both` withheld no compass name stands beside `left` and `right`."""
    pairs = "pretrain.streets.rules=[relative]", "pretrain.streets.wordings=[both,matching]"
    source = episodes(told(TWO, *pairs, "pretrain.streets.withheld=[relative/both]"))
    for index in range(30):
        text = source.conversation(index).observations[0].text
        assert text.startswith("rule relative 1 turn ")
        assert not {"north", "east", "south", "west"} & set(text.split(" until ")[0].split())


def walks_from(first: int, own: int) -> list[Walk]:
    """Of four cities from seed `first` on, in an experiment in city `own`."""
    streets = StreetsPretrainConfig(first_city_seed=first)
    return broad_walks(told().env.shifted(city={"seed": own}), PretrainConfig(streets=streets))


def test_the_experiments_own_city_is_refused_in_one_line() -> None:
    for first, own in ((0, 0), (1, 3), (2, 5)):
        message = (
            "^pretrain.streets.first_city_seed must leave out the experiment's own city "
            f"{own}; got {first} with 4 cities$"
        )
        with pytest.raises(ValueError, match=message):
            walks_from(first, own)
    assert {walk.city_seed for walk in walks_from(1, 5)} == {1, 2, 3, 4}


def test_pairs_and_looks_that_do_not_exist_are_refused() -> None:
    for fields, said in (
        ({"withheld": ["relative/loud"]}, "withheld must be among absolute/both, .*; got relative"),
        ({"rules": ["left"]}, "rules must be among absolute, .*; got left"),
        ({"wordings": []}, "wordings must be among both, .*; got none"),
        ({"looks": ["ugly"]}, "looks must be among harbor, .*; got ugly"),
        ({"rules": ["clock"], "withheld": [f"clock/{w}" for w in ("both", "matching", "other")]},
         "withheld must leave a pair of rules and wordings over"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=said):
            StreetsPretrainConfig(**fields)


def test_no_route_of_the_base_is_one_of_training_or_evaluation() -> None:
    config = told(TWO)
    walks = episodes(config)
    base = {walks.conversation(index).task_id for index in range(200)}
    assert len(base) > 50
    own = {
        open_walk(config.env.shifted(split=split)).reset(seed=seed)[1]["task_id"]
        for split in ("train", "eval")
        for seed in range(40)
    }
    assert len(own) > 20
    assert not base & own
    assert not {route.split("/")[0] for route in base} & {route.split("/")[0] for route in own}


def test_of_an_experiment_with_real_data_the_base_sees_nothing(tmp_path: Path) -> None:
    """It walks in procedural cities all the same, and opens no data."""
    config = told(TWO)
    assert config.pretrain is not None
    real = config.env.shifted(data_dir=str(tmp_path / "missing"))
    assert real.world.value == "virl"
    one = BroadEpisodes(real, config.pretrain, seed=0).conversation(0)
    assert one == episodes(config).conversation(0)


def test_a_walk_depends_on_seed_stream_and_index_alone() -> None:
    config = told(TWO)
    one, two = episodes(config), episodes(config)
    backwards = [two.conversation(index) for index in reversed(range(12))]
    assert [one.conversation(index) for index in range(12)] == backwards[::-1]
    assert one.conversation(3) != episodes(config, seed=1).conversation(3)


def test_with_a_map_the_base_knows_the_same_walks_with_it_and_without() -> None:
    config = told(TWO)
    assert config.pretrain is not None
    tools = {"map": {"budget": 2, "oracle_share": 1.0}}
    mapped = BroadEpisodes(config.env.shifted(tools=tools), config.pretrain, seed=0)
    plain = episodes(config)
    calls = []
    for index in range(40):
        one, two = mapped.conversation(index), plain.conversation(index)
        assert one.task_id == two.task_id
        calls.append(sum("map" in answer for answer in one.answers))
        offered = one.observations[0].text.split(" maps ")[1:]
        assert [text.split()[0] for text in offered] == ([str(calls[-1])] if calls[-1] else [])
    assert set(calls) == {0, 1, 2}


def test_of_a_foggy_experiment_the_base_walks_half_in_clear_air() -> None:
    config = told(TWO)
    assert config.pretrain is not None
    foggy = BroadEpisodes(config.env.shifted(fog=True), config.pretrain, seed=0)
    plain = episodes(config)
    clear = 0
    for index in range(60):
        one, two = foggy.conversation(index), plain.conversation(index)
        assert one.task_id == two.task_id
        clear += one == two
        assert one == two or all(seen.text.endswith("nothing") for seen in one.observations[:1])
    assert 18 <= clear <= 42


@pytest.mark.parametrize("setting", ["env.fog=true", "env.tools.map.budget=1"])
def test_a_base_in_fog_or_with_a_map_is_another(setting: str) -> None:
    assert _digest(_recipe(told(TWO), 0)) != _digest(_recipe(told(TWO, setting), 0))
    assert "fog" not in _recipe(told(TWO), 0)["env"]  # those of before keep their names


def digest(rows: list[Row]) -> str:
    text = json.dumps([(row.ids, row.mask, len(row.images)) for row in rows])
    return hashlib.sha256(text.encode()).hexdigest()


def rows_digest() -> str:
    """Of the first broad rows; also called by itself, in another process."""
    config = told(TWO)
    assert config.pretrain is not None
    tasks = broad_tasks(streets_policy(), config.env, config.pretrain, seed=5)
    assert isinstance(tasks, BroadWalks)
    return digest(tasks.rows(range(24)))


@pytest.mark.slow
def test_the_same_seed_gives_the_same_rows_in_another_process() -> None:
    """Slow for its second start of Python alone."""
    code = "import test_navigation_pretraining as t; print(t.rows_digest())"
    here = Path(__file__).parent
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=here, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == rows_digest()


@pytest.mark.parametrize(
    ("override", "is_another"),
    [
        ("env.rule=relative", False),  # the base walks under every rule and wording
        ("env.wording=matching", False),
        ("grpo.discount=0.9", False),
        ("env.city.seed=3", True),
        ("env.routes.max_turns=4", True),
        ("pretrain.streets.withheld=[relative/both]", True),
        ("pretrain.streets.num_cities=3", True),
    ],
)
def test_what_shapes_a_base_of_walks_names_its_place_in_the_cache(
    override: str, is_another: bool
) -> None:
    places = [_digest(_recipe(told("policy.device=cpu", *more), 0)) for more in ((), (override,))]
    assert (places[0] != places[1]) is is_another


def test_the_vision_warm_up_asks_what_its_pictures_show() -> None:
    """Of one index always the same picture, with an answer to every question."""
    config = shown(*ONE)
    assert config.pretrain is not None
    pictures = _Pictures(config.env, config.pretrain, seed=0)
    again = _Pictures(config.env, config.pretrain, seed=0)
    assert pictures.sizes == (2, 9)
    answers = []
    for index in range(10):
        picture, asked = pictures[index]
        same, as_before = again[index]
        assert asked == as_before
        assert picture.tobytes() == same.tobytes()
        assert picture.shape == config.env.views.shape
        assert all(0 <= answer < size for answer, size in zip(asked, pictures.sizes, strict=True))
        answers.append(asked)
    assert len(set(answers)) > 3


def test_card_pictures_are_still_those_of_the_training_split() -> None:
    config = experiment("env=gp_image", "env.split=all")
    assert config.pretrain is not None
    pictures = _Pictures(config.env, config.pretrain, seed=0)
    train = bare_env(config.env.shifted(split="train"))
    for index in range(5):
        observed, info = train.reset(seed=task_seed(0, "vision", index))
        picture, asked = pictures[index]
        assert picture.tobytes() == observed["image"].tobytes()
        assert [RANKS[answer] for answer in asked] == list(info["ranks"])
    assert pictures.sizes == (13,) * 4


def test_a_base_is_shown_the_looks_that_are_named() -> None:
    config = shown("pretrain.streets.num_cities=3", "pretrain.streets.looks=[desert,maple]")
    assert config.pretrain is not None
    walks = broad_walks(config.env, config.pretrain)
    assert {(walk.city_seed, walk.look) for walk in walks} == {
        (1000, "desert"), (1001, "maple"), (1002, "desert")
    }  # fmt: skip
    config = shown("pretrain.streets.looks=[]")
    assert config.pretrain is not None
    assert {walk.look for walk in broad_walks(config.env, config.pretrain)} == {"harbor"}


def test_a_picture_is_that_of_the_place_it_is_asked_about() -> None:
    """The pictures of the warm-up are those that an agent meets on its way."""
    config = shown(*ONE)
    assert config.pretrain is not None
    picture, asked = _Pictures(config.env, config.pretrain, seed=3)[0]
    env = open_walk(config.env.shifted(city={"seed": 1000}, split="all"))
    seed = task_seed(3, "vision", 0)
    _, info = env.reset(seed=seed)
    met = []
    for place in range(info["num_places"]):
        observed = walked(env, seed, place)
        if np.array_equal(observed["image"], picture):
            met.append(env.percepts())
    assert met == [asked]
