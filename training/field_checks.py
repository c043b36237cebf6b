"""What the dataclasses of settings check about their own fields, in the same words."""

from typing import Any


def require_positive(config: Any, *names: str) -> None:
    """Raise ValueError unless every named field is greater than 0."""
    for name in names:
        if not getattr(config, name) > 0:
            raise ValueError(f"{name} must be positive; got {getattr(config, name)}")


def require_at_least_zero(config: Any, *names: str) -> None:
    """Raise ValueError unless every named field is at least 0."""
    for name in names:
        if getattr(config, name) < 0:
            raise ValueError(f"{name} must be at least 0; got {getattr(config, name)}")


def require_fraction(config: Any, *names: str) -> None:
    """Raise ValueError unless every named field is between 0 and 1."""
    for name in names:
        if not 0 <= getattr(config, name) <= 1:
            raise ValueError(f"{name} must be between 0 and 1; got {getattr(config, name)}")
