"""A server that others keep, `transformers serve`, on checkpoints that are made here."""

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cardinal_gym.agents.api.agent import ApiAgent
from cardinal_gym.agents.api.client import ApiClient
from cardinal_gym.agents.api.config import ApiConfig
from cardinal_gym.agents.config import Family, SamplingConfig
from cardinal_gym.agents.policy_agent import PolicyAgent
from cardinal_gym.agents.rollout import rollout
from cardinal_gym.agents.types import ContextMode, Episode
from tinies import tiny
from toy import GuessEnv
from transformers import Idefics3Processor
from transformers.utils.import_utils import is_serve_available

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not is_serve_available(), reason="needs pip install -e .[serving]"),
]

START_S = 240.0  # torch and the model are loaded first
Serve = Callable[[Path], str]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts a server of a checkpoint's folder and gives its address."""
    started: list[subprocess.Popen[bytes]] = []

    def serve(folder: Path) -> str:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        program = "from transformers.cli.transformers import main; main()"
        with (tmp_path / "server.log").open("wb") as log:
            started.append(
                subprocess.Popen(
                    [sys.executable, "-c", program, "serve", str(folder), "--device", "cpu",
                     "--host", "127.0.0.1", "--port", str(port)],
                    stdout=log, stderr=log,
                )
            )  # fmt: skip
        deadline_s = time.monotonic() + START_S
        while not _answers(f"http://127.0.0.1:{port}/health"):
            if started[-1].poll() is not None or time.monotonic() > deadline_s:
                pytest.fail((tmp_path / "server.log").read_text())
            time.sleep(0.5)
        return f"http://127.0.0.1:{port}/v1"

    yield serve
    for process in started:
        process.terminate()
        process.wait(20)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def texts(episodes: list[Episode]) -> list[list[str]]:
    return [[turn.completion.text.strip() for turn in episode.turns] for episode in episodes]


def test_a_served_checkpoint_answers_as_it_does_here(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two turns of argmax, through the server's own chat template and decoding.

    In `concat`, first answers that are encoded as they were sampled: a server is sent text.
    """
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    policy = tiny(Family.text)
    policy.model.generation_config.suppress_tokens = sorted(policy.banned_ids)
    policy.save(tmp_path / "policy")
    sampling = SamplingConfig(greedy=True, max_new_tokens=6)
    url = serve(tmp_path / "policy")
    config = ApiConfig(concurrency=2, max_retries=1)
    with closing(ApiClient(url, str(tmp_path / "policy"), config)) as client:
        for context, seeds in ((ContextMode.concat, [1, 2, 3]), (ContextMode.single_turn, [6, 7])):
            policy.context = context
            here = rollout(lambda: GuessEnv(2), PolicyAgent(policy, sampling), seeds)
            agent = ApiAgent(client, sampling, context=context)
            assert texts(rollout(lambda: GuessEnv(2), agent, seeds)) == texts(here)
            assert len({text for answers in texts(here) for text in answers}) > 1
        assert client.usage.requests == 2 * (3 + 2)
        (drawn,) = rollout(GuessEnv, ApiAgent(client, SamplingConfig(max_new_tokens=6)), [1])
    assert all(0 < turn.completion.reported_tokens <= 6 for turn in drawn.turns)
    assert client.usage.input_tokens > 10 * 10


def test_a_served_checkpoint_sees_the_pictures_that_it_sees_here(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    policy = tiny(Family.idefics3, ContextMode.single_turn)
    policy.model.generation_config.suppress_tokens = sorted(policy.banned_ids)
    policy.save(tmp_path / "policy")
    Idefics3Processor(  # what puts pictures into the prompt, elsewhere; `tiny` has one id per tile
        policy.processor, policy.tokenizer, image_seq_len=1,
        chat_template=policy.tokenizer.chat_template,
    ).save_pretrained(tmp_path / "policy")  # fmt: skip
    sampling, seeds = SamplingConfig(greedy=True, max_new_tokens=4), [1, 2, 3, 4, 5, 6]
    here = rollout(lambda: GuessEnv(1, True), PolicyAgent(policy, sampling), seeds)
    url = serve(tmp_path / "policy")
    with closing(ApiClient(url, str(tmp_path / "policy"), ApiConfig(max_retries=1))) as client:
        agent = ApiAgent(client, sampling, context=policy.context)
        there = rollout(lambda: GuessEnv(1, True), agent, seeds)
    assert texts(there) == texts(here)
    assert client.usage.input_tokens == sum(len(each.turns[0].prompt_ids) for each in here)
