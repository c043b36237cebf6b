"""Beginning at a later place equals having walked there; percepts are what the words say."""

import pytest
from cardinal_gym.envs.general_points.cards import RANKS
from cardinal_gym.envs.street_nav.env import StreetNavEnv
from cardinal_gym.training.demonstrations import bare_env
from toys import experiment
from walks import PAIRS, differ, open_walk, seeds_of, shown, told, walked

SIDES = (
    "front", "right front", "right", "right behind", "behind", "left behind", "left", "left front",
)  # fmt: skip


@pytest.mark.parametrize("history", [None, 0, 4])
def test_the_text_at_a_later_place_is_that_of_having_walked_there(history: int | None) -> None:
    config = told().env.shifted(history=history)
    env, walker = open_walk(config), open_walk(config)
    for seed in range(20):
        _, info = env.reset(seed=seed)
        for place in range(info["num_places"]):
            observed, told_info = env.reset(seed=seed, options={"place": place})
            assert observed["text"] == observed["update"] == walked(walker, seed, place)["text"]
            assert told_info == info
            assert env.percepts() == walker.percepts()
            assert env.oracle_action() == walker.oracle_action()


def test_the_picture_at_a_later_place_is_that_of_having_walked_there() -> None:
    """With the pictures of the places before beside it, where several are shown."""
    for frames in (1, 3):
        config = shown().env.shifted(views={"frames": frames})
        env, walker = open_walk(config), open_walk(config)
        (seed,) = seeds_of(config, num_places=3, count=1)
        pictures = []
        for place in range(3):
            observed, _ = env.reset(seed=seed, options={"place": place})
            assert observed["image"].tobytes() == walked(walker, seed, place)["image"].tobytes()
            pictures.append(observed["image"])
        assert differ(pictures)


def test_turns_attempts_and_rewards_count_from_the_place_where_one_begins() -> None:
    config = told().env.shifted(reward="binary", max_turns=3, attempts=2)
    env = open_walk(config)
    (seed,) = seeds_of(config, num_places=6, count=1)
    env.reset(seed=seed, options={"place": 3})
    assert env.num_answers == 0
    wrong = env.flawed_action()
    assert wrong is not None  # both attempts are still there
    env.reset(seed=seed, options={"place": 3})
    for turn in (1, 2, 3):
        _, reward, terminated, truncated, info = env.step(env.oracle_action())
        assert (reward, info["turn"], info["place"]) == (1.0, turn, turn + 2)
    assert terminated
    assert not truncated
    assert info["accuracy"] == 1.0
    assert info["episode_return"] == pytest.approx(3 / 6)  # a mean over the route's six places
    env.reset(seed=seed)
    for _ in range(3):
        *_, truncated, info = env.step(env.oracle_action())
    assert truncated
    assert info["progress"] == pytest.approx(3 / 6)


@pytest.mark.parametrize("place", [-1, 99, 1.0, "1", True, None])
def test_a_place_that_is_none_is_told_in_one_line(place: object) -> None:
    env = open_walk(told().env)
    last = env.reset(seed=0)[1]["num_places"] - 1
    message = rf"^options\['place'\] must be 0 to {last} on this route; got {place!r}$"
    with pytest.raises(ValueError, match=message):
        env.reset(seed=0, options={"place": place})


def test_in_free_movement_a_walk_begins_at_its_start() -> None:
    env = open_walk(told().env.shifted(mode="free"))
    env.reset(seed=0, options={"place": 0})
    with pytest.raises(ValueError, match=r"must be 0 to 0 on this route; got 1$"):
        env.reset(seed=0, options={"place": 1})


def read(text: str) -> tuple[int, int]:
    """The percepts that the words of an observation with wording `both` stand for."""
    words = text.split(" now ")[1]
    side = next((s for s in sorted(SIDES, key=len, reverse=True) if f" {s}" in words), None)
    return int(words.endswith("intersection")), 0 if side is None else 1 + SIDES.index(side)


def test_percepts_are_what_the_same_walk_in_words_says() -> None:
    """One seed is one route in words and in pictures; every place of it is compared."""
    seen, said = open_walk(shown().env), open_walk(shown().env.shifted(modality="text"))
    found = set()
    for seed in range(60):
        observed, info = said.reset(seed=seed)
        for place in range(info["num_places"]):
            if place:
                observed, *_ = said.step(said.oracle_action())
            if seed < 5:  # drawing is what takes time
                assert seen.reset(seed=seed, options={"place": place})[1] == info
                assert seen.percepts() == said.percepts()
            assert said.percepts() == read(observed["text"])
            found.add(said.percepts())
    assert seen.percept_sizes == said.percept_sizes == (2, 9)
    assert len({landmark for _, landmark in found}) > 5
    assert {crossing for crossing, _ in found} == {0, 1}


def test_percepts_are_of_the_place_and_not_of_how_it_is_spoken_of() -> None:
    def asked(rule: str, wording: str) -> list[tuple[int, ...]]:
        env = open_walk(told().env.shifted(rule=rule, wording=wording))
        found = []
        for seed in range(3):
            _, info = env.reset(seed=seed)
            for place in range(info["num_places"]):
                env.reset(seed=seed, options={"place": place})
                found.append(env.percepts())
        return found

    expected = asked(*PAIRS[0])
    assert all(asked(*pair) == expected for pair in PAIRS[1:])


def test_percepts_of_cards_are_their_ranks() -> None:
    for count in (3, 4):
        env = bare_env(experiment("env=gp_image", f"env.num_cards={count}").env)
        assert env.percept_sizes == (13,) * count
        for seed in range(6):
            _, info = env.reset(seed=seed)
            assert [RANKS[k] for k in env.percepts()] == list(info["ranks"])


def test_before_the_first_reset_nothing_is_perceived() -> None:
    with pytest.raises(ValueError, match="call reset"):
        StreetNavEnv().percepts()
    with pytest.raises(ValueError, match="call reset"):
        bare_env(experiment("env=gp_image").env).percepts()
