"""Reads pickles that hold dicts, tuples, lists, numbers and strings, and runs nothing.

Python's own unpickler calls whatever a file names. This one knows no opcode that names or calls
anything: it walks the opcodes (`pickletools.genops` only parses them) with a stack of its own, so a
hostile file ends in ValueError. Its memory is bounded by the file's size.
"""

import pickletools
from collections.abc import Callable
from typing import Any

MAX_BYTES = 256 * 1024 * 1024

_Step = Callable[["_Machine", Any], None]


def read_pickle(data: bytes) -> Any:
    """The value of a pickle. Raises ValueError for anything but the plain types, with the place."""
    if len(data) > MAX_BYTES:
        raise ValueError(f"a pickle must have at most {MAX_BYTES} bytes; got {len(data)}")
    machine = _Machine()
    position: int | None = 0
    try:
        for opcode, argument, at in pickletools.genops(data):
            position = at
            step = _STEPS.get(opcode.name)
            if step is None:
                named = f" {argument}" if isinstance(argument, str) else ""
                raise ValueError(
                    "a pickle must hold only dicts, tuples, lists, numbers and strings; got "
                    f"opcode {opcode.name}{named[:80]}"
                )
            step(machine, argument)
            if opcode.name == "STOP":
                return machine.result()
    except (ValueError, IndexError, KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"byte {position}: {error}") from error
    raise ValueError("a pickle must end with STOP; got the end of the file")


class _Machine:
    """The stack, the marks in it, and the memo."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def result(self) -> Any:
        if len(self.stack) != 1 or self.marks:
            raise ValueError(f"a pickle must leave one value; got {len(self.stack)}")
        return self.stack[0]

    def take(self, count: int) -> list[Any]:
        """The last `count` values, removed."""
        start = len(self.stack) - count
        if start < (self.marks[-1] if self.marks else 0):
            raise ValueError("a pickle must not take more values than it gave")
        taken = self.stack[start:]
        del self.stack[start:]
        return taken

    def take_marked(self) -> list[Any]:
        """The values since the last mark, removed with it."""
        if not self.marks:
            raise ValueError("a pickle must set a mark before it uses one")
        start = self.marks.pop()
        taken = self.stack[start:]
        del self.stack[start:]
        return taken

    def top(self, kind: type) -> Any:
        """The last value, which must be of this type and stays."""
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise ValueError("a pickle must not use values that it did not give")
        if type(self.stack[-1]) is not kind:
            raise ValueError(f"a pickle must add items to a {kind.__name__}")
        return self.stack[-1]


def _push(machine: _Machine, value: Any) -> None:
    if isinstance(value, (bool, bytes)) or not isinstance(value, (int, float, str)):
        raise ValueError(f"a pickle must hold numbers and strings; got {type(value).__name__}")
    machine.stack.append(value)


def _nothing(machine: _Machine, _: Any) -> None:
    """Protocol, frames and the end: they say nothing about values."""


def _mark(machine: _Machine, _: Any) -> None:
    machine.marks.append(len(machine.stack))


def _tuple_of(count: int) -> _Step:
    return lambda machine, _: machine.stack.append(tuple(machine.take(count)))


def _marked_tuple(machine: _Machine, _: Any) -> None:
    machine.stack.append(tuple(machine.take_marked()))


def _marked_list(machine: _Machine, _: Any) -> None:
    machine.stack.append(machine.take_marked())


def _marked_dict(machine: _Machine, _: Any) -> None:
    machine.stack.append(_paired(machine.take_marked()))


def _append(machine: _Machine, _: Any) -> None:
    items = machine.take(1)
    machine.top(list).extend(items)


def _appends(machine: _Machine, _: Any) -> None:
    items = machine.take_marked()
    machine.top(list).extend(items)


def _set_item(machine: _Machine, _: Any) -> None:
    items = machine.take(2)
    machine.top(dict).update(_paired(items))


def _set_items(machine: _Machine, _: Any) -> None:
    items = machine.take_marked()
    machine.top(dict).update(_paired(items))


def _put(machine: _Machine, index: Any) -> None:
    machine.memo[int(index)] = machine.stack[-1]


def _memoize(machine: _Machine, _: Any) -> None:
    machine.memo[len(machine.memo)] = machine.stack[-1]


def _get(machine: _Machine, index: Any) -> None:
    machine.stack.append(machine.memo[int(index)])


def _paired(items: list[Any]) -> dict[Any, Any]:
    if len(items) % 2:
        raise ValueError("a pickle must give each key a value")
    if not all(map(_is_key, items[::2])):
        raise ValueError("a pickle must have numbers, strings or flat tuples of them as keys")
    return dict(zip(items[::2], items[1::2], strict=True))


def _is_key(value: Any) -> bool:
    """Nested tuples are none: to hash them takes a stack as deep as they are, and without end where
    each holds the one before it twice.
    """
    inside = value if type(value) is tuple else (value,)
    return not any(isinstance(item, (tuple, list, dict)) for item in inside)


_STEPS: dict[str, _Step] = {
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), _nothing),
    **dict.fromkeys(("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"), _push),
    **dict.fromkeys(("FLOAT", "BINFLOAT"), _push),
    **dict.fromkeys(("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"), _push),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _get),
    "MEMOIZE": _memoize,
    "MARK": _mark,
    "EMPTY_TUPLE": _tuple_of(0),
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "TUPLE": _marked_tuple,
    "EMPTY_LIST": lambda machine, _: machine.stack.append([]),
    "LIST": _marked_list,
    "APPEND": _append,
    "APPENDS": _appends,
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    "DICT": _marked_dict,
    "SETITEM": _set_item,
    "SETITEMS": _set_items,
}
