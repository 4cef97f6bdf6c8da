"""Large ONNX files, written without having them in memory: VGG16 of any width, its weights inline or beside it.

    python -m tests.bench.big FILE [MEGABYTES] [--holes] [--external]

With holes the weights are zeros that take no place on disk. 553 MB is VGG16 itself (Simonyan and Zisserman 2014).
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy
import onnx
from onnx import TensorProto, helper

from shapecalc.formats.onnx import wire
from shapecalc.formats.onnx.encode import tensor_head

CONVS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
FULL = 553.4e6
CLASSES, SIZE, FINAL = 1000, 224, 7
CHUNK = 1 << 22


class Weight(NamedTuple):
    name: str
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        return 4 * math.prod(self.shape)


def vgg(scale: float) -> tuple[list[onnx.NodeProto], list[Weight]]:
    """The nodes and weights, every width times ``scale``."""
    nodes: list[onnx.NodeProto] = []
    weights: list[Weight] = []
    value, channels = "data", 3

    def layer(op: str, name: str, shape: tuple[int, ...] = (), **attributes: Any) -> None:
        nonlocal value
        made = [Weight(f"{name}.weight", shape), Weight(f"{name}.bias", shape[:1])] if shape else []
        weights.extend(made)
        nodes.append(helper.make_node(op, [value, *(w.name for w in made)], [name], name=name, **attributes))
        value = name

    for i, block in enumerate(CONVS, 1):
        for j, full in enumerate(block, 1):
            width = max(8, round(full * scale / 8) * 8)
            layer("Conv", f"conv{i}_{j}", (width, channels, 3, 3), kernel_shape=[3, 3], pads=[1] * 4)
            layer("Relu", f"relu{i}_{j}")
            channels = width
        layer("MaxPool", f"pool{i}", kernel_shape=[2, 2], strides=[2, 2])
    layer("Flatten", "flat")
    fan_in, hidden = channels * FINAL * FINAL, max(8, round(4096 * scale / 8) * 8)
    for number, (rows, columns) in enumerate(((hidden, fan_in), (hidden, hidden), (CLASSES, hidden)), 6):
        layer("Gemm", f"fc{number}", (rows, columns), transB=1)
        if number < 8:
            layer("Relu", f"relu{number}")
    return nodes, weights


def write(path: Path, megabytes: float = FULL / 1e6, *, holes: bool = False, external: bool = False) -> None:
    """Writes the model; ``external`` puts the weights into ``<path>.data``."""
    nodes, weights = vgg(math.sqrt(megabytes * 1e6 / FULL))
    beside = path.with_name(path.name + ".data")
    heads, offset = [], 0
    for weight in weights:
        head = tensor_head(weight.shape, "float32", weight.name)
        if external:
            heads.append(_apart(weight, beside.name, offset))
            offset += weight.bytes
        else:
            heads.append(head + wire.prefix(9, weight.bytes))
    inside = [0 if external else weight.bytes for weight in weights]
    data = helper.make_tensor_value_info("data", TensorProto.FLOAT, [1, 3, SIZE, SIZE])
    result = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, [1, CLASSES])
    front = b"".join(wire.block(1, node.SerializeToString()) for node in nodes) + wire.text(2, "vgg16")
    back = wire.block(11, data.SerializeToString()) + wire.block(12, result.SerializeToString())
    sizes = [len(head) + held for head, held in zip(heads, inside, strict=True)]
    whole = len(front) + len(back) + sum(len(wire.prefix(5, size)) + size for size in sizes)
    opset = wire.block(8, helper.make_opsetid("", 17).SerializeToString())
    with open(path, "wb") as file, open(beside if external else "/dev/null", "wb") as data_file:
        file.write(wire.integer(1, 8) + opset + wire.prefix(7, whole) + front)
        for weight, head, size in zip(weights, heads, sizes, strict=True):
            file.write(wire.prefix(5, size) + head)
            _numbers(data_file if external else file, weight, holes)
        file.write(back)


def _apart(weight: Weight, location: str, offset: int) -> bytes:
    tensor = TensorProto(name=weight.name, data_type=TensorProto.FLOAT, dims=weight.shape)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(weight.bytes))):
        tensor.external_data.add(key=key, value=value)
    return bytes(tensor.SerializeToString())


def _numbers(file: BinaryIO, weight: Weight, holes: bool) -> None:
    """Noise on the scale of trained weights, or a hole."""
    if holes:
        file.truncate(file.seek(weight.bytes, 1))
        return
    bound = math.sqrt(6.0 / math.prod(weight.shape[1:] or (6,)))
    noise = numpy.random.default_rng(len(weight.name)).uniform(-bound, bound, CHUNK // 4).astype("<f4").tobytes()
    for start in range(0, weight.bytes, CHUNK):
        file.write(noise[: min(CHUNK, weight.bytes - start)])


if __name__ == "__main__":
    given = [word for word in sys.argv[1:] if not word.startswith("--")]
    write(
        Path(given[0]),
        *map(float, given[1:2]),
        holes="--holes" in sys.argv,
        external="--external" in sys.argv,
    )
