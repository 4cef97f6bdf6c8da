"""What texts mean that are about what is fed: inputs, batches, labels, borders, and the sizes an engine is for."""

from __future__ import annotations

import math

from . import Said
from .told import COLOURS, Told, both, count, shape

#: Axes of what is fed to a net of images, where a text counts them.
AXES = {0: "batch", 1: "channels"}
#: Numbers of classes of published detectors, background included.
DETECTED = {21: "VOC's 20 and the background", 81: "COCO's 80 and the background", 91: "COCO's 90 and the background"}


def told_input(said: Said) -> Told:
    """The model declares another input."""
    wanted, given = both(said)
    if not said.wanted or not said.given:
        return Told("", "", (), ("shapecalc trace MODEL shows what the model declares",))
    if said.wanted == said.given:
        cause = "the same sizes: the batch axis is missing, or there is one too many"
        return Told(wanted, given, (cause,), ("add it: x[None] makes one image a batch of one",))
    pairs = list(zip(said.wanted[::-1], said.given[::-1], strict=False))
    apart = [place for place, (a, b) in enumerate(pairs) if a != b]  # counted from the last axis
    several = said.axis is None and len(said.given) > 1
    if several and _first_last(said):
        return Told(wanted, given, (_first_last(said),), ("move them: x.transpose(0, 2, 3, 1), or (0, 3, 1, 2) back",))
    if several and apart == [0] and set(pairs[0]) <= set(COLOURS):
        return _colours(wanted, given, *pairs[0])
    axis = said.axis if said.axis is not None else _axis(said)
    what = AXES.get(axis, "size")
    causes = [f"the file declares its {what} as a number: {wanted} is written in it, {given} was fed"]
    if several and 0 in apart and set(pairs[0]) <= set(COLOURS):
        causes.append(f"and its colours: the image is {COLOURS[pairs[0][1]]}, the model is for {COLOURS[pairs[0][0]]}")
    steps = (
        f"feed {wanted}",
        "or declare another: shapecalc retarget MODEL --input SIZE, if the net behind can take it",
    )
    return Told(wanted, given, tuple(causes), steps)


def _first_last(said: Said) -> str:
    """That channels stand first in one shape and last in the other, "" where they do not."""
    own, fed = said.wanted[-3:], said.given[-3:]
    colours = set(COLOURS)
    if len(fed) < 3 or fed[-1] in colours or fed[0] not in colours or own[-1] not in colours:
        own, fed = own[::-1], fed[::-1]  # the other way round
        if len(own) < 3 or len(fed) < 3 or fed[-1] in colours or fed[0] not in colours or own[-1] not in colours:
            return ""
        return f"the channels come last in {shape(said.given)} and first in this model"
    return f"the channels come first in {shape(said.given)} and last in this model"


def _axis(said: Said) -> int:
    """The only axis of four that differs; 2, a size, where it is not one."""
    differ = [axis for axis, (a, b) in enumerate(zip(said.wanted, said.given, strict=False)) if a != b]
    return differ[0] if len(said.wanted) == 4 and len(differ) == 1 else 2


def _colours(wanted: str, given: str, own: int, fed: int) -> Told:
    cause = f"the image is {COLOURS[fed]}, the model is for {COLOURS[own]} ones"
    way = "repeat the gray channel" if fed == 1 else "convert the image"
    steps = (f"{way} to {COLOURS[own]} before feeding it", f"or change the model: retarget --channels {fed}")
    return Told(wanted, given, (cause,), steps)


def told_rank(said: Said) -> Told:
    """The input has another number of axes."""
    wanted = f"{said.wanted[0]} axes" if said.wanted else ""
    rank = said.rank if said.rank is not None else len(said.given)
    given = f"{rank} ax{'i' if rank == 1 else 'e'}s" + (f": {shape(said.given)}" if said.given else "")
    if not said.wanted:
        return Told(wanted, given, (), ("shapecalc trace MODEL shows what the model declares",))
    if rank == said.wanted[0] - 1:
        causes = ["the batch axis is missing (one image was fed)"]
        gray = rank == 3 and said.given and not {said.given[0], said.given[-1]} & set(COLOURS)
        causes += ["or the channel axis: gray images without one"] if gray else []
        steps = ["add it: x[None] before the image"]
        steps += ["or x[:, None] (channels last: x[..., None]) for gray images"] if gray else []
        return Told(wanted, given, tuple(causes), tuple(steps))
    if rank > said.wanted[0]:
        causes = ["several images or frames of each item: one axis too many"]
        steps = ["flatten the first axes into the batch: x.reshape(-1, C, H, W)", "or drop an axis of 1: x[0]"]
    else:
        causes = ["what arrives is flat: an empty file, a list of names, or features in the place of an image"]
        steps = ["look at what is fed: its shape is that of no image"]
    return Told(wanted, given, tuple(causes), tuple(steps))


def told_batch(said: Said) -> Told:
    """Images of a batch that differ."""
    wanted, given = both(said)
    pairs = list(zip(said.wanted, said.given, strict=False))
    colour = len(said.wanted) == len(said.given) > 2 and [a != b for a, b in pairs] == [
        True,
        *[False] * (len(pairs) - 1),
    ]
    if colour and set(pairs[0]) <= set(COLOURS):
        a, b = pairs[0]
        return Told(wanted, given, (f"{COLOURS[a]} and {COLOURS[b]} images in one batch",), ("convert all of them",))
    causes = ("the images are batched as they are: nothing resizes or crops them to one size",)
    steps = (
        "resize and crop every image to one size; shapecalc sizes MODEL says which the net takes",
        "a resize of the shorter side alone leaves the longer one as it was: crop behind it",
    )
    return Told(wanted, given, causes, steps)


def told_labels(said: Said) -> Told:
    """Labels of another shape than what the net gives; ``wanted`` is what the net gives."""
    wanted, given = both(said)
    steps = ("with the model: shapecalc trace MODEL -i SIZE shows the shape that comes out",)
    if len(said.wanted) != 1 or len(said.given) != 1:
        return _maps_of_labels(wanted, given, said, steps)
    (own,), (labels,) = said.wanted, said.given
    return Told(count(own), count(labels), (_labels(own, labels),), steps)


def _labels(own: int, labels: int) -> str:
    """Why so many predictions do not go with so many labels."""
    if labels == 1 < own:
        return "the labels are class numbers, and the loss wants a column for each class (one-hot, or a sparse loss)"
    if labels in (3 * own, 4 * own):
        return f"{labels // own} numbers a place: the masks are coloured pictures; save them as class numbers"
    boxes = _boxes(own, labels)
    if boxes:
        known = next(DETECTED[n] for n in (own // boxes, labels // boxes) if n in DETECTED)
        return f"{count(boxes)} boxes of {own // boxes} classes and of {labels // boxes} ({known})"
    if own > labels > 0 and own % labels == 0 and math.isqrt(own // labels) ** 2 == own // labels > 1:
        side = math.isqrt(own // labels)
        return f"{side}×{side} places for every label: the image is larger than the net was made for, or nothing pools"
    if min(own, labels) and max(own, labels) % min(own, labels) == 0:
        return f"one is {max(own, labels) // min(own, labels)} times the other: an axis was merged with the batch"
    if abs(own - labels) * 10 < max(own, labels):
        return "nearly as many: a map a little smaller or larger than its mask, or two data layers of unlike batches"
    return "what comes out and the labels are of another image size, or another number of classes"


def _boxes(own: int, labels: int) -> int:
    """How many boxes a detector has, where one count is for a published number of classes and both divide; else 0."""
    counts = [number // classes for classes in DETECTED for number in (own, labels) if number % classes == 0]
    return next((boxes for boxes in counts if boxes > 100 and own % boxes == labels % boxes == 0 and own != labels), 0)


def _maps_of_labels(wanted: str, given: str, said: Said, steps: tuple[str, ...]) -> Told:
    if len(said.wanted) != len(said.given):
        causes = ("another number of axes: one side has a value for each place or step, the other one for all",)
        steps = ("pool or flatten before the last layer, or give a label for each place", *steps)
    elif len(said.wanted) == len(said.given) == 1:
        causes = (f"the net gives {wanted} classes, the labels have {given}",)
    elif len(said.wanted) > 2 and said.wanted[:2] != said.given[:2]:
        causes = ("the map that comes out has another size than the mask: its strides do not divide the image",)
        steps = ("an image whose sides every stride divides: shapecalc sizes MODEL --exact", *steps)
    else:
        causes = ("another number of classes or channels",)
    return Told(wanted, given, causes, steps)


def told_crop(said: Said) -> Told:
    """A crop larger than what it is cut from, or a mean image of another size."""
    wanted, given = both(said)
    if "data_mean_" in said.row.pattern:
        cause = "the mean image has the size before the crop, and the images are cropped already or cropped to less"
        steps = ("use mean_value, one number a channel, in the place of mean_file", "or crop the mean image as well")
    elif said.axis == 1:
        cause = "the channels are cropped too: the crop begins at axis 1"
        steps = ("crop_param { axis: 2 } cuts height and width alone", "the reference map only lends its size")
    elif said.given[:1] and said.given[0] in COLOURS:
        cause = f"{given} is a number of channels: they come last in the data, and first in this net"
        steps = ("store images as channels × height × width: x.transpose(2, 0, 1)", "then check that height is second")
    else:
        cause = "the image is smaller than the crop"
        steps = (
            "resize images to at least the crop before it",
            "or a smaller crop: shapecalc sizes MODEL says which fit",
        )
    return Told(f"at least {wanted}" if wanted else "", given, (cause,), steps)


def told_declared(said: Said) -> Told:
    """A shape that the file declares and its nodes do not give."""
    wanted, given = both(said)
    apart = abs(said.wanted[0] - said.given[0]) if said.wanted and said.given else 0
    causes = ["the file was changed (another input size) and shapes of the old size are left in it"]
    if apart == 1:
        causes.insert(0, "one rounds up and the other down: ceil_mode, auto_pad, or the padding of the export")
    steps = (
        "remove the value_info, or write the file again: shapecalc retarget MODEL --input SIZE leaves none behind",
        "with the model: shapecalc trace MODEL shows what its nodes give",
    )
    return Told(f"{wanted} (declared)", f"{given} (from the nodes)", tuple(causes), steps)


def told_parts(said: Said) -> Told:
    """Another number of weights than the file holds for a layer."""
    if not said.wanted or not said.given:
        return Told("", "", (), ("shapecalc match DEFINITION WEIGHTS",))
    wanted, given = (f"{numbers[0]} weights" for numbers in (said.wanted, said.given))
    if said.given[0] == 0:
        cause = "the file has a layer of that name without any: it was another kind of layer when it was saved"
    elif said.wanted[0] > said.given[0]:
        cause = "it was trained without a bias, and the definition asks for one"
    else:
        cause = "it was trained with a bias, and the definition has none"
    steps = ("shapecalc match DEFINITION WEIGHTS lists every weight that loads and why others do not",)
    return Told(wanted + " (in the model)", given + " (in the file)", (cause,), steps)


def told_padding(said: Said) -> Told:
    """A mirrored border wider than what it mirrors."""
    size = said.shape[said.axis] if said.axis is not None and said.axis < len(said.shape) else None
    wanted = f"more than {max(said.wanted)}" if said.wanted else ""
    causes = ("the image is too small: nothing is left to mirror where the border is added",)
    steps = ("a larger image; shapecalc sizes MODEL says from which size on", "or a border of zeros in its place")
    return Told(wanted, "" if size is None else f"{size} of {shape(said.shape)}", causes, steps)


def told_profile(said: Said) -> Told:
    """A size outside of those an engine was built for."""
    if said.low is None or said.high is None:
        return Told(
            "", "", (), ("build the engine with --minShapes, --optShapes and --maxShapes around what you feed",)
        )
    wanted = str(said.low) if said.low == said.high else f"{said.low} to {said.high}"
    axis = {0: "batch", 1: "channels", 2: "height", 3: "width"}.get(-1 if said.axis is None else said.axis, "axis")
    causes = (f"the engine was built for {axis} {wanted} only",)
    steps = (
        "build it again: trtexec --minShapes --optShapes --maxShapes around what you feed",
        "shapecalc sizes MODEL says which sizes the net itself can take",
    )
    return Told(f"{axis} {wanted}", f"{axis} {shape(said.given)}", causes, steps)
