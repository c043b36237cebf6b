"""What a program prints: help with notes beside the settings, and a reader that goes away."""

import io
import os
import select
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout

from .help_notes import with_notes
from .schema import ROOTS

HELP_FLAGS = ("--help", "-h")


@contextmanager
def notes_beside_help(arguments: Sequence[str]) -> Iterator[None]:
    """What Hydra prints as help, with the meaning of each setting."""
    if not any(flag in arguments for flag in HELP_FLAGS):
        yield
        return
    try:
        with redirect_stdout(io.StringIO()) as printed:
            yield  # ends the program
    finally:
        sys.stdout.write(with_notes(printed.getvalue(), ROOTS))
        sys.stdout.flush()


def reader_has_left() -> bool:
    """Whether nobody reads what is printed any more (`| head`); the rest then goes nowhere."""
    try:
        out = sys.stdout.fileno()
        listener = select.poll()
        listener.register(out, 0)  # POLLERR, the pipe without a reader, is told in any case
        left = any(event & select.POLLERR for _, event in listener.poll(0))
    except (OSError, AttributeError):  # no file behind it, or a system without poll
        return False
    if left:
        os.dup2(os.open(os.devnull, os.O_WRONLY), out)
    return left
