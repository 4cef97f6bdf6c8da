"""The forms of ONNX's operators, by the opset each came with: what a file of some opset cannot hold.

A file says which opset it speaks. An operator that came later, an input that was an attribute then, an element type
that was added since: onnxruntime refuses to load them. The table beside this file, forms.txt, has a line for every
form; tests/tools/make_forms.py wrote it from the schemas of onnxruntime and of the onnx package.
"""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

from .base import OWN_DOMAIN, Call, Detail, Need

#: So many inputs are any number.
ANY = 1_000
#: Operators that were removed, and what took their place.
SUCCESSORS = {"Upsample": "Resize", "Scatter": "ScatterElements"}
#: Attributes that a reader fills in where the file says nothing, and what with.
FILLED = {"ceil_mode": 0}


class Form(NamedTuple):
    """One form of an operator: since which opset, how many inputs at most, its attributes, the types of its inputs.

    ``gone``: from this opset on there is no such operator. An empty set of types: anything goes.
    """

    since: int
    gone: bool
    most: int
    attributes: frozenset[str]
    types: tuple[frozenset[str], ...]

    def of_input(self, index: int) -> frozenset[str]:
        """The element types input ``index`` may have."""
        return self.types[min(index, len(self.types) - 1)] if self.types else frozenset()


@cache
def _table() -> tuple[tuple[frozenset[str], ...], dict[str, list[str]]]:
    """(sets of element types, lines by operator)."""
    sets, rows = Path(__file__).with_name("forms.txt").read_text(encoding="utf-8").split("\n\n")
    found: dict[str, list[str]] = {}
    for line in rows.splitlines():
        found.setdefault(line.partition(" ")[0], []).append(line)
    return tuple(_words(line.partition(" ")[2]) for line in sets.splitlines()), found


def _words(text: str) -> frozenset[str]:
    return frozenset() if text == "-" else frozenset(text.split(","))


@cache
def forms(op: str) -> tuple[Form, ...]:
    """The forms of an operator, the oldest first; none of what ONNX does not have."""
    sets, rows = _table()
    return tuple(_form(line, sets) for line in rows.get(op, ()))


def _form(line: str, sets: tuple[frozenset[str], ...]) -> Form:
    _, since, most, attributes, kinds = line.split(" ")
    types = () if kinds == "-" else tuple(sets[int(kind)] for kind in kinds.split(","))
    gone = most == "gone"
    return Form(int(since), gone, 0 if gone else int(most), _words(attributes), types)


@lru_cache(maxsize=4096)
def form(op: str, opset: int) -> Form | None:
    """The form that holds at an opset; None where there is none yet, and of what ONNX does not have."""
    return next((row for row in reversed(forms(op)) if row.since <= opset), None)


def need_known(call: Call) -> Need | None:
    """The requirement that the file's opset has the operator, in the form in which it is used; None where it holds."""
    op, opset = call.node.op, call.scope.opset
    if call.node.domain not in OWN_DOMAIN:
        return None
    found = form(op, opset)
    if found is None:
        return Need(False, "E112", lambda: _too_young(call)) if forms(op) else None
    if found.gone:
        return Need(False, "E112", lambda: _removed(call, found))
    if len(call.node.inputs) > found.most:
        return Need(False, "E112", lambda: _many(call, found))
    if not found.attributes.issuperset(call.node.attrs):
        stray = next((name for name in call.node.attrs if name not in found.attributes and _written(call, name)), None)
        if stray is not None:
            return Need(False, "E112", lambda: _stray(call, found, stray))
    for tensor, allowed in zip(call.inputs, found.types, strict=False):
        if tensor is not None and tensor.dtype not in allowed and allowed and tensor.dtype:
            return Need(False, "E112", lambda: _untyped(call, found))
    return None


def _written(call: Call, name: str) -> bool:
    """Whether the file says an attribute of another form: what no form has is a note of a reader."""
    value = call.node.attrs[name]
    return (name not in FILLED or FILLED[name] != value) and any(name in row.attributes for row in forms(call.node.op))


# -- words ------------------------------------------------------------------------------------------------------------


def _higher(since: int) -> str:
    return f"export again for opset {since} or later"


def _too_young(call: Call) -> Detail:
    since = forms(call.node.op)[0].since
    message = f"{call.name}: {call.node.op} is an operator since opset {since}, the file is of {call.opset}"
    return Detail(message, f"opset {since} or later", f"opset {call.opset}", _higher(since))


def _removed(call: Call, found: Form) -> Detail:
    op, other = call.node.op, SUCCESSORS.get(call.node.op)
    message = f"{call.name}: {op} is no operator since opset {found.since}, the file is of {call.opset}"
    hint = f"{other}, which took its place; or an export for opset {found.since - 1} or older" if other else ""
    return Detail(message, f"opset {found.since - 1} or older", f"opset {call.opset}", hint)


def _many(call: Call, found: Form) -> Detail:
    count, op = len(call.node.inputs), call.node.op
    since = next((row.since for row in forms(op) if row.most >= count and row.since > found.since), None)
    message = f"{call.name} has {count} inputs, {op} of opset {call.opset} takes {found.most}"
    return Detail(message, f"{found.most} at most", f"{count}", _higher(since) if since else "")


def _stray(call: Call, found: Form, name: str) -> Detail:
    op = call.node.op
    since = next((row.since for row in forms(op) if name in row.attributes and row.since > found.since), None)
    message = f"{call.name} has an attribute {name}, which {op} of opset {call.opset} has not"
    if since is not None:
        return Detail(message, f"opset {since} or later", f"opset {call.opset}", _higher(since))
    older = next((row.since for row in reversed(forms(op)) if name in row.attributes), 1)
    ended = next((row.since for row in forms(op) if row.since > older), found.since)
    hint = f"from opset {ended} on it is an input, or gone; an export for opset {ended - 1} has it"
    return Detail(message, f"opset {ended - 1} or older", f"opset {call.opset}", hint)


def _untyped(call: Call, found: Form) -> Detail:
    asked = ((i, t) for i, t in enumerate(call.inputs) if t is not None and t.dtype and found.of_input(i))
    index = next(i for i, tensor in asked if tensor.dtype not in found.of_input(i))
    op, dtype = call.node.op, call.tensor(index).dtype or ""
    since = next((row.since for row in forms(op) if dtype in row.of_input(index) and row.since > found.since), None)
    message = f"{call.name}: {op} of opset {call.opset} takes no {dtype}, which {call.giver(index)} gives"
    hint = _higher(since) if since else f"a Cast of {call.giver(index)}"
    return Detail(message, ", ".join(sorted(found.of_input(index))), dtype, hint)
