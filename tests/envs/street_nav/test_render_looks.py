"""Looks: six presets, each its own; mistakes are named."""

import subprocess
import sys
from dataclasses import fields

import pytest
from cardinal_gym.envs.street_nav.render import LOOKS, LookConfig, as_look
from cardinal_gym.envs.street_nav.render.config import FONTS, rgb


def test_there_are_six_looks_that_share_neither_walls_nor_sky_nor_lettering() -> None:
    looks = list(LOOKS.values())
    assert len(looks) == 6
    for field in ("walls", "zenith", "stock", "sign_style", "fonts", "asphalt"):
        assert len({getattr(look, field) for look in looks}) == 6, field


def test_a_look_is_named_or_described() -> None:
    assert as_look("neon") == LOOKS["neon"]
    assert as_look("neon") is not LOOKS["neon"]
    assert as_look(LOOKS["desert"], clouds=0.0).clouds == 0.0
    assert as_look({"stock": "adobe", "walls": ["#aabbcc"]}).walls == ("#aabbcc",)
    dry = as_look({"base": "neon", "wet": 0.0})
    assert dry.wet == 0.0
    assert dry.walls == LOOKS["neon"].walls


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("gothic", "look must be one of harbor, neon"),
        (3, "look must be a name, a mapping or a LookConfig; got 3"),
        ({"colour": "red"}, "look fields must be among name, stock"),
        ({"stock": "igloo"}, "stock must be one of sash, curtain"),
        ({"walls": ["red"]}, "walls must be like \"#35654d\"; got 'red'"),
        ({"walls": []}, "walls must be at least one entry"),
        ({"haze": "#12"}, "haze must be like"),
        ({"signs": ["#000000"]}, "signs must be like"),
        ({"fonts": ["comic"]}, "fonts must be among inter"),
        ({"sun_elevation": 90}, "sun_elevation must be 5 to 85; got 90"),
        ({"wet": "yes"}, "wet must be a number; got 'yes'"),
        ({"min_storeys": 5, "max_storeys": 3}, r"max_storeys must be at least min_storeys \(5\)"),
    ],
)
def test_a_mistake_in_a_look_is_named(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_look(value)  # type: ignore[arg-type]


def test_every_field_is_described() -> None:
    text = LookConfig.__doc__ or ""
    for field in fields(LookConfig):
        assert field.name in text, field.name


def test_colors_are_read() -> None:
    assert rgb("#ff8001") == (255, 128, 1)
    assert "inter" in FONTS


def test_naming_a_look_loads_nothing_that_draws() -> None:
    code = (
        "import sys; from cardinal_gym.envs.street_nav.render import as_look; as_look('neon');"
        "bad = {'cv2', 'numba', 'PIL'} & set(sys.modules); assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
