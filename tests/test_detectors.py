"""Another number of classes in detectors as ONNX: told by where the channels end up, baked constants and all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import shapecalc
from shapecalc.surgery.following import Block, spread

NODE = helper.make_node
OLD, NEW = 6, 9


class Net:
    """A graph as it grows: a stem of eight channels at two scales, and whatever heads are put on it."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.conv("x", "p8", 8, 3, 3, 2)
        self.conv("p8", "p4", 8, 8, 3, 2)

    def seeded(self, name: str, *shape: int) -> str:
        numbers = numpy.random.default_rng(len(self.weights)).standard_normal(shape, numpy.float32)
        self.weights.append(numpy_helper.from_array(numbers, name))
        return name

    def constant(self, *numbers: int) -> str:
        name = f"c{len(self.weights)}"
        held = numpy.array(numbers, numpy.int64) if numbers else numpy.array(0, numpy.int64)
        self.weights.append(numpy_helper.from_array(held, name))
        return name

    def conv(
        self, value: str, name: str, out: int, given: int, kernel: int = 1, stride: int = 1, weight: str = ""
    ) -> str:
        pad = kernel // 2
        if not weight:
            weight = self.seeded(f"{name}.w", out, given, kernel, kernel)
            self.seeded(f"{name}.b", out)
        bias = weight.removesuffix(".w") + ".b"
        attrs: dict[str, Any] = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pad] * 4}
        return self.node("Conv", [value, weight, bias], name, **attrs)

    def node(self, op: str, inputs: list[str], name: str, outputs: list[str] | None = None, **attrs: Any) -> str:
        self.nodes.append(NODE(op, inputs, outputs or [name], name, **attrs))
        return name

    def reshaped(self, value: str, name: str, *target: int) -> str:
        return self.node("Reshape", [value, self.constant(*target)], name)

    def model(self, outputs: list[str]) -> bytes:
        fed = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 16, 16])
        made = helper.make_graph(
            self.nodes, "net", [fed], [onnx.ValueInfoProto(name=name) for name in outputs], self.weights
        )
        whole = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        return bytes(whole.SerializeToString())


def ssd() -> bytes:
    """Three boxes a place; scores [1, boxes, classes] behind a softmax, the last map of one place."""
    net, found = Net(), {"box": list[str](), "score": list[str]()}
    net.conv("p4", "p2", 8, 8, 3, 4)
    for level in ("p8", "p4", "p2"):
        for kind, each in (("box", 4), ("score", OLD)):
            made = net.conv(level, f"{level}.{kind}", 3 * each, 8)
            last = net.node("Transpose", [made], f"{made}.t", perm=[0, 2, 3, 1])
            found[kind].append(net.reshaped(last, f"{made}.r", 1, -1, each))
    for kind, names in found.items():
        net.node("Concat", names, kind, axis=1)
    net.node("Softmax", ["score"], "scores", axis=2)
    return net.model(["box", "scores"])


def retinanet() -> bytes:
    """One head for both scales: [1, anchors, classes, H, W], then rows of classes behind a sigmoid."""
    net, found = Net(), {"box": list[str](), "score": list[str]()}
    for kind, each in (("box", 4), ("score", OLD)):
        for level, size in (("p8", 8), ("p4", 4)):
            shared = "" if level == "p8" else f"p8.{kind}.w"
            made = net.conv(level, f"{level}.{kind}", 2 * each, 8, weight=shared)
            apart = net.reshaped(made, f"{made}.r", 1, -1, each, size, size)
            turned = net.node("Transpose", [apart], f"{made}.t", perm=[0, 3, 4, 1, 2])
            found[kind].append(net.reshaped(turned, f"{made}.f", 1, -1, each))
        net.node("Concat", found[kind], kind, axis=1)
    net.node("Sigmoid", ["score"], "scores")
    return net.model(["box", "scores"])


def yolo5() -> bytes:
    """Four sides, one objectness and the classes of each of three anchors in one layer."""
    net, found = Net(), []
    for level, size in (("p8", 8), ("p4", 4)):
        made = net.conv(level, f"{level}.d", 3 * (5 + OLD), 8)
        apart = net.reshaped(made, f"{made}.r", 1, 3, 5 + OLD, size, size)
        turned = net.node("Transpose", [apart], f"{made}.t", perm=[0, 1, 3, 4, 2])
        squashed = net.node("Sigmoid", [turned], f"{made}.s")
        parts = [f"{made}.{part}" for part in ("xy", "wh", "rest")]
        net.node("Split", [squashed, net.constant(2, 2, 1 + OLD)], f"{made}.split", parts, axis=4)
        joined = net.node("Concat", parts, f"{made}.j", axis=4)
        found.append(net.reshaped(joined, f"{made}.f", 1, -1, 5 + OLD))
    net.node("Concat", found, "out", axis=1)
    return net.model(["out"])


def yolo8() -> bytes:
    """Sides of four bins each beside the classes, joined, cut apart again, put behind four sides."""
    net, found = Net(), []
    for level in ("p8", "p4"):
        both = [net.conv(level, f"{level}.box", 16, 8), net.conv(level, f"{level}.cls", OLD, 8)]
        joined = net.node("Concat", both, f"{level}.j", axis=1)
        found.append(net.reshaped(joined, f"{level}.r", 1, 16 + OLD, -1))
    net.node("Concat", found, "all", axis=2)
    net.node("Split", ["all", net.constant(16, OLD)], "split", ["bins", "classes"], axis=1)
    net.reshaped("bins", "apart", 1, 4, 4, -1)
    net.node("Transpose", ["apart"], "turned", perm=[0, 2, 1, 3])
    net.node("Softmax", ["turned"], "soft", axis=1)
    net.conv("soft", "dfl", 1, 4)
    net.reshaped("dfl", "sides", 1, 4, -1)
    net.node("Sigmoid", ["classes"], "likely")
    net.node("Concat", ["sides", "likely"], "out", axis=1)
    return net.model(["out"])


def detr() -> bytes:
    """Rows of features, one for each box, into two matrices; the bias of the scores is added apart."""
    net = Net()
    net.reshaped("p4", "flat", 1, 8, 16)
    net.node("Transpose", ["flat"], "rows", perm=[0, 2, 1])
    for kind, each in (("box", 4), ("score", OLD)):
        net.node("MatMul", ["rows", net.seeded(f"{kind}.w", 8, each)], f"{kind}.m")
        net.node("Add", [net.seeded(f"{kind}.b", each), f"{kind}.m"], kind)
    return net.model(["box", "score"])


def rtdetr(mixed: bool = False) -> bytes:
    """The best rows by their largest score go on, and their scores too; ``mixed``: something else is made of those."""
    net = Net()
    net.reshaped("p4", "flat", 1, 8, 16)
    net.node("Transpose", ["flat"], "rows", perm=[0, 2, 1])
    net.node("MatMul", ["rows", net.seeded("first.w", 8, OLD)], "first")
    net.node("ReduceMax", ["first"], "largest", axes=[-1], keepdims=0)
    net.node("TopK", ["largest", net.constant(5)], "best", ["highest", "places"], axis=1)
    net.node("Unsqueeze", ["places", net.constant(-1)], "column")
    for name, value, wide in (("chosen", "rows", 8), ("early", "first", OLD)):
        net.node("Tile", ["column", net.constant(1, 1, wide)], f"{name}.places")
        net.node("GatherElements", [value, f"{name}.places"], name, axis=1)
    for kind, each in (("box", 4), ("score", OLD)):
        net.node("MatMul", ["chosen", net.seeded(f"{kind}.w", 8, each)], kind)
    if mixed:
        net.node("CumSum", ["early", net.constant(2)], "mix")
    return net.model(["box", "mix" if mixed else "early", "score"])


def two_stage(told: bool = True) -> bytes:
    """The best rows by their first score alone go on (deformable DETR); ``told``: those scores come out as well.

    Each of them weighs what it saw at three places by a softmax, whose weights are no classes.
    """
    net = Net()
    net.reshaped("p4", "flat", 1, 8, 16)
    net.node("Transpose", ["flat"], "rows", perm=[0, 2, 1])
    net.node("MatMul", ["rows", net.seeded("first.w", 8, OLD)], "first.m")
    net.node("Add", ["first.m", net.seeded("first.b", OLD)], "first")
    net.node("Gather", ["first", net.constant()], "foreground", axis=2)
    net.node("TopK", ["foreground", net.constant(5)], "best", ["highest", "places"], axis=1)
    net.node("Unsqueeze", ["places", net.constant(-1)], "column")
    net.node("Tile", ["column", net.constant(1, 1, 8)], "chosen.places")
    net.node("GatherElements", ["rows", "chosen.places"], "chosen", axis=1)
    net.node("MatMul", ["chosen", net.seeded("seen.w", 8, 3)], "seen")
    net.node("MatMul", ["chosen", net.seeded("weights.w", 8, 3)], "weights")
    net.node("Softmax", ["weights"], "attention", axis=-1)
    net.node("Mul", ["attention", "seen"], "weighed")
    net.node("ReduceSum", ["weighed", net.constant(-1)], "sum", keepdims=1)
    net.node("Add", ["chosen", "sum"], "moved")
    for kind, each in (("box", 4), ("score", OLD)):
        net.node("MatMul", ["moved", net.seeded(f"{kind}.w", 8, each)], kind)
    return net.model(["box", *(["first"] if told else []), "score"])


class Row(NamedTuple):
    """A detector, its layers, and the shape of its last output with another number of classes."""

    made: Callable[[], bytes]
    layers: int
    shape: tuple[int, ...]
    kept: tuple[str, ...] = ()  # weights of which the sides and the objectness stay


ROWS = {
    "SSD": Row(ssd, 3, (1, 3 * (64 + 16 + 1), NEW)),
    "RetinaNet": Row(retinanet, 2, (1, 2 * (64 + 16), NEW)),
    "YOLOv5": Row(yolo5, 2, (1, 3 * (64 + 16), 5 + NEW), ("p8.d.w", "p4.d.w", "p8.d.b")),
    "YOLOv8": Row(yolo8, 2, (1, 4 + NEW, 64 + 16)),
    "DETR": Row(detr, 1, (1, 16, NEW)),
    "RT-DETR": Row(rtdetr, 2, (1, 5, NEW)),
    "two stages": Row(two_stage, 2, (1, 5, NEW)),
    "two stages, the first untold": Row(lambda: two_stage(told=False), 2, (1, 5, NEW)),
}


@pytest.mark.parametrize("name", ROWS)
def test_the_classes_of_a_detector_change_and_its_boxes_stay(name: str, tmp_path: Path) -> None:
    row = ROWS[name]
    source = tmp_path / "net.onnx"
    source.write_bytes(row.made())
    model = shapecalc.load(source)
    before = model.trace().outputs[0].shape
    plan = model.retarget(classes=NEW)
    heads = [edit for edit in plan.edits if edit.to_dict()["edit"] == "replace-scores"]
    assert len(heads) == row.layers
    assert plan.trace.outputs[-1].shape == row.shape
    assert len(plan.trace.outputs) == 1 or plan.trace.outputs[0].shape == before
    written = plan.save(tmp_path / "out.onnx", device="cpu")
    assert plan.report is not None
    assert plan.report.ok
    saved = plan.save_plan(tmp_path / "plan.json")
    again = model.replay(saved).save(tmp_path / "again.onnx", device="cpu")
    assert again.read_bytes() == written.read_bytes()
    assert shapecalc.load(written).retarget(classes=OLD).trace.outputs[-1].shape == model.trace().outputs[-1].shape


def tensors(path: Path) -> dict[str, Any]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}


def test_sides_and_objectness_keep_their_numbers(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(yolo5())
    plan = shapecalc.load(tmp_path / "net.onnx").retarget(classes=NEW)
    old, new = tensors(tmp_path / "net.onnx"), tensors(plan.save(tmp_path / "out.onnx", device="cpu"))
    assert (
        plan.edits[0]
        .describe()
        .endswith(
            f"{OLD} → {NEW} classes, for each of 3 anchors (of 11 numbers for each box, 5 of which are its sides and "
            "objectness and stay), new weights"
        )
    )
    for name in ROWS["YOLOv5"].kept:
        was, now = (a.reshape(3, -1, *a.shape[1:]) for a in (old[name], new[f"{name}_{NEW}"]))
        assert now.shape[1] == 5 + NEW
        assert numpy.array_equal(was[:, :5], now[:, :5])


def test_weights_that_levels_share_stay_shared(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(retinanet())
    plan = shapecalc.load(tmp_path / "net.onnx").retarget(classes=NEW)
    new = tensors(plan.save(tmp_path / "out.onnx", device="cpu"))
    assert [name for name in new if name.endswith(f"_{NEW}")].count(f"p8.score.w_{NEW}") == 1
    assert new[f"p8.score.w_{NEW}"].shape == (2 * NEW, 8, 1, 1)
    assert not any(name.startswith("p8.score.w") and name != f"p8.score.w_{NEW}" for name in new)


def test_places_repeated_for_each_class_follow() -> None:
    plan = shapecalc.load(rtdetr(), format="onnx").retarget(classes=NEW)
    assert [output.shape for output in plan.trace.outputs] == [(1, 5, 4), (1, 5, NEW), (1, 5, NEW)]
    assert plan.edits[-1].describe() == f"early.places: repeats [1, 1, {OLD}] → [1, 1, {NEW}]"


def test_a_layer_that_would_choose_among_the_old_classes_is_refused_by_name() -> None:
    with pytest.raises(shapecalc.RefusedError, match=f"^.*first scores {OLD} classes too") as caught:
        shapecalc.load(rtdetr(mixed=True), format="onnx").retarget(classes=NEW)
    assert caught.value.because == "largest (ReduceMax) chooses the best of them, and something else reads them too"
    assert caught.value.hint == "--head score --head first changes the channels of these layers alone"


def test_the_score_by_which_a_first_stage_chooses_keeps_its_weights(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(two_stage())
    plan = shapecalc.load(tmp_path / "net.onnx").retarget(classes=NEW)
    assert plan.edits[0].describe() == (
        f"head first.m → first.m_{NEW}: {OLD} → {NEW} classes "
        "(the first of them chooses the boxes and keeps its weights), new weights"
    )
    old, new = tensors(tmp_path / "net.onnx"), tensors(plan.save(tmp_path / "out.onnx", device="cpu"))
    was, now = old["first.w"], new[f"first.w_{NEW}"]
    assert now.shape == (8, NEW)
    assert numpy.array_equal(was[:, 0], now[:, 0])
    assert not numpy.isin(was[:, 1:], now).any()


def test_a_classifier_beside_a_layer_that_chooses_among_as_many_is_refused_by_name() -> None:
    """Scores of a first stage that choose rows, and no boxes by which the net would be a detector."""
    net = Net()
    net.reshaped("p4", "flat", 1, 8, 16)
    net.node("Transpose", ["flat"], "rows", perm=[0, 2, 1])
    net.node("MatMul", ["rows", net.seeded("first.w", 8, OLD)], "first")
    net.node("Gather", ["first", net.constant()], "foreground", axis=2)
    net.node("TopK", ["foreground", net.constant(5)], "best", ["highest", "places"], axis=1)
    net.node("Gather", ["rows", "places"], "chosen", axis=1)
    net.node("ReduceMean", ["chosen"], "mean", axes=[1, 2], keepdims=0)
    net.node("MatMul", ["mean", net.seeded("score.w", 8, OLD)], "score")
    model = shapecalc.load(net.model(["score"]), format="onnx")
    with pytest.raises(shapecalc.RefusedError, match=f"^.*first scores {OLD} classes too") as caught:
        model.retarget(classes=NEW)
    assert caught.value.because == "foreground (Gather) takes one of them"
    assert caught.value.hint == "--head score --head first changes the channels of these layers alone"
    assert model.retarget(classes=NEW, head=["score", "first"]).verify(device="cpu").ok


def test_a_layer_that_gives_a_scalar_has_no_channels_that_could_be_classes() -> None:
    net = Net()
    net.node("ReduceMean", ["p4"], "mean", axes=[2, 3], keepdims=0)
    net.node("ReduceMean", ["p4"], "row", axes=[0, 2, 3], keepdims=0)
    net.node("MatMul", ["row", net.seeded("gain.w", 8)], "gain")
    net.node("Mul", ["mean", "gain"], "scaled")
    net.node("MatMul", ["scaled", net.seeded("score.w", 8, OLD)], "score")
    plan = shapecalc.load(net.model(["score"]), format="onnx").retarget(classes=NEW)
    assert [edit["layer"] for edit in plan.to_dict()["edits"]] == ["score"]


def test_boxes_beside_scores_of_fed_words_are_no_classes() -> None:
    """OWL-ViT: each row is compared with words that are fed, so that nothing has a weight for each class."""
    net = Net()
    net.reshaped("p4", "flat", 1, 8, 16)
    net.node("Transpose", ["flat"], "rows", perm=[0, 2, 1])
    net.node("MatMul", ["rows", net.seeded("box.w", 8, 4)], "box")
    net.node("ReduceMean", ["p8"], "words", axes=[2], keepdims=0)
    net.node("MatMul", ["rows", "words"], "score")
    model = shapecalc.load(net.model(["score", "box"]), format="onnx")
    with pytest.raises(shapecalc.RefusedError, match="box gives 4 numbers for each of many boxes") as caught:
        model.retarget(classes=NEW)
    assert caught.value.because == (
        "the other output, score, comes from no layer with a weight for each class: score (MatMul) gives it"
    )
    assert caught.value.hint == "if they are classes: --head box"


def test_the_same_number_of_classes_is_no_edit() -> None:
    assert shapecalc.load(ssd(), format="onnx").retarget(classes=OLD, batch=1).edits == []


def test_a_score_beside_four_numbers_of_one_image_is_asked_for() -> None:
    net = Net()
    net.node("GlobalAveragePool", ["p4"], "mean")
    net.node("Flatten", ["mean"], "flat")
    for kind, each in (("box", 4), ("score", OLD)):
        net.node("Gemm", ["flat", net.seeded(f"{kind}.w", each, 8)], kind, transB=1)
    with pytest.raises(shapecalc.RefusedError, match="which holds the classes cannot be told"):
        shapecalc.load(net.model(["box", "score"]), format="onnx").retarget(classes=NEW)


def test_both_heads_of_a_map_of_scores_are_asked_for_and_change() -> None:
    """FCN with its auxiliary head; the size it is enlarged to is written down with the old number of classes."""
    net = Net()
    for level in ("p8", "p4"):
        made = net.conv(level, f"{level}.score", OLD, 8)
        net.node("Resize", [made, "", "", net.constant(1, OLD, 16, 16)], f"{level}.out", mode="linear")
    model = shapecalc.load(net.model(["p8.out", "p4.out"]), format="onnx")
    with pytest.raises(shapecalc.RefusedError, match="ends in a map") as caught:
        model.retarget(classes=NEW)
    assert str(caught.value.hint).startswith("if they are: --head p8.score --head p4.score; ")
    plan = model.retarget(classes=NEW, head=["p8.score", "p4.score"])
    assert [output.shape for output in plan.trace.outputs] == [(1, NEW, 16, 16)] * 2
    assert plan.verify(device="cpu").ok


@settings(deadline=None)  # a machine may be busy
@given(st.data())
def test_a_block_is_found_again_in_another_shape(data: st.DataObject) -> None:
    """Brute force: the numbers of a class stand where the block says."""
    small = st.integers(1, 4)
    outer, size, inner = data.draw(small), data.draw(st.integers(2, 5)), data.draw(small)
    lead, behind = data.draw(small), data.draw(small)
    before = (lead, outer * size * inner, behind)
    after = data.draw(
        st.sampled_from(
            [
                (lead, outer, size, inner, behind),
                (lead, outer, size, inner * behind),
                (lead * outer, size, inner, behind),
                (lead * outer * size * inner, behind),
                (lead, outer * size * inner * behind),
                (lead, outer, size * inner, behind),
            ]
        )
    )
    found = spread(before, Block(1, outer, size, inner, 0, size), after)
    assert found is not None
    kind = numpy.broadcast_to(_kinds(outer, size, inner)[None, :, None], before).reshape(after)
    there = _kinds(found.outer, found.size, found.inner)
    assert len(there) == after[found.axis]
    assert numpy.array_equal(kind, numpy.broadcast_to(there[(...,) + (None,) * (len(after) - found.axis - 1)], after))


def _kinds(outer: int, size: int, inner: int) -> Any:
    """Which class stands at each place of an axis."""
    return numpy.tile(numpy.repeat(numpy.arange(size), inner), outer)
