"""What a city looks like: `LookConfig`, and the named looks `LOOKS`.

A look chooses colours, building stock, light, weather and lettering. It never moves a street, a
lot or a sign, so one route is the same task under every look. Importing this file loads neither
Pillow nor OpenCV nor numba.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import Enum
from typing import Any


class Stock(str, Enum):
    """How houses are built."""

    sash = "sash"  # brick and render, tall sash windows, cornices
    curtain = "curtain"  # glass in bands, flat roofs
    adobe = "adobe"  # plain stucco, small deep windows, parapets
    panel = "panel"  # plaster and stone, double windows, steep roofs
    deco = "deco"  # pastel render, balconies, rounded bands, flat roofs
    timber = "timber"  # half-timbered upper floors, gables towards the sky


class Tree(str, Enum):
    broadleaf = "broadleaf"
    dark = "dark"
    palm = "palm"
    bare = "bare"
    autumn = "autumn"
    cypress = "cypress"


class Weather(str, Enum):
    clear = "clear"
    rain = "rain"
    snow = "snow"
    leaves = "leaves"


class SignStyle(str, Enum):
    painted = "painted"  # a board with a border
    tube = "tube"  # glowing letters on a dark board
    carved = "carved"  # a wooden board with pale letters
    enamel = "enamel"  # a flat board, bold letters
    marquee = "marquee"  # a pale board with rounded ends
    hanging = "hanging"  # a dark board with golden letters


@dataclass(kw_only=True, slots=True)
class LookConfig:
    """One look. Colours are "#rrggbb".

    name: a label for logs and suites.
    stock: see `Stock`. walls: colours of houses. trim: of cornices and window frames' surrounds.
    frames: of window frames. fronts: of shop fronts. roofs: of pitched roofs.
    storey_factor, min_storeys, max_storeys: the city's storeys times the factor, within bounds.
    zenith, middle, horizon: the sky from top to bottom. clouds: share of the sky, 0 to 1.
    cloud_color, haze: colours of clouds and of distance. haze_m: where two thirds is haze.
    sun_azimuth, sun_elevation: degrees. sun: light of a wall that faces the sun, 0 for none; sky:
    light of everything. sun_color, sky_color: their colours.
    lit_windows: share of windows with lights on. glow: how much lights bloom. lamps: light of the
    street lamps on ground and walls. wet: 0 to 1.
    tree, weather: see the enums. snow: the ground is white.
    asphalt, paving, lawn: colours of the ground. stripes: colour of the lines along a street.
    cars: colours. sign_style, fonts: of signs, the first font most often. signs: pairs of board
    and lettering, "#rrggbb/#rrggbb".
    """

    name: str = "custom"
    stock: Stock = Stock.sash
    walls: tuple[str, ...] = ("#a8503f", "#c08552", "#9a8a70", "#cfc4b0", "#7d8ea6", "#8d4438")
    trim: str = "#d9cbb2"
    frames: tuple[str, ...] = ("#eef0ee", "#2f3a3f")
    fronts: tuple[str, ...] = ("#16352c", "#1f2328", "#4a1620", "#22304e", "#5a3a1f")
    roofs: tuple[str, ...] = ("#5b5a5e",)
    storey_factor: float = 1.0
    min_storeys: int = 2
    max_storeys: int = 6
    zenith: str = "#3f7cc4"
    middle: str = "#86b4e2"
    horizon: str = "#dfe9f1"
    clouds: float = 0.5
    cloud_color: str = "#ffffff"
    haze: str = "#c9d7e4"
    haze_m: float = 480.0
    sun_azimuth: float = 215.0
    sun_elevation: float = 50.0
    sun: float = 0.46
    sun_color: str = "#fff3dc"
    sky: float = 0.76
    sky_color: str = "#dfe8ff"
    lit_windows: float = 0.04
    glow: float = 0.0
    lamps: float = 0.0
    wet: float = 0.0
    tree: Tree = Tree.broadleaf
    weather: Weather = Weather.clear
    snow: bool = False
    asphalt: str = "#5f6269"
    paving: str = "#a7a59f"
    lawn: str = "#5f8f3f"
    stripes: str = "#e0b53a"
    cars: tuple[str, ...] = ("#b8352c", "#e2b33c", "#3f7f6a", "#27384f", "#d9dbdc", "#6f7680")
    sign_style: SignStyle = SignStyle.painted
    fonts: tuple[str, ...] = ("zilla-slab", "inter", "dm-serif-display")
    signs: tuple[str, ...] = (
        "#8c1d2c/#fff4df", "#14382e/#f4ead0", "#1d2a4d/#f7f1e0", "#b8741a/#fffaf0",
        "#20242a/#f2e6c8", "#f1e8d2/#7a1f24", "#2f6f86/#ffffff",
    )  # fmt: skip

    def __post_init__(self) -> None:
        """Raises ValueError for a value outside what the fields allow; accepts enums by name."""
        for name, kind in _ENUMS.items():
            setattr(self, name, _member(kind, name, getattr(self, name)))
        for name in _LISTS:
            values = tuple(getattr(self, name))
            if not values:
                raise ValueError(f"{name} must be at least one entry; got none")
            setattr(self, name, values)
        for name in _COLOR_LISTS:
            for value in getattr(self, name):
                _check_color(name, value)
        for name in _COLORS:
            _check_color(name, getattr(self, name))
        for value in self.signs:
            if not re.fullmatch(f"{_HEX}/{_HEX}", str(value)):
                raise ValueError(f'signs must be like "#rrggbb/#rrggbb"; got {value!r}')
        for name in self.fonts:
            if name not in FONTS:
                raise ValueError(f"fonts must be among {', '.join(FONTS)}; got {name!r}")
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ValueError(f"{name} must be a number; got {value!r}")
            if not low <= value <= high:
                raise ValueError(f"{name} must be {low:g} to {high:g}; got {value:g}")
        if not self.min_storeys <= self.max_storeys:
            raise ValueError(
                f"max_storeys must be at least min_storeys ({self.min_storeys}); "
                f"got {self.max_storeys}"
            )


def as_look(value: "str | Mapping[str, Any] | LookConfig", **changes: Any) -> LookConfig:
    """A look of one's own from a preset's name, a mapping of fields or another look.

    A mapping may name a preset as "base": `as_look({"base": "neon", "wet": 0.0})`.
    """
    if isinstance(value, LookConfig):
        return replace(value, **changes)
    if isinstance(value, str):
        if value not in LOOKS:
            raise ValueError(f"look must be one of {', '.join(LOOKS)}; got {value!r}")
        return replace(LOOKS[value], **changes)
    if not isinstance(value, Mapping):
        raise ValueError(f"look must be a name, a mapping or a LookConfig; got {value!r}")
    given = {**value, **changes}
    base = given.pop("base", None)
    known = [field.name for field in fields(LookConfig)]
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ValueError(f"look fields must be among {', '.join(known)}; got {', '.join(unknown)}")
    return as_look(base, **given) if base is not None else LookConfig(**given)


def rgb(color: str) -> tuple[int, int, int]:
    """The parts of "#rrggbb", 0 to 255."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


_HEX = r"#[0-9a-fA-F]{6}"
_ENUMS: dict[str, type[Enum]] = {
    "stock": Stock, "tree": Tree, "weather": Weather, "sign_style": SignStyle,
}  # fmt: skip
_COLOR_LISTS = ("walls", "frames", "fronts", "roofs", "cars")
_LISTS = (*_COLOR_LISTS, "fonts", "signs")
_COLORS = (
    "trim", "zenith", "middle", "horizon", "cloud_color", "haze", "sun_color", "sky_color",
    "asphalt", "paving", "lawn", "stripes",
)  # fmt: skip
_RANGES = {
    "storey_factor": (0.2, 8), "min_storeys": (1, 30), "max_storeys": (1, 40), "clouds": (0, 1),
    "haze_m": (30, 5000), "sun_azimuth": (0, 360), "sun_elevation": (5, 85), "sun": (0, 2),
    "sky": (0, 2), "lit_windows": (0, 1), "glow": (0, 2), "lamps": (0, 2), "wet": (0, 1),
}  # fmt: skip
FONTS = (
    "inter", "oswald", "zilla-slab", "dm-serif-display", "caveat-brush", "rye", "limelight",
    "righteous", "berkshire-swash", "almendra", "archivo-black",
)  # fmt: skip


def _check_color(name: str, value: object) -> None:
    if not re.fullmatch(_HEX, str(value)):
        raise ValueError(f'{name} must be like "#35654d"; got {value!r}')


def _member(kind: type[Enum], field: str, value: object) -> Enum:
    try:
        return kind(value)
    except ValueError:
        names = ", ".join(member.name for member in kind)
        raise ValueError(f"{field} must be one of {names}; got {value!r}") from None


_HARBOR = LookConfig(name="harbor", min_storeys=3)
_NEON = LookConfig(
    name="neon",
    stock=Stock.curtain,
    walls=("#2a2f4a", "#33304f", "#24344d", "#3a2f3f", "#2d3a44"),
    trim="#3d3a55",
    frames=("#191b2a", "#23263a"),
    fronts=("#15151f", "#201725", "#12202a"),
    roofs=("#20202c",),
    storey_factor=2.4, min_storeys=6, max_storeys=18,
    zenith="#1b1440", middle="#5a2c78", horizon="#ff7d86",
    clouds=0.55, cloud_color="#b4508c", haze="#6d3f7c", haze_m=340.0,
    sun=0.0, sky=0.56, sky_color="#c4b4ff",
    lit_windows=0.42, glow=0.75, lamps=0.85, wet=0.75,
    tree=Tree.dark, weather=Weather.rain,
    asphalt="#3a3a48", paving="#6a6678", lawn="#2f5a48", stripes="#d9a83a",
    cars=("#7a1f2a", "#c98a24", "#232a3a", "#4a4f66", "#1f5a5a"),
    sign_style=SignStyle.tube,
    fonts=("righteous", "oswald", "archivo-black"),
    signs=(
        "#140d24/#ff5fc0", "#0d1a24/#52e8ff", "#1c1410/#ffc24a", "#10201a/#6dff9c",
        "#1a1030/#b48cff", "#220f14/#ff6a5e", "#101014/#ffffff",
    ),
)  # fmt: skip
_DESERT = LookConfig(
    name="desert",
    stock=Stock.adobe,
    walls=("#d9a066", "#c9784a", "#e3c08c", "#b8714c", "#ecd9b0", "#cf8f6a"),
    trim="#e9d3a6",
    frames=("#4a2c1c", "#2f4a4a", "#6b4a2c"),
    fronts=("#5a2f1c", "#1f5a54", "#7a5a34", "#3a2418"),
    roofs=("#a8603c",),
    storey_factor=0.7, min_storeys=2, max_storeys=4,
    zenith="#6f9ac0", middle="#cfc0a0", horizon="#ffd08a",
    clouds=0.28, cloud_color="#fff0d4", haze="#eec08a", haze_m=420.0,
    sun_azimuth=255.0, sun_elevation=24.0, sun=0.70, sun_color="#ffc27a",
    sky=0.76, sky_color="#f4dcc4",
    lit_windows=0.05,
    tree=Tree.palm,
    asphalt="#84786c", paving="#cfb491", lawn="#a89c58", stripes="#e6bb46",
    cars=("#c8c0ae", "#3b5f88", "#a03c28", "#d6a23e", "#5a5248"),
    sign_style=SignStyle.carved,
    fonts=("rye", "caveat-brush", "zilla-slab"),
    signs=(
        "#5a2c18/#ffe9c0", "#f3e4bd/#7a2a18", "#1f5a54/#fff0cf", "#8a3a1c/#ffeccd",
        "#3a2418/#f2c878", "#e8c67c/#43210f",
    ),
)  # fmt: skip
_WINTER = LookConfig(
    name="winter",
    stock=Stock.panel,
    walls=("#8b8f96", "#a3968a", "#6e6a70", "#b4b2ac", "#7d6a62", "#8f9aa8"),
    trim="#c9ccd2",
    frames=("#f2f4f6", "#56616e"),
    fronts=("#1f2c44", "#3c2228", "#24342f", "#2b2b30"),
    roofs=("#e6ecf2",),
    min_storeys=3, max_storeys=7,
    zenith="#9aa4b0", middle="#bcc4cc", horizon="#dfe4e9",
    clouds=0.85, cloud_color="#e9edf1", haze="#d3dae1", haze_m=150.0,
    sun=0.0, sky=1.0, sky_color="#eef3ff",
    lit_windows=0.24, glow=0.18,
    tree=Tree.bare, weather=Weather.snow, snow=True,
    asphalt="#868c96", paving="#eef2f6", lawn="#f2f6fa", stripes="#c2a860",
    cars=("#a5262a", "#2f5a4c", "#d2a83a", "#e6eaee", "#39424e"),
    sign_style=SignStyle.enamel,
    fonts=("archivo-black", "inter", "oswald"),
    signs=(
        "#123a7a/#ffffff", "#b3202a/#ffffff", "#1b1d22/#f4f4f4", "#0e5a4a/#ffffff",
        "#f6f2e4/#17305e", "#5a2a6a/#ffffff",
    ),
)  # fmt: skip
_LAGOON = LookConfig(
    name="lagoon",
    stock=Stock.deco,
    walls=("#f6c9c4", "#bfe3d6", "#f7e3ae", "#c3d7f0", "#fbf4ea", "#f2b596", "#d8c7ea"),
    trim="#ffffff",
    frames=("#ffffff", "#2f8f96", "#e8877a"),
    fronts=("#2f8f96", "#e8877a", "#f5f1e6", "#3f6fa8"),
    roofs=("#f2ede2",),
    storey_factor=0.85, min_storeys=2, max_storeys=5,
    zenith="#1f8fd0", middle="#6cc8ea", horizon="#e2f6f4",
    clouds=0.5, haze="#d3eef2", haze_m=600.0,
    sun_azimuth=115.0, sun_elevation=42.0, sun=0.40, sun_color="#fff6e0",
    sky=0.84, sky_color="#f0f6ff",
    lit_windows=0.0,
    tree=Tree.palm,
    asphalt="#777a80", paving="#dccdb8", lawn="#63b062", stripes="#ffffff",
    cars=("#3fb6b2", "#f27f6f", "#f7d35a", "#fdfaf2", "#7fb2e6"),
    sign_style=SignStyle.marquee,
    fonts=("limelight", "righteous", "berkshire-swash"),
    signs=(
        "#fff8ea/#d8455f", "#fff8ea/#14808a", "#d8455f/#fff8ea", "#14808a/#fffbe8",
        "#f7c948/#5a2a52", "#4a3f8c/#ffe9a8",
    ),
)  # fmt: skip
_MAPLE = LookConfig(
    name="maple",
    stock=Stock.timber,
    walls=("#efe3c8", "#e6cfa0", "#d9b48a", "#f1ead9", "#c9a27c", "#dfc9b8"),
    trim="#4a2f20",
    frames=("#5a2f22", "#2f4a34", "#efe6d2"),
    fronts=("#4a2a1c", "#24402c", "#5c1f1f", "#2d3440"),
    roofs=("#8a4530", "#74392c", "#6a4a3c"),
    storey_factor=0.75, min_storeys=2, max_storeys=4,
    zenith="#6f93b4", middle="#b8c2c2", horizon="#f4dcb4",
    clouds=0.6, cloud_color="#f6ead8", haze="#dccdb4", haze_m=230.0,
    sun_azimuth=140.0, sun_elevation=28.0, sun=0.5, sun_color="#ffdca4",
    sky=0.70, sky_color="#efe6e0",
    lit_windows=0.12,
    tree=Tree.autumn, weather=Weather.leaves,
    asphalt="#7a716a", paving="#b5a38c", lawn="#8a9448", stripes="#e9e2d0",
    cars=("#7a2f24", "#35523c", "#c9b48a", "#3d4656", "#a86a2a"),
    sign_style=SignStyle.hanging,
    fonts=("almendra", "berkshire-swash", "dm-serif-display"),
    signs=(
        "#2a1a12/#f0c860", "#1f3a28/#f2d890", "#4a1418/#f6d894", "#1f2c44/#f0d080",
        "#efe0bc/#4a1f14",
    ),
)  # fmt: skip
LOOKS: dict[str, LookConfig] = {
    look.name: look for look in (_HARBOR, _NEON, _DESERT, _WINTER, _LAGOON, _MAPLE)
}
