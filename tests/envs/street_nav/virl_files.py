"""A small data set in V-IRL's format, at a made-up place."""

import json
import pickle
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

START = (40.7400, -73.9900)
STEP_LAT, STEP_LON = 0.0009, 0.0012  # about 100 m each
ENDS = [
    (START[0] + STEP_LAT, START[1]),
    (START[0] + STEP_LAT, START[1] + STEP_LON),
    (START[0] + 2 * STEP_LAT, START[1] + STEP_LON),
]
WIDTH, HEIGHT = 256, 128
MILESTONES = """{
"intersection_idx": "0",
"landmarks": "Otter "Fine" Bank is on your left front",
"distance": "100 meters",
"human_heading": "0",
"to_next_intersection_heading": "0 (north)",
}
{
"intersection_idx": "1",
"landmarks": "No landmark nearby",
"distance": "101 meters",
"human_heading": "0",
"to_next_intersection_heading": "90 (east)",
}
{
"intersection_idx": "2",
"landmarks": "The destination Lotus Cafe is on your right",
"distance": "100 meters",
"human_heading": "90",
"to_next_intersection_heading": "0 (north)",
}
"""


def route(**changes: Any) -> dict[str, Any]:
    whole = {
        "start_place": {"name": "Corner", "geocode": START, "relocated_geocode": START},
        "init_heading": 120,
        "dest_place": {"name": "Lotus Cafe", "geocode": [ENDS[-1][0], ENDS[-1][1] + 0.0002]},
        "route_results": {
            "geocode_list": ENDS,
            "landmark_list": [{"name": "Otter Bank", "geocode": ENDS[0]}, None],
        },
        "milestone_info": MILESTONES,
    }
    return {key: value for key, value in {**whole, **changes}.items() if value is not ...}


def shifted(by_lat: float) -> dict[str, Any]:
    """The same walk further north."""
    return route(
        start_place={"relocated_geocode": [START[0] + by_lat, START[1]]},
        route_results={"geocode_list": [[lat + by_lat, lon] for lat, lon in ENDS]},
    )


def places_along(info: dict[str, Any]) -> list[tuple[float, float]]:
    ends = [info["start_place"]["relocated_geocode"], *info["route_results"]["geocode_list"]]
    found = [tuple(ends[0])]
    for one, other in pairwise(ends):
        for k in range(1, 6):
            share = k / 5
            found.append(
                (one[0] * (1 - share) + other[0] * share, one[1] * (1 - share) + other[1] * share)
            )
    return found


def write_data(folder: Path, routes: list[dict[str, Any]], value: Any = None) -> Path:
    """Write a data set; `value` replaces the content of `route_infos.json`."""
    views = folder / "street_views"
    views.mkdir(parents=True)
    mapping = {}
    for info in routes:
        for place in places_along(info):
            mapping.setdefault(place, f"pano{len(mapping):03d}")
    for number, name in enumerate(mapping.values()):
        write_panorama(views, name, tint=number, rotation=(37 * number) % 360)
    whole = [routes, 17] if value is None else value
    (folder / "route_infos.json").write_text(json.dumps(whole))
    (folder / "gps_pano_mapping.pkl").write_bytes(pickle.dumps(mapping))
    return folder


def write_panorama(views: Path, name: str, *, tint: int, rotation: float) -> None:
    """Red says where north is: it grows with the compass heading of a column."""
    heading = (360 * np.arange(WIDTH) / (WIDTH - 1) - rotation) % 360
    red = np.broadcast_to(255 * np.abs(180 - heading) / 180, (HEIGHT, WIDTH))
    green = np.broadcast_to(np.linspace(0, 255, HEIGHT)[:, None], (HEIGHT, WIDTH))
    blue = np.full((HEIGHT, WIDTH), 11 * tint % 256)
    pixels = np.stack([red, green, blue], axis=-1).astype(np.uint8)
    Image.fromarray(pixels).save(views / f"{name}.jpg", quality=95)
    (views / f"{name}.metadata.json").write_text(json.dumps({"rotation": rotation}))
