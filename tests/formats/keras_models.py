"""Keras definitions in small, as each version writes them."""

from __future__ import annotations

import json
from typing import Any

Config = dict[str, Any]


def layer(kind: str, name: str = "l", /, **config: Any) -> Config:
    """A layer's entry without its calls; one of Keras 2, which names no modules."""
    return {"class_name": kind, "config": {"name": name, **config}}


def sequential(*layers: Config, shape: Any = (8, 8, 3), modern: bool = True) -> str:
    """A Sequential model of these layers."""
    given = layer("InputLayer", "image", **{"batch_shape" if modern else "batch_input_shape": [None, *shape]})
    model: Config = {"class_name": "Sequential", "config": {"name": "net", "layers": [given, *layers]}}
    return json.dumps({"module": "keras", **model} if modern else {**model, "keras_version": "2.4.0"})


def tensor(name: str, node: int = 0, output: int = 0) -> Config:
    """A value as Keras 3 writes it."""
    return {"class_name": "__keras_tensor__", "config": {"shape": [None], "keras_history": [name, node, output]}}


def _refs(call: Any) -> list[tuple[str, int, int]]:
    return [ref if isinstance(ref, tuple) else (ref, 0, 0) for ref in call]


def called(entry: Config, *calls: Any, modern: bool = True) -> Config:
    """A layer called once for each of ``calls``: names of layers, or (name, node, output)."""
    name = entry["config"]["name"]
    rows = [_refs(call.split() if isinstance(call, str) else call) for call in calls]
    if modern:
        nodes: list[Any] = [
            {"args": [[tensor(*ref) for ref in row] if len(row) > 1 else tensor(*row[0])], "kwargs": {}} for row in rows
        ]
    else:
        nodes = [[[*ref, {}] for ref in row] for row in rows]
    return {**entry, "name": name, "inbound_nodes": nodes}


def fed(name: str, *shape: Any, modern: bool = True, **config: Any) -> Config:
    """An InputLayer of a functional model."""
    key = "batch_shape" if modern else "batch_input_shape"
    return called(layer("InputLayer", name, **{key: [None, *shape]}, **config))


def model(inputs: str, outputs: Any, *layers: Config, name: str = "net") -> Config:
    """A functional model; ``inputs`` and ``outputs`` name layers."""
    ends = [[name, 0, 0] for name in outputs.split()] if isinstance(outputs, str) else outputs
    starts = [[name, 0, 0] for name in inputs.split()]
    config = {"name": name, "layers": list(layers), "input_layers": starts, "output_layers": ends}
    return {"class_name": "Functional", "config": config}


def functional(inputs: str, outputs: Any, *layers: Config, modern: bool = True) -> str:
    """A functional model as its file."""
    made = model(inputs, outputs, *layers)
    return json.dumps({"module": "keras.src.models.functional", **made} if modern else made)


def conv(name: str = "conv", filters: int = 4, kernel: int = 3, **config: Any) -> Config:
    """A Conv2D."""
    return layer("Conv2D", name, filters=filters, kernel_size=[kernel, kernel], **config)
