"""An ONNX file as a graph: structure only, tensors stay where they are. Standard library only; nothing is executed.

A weight that a file keeps as `ConstantOfShape` of a stored shape (placeholders, as in onnx's own light models) or as a
`Constant` that only weight slots read, or that has too many numbers to be a size, is a parameter of the graph like any
initializer, so an edit, a count and a proof meet one kind of weight. Every node keeps the index of its place in the
file as part of its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ... import dims, elements
from ...dims import Shape
from ...errors import ModelError
from ...graph import Graph, Input, Location, Node, Param, Tensor
from ...ops import find
from ...ops.lists import Listed, Maybe
from ...source import Origin, Span
from .. import Options, Source
from . import schema
from .nodes import Reader, opset_versions
from .order import sorted_nodes
from .tensors import MOST_AXES, as_param, read_tensor
from .wire import File, record

#: Sizes of the last axis that tell an image laid out NHWC.
COLOURS = (1, 3, 4)


def sniff(head: bytes) -> bool:
    """Whether a file beginning with ``head`` is an ONNX model: known fields of ModelProto up to the graph."""
    file = File(head, "")
    seen: set[int] = set()
    try:
        for number, wire, *_ in file.fields(0, len(head)):
            kind = schema.MODEL.get(number)
            if kind is None or wire not in kind.wires:
                return False
            seen.add(number)
    except ModelError:  # the graph goes on beyond the head
        return 1 in seen
    return 1 in seen and 7 in seen


def read(source: Source, options: Options) -> Graph:
    """The graph of an ONNX file; raises ModelError with the byte offset for what cannot be read."""
    file = File(source.data, source.name)
    model = _model(file)
    (span,) = model["graph"]
    fields = record(file, span, schema.GRAPH)
    reader = Reader(file, source.path.parent if source.path is not None else None, place_of(source))
    parts = _split(reader, reader.nodes(fields.get("node", [])), reader.params(fields))
    inputs = [_input(file, Span(*item)) for item in fields.get("input", [])]
    fed = tuple(item for item in inputs if item.name not in parts.params)
    given = parts.params.keys() | {item.name for item in fed}
    outputs = reader.value_names(fields.get("output", []))
    nodes = sorted_nodes(parts.nodes, given, source.name)
    _check_outputs(outputs, nodes, given, source.name)
    opsets = opset_versions(file, model)
    return Graph(
        fields.get("name", ""),
        fed,
        nodes,
        outputs,
        _marked(parts.params, nodes),
        dialect="onnxruntime",
        format="onnx",
        opset=opsets.get("", 1),
        meta={"path": reader.place, **_meta(file, model, fields, opsets)},
        warnings=_warnings(model),
        functions=reader.functions(model.get("functions", [])),
    )


def place_of(source: Source) -> str:
    """The path that locations of its own tensors name."""
    return str(source.path) if source.path is not None else source.name


def _model(file: File) -> dict[str, Any]:
    """ModelProto, with exactly one graph."""
    try:
        model = record(file, Span(0, len(file.data)), schema.MODEL)
    except ModelError as error:
        raise ModelError(
            "this is not an ONNX model, or it is damaged",
            "E202",
            location=file.name,
            because=error.message,
            hint=error.hint,
        ) from None
    graphs = model.get("graph", [])
    if len(graphs) != 1:
        raise file.broken(0, f"a model has one graph, this file has {len(graphs) or 'none'}")
    return model


def _meta(file: File, model: Mapping[str, Any], graph: Mapping[str, Any], opsets: dict[str, int]) -> dict[str, Any]:
    pairs = [record(file, span, schema.ENTRY) for span in model.get("metadata_props", [])]
    return {
        "opsets": opsets,
        "ir_version": model.get("ir_version", 0),
        "producer": model.get("producer_name", ""),
        "producer_version": model.get("producer_version", ""),
        "doc_string": model.get("doc_string", "") or graph.get("doc_string", ""),
        "metadata": {pair.get("key", ""): pair.get("value", "") for pair in pairs},
    }


def _warnings(model: Mapping[str, Any]) -> tuple[str, ...]:
    return ("the file holds training steps, which are not traced",) if model.get("training_info") else ()


# -- nodes, and the weights that are written as nodes -----------------------------------------------------------------


class _Parts(NamedTuple):
    nodes: list[Node]
    params: dict[str, Param]


def _split(reader: Reader, nodes: list[Node], params: Mapping[str, Param]) -> _Parts:
    """Nodes, and parameters with those that the file writes as nodes."""
    slots = _weight_slots(nodes)
    weights = [_as_weight(reader, node, params, slots) for node in nodes]
    kept = [node for node, weight in zip(nodes, weights, strict=True) if weight is None]
    added = {weight.name: weight for weight in weights if weight is not None}
    return _Parts(kept, {**params, **added})


def _weight_slots(nodes: Iterable[Node]) -> dict[str, bool]:
    """Value name -> whether nothing but weight slots (the later inputs of a row that has weights) reads it."""
    slots: dict[str, bool] = {}
    for node in nodes:
        row = find(node.op, node.domain)
        weighted = row is not None and row.weights is not None
        for index, name in enumerate(node.inputs):
            slots[name] = slots.get(name, True) and weighted and index > 0
    return slots


def _as_weight(reader: Reader, node: Node, params: Mapping[str, Param], slots: Mapping[str, bool]) -> Param | None:
    """The parameter that a node without inputs from the graph stands for, None for any other node."""
    value = node.attrs.get("value")
    if node.domain or not isinstance(value, Tensor) or len(node.outputs) != 1 or value.dtype in (None, "string"):
        return None
    floats = value.dtype in elements.FLOATS
    if not floats and (node.op != "Constant" or value.contents is not None):
        return None  # indices that are too many to be read stay in the file, as weights do
    name = node.outputs[0]
    origin = Origin(node.origin.file, None, node.op, node.origin.span)
    if node.op == "ConstantOfShape":
        target = params.get(node.inputs[0]) if node.inputs else None
        if target is None or target.contents is None or any(d < 0 for d in target.contents):
            return None
        return Param(name, tuple(target.contents), value.dtype, origin=origin)
    weight = floats and slots.get(name, False)
    if node.op == "Constant" and isinstance(value.shape, tuple) and (weight or value.contents is None):
        where = _inside(reader, node)
        return Param(
            name, value.shape, value.dtype, contents=value.contents, where=where, origin=origin, trained=weight
        )
    return None


def _inside(reader: Reader, node: Node) -> Location | None:
    """Where the numbers of a Constant lie."""
    file = reader.file
    if node.origin.span is None:
        return None
    for span in record(file, node.origin.span, schema.NODE).get("attribute", []):
        tensor = record(file, span, schema.ATTRIBUTE).get("t")
        if tensor is not None:
            return as_param(file, read_tensor(file, tensor, None), tensor, reader.place).where
    return None


def _marked(params: Mapping[str, Param], nodes: Iterable[Node]) -> dict[str, Param]:
    """The parameters with those that no training changes marked: single numbers, and inputs a row names constants."""
    fixed = {name for name, param in params.items() if not param.shape}
    for node in nodes:
        row = find(node.op, node.domain)
        for index in row.constants if row is not None else ():
            fixed.update(node.inputs[index : index + 1])
    for name in fixed & params.keys():
        params[name].trained = False
    return dict(params)


def _check_outputs(outputs: Iterable[str], nodes: Iterable[Node], given: Iterable[str], location: str) -> None:
    made = {name for node in nodes for name in node.outputs} | set(given)
    for name in outputs:
        if name not in made:
            raise ModelError(f"output {name!r} is given by no node, input or initializer", "E205", location=location)


# -- inputs -----------------------------------------------------------------------------------------------------------


def _input(file: File, span: Span) -> Input:
    fields = record(file, span, schema.VALUE_INFO)
    name = fields.get("name", "")
    if not name:
        raise file.broken(span.start, "an input without a name")
    kind = record(file, fields["type"], schema.TYPE) if "type" in fields else {}
    if kind and "tensor_type" not in kind:
        return Input(
            name, role="other", origin=Origin(file.name, op="input", span=span), unshaped=_other(file, name, kind)
        )
    tensor = declared_tensor(file, name, span)
    declared = tensor.shape if isinstance(tensor.shape, tuple) else None
    dtype = tensor.dtype or "float32"
    image = dtype in elements.FLOATS and (declared is None or len(declared) >= 3)
    return Input(
        name,
        declared,
        dtype=dtype,
        layout=_layout(declared),
        role="image" if image else "other",
        origin=Origin(file.name, op="input", span=span),
    )


#: Types in types (an optional sequence of tensors) are followed so deep.
DEEPEST_TYPE = 8


def _other(file: File, name: str, kind: Mapping[str, Any], depth: int = 0) -> dims.Unknown:
    """What a TypeProto says of a value that is no tensor: what a sequence's items share, what an optional holds."""
    if depth == DEEPEST_TYPE or ("sequence_type" not in kind and "optional_type" not in kind):
        what = "a dictionary" if "map_type" in kind else "of a type that is not followed"
        return dims.Unknown(f"{name} is {what}, no tensor")
    listed = "sequence_type" in kind
    inner = record(file, kind["sequence_type" if listed else "optional_type"], schema.ITEMS)
    element = record(file, inner["elem_type"], schema.TYPE) if "elem_type" in inner else {}
    if not element:
        return Listed(None) if listed else Maybe(name, None)
    if "tensor_type" not in element:
        item = Tensor(_other(file, name, element, depth + 1))
    else:
        item = _typed(file, name, element["tensor_type"])
    return Listed(None, _any(name, item)) if listed else Maybe(name, item)


def _any(name: str, item: Tensor) -> Tensor:
    """What holds for every item of a sequence: a free size may be another one in each."""
    if not isinstance(item.shape, tuple):
        return item
    unlike = dims.Unknown(f"{name}: its items may be of unlike sizes")
    return Tensor(tuple(d if isinstance(d, int) else unlike for d in item.shape), item.dtype)


def declared_tensor(file: File, name: str, span: Span) -> Tensor:
    """Element type and shape that the ValueInfoProto in ``span`` declares for ``name``; raises ModelError."""
    fields = record(file, span, schema.VALUE_INFO)
    kind = record(file, fields["type"], schema.TYPE) if "type" in fields else {}
    return _typed(file, name, kind["tensor_type"]) if "tensor_type" in kind else Tensor(_undeclared(name))


def _undeclared(name: str) -> dims.Unknown:
    return dims.Unknown(f"{name} declares no shape")


def _typed(file: File, name: str, span: Span) -> Tensor:
    tensor = record(file, span, schema.TENSOR_TYPE)
    row = elements.BY_NUMBER.get(tensor.get("elem_type", 0))
    shape = _declared(file, name, tensor["shape"]) if "shape" in tensor else _undeclared(name)
    return Tensor(shape, row.name if row is not None else None)


def _declared(file: File, name: str, span: Span) -> Shape:
    """Declared sizes; a free one is its name where it has one, else ``input[axis]``."""
    found: list[Any] = []
    for axis, item in enumerate(record(file, span, schema.SHAPE).get("dim", [])):
        fields = record(file, item, schema.DIMENSION)
        size, word = fields.get("dim_value", 0), fields.get("dim_param", "")
        if size < 1:  # exporters write 0 or -1 for a free dimension
            size = dims.symbol(word if word.isidentifier() else f"{name}[{axis}]")
        found.append(size)
    if len(found) > MOST_AXES:
        raise file.broken(span.start, f"{name!r} has {len(found)} dimensions")
    return tuple(found)


def _layout(declared: Shape | None) -> str:
    """NHWC where only the last axis can be colours (TensorFlow's exports)."""
    if declared is None or len(declared) != 4:
        return "NCHW"
    return "NHWC" if declared[3] in COLOURS and not {*declared[1:3]} & {*COLOURS} else "NCHW"
