"""Questions turned round: a layer's fan-in, the input that gives a map, the windows between two sizes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import dims
from ..errors import UsageError
from ..literal import Spec
from ..trace import Layer
from ..window import exact_windows

if TYPE_CHECKING:
    from ..definition import Definition

#: Windows named of each kind.
NAMED = 8
#: Kernels tried reach over so many elements beyond their stride on each side.
MARGIN = 4
_WANTED = re.compile(r"(?P<layer>.+)=(?P<height>\d+)(?:[x×](?P<width>\d+))?$")


class Solved(NamedTuple):
    """An answer: what was asked, the value (a number, or texts), and how it comes about."""

    asked: str
    answer: Any
    because: list[str]

    def to_dict(self) -> dict[str, Any]:
        """The answer as JSON prints it."""
        return {"schema": "shapecalc.solve/1", "asked": self.asked, "answer": self.answer, "because": self.because}


def solve(
    model: Definition,
    hole: str,
    *,
    input: Spec = None,  # noqa: A002
    dialect: str | None = None,
) -> Solved:
    """See `shapecalc.Model.solve`."""
    wanted = _WANTED.match(hole)
    if wanted is not None:
        height = int(wanted["height"])
        return _inputs(model, wanted["layer"], height, int(wanted["width"] or height), input, dialect)
    layer, dot, what = hole.rpartition(".")
    if not dot or what != "fan_in":
        raise UsageError(f"{hole!r} is nothing to solve", "E002", hint="write fc6.fan_in, pool5=6x6 or kernel,stride")
    return _fan_in(model, layer, input, dialect)


def _fan_in(model: Definition, name: str, spec: Spec, dialect: str | None) -> Solved:
    """The number of inputs a fully connected layer sees, or the channels of a convolution."""
    found = model.trace(spec, fresh=True, dialect=dialect)
    layer = _layer(found.layers, name, model)
    shape = layer.call.inputs[0].shape if layer.call.inputs and layer.call.inputs[0] is not None else ()
    if not isinstance(shape, tuple) or len(shape) < 2:
        raise UsageError(f"{name} has no fan-in that is known", "E002")
    parts = shape[1:2] if layer.op.startswith("Conv") else shape[int(layer.call.attr("axis", 1)) :]
    if layer.op == "Gemm" and layer.call.rank() == 2:
        parts = _unflattened(found.layers, layer) or parts
    number = dims.product(parts)
    because = [f"{number} = {'·'.join(map(str, parts))}, from {layer.call.giver()}"] if len(parts) > 1 else []
    return Solved(f"{name}.fan_in", number if isinstance(number, int) else str(number), because)


def _unflattened(layers: list[Layer], layer: Layer) -> tuple[Any, ...]:
    """What a Flatten before a layer took apart."""
    giver = next((row for row in layers if row.name == layer.call.giver()), None)
    if giver is None or giver.op != "Flatten" or giver.call.inputs[0] is None:
        return ()
    shape = giver.call.inputs[0].shape
    return shape[1:] if isinstance(shape, tuple) else ()


def _inputs(model: Definition, name: str, height: int, width: int, spec: Spec, dialect: str | None) -> Solved:
    """The heights and widths of the input for which a layer's map has a wanted size."""
    from .sweeps import swept
    from .verdicts import form_of

    _, found = swept(model, spec, dialect)
    layer = _layer(found.layers, name, model)
    shape = layer.tensors[0].shape
    if not isinstance(shape, tuple) or len(shape) != 4:
        raise UsageError(f"{name} gives no map", "E002", hint="name a layer whose output has height and width")
    place = 2 if layer.call.layout == "NCHW" else 1
    rows, columns = form_of(shape[place] == height), form_of(shape[place + 1] == width)
    because = [] if rows and columns else [f"the map of {name} is never {height}×{width}"]
    return Solved(f"{name}={height}x{width}", {"height": str(rows), "width": str(columns)}, because)


def _layer(layers: list[Layer], name: str, model: Definition) -> Layer:
    for layer in layers:
        if layer.name == name:
            return layer
    import difflib

    near = difflib.get_close_matches(name, [layer.name for layer in layers], 3)
    raise UsageError(f"{model.name} has no layer {name!r}", "E002", hint=f"near: {', '.join(near)}" if near else None)


def windows(before: int | None, after: int | None) -> Solved:
    """Kernels and strides that take ``before`` elements to ``after``, exact ones first.

    Raises UsageError where one is not given, or the map would grow.
    """
    if before is None or after is None or after > before:
        raise UsageError("which sizes? a window takes one to a smaller one", "E002", hint="give --from 12 --to 6")
    rows = [
        (pad, kernel, stride)
        for stride in range(1, before + 1)
        for kernel in range(stride, min(before, stride + 2 * MARGIN) + 1)
        for pad in range(kernel // 2 + 1)
    ]
    found: dict[str, list[str]] = {"exact": [], "rounded_down": [], "rounded_up": []}
    found["exact"] = [_named(0, w.kernel, w.stride) for w in exact_windows(before, after)]
    for pad, kernel, stride in sorted(rows):
        places, left = divmod(before + 2 * pad - kernel, stride)
        if left == 0 and places + 1 == after and pad:
            found["exact"].append(_named(pad, kernel, stride))
        elif left and places + 1 == after:
            found["rounded_down"].append(_named(pad, kernel, stride))
        elif left and places + 2 == after:
            found["rounded_up"].append(_named(pad, kernel, stride))
    answer = {key: texts[:NAMED] for key, texts in found.items()}
    return Solved(
        f"kernel,stride from {before} to {after}", answer, [f"({before} + 2·pad − kernel)/stride + 1 = {after}"]
    )


def _named(pad: int, kernel: Any, stride: int) -> str:
    return f"kernel {kernel} stride {stride}" + (f" pad {pad}" if pad else "")
