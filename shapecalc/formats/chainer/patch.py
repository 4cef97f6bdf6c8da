"""Edits of a Chainer definition: the numbers that say them, in place; everything else character by character.

The number of outputs is changed where it stands (a default of ``__init__``, a constant, the argument itself), a pooling
in its own call, ``insize`` in its class, and a new pooling is a call of the file's own ``F`` around the expression it
pools. Attributes keep their names: a renamed ``self.fc8`` would have to be renamed in every use, so the head of the
patched source is called as before, where a result in ONNX calls it ``fc8_13``. Old weights still do not load into it by
accident: Chainer checks their shape.

One text can serve several layers (a loop, a helper) and one number several uses, so what is proposed here is tried: the
caller reads each text again and takes the first that is the edited net.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, TypeAlias

from ...dims import Dim, Expr
from ...errors import RefusedError
from ...graph import Graph, Input, Node
from ...source import Span, apply_patch
from .. import Source
from ..changes import WAY_OUT, changes
from .calling import Calls, written_sizes
from .cutting import ENDS, Forward, Tap, taps_of
from .text import Text
from .use import NUMBER

#: Replacements that make one edit.
Edit: TypeAlias = dict[Span, str]

#: Attribute of a pooling -> the argument of Chainer's functions that says it.
_ARGUMENTS = {"kernel_shape": "ksize", "strides": "stride", "pads": "pad", "ceil_mode": "cover_all"}


def patch(source: Source, old: Graph, new: Graph) -> Iterator[str]:
    """Sources that may say ``new``, best first, made of ``source``, which is that of ``old``.

    Raises RefusedError (E303) for what cannot be said in Chainer.
    """
    draft = _Draft(Text(source.name, source.text()), old)
    found = changes(old, new, shorter=True)
    beside = {id(node) for node in old.nodes}
    taps = taps_of(new, [node for node in found.added if id(node) not in beside and node.op in ENDS])
    ending = {node.name for tap in taps for node in tap.added}
    choices = [choice for before, after in found.replaced for choice in draft.change(before, after)]
    for before, after in found.replaced:
        channels = _other_channels(old, before, new, after)
        choices += [] if channels is None else [draft.inputs(after, channels)]
    choices += [draft.insert(node, new) for node in found.added if id(node) not in beside and node.name not in ending]
    fed = {given.name: given for given in new.inputs}
    choices += [draft.resize(a, fed[a.name]) for a in old.inputs if fed.get(a.name, a) is not a]
    if found.gone or ending:
        choices.append(draft.shortened(taps))
    for chosen in product(*choices):
        merged = {span: text for edit in chosen for span, text in edit.items()}
        try:
            yield apply_patch(draft.text.text, merged.items())
        except ValueError:  # two edits of one place: these alternatives do not go together
            continue
    if found.gone:
        raise draft.refuse(taps[0].node, "no statement of the forward ends with it alone")


def _differs(before: Any, after: Any) -> bool:
    """Whether an attribute was changed; sizes of values (``h.shape[2]``) follow by themselves."""
    if isinstance(before, tuple) and isinstance(after, tuple) and len(before) == len(after):
        return any(_differs(a, b) for a, b in zip(before, after, strict=True))
    return bool(before != after) and not isinstance(after, Expr)


def _other_channels(old: Graph, before: Node, new: Graph, after: Node) -> Dim | None:
    """The input channels of a convolution whose weight was given others; None where it was not."""
    if before.op != "Conv" or before.inputs[1:2] == after.inputs[1:2]:
        return None
    first, second = (graph.params[node.inputs[1]].shape for graph, node in ((old, before), (new, after)))
    return None if first is None or second is None or first[1] == second[1] else second[1]


class _Draft:
    """The source being edited; every method gives the alternatives of one edit, best first."""

    def __init__(self, text: Text, graph: Graph) -> None:
        self.text = text
        self.graph = graph
        self.calls = Calls(text)

    def refuse(self, node: Node, message: str, because: str | None = None) -> RefusedError:
        """An edit that this source cannot say."""
        return RefusedError(
            f"{node.name}: this source cannot say the edit",
            "E303",
            location=node.origin.location,
            because=f"{message}: {because}" if because else message,
            hint=WAY_OUT,
        )

    # -- layers ---------------------------------------------------------------------------------------------------
    def change(self, before: Node, after: Node) -> Iterator[list[Edit]]:
        """What a layer's new attributes ask for. Its wiring follows from the other edits."""
        keys = {*before.attrs, *after.attrs}
        changed = {key for key in keys if _differs(before.attrs.get(key), after.attrs.get(key))}
        if "channels" in changed:
            yield self.outputs(after)
        if changed & _ARGUMENTS.keys():
            yield [self.window(after, changed)]
        if "shape" in changed:
            yield self.target(before, after)
        others = changed - {"channels", "shape", "refers", *_ARGUMENTS}
        if others or after.op != before.op:
            raise self.refuse(after, f"its {', '.join(sorted(others)) or 'type'} cannot be changed in Chainer")

    def outputs(self, node: Node) -> list[Edit]:
        """Another number of outputs: where the number stands, else in place of the argument.

        In a link made of others the argument is a part of the call's: one of its names.
        """
        found = self.places(node, "channels")
        if not found:
            raise self.refuse(node, "its number of outputs is not written in this file")
        return [{span: str(node.attrs["channels"])} for span in found]

    def inputs(self, node: Node, channels: Dim) -> list[Edit]:
        """Another number of input channels, as `outputs`."""
        found = self.places(node, "in_channels")
        if not found:
            raise self.refuse(node, "its number of input channels is not written in this file")
        return [{span: str(channels)} for span in found]

    def places(self, node: Node, part: str) -> list[Span]:
        """Where an argument of a link may be written: its number, the argument, a name in the call it is a part of."""
        parts = node.origin.parts
        spans = [parts.get(f"{part}{NUMBER}")]
        if node.origin.file == self.text.name:
            spans += [parts.get(part)] if part in parts else self.calls.names(node.origin.span)
        return [span for span in dict.fromkeys(spans) if span is not None]

    def target(self, before: Node, after: Node) -> list[Edit]:
        """A Reshape that repeats the number of classes: it follows by itself, or its own number is changed."""
        old, new = before.attrs["shape"], after.attrs["shape"]
        pairs = [(a, b) for a, b in zip(old, new, strict=True) if _differs(a, b)]
        spans = self.calls.constants(after.origin.span, pairs[0][0]) if pairs else []
        return [{}, {span: str(pairs[0][1]) for span in spans}]

    def window(self, node: Node, changed: set[str]) -> Edit:
        """Other arguments of a pooling's call; the stride is said where it is not the kernel."""
        attrs, parts = node.attrs, node.origin.parts
        if node.origin.file != self.text.name or "x" not in parts:
            raise self.refuse(node, "its call is not written in this file")
        if "ceil_mode" in changed and node.op == "AveragePool":
            raise self.refuse(node, "Chainer's average pooling always rounds down")
        pads = attrs["pads"]
        if pads[: len(pads) // 2] != pads[len(pads) // 2 :]:
            raise self.refuse(node, "Chainer pads both sides alike")
        values: dict[str, Any] = {
            "kernel_shape": written_sizes(attrs["kernel_shape"]),
            "strides": written_sizes(attrs["strides"]),
            "pads": written_sizes(pads[: len(pads) // 2]),
            "ceil_mode": str(bool(attrs["ceil_mode"])),
        }
        stride = parts.get("stride")
        if stride is None or self.text.text[stride.start : stride.end] == "None":
            follows = attrs["strides"] == attrs["kernel_shape"]
            changed = changed - {"strides"} if follows else changed | {"strides"}
        edit: Edit = {}
        new: list[str] = []
        for key, name in _ARGUMENTS.items():
            if key in changed and name in parts:
                edit[parts[name]] = values[key]
            elif key in changed:
                new.append(f"{name}={values[key]}")
        return edit | (self.calls.with_keywords(node.origin.span, new) if new else {})

    # -- new layers -----------------------------------------------------------------------------------------------
    def insert(self, node: Node, graph: Graph) -> list[Edit]:
        """A pooling around an expression that gives the value it reads, if that expression gives no other value.

        Where some layers keep the map, around the arguments of the others.
        """
        value = node.inputs[0]
        if any(value in other.inputs for other in graph.nodes if other is not node):
            readers = [other for other in graph.nodes if node.outputs[0] in other.inputs]
            found = list(product(*(self.operands(reader) for reader in readers)))
        else:
            found = [(span,) for span in self.makers(value)]
        producer = graph.producers().get(value, node)
        if node.op != "AveragePool" or not found:
            reason = "the text that gives it serves several layers" if node.op == "AveragePool" else None
            raise self.refuse(producer, f"a pooling cannot be written behind {producer.name}", reason)
        function, imported = self.calls.function("average_pooling_2d")
        geometry = f"{written_sizes(node.attrs['kernel_shape'])}, stride={written_sizes(node.attrs['strides'])}"
        begin, end = f"{function}(", f", {geometry})"
        return [
            imported | {Span(place, place): text for s in spans for place, text in ((s.start, begin), (s.end, end))}
            for spans in found
        ]

    def makers(self, value: str) -> list[Span]:
        """Expressions that give a value and no other, inner ones first."""
        written: dict[str, Sequence[Span]] = self.graph.meta.get("written", {})
        uses = Counter(span for spans in written.values() for span in spans)
        return [span for span in written.get(value, ()) if uses[span] == 1]

    def operands(self, node: Node) -> list[Span]:
        """What a layer's call or operator is given, one of which is the value."""
        if node.origin.file != self.text.name:
            return []
        return self.calls.operands(node.origin.parts.get("call", node.origin.span))

    # -- a shorter net ------------------------------------------------------------------------------------------------
    def shortened(self, taps: Sequence[Tap]) -> list[Edit]:
        """A forward that ends earlier."""
        forward = Forward(self.text, self.graph.meta.get("forward"))
        return list(forward.shortened(taps, {tap.value: self.makers(tap.value) for tap in taps}))

    # -- inputs ---------------------------------------------------------------------------------------------------
    def resize(self, old: Input, new: Input) -> list[Edit]:
        """Another ``insize``: its number, else what is assigned to it; nothing where the class says no size."""
        before, after = old.native, new.declared
        if after is None or len(after) != 4 or (before is not None and before[2:] == after[2:]):
            return [{}]
        parts = old.origin.parts if old.origin is not None else {}
        sides = [parts[key] for key in ("insize.height", "insize.width") if key in parts]
        assigned = self.calls.assigned(str(self.graph.meta["class"]), "insize")
        if len(set(sides)) < 2 and (sides or assigned) and after[2] != after[3]:
            location = old.origin.location if old.origin is not None else None
            why = f"insize is one number, {after[2]}×{after[3]} are two"
            raise RefusedError(
                f"{new.name}: this source cannot say the edit", "E303", location=location, because=why, hint=WAY_OUT
            )
        edits = [dict(zip(sides, map(str, after[2:]), strict=True))] if sides else []
        edits += [{span: str(after[2])} for span in assigned if len(set(sides)) < 2]
        return edits or [{}]
