"""Walking by hand: arrow keys in the terminal or in a window.

    left, right    mark a street that leads away from here
    Enter          turn to the marked street
    up             walk on
    Space          stop: I am there
    m, ?, q        show a map (terminal), show the right answer, leave

Every key but the marking ones is one answer, judged as a policy's would be.
"""

import os
import re
import shutil
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..envs.street_nav.actions import (
    FORWARD,
    STOP,
    TURN_RULES,
    signed_turn,
    turn,
    whole_degrees,
)
from ..envs.street_nav.env import StreetNavEnv
from ..envs.street_nav.walk import way_ahead

KEYS_HELP = (
    "left/right: mark a street, Enter: turn there, up: walk on, Space: stop, m: map, q: leave"
)
MAX_COLUMNS = 160
MAP_PX = 1000
_ESCAPES = {
    "\x1b[A": "up", "\x1b[C": "right", "\x1b[D": "left",
    "\x1bOA": "up", "\x1bOC": "right", "\x1bOD": "left",
    "\r": "enter", "\n": "enter", " ": "space", "\x03": "q", "\x04": "q",
}  # fmt: skip


class Walker:
    """The streets at the present place, one of them marked; keys become answers."""

    def __init__(self, env: StreetNavEnv) -> None:
        self._env = env
        self._turns = TURN_RULES[env.config.rule]
        self.look()

    def look(self) -> None:
        """Take in a new place: mark the street ahead."""
        scene = self._env.walk.scene
        exits = self._env.world.exits(scene.node)
        ahead = way_ahead(scene.facing, exits)
        self._facing = scene.facing
        self.ways = sorted({whole_degrees(heading) for heading in exits.values()})
        marked = scene.facing if ahead is None else whole_degrees(exits[ahead])
        self._marked = self.ways.index(marked) if marked in self.ways else 0

    def press(self, key: str) -> str | None:
        """The action of a key; None for one that only moves the mark or means nothing."""
        if key in ("left", "right") and self.ways:
            step = 1 if key == "right" else -1
            self._marked = (self._marked + step) % len(self.ways)
        if key == "enter" and self.ways:
            return turn(self._turns.word(self._facing, self.ways[self._marked]))
        return {"up": FORWARD, "space": STOP}.get(key)

    def ways_line(self) -> str:
        """The streets as angles from where the walker looks, the marked one in brackets."""
        angles = [f"{signed_turn(self._facing, way):+d}" for way in self.ways]
        angles[self._marked : self._marked + 1] = [f"[{angles[self._marked]}]"] if angles else []
        return f"streets: {'  '.join(angles)}"


def walk_in_terminal(env: StreetNavEnv, observation: dict[str, Any], info: dict[str, Any]) -> bool:
    """One episode after its reset; whether it was solved. EOFError when the player leaves."""
    walker = Walker(env)
    _show(observation["text"], observation)
    with _raw_keys() as read_key:
        while True:
            sys.stdout.write(f"\r\x1b[K{walker.ways_line()}  ")
            sys.stdout.flush()
            key = read_key()
            if key == "q":
                raise EOFError
            if key == "?":
                sys.stdout.write(f"\n{env.oracle_action()}\n")
            if key == "m":
                _show("", {"image": env.render()})
            action = walker.press(key)
            if action is None:
                continue
            observation, reward, terminated, truncated, info = env.step(env.walk.answer(action))
            sys.stdout.write(
                f"\n{action}: {info['outcome'].replace('_', ' ')}; reward {reward:g}\n"
            )
            if terminated or truncated:
                return bool(info["success"])
            _show(observation["update"], observation)
            walker.look()


def walk_in_window(env: StreetNavEnv, deal: Callable[[], dict[str, Any]]) -> tuple[int, int]:
    """Episodes in a window until it is closed: (solved, played).

    deal: resets the environment. Raises ValueError where no window can be opened.
    """
    try:
        import tkinter
    except ImportError as error:
        raise ValueError(f"window must be false on a machine without tkinter: {error}") from error
    try:
        window = tkinter.Tk()
    except tkinter.TclError as error:
        raise ValueError(f"window must be false on a machine without a screen: {error}") from error
    return _Window(window, env, deal).run()


def export_walk(env: StreetNavEnv, seed: int | None, path: Path) -> list[Path]:
    """Films the right way through one route as `path` (.gif or .mp4), with a map of it beside.

    Returns the files. Raises ValueError for another ending or where nothing can be written.
    """
    from PIL import Image

    from ..envs.street_nav.render.film import save_film

    env.reset(seed=seed)
    plan = path.with_name(f"{path.stem}_map.png")
    try:
        Image.fromarray(env.map(MAP_PX)).save(plan)
        frames, is_over = [env.render()], False
        while not is_over:
            _, _, terminated, truncated, _ = env.step(env.oracle_action())
            is_over = terminated or truncated
            if not is_over:  # the last answer moves nothing
                frames.append(env.render())
        save_film(frames, path)
    except OSError as error:
        told = f"export must be a file that can be written; got {path}: {error}"
        raise ValueError(told) from error
    return [path, plan]


class _Window:
    """A picture, the text below it, and the keys."""

    def __init__(self, window: Any, env: StreetNavEnv, deal: Callable[[], dict[str, Any]]) -> None:
        import tkinter

        self._window, self._env, self._deal = window, env, deal
        self.solved = self.played = 0
        window.title("cardinal play: " + KEYS_HELP)
        self._picture = tkinter.Label(window)
        self._picture.pack()
        self._text = tkinter.Label(window, justify="left", wraplength=900)
        self._text.pack()
        window.bind("<Key>", self._press)
        self._begin("")

    def run(self) -> tuple[int, int]:
        self._window.mainloop()
        return self.solved, self.played

    def _begin(self, before: str) -> None:
        self._said = before + self._deal()["text"]
        self._walker = Walker(self._env)
        self._draw()

    def _press(self, event: Any) -> None:
        key = {"Left": "left", "Right": "right", "Up": "up", "Return": "enter"}.get(event.keysym)
        key = key or _ESCAPES.get(event.char, event.char)
        if key == "q":
            self._window.destroy()
            return
        if key == "?":
            self._said = self._env.oracle_action()
        action = self._walker.press(key)
        if action is not None:
            answer = self._env.walk.answer(action)
            observation, _, terminated, truncated, info = self._env.step(answer)
            if terminated or truncated:
                self.played += 1
                self.solved += bool(info["success"])
                self._begin(f"{info['outcome'].replace('_', ' ')}\n\n")
                return
            self._said = observation["update"]
            self._walker.look()
        self._draw()

    def _draw(self) -> None:
        from PIL import Image, ImageTk

        self._image = ImageTk.PhotoImage(Image.fromarray(self._env.render()), master=self._window)
        self._picture.configure(image=self._image)
        self._text.configure(text=f"{self._said}\n\n{self._walker.ways_line()}")


def half_blocks(picture: np.ndarray, columns: int) -> str:
    """A picture, uint8 [H, W, 3], in coloured half blocks for a terminal of so many columns."""
    from PIL import Image

    rows = max(2, round(columns * picture.shape[0] / picture.shape[1] / 2) * 2)
    small = np.asarray(Image.fromarray(picture).resize((columns, rows), Image.Resampling.BOX))
    lines = []
    for upper, lower in zip(small[::2].tolist(), small[1::2].tolist(), strict=True):
        cells = [
            f"\x1b[38;2;{r};{g};{b};48;2;{u};{v};{w}m▀"
            for (r, g, b), (u, v, w) in zip(upper, lower, strict=True)
        ]
        lines.append("".join(cells) + "\x1b[0m")
    return "\n".join(lines)


def can_read_keys() -> bool:
    """Whether this terminal gives single keys."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.name == "posix"


def _show(text: str, observation: dict[str, Any]) -> None:
    if "image" in observation:
        columns = min(MAX_COLUMNS, shutil.get_terminal_size().columns - 1)
        sys.stdout.write("\n" + half_blocks(observation["image"], columns))
    sys.stdout.write(f"\n{text}\n")


@contextmanager
def _raw_keys() -> Iterator[Callable[[], str]]:
    """A function that waits for a key and names it; the terminal is restored at the end."""
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    waiting: deque[str] = deque()

    def read_key() -> str:
        while not waiting:
            waiting.extend(key_names(os.read(descriptor, 1024).decode(errors="ignore")))
        return waiting.popleft()

    try:
        tty.setcbreak(descriptor)
        yield read_key
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def key_names(typed: str) -> list[str]:
    """The keys in what a terminal sent at once: several, where one is held; `q` at its end."""
    keys = re.findall(r"\x1b[\[O].|.", typed, flags=re.DOTALL)
    return [_ESCAPES.get(key, key) for key in keys] or ["q"]
