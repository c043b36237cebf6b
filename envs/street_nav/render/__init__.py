"""Street views. `LookConfig` is cheap to import; `PanoramaRenderer` brings OpenCV and numba."""

from typing import TYPE_CHECKING, Any

from .config import LOOKS, LookConfig, as_look

if TYPE_CHECKING:
    from .panorama import PanoramaRenderer

__all__ = ["LOOKS", "LookConfig", "PanoramaRenderer", "as_look"]


def __getattr__(name: str) -> Any:
    """Load the renderer when it is first asked for: text environments never need it."""
    if name == "PanoramaRenderer":
        from .panorama import PanoramaRenderer

        return PanoramaRenderer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
