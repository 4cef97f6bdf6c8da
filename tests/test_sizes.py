"""Sizes in closed form: the arithmetic against brute force, the sets, and the answers against tracing one by one."""

from __future__ import annotations

import itertools
import json
import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tools.check_sizes import differing, traced_one
from tools.many import refusing

import shapecalc
from shapecalc.cli.app import run
from shapecalc.sizes import line as lines
from shapecalc.sizes.every import Every, Sweep, value_at
from shapecalc.sizes.form import EVERY, NOTHING, Form, _run_counts, _runs, only
from shapecalc.sizes.found import beside
from shapecalc.sizes.quotient import divide
from shapecalc.zoo import entries

CORPUS = Path(__file__).parents[2] / "shared" / "corpus"
Capture = pytest.CaptureFixture[str]

# -- lines and dimensions of both axes against plain numbers -----------------------------------------------------------

RULES: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": lambda a, b: a // b if not isinstance(b, int) or b else 0,
    "min": lambda a, b: numpy.minimum(a, b) if isinstance(a, Every) or isinstance(b, Every) else min(a, b),
    "max": lambda a, b: numpy.maximum(a, b) if isinstance(a, Every) or isinstance(b, Every) else max(a, b),
    "==": lambda a, b: a == b,
    ">=": lambda a, b: a >= b,
}
LEAVES = st.one_of(st.sampled_from(["H", "W"]), st.integers(-6, 40))
TREES = st.recursive(
    LEAVES, lambda inner: st.tuples(st.sampled_from(["+", "-", "*", "//", "min", "max"]), inner, inner), max_leaves=6
)


def value(tree: Any, sizes: dict[str, Any]) -> Any:
    if isinstance(tree, str):
        return sizes[tree]
    if isinstance(tree, int):
        return tree
    rule, a, b = tree
    return RULES[rule](value(a, sizes), value(b, sizes))


@settings(deadline=None, max_examples=150)
@given(TREES, TREES, st.sampled_from(["==", ">="]))
def test_a_dimension_at_every_size_is_the_number_at_each(a: Any, b: Any, compare: str) -> None:
    sweep = Sweep()
    for tree in (a, (compare, a, b)):
        every = value(tree, {"H": sweep.height, "W": sweep.width})
        places = [1, 2, 3, 5, 7, 16, 31, 40, 97]
        grid = numpy.array(places)
        found = numpy.broadcast_to(value_at(every, grid[:, None], grid[None, :]), (9, 9))
        for (i, h), (j, w) in itertools.product(enumerate(places), repeat=2):
            assert (tree, h, w, int(value(tree, {"H": h, "W": w}))) == (tree, h, w, int(found[i, j]))


@settings(deadline=None, max_examples=100)
@given(TREES)
def test_the_diagonal_is_a_line_far_beyond_its_threshold(tree: Any) -> None:
    sweep = Sweep()
    every = value(tree, {"H": sweep.height, "W": sweep.width})
    line = every.line if isinstance(every, Every) else lines.always(every)
    sizes = [*range(1, 60), 500, 1001, 2048, 3999] + ([] if line.horizon else [100_003])
    wanted = [value(tree, {"H": n, "W": n}) for n in sizes]
    if max(map(abs, wanted)) < 1 << 62:
        assert [int(v) for v in line.at(numpy.array(sizes))] == wanted


WHOLE = st.integers(-4, 6)


@st.composite
def growing(draw: st.DrawFn) -> lines.Line:
    """A line of any small threshold, period and degree."""
    period, degree = draw(st.sampled_from([1, 2, 3, 4])), draw(st.integers(0, 3))
    head = draw(st.lists(WHOLE, max_size=4))
    tail = draw(st.lists(st.lists(WHOLE, min_size=period, max_size=period), min_size=degree + 1, max_size=degree + 1))
    return lines.Line(numpy.array(head, "int64"), numpy.array(tail, "int64"))


@given(growing(), growing())
@settings(max_examples=200, deadline=None)
def test_a_quotient_of_lines_is_the_quotient_of_their_values(a: lines.Line, b: lines.Line) -> None:
    count = 150
    found = divide(a, b)
    pairs = zip(a.values(count).tolist(), b.values(count).tolist(), strict=True)
    assert found.values(count).tolist() == [x // y if y else 0 for x, y in pairs]


ENDED: dict[str, tuple[Any, Any]] = {
    "+": (lines.add, numpy.add),
    "-": (lines.subtract, numpy.subtract),
    "*": (lines.multiply, numpy.multiply),
    "//": (divide, numpy.floor_divide),
    "min": (lambda a, b: lines.extreme("min", a, b), numpy.minimum),
    "==": (lambda a, b: lines.compare("==", a, b), lambda x, y: (x == y) * 1),
    ">=": (lines.at_least, lambda x, y: (x >= y) * 1),
}


@given(st.sampled_from(sorted(ENDED)), st.lists(st.integers(-9, 9), min_size=1, max_size=12), st.integers(1, 5))
def test_a_line_that_ends_is_its_values_and_no_more(sign: str, values: list[int], number: int) -> None:
    """Of two lines that end at different places, what comes of them ends at the first."""
    whole = numpy.array(values)
    one, two = lines.ending(whole), lines.ending(numpy.full(20, number))
    rule, oracle = ENDED[sign]
    for a, b, x, y in ((one, two, whole, number), (one, lines.always(number), whole, number)):
        found = rule(a, b)
        assert found.threshold == len(values)
        assert found.at(numpy.arange(1, len(values) + 1)).tolist() == oracle(x, y).tolist()
    with pytest.raises(IndexError):
        one.values(len(values) + 1)


def test_a_quotient_of_two_growing_lines() -> None:
    sweep = Sweep()
    total = sweep.height * sweep.height * 3 + 5
    quotient = total // (sweep.height * 2 + 1)
    assert quotient.line.horizon is None
    assert [int(v) for v in quotient.line.values(500)] == [(3 * n * n + 5) // (2 * n + 1) for n in range(1, 501)]


def test_a_question_is_answered_for_both_sides() -> None:
    sweep = Sweep()
    assert bool(sweep.height >= 100) is True
    (rest,) = sweep.open
    other = Sweep(rest)
    assert bool(other.height >= 100) is False
    assert bool(other.height >= 200) is False  # follows from the first answer
    assert other.open == []


# -- sets --------------------------------------------------------------------------------------------------------------

MASKS = st.tuples(st.lists(st.booleans(), max_size=9), st.lists(st.booleans(), min_size=1, max_size=8))


def form(mask: tuple[list[bool], list[bool]]) -> Form:
    return Form(bytes([*mask[0], *mask[1]]), len(mask[0]))


@given(MASKS, MASKS)
def test_sets_combine_as_their_members(a: Any, b: Any) -> None:
    one, two = form(a), form(b)
    members = range(1, 120)
    assert [n in (one & two) for n in members] == [n in one and n in two for n in members]
    assert [n in (one | two) for n in members] == [n in one or n in two for n in members]
    assert [n in (one - two) for n in members] == [n in one and n not in two for n in members]
    assert [n in ~one for n in members] == [n not in one for n in members]


@given(MASKS, st.integers(1, 60))
def test_the_nearest_member_is_the_nearest(mask: Any, size: int) -> None:
    found = form(mask)
    members = [n for n in range(1, 200) if n in found]
    assert found.below(size) == max((n for n in members if n <= size), default=None)
    assert found.above(size) == min((n for n in members if n >= size), default=None)
    assert found.nearest(size) == min(members, key=lambda n: (abs(n - size), n), default=None)


@given(MASKS)
def test_what_is_printed_is_what_is_in(mask: Any) -> None:
    """The parts the text is made of give the set back."""
    found = form(mask)
    before, first, residues, exceptions = found.parts
    again = {n for run in before for n in range(run.low, int(run.high or 0) + 1)}
    repeating = {n % found.period for run in residues for n in range(run.low, int(run.high or 0) + 1)}
    again |= {n for n in range(max(first, 1), 100) if residues and n % found.period in repeating}
    assert sorted(again.symmetric_difference(exceptions)) == [n for n in range(1, 100) if n in found]


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (EVERY, "every size"),
        (NOTHING, "none"),
        (only(set(range(199, 231))), "199 to 230"),
        (Form(bytes(n % 32 == 3 for n in range(1, 33)), 0), "N ≡ 3 (mod 32)"),
        (Form(bytes(n % 32 == 0 and n > 64 for n in range(1, 129)), 96), "96 and up, N ≡ 0 (mod 32)"),
        (Form(bytes(n % 32 in (31, 0, 1) for n in range(1, 33)), 0), "N ≡ 31, 0 to 1 (mod 32)"),
        (~only({5, 7}), "every size, but not 5, 7"),
        (~only(set(range(1, 29))), "29 and up"),
    ],
)
def test_a_set_in_words(found: Form, text: str) -> None:
    assert str(found) == text


# -- nets --------------------------------------------------------------------------------------------------------------


def test_alexnet_answers_the_check_values() -> None:
    model = shapecalc.load("alexnet")
    sizes = model.sizes()
    assert (str(sizes), sizes.lower, sizes.upper) == ("199 to 230", "fc6", "fc6")
    exact = model.sizes(exact=True)
    assert (str(exact.whole), str(exact)) == ("N ≡ 3 (mod 32)", "227")
    both = model.sizes(dialect="caffe") & model.sizes(dialect="onnx")
    assert str(both) == "227 to 230"
    (coupling,) = sizes.couplings
    assert (coupling.layer, coupling.product) == ("fc6", 36)
    assert [(a, b) for a, b, *_ in coupling.pairs] == [(a, 36 // a) for a in (1, 2, 3, 4, 6, 9, 12, 18, 36)]
    assert (227, 199) in sizes
    assert (135, 295) in sizes  # 4·9 places
    assert (227, 231) not in sizes
    assert 1_000_003 not in sizes


@pytest.mark.parametrize("name", sorted(entries()))
def test_the_closed_form_is_tracing_at_each_size(name: str) -> None:
    """Every square to 1,024 with the layer that refuses it, some rectangles; thirty of all traced by themselves."""
    model = shapecalc.load(name)
    rectangles = [(h, w) for h in range(180, 300, 23) for w in range(190, 260, 17)]
    assert differing(model, range(1, 1025), rectangles, alone=30) == []


FILES = [
    "caffe/mobilenet_ssd_voc_deploy.prototxt",
    "caffe/caffenet_full_conv.prototxt",
    "keras/inceptionv3_keras3.json",
    "onnx/hrnet_w18_small.ts.onnx",
    "onnx/swin_tiny_patch4_window7_224.dynamo.onnx",
    "onnx/vit_tiny_patch16_224.ts.onnx",
    "onnx/nasnetalarge.ts.onnx",
    "onnx/edgenext_xx_small.ts.onnx",
]


@pytest.mark.parametrize("name", FILES)
def test_the_closed_form_of_a_corpus_net(name: str) -> None:
    if not (CORPUS / name).exists():
        pytest.skip(f"{name} is not here")
    model = shapecalc.load(CORPUS / name)
    rectangles = [(224, 256), (256, 224), (231, 229), (32, 64), (448, 224)]
    assert differing(model, range(1, 450), rectangles, alone=10) == []


def test_another_answer_is_noticed() -> None:
    model = shapecalc.load("lenet")
    assert traced_one(model, 28, 28)
    assert not traced_one(model, 29, 29)
    assert refusing(model, [(28, 28), (29, 29), (1, 28)]) == ["", "fc3", "conv1"]


@settings(deadline=None, max_examples=20)
@given(st.lists(st.tuples(st.integers(1, 90), st.integers(1, 90)), min_size=2, max_size=8), st.data())
def test_tracing_many_sizes_is_tracing_each(pairs: list[tuple[int, int]], data: st.DataObject) -> None:
    kernel, stride = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 5))
    text = NET.format(kernel=kernel, stride=stride, pad=data.draw(st.integers(0, 3)))
    model = shapecalc.loads(text + BRANCH.format(data.draw(st.integers(1, 6))), format="caffe")
    assert [not layer for layer in refusing(model, pairs)] == [traced_one(model, *pair) for pair in pairs]


NET = """input: "x" input_shape {{ dim: [1, 3, 64, 64] }}
layer {{ name: "c" type: "Convolution" bottom: "x" top: "c"
  convolution_param {{ num_output: 4 kernel_size: {kernel} stride: {stride} pad: {pad} }} }}
layer {{ name: "d" type: "Deconvolution" bottom: "c" top: "d"
  convolution_param {{ num_output: 3 kernel_size: {stride} stride: {stride} }} }}
layer {{ name: "sum" type: "Eltwise" bottom: "x" bottom: "d" top: "sum" }}
"""


@pytest.mark.parametrize(
    ("kernel", "stride", "pad", "text"),
    [
        (2, 2, 0, "N ≡ 0 (mod 2)"),
        (3, 3, 0, "N ≡ 0 (mod 3)"),
        (4, 4, 0, "N ≡ 0 (mod 4)"),
        (32, 32, 0, "N ≡ 0 (mod 32)"),
        (224, 224, 0, "N ≡ 0 (mod 224)"),
    ],
)
def test_a_join_with_a_map_made_smaller_and_larger(kernel: int, stride: int, pad: int, text: str) -> None:
    model = shapecalc.loads(NET.format(kernel=kernel, stride=stride, pad=pad), format="caffe")
    sizes = model.sizes()
    assert str(sizes) == text
    assert sizes.independent
    assert (str(sizes.heights), str(sizes.widths)) == (text, text)
    assert sizes.refused(stride + 1) == "sum"


BRANCH = """
layer {{ name: "p{0}" type: "Pooling" bottom: "x" top: "p{0}" pooling_param {{ kernel_size: {0} stride: {0} }} }}
layer {{ name: "d{0}" type: "Deconvolution" bottom: "p{0}" top: "d{0}"
  convolution_param {{ num_output: 3 kernel_size: {0} stride: {0} }} }}
"""


def branches(*strides: int) -> str:
    """A net that adds maps which were made smaller and larger: every size must be a multiple of every stride."""
    bottoms = " ".join(f'bottom: "d{stride}"' for stride in strides)
    body = "".join(BRANCH.format(stride) for stride in strides)
    return f"""input: "x" input_shape {{ dim: [1, 3, 64, 64] }}
{body}
layer {{ name: "sum" type: "Eltwise" bottom: "x" {bottoms} top: "sum" }}
"""


def test_a_period_of_too_many_sizes_ends_and_says_so() -> None:
    """Strides 97, 101, 103: the multiples of 1,009,091, and none of the sizes that are known."""
    sizes = shapecalc.loads(branches(97, 101), format="caffe").sizes()
    assert str(sizes) == "N ≡ 0 (mod 9797)"
    more = shapecalc.loads(branches(97, 101, 103), format="caffe").sizes()
    assert str(more) == "none (known up to 4,096)"
    assert (9797 in more, more.square.horizon, more.refused(101)) == (False, 4096, "sum")


def test_a_map_of_too_many_places_is_not_divided() -> None:
    """fc wants 2^31 inputs: which heights times widths give them is not listed, and each pair is still told."""
    text = (
        NET.format(kernel=2, stride=2, pad=0)
        + """
layer { name: "fc" type: "InnerProduct" bottom: "sum" top: "fc" inner_product_param { num_output: 1 } }"""
    )
    sizes = shapecalc.loads(text.replace("64, 64", "46342, 46342"), format="caffe").sizes()
    assert [(row.layer, row.product, row.pairs) for row in sizes.couplings] == [("fc", None, [])]
    assert ((46342, 46342) in sizes, (17 * 46342, 2726) in sizes, (46342, 46340) in sizes) == (True, True, False)


WINDOWED = """input: "x" input_shape { dim: [1, 2, 16, 16] }
layer { name: "four" type: "Reshape" bottom: "x" top: "four" reshape_param { shape { dim: [0, 2, 64, -1] } } }
"""


def test_what_goes_with_a_height_where_only_a_product_is_divided() -> None:
    """Height times width must divide by 64: no list of rectangles says that, but each height has its widths."""
    model = shapecalc.loads(WINDOWED, format="caffe")
    assert [str(beside(model, {"height": height})) for height in (16, 24, 64, 3)] == [
        "N ≡ 0 (mod 4)",
        "N ≡ 0 (mod 8)",
        "every size",
        "N ≡ 0 (mod 64)",
    ]
    for height in (16, 24, 3, 7):
        widths, heights = beside(model, {"height": height}), beside(model, {"width": height})
        assert [n for n in range(1, 200) if (n in widths) != traced_one(model, height, n)] == []
        assert [n for n in range(1, 200) if (n in heights) != traced_one(model, n, height)] == []


def test_what_goes_with_the_native_sides_is_said(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "w.prototxt").write_text(WINDOWED)
    (side, _) = answer(capsys, str(tmp_path / "w.prototxt"))["beside"]
    assert (side["height"], side["width"]["text"]) == (16, "N ≡ 0 (mod 4)")
    assert run(["sizes", str(tmp_path / "w.prototxt")]) == 0
    assert "height 16 width N ≡ 0 (mod 4)" in " ".join(capsys.readouterr().out.split())
    assert answer(capsys, "alexnet")["beside"] == []


# -- holes -------------------------------------------------------------------------------------------------------------


def test_solving_turns_the_question_round() -> None:
    model = shapecalc.load("alexnet")
    assert model.solve("fc6.fan_in", input=256)[:2] == ("fc6.fan_in", 12544)
    assert model.solve("fc6.fan_in", input=256).because == ["12544 = 256·7·7, from pool5"]
    assert model.solve("pool5=6x6").answer == {"height": "199 to 230", "width": "199 to 230"}
    assert model.solve("pool5=7").answer == {"height": "231 to 262", "width": "231 to 262"}


@pytest.mark.parametrize("hole", ["fc6", "nonsense.fan_in", "fc6.size", "nonsense=3"])
def test_what_cannot_be_solved_is_refused(hole: str) -> None:
    with pytest.raises(shapecalc.UsageError):
        shapecalc.load("alexnet").solve(hole)


# -- the command -------------------------------------------------------------------------------------------------------


def answer(capsys: Capture, *arguments: str) -> dict[str, Any]:
    assert run(["sizes", *arguments, "--json"]) == 0
    return dict(json.loads(capsys.readouterr().out))


def test_near_is_asked_of_each_axis_where_they_are_free(capsys: Capture) -> None:
    assert answer(capsys, "mobilenet_v2", "--near", "1080x1920")["nearest"] == [1080, 1920]
    assert answer(capsys, "mobilenet_v2", "--near", "1080x1920", "--exact")["nearest"] == [1089, 1921]


def test_dialects_are_intersected(capsys: Capture) -> None:
    found = answer(capsys, "alexnet", "--dialect", "caffe,onnx")
    assert found["dialects"] == {"caffe": "199 to 230", "onnx": "227 to 258"}
    assert (found["intervals"], found["near"], found["nearest"]) == ([[227, 230]], None, None)


def test_a_profile_for_trtexec_is_legal_throughout(capsys: Capture) -> None:
    assert run(["sizes", "alexnet", "--emit", "trtexec"]) == 0
    low, best, high = (part.split(":")[1] for part in capsys.readouterr().out.split())
    assert (low, best, high) == ("1x3x199x199", "1x3x227x227", "1x3x230x230")


FREE = """{"class_name": "Functional", "config": {"name": "free", "layers": [
 {"class_name": "InputLayer", "name": "x", "config": {"batch_shape": [null, null, null, 3], "name": "x"}},
 {"class_name": "MaxPooling2D", "name": "p", "config": {"name": "p", "pool_size": [2, 2], "strides": [2, 2],
  "padding": "valid"}, "inbound_nodes": [[["x", 0, 0, {}]]]}],
 "input_layers": [["x", 0, 0]], "output_layers": [["p", 0, 0]]}}"""


@pytest.mark.parametrize(
    ("name", "text", "options", "note"),
    [
        ("f.json", FREE, ["x:1x2x2x3", "x:1x224x224x3", "x:1x4096x4096x3"], ""),
        (
            "h.prototxt",
            NET.format(kernel=4, stride=4, pad=0).replace("[1, 3, 64, 64]", "[5, 3, 64, 64]"),
            ["x:5x3x64x64", "x:5x3x64x64", "x:5x3x64x64"],
            "note: sizes with holes: N ≡ 0 (mod 4); the profile is one piece of them\n",
        ),
    ],
)
def test_a_profile_has_the_batch_of_the_file_and_a_usual_size(
    name: str, text: str, options: list[str], note: str, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / name).write_text(text)
    assert run(["sizes", str(tmp_path / name), "--emit", "trtexec"]) == 0
    said = capsys.readouterr()
    assert [part.split("=")[1] for part in said.out.split()] == options
    assert said.err == note


def test_dialects_that_say_the_same_are_said_together(capsys: Capture) -> None:
    assert run(["sizes", "googlenet", "--dialect", "caffe,onnx,chainer"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert {"caffe, chainer 223 to 254", "onnx 253 to 284", "in all of them 253 to 254"} <= {*lines}
    assert "refused 31 to 222: pool5/7x7_s1 (kernel too large, caffe, chainer)" in lines
    assert "refused 61 to 252: pool5/7x7_s1 (kernel too large, onnx)" in lines
    assert run(["sizes", "alexnet", "--dialect", "caffe,onnx"]) == 0
    assert "6×6 from height 227 to 230, width 227 to 230" in " ".join(capsys.readouterr().out.split())


def test_beside_the_nearest_stands_the_nearest_with_the_map_it_was_trained_with(capsys: Capture) -> None:
    assert run(["sizes", "vgg16", "--near", "1080x1920"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    near = lines.index("near 1080x1920 32x1568")
    assert lines[near + 1] == "as 7×7 224x224, the map it was trained with"


@pytest.mark.parametrize("wanted", [(16, 16), (7, 9), (30, 3), (64, 1)])
def test_the_nearest_rectangle_of_a_net_that_divides_their_product(wanted: tuple[int, int]) -> None:
    sizes = shapecalc.loads(WINDOWED, format="caffe").sizes()
    found = sizes.nearest_rectangle(*wanted)
    assert found is not None
    pairs = [(h, w) for h in range(1, 130) for w in range(1, 130) if h * w % 64 == 0]

    def apart(pair: tuple[int, int]) -> int:
        return abs(pair[0] - wanted[0]) + abs(pair[1] - wanted[1])

    assert found in sizes
    assert apart(found) == min(map(apart, pairs))


def test_windows_between_two_sizes(capsys: Capture) -> None:
    found = answer(capsys, "--solve", "kernel,stride", "--from", "12", "--to", "6")["answer"]
    assert found["exact"][:2] == ["kernel 2 stride 2", "kernel 7 stride 1"]
    assert "kernel 3 stride 2 pad 1" in found["rounded_down"]
    assert "kernel 3 stride 2" in found["rounded_up"]


@pytest.mark.parametrize(
    "arguments", [["--near", "many"], ["--emit", "tea"], ["--solve", "kernel,stride"], ["--dialect", "caffe,none"]]
)
def test_a_wrong_option_is_a_usage_error(arguments: list[str]) -> None:
    assert run(["sizes", "alexnet", *arguments]) == 2


@given(st.sets(st.integers(0, 40)))
def test_runs_are_counted_from_both_ends(members: set[int]) -> None:
    ordered = sorted(members)
    first, last = _run_counts(ordered), _run_counts([-n for n in reversed(ordered)])
    places = range(len(ordered) + 1)
    assert [first[i] for i in places] == [len(_runs(ordered[:i])) for i in places]
    assert [last[len(ordered) - i] for i in places] == [len(_runs(ordered[i:])) for i in places]


def test_a_net_of_large_sizes_alone_is_said_at_once() -> None:
    conv = 'layer { name: "c" type: "Convolution" bottom: "x" top: "c" convolution_param { num_output: 1 %s } }'
    head = 'input: "x" input_dim: 1 input_dim: 3 input_dim: 40000 input_dim: 40000\n'
    net = shapecalc.loads(head + conv % "kernel_size: 32768 stride: 4", format="caffe")
    assert str(net.sizes()) == "32765 and up"  # C rounds −3/4 to 0


@pytest.mark.parametrize("name", ["alexnet", "mobilenet_v2", "squeezenet"])
def test_the_exact_sizes_are_read_off_the_same_traces(name: str) -> None:
    model = shapecalc.load(name)
    asked, read = model.sizes(exact=True), model.sizes().exactly()
    assert asked.to_dict() == read.to_dict()
    assert str(read) != str(model.sizes())
    axis = numpy.arange(150, 320)
    assert (asked.fits(axis[:, None], axis) == read.fits(axis[:, None], axis)).all()


def test_a_thousand_sizes_need_no_closed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    from shapecalc.sizes import found

    for rule in ("squares", "axes"):
        monkeypatch.setattr(found, rule, lambda *_: pytest.fail("the closed form was made"))
    assert shapecalc.load("alexnet").sizes().fits([227, 256], [227, 256]).tolist() == [True, False]
