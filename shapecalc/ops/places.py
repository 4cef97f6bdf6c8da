"""Where maxima lay: ONNX counts places through the whole tensor, Caffe in one plane, Chainer in one window."""

from __future__ import annotations

from collections.abc import Sequence

from .chain import Chain


def in_plane(chain: Chain, places: str, padded: Sequence[int], begins: Sequence[int], size: Sequence[int]) -> str:
    """ONNX's places in a padded tensor as row · width + column of the plane itself."""
    rows, columns = _rows_and_columns(chain, places, padded)
    if any(begins):
        rows, columns = chain.add("Sub", (rows, [begins[0]])), chain.add("Sub", (columns, [begins[1]]))
    return chain.add("Add", (chain.add("Mul", (rows, [size[1]])), columns))


def in_window(chain: Chain, places: str, size: Sequence[int], kernel: Sequence[int], starts: Sequence[range]) -> str:
    """Places in a plane as row · width + column of the windows, whose first rows and columns are ``starts``."""
    rows, columns = _rows_and_columns(chain, places, size)
    tops = chain.add("Reshape", (list(starts[0]), [1, 1, len(starts[0]), 1]))
    lefts = chain.add("Reshape", (list(starts[1]), [1, 1, 1, len(starts[1])]))
    rows, columns = chain.add("Sub", (rows, tops)), chain.add("Sub", (columns, lefts))
    return chain.add("Add", (chain.add("Mul", (rows, [kernel[1]])), columns))


def _rows_and_columns(chain: Chain, places: str, plane: Sequence[int]) -> tuple[str, str]:
    inside = chain.add("Mod", (places, [plane[0] * plane[1]]))
    return chain.add("Div", (inside, [plane[1]])), chain.add("Mod", (inside, [plane[1]]))
