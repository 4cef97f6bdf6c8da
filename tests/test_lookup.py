"""Biases looked up by distance (LeViT, EfficientFormerV2): new indices and a table of the new map."""

from __future__ import annotations

from pathlib import Path

import numpy
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import shapecalc
from shapecalc.resampling import distances, over_places

NODE = helper.make_node


def seeded(name: str, *shape: int) -> onnx.TensorProto:
    return numpy_helper.from_array(numpy.random.default_rng(len(name)).standard_normal(shape, numpy.float32), name)


def whole(name: str, *numbers: int) -> onnx.TensorProto:
    return numpy_helper.from_array(numpy.array(numbers, numpy.int64), name)


def by_hand(queries: tuple[int, int], keys: tuple[int, int], stride: int) -> list[list[int]]:
    asked = [(y, x) for y in range(keys[0]) for x in range(keys[1])]
    asking = [(y * stride, x * stride) for y in range(queries[0]) for x in range(queries[1])]
    return [[abs(y - v) * keys[1] + abs(x - u) for v, u in asked] for y, x in asking]


@pytest.mark.parametrize(("queries", "keys", "stride"), [((3, 3), (3, 3), 1), ((2, 3), (4, 5), 2), ((4, 2), (7, 4), 2)])
def test_distances_are_counted_from_where_each_place_stands(
    queries: tuple[int, int], keys: tuple[int, int], stride: int
) -> None:
    assert distances(queries, keys).tolist() == by_hand(queries, keys, stride)


def attention(indices: list[list[int]]) -> bytes:
    """Attention over a map of 5×5 patches whose scores get a bias by distance."""
    nodes = [
        NODE("Conv", ["x", "w"], ["map"], "patches", kernel_shape=[4, 4], strides=[4, 4]),
        NODE("Reshape", ["map", "flat"], ["q"], "flatten"),
        NODE("Transpose", ["q"], ["t"], "turn", perm=[0, 2, 1]),
        NODE("MatMul", ["t", "q"], ["scores"], "product"),
        NODE("Identity", ["table"], ["again"], "same"),
        NODE("Gather", ["again", "which"], ["bias"], "look", axis=1),
        NODE("Add", ["scores", "bias"], ["sum"], "add"),
        NODE("Softmax", ["sum"], ["y"], "soft", axis=-1),
    ]
    which = numpy_helper.from_array(numpy.array(indices, numpy.int64), "which")
    weights = [seeded("w", 6, 3, 4, 4), whole("flat", 1, 6, 25), seeded("table", 1, 25), which]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 20, 20])
    graph = helper.make_graph(nodes, "net", [given], [onnx.ValueInfoProto(name="y")], weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(made.SerializeToString())


@pytest.mark.parametrize(("size", "grid"), [((24, 24), (6, 6)), ((16, 28), (4, 7))])
def test_the_table_is_interpolated_and_read_by_new_distances(
    tmp_path: Path, size: tuple[int, int], grid: tuple[int, int]
) -> None:
    source = tmp_path / "net.onnx"
    source.write_bytes(attention(by_hand((5, 5), (5, 5), 1)))
    plan = shapecalc.load(source).retarget(input=size)
    assert "table: biases by distance, 5×5 → {}×{} interpolated (bicubic), looked up anew".format(*grid) in [
        edit.describe() for edit in plan.edits
    ]
    assert plan.verify(device="cpu").ok
    written = onnx.load(plan.save(tmp_path / "out.onnx"))
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in written.graph.initializer}
    (look,) = (node for node in written.graph.node if node.op_type == "Gather")
    assert held[look.input[1]].tolist() == by_hand(grid, grid, 1)
    old = numpy_helper.to_array(seeded("table", 1, 25))
    numpy.testing.assert_array_equal(held[look.input[0]], over_places(old, 1, (5, 5), grid, 0))


def test_other_indices_are_not_taken_for_distances(tmp_path: Path) -> None:
    indices = by_hand((5, 5), (5, 5), 1)
    indices[3][4] += 1
    source = tmp_path / "net.onnx"
    source.write_bytes(attention(indices))
    with pytest.raises(shapecalc.RefusedError) as caught:
        shapecalc.load(source).retarget(input=24, repair="rebake")
    assert caught.value.code == "E302"
    assert "add joins 1×36×36 from product with 1×25×25 from look" in str(caught.value)
