"""Which sizes of an operator's inputs agree, by a table: what ONNX and onnxruntime ask of the inputs besides the first.

An entry reads like an einsum: inputs are set apart by ``;``, each a row of names. The same name is the same size, a
number is that size, ``...`` stands for any axes, ``*x`` for axes that are the same wherever ``*x`` stands, ``-`` asks
nothing of an input. Where an operator has entries for several ranks, the one that fits its first input holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, partial

from .. import dims
from ..dims import Dim, Shape
from .base import OWN_DOMAIN, Call, Detail, Need

#: Operator -> its entries.
AGREEING: dict[str, tuple[str, ...]] = {
    "Attention": ("B H L D; B K S D; B K S V; -; B K P D; B K P V", "B L h; B S k; B S v; -; B K P D; B K P V"),
    "BatchNormalization": ("N C ...; C; C; C; C",),
    "ConstantOfShape": ("n",),
    "Dropout": ("...; ; ",),
    "TopK": ("...; 1",),
    "DeformConv": ("N C H W; M c k l; N o h w; M; N m h w",),
    "Det": ("... n n",),
    "GridSample": ("N C H W; N h w 2", "N C D H W; N d h w 3"),
    "InstanceNormalization": ("N C ...; C; C",),
    "MaxRoiPool": ("N C H W; R 5",),
    "NegativeLogLikelihoodLoss": ("N C *d; N *d",),
    "NonMaxSuppression": ("B N 4; B C N",),
    "Reshape": ("...; n",),
    "RoiAlign": ("N C H W; R 4; R",),
    "RotaryEmbedding": ("B S h; *c; *c; B S", "B H S D; *c; *c; B S"),
    "ScatterElements": ("...; *i; *i",),
    "Scatter": ("...; *i; *i",),
    "SoftmaxCrossEntropyLoss": ("N C *d; N *d",),
    "com.microsoft:BiasGelu": ("... C; C",),
    "com.microsoft:FastGelu": ("... C; C",),
    "com.microsoft:Inverse": ("... n n",),
}
#: BatchNormalization before opset 9 with ``spatial=0``: numbers of its own for each place of a channel.
OF_PLACES = ("N *p; *p; *p; *p; *p",)
REDUCTIONS = "L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare".split()
AGREEING |= dict.fromkeys([f"Reduce{name}" for name in REDUCTIONS], ("...; n",))
#: Operators whose attribute ``kernel_shape`` says again how large their second input's last axes are.
KERNELS = frozenset({"Conv", "ConvTranspose", "DeformConv"})
#: Inputs of as many axes as the first.
AS_MANY_AXES = {
    "Conv": (1,),
    "ConvTranspose": (1,),
    "GatherElements": (1,),
    "GridSample": (1,),
    "Scatter": (1, 2),
    "ScatterElements": (1, 2),
}
#: Operators whose attribute ``axis`` names an axis of the first input, the end of all axes not among them; its default.
OF_AN_AXIS = {
    **dict.fromkeys("ArgMax ArgMin Gather GatherElements Scatter ScatterElements Split".split(), 0),
    **dict.fromkeys("Hardmax LogSoftmax LpNormalization RMSNormalization Softmax TopK Compress".split(), -1),
}
#: The names of all operators above.
TABLED = frozenset(name.rpartition(":")[2] for name in (*AGREEING, *KERNELS, *AS_MANY_AXES, *OF_AN_AXIS))


def agree(call: Call) -> Iterator[Need]:
    """The requirements of the tables on the inputs of a node."""
    op = call.node.op if call.node.domain in OWN_DOMAIN else f"{call.node.domain}:{call.node.op}"
    if op in OF_AN_AXIS:
        yield from _on_an_axis(call, OF_AN_AXIS[op])
    if op in KERNELS:
        yield from _on_its_kernel(call)
    for index in AS_MANY_AXES.get(op, ()):
        ranks = call.rank(), call.rank(index)
        if None not in ranks and ranks[0] != ranks[1]:
            yield Need(False, "E108", partial(_unlike_ranks, call, index))
    rows = OF_PLACES if op == "BatchNormalization" and call.attr("spatial", 1) == 0 else AGREEING.get(op)
    if rows is not None and call.rank() is not None:
        yield from _agreement(call, rows)


def _on_an_axis(call: Call, default: int) -> Iterator[Need]:
    rank, axis = call.rank(), int(call.attr("axis", default))
    if rank and "axis" in call.attrs and not -rank <= axis < rank:
        yield Need(False, "E109", lambda: _no_axis(call, axis, rank))


def _on_its_kernel(call: Call) -> Iterator[Need]:
    said = call.attrs.get("kernel_shape")
    if said and call.rank(1) is not None and "kernel" not in call.attrs:
        shape = call.shape(1)
        if shape[2:] == tuple(said):
            return
        verdict = _same(tuple(said), shape[2:]) if len(shape) == len(said) + 2 else False
        text = "×".join(map(str, said))
        words = Detail(
            f"{call.name} says a kernel of {text}, {call.giver(1)} is {dims.show(shape)}", text, dims.show(shape)
        )
        yield Need(verdict, "E109", lambda: words)


def _no_axis(call: Call, axis: int, rank: int) -> Detail:
    return Detail(
        f"{call.name} is along axis {axis} of the {rank} that {call.giver()} gives", f"less than {rank}", str(axis)
    )


def _unlike_ranks(call: Call, index: int) -> Detail:
    first, other = call.shape(), call.shape(index)
    given = f"{call.giver()} gives {dims.show(first)} and {call.giver(index)} {dims.show(other)}"
    message = f"{call.name} takes tensors of as many axes, {given}"
    return Detail(message, f"{len(first)} axes for both", f"{len(first)} and {len(other)}")


# -- entries ----------------------------------------------------------------------------------------------------------


@cache
def _entry(text: str) -> list[list[str]]:
    """The names of each input."""
    return [part.split() for part in text.split(";")]


def _matched(names: Sequence[str], shape: Shape) -> list[tuple[str, Shape]] | None:
    """(name, sizes) of a shape along an entry; None where it has too few or too many axes."""
    open_at = next((at for at, name in enumerate(names) if name[0] in ".*"), None)
    if open_at is None:
        return [(name, (size,)) for name, size in zip(names, shape, strict=True)] if len(names) == len(shape) else None
    behind = len(names) - open_at - 1
    if len(shape) < len(names) - 1:
        return None
    end = len(shape) - behind
    front = [(name, (size,)) for name, size in zip(names[:open_at], shape[:open_at], strict=True)]
    tail = [(name, (size,)) for name, size in zip(names[open_at + 1 :], shape[end:], strict=True)]
    return [*front, (names[open_at], shape[open_at:end]), *tail]


def _agreement(call: Call, rows: Sequence[str]) -> Iterator[Need]:
    """What the entry for the first input's rank asks."""
    entries = [_entry(text) for text in rows]
    entry = next((entry for entry in entries if _matched(entry[0], call.shape()) is not None), None)
    if entry is None:
        yield Need(False, "E108", lambda: _misfit(call, 0, entries[0][0]))
        return
    bound: dict[str, tuple[int, Shape]] = {}
    for index, names in enumerate(entry):
        if names == ["-"] or call.rank(index) is None:
            continue
        matched = _matched(names, call.shape(index))
        if matched is None:
            yield Need(False, "E108", partial(_misfit, call, index, names))
            return
        for name, sizes in matched:
            if name.isdigit():
                yield Need(dims.equal(sizes[0], int(name)), "E105", partial(_misfit, call, index, names))
            elif name != "...":
                at, known = bound.setdefault(name, (index, sizes))
                yield Need(_same(known, sizes), "E105", partial(_disagree, call, at, index))


def _same(a: Shape, b: Shape) -> dims.Verdict:
    verdict: dims.Verdict = len(a) == len(b)
    for x, y in zip(a, b, strict=False):
        verdict = dims.both(verdict, _equal(x, y))
    return verdict


def _equal(x: Dim, y: Dim) -> dims.Verdict:
    return True if x is y else dims.equal(x, y)


def _misfit(call: Call, index: int, names: Sequence[str]) -> Detail:
    wanted, given = "×".join(name.lstrip("*") for name in names) or "a scalar", dims.show(call.shape(index))
    return Detail(f"{call.name} takes {wanted} as input {index}, {call.giver(index)} gives {given}", wanted, given)


def _disagree(call: Call, at: int, index: int) -> Detail:
    first, second = dims.show(call.shape(at)), dims.show(call.shape(index))
    message = f"{call.name}: {first} from {call.giver(at)} and {second} from {call.giver(index)} do not go together"
    return Detail(message, first, second)
