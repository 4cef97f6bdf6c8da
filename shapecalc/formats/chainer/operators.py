"""What Python's operators, subscripts and attributes mean on values of the graph: each becomes a node."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ... import dims
from ...dims import Expr
from .functions import FUNCTIONS, reshaped
from .text import Site
from .use import Row, Use, describe, filled
from .values import Arguments, Array, Native, Opaque, Value, Variable

if TYPE_CHECKING:
    from .interpreter import Run

#: The end of an open slice: ONNX's "to the end".
END = (1 << 63) - 1


def _never(use: Use) -> Value:
    raise use.error("is written by an operator")


_KINDS = {
    ast.Add: ("Add", Row("+", _never, "", "add")),
    ast.Sub: ("Sub", Row("-", _never, "", "sub")),
    ast.Mult: ("Mul", Row("*", _never, "", "mul")),
    ast.Div: ("Div", Row("/", _never, "", "div")),
    ast.Pow: ("Pow", Row("**", _never, "", "pow")),
}
_NEGATION = Row("-", _never, "", "neg")
_ITEM = Row("[]", _never, "", "slice")


def binary(run: Run, kind: type[ast.operator], left: Value, right: Value, site: Site) -> Value:
    """``left <kind> right`` where at least one is a value of the graph."""
    if kind not in _KINDS:
        raise site.error(f"{site.quote()} is not supported on values of the graph", "E204")
    op, row = _KINDS[kind]
    use = run.use(row, {}, site)
    left, right = (filled(use, side) if isinstance(side, Array) else side for side in (left, right))
    if isinstance(left, Variable) and isinstance(right, Variable):
        ranks = (left.rank, right.rank)
        return use.emit(op, [left, right], rank=None if None in ranks else max(rank or 0 for rank in ranks))
    number, value = (right, left) if isinstance(left, Variable) else (left, right)
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise use.error(f"{site.quote()}: one side is {describe(number)}")
    return _with_number(use, kind, value, float(number), swapped=value is right)


def _with_number(use: Use, kind: type[ast.operator], x: Variable, number: float, *, swapped: bool) -> Variable:
    """(shift + scale·x) ** power says it all but for a division by the value."""
    attrs: dict[str, float]
    if kind is ast.Add:
        attrs = {"shift": number}
    elif kind is ast.Sub:
        attrs = {"scale": -1.0, "shift": number} if swapped else {"shift": -number}
    elif kind is ast.Mult:
        attrs = {"scale": number}
    elif kind is ast.Div and number and not swapped:
        attrs = {"scale": 1 / number}
    elif kind is ast.Pow and not swapped:
        attrs = {"power": number}
    elif kind is ast.Div and swapped:
        inverse = use.emit("Power", [x], {"power": -1.0}, rank=x.rank)
        return inverse if number == 1 else use.emit("Power", [inverse], {"scale": number}, rank=x.rank)
    else:
        raise use.error(f"{use.site.quote()} is not supported", "E204")
    return use.emit("Power", [x], attrs, rank=x.rank)


def negative(run: Run, x: Variable, site: Site) -> Variable:
    """``-x``."""
    return run.use(_NEGATION, {}, site).emit("Neg", [x], rank=x.rank)


# -- x[...] -----------------------------------------------------------------------------------------------------------


def item(run: Run, x: Variable, key: Value, site: Site) -> Variable:
    """``x[:, 1:3]`` and its like: numbers, slices, one ellipsis, None."""
    use = run.use(_ITEM, {}, site)
    keys = _spread(use, x, list(key) if isinstance(key, tuple) else [key])
    bounds: list[tuple[int, Any, Any, Any]] = []
    dropped: list[int] = []
    added: list[int] = []
    axis = 0
    for place, part in enumerate(keys):
        if part is None:
            added.append(place - len(dropped))
            continue
        if isinstance(part, slice):
            bounds += [(axis, *_bounds(use, part))] if part != slice(None) else []
        else:
            number = use.as_size(part, "index", -(2**31))
            bounds.append((axis, number, END if isinstance(number, int) and number == -1 else number + 1, 1))
            dropped.append(axis)
        axis += 1
    return _taken(use, x, bounds, dropped, added)


def _spread(use: Use, x: Variable, keys: list[Value]) -> list[Value]:
    """The keys with an ellipsis written out."""
    if any(isinstance(key, (list, Opaque, Variable)) for key in keys):
        raise use.error(f"{use.site.quote()}: only numbers and slices are supported", "E204")
    if Ellipsis in keys:
        place = keys.index(Ellipsis)
        count = use.need_rank(x.rank) - sum(key is not None for key in keys) + 1
        keys = [*keys[:place], *[slice(None)] * max(count, 0), *keys[place + 1 :]]
    if x.rank is not None and sum(key is not None for key in keys) > x.rank:
        raise use.error(f"{use.site.quote()}: {x.name} has {x.rank} dimensions", "E108")
    return keys


def _bounds(use: Use, part: slice) -> tuple[Any, Any, Any]:
    step = 1 if part.step is None else use.as_size(part.step, "step", -(2**31))
    if not isinstance(step, int) or step == 0:
        raise use.error(f"{use.site.quote()}: the step is not a number")
    backward = step < 0
    start = (END if backward else 0) if part.start is None else use.as_size(part.start, "start", -(2**31))
    end = (-END if backward else END) if part.stop is None else use.as_size(part.stop, "end", -(2**31))
    return start, end, step


def _taken(use: Use, x: Variable, bounds: list[Any], dropped: list[int], added: list[int]) -> Variable:
    value = x
    if bounds:
        axes, starts, ends, steps = (tuple(column) for column in zip(*bounds, strict=True))
        value = use.emit("Slice", [x], {"axes": axes, "starts": starts, "ends": ends, "steps": steps}, rank=x.rank)
    if dropped:
        rank = None if value.rank is None else value.rank - len(dropped)
        value = use.emit("Squeeze", [value], {"axes": tuple(dropped)}, rank=rank, kind="squeeze")
    if added:
        rank = None if value.rank is None else value.rank + len(added)
        value = use.emit("Unsqueeze", [value], {"axes": tuple(added)}, rank=rank, kind="unsqueeze")
    return value


# -- x.shape, x.reshape(…) --------------------------------------------------------------------------------------------


def _shape(run: Run, x: Variable, site: Site) -> Value:
    if x.rank is None:
        raise site.error(f"the number of dimensions of {x.name} is not known here")
    return x.shape


def _size(run: Run, x: Variable, site: Site) -> Value:
    return dims.product(_shape(run, x, site))


_ATTRIBUTES: dict[str, Callable[[Run, Variable, Site], Value]] = {
    "shape": _shape,
    "size": _size,
    "ndim": lambda run, x, site: len(_shape(run, x, site)),
    "data": lambda run, x, site: x,
    "array": lambda run, x, site: x,
    "T": lambda run, x, site: run.apply(FUNCTIONS["transpose"], Arguments([x]), site),
}
#: Methods that are functions of chainer.functions, and those that give the same value.
_METHODS = frozenset("sum mean max min squeeze prod".split())
_SAME = frozenset("astype as_layout copy to_cpu to_gpu to_device to_chx from_chx get __copy__".split())


def attribute(run: Run, x: Variable, name: str, site: Site) -> Value:
    """``x.<name>``: its shape, a method that is a function, or something that is not known."""
    if name in _ATTRIBUTES:
        return _ATTRIBUTES[name](run, x, site)
    if name in _METHODS:
        return Native(name, lambda run, arguments, at: run.apply(FUNCTIONS[name], arguments.after(x), at))
    if name in _SAME:
        return Native(name, lambda run, arguments, at: x)
    if name in ("flatten", "ravel"):
        return Native(name, lambda run, arguments, at: run.apply(FUNCTIONS["flatten"], Arguments([x]), at))
    if name in ("reshape", "transpose"):
        return Native(name, lambda run, arguments, at: _rearranged(run, name, x, arguments, at))
    return Opaque(f"{x.name}.{name}", site)


def _rearranged(run: Run, name: str, x: Variable, arguments: Arguments, site: Site) -> Value:
    """``x.reshape(2, 3)`` is ``x.reshape((2, 3))``."""
    given = arguments.positional
    sizes: Any = given[0] if len(given) == 1 and isinstance(given[0], (list, tuple, type(None))) else given
    if name == "transpose":
        return run.apply(FUNCTIONS[name], Arguments([x, sizes or None]), site)
    use = run.use(FUNCTIONS["reshape"], {}, site)
    return reshaped(use, x, [use.as_size(size, "shape", -1) for size in sizes])


def length(x: Value, site: Site) -> Value:
    """``len(x)``."""
    if isinstance(x, Variable):
        return Variable(x.name, max(x.rank or 1, 1)).shape[0]
    if isinstance(x, (Expr, Opaque)) or not hasattr(x, "__len__"):
        raise site.error(f"{site.quote()}: {describe(x)} has no length")
    return len(x)
