"""Repairs: weightless edits that make a misfitting size fit, each tried by tracing before it is offered.

Ranked by how many layers keep their numbers (an edit late in the net leaves the features before it alone), then by
whether every division stays whole, then by how little is changed. Layers with trained weights are never touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..dims import Shape, all_numbers, is_number, show
from ..graph import Graph, places
from ..literal import USUAL
from ..ops import find
from ..sizes import Bound, bounds_of_values
from ..trace import Layer, Trace
from ..window import Window
from .crop import CropMap, Joining, Retrace, cropped, join
from .edits import ChangePool, Edit, InsertPool, applied, listed
from .joins import padded, rescaled

if TYPE_CHECKING:
    from .exports.rebake import Rebaked

#: The opset from which ONNX poolings can round up.
CEIL_MODE_SINCE = 10

#: Edits of one repair that are told one by one.
MOST_LISTED = 3

POOLINGS = ("MaxPool", "AveragePool")


class Repair(NamedTuple):
    """One way to make a size fit: its edits, the trace it gives, and what it is ranked by."""

    name: str
    edits: tuple[Edit, ...]
    trace: Trace
    changed_layers: int  # layers before the misfit whose numbers are no longer the original's; -1: none, nor their grid
    whole: bool  # whether the new window divides evenly
    named: bool = False  # carried out only where a person names it: the net sees another image, or other tokens

    def describe(self) -> str:
        """One line for people."""
        return "; ".join(listed(self.edits, MOST_LISTED))

    @property
    def rank(self) -> tuple[Any, ...]:
        """Smaller is better."""
        return (self.changed_layers, not self.whole, len(self.edits), ORDER.index(self.name))


#: What a join of maps that are off by a row can do.
JOININGS: Mapping[str, Joining] = {"crop": cropped, "pad": padded, "scale": rescaled}
#: Those for which no prototxt and no Python class has a layer: behind what the file's own format can say.
ONNX_ALONE = frozenset({"pad", "scale"})
ORDER = ("rebake", *JOININGS, "insert-pool", "rounding", "window", "resize")


def propose(misfit: Trace, fitting: Trace, retrace: Retrace) -> list[Repair]:
    """The repairs that were found and tried, best first.

    ``misfit`` is the trace that has problems, ``fitting`` one of the same net without; ``retrace`` traces an edited
    graph at given shapes.
    """
    feeds = _feeds(misfit)
    allowed = [bounds_of_values(fitting, axis) for axis in (0, 1)]
    order = {layer.name: i for i, layer in enumerate(misfit.layers)}
    broken = min((order[p.layer] for p in misfit.problems if p.layer in order), default=None)
    if broken is None:
        return []
    found = followed(misfit, fitting, retrace)
    attending = misfit.graph.format == "onnx" and attends(misfit)
    for name, edit, whole in _candidates(misfit, broken, allowed):
        graph = edit.apply(misfit.graph)
        attempt = retrace(graph, feeds, misfit.dialect, None)
        if attempt.ok and attempt.graph.nodes != misfit.graph.nodes:
            changed = broken - order[edit.layer] - (name == "insert-pool")  # what is pooled keeps its numbers
            offered = name == "insert-pool" and attending
            found.append(Repair(name, (edit,), attempt, changed, whole, offered))
    for name, joining in JOININGS.items():
        joined = join(misfit, feeds, retrace, joining)
        if joined.edits and joined.trace.ok:
            found.append(Repair(name, joined.edits, _done(joined.edits, misfit, feeds, retrace), 0, True))
    text = misfit.graph.format != "onnx"
    return sorted(found, key=lambda repair: (text and repair.name in ONNX_ALONE, repair.rank))


#: Nodes behind a softmax that are looked at for the product that it weighs: gates and sums may lie between.
MOST_BETWEEN = 8


def attends(traced: Trace) -> bool:
    """Whether a net attends: a softmax along the last axis weighs what a product behind it sums.

    Its tokens have places. A pooling in front of them that makes up for a size they are not for changes what each token
    sees, where the net's own library would carry its positions over; that is a person's choice.
    """
    users = traced.graph.users()
    for layer in traced.layers:
        shape = layer.tensors[0].shape if layer.op == "Softmax" and layer.tensors else None
        if not isinstance(shape, tuple) or len(shape) < 3 or layer.call.attr("axis") not in (-1, len(shape) - 1):
            continue
        found, values = 0, [*layer.node.outputs]
        while values and found < MOST_BETWEEN:
            found += 1
            for user in users.get(values.pop(0), ()):
                if user.op in ("MatMul", "Einsum"):
                    return True
                values += user.outputs
    return False


def _done(edits: Sequence[Edit], misfit: Trace, feeds: Mapping[str, Shape], retrace: Retrace) -> Trace:
    """The trace of the net with edits carried out."""
    return retrace(applied(edits, misfit.graph), feeds, misfit.dialect, None)


def _rebaked(misfit: Trace, fitting: Trace, retrace: Retrace) -> Rebaked | None:
    """What an export wrote down for one size, written anew; None for what is no export, or has a free size."""
    feeds = _feeds(misfit)
    if misfit.graph.format != "onnx" or not all(all_numbers(places(shape)) for shape in feeds.values()):
        return None
    from .exports.rebake import rebake  # a package that definitions of other formats do without

    return rebake(misfit.graph, told(fitting, retrace), feeds, retrace)


def _feeds(traced: Trace) -> dict[str, Shape]:
    return {name: tensor.shape for name, tensor in traced.feeds.items() if isinstance(tensor.shape, tuple)}


def obstacle(misfit: Trace, fitting: Trace, retrace: Retrace) -> str | None:
    """What does not fit once all that can be written anew is; None where nothing can be."""
    made = _rebaked(misfit, fitting, retrace)
    left = _done(made.edits, misfit, _feeds(misfit), retrace).problems if made is not None and made.edits else []
    return left[0].message if left else None


def followed(misfit: Trace, fitting: Trace, retrace: Retrace) -> list[Repair]:
    """What an export wrote down for one size, written anew: what the framework itself would have at this size."""
    made = _rebaked(misfit, fitting, retrace)
    if made is None or not made.trace.ok or all(isinstance(edit, CropMap) for edit in made.edits):
        return []
    attempt = _done(made.edits, misfit, _feeds(misfit), retrace)
    return [Repair("rebake", made.edits, attempt, -1, True)] if attempt.ok else []


def told(fitting: Trace, retrace: Retrace) -> Trace:
    """The trace at a size of numbers: the first usual one that fits, where height and width are free."""
    shapes = _feeds(fitting)
    if all(all_numbers(places(shape)) for shape in shapes.values()):
        return fitting
    for size in USUAL:
        feeds = {
            n: tuple(size if i > 1 and not is_number(d) else d for i, d in enumerate(s)) for n, s in shapes.items()
        }
        found = retrace(fitting.graph, feeds, fitting.dialect, None)
        if found.ok:
            return found
    return fitting


def interpolating(found: Sequence[Repair], how: str, misfit: Trace, retrace: Retrace) -> list[Repair]:
    """The repairs, tables of positions interpolated as the library ``how`` does."""
    from .exports.retable import interpolated

    made = [tuple(interpolated(edit, how) for edit in repair.edits) for repair in found]
    return [
        repair._replace(edits=edits, trace=_done(edits, misfit, _feeds(misfit), retrace))
        if edits != repair.edits
        else repair
        for repair, edits in zip(found, made, strict=True)
    ]


def _candidates(misfit: Trace, broken: int, allowed: list[dict[str, Bound]]) -> Iterator[tuple[str, Edit, bool]]:
    feeding = {node.name for node in misfit.graph.ancestors(misfit.layers[broken].node.inputs)}
    chain = [layer for layer in misfit.layers[:broken] if layer.name in feeding]
    behind = {*feeding, misfit.layers[broken].name}
    yield from _insertions(misfit, chain, behind, allowed)
    for layer in reversed([*chain, misfit.layers[broken]]):  # a pooling larger than its map is its own repair
        if layer.op in POOLINGS and not layer.call.attr("global_pooling"):
            if misfit.graph.format != "onnx" or misfit.graph.opset >= CEIL_MODE_SINCE:
                yield from _roundings(layer)
            yield from _windows(layer, allowed)


def _map(layer: Layer) -> Shape | None:
    """The first output of a layer if it is a map of known size; a free batch is one of any number."""
    shape = layer.tensors[0].shape if layer.tensors else None
    return shape if isinstance(shape, tuple) and len(shape) == 4 and all_numbers(shape[1:]) else None


def _insertions(
    misfit: Trace, chain: list[Layer], behind: set[str], allowed: list[dict[str, Bound]]
) -> Iterator[tuple[str, Edit, bool]]:
    """A pooling behind the last map before the misfit, if that map is too large; other readers keep the map."""
    last = next((layer for layer in reversed(chain) if _map(layer) is not None), None)
    if last is None:
        return
    shape = _map(last) or ()
    value = last.node.outputs[0]
    layout = last.call.layout
    sizes = places(shape, layout)
    nearest = [_wanted(bounds.get(value), size) for bounds, size in zip(allowed, sizes, strict=True)]
    wanted = tuple(size for size in nearest if size is not None)
    windows = [_shrink(n, out) for n, out in zip(sizes, wanted, strict=False)]
    fitted = [window for window in windows if window is not None]
    if len(fitted) < len(sizes) or wanted == sizes:
        return
    kernel, stride = tuple(w.kernel for w in fitted), tuple(w.stride for w in fitted)
    name = _free_name(misfit.graph, f"{last.name}_fit")
    readers = tuple(user.name for user in misfit.graph.users().get(value, ()) if user.name in behind)
    yield "insert-pool", InsertPool(last.name, value, name, kernel, stride, (sizes, wanted), layout, readers), True


def _wanted(bound: Bound | None, size: int) -> int | None:
    """The nearest allowed size, None where there is none."""
    if bound is None or bound.sizes.empty:
        return None
    low, high = bound.sizes
    return max(low, size if high is None else min(size, high))


def _shrink(n: int, out: int) -> Window | None:
    """The window without padding that takes n to exactly out: stride n // out, as adaptive pooling does."""
    if out > n or out < 1:
        return None
    stride = n // out
    return Window(n - (out - 1) * stride, stride)


def _free_name(graph: Graph, name: str) -> str:
    taken = {value for node in graph.nodes for value in (node.name, *node.outputs)}
    candidate, number = name, 2
    while candidate in taken:
        candidate, number = f"{name}_{number}", number + 1
    return candidate


def _roundings(layer: Layer) -> Iterator[tuple[str, Edit, bool]]:
    """The pooling's other rounding, where it makes a difference."""
    row = find(layer.op)
    if row is None or row.windows is None:
        return
    windows = [w for w in row.windows(layer.call) if isinstance(w, Window)]
    sizes = layer.call.spatial
    rounds_up = any(w.rounding in ("ceil", "ceil_clip") for w in windows)
    if any(w.same or not isinstance(n, int) for w, n in zip(windows, sizes, strict=True)):
        return
    if all(w.remainder(n) == 0 for w, n in zip(windows, sizes, strict=True)):
        return
    what = "round down instead of up" if rounds_up else "round up instead of down"
    yield "rounding", ChangePool(layer.name, {"ceil_mode": 0 if rounds_up else 1}, what), False


def _windows(layer: Layer, allowed: list[dict[str, Bound]]) -> Iterator[tuple[str, Edit, bool]]:
    """The smallest change of kernel, then of padding, then of stride, that gives an allowed size on both axes."""
    row = find(layer.op)
    if row is None or row.windows is None:
        return
    old = [w for w in row.windows(layer.call) if isinstance(w, Window)]
    chosen = []
    for axis, (window, n) in enumerate(zip(old, layer.call.spatial, strict=True)):
        bound = allowed[axis].get(layer.node.outputs[0])
        fitted = _refit(window, n, bound) if isinstance(n, int) and bound is not None else None
        if fitted is None:
            return
        chosen.append(fitted)
    attrs: Mapping[str, Any] = {
        "kernel_shape": tuple(w.kernel for w in chosen),
        "strides": tuple(w.stride for w in chosen),
        "pads": (*(w.pad_begin for w in chosen), *(w.pad_end for w in chosen)),
    }
    whole = all(w.remainder(n) == 0 for w, n in zip(chosen, layer.call.spatial, strict=True))
    yield "window", ChangePool(layer.name, dict(attrs), f"{_text(old)} → {_text(chosen)}"), whole


def _text(windows: list[Window]) -> str:
    kernel = show(tuple(w.kernel for w in windows))
    stride = "×".join(str(s) for s in dict.fromkeys(w.stride for w in windows))
    pads = dict.fromkeys(
        str(w.pad_begin) if w.pad_begin == w.pad_end else f"{w.pad_begin}+{w.pad_end}" for w in windows
    )
    pad = f", padding {'×'.join(pads)}" if set(pads) != {"0"} else ""
    return f"{kernel}, stride {stride}{pad}"


#: Numbers of a window that are tried lie so near to the old one; a damaged file may have a stride of 10^18.
NEAR = 32


def _nearest(number: int, low: int, high: int) -> list[int]:
    """The numbers near ``number`` from ``low`` to ``high``, the nearest first."""
    return sorted(range(max(low, number - NEAR), min(high, number + NEAR) + 1), key=lambda k: abs(k - number))


def _refit(old: Window, n: int, bound: Bound) -> Window | None:
    """The window nearest to ``old`` whose size at ``n`` is allowed; None where it fits already or nothing fits."""
    if old.same:
        return None
    if old.size(n) in bound.sizes:
        return old
    kernels = _nearest(min(old.kernel, n), 1, n)
    for stride in _nearest(old.stride, 1, 2 * old.stride):
        for pad in _nearest(old.pad_begin, 0, old.pad_begin + 1):
            fits = [
                window
                for kernel in kernels[:12]
                if kernel > pad
                for window in [Window(kernel, stride, pad, pad, old.dilation, old.rounding)]
                if window.size(n) in bound.sizes and window.extent >= window.stride
            ]
            if fits:
                return min(fits, key=lambda w: (w.remainder(n) != 0, abs(w.kernel - old.kernel)))
    return None
