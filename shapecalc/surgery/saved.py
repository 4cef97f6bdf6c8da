"""A plan as a file: its edits, and what the model must be for them to mean the same.

A plan fits a model of the same layers, whatever its weights: what was planned on one snapshot is done on the next.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple, Self

from ..definition import Definition
from ..dims import Shape, show
from ..errors import RefusedError, UsageError
from ..graph import Graph, Node
from .coding import UnfitError, decode, decoded, encode, encoded
from .edits import Edit

SCHEMA = "shapecalc.saved-plan/1"
#: A plan is smaller; anything larger is not read.
LARGEST = 1 << 26


class LayerPrint(NamedTuple):
    """What tells one layer from another: its operator, its weights' shapes, a digest of attributes and wiring."""

    name: str
    op: str
    weights: tuple[str, ...]
    digest: str


class Fingerprint(NamedTuple):
    """What a plan is for: the format, the shapes that go in, and every layer."""

    format: str
    inputs: tuple[tuple[str, str], ...]
    layers: tuple[LayerPrint, ...]

    def differs(self, other: Fingerprint) -> tuple[str, str, str] | None:
        """(what, of this one, of the other) of the first difference, "" for what has no words; None: no difference."""
        if self.format != other.format:
            return "the format", self.format, other.format
        for mine, theirs in zip_longest(self.inputs, other.inputs, fillvalue=("", "none")):
            if mine != theirs:
                return f"the input {mine[0] or theirs[0]}", " ".join(mine).strip(), " ".join(theirs).strip()
        for place, (a, b) in enumerate(zip_longest(self.layers, other.layers)):
            if a != b:
                return _layers_differ(place, a, b)
        return None


def _layers_differ(place: int, a: LayerPrint | None, b: LayerPrint | None) -> tuple[str, str, str]:
    if a is None or b is None or a.name != b.name:
        return f"layer {place + 1}", a.name if a is not None else "none", b.name if b is not None else "none"
    if a.op != b.op:
        return f"the operator of {a.name}", a.op, b.op
    if a.weights != b.weights:
        return f"the weights of {a.name}", " and ".join(a.weights) or "none", " and ".join(b.weights) or "none"
    return f"the attributes or inputs of {a.name}", "", ""


def fingerprint(graph: Graph) -> Fingerprint:
    """What tells a graph from another for which an edit would mean something else."""
    inputs = tuple((given.name, show(given.native) if given.native is not None else "open") for given in graph.inputs)
    return Fingerprint(graph.format, inputs, tuple(_printed(node, graph) for node in graph.nodes))


def _printed(node: Node, graph: Graph) -> LayerPrint:
    params = [graph.params[name] for name in node.inputs if name in graph.params]
    weights = tuple("open" if p.shape is None else show(p.shape) for p in params)
    said = (node.domain, node.inputs, node.outputs, sorted(node.attrs.items(), key=str), [p.contents for p in params])
    return LayerPrint(node.name, node.op, weights, hashlib.sha256(repr(said).encode()).hexdigest()[:12])


class Saved(NamedTuple):
    """A plan that was saved: the edits, the shapes asked for, the words of the result's name, and what it is for."""

    model: str
    edits: tuple[Edit, ...]
    feeds: Mapping[str, Shape]
    about: Mapping[str, str]
    fits: Fingerprint

    def to_dict(self) -> dict[str, Any]:
        """The plan as its file holds it."""
        return {
            "schema": SCHEMA,
            "model": self.model,
            "input": {name: encoded(shape) for name, shape in self.feeds.items()},
            "about": dict(self.about),
            "edits": [encode(edit) for edit in self.edits],
            "fits": {**encoded(self.fits), "layers": [list(map(encoded, row)) for row in self.fits.layers]},
        }

    def text(self) -> str:
        """The JSON of `to_dict`, a line for each edit and each layer."""
        parts = []
        for key, value in self.to_dict().items():
            body = _json(value)
            if key == "edits":
                body = _lines(value)
            elif key == "fits":
                body = f'{{"format": {_json(value["format"])}, "inputs": {_json(value["inputs"])}, '
                body += f'"layers": {_lines(value["layers"])}}}'
            parts.append(f'"{key}": {body}')
        return "{" + ",\n ".join(parts) + "}\n"

    @classmethod
    def read(cls, given: str | Path | Mapping[str, Any]) -> Self:
        """A plan from its file or from what `to_dict` gave. Raises UsageError for anything else."""
        row = given if isinstance(given, Mapping) else _loaded(Path(given))
        if row.get("schema") != SCHEMA:
            raise UsageError(
                f"this is {row.get('schema')!r:.60}, no plan of the version {SCHEMA}",
                "E002",
                hint="retarget or cut --save-plan writes one",
            )
        edits = row.get("edits")
        if not isinstance(edits, list):
            raise UsageError("the plan is damaged: it has no edits", "E002", hint="--save-plan writes a new one")
        made = tuple(decode(edit) for edit in edits)
        try:
            return cls(str(row.get("model", "")), made, *_feeds_and_about(row), _fits(row.get("fits")))
        except UnfitError as error:
            raise UsageError(f"the plan is damaged: {error}", "E002", hint="--save-plan writes a new one") from None

    def check(self, model: Definition) -> None:
        """Raises RefusedError where the plan was made for another net, naming the first difference."""
        found = self.fits.differs(fingerprint(model.graph))
        if found is not None:
            what, wanted, given = found
            raise RefusedError(
                f"the plan is for another net than {model.name}: {what} differs",
                "E304",
                expected=f"{wanted}, as in {self.model}" if wanted else None,
                actual=given or None,
                because=f"an edit of {self.model} would mean something else in {model.name}",
                hint="plan it anew: shapecalc retarget --dry-run --save-plan FILE",
            )


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _lines(rows: list[Any]) -> str:
    return "[" + ",".join(f"\n  {_json(row)}" for row in rows) + "]"


def _loaded(path: Path) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > LARGEST:
            raise UsageError(f"{path} is no plan: it is larger than {LARGEST:,} bytes", "E002")
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "E002", hint="the file of --save-plan") from None
    except (ValueError, RecursionError):
        raise UsageError(f"{path} is no JSON", "E002", hint="the file of --save-plan") from None
    if not isinstance(found, dict):
        raise UsageError(f"{path} is no plan", "E002", hint="the file of --save-plan")
    return found


def _feeds_and_about(row: Mapping[str, Any]) -> tuple[dict[str, Shape], dict[str, str]]:
    feeds, about = row.get("input"), row.get("about")
    if not isinstance(feeds, dict) or not isinstance(about, dict):
        raise UnfitError("it has no input, or does not say what it is about")
    shapes = {name: decoded(shape, tuple[Any, ...], f"input {name}") for name, shape in feeds.items()}
    return shapes, {key: decoded(word, str, f"about {key}") for key, word in about.items()}


def _fits(row: Any) -> Fingerprint:
    if not isinstance(row, dict) or not isinstance(row.get("layers"), list):
        raise UnfitError("it does not say what it fits")
    rows: Sequence[Any] = row["layers"]
    if not all(isinstance(layer, list) and len(layer) == len(LayerPrint._fields) for layer in rows):
        raise UnfitError("the layers it fits are none")
    layers = [dict(zip(LayerPrint._fields, layer, strict=True)) for layer in rows]
    made: Fingerprint = decoded({**row, "layers": layers}, Fingerprint, "fits")
    return made
