"""Elements taken and put by tables of indices: GatherElements, GatherND, ScatterElements, ScatterND."""

from __future__ import annotations

from collections.abc import Iterator

from .. import dims
from ..dims import Contents, Unknown
from .base import Call, Detail, Need, Operator, Shapes, need_rank, register, same_shape
from .contents import picked, whole
from .joining import need_on, need_within


def _gather_nd(call: Call) -> Shapes:
    data, indices = call.shape(0), call.shape(1)
    depth, batch = indices[-1], int(call.attr("batch_dims", 0))
    if not isinstance(depth, int):
        return [Unknown(f"{call.name}: how many axes its indices name depends on a free size")]
    return [(*indices[:-1], *data[batch + depth :])]


def _gather_nd_needs(call: Call) -> Iterator[Need]:
    yield need_rank(call, at_least=1)
    yield need_rank(call, at_least=1, index=1)
    depth, rank = call.shape(1)[-1], len(call.shape()) - int(call.attr("batch_dims", 0))
    words = Detail(f"{call.name} names {depth} axes of a tensor that has {rank} for it", f"at most {rank}", str(depth))
    yield Need(dims.at_least(rank, depth), "E108", lambda: words, blocks=True)
    known = whole(call.contents(1)) if isinstance(depth, int) and depth <= rank else None
    for place in range(depth if known else 0):
        yield from need_on(call, int(call.attr("batch_dims", 0)) + place, known[place::depth])  # type: ignore[index]


def _scatter_nd_needs(call: Call) -> Iterator[Need]:
    """Updates are one slice of the data for each row of indices."""
    if call.rank(1) is None or call.rank(2) is None or call.rank() is None:
        return
    data, indices, updates = (call.shape(i) for i in range(3))
    depth = indices[-1] if indices else 0
    if not isinstance(depth, int):
        return
    words = Detail(f"{call.name} names {depth} axes of {len(data)}", f"at most {len(data)}", str(depth))
    yield Need(depth <= len(data), "E108", lambda: words, blocks=True)
    wanted = (*indices[:-1], *data[depth:])
    verdict: dims.Verdict = len(wanted) == len(updates)
    for a, b in zip(wanted, updates, strict=False):
        verdict = dims.both(verdict, dims.equal(a, b))
    shown, given = dims.show(wanted), dims.show(updates)
    unlike = Detail(f"{call.name} puts {shown} into {dims.show(data)}, {call.giver(2)} gives {given}", shown, given)
    yield Need(verdict, "E105", lambda: unlike)


def _of_one_axis(call: Call) -> Contents | None:
    """Elements of a tensor of one axis, by a table of any shape."""
    data, indices = call.contents(0), whole(call.contents(1))
    if data is None or indices is None or len(call.shape()) != 1:
        return None
    return picked(data, call.shape(), 0, indices)


def _put(call: Call) -> Contents | None:
    """A tensor of one axis with some elements replaced: how exporters write ``shape[1] = 3``."""
    data, indices, updates = call.contents(0), whole(call.contents(1)), call.contents(2)
    if data is None or indices is None or updates is None:
        return None
    if len(call.shape()) != 1 or len(indices) != len(updates) or call.attr("reduction", "none") != "none":
        return None
    found = list(data)
    for index, value in zip(indices, updates, strict=True):
        found[index] = value
    return tuple(found)


register(
    Operator(
        "GatherElements",
        lambda call: [call.shape(1)],
        needs=need_within,
        contents=_of_one_axis,
        source="ONNX GatherElements-13",
    ),
    Operator("GatherND", _gather_nd, needs=_gather_nd_needs, contents=_of_one_axis, source="ONNX GatherND-13"),
    *(Operator(name, same_shape, contents=_put, source=f"ONNX {name}") for name in ("Scatter", "ScatterElements")),
    Operator("ScatterND", same_shape, needs=_scatter_nd_needs, contents=_put, source="ONNX ScatterND-18"),
    Operator("ReverseSequence", same_shape, source="ONNX ReverseSequence-10"),
    Operator("TensorScatter", same_shape, source="ONNX TensorScatter-24"),
)
