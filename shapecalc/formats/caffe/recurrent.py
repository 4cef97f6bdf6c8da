"""Recurrent layers: BVLC's RNN and LSTM, and what CRNN's fork puts around them.

A recurrent layer reads its sequence as time × streams × …, and a row of continuation marks (recurrent_layer.cpp). Its
parameters are those of the net it unrolls into, in the order of their first use (rnn_layer.cpp, lstm_layer.cpp).
"""

from __future__ import annotations

from .layer import Layer
from .made import Made, Row, Weight, outputs

_FROM_STATIC = Weight("weight_static")
#: Type -> states it carries, rows of its matrices for each output, parameters without a static input.
_KINDS = {
    "RNN": (1, 1, ("weight_input", "bias_input", "weight_hidden", "weight_output", "bias_output")),
    "LSTM": (2, 4, ("weight_input", "bias_input", "weight_hidden")),
}


def recurrent(layer: Layer) -> Made:
    """RNN and LSTM: a static input is a bottom more than the states that ``expose_hidden`` brings."""
    view = layer.param("recurrent_param")
    states, gates, names = _KINDS[layer.type]
    exposed = states if view.flag("expose_hidden", False) else 0
    static = len(layer.bottoms) > 2 + exposed
    if not 2 + exposed <= len(layer.bottoms) <= 3 + exposed or len(layer.tops) != 1 + exposed:
        raise layer.refuse(
            f"{layer.type} takes a sequence, its continuation marks, maybe a static input, and {exposed} states; found "
            f"{len(layer.bottoms)} bottoms and {len(layer.tops)} tops"
        )
    weights = [Weight(name) for name in names]
    attrs = {"channels": outputs(layer, view), "gates": gates, "static": int(static), "bottoms": len(layer.bottoms)}
    return Made("Unrolled", attrs, (*weights[:2], *([_FROM_STATIC] if static else []), *weights[2:]), "caffe")


def continuation(layer: Layer) -> Made:
    """CRNN's ContinuationIndicator: time × batch, made of nothing."""
    view = layer.param("continuation_indicator_param")
    return Made("Marks", {"shape": (view.count("time_step", 0), view.count("batch_size", 0))}, domain="caffe")


RECURRENT_LAYERS: dict[str, Row] = {"ContinuationIndicator": continuation, "LSTM": recurrent, "RNN": recurrent}
