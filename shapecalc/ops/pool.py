"""Poolings: MaxPool, AveragePool, LpPool and their global forms."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from .. import dims
from ..dims import Dim, Shape
from ..graph import Node, Param
from ..window import Window
from .base import Call, Detail, Lowered, Need, Operator, Shapes, need_rank, register
from .chain import Chain
from .places import in_plane, in_window
from .windows import SAME, explicit_pads, need_fit, sizes, sliding, window_formula


def _is_global(call: Call) -> bool:
    return bool(call.attr("global_pooling", False))


def _kernel(call: Call) -> tuple[Dim, ...]:
    return tuple(call.spatial) if _is_global(call) else tuple(call.attr("kernel_shape"))


def _windows(call: Call) -> list[Window]:
    kernel = _kernel(call)
    padded = any(call.attr("pads", ())) or call.attr("auto_pad", "NOTSET") in SAME
    rounding = call.dialect.pool_rounding(call.node.op, call.attrs.get("ceil_mode"), padded)
    windows = sliding(call, kernel, rounding)
    if call.dialect.runs and call.attr("auto_pad", "NOTSET") in SAME:
        windows = [_runtime_same(w, n) for w, n in zip(windows, call.spatial, strict=True)]
    return windows


def _runtime_same(window: Window, n: Dim) -> Window:
    """onnxruntime pads SAME poolings by the undilated kernel (pool_attributes.h), the specification by the extent."""
    if window.dilation == 1:
        return window
    return Window(window.kernel, window.stride, _same_padding(window, n), 0, window.dilation, window.rounding)


def _same_padding(window: Window, n: Dim) -> Dim:
    """Elements a SAME pooling adds in onnxruntime; below 0 where the kernel is smaller than the stride."""
    return (dims.ceil_divide(n, window.stride) - 1) * window.stride + window.kernel - n


def _shapes(call: Call) -> Shapes:
    shape = call.image(call.channels, sizes(_windows(call), call.spatial))
    return [shape] * len(call.node.outputs)


def _indexed(call: Call) -> str | list[str | None] | None:
    """The input's element type; where a maximum lay is a whole number."""
    given = call.tensor(0).dtype
    places = given if call.attr("places") == "plane" else "int64"
    return given if len(call.node.outputs) < 2 else [given, places]


def _needs(call: Call) -> Iterator[Need]:
    if _is_global(call):
        yield need_rank(call, at_least=3)
        return
    kernel = _kernel(call)
    yield need_rank(call, len(kernel) + 2)
    windows = _windows(call)
    if call.dialect.runs:
        yield from _runtime_refuses(call, windows)
    # onnxruntime lets a pooling give an empty map; the layer that reads it fails (pool_attributes.h SetOutputSize)
    yield from need_fit(call, windows, least=0 if call.dialect.runs else 1)


def _runtime_refuses(call: Call, windows: Sequence[Window]) -> Iterator[Need]:
    mode = call.attr("auto_pad", "NOTSET")
    if mode not in SAME:
        for w in windows:
            yield Need(
                dims.both(dims.at_least(w.kernel - 1, w.pad_begin), dims.at_least(w.kernel - 1, w.pad_end)),
                "E110",
                partial(_overpadded, call, w),
            )
    if mode in SAME and call.node.op == "MaxPool":
        for w, n in zip(windows, call.spatial, strict=True):
            if w.dilation == 1:  # its dilated kernel is another one, without the check
                yield Need(dims.at_least(_same_padding(w, n), 0), "E110", partial(_cropped, call, mode, w, n))


def _cropped(call: Call, mode: str, window: Window, n: Dim) -> Detail:
    return Detail(
        f"{call.name}: onnxruntime refuses auto_pad {mode} where kernel {window.kernel} below stride {window.stride} "
        f"would crop its input of {n}",
        "padding of at least 0",
        str(_same_padding(window, n)),
    )


def _overpadded(call: Call, window: Window) -> Detail:
    return Detail(
        f"{call.name}: onnxruntime refuses padding as large as the kernel",
        f"padding below {window.kernel}",
        f"{window.pad_begin} and {window.pad_end}",
    )


def _macs(call: Call, outputs: Shapes) -> Dim:
    return 0  # additions and comparisons only; multiply-accumulates are what the published tables count


def _lower(call: Call, outputs: Shapes) -> Lowered | None:
    out = outputs[0]
    if not isinstance(out, tuple):
        return None
    if len(call.node.outputs) > 1 and "places" in call.attrs:
        return _placed(call, out)
    if _is_global(call):
        return Lowered([call.node.replace(op="Global" + call.node.op, attrs={})])
    plain = _plain_attrs(call)
    windows = _windows(call)
    spatial = tuple(out[2:])
    if any(w.same for w in windows):
        return Lowered([call.node.replace(attrs=plain | explicit_pads(windows, call.spatial))])
    ceil_mode = _ceil_mode(windows, call.spatial, spatial)
    if ceil_mode is None or any(max(w.pads(0)) >= int(w.kernel) for w in windows):
        return _explicit(call, plain, windows, spatial)
    return Lowered([call.node.replace(attrs={**plain, "ceil_mode": ceil_mode})])


def _placed(call: Call, out: Shape) -> Lowered:
    """The maxima and where they lay, counted as the framework does; padded by hand, as no ``ceil_mode`` is needed then.

    Caffe's places are floats in the plane (pooling_layer.cpp), Chainer's are in the window (max_pooling_2d.py).
    """
    windows, kernel = _windows(call), [int(k) for k in _kernel(call)]
    size, wanted = [int(n) for n in call.spatial], [int(n) for n in out[2:]]
    begins = [int(w.pad_begin) for w in windows]
    strides = [int(w.stride) for w in windows]
    reach = [(o - 1) * s + k for o, s, k in zip(wanted, strides, kernel, strict=True)]
    ends = [max(r - n - b, 0) for r, n, b in zip(reach, size, begins, strict=True)]
    chain = Chain(call)
    value, padded = call.node.inputs[0], [n + b + e for n, b, e in zip(size, begins, ends, strict=True)]
    if any([*begins, *ends]):
        value = chain.add("Pad", (value, [0, 0, *begins, 0, 0, *ends], float("-inf")))
    pooled, places = f"{call.node.name}/pooled", f"{call.node.name}/places"
    attrs = {"kernel_shape": kernel, "strides": strides}
    chain.nodes.append(Node(pooled, "MaxPool", (value,), (pooled, places), attrs, origin=call.node.origin))
    index = in_plane(chain, places, padded, begins, size)
    if call.attr("places") == "plane":
        index = chain.add("Cast", (index,), {"to": "float32"})
    else:
        starts = [range(-b, o * s - b, s) for b, o, s in zip(begins, wanted, strides, strict=True)]
        index = in_window(chain, index, size, kernel, starts)
    for name, output in zip((pooled, index), call.node.outputs, strict=True):
        chain.nodes.append(Node(f"{call.node.name}/{output}", "Identity", (name,), (output,), origin=call.node.origin))
    return Lowered(chain.nodes, chain.params)


def _ceil_mode(windows: Sequence[Window], sizes: Shape, out: Shape) -> int | None:
    """The ``ceil_mode`` that gives these sizes: 1 where the source rounds up, so that other sizes follow; or None."""

    def gives(rounding: str) -> bool:
        return all(_as(w, rounding).size(n) == o for w, n, o in zip(windows, sizes, out, strict=True))

    if any(w.rounding in ("ceil", "ceil_clip") for w in windows) and gives("ceil_clip"):
        return 1
    if gives("floor"):
        return 0
    return 1 if gives("ceil_clip") else None


def _plain_attrs(call: Call) -> dict[str, Any]:
    drop = ("layout", "global_pooling", "ceil_mode", "outside", "places")
    return {k: v for k, v in call.attrs.items() if k not in drop and v is not None}


def _as(window: Window, rounding: str) -> Window:
    return Window(window.kernel, window.stride, window.pad_begin, window.pad_end, window.dilation, rounding)


def _explicit(call: Call, plain: dict[str, Any], windows: Sequence[Window], spatial: Shape) -> Lowered | None:
    """Pad to exactly what the windows reach, then pool without padding: for sizes no ``ceil_mode`` gives.

    A maximum pads with ``outside`` (minus infinity unless the framework starts from a finite number), an average
    with 0, which equals counting the padding. None for an average whose divisor leaves out padding or what hangs over.
    """
    begins = [int(w.pad_begin) for w in windows]
    ends = [
        max((int(o) - 1) * w.stride + int(w.extent) - int(n) - int(w.pad_begin), 0)
        for w, n, o in zip(windows, call.spatial, spatial, strict=True)
    ]
    node = call.node
    overhang = any(end > int(w.pad_end) for end, w in zip(ends, windows, strict=True))
    if node.op == "AveragePool" and (overhang or not call.attr("count_include_pad", 0)):
        return None
    pads_name, value_name, padded = f"{node.name}/pads", f"{node.name}/outside", f"{node.name}/padded"
    maximum = node.op == "MaxPool"
    outside = call.attr("outside", float("-inf")) if maximum else 0.0
    amounts = (0, 0, *begins, 0, 0, *ends)
    plain.update(pads=[0] * (2 * len(windows)), ceil_mode=0)
    pad = Node(f"{node.name}/pad", "Pad", (node.inputs[0], pads_name, value_name), (padded,), origin=node.origin)
    pool = node.replace(inputs=(padded, *node.inputs[1:]), attrs=plain)
    return Lowered(
        [pad, pool],
        [
            Param(pads_name, (len(amounts),), "int64", contents=amounts, trained=False),
            Param(value_name, (), "float32", contents=(outside,), trained=False),
        ],
    )


def _formula(call: Call, outputs: Shapes) -> str:
    if _is_global(call):
        return f"global {dims.show(call.spatial)} → {dims.show((1,) * len(call.spatial))}"
    return window_formula(_windows(call), call.spatial)


def _global_windows(call: Call) -> list[Window]:
    return [Window(n) for n in call.spatial]


def _global_shapes(call: Call) -> Shapes:
    """One element a channel; ``keepdims`` 0 (Keras) leaves its places of 1 out."""
    if not call.attr("keepdims", 1):
        return [(call.shape()[0], call.channels)]
    return [call.image(call.channels, (1,) * len(call.spatial))]


def _global_lower(call: Call, outputs: Shapes) -> Lowered:
    chain = Chain(call)
    value = chain.add(call.node.op, call.node.inputs[:1])
    if not call.attr("keepdims", 1):
        chain.add("Flatten", (value,), {"axis": 1})
    return chain.done()


def _global(name: str) -> Operator:
    return Operator(
        name,
        _global_shapes,
        needs=lambda call: iter([need_rank(call, at_least=3)]),
        windows=_global_windows,
        formula=lambda call, outputs: f"global {dims.show(call.spatial)} → {dims.show((1,) * len(call.spatial))}",
        lower=_global_lower,
        images=True,
        source="ONNX Global*Pool-22",
    )


def _pool(name: str, lower: Callable[[Call, Shapes], Lowered | None]) -> Operator:
    return Operator(
        name,
        _shapes,
        needs=_needs,
        windows=_windows,
        macs=_macs,
        formula=_formula,
        lower=lower,
        dtype=_indexed if name == "MaxPool" else None,
        images=True,
        source="ONNX Pool-22; Caffe pooling_layer.cpp; Chainer utils/conv.py cover_all",
    )


register(
    _pool("MaxPool", _lower),
    _pool("AveragePool", _lower),
    _pool("LpPool", _lower),
    _global("GlobalAveragePool"),
    _global("GlobalMaxPool"),
    _global("GlobalLpPool"),
)
