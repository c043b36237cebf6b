"""Looks: what may be asked for, and what a small canvas makes of it."""

import subprocess
import sys
from dataclasses import fields

import pytest
from cardinal_gym.envs.general_points.render.config import (
    VISUALS,
    Deck,
    Font,
    Layout,
    Palette,
    SuitSet,
    Table,
    VisualConfig,
    as_visual,
)
from cardinal_gym.envs.general_points.render.layout import resolve
from omegaconf import OmegaConf


def test_fields_accept_enum_names():
    visual = VisualConfig(suits="red", deck="court", layout="fan", table="wood", font="brush")
    assert visual.suits is SuitSet.red
    assert visual.deck is Deck.court
    assert visual.layout is Layout.fan
    assert visual.table is Table.wood
    assert visual.font is Font.brush


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("width", 55, "width must be 56 to 1200 pixels; got 55"),
        ("height", 1201, "height must be 56 to 1200 pixels; got 1201"),
        ("width", 224.0, "width must be a whole number of pixels; got 224.0"),
        ("height", True, "height must be a whole number of pixels; got True"),
        ("suits", "blue", "suits must be one of black, red, mixed, recolored; got 'blue'"),
        ("deck", "tarot", "deck must be one of auto, court, drawn, big_index; got 'tarot'"),
        ("table_color", "green", 'table_color must be "auto" or like "#35654d"; got \'green\''),
    ],
)
def test_a_bad_value_says_what_is_allowed(field: str, value: object, message: str):
    with pytest.raises(ValueError) as error:
        VisualConfig(**{field: value})
    assert str(error.value) == message


def test_recolored_suits_refuse_the_classic_palette():
    with pytest.raises(ValueError, match="palette must be other than classic"):
        VisualConfig(suits=SuitSet.recolored, palette=Palette.classic)


def test_a_preset_by_name_is_a_copy_with_changes():
    small = as_visual("red_suits", width=112, height=56)
    assert (small.name, small.width, small.height) == ("red_suits", 112, 56)
    assert VISUALS["red_suits"].width == 224


def test_a_mapping_makes_a_look_and_a_typo_is_named():
    assert as_visual({"suits": "mixed", "width": 560}).suits is SuitSet.mixed
    with pytest.raises(ValueError, match="got colour"):
        as_visual({"colour": "red"})
    with pytest.raises(ValueError, match="visual must be one of black_suits"):
        as_visual("purple_suits")


def test_the_suit_presets_differ_in_nothing_but_suits():
    train = VISUALS["black_suits"]
    for name, suits in (("red_suits", SuitSet.red), ("mixed_suits", SuitSet.mixed)):
        changed = {
            field.name
            for field in fields(VisualConfig)
            if getattr(VISUALS[name], field.name) != getattr(train, field.name)
        }
        assert changed == {"name", "suits"}
        assert VISUALS[name].suits is suits


def test_presets_carry_their_names_and_there_are_harder_ones():
    assert all(visual.name == name for name, visual in VISUALS.items())
    assert len(VISUALS) >= 7


def test_hydra_can_override_a_look():
    config = OmegaConf.merge(OmegaConf.structured(VisualConfig), {"table": "marble", "width": 336})
    visual = OmegaConf.to_object(config)
    assert isinstance(visual, VisualConfig)
    assert (visual.table, visual.width) == (Table.marble, 336)


@pytest.mark.parametrize(
    ("size", "layout", "deck"),
    [
        ((1200, 1200), Layout.row, Deck.court),
        ((224, 224), Layout.row, Deck.big_index),
        ((112, 112), Layout.grid, Deck.big_index),
        ((112, 56), Layout.row, Deck.big_index),
        ((56, 56), Layout.grid, Deck.big_index),
    ],
)
def test_auto_picks_what_can_be_read(size: tuple[int, int], layout: Layout, deck: Deck):
    plan = resolve(VisualConfig(width=size[0], height=size[1]), num_cards=4)
    assert (plan.layout, plan.deck) == (layout, deck)


@pytest.mark.parametrize("deck", [Deck.court, Deck.drawn])
def test_small_cards_of_any_deck_show_a_big_index(deck: Deck):
    plan = resolve(VisualConfig(width=112, height=112, deck=deck, layout=Layout.grid), num_cards=4)
    assert plan.width_px < 56
    assert plan.deck is Deck.big_index


@pytest.mark.parametrize("layout", list(Layout))
@pytest.mark.parametrize("num_cards", range(2, 7))
@pytest.mark.parametrize("size", [(56, 56), (112, 56), (56, 1200), (1200, 56), (224, 224)])
def test_every_card_is_large_enough_to_read(size: tuple[int, int], num_cards: int, layout: Layout):
    plan = resolve(VisualConfig(width=size[0], height=size[1], layout=layout), num_cards)
    assert len(plan.slots) == num_cards
    assert plan.width_px >= 12
    assert plan.height_px >= 15


def test_importing_looks_loads_neither_pillow_nor_opencv():
    code = (
        "import sys; import cardinal_gym.envs.general_points.render as render; "
        "render.VISUALS; print([m for m in ('cv2', 'PIL', 'torch') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
