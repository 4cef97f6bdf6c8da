"""What a plan makes of a net, as a diff: layers that came, went or changed; sizes and costs before and after.

Graphs share what no edit touched, so a layer that is the same object is the same layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..definition import Definition
from ..dims import show
from ..errors import ShapecalcError
from ..explain import last_map
from ..graph import Graph, Node
from ..sizes import reference
from ..trace import Trace
from .criteria import IDLE

#: Attributes that the weights' shapes say again.
SAID = frozenset({"channels"})
#: What is done with a layer.
ADDED, REMOVED, REPLACED, CHANGED = "added", "removed", "replaced", "changed"


class LayerChange(NamedTuple):
    """One layer of the diff: what is done, its name before and after ("" where it is not there), and in words how."""

    kind: str
    before: str
    after: str
    op: str
    what: str

    @property
    def name(self) -> str:
        """The name, or both."""
        both = dict.fromkeys(name for name in (self.before, self.after) if name)
        return " → ".join(both)

    def to_dict(self) -> dict[str, Any]:
        """The change as JSON prints it."""
        return {**self._asdict(), "before": self.before or None, "after": self.after or None}


class State(NamedTuple):
    """A net as it is before or after: what goes in and comes out, the sizes that fit, what it costs."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    sizes: str | None  # square inputs that fit, in closed form; None where it takes no image
    params: Any
    macs: Any
    receptive_field: Any
    jump: Any
    unseen: bool  # what its maps see is not known: a size is free

    def to_dict(self) -> dict[str, Any]:
        """The state as JSON prints it."""
        counts = {key: _number(getattr(self, key)) for key in ("params", "macs", "receptive_field", "jump")}
        return {"inputs": dict(self.inputs), "outputs": dict(self.outputs), "sizes": self.sizes, **counts}


class Diff(NamedTuple):
    """The layers that differ, how many do not, and the net before (None: it says no input) and after."""

    layers: tuple[LayerChange, ...]
    same: int
    before: State | None
    after: State

    def to_dict(self) -> dict[str, Any]:
        """The diff as JSON prints it."""
        return {
            "layers": [row.to_dict() for row in self.layers],
            "layers_unchanged": self.same,
            "before": None if self.before is None else self.before.to_dict(),
            "after": self.after.to_dict(),
        }


def diff(model: Definition, traced: Trace, name: str) -> Diff:
    """The diff between a model and what became of it (``traced``, called ``name``)."""
    native = reference(model)
    layers = tuple(layer_changes(model.graph, traced.graph, native, traced))
    kept = {id(node) for node in traced.graph.nodes}
    same = sum(id(node) in kept and node.op not in IDLE for node in model.graph.nodes)
    before = None if native is None else _state(model, native)
    return Diff(layers, same, before, _state(Definition(traced.graph, name), traced))


def _state(model: Definition, traced: Trace) -> State:
    last = last_map(traced)
    return State(
        {v.name: show(v.tensor.shape) for v in traced.inputs},
        {v.name: show(v.tensor.shape) for v in traced.outputs},
        _sizes(model),
        traced.params,
        traced.macs,
        last.receptive_field if last is not None else None,
        last.jump if last is not None else None,
        last is None and any(layer.unseen for layer in traced.layers),
    )


def _sizes(model: Definition) -> str | None:
    from ..sizes import valid_sizes  # needs numpy, which a trace does without

    try:
        return str(valid_sizes(model))
    except ShapecalcError:
        return None  # it takes no image, or leaves more open than height and width


def layer_changes(old: Graph, new: Graph, before: Trace | None, after: Trace) -> Iterator[LayerChange]:
    """The layers that differ, in the order of the new net, those that went last."""
    known = {node.name: node for node in old.nodes if node.op not in IDLE}
    now = {node.name for node in new.nodes}
    gone = {id(node.origin): node for node in known.values() if node.name not in now}
    for node in new.nodes:
        if node.op in IDLE:
            continue
        was = known.get(node.name) or gone.pop(id(node.origin), None)
        if was is None:
            yield LayerChange(ADDED, "", node.name, _op(node), _made(after, node))
        elif was is not node:
            kind = CHANGED if was.name == node.name else REPLACED
            yield LayerChange(kind, was.name, node.name, _op(node), _changed(was, node, before, after))
    for node in gone.values():
        yield LayerChange(REMOVED, node.name, "", _op(node), "")


def _op(node: Node) -> str:
    """The operator as its own file calls it; ONNX's where an edit made it."""
    return node.op if node.origin.file is None else node.origin.op or node.op


def _made(after: Trace, node: Node) -> str:
    shapes = ", ".join(show(value.tensor.shape) for value in after.layer(node.name).outputs)
    kernel = node.attrs.get("kernel_shape")
    return f"{show(tuple(kernel))} gives {shapes}" if kernel else f"gives {shapes}"


def _changed(was: Node, node: Node, before: Trace | None, after: Trace) -> str:
    """What is another: the operator, attributes, shapes of weights, what it reads."""
    parts = [f"{was.op} → {node.op}"] if was.op != node.op else []
    keys = [key for key in {**was.attrs, **node.attrs} if key not in SAID and was.attrs.get(key) != node.attrs.get(key)]
    keys = keys if was.op == node.op else []  # another operator has others
    parts += [f"{key} {_text(was.attrs.get(key))} → {_text(node.attrs.get(key))}" for key in keys]
    for old, new in zip(was.inputs, node.inputs, strict=False):
        if old != new:
            parts += [_renewed(old, new, before, after)]
    return "; ".join(dict.fromkeys(part for part in parts if part)) or "reads other weights"


def _renewed(old: str, new: str, before: Trace | None, after: Trace) -> str:
    """Another input: a weight of another shape, a constant with other contents, another layer's map."""
    if new not in after.graph.params:
        return f"reads {new}"
    tensor, was = after.tensors.get(new), before.tensors.get(old) if before is not None else None
    contents = after.graph.params[new].contents
    if contents is not None and not after.graph.params[new].trained:
        return f"{_text(was.contents if was is not None else None)} → {_text(contents)}"
    if tensor is None or was is None:
        return ""
    same = was.shape == tensor.shape
    return f"new {show(tensor.shape)}" if same else f"{show(was.shape)} → {show(tensor.shape)}"


#: Entries of a list that are shown.
SHOWN = 8


#: What exports write for the end of a Slice that goes on to the last place.
TO_THE_END = (2**63 - 1, 2**31 - 1)


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        shown = ["end" if entry in TO_THE_END else str(entry) for entry in value[:SHOWN]]
        return f"[{', '.join(shown)}{', …' if len(value) > SHOWN else ''}]"
    return "none" if value is None else str(value)


def _number(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return value if value is None or isinstance(value, (int, float)) else str(value)
