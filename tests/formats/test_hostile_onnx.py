"""Damaged and hostile ONNX files: only ShapecalcError comes out, soon. Most rows are findings of tests.tools.fuzz."""

from __future__ import annotations

import time
from typing import Any

import numpy
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_models import model, small

import shapecalc
from shapecalc import ModelError, ShapecalcError
from shapecalc.formats.onnx import wire

#: Processor seconds that no file may take.
LONGEST = 5.0


def one(op: str, inputs: dict[str, Any], outputs: int = 1, /, **attributes: Any) -> bytes:
    """A model of one node, not checked."""
    node = helper.make_node(op, list(inputs), [f"y{i}" for i in range(outputs)], **attributes)
    names = {f"y{i}": None for i in range(min(1, outputs))}
    return bytes(model([node], inputs, names).SerializeToString())


def scanned(count: int) -> bytes:
    body = helper.make_graph(
        [helper.make_node("Identity", ["a"], ["b"])],
        "body",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info("b", TensorProto.FLOAT, [2])],
    )
    return one("Scan", {"x": [3, 2]}, body=body, num_scan_inputs=count)


#: Files that are read, and contradict themselves: the layer has a problem or an unknown shape, and the rest is shown.
CONTRADICTING: dict[str, bytes] = {
    "a pooling without its kernel": one("MaxPool", {"x": [1, 3, 8, 8]}),
    "strides of three axes": one("MaxPool", {"x": [1, 3, 8, 8]}, kernel_shape=[2, 2], strides=[1, 1, 1]),
    "three pads": one("MaxPool", {"x": [1, 3, 8, 8]}, kernel_shape=[2, 2], pads=[1, 1, 1]),
    "a padding mode nobody knows": one("MaxPool", {"x": [1, 3, 8, 8]}, kernel_shape=[2, 2], auto_pad="SIDEWAYS"),
    "a kernel of 2^62": one("MaxPool", {"x": [1, 3, 8, 8]}, kernel_shape=[2**62, 2]),
    "a negative stride": one("MaxPool", {"x": [1, 3, 8, 8]}, kernel_shape=[2, 2], strides=[-1, 0]),
    "a target of 10^18 axes": one("Expand", {"x": [2], "s": [10**18]}),
    "10^18 new axes": one("Unsqueeze", {"x": [2], "s": [10**18]}),
    "10^18 inputs that are scanned": scanned(10**18),
    "fewer inputs than none": scanned(-3),
    "a transposed window of two pads": one("ConvTranspose", {"x": [1, 3, 8, 8], "w": [3, 4, 2, 2]}, pads=[1, 1]),
    "dimensions of 2^63 - 1": one("Flatten", {"x": [2**63 - 1] * 4}),
    "an order of axes that is none": one("Transpose", {"x": [2, 3, 4]}, perm=[0, 2, -2]),
    "an order that is a number": one("Transpose", {"x": [1, 3, 8, 8]}, perm=1),
    "blocks of -1": one("DepthToSpace", {"x": [1, 8, 2, 3]}, blocksize=-1),
    "statistics of 2^62 axes": one("LayerNormalization", {"x": [2, 3], "w": [3]}, 2, axis=-(2**62)),
    "10^18 pieces": one("Tile", {"x": [10**18, 10**18], "r": [2]}),
}


@pytest.mark.parametrize("name", CONTRADICTING)
def test_what_contradicts_itself_is_shown(name: str) -> None:
    started = time.process_time()
    trace = shapecalc.load(CONTRADICTING[name], format="onnx").trace()
    assert trace.to_dict()["layers"]
    assert name.startswith(("dimensions", "10^18 pieces")) or trace.problems or trace.layers[0].outputs[0].shape is None
    assert time.process_time() - started < LONGEST


def test_a_node_with_fewer_outputs_than_its_operator_gives() -> None:
    given = model([helper.make_node("Relu", ["x"], []), helper.make_node("Relu", ["x"], ["y"])], {"x": [2]}, {"y": [2]})
    trace = shapecalc.load(given).trace()
    assert trace.layers[0].outputs == ()
    assert trace.values["y"] == (2,)


def test_a_map_without_places_has_no_share_of_padding() -> None:
    made = model(
        [
            helper.make_node("Slice", ["x", "begin", "begin", "axis"], ["none"]),
            helper.make_node("Relu", ["none"], ["y"]),
        ],
        {"x": [1, 3, 8, 8]},
        {"y": None},
        {"begin": numpy.array([0]), "axis": numpy.array([2])},
    )
    rows = shapecalc.load(made).trace().to_dict()["layers"]
    assert [(row["outputs"][0]["shape"], row["sees_padding"]) for row in rows] == [([1, 3, 0, 8], None)] * 2


#: What stands behind a head, or is one, and lacks what it reads.
HEADLESS: dict[str, list[tuple[str, list[Any]]]] = {
    "a scoring without scores": [("Softmax", [])],
    "an average without a map": [("GlobalAveragePool", []), ("Softmax", [0])],
    "a product of one": [("MatMul", ["x"])],
    "parts that come from nothing": [("Identity", []), ("Concat", [0])],
    "a head that reads the image": [("MatMul", ["x", "w"])],
}


@pytest.mark.parametrize("name", HEADLESS)
def test_a_cut_before_a_head_that_lacks_its_inputs_is_refused(name: str) -> None:
    nodes = [
        helper.make_node(op, [f"v{i}" if isinstance(i, int) else i for i in inputs], [f"v{at}"])
        for at, (op, inputs) in enumerate(HEADLESS[name])
    ]
    weight = {"w": numpy.zeros((8, 10), numpy.float32)}
    net = shapecalc.load(model(nodes, {"x": [1, 8]}, {f"v{len(nodes) - 1}": None}, weight))
    with pytest.raises((shapecalc.RefusedError, shapecalc.UsageError)):
        net.cut(features=True)


def test_why_explains_what_does_not_fit_inside_a_graph() -> None:
    body = helper.make_graph(
        [helper.make_node("Add", ["a", "b"], ["c"]), helper.make_node("Identity", ["c"], ["d"])],
        "body",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "ab"],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "cd"],
    )
    scan = helper.make_node("Scan", ["s", "x"], ["t", "y"], body=body, num_scan_inputs=1)
    net = shapecalc.load(model([scan], {"s": [2], "x": [5, 3]}, {"y": None}))
    cause = net.why(run=False).cause
    assert cause is not None
    assert cause.problem.also[-1] == "Scan_0"


# -- files that cannot be read ----------------------------------------------------------------------------------------

WHOLE = small().SerializeToString()


def changed(change: Any) -> bytes:
    made = small()
    change(made)
    return bytes(made.SerializeToString())


def nested(levels: int) -> bytes:
    """An If in an If in an If."""
    inner = wire.block(1, wire.text(2, "y") + wire.text(4, "Relu"))
    for _ in range(levels):
        attribute = wire.text(1, "then_branch") + wire.block(6, inner) + wire.integer(20, 5)
        inner = wire.block(1, wire.text(2, "y") + wire.text(4, "If") + wire.block(5, attribute))
    return wire.integer(1, 8) + wire.block(7, inner)


def external(location: str, **more: str) -> bytes:
    def change(made: onnx.ModelProto) -> None:
        tensor = made.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, **more}.items():
            tensor.external_data.add(key=key, value=value)

    return changed(change)


def renamed(made: onnx.ModelProto) -> None:
    made.graph.node[1].output[0] = "c"


def circular(made: onnx.ModelProto) -> None:
    made.graph.node[0].input[0] = "y"


def dims(*sizes: int) -> bytes:
    return changed(lambda made: made.graph.initializer[0].dims.__setitem__(slice(None), list(sizes)))


BROKEN: dict[str, bytes] = {
    "nothing but a key": b"\x3a",
    "a length beyond the file": WHOLE[:1] + b"\x3a\xff\xff\xff\xff\x0f",
    "a length of 2^63": b"\x08\x08\x3a" + wire.varint(2**63) + b"abc",
    "a varint without end": WHOLE[:2] + b"\x3a" + b"\xff" * 1000,
    "subgraphs 1,000 deep": nested(1000),
    "subgraphs 20 deep": nested(20),
    "two graphs": WHOLE + wire.block(7, b""),
    "a negative size": dims(8, 3, 3, -3),
    "a size of 2^63 - 1": dims(2**63 - 1, 3, 3, 3),
    "10,000 axes": dims(*[1] * 10_000),
    "a value that is given twice": changed(renamed),
    "a cycle": changed(circular),
    "a path that climbs": external("../weights.bin"),
    "a path that climbs inside": external("a/../../weights.bin"),
    "an absolute path": external("/etc/passwd"),
    "a drive": external("C:weights.bin"),
    "backslashes": external("..\\weights.bin"),
    "no location": external(""),
    "a negative offset": external("w.bin", offset="-1"),
    "an offset of a hundred digits": external("w.bin", offset="9" * 100),
    "a list that is a number": one("Constant", {}, value_ints=7),
    "digits of another script": external("w.bin", offset="٣"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_refused(name: str) -> None:
    started = time.process_time()
    with pytest.raises(ModelError):
        shapecalc.load(BROKEN[name], format="onnx")
    assert time.process_time() - started < LONGEST


def test_a_file_cut_anywhere_is_refused_or_read() -> None:
    read = 0
    for end in range(1, len(WHOLE), 7):
        try:
            shapecalc.load(WHOLE[:end], format="onnx").trace().to_dict()
            read += 1
        except ShapecalcError:
            continue
    assert read < 10  # only what ends behind the graph


def test_every_byte_changed_is_refused_or_read() -> None:
    head = WHOLE[:400]
    for at in range(len(head)):
        for new in (0, 0x7F, 0x80, 0xFF, head[at] ^ 1):
            try:
                shapecalc.load(head[:at] + bytes([new]) + WHOLE[at + 1 :], format="onnx").trace().to_dict()
            except ShapecalcError:
                continue
