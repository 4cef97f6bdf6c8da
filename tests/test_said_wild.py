"""Error texts as people posted them: which are recognised, as what, with which numbers, and what is said of them.

`data/errors_wild.json` holds what a search of public issue threads brought up. ``seen`` second: found when the rows for
the first were written; of those 33 the table knew 17 before and 21 after, the others were then added.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shapecalc.said import ROWS, recognise
from shapecalc.said.meaning import tell

WILD = json.loads((Path(__file__).parent / "data" / "errors_wild.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("row", WILD, ids=lambda row: row["source"].replace("/", "-"))
def test_a_posted_text(row: dict[str, Any]) -> None:
    said = recognise(row["text"])
    if row["kind"] is None:
        assert said is None
        return
    assert said is not None
    assert (said.kind, list(said.wanted), list(said.given)) == (row["kind"], row["wanted"], row["given"])
    told = tell(said)
    assert told.next_steps
    assert told.causes or not (said.wanted and said.given)


def test_the_texts_are_of_every_framework() -> None:
    known = [row for row in WILD if row["kind"] is not None]
    assert (len(WILD), len(known)) == (110, 108)
    assert {said.framework for row in known if (said := recognise(row["text"]))} == {row.framework for row in ROWS}


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("BVLC/caffe/issues/3293", "2,352 = 3·28·28 is RGB, 784 = 28·28 gray: images of another colour"),
        (
            "weiliu89/caffe/issues/773",
            "another number of classes or outputs: 84 in the file, 176 here, 4 boxes a place: 21 and 44",
        ),
        ("weiliu89/caffe/issues/567", "8,732 boxes of 6 classes and of 21 (VOC's 20 and the background)"),
        (
            "foreverYoungGitHub/MTCNN/issues/22",
            "7×7 places for every label: the image is larger than the net was made for, or nothing pools",
        ),
        (
            "NVIDIA/DIGITS/issues/1023",
            "3 numbers a place: the masks are coloured pictures; save them as class numbers",
        ),
        (
            "titu1994/Inception-v4/issues/3",
            "the channels alone differ: another number of classes, or the join runs along another axis",
        ),
        ("ndrplz/surround_vehicles_awareness/issues/17", "the channels come first in 3×224×224 and last in this model"),
        ("krasserm/super-resolution/issues/74", "the image is RGBA, the model is for RGB ones"),
        ("leftthomas/SRGAN/issues/118", "gray and RGB images in one batch"),
        ("karolzak/keras-unet/issues/46", "the same sizes: the batch axis is missing, or there is one too many"),
        (
            "BookerDeWitt/MSBDN-DFF/issues/15",
            "624 and 620 differ by 4: a side left a remainder where it was divided, and was doubled again afterwards",
        ),
        (
            "tensorflow/models/issues/9703",
            "another number of classes or outputs: 546 in the file, 18 here, 6 boxes a place: 91 and 3",
        ),
        (
            "thu-ml/TurboDiffusion/issues/62",
            "the backbones differ: 4,096 numbers come from fc6 or fc7 of AlexNet and VGG, 768 from ViT-B, ConvNeXt-T "
            "and BERT",
        ),
        (
            "microsoft/onnxruntime/issues/4071",
            "what arrives is empty: an axis of it is 0 (nothing detected, or an image too small)",
        ),
    ],
)
def test_what_is_said_of_a_posted_text(source: str, cause: str) -> None:
    (text,) = [row["text"] for row in WILD if row["source"] == source]
    said = recognise(text)
    assert said is not None
    assert cause in tell(said).causes
