"""How many bottoms and tops a layer takes (``ExactNumBottomBlobs``, ``MinTopBlobs``, … of Caffe's layer headers)."""

from __future__ import annotations

from typing import NamedTuple

from .layer import Layer
from .layers import LOSSES, judges

MANY = 10**6


class Arity(NamedTuple):
    """Least and most bottoms, least and most tops."""

    bottoms: tuple[int, int]
    tops: tuple[int, int]


ONE = Arity((1, 1), (1, 1))
LOSS = Arity((2, MANY), (0, MANY))
ANY = Arity((0, MANY), (0, MANY))

#: Layer types that do not turn one blob into one.
ARITIES = {
    **dict.fromkeys(LOSSES, LOSS),
    "Accuracy": Arity((2, 2), (1, 2)),
    "Axpy": Arity((3, 3), (1, 1)),
    "BatchReindex": Arity((2, 2), (1, 1)),
    "BoxAnnotatorOHEM": Arity((2, MANY), (1, MANY)),
    "Bias": Arity((1, 2), (1, 1)),
    "Concat": Arity((1, MANY), (1, 1)),
    "ContinuationIndicator": Arity((0, 0), (1, 1)),
    "Convolution": Arity((1, MANY), (1, MANY)),
    "Crop": Arity((2, 2), (1, 1)),
    "Deconvolution": Arity((1, MANY), (1, MANY)),
    "DetectNetTransformation": Arity((1, 2), (1, 2)),
    "DetectionEvaluate": Arity((2, 2), (1, 1)),
    "DetectionOutput": Arity((3, MANY), (1, 1)),
    "Eltwise": Arity((2, MANY), (1, 1)),
    "Filter": Arity((2, MANY), (1, MANY)),
    "HDF5Output": Arity((1, MANY), (0, 0)),
    "InnerDistance": Arity((1, 3), (1, 2)),
    "Interp": Arity((1, 2), (1, 1)),
    "LSTM": Arity((2, MANY), (1, MANY)),
    "MarginInnerProduct": Arity((1, 2), (1, 2)),
    "PSROIPooling": Arity((2, 2), (1, 1)),
    "Parameter": Arity((0, 0), (1, 1)),
    "Pooling": Arity((1, 1), (1, 2)),
    "PriorBox": Arity((2, 2), (1, 1)),
    "Proposal": Arity((2, MANY), (1, 2)),
    "Python": Arity((1, MANY), (0, MANY)),
    "RNN": Arity((2, MANY), (1, MANY)),
    "ROIAlign": Arity((2, 2), (1, 1)),
    "ROIPooling": Arity((2, 2), (1, 1)),
    "Scale": Arity((1, 2), (1, 1)),
    "Silence": Arity((1, MANY), (0, 0)),
    "Slice": Arity((1, 1), (1, MANY)),
    "Split": Arity((1, 1), (1, MANY)),
    "Upsample": Arity((1, 2), (1, 1)),
    "Yolov3DetectionOutput": Arity((1, MANY), (1, 1)),
}


def arity_of(kind: str) -> Arity:
    """How many a type takes; a fork's loss or accuracy any number."""
    return ARITIES.get(kind) or (ANY if judges(kind) else ONE)


def check(layer: Layer) -> None:
    """Raises ModelError where a layer has too few or too many bottoms or tops."""
    arity = arity_of(layer.type)
    for word, (least, most), given in (("bottom", arity.bottoms, layer.bottoms), ("top", arity.tops, layer.tops)):
        if not least <= len(given) <= most:
            takes = str(least) if least == most else f"at least {least}" if most == MANY else f"{least} to {most}"
            raise layer.refuse(f"{layer.type} takes {takes} {word}{'' if takes == '1' else 's'}, found {len(given)}")
