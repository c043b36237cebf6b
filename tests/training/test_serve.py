"""The report served on one's own machine: always of the results at hand, and to nobody else."""

import http.client
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cardinal_gym.training import view
from cardinal_gym.training.report import NotARun
from cardinal_gym.training.report.samples import PNG_MAGIC
from cardinal_gym.training.serve import ReportServer, is_current


class Writer:
    """Stands in for the report, which takes seconds: a page that tells what it was made of."""

    def __init__(self) -> None:
        self.times = 0
        self.fails = False

    def __call__(self, folder: Path) -> Path:
        if self.fails:
            raise NotARun("evals.jsonl is being written")
        self.times += 1
        page = folder / "report" / "index.html"
        (page.parent / "figures").mkdir(parents=True, exist_ok=True)
        (page.parent / "figures" / "a.svg").write_text("<svg/>")
        page.write_text(f"page {self.times}: {(folder / 'evals.jsonl').read_text()}")
        return page


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "evals.jsonl").write_text("first")
    (tmp_path / "run" / "config.yaml").write_text("command: eval")
    (tmp_path / "run" / "metrics.jsonl").write_text('{"step": 1}\n')  # what makes it a run
    (tmp_path / "run" / "secret.txt").write_text("not of the report")
    return tmp_path / "run"


@pytest.fixture
def writer() -> Writer:
    return Writer()


@pytest.fixture
def server(folder: Path, writer: Writer) -> Iterator[ReportServer]:
    with ReportServer(folder, write=writer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(
    server: ReportServer, path: str, *, method: str = "GET", host: str | None = None
) -> tuple[int, str]:
    """Status and body; the path goes out as it is."""
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=10)
    connection.putrequest(method, path, skip_host=host is not None)
    if host is not None:
        connection.putheader("Host", host)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, body


def test_the_page_is_of_the_results_as_they_are(
    server: ReportServer, folder: Path, writer: Writer
) -> None:
    assert ask(server, "/") == ask(server, "/index.html") == (200, "page 1: first")
    (folder / "evals.jsonl").write_text("first second")
    assert ask(server, "/") == (200, "page 2: first second")
    (folder / "done.json").write_text("{}")
    assert ask(server, "/")[1].startswith("page 3")
    assert ask(server, "/")[1].startswith("page 3")
    writer.fails = True
    (folder / "evals.jsonl").write_text("half")
    assert ask(server, "/") == (200, "page 3: first second")  # the last that could be made
    writer.fails = False
    assert ask(server, "/") == (200, "page 4: half")


def test_files_of_the_report_are_served_and_no_others(server: ReportServer) -> None:
    assert ask(server, "/figures/a.svg") == (200, "<svg/>")
    assert ask(server, "/", method="HEAD") == (200, "")
    for path in ("/figures", "/../secret.txt", "/%2e%2e/secret.txt", "//etc/passwd", "/%00", "/no"):
        assert ask(server, path)[0] == 404, path
    assert ask(server, "/", method="POST")[0] == 501


def test_pictures_of_the_run_folder_are_served_and_nothing_else_of_it(
    server: ReportServer, folder: Path, tmp_path: Path
) -> None:
    images = folder / "seed_0" / "episodes" / "images"
    images.mkdir(parents=True)
    (images / "a b.png").write_bytes(PNG_MAGIC + b"pixels")
    (images / "text.png").write_text("not a picture")
    (tmp_path / "outside.png").write_bytes(PNG_MAGIC)
    (images / "link.png").symlink_to(tmp_path / "outside.png")
    place = "/pictures/seed_0/episodes/images"
    assert ask(server, f"{place}/a%20b.png", method="HEAD") == (200, "")
    refused = ["text.png", "link.png", "../../../../outside.png", "%2e%2e/%2e%2e/config.yaml", ""]
    for path in [*(f"{place}/{name}" for name in refused), "/pictures/secret.txt", "/pictures/"]:
        assert ask(server, path)[0] == 404, path


def test_only_this_machine_is_answered(server: ReportServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert ask(server, "/", host="attacker.example")[0] == 403
    assert ask(server, "/", host="")[0] == 403
    assert ask(server, "/", host=f"localhost:{server.server_port}")[0] == 200


def test_a_report_that_is_current_is_not_written_again(folder: Path, writer: Writer) -> None:
    page = writer(folder)
    assert is_current(folder)
    with ReportServer(folder, write=writer):
        assert writer.times == 1
    os.utime(page, (1, 1))
    assert not is_current(folder)
    with ReportServer(folder, write=writer):
        assert writer.times == 2


def test_a_port_that_is_taken_ends_in_one_line(
    server: ReportServer, capsys: pytest.CaptureFixture[str]
) -> None:
    for port in (server.server_port, 99_999):
        assert view.main([str(server.folder), "--serve", "--port", str(port)]) == 2
        told = capsys.readouterr().err
        assert told.count("\n") == 1
        assert f"port must be a free one of this machine; got {port}" in told
