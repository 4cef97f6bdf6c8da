"""Another input size, written where the file says it: a shape, four ``input_dim``, or the crop of a data layer.

A data layer says the height and width it gives and the batch; how many channels there are its data know alone. All data
layers of one blob, those of other phases too, get the same crop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from ...graph import Input
from .draft import Draft
from .inputs import shapes_of
from .layer import Layer
from .style import Item
from .text import Field, Message
from .view import View

Sizes: TypeAlias = tuple[int, ...]

#: Data layers -> the message with their batch size, new_height and new_width.
IMAGES = {
    "AnnotatedData": "data_param",
    "Data": "data_param",
    "DenseImageData": "dense_image_data_param",
    "ImageData": "image_data_param",
    "VideoData": "video_data_param",
    "WindowData": "window_data_param",
}
_COLUMNS = ("num", "channels", "height", "width")


def resize(draft: Draft, old: Input, new: Input) -> None:
    """Sets an input's shape; raises RefusedError for what the file cannot say."""
    layer = draft.at(old.origin.span if old.origin is not None else None)
    if layer is None or new.declared is None:
        return
    sizes = tuple(d for d in new.declared if isinstance(d, int))
    if len(sizes) != len(new.declared):
        if new.role == "label":
            return  # its data layer says the batch beside the images
        raise draft.refuse(layer, "a prototxt has no free dimensions", "give every size as a number")
    blob = new.name  # what is fed keeps the blob's name (`wiring`)
    _resized(draft, layer, layer.tops.index(blob), sizes, own=True)
    for other in draft.layers:
        if other is not layer and not other.bottoms and blob in other.tops:
            _resized(draft, other, other.tops.index(blob), sizes, own=False)


def _resized(draft: Draft, layer: Layer, index: int, sizes: Sizes, *, own: bool) -> None:
    """``own``: the layer of the phase that was read; those of other phases keep their batch."""
    if layer.type in IMAGES:
        _images(draft, layer, sizes, own)
    elif layer.type in _RESIZE:
        _RESIZE[layer.type](draft, layer, index, sizes)


# -- shapes -----------------------------------------------------------------------------------------------------------


def _input(draft: Draft, layer: Layer, index: int, sizes: Sizes) -> None:
    shapes = layer.param("input_param").all("shape")
    if shapes:
        _shape(draft, layer, shapes, index, sizes)
    elif len(layer.tops) > 1:
        raise draft.refuse(layer, f"{len(layer.tops)} inputs without a shape", "write their shapes into the file first")
    elif draft.place(layer) is not None:
        draft.add(layer, [("input_param", [("shape", _dims(sizes))])])
    else:
        name = draft.document.root.fields[[f.name for f in draft.document.root.fields].index("input")]
        style = draft.style(None)
        draft.insert(name.span.end, style.eol + style.line(("input_shape", _dims(sizes))))


def _dims(sizes: Sizes) -> list[Item]:
    return [("dim", str(size)) for size in sizes]


def _shape(draft: Draft, layer: Layer, shapes: list[Field], index: int, sizes: Sizes) -> None:
    """One shape for all tops, or one for each; of the same number of dimensions, or written anew."""
    if len(shapes) == 1 and len(layer.tops) > 1:
        raise draft.refuse(layer, f"{len(layer.tops)} inputs share one shape", "give each its own shape first")
    field = shapes[index]
    if not isinstance(field.value, Message):
        return
    given = View(field.value, draft.document.name).all("dim")
    if len(given) == len(sizes):
        for dim, size in zip(given, sizes, strict=True):
            draft.number(dim, size)
    elif field.value_span.start < field.value_span.end:
        draft.replace(field, draft.style(layer).line(("", _dims(sizes))).lstrip())
    else:
        raise draft.refuse(layer, f"input_dim says {len(given)} dimensions, not {len(sizes)}", "write input_shape")


def _dummy(draft: Draft, layer: Layer, index: int, sizes: Sizes) -> None:
    view = layer.param("dummy_data_param")
    shapes = view.all("shape")
    if shapes:
        _shape(draft, layer, shapes, index, sizes)
        return
    for name, size in zip(_COLUMNS, sizes, strict=False):
        column = view.all(name)
        if len(column) == 1 and len(layer.tops) > 1:
            raise draft.refuse(layer, f"{len(layer.tops)} tops share one {name}", "give each its own first")
        draft.number(column[index], size)


# -- data layers ------------------------------------------------------------------------------------------------------


def _memory(draft: Draft, layer: Layer, index: int, sizes: Sizes) -> None:
    crop = layer.param("transform_param").one("crop_size")
    names = ("batch_size", "channels") if crop is not None else ("batch_size", "channels", "height", "width")
    draft.set(layer, "memory_data_param", **{name: str(size) for name, size in zip(names, sizes, strict=False)})
    if crop is not None:
        draft.number(crop, _square(draft, layer, sizes))


def _square(draft: Draft, layer: Layer, sizes: Sizes) -> int:
    if sizes[2] != sizes[3]:
        raise draft.refuse(layer, f"its crop_size is one number, {sizes[2]}×{sizes[3]} are two")
    return sizes[2]


def _images(draft: Draft, layer: Layer, sizes: Sizes, own: bool) -> None:
    if len(sizes) != 4:
        return
    declared = shapes_of(layer)[0] or ()
    if own and len(declared) == 4:
        _batch_and_channels(draft, layer, declared, sizes)
    if declared[2:] != sizes[2:]:
        _places(draft, layer, sizes)


def _batch_and_channels(draft: Draft, layer: Layer, declared: Sequence[object], sizes: Sizes) -> None:
    if isinstance(declared[1], int) and declared[1] != sizes[1]:
        raise draft.refuse(layer, f"its data have {declared[1]} channels, not {sizes[1]}")
    if declared[0] != sizes[0]:
        draft.set(layer, IMAGES[layer.type], batch_size=str(sizes[0]))


def _places(draft: Draft, layer: Layer, sizes: Sizes) -> None:
    """The crop where there is one, else the size images are scaled to, else a crop."""
    message = IMAGES[layer.type]
    own, transform = layer.param(message), layer.param("transform_param")
    crop = next((f for f in (transform.one("crop_size"), own.one("crop_size")) if f is not None and f.value), None)
    scaled = own.count("new_height", 0), own.count("new_width", 0)
    if crop is not None:
        size = _square(draft, layer, sizes)
        draft.number(crop, size)
        if 0 < min(scaled) < size:  # Caffe crops what it has scaled (image_data_layer.cpp)
            draft.set(layer, message, new_height=str(max(size, scaled[0])), new_width=str(max(size, scaled[1])))
    elif all(scaled):
        draft.set(layer, message, new_height=str(sizes[2]), new_width=str(sizes[3]))
    elif transform.view("resize_param").has("height", "width"):
        _scale(draft, transform.view("resize_param"), sizes)
    else:
        draft.set(layer, "transform_param", crop_size=str(_square(draft, layer, sizes)))


def _scale(draft: Draft, view: View, sizes: Sizes) -> None:
    for name, size in (("height", sizes[2]), ("width", sizes[3])):
        field = view.one(name)
        if field is not None:
            draft.number(field, size)


_RESIZE: dict[str, Callable[[Draft, Layer, int, Sizes], None]] = {
    "DummyData": _dummy,
    "Input": _input,
    "MemoryData": _memory,
}
