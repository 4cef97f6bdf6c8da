"""Backward: which input sizes a net accepts."""

from .bounds import Bound, bounds, bounds_of_values, reference, square_bounds

__all__ = ["Bound", "bounds", "bounds_of_values", "reference", "square_bounds"]
