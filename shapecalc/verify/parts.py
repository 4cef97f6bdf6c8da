"""A run whose tensors need not be in memory together: part after part, each with the values that later ones read.

A proof looks at every tensor of two runs. Where they are large (a batch of 50), the net is cut into runs of nodes whose
outputs fit a budget; every node still runs exactly once, on what the nodes before it really made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..dims import all_numbers, product
from ..errors import RefusedError
from ..weights import Array
from .run import Run, Runnable, execute

if TYPE_CHECKING:
    import onnx

#: Bytes of tensors that one part may make. Nets at batch 1 make a tenth of it.
BUDGET = 1 << 29
#: Every element is taken to have the size of most.
ELEMENT = 4


def runs(what: Runnable, device: str, *, repeat: int = 1, budget: int = BUDGET) -> Iterator[Run]:
    """Every tensor of ``what``, in one run (timed, the best of ``repeat``) or, beyond ``budget`` bytes, in parts.

    Constants that the file holds are not among the tensors where anything else is: nothing computes them.
    A net with subgraphs, functions or values that are no tensors is not cut. Raises DeviceError, or RefusedError.
    """
    sizes = {name: _bytes(shape) for name, shape in what.predicted.items()}
    if sum(sizes.values()) <= budget or not _can_be_cut(what.proto):
        whole = execute(what, device, repeat=repeat)
        computed = _without(whole.tensors, _constants(what.proto.graph.node))
        return iter([whole._replace(tensors=computed or whole.tensors)])
    return _parts(what, device, _groups(what.proto.graph.node, sizes, budget))


def _bytes(shape: tuple[Any, ...] | None) -> int:
    return ELEMENT * int(product(shape)) if shape is not None and all_numbers(shape) else 0


#: Operators of values that are no tensors.
_OTHER = ("Sequence", "Optional", "SplitToSequence", "ConcatFromSequence", "StringSplit")


def _can_be_cut(proto: onnx.ModelProto) -> bool:
    nodes = proto.graph.node
    graphs = any(attribute.HasField("g") or attribute.graphs for node in nodes for attribute in node.attribute)
    return not graphs and not proto.functions and not any(node.op_type.startswith(_OTHER) for node in nodes)


def _groups(nodes: Any, sizes: Mapping[str, int], budget: int) -> list[list[Any]]:
    """The nodes in order, cut where the outputs of a run of them would pass the budget."""
    groups: list[list[Any]] = [[]]
    held = 0
    for node in nodes:
        made = sum(sizes.get(name, 0) for name in node.output)
        if groups[-1] and held + made > budget:
            groups.append([])
            held = 0
        groups[-1].append(node)
        held += made
    return groups


def _parts(what: Runnable, device: str, groups: list[list[Any]]) -> Iterator[Run]:
    last = {name: index for index, group in enumerate(groups) for node in group for name in node.input}
    values = dict(what.inputs)
    constants = {name for group in groups for name in _constants(group)}
    for index, group in enumerate(groups):
        made = execute(_part(what, group, values), device, repeat=0)
        values = {name: a for name, a in {**values, **made.tensors}.items() if last.get(name, -1) > index}
        yield made._replace(tensors=_without(made.tensors, constants))


def _constants(nodes: Any) -> set[str]:
    return {name for node in nodes if node.op_type == "Constant" for name in node.output}


def _without(tensors: Mapping[str, Array], names: set[str]) -> dict[str, Array]:
    return {name: array for name, array in tensors.items() if name not in names}


def _part(what: Runnable, nodes: list[Any], values: Mapping[str, Array]) -> Runnable:
    """The model of some nodes, fed with what the nodes before them made."""
    import onnx
    from onnx import helper

    read = {name for node in nodes for name in node.input if name}
    made = {name for node in nodes for name in node.output if name}
    fed = {name: values[name] for name in sorted(read - made) if name in values}
    proto = onnx.ModelProto()
    proto.CopyFrom(onnx.ModelProto(ir_version=what.proto.ir_version, opset_import=what.proto.opset_import))
    graph, whole = proto.graph, what.proto.graph
    graph.name = whole.name or "part"
    graph.node.extend(nodes)
    graph.initializer.extend(tensor for tensor in whole.initializer if tensor.name in read)
    graph.sparse_initializer.extend(tensor for tensor in whole.sparse_initializer if tensor.values.name in read)
    for name, array in fed.items():
        try:
            kind = helper.np_dtype_to_tensor_dtype(array.dtype)
            graph.input.append(helper.make_tensor_value_info(name, kind, array.shape))
        except (AttributeError, KeyError, ValueError) as error:
            raise RefusedError(
                f"{name} cannot be handed from one part of the run to the next",
                "E403",
                because=f"it is no tensor of a known type: {error}",
                hint="a smaller input or batch runs in one part",
            ) from None
    graph.output.extend(onnx.ValueInfoProto(name=name) for node in nodes for name in node.output if name)
    arrays = {name: array for name, array in what.arrays.items() if name in read}
    return Runnable(proto, arrays, fed, {}, what.folder)


# -- side by side -----------------------------------------------------------------------------------------------------


def side_by_side(
    first: Iterator[dict[str, Array]], second: Iterator[dict[str, Array]]
) -> Iterator[tuple[str, Array, Array | None]]:
    """Every tensor of ``first`` with that of the same name in ``second``, as soon as both are made; then dropped.

    None for those that ``second`` never makes.
    """
    waiting: tuple[dict[str, Array], dict[str, Array]] = ({}, {})
    streams = (first, second)
    ended = [False, False]
    while not all(ended):
        turn = 1 if ended[0] or (not ended[1] and len(waiting[1]) < len(waiting[0])) else 0
        part = next(streams[turn], None)
        if part is None:
            ended[turn] = True
            continue
        waiting[turn].update(part)
        part.clear()  # whoever gave it does not keep it alive
        for name in [name for name in waiting[0] if name in waiting[1]]:
            yield name, waiting[0].pop(name), waiting[1].pop(name)
        if ended[0]:
            waiting[1].clear()  # nobody will ask for these
    yield from ((name, array, None) for name, array in waiting[0].items())
