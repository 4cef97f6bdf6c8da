"""What a definition says of the values a model is fed: shapes, element types, where the channels stand."""

from __future__ import annotations

from collections.abc import Sequence

from ...dims import Dim, Shape, symbol
from ...graph import Input
from .layer import Layer
from .text import Document, Value
from .view import View, plain_text

#: Where the channels stand, in the words of any version.
FORMATS = {"channels_last": "NHWC", "channels_first": "NCHW", "tf": "NHWC", "th": "NCHW"}
#: What free axes of an input are called, by layout and rank.
FREE = {
    "NHWC": {2: "NF", 3: "NLC", 4: "NHWC", 5: "NDHWC"},
    "NCHW": {2: "NF", 3: "NCL", 4: "NCHW", 5: "NCDHW"},
}


def made_input(name: str, sizes: Sequence[int | None] | None, layer: Layer, layout: str) -> Input:
    """An input as a layer declares it: a free batch is 1 where nobody says another, other free axes are symbols."""
    declared: Shape | None = None
    native: Shape | None = None
    if sizes is not None:
        declared = _named(sizes, FREE[layout].get(len(sizes), "N"))
        native = (1, *declared[1:]) if sizes and sizes[0] is None else declared
    rank = 4 if sizes is None else len(sizes)
    return Input(
        name,
        declared,
        native=native,
        dtype=_dtype(layer),
        layout=layout,
        role="image" if rank > 2 else "other",
        origin=layer.origin,
    )


def batch_shape(config: View) -> list[int | None] | None:
    """``batch_shape`` of Keras 3, ``batch_input_shape`` before, ``input_shape`` without the batch; None for none."""
    value = config.find("batch_shape", "batch_input_shape")
    if value is not None:
        return _sizes(config, value)
    value = config.find("input_shape", "shape")
    if value is not None:
        return [None, *_sizes(config, value)]
    if config.has("input_dim") and not config.has("output_dim"):  # of an Embedding it says something else
        return [None, config.integer("input_dim", low=1)]
    return None


def told_shape(document: Document, entry: Value, first: Value) -> list[int | None] | None:
    """The input of a sequence without an InputLayer, as its first layer or its building says it; None for neither."""
    own = first.get("config")
    if own is not None and isinstance(own.data, dict):
        shape = batch_shape(View(document, own, plain_text(own.get("name"))))
        if shape is not None:
            return shape
    config = entry.get("config")
    told = config.get("build_input_shape") if config is not None else None
    for owner in (entry, first):
        built = owner.get("build_config")
        if told is None or told.data is None:
            told = built.get("input_shape") if built is not None else None
    if told is None or not told.items():
        return None
    return _sizes(View(document, entry, plain_text(entry.get("class_name"))), told)


def _sizes(config: View, value: Value) -> list[int | None]:
    sizes: list[int | None] = []
    for item in value.items():
        size = item.data
        if size is not None and (type(size) is not int or not 1 <= size < 1 << 31):
            raise config.refuse(f"{str(value.plain())[:60]} is no shape", at=value)
        sizes.append(size)
    if len(sizes) > 32 or not isinstance(value.data, list):
        raise config.refuse(f"{str(value.plain())[:60]} is no shape", at=value)
    return sizes


def _named(sizes: Sequence[int | None], names: str) -> Shape:
    found: list[Dim] = []
    for i, size in enumerate(sizes):
        found.append(symbol(names[i] if i < len(names) else f"d{i}") if size is None else size)
    return tuple(found)


def _dtype(layer: Layer) -> str:
    """Whole numbers stay what they are; every real one is a float32, which weights are too."""
    value = layer.config.value.get("dtype")
    config = value.get("config") if value is not None else None
    text = plain_text(config.get("name") if config is not None else value)
    return text if text in ("int8", "uint8", "int16", "int32", "int64", "bool") else "float32"


def first_layout(root: Value) -> str:
    """Where the channels of the images stand: as the first layer says that says it."""
    waiting = [root]
    while waiting:
        value = waiting.pop()
        if isinstance(value.data, dict):
            told = plain_text(value.data.get("data_format") or value.data.get("dim_ordering"))
            if told in FORMATS:
                return FORMATS[told]
            waiting.extend(reversed(value.data.values()))
        elif isinstance(value.data, list):
            waiting.extend(reversed(value.data))
    return "NHWC"
