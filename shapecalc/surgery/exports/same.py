"""Padding that an export wrote down for one size of what was padding to as many windows as there are strides.

TensorFlow's SAME pads what the size asks for, the odd one behind; timm's nets of that kind compute it, and an export
holds what came out. Where the numbers of a net are those, and not the same before and behind, it is what is meant.
"""

from __future__ import annotations

from collections.abc import Mapping

from ...graph import Graph
from ...trace import Layer
from ...window import Window
from .follow import Place, constant, shape_of
from .regroup import Sizes
from .retable import SetConstant

#: Operators that slide a window, and what of a Pad holds how much.
WINDOWED = frozenset({"Conv", "MaxPool", "AveragePool"})
PADS = Place(1, "pads")
#: The attribute of a window that pads itself.
OWN = Place(0, "pads")
MAP = 4


#: The window behind a padding, of rows and of columns, as one that pads itself.
Windows = tuple[Window, Window]


def _padding(windows: Windows, size: Sizes) -> Sizes:
    """What SAME pads: rows above, columns before, rows below, columns behind."""
    (above, below), (before, behind) = (window.pads(n) for window, n in zip(windows, size, strict=True))
    return (above, before, below, behind)


def padded(graph: Graph, before: Mapping[str, Layer]) -> dict[str, Windows]:
    """Layer that pads -> its windows, or those behind it, of nets whose paddings are SAME's.

    None where all are as many before as behind, or where a window that steps pads otherwise by itself.
    """
    return _in_front(graph, before) | _own(graph, before)


def _own(graph: Graph, before: Mapping[str, Layer]) -> dict[str, Windows]:
    """As `padded`, of windows that pad themselves: torch.export's files hold the padding there."""
    found: dict[str, Windows] = {}
    uneven = False
    for node in graph.nodes:
        layer = before.get(node.name)
        size = shape_of(layer) if layer is not None and node.op in WINDOWED else None
        if layer is None or size is None or len(size) != MAP or max(layer.call.attr("strides") or (1,)) == 1:
            continue
        pads = tuple(layer.call.attr("pads") or ())
        if not any(pads):
            continue
        windows = _sliding(layer)
        if windows is None or layer.call.attr("ceil_mode") or pads != _padding(windows, size[2:]):
            return {}
        found[node.name] = windows
        uneven = uneven or pads[:2] != pads[2:]
    return found if uneven else {}


def _in_front(graph: Graph, before: Mapping[str, Layer]) -> dict[str, Windows]:
    """As `padded`, of Pad layers in front of windows."""
    users = graph.users()
    found: dict[str, Windows] = {}
    uneven = False
    for node in graph.nodes:
        layer = before.get(node.name)
        if node.op != "Pad" or layer is None or not node.outputs:
            continue
        windows = _windows([before[u.name] for u in users.get(node.outputs[0], ()) if u.name in before])
        size, pads = shape_of(layer), constant(layer, PADS)
        if windows is None or size is None or pads is None or len(size) != MAP or len(pads) != 2 * MAP:
            continue
        around = (*pads[2:4], *pads[6:8])
        if around == _padding(windows, size[2:]):
            found[node.name] = windows
            uneven = uneven or around[:2] != around[2:]
    return found if uneven else {}


def _windows(readers: list[Layer]) -> Windows | None:
    """The windows of the one layer that reads a padded map; None where it pads too, or there are more."""
    if len(readers) != 1 or readers[0].op not in WINDOWED or any(readers[0].call.attr("pads") or ()):
        return None
    return _sliding(readers[0])


def _sliding(layer: Layer) -> Windows | None:
    """The windows of a layer, as such that pad themselves as SAME does."""
    call = layer.call
    weight = call.inputs[1].shape if layer.op == "Conv" and call.has(1) and call.inputs[1] is not None else None
    kernel = tuple(weight[2:]) if isinstance(weight, tuple) else tuple(call.attr("kernel_shape") or ())
    steps, dilations = (tuple(call.attr(word) or (1,) * len(kernel)) for word in ("strides", "dilations"))
    if len(kernel) != 2 or not all(isinstance(n, int) for n in kernel):
        return None
    rows, columns = map(_same, kernel, steps, dilations)
    return rows, columns


def _same(kernel: int, stride: int, dilation: int) -> Window:
    return Window(kernel, stride, dilation=dilation, padding_mode="same_upper")


def followed(old: Layer, layer: Layer, windows: Windows) -> SetConstant | None:
    """The edit of a padding whose map has another size."""
    now = shape_of(layer)
    if layer.op in WINDOWED:
        given = tuple(layer.call.attr("pads") or ())
        own = _padding(windows, now[2:]) if now is not None else given
        return SetConstant(layer.name, *OWN, own, given) if own != given else None
    was, pads = constant(old, PADS), constant(layer, PADS)
    if now is None or was is None or was != pads:
        return None
    above, before, below, behind = _padding(windows, now[2:])
    wanted = (0, 0, above, before, 0, 0, below, behind)
    return SetConstant(layer.name, *PADS, wanted, was) if wanted != was else None
