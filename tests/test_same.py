"""TensorFlow's SAME padding that an export wrote down for one size, at others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import shapecalc

NODE = helper.make_node


def net(side: int, pads: list[int], auto_pad: str = "", *, inside: bool = False) -> bytes:
    """A padded convolution of stride 2 behind another, whose paddings are computed by onnxruntime or written down.

    ``inside``: in the convolutions themselves, as torch.export has it.
    """
    weights = [numpy_helper.from_array(numpy.array([0, 0, *pads[:2], 0, 0, *pads[2:]], numpy.int64), "pads")]
    nodes = []
    for name, given, channels in (("first", "x", 3), ("second", "first", 4)):
        kernel = numpy.random.default_rng(channels).standard_normal((4, channels, 3, 3), numpy.float32)
        weights.append(numpy_helper.from_array(kernel, f"{name}_kernel"))
        wide = given if auto_pad or inside else f"{name}_wide"
        nodes += [] if auto_pad or inside else [NODE("Pad", [given, "pads"], [wide], wide)]
        how: dict[str, Any] = {"auto_pad": auto_pad} if auto_pad else {"pads": pads} if inside else {}
        nodes.append(NODE("Conv", [wide, f"{name}_kernel"], [name], name, strides=[2, 2], **how))
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, side, side])
    graph = helper.make_graph(nodes, "net", [image], [onnx.ValueInfoProto(name="second")], weights)
    return bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()
    )


def ran(path: str | Path, size: tuple[int, int]) -> Any:
    image = numpy.random.default_rng(2).standard_normal((1, 3, *size), numpy.float32)
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"x": image})[0]


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("size", [(48, 48), (31, 31), (32, 29), (33, 34), (199, 66)])
def test_what_is_padded_follows_the_size_as_same_does(size: tuple[int, int], inside: bool, tmp_path: Path) -> None:
    written = shapecalc.load(net(32, [0, 0, 1, 1], inside=inside), format="onnx").retarget(input=size)
    computed = shapecalc.load(net(32, [0, 0, 1, 1], "SAME_UPPER"), format="onnx").retarget(input=size)
    made, wanted = (
        ran(plan.save(tmp_path / f"{name}.onnx", device="cpu"), size)
        for name, plan in (("written", written), ("computed", computed))
    )
    assert made.shape == wanted.shape
    assert numpy.abs(made - wanted).max() < 1e-4


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize(("side", "pads"), [(33, [1, 1, 1, 1]), (32, [1, 1, 0, 0])])
def test_padding_that_is_not_same_s_alone_stays(side: int, pads: list[int], inside: bool) -> None:
    """(1, 1) is what SAME pads of 33 and what most nets pad of anything; before alone it pads nothing."""
    plan = shapecalc.load(net(side, pads, inside=inside), format="onnx").retarget(input=36)
    assert [edit.to_dict()["edit"] for edit in plan.edits] == ["set-input"]


def test_a_node_that_gives_nothing_is_no_padding() -> None:
    """Damaged bytes, which onnxruntime refuses; no export has one."""
    model = onnx.load_from_string(net(32, [0, 0, 1, 1]))
    model.graph.node.append(NODE("Identity", ["x"], [], "nothing"))
    with pytest.raises(shapecalc.RefusedError, match="nothing gives 0 values"):
        shapecalc.load(model.SerializeToString(), format="onnx").retarget(input=48)
