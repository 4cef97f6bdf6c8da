"""What an export wrote down for one size, written anew: reshapes, slices, tables of positions, masks of windows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy
import onnx
import onnx.parser
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import shapecalc
from shapecalc.errors import RefusedError
from shapecalc.resampling import _offsets, _shifted, bicubic, over_map, over_offsets, over_places, over_windows
from shapecalc.surgery.exports.regroup import ITEMS as N
from shapecalc.surgery.exports.regroup import groups, regrouped

DATA = Path(__file__).parent / "data"
CORPUS = Path(__file__).parents[2] / "shared" / "corpus" / "onnx"

EXPORTS = """
    vit_tiny_patch16_224.ts vit_tiny_patch16_224.dynamo deit_tiny_patch16_224.ts cait_xxs24_224.ts
    coatnet_nano_rw_224.ts swin_tiny_patch4_window7_224.ts maxvit_tiny_rw_224.ts
""".split()

#: (input before, output before, input now, numbers that became others, scale, the first answer).
RESHAPES: list[tuple[Any, ...]] = [
    ((N, 192, 14, 14), (N, 192, 196), (N, 192, 16, 20), {}, (8 / 7, 10 / 7), (N, 192, 320)),
    ((N, 196, 192), (N, 14, 14, 192), (N, 320, 192), {14: [16, 20]}, (8 / 7, 10 / 7), (N, 16, 20, 192)),
    ((N, 56, 56, 96), (N, 8, 7, 8, 7, 96), (N, 70, 84, 96), {}, (1.25, 1.5), (N, 10, 7, 12, 7, 96)),
    ((64 * N, 49, 96), (N, 8, 8, 49, 96), (256 * N, 49, 96), {8: [16]}, (2, 2), (N, 16, 16, 49, 96)),
    ((N, 14, 14, 384), (N, 7, 2, 7, 2, 384), (N, 28, 28, 384), {2: [4]}, (2, 2), (N, 14, 2, 14, 2, 384)),
    ((64 * N, 3, 49, 49), (N, 64, 3, 49, 49), (100 * N, 3, 49, 49), {}, (1.25, 1.25), (N, 100, 3, 49, 49)),
    ((N, 1, 1, 7, 7, 768), (N, 7, 7, 768), (N, 2, 2, 7, 7, 768), {}, (2, 2), (4 * N, 7, 7, 768)),
    ((1, 2048, 1, 1), (1, 2048), (1, 2048, 1, 1), {}, (2, 2), (1, 2048)),
    ((N, 256, 6, 6), (N, 9216), (N, 256, 7, 7), {}, (1.1, 1.1), (N, 12544)),
]


@pytest.mark.parametrize("row", RESHAPES, ids=lambda row: f"{row[0]} to {row[1]} at {row[2]}")
def test_a_reshape_means_the_same_at_another_size(row: tuple[Any, ...]) -> None:
    before, after, now, became, scale, wanted = row
    assert regrouped(before, after, now, became, scale)[0] == wanted


def test_a_reshape_that_comes_out_whole_nowhere_has_no_answer() -> None:
    assert regrouped((N, 56, 96), (N, 8, 7, 96), (N, 65, 96), {}) == []
    assert groups((2, 3), (7,)) == []
    assert regrouped((4, 6, 5), (2, 12, 5), (0, 6, 5), {2: [0]}) == []


@pytest.mark.parametrize(
    "row", json.loads((DATA / "bicubic.json").read_text())["rows"], ids=lambda r: f"{r['before']} to {r['now']}"
)
def test_interpolation_is_pytorchs(row: dict[str, Any]) -> None:
    made = bicubic(row["before"], row["now"], antialias=row["antialias"]) @ numpy.array(row["x"])
    assert numpy.abs(made - row["y"]).max() < 1e-7


def test_tokens_before_the_places_are_kept() -> None:
    table = numpy.random.default_rng(0).random((1, 198, 8), dtype=numpy.float32)
    grown = over_places(table, 1, (14, 14), (16, 20), 2)
    assert grown.shape == (1, 322, 8)
    assert numpy.array_equal(grown[:, :2], table[:, :2])
    alone = over_map(table[:, 2:].reshape(1, 14, 14, 8), 1, (14, 14), (16, 20))
    assert numpy.array_equal(grown[:, 2:].reshape(1, 16, 20, 8), alone)


def test_a_bias_of_offsets_stays_one() -> None:
    offsets = numpy.random.default_rng(0).random((3, 9 * 9), dtype=numpy.float32)
    bias = offsets[:, _offsets((5, 5))]
    assert numpy.array_equal(over_offsets(bias, (1, 2), (5, 5), (5, 5), 0), bias)
    grown = over_offsets(bias, (1, 2), (5, 5), (7, 8), 0)
    assert grown.shape == (3, 56, 56)
    assert grown[0, 0, 1] == grown[0, 1, 2] == grown[0, 8, 9]  # one place to the right, wherever
    bias[1, 3, 4] += 1
    with pytest.raises(RefusedError, match="more than their offset"):
        over_offsets(bias, (1, 2), (5, 5), (7, 8), 0)


def _mask(side: int, window: int, shift: int) -> Any:
    """Swin's mask, place by place: two places see each other if no seam of the shift lies between them."""
    seams = [side - window, side - shift]
    region = [[sum(y >= s for s in seams) * 3 + sum(x >= s for s in seams) for x in range(side)] for y in range(side)]
    rows = []
    for top in range(0, side, window):
        for left in range(0, side, window):
            flat = [region[top + y][left + x] for y in range(window) for x in range(window)]
            rows.append([[0.0 if a == b else -100.0 for b in flat] for a in flat])
    return numpy.array(rows, numpy.float32)[None, :, None]


def test_a_mask_of_shifted_windows_is_made_for_more_windows() -> None:
    assert numpy.array_equal(over_windows(_mask(8, 4, 2), 1, (8, 8), (12, 12), (4, 4)), _mask(12, 4, 2))
    assert numpy.array_equal(over_windows(_mask(12, 4, 1), 1, (12, 12), (8, 8), (4, 4)), _mask(8, 4, 1))
    other = _mask(8, 4, 2)
    other[0, 0, 0, 0, 1] = -100
    with pytest.raises(RefusedError, match="not that of shifted windows"):
        over_windows(other, 1, (8, 8), (12, 12), (4, 4))
    assert not _shifted((8, 8), (4, 4), (2, 2))[0].any()  # the first window has no seam


VIT = """
<ir_version: 9, opset_import: ["" : 18]>
vit (float[N, 3, 32, 32] x) => (float[N, 10] y)
<int64[3] flat = {BATCH, 16, 16}, int64[4] split = {BATCH, 17, 2, 8}, int64[3] merge = {BATCH, 17, 16},
 int64[2] rest = {1, 1}, int64 index = {0}>
{
  map = Conv <strides = [8, 8]> (x, patch)
  rows = Reshape (map, flat)
  places = Transpose <perm = [0, 2, 1]> (rows)
  shape = Shape <start = 0, end = 1> (x)
  sizes = Concat <axis = 0> (shape, rest)
  tokens = Expand (token, sizes)
  all = Concat <axis = 1> (tokens, places)
  placed = Add (all, position)
  heads = Reshape (placed, split)
  turned = Transpose <perm = [0, 2, 1, 3]> (heads)
  scores = Einsum <equation = "nhqc,nhkc->nhqk"> (turned, turned)
  shares = Softmax (scores)
  seen = MatMul (shares, turned)
  back = Transpose <perm = [0, 2, 1, 3]> (seen)
  joined = Reshape (back, merge)
  mixed = MatMul (joined, mix)
  first = Gather <axis = 1> (mixed, index)
  y = Gemm <transB = 1> (first, head, bias)
}
"""


WEIGHTS = {
    "patch": (16, 3, 8, 8),
    "position": (1, 17, 16),
    "token": (1, 1, 16),
    "mix": (16, 16),
    "head": (10, 16),
    "bias": (10,),
}


def made(batch: str = "-1") -> onnx.ModelProto:
    """A small vision transformer of 4×4 places as PyTorch's exporter writes one, with seeded weights."""
    proto = onnx.parser.parse_model(VIT.replace("BATCH", batch))
    if batch == "1":
        for value in (*proto.graph.input, *proto.graph.output):
            value.type.tensor_type.shape.dim[0].dim_value = 1
    numbers = numpy.random.default_rng(0)
    for name, shape in WEIGHTS.items():
        array = numbers.standard_normal(shape, dtype=numpy.float32)
        proto.graph.initializer.append(numpy_helper.from_array(array, name))
    return proto


@pytest.mark.parametrize("batch", ["-1", "1"])
@pytest.mark.parametrize("size", [(40, 40), (24, 48), (64, 32)])
def test_a_transformer_takes_another_size(tmp_path: Path, batch: str, size: tuple[int, int]) -> None:
    proto = made(batch)
    onnx.save(proto, tmp_path / "vit.onnx")
    plan = shapecalc.load(tmp_path / "vit.onnx").retarget(input=size)
    plan.save(tmp_path / "out.onnx", device="cpu")
    assert plan.report is not None
    assert plan.report.ok
    result = onnx.load(tmp_path / "out.onnx")
    onnx.checker.check_model(result)
    before = {t.name: numpy_helper.to_array(t) for t in proto.graph.initializer}
    after = {t.name: numpy_helper.to_array(t) for t in result.graph.initializer}
    grid = (size[0] // 8, size[1] // 8)
    ((name, table),) = [(n, a) for n, a in after.items() if n not in before and a.dtype == numpy.float32]
    assert "position" in name
    assert numpy.array_equal(table, over_places(before["position"], 1, (4, 4), grid, 1))
    for name in ("patch", "mix", "head", "token"):
        assert numpy.array_equal(after[name], before[name])


def test_the_plan_says_what_it_interpolates() -> None:
    plan = shapecalc.load(made()).retarget(input=40)
    assert [edit.describe() for edit in plan.edits] == [
        "input x: N×3×32×32 → N×3×40×40",
        "Reshape_1: shape [-1, 16, 16] → [-1, 16, 25]",
        "position: 4×4 + 1 → 5×5 + 1 interpolated (bicubic)",
        "Reshape_8: shape [-1, 17, 2, 8] → [-1, 26, 2, 8]",
        "Reshape_14: shape [-1, 17, 16] → [-1, 26, 16]",
    ]


def test_a_trained_mixing_of_places_is_refused() -> None:
    proto = made()
    weight = numpy_helper.from_array(numpy.ones((17, 17), numpy.float32), "between")
    proto.graph.initializer.append(weight)
    turned = onnx.helper.make_node("Transpose", ["placed"], ["placed_t"], perm=[0, 2, 1])
    mixed = onnx.helper.make_node("MatMul", ["placed_t", "between"], ["placed_m"], name="mixing")
    back = onnx.helper.make_node("Transpose", ["placed_m"], ["placed_b"], perm=[0, 2, 1])
    place = next(i for i, node in enumerate(proto.graph.node) if "placed" in node.output) + 1
    for step, node in enumerate((turned, mixed, back)):
        proto.graph.node.insert(place + step, node)
    next(node for node in proto.graph.node if "heads" in node.output).input[0] = "placed_b"
    with pytest.raises(RefusedError, match="with the export's constants written anew, mixing expects 17 inputs"):
        shapecalc.load(proto).retarget(input=40, repair="rebake")


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not here")
@pytest.mark.parametrize("name", EXPORTS)
@pytest.mark.parametrize("size", [160, (192, 320), 256])
def test_exports_take_other_sizes(name: str, size: Any) -> None:
    plan = shapecalc.load(CORPUS / f"{name}.onnx").retarget(input=size)
    assert plan.trace.ok
    assert len(plan.edits) > 1


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not here")
def test_what_runs_with_a_mask_of_another_size_is_mended_too() -> None:
    model = shapecalc.load(CORPUS / "swin_tiny_patch4_window7_224.ts.onnx")
    assert model.trace(448).ok  # 256 windows meet the mask of 64 as four images would
    assert any("mask of shifted 7×7 windows, 56×56 → 112×112" in e.describe() for e in model.retarget(input=448).edits)


RESIZED = """
<ir_version: 9, opset_import: ["" : 18]>
dino (float[1, 3, HEIGHT, WIDTH] x) => (float[1, 16, 1] y)
<int64[4] sizes = {1, 16, ROWS, COLUMNS}, int64[3] flat = {1, 16, -1}, int64[1] last = {2}>
{
  map = Conv <strides = [8, 8]> (x, patch)
  places = Reshape (map, flat)
  now = Resize <mode = "cubic", coordinate_transformation_mode = "half_pixel"> (table, , , sizes)
  positions = Reshape (now, flat)
  placed = Add (places, positions)
  shares = Softmax <axis = 1> (placed)
  y = ReduceMax (shares, last)
}
"""


def resized(height: int, width: int) -> onnx.ModelProto:
    """A net that keeps the positions of 3×3 places and scales them to its map, whose size its export wrote down."""
    text = RESIZED
    for word, number in {"HEIGHT": height, "WIDTH": width, "ROWS": height // 8, "COLUMNS": width // 8}.items():
        text = text.replace(word, str(number))
    proto = onnx.parser.parse_model(text)
    for name, shape in {"patch": (16, 3, 8, 8), "table": (1, 16, 3, 3)}.items():
        array = numpy.random.default_rng(len(name)).standard_normal(shape, dtype=numpy.float32)
        proto.graph.initializer.append(numpy_helper.from_array(array, name))
    return proto


@pytest.mark.parametrize("size", [(40, 48), (24, 64), (32, 33)])
def test_a_table_that_the_file_itself_scales_is_scaled_to_the_new_map(tmp_path: Path, size: tuple[int, int]) -> None:
    plan = shapecalc.load(resized(32, 32)).retarget(input=size)
    plan.save(tmp_path / "out.onnx", device="cpu")
    wanted, made_again = resized(*size), onnx.load(tmp_path / "out.onnx")
    x = numpy.random.default_rng(0).standard_normal((1, 3, *size), dtype=numpy.float32)
    assert numpy.array_equal(ran(made_again, x), ran(wanted, x))
    assert [edit.to_dict().get("after") for edit in plan.edits[1:]] in ([], [[1, 16, size[0] // 8, size[1] // 8]])


def ran(proto: onnx.ModelProto, x: numpy.ndarray[Any, Any]) -> Any:
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


STAGES = """
<ir_version: 9, opset_import: ["" : 18]>
stages (float[1, 3, 32, 32] x) => (float[1, 4, 8, 8] y)
<int64[4] sizes = {1, 4, 8, 8}>
{
  fine = Conv <strides = [4, 4]> (x, fine_w)
  coarse = MaxPool <kernel_shape = [6, 6], strides = [6, 6], pads = [2, 2, 2, 2]> (fine)
  large = Resize <mode = "linear"> (coarse, , , sizes)
  y = Add (fine, large)
}
"""


def test_a_map_that_stayed_is_scaled_to_the_one_that_changed() -> None:
    proto = onnx.parser.parse_model(STAGES)
    proto.graph.initializer.append(numpy_helper.from_array(numpy.ones((4, 3, 4, 4), numpy.float32), "fine_w"))
    plan = shapecalc.load(proto).retarget(input=36)  # the coarse map is 2×2 at 32 and at 36
    assert [edit.describe() for edit in plan.edits[1:]] == ["Resize_2: sizes [1, 4, 8, 8] → [1, 4, 9, 9]"]
    assert plan.verify(device="cpu").ok


@pytest.mark.parametrize(
    ("asked", "told"), [({"input": 32}, 1), ({"classes": 5}, 0), ({"input": 32, "repair": "resize"}, 0)]
)
def test_an_output_of_constants_alone_is_told_of(asked: dict[str, Any], told: int) -> None:
    """Boxes that were written down for one size; an image scaled in front keeps them what they were."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["map"], "conv", kernel_shape=[1, 1]),
        helper.make_node("GlobalAveragePool", ["map"], ["mean"], "mean"),
        helper.make_node("Flatten", ["mean"], ["flat"], "flat"),
        helper.make_node("Gemm", ["flat", "head"], ["scores"], "fc", transB=1),
        helper.make_node("Identity", ["made"], ["boxes"], "written"),
    ]
    rng = numpy.random.default_rng(0)
    shapes = {"w": (4, 3, 1, 1), "head": (3, 4), "made": (1, 2, 64)}
    held = [numpy_helper.from_array(rng.standard_normal(s).astype(numpy.float32), n) for n, s in shapes.items()]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 16, 16])
    ends = [onnx.ValueInfoProto(name=name) for name in ("scores", "boxes")]
    graph = helper.make_graph(nodes, "net", [given], ends, held)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    found = shapecalc.load(made.SerializeToString(), format="onnx").retarget(**asked)
    assert [remark.split(",")[0] for remark in found.remarks()] == ["boxes"] * told
