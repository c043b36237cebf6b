"""Latitude and longitude as metres in a plane, good to a few parts in a thousand within a city."""

import math
from dataclasses import dataclass

EARTH_RADIUS_M = 6_371_008.8
Geocode = tuple[float, float]  # latitude, longitude in degrees
CITY_REACH_M = 100_000.0  # places farther apart belong to different cities
_CITY_SPACING_M = 10_000_000.0  # in the plane, so that no two cities meet


def distance_m(one: Geocode, other: Geocode) -> float:
    """Along the great circle."""
    lat, lat_other = math.radians(one[0]), math.radians(other[0])
    half_lat = (lat_other - lat) / 2
    half_lon = math.radians(other[1] - one[1]) / 2
    chord = math.sin(half_lat) ** 2 + math.cos(lat) * math.cos(lat_other) * math.sin(half_lon) ** 2
    return 2 * EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(chord)))


def bearing_deg(one: Geocode, other: Geocode) -> float:
    """Compass direction from one place to another, in [0, 360)."""
    lat, lat_other = math.radians(one[0]), math.radians(other[0])
    turn = math.radians(other[1] - one[1])
    east = math.sin(turn) * math.cos(lat_other)
    north = math.cos(lat) * math.sin(lat_other) - math.sin(lat) * math.cos(lat_other) * math.cos(
        turn
    )
    return math.degrees(math.atan2(east, north)) % 360.0


def between(one: Geocode, other: Geocode, share: float) -> Geocode:
    """The place at a share of the way, as the study interpolates."""
    return (
        one[0] * (1 - share) + other[0] * share,
        one[1] * (1 - share) + other[1] * share,
    )


@dataclass(frozen=True, slots=True)
class _City:
    center: Geocode
    offset_m: float  # to the east, in the plane


class Plane:
    """Several cities side by side in one plane; within each, distances are as on the ground."""

    def __init__(self) -> None:
        self._cities: list[_City] = []

    def place(self, geocode: Geocode) -> tuple[float, float]:
        """(x, y) in metres; the first place of a new city becomes its centre."""
        city = next((c for c in self._cities if distance_m(c.center, geocode) < CITY_REACH_M), None)
        if city is None:
            city = _City(geocode, _CITY_SPACING_M * len(self._cities))
            self._cities.append(city)
        lat, lon = city.center
        degree = math.radians(1.0) * EARTH_RADIUS_M
        east = (geocode[1] - lon) * degree * math.cos(math.radians(lat))
        return east + city.offset_m, (geocode[0] - lat) * degree
