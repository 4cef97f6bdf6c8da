"""What a recognised text means, told from its numbers alone: the likely cause, and what to do next."""

from __future__ import annotations

import math
from collections.abc import Callable

from . import Said, fed
from .factors import CLASSIFIERS, FEATURES, LONGEST_SIDE, Maps, maps, primes
from .row import (
    BATCH,
    CHANNELS,
    CROP,
    DECLARED,
    FAN_IN,
    GROUPS,
    INPUT,
    JOIN,
    KERNEL,
    LABELS,
    PADDING,
    PARTS,
    PROFILE,
    RANK,
    RESHAPE,
    WEIGHTS,
)
from .told import COLOURS, Told, both, coloured, count, shape

#: Elements that rounding and doubling again put between two branches at most: a stride of 32.
ROUNDED = 32


def tell(said: Said) -> Told:
    """What a text means without its model."""
    return TELLERS[said.kind](said)


# -- fully connected layers -------------------------------------------------------------------------------------------


def _fan_in(said: Said) -> Told:
    if len(said.wanted) != 1 or len(said.given) != 1:
        return Told("", "", (), ("the text has no numbers: give the model, shapecalc why MODEL -i SIZE",))
    (wanted,), (given,) = said.wanted, said.given
    backbones = wanted in FEATURES and given in FEATURES
    colours = coloured(*sorted((wanted, given)))
    read = [] if backbones or colours else maps(wanted, given)
    causes = [
        *([colours] if colours else []),
        *_unflattened(said, wanted, given),
        *_of_maps(read),
        *_known(wanted, given),
    ]
    if not causes and given % wanted == 0:
        causes = [
            f"{count(given)} is {given // wanted} times {count(wanted)}: a batch of so many flattened into one row"
        ]
    if not causes:
        causes = ["no map has both numbers of places: the layer before is another one than the weights were made for"]
    return Told(
        _factorised(wanted, read, "wanted"), _factorised(given, read, "given"), tuple(causes), _fan_in_steps(read)
    )


def _factorised(number: int, read: list[Maps], side: str) -> str:
    """``9,216 = 256·6·6``; in primes where no map is likely."""
    text = read[0].text(side) if read else primes(number)
    return count(number) if text == str(number) else f"{count(number)} = {text}"


def _unflattened(said: Said, wanted: int, given: int) -> list[str]:
    """Rows of a map in the place of rows of a matrix: all of them together are one image's numbers, or several's."""
    rows = said.rows
    if rows is None or given > LONGEST_SIDE or rows < 2 or rows * given % wanted:
        return []
    images = rows * given // wanted
    number = "one image" if images == 1 else f"{count(images)} images"
    return [f"not flattened: {count(rows)}·{count(given)} = {count(rows * given)} is {number} of {count(wanted)}"]


def _of_maps(read: list[Maps]) -> list[str]:
    if not read:
        return []
    first = read[0]
    wanted, given = shape(first.wanted), shape(first.given)
    if first.wanted == (1, 1):
        words = f"a global pooling gives {wanted}; here {given} is left: it is missing, or its kernel is a number"
    elif first.given == (1, 1):
        words = f"the map was pooled to {given} where the weights are for {wanted}"
    else:
        size = "larger" if math.prod(first.given) > math.prod(first.wanted) else "smaller"
        words = f"the image is {size} than the one the weights were made for: a map of {given}, not {wanted}"
    others = [f"{m.text('wanted')} and {m.text('given')}" for m in read[1:]]
    return [words, *([f"the numbers alone could also be {', or '.join(others)}"] if others else [])]


def _known(wanted: int, given: int) -> list[str]:
    numbers = [number for number in (wanted, given) if number in CLASSIFIERS]
    texts = [f"{count(number)} is known: {CLASSIFIERS[number][1]}" for number in numbers]
    if wanted in FEATURES and given in FEATURES:
        texts.append(
            f"the backbones differ: {count(wanted)} numbers come from {FEATURES[wanted]}, {count(given)} from "
            f"{FEATURES[given]}"
        )
    return texts


def _fan_in_steps(read: list[Maps]) -> tuple[str, ...]:
    steps = ["feed the size the weights were made for; shapecalc sizes MODEL lists all that fit"]
    if read:
        steps.append(
            "or keep the weights and pool the map to "
            f"{shape(read[0].wanted)} before the layer: shapecalc retarget MODEL --input SIZE does, and proves it"
        )
    return (*steps, "with the model: shapecalc why MODEL --error TEXT names the layer and the sizes")


# -- joins, reshapes, windows -----------------------------------------------------------------------------------------


def _join(said: Said) -> Told:
    if not said.wanted or not said.given:
        return Told("", "", (), ("the text has no numbers: give the model, shapecalc why MODEL -i SIZE",))
    pairs = [(a, b) for a, b in zip(said.wanted, said.given, strict=False) if a != b]
    near = [(a, b) for a, b in pairs if abs(a - b) == 1]
    causes = []
    if said.axis == 0 and len(said.wanted) == 1:
        causes.append(f"axis 0 is the batch: one side has {said.wanted[0]}, the other {said.given[0]}, as written down")
    elif len(said.wanted) != len(said.given):
        causes.append("the two have different numbers of axes: one was flattened, or lost its batch axis")
    elif near and len(pairs) - len(near) <= 1:  # besides the axis that is joined
        a, b = near[0]
        causes.append(
            f"{a} and {b} differ by one: the odd {a if a % 2 else b} was halved, and the branches rounded differently, "
            "or it was doubled again"
        )
    elif len(pairs) == 1 and 1 < abs(pairs[0][0] - pairs[0][1]) <= min(ROUNDED, max(pairs[0]) // 20):
        a, b = pairs[0]
        causes.append(
            f"{a} and {b} differ by {abs(a - b)}: a side left a remainder where it was divided, and was doubled"
        )
        causes[-1] += " again afterwards"
    elif len(pairs) == 1 and min(pairs[0]) == 1:
        causes.append("one was pooled to a single place, or is meant to be repeated, and the other was not")
    elif len(pairs) == 1 and len(said.wanted) > 2 and pairs[0] in (_at(said, 1), _at(said, -1)):
        causes.append("the channels alone differ: another number of classes, or the join runs along another axis")
    elif pairs and all(max(a, b) // max(1, min(a, b)) <= 8 and max(a, b) % max(1, min(a, b)) == 0 for a, b in pairs):
        a, b = pairs[0]
        causes.append(f"one is {max(a, b) // max(1, min(a, b))} times the other: a branch has a stride the other lacks")
    elif len(pairs) == 1 and (tokens := _tokens(*pairs[0])):
        return Told(*both(said), (f"{tokens}: one is a table of positions made for another image size",), _TABLE_STEPS)
    elif pairs:
        causes.append("one is a weight made for another image size, or the branches round differently")
    steps = (
        "an image whose sides every stride of the net divides (a multiple of 32 for most): no branch then rounds",
        "with the model: shapecalc why MODEL -i SIZE shows both branches from their fork",
    )
    return Told(*both(said), tuple(causes), steps)


#: Tokens beside the patches (of the class, of a teacher) -> the least side that two squares with them are read as.
BESIDE = {1: 4, 2: 4, 0: 14}
_TABLE_STEPS = (
    "feed the size the table was made for; shapecalc sizes MODEL lists all that fit",
    "or carry the table to the other size: shapecalc retarget MODEL --input SIZE does for an ONNX file, and proves it",
    "with the model: shapecalc why MODEL -i SIZE says which table it is",
)


def _tokens(wanted: int, given: int) -> str:
    """Both as the patches of square images, with as many tokens beside them; "" where they are none."""
    for beside, least in BESIDE.items():
        sides = [math.isqrt(max(0, number - beside)) for number in (wanted, given)]
        if min(sides) >= least and [side * side + beside for side in sides] == [wanted, given]:
            more = f" + {beside}" if beside else ""
            return " and ".join(
                f"{number} = {side}·{side}{more}" for number, side in zip((wanted, given), sides, strict=True)
            )
    return ""


def _at(said: Said, axis: int) -> tuple[int, int]:
    return said.wanted[axis], said.given[axis]


def _reshape(said: Said) -> Told:
    elements = math.prod(said.given)
    fixed = math.prod(size for size in said.wanted if size > 0)
    free = any(size < 1 for size in said.wanted)
    target = " for [" + ", ".join(map(str, said.wanted)) + "]" if len(said.wanted) > 1 else ""
    wanted = f"{'a multiple of ' if free else ''}{count(fixed)}{target}" if said.wanted else ""
    given = count(elements) + (f" = {'·'.join(map(str, said.given))}" if len(said.given) > 1 else "")
    causes = []
    if said.given and elements == 0:
        causes.append("what arrives is empty: an axis of it is 0 (nothing detected, an empty sequence)")
    elif said.wanted and elements % fixed == 0 and not free:
        causes.append(
            f"{count(elements)} is {elements // fixed} times {count(fixed)}: a batch, or a larger image, that"
        )
        causes[-1] += " the target does not know: its numbers were written down at export"
    elif said.wanted:
        causes.append("numbers in the target were written down for another image size (or batch) than what was fed")
    steps = (
        "feed the size and batch of the export, or export again with that size",
        "with the model: shapecalc why MODEL -i SIZE says which constant it is and where it comes from",
    )
    return Told(wanted, given, tuple(causes), steps)


def _kernel(said: Said) -> Told:
    wanted = f"at least {shape(said.wanted)}" if said.wanted else "at least one place of the window"
    given = shape(said.given) or (shape(said.shape) and f"{shape(said.shape)} (channels first)")
    if said.output:
        given = f"{given}, so an output of {shape(said.output)}" if given else f"an output of {shape(said.output)}"
    causes = ["the image is too small: the layers before have halved it until the window has no place"]
    if 0 in said.given:
        causes = ["what arrives is empty: an axis of it is 0 (nothing detected, or an image too small)"]
    if said.framework == "Keras/TensorFlow":
        causes.append('or channels stand where the height should ("channels_first" against "channels_last")')
    steps = (
        "a larger image; shapecalc sizes MODEL says from which size on",
        "or a smaller window: shapecalc retarget MODEL --input SIZE finds one without weights to lose",
    )
    return Told(wanted, given, tuple(causes), steps)


def _outputs(said: Said) -> int:
    """The axis of a weight that counts outputs: of TensorFlow's kernels the last."""
    return 3 if said.framework == "Keras/TensorFlow" and len(said.wanted) == 4 else 0


def _boxes(trained: int, wanted: int) -> int:
    """How many boxes a place of a detector has, where the file is for a published number of classes; else 1."""
    counts = [trained // classes for classes in fed.DETECTED if trained % classes == 0]
    return next((boxes for boxes in counts if 1 < boxes < 10 and wanted % boxes == 0), 1)


# -- channels and weights ---------------------------------------------------------------------------------------------


def _channels(said: Said) -> Told:
    if len(said.wanted) != 1 or len(said.given) != 1:
        return Told(*both(said), (), ("with the model: shapecalc why MODEL --error TEXT",))
    (wanted,), (given,) = said.wanted, said.given
    causes, steps = [], []
    if given == 0:
        causes.append("none arrive: a slice before the layer is empty")
        steps.append("with the model: shapecalc trace MODEL -i SIZE shows where they end")
    elif wanted in COLOURS and given in COLOURS:
        causes.append(f"the image is {COLOURS[given]}, the weights are for {COLOURS[wanted]}")
        way = "repeat the gray channel" if given == 1 else "convert the image"
        steps.append(f"{way} to {COLOURS[wanted]} before feeding it")
    elif said.shape[-1:] == (wanted,):
        causes.append(f"the channels come last in {shape(said.shape)} and first in this net")
        steps.append("move them: x.transpose(0, 3, 1, 2), or permute")
    elif wanted in COLOURS and given < 16:
        causes.append(f"{given} is no image's number of channels: several images stacked, or more bands than colours")
        steps.append("feed them one by one, or change the model: retarget --channels, with weights for each")
    elif wanted in COLOURS:
        causes.append(f"{given} is no image's number of channels: a side of the image stands there (channels last?)")
        steps.append("move the channels to where the net has them")
    else:
        causes.append("the layer before gives another number of channels than the weights were made for")
        steps.append("compare the two definitions: shapecalc match DEFINITION WEIGHTS")
    texts = [f"{count(number)} channel{'s' * (number != 1)}" for number in (wanted, given)]
    return Told(texts[0], texts[1], tuple(causes), tuple(steps))


def _groups(said: Said) -> Told:
    wanted = f"a multiple of {count(said.wanted[0])}" if said.wanted else "channels that the groups divide"
    causes = ("another number of channels arrives than the layer was made for",)
    return Told(wanted, shape(said.given), causes, ("with the model: shapecalc why MODEL -i CHANNELSxHEIGHTxWIDTH",))


def _weights(said: Said) -> Told:
    wanted, given = said.wanted, said.given
    own = " (in the model)", " (in the file)"
    if not wanted or not given:
        return Told("", "", (), ("shapecalc match DEFINITION WEIGHTS says which weights, and why",))
    causes, steps = [], ["shapecalc match DEFINITION WEIGHTS lists every weight that loads and why others do not"]
    if said.framework == "Keras/TensorFlow" and len(wanted) == len(given) == 2:
        wanted, given = wanted[::-1], given[::-1]  # a dense kernel is (inputs, outputs) there
    differ = [axis for axis, (a, b) in enumerate(zip(wanted, given, strict=False)) if a != b]
    if math.prod(wanted) == math.prod(given):
        causes.append(f"the same {count(math.prod(wanted))} numbers in another order of axes or another shape")
        steps.insert(0, "reshape them; shapecalc convert --weights does where only the shape differs")
    elif len(wanted) == len(given) and differ == [_outputs(said)]:
        trained, own_classes = given[differ[0]], wanted[differ[0]]
        boxes = _boxes(trained, own_classes)
        each = f", {boxes} boxes a place: {trained // boxes} and {own_classes // boxes}" if boxes > 1 else ""
        causes.append(
            f"another number of classes or outputs: {count(trained)} in the file, {count(own_classes)} here{each}"
        )
        classes = own_classes // boxes
        steps.insert(0, f"load all but this layer, or give the trained net a new head: --classes {classes}")
    elif len(wanted) == len(given) == 2 and differ == [1]:
        causes.append(f"another number of inputs: {count(given[1])} in the file, {count(wanted[1])} here")
        colours = coloured(*sorted((given[1], wanted[1])))
        causes += [colours] if colours else _of_maps(maps(given[1], wanted[1])) + _known(given[1], wanted[1])
        steps.insert(0, "build the net at the image size the file was trained at")
    elif len(wanted) == len(given) == 4 and differ == [1] and {wanted[1], given[1]} <= set(COLOURS):
        causes.append(f"made for {COLOURS[given[1]]} images, the model is for {COLOURS[wanted[1]]} ones")
    else:
        causes.append("the file belongs to another net, or another width of it")
    return Told(shape(said.wanted) + own[0], shape(said.given) + own[1], tuple(causes), tuple(steps))


TELLERS: dict[str, Callable[[Said], Told]] = {
    FAN_IN: _fan_in,
    JOIN: _join,
    RESHAPE: _reshape,
    KERNEL: _kernel,
    CHANNELS: _channels,
    GROUPS: _groups,
    WEIGHTS: _weights,
    INPUT: fed.told_input,
    PROFILE: fed.told_profile,
    RANK: fed.told_rank,
    BATCH: fed.told_batch,
    LABELS: fed.told_labels,
    PARTS: fed.told_parts,
    PADDING: fed.told_padding,
    CROP: fed.told_crop,
    DECLARED: fed.told_declared,
}
