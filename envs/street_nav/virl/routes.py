"""One route of V-IRL's data as the rail needs it: places with panoramas, legs, landmarks.

Read of a route: `start_place.relocated_geocode` (else `geocode`), `init_heading` (absent or 0:
drawn), `dest_place`, `route_results.geocode_list` (the ends of the legs, the last is the
destination), and the optional `milestone_info`. Without milestones the headings follow from the
places, and `route_results.landmark_list` names the landmarks.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .geodesy import Geocode, bearing_deg, between, distance_m
from .mapping import PanoramaMap, as_geocode
from .milestones import Milestone, read_milestones
from .problems import told

POINTS_PER_LEG = 5  # the study's straight_line_length
MIN_LEG_M = 5.0  # of legs that have points in between
MAX_LEGS = 100
MAX_HEADING_DEG = 1e6  # whatever the number of full turns


@dataclass(frozen=True, slots=True)
class RailPlace:
    """geocode: of the panorama, not of the place that was asked for."""

    panorama: str
    geocode: Geocode


@dataclass(frozen=True, slots=True)
class Leg:
    """heading: of the whole leg. between: places that may be passed. end: where it ends.

    landmark: stands at the end, `side` degrees clockwise from the leg's heading; or None.
    """

    heading: float
    between: tuple[RailPlace, ...]
    end: RailPlace
    landmark: str | None
    side: float


@dataclass(frozen=True, slots=True)
class VirlRoute:
    """id: hash of the ends of all legs. init_heading: None where it is to be drawn."""

    id: str
    start: RailPlace
    legs: tuple[Leg, ...]
    init_heading: float | None
    destination: str

    @property
    def places(self) -> list[RailPlace]:
        """From the start to the destination."""
        return [self.start, *(place for leg in self.legs for place in (*leg.between, leg.end))]


def read_route(info: Any, panoramas: PanoramaMap) -> VirlRoute:
    """A sound route. Raises ValueError that names the key for the first thing that is wrong."""
    if not isinstance(info, Mapping):
        raise ValueError(f"must be an object; got {type(info).__name__}")
    ends = [_start(info), *_ends(info)]
    if len(ends) > 2 and ends[0] == ends[1]:
        del ends[1]  # some lists begin with the start
    milestones = _milestones(info, ends)
    places = [_place(geocode, panoramas) for geocode in ends]
    legs = []
    for number, milestone in enumerate(milestones):
        passed = _between(ends[number], ends[number + 1], panoramas)
        end = places[number + 1]
        legs.append(Leg(milestone.heading, passed, end, milestone.landmark, milestone.side))
    return VirlRoute(
        id=_route_id(ends),
        start=places[0],
        legs=tuple(legs),
        init_heading=_init_heading(info),
        destination=_name(info.get("dest_place")) or legs[-1].landmark or "the destination",
    )


def _start(info: Mapping[str, Any]) -> Geocode:
    place = info.get("start_place")
    found = None
    if isinstance(place, Mapping):
        relocated = place.get("relocated_geocode")
        found = as_geocode(place.get("geocode") if relocated is None else relocated)
    if found is None:
        raise ValueError("start_place.relocated_geocode must be [latitude, longitude]")
    return found


def _ends(info: Mapping[str, Any]) -> list[Geocode]:
    results = info.get("route_results")
    listed = results.get("geocode_list") if isinstance(results, Mapping) else None
    if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_LEGS:
        raise ValueError(f"route_results.geocode_list must be a list of 1 to {MAX_LEGS} places")
    ends = []
    for number, value in enumerate(listed):
        geocode = as_geocode(value)
        if geocode is None:
            raise ValueError(
                f"route_results.geocode_list[{number}] must be [latitude, longitude]; "
                f"got {told(value)}"
            )
        ends.append(geocode)
    return ends


def _milestones(info: Mapping[str, Any], ends: list[Geocode]) -> list[Milestone]:
    """One for each leg."""
    said = info.get("milestone_info")
    if said is None:
        return _milestones_from_places(info, ends)
    try:
        milestones = read_milestones(said)
    except ValueError as error:
        raise ValueError(f"milestone_info: {error}") from error
    if len(milestones) != len(ends) - 1:
        raise ValueError(
            f"milestone_info must have one block for each of {len(ends) - 1} legs; "
            f"got {len(milestones)}"
        )
    return milestones


def _milestones_from_places(info: Mapping[str, Any], ends: list[Geocode]) -> list[Milestone]:
    results = info["route_results"]
    listed = results.get("landmark_list")
    landmarks = listed if isinstance(listed, list) else []
    landmarks = [*landmarks[: len(ends) - 2], *[None] * (len(ends) - 2 - len(landmarks))]
    found = []
    for number, landmark in enumerate([*landmarks, info.get("dest_place")]):
        start, end = ends[number], ends[number + 1]
        heading = bearing_deg(start, end)
        where = as_geocode(landmark.get("geocode")) if isinstance(landmark, Mapping) else None
        side = 0.0 if where is None or where == end else bearing_deg(end, where) - heading
        found.append(Milestone(heading=heading, landmark=_name(landmark), side=side % 360.0))
    return found


def _between(one: Geocode, other: Geocode, panoramas: PanoramaMap) -> tuple[RailPlace, ...]:
    """Panoramas along a leg at the study's fractions, those of its ends left out."""
    if distance_m(one, other) <= MIN_LEG_M:
        return ()
    ends = {found[0] for end in (one, other) if (found := panoramas.find(end)) is not None}
    places: dict[str, RailPlace] = {}
    for index in range(1, POINTS_PER_LEG):
        found = panoramas.find(between(one, other, index / POINTS_PER_LEG))
        if found is not None and found[0] not in ends:
            places.setdefault(found[0], RailPlace(*found))
    return tuple(places.values())


def _place(geocode: Geocode, panoramas: PanoramaMap) -> RailPlace:
    found = panoramas.find(geocode)
    if found is None:
        raise ValueError(f"no panorama within 20 m of {geocode} in gps_pano_mapping.pkl")
    return RailPlace(*found)


def _init_heading(info: Mapping[str, Any]) -> float | None:
    value = info.get("init_heading")
    if value is None or value == 0:
        return None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not abs(value) <= MAX_HEADING_DEG:
        raise ValueError(f"init_heading must be a number of degrees; got {told(value, 40)}")
    return float(value) % 360.0


def _name(place: Any) -> str | None:
    """The name of a place, or a text itself; None for anything else."""
    value = place.get("name") if isinstance(place, Mapping) else place
    if not isinstance(value, str) or not value.strip():
        return None
    return " ".join(value.split())


def _route_id(ends: list[Geocode]) -> str:
    text = ";".join(f"{lat:.6f},{lon:.6f}" for lat, lon in ends)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
