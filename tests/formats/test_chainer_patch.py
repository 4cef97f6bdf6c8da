"""Edits written back into Chainer source, row by row and by law: the number that says it, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prototxts import replaced, same_shapes

import shapecalc
from shapecalc.errors import RefusedError
from shapecalc.formats.chainer.patch import patch
from shapecalc.graph import Graph
from shapecalc.model import Model
from shapecalc.surgery.draft import Draft
from shapecalc.surgery.edits import ChangePool, InsertPool
from shapecalc.surgery.plan import Surgery
from shapecalc.verify.definition_file import patched

ROOT = Path(__file__).parents[2]
ZOO = sorted((ROOT / "zoo").glob("*.py"))

IMPORTS = "import chainer\nimport chainer.functions as F\nimport chainer.links as L\n"
NET = """

class Net(chainer.Chain):
    insize = 12  # pixels

    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.conv = L.Convolution2D(3, 8, 3)
            self.fc1 = L.Linear(None, 10)
            self.fc = FC

    def forward(self, x):
        h = F.relu(self.conv(x))
        h = F.max_pooling_2d(h, 2)
        h = self.fc1(h)
        return self.fc(h)  # scores
"""
TEXT = IMPORTS + NET.replace("FC", "L.Linear(None, 9)")
#: The same for any size: what is fully connected follows an average.
FREE = TEXT.replace("self.fc1(h)", "self.fc1(F.average(h, (2, 3)))")


def load(text: str, **options: Any) -> Model:
    return shapecalc.loads(text, format="chainer", name="net.py", **options)


class Asked(Surgery):
    """A plan made of a graph, for edits that surgery would not choose."""

    def __init__(self, model: Model, graph: Graph) -> None:
        draft = Draft(model, model.feeds(None))
        draft.graph = graph
        super().__init__(draft, draft.at_feeds(), [])


def edited(text: str, made: Any) -> str:
    model = load(text)
    return patched(Asked(model, made.apply(model.graph)))


def same_file_but(text: str, result: str, *pairs: tuple[str, str]) -> None:
    assert result == replaced(text, *pairs)


# -- heads ------------------------------------------------------------------------------------------------------------

#: What stands for the head, what stands before the class, and what of these an edit to 5 outputs changes.
HEADS: list[tuple[str, str, str, tuple[str, str]]] = [
    ("the argument", "L.Linear(None, 9)", "", ("Linear(None, 9)", "Linear(None, 5)")),
    ("a keyword", "L.Linear(None, out_size=9)", "", ("out_size=9", "out_size=5")),
    ("the only argument", "L.Linear(9)", "", ("Linear(9)", "Linear(5)")),
    ("a convolution", "L.Convolution2D(10, out_channels=9, ksize=1)", "", ("channels=9", "channels=5")),
    ("a constant", "L.Linear(None, N)", "\nN = 9  # classes\n", ("N = 9", "N = 5")),
    ("a constant of a constant", "L.Linear(None, M)", "\nN = 9\nM = N\n", ("N = 9", "N = 5")),
    ("a dictionary", "L.Linear(None, C['n'])", "\nC = {'n': 9, 'm': 9}\n", ("'n': 9", "'n': 5")),
    ("a helper", "top(9)", "\ndef top(n, hidden=9):\n    return L.Linear(None, n)\n", ("top(9)", "top(5)")),
    ("its default", "top()", "\ndef top(n=9):\n    return L.Linear(None, n)\n", ("n=9", "n=5")),
    ("an expression", "L.Linear(None, 3 * 3)", "", ("3 * 3", "5")),
    ("a number another layer has", "L.Linear(None, N)", "\nN = 9\n", ("Linear(None, N)", "Linear(None, 5)")),
    ("Python 2's long constant", "L.Linear(None, 0x9)", "", ("0x9", "5")),
    ("layers in one", "L.MLPConvolution2D(10, (9, 9), 1)", "", ("(9, 9)", "(9, 5)")),
    ("a sequence", "chainer.Sequential(L.Linear(None, 9), L.Linear(None, 9))", "", ("9))", "5))")),
    ("partial", "P(nobias=True)", "\nimport functools\nP = functools.partial(L.Linear, None, 9)\n", ("9)", "5)")),
]


@pytest.mark.parametrize("eol", ["\n", "\r\n"])
@pytest.mark.parametrize(("head", "before", "pair"), [row[1:] for row in HEADS], ids=[row[0] for row in HEADS])
def test_heads(head: str, before: str, pair: tuple[str, str], eol: str) -> None:
    text = IMPORTS + before + NET.replace("FC", head)
    if "Conv" in head or "MLP" in head:
        text = text.replace("L.Linear(None, 10)", "L.Convolution2D(8, 10, 1)")
    if pair[1] == "Linear(None, 5)" and before:
        text = text.replace("L.Linear(None, 10)", "L.Linear(None, N )")
    named = ["fc/1"] if "MLP" in head else ["fc"] if "Conv" in head else []  # of a map the layer is asked for
    plan = load(text.replace("\n", eol)).retarget(classes=5, head=named)
    result = patched(plan)
    assert result == replaced(text, pair).replace("\n", eol)
    same_shapes(plan.trace, load(result).trace())


#: What stands for the first convolution, what stands before the class, and what of these an edit to 1 channel changes.
FIRST: list[tuple[str, str, str, tuple[str, str]]] = [
    ("the argument", "L.Convolution2D(3, 8, 3)", "", ("2D(3, 8", "2D(1, 8")),
    ("a keyword", "L.Convolution2D(ksize=3, out_channels=8, in_channels=3)", "", ("in_channels=3", "in_channels=1")),
    ("a constant", "L.Convolution2D(N, 8, 3)", "\nN = 3\n", ("N = 3", "N = 1")),
    ("its default", "first()", "\ndef first(n=3):\n    return L.Convolution2D(n, 8, 3)\n", ("n=3", "n=1")),
    ("a number the kernel is", "L.Convolution2D(N, 8, N)", "\nN = 3\n", ("2D(N, 8", "2D(1, 8")),
    ("behind a padding", "chainer.Sequential(PAD, L.Convolution2D(3, 8, 3))", "", ("2D(3, 8", "2D(1, 8")),
    ("layers in one", "L.MLPConvolution2D(3, (8, 8), 3)", "", ("2D(3, (8", "2D(1, (8")),
]


@pytest.mark.parametrize(("first", "before", "pair"), [row[1:] for row in FIRST], ids=[row[0] for row in FIRST])
def test_channels(first: str, before: str, pair: tuple[str, str]) -> None:
    first = first.replace("PAD", "lambda x: F.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), 'constant')")
    text = IMPORTS + before + NET.replace("L.Convolution2D(3, 8, 3)", first).replace("FC", "L.Linear(None, 9)")
    plan = load(text).retarget(channels=1, input=(3, 12, 12))
    result = patched(plan)
    same_file_but(text, result, pair)
    same_shapes(plan.trace, load(result).trace((1, 12, 12)))


def test_channels_that_the_first_image_decides_need_no_text() -> None:
    plan = load(TEXT.replace("2D(3, 8, 3)", "2D(None, 8, 3)")).retarget(channels=1, input=(3, 12, 12))
    with pytest.raises(RefusedError, match="the definition would stay as it is"):
        patched(plan)


def test_a_default_of_the_constructor_is_changed_unless_the_caller_gave_the_number() -> None:
    text = TEXT.replace("def __init__(self)", "def __init__(self, n_class=9)").replace("None, 9", "None, n_class")
    same_file_but(text, patched(load(text).retarget(classes=5)), ("n_class=9", "n_class=5"))
    given = load(text, arguments={"n_class": 7}).retarget(classes=5)
    same_file_but(text, patched(given), ("Linear(None, n_class)", "Linear(None, 5)"))
    layers = text.replace("L.Linear(None, 10)", "L.Convolution2D(8, 10, 1)").replace(
        "(self, n_class=9)", "(self, n_class)"
    )
    layers = layers.replace("L.Linear(None, n_class)", "L.MLPConvolution2D(10, (7, n_class), 1)")
    made = patched(load(layers, arguments={"n_class": 7}).retarget(classes=5, head=["fc/1"]))
    same_file_but(layers, made, ("(7, n_class)", "(7, 5)"))


def test_a_reshape_that_repeats_the_classes_follows() -> None:
    text = TEXT.replace("return self.fc(h)", "return F.reshape(self.fc(h), (len(x), 9, 1))")
    result = patched(load(text).retarget(classes=5))
    same_file_but(text, result, ("Linear(None, 9)", "Linear(None, 5)"), ("(len(x), 9, 1)", "(len(x), 5, 1)"))
    sized = text.replace("(len(x), 9, 1)", "(h.shape[0], 9, h.shape[1] // 10)")
    result = patched(load(sized).retarget(classes=5))
    same_file_but(sized, result, ("Linear(None, 9)", "Linear(None, 5)"), ("0], 9, h", "0], 5, h"))
    named = IMPORTS + "\nN = 9\n" + text[len(IMPORTS) :].replace("9", "N")
    same_file_but(named, patched(load(named).retarget(classes=5)), ("N = 9", "N = 5"))


# -- poolings ---------------------------------------------------------------------------------------------------------

POOL = "F.max_pooling_2d(h, 2)"
WINDOWS: list[tuple[str, dict[str, Any], str]] = [
    (POOL, {"kernel_shape": (4, 4), "strides": (4, 4)}, "F.max_pooling_2d(h, 4)"),
    (POOL, {"kernel_shape": (4, 4)}, "F.max_pooling_2d(h, 4, stride=2)"),
    (POOL, {"strides": (1, 1)}, "F.max_pooling_2d(h, 2, stride=1)"),
    (POOL, {"pads": (1, 1, 1, 1), "ceil_mode": 0}, "F.max_pooling_2d(h, 2, pad=1, cover_all=False)"),
    (POOL, {"kernel_shape": (2, 4), "strides": (2, 2)}, "F.max_pooling_2d(h, (2, 4), stride=2)"),
    ("F.max_pooling_2d(h, ksize=2, stride=None)", {"kernel_shape": (3, 3)}, "F.max_pooling_2d(h, ksize=3, stride=2)"),
    ("F.max_pooling_2d(h, 2, 2, 0)", {"strides": (1, 1), "pads": (1, 1, 1, 1)}, "F.max_pooling_2d(h, 2, 1, 1)"),
    ("F.max_pooling_2d(h, 2, cover_all=False)", {"ceil_mode": 1}, "F.max_pooling_2d(h, 2, cover_all=True)"),
    ("F.max_pooling_2d(h, (2))", {"ceil_mode": 0}, "F.max_pooling_2d(h, (2), cover_all=False)"),
    ("F.max_pooling_2d(\n            h, 2,  # small\n        )", {"ceil_mode": 0},
     "F.max_pooling_2d(\n            h, 2, cover_all=False  # small\n        )"),
    ("F.average_pooling_2d(x=h, ksize=2)", {"strides": (1, 1)}, "F.average_pooling_2d(x=h, ksize=2, stride=1)"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "attrs", "after"), WINDOWS)
def test_windows(before: str, attrs: dict[str, Any], after: str) -> None:
    text = FREE.replace(POOL, before)
    name = next(node.name for node in load(text).graph.nodes if node.op.endswith("Pool"))
    same_file_but(text, edited(text, ChangePool(name, attrs, "")), (before, after))


BEGIN, END = "F.average_pooling_2d(", ", 2, stride=1)"


def with_pool(graph: Graph, layer: str, readers: tuple[str, ...] = ()) -> InsertPool:
    return InsertPool(layer, graph.node(layer).outputs[0], "fit", (2, 2), (1, 1), ((), ()), readers=readers)


@pytest.mark.parametrize("imports", [
    ("import chainer.functions as F\n", "F."), ("from chainer import functions as F\n", "F."),
    ("import chainer.functions as FN\n", "FN."), ("from chainer.functions import *\n", ""),
    ("from chainer.functions import relu, max_pooling_2d, average_pooling_2d as avg\n", "avg"),
    ("", "chainer.functions."),
])  # fmt: skip
def test_a_new_pooling_is_called_as_the_file_calls_functions(imports: tuple[str, str]) -> None:
    line, alias = imports
    before = "" if alias in ("", "avg") else alias
    text = FREE.replace("F.average(h, (2, 3))", "h.mean((2, 3))")
    text = text.replace("import chainer.functions as F\n", line).replace("F.", before)
    model = load(text)
    layer = next(node.name for node in model.graph.nodes if node.op == "MaxPool")
    function = "avg(" if alias == "avg" else f"{alias}average_pooling_2d("
    call = f"{before}max_pooling_2d(h, 2)"
    same_file_but(text, edited(text, with_pool(model.graph, layer)), (call, function + call + END))


def test_an_import_is_added_where_the_file_cannot_call_it() -> None:
    text = "from chainer import Chain\nimport chainer.links as L\nfrom chainer.functions import relu, max_pooling_2d\n"
    text += NET.replace("FC", "L.Linear(9)").replace("chainer.Chain", "Chain").replace("F.", "")
    text = text.replace("self.fc1(h)", "self.fc1(h.mean((2, 3)))")
    result = edited(text, with_pool(load(text).graph, "pool_conv"))
    added = "max_pooling_2d\nfrom chainer.functions import average_pooling_2d\n"
    call = "max_pooling_2d(h, 2)"
    same_file_but(text, result, (call, f"average_pooling_2d({call}, 2, stride=1)"), ("max_pooling_2d\n", added))


BRANCHES = """

def twice(h):
    return F.relu(F.relu(h))


class Net(chainer.Chain):
    insize = 12

    def __init__(self):
        super().__init__(conv=L.Convolution2D(3, 4, 3), a=L.Convolution2D(4, 4, 3), b=L.Convolution2D(4, 4, 3))

    def __call__(self, x):
        h = twice(self.conv(x))
        a = self.a(h)
        b = self.b(h)
        c = F.tanh(h) * 2
        return a + b, twice(c), F.concat((h, h))
"""


@pytest.mark.parametrize(
    ("layer", "readers", "text"),
    [
        ("conv", (), "self.conv(x)"),
        ("relu_conv_2", (), "twice(self.conv(x))"),  # the calls inside serve other layers as well
        ("conv", ("relu_conv",), "self.conv(x)"),
    ],
)
def test_where_a_new_pooling_goes(layer: str, readers: tuple[str, ...], text: str) -> None:
    model = load(IMPORTS + BRANCHES)
    result = edited(IMPORTS + BRANCHES, with_pool(model.graph, layer, readers))
    same_file_but(IMPORTS + BRANCHES, result, (text, f"F.average_pooling_2d({text}, 2, stride=1)"))


def test_a_new_pooling_of_what_the_net_gives() -> None:
    model = load(IMPORTS + BRANCHES)
    graph = with_pool(model.graph, "add_a").apply(model.graph)
    pool = next(node for node in graph.nodes if node.op == "AveragePool")
    pooled = graph.replace(outputs=[pool.outputs[0], *graph.outputs[1:]])
    result = patched(Asked(model, pooled))
    same_file_but(IMPORTS + BRANCHES, result, ("a + b", "F.average_pooling_2d(a + b, 2, stride=1)"))


def test_a_new_pooling_for_one_of_two_readers() -> None:
    text = IMPORTS + BRANCHES
    result = edited(text, with_pool(load(text).graph, "relu_conv_2", ("tanh_conv",)))
    same_file_but(text, result, ("F.tanh(h)", f"F.tanh({BEGIN}h{END})"))


# -- inputs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "size", "after"),
    [
        ("insize = 12", 20, "insize = 20"),
        ("insize = (12, 12)", (20, 24), "insize = (20, 24)"),
        ("insize = 3 * 4", 20, "insize = 20"),
        ("insize = SIZE", 20, None),
    ],
)
def test_insize(before: str, size: Any, after: str | None) -> None:
    text = FREE.replace("\n\nclass", "\nSIZE = 12\n\nclass").replace("insize = 12", before)
    if "insize" not in before:
        text = text.replace("self.fc1(h)", "self.fc1(h)")
    pair = ("SIZE = 12", "SIZE = 20") if after is None else (before, after)
    sizes = size if isinstance(size, tuple) else (size, size)
    same_file_but(text, patched(load(text).retarget(input=(1, 3, *sizes))), pair)


def test_the_trained_size_of_a_fully_connected_layer_holds_after_the_repair() -> None:
    plan = shapecalc.load("alexnet").retarget(classes=13, input=256)
    again = load(patched(plan))
    fresh = again.trace(fresh=True)
    same_shapes(plan.trace, fresh)
    assert fresh.layer("fc6").weights[0].shape == (4096, 9216)
    assert again.native == {"x": (1, 3, 256, 256)}


# -- refusals ---------------------------------------------------------------------------------------------------------

LOOP = """
        for name in ('a', 'b'):
            self.add_link(name, L.Linear(None, 9))"""
LOOPED = TEXT.replace("\n        with", f"{LOOP}\n        with").replace("self.fc(h)", "self.b(self.a(h))")
HELPER = (
    IMPORTS
    + "\ndef top():\n    return L.Linear(None, 9)\n"
    + NET.replace("FC", "top()").replace("L.Linear(None, 10)", "top()")
)


@pytest.mark.parametrize(("text", "line"), [(LOOPED, 12), (HELPER, 6)], ids=["a loop", "a helper"])
def test_one_text_for_several_layers_is_refused(text: str, line: int) -> None:
    with pytest.raises(RefusedError) as caught:
        patched(load(text).retarget(classes=5))
    assert (caught.value.code, caught.value.location) == ("E303", f"net.py:{line}")
    assert caught.value.hint == "write it as ONNX: -o result.onnx"


REFUSALS: list[tuple[str, Any, str]] = [
    (TEXT.replace("max_", "average_"), ChangePool("pool_conv", {"ceil_mode": 1}, ""),
     "pool_conv: Chainer's average pooling always rounds down"),
    (TEXT, ChangePool("pool_conv", {"pads": (0, 0, 1, 1)}, ""), "pool_conv: Chainer pads both sides alike"),
    (TEXT, ChangePool("conv", {"group": 3}, ""), "conv: its group cannot be changed in Chainer"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "edit", "message"), REFUSALS, ids=[row[2] for row in REFUSALS])
def test_refusals(text: str, edit: Any, message: str) -> None:
    with pytest.raises(RefusedError) as caught:
        edited(text, edit)
    layer, _, because = message.partition(": ")
    assert (caught.value.code, caught.value.because) == ("E303", because)
    assert caught.value.message == f"{layer}: this source cannot say the edit"
    assert str(caught.value.location).startswith("net.py:")


def test_a_rectangle_is_no_single_insize() -> None:
    with pytest.raises(RefusedError, match="insize is one number, 20×24 are two"):
        patched(load(FREE).retarget(input=(20, 24)))


def test_what_the_definition_does_not_say_is_not_written() -> None:
    text = FREE.replace("insize", "pixels")
    with pytest.raises(RefusedError, match="the definition would stay as it is") as caught:
        patched(load(text).retarget(input=20))
    assert caught.value.hint
    same_file_but(text, patched(load(text).retarget(input=20, classes=5)), ("None, 9", "None, 5"))


def test_a_layer_of_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "parts.py").write_text(IMPORTS + "\ndef top():\n    return L.Linear(None, 9)\n")
    (tmp_path / "net.py").write_text(IMPORTS + "from parts import top\n" + NET.replace("FC", "top()"))
    with pytest.raises(RefusedError, match="its number of outputs is not written in this file"):
        patched(shapecalc.load(tmp_path / "net.py").retarget(classes=5))


# -- laws -------------------------------------------------------------------------------------------------------------


def sources() -> list[Path]:
    """The zoo, and Chainer's own examples where a folder that holds them is named."""
    folder = os.environ.get("SHAPECALC_CHAINER_SOURCES")
    fetched = sorted(Path(folder).rglob("imagenet/*.py")) if folder else []
    return [*ZOO, *(path for path in fetched if path.stat().st_size)]


@pytest.mark.parametrize("path", sources(), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_real_definitions(path: Path) -> None:
    model = shapecalc.load(path)
    assert model.source is not None
    assert [text.encode() for text in patch(model.source, model.graph, model.graph)] == [path.read_bytes()]
    for edit in ({"classes": 7}, {"classes": 7, "input": 256}, {"input": 300}):
        try:
            plan = shapecalc.load(path).retarget(**edit)  # type: ignore[arg-type]
        except RefusedError as error:
            assert error.code == "E302"  # noqa: PT017  no repair: not a matter of the format
            continue
        result = patched(plan)
        same_shapes(plan.trace, load(result, class_name=plan.graph.meta["class"]).trace(fresh=True))
        old, new = path.read_text().split("\n"), result.split("\n")
        assert len(old) == len(new)
        assert 0 < sum(a != b for a, b in zip(old, new, strict=True)) <= len(plan.edits) + 1


NUMBERS = {"9": "", "N": "N = 9\n", "SIZES['top']": "SIZES = {'top': 9}\n", "TOP[-1]": "TOP = [1, 9]\n", "2 + 7": ""}
POOLS = ["F.max_pooling_2d(h, 2)", "F.max_pooling_2d(h, ksize=3, stride=2)", "F.average_pooling_2d(h, (2, 2))"]


@st.composite
def definitions(draw: st.DrawFn) -> str:
    number = draw(st.sampled_from(sorted(NUMBERS)))
    call = draw(st.sampled_from(["L.Linear(None, {})", "L.Linear({})", "L.Linear(None, out_size={}, nobias=True)"]))
    pool = draw(st.sampled_from(POOLS))
    steps = draw(st.permutations(["F.relu(self.conv(h))", "F.dropout(h, 0.5)", pool]))
    lines = [f"        h = {step}" for step in steps]
    if draw(st.booleans()):
        lines.append("        h = h * 2 + 1")
    nested = draw(st.booleans())
    last = "        return self.fc(self.fc1(h))" if nested else "        h = self.fc1(h)\n        return self.fc(h)"
    body = NET[: NET.index("        h = ")].replace("FC", call.format(number)) + "\n".join(
        ["        h = x", *lines, last]
    )
    eol = draw(st.sampled_from(["\n", "\r\n"]))
    start = draw(st.sampled_from(["", "\ufeff", "# ü\n", '"""Text with 9."""\n']))
    return (start + IMPORTS + NUMBERS[number] + body + draw(st.sampled_from(["", "\n", "\n\nx = 9\n"]))).replace(
        "\n", eol
    )


@settings(max_examples=150, deadline=None)
@given(definitions(), st.integers(1, 9), st.integers(12, 40), st.sampled_from(["classes", "input", "both"]))
def test_generated_definitions(text: str, classes: int, size: int, what: str) -> None:
    model = load(text)
    assert model.source is not None
    assert list(patch(model.source, model.graph, model.graph)) == [text]
    edit = {"classes": classes, "input": size}
    try:
        plan = model.retarget(**(edit if what == "both" else {what: edit[what]}))  # type: ignore[arg-type]
    except RefusedError as error:
        assert error.code == "E302"  # noqa: PT017  no repair: not a matter of the format
        return
    result = patched(plan)
    same_shapes(plan.trace, load(result).trace(fresh=True))
    lines = [sum(a != b for a, b in zip(text.split("\n"), result.split("\n"), strict=True))]
    assert lines <= [len(plan.edits)]


@pytest.mark.parametrize("mean", ["h.mean((2, 3))", "h.mean(axis=(2, 3))", "F.average(h, (2, 3))", "F.mean(h, (2, 3))"])
def test_a_mean_takes_its_axes_by_place_too(mean: str) -> None:
    """``Variable.mean(axis=None, *, weights=None, keepdims=False)``: the axes come first, not the weights."""
    model = load(FREE.replace("F.average(h, (2, 3))", mean))
    layer = next(layer for layer in model.trace().layers if layer.op == "ReduceMean")
    assert layer.outputs[0].shape == (1, 8)
