"""What a layer costs: trained parameters, multiply-accumulates, activations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from . import dims
from .dims import Dim, Shape
from .graph import Node, Param, Tensor
from .ops import Call, find


def trained(node: Node, params: Mapping[str, Param]) -> list[str]:
    """Names of the trained parameters a node reads."""
    return [name for name in dict.fromkeys(node.inputs) if name in params and params[name].trained]


def elements(shapes: Iterable[Shape | None]) -> Dim:
    """Elements of several tensors together; unknown if one is."""
    total: Dim = 0
    for shape in shapes:
        known = shape is not None and not any(d is None for d in shape)
        total = dims.product(shape or ()) + total if known else dims.Unknown("a shape is not known")
    return total


def macs(call: Call, outputs: Sequence[Tensor]) -> Dim:
    """Multiply-accumulates of one call for its whole batch.

    Convolutions and fully connected layers only, as in published tables: a normalization folds into the layer before.
    """
    row = find(call.node.op, call.node.domain)
    if row is None or row.macs is None:
        return 0
    return row.macs(call, [tensor.shape for tensor in outputs])
