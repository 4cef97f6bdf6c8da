"""A changed definition in its own format: the patched text, read again and compared with the plan before it is written.

A format proposes texts (`shapecalc.formats.Editor`); the first that reads as the edited net is the one. So a change
that would reach further than the plan, a number that serves two layers, is never written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from ..definition import Definition
from ..dims import is_number
from ..errors import ModelError, RefusedError, UsageError
from ..formats import FORMATS, Edited, Source, read
from ..formats.changes import WAY_OUT, changes
from ..graph import Graph
from ..lower import lower
from ..surgery.batch import SetBatch
from ..surgery.cutting import Cut
from ..surgery.edits import SetInput
from ..surgery.labels import NameClasses
from ..surgery.plan import Surgery
from ..trace import Layer, Trace, trace

#: Texts that are tried before an edit is refused.
MOST_TEXTS = 64


def own_suffixes(model: Definition) -> tuple[str, ...]:
    """Suffixes of files in a definition's own format, its own first; none where edits of it are not written back."""
    row = FORMATS.get(model.graph.format)
    if row is None or not row.patched or model.source is None:
        return ()
    packer = row.packer()
    known = row.suffixes if packer is None else packer.suffixes(model.source)
    given = model.path.suffix.lower() if model.path is not None else ""
    return known if given in ("", ".onnx") else tuple(dict.fromkeys((given, *known)))


def holds_weights(model: Definition, path: Path) -> bool:
    """Whether a file of this name keeps the weights of its model: one like the model's own does."""
    return bool(model.graph.meta.get("weights_inside")) and path.suffix.lower() != ".json"


def check_weights(plan: Surgery, path: Path) -> None:
    """Raises UsageError where the weights are not those of the model's own file, ModelError where they are not read."""
    model = plan.model
    if not holds_weights(model, path):
        return
    if "unread" in model.graph.meta:
        raise model.graph.meta["unread"]
    if model.weights is not None and model.source is not None and model.weights.name != model.source.name:
        raise UsageError(
            f"{path.name} keeps the weights of {model.source.name}, not those of {model.weights.name}",
            "E002",
            hint=f"leave --weights out, or write it as ONNX: -o {path.with_suffix('.onnx').name}",
        )


def write_own(plan: Surgery, file: BinaryIO, path: Path, text: str, seed: int) -> None:
    """Writes a patched definition, and the weights of the original where its file holds them.

    What the edit made anew is initialised from ``seed``.
    """
    from ..weights import Numbers, initial, trained

    model = plan.model
    packer = FORMATS[model.graph.format].packer()
    if packer is None or model.source is None:
        file.write(text.encode())
        return
    keys = {name: entry.key for name, entry in model.given.items()} if holds_weights(model, path) else {}

    @cache
    def numbers() -> Numbers:
        lowered = lower(plan.graph, plan.trace)
        return Numbers(lowered, trained(model, lowered), make=initial, seed=seed)

    def array(name: str) -> Any:
        """Numbers of a parameter that the edit made: of trained ones where it is made of them, else initialised."""
        return numbers().array(name)

    packer.pack(file, path, model.source, Edited(text, model.graph, plan.graph, keys, array))


def patched(plan: Surgery, *, weighted: bool = False) -> str:
    """The source of a plan's model with the plan's edits, and everything else character by character as it was.

    ``weighted``: it is written beside the weights, so an edit that changes those alone changes something.

    Raises RefusedError (E303) where the format cannot say the edit, or not without changing more than the plan does,
    and where it says nothing of what the edit changes.
    """
    model = plan.model
    assert model.source is not None
    texts = FORMATS[model.graph.format].editor().patch(model.source, model.graph, plan.graph)
    for text in islice(texts, MOST_TEXTS):
        again = _read(model.source, text, model.graph)
        if again is not None and same_net(plan.trace, _traced(again, plan.trace)):
            if not (weighted and plan.graph.params.keys() - model.graph.params.keys()):
                _check_worth_writing(plan, text, model.source)
            return text
    raise RefusedError(
        "the definition cannot say this edit without changing more than it",
        "E303",
        location=changes(model.graph, plan.graph, shorter=True).location,
        because="a text there serves several layers, or the number comes from elsewhere",
        hint=WAY_OUT,
    )


def text_of(model: Definition, source: Source) -> str:
    """The text of a definition, which may be one part of its file."""
    inside = model.graph.meta.get("text")
    return source.text() if inside is None else str(inside)


def _check_worth_writing(plan: Surgery, text: str, source: Source) -> None:
    said = [edit for edit in plan.edits if not isinstance(edit, NameClasses)]  # only ONNX has a place for names
    if not said or text != text_of(plan.model, source):
        return
    because = "it does not say the shape of its input, batch and all: whoever runs it gives that"
    if all(isinstance(edit, Cut) for edit in said):
        because = "it ends there already"
    elif not any(isinstance(edit, (SetBatch, SetInput)) for edit in said):
        because = "what changes are numbers of weights, and a text holds none"
    raise RefusedError(
        "the definition would stay as it is", "E303", location=source.name, because=because, hint=WAY_OUT
    )


def _read(source: Source, text: str, like: Graph) -> Graph | None:
    """The graph of a text, read as the source was; None where it cannot be read."""
    try:
        return read(source._replace(data=text.encode()), like.meta["options"], like.format)
    except ModelError:
        return None


def _traced(graph: Graph, like: Trace) -> Trace:
    """A trace of a net whose weights are not trained yet, at the inputs of another trace.

    A retargeted definition is what it says it is: its weights have the sizes its own input gives them. The plan's are
    those of the original; that both agree is what a repair is for.
    """
    shapes = {name: tensor.shape for name, tensor in like.feeds.items()}
    return trace(graph, {given.name: shapes[given.name] for given in graph.inputs if given.name in shapes})


# -- comparison -------------------------------------------------------------------------------------------------------


#: Attributes that stand for others: what ``refers`` fills in, and the rounding, which shows in the shapes.
_UNSEEN = frozenset({"refers", "ceil_mode"})


def same_net(first: Trace, second: Trace) -> bool:
    """Whether two traces have the same layers, wiring, shapes and outputs, whatever the names and the order.

    A format that says no outputs, and holds every value by its name (``held``), gives what is asked for.
    """
    numbers: dict[Hashable, int] = {}
    (layers, values), (others, again) = _layers(first, numbers), _layers(second, numbers)
    if not second.ok or layers != others:
        return False
    wanted, given = (
        Counter(v.get(name, -2) for name in t.graph.outputs) for v, t in ((values, first), (again, second))
    )
    held = {again.get(name, -2) for name in second.graph.meta.get("held", ())}
    return wanted == given or bool(held and held >= wanted.keys())


def _layers(found: Trace, numbers: dict[Hashable, int]) -> tuple[Counter[int], dict[str, int]]:
    """How often each layer occurs, and the number of every value.

    A layer is its operator, attributes and shapes, and the layers that feed it.
    """
    values: dict[str, int] = {"": -1}
    for name in found.feeds:
        values[name] = _number(numbers, ("input", name))
    for name, param in found.graph.params.items():
        tensor = found.tensors.get(name)
        shape = repr(tensor.shape) if tensor is not None else "unused"
        values.setdefault(name, _number(numbers, ("param", shape, repr(param.contents), param.trained)))
    layers: Counter[int] = Counter()
    for layer in found.layers:
        node = layer.node
        made = _number(
            numbers,
            (
                *_meant(layer),
                node.domain,
                tuple(values.get(name, -2) for name in node.inputs),
                repr([tensor.shape for tensor in layer.tensors]),
            ),
        )
        layers[made] += 1
        values.update((name, _number(numbers, (made, i))) for i, name in enumerate(node.outputs))
    return layers, values


def _meant(layer: Layer) -> tuple[str, str]:
    """A layer's operator and settings, whichever of two words its format has for them."""
    op, attrs = layer.op, layer.call.attrs
    if op in WHOLE and attrs.get("global_pooling"):
        return WHOLE[op], "[]"
    target: tuple[Any, ...] = tuple(layer.node.attrs.get("shape") or ()) if op == "Reshape" else ()
    if len(target) == FLAT and target[1] == -1 and not is_number(target[0]):  # as many rows as there are images
        return "Flatten", repr([("axis", 1)])
    return op, repr(_settings(attrs))


#: Poolings that may be told to take in all places -> the operator that always does.
WHOLE = {"AveragePool": "GlobalAveragePool", "MaxPool": "GlobalMaxPool"}
#: Axes of a flattened map.
FLAT = 2


def _settings(attrs: Any) -> list[tuple[str, Any]]:
    """Without those that make no difference: padding that is none, whether it would be counted, axes that are kept."""
    padded = any(attrs.get("pads") or ()) or attrs.get("auto_pad", "NOTSET") != "NOTSET"
    unseen = _UNSEEN if padded else _UNSEEN | {"pads", "count_include_pad"}
    kept = {"keepdims"} if attrs.get("keepdims") == 1 else set()
    return sorted((key, value) for key, value in attrs.items() if key not in unseen | kept and value is not None)


def _number(numbers: dict[Hashable, int], key: Hashable) -> int:
    return numbers.setdefault(key, len(numbers))
