"""Receptive fields: by hand, published, followed tap by tap, and measured by changing pixels in onnxruntime."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from rich.console import Console
from slim_nets import graph
from tools.measure_fields import maps_of, measure

import shapecalc
from shapecalc.explain import last_map
from shapecalc.graph import Graph, Input, Node, Param
from shapecalc.receptive import Field, UnseenError, View, join, pixels
from shapecalc.receptive.field import Reads, of_window
from shapecalc.report.words import print_totals
from shapecalc.window import TransposedWindow, Window
from shapecalc.zoo import entries


def behind(windows: list[Any], n: int) -> tuple[Field, int]:
    """What elements see behind windows on ``n`` pixels, and how many there are."""
    field = pixels(n)
    for window in windows:
        field, n = field.through(window, n), int(window.size(n))
    return field, n


@pytest.mark.parametrize(
    ("windows", "n", "size", "jump", "start"),
    [
        ([Window(3)], 9, 3, 1, 1.0),
        ([Window(3, 1, 1, 1)], 9, 3, 1, 0.0),
        ([Window(2, 2)], 8, 2, 2, 0.5),
        ([Window(3, 2, 1, 1), Window(3, 2, 1, 1)], 16, 7, 4, 0.0),
        ([Window(3, 1, 2, 2, 2)], 9, 5, 1, 0.0),
        ([Window(3, 2, padding_mode="same_upper")], 8, 3, 2, 1.0),
        ([Window(3, 2, padding_mode="same_lower")], 8, 3, 2, 0.0),
        # a transposed 4/2 pad 1 reads two elements: the first the one before it and its own, the second two on
        ([Window(2, 2), TransposedWindow(4, 2, 1, 1)], 8, 4, 1, -0.5),
        # a transposed 3/2 reads two elements and one in turn; three of its places see elements -1 to 1, then 0 to 1
        ([Window(3, 1), TransposedWindow(3, 2), Window(3, 1)], 9, 5, 0.5, 1.0),
    ],
)
def test_fields_by_hand(windows: list[Any], n: int, size: int, jump: float, start: float) -> None:
    field, _ = behind(windows, n)
    assert (field.size, field.jump, field.start) == (size, jump, start)


# -- published ---------------------------------------------------------------------------------------------------------

TABLE = json.loads((Path(__file__).parent / "data" / "receptive_fields.json").read_text())["rows"]


@pytest.mark.parametrize(("net", "size"), sorted({(row[0], row[1]) for row in TABLE}))
def test_published_fields(net: str, size: int) -> None:
    made, points = graph(net, size)
    seen = shapecalc.Model(made, net).trace().seen
    found = []
    for point in (row[2] for row in TABLE if row[:2] == [net, size]):
        view = seen[points[point]]
        assert isinstance(view, View)
        found += [[net, size, point, f.size, f.jump, f.padding] for f in view.fields]
    assert found == [row for row in TABLE if row[:2] == [net, size] for _ in range(2)]


@pytest.mark.parametrize(
    ("net", "layer", "published"),
    [("alexnet", "pool5", (195, 32, 64)), ("vgg16", "pool5", (212, 32, 90)), ("resnet50", "res5c", (483, 32, 239))],
)
def test_the_zoo_has_the_published_fields(net: str, layer: str, published: tuple[int, int, int]) -> None:
    for field in shapecalc.load(net).trace().layer(layer).fields:
        assert (field.size, field.jump, field.padding) == published
        assert field.aligned


def test_a_fully_connected_layer_sees_the_whole_map() -> None:
    assert shapecalc.load("alexnet").trace().layer("fc6").receptive_field == 195 + 5 * 32


# -- joins -------------------------------------------------------------------------------------------------------------


def test_branches_see_their_hull_and_say_where_they_disagree() -> None:
    """A 3/2 at once and one that begins two pixels later; a 3/2 and a 7/2 around the same pixels."""
    first, wide = pixels(20).through(Window(3, 2), 20), pixels(20).through(Window(7, 2, 2, 2), 20)
    late = first.read(Reads(((1, 1),), 1), 8)
    assert (join([first, wide], 8).size, join([first, wide], 8).misaligned) == (7, "")
    joined = join([first, late], 8)
    assert (joined.size, joined.start, joined.aligned) == (5, 2.0, False)
    assert joined.misaligned == "the first places of its branches are centred on pixels 1 and 3"


def test_branches_of_unlike_steps_are_refused() -> None:
    with pytest.raises(
        UnseenError, match="its branches step 1 and 2 pixels, so their places do not lie over each other"
    ):
        join([pixels(8), pixels(16).through(Window(2, 2), 16)], 8)


def made(nodes: list[Node], params: list[Param], size: int = 8, output: str = "y") -> shapecalc.Trace:
    return shapecalc.Model(Graph("g", [Input("x", (1, 3, size, size))], nodes, [output], params), "g").trace()


def test_a_refused_join_names_its_layer_and_takes_what_is_behind_it_with_it() -> None:
    nodes = [
        Node("half", "MaxPool", ["x"], ["a"], {"kernel_shape": [2, 2], "strides": [2, 2]}),
        Node("crop", "Slice", ["x", "from", "to", "axes"], ["b"]),
        Node("sum", "Add", ["a", "b"], ["c"]),
        Node("relu", "Relu", ["c"], ["y"]),
    ]
    places = {"from": (0, 0), "to": (4, 4), "axes": (2, 3)}
    params = [Param(name, (2,), "int64", contents=at, trained=False) for name, at in places.items()]
    trace = made(nodes, params)
    assert (trace.layer("half").receptive_field, trace.layer("crop").receptive_field) == (2, 1)
    refused = "sum: its branches step 1 and 2 pixels, so their places do not lie over each other"
    assert [(trace.layer(name).receptive_field, trace.layer(name).unseen) for name in ("sum", "relu")] == [
        (None, refused),
        (None, refused),
    ]


@pytest.mark.parametrize(
    ("op", "attrs", "size"),
    [
        ("Relu", {}, 3),
        ("DepthToSpace", {"blocksize": 2}, 3),
        ("SpaceToDepth", {"blocksize": 2}, 4),
        ("ReduceMean", {"axes": [2, 3]}, 10),
        ("ReduceMean", {"axes": [1]}, 3),
        ("InstanceNormalization", {}, 10),
        ("Transpose", {"perm": [0, 3, 2, 1]}, 3),
        ("NonMaxSuppression", {}, None),
    ],
)
def test_what_moves_or_mixes_places(op: str, attrs: dict[str, Any], size: int | None) -> None:
    """Behind a 3/1 pad 1 of 8x8 pixels; what sees all of the map sees 8 and a padding pixel on either side."""
    conv = Node("conv", "Conv", ["x", "w"], ["a"], {"pads": [1, 1, 1, 1]})
    inputs = ["a", "s", "s"] if op == "InstanceNormalization" else ["a"]
    params = [Param("w", (4, 3, 3, 3)), Param("s", (4,))]
    trace = made([conv, Node("op", op, inputs, ["b"], attrs), Node("after", "Relu", ["b"], ["y"])], params)
    assert trace.layer("conv").receptive_field == 3
    assert [trace.layer(name).receptive_field for name in ("op", "after")] == [size, size]
    assert (trace.layer("op").unseen is None) == (size is not None)


def test_the_share_of_places_that_see_padding() -> None:
    """A 3/1 pad 1 on 8x8: 36 of 64 places are inside; without padding all are."""
    shares = {"padded": [1, 1, 1, 1], "valid": [0, 0, 0, 0]}
    nodes = [Node(name, "Conv", ["x", "w"], [name], {"pads": pads}) for name, pads in shares.items()]
    trace = made(nodes, [Param("w", (4, 3, 3, 3))], output="valid")
    assert [trace.layer(name).sees_padding for name in shares] == [1 - 36 / 64, 0]


def test_the_net_s_field_is_that_of_its_last_map() -> None:
    """Behind the flattening there are three axes again, and none of them is the image's."""
    text = """input: "x" input_shape { dim: [1, 3, 8, 8] }
    layer { name: "conv" type: "Convolution" bottom: "x" top: "c" convolution_param { num_output: 6 kernel_size: 3 } }
    layer { name: "flat" type: "Flatten" bottom: "c" top: "f" }
    layer { name: "rows" type: "Reshape" bottom: "f" top: "r" reshape_param { shape { dim: [0, -1, 3] } } }
    """
    trace = shapecalc.loads(text, format="caffe").trace()
    last = last_map(trace)
    assert last is not None
    assert (last.name, last.axes) == ("conv", (2, 3))
    assert (trace.layer("rows").receptive_field, trace.layer("rows").axes) == (8, ())


SQUEEZED = """input: "x" input_shape { dim: [1, 3, 8, 8] }
layer { name: "conv" type: "Convolution" bottom: "x" top: "c" convolution_param { num_output: 6 kernel_size: 3 } }
layer { name: "squeeze" type: "Pooling" bottom: "c" top: "s" pooling_param { pool: AVE global_pooling: true } }
layer { name: "flat" type: "Flatten" bottom: "s" top: "f" }
layer { name: "excite" type: "Scale" bottom: "c" bottom: "f" top: "y" scale_param { axis: 0 } }
"""


def test_a_value_that_all_places_read_shows_them_all_it_sees(capsys: pytest.CaptureFixture[str]) -> None:
    trace = shapecalc.loads(SQUEEZED, format="caffe").trace()
    (height, _) = trace.layer("excite").fields
    assert (height.size, height.jump, [height.seen(i) for i in range(6)]) == (8, 0, [(0, 7)] * 6)
    print_totals(Console(), trace)
    assert "every place of excite sees the same 8 pixels" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(("kernel", "stride"), [(10**12, 1), (1, 10**12), (10**12, 10**12), (5000, 5000)])
def test_intervals_that_hardly_repeat_are_not_followed(kernel: int, stride: int) -> None:
    with pytest.raises(UnseenError, match="repeats after"):
        pixels(8).through(TransposedWindow(kernel, stride), 8)
    wide = pixels(8).through(Window(kernel, stride, kernel, kernel), 8)
    assert (wide.size, wide.jump) == (kernel, stride)


def test_a_resize_to_a_size_without_a_common_factor_is_not_followed() -> None:
    sizes = Param("s", (4,), "int64", contents=(1, 3, 10**12 + 39, 10**12 + 39), trained=False)
    trace = made([Node("up", "Resize", ["x", "", "", "s"], ["y"], {"mode": "nearest"})], [sizes])
    assert trace.layer("up").unseen == "up: what its places see repeats after 1000000000039 places only"


# -- followed tap by tap -----------------------------------------------------------------------------------------------


def followed(window: Any, places: list[set[int]]) -> list[set[int]]:
    """The pixels that each place of a window depends on, by following every tap."""
    n, out = len(places), int(window.size(len(places)))
    found: list[set[int]] = [set() for _ in range(out)]
    taps = range(0, int(window.extent), window.dilation)
    if isinstance(window, TransposedWindow):
        pairs = [(e * window.stride + tap - int(window.pad_begin), e) for e in range(n) for tap in taps]
    else:
        begin, _ = window.pads(n)
        pairs = [(o, o * window.stride - begin + tap) for o in range(out) for tap in taps]
    for o, e in pairs:
        if 0 <= o < out and 0 <= e < n:
            found[o] |= places[e]
    return found


WINDOWS = st.one_of(
    st.builds(Window, st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(0, 2)),
    st.builds(Window, st.integers(2, 3), st.integers(1, 2), padding_mode=st.sampled_from(["same_upper", "same_lower"])),
    st.integers(1, 3).flatmap(lambda s: st.builds(TransposedWindow, st.integers(s, 4), st.just(s), st.integers(0, 1))),
)


@given(st.lists(WINDOWS, min_size=1, max_size=4), st.integers(12, 40))
def test_every_place_sees_what_following_every_tap_finds(windows: list[Any], n: int) -> None:
    field, places = pixels(n), [{pixel} for pixel in range(n)]
    for window in windows:
        if int(window.size(len(places))) < 1:
            return
        field, places = field.through(window, len(places)), followed(window, places)
    seen = [field.seen(element) for element in range(len(places))]
    assert field.edges
    assert [(low, high) if low <= high else None for low, high in seen] == [
        (min(place), max(place)) if place else None for place in places
    ]


@given(st.lists(WINDOWS, min_size=1, max_size=3))
def test_a_place_is_clean_where_every_window_stays_inside(windows: list[Any]) -> None:
    field, n, clean = pixels(60), 60, [True] * 60
    for window in windows:
        spans = [of_window(window, n).span(o) for o in range(int(window.size(n)))]
        clean = [a >= 0 and b < n and all(clean[a : b + 1]) for a, b in spans]
        field, n = field.through(window, n), len(spans)
    first, last = field.clean
    assert [first <= element <= last for element in range(n)] == clean


# -- measured ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("net", sorted(entries()))
def test_a_changed_pixel_changes_the_places_that_see_it(net: str) -> None:
    """On every map of every net of the zoo, at a size small enough for pixels to miss places."""
    found = measure(*maps_of(net, 64))
    assert found.maps > 3
    assert (found.wrong, found.holes) == ([], [])


RESIZED: list[dict[str, Any]] = [
    *({"mode": "nearest", "coordinate_transformation_mode": c} for c in ("asymmetric", "half_pixel", "align_corners")),
    {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"},
    {"mode": "nearest", "nearest_mode": "ceil", "coordinate_transformation_mode": "half_pixel"},
    *({"mode": "linear", "coordinate_transformation_mode": c} for c in ("asymmetric", "half_pixel", "align_corners")),
    {"mode": "linear", "coordinate_transformation_mode": "pytorch_half_pixel"},
    {"mode": "cubic", "coordinate_transformation_mode": "half_pixel"},
]


@pytest.mark.parametrize("size", [12, 24, 36, 40, 18])
@pytest.mark.parametrize("attrs", RESIZED, ids=lambda attrs: "-".join(attrs.values()))
def test_a_resized_map_sees_what_is_measured(attrs: dict[str, Any], size: int) -> None:
    """A convolution, a resize of its 12x12 map, another convolution."""
    convs = [("c1", "x", "w1", [1, 1, 1, 1], [2, 2]), ("c2", "r", "w2", [1, 1, 1, 1], [1, 1])]
    nodes = [
        helper.make_node("Conv", [value, weight], [name], name, pads=pads, strides=strides)
        for name, value, weight, pads, strides in convs
    ]
    nodes.insert(1, helper.make_node("Resize", ["c1", "", "", "sizes"], ["r"], "r", **attrs))
    weights = [helper.make_tensor(w, TensorProto.FLOAT, (c, d, 3, 3), [1.0] * c * d * 9) for w, c, d in WEIGHTS]
    sizes = helper.make_tensor("sizes", TensorProto.INT64, (4,), (1, 2, size, size))
    net = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 24, 24))],
        [helper.make_tensor_value_info("c2", TensorProto.FLOAT, (1, 2, size, size))],
        [*weights, sizes],
    )
    proto = helper.make_model(net, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(proto)
    found = measure(proto, shapecalc.load(proto).trace())
    assert found.maps in (1, 3)  # what repeats the element at the border is not exact there, nor what is behind it
    assert (found.wrong, found.holes) == ([], [])


WEIGHTS = [("w1", 2, 3), ("w2", 2, 2)]


def test_a_wrong_field_is_noticed() -> None:
    """The measurement disagrees with the trace of another net."""
    proto, trace = maps_of("lenet", 28)
    shifted = {
        name: View(view.axes, tuple(f._replace(lows=(f.lows[0] + 1,)) for f in view.fields))
        for name, view in trace.seen.items()
        if isinstance(view, View)
    }
    trace.__dict__["seen"] = shifted
    assert measure(proto, trace).wrong


@pytest.mark.parametrize(("keepdims", "kept"), [(0, False), (1, True), (127, False)])
def test_a_reduction_keeps_its_axes_where_the_trace_does(keepdims: int, kept: bool) -> None:
    """onnxruntime keeps them for 1 alone (found by damaged ONNX files)."""
    fed = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 4, 5])
    nodes = [helper.make_node("ReduceMax", ["x"], ["y"], "most", axes=[3], keepdims=keepdims)]
    net = helper.make_graph(nodes, "net", [fed], [onnx.ValueInfoProto(name="y")])
    layer = shapecalc.load(helper.make_model(net, opset_imports=[helper.make_opsetid("", 13)])).trace().layer("most")
    assert layer.outputs[0].shape == ((1, 3, 4, 1) if kept else (1, 3, 4))
    assert (layer.unseen is None) is kept
    assert layer.sees_padding == (0 if kept else None)
