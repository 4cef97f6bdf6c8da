"""Nets that cut maps into windows, at other sizes: equal to the same net as it would be exported there."""

from __future__ import annotations

import json
from math import log
from pathlib import Path
from typing import Any

import numpy
import onnx
import onnx.parser
import onnxruntime
import pytest
from onnx import numpy_helper

import shapecalc
from shapecalc.coordinates import FARTHEST, Law, apart
from shapecalc.dims import show
from shapecalc.folding import folded
from shapecalc.resampling import _offsets, _shifted, geometric, over_offsets, over_places
from shapecalc.surgery.exports.growing import followed
from shapecalc.surgery.exports.rebake import rebake
from shapecalc.surgery.exports.remarks import Cut, grown, kept, wholes
from shapecalc.surgery.exports.retable import Resample, SetConstant
from shapecalc.surgery.exports.windows import Partition
from shapecalc.waves import spanned

DATA = Path(__file__).parent / "data"
CHANNELS, WINDOW = 4, 4


class Net:
    """Two stages of attention in windows of 4×4, the second block of each shifted, as PyTorch's exporter writes them.

    What it writes down is for one size: the padding (that is nothing at 16×16), targets, masks, where a roll meets.
    """

    def __init__(self, size: tuple[int, int], pads: bool = True, law: Law | None = None, apart: bool = False) -> None:
        self.lines: list[str] = []
        self.arrays: dict[str, Any] = {}
        self.pads = pads
        self.apart = apart  # whether the windows of each image are apart where they are masked
        self.law = law
        self.wide = (WINDOW, WINDOW) if law is None or law.scaled else (size[0] * WINDOW // 16, size[1] * WINDOW // 16)
        self.noise = numpy.random.default_rng(7)
        self.add("map", "Conv <strides = [2, 2]> (x, patch)")
        self.weight("patch", CHANNELS, 3, 2, 2)
        value = self.add("last", "Transpose <perm = [0, 2, 3, 1]> (map)")
        sides = (size[0] // 2, size[1] // 2)
        for stage in ("a", "b"):
            for block in (0, 1):
                value = self.block(f"{stage}{block}", value, sides, bool(block))
            if stage == "a":
                value = self.halved(value, sides)
                sides = (sides[0] // 2, sides[1] // 2)
        self.add("y", f"ReduceMean <axes = [1, 2], keepdims = 0> ({value})")
        head = f"net (float[1, 3, {size[0]}, {size[1]}] x) => (float[1, {CHANNELS}] y)"
        text = '<ir_version: 8, opset_import: ["" : 17]>\n' + head + " {\n" + "\n".join(self.lines) + "\n}"
        self.proto = onnx.parser.parse_model(text)
        self.proto.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in self.arrays.items())

    def add(self, value: str, expression: str) -> str:
        self.lines.append(f"  {value} = {expression}")
        return value

    def weight(self, name: str, *shape: int) -> str:
        self.arrays[name] = self.noise.standard_normal(shape, dtype=numpy.float32) / 3  # no score outweighs all others
        return name

    def held(self, name: str, numbers: Any) -> str:
        self.arrays[name] = numpy.asarray(numbers)
        return name

    def reshape(self, value: str, source: str, *target: int) -> str:
        return self.add(value, f"Reshape ({source}, {self.held(f'{value}_to', numpy.array(target, numpy.int64))})")

    def rolled(self, name: str, value: str, steps: tuple[int, int], sides: tuple[int, int]) -> str:
        for axis, (step, side) in enumerate(zip(steps, sides, strict=True), 1):
            if not step % side:
                continue
            at, here = self.held(f"{name}{axis}_at", numpy.array([-step % side], numpy.int64)), f"{name}{axis}"
            zero, end, which = (
                self.held(f"{here}_{w}", numpy.array([n], numpy.int64))
                for w, n in (("zero", 0), ("end", side), ("axis", axis))
            )
            tail = self.add(f"{here}_tail", f"Slice ({value}, {at}, {end}, {which})")
            front = self.add(f"{here}_front", f"Slice ({value}, {zero}, {at}, {which})")
            value = self.add(here, f"Concat <axis = {axis}> ({tail}, {front})")
        return value

    def block(self, name: str, value: str, sides: tuple[int, int], shifted: bool) -> str:
        window = tuple(min(wide, side) for wide, side in zip(self.wide, sides, strict=True))
        shift = tuple(wide // 2 * (shifted and side > wide) for wide, side in zip(self.wide, sides, strict=True))
        more = [-side % wide for side, wide in zip(sides, window, strict=True)]
        high, wide = (side + extra for side, extra in zip(sides, more, strict=True))
        down, across = high // window[0], wide // window[1]
        places, windows = window[0] * window[1], down * across
        moved = self.rolled(f"{name}_roll", value, (-shift[0], -shift[1]), sides) if any(shift) else value
        if self.pads:
            pads = self.held(f"{name}_pads", numpy.array([0, 0, 0, 0, 0, *more, 0], numpy.int64))
            moved = self.add(f"{name}_padded", f"Pad ({moved}, {pads})")
        cut = self.reshape(f"{name}_cut", moved, 1, down, window[0], across, window[1], CHANNELS)
        turned = self.add(f"{name}_turned", f"Transpose <perm = [0, 1, 3, 2, 4, 5]> ({cut})")
        rows = self.reshape(f"{name}_rows", turned, windows, places, CHANNELS)
        keys = self.add(f"{name}_keys", f"Transpose <perm = [0, 2, 1]> ({rows})")
        scores = self.add(f"{name}_scores", f"MatMul ({rows}, {keys})")
        scores = self.add(f"{name}_placed", f"Add ({scores}, {self.bias(name, window)})")
        if any(shift):
            mask = numpy.where(_shifted((high, wide), window, shift), -100.0, 0.0)  # type: ignore[arg-type]
            masked = self.held(f"{name}_mask", mask.astype(numpy.float32))
            if self.apart:
                scores = self.reshape(f"{name}_apart", scores, -1, windows, places, places)
            scores = self.add(f"{name}_masked", f"Add ({scores}, {masked})")
            if self.apart:
                scores = self.reshape(f"{name}_joined", scores, -1, places, places)
        shares = self.add(f"{name}_shares", f"Softmax <axis = -1> ({scores})")
        seen = self.add(f"{name}_seen", f"MatMul ({shares}, {rows})")
        back = self.reshape(f"{name}_back", seen, 1, down, across, *window, CHANNELS)
        straight = self.add(f"{name}_straight", f"Transpose <perm = [0, 1, 3, 2, 4, 5]> ({back})")
        whole = self.reshape(f"{name}_whole", straight, 1, high, wide, CHANNELS)
        if any(more):
            cut_to = [
                self.held(f"{name}_{w}", numpy.array(n, numpy.int64))
                for w, n in (("s", [0, 0]), ("e", sides), ("a", [1, 2]))
            ]
            whole = self.add(f"{name}_trimmed", f"Slice ({whole}, {', '.join(cut_to)})")
        whole = self.rolled(f"{name}_unroll", whole, shift, sides) if any(shift) else whole  # type: ignore[arg-type]
        return self.add(f"{name}_out", f"Add ({value}, {whole})")

    def bias(self, name: str, window: tuple[int, ...]) -> str:
        """A table of offsets, looked up in the graph: (1, places, places); or an MLP over a table of distances."""
        if self.law is not None:
            offsets = apart(window).reshape(-1, 2)  # type: ignore[arg-type]
            rows = numpy.stack([self.law.at(WINDOW).of(offsets[:, axis]) for axis in (0, 1)], axis=1)
            self.held(f"{name}_distances", rows.astype(numpy.float32))
            weights = [
                self.weight(f"{name}_{word}", *shape) for word, shape in (("in", (8, 2)), ("b", (8,)), ("c", (1, 8)))
            ]
            hidden = self.add(f"{name}_hidden", f"Gemm <transB = 1> ({name}_distances, {weights[0]}, {weights[1]})")
            made = self.add(
                f"{name}_made", f"Gemm <transB = 1> ({self.add(f'{name}_relu', f'Relu ({hidden})')}, {weights[2]})"
            )
            turned = self.add(f"{name}_row", f"Transpose <perm = [1, 0]> ({made})")
            return self.reshape(f"{name}_bias", turned, 1, window[0] * window[1], window[0] * window[1])
        table = self.noise.standard_normal(((2 * WINDOW - 1) ** 2, 1), dtype=numpy.float32)
        if window != (WINDOW, WINDOW):
            full = table[_offsets((WINDOW, WINDOW))][..., 0][None]
            return self.held(f"{name}_bias", over_offsets(full, (1, 2), (WINDOW, WINDOW), window, 0))  # type: ignore[arg-type]
        self.held(f"{name}_table", table)
        found = self.add(f"{name}_found", f"Gather ({name}_table, {self.held(f'{name}_index', _offsets((4, 4)))})")
        return self.add(f"{name}_bias", f"Transpose <perm = [2, 0, 1]> ({found})")

    def halved(self, value: str, sides: tuple[int, int]) -> str:
        cut = self.reshape("merge_cut", value, 1, sides[0] // 2, 2, sides[1] // 2, 2, CHANNELS)
        turned = self.add("merge_turned", f"Transpose <perm = [0, 1, 3, 4, 2, 5]> ({cut})")
        joined = self.reshape("merge_joined", turned, 1, sides[0] // 2, sides[1] // 2, 4 * CHANNELS)
        return self.add("merged", f"MatMul ({joined}, {self.weight('merging', 4 * CHANNELS, CHANNELS)})")


def run(proto: onnx.ModelProto, size: tuple[int, int]) -> Any:
    image = numpy.random.default_rng(0).standard_normal((1, 3, *size), numpy.float32)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": image})[0]


#: Sizes whose maps need padding, are cut into one window where there was one, into several, or are smaller than one.
SIZES = [(24, 24), (20, 28), (32, 16), (12, 40), (32, 32)]


@pytest.mark.parametrize("size", SIZES)
def test_a_net_of_shifted_windows_is_the_one_of_that_size(tmp_path: Path, size: tuple[int, int]) -> None:
    onnx.save(Net((16, 16)).proto, tmp_path / "net.onnx")
    plan = shapecalc.load(tmp_path / "net.onnx").retarget(input=size)
    plan.save(tmp_path / "out.onnx", device="cpu")
    wanted = run(Net(size).proto, size)
    got = run(onnx.load(tmp_path / "out.onnx"), size)
    assert numpy.abs(got - wanted).max() < 1e-5 * numpy.abs(wanted).max()


@pytest.fixture(scope="module")
def free(tmp_path_factory: pytest.TempPathFactory) -> tuple[shapecalc.Plan, onnx.ModelProto]:
    """The net of 16×16 with height and width left free: its plan, and what is written."""
    folder = tmp_path_factory.mktemp("free")
    onnx.save(Net((16, 16)).proto, folder / "net.onnx")
    plan = shapecalc.load(folder / "net.onnx").retarget(input="?x?")
    return plan, onnx.load(plan.save(folder / "free.onnx", device="cpu"))


@pytest.mark.parametrize("size", [(16, 16), (24, 24), (20, 28), (32, 16), (32, 32), (16, 104)])
def test_a_net_of_shifted_windows_follows_any_size(
    free: tuple[shapecalc.Plan, onnx.ModelProto], size: tuple[int, int]
) -> None:
    wanted, got = run(Net(size).proto, size), run(free[1], size)
    assert numpy.abs(got - wanted).max() < 1e-5 * numpy.abs(wanted).max()


@pytest.mark.parametrize("size", [(12, 16), (16, 12), (8, 40)])
def test_a_map_too_small_for_windows_that_stay_is_refused_when_it_runs(
    free: tuple[shapecalc.Plan, onnx.ModelProto], size: tuple[int, int]
) -> None:
    with pytest.raises(Exception, match=r"needs_a_map_of_(4×4|5×5)"):
        run(free[1], size)


def test_the_batch_is_left_free_with_the_size_of_windows(tmp_path: Path) -> None:
    onnx.save(Net((16, 16), apart=True).proto, tmp_path / "net.onnx")
    plan = shapecalc.load(tmp_path / "net.onnx").retarget(input="Nx3x?x?")
    written = onnx.load(plan.save(tmp_path / "free.onnx", device="cpu"))
    session = onnxruntime.InferenceSession(written.SerializeToString(), providers=["CPUExecutionProvider"])
    image = numpy.random.default_rng(0).standard_normal((1, 3, 20, 28), numpy.float32)
    got = session.run(None, {"x": numpy.concatenate([-image, image, image])})[0]
    wanted = run(Net((20, 28)).proto, (20, 28))
    assert got.shape == (3, CHANNELS)
    assert numpy.abs(got[1:] - wanted).max() < 1e-5 * numpy.abs(wanted).max()


def test_what_is_done_to_windows_when_they_run_is_said(free: tuple[shapecalc.Plan, onnx.ModelProto]) -> None:
    said = [edit.describe() for edit in free[0].edits]
    shift = "(4//2 where b0_out[1] > 4)×(4//2 where b0_out[2] > 4)"
    assert f"Pad_64: its windows are shifted where it has several, by {shift}" in said
    assert "Reshape_77: what was padded taken off, the shift undone when it runs, to the map of b0_out" in said
    assert "Add_32: a mask for windows shifted by 2, computed when it runs, which refuses maps below 5×5" in said


ANY_SIDE, OF_ITS_SIDE = Law(1.0, 1.0, False), Law(1 / log(FARTHEST), FARTHEST / (WINDOW - 1), True)


@pytest.mark.parametrize("size", [(24, 24), (20, 28), (32, 16), (8, 16), (32, 32)])
def test_windows_follow_the_image_where_their_biases_are_computed_from_distances(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    onnx.save(Net((16, 16), law=ANY_SIDE).proto, tmp_path / "net.onnx")
    plan = shapecalc.load(tmp_path / "net.onnx").retarget(input=size)
    assert "their biases are computed from distances and have no side" in " ".join(plan.remarks())
    plan.save(tmp_path / "out.onnx", device="cpu")
    wanted = run(Net(size, law=ANY_SIDE).proto, size)
    got = run(onnx.load(tmp_path / "out.onnx"), size)
    assert numpy.abs(got - wanted).max() < 1e-5 * numpy.abs(wanted).max()


def test_windows_that_could_follow_and_come_out_in_no_whole_number_stay_and_it_is_said(tmp_path: Path) -> None:
    assert followed((4, 4), (1.5, 2.0)) == (6, 8)
    assert followed((4, 4), (1.125, 2.0)) is None
    cuts = {"cut": Cut((2, 4), (1, 3, 4, 3, 4, 4))}
    for law, said in ((ANY_SIDE, ["its windows stay 4×4 and the map is padded"]), (OF_ITS_SIDE, [])):
        onnx.save(Net((16, 16), law=law).proto, tmp_path / "net.onnx")
        told = kept(cuts, shapecalc.load(tmp_path / "net.onnx").graph)
        assert [words in line for words, line in zip(said, told, strict=True)] == [True] * len(said)


def test_of_a_model_without_numbers_it_is_said_that_windows_might_follow() -> None:
    plan = shapecalc.load(Net((16, 16), law=ANY_SIDE).proto).retarget(input=24)
    assert [line for line in plan.remarks() if "may hold distances" in line and "by its path" in line] == plan.remarks()
    assert len(plan.remarks()) == 1
    assert shapecalc.load(Net((16, 16)).proto).retarget(input=24).remarks() == []


def test_windows_stay_where_their_distances_are_told_in_shares_of_one(tmp_path: Path) -> None:
    onnx.save(Net((16, 16), law=OF_ITS_SIDE).proto, tmp_path / "net.onnx")
    plan = shapecalc.load(tmp_path / "net.onnx").retarget(input=24)
    assert plan.remarks() == []
    plan.save(tmp_path / "out.onnx", device="cpu")
    wanted, got = run(Net((24, 24), law=OF_ITS_SIDE).proto, (24, 24)), run(onnx.load(tmp_path / "out.onnx"), (24, 24))
    assert numpy.abs(got - wanted).max() < 1e-5 * numpy.abs(wanted).max()


def test_a_map_as_large_as_the_windows_that_grew_is_told_of() -> None:
    edit = Resample("scores", "table", "relative", ((0, 1), (7, 7), (8, 8), 0), (64, 64), "interpolated")
    assert "attended to a map of 7×7 as a whole attends to 8×8" in wholes([edit], {(7, 7)})[0]
    assert wholes([edit], {(8, 8)}) == []
    assert wholes([edit._replace(arguments=((0, 1), (7, 7), (5, 5), 0))], {(7, 7)}) == []


def test_the_plan_is_replayed_and_says_its_shift(tmp_path: Path) -> None:
    onnx.save(Net((16, 16)).proto, tmp_path / "net.onnx")
    model = shapecalc.load(tmp_path / "net.onnx")
    plan = model.retarget(input=24)
    said = [edit.describe() for edit in plan.edits]
    assert any("its windows are shifted by 2×2 from now on" in line for line in said)
    assert any("a mask for shifted 4×4 windows of 8×8" in line for line in said)
    plan.save_plan(tmp_path / "plan.json")
    again = model.replay(tmp_path / "plan.json")
    assert [edit.describe() for edit in again.edits] == said


def test_without_padding_there_are_as_many_windows_as_before() -> None:
    part = Partition("cut", "", "softmax", "join", (2, 4), (1, 8, 7, 8, 7, 96), False, (1, 56, 56, 96))
    assert part.cut((1, 72, 88, 96)) == (1, 8, 9, 8, 11, 96)
    grid = part._replace(sides=(1, 3), before=(1, 7, 8, 7, 8, 96))
    assert grid.cut((1, 72, 88, 96)) == (1, 9, 8, 11, 8, 96)
    assert part.cut((1, 57, 56, 96)) is None


def test_with_padding_windows_keep_their_side() -> None:
    part = Partition("cut", "pad", "softmax", "join", (2, 4), (1, 8, 7, 8, 7, 96), False, (1, 56, 56, 96))
    assert part.padded((1, 64, 6, 96)) == (6, 1)
    assert part.cut((1, 70, 7, 96)) == (1, 10, 7, 1, 7, 96)
    shrinking = part._replace(shrinks=True)
    assert shrinking.padded((1, 64, 6, 96)) == (6, 0)
    assert shrinking.cut((1, 70, 6, 96)) == (1, 10, 7, 1, 6, 96)


@pytest.mark.parametrize(
    "row", json.loads((DATA / "offsets_timm.json").read_text())["rows"], ids=lambda r: f"{r['before']} to {r['now']}"
)
def test_offsets_are_spread_as_timm_does(row: dict[str, Any]) -> None:
    (high, wide), (new_high, new_wide) = row["before"], row["now"]
    down, across = geometric(2 * high - 1, 2 * new_high - 1), geometric(2 * wide - 1, 2 * new_wide - 1)
    made = down @ numpy.reshape(row["table"], (2 * high - 1, 2 * wide - 1)) @ across.T
    assert numpy.abs(made.reshape(-1) - row["spread"]).max() < 1e-5


BANDS = numpy.array([1.0, 0.3, 0.01])


def waves(size: tuple[int, int], start: str) -> Any:
    """Rotary tables as EVA-02 ("zero"), DETR ("one") and DINOv3 ("centre") make them for a map that was 14×14."""
    angles = []
    for axis, count in enumerate(size):
        first = {"zero": 0.0, "one": 1.0, "centre": -(count - 1) / 2}[start]
        places = (numpy.arange(count) + first) * 14 / count
        shape = [1, 1, len(BANDS)]
        shape[axis] = count
        angles.append(numpy.broadcast_to((places[:, None] * BANDS).reshape(shape), (*size, len(BANDS))))
    angle = numpy.concatenate(angles, axis=-1)
    return numpy.concatenate([numpy.sin(angle), numpy.cos(angle)], axis=-1).astype(numpy.float32)


@pytest.mark.parametrize("start", ["zero", "one", "centre"])
@pytest.mark.parametrize("size", [(16, 16), (12, 20), (28, 7)])
def test_waves_are_computed_where_a_table_is_made_of_them(start: str, size: tuple[int, int]) -> None:
    made = spanned(waves((14, 14), start), size)
    assert made is not None
    assert numpy.abs(made - waves(size, start)).max() < 1e-4
    table = waves((14, 14), start).reshape(1, 196, -1)
    rows = over_places(table, 1, (14, 14), size, 0)
    assert numpy.array_equal(rows[0].reshape(*size, -1), made)


def test_a_learned_table_is_made_of_no_waves() -> None:
    learned = numpy.random.default_rng(0).random((14, 14, 6), dtype=numpy.float32)
    assert spanned(learned, (16, 16)) is None
    moved = waves((14, 14), "zero")
    moved[3, 4, 0] += 0.001
    assert spanned(moved, (16, 16)) is None


def test_a_chain_of_operators_is_computed() -> None:
    table, index = numpy.arange(6.0).reshape(3, 2), numpy.array([[0, 2], [1, 1]])
    steps = (
        ("Gather", (0, 1), ()),
        ("Transpose", (2,), (("perm", (2, 0, 1)),)),
        ("Unsqueeze", (3,), (("axes", (0,)),)),
    )
    made = folded(table, index, steps, "", ())
    assert made.tolist() == [[[[0, 4], [2, 2]], [[1, 5], [3, 3]]]]
    with pytest.raises(shapecalc.ShapecalcError, match="what Conv makes of weights cannot be computed"):
        folded(table, (("Conv", (0,), ()),), "", ())


def test_a_reshape_that_stays_wrong_is_left() -> None:
    proto = Net((16, 16)).proto
    model = shapecalc.load(proto)
    fitting = model.retrace(model.graph, model.native)
    found = rebake(model.graph, fitting, {"x": (1, 3, 17, 31)}, model.retrace)
    assert len(found.edits) < len(proto.graph.node) * 3


CUT = (1, 4, 7, 4, 7, 96)
GRID = (1, 7, 4, 7, 4, 96)


@pytest.mark.parametrize(
    ("cuts", "said"),
    [
        ([((2, 4), CUT, (1, 4, 8, 4, 8, 96))], "7×7 became windows of 8×8"),
        ([((2, 4), CUT, (1, 4, 6, 4, 10, 96))], "7×7 became windows of 6×10"),
        ([((2, 4), CUT, (1, 5, 7, 5, 7, 96))], None),
        ([((2, 4), CUT, (1, 4, 8, 4, 8, 96)), ((1, 3), GRID, (1, 8, 4, 8, 4, 96))], None),
        ([((2, 4), CUT, (1, 4, 8, 4, 8, 96)), ((), GRID, (1, 8, 4, 8, 4, 96))], "7×7 became windows of 8×8"),
        ([((), (1, 196, 96), (1, 256, 96))], None),
    ],
    ids=["grew", "to a rectangle", "more of them", "and MaxViT's grid", "and pairs that are merged", "no cut"],
)
def test_windows_that_grow_are_told_of_where_the_file_does_not_say_that_they_do(cuts: Any, said: str | None) -> None:
    edits = [SetConstant(f"cut_{i}", 1, "shape", after, before) for i, (_, before, after) in enumerate(cuts)]
    made = {f"cut_{i}": Cut(sides, after) for i, (sides, _, after) in enumerate(cuts) if sides}
    told = grown(edits, made)
    assert said == (None if told is None else f"{show(told[1])} became windows of {show(told[2])}")
