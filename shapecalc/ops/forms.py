"""The forms of ONNX's operators, by the opset each came with: what a file of some opset cannot hold.

A file says which opset it speaks. An operator that came later, an input that was an attribute then, an element type
that was added since, or that onnxruntime's CPU does not compute: onnxruntime refuses to load them. The table beside
this file, forms.txt, has a line for every form of ONNX's own operators, of ai.onnx.ml's and of onnxruntime's;
tests/tools/make_forms.py wrote it from the schemas of onnxruntime and of the onnx package and from onnxruntime's list
of kernels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

from .base import Call, Detail, Need, counted

#: The domains whose operators the table has.
DOMAINS = frozenset({"", "ai.onnx.ml", "com.microsoft"})
#: So many inputs are any number.
ANY = 1_000
#: The opset of what has opsets of its own, where a file does not tell them.
NEWEST = 1_000
#: onnxruntime promises opsets from here on. Of older files it loads few, and no edit or size changes that: not said.
PROMISED = 7
#: Operators that were removed, and what took their place.
SUCCESSORS = {"Upsample": "Resize", "Scatter": "ScatterElements"}
#: Attributes that a reader fills in where the file says nothing, and what with.
FILLED = {"ceil_mode": 0}
#: Types that processors seldom compute and graphics cards do: what the CPU lacks of them says nothing of a file.
FOR_CARDS = frozenset({"bfloat16"})
#: An input in the table: its set of types, its type parameter, whether it may be absent, what the CPU computes.
SLOT = re.compile(r"(\d+)([A-Za-z]\w*)?([?*])?(?:/(\d+))?")


class Slot(NamedTuple):
    """An input of a form: its element types, those that the CPU computes, the parameter that it shares with others.

    An empty set of types: anything goes.
    """

    types: frozenset[str]
    computed: frozenset[str]
    shared: str
    required: bool

    @property
    def does(self) -> frozenset[str]:
        """The element types that load."""
        return self.computed or self.types


class Form(NamedTuple):
    """One form of an operator: since which opset, how many inputs, its attributes, its inputs.

    ``gone``: from this opset on there is no such operator. ``unable``: onnxruntime's CPU does not compute it.
    ``results`` outputs have names, used or not.
    """

    since: int
    gone: bool
    unable: bool
    least: int
    most: int
    attributes: frozenset[str]
    needed: frozenset[str]
    slots: tuple[Slot, ...]
    results: int

    def slot(self, index: int) -> Slot:
        """Input ``index``; the last one is as many as there are."""
        return self.slots[min(index, len(self.slots) - 1)] if self.slots else ANYTHING

    def of_input(self, index: int) -> frozenset[str]:
        """The element types input ``index`` may have."""
        return self.slot(index).types


ANYTHING = Slot(frozenset(), frozenset(), "", False)


@cache
def _table() -> tuple[tuple[frozenset[str], ...], dict[str, list[str]]]:
    """(sets of element types, lines by operator)."""
    sets, rows = Path(__file__).with_name("forms.txt").read_text(encoding="utf-8").split("\n\n")
    found: dict[str, list[str]] = {}
    for line in rows.splitlines():
        found.setdefault(line.partition(" ")[0], []).append(line)
    return tuple(frozenset(_words(line.partition(" ")[2])) for line in sets.splitlines()), found


def _words(text: str) -> list[str]:
    return [] if text == "-" else text.split(",")


@cache
def forms(op: str, domain: str = "") -> tuple[Form, ...]:
    """The forms of an operator, the oldest first; none of what the table does not have."""
    sets, rows = _table()
    return tuple(_form(line, sets) for line in rows.get(f"{domain}:{op}" if domain else op, ()))


def _form(line: str, sets: tuple[frozenset[str], ...]) -> Form:
    _, since, counts, words, inputs = line.split(" ")
    gone, unable = counts == "gone", counts.endswith("!")
    taken, _, results = ("0-0", "", "") if gone else counts.rstrip("!").partition(">")
    least, _, most = taken.partition("-")
    attributes = _words(words)
    return Form(
        int(since),
        gone,
        unable,
        int(least),
        int(most),
        frozenset(name.rstrip("*") for name in attributes),
        frozenset(name.rstrip("*") for name in attributes if name.endswith("*")),
        tuple(_slot(text, sets) for text in _words(inputs)),
        0 if gone else int(results or 1),
    )


def _slot(text: str, sets: tuple[frozenset[str], ...]) -> Slot:
    found = SLOT.fullmatch(text)
    assert found is not None
    types, shared, mark, computed = found.groups()
    kept = sets[int(computed)] | (sets[int(types)] & FOR_CARDS) if computed else frozenset[str]()
    return Slot(sets[int(types)], kept, shared or "", mark is None)


@lru_cache(maxsize=4096)
def form(op: str, opset: int, domain: str = "") -> Form | None:
    """The form that holds at an opset; None where there is none yet, and of what ONNX does not have."""
    return next((row for row in reversed(forms(op, domain)) if row.since <= opset), None)


def _opset(call: Call) -> int:
    """The opset of the operator's domain."""
    graph, domain = call.scope.graph, _domain(call)
    if not domain or graph is None:
        return call.scope.opset if not domain else NEWEST
    return int(graph.meta.get("opsets", {}).get(domain, NEWEST))


def _domain(call: Call) -> str:
    return "" if call.node.domain == "ai.onnx" else call.node.domain


def need_known(call: Call) -> Need | None:
    """The requirement that the file's opset has the operator, in the form in which it is used; None where it holds."""
    op, domain = call.node.op, _domain(call)
    if domain not in DOMAINS:
        return None
    opset = _opset(call)
    found = form(op, opset, domain)
    if found is None:
        return Need(False, "E112", lambda: _too_young(call)) if forms(op, domain) else None
    if not found.attributes.issuperset(call.node.attrs):
        stray = next((name for name in call.node.attrs if name not in found.attributes and _written(call, name)), None)
        if stray is not None:
            return Need(False, "E112", lambda: _stray(call, found, stray))
    if len(call.node.outputs) < found.results or "" in call.node.outputs[: found.results]:
        return Need(False, "E112", lambda: _unfinished(call, found))
    flaw = _flaw(op, opset, domain, tuple([None if t is None else t.dtype or "" for t in call.inputs]))
    if flaw is not None:
        return _need(call, found, *flaw)
    if not found.needed.issubset(call.attrs):
        missing = min(found.needed.difference(call.attrs))
        return Need(False, "E109", lambda: _lacking(call, missing), blocks=True)
    return None


@lru_cache(maxsize=4096)
def _flaw(op: str, opset: int, domain: str, given: Sequence[str | None]) -> tuple[str, int] | None:
    """What is wrong with inputs of these element types, and with which; None an input left out, "" a type not known."""
    found = form(op, opset, domain)
    assert found is not None
    if found.gone:
        return "gone", 0
    if len(given) > found.most:
        return "many", len(given)
    if len(given) < found.least:
        return "few", len(given)
    first: dict[str, str] = {}
    for index, dtype in enumerate(given):
        slot = found.slot(index)
        if dtype is None and slot.required:
            return "absent", index
        if dtype and slot.types and dtype not in slot.types:
            return "type", index
        if dtype and slot.shared and first.setdefault(slot.shared, dtype) != dtype:
            return "unlike", index
    if found.unable and opset >= PROMISED:
        return "unable", 0
    for index, dtype in enumerate(given):
        computed = found.slot(index).computed
        if dtype and computed and dtype not in computed:
            return "not computed", index
    return None


def _need(call: Call, found: Form, flaw: str, index: int) -> Need:
    """The requirement that a flaw breaks."""
    code, words = FLAWS[flaw]
    return Need(False, code, lambda: words(call, found, index), blocks=flaw in ("few", "absent"))


def _written(call: Call, name: str) -> bool:
    """Whether the file says an attribute of another form: what no form has is a note of a reader."""
    value, rows = call.node.attrs[name], forms(call.node.op, _domain(call))
    return (name not in FILLED or FILLED[name] != value) and any(name in row.attributes for row in rows)


# -- words ------------------------------------------------------------------------------------------------------------


def _higher(since: int) -> str:
    return f"export again for opset {since} or later"


def _too_young(call: Call) -> Detail:
    since = forms(call.node.op, _domain(call))[0].since
    message = f"{call.name}: {call.node.op} is an operator since opset {since}, the file is of {_opset(call)}"
    return Detail(message, f"opset {since} or later", f"opset {_opset(call)}", _higher(since))


def _removed(call: Call, found: Form, _: int) -> Detail:
    op, other = call.node.op, SUCCESSORS.get(call.node.op)
    message = f"{call.name}: {op} is no operator since opset {found.since}, the file is of {_opset(call)}"
    hint = f"{other}, which took its place; or an export for opset {found.since - 1} or older" if other else ""
    return Detail(message, f"opset {found.since - 1} or older", f"opset {_opset(call)}", hint)


def _many(call: Call, found: Form, count: int) -> Detail:
    rows = forms(call.node.op, _domain(call))
    since = next((row.since for row in rows if row.most >= count and row.since > found.since), None)
    message = f"{call.name} has {count} inputs, {_named(call)} takes {found.most}"
    return Detail(message, f"{found.most} at most", f"{count}", _higher(since) if since else "")


def _few(call: Call, found: Form, count: int) -> Detail:
    rows = forms(call.node.op, _domain(call))
    since = next((row.since for row in rows if row.least <= count and row.since > found.since), None)
    message = f"{call.name} has {counted(count, 'input')}, {_named(call)} takes {found.least} or more"
    return Detail(message, f"{found.least} or more", f"{count}", _higher(since) if since else "")


def _absent(call: Call, found: Form, index: int) -> Detail:
    rows = forms(call.node.op, _domain(call))
    since = next((row.since for row in rows if row.since > found.since and not row.slot(index).required), None)
    message = f"{call.name} has no input {index}, which {_named(call)} does not do without"
    return Detail(message, f"{found.least} or more", "", _higher(since) if since else "")


def _lacking(call: Call, name: str) -> Detail:
    return Detail(f"{call.name} has no attribute {name}, which {_named(call)} does not do without", name)


def _unfinished(call: Call, found: Form) -> Detail:
    given = sum(map(bool, call.node.outputs))
    message = f"{call.name} gives {counted(given, 'value')}, {_named(call)} gives {found.results}, used or not"
    return Detail(message, str(found.results), str(given), "a name for each output that is left out")


def _stray(call: Call, found: Form, name: str) -> Detail:
    rows = forms(call.node.op, _domain(call))
    since = next((row.since for row in rows if name in row.attributes and row.since > found.since), None)
    message = f"{call.name} has an attribute {name}, which {_named(call)} has not"
    if since is not None:
        return Detail(message, f"opset {since} or later", f"opset {_opset(call)}", _higher(since))
    older = next((row.since for row in reversed(rows) if name in row.attributes), 1)
    ended = next((row.since for row in rows if row.since > older), found.since)
    hint = f"from opset {ended} on it is an input, or gone; an export for opset {ended - 1} has it"
    return Detail(message, f"opset {ended - 1} or older", f"opset {_opset(call)}", hint)


def _untyped(call: Call, found: Form, index: int) -> Detail:
    dtype, rows = call.tensor(index).dtype or "", forms(call.node.op, _domain(call))
    since = next((row.since for row in rows if dtype in row.of_input(index) and row.since > found.since), None)
    message = f"{call.name}: {_named(call)} takes no {dtype}, which {call.giver(index)} gives"
    hint = _higher(since) if since else f"a Cast of {call.giver(index)}"
    return Detail(message, ", ".join(sorted(found.of_input(index))), dtype, hint)


def _unlike(call: Call, found: Form, index: int) -> Detail:
    shared = found.slot(index).shared
    at = next(i for i, t in enumerate(call.inputs) if found.slot(i).shared == shared and t is not None and t.dtype)
    first, second = call.tensor(at).dtype, call.tensor(index).dtype
    givers = call.giver(at), call.giver(index)
    message = f"{call.name} takes one element type, {givers[0]} gives {first} and {givers[1]} {second}"
    return Detail(message, f"{first} for both", f"{first} and {second}", f"a Cast of {givers[1]} to {first}")


def _unable(call: Call, found: Form, _: int) -> Detail:
    older = [row for row in forms(call.node.op, _domain(call)) if row.since < found.since and not row.unable]
    newer = [row for row in forms(call.node.op, _domain(call)) if row.since > found.since and not row.unable]
    hint = _higher(newer[0].since) if newer else f"export again for opset {found.since - 1}" if older else ""
    return Detail(f"{call.name}: onnxruntime does not compute {_named(call)} on the CPU", hint=hint)


def _uncomputed(call: Call, found: Form, index: int) -> Detail:
    dtype, rows = call.tensor(index).dtype or "", forms(call.node.op, _domain(call))
    better = [row for row in rows if row.since > found.since and dtype in row.slot(index).does]
    named = f"{_named(call)} of {dtype} on the CPU"
    message = f"{call.name}: onnxruntime does not compute {named}, which {call.giver(index)} gives"
    hint = _higher(better[0].since) if better else f"a Cast of {call.giver(index)}"
    return Detail(message, ", ".join(sorted(found.slot(index).computed - FOR_CARDS)), dtype, hint)


def _named(call: Call) -> str:
    """``Clip of opset 10``."""
    opset = _opset(call)
    return call.node.op if opset == NEWEST or _domain(call) == "com.microsoft" else f"{call.node.op} of opset {opset}"


#: Flaw -> the code of its error, and its words.
FLAWS = {
    "gone": ("E112", _removed),
    "many": ("E112", _many),
    "few": ("E112", _few),
    "absent": ("E112", _absent),
    "type": ("E112", _untyped),
    "unlike": ("E107", _unlike),
    "unable": ("E110", _unable),
    "not computed": ("E110", _uncomputed),
}
