"""Recurrent layers written as ONNX compute what Caffe's loops do, step by step (lstm_unit_layer.cpp, rnn_layer.cpp)."""

from __future__ import annotations

from typing import Any

import numpy
import pytest

import shapecalc
from shapecalc.verify.run import execute, runnable
from shapecalc.weights import Array

STEPS, STREAMS, UNITS = 4, 2, 3
SHAPES = {"x": (STEPS, STREAMS, 2, 2), "cont": (STEPS, STREAMS), "s": (STREAMS, 5)}
#: A stream begins anew in its middle; a mark that is no whole number lets a share through.
MARKS = numpy.array([[0, 0], [1, 1], [0, 0.5], [1, 1]], "float32")


def sigmoid(x: Array) -> Array:
    return numpy.asarray(1.0 / (1.0 + numpy.exp(-x)))


def net(kind: str, static: bool, exposed: bool) -> str:
    states = {"h0": (1, STREAMS, UNITS), "c0": (1, STREAMS, UNITS)} if exposed else {}
    if kind == "RNN":
        states.pop("c0", None)
    fed = {name: shape for name, shape in {**SHAPES, **states}.items() if static or name != "s"}
    text = ""
    for name, shape in fed.items():
        dims = " ".join(f"dim: {size}" for size in shape)
        text += f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ {dims} }} }} }}\n'
    bottoms = " ".join(f'bottom: "{name}"' for name in fed)
    tops = " ".join(f'top: "{name}"' for name in ("y", *(f"{name[0]}T" for name in states)))
    param = f"recurrent_param {{ num_output: {UNITS} expose_hidden: {str(exposed).lower()} }}"
    return f'{text}layer {{ name: "l" type: "{kind}" {bottoms} {tops} {param} }}\n'


def by_hand(kind: str, fed: dict[str, Array], w: list[Array], static: bool) -> dict[str, Array]:
    """A loop over steps, of whole streams."""
    inputs, bias, *rest = w
    given = fed["s"] @ rest.pop(0).T if static else 0.0
    h = fed["h0"][0] if "h0" in fed else numpy.zeros((STREAMS, UNITS), "float32")
    c = fed["c0"][0] if "c0" in fed else numpy.zeros((STREAMS, UNITS), "float32")
    shown = []
    for x, mark in zip(fed["x"].reshape(STEPS, STREAMS, -1), fed["cont"][..., None], strict=True):
        total = x @ inputs.T + bias + given + (h * mark) @ rest[0].T
        if kind == "LSTM":
            i, f, o, g = numpy.split(total, 4, axis=1)
            c = mark * sigmoid(f) * c + sigmoid(i) * numpy.tanh(g)
            h = sigmoid(o) * numpy.tanh(c)
            shown.append(h)
        else:
            h = numpy.tanh(total)
            shown.append(numpy.tanh(h @ rest[1].T + rest[2]))
    return {"y": numpy.stack(shown), "hT": h[None], "cT": c[None]}


@pytest.mark.parametrize("exposed", [False, True], ids=["alone", "states"])
@pytest.mark.parametrize("static", [False, True], ids=["sequence", "static"])
@pytest.mark.parametrize("kind", ["LSTM", "RNN"])
def test_onnx_computes_what_caffe_computes(kind: str, static: bool, exposed: bool) -> None:
    model = shapecalc.loads(net(kind, static, exposed), format="caffe")
    trace = model.trace()
    assert trace.problems == []
    draw = numpy.random.default_rng(0)
    weights: dict[str, Any] = {
        name: draw.normal(0, 0.7, trace.values[name]).astype("float32") for name in model.graph.params
    }
    what = runnable(model, model.graph, trace, 0, weights)
    fed = {name: draw.normal(0, 1, array.shape).astype("float32") for name, array in what.inputs.items()} | {
        "cont": MARKS
    }
    run = execute(what._replace(inputs=fed), "cpu")
    wanted = by_hand(kind, fed, list(weights.values()), static)
    outputs = [value.name for value in trace.outputs]
    assert outputs == ["y", *(["hT", "cT"][: 1 + (kind == "LSTM")] if exposed else [])]
    for name in outputs:
        assert numpy.abs(run.tensors[name] - wanted[name]).max() < 1e-5
        assert what.predicted[name] == wanted[name].shape


def test_marks_of_crnn_begin_once() -> None:
    text = """layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 3 dim: 2 dim: 4 } } }
layer { name: "m" type: "ContinuationIndicator" top: "m" continuation_indicator_param { time_step: 3 batch_size: 2 } }
layer { name: "l" type: "LSTM" bottom: "x" bottom: "m" top: "y" recurrent_param { num_output: 3 } }
"""
    model = shapecalc.loads(text, format="caffe")
    what = runnable(model, model.graph, model.trace(), 0)
    assert execute(what, "cpu").tensors["m"].tolist() == [[0, 0], [1, 1], [1, 1]]
    assert model.verify(device="cpu").ok


def test_more_steps_than_are_written_out_are_refused() -> None:
    text = net("LSTM", False, False).replace(f"dim: {STEPS} dim: {STREAMS}", f"dim: 2000 dim: {STREAMS}")
    with pytest.raises(shapecalc.RefusedError, match="l: LSTM has no ONNX form"):
        shapecalc.loads(text, format="caffe").verify(device="cpu")
