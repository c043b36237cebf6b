"""Colours and type of figures and page, once: matplotlib draws with the light theme's colours, and
the page turns each into a CSS variable, so that the same drawing follows light and dark.

The palette is Okabe and Ito's, darkened or lightened until text in it is readable on its ground;
arms differ in marker and dash as well, so that nothing depends on colour alone.
"""

import io
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# name -> (light, dark); every light value is distinct, because it is what marks the place in an SVG
COLOURS: dict[str, tuple[str, str]] = {
    "ink": ("#16181d", "#eef0f4"),
    "muted": ("#5b616e", "#a4abb8"),
    "grid": ("#e3e6eb", "#2b303a"),
    "paper": ("#fefefe", "#14161b"),
    "chosen": ("#f0f2f5", "#23272f"),  # ground of a list's chosen row, on which names are readable
    "base": ("#6b7280", "#9aa3b2"),
    "sft": ("#c44601", "#ff8f4d"),
    "grpo": ("#0567a8", "#5fb3f5"),
    "good": ("#00795a", "#3ccf9f"),
    "extra1": ("#8b3a86", "#dc8ad6"),
    "extra2": ("#7a6200", "#dcb840"),
    "bad1": ("#d98d2b", "#b8701a"),
    "bad2": ("#e8b96f", "#8a5a20"),
    "bad3": ("#b9a5c9", "#6f5a85"),
    "bad4": ("#ccd0d8", "#474d5a"),
    "bad5": ("#9fb0c0", "#5d6d7e"),
    # Shares of success from none to all, in ten steps. One hue, evenly lighter to darker (OKLab),
    # so that no kind of colour vision and no grey printer mixes up the order; ink is readable on
    # the first six, paper on the last four (contrast at least 4.5), in both themes.
    "heat0": ("#edf6ee", "#172119"),
    "heat1": ("#cde5d4", "#1d3023"),
    "heat2": ("#add4bd", "#21402f"),
    "heat3": ("#89c3a7", "#22503d"),
    "heat4": ("#62b295", "#1f624c"),
    "heat5": ("#2ea285", "#16745d"),
    "heat6": ("#00816d", "#1a9b84"),
    "heat7": ("#006d60", "#4ab8a6"),
    "heat8": ("#00564f", "#6fd4c9"),
    "heat9": ("#00403d", "#94f2eb"),
}
HEAT_STEPS = 10
FIRST_ON_PAPER = 6  # steps of heat from here on carry paper-coloured text
FONTS = "Inter, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
FAULTS = ("bad1", "bad2", "bad3", "bad5", "bad4")


@dataclass(frozen=True, slots=True)
class ArmStyle:
    """How an arm is drawn everywhere."""

    colour: str
    marker: str
    dash: str


ARMS = {
    "base": ArmStyle(COLOURS["base"][0], "D", "-"),
    "sft": ArmStyle(COLOURS["sft"][0], "s", "-"),
    "grpo": ArmStyle(COLOURS["grpo"][0], "o", "-"),
}
POLICIES = tuple(  # of several that were measured, in their order; then again
    ArmStyle(COLOURS[name][0], marker, dash)
    for name, marker, dash in (
        ("grpo", "o", "-"), ("sft", "s", "-"), ("extra1", "^", "--"), ("extra2", "v", "-."),
        ("good", "P", ":"), ("base", "D", "-"),
    )
)  # fmt: skip
OTHERS = (
    ArmStyle(COLOURS["extra1"][0], "^", "--"),
    ArmStyle(COLOURS["extra2"][0], "v", "-."),
)


def light(name: str) -> str:
    """A colour's light value, which is also its mark."""
    return COLOURS[name][0]


def arm_style(arm: str, policies: Collection[str] = ()) -> ArmStyle:
    """Style of an arm; arms beyond the study's share two further styles.

    policies: all that are shown, where they are measured policies and not arms of a comparison.
    """
    if arm in policies:
        return POLICIES[list(policies).index(arm) % len(POLICIES)]
    return ARMS.get(arm) or OTHERS[sum(arm.encode()) % len(OTHERS)]


@contextmanager
def drawing(font_size: float = 10.5) -> Iterator[None]:
    """matplotlib's settings for every figure: no frame, light grid, text kept as text."""
    settings = {
        "font.family": "sans-serif",
        "font.size": font_size,
        "axes.titlesize": font_size * 1.15,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.titlepad": 10,
        "axes.titlecolor": light("ink"),
        "axes.labelcolor": light("muted"),
        "axes.labelsize": font_size * 0.95,
        "axes.edgecolor": light("muted"),
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.facecolor": "none",
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": light("grid"),
        "grid.linewidth": 0.8,
        "figure.facecolor": "none",
        "text.color": light("ink"),
        "xtick.color": light("muted"),
        "ytick.color": light("muted"),
        "xtick.labelsize": font_size * 0.9,
        "ytick.labelsize": font_size * 0.9,
        "xtick.major.size": 0,
        "ytick.major.size": 0,
        "legend.frameon": False,
        "lines.solid_capstyle": "round",
        "lines.solid_joinstyle": "round",
        "svg.fonttype": "none",
    }
    with matplotlib.rc_context(settings):
        yield


def svg_text(figure: Figure, name: str) -> str:
    """A figure as a standalone SVG document; the same figure gives the same bytes."""
    with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        buffer = io.StringIO()
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": "cardinal"})
    return re.sub(r"font-family: [^;\"]*", f"font-family: {FONTS}", buffer.getvalue())


def inline_svg(svg: str, label: str) -> str:
    """An SVG document as an element of the page: themed, scaled by its frame, named for readers.

    label: alternative text; it must hold no characters that HTML would read (`html.escape` it).
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    head, _, rest = body.partition(">")
    head = re.sub(r'\s(?:width|height)="[^"]*"', "", head)
    body = f'{head} role="img" aria-label="{label}">{rest}'
    body = re.sub(r" ?font-family: [^;\"]*;?", "", body)  # the page's own
    for name, (mark, _) in COLOURS.items():
        body = body.replace(mark, f"var(--{name})")
    return body


def css_variables() -> tuple[str, str]:
    """(light, dark) declarations of every colour."""
    return (
        " ".join(f"--{name}: {pair[0]};" for name, pair in COLOURS.items()),
        " ".join(f"--{name}: {pair[1]};" for name, pair in COLOURS.items()),
    )


def page_css() -> str:
    """The look of a run's report, for pages without its scripts: the system's theme decides."""
    bright, dark = css_variables()
    return (
        f":root {{ color-scheme: light; {bright} }}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{ color-scheme: dark; {dark} }} "
        f"}}\n{(files(__package__) / 'page.css').read_text(encoding='utf-8')}\n"
    )
