"""`cardinal play`: a person plays any environment in the terminal, as a policy would see it.

Pictures are saved, and opened where the machine has a screen. An answer is whatever a model could
write, or the shorthand that the legend names: a bare formula, a bare action. A shorthand says
nothing about what was seen, so it earns nothing for that. In street navigation the arrow keys walk
(see `streets.py`).
"""

import contextlib
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import gymnasium as gym
import numpy as np

from .. import envs  # noqa: F401  registers the environments
from ..envs.core import LanguageEnv
from .launch import command
from .schema import PlayConfig

if TYPE_CHECKING:
    from ..envs.street_nav.env import StreetNavEnv

GIVE_UP, LEAVE, LEGEND = "?", ("q", "quit", "exit"), ("h", "help")
HELP = (
    f"Type your answer; {GIVE_UP} shows a solution and goes on; "
    f"{LEGEND[1]} shows the rules again; {LEAVE[0]} or Ctrl-D leaves."
)


@dataclass(slots=True)
class Score:
    """Tasks of one sitting: those ended and, of these, solved; and those left amid answering."""

    solved: int = 0
    ended: int = 0
    unfinished: int = 0

    def __str__(self) -> str:
        begun = self.ended + self.unfinished
        left = f" ({self.unfinished} left unfinished)" if self.unfinished else ""
        return f"{self.solved} of {begun} {'task' if begun == 1 else 'tasks'} solved{left}"


@command("play", on_interrupt="left")
def main(config: PlayConfig) -> None:
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  line editing and history for input()
    is_walk = hasattr(config.env, "wording")  # street navigation
    env = gym.make(config.env.id, config=config.env, render_mode="rgb_array" if is_walk else None)
    if config.window or config.export is not None:
        if not is_walk:
            raise ValueError("window and export must be left out for games of the terminal")
        walk_in_pictures(env, config)
        return
    print(HELP)
    score = Score()
    try:
        while config.hands is None or score.ended < config.hands:
            score.solved += play_hand(env, config, number=score.ended)
            score.ended += 1
    except EOFError:
        score.unfinished = int(_game(env).num_answers > 0)
        print()
    print(score)


def play_hand(env: gym.Env[Any, Any], config: PlayConfig, number: int) -> bool:
    """One episode; whether it was solved. EOFError when the player leaves."""
    observation, info = env.reset(seed=config.seed if number == 0 else None)
    if number == 0:
        print(f"\n{_game(env).legend()}")
    print(f"\n--- {number + 1} ---")
    if hasattr(config.env, "wording"):
        from .streets import KEYS_HELP, can_read_keys, walk_in_terminal

        if can_read_keys():
            print(KEYS_HELP)
            return walk_in_terminal(cast("StreetNavEnv", env.unwrapped), observation, info)
    while True:
        print(observation["update"])
        if "image" in observation and "turn" not in info:
            show_picture(observation["image"], config, number)
        text = ask(_game(env))
        if text == GIVE_UP:
            print(_game(env).oracle_action())
            return False
        answer = _game(env).spelt_out(text)
        observation, reward, terminated, truncated, info = env.step(answer)
        print(verdict_line(float(reward), info))
        if terminated or truncated:
            return bool(info["success"])


def ask(game: LanguageEnv) -> str:
    """What is typed, asked for again until it is an answer or gives up; EOFError to leave."""
    while True:
        text = input("> ").strip()
        if text in LEAVE:
            raise EOFError
        if text in LEGEND:
            print(game.legend())
        if not text:
            print(HELP)
        elif text not in LEGEND:
            return text


def walk_in_pictures(env: gym.Env[Any, Any], config: PlayConfig) -> None:
    """Street navigation as a film, or in a window until it is closed."""
    from . import streets

    walking = cast("StreetNavEnv", env.unwrapped)
    if config.export is not None:
        for path in streets.export_walk(walking, config.seed, Path(config.export).expanduser()):
            print(path)
        return
    seeds = iter([config.seed])
    solved, played = streets.walk_in_window(
        walking, lambda: walking.reset(seed=next(seeds, None))[0]
    )
    print(Score(solved, played, unfinished=int(walking.num_answers > 0)))


def verdict_line(reward: float, info: Mapping[str, Any]) -> str:
    terms = ", ".join(f"{name} {value:g}" for name, value in info["reward_terms"].items())
    return f"{info['outcome'].replace('_', ' ')}; reward {reward:g} ({terms})"


def show_picture(picture: np.ndarray, config: PlayConfig, number: int) -> None:
    """Save one observation, uint8 [H, W, 3], and open it if there is a screen."""
    from PIL import Image  # text games need none

    config.pictures = config.pictures or tempfile.mkdtemp(prefix="cardinal-play-")
    folder = Path(config.pictures)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{number + 1:03d}.png"
        image = Image.fromarray(picture)
        image.save(path)
    except OSError as error:
        raise ValueError(
            f"pictures must be a folder that can be written; got {folder}: {error.strerror}"
        ) from error
    print(f"Picture: {path}")
    if config.open_pictures and _has_screen():
        image.show()


def _game(env: gym.Env[Any, Any]) -> LanguageEnv:
    return cast(LanguageEnv, env.unwrapped)


def _has_screen() -> bool:
    if sys.platform.startswith("linux"):
        return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return True


if __name__ == "__main__":
    main()
