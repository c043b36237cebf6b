"""Names of streets and landmarks: plain words, unique in a city.

`LANDMARK_WORDS` and `STREET_WORDS` hold every word that can occur, for vocabularies.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .scene import LotKind, SignKind, StreetClass


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_STREET_HEADS = _words(
    "Alder Anchor Ash Baker Beacon Birch Bishop Bridge Canal Cannon Castle Cedar Chapel "
    "Chestnut Church Clay Coral Court Crown Dock Elm Ferry Fleet Foundry Fountain Garden Gate "
    "Glass Hazel Hill Holly Juniper King Lake Laurel Linden Maple Market Mason Mill Mint Olive "
    "Orchard Palace Pearl Pine Poplar Port Queen Quarry River Salt Saddler School Ship Spring "
    "Station Sycamore Temple Tower Union Valley Vine Walnut Water Weaver Wharf Willow Windsor"
)
_STREET_ENDINGS = {
    StreetClass.lane: ("Lane", "Row", "Way"),
    StreetClass.street: ("Street", "Road", "Drive"),
    StreetClass.avenue: ("Avenue",),
    StreetClass.boulevard: ("Boulevard",),
}

_HEADS = _words(
    "Amber Apollo Arrow Aspen Atlas Aurora Avalon Azure Balcony Bamboo Banjo Basil Bayside "
    "Bella Berry Bluebird Bonfire Brass Brick Bronze Buttons Cactus Calypso Camel Candle "
    "Captain Cobalt Coconut Comet Compass Copper Cosmos Cricket Crimson Crystal Daisy Dakota "
    "Dolphin Domino Dragon Eagle Echo Eclipse Ember Emerald Falcon Feather Fiddle Firefly Fjord "
    "Flamingo Fox Galaxy Gecko Ginger Globe Golden Granite Griffin Harvest Hawk Heron Hickory "
    "Hummingbird Indigo Iris Ivory Jade Jasmine Jolly Jupiter Karma Kettle Kiwi Lantern "
    "Lavender Lemon Leopard Lighthouse Lily Lobster Lotus Lucky Lunar Magnolia Mango Marigold "
    "Marlin Meadow Melody Mercury Merlin Mermaid Mirror Monarch Moonlight Mosaic Mustang "
    "Nautilus Nectar Neptune Nimbus Nomad Oasis Ocean Onyx Opal Orchid Orion Osprey Otter Owl "
    "Panda Panther Paprika Parrot Peacock Pelican Penguin Pepper Phoenix Pilgrim Pioneer Plum "
    "Polar Prairie Prism Puffin Quartz Quill Rabbit Raven Robin Rocket Rosewood Ruby Saffron "
    "Sapphire Scarlet Seagull Sequoia Shamrock Sierra Silver Solar Sparrow Sphinx Starling "
    "Summit Sunrise Swan Tango Teal Thistle Thunder Tiger Topaz Tulip Turtle Twilight Velvet "
    "Venus Violet Viking Vulcan Walrus Whale Wizard Yarrow Zebra Zenith Zephyr"
)


@dataclass(frozen=True, slots=True)
class Category:
    """A kind of landmark.

    endings: the second word of its names. lots: kinds of building that it may stand in, none for
    those that stand in parks and squares. signs: with their weights. weight: how common it is.
    """

    endings: tuple[str, ...]
    lots: tuple[LotKind, ...]
    signs: dict[SignKind, float]
    weight: float = 1.0


_SHOP = {SignKind.fascia: 3.0, SignKind.blade: 1.0, SignKind.awning: 1.0}
_BOARD = {SignKind.fascia: 4.0, SignKind.blade: 1.0}
_LOW = {SignKind.rooftop: 3.0, SignKind.fascia: 2.0}
_TENT = {SignKind.awning: 2.0, SignKind.fascia: 1.0, SignKind.blade: 1.0}
_STAND = {SignKind.monument: 1.0}
_S, _H, _O, _T, _C, _W = LotKind
CATEGORIES: dict[str, Category] = {
    "cafe": Category(("Cafe", "Coffee"), (_S, _H, _O), _TENT, 1.5),
    "bakery": Category(("Bakery",), (_S, _H), _TENT, 1.2),
    "restaurant": Category(("Grill", "Diner", "Bistro"), (_S, _O), _SHOP, 1.5),
    "pizza": Category(("Pizza",), (_S,), _SHOP),
    "books": Category(("Books",), (_S, _H), _SHOP, 1.2),
    "pharmacy": Category(("Pharmacy",), (_S, _O), _BOARD, 1.2),
    "grocery": Category(("Market", "Grocery"), (_S, _W), _SHOP, 1.2),
    "flowers": Category(("Flowers",), (_S, _H), _TENT),
    "bikes": Category(("Bikes",), (_S, _W), _SHOP),
    "toys": Category(("Toys",), (_S,), _SHOP),
    "music": Category(("Music",), (_S,), _BOARD),
    "tailor": Category(("Tailor",), (_S, _H), _SHOP),
    "barber": Category(("Barber",), (_S, _H), _BOARD),
    "optician": Category(("Optics",), (_S, _O), _BOARD),
    "pub": Category(("Tavern", "Inn"), (_S, _H), _BOARD),
    "bank": Category(("Bank",), (_O, _T), _BOARD, 1.2),
    "hotel": Category(("Hotel",), (_O, _T), _BOARD, 1.5),
    "clinic": Category(("Clinic",), (_O, _C), _BOARD),
    "gallery": Category(("Gallery",), (_C, _S), _BOARD),
    "museum": Category(("Museum",), (_C,), _LOW),
    "library": Category(("Library",), (_C,), {SignKind.fascia: 1.0}),
    "theatre": Category(("Theatre", "Cinema"), (_C, _W), _LOW, 1.2),
    "school": Category(("School", "Academy"), (_C,), {SignKind.fascia: 1.0}),
    "gym": Category(("Gym",), (_W, _O), _LOW),
    "garage": Category(("Garage", "Motors"), (_W,), _LOW, 1.2),
    "brewery": Category(("Brewery",), (_W,), _LOW),
    "hardware": Category(("Tools",), (_W, _S), _LOW),
    "park": Category(("Park", "Garden"), (), _STAND, 2.0),
    "square": Category(("Square", "Plaza"), (), _STAND),
    "memorial": Category(("Memorial", "Fountain"), (), _STAND),
}

LANDMARK_WORDS: tuple[str, ...] = tuple(
    sorted({*_HEADS, *(word for category in CATEGORIES.values() for word in category.endings)})
)
STREET_WORDS: tuple[str, ...] = tuple(
    sorted({*_STREET_HEADS, *(word for words in _STREET_ENDINGS.values() for word in words)})
)


def draw_street_names(rng: np.random.Generator, classes: Sequence[StreetClass]) -> tuple[str, ...]:
    """A name per street; no two share their first word."""
    heads = rng.permutation(len(_STREET_HEADS))[: len(classes)]
    endings = [_STREET_ENDINGS[kind] for kind in classes]
    return tuple(
        f"{_STREET_HEADS[head]} {words[int(rng.integers(len(words)))]}"
        for head, words in zip(heads, endings, strict=True)
    )


def draw_heads(rng: np.random.Generator, count: int) -> list[str]:
    """First words of landmark names, all different."""
    return [_HEADS[index] for index in rng.permutation(len(_HEADS))[:count]]
