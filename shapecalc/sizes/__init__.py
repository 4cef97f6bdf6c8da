"""Backward: which input sizes a net accepts.

`bounds` walks the graph backward with intervals, for advice; it needs no numpy. `found` asks the forward rules for all
heights and widths at once and gives the closed form (docs/sizes.md); it is imported when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .bounds import Bound, bounds, bounds_of_values, reference, square_bounds

if TYPE_CHECKING:
    from .found import Sizes, valid_sizes

__all__ = ["Bound", "Sizes", "bounds", "bounds_of_values", "reference", "square_bounds", "valid_sizes"]


def __getattr__(name: str) -> Any:
    if name not in ("Sizes", "valid_sizes"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import found

    return getattr(found, name)
