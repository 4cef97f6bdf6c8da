"""``x[...]`` in a graph: how each version writes an index, and functions of TensorFlow's own graphs."""

from __future__ import annotations

from typing import Any

from .history import Ref
from .layer import Made, unread
from .text import Value

#: More entries have no tensor.
LONGEST = 32


class _StrangeError(Exception):
    """An index that is no constant."""


def index_of(kwargs: dict[str, Any], args: list[Any]) -> Made:
    """The node of an index: ``slice_spec`` before Keras 3, the second argument since."""
    given = kwargs.get("slice_spec", args[1] if len(args) > 1 else None)
    items = given if isinstance(given, list) else _items(given)
    try:
        index = tuple(_entry(item) for item in items)
    except _StrangeError:
        return unread("an index that is computed has no rule yet")
    if not index or len(index) > LONGEST or index.count("...") > 1:
        return unread("an index of this kind has no rule yet")
    return Made("GetItem", {"index": index}, domain="keras")


def _items(given: Any) -> list[Any]:
    if not isinstance(given, Value):
        return []
    return given.items() if isinstance(given.data, list) else [given]


def _entry(item: Any) -> Any:
    if isinstance(item, dict):
        return _slice(item)
    if isinstance(item, Ref) or not isinstance(item, Value):
        raise _StrangeError
    if item.data is None:
        return "new"
    if type(item.data) is int and abs(item.data) < 1 << 31:
        return item.data
    kind = item.get("class_name")
    if kind is not None and kind.data in ("__ellipsis__", "__slice__"):
        config = item.get("config")
        return "..." if kind.data == "__ellipsis__" else _slice(config.data if config is not None else {})
    if isinstance(item.data, dict):
        return _slice(item.data)
    if item.data in ("...", "Ellipsis"):
        return "..."
    raise _StrangeError


def _slice(bounds: Any) -> tuple[int | None, int | None, int | None]:
    if not isinstance(bounds, dict):
        raise _StrangeError
    found: list[int | None] = []
    for name in ("start", "stop", "step"):
        value = bounds.get(name)
        data = value.data if isinstance(value, Value) else None if value is None else value
        if data is not None and (type(data) is not int or abs(data) >= 1 << 31):
            raise _StrangeError
        found.append(data)
    if found[2] == 0 or set(bounds) - {"start", "stop", "step"}:
        raise _StrangeError
    return found[0], found[1], found[2]


#: Operators of TensorFlow's graphs (Keras 2.0 to 2.4 wrote them out) that need nothing but their input.
PLAIN = {"Relu": "Relu", "Sigmoid": "Sigmoid", "Tanh": "Tanh", "Exp": "Exp", "Abs": "Abs", "Neg": "Neg", "Sqrt": "Sqrt"}
#: Those with settings: TensorFlow's are about the last axis.
SET: dict[str, tuple[str, dict[str, float]]] = {
    "Relu6": ("Clip", {"min": 0.0, "max": 6.0}),
    "Softmax": ("Softmax", {"axis": -1}),
    "LogSoftmax": ("LogSoftmax", {"axis": -1}),
    "Square": ("Power", {"power": 2.0}),
    "Rsqrt": ("Power", {"power": -0.5}),
    "Softplus": ("Softplus", {}),
}
PAIRED = {
    "Add": "Add",
    "AddV2": "Add",
    "Sub": "Sub",
    "Mul": "Mul",
    "RealDiv": "Div",
    "Maximum": "Max",
    "Minimum": "Min",
}
SPACES = {"DepthToSpace": "DepthToSpace", "SpaceToDepth": "SpaceToDepth"}


def graph_node(config: Value, values: int) -> Made:
    """A ``TensorFlowOpLayer``: one node of a graph of TensorFlow's, called on so many values."""
    node, constants = config.get("node_def"), config.get("constants")
    kind = node.get("op") if node is not None else None
    name = kind.data if kind is not None and isinstance(kind.data, str) else ""
    plain = not (constants is not None and constants.data)
    if plain and values == 1 and name in PLAIN:
        return Made(PLAIN[name])
    if plain and values == 2 and name in PAIRED:
        return Made(PAIRED[name], takes=2)
    if plain and values == 1 and name in SET:
        op, attrs = SET[name]
        return Made(op, dict(attrs))
    scale = _constant(constants)
    if values == 1 and name == "Mul" and scale is not None:
        return Made("Power", {"scale": scale})
    if name in SPACES and node is not None:
        block = _attribute(node, "block_size", "i")
        layout = _attribute(node, "data_format", "s")
        if block.isdigit() and 0 < int(block) < 1 << 15 and layout in ("", "TkhXQw==", "NHWC"):
            return Made(SPACES[name], {"blocksize": int(block)}, domain="keras", layout="NHWC")
    return unread(f"the function {name or 'of TensorFlow'} has no rule yet")


def _constant(constants: Value | None) -> float | None:
    """The one number that an operator of two is given besides a value."""
    given = list(constants.data.values()) if constants is not None and isinstance(constants.data, dict) else []
    data = given[0].data if len(given) == 1 else None
    return float(data) if isinstance(data, (int, float)) and not isinstance(data, bool) else None


def _attribute(node: Value, name: str, kind: str) -> str:
    attrs = node.get("attr")
    value = attrs.get(name) if attrs is not None else None
    inner = value.get(kind) if value is not None else None
    return str(inner.data) if inner is not None else ""
