"""From a definition to plain ONNX: every layer as the ONNX nodes that give the same numbers.

The rows know how (`Operator.lower`); this module strings their answers together. The result is a graph again, so the
shapes of every tensor onnxruntime will make can be predicted by tracing it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .dims import all_numbers, show
from .errors import RefusedError
from .graph import Graph, Input, Node, Param
from .layout import Layouts, steps
from .ops import Call, Lowered, Operator, find
from .ops.base import Shapes
from .ops.training import TRAINING
from .trace import Layer, Trace

#: The opset written: the first whose own shape inference clips ceil-mode pooling as onnxruntime does.
OPSET = 22
#: Domains of operators that ONNX does not have.
OWN = frozenset({"caffe", "keras"})


#: What to do about a net that cannot be run, because some shape is known to code alone.
TRACED_ALONE = "retarget --no-verify changes a definition that was only traced"
#: Layers of a definition that whoever runs the net does: what they read comes out instead (SSD detection_output_layer).
LEFT_OUT = frozenset({"DetectionOutput"})


def scores(graph: Graph) -> tuple[str, ...]:
    """The values a person wants from a net: what goes into its losses, or its outputs where it has none.

    A definition for training ends in losses; what is deployed is what they are computed from.
    """
    by_loss = {name for node in graph.nodes if node.op in TRAINING for name in node.outputs}
    ends = {name: node.inputs for node in graph.nodes if node.op in LEFT_OUT for name in node.outputs}
    plain = [part for name in graph.outputs if name not in by_loss for part in ends.get(name, (name,))]
    marked = [name for name in graph.meta.get("scores", ()) if name not in plain]
    produced = {name for node in graph.nodes if node.op not in TRAINING for name in node.outputs}
    return tuple(name for name in dict.fromkeys([*marked, *plain]) if name in produced)


def lower(graph: Graph, trace: Trace) -> Graph:
    """Plain ONNX nodes for a traced definition, at the shapes of the trace.

    Losses, labels and accuracies are left out. Raises RefusedError where a shape is not known or a layer has no ONNX
    form.
    """
    if graph.format == "onnx":
        return graph
    outputs = scores(graph)
    if not outputs:
        losses = ", ".join(node.name for node in graph.nodes[-1:]) or "nothing"
        raise RefusedError(
            f"{graph.name} has no output but losses",
            "E303",
            because=f"{losses} is its end, and a loss is no score of an image",
            hint="give a definition for inference",
        )
    needed = {node.name for node in graph.ancestors(outputs)}
    nodes: list[Node] = []
    params: dict[str, Param] = {}
    layouts = Layouts(graph)
    for layer in trace.layers:
        if layer.op == "Input" or layer.name not in needed:
            continue
        for lowered in _lowered(layer, layouts):
            nodes += lowered.nodes
            params.update((param.name, param) for param in lowered.params)
    if graph.meta.get("part"):  # a part of a net gives what it makes, in the form the whole net makes it
        outputs = tuple(layouts.made(name) for name in outputs)
    else:
        _end(outputs, graph, trace, layouts, nodes)
    wanted = _read(nodes, params.values())
    for name in wanted:
        if name in graph.params and name not in params:
            params[name] = sized(graph.params[name], trace)
            wanted += params[name].sources
    return graph.replace(
        nodes=tuple(nodes),
        params=params,
        inputs=tuple(_fed(given, trace) for given in graph.inputs if given.name in _read(nodes, ())),
        outputs=outputs,
        dialect="onnxruntime",
        format="onnx",
        opset=OPSET,
        meta={"definition": graph.format},
    )


def _end(outputs: Iterable[str], graph: Graph, trace: Trace, layouts: Layouts, nodes: list[Node]) -> None:
    """Outputs come out as the definition has them."""
    producers = graph.producers()
    for name in outputs:
        shape = trace.tensors[name].shape
        layouts.as_it_lies(name, len(shape) if isinstance(shape, tuple) else 0, nodes, producers[name])


def _lowered(layer: Layer, layouts: Layouts) -> Iterator[Lowered]:
    shapes = [tensor.shape for tensor in layer.tensors]
    unknown = next((value for value in layer.outputs if not all_numbers(value.tensor.shape)), None)
    if unknown is not None:
        raise RefusedError(
            f"{layer.name}: its output {show(unknown.tensor.shape)} is not known, so it cannot be written",
            "E303",
            location=layer.location,
            because=unknown.unknown or "an ONNX file of a definition is written for one size",
            hint=TRACED_ALONE
            if unknown.unknown
            else "give the size: --input 224; or convert it, then retarget the ONNX file --input ?x?",
        )
    if layer.call.attr("no_form"):
        because = layer.call.attr("no_form")
        words = f"{layer.name}: {layer.source_op} has no ONNX form here"
        raise RefusedError(words, "E303", location=layer.location, because=because, hint=TRACED_ALONE)
    for step in steps(layer.call, shapes):
        transposes, call, arranged = layouts.arranged(step, shapes)
        row = find(call.node.op, call.node.domain)
        lowered = _as_onnx(row, call, arranged)
        if lowered is None:
            words = f"{layer.name}: {layer.source_op} has no ONNX form"
            because = f"{layer.source_op} is no operator of ONNX, nor made of any here"
            raise RefusedError(words, "E303", location=layer.location, because=because, hint=TRACED_ALONE)
        yield Lowered([*transposes, *lowered.nodes], lowered.params)


def _as_onnx(row: Operator | None, call: Call, shapes: Shapes) -> Lowered | None:
    """The nodes of a call; None for an operator of a framework's own that ONNX has no words for."""
    if row is not None and row.lower is not None:
        return row.lower(call, shapes)
    return None if call.node.domain in OWN else Lowered([call.node])


def _read(nodes: Iterable[Node], derived: Iterable[Param]) -> list[str]:
    """Names that are read, each once and in order, so that the same definition gives the same file."""
    names = [name for node in nodes for name in node.inputs if name]
    return list(dict.fromkeys([*names, *(name for param in derived for name in param.sources)]))


def sized(param: Param, trace: Trace) -> Param:
    """The parameter with the shape the trace gave it."""
    tensor = trace.tensors.get(param.name)
    shape = tensor.shape if tensor is not None else None
    if not isinstance(shape, tuple) or not all_numbers(shape):
        raise RefusedError(
            f"the shape of {param.name} is not known",
            "E303",
            because="the definition does not say it, and no input of a known size reaches it",
            hint="give the input it was trained at: --input 3x224x224",
        )
    if param.shape == shape:
        return param
    return Param(
        param.name,
        shape,
        param.dtype,
        contents=param.contents,
        where=param.where,
        trained=param.trained,
        recipe=param.recipe,
        sources=param.sources,
        arguments=param.arguments,
        origin=param.origin,
    )


def _fed(given: Input, trace: Trace) -> Input:
    shape = trace.feeds[given.name].shape
    return Input(given.name, shape if isinstance(shape, tuple) else None, dtype=given.dtype, role=given.role)
