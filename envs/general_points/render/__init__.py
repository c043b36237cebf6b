"""Pictures of hands. `VisualConfig` is cheap to import; `CardRenderer` brings Pillow and OpenCV."""

from typing import TYPE_CHECKING, Any

from .config import RANKS, VISUALS, VisualConfig, as_visual

if TYPE_CHECKING:
    from .compose import CardRenderer

__all__ = ["RANKS", "VISUALS", "CardRenderer", "VisualConfig", "as_visual"]


def __getattr__(name: str) -> Any:
    """Load the renderer when it is first asked for: text environments never need it."""
    if name == "CardRenderer":
        from .compose import CardRenderer

        return CardRenderer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
