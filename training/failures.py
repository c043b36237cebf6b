"""Which errors are told in one line, and the exit status of each; all others are bugs of ours.

| What was raised                                 | status |
|-------------------------------------------------|--------|
| ValueError by this package: the user's to mend  | 2      |
| `Failed`, full disk, accelerator out of memory  | 1      |
| anything else is a bug of ours                  | None   |
"""

import errno

PACKAGE = "cardinal_gym"
USAGE, FAILURE = 2, 1


class Failed(Exception):
    """Something went wrong that no setting is to blame for, e.g. a process was killed."""


def exit_status(error: BaseException) -> int | None:
    """Exit status of an error that is told in one line; None for a bug."""
    if isinstance(error, ValueError) and _is_ours(error):
        return USAGE
    if isinstance(error, Failed):
        return FAILURE
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return FAILURE
    if type(error).__name__ == "OutOfMemoryError":  # torch's; not imported for its own sake
        return FAILURE
    return None


def words(error: BaseException) -> str:
    """What an error says, without the number that the system gives it."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else f"{error.strerror}: {error.filename}"
    return str(error)


def _is_ours(error: BaseException) -> bool:
    """Whether this package raised it: a ValueError from inside a library is a bug of ours."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = trace.tb_frame.f_globals.get("__name__", "") if trace is not None else ""
    return module == "__main__" or module.split(".")[0] == PACKAGE
