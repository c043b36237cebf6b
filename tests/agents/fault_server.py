"""A chat-completions server on this machine that fails as it is told to."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = dict[str, Any]


@dataclass
class Say:
    """What to do with one request. raw: sent as it is instead of an answer made of `text`."""

    text: str = "pass"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: str | None = None
    wait_s: float = 0.0
    cut: bool = False  # announce more bytes than are sent
    reset: bool = False  # close without an answer
    usage: tuple[int, int] | None = (100, 7)
    finish_reason: str = "stop"


class Server(ThreadingHTTPServer):
    """`answer` is asked for every request: its body and its number, from 0."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, answer: Callable[[Body, int], Say], port: int = 0) -> None:
        self.answer = answer
        self.bodies: list[Body] = []
        self.keys: list[str | None] = []
        self.times_s: list[float] = []
        self.running = self.most_running = 0
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, *_: Any) -> None:
        """A client that has gone is none of ours."""


@contextmanager
def serving(answer: Callable[[Body, int], Say], port: int = 0) -> Iterator[Server]:
    server = Server(answer, port)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.lock:
            number = len(server.bodies)
            server.bodies.append(body)
            server.keys.append(self.headers["Authorization"])
            server.times_s.append(time.monotonic())
            server.running += 1
            server.most_running = max(server.most_running, server.running)
        say = server.answer(body, number)
        time.sleep(say.wait_s)
        with server.lock:  # before the answer: with its last byte the next request may come
            server.running -= 1
        self.close_connection = say.reset or say.cut
        if not say.reset:
            self._send(say)

    def _send(self, say: Say) -> None:
        content = (say.raw if say.raw is not None else _completion(say)).encode()
        self.send_response(say.status)
        for name, value in say.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content) + (10 if say.cut else 0)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing on stderr."""


def _completion(say: Say) -> str:
    message = {"role": "assistant", "content": say.text}
    usage = say.usage and {"prompt_tokens": say.usage[0], "completion_tokens": say.usage[1]}
    choice = {"index": 0, "message": message, "finish_reason": say.finish_reason}
    return json.dumps({"object": "chat.completion", "choices": [choice], "usage": usage})
