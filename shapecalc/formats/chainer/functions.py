"""The functions of ``chainer.functions``: a row for each, with its parameters as Chainer 7.8.1 has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from ...dims import Dim
from .arrays import ARRAYS
from .images import IMAGES
from .tape import label
from .use import UNSET, Row, Use
from .values import Value, Variable

# -- windows ----------------------------------------------------------------------------------------------------------


def _window(use: Use, x: Variable) -> dict[str, Any]:
    """Kernel, stride (the kernel's where none is given) and padding; nothing but a flag for the whole image."""
    rank = use.need_rank(x.rank) - 2 if use.row.options is None else use.row.options
    kernel = use.pair("ksize", 1, rank)
    if kernel == x.shape[2:] and not any(use.pair("pad", 0, rank)):
        return {"global_pooling": True}
    strides = kernel if use["stride"] is None else use.pair("stride", 1, rank)
    return {"kernel_shape": kernel, "strides": strides, "pads": use.pair("pad", 0, rank) * 2}


def _max_pool(use: Use) -> Value:
    """``cover_all`` not written is left to the dialect: Chainer's own is True."""
    x = use.variable()
    cover_all = use["cover_all"]
    attrs = _window(use, x) | {"ceil_mode": None if cover_all is UNSET else int(bool(cover_all))}
    if use["return_indices"]:
        placed = attrs | {"places": "window"}  # counted in each window
        return tuple(use.emit_many("MaxPool", [x], placed, ranks=[x.rank, x.rank]))
    return use.emit("MaxPool", [x], attrs, rank=x.rank)


def _average_pool(use: Use) -> Variable:
    """Rounds down and divides by the whole kernel, padding included, unless ``pad_value`` is None."""
    x = use.variable()
    include = int("pad_value" not in use.given or use["pad_value"] is not None)
    attrs = _window(use, x) | {"ceil_mode": 0, "count_include_pad": include}
    return use.emit("AveragePool", [x], attrs, rank=x.rank)


def _lrn(use: Use) -> Variable:
    """Chainer does not divide alpha by n, ONNX does; its k is ONNX's bias."""
    x = use.variable()
    n = use.size("n", 1)
    attrs = {"size": n, "alpha": use.number("alpha") * n, "beta": use.number("beta"), "bias": use.number("k")}
    return use.emit("LRN", [x], attrs, rank=x.rank)


# -- places -----------------------------------------------------------------------------------------------------------


def _unary(op: str, **arguments: str) -> Callable[[Use], Variable]:
    """An operator that keeps the shape; ``arguments`` maps ONNX's attributes to Chainer's arguments."""

    def rule(use: Use) -> Variable:
        x = use.variable()
        return use.emit(op, [x], {key: use.number(name) for key, name in arguments.items()}, rank=x.rank)

    return rule


def _rrelu(use: Use) -> Variable:
    """Outside training the slope is the mean of its bounds (chainer/functions/activation/rrelu.py)."""
    x = use.variable()
    return use.emit("LeakyRelu", [x], {"alpha": (use.number("l") + use.number("u")) / 2}, rank=x.rank)


def _softplus(use: Use) -> Variable:
    """log(1 + exp(beta·x)) / beta."""
    x = use.variable()
    beta = use.number("beta")
    if beta == 1:
        return use.emit("Softplus", [x], rank=x.rank)
    scaled = use.emit("Power", [x], {"scale": beta}, rank=x.rank, kind="mul")
    return use.emit(
        "Power", [use.emit("Softplus", [scaled], rank=x.rank)], {"scale": 1 / beta}, rank=x.rank, kind="mul"
    )


def _clip(low: Callable[[Use], float], high: Callable[[Use], float]) -> Callable[[Use], Variable]:
    def rule(use: Use) -> Variable:
        x = use.variable()
        bounds = [_constant(use, "min", low(use)), _constant(use, "max", high(use))]
        return use.emit("Clip", [x, *bounds], rank=x.rank)

    return rule


def _constant(use: Use, what: str, value: float) -> str:
    name = f"{what}={value:g}"
    return use.tape.param(name, (), trained=False, contents=(value,))


def _softmax(op: str) -> Callable[[Use], Variable]:
    def rule(use: Use) -> Variable:
        x = use.variable()
        return use.emit(op, [x], {"axis": use.axes("axis", x.rank)[0]}, rank=x.rank)

    return rule


def _dropout(use: Use) -> Variable:
    x = use.variable()
    return use.emit("Dropout", [x], {"ratio": use.number("ratio")}, rank=x.rank)


def _join(op: str) -> Callable[[Use], Variable]:
    def rule(use: Use) -> Variable:
        variables = use.variables("xs")
        ranks = [value.rank for value in variables]
        return use.emit(op, variables, rank=None if None in ranks else max(rank or 0 for rank in ranks))

    return rule


# -- shapes -----------------------------------------------------------------------------------------------------------


def _concat(use: Use) -> Variable:
    variables = use.variables("xs")
    axis = use.axes("axis", variables[0].rank)[0]
    return use.emit("Concat", variables, {"axis": axis}, rank=variables[0].rank)


def _reshape(use: Use) -> Variable:
    shape = use["shape"]
    sizes = tuple(shape) if isinstance(shape, (list, tuple)) else (shape,)
    return reshaped(use, use.variable(), [use.as_size(size, "shape", -1) for size in sizes])


def reshaped(use: Use, x: Variable, sizes: Sequence[Dim]) -> Variable:
    """``x`` with another shape; -1 is what is left, and 0 is 0 (numpy), not ONNX's copy."""
    return use.emit("Reshape", [x], {"shape": tuple(sizes), "allowzero": 1}, rank=len(sizes))


def _transpose(use: Use) -> Variable:
    x = use.variable()
    order = use["axes"]
    rank = use.need_rank(x.rank)
    perm = tuple(reversed(range(rank))) if order is None else use.axes("axes", rank)
    if sorted(perm) != list(range(rank)):
        raise use.error(f"axes {perm} do not order {rank} dimensions", "E109")
    return use.emit("Transpose", [x], {"perm": perm}, rank=rank)


def _swapaxes(use: Use) -> Variable:
    x = use.variable()
    rank = use.need_rank(x.rank)
    order = list(range(rank))
    (first,), (second,) = use.axes("axis1", rank), use.axes("axis2", rank)
    if max(first, second) >= rank:
        raise use.error(f"axis {max(first, second)} of {rank} dimensions", "E109")
    order[first], order[second] = order[second], order[first]
    return use.emit("Transpose", [x], {"perm": tuple(order)}, rank=rank)


def _squeeze(use: Use) -> Variable:
    x = use.variable()
    if use["axis"] is None:
        return use.emit("Squeeze", [x], rank=None)
    axes = use.axes("axis", x.rank)
    return use.emit("Squeeze", [x], {"axes": axes}, rank=None if x.rank is None else x.rank - len(axes))


def _expand_dims(use: Use) -> Variable:
    x = use.variable()
    rank = use.need_rank(x.rank) + 1
    return use.emit("Unsqueeze", [x], {"axes": use.axes("axis", rank)}, rank=rank)


def _reduce(op: str) -> Callable[[Use], Variable]:
    def rule(use: Use) -> Variable:
        x = use.variable()
        axes, keep = use.axes("axis", x.rank), bool(use["keepdims"])
        rank = x.rank if keep or x.rank is None else x.rank - len(axes)
        return use.emit(op, [x], {"axes": axes, "keepdims": int(keep)}, rank=rank)

    return rule


def _split(use: Use) -> Value:
    """A number of equal parts, or the places to cut at."""
    x, given = use.variable(), use["indices_or_sections"]
    axis = use.axes("axis", x.rank)[0]
    if isinstance(given, (list, tuple)):
        cuts = [0, *(use.as_size(cut, "indices", 0) for cut in given), x.shape[axis]]
        attrs: dict[str, Any] = {"axis": axis, "split": tuple(b - a for a, b in pairwise(cuts))}
        count = len(cuts) - 1
    else:
        sections = use.as_size(given, "sections", 1)
        if not isinstance(sections, int):
            raise use.error(f"into {sections} parts: how many depends on the size of the input")
        count = sections
        attrs = {"axis": axis, "even": 1}
    if count > 4096:
        raise use.error(f"{count} parts are too many")
    return tuple(use.emit_many("Split", [x], attrs, ranks=[x.rank] * count))


# -- losses -----------------------------------------------------------------------------------------------------------


def _loss(op: str) -> Callable[[Use], Variable]:
    """A number for training; what it is computed from are the scores of the net, what it is compared with labels."""

    def rule(use: Use) -> Variable:
        first, second = use.row.signature.names[:2]
        scores, others = use.variable(first), [use.variable(second)]
        use.tape.scores.setdefault(scores.name)
        for value in others:
            if value.name in use.tape.inputs:
                use.tape.labels.setdefault(value.name)
        names = [scores.name, *(value.name for value in others)]
        made = use.tape.add(op, label(use.row.kind, use.scope, "", False), names, {}, use.origin)
        return Variable(made[0], 0, scores.after, loss=True)

    return rule


_POOL: dict[str, Any] = {"stride": None, "pad": 0, "cover_all": UNSET, "return_indices": False}
_ALL: dict[str, Any] = {"axis": None, "keepdims": False}

FUNCTIONS = {
    row.name: row
    for row in (
        *(
            Row(f"max_pooling_{name}", _max_pool, "x ksize", "pool", options=rank, **_POOL)
            for name, rank in (("1d", 1), ("2d", 2), ("3d", 3), ("nd", None))
        ),
        Row("average_pooling_2d", _average_pool, "x ksize", "pool", options=2, stride=None, pad=0),
        *(
            Row(
                f"average_pooling_{name}",
                _average_pool,
                "x ksize",
                "pool",
                options=rank,
                stride=None,
                pad=0,
                pad_value=0,
            )
            for name, rank in (("1d", 1), ("3d", 3), ("nd", None))
        ),
        Row("local_response_normalization", _lrn, "x", "norm", n=5, k=2, alpha=1e-4, beta=0.75),
        Row("relu", _unary("Relu"), "x"),
        Row("leaky_relu", _unary("LeakyRelu", alpha="slope"), "x", "relu", slope=0.2),
        Row("rrelu", _rrelu, "x", "relu", l=1 / 8, u=1 / 3),
        Row("elu", _unary("Elu", alpha="alpha"), "x", alpha=1.0),
        Row(
            "selu",
            _unary("Selu", alpha="alpha", gamma="scale"),
            "x",
            alpha=1.6732632423543772,
            scale=1.0507009873554805,
        ),
        Row("sigmoid", _unary("Sigmoid"), "x"),
        Row("hard_sigmoid", _unary("HardSigmoid"), "x"),
        Row("tanh", _unary("Tanh"), "x"),
        Row("softplus", _softplus, "x", beta=1.0),
        Row("exp", _unary("Exp"), "x"),
        Row("log", _unary("Log"), "x"),
        Row("sqrt", _unary("Sqrt"), "x"),
        Row("absolute", _unary("Abs"), "x"),
        Row("sign", _unary("Sign"), "x"),
        Row("sin", _unary("Sin"), "x"),
        Row("cos", _unary("Cos"), "x"),
        Row("floor", _unary("Floor"), "x"),
        Row("ceil", _unary("Ceil"), "x"),
        Row("erf", _unary("Erf"), "x"),
        Row("tan", _unary("Tan"), "x"),
        Row("arcsin", _unary("Asin"), "x"),
        Row("arccos", _unary("Acos"), "x"),
        Row("arctan", _unary("Atan"), "x"),
        Row("sinh", _unary("Sinh"), "x"),
        Row("cosh", _unary("Cosh"), "x"),
        Row("arctanh", _unary("Atanh"), "x"),
        Row("identity", _unary("Identity"), "x"),
        Row("clipped_relu", _clip(lambda use: 0.0, lambda use: use.number("z")), "x", "relu", z=20.0),
        Row("relu6", _clip(lambda use: 0.0, lambda use: 6.0), "x", "relu"),
        Row("clip", _clip(lambda use: use.number("x_min"), lambda use: use.number("x_max")), "x x_min x_max"),
        Row("softmax", _softmax("Softmax"), "x", "prob", numbered=False, axis=1),
        Row("log_softmax", _softmax("LogSoftmax"), "x", "prob", numbered=False, axis=1),
        Row("dropout", _dropout, "x", "drop", ratio=0.5, mask=None, return_mask=False),
        Row("concat", _concat, "xs", axis=1),
        Row("reshape", _reshape, "x shape"),
        Row("flatten", lambda use: reshaped(use, use.variable(), [-1]), "x"),
        Row("transpose", _transpose, "x", axes=None),
        Row("swapaxes", _swapaxes, "x axis1 axis2", "transpose"),
        Row("squeeze", _squeeze, "x", axis=None),
        Row("expand_dims", _expand_dims, "x axis"),
        Row("split_axis", _split, "x indices_or_sections axis", "split", force_tuple=True),
        Row("sum", _reduce("ReduceSum"), "x", **_ALL),
        Row("mean", _reduce("ReduceMean"), "x", axis=None, weights=None, keepdims=False),  # F.mean is F.average
        Row("average", _reduce("ReduceMean"), "x", "mean", axis=None, weights=None, keepdims=False),
        Row("max", _reduce("ReduceMax"), "x", **_ALL),
        Row("min", _reduce("ReduceMin"), "x", **_ALL),
        Row("prod", _reduce("ReduceProd"), "x", **_ALL),
        Row("add", _join("Sum"), "*xs"),
        Row("maximum", _join("Max"), "*xs"),
        Row("minimum", _join("Min"), "*xs"),
        Row(
            "softmax_cross_entropy",
            _loss("SoftmaxCrossEntropyLoss"),
            "x t",
            "loss",
            normalize=True,
            cache_score=True,
            class_weight=None,
            ignore_label=-1,
            reduce="mean",
            enable_double_backprop=False,
            soft_target_loss="cross-entropy",
        ),
        Row("accuracy", _loss("Accuracy"), "y t", ignore_label=None),
        Row("binary_accuracy", _loss("Accuracy"), "y t", "accuracy", ignore_label=None),
        Row("sigmoid_cross_entropy", _loss("Loss"), "x t", "loss", normalize=True, reduce="mean"),
        Row("hinge", _loss("Loss"), "x t", "loss", norm="L1", reduce="mean"),
        Row("huber_loss", _loss("Loss"), "x t delta", "loss", reduce="sum_along_second_axis"),
        *(
            Row(name, _loss("Loss"), "x0 x1", "loss")
            for name in ("mean_squared_error", "mean_absolute_error", "absolute_error", "squared_error")
        ),
    )
}
FUNCTIONS |= ARRAYS | IMAGES
