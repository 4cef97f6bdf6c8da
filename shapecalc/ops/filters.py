"""How the weight of a convolution lies: each framework's order of axes, and the way to ONNX's.

Rules speak of (outputs, inputs of a group, height, width), ONNX's order of Conv; of (inputs, outputs of a group, …) for
ConvTranspose. A parameter keeps the shape its framework gives it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..dims import Dim, Shape, all_numbers
from ..graph import Param
from .base import Call


class Order(NamedTuple):
    """One order of axes: to ONNX's, back from it (given the groups), and the recipe that moves the numbers."""

    to_onnx: Callable[[Shape], Shape]
    from_onnx: Callable[[Shape, Dim], Shape]
    recipe: str


#: Keras: (height, width, inputs, outputs), with the last two turned round for a transposed convolution, and
#: (height, width, inputs, multiplier) for a depthwise one.
ORDERS = {
    "OIHW": Order(lambda shape: shape, lambda shape, groups: shape, ""),
    "HWIO": Order(
        lambda shape: (shape[-1], shape[-2], *shape[:-2]),
        lambda shape, groups: (*shape[2:], shape[1], shape[0]),
        "hwio",
    ),
    "HWIM": Order(
        lambda shape: (shape[-2] * shape[-1], 1, *shape[:-2]),
        lambda shape, groups: (*shape[2:], groups, shape[0] // groups),
        "hwim",
    ),
}


def order_of(call: Call) -> Order:
    """The order in which the weight of a call lies."""
    return ORDERS[call.attr("weight_order", "OIHW")]


def filters(call: Call) -> Shape:
    """The weight's shape in ONNX's order."""
    return order_of(call).to_onnx(call.shape(1))


def reordered(name: str, shape: Shape, order: Order) -> tuple[str, list[Param]]:
    """The name of a weight in ONNX's order, and the parameter that is derived for it."""
    wanted = order.to_onnx(shape)
    if not order.recipe or not all_numbers(wanted):
        return name, []
    derived = f"{name}/{order.recipe}"
    return derived, [Param(derived, wanted, recipe=order.recipe, sources=(name,), trained=False)]
