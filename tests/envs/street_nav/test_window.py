"""Walking in a window, with a stand-in for the screen: the same keys, pictures and counts."""

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cardinal_gym.envs.street_nav.env import StreetNavEnv
from cardinal_gym.training.streets import walk_in_window
from grid_world import GridWorld
from PIL import Image

Press = Callable[..., None]


class Screen:
    """What a person would see and do: pictures and texts in order, keys from a script."""

    def __init__(self, keys: Callable[["Screen"], None]) -> None:
        self.keys, self.pictures, self.texts = keys, [], []
        self.press: Press = lambda *_: None
        self.is_open, self.title = True, ""


def on_screen(monkeypatch: pytest.MonkeyPatch, keys: Callable[[Screen], None]) -> Screen:
    screen = Screen(keys)

    class Window:
        def title(self, text: str) -> None:
            screen.title = text

        def bind(self, what: str, handler: Callable[[Any], None]) -> None:
            assert what == "<Key>"
            screen.press = lambda keysym, char="": handler(
                SimpleNamespace(keysym=keysym, char=char)
            )

        def destroy(self) -> None:
            screen.is_open = False

        def mainloop(self) -> None:
            screen.keys(screen)

    class Label:
        def __init__(self, window: Window, **_: Any) -> None:
            assert isinstance(window, Window)

        def pack(self) -> None:
            return

        def configure(self, image: Any = None, text: str | None = None) -> None:
            if image is not None:
                screen.pictures.append(np.asarray(image))
            if text is not None:
                screen.texts.append(text)

    tkinter = ModuleType("tkinter")
    tkinter.Tk, tkinter.Label, tkinter.TclError = Window, Label, RuntimeError  # type: ignore
    imagetk = ModuleType("PIL.ImageTk")

    def photo(picture: Image.Image, master: Window) -> Image.Image:
        assert isinstance(master, Window)
        return picture

    imagetk.PhotoImage = photo  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tkinter", tkinter)
    monkeypatch.setitem(sys.modules, "PIL.ImageTk", imagetk)
    monkeypatch.setattr("PIL.ImageTk", imagetk, raising=False)
    return screen


def street() -> StreetNavEnv:
    return StreetNavEnv(
        streets=GridWorld(), split="all", modality="image", mode="free", render_mode="rgb_array",
        views={"size": 28},
    )  # fmt: skip


def test_arrow_keys_walk_and_the_picture_and_text_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    env = street()

    def keys(screen: Screen) -> None:
        assert len(screen.pictures) == len(screen.texts) == 1
        for keysym in ("Right", "Return", "Up", "Left", "Return"):
            screen.press(keysym)
        screen.press("x", "x")  # means nothing
        screen.press("question", "?")
        screen.press("q", "q")

    screen = on_screen(monkeypatch, keys)
    assert walk_in_window(env, lambda: env.reset(seed=3)[0]) == (0, 0)
    assert not screen.is_open
    assert "play" in screen.title
    assert len(screen.pictures) == len(screen.texts) > 4
    assert all(picture.shape == env.render().shape for picture in screen.pictures)
    assert any(not np.array_equal(screen.pictures[0], other) for other in screen.pictures[1:])
    assert '"action"' in screen.texts[-1]  # the hint


def test_an_episode_that_ends_is_counted_and_the_next_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    env, dealt = street(), []

    def deal() -> dict[str, Any]:
        dealt.append(env.reset(seed=len(dealt))[0])
        return dealt[-1]

    def keys(screen: Screen) -> None:
        screen.press("space", " ")  # stops where the walk begins
        screen.press("q", "q")

    screen = on_screen(monkeypatch, keys)
    assert walk_in_window(env, deal) == (0, 1)
    assert len(dealt) == 2
    assert screen.texts[-1].startswith("premature stop\n\n" + dealt[1]["text"])
