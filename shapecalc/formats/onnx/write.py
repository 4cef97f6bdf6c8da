"""A lowered graph as an ONNX model: nodes, parameters with their numbers or placeholders, inputs and outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ... import elements
from ...dims import Expr, Shape
from ...graph import Graph, Node, Param, Tensor
from ...trace import Trace
from . import schema

if TYPE_CHECKING:
    import onnx

#: IR version 10 came with opset 21 and is read by every onnxruntime that reads the opset we write.
IR_VERSION = 10

#: Key of the metadata that says which weights are placeholders.
PLACEHOLDER = "shapecalc.placeholder_weights"


def element_type(dtype: str | None) -> int:
    """ONNX's number of an element type named as numpy names it."""
    return elements.BY_NAME[dtype or "float32"].number


def _value(name: str, shape: Shape | None, dtype: str | None) -> onnx.ValueInfoProto:
    from onnx import helper

    if shape is None:
        return helper.make_tensor_value_info(name, element_type(dtype), None)
    sizes = [d if isinstance(d, int) else str(d) if isinstance(d, Expr) else None for d in shape]
    return helper.make_tensor_value_info(name, element_type(dtype), sizes)


def _node(node: Node) -> onnx.NodeProto:
    from onnx import helper

    attrs = {key: _attribute(node.op, key, value) for key, value in node.attrs.items() if value is not None}
    made = helper.make_node(node.op, node.inputs, node.outputs, name=node.name, domain=node.domain, **attrs)
    if node.origin.location:
        made.doc_string = f"{node.origin.op} at {node.origin.location}"
    return made


def _attribute(op: str, name: str, value: Any) -> Any:
    if (op, name) in schema.TYPE_ATTRIBUTES and isinstance(value, str):
        return elements.BY_NAME[value].number
    if isinstance(value, Tensor):
        from onnx import helper

        shape = value.shape if isinstance(value.shape, tuple) else ()
        return helper.make_tensor("value", element_type(value.dtype), shape, list(value.contents or ()))
    return list(value) if isinstance(value, tuple) else value


def _constant(param: Param) -> onnx.TensorProto:
    from onnx import helper

    return helper.make_tensor(param.name, element_type(param.dtype), param.shape or (), list(param.contents or ()))


def _declared(param: Param) -> onnx.TensorProto:
    import onnx

    made = onnx.TensorProto(name=param.name, data_type=element_type(param.dtype), dims=param.shape or ())
    made.data_location = onnx.TensorProto.EXTERNAL
    made.external_data.add(key="location", value=param.name)
    return made


def _filled(param: Param, value: float) -> tuple[onnx.TensorProto, onnx.NodeProto]:
    """A tensor of one number everywhere, as a node: a few bytes whatever its size."""
    from onnx import helper

    sizes = f"{param.name}/sizes"
    shape = helper.make_tensor(sizes, element_type("int64"), [len(param.shape or ())], list(param.shape or ()))
    fill = helper.make_tensor("value", element_type(param.dtype), [1], [value])
    node = helper.make_node("ConstantOfShape", [sizes], [param.name], name=f"{param.name}/placeholder", value=fill)
    return shape, node


def to_proto(
    graph: Graph,
    trace: Trace,
    *,
    numbers: Callable[[str], Any] | None = None,
    fill: Callable[[str], float] | None = None,
    external: bool = False,
    every_output: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> onnx.ModelProto:
    """The model; ``numbers`` gives a parameter's array by name.

    Without ``numbers`` every weight is a placeholder node of the number ``fill`` gives; with ``external`` it is only
    declared, and the session is given the array. ``every_output`` makes every tensor an output, for comparison.
    """
    from onnx import helper, numpy_helper

    initializers: list[Any] = []
    fillers: list[Any] = []
    for param in _used(graph):
        if param.contents is not None:
            initializers.append(_constant(param))
        elif external:
            initializers.append(_declared(param))
        elif numbers is not None:
            initializers.append(numpy_helper.from_array(numbers(param.name), param.name))
        else:
            shape, node = _filled(param, fill(param.name) if fill is not None else 0.0)
            initializers.append(shape)
            fillers.append(node)
    nodes = [*fillers, *map(_node, graph.nodes)]
    made = helper.make_graph(
        nodes,
        graph.name or "model",
        [_value(given.name, given.declared, given.dtype) for given in graph.inputs],
        [_output(name, trace) for name in (_every(graph) if every_output else graph.outputs)],
        initializers,
    )
    opsets = [helper.make_opsetid("", graph.opset)]
    model = helper.make_model(made, opset_imports=opsets, ir_version=IR_VERSION, producer_name="shapecalc")
    helper.set_model_props(model, dict(metadata or {}))
    return model


def _used(graph: Graph) -> Iterable[Param]:
    read = {name for node in graph.nodes for name in node.inputs}
    return (param for param in graph.params.values() if param.name in read)


def _every(graph: Graph) -> Sequence[str]:
    return [name for node in graph.nodes for name in node.outputs if name]


def _output(name: str, trace: Trace) -> onnx.ValueInfoProto:
    tensor = trace.tensors[name]
    return _value(name, tensor.shape if isinstance(tensor.shape, tuple) else None, tensor.dtype)
