"""`cardinal view RUN`: episodes of a run in the terminal, with their pictures, or its report.

    cardinal view RUN                         what there is to see, and the report, in a browser
                                              where there is one (written first if need be)
    cardinal view RUN --serve [--port N]      serve the report to this machine's browsers, of the
                                              results as they are at every reload; Ctrl-C ends it
    cardinal view RUN --list [--arm grpo ...] the stored episodes, numbered; --arm and the like list
                                              without --list
    cardinal view RUN --episode 3             one of them, every turn
    cardinal view RUN --episode 3 --save DIR  with its pictures as files

On a colour terminal pictures are drawn with half blocks. A run still in progress can be viewed.
Text of a model is printed without its control characters, which a terminal would obey.
"""

import argparse
import contextlib
import os
import shutil
import sys
import unicodedata
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from .arguments import USAGE_STATUS, ArgumentParser
from .overview import overview
from .report import NotARun, load_run, report
from .report.results import Run
from .report.samples import Sample, picture_path, read_samples
from .serve import ReportServer, is_current, page_of

MAX_PICTURE_COLUMNS = 72
FILTERS = ("arm", "cell", "metric", "outcome")
KEPT_CONTROLS = "\n\t"


class NoSuchEpisode(ValueError):
    """The run has no episode of that number or description."""


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status: 0, or 2 with one line on stderr for what a user got wrong."""
    options = _parser().parse_args(argv)
    try:
        run = load_run(options.run)
        if options.serve:
            _serve(options.run, options.port)
        elif options.list or options.episode is not None or _is_filtered(options):
            _show_episodes(run, options)
        else:
            _open_report(options.run, run)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader (`| head`) has seen enough; nothing more to flush
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (NotARun, NoSuchEpisode, OSError) as error:
        print(f"cardinal view: {error}", file=sys.stderr)
        return USAGE_STATUS
    return 0


def describe(sample: Sample, number: int) -> str:
    """One line about an episode."""
    mark = "✓" if sample.record.get("success") else "✗"
    where = f"{sample.arm} step {sample.step}, {sample.cell}, {sample.metric}"
    task = f"task {sample.record.get('task_id')}, training seed {sample.train_seed}"
    return printable(f"{number:>4} {mark} {where}, {task}: {sample.outcome}")


def transcript(sample: Sample, pictures: Sequence[Sequence[str]] = ()) -> list[str]:
    """Every turn as lines: what the policy saw, what it answered, the verdict and the feedback.

    pictures: for every turn the lines of its picture, where each turn has its own.
    """
    record = sample.record
    lines = [f"rule {record.get('rule')}, look {record.get('visual')}, seed {record.get('seed')}"]
    for number, turn in enumerate(sample.turns, start=1):
        lines += ["", f"--- turn {number}", printable(str(turn.get("observation") or ""))]
        lines += pictures[number - 1] if pictures else []
        lines += [f"> {printable(str(turn.get('answer') or ''))}"]
        terms = turn.get("reward_terms")
        named = terms.items() if isinstance(terms, dict) else ()
        paid = ", ".join(f"{name} {value:g}" for name, value in named if _is_number(value))
        reward = turn.get("reward")
        said = f"{turn.get('outcome')}; reward {reward:g}" if _is_number(reward) else "unjudged"
        lines += [printable(f"= {said}{f' ({paid})' if paid else ''}")]
        if turn.get("feedback"):
            lines += [f"< {printable(str(turn['feedback']))}"]
    ended = f"{record.get('status')}, return {record.get('return')}"
    return [*lines, "", f"{'solved' if record.get('success') else 'not solved'} ({ended})"]


def printable(text: str) -> str:
    """Text without control characters other than line breaks and tabs: escapes stay harmless."""
    kept = (c if c in KEPT_CONTROLS or unicodedata.category(c)[0] != "C" else "�" for c in text)
    return "".join(kept)


def half_blocks(picture: Image.Image, columns: int) -> str:
    """A picture as 24-bit colour text, two pixels to a character cell."""
    columns = max(1, min(columns, picture.width))
    rows = max(1, round(picture.height * columns / picture.width / 2))
    small = picture.convert("RGB").resize((columns, 2 * rows), Image.Resampling.LANCZOS)
    data = small.tobytes()
    pixels = [tuple(data[i : i + 3]) for i in range(0, len(data), 3)]
    lines = []
    for row in range(rows):
        upper = pixels[2 * row * columns : (2 * row + 1) * columns]
        lower = pixels[(2 * row + 1) * columns : (2 * row + 2) * columns]
        cells = (
            "\x1b[38;2;{};{};{}m\x1b[48;2;{};{};{}m▀".format(*above, *below)
            for above, below in zip(upper, lower, strict=True)
        )
        lines.append("".join(cells) + "\x1b[0m")
    return "\n".join(lines)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="cardinal view",
        description="Show a run folder: what it holds and its report, or, with --list or "
        "--episode, its stored episodes in the terminal.",
    )
    parser.add_argument("run", type=Path, help="a run folder, runs/<experiment>/<name>")
    parser.add_argument("-e", "--episode", type=int, metavar="N", help="print episode N")
    parser.add_argument("-l", "--list", action="store_true", help="list the stored episodes")
    parser.add_argument(
        "--serve", action="store_true", help="serve the report on 127.0.0.1, always up to date"
    )
    parser.add_argument("--port", type=int, default=0, help="of --serve; 0: any that is free")
    for name in FILTERS:
        parser.add_argument(f"--{name}", help=f"only episodes of this {name}")
    parser.add_argument("--seed", type=int, help="only episodes of this training seed")
    parser.add_argument("--save", type=Path, metavar="DIR", help="copy the pictures into DIR")
    return parser


def _show_episodes(run: Run, options: argparse.Namespace) -> None:
    samples = list(enumerate(read_samples(run)))
    if not samples:
        raise NoSuchEpisode(f"{options.run} must hold sample episodes; got none")
    if options.episode is None:
        chosen = [(number, each) for number, each in samples if _passes(each, options)]
        if not chosen:
            raise NoSuchEpisode(_nothing_passes(samples, options))
        for number, each in chosen:
            print(describe(each, number))
        return
    if not 0 <= options.episode < len(samples):
        limit = len(samples) - 1
        raise NoSuchEpisode(f"episode must be between 0 and {limit}; got {options.episode}")
    number, sample = samples[options.episode]
    print(describe(sample, number))
    pictures = _pictures(sample, number, options.save)
    own = len(set(pictures) - {()}) > 1  # a picture at every turn; else one, before the first
    for line in () if own else next((each for each in pictures if each), ()):
        print(line)
    print("\n".join(transcript(sample, pictures if own else ())))


def _is_filtered(options: argparse.Namespace) -> bool:
    return options.seed is not None or any(getattr(options, name) for name in FILTERS)


def _passes(sample: Sample, options: argparse.Namespace) -> bool:
    wanted = {name: getattr(options, name) for name in FILTERS if getattr(options, name)}
    if options.seed is not None and sample.train_seed != options.seed:
        return False
    return all(getattr(sample, name) == value for name, value in wanted.items())


def _nothing_passes(samples: Sequence[tuple[int, Sample]], options: argparse.Namespace) -> str:
    """Names the first filter whose value no episode has, and the values there are."""
    for name in FILTERS:
        known = sorted({getattr(each, name) for _, each in samples})
        value = getattr(options, name)
        if value and value not in known:
            return f"{name} must be one of {', '.join(known)}; got {value}"
    return "no stored episode has all of these properties"


def _pictures(sample: Sample, number: int, folder: Path | None) -> list[tuple[str, ...]]:
    """For every turn its picture as lines: drawn where the terminal can, saved where asked, each
    picture once; a turn that shows one again has the same lines, without any there are none."""
    named = [picture_path(sample, turn.get("image")) for turn in sample.turns]
    can_draw = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    told: dict[Path, tuple[str, ...]] = {}
    for place, path in enumerate(dict.fromkeys(path for path in named if path is not None)):
        lines = []
        if can_draw:
            columns = min(MAX_PICTURE_COLUMNS, shutil.get_terminal_size().columns)
            with Image.open(path) as picture:
                lines.append(half_blocks(picture, columns))
        target = path
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            target = folder / f"episode_{number}_{place}.png"
            shutil.copyfile(path, target)
        told[path] = (*lines, f"picture: {target}")
    return [() if path is None else told[path] for path in named]


def _open_report(folder: Path, run: Run) -> None:
    """What there is to see, and the page: as it is if it is newer than the results, else anew."""
    page = page_of(folder) if is_current(folder) else report(folder)
    print(printable("\n".join(overview(run, read_samples(run)))))
    print(f"report: {page}")
    if _has_screen():
        webbrowser.open(page.resolve().as_uri())


def _serve(folder: Path, port: int) -> None:
    """Until Ctrl-C."""
    try:
        server = ReportServer(folder, port)
    except (OSError, OverflowError) as error:
        raise OSError(f"port must be a free one of this machine; got {port}: {error}") from error
    with server:
        print(f"report: {server.url} (Ctrl-C ends it)", flush=True)
        if _has_screen():
            webbrowser.open(server.url)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


def _has_screen() -> bool:
    """Whether a browser window can appear; one for the terminal would take it over."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))


if __name__ == "__main__":
    raise SystemExit(main())
