"""Serves a run's report to this machine alone, and writes it again when results have come.

    GET /                 the page, of the results as they are now; a run in progress needs a reload
    GET /figures/x.png    any other file of RUN/report
    GET /pictures/x.png   a picture of an episode, RUN/x.png: the page asks for those that it does
                          not hold itself

Only 127.0.0.1 listens, and only requests addressed to it are answered, so that no foreign page can
ask through a browser (DNS rebinding). `cardinal view RUN --serve` is the command.
"""

import logging
import mimetypes
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from .report import NotARun, report
from .report.samples import PNG_MAGIC

ADDRESS = "127.0.0.1"
PICTURES = "pictures/"
OWN_NAMES = (ADDRESS, "localhost")
RESULTS = ("evals.jsonl", "seed_*/evals.jsonl", "done.json")
_logger = logging.getLogger(__name__)

State = tuple[tuple[str, int, int], ...]  # of every file of results: path, time, size


class ReportServer(ThreadingHTTPServer):
    """The report of one run at `url`. Use as a context manager; `serve_forever` serves.

    write: makes the report of a run folder. Raises OSError if the port is taken, NotARun (a
    ValueError in one line) if there is nothing to show yet.
    """

    daemon_threads = True

    def __init__(self, folder: Path, port: int = 0, write: Callable[[Path], Path] = report) -> None:
        self.folder = folder
        self._write = write
        self._lock = threading.Lock()
        self._shown: State | None = results(folder) if is_current(folder) else None
        self._refresh()
        super().__init__((ADDRESS, port), _Handler)

    @property
    def url(self) -> str:
        return f"http://{ADDRESS}:{self.server_port}/"

    def page(self) -> Path:
        """The page, of the results as they are now; the one before if they cannot be read."""
        try:
            self._refresh()
        except (NotARun, OSError) as error:
            _logger.warning("the report could not be written again: %s", error)
        return page_of(self.folder)

    def _refresh(self) -> None:
        with self._lock:
            state = results(self.folder)  # before: what comes while it is written, comes again
            if state != self._shown:
                self._write(self.folder)
                self._shown = state


def page_of(folder: Path) -> Path:
    """Where a run's report is."""
    return folder / "report" / "index.html"


def results(folder: Path) -> State:
    """What the results in a run folder are, as far as their files tell without being read."""
    found = []
    for pattern in RESULTS:
        for path in sorted(folder.glob(pattern)):
            known = path.stat()
            found.append((str(path), known.st_mtime_ns, known.st_size))
    return tuple(found)


def is_current(folder: Path) -> bool:
    """Whether there is a report, newer than all results."""
    page = page_of(folder)
    newest = max((time_ns for _, time_ns, _ in results(folder)), default=0)
    return page.exists() and page.stat().st_mtime_ns >= newest


class _Handler(BaseHTTPRequestHandler):
    server: ReportServer
    server_version = "cardinal"
    sys_version = ""

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, format: str, *args: object) -> None:
        _logger.debug(format, *args)

    def _answer(self, *, with_body: bool) -> None:
        if urlsplit(f"//{self.headers.get('Host', '')}").hostname not in OWN_NAMES:
            self.send_error(HTTPStatus.FORBIDDEN)
            return
        path = self._asked()
        if path is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        data = path.read_bytes()
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        self.send_response(HTTPStatus.OK)
        text = kind.startswith("text/")
        self.send_header("Content-Type", f"{kind}; charset=utf-8" if text else kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if with_body:
            self.wfile.write(data)

    def _asked(self) -> Path | None:
        """A file inside the report's folder; None for anything else."""
        name = unquote(urlsplit(self.path).path).lstrip("/")
        if name in ("", "index.html"):
            return self.server.page()
        if name.startswith(PICTURES):
            path = _inside(self.server.folder, name.removeprefix(PICTURES))
            return path if path is not None and _is_picture(path) else None
        return _inside(page_of(self.server.folder).parent, name)


def _inside(folder: Path, name: str) -> Path | None:
    """The file of that name below a folder, wherever links lead; None if there is none."""
    root = folder.resolve()
    try:
        path = (root / name).resolve()
        return path if path.is_relative_to(root) and path.is_file() else None
    except (OSError, ValueError):  # no name that a file can have
        return None


def _is_picture(path: Path) -> bool:
    """By its first bytes, because a run folder holds more than pictures."""
    with path.open("rb") as file:
        return file.read(len(PNG_MAGIC)) == PNG_MAGIC
