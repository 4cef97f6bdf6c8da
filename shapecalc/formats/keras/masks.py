"""Steps that are left out of a sequence: where Keras passes a mask along, a layer computes something else.

``Embedding(mask_zero=True)`` and ``Masking`` make masks; layers that work step by step hand them on; recurrent layers,
attention and averages over steps obey them (layers/layer.py, _set_mask_metadata). ONNX has no such masks, so what obeys
one has a shape here and no ONNX form.
"""

from __future__ import annotations

from collections.abc import Sequence

from .history import Ref, Site, leaves
from .layer import Layer, Made
from .text import Value

MAKERS = frozenset({"Masking"})
#: Operators whose numbers a mask changes.
OBEYING = frozenset({"Recurrent", "ConvLSTM", "MultiHeadAttention", "DotAttention", "GlobalAveragePool"})
#: Layers behind which there are no steps any more, or which drop the mask.
ENDING = frozenset({"Flatten", "Reshape", "Permute", "Conv", "SeparableConv", "GlobalMaxPool", "GlobalAveragePool"})
#: What a call can be told besides its values that changes its numbers.
TOLD = ("mask", "attention_mask", "query_mask", "value_mask", "key_mask")


class Masks:
    """The values that come with a mask."""

    def __init__(self) -> None:
        self.masked: set[str] = set()

    def reason(self, made: Made, site: Site, read: Sequence[str]) -> str | None:
        """Why a call has no ONNX form although its layer has; None where it has."""
        if made.op not in OBEYING:
            return None
        if any(name in site.kwargs and next(leaves(site.kwargs[name]), None) is not None for name in TOLD):
            return "it is told a mask"
        if made.op in ("Recurrent", "ConvLSTM") and len(read) > 1 and "states" not in made.attrs:
            return "it is told more than the states it starts from"
        if self.masked.intersection(read):
            return "steps are masked before it (mask_zero, Masking)"
        return None

    def follow(self, layer: Layer, made: Made, read: Sequence[str], given: Sequence[str]) -> None:
        """Notes whether what a call gives comes with a mask."""
        makes = layer.kind in MAKERS or (layer.kind == "Embedding" and layer.config.flag("mask_zero", False))
        last = made.op in ("Recurrent", "ConvLSTM") and not made.attrs.get("return_sequences")
        if makes or (self.masked.intersection(read) and made.op not in ENDING and not last):
            self.masked.update(given)


def is_true(value: object) -> bool:
    """Whether a setting of a call says true."""
    return isinstance(value, Value) and value.data is True and not isinstance(value, Ref)
