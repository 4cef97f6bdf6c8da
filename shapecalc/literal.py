"""Shapes as people write them, and what they mean for a graph's inputs.

One grammar everywhere: ``256``, ``224x320`` (height x width), ``3x224x224``, ``1x3x224x224``, ``name:1x3x224x224``
(also ``name:1,3,224,224``, ``name:[1,3,224,224]``, ``name[1,3,224,224]``; split at the last colon); ``N``, ``?`` or
``-1`` for a free dimension.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from shlex import quote
from typing import Any

from . import dims
from .dims import Dim, Shape
from .errors import UsageError
from .graph import Graph, Input

GRAMMAR = "256, 224x320 (height x width), 3x224x224, 1x3x224x224 or name:1x3x224x224; N or ? for a free dimension"
#: Larger sizes are a slip of the keyboard: no image is so large, and its activations fit no memory.
LARGEST = 10**9
#: Square sizes that nets are trained, exported and fed at, tried in turn where nothing names one.
USUAL = (
    *(224, 256, 299, 227, 384, 240, 288, 192, 320, 512, 448, 128, 160, 640),
    *(416, 608, 96, 64, 32, 28, 150, 1024),
)

_NAMED_BRACKET = re.compile(r"(?P<name>.*[^:=\[])\[(?P<dims>[^\[\]]*)\]$")


def parse(text: str) -> tuple[str | None, tuple[Dim, ...]]:
    """(input name or None, dimensions) of a shape literal; raises UsageError with the grammar.

    >>> parse("data:1x3x224x224")
    ('data', (1, 3, 224, 224))
    """
    text = text.strip()
    name, body = _split_name(text)
    words = [word.strip() for word in re.split(r"[x×X,]", body)]
    if not body.strip() or not all(words):
        raise _senseless(text, "a dimension is missing")
    return name, tuple(_dimension(word, text) for word in words)


def _split_name(text: str) -> tuple[str | None, str]:
    bracket = _NAMED_BRACKET.match(text)
    if bracket:
        return bracket["name"], bracket["dims"]
    name, colon, body = text.rpartition(":")
    body = body.strip()
    if body.startswith("[") and body.endswith("]"):
        body = body[1:-1]
    if colon and not name:
        raise _senseless(text, "the name before the colon is missing")
    return (name if colon else None), body


def _dimension(word: str, text: str) -> Dim:
    if word in ("?", "-1"):
        return dims.Unknown("left free")
    if re.fullmatch(r"[A-Za-z_]\w*", word):
        return dims.symbol(word)
    if not re.fullmatch(r"[+-]?\d+", word):
        raise _senseless(text, f"{word!r} is not a whole number")
    if len(word) > 12 or int(word) > LARGEST:
        raise _senseless(text, f"{word[:20]} is too large for an image")
    value = int(word)
    if value < 1:
        raise _senseless(text, f"{value} is not a size: sizes start at 1")
    return value


def _senseless(text: str, why: str) -> UsageError:
    return UsageError(f"{text!r} is not a shape: {why}", "E001", hint=f"write {GRAMMAR}")


def named_free(shape: Sequence[Dim], declared: Sequence[Dim] | None, names: Sequence[str]) -> Shape:
    """Free dimensions written ``?`` get a symbol: the declared one where there is one, else N, C, H, W by place."""
    result: list[Dim] = []
    for i, dim in enumerate(shape):
        if isinstance(dim, dims.Unknown):
            known = declared[i] if declared is not None and i < len(declared) else None
            dim = known if isinstance(known, dims.Expr) else dims.symbol(names[i] if i < len(names) else f"d{i}")
        result.append(dim)
    return tuple(result)


AXIS_NAMES = {"NCHW": ("N", "C", "H", "W"), "NHWC": ("N", "H", "W", "C")}


def complete(given: Input, shape: Sequence[Dim]) -> Shape:
    """The full shape of one input from a partial one: 256, (H, W), (C, H, W) or all of it.

    What is left out is as declared, or 1 for the batch. Raises UsageError where that cannot be.
    """
    layout = AXIS_NAMES[given.layout]
    declared = given.native if given.native is not None else given.declared
    rank = len(declared) if declared is not None else 4
    shape = tuple(shape)
    if declared is None and given.role == "other":  # no image, and of a rank nobody declared: as it is given
        return named_free(shape, None, ())
    if len(shape) == rank or (given.declared is None and len(shape) == 4):  # a first layer that flattens takes both
        return named_free(shape, given.declared, layout if rank == 4 else ())
    if rank != 4:
        raise _wrong_rank(given, shape, declared)
    base: list[Dim] = list(declared) if declared is not None else [dims.Unknown("channels")] * rank
    channel = layout.index("C")
    height, width = layout.index("H"), layout.index("W")
    if isinstance(base[0], dims.Unknown) or declared is None:
        base[0] = 1
    if len(shape) == 1:
        base[height] = base[width] = shape[0]
    elif len(shape) == 2:
        base[height], base[width] = shape
    elif len(shape) == 3:
        base[1:] = _in_order(shape, base[channel]) if given.layout == "NHWC" else shape
    else:
        raise _wrong_rank(given, shape, declared)
    if isinstance(base[channel], dims.Unknown) and len(shape) < 3:
        raise UsageError(
            f"the definition does not say how many channels {given.name} has",
            "E001",
            hint="give them: 224x224x3 for colour, 224x224x1 for gray"
            if given.layout == "NHWC"
            else "give them: 3x224x224 for colour, 1x224x224 for gray",
        )
    return named_free(base, given.declared, layout)


def _in_order(shape: tuple[Dim, ...], channels: Dim) -> tuple[Dim, ...]:
    """Three numbers for a net whose channels come last, as it has them; 3x224x224 too where only that can be meant."""
    if isinstance(channels, int) and shape[0] == channels != shape[2]:
        return (*shape[1:], shape[0])
    return shape


def _wrong_rank(given: Input, shape: Sequence[Dim], declared: Shape | None) -> UsageError:
    wanted = f" of shape {dims.show(declared)}" if declared is not None else ""
    rank = len(declared) if declared is not None else 4
    return UsageError(
        f"{dims.show(tuple(shape))} does not fit input {given.name!r}{wanted}",
        "E001",
        expected=f"{rank} dimensions",
        actual=f"{len(shape)} dimensions",
        because=f"{given.name} has {rank} axes, so it is no image that a height and a width alone tell"
        if rank != 4
        else None,
        hint=f"write {GRAMMAR}"
        if declared is None or rank == 4
        else f"tell every axis: {_every_axis(given, declared)}",
    )


def _every_axis(given: Input, declared: Shape) -> str:
    """What to type for a declared shape, ``?`` for what it leaves free."""
    sides = "x".join(str(side) if isinstance(side, int) else "?" for side in declared)
    return f"--input {quote(f'{given.name}:{sides}')}" + (", a number for each ?" if "?" in sides else "")


Spec = int | str | Sequence[Any] | Mapping[str, Any] | None


def feeds(graph: Graph, spec: Spec, default: Input | None) -> dict[str, Shape]:
    """Input name -> shape for every input, from what a caller gave; ``default`` is the input a bare shape is for.

    Raises UsageError for a literal that makes no sense or an input that does not exist.
    """
    given: dict[str, Shape] = {}
    for name, shape in _named(spec):
        target = default if name is None else next((i for i in graph.inputs if i.name == name), None)
        if target is None:
            known = ", ".join(repr(i.name) for i in graph.inputs) or "none"
            raise UsageError(f"there is no input {name!r}", "E001", hint=f"the inputs are {known}")
        if target.unshaped is not None:
            because = target.unshaped.reason
            hint = "leave --input out, or name another input: it is traced from what the file says of it"
            raise UsageError(f"input {target.name!r} has no shape", "E001", because=because, hint=hint)
        given[target.name] = complete(target, shape)
    batch = next((shape[0] for shape in given.values() if shape), None)
    for other in graph.inputs:
        if other.name not in given and other.native is not None:
            shape = tuple(other.native)
            if other.role == "label" and batch is not None and shape:
                shape = (batch, *shape[1:])
            given[other.name] = shape
    return given


def spelled(graph: Graph, shapes: Mapping[str, Shape], default: Input | None) -> list[str]:
    """The shortest literals that `feeds` reads as ``shapes`` again.

    >>> from shapecalc import load
    >>> graph = load("alexnet").graph
    >>> spelled(graph, {"x": (1, 3, 256, 256)}, graph.inputs[0]), spelled(graph, {"x": (2, 3, 256, 320)}, None)
    (['256'], ['x:2x3x256x320'])
    """
    said: list[str] = []
    for given in sorted(graph.inputs, key=lambda each: each is not default):
        shape = shapes.get(given.name)
        if shape is None:
            continue
        named = "" if given is default else f"{given.name}:"
        said += [text] if (text := _shortest(graph, said, given, shape, named, default)) else []
    return said


def _shortest(
    graph: Graph, said: list[str], given: Input, shape: Shape, named: str, default: Input | None
) -> str | None:
    """The shortest literal that, after those already said, gives an input its shape; None where it has it by itself."""
    words = ["?" if isinstance(d, dims.Unknown) else str(d) for d in shape]
    sides = [words[AXIS_NAMES[given.layout].index(axis)] for axis in "HW"] if len(words) == 4 else []
    forms = [list(dict.fromkeys(sides)), sides, words[1:], words] if sides else [words]
    for form in ([], *forms) if named else forms:
        try:
            found = feeds(graph, [*said, named + "x".join(form)] if form else said or None, default)
        except UsageError:
            continue
        if found.get(given.name) == shape:
            return named + "x".join(form) if form else None
    return named + "x".join(words)


def _named(spec: Spec) -> Iterable[tuple[str | None, tuple[Dim, ...]]]:
    items: Any = spec
    if spec is None:
        return
    if isinstance(spec, str):
        yield parse(spec)
    elif isinstance(spec, Mapping):
        for name, shape in spec.items():
            yield str(name), parse(shape)[1] if isinstance(shape, str) else _checked(_listed(shape))
    elif not _is_list(spec):
        yield None, _checked((spec,))
    elif len(items) and all(isinstance(item, str) for item in items):
        for item in items:
            yield parse(item)
    else:
        yield None, _checked(_listed(spec))


def _is_list(spec: Any) -> bool:
    return hasattr(spec, "__len__") and hasattr(spec, "__iter__") and not isinstance(spec, (bytes, bytearray))


def _listed(shape: Any) -> tuple[Any, ...]:
    return tuple(shape) if _is_list(shape) else (shape,)


def _whole(value: Any, shape: Any) -> Any:
    """A plain int for anything that is a whole number (numpy's too); names, symbols and arrays of sizes as they are."""
    if value is None or isinstance(value, (str, dims.Expr, dims.Unknown)) or getattr(value, "ndim", None):
        return value
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise _senseless(str(shape), f"{value!r} is not a whole number")
    return operator.index(value)


def _checked(shape: Sequence[Any]) -> tuple[Dim, ...]:
    values: list[Dim] = []
    if not shape:
        raise _senseless("()", "it has no dimensions")
    for value in shape:
        value = _whole(value, shape)
        if value is None or isinstance(value, str):
            value = dims.Unknown("left free") if value in (None, "?", "-1") else dims.symbol(str(value))
        elif isinstance(value, int) and (value < 1 or value > LARGEST):
            raise _senseless(str(shape), f"{value} is not a size: sizes are 1 to {LARGEST:,}")
        values.append(value)
    return tuple(values)
