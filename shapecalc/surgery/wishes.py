"""What a person may wish for besides another number of classes and another size: one step each, in a fixed order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from ..dims import Dim, all_numbers, is_number, show, symbol
from ..errors import RefusedError, UsageError
from ..graph import Graph, Input
from .batch import SetBatch, fed
from .channels import MixChannels, Normalise, channel_axis, mix_of
from .convolutional import Convolutional
from .draft import Draft
from .edits import Edit
from .labels import NameClasses
from .new_head import STARTS

#: Whose way of interpolating tables of positions.
INTERPOLATIONS = ("timm", "huggingface", "torchvision")
#: A mean is given once for all channels, or for each.
ONE = 1


class Wishes(NamedTuple):
    """``head`` names the classifiers, ``start`` how their weights start, ``names`` the classes.

    ``channels`` of the image; ``bgr``: in the other order; ``mean`` and ``std`` are taken off and divided by inside the
    net; ``batch`` is a number, or a name where it is to be free; ``convolutional``: fully connected layers become
    convolutions; ``interpolate``: whose way tables of positions are interpolated, timm's where nothing is said.
    """

    head: tuple[str, ...] = ()
    start: str = ""
    names: tuple[str, ...] = ()
    channels: int | None = None
    bgr: bool = False
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    batch: int | str | None = None
    convolutional: bool = False
    interpolate: str = ""

    @property
    def change(self) -> bool:
        """Whether anything is to change besides the head."""
        numbers = self.channels is not None or self.batch is not None
        return bool(numbers or self.bgr or self.mean or self.std or self.names or self.convolutional)

    def check(self) -> None:
        """Raises UsageError for what makes no sense in any net."""
        if self.start and self.start not in STARTS:
            raise UsageError(f"no start {self.start!r} of new weights", "E002", hint=f"one of {', '.join(STARTS)}")
        if self.interpolate and self.interpolate not in INTERPOLATIONS:
            said = ", ".join(INTERPOLATIONS)
            raise UsageError(f"no way of interpolating {self.interpolate!r}", "E002", hint=f"one of {said}")
        for word, numbers in (("mean", self.mean), ("std", self.std)):
            if not all(map(math.isfinite, numbers)):
                said = ",".join(map(str, numbers))
                raise UsageError(f"--{word} {said} makes no sense", "E002", hint="finite numbers")


def need_one_answer(draft: Draft, wishes: Wishes, before: Graph) -> None:
    """Raises UsageError where the shape that is asked for and another option give a batch or channels of their own.

    The shape may be that of the net as it is, or that of the result. ``before``: the definition without it; where that
    leaves its input to its data, the shape tells what the net is.
    """
    given = next((given for given in draft.graph.inputs if given.role == "image" and given.native), None)
    asked = draft.feeds.get(given.name) if given is not None else None
    native = draft.native.get(given.name) if given is not None else None
    if given is None or not asked or not native or len(asked) != len(native) or len(native) != 4:
        return
    declared = next((each.native for each in before.inputs if each.name == given.name), None)
    if before.format != "onnx" and (declared is None or not all_numbers(declared)):
        return
    for option, place, wanted in (("batch", 0, wishes.batch), ("channels", channel_axis(given), wishes.channels)):
        said = asked[place]
        if wanted is not None and is_number(said) and said != native[place] and str(said) != str(wanted):
            raise UsageError(
                f"--{option} {wanted} and --input {show(asked, 'x')} contradict each other: {said} or {wanted}?",
                "E002",
                hint=f"leave one of them out: --input HxW says nothing about the {option}",
            )


def idle(edits: Sequence[Edit], wishes: Wishes) -> tuple[str, ...]:
    """What is said of wishes that only tell how to do something which is not done here."""
    headed = any(edit.to_dict()["edit"] in ("replace-head", "replace-scores") for edit in edits)
    tabled = any(getattr(edit, "recipe", None) or getattr(edit, "way", None) for edit in edits)
    said = [
        (
            f"--interpolate {wishes.interpolate}",
            wishes.interpolate and not tabled,
            "no table of positions is interpolated",
        ),
        (
            f"--head-init {wishes.start}",
            wishes.start and not headed,
            "no head is replaced; another number of classes, --classes N, would",
        ),
        (
            f"--head {' --head '.join(wishes.head)}",
            wishes.head and not headed,
            "no head is replaced; another number of classes, --classes N, would",
        ),
    ]
    return tuple(f"{option} changes nothing: {why}" for option, without, why in said if without)


def wish(draft: Draft, wishes: Wishes) -> None:
    """Carries out all wishes but those about the head. Raises UsageError and RefusedError."""
    if wishes.names:
        draft.do(NameClasses(tuple(map(str, wishes.names))))
    if wishes.convolutional:
        draft.do(Convolutional.make(draft.trace))
        draft.about["convolutional"] = "convolutional"
    if wishes.channels is not None:
        _channels(draft, wishes.channels)
    if wishes.bgr:
        _flipped(draft)
    if wishes.mean or wishes.std:
        _normalised(draft, wishes.mean, wishes.std)
    if wishes.batch is not None:
        _batch(draft, wishes.batch)


def image(draft: Draft) -> tuple[Input, int]:
    """The image that goes in, and how many channels it has. Raises RefusedError where that is not known."""
    for given in draft.graph.inputs:
        if given.role == "image" and given.native is not None and len(given.native) == 4:
            count = given.native[channel_axis(given)]
            if isinstance(count, int):
                return given, count
    raise RefusedError(
        f"{draft.model.name} takes no image of a known number of channels",
        "E303",
        because=fed(draft.graph),
        hint="where it is an image, give its shape: --input 1x3x224x224",
    )


def _channels(draft: Draft, count: int) -> None:
    given, before = image(draft)
    if count < 1:
        raise UsageError(f"{count} channels make no sense", "E002", hint="a whole number, 1 or more")
    if count != before:
        word = "gray" if count == 1 else f"{count}ch"
        draft.do(MixChannels(given.name, before, count, mix_of(before, count), word))
    draft.about["channels"] = f"{count}ch"


def _flipped(draft: Draft) -> None:
    given, count = image(draft)
    if count != 3:
        raise UsageError(f"{given.name} has {count} channels: only three have another order", "E002")
    draft.do(MixChannels(given.name, 3, 3, tuple(((2 - channel, 1.0),) for channel in range(3)), "bgr"))
    draft.about["bgr"] = "bgr"


def _normalised(draft: Draft, mean: Sequence[float], std: Sequence[float]) -> None:
    given, count = image(draft)
    for word, numbers in (("mean", mean), ("std", std)):
        if len(numbers) not in (0, ONE, count):
            hint = f"one number for all channels, or {count}"
            raise UsageError(f"--{word} has {len(numbers)} numbers, {given.name} {count} channels", "E002", hint=hint)
        if word == "std" and any(number <= 0 for number in numbers):
            said = ",".join(f"{number:g}" for number in numbers)
            raise UsageError(f"--std {said} cannot be divided by", "E002", hint="numbers above 0")
    full = [tuple(n) * count if len(n) == ONE else tuple(n) for n in (mean or (0.0,), std or (1.0,))]
    draft.do(Normalise.of(draft.graph, given.name, full[0], full[1]))
    draft.about["pixels"] = "pixels"


def _batch(draft: Draft, batch: int | str) -> None:
    size: Dim = batch if isinstance(batch, int) else symbol("N" if batch in ("?", "-1") else batch)
    if isinstance(size, int) and size < 1:
        raise UsageError(f"a batch of {size} makes no sense", "E002", hint="a whole number, 1 or more, or N")
    if not isinstance(size, int) and draft.graph.format != "onnx":
        raise RefusedError(
            f"a {draft.graph.format} definition is written for a batch of one size, not for a free one",
            "E303",
            because="its text has a number for the batch, and no word for any",
            hint="convert it, then retarget the ONNX file --batch N",
        )
    if draft.trace.problems:
        first = draft.trace.problems[0]
        raise RefusedError(
            f"{draft.model.name} does not fit, so what holds its batch cannot be told",
            "E303",
            location=first.location,
            because=first.message,
            hint=first.hint
            or f"shapecalc trace {draft.model.typed} {draft.model.asked(draft.trace)} shows what would fit",
        )
    for edit in SetBatch.make(draft.trace, size):
        draft.do(edit)
    draft.about["batch"] = f"batch{batch if batch not in ('?', '-1') else 'N'}"
