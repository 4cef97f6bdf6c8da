"""Input and data layers: the shape of each top, as far as the file tells it.

A data layer reads a data base or a list of files. The prototxt says the batch and often the crop; what only the data
know is `Unknown` with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from ...dims import Dim, Shape, Unknown
from .layer import Layer
from .layers import LAYERS
from .view import View

#: One shape for each top; None where not even the rank is known.
Shapes: TypeAlias = Sequence[Shape | None]


def _blob(layer: Layer, view: View) -> Shape:
    """``shape { dim … }``; every size at least 1 (a blob of no elements is refused when data come)."""
    shape = tuple(view.integers("dim"))
    if any(size < 1 for size in shape):
        raise layer.refuse(f"{min(shape)} is not a size: sizes start at 1", hint="write the size it runs with")
    return shape


def _spread(layer: Layer, shapes: Sequence[Shape], what: str) -> Shapes:
    """One shape for all tops, or one for each."""
    count = len(layer.tops)
    if len(shapes) not in (1, count):
        raise layer.refuse(f"{count} tops need one {what} or {count}, found {len(shapes)}")
    return shapes if len(shapes) == count else [shapes[0]] * count


def _input(layer: Layer) -> Shapes:
    shapes = [_blob(layer, view) for view in layer.param("input_param").views("shape")]
    return _spread(layer, shapes, "shape") if shapes else [None] * len(layer.tops)


def _dummy(layer: Layer) -> Shapes:
    """``shape``, or the older num, channels, height and width (dummy_data_layer.cpp)."""
    view = layer.param("dummy_data_param")
    if view.has("shape"):
        return _spread(layer, [_blob(layer, shape) for shape in view.views("shape")], "shape")
    columns = [view.integers(name, low=1) for name in ("num", "channels", "height", "width")]
    if not columns[0] or len({len(column) for column in columns}) != 1:
        raise layer.refuse("dummy_data_param needs a shape, or num, channels, height and width for each top")
    return _spread(layer, list(zip(*columns, strict=True)), "num")


def _memory(layer: Layer) -> Shapes:
    view = layer.param("memory_data_param")
    sizes = tuple(view.integer(name, 0, low=1) for name in ("batch_size", "channels", "height", "width"))
    if min(sizes) < 1:
        raise layer.refuse("memory_data_param needs batch_size, channels, height and width")
    return [_cropped(layer, sizes), *[sizes[:1]] * (len(layer.tops) - 1)]


def _cropped(layer: Layer, shape: Shape) -> Shape:
    crop = layer.param("transform_param").count("crop_size", 0)
    return (*shape[:2], crop, crop) if crop else shape


def _hdf5(layer: Layer) -> Shapes:
    return [None] * len(layer.tops)  # the file's shapes, from the second axis on (hdf5_data_layer.cpp)


#: What the tops behind the images hold: a function of the layer and the images' shape.
Labels: TypeAlias = Callable[[Layer, Shape], Shapes]


def _numbers(layer: Layer, images: Shape) -> Shapes:
    """One label an image."""
    return [images[:1]] * (len(layer.tops) - 1)


def _maps(layer: Layer, images: Shape) -> Shapes:
    """A label for every pixel, then DeepLab's sizes of the images (image_seg_data_layer.cpp)."""
    return [(images[0], 1, *images[2:]), (images[0], 1, 1, 2)]


def _boxes(layer: Layer, images: Shape) -> Shapes:
    """A row of eight numbers for every box of the batch (SSD annotated_data_layer.cpp)."""
    return [(1, 1, Unknown(f"how many boxes {layer.tops[-1]} has is known to its data alone"), 8)]


def _open(layer: Layer, images: Shape) -> Shapes:
    return [None] * (len(layer.tops) - 1)


def _video(layer: Layer) -> Shapes:
    """Clips: (batch, channels, frames, height, width) in C3D, frames as channels in TSN (video_data_layer.cpp)."""
    message = "video_data_param" if layer.view.has("video_data_param") else "image_data_param"
    return _clips(layer, message, _images(message)(layer))


def _clips(layer: Layer, message: str, shapes: Shapes) -> Shapes:
    view = layer.param(message)
    images, *labels = shapes
    frames = view.count("new_length", 1)
    if images is None:
        return shapes
    if view.has("num_segments"):
        flow = view.choice("modality", {"RGB": 0, "FLOW": 1}, "RGB") == "FLOW"
        return [(images[0], view.count("num_segments", 1) * frames * (2 if flow else 3), *images[2:]), *labels]
    return [(images[0], 3, frames, *images[2:]), *labels]


def _foreign(layer: Layer) -> Shapes:
    """A data layer of a fork: whichever of its messages tells a batch."""
    names = [f.name for f in layer.view if f.name.endswith("_param") and f.name != "transform_param"]
    told = [name for name in names if layer.param(name).has("batch_size", "new_height", "crop_size")]
    if not told:
        return [None] * len(layer.tops)
    shapes = _images(told[0], _open)(layer)
    return _clips(layer, told[0], shapes) if layer.param(told[0]).has("new_length") else shapes


def _resized(transform: View) -> tuple[int, int]:
    """The size that images are brought to; (0, 0) for none, or several that a fork draws from (MobileNet-YOLO)."""
    sizes = {(each.count("height", 0), each.count("width", 0)) for each in transform.views("resize_param")}
    return sizes.pop() if len(sizes) == 1 else (0, 0)


def _images(message: str, labels: Labels = _numbers) -> Callable[[Layer], Shapes]:
    """Images from a data base or a list: (batch, channels, height, width), then their labels."""

    def shapes(layer: Layer) -> Shapes:
        own, transform = layer.param(message), layer.param("transform_param")
        batch: Dim = own.count("batch_size", 1) or 1
        crop = transform.count("crop_size", 0) or own.count("crop_size", 0)
        high, wide = _resized(transform)
        height = crop or own.count("new_height", 0) or high or _left_open(layer, "height")
        width = crop or own.count("new_width", 0) or wide or _left_open(layer, "width")
        images = (batch, _channels(layer, own, transform), height, width)
        return [images, *labels(layer, images)]

    return shapes


def _left_open(layer: Layer, what: str) -> Unknown:
    return Unknown(f"the {what} of {layer.tops[0]} is known to its data alone")


def _channels(layer: Layer, own: View, transform: View) -> Dim:
    """3 or 1 where the file says so: by colour, or by one mean value for each channel (data_transformer.cpp)."""
    if layer.type == "ImageData":
        return 3 if own.flag("is_color", True) else 1
    if transform.flag("force_color", False) or transform.flag("force_gray", False):
        return 3 if transform.flag("force_color", False) else 1
    means = len(transform.all("mean_value"))
    return means if means > 1 else _left_open(layer, "number of channels")


#: Data layer type -> the shapes of its tops.
INPUTS: dict[str, Callable[[Layer], Shapes]] = {
    "AnnotatedData": _images("data_param", _boxes),
    "Data": _images("data_param"),
    "DenseImageData": _images("dense_image_data_param", _maps),
    "DummyData": _dummy,
    "HDF5Data": _hdf5,
    "ImageData": _images("image_data_param"),
    "ImageSegData": _images("image_data_param", _maps),
    "Input": _input,
    "MemoryData": _memory,
    "VideoData": _video,
    "WindowData": _images("window_data_param"),
}


def is_input(layer: Layer) -> bool:
    """Whether a layer is fed from outside: a data layer, or one of Python or a fork that reads nothing."""
    foreign = layer.type not in LAYERS or layer.type == "Python"
    return layer.type in INPUTS or (foreign and not layer.bottoms and bool(layer.tops))


def shapes_of(layer: Layer) -> Shapes:
    """The shape of each top, as far as the file tells."""
    if layer.type == "Python" or not layer.tops:
        return [None] * len(layer.tops)
    told = INPUTS.get(layer.type, _foreign)(layer)[: len(layer.tops)]
    return [*told, *[None] * (len(layer.tops) - len(told))]  # tops that only a fork has
