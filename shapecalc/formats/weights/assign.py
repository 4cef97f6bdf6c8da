"""Which entry of a weight file belongs to which parameter of a definition, by the rule of each framework.

Caffe copies by the layer's name and the blob's index (net.cpp, CopyTrainedLayersFrom), Chainer by the path of the
link, Keras 3 by the layers' classes, Keras before by their names or their order. Shapes play no part here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ...errors import ModelError
from ...graph import Graph, Node
from .base import Entry, WeightFile
from .keras_layers import keras_entries

#: A depthwise weight whose link does not say its channels stands for itself under this name (chainer/links.py).
GROUPED = ":grouped"


class Place(NamedTuple):
    """A parameter where a layer reads it, the key its numbers have in the file, and the entry there, if any."""

    layer: str
    param: str
    position: int
    key: str
    entry: Entry | None


def places(graph: Graph, file: WeightFile) -> list[Place]:
    """Every parameter of a definition with what the file holds for it, in the order of the layers."""
    rule = RULES.get(graph.format)
    if rule is None:
        *others, last = RULES
        raise ModelError(
            f"weights from another file go with {', '.join(others)} and {last} definitions, not with {graph.format}",
            "E202",
            location=file.name,
        )
    return list(rule(graph, file))


def needed(graph: Graph, node: Node) -> list[str]:
    """The parameters of a node that come from a file, in order: not constants, and sources instead of what is derived.

    >>> from shapecalc import load
    >>> graph = load("alexnet").graph
    >>> needed(graph, graph.node("conv1"))
    ['conv1/W', 'conv1/b']
    """
    found: list[str] = []
    for name in node.inputs:
        param = graph.params.get(name)
        if param is not None and param.contents is None:
            found += param.sources if param.recipe is not None else (name,)
    return found


def _caffe(graph: Graph, file: WeightFile) -> Iterator[Place]:
    for node in graph.nodes:
        for index, name in enumerate(needed(graph, node)):
            key = f"{node.name}/{index}"
            yield Place(node.name, name, index, key, file.entries.get(key))


def _chainer(graph: Graph, file: WeightFile) -> Iterator[Place]:
    wanted: dict[str, tuple[str, int]] = {}
    for node in graph.nodes:
        for index, name in enumerate(needed(graph, node)):
            wanted.setdefault(name, (node.name, index))
    keys = {name: name.removesuffix(GROUPED) for name in wanted}
    own, outer = _prefixes(set(keys.values()), file)
    for name, (layer, index) in wanted.items():
        key = outer + keys[name].removeprefix(own)
        entry = file.entries.get(key)
        yield Place(layer, name, index, key, _grouped(entry) if entry and keys[name] != name else entry)


def _prefixes(names: set[str], file: WeightFile) -> tuple[str, str]:
    """(what to take off the definition's names, what to put in front) so that most of them are keys of the file.

    A snapshot of a trainer puts ``updater/model:main/`` in front, a Classifier ``predictor/``; whether the definition
    or the file has the Classifier does not matter.
    """
    counts: Counter[tuple[str, str]] = Counter()
    lengths = {name.count("/") + 1 for name in names}
    for own in ("", "predictor/"):
        stems = {name.removeprefix(own) for name in names}
        for key in file.entries:
            parts = key.split("/")
            for stem in {"/".join(parts[-length:]) for length in (*lengths, *(n - 1 for n in lengths if n > 1))}:
                if stem in stems:
                    counts[own, key[: len(key) - len(stem)]] += 1
    return max(counts, key=lambda pair: (counts[pair], -len(pair[0]), -len(pair[1])), default=("", ""))


def _grouped(entry: Entry) -> Entry | None:
    """Chainer's (multiplier, channels, kh, kw) as the grouped (channels·multiplier, 1, kh, kw)."""
    if len(entry.shape) != 4:
        return entry
    multiplier, channels, *kernel = entry.shape
    shape = (channels * multiplier, 1, *kernel)
    load = entry.load
    turned = None if load is None else lambda: load().transpose(1, 0, 2, 3)
    return entry._replace(shape=shape, where=None, load=turned)


def _keras(graph: Graph, file: WeightFile) -> Iterator[Place]:
    wanted: dict[str, tuple[str, int]] = {}
    for node in graph.nodes:
        for index, name in enumerate(needed(graph, node)):
            wanted.setdefault(name, (node.name, index))
    entries = keras_entries(graph.meta["homes"], file)
    for name, (layer, index) in wanted.items():
        key, entry = entries[name]
        yield Place(layer, name, index, key, entry)


#: Format of the definition -> its rule.
RULES: dict[str, Callable[[Graph, WeightFile], Iterator[Place]]] = {
    "caffe": _caffe,
    "chainer": _chainer,
    "keras": _keras,
}
