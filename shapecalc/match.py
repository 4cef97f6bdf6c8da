"""Which trained weights load into which layer: what a definition wants, beside what a file holds."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import Any, NamedTuple

from . import dims, literal
from .definition import Definition
from .dims import Shape
from .errors import UsageError
from .formats.weights import Entry, Place, WeightFile, places, read_weights

#: What can be said of a parameter, from good to bad; all but `same` and `ignored` keep it from being loaded.
VERDICTS = ("same", "reshape-only", "different", "missing", "lazy", "ignored")

#: Fork layers whose statistics have sizes of 1 around the channels: PSPNet's BN is 1×C×1×1, SegNet's too.
PADDED = frozenset({"BN"})

HINTS = {
    "reshape-only": "the numbers are as many, in another shape: convert and retarget --weights reshape them",
    "different": "rename the layer to train it anew, or give the file that belongs to this definition",
    "missing": "the file knows no such layer: was it renamed, or is this file of another definition?",
    "lazy": "the parameter had no size yet when the file was saved: save it after the first image",
}


class Row(NamedTuple):
    """One parameter: its layer, the key its numbers have in the file, both shapes, the verdict.

    ``wanted`` is None for what the definition does not have, ``given`` for what the file does not hold; ``says`` is
    what the framework itself would say.
    """

    layer: str
    param: str | None
    key: str
    wanted: Shape | None
    given: tuple[int, ...] | None
    verdict: str
    says: str | None = None
    location: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON prints it."""
        wanted = None if self.wanted is None else [d if isinstance(d, int) else None for d in self.wanted]
        given = None if self.given is None else list(self.given)
        return {**self._asdict(), "wanted": wanted, "given": given}


class Match:
    """The rows of a definition beside a weight file, in the order of its layers; then what the file holds besides.

    ``ok`` when everything the definition needs loads as it is.
    """

    schema = "shapecalc.match/1"

    def __init__(self, definition: str, file: WeightFile, rows: list[Row], typed: str | None = None) -> None:
        self.definition = definition
        self.typed = typed or definition  # with the flags it was opened with
        self.file = file
        self.rows = rows

    @property
    def counts(self) -> dict[str, int]:
        """Verdict -> number of parameters, those there are."""
        counted = Counter(row.verdict for row in self.rows)
        return {verdict: counted[verdict] for verdict in VERDICTS if counted[verdict]}

    @property
    def ok(self) -> bool:
        """Whether everything the definition needs loads as it is."""
        return set(self.counts) <= {"same", "ignored"}

    def of(self, *verdicts: str) -> list[Row]:
        """The rows with one of these verdicts."""
        return [row for row in self.rows if row.verdict in verdicts]

    def hints(self) -> dict[str, str]:
        """Verdict -> what to do about it, for those there are."""
        found = {verdict: HINTS[verdict] for verdict in self.counts if verdict in HINTS}
        if "reshape-only" in found:
            found["reshape-only"] += (
                f": shapecalc convert {self.typed} --weights {quote(self.file.name)} -o reshaped.onnx"
            )
        return found

    def to_dict(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        return {
            "schema": self.schema,
            "ok": self.ok,
            "model": self.definition,
            "weights": self.file.name,
            "kind": self.file.kind,
            "counts": self.counts,
            "rows": [row.to_dict() for row in self.rows],
            "hints": self.hints(),
        }

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {verdict}" for verdict, count in self.counts.items())
        return f"Match({self.definition!r}, {self.file.name!r}: {counts})"


def match(model: Definition, weights: str | Path | None = None, *, input: literal.Spec = None) -> Match:  # noqa: A002
    """A definition beside a file of weights; see `Model.match`."""
    file = read_weights(weights) if weights is not None else model.weights
    if file is None:
        raise UsageError(f"{model.name} was opened without weights", "E002", hint="name a file of weights")
    found = places(model.graph, file)
    tensors = model.untrained(input).tensors
    rows = []
    for place in found:
        tensor = tensors.get(place.param)
        rows.append(_row(model, place, tensor.shape if tensor is not None else dims.Unknown("nothing sizes it")))
    return Match(model.argument, file, [*rows, *_others(model, file, found)], model.typed)


def _row(model: Definition, place: Place, shape: Shape | dims.Unknown) -> Row:
    node = model.graph.node(place.layer)
    wanted = shape if isinstance(shape, tuple) else None
    given = None if place.entry is None else place.entry.shape if wanted is None else place.entry.seen(len(wanted))
    verdict = verdict_of(place.entry, wanted, squeezed=node.origin.op in PADDED)
    says = _caffe_says(place, wanted) if model.graph.format == "caffe" and verdict in SPOKEN else None
    return Row(place.layer, place.param, place.key, wanted, given, verdict, says, node.origin.location)


#: Verdicts that make Caffe stop with a message.
SPOKEN = ("different", "reshape-only")


def verdict_of(entry: Entry | None, wanted: Shape | None, *, squeezed: bool = False) -> str:
    """One of `VERDICTS` for a parameter of shape ``wanted`` (None: of any shape; unknown sizes are any size).

    >>> verdict_of(Entry("fc6/0", (1, 1, 4096, 9216), load=tuple, legacy=True), (4096, 9216))
    'same'
    >>> verdict_of(Entry("fc6/0", (1, 1, 4096, 9216), load=tuple, legacy=True), (4096, 256, 6, 6))
    'reshape-only'
    """
    if entry is None:
        return "missing"
    if entry.load is None:
        return "lazy"
    if wanted is None:
        return "same"
    given = entry.seen(len(wanted))
    if squeezed:
        given, wanted = (tuple(d for d in shape if d != 1) for shape in (given, wanted))
    if len(given) == len(wanted) and not any(dims.failed(dims.equal(a, b)) for a, b in zip(given, wanted, strict=True)):
        return "same"
    if dims.equal(dims.product(given), dims.product(wanted)) is True:
        return "same" if dims.product(given) == 1 else "reshape-only"  # one number has no shape to speak of
    return "different"


def _others(model: Definition, file: WeightFile, found: list[Place]) -> Iterator[Row]:
    """What the file holds and no parameter takes: of a layer that is there one blob too many, else ignored."""
    taken = {place.key for place in found}
    counts = Counter(place.layer for place in found)
    for key, entry in file.entries.items():
        if key in taken:
            continue
        layer = key.rpartition("/")[0]
        if model.graph.format == "caffe" and layer in counts:
            says = f"Incompatible number of blobs for layer {layer}"
            yield Row(layer, None, key, None, entry.shape, "different", says)
        else:
            yield Row(layer or key, None, key, None, entry.shape, "ignored")


# -- Caffe's own words ------------------------------------------------------------------------------------------------


def _shape_string(shape: Shape) -> str:
    """blob.hpp, shape_string: ``20 4096 (81920)``."""
    return f"{''.join(f'{d} ' for d in shape)}({dims.product(shape)})"


def _caffe_says(place: Place, wanted: Shape | None) -> str | None:
    """net.cpp, CopyTrainedLayersFrom."""
    if place.entry is None or wanted is None:
        return None
    return (
        f"Cannot copy param {place.position} weights from layer '{place.layer}'; shape mismatch.  "
        f"Source param shape is {_shape_string(place.entry.shape)}; target param shape is {_shape_string(wanted)}. "
        "To learn this layer's parameters from scratch rather than copying from a saved net, rename the layer."
    )


#: What Caffe and Chainer print when weights do not go into a net.
MESSAGES = (
    re.compile(r"Cannot copy param (?P<index>\d+) weights from layer '(?P<layer>[^']*)'; shape mismatch"),
    re.compile(r"Incompatible number of blobs for layer (?P<layer>\S+)"),
    re.compile(r"KeyError: ['\"](?P<key>\S+) is not a file in the archive"),
)


def recognised(found: Match, text: str) -> list[Row]:
    """The rows that an error message of Caffe or Chainer is about; empty for a message that is none of theirs."""
    for pattern in MESSAGES:
        parts = pattern.search(" ".join(text.split()))
        if parts is not None:
            named = parts.groupdict()
            return [row for row in found.rows if _is_about(row, named)]
    return []


def _is_about(row: Row, named: dict[str, Any]) -> bool:
    layer, _, index = row.key.rpartition("/")
    if "key" in named:
        return bool(row.key == named["key"])
    return bool(layer == named["layer"] and index == named.get("index", index))
