"""What Conv and the poolings share: their windows, the requirement that they fit, their formulas as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from .. import dims
from ..dims import Dim, Shape
from ..window import TransposedWindow, Window
from .base import AnyWindow, Call, Detail, Need, Shapes

PADDING_MODE = {"SAME_UPPER": "same_upper", "SAME_LOWER": "same_lower", "VALID": "valid", "NOTSET": "explicit"}
SAME = ("SAME_UPPER", "SAME_LOWER")


def per_axis(call: Call, name: str, rank: int, default: int) -> tuple[int, ...]:
    """An attribute with one number a spatial axis."""
    value = call.attr(name)
    return tuple(value) if value else (default,) * rank


def pads_of(call: Call, rank: int) -> tuple[tuple[int, int], ...]:
    """(begin, end) a spatial axis from ONNX's ``pads`` = [all begins, all ends]."""
    if call.attr("auto_pad", "NOTSET") != "NOTSET":
        return ((0, 0),) * rank
    pads = tuple(call.attr("pads", ())) or (0,) * (2 * rank)
    return tuple(zip(pads[:rank], pads[rank:], strict=True))


def sliding(call: Call, kernel: Sequence[Dim], rounding: str) -> list[Window]:
    """The window along each spatial axis, from ONNX's attributes and a rounding."""
    rank = len(kernel)
    strides = per_axis(call, "strides", rank, 1)
    dilations = per_axis(call, "dilations", rank, 1)
    mode = PADDING_MODE[call.attr("auto_pad", "NOTSET")]
    return [
        Window(k, s, begin, end, d, rounding, mode)
        for k, s, d, (begin, end) in zip(kernel, strides, dilations, pads_of(call, rank), strict=True)
    ]


def sizes(windows: Sequence[AnyWindow], spatial: Shape) -> list[Dim]:
    """The output size along each spatial axis."""
    return [window.size(n) for window, n in zip(windows, spatial, strict=True)]


def explicit_pads(windows: Sequence[Window], spatial: Shape) -> dict[str, object]:
    """ONNX's attributes for the padding SAME comes to on inputs of this size, which every runtime takes alike."""
    pads = [window.pads(int(n)) for window, n in zip(windows, spatial, strict=True)]
    return {"auto_pad": "NOTSET", "pads": [*(begin for begin, _ in pads), *(end for _, end in pads)]}


AXES = {1: ("width",), 2: ("height", "width"), 3: ("depth", "height", "width")}


def need_fit(call: Call, windows: Sequence[AnyWindow], least: int = 1) -> Iterator[Need]:
    """The input must not be empty, and every window must have at least ``least`` places on its axis."""
    names = AXES.get(len(windows), tuple(f"axis {i + 2}" for i in range(len(windows))))
    rows = list(zip(names, windows, call.spatial, strict=True))
    if len({(repr(window), str(n)) for _, window, n in rows}) == 1:
        rows = [("size", *rows[0][1:])]  # a square is said once
    for name, window, n in rows:
        yield Need(dims.at_least(n, 1), "E103", partial(_empty, call))
        yield Need(dims.at_least(window.size(n), least), "E103", partial(_too_large, call, name, window, n))


def _empty(call: Call) -> Detail:
    return Detail(
        f"{call.name}: {call.giver()} gives an empty map of {dims.show(call.shape())}",
        "at least 1 on every axis",
        dims.show(call.spatial),
        "a larger input, or a cut before this layer",
    )


def _too_large(call: Call, axis: str, window: AnyWindow, n: Dim) -> Detail:
    out = window.size(n)
    if isinstance(window, Window) and isinstance(n, int):
        padded = n + int(window.pad_begin) + int(window.pad_end)
        extent = window.extent
        reach = f"kernel {window.kernel}" + (f" (dilated to {extent})" if extent != window.kernel else "")
        return Detail(
            f"{call.name}: {reach} is larger than its input of {axis} {n}"
            + (f" (padded to {padded})" if padded != n else ""),
            f"{axis} of at least {window.smallest(1)}",
            f"{axis} {n} from {call.giver()}, so {text_of(window, n)}",
            "a larger input",
        )
    return Detail(f"{call.name}: {axis} {n} gives {out} outputs", "at least 1", str(out))


def text_of(window: AnyWindow, n: Dim) -> str:
    """``(227 + 2·0 - 11)/4 + 1 = 55`` with the brackets of its rounding where the division is not whole."""
    if isinstance(window, TransposedWindow):
        return _transposed_text(window, n)
    out = window.size(n)
    if not isinstance(n, int) or not isinstance(out, int):
        return str(out)
    if window.same:
        return f"⌈{n}/{window.stride}⌉ = {out}"
    begin, end = window.pad_begin, window.pad_end
    pad = f"2·{begin}" if begin == end else f"{begin} + {end}"
    top = f"{n} + {pad} − {window.extent}"
    if window.remainder(n) == 0:
        return f"({top})/{window.stride} + 1 = {out}"
    if window.rounding in ("ceil", "ceil_clip"):
        unclipped = -(-int(window.numerator(n)) // window.stride) + 1
        clip = f" − {unclipped - out}" if unclipped != out else ""
        return f"⌈({top})/{window.stride}⌉ + 1{clip} = {out}"
    return f"⌊({top})/{window.stride}⌋ + 1 = {out}"


def _transposed_text(window: TransposedWindow, n: Dim) -> str:
    if not isinstance(n, int):
        return str(window.size(n))
    begin, end = window.pad_begin, window.pad_end
    pad = f"2·{begin}" if begin == end else f"{begin} − {end}"
    extra = f" + {window.output_padding}" if window.output_padding else ""
    return f"{window.stride}·({n} − 1) + {window.extent} − {pad}{extra} = {window.size(n)}"


def window_formula(windows: Sequence[AnyWindow], spatial: Shape) -> str:
    """The formula of each axis, written once where the axes agree."""
    texts = [text_of(window, n) for window, n in zip(windows, spatial, strict=True)]
    return texts[0] if len(set(texts)) == 1 else " × ".join(texts)


def window_macs(outputs: Shapes, each: Dim) -> Dim:
    """Output elements times multiply-accumulates per element."""
    out = outputs[0]
    return dims.product(out) * each if isinstance(out, tuple) else out
