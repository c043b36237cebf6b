"""A process that dies ends the run on all others, within a minute and with a message.

An exchange with a dead process fails at once on a CPU, but on a GPU it hangs for as long as the
backend's timeout, and between exchanges (a rollout of many minutes) nobody would notice at all. So
every process tells a store of its own (torch's TCPStore, on the main process) every few seconds
that it lives, and looks whether the others do.

    with watched(workers, timeout_s=40):
        train()
"""

import faulthandler
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import torch.distributed as dist

from .distributed import Workers
from .failures import FAILURE, Failed, exit_status

logger = logging.getLogger(__name__)

DONE, FAILED = "done", "failed"
LOOKS = 8  # in the time after which a silent process is taken for dead
LEAVING_S = 15.0  # for a process to end after an error
ADVICE = "the same command with resume=true goes on from the newest checkpoint"


@contextmanager
def watched(workers: Workers, *, timeout_s: float) -> Iterator[None]:
    """End this process if another one dies meanwhile; alone, nothing is done.

    timeout_s: without a sign of life for so long, a process is dead.
    Raises Failed, in one line, where an exchange broke because another process is gone. Whatever is
    raised, the process ends soon after.
    """
    if workers.size == 1:
        yield
        return
    watch = _Watch.start(workers, timeout_s)
    try:
        yield
    except Exception as error:
        if not _is_broken_exchange(error):
            raise
        watch.ended.wait(2 * timeout_s)  # whose fault it was is known a little later
        watch.stopped.set()
        raise Failed(watch.last_words or f"another process has ended; {ADVICE}") from error
    else:
        workers.wait()  # the store goes with the main process: nobody may need it any more
        watch.stop(DONE)
    finally:
        if not watch.is_done:
            _end_within(LEAVING_S)
            watch.stop(FAILED)


@dataclass(slots=True)
class _Watch:
    """A thread that tells and looks. ended: is set when another process was found dead."""

    rank: int
    size: int
    store: dist.TCPStore
    timeout_s: float
    hosts: list[str]
    ended: threading.Event = field(default_factory=threading.Event)
    stopped: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    last_words: str = ""
    is_done: bool = False

    @classmethod
    def start(cls, workers: Workers, timeout_s: float) -> "_Watch":
        """Connect everybody to a store on the main process, and begin."""
        host = os.environ.get("MASTER_ADDR", "127.0.0.1")
        patience = timedelta(seconds=timeout_s)
        if workers.is_main:
            store = dist.TCPStore(host, 0, None, True, patience, wait_for_workers=False)
        port = workers.broadcast(store.port if workers.is_main else 0)
        if not workers.is_main:
            store = dist.TCPStore(host, port, None, False, patience, wait_for_workers=False)
        hosts = workers.gather([socket.gethostname()])
        watch = cls(workers.rank, workers.size, store, timeout_s, hosts)
        watch.store.set(watch._key(workers.rank), "0")
        workers.wait()  # every key exists from here on
        threading.Thread(target=watch._run, name="peers", daemon=True).start()
        return watch

    def stop(self, last_word: str) -> None:
        """Leave: the others will not wait for another sign of life."""
        self.stopped.set()
        self.is_done = last_word == DONE
        with self.lock:
            try:
                self.store.set(self._key(self.rank), last_word)
            except (RuntimeError, dist.DistError):
                logger.debug("the store is gone already", exc_info=True)

    def _run(self) -> None:
        others = [rank for rank in range(self.size) if rank != self.rank]
        told = dict.fromkeys(others, "")
        heard_s = dict.fromkeys(others, time.monotonic())
        count = 0
        while not self.stopped.wait(self.timeout_s / LOOKS):
            count += 1
            try:
                words = self._exchange(count, others)
            except (RuntimeError, dist.DistError):
                if not self.stopped.is_set():
                    self._end("process 0, which leads,")
                return
            now_s = time.monotonic()
            for rank, word in zip(others, words, strict=True):
                if word != told[rank]:
                    told[rank], heard_s[rank] = word, now_s
                if word == FAILED or (word != DONE and now_s - heard_s[rank] > self.timeout_s):
                    self._end(f"process {rank} of {self.size} on {self.hosts[rank]}")
                    return

    def _exchange(self, count: int, others: list[int]) -> list[str]:
        """Tell that this process lives; what the others told."""
        with self.lock:
            if not self.stopped.is_set():
                self.store.set(self._key(self.rank), str(count))
            words = self.store.multi_get([self._key(rank) for rank in others])
            return [bytes(word).decode() for word in words]

    def _end(self, who: str) -> None:
        """End this process, whatever it is doing: an exchange would never return."""
        self.last_words = f"{who} has ended; {ADVICE}"
        self.ended.set()
        if not self.stopped.wait(1.0):  # the main thread is not free to tell it
            sys.stderr.write(f"cardinal: {self.last_words}\n")
            sys.stderr.flush()
            os._exit(FAILURE)

    @staticmethod
    def _key(rank: int) -> str:
        return f"process/{rank}"


def _end_within(seconds: float) -> None:
    """End this process even if its own end hangs, as backends do that wait for their peers.

    Python's threads do not run any more by then; this one is the system's.
    """
    faulthandler.dump_traceback_later(seconds, exit=True, file=open(os.devnull, "w"))  # noqa: SIM115


def _is_broken_exchange(error: Exception) -> bool:
    """Whether a backend lost its peers; an error of ours, or of a model, is not that."""
    if exit_status(error) is not None or not isinstance(error, RuntimeError):
        return False
    return isinstance(error, dist.DistError) or any(
        word in str(error).lower() for word in ("gloo", "nccl", "connection", "peer", "socket")
    )
