"""One answer from a server that fails in every way: what passes is retried, what cannot is told."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cardinal_gym.agents.api.client import ApiClient, ContextFull, ServerError, Stopped
from cardinal_gym.agents.api.config import ApiConfig, TokenLimit
from cardinal_gym.agents.config import SamplingConfig
from cardinal_gym.agents.messages import Message
from cardinal_gym.agents.types import FinishReason
from fault_server import Body, Say, Server, serving

KEY = "sk-canary-0123456789"
HELLO = [Message("user", "How many?")]
FAST = {"backoff_s": 0.001, "timeout_s": 2.0, "max_retries": 3}


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture
def connect() -> Iterator[Callable[..., ApiClient]]:
    clients: list[ApiClient] = []

    def connect(server: Server | str, **settings: Any) -> ApiClient:
        url = server if isinstance(server, str) else server.url
        clients.append(ApiClient(url, "judge-1", ApiConfig(**{**FAST, **settings})))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


def first(*faults: Say) -> Callable[[Body, int], Say]:
    """These, and then good answers."""
    return lambda _, number: faults[number] if number < len(faults) else Say("seven")


def ask(client: ApiClient, sampling: SamplingConfig | None = None, sample: int = 0) -> str:
    return client.ask(HELLO, sampling or SamplingConfig(), (sample,)).text


FAULTS = {
    "too many requests": Say(status=429, headers={"Retry-After": "0.02"}),
    "server error": Say(status=500, raw="Internal Server Error"),
    "bad gateway": Say(status=502, raw="<html>bad gateway</html>"),
    "overloaded": Say(status=503, raw='{"error": {"message": "loading"}}'),
    "no JSON": Say(raw='{"choices": [{"mess'),
    "empty": Say(raw=""),
    "no choices": Say(raw='{"choices": []}'),
    "another shape": Say(raw='["hello"]'),
    "error with status 200": Say(raw='{"error": {"message": "overloaded"}}'),
    "cut body": Say(cut=True),
    "closed connection": Say(reset=True),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_may_pass_is_tried_again(fault: str, connect: Callable[..., ApiClient]) -> None:
    with serving(first(FAULTS[fault], FAULTS[fault])) as server:
        client = connect(server)
        assert ask(client) == "seven"
        assert len(server.bodies) == 3
        assert (client.usage.requests, client.usage.retries) == (1, 2)
        assert server.bodies[0] == server.bodies[2]


def test_a_silent_server_is_asked_again_after_the_time_out(
    connect: Callable[..., ApiClient],
) -> None:
    with serving(first(Say(wait_s=0.2))) as server:
        client = connect(server, timeout_s=0.05)
        assert ask(client) == "seven"
        assert client.usage.retries == 1


def test_waits_as_long_as_the_server_asks(connect: Callable[..., ApiClient]) -> None:
    with serving(first(Say(status=429, headers={"Retry-After": "0.15"}))) as server:
        assert ask(connect(server)) == "seven"
        assert server.times_s[1] - server.times_s[0] >= 0.15


def test_a_server_that_says_when_to_come_is_no_failure(connect: Callable[..., ApiClient]) -> None:
    busy = Say(status=429, headers={"Retry-After": "0.001"})
    with serving(first(*[busy] * 12)) as server:
        client = connect(server, max_retries=2)
        assert ask(client) == "seven"
        assert client.usage.retries == 12
    with serving(lambda *_: busy) as server:
        with pytest.raises(
            ServerError, match=r"more than policy\.api\.max_wait_s=0\.05; status 429"
        ):
            ask(connect(server, max_wait_s=0.05))
        assert 2 < len(server.bodies) < 60


def test_a_server_that_asks_for_too_long_a_wait_ends_it(connect: Callable[..., ApiClient]) -> None:
    with serving(first(Say(status=429, headers={"Retry-After": "3600"}))) as server:
        with pytest.raises(ServerError, match=r"asks to wait 36.. s for one answer, more than"):
            ask(connect(server))
        assert len(server.bodies) == 1


def test_a_server_that_never_answers_is_given_up(connect: Callable[..., ApiClient]) -> None:
    with serving(lambda *_: Say(status=500, raw='{"error": {"message": "no\\nluck"}}')) as server:
        with pytest.raises(ServerError) as caught:
            ask(connect(server, max_retries=2))
        assert "asked 3 times; the last time: status 500, 'no luck'" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert len(server.bodies) == 3


def test_nobody_there(connect: Callable[..., ApiClient]) -> None:
    with serving(first()) as server:
        url = server.url
    with pytest.raises(ServerError, match="ConnectError"):
        ask(connect(url, max_retries=1))


@pytest.mark.parametrize("status", [400, 404, 422, 301])
def test_what_a_setting_is_to_blame_for_is_told_at_once(
    status: int, connect: Callable[..., ApiClient]
) -> None:
    say = Say(status=status, raw='{"error": {"message": "model judge-1 not found"}}')
    with serving(lambda *_: say) as server:
        with pytest.raises(ValueError, match=f"status {status}, 'model judge-1 not found'"):
            ask(connect(server))
        assert len(server.bodies) == 1


def test_a_used_up_account_is_not_asked_again(connect: Callable[..., ApiClient]) -> None:
    say = Say(status=429, raw='{"error": {"code": "insufficient_quota", "message": "pay"}}')
    with serving(lambda *_: say) as server:
        with pytest.raises(ServerError, match="quota is used up"):
            ask(connect(server))
        assert len(server.bodies) == 1


@pytest.mark.parametrize(
    "error",
    [
        '{"error": {"code": "context_length_exceeded", "message": "too long"}}',
        '{"message": "This model\'s maximum context length is 2048 tokens"}',
    ],
)
def test_a_full_context_is_told_apart(error: str, connect: Callable[..., ApiClient]) -> None:
    with serving(lambda *_: Say(status=400, raw=error)) as server, pytest.raises(ContextFull):
        ask(connect(server))


def test_the_request_says_how_to_sample(connect: Callable[..., ApiClient]) -> None:
    sampling = SamplingConfig(temperature=0.6, top_p=0.9, max_new_tokens=40)
    with serving(first()) as server:
        client = connect(server)
        ask(client, sampling)
        ask(client, SamplingConfig(temperature=0.6, top_p=0.9, greedy=True))
        ask(client, sampling, sample=1)
        ask(
            connect(
                server, token_limit=TokenLimit.max_completion_tokens, omit=["seed", "top_p"],
                extra={"reasoning_effort": "low", "temperature": 1.0},
            )
        )  # fmt: skip
    drawn, greedy, other, changed = server.bodies
    seed = drawn.pop("seed")
    assert drawn == {
        "model": "judge-1", "messages": [{"role": "user", "content": "How many?"}],
        "max_tokens": 40, "temperature": 0.6, "top_p": 0.9,
    }  # fmt: skip
    assert (greedy["temperature"], greedy["top_p"]) == (0.0, 1.0)
    assert other["seed"] != seed
    assert 0 <= seed < 2**31
    assert changed.keys() == {
        "model", "messages", "max_completion_tokens", "temperature", "reasoning_effort"
    }  # fmt: skip
    assert changed["temperature"] == 1.0


def test_answers_in_odd_forms_are_read(connect: Callable[..., ApiClient]) -> None:
    parts = '[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]'
    odd = [
        Say(raw=f'{{"choices": [{{"message": {{"content": {parts}}}}}]}}'),
        Say(raw='{"choices": [{"message": {"content": null, "refusal": "no"}}]}'),
        Say(raw='{"choices": [{"message": {"content": null}}]}'),
        Say("cut", finish_reason="length"),
        Say(raw='{"choices": [{"message": {"content": "lone \\ud800"}}]}'),
    ]
    with serving(first(*odd)) as server:
        client = connect(server)
        answers = [client.ask(HELLO, SamplingConfig(), (i,)) for i in range(len(odd))]
    assert [answer.text for answer in answers] == ["ab", "no", "", "cut", "lone ?"]
    assert answers[3].finish_reason is FinishReason.length
    assert answers[0].output_tokens is None
    assert client.usage.uncounted == 4


def test_an_answer_that_is_kept_is_not_asked_for_again(
    tmp_path: Path, connect: Callable[..., ApiClient]
) -> None:
    cache = {"cache": str(tmp_path / "answers.sqlite")}
    prices = {"input_usd_per_million": 2.0, "output_usd_per_million": 10.0}
    with serving(lambda _, number: Say(f"answer {number}")) as server:
        before = connect(server, **cache, **prices)
        assert [ask(before, sample=i) for i in (0, 1, 0)] == ["answer 0", "answer 1", "answer 0"]
        assert before.usage.paid_usd == pytest.approx(2 * (100 * 2 + 7 * 10) / 1e6)
        url = server.url
    after = connect(url, **cache, **prices)  # the server has gone
    assert [ask(after, sample=i) for i in (1, 0)] == ["answer 1", "answer 0"]
    assert (after.usage.requests, after.usage.cached, after.usage.paid_usd) == (0, 2, 0.0)
    assert after.usage.asdict()["cached_usd"] == pytest.approx(before.usage.paid_usd)
    with pytest.raises(ServerError):  # nothing else is answered from it
        ask(after, SamplingConfig(temperature=0.5), sample=0)


def test_a_file_that_is_no_cache_is_refused_and_left_alone(
    tmp_path: Path, connect: Callable[..., ApiClient]
) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to be looked at\n" * 30)
    text = path.read_text()
    with pytest.raises(ValueError, match=r"policy.api.cache must be a cache of answers; got .*txt"):
        connect("http://localhost:1/v1", cache=str(path))
    assert path.read_text() == text
    with pytest.raises(ValueError, match="must be a file that can be written"):
        connect("http://localhost:1/v1", cache=str(path / "below.sqlite"))


def test_no_request_is_begun_once_the_budget_is_spent(connect: Callable[..., ApiClient]) -> None:
    with serving(first()) as server:
        client = connect(
            server, input_usd_per_million=1.0, output_usd_per_million=1.0, max_usd=0.0002
        )
        assert [ask(client, sample=i) for i in range(2)] == ["seven"] * 2
        with pytest.raises(ServerError, match=r"max_usd=0\.0002 has been spent"):
            ask(client, sample=2)
        assert len(server.bodies) == 2


def test_who_waits_is_let_go_when_the_run_ends(connect: Callable[..., ApiClient]) -> None:
    with serving(lambda *_: Say(status=503)) as server:
        client = connect(server, backoff_s=60.0)
        stopped = threading.Event()
        threading.Timer(0.1, stopped.set).start()
        start_s = time.monotonic()
        with pytest.raises(Stopped):
            client.ask(HELLO, SamplingConfig(), (0,), stopped)
        with pytest.raises(Stopped):
            client.ask(HELLO, SamplingConfig(), (1,), stopped)
        assert time.monotonic() - start_s < 10
        assert len(server.bodies) == 1


class TestKey:
    """The key reaches the server and nothing else."""

    def test_is_sent(
        self, monkeypatch: pytest.MonkeyPatch, connect: Callable[..., ApiClient]
    ) -> None:
        monkeypatch.setenv("MY_KEY", f" {KEY}\n")
        with serving(first()) as server:
            ask(connect(server, key_env="MY_KEY"))
            ask(connect(server))  # OPENAI_API_KEY is not set: a local server wants none
        assert server.keys == [f"Bearer {KEY}", None]

    @pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 429, 500])
    @pytest.mark.parametrize("escaped", ["-", "\\u002d"])
    def test_is_told_nobody_by_a_server_that_echoes_it(
        self, status: int, escaped: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture, connect: Callable[..., ApiClient],
    ) -> None:  # fmt: skip
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        caplog.set_level(logging.DEBUG)
        said = KEY.replace("-", escaped)
        echo = Say(status=status, raw=f'{{"error": {{"message": "wrong key: {said}"}}}}')
        if status == 200:
            echo = Say(raw=f'{{"choices": [{{"message": {{"content": "you said {said}"}}}}]}}')
        seen = [""]
        with serving(lambda *_: echo) as server:
            client = connect(server, cache=str(tmp_path / "answers.sqlite"), max_retries=1)
            try:
                assert ask(client) == "you said [key]"
            except (ServerError, ValueError) as error:
                chain: BaseException | None = error
                while chain is not None:
                    seen += [str(chain), repr(chain)]
                    trace = chain.__traceback__
                    while trace is not None:
                        here = {k: v for k, v in trace.tb_frame.f_locals.items() if k != "echo"}
                        if "cardinal_gym" in trace.tb_frame.f_globals["__name__"]:
                            seen.append(repr(here))
                        trace = trace.tb_next
                    chain = chain.__context__
                assert len(seen) > 3
            assert server.keys[0] == f"Bearer {KEY}"
            seen += [repr(client), repr(vars(client)), repr(client._client.headers)]
        client.close()
        assert KEY not in caplog.text
        assert not [text for text in seen if KEY in text]
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert files
        assert not [path for path in files if KEY.encode() in path.read_bytes()]

    def test_is_no_setting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for settings in ({"key_env": KEY}, {"key_env": "sk_canary"}):
            with pytest.raises(ValueError, match=r"never a key") as caught:
                ApiConfig(**settings)
            assert "canary" not in str(caught.value)
        for url in (f"https://{KEY}@host/v1", f"https://host/v1?api-key={KEY}"):
            with pytest.raises(ValueError, match="without user, password, query") as caught:
                ApiClient(url, "m", ApiConfig())
            assert KEY not in str(caught.value)
        monkeypatch.setenv("OPENAI_API_KEY", KEY + "\u00e9")
        with pytest.raises(ValueError, match="plain ASCII") as caught:
            ApiClient("http://host/v1", "m", ApiConfig())
        assert KEY not in str(caught.value)

    def test_a_refused_one_is_told_by_its_variable(
        self, monkeypatch: pytest.MonkeyPatch, connect: Callable[..., ApiClient]
    ) -> None:
        with serving(lambda *_: Say(status=401)) as server:
            with pytest.raises(ValueError, match="OPENAI_API_KEY is not set"):
                ask(connect(server))
            monkeypatch.setenv("OPENAI_API_KEY", KEY)
            with pytest.raises(ValueError, match="refused the key in OPENAI_API_KEY"):
                ask(connect(server))


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://host/v1", "http://", "http://host:port/"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"policy.base_url must be the address of a server"):
        ApiClient(url, "m", ApiConfig())


def test_an_address_may_end_in_the_path_of_the_request(connect: Callable[..., ApiClient]) -> None:
    for end in ("", "/", "/chat/completions"):
        assert connect(f"http://host/v1{end}").url == "http://host/v1/chat/completions"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"concurrency": 0}, "api.concurrency must be positive; got 0"),
        ({"max_retries": -1}, "api.max_retries must be at least 0; got -1"),
        ({"requests_per_minute": 0}, "api.requests_per_minute must be positive or null"),
        ({"max_usd": 1.0}, "api.max_usd must be null where api.input_usd_per_million is not"),
        ({"input_usd_per_million": 1.0}, "given for input and output, or for neither"),
        ({"extra": {"messages": []}}, "api.extra and omit must be without model, messages"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        ApiConfig(**settings)
