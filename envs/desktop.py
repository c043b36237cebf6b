"""Pictures shown to a person: in the desktop's viewer, or as a file where there is no desktop."""

import os
import sys
import tempfile
from pathlib import Path

import numpy as np


class Desktop:
    """Shows one environment's pictures; its files, if any, lie in one temporary folder."""

    def __init__(self) -> None:
        self._folder: Path | None = None

    def show(self, picture: np.ndarray, name: str) -> None:
        """Open a picture, uint8 [H, W, 3]; without a desktop save it as `name` and say where."""
        from PIL import Image

        image = Image.fromarray(picture)
        if sys.platform in ("darwin", "win32") or {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ):
            image.show()
            return
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="cardinal-"))
        path = self._folder / name
        image.save(path)
        sys.stdout.write(f"picture: {path}\n")
