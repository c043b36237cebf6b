"""Whole episodes with a server: what it is shown, how many at once, and that none is lost."""

import base64
import io
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from cardinal_gym.agents.api.agent import ApiAgent
from cardinal_gym.agents.api.client import ApiClient, ServerError
from cardinal_gym.agents.api.config import ApiConfig
from cardinal_gym.agents.chat import encode_next
from cardinal_gym.agents.config import SamplingConfig
from cardinal_gym.agents.messages import conversation, data_url
from cardinal_gym.agents.policy import Policy
from cardinal_gym.agents.rollout import rollout
from cardinal_gym.agents.types import ContextMode, Episode, Reply, Request, Status, Turn
from cardinal_gym.envs.core import Observation
from fault_server import Body, Say, Server, serving
from PIL import Image
from tinies import tiny
from toy import GuessEnv, picture

SEEDS = list(range(12))
FAST = {"backoff_s": 0.001, "timeout_s": 5.0, "max_retries": 3}


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


class Changing(GuessEnv):
    """Another picture at the second turn, and the same again at the third."""

    def _observe(self, verdict: Any) -> Observation:
        if self.num_answers == 1:
            self.image = picture(self.secret)
        return super()._observe(verdict)


def player(body: Body, number: int = 0) -> Say:
    """Guesses by the seed of the draw alone, whoever asks when."""
    return Say(str(1 + body["seed"] % 10), usage=(len(body["messages"]), 3))


def play(
    server: Server | str, make_env: Callable[[], gym.Env[Any, Any]] = GuessEnv,
    context: ContextMode = ContextMode.concat, seeds: list[int] = SEEDS,
    sampling: SamplingConfig | None = None, **settings: Any,
) -> list[Episode]:  # fmt: skip
    url = server if isinstance(server, str) else server.url
    with closing(ApiClient(url, "judge-1", ApiConfig(**{**FAST, **settings}))) as client:
        agent = ApiAgent(client, sampling or SamplingConfig(), context=context, context_turns=2)
        return rollout(make_env, agent, seeds)


def texts(episodes: list[Episode]) -> list[list[str]]:
    return [[turn.completion.text for turn in episode.turns] for episode in episodes]


def shown(body: Body) -> list[tuple[str, str, np.ndarray | None]]:
    """(role, text, picture) of every message that a server got."""
    messages = []
    for message in body["messages"]:
        content, pixels = message["content"], None
        if isinstance(content, list):
            image, text = content
            head, _, data = image["image_url"]["url"].partition(",")
            assert head == "data:image/png;base64"
            pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data, validate=True))))
            content = text["text"]
        messages.append((message["role"], content, pixels))
    return messages


def test_pictures_arrive_to_the_pixel_and_once_where_they_stay_the_same() -> None:
    with serving(lambda *_: Say("none")) as server:
        (episode,) = play(server, lambda: Changing(with_image=True), seeds=[5])
    assert [len(body["messages"]) for body in server.bodies] == [1, 3, 5]
    said = shown(server.bodies[-1])
    assert [role for role, _, _ in said] == ["user", "assistant", "user", "assistant", "user"]
    first, second, third = (turn.observation for turn in episode.turns)
    assert [text for _, text, _ in said] == [first.text, "none", "wrong", "none", "wrong"]
    assert np.array_equal(said[0][2], first.image)
    assert np.array_equal(said[2][2], second.image)
    assert not np.array_equal(first.image, second.image)
    assert np.array_equal(second.image, third.image)
    assert said[4][2] is None


def test_every_pixel_value_survives() -> None:
    pixels = np.arange(256 * 3, dtype=np.uint8).reshape(16, 16, 3)
    data = base64.b64decode(data_url(pixels).partition(",")[2])
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), pixels)


@pytest.mark.parametrize(
    ("context", "lengths", "first_shown"),
    [
        (ContextMode.concat, [1, 3, 5], 0),
        (ContextMode.last_k, [1, 3, 3], 1),
        (ContextMode.single_turn, [1, 1, 1], 2),
    ],
)
def test_as_much_of_a_conversation_is_sent_as_is_chosen(
    context: ContextMode, lengths: list[int], first_shown: int
) -> None:
    with serving(lambda *_: Say("none")) as server:
        (episode,) = play(server, context=context, seeds=[5])
    assert [len(body["messages"]) for body in server.bodies] == lengths
    assert episode.context is context
    last = server.bodies[-1]["messages"]
    assert last[0]["content"] == episode.turns[first_shown].observation.text


@pytest.mark.parametrize("context", list(ContextMode))
def test_a_server_is_told_what_a_policy_reads(context: ContextMode, text_policy: Policy) -> None:
    """The ids of a policy's prompt are those of the same messages in its chat template."""
    policy = tiny(text_policy.family, context)
    policy.context_turns = 2
    with serving(lambda *_: Say("3")) as server:
        (episode,) = play(server, context=context, seeds=[1])
    assert len(episode.turns) == 3
    turns = []
    for turn in episode.turns:
        answer = policy.tokenizer.encode(turn.completion.text, add_special_tokens=False)
        prompt = encode_next(policy, turns, turn.observation)
        said = conversation(turns, turn.observation, context, 2)
        rendered = policy.tokenizer.apply_chat_template(
            [{"role": message.role, "content": message.text} for message in said],
            add_generation_prompt=True, tokenize=True, return_dict=False,
        )  # fmt: skip
        assert list(prompt.ids) == list(rendered)
        ids = (*answer, policy.end_ids[0])
        turns.append(_with_ids(turn, prompt.new_ids, ids))


def test_as_many_are_asked_at_once_as_is_allowed_and_no_more() -> None:
    full = threading.Barrier(3, timeout=5)  # passed only if three requests are there together

    def meet(body: Body, number: int) -> Say:
        if number < 3:
            full.wait()
        return player(body)

    with serving(meet) as server:
        play(server, concurrency=3)
        assert server.most_running == 3


def test_results_depend_neither_on_the_order_of_answers_nor_on_how_many_are_asked() -> None:
    with serving(player) as server:
        alone = play(server, concurrency=1)
    with serving(lambda body, n: player(body) if n % 3 else _late(player(body))) as server:
        together = play(server, concurrency=6)
    assert [episode.seed for episode in together] == SEEDS
    assert together == alone
    assert len({tuple(each) for each in texts(alone)}) > 6
    assert alone[0].num_sampled_tokens == 3 * len(alone[0].turns)


def _late(say: Say) -> Say:
    say.wait_s = 0.02
    return say


def test_members_of_a_group_and_turns_are_draws_of_their_own() -> None:
    with (
        serving(player) as server,
        closing(ApiClient(server.url, "judge-1", ApiConfig(**FAST))) as client,
    ):
        agent = ApiAgent(client, SamplingConfig(), context=ContextMode.single_turn)
        rollout(GuessEnv, agent, [7] * 4, groups=[0] * 4, members=range(4))
    seeds = [body["seed"] for body in server.bodies]
    assert len(set(seeds)) == len(seeds)


def test_a_server_that_dies_midway_and_returns_is_waited_for() -> None:
    with serving(player) as server:
        wanted = play(server)
    died = threading.Event()

    def mortal(body: Body, number: int) -> Say:
        if number >= 9:
            died.set()
            return Say(reset=True)
        return player(body)

    with serving(mortal) as server:
        url, port = server.url, server.server_address[1]
        found: list[list[Episode]] = []
        run = threading.Thread(
            target=lambda: found.append(play(url, max_retries=12, backoff_s=0.01, concurrency=4))
        )
        run.start()
        assert died.wait(5)
    with serving(player, port):
        run.join(20)
    assert found == [wanted]


def test_no_finished_episode_is_lost_when_the_server_is_gone(tmp_path: Path) -> None:
    """A repetition asks only for what had not been answered."""
    cache = str(tmp_path / "answers.sqlite")
    with serving(player) as server:
        wanted = play(server)
        needed = len(server.bodies)
    with serving(lambda body, n: player(body) if n < 20 else Say(reset=True)) as server:
        with pytest.raises(ServerError, match="same command with resume=true goes on"):
            play(server, cache=cache, max_retries=1, concurrency=4)
        port = server.server_address[1]
    with serving(player, port) as server:
        assert play(server, cache=cache, concurrency=4) == wanted
        assert len(server.bodies) == needed - 20


def test_a_full_context_ends_the_episode_and_not_the_run() -> None:
    full = Say(status=400, raw='{"error": {"code": "context_length_exceeded"}}')
    with serving(lambda body, _: full if len(body["messages"]) > 3 else Say("none")) as server:
        episodes = play(server, seeds=[1, 2])
        assert [episode.status for episode in episodes] == [Status.context_limit] * 2
        assert [len(episode.turns) for episode in episodes] == [2, 2]
    wanted = r"policy\.model must have room for the first prompt"
    with serving(lambda *_: full) as server, pytest.raises(ValueError, match=wanted):
        play(server, seeds=[1])


def test_answers_in_a_row_are_those_of_episodes_side_by_side() -> None:
    with (
        serving(player) as server,
        closing(ApiClient(server.url, "judge-1", ApiConfig(**FAST))) as client,
    ):
        agent = ApiAgent(client, SamplingConfig())
        assert agent.answers() == []
        streamed = rollout(GuessEnv, agent, SEEDS[:3])
        assert rollout(GuessEnv, InARow(agent), SEEDS[:3]) == streamed


@dataclass
class InARow:
    """The same agent, asked for all answers of a turn at once."""

    agent: ApiAgent

    @property
    def context(self) -> ContextMode:
        return self.agent.context

    def act(self, requests: Sequence[Request]) -> list[Reply]:
        return self.agent.act(requests)


def _with_ids(turn: Turn, prompt_ids: tuple[int, ...], ids: tuple[int, ...]) -> Turn:
    return replace(turn, prompt_ids=prompt_ids, completion=replace(turn.completion, token_ids=ids))
