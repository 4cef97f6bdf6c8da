"""Functions called in the graph of a functional model: ``keras.ops`` of Keras 3, ``TFOpLambda`` of older versions.

One row each, by the name both have for it; those without a row are unknown, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .activations import named
from .history import Ref, Site
from .layer import Layer, Made, unread
from .layers import LAYERS
from .slices import graph_node, index_of
from .text import Value
from .view import View


class Use:
    """A function's call: ``tensors`` by place, settings from the call or from the operation's own ``config``."""

    def __init__(self, layer: Layer, site: Site) -> None:
        self.layer = layer
        self.args = list(site.args)
        self.kwargs = {key: value for key, value in site.kwargs.items() if key != "name"}
        self.settings = View(layer.document, _merged(layer, self.kwargs), layer.path)

    @property
    def operands(self) -> list[Any]:
        """What a function of several values is called on: `Ref` or `Value`."""
        named_ones = [self.kwargs[key] for key in ("y", "x2", "b") if key in self.kwargs]
        return [*self.args, *named_ones]


def _merged(layer: Layer, kwargs: dict[str, Any]) -> Value:
    config = layer.config.value
    own = {key: value for key, value in config.data.items() if key not in ("name", "dtype", "trainable", "function")}
    own |= {key: _rebuilt(value) for key, value in kwargs.items() if not isinstance(value, Ref)}
    return Value(own, config.span)


def _rebuilt(value: Any) -> Value:
    """A list of values as one value again."""
    if isinstance(value, list):
        items = [_rebuilt(item) for item in value]
        return Value(items, items[0].span if items else Value(None, (0, 0)).span)  # type: ignore[arg-type]
    return value.at if isinstance(value, Ref) else value if isinstance(value, Value) else Value(None, (0, 0))  # type: ignore[arg-type]


Row = Callable[[Use], Made]


class Sides(NamedTuple):
    """The two sides of an operation: both values, or a value and a number (first or second)."""

    number: float | None
    number_first: bool


def _sides(use: Use) -> Sides | None:
    """None where a side is neither a value nor a number."""
    operands = use.operands
    if len(operands) != 2:
        return None
    refs = [isinstance(side, Ref) for side in operands]
    if all(refs):
        return Sides(None, False)
    side = operands[0] if refs[1] else operands[1]
    data = side.data if isinstance(side, Value) else None
    if not any(refs) or isinstance(data, bool) or not isinstance(data, (int, float)):
        return None
    return Sides(float(data), refs[1])


def _strange(use: Use) -> Made:
    return unread(f"{use.layer.kind} of an array that is no number has no rule yet")


def _arithmetic(op: str, affine: Callable[[float, bool], dict[str, float] | None]) -> Row:
    """An operation on two values, or on a value and a number: then (shift + scale·x)^power."""

    def make(use: Use) -> Made:
        sides = _sides(use)
        if sides is None:
            return _strange(use)
        if sides.number is None:
            return Made(op, takes=2)
        attrs = affine(sides.number, sides.number_first)
        return _strange(use) if attrs is None else Made("Power", attrs)

    return make


def _added(number: float, first: bool) -> dict[str, float]:
    return {"shift": number}


def _subtracted(number: float, first: bool) -> dict[str, float]:
    return {"scale": -1.0, "shift": number} if first else {"shift": -number}


def _multiplied(number: float, first: bool) -> dict[str, float]:
    return {"scale": number}


def _divided(number: float, first: bool) -> dict[str, float] | None:
    if number == 0.0:
        return None
    return {"scale": 1.0 / number, "power": -1.0} if first else {"scale": 1.0 / number}


def _raised(number: float, first: bool) -> dict[str, float] | None:
    return None if first else {"power": number}


def _bounded(op: str, bound: str) -> Row:
    def make(use: Use) -> Made:
        sides = _sides(use)
        if sides is None:
            return _strange(use)
        return Made(op, takes=2) if sides.number is None else Made("Clip", {bound: sides.number})

    return make


def _simple(op: str, domain: str = "", **attrs: Any) -> Row:
    return lambda use: Made(op, attrs, domain=domain)


def _activation(name: str) -> Row:
    def make(use: Use) -> Made:
        chosen = named(use.layer, name)
        if chosen is None:
            return Made("Identity")
        attrs = dict(chosen.attrs)
        if "axis" in attrs and use.settings.has("axis"):
            attrs["axis"] = use.settings.integer("axis")
        return Made(chosen.op, attrs, domain=chosen.domain)

    return make


def _reduced(op: str) -> Row:
    def make(use: Use) -> Made:
        axes = use.settings.integers("axis")
        attrs: dict[str, Any] = {"keepdims": int(use.settings.flag("keepdims", False))}
        return Made(op, attrs | ({"axes": axes} if axes else {}))

    return make


def _argument(use: Use, place: int, *names: str) -> View | None:
    """A setting given by name or by place."""
    value = use.settings.find(*names)
    if value is None and place < len(use.args) and not isinstance(use.args[place], Ref):
        value = _rebuilt(use.args[place])
    return None if value is None else View(use.layer.document, Value({"it": value}, value.span), use.layer.path)


def _reshape(use: Use) -> Made:
    """A target whose first size is left open keeps the batch, if the others say all the rest."""
    given = _argument(use, 1, "newshape", "shape")
    target = given.integers("it", low=-1) if given is not None else ()
    if not target or 0 in target or target.count(-1) > 1:
        return unread(f"{use.layer.kind} to a shape that is computed has no rule yet")
    return Made("Reshape", {"shape": target})


def _transposed(use: Use) -> Made:
    given = _argument(use, 1, "axes", "perm")
    order = given.integers("it") if given is not None else ()
    return Made("Transpose", {"perm": order} if order else {})


def _concatenated(use: Use) -> Made:
    given = _argument(use, 1, "axis")
    default = -1 if use.layer.operation else 0
    return Made("Concat", {"axis": default if given is None else given.integer("it")}, takes=None)


def _on_axes(op: str) -> Row:
    def make(use: Use) -> Made:
        given = _argument(use, 1, "axis")
        return Made(op, {"axes": given.integers("it")} if given is not None else {})

    return make


def _padded(use: Use) -> Made:
    given = _argument(use, 1, "pad_width", "paddings")
    mode = use.settings.text("mode", "constant").lower()
    rows = [row.plain() for row in given.value.data["it"].items()] if given is not None else []
    fill = use.settings.find("constant_values")
    if mode != "constant" or (fill is not None and fill.data not in (0, 0.0)):
        return unread(f"{use.layer.kind} with anything but zeros has no rule yet")
    if not rows or not all(_is_pair(row) for row in rows):
        return _strange(use)
    return Made("Pad", {"pads": (*(row[0] for row in rows), *(row[1] for row in rows))})


def _clipped(use: Use) -> Made:
    bounds = {}
    for place, (name, *others) in enumerate(
        (("min", "x_min", "clip_value_min"), ("max", "x_max", "clip_value_max")), 1
    ):
        given = _argument(use, place, *others)
        if given is None or isinstance(given.value.data["it"].data, (list, dict)):
            return _strange(use)
        bounds[name] = given.number("it", 0.0)
    return Made("Clip", bounds)


def _cast(use: Use) -> Made:
    given = _argument(use, 1, "dtype")
    name = given.text("it") if given is not None else ""
    if name in ("float16", "float32", "float64", "bfloat16"):
        return Made("Identity")
    return Made("Cast", {"to": name}) if name in ("int32", "int64", "bool") else _strange(use)


def _split(use: Use) -> Made:
    """Into equal parts; parts of sizes of their own are a list."""
    count, axis = _argument(use, 1, "indices_or_sections", "num_or_size_splits"), _argument(use, 2, "axis")
    if count is None or type(count.value.data["it"].data) is not int:
        return unread(f"{use.layer.kind} into parts of sizes of their own has no rule yet")
    parts = count.integer("it", low=1)
    return Made("Split", {"axis": 0 if axis is None else axis.integer("it"), "even": True}, outputs=min(parts, 1000))


def _stacked(use: Use) -> Made:
    axis = _argument(use, 1, "axis")
    return Made("Stack", {"axis": 0 if axis is None else axis.integer("it")}, domain="keras", takes=None)


def _swapped(use: Use) -> Made:
    axes = [_argument(use, place, name) for place, name in enumerate(("axis1", "axis2"), 1)]
    return Made("Swapaxes", {"axes": tuple(axis.integer("it") for axis in axes if axis is not None)}, domain="keras")


def _repeat(use: Use) -> Made:
    count, axis = _argument(use, 1, "repeats"), _argument(use, 2, "axis")
    if count is None or axis is None or type(count.value.data["it"].data) is not int:
        return _strange(use)
    return Made("Repeat", {"repeats": count.integer("it", low=1), "axis": axis.integer("it")}, domain="keras")


def _image_resized(use: Use) -> Made:
    """To a size; TensorFlow's second version of it has the same centres."""
    size, mode = _argument(use, 1, "size"), use.settings.text("interpolation", "") or use.settings.text("method", "")
    others = ("antialias", "crop_to_aspect_ratio", "pad_to_aspect_ratio", "preserve_aspect_ratio", "align_corners")
    sizes = size.integers("it", low=1) if size is not None else ()
    if len(sizes) != 2 or use.layer.config.text("function").startswith("compat.v1"):
        return unread(f"{use.layer.kind} to a size that is computed has no rule yet")
    attrs = {"size": sizes, "mode": mode or "bilinear", "exact": not any(use.settings.flag(n, False) for n in others)}
    return Made("Resizing", attrs, domain="keras", layout="NHWC")


def _blocks(op: str) -> Row:
    def make(use: Use) -> Made:
        size = _argument(use, 1, "block_size")
        if size is None or use.settings.text("data_format", "NHWC") != "NHWC":
            return _strange(use)
        return Made(op, {"blocksize": size.integer("it", low=1)}, domain="keras", layout="NHWC")

    return make


def _normalized(use: Use) -> Made:
    axis, order = _argument(use, 1, "axis"), use.settings.integer("order", 2)
    if order != 2 or axis is None:
        return _strange(use)
    return Made("UnitNormalization", {"axes": axis.integers("it")}, domain="keras")


def _is_pair(row: Any) -> bool:
    return isinstance(row, list) and len(row) == 2 and all(type(n) is int and 0 <= n < 1 << 31 for n in row)


ROWS: dict[str, Row] = {
    "add": _arithmetic("Add", _added),
    "subtract": _arithmetic("Sub", _subtracted),
    "multiply": _arithmetic("Mul", _multiplied),
    "divide": _arithmetic("Div", _divided),
    "power": _arithmetic("Pow", _raised),
    "maximum": _bounded("Max", "min"),
    "minimum": _bounded("Min", "max"),
    **{
        name: _activation(name)
        for name in "relu relu6 sigmoid tanh silu softmax log_softmax softplus softsign elu selu gelu hard_sigmoid "
        "hard_silu leaky_relu".split()
    },
    "exp": _simple("Exp"),
    "log": _simple("Log"),
    "sqrt": _simple("Sqrt"),
    "square": _simple("Power", power=2.0),
    "absolute": _simple("Abs"),
    "negative": _simple("Neg"),
    "identity": _simple("Identity"),
    "mean": _reduced("ReduceMean"),
    "sum": _reduced("ReduceSum"),
    "max": _reduced("ReduceMax"),
    "min": _reduced("ReduceMin"),
    "reshape": _reshape,
    "transpose": _transposed,
    "concatenate": _concatenated,
    "expanddims": _on_axes("Unsqueeze"),
    "squeeze": _on_axes("Squeeze"),
    "pad": _padded,
    "clip": _clipped,
    "cast": _cast,
    "split": _split,
    "stack": _stacked,
    "swapaxes": _swapped,
    "repeat": _repeat,
    "resize": _image_resized,
    "depth_to_space": _blocks("DepthToSpace"),
    "space_to_depth": _blocks("SpaceToDepth"),
    "normalize": _normalized,
    "getitem": lambda use: index_of(use.kwargs, use.args),
    "rsqrt": _simple("Power", power=-0.5),
    "reciprocal": _simple("Power", power=-1.0),
    "sin": _simple("Sin"),
    "cos": _simple("Cos"),
}

#: TensorFlow's names, and Keras' second ones, for the same.
ALIASES = {
    "__operators__.add": "add",
    "math.add": "add",
    "math.subtract": "subtract",
    "math.multiply": "multiply",
    "math.truediv": "divide",
    "math.divide": "divide",
    "truedivide": "divide",
    "math.pow": "power",
    "math.maximum": "maximum",
    "math.minimum": "minimum",
    "math.sigmoid": "sigmoid",
    "math.tanh": "tanh",
    "math.exp": "exp",
    "math.log": "log",
    "math.sqrt": "sqrt",
    "math.square": "square",
    "math.abs": "absolute",
    "math.negative": "negative",
    "math.reduce_mean": "mean",
    "math.reduce_sum": "sum",
    "math.reduce_max": "max",
    "math.reduce_min": "min",
    "__operators__.getitem": "getitem",
    "clip_by_value": "clip",
    "image.resize": "resize",
    "math.l2_normalize": "normalize",
    "math.rsqrt": "rsqrt",
    "math.reciprocal": "reciprocal",
    "math.sin": "sin",
    "math.cos": "cos",
    "math.softplus": "softplus",
    "nn.swish": "silu",
    "concat": "concatenate",
    "expand_dims": "expanddims",
    "abs": "absolute",
    "hardsigmoid": "hard_sigmoid",
    "hardsilu": "hard_silu",
    "leakyrelu": "leaky_relu",
    "logsoftmax": "log_softmax",
}


def make(layer: Layer, site: Site) -> Made:
    """The node to be of a function's call."""
    if layer.kind == "TensorFlowOpLayer":
        return graph_node(layer.config.value, len(site.refs()))
    row = ROWS.get(_name(layer))
    if row is None:
        shown = layer.config.text("function") or layer.kind
        return unread(f"the function {shown} has no rule yet")
    return row(Use(layer, site))


def _name(layer: Layer) -> str:
    name = layer.kind.lower() if layer.kind not in FUNCTIONS else layer.config.text("function", "__operators__.getitem")
    name = name.removeprefix("compat.v1.")
    return ALIASES.get(name, name.removeprefix("nn."))


#: Classes of older versions that stand for a function.
FUNCTIONS = frozenset({"TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer"})
#: Functions that are called as layers are: HDF5 files of Keras 3 do not say which of the two something is.
SHARED = frozenset({"Add", "Subtract", "Multiply", "Maximum", "Minimum"})


def stands_for(layer: Layer) -> bool:
    """Whether a class without a module is a function: a layer merges a list, a function takes its values one by one."""
    if layer.kind in FUNCTIONS:
        return True
    if layer.module or not layer.modern or "trainable" in layer.config.value.data or _name(layer) not in ROWS:
        return False
    return layer.kind not in LAYERS or (layer.kind in SHARED and not _merges_a_list(layer))


def _merges_a_list(layer: Layer) -> bool:
    nodes = layer.entry.get("inbound_nodes")
    calls = nodes.items() if nodes is not None else []
    args = calls[0].get("args") if calls else None
    return args is None or not args.items() or bool(args.items()[0].items())
