"""An ONNX file, edited or not, as something that runs: its own weights, left where they are, and every tensor shown.

onnxruntime gets the structure only; weights of a kilobyte and more stay in the original file, which the structure names
as external data. Weights that are placeholder nodes are replaced by seeded numbers, so that the proof proves something.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..definition import Definition
from ..errors import RefusedError
from ..formats.onnx.encode import length
from ..formats.onnx.patch import segments, skeleton
from ..formats.onnx.pieces import Later, assemble
from ..graph import Graph, Param
from ..trace import Trace
from .draws import give_seeds

if TYPE_CHECKING:
    import onnx

    from ..weights import Array, Numbers

#: Nodes of one number that stand for weights; a Constant with numbers of its own is none (it has a place in the file).
PLACEHOLDERS = ("ConstantOfShape", "Constant")


class Loaded(NamedTuple):
    """The model's structure, the numbers it declares without having them, and the folder its weights lie in."""

    proto: onnx.ModelProto
    arrays: dict[str, Array]
    folder: str | None
    drawn: tuple[str, ...] = ()  # values of operators that draw numbers, seeded


def is_placeholder(param: Param) -> bool:
    """Whether the file writes this weight as a node of one number."""
    return param.where is None and param.origin is not None and param.origin.op in PLACEHOLDERS


def new_weights(model: Definition, new: Graph, traced: Trace, seed: int) -> dict[str, Later]:
    """Raw numbers for parameters an edit made, by name; those that replace placeholders stay placeholders.

    So do those computed from weights whose file is not there. Raises RefusedError where stored numbers cannot be read.
    """
    old = model.graph
    trained = [param for param in old.params.values() if param.trained]
    empty = bool(trained) and all(map(is_placeholder, trained))
    sized = sized_graph(new, traced)
    fresh = [p for name, p in sized.params.items() if name not in old.params]
    made = [p for p in fresh if p.contents is None and p.where is None]
    if empty:  # what an edit knows the numbers of is written all the same
        made = [p for p in made if p.sources or not p.trained]
        made = [p for p in made if all(sized.params[name].contents for name in sources_of(sized, p))]
    known = _stored(model, sized, made)
    ready = [p for p in made if sources_of(sized, p) <= known.keys()]

    @cache
    def numbers() -> Numbers:
        from ..weights import Numbers, initial

        return Numbers(sized, known, make=initial, seed=seed)

    return {p.name: Later(length(p), lambda p=p: _typed(numbers().array(p.name), p).tobytes()) for p in ready}  # type: ignore[misc]


def _typed(array: Array, param: Param) -> Array:
    """Numbers of the type that a parameter has. Raises RefusedError for a type that nothing here computes with."""
    import numpy

    try:
        return numpy.ascontiguousarray(array, numpy.dtype(param.dtype))
    except TypeError:
        raise _unnumbered(param, "made") from None


def _unnumbered(param: Param, what: str) -> RefusedError:
    return RefusedError(
        f"numbers of {param.name} cannot be {what}",
        "E303",
        because=f"they are of type {param.dtype}, which numpy does not have",
        hint="convert the file to float32 first",
    )


def _stored(model: Definition, graph: Graph, derived: Iterable[Param]) -> dict[str, Array]:
    """The numbers of the stored parameters that others are computed from, by name; none for those that have none."""
    names = {name for param in derived for name in sources_of(graph, param)}
    arrays = {name: _numbers_of(model, graph.params[name]) for name in names}
    return {name: array for name, array in arrays.items() if array is not None}


def sources_of(graph: Graph, param: Param) -> set[str]:
    """The stored parameters that one is computed from, through others."""
    found: set[str] = set()
    for name in param.sources:
        source = graph.params[name]
        found |= sources_of(graph, source) if source.recipe is not None else {name}
    return found


def _numbers_of(model: Definition, param: Param) -> Array | None:
    """The numbers of a stored parameter; None where it has none of its own. Raises RefusedError."""
    import numpy

    where, source = param.where, model.source
    if param.contents is not None:
        return numpy.asarray(param.contents, param.dtype).reshape(param.shape or ())
    if where is None or source is None:
        return None
    try:
        kind = numpy.dtype(param.dtype).newbyteorder("<")
    except TypeError:
        raise _unnumbered(param, "computed with") from None
    if where.path == model.graph.meta.get("path"):
        raw = numpy.frombuffer(bytes(source.data[where.offset : where.offset + where.length]), numpy.uint8)
    elif Path(where.path).is_file():
        raw = numpy.fromfile(where.path, numpy.uint8, where.length, offset=where.offset)
    else:
        return None
    return raw.view(kind).reshape(param.shape or ())


def without_sources(graph: Graph) -> Graph:
    """The graph as it is written: without parameters that only others were computed from."""
    sources = {name for param in graph.params.values() for name in param.sources}
    unread = sources - {name for node in graph.nodes for name in node.reads()} - {*graph.outputs}
    return graph.replace(params={name: param for name, param in graph.params.items() if name not in unread})


def sized_graph(graph: Graph, traced: Trace) -> Graph:
    """The graph with every parameter at the shape the trace gave it."""
    from ..lower import sized

    return graph.replace(params={name: sized(p, traced) if p.shape is None else p for name, p in graph.params.items()})


def load_edited(
    model: Definition, graph: Graph, traced: Trace, seed: int, given: Mapping[str, Array] | None = None
) -> Loaded:
    """The file of ``graph`` (the model's own, an edited one, or the first part of it) for onnxruntime."""
    import onnx

    from ..weights import Numbers, proving

    source = model.source
    assert source is not None
    edited = sized_graph(graph, traced)
    tensors = new_weights(model, edited, traced, seed)
    written = without_sources(edited)
    real = source.path.resolve() if source.path is not None else None  # onnxruntime reads nothing through a link
    if real is not None:
        pieces = skeleton(source.data, model.graph, written, real.name, tensors, traced.tensors)
    else:
        pieces = segments(source.data, model.graph, written, tensors, traced.tensors)
    proto = onnx.ModelProto.FromString(assemble(source.data, pieces))
    stored = _stored(model, edited, [param for param in edited.params.values() if param.recipe is not None])
    numbers = Numbers(edited, {**stored, **(given or {})}, make=proving, seed=seed)
    arrays = _seed_placeholders(proto, edited, numbers)
    if source.path is not None and real is not None:
        _follow_links(proto, source.path.parent, real)
        arrays |= _seed_missing(proto, edited, numbers, real.parent)
    _show_everything(proto, edited, traced)
    drawn = tuple(give_seeds(proto.graph, seed))
    return Loaded(proto, arrays, str(real.parent) if real is not None else None, drawn)


def _follow_links(proto: onnx.ModelProto, folder: Path, real: Path) -> None:
    """External data beside a link to the model, as its own links place them beside the ``real`` file.

    HuggingFace's cache is such: a folder of names, each a link to a file that is called by its checksum.
    """
    if real.parent == folder.resolve():
        return
    for declared in proto.graph.initializer:
        for entry in declared.external_data:
            if entry.key == "location" and entry.value != real.name:
                target = (folder / entry.value).resolve()
                if target.is_relative_to(real.parent):
                    entry.value = str(target.relative_to(real.parent))


def _seed_missing(proto: onnx.ModelProto, graph: Graph, numbers: Numbers, folder: Path) -> dict[str, Array]:
    """Numbers for weights whose file is not there (a graph published without its weights), by name."""
    arrays: dict[str, Array] = {}
    for declared in proto.graph.initializer:
        where = {entry.key: entry.value for entry in declared.external_data}
        absent = "location" in where and declared.name in graph.params and not (folder / where["location"]).is_file()
        if absent and numbers.uses.get(declared.name) is not None:
            arrays[declared.name] = _made_up(numbers, graph.params[declared.name])
    return arrays


def _made_up(numbers: Numbers, param: Param) -> Array:
    """Numbers for a parameter whose own are missing; a table of whole numbers counts or points, and 0 does no harm."""
    import numpy

    whole = param.dtype.startswith(("int", "uint"))
    return numpy.zeros(param.shape or (), param.dtype) if whole else _typed(numbers.array(param.name), param)


def _seed_placeholders(proto: onnx.ModelProto, graph: Graph, numbers: Numbers) -> dict[str, Array]:
    """Takes placeholder nodes out of the model and declares their weights; gives the numbers."""
    import onnx

    made = {output: node for node in proto.graph.node for output in node.output}
    arrays: dict[str, Array] = {}
    read = {name for node in graph.nodes for name in node.inputs}  # onnxruntime drops others, then misses them
    for param in graph.params.values():
        node = made.get(param.name)
        if node is None or param.name not in read or param.where is not None:
            continue
        proto.graph.node.remove(node)
        array = numbers.array(param.name)
        declared = onnx.TensorProto(name=param.name, data_type=onnx.TensorProto.FLOAT, dims=array.shape)
        declared.data_location = onnx.TensorProto.EXTERNAL
        declared.external_data.add(key="location", value=param.name)
        proto.graph.initializer.append(declared)
        arrays[param.name] = array
    return arrays


def _show_everything(proto: onnx.ModelProto, graph: Graph, traced: Trace) -> None:
    """Keeps the graph's nodes and constants, fixes the inputs at the traced shapes, makes every tensor an output."""
    import onnx

    wanted = {name for node in graph.nodes for name in node.outputs if name}
    kept = [node for node in proto.graph.node if not wanted.isdisjoint(node.output) or _constant(node, graph)]
    del proto.graph.node[:], proto.graph.output[:], proto.graph.value_info[:]
    proto.graph.node.extend(kept)
    proto.graph.output.extend(onnx.ValueInfoProto(name=n) for node in kept for n in node.output if n in wanted)
    for given in proto.graph.input:
        tensor = traced.feeds.get(given.name)
        if tensor is not None:
            _fix_shape(given, tensor.shape)


def _fix_shape(given: onnx.ValueInfoProto, shape: Any) -> None:
    declared = given.type.tensor_type.shape
    del declared.dim[:]
    for size in shape:
        declared.dim.add(dim_value=size)


def _constant(node: onnx.NodeProto, graph: Graph) -> bool:
    return node.op_type == "Constant" and node.output[0] in graph.params


def predictions(graph: Graph, traced: Trace) -> Mapping[str, tuple[Any, ...] | None]:
    """Value name -> predicted shape, for every tensor a node writes."""
    return {name: traced.values.get(name) for node in graph.nodes for name in node.outputs if name}
