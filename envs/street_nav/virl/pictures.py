"""Street View panoramas: what can be told from outside, and the picture as the views need it."""

import errno
import json
import math
import stat
from pathlib import Path

import numpy as np

from .problems import told

MAX_WIDTH_PX = 16_384
_START, _END = b"\xff\xd8", b"\xff\xd9"  # of a JPEG file
_TAIL_BYTES = 64  # some cameras pad the end


def picture_problems(views: Path, panorama: str) -> list[tuple[Path, str]]:
    """Files of a panorama that are missing or plainly broken, with what is wrong; decodes none."""
    found = []
    picture = picture_path(views, panorama)
    try:
        require_file(picture)
        with picture.open("rb") as file:
            start = file.read(2)
            file.seek(max(0, picture.stat().st_size - _TAIL_BYTES))
            tail = file.read()
        if start != _START or _END not in tail:
            found.append((picture, "must be a whole JPEG picture; it is cut short or no JPEG"))
    except OSError as error:
        found.append((picture, f"must be a picture that can be read; got {error.strerror}"))
    try:
        read_rotation(views, panorama)
    except ValueError as error:
        found.append((metadata_path(views, panorama), str(error)))
    return found


def read_panorama(views: Path, panorama: str) -> np.ndarray:
    """Equirectangular uint8 [H, W, 3], read-only, turned so that column 0 looks north.

    The stored column x looks to 360 x / (W - 1) - rotation; turning by whole columns is off by at
    most half a column (0.1 degrees). Raises ValueError with the file's name for a broken picture.
    """
    pixels = decode(picture_path(views, panorama))
    width = pixels.shape[1]
    north = read_rotation(views, panorama) * (width - 1) / 360.0
    turned = np.roll(pixels, -round(north), axis=1)
    turned.setflags(write=False)
    return turned


def decode(path: Path) -> np.ndarray:
    """uint8 [H, W, 3]. Raises ValueError for what is no panorama."""
    from PIL import Image

    try:
        require_file(path)
        with Image.open(path) as picture:
            width, height = picture.size
            if not 2 <= height <= width <= MAX_WIDTH_PX:
                raise ValueError(f"must be wider than high; got {width} x {height}")
            return np.asarray(picture.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: must be a picture that can be decoded; {error}") from error


def read_rotation(views: Path, panorama: str) -> float:
    """Degrees. Raises ValueError for metadata without a rotation."""
    path = metadata_path(views, panorama)
    try:
        require_file(path)
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise ValueError(f"must be a file that can be read; got {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"must be JSON; got {error}") from error
    rotation = value.get("rotation") if isinstance(value, dict) else None
    try:
        degrees = float(rotation)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        degrees = math.nan
    if isinstance(rotation, bool) or not math.isfinite(degrees):
        raise ValueError(f"rotation must be a number of degrees; got {told(rotation, 40)}")
    return degrees % 360.0


def require_file(path: Path) -> None:
    """Raises OSError for what is missing and for what is no file: reading a pipe never ends."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "something that is no file")


def picture_path(views: Path, panorama: str) -> Path:
    return views / f"{panorama}.jpg"


def metadata_path(views: Path, panorama: str) -> Path:
    return views / f"{panorama}.metadata.json"
