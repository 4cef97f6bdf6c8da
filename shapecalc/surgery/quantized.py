"""Heads whose weights are whole numbers or packed bits: they are computed in floats before they get new classes.

Scales and zero points were measured with the old weights and the old scores, so new weights have none. What goes into
the head stays quantized as it is; the head reads it behind a DequantizeLinear (or before it was quantized, where that
was done as it ran), and what stands behind it up to the next DequantizeLinear is done in floats too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..elements import FLOATS
from ..errors import RefusedError
from ..graph import Graph, Node, Param
from ..source import Origin
from .names import free_name, free_param
from .stored import Stored, param_of, stored, swept


class Form(NamedTuple):
    """The plain operator that a product is, and the inputs that hold its weight, its bias and what is known of codes.

    ``scale`` and ``zero`` are those of what goes in; ``floats``: floats go in, and are quantized in the operator.
    """

    plain: str
    weight: int
    bias: int = -1
    scale: int = -1
    zero: int = -1
    floats: bool = False


#: Operator -> its form. Inputs as in ONNX and in onnxruntime's contributed operators.
FORMS: Mapping[str, Form] = {
    "QLinearMatMul": Form("MatMul", 3, scale=1, zero=2),
    "QLinearConv": Form("Conv", 3, 8, 1, 2),
    "QGemm": Form("Gemm", 3, 6, 1, 2),
    "MatMulInteger": Form("MatMul", 1, zero=2),
    "ConvInteger": Form("Conv", 1, zero=2),
    "MatMulIntegerToFloat": Form("MatMul", 1, 6, 2, 4),
    "DynamicQuantizeMatMul": Form("MatMul", 1, 4, floats=True),
    "MatMulNBits": Form("MatMul", 1, 5, floats=True),
}
#: Operators on codes, and what they are on floats; each has its input first, scales behind.
PLAIN = {
    "QLinearSoftmax": "Softmax",
    "QLinearSigmoid": "Sigmoid",
    "QLinearLeakyRelu": "LeakyRelu",
    "QLinearGlobalAveragePool": "GlobalAveragePool",
    "QLinearAveragePool": "AveragePool",
    "QLinearAdd": "Add",
}
#: Attributes that only the operators on codes have.
OF_CODES = frozenset({"channels_last", "opset"})
#: Operators that move numbers, codes or floats.
MOVES = frozenset(
    "Flatten Reshape Squeeze Unsqueeze Transpose Identity Relu MaxPool Slice Gather GlobalMaxPool Dropout Clip".split()
)


def plain(op: str) -> str:
    """The operator that one on whole numbers stands for; itself where it stands for none."""
    return FORMS[op].plain if op in FORMS else PLAIN.get(op, op.removeprefix("Fused"))


def is_scale(graph: Graph, value: str) -> bool:
    """Whether a value is the scale of numbers that are quantized as they run, or a multiple of it."""
    node = graph.producers().get(value)
    if node is None or node.op not in ("DynamicQuantizeLinear", "Mul"):
        return False
    if node.op == "DynamicQuantizeLinear":
        return value in node.outputs[1:2]
    others = [name for name in node.inputs if stored(graph, name) is None]
    return len(others) == 1 and is_scale(graph, others[0])


def settled(graph: Graph, value: str) -> bool:
    """Whether a value is stored, or stored and then reshaped."""
    node = graph.producers().get(value)
    reshaped = node is not None and node.op == "Reshape"
    return stored(graph, node.inputs[0] if node is not None and reshaped else value) is not None


class FloatHead(NamedTuple):
    """A head of whole numbers or packed bits computed in floats, with weights that are still to be made."""

    layer: str
    op: str
    shape: tuple[int, ...]
    bias: int = 0  # how many numbers are added, 0: none

    def apply(self, graph: Graph) -> Graph:
        """The graph with the head in floats. Raises RefusedError where what stands behind it takes codes."""
        old, form = graph.node(self.layer), FORMS[self.op]
        params = dict(graph.params)
        front, given = self._given(graph, old, form)
        inputs = [given, self._new(graph, params, "weight", self.shape)]
        added: list[Node] = []
        output = old.outputs[0]
        if self.bias and form.plain == "MatMul":
            inner = free_name(graph, f"{output}_product")
            summed = (inner, self._new(graph, params, "bias", (self.bias,)))
            added.append(Node(free_name(graph, f"{self.layer}_bias"), "Add", summed, (output,), origin=INSERTED))
            output = inner
        elif self.bias:
            inputs.append(self._new(graph, params, "bias", (self.bias,)))
        kept = PLAIN_ATTRS[form.plain]
        attrs = {name: value for name, value in old.attrs.items() if name in kept}
        head = Node(self.layer, form.plain, tuple(inputs), (output,), attrs, origin=INSERTED)
        behind = _Behind(graph, params, self.layer, given_scaled=form.floats or form.scale >= 0)
        nodes = [
            made for node in graph.nodes for made in ((*front, head, *added) if node is old else (behind.of(node),))
        ]
        ends = {*behind.codes, *(behind.products & {*old.outputs})} & {*graph.outputs}
        if ends:
            raise _takes_codes(self.layer, f"the output {min(ends)} holds them")
        return swept(graph, graph.replace(nodes=tuple(nodes), params=params))

    def _new(self, graph: Graph, params: dict[str, Param], what: str, shape: tuple[int, ...]) -> str:
        name = free_param(graph.replace(params=params), f"{self.layer}.{what}")
        params[name] = Param(name, shape, _float_type(graph, graph.node(self.layer)), trained=True)
        return name

    def _given(self, graph: Graph, old: Node, form: Form) -> tuple[list[Node], str]:
        """The nodes in front of the head, and the floats that go into it."""
        value = old.inputs[0]
        if form.floats:
            return [], value
        giver = graph.producers().get(value)
        if giver is not None and giver.op == "DynamicQuantizeLinear":
            return [], giver.inputs[0]
        name = free_name(graph, f"{self.layer}_input")
        inputs = [value, old.input(form.scale), *([old.input(form.zero)] if old.input(form.zero) else [])]
        return [Node(name, "DequantizeLinear", inputs, (name,), origin=INSERTED)], name

    def describe(self) -> str:
        """One line for people."""
        return f"{self.layer}: {self.op} → {FORMS[self.op].plain} in floats, whose new weights have no measured scale"

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""
        return {"edit": "float-head", "layer": self.layer, "op": self.op, "shape": list(self.shape), "bias": self.bias}


#: Axes of a map, whose channels a bias is for.
MAP = 4
INSERTED = Origin(op="inserted")
#: Attributes that the plain operators share with those on whole numbers.
PLAIN_ATTRS: Mapping[str, frozenset[str]] = {
    "MatMul": frozenset(),
    "Gemm": frozenset({"alpha", "transA", "transB"}),
    "Conv": frozenset({"auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"}),
}


class _Behind:
    """What stands behind the head, node by node, done in floats.

    ``products`` are values that were whole products, to be scaled, and ``codes`` those that were codes; both are floats
    now. ``floats`` were floats before.
    """

    def __init__(self, graph: Graph, params: dict[str, Param], layer: str, *, given_scaled: bool) -> None:
        self.graph, self.params, self.layer = graph, params, layer
        outputs = graph.node(layer).outputs
        self.products = set() if given_scaled else set(outputs)
        self.codes = set(outputs) if graph.node(layer).op.startswith(("QLinear", "QGemm")) else set()
        self.codes -= set(outputs) if graph.node(layer).op == "QGemm" and not graph.node(layer).input(8) else set()
        self.floats = set(outputs) - self.codes - self.products
        self.weight_scaled = False

    def of(self, node: Node) -> Node:
        """The node, or what it becomes."""
        for values, done in ((self.products, self._scaled), (self.codes, self._uncoded), (self.floats, self._again)):
            if values & set(node.inputs):
                return done(node)
        return node

    def _again(self, node: Node) -> Node:
        """What are floats again may be quantized again."""
        if node.op != "QuantizeLinear":
            self.floats.update(node.outputs)
            return node
        self.codes.update(node.outputs)
        return node.replace(op="Identity", inputs=node.inputs[:1], attrs={})

    def _scaled(self, node: Node) -> Node:
        """A product of whole numbers is cast and scaled; both are done with."""
        value = next(name for name in node.inputs if name in self.products)
        other = next((name for name in node.inputs if name != value), "")
        if node.op == "Cast" or (node.op == "Mul" and self._scales(other)):
            self.products.update(node.outputs)
            return node.replace(op="Identity", inputs=(value,), attrs={})
        self.floats.update(node.outputs)
        bias = self._bias_of_map(other) if node.op == "Add" else ""
        return node.replace(inputs=tuple(bias if bias and name == other else name for name in node.inputs))

    def _bias_of_map(self, value: str) -> str:
        """The name of new numbers for a bias that is reshaped to be added to a map; "" for any other value."""
        giver = self.graph.producers().get(value)
        if giver is None or giver.op != "Reshape":
            return ""
        found, target = stored(self.graph, giver.inputs[0]), self.graph.params.get(giver.input(1))
        if found is None or not found.shape or target is None or len(target.contents or ()) != MAP:
            return ""
        return self._fresh(found.name, (1, found.shape[0], 1, 1), _float_type(self.graph, giver))

    def _fresh(self, old: str, shape: tuple[int, ...], dtype: str) -> str:
        name = free_param(self.graph.replace(params=self.params), f"{old}_float")
        self.params[name] = Param(name, shape, dtype, trained=True)
        return name

    def _scales(self, value: str) -> bool:
        """Whether it is a scale: the input's, or the weight's where that stands apart; none of a later layer."""
        if is_scale(self.graph, value):
            return True
        head = self.graph.node(self.layer)
        giver = self.graph.producers().get(head.inputs[0])
        fed = giver.outputs[1] if giver is not None and giver.op == "DynamicQuantizeLinear" else ""
        users = [node for node in self.graph.nodes if fed and fed in node.inputs and node.op == "Mul"]
        alone = bool(users) and all(stored(self.graph, name) is None for node in users for name in node.inputs)
        if not alone or self.weight_scaled or stored(self.graph, value) is None:
            return False
        self.weight_scaled = True
        return True

    def _uncoded(self, node: Node) -> Node:
        if node.op == "DequantizeLinear":
            self.floats.update(node.outputs)
            return node.replace(op="Identity", inputs=node.inputs[:1], attrs={})
        if node.op in MOVES:
            self.codes.update(node.outputs)
            return node
        if node.op not in PLAIN or node.attrs.get("channels_last"):
            raise _takes_codes(self.layer, f"{node.name} ({node.op}) takes them")
        self.codes.update(node.outputs)
        attrs = {name: value for name, value in node.attrs.items() if name not in OF_CODES}
        inputs = [node.inputs[0]]
        if node.op == "QLinearAdd":
            inputs = [self._added(node, place) for place in (0, 3)]
        return node.replace(op=PLAIN[node.op], domain="", inputs=tuple(inputs), attrs=attrs)

    def _added(self, node: Node, place: int) -> str:
        """A value that is added: the floats, or new numbers in the place of stored codes."""
        value = node.inputs[place]
        if value in self.codes:
            return value
        found = stored(self.graph, value)
        if found is None or found.shape is None:
            raise _takes_codes(self.layer, f"{node.name} ({node.op}) adds {value} to them")
        return self._fresh(found.name, found.shape, _float_type(self.graph, node))


def _takes_codes(layer: str, why: str) -> RefusedError:
    return RefusedError(
        f"{layer}: its scores are codes of a scale that was measured for the old classes",
        "E301",
        because=why,
        hint="change the classes of the file it was quantized from, then quantize that",
    )


def _float_type(graph: Graph, node: Node) -> str:
    """The element type of the floats around a quantized layer: that of its scales."""
    found = (stored(graph, name) for name in node.inputs if name)
    kinds = [param.dtype for each in found if each is not None and (param := param_of(graph, each)) is not None]
    return next((kind for kind in kinds if kind in FLOATS), "float32")


def in_floats(graph: Graph, node: Node) -> FloatHead | None:
    """The edit that computes a head in floats; None where it is. Raises RefusedError where that cannot be said."""
    form = FORMS.get(node.op)
    if form is None:
        return None
    if node.attrs.get("channels_last"):
        raise _takes_codes(
            node.name, f"{node.name} ({node.op}) has its channels last, as onnxruntime saved it for a machine"
        )
    found = stored(graph, node.input(form.weight))
    shape = _shape(node, found)
    giver = graph.producers().get(node.inputs[0])
    known = form.floats or form.scale >= 0 or (giver is not None and giver.op == "DynamicQuantizeLinear")
    if shape is None or not known:
        why = (
            f"the scale of {node.inputs[0]} is not known" if shape else f"the shape of {node.input(form.weight)} is not"
        )
        raise _takes_codes(node.name, why)
    count = shape[_class_axis(node, form.plain)]
    return FloatHead(node.name, node.op, shape, count if node.input(form.bias) and form.bias >= 0 else 0)


def _class_axis(node: Node, op: str) -> int:
    return -1 if op == "MatMul" or (op == "Gemm" and not node.attrs.get("transB")) else 0


def _shape(node: Node, found: Stored | None) -> tuple[int, ...] | None:
    """The shape of the weight as floats: bits are packed, and their own shape is in attributes."""
    if node.op == "MatMulNBits":
        return int(node.attrs["K"]), int(node.attrs["N"])
    return found.shape if found is not None else None
