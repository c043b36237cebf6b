"""A process that dies takes the run with it, within a minute and with a message."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch.distributed as dist
from cardinal_gym.training import peers
from cardinal_gym.training.checkpoint import latest_checkpoint
from cardinal_gym.training.distributed import Workers
from cardinal_gym.training.metrics import read_jsonl
from cardinal_gym.training.peers import DONE, FAILED, _is_broken_exchange, _Watch, watched
from toys import tiny_policy
from two_processes import as_process, free_port

SILENT_S = 0.4
PATIENCE_S = 600.0  # with three programs on a busy machine


@pytest.fixture
def exits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The statuses with which this process would have ended."""
    found: list[int] = []
    monkeypatch.setattr(peers.os, "_exit", found.append)
    return found


def watch_of(store: dist.TCPStore, rank: int) -> _Watch:
    watch = _Watch(rank, 2, store, SILENT_S, ["here", "there"])
    store.set(f"process/{1 - rank}", "0")
    return watch


def new_store() -> dist.TCPStore:
    return dist.TCPStore("127.0.0.1", 0, None, True, wait_for_workers=False)


@pytest.mark.parametrize("word", ["0", FAILED])
def test_a_silent_or_failed_process_ends_this_one(
    word: str, exits: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    watch = watch_of(new_store(), rank=0)
    watch.store.set("process/1", word)
    watch._run()
    assert exits == [1]
    assert watch.ended.is_set()
    told = capsys.readouterr().err
    assert told.startswith("cardinal: process 1 of 2 on there has ended; the same command with")
    assert told.count("\n") == 1


def test_a_process_that_is_done_is_not_missed(exits: list[int]) -> None:
    watch = watch_of(new_store(), rank=0)
    began_s = time.monotonic()

    def look(count: int, others: list[int]) -> list[str]:
        if time.monotonic() - began_s > 3 * SILENT_S:
            watch.stopped.set()
        return [DONE]

    _looking(watch, look)
    assert exits == []


def _looking(watch: _Watch, look: object) -> None:
    """Run a watch whose exchange is `look`."""
    original = _Watch._exchange
    try:
        _Watch._exchange = lambda self, *arguments: look(*arguments)  # type: ignore
        watch._run()
    finally:
        _Watch._exchange = original  # type: ignore[method-assign]


def test_without_the_main_process_the_others_end(exits: list[int]) -> None:
    watch = watch_of(new_store(), rank=1)

    def gone(count: int, others: list[int]) -> list[str]:
        raise RuntimeError("Connection reset by peer")

    _looking(watch, gone)
    assert exits == [1]
    assert watch.last_words.startswith("process 0, which leads, has ended")


def test_only_a_lost_connection_is_blamed_on_another_process() -> None:
    assert _is_broken_exchange(RuntimeError("[gloo/transport/tcp/pair.cc] Connection closed"))
    assert _is_broken_exchange(dist.DistBackendError("NCCL error"))
    assert not _is_broken_exchange(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not _is_broken_exchange(ValueError("peer"))


def test_alone_nothing_is_watched() -> None:
    with watched(Workers("cpu"), timeout_s=SILENT_S):
        pass
    with pytest.raises(RuntimeError, match="gloo"), watched(Workers("cpu"), timeout_s=SILENT_S):
        raise RuntimeError("gloo")


TINY = (
    "name=tiny", "env=gp_text", "env.max_turns=2", "trackers=[]", "policy.device=cpu",
    "grpo.budget.steps=40", "grpo.groups_per_step=4", "grpo.group_size=3", "grpo.max_new_tokens=8",
    "evaluate.max_new_tokens=8", "evaluate.milestones=1", "evaluate.episodes=4",
    "evaluate.final_episodes=4", "evaluate.metrics=[greedy_single]", "checkpoint_every=1",
)  # fmt: skip


def started(
    folder: Path, rank: int, size: int, port: int, *overrides: str
) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "cardinal_gym.training.grpo", *TINY, *overrides]
    environment = {**os.environ, **(as_process(rank, size, port) if size > 1 else {})}
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.timeout(3 * PATIENCE_S)
@pytest.mark.parametrize("victim", [1, 0])
def test_kill_9_of_one_process_ends_the_other_and_one_alone_goes_on(
    victim: int, tmp_path: Path
) -> None:
    tiny_policy(spread=3.0).save(tmp_path / "base")
    port, base = free_port(), f"policy.path={tmp_path / 'base'}"
    sharded = (base, "distributed.sharding=fsdp2", "distributed.peer_timeout_s=20")
    both = [started(tmp_path, rank, 2, port, *sharded) for rank in range(2)]
    log = tmp_path / "runs" / "scratch" / "tiny" / "seed_0" / "grpo" / "metrics.jsonl"
    deadline = time.monotonic() + PATIENCE_S
    while len(read_jsonl(log)) < 3:
        assert time.monotonic() < deadline
        assert all(each.poll() is None for each in both), [each.communicate()[1] for each in both]
        time.sleep(0.05)
    os.kill(both[victim].pid, signal.SIGKILL)
    struck = time.monotonic()
    _, said = both[1 - victim].communicate(timeout=60)
    assert time.monotonic() - struck < 60
    assert both[1 - victim].returncode == 1
    last = said.strip().splitlines()[-1]
    assert "has ended; the same command with resume=true" in last
    assert f"process {victim}" in last
    assert "Traceback" not in said
    found = latest_checkpoint(log.parent / "checkpoints")
    assert found is not None
    assert found.step >= 2
    alone = started(tmp_path, 0, 1, port, base, "resume=true")
    assert alone.wait(timeout=PATIENCE_S) == 0, alone.communicate()[1]
    assert [line["step"] for line in read_jsonl(log)] == list(range(1, 41))
