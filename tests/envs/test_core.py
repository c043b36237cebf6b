import cardinal_gym.envs  # noqa: F401  (registers the environments)
import gymnasium as gym
import pytest
from cardinal_gym.envs.core import FreeText
from gymnasium.vector import AsyncVectorEnv


def make() -> gym.Env:
    return gym.make("cardinal/GeneralPoints-v0", prompt="compact")


def test_free_text_holds_any_string_up_to_its_length() -> None:
    space = FreeText(3)
    assert "" in space
    assert "\n ♠" in space
    assert "four" not in space
    assert 3 not in space
    assert space == FreeText(3) != FreeText(4)
    with pytest.raises(ValueError, match="max_chars must be at least 1; got 0"):
        FreeText(0)


def test_free_text_samples_are_seeded_members() -> None:
    one, two = FreeText(8, seed=1), FreeText(8, seed=1)
    drawn = [one.sample() for _ in range(20)]
    assert drawn == [two.sample() for _ in range(20)]
    assert all(text in one for text in drawn)
    assert one.from_jsonable(one.to_jsonable(drawn)) == drawn


def test_a_step_needs_a_reset_and_a_string() -> None:
    env = make().unwrapped
    with pytest.raises(ValueError, match="call reset"):
        env.step("x")
    with pytest.raises(ValueError, match="there is no task yet"):
        env.oracle_action()
    env.reset(seed=0)
    with pytest.raises(ValueError, match="action must be a string; got int"):
        env.step(24)
    env = gym.make("cardinal/GeneralPoints-v0", max_answer_chars=5).unwrapped
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"action must be in FreeText\(5\); got 6 characters"):
        env.step("123456")


def test_environments_in_processes_give_the_same_text_as_one_alone() -> None:
    vector = AsyncVectorEnv([make, make], shared_memory=False)
    try:
        observations, _ = vector.reset(seed=[4, 5])
        assert list(observations["text"]) == [make().reset(seed=s)[0]["text"] for s in (4, 5)]
        later, *_ = vector.step(("no", '{"formula": "1+1"}'))
        assert later["update"] == ("wrong", "wrong")
        assert later["text"][1].endswith("last 1 + 1 wrong")
    finally:
        vector.close()
