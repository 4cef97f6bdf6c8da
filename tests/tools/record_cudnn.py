"""Records what Keras 2 makes of the weights of CuDNNLSTM and CuDNNGRU: run it where Keras 2 is installed.

    python -m tests.tools.record_cudnn

writes tests/data/keras_cudnn.json. Those cells run on a GPU alone; Keras loads their weights into LSTM and GRU by
turning them round (saving/legacy/hdf5_format.py, _convert_rnn_weights), and what these compute is recorded.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy

UNITS, STEPS, FEATURES = 3, 4, 5


def _blob(array: Any) -> dict[str, Any]:
    return {"shape": list(array.shape), "data": [float(f"{number:.7g}") for number in array.reshape(-1)]}


def rows() -> Iterator[dict[str, Any]]:
    """A row for each cell, alone and in both directions."""
    import keras  # type: ignore[import-not-found,unused-ignore]
    from keras.src.saving.legacy.hdf5_format import (  # type: ignore[import-not-found,unused-ignore]
        _convert_rnn_weights,
    )

    draw = numpy.random.default_rng(0)
    for kind, gates, options in (("LSTM", 4, {}), ("GRU", 3, {"reset_after": True})):
        for prefixes in (("",), ("forward_c/", "backward_c/")):
            shapes: dict[str, tuple[int, ...]] = {
                "kernel": (FEATURES, gates * UNITS),
                "recurrent_kernel": (UNITS, gates * UNITS),
            }
            shapes["bias"] = (2 * gates * UNITS,)
            weights = [[draw.normal(0, 0.4, shape).astype("f") for shape in shapes.values()] for _ in prefixes]
            cell = getattr(keras.layers, kind)(UNITS, return_sequences=True, **options)
            both = len(prefixes) > 1
            made = keras.Sequential(
                [keras.layers.Input((STEPS, FEATURES)), keras.layers.Bidirectional(cell) if both else cell]
            )
            forward = made.layers[0].forward_layer if both else cell
            made.set_weights([array for each in weights for array in _convert_rnn_weights(forward, each)])
            image = draw.normal(0, 1, (2, STEPS, FEATURES)).astype("f")
            inner = {"class_name": f"CuDNN{kind}", "config": {"name": "c", "units": UNITS, "return_sequences": True}}
            wrapped = {"class_name": "Bidirectional", "config": {"name": "b", "layer": inner}}
            fed = {"name": "i", "batch_input_shape": [None, STEPS, FEATURES], "dtype": "float32"}
            layers = [{"class_name": "InputLayer", "config": fed}, wrapped if both else inner]
            yield {
                "name": f"CuDNN{kind}{' in both directions' if both else ''}",
                "model": json.dumps(
                    {"class_name": "Sequential", "config": {"layers": layers}, "keras_version": "2.3.1"}
                ),
                "inputs": {"i": _blob(image)},
                "weights": {
                    f"{'b' if both else 'c'}/{prefix}{name}": _blob(array)
                    for prefix, each in zip(prefixes, weights, strict=True)
                    for name, array in zip(shapes, each, strict=True)
                },
                "outputs": [_blob(made.predict(image, verbose=0))],
            }


if __name__ == "__main__":
    path = Path(__file__).parents[1] / "data" / "keras_cudnn.json"
    path.write_text("[\n" + ",\n".join(map(json.dumps, rows())) + "\n]\n")
