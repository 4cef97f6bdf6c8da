"""From Python source to graph: names, parameters, spans, which class, which arguments, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import shapecalc
from shapecalc.errors import ModelError, UsageError
from shapecalc.formats import FORMATS, Options, Source, format_of
from shapecalc.formats.chainer import sniff
from shapecalc.formats.chainer.tape import label
from shapecalc.model import Model

HEAD = "import chainer\nimport chainer.functions as F\nimport chainer.links as L\n"


def load(text: str, **options: Any) -> Model:
    return shapecalc.loads(HEAD + text, format="chainer", name="net.py", **options)


def layers(text: str, size: Any = (1, 3, 32, 32), **options: Any) -> dict[str, Any]:
    traced = load(text, **options).trace(size, fresh=True)
    assert not traced.problems
    return {layer.name: layer.outputs[0].shape for layer in traced.layers}


# -- styles of writing a chain ----------------------------------------------------------------------------------------

FORWARD = """
    def {call}(self, x):
        return self.fc(F.max_pooling_2d(F.relu(self.conv1(x)), 2))
"""
STYLES = {
    "init_scope": """
class Net(chainer.Chain):
    def __init__(self):
        super(Net, self).__init__()
        with self.init_scope():
            self.conv1 = L.Convolution2D(3, 8, 3)
            self.fc = L.Linear(None, 10)
""",
    "keywords": """
class Net(chainer.Chain):
    def __init__(self):
        super().__init__(conv1=L.Convolution2D(3, 8, 3), fc=L.Linear(None, 10))
""",
    "add_link": """
class Net(chainer.Chain):
    def __init__(self):
        super().__init__()
        self.add_link("conv1", L.Convolution2D(3, 8, 3))
        self.add_link("fc", L.Linear(10))
""",
    "function_set": """
class Net(chainer.FunctionSet):
    def __init__(self):
        super().__init__(conv1=F.Convolution2D(3, 8, 3), fc=F.Linear(1800, 10))
""",
    "computed_names": """
class Net(chainer.Chain):
    def __init__(self, sizes=(8,)):
        super().__init__()
        with self.init_scope():
            for i, size in enumerate(sizes, 1):
                setattr(self, 'conv%d' % i, L.Convolution2D(3, size, 3))
            setattr(self, f"{'f'}{'c'}", L.Linear(None, 10))
""",
    "base_class": """
class Base(chainer.Chain):
    def __init__(self, out):
        super().__init__()
        with self.init_scope():
            self.fc = L.Linear(None, out)
class Net(Base):
    def __init__(self):
        Base.__init__(self, 10)
        with self.init_scope():
            self.conv1 = L.Convolution2D(3, 8, 3)
""",
}


@pytest.mark.parametrize("call", ["__call__", "forward"])
@pytest.mark.parametrize("style", STYLES)
def test_a_chain_reads_the_same_in_every_style(style: str, call: str) -> None:
    expected = {"conv1": (1, 8, 30, 30), "relu1": (1, 8, 30, 30), "pool1": (1, 8, 15, 15), "fc": (1, 10)}
    text = STYLES[style] + FORWARD.format(call=call)
    assert expected == layers(text, class_name="Net")
    assert {"conv1/W", "conv1/b", "fc/W", "fc/b"} == set(load(text, class_name="Net").graph.params)


@pytest.mark.parametrize(
    "imports",
    [
        "from chainer import Chain, functions as F, links as L",
        "from chainer import functions, links\nfrom chainer.link import Chain\nF = functions\nL = links",
        "import chainer.functions as F, chainer.links as L\nfrom chainer import Chain",
    ],
)
def test_import_aliases(imports: str) -> None:
    body = "class Net(Chain):\n def __init__(self): super().__init__(c=L.Linear(3, 2))\n"
    text = f"{imports}\n{body} def forward(self, x): return F.relu(self.c(x))\n"
    assert [n.name for n in shapecalc.loads(text, format="chainer").graph.nodes] == ["c", "relu_c"]


def test_functions_imported_by_name() -> None:
    text = (
        "from chainer.functions import relu\nfrom chainer.functions.pooling import max_pooling_2d as mp\n"
        "import chainer.links.connection.convolution_2d as c\nimport chainer\n"
        "class Net(chainer.Chain):\n"
        " def __init__(self): super().__init__(conv1=c.Convolution2D(3, 2, 3))\n"
        " def forward(self, x): return mp.max_pooling_2d(relu(self.conv1(x)), 2)\n"
    )
    assert [n.name for n in shapecalc.loads(text, format="chainer").graph.nodes] == ["conv1", "relu1", "pool1"]


RESIDUAL = """
class Block(chainer.Chain):
    def __init__(self, n):
        super().__init__()
        with self.init_scope():
            self.conv1 = L.Convolution2D(n, n, 3, pad=1, nobias=True)
            self.bn1 = L.BatchNormalization(n)
    def __call__(self, x):
        return F.relu(x + self.bn1(self.conv1(x)))
class Blocks(chainer.ChainList):
    def __init__(self, count, n):
        super().__init__()
        for _ in range(count):
            self.append(Block(n))
    def forward(self, x):
        for block in self:
            x = block(x)
        return x
class Net(chainer.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.res2 = Blocks(2, 3)
            self.head = chainer.Sequential(L.Convolution2D(3, 4, 1), F.relu, lambda h: F.average_pooling_2d(h, 32),
                                           L.Linear(None, 5))
    def forward(self, x):
        return self.head(self.res2(x))
"""


def test_nested_links_are_called_by_their_path() -> None:
    names = list(layers(RESIDUAL))
    block = ["conv1", "bn1", "add1", "relu1"]
    expected = [f"res2/{i}/{name}" for i in (0, 1) for name in block]
    assert [*expected, "head/0", "head/relu0", "head/pool0", "head/1"] == names
    assert "res2/1/bn1/avg_mean" in load(RESIDUAL).graph.params


def test_learned_parameters_are_counted_and_statistics_are_not() -> None:
    trace = load(RESIDUAL).trace((1, 3, 32, 32))
    assert trace.params == 2 * (3 * 3 * 9 + 2 * 3) + (3 * 4 + 4) + (4 * 5 + 5)


LABELS = [
    (("relu", "", "conv5"), "relu5"),
    (("norm", "", "conv5"), "norm5"),
    (("drop", "", "fc6"), "drop6"),
    (("relu", "", "out"), "relu_out"),
    (("relu", "res2/0", "res2/0/bn1"), "res2/0/relu1"),
    (("pool", "inc3a", "inc2/conv1"), "inc3a/pool"),
    (("relu", "", ""), "relu"),
]


@pytest.mark.parametrize(("given", "expected"), LABELS)
def test_labels(given: tuple[str, str, str], expected: str) -> None:
    assert expected == label(*given)


def test_a_second_call_of_a_kind_and_a_shared_link() -> None:
    text = STYLES["keywords"] + "    def forward(self, x):\n        h = F.relu(F.relu(self.conv1(x)))\n"
    text += "        return F.tanh(self.fc(h)) + self.fc(h)\n"
    graph = load(text).graph
    assert [n.name for n in graph.nodes] == ["conv1", "relu1", "relu1_2", "fc", "tanh_fc", "fc_2", "add_fc"]
    assert graph.node("fc").inputs[1:] == graph.node("fc_2").inputs[1:]


# -- training and losses ----------------------------------------------------------------------------------------------

TRAINING = """
class Net(chainer.Chain):
    insize = 32
    def __init__(self, train=True):
        super().__init__(conv1=L.Convolution2D(3, 8, 3), fc2=L.Linear(None, 10), aux=L.Linear(None, 10))
        self.train = True
    def __call__(self, x, t):
        h = self.conv1(x)
        loss = 0
        if {condition}:
            a = self.aux(h)
            loss = F.softmax_cross_entropy(a, t)
        y = self.fc2(F.dropout(h, ratio=0.4, train=self.train))
        self.loss = 0.3 * loss + F.softmax_cross_entropy(y, t)
        chainer.report({{'loss': self.loss, 'accuracy': F.accuracy(y, t)}}, self)
        print('loss', self.loss)
        return self.loss
"""


@pytest.mark.parametrize("condition", ["chainer.config.train", "self.train"])
def test_the_phase_decides_what_is_on_training(condition: str) -> None:
    text = TRAINING.format(condition=condition)
    test, train = load(text).graph, load(text, phase="train").graph
    assert "aux" not in [n.name for n in test.nodes]
    assert test.meta["scores"] == ("fc2",)
    assert train.meta["scores"] == ("aux", "fc2")
    named = load(text, class_name="Net_train").graph
    assert [train.meta[key] for key in ("scores", "written")] == [named.meta[key] for key in ("scores", "written")]
    assert [i.role for i in test.inputs] == ["image", "label"]
    assert test.inputs[1].native == (1,)


def test_a_batch_feeds_its_labels_too() -> None:
    trace = load(TRAINING.format(condition="False")).trace((5, 3, 32, 32))
    assert {v.name: v.shape for v in trace.inputs} == {"x": (5, 3, 32, 32), "t": (5,)}
    assert trace.ok
    assert trace.outputs[0].shape == ()


def test_an_argument_with_a_default_is_not_fed() -> None:
    text = STYLES["keywords"] + (
        "    def forward(self, x, t=None, train=True):\n"
        "        y = self.fc(self.conv1(x))\n        return y if t is None else F.softmax_cross_entropy(y, t)\n"
    )
    assert [given.name for given in load(text).graph.inputs] == ["x"]


# -- inputs -----------------------------------------------------------------------------------------------------------

SIZED = "class Net(chainer.Chain):\n    {size}\n    def __init__(self): super().__init__(c={link})\n"
INPUTS = [
    ("insize = 28", "L.Convolution2D(1, 2, 3)", (1, 1, 28, 28)),
    ("insize = (20, 30)", "L.Convolution2D(4, 2, 3)", (1, 4, 20, 30)),
    ("insize = 32", "L.Convolution2D(4, 8, 3, groups=2)", (1, 4, 32, 32)),
    ("insize = 32", "L.Convolution2D(None, 8, 3)", (1, 3, 32, 32)),
    ("insize = 16", "L.Deconvolution2D(7, 8, 3)", (1, 7, 16, 16)),
    ("pass", "L.Linear(784, 10)", (1, 784)),
]


@pytest.mark.parametrize(("size", "link", "expected"), INPUTS)
def test_the_native_input(size: str, link: str, expected: Any) -> None:
    graph = load(SIZED.format(size=size, link=link) + "    def forward(self, x): return self.c(F.relu(x))\n").graph
    assert expected == graph.inputs[0].native
    assert ("None" in link) == bool(graph.warnings)


def test_a_size_that_is_not_stated_is_asked_for() -> None:
    model = load(
        SIZED.format(size="pass", link="L.Convolution2D(1, 2, 3)") + "    def forward(self, x): return self.c(x)"
    )
    with pytest.raises(UsageError, match="does not say the size of its input 'x'"):
        model.trace()
    assert model.trace(28).outputs[0].shape == (1, 2, 26, 26)


def test_a_first_layer_that_flattens_takes_an_image_too() -> None:
    model = load(SIZED.format(size="pass", link="L.Linear(784, 10)") + "    def forward(self, x): return self.c(x)")
    assert model.trace().ok
    assert model.trace((1, 1, 28, 28)).ok
    assert [problem.code for problem in model.trace((1, 1, 20, 20)).problems] == ["E101"]


# -- classes and arguments --------------------------------------------------------------------------------------------

TWO = """
class {0}(chainer.Chain):
    def forward(self, x): return F.relu(x)
class {1}({2}):
    def forward(self, x): return F.tanh(x)
"""


def test_of_several_classes_the_one_like_the_file(tmp_path: Path) -> None:
    path = tmp_path / "my_net.py"
    path.write_text(HEAD + TWO.format("MyNet", "Other", "chainer.Chain"))
    assert shapecalc.load(path).graph.name == "MyNet"
    assert shapecalc.load(path, class_name="Other").graph.name == "Other"


def test_several_classes_are_named() -> None:
    with pytest.raises(ModelError) as caught:
        load(TWO.format("A", "B", "chainer.Chain"))
    assert (
        str(caught.value)
        == "net.py: error[E202 unreadable]: several networks are defined here: A, B\n  try      --class-name B"
    )


def test_a_class_that_is_not_there() -> None:
    with pytest.raises(ModelError, match="there is no chain 'C'"):
        load(TWO.format("A", "B", "chainer.Chain"), class_name="C")


OPEN = """
class Net(chainer.Chain):
    def __init__(self, n_class, width=8):
        super().__init__(conv1=L.Convolution2D(3, width, 3), fc=L.Linear(None, n_class))
    def forward(self, x):
        return self.fc(self.conv1(x))
"""


def test_an_open_argument_is_asked_for() -> None:
    with pytest.raises(ModelError) as caught:
        load(OPEN)
    expected = (
        "net.py:5: error[E205 unknown value]: Net is made with n_class, which the definition leaves open\n"
        "  try      --arg n_class=…"
    )
    assert expected == str(caught.value)


@pytest.mark.parametrize("value", [13, "13"])
def test_arguments(value: Any) -> None:
    trace = load(OPEN, arguments={"n_class": value, "width": 4}).trace(32)
    assert [layer.outputs[0].shape for layer in trace.layers] == [(1, 4, 30, 30), (1, 13)]


def test_an_open_name_can_be_given_too() -> None:
    text = OPEN.replace("n_class, ", "").replace("n_class", "args.n") + "import argparse\nargs = argparse.parse()\n"
    with pytest.raises(ModelError, match=r"its argument out_size is argparse\.parse\(\)\.n, whose value is not known"):
        load(text)
    with pytest.raises(ModelError, match="--arg N="):
        load(text.replace("args.n", "N"))
    assert load(text.replace("args.n", "N"), arguments={"N": 7}).trace(32).outputs[0].shape == (1, 7)


def test_a_module_beside_the_definition(tmp_path: Path) -> None:
    (tmp_path / "blocks.py").write_text(HEAD + RESIDUAL.split("class Net")[0] + "WIDTH = 3\n")
    path = tmp_path / "net.py"
    body = "class Net(chainer.Chain):\n    def __init__(self): super().__init__(r=blocks.Blocks(1, WIDTH))\n"
    path.write_text(
        f"{HEAD}import blocks\nfrom .blocks import WIDTH\n{body}    def forward(self, x): return self.r(x)\n"
    )
    graph = shapecalc.load(path).graph
    assert [node.name for node in graph.nodes] == ["r/0/conv1", "r/0/bn1", "r/0/add1", "r/0/relu1"]
    assert str(tmp_path / "blocks.py") == graph.nodes[0].origin.file


# -- origins ----------------------------------------------------------------------------------------------------------


def test_spans_cover_what_an_edit_replaces() -> None:
    text = "# naïve ✓\n" + STYLES["init_scope"] + FORWARD.format(call="forward")
    graph = load(text).graph
    whole = graph.meta["text"]

    def at(span: Any) -> str:
        return str(whole[span.start : span.end])

    fc, pool = graph.node("fc").origin, graph.node("pool1").origin
    assert (at(fc.span), at(fc.parts["out_size"]), at(fc.parts["channels"])) == ("L.Linear(None, 10)", "10", "10")
    assert at(fc.parts["call"]) == "self.fc(F.max_pooling_2d(F.relu(self.conv1(x)), 2))"
    assert (at(pool.parts["ksize"]), at(pool.parts["x"])) == ("2", "F.relu(self.conv1(x))")
    assert f"net.py:{whole[: pool.span.start].count(chr(10)) + 1}" == pool.location if pool.span else False


@pytest.mark.parametrize(
    ("link", "expected"),
    [("L.Linear(12)", "12"), ("L.Convolution2D(5, 1)", "5"), ("L.Convolution2D(3, out_channels=6, ksize=1)", "6")],
)
def test_the_number_of_outputs_where_arguments_shift(link: str, expected: str) -> None:
    graph = load(SIZED.format(size="insize = 8", link=link) + "    def forward(self, x): return self.c(x)").graph
    span = graph.nodes[0].origin.parts["channels"]
    assert expected == graph.meta["text"][span.start : span.end]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_spans_with_any_line_end(mark: str, end: str) -> None:
    text = mark + (HEAD + STYLES["init_scope"] + FORWARD.format(call="forward")).replace("\n", end)
    graph = shapecalc.loads(text, format="chainer").graph
    span = graph.node("conv1").origin.parts["ksize"]
    assert graph.meta["text"][span.start : span.end] == "3"


# -- format and errors ------------------------------------------------------------------------------------------------


def test_python_is_recognised() -> None:
    assert sniff(HEAD.encode())
    assert not sniff(b"import torch\n")
    assert FORMATS["chainer"] is format_of(Source("x", None, HEAD.encode()), None)
    assert FORMATS["chainer"] is format_of(Source("x.py", Path("x.py"), b"anything"), None)
    assert Options().class_name is None


ERRORS = [
    ("return self.c(x", "E203", "this is not Python"),
    ("print 'x'", "E203", "2to3"),
    ("return F.deformable(x)", "E204", "F.deformable is not supported"),
    ("return L.CRF1d(3)(x)", "E204", "L.CRF1d is not supported"),
    ("return self.conv9(x)", "E205", "there is no self.conv9: nothing assigns it"),
    ("return F.relu(self.mean)", "E205", "its argument x is self.mean, whose value is not known without running it"),
    ("return F.relu(x, slope=3)", "E205", "relu has no argument 'slope'"),
    ("return F.max_pooling_2d(x)", "E205", "max_pooling_2d is called without its argument 'ksize'"),
    ("return F.max_pooling_2d(x, 0)", "E109", "its argument ksize is 0"),
    ("if x.shape[2] > 100: x = F.relu(x)\n        return x", "E205", "whether x.shape[2] > 100"),
    ("for i in range(len(x)): x = F.relu(x)\n        return x", "E205", "is not known without running it"),
    ("raise NotImplementedError('later')", "E205", "the definition stops here"),
    ("return 3", "E205", "computes nothing from its input"),
]


@pytest.mark.parametrize(("body", "code", "words"), ERRORS)
def test_what_cannot_be_known_is_named_with_its_line(body: str, code: str, words: str) -> None:
    head = SIZED.format(size="insize = 8", link="L.Convolution2D(3, 2, 3)")
    with pytest.raises(ModelError) as caught:
        load(head + "    def forward(self, x):\n        " + body + "\n")
    assert code == caught.value.code
    assert words in str(caught.value)
    assert str(caught.value).startswith("net.py:")


# -- classes that say how their attributes are kept -------------------------------------------------------------------

SEQUENCE = """
import functools
class Sequence(chainer.Chain):
    def __init__(self):
        super(Sequence, self).__init__()
        self.names = []
    def __setattr__(self, name, value):
        super(Sequence, self).__setattr__(name, value)
        if self.within_init_scope and callable(value):
            self.names.append(name)
    def __call__(self, x):
        for name in self.names:
            x = self[name](x)
        return x
class Net(chainer.Chain):
    def __init__(self):
        super(Net, self).__init__()
        with self.init_scope():
            self.body = Sequence()
            with self.body.init_scope():
                setattr(self.body, 'conv', L.Convolution2D(3, 4, 3))
                self.body.pool = functools.partial(F.max_pooling_2d, ksize=2)
            self.fc = L.Linear(None, functools.reduce(lambda a, b: a + b, [2, 3]))
    def __call__(self, x):
        return self.fc(self.body(x))
def net():
    return Net()
"""


@pytest.mark.parametrize("name", ["Net", "net"])
def test_a_class_that_keeps_its_own_list_of_what_is_assigned(name: str) -> None:
    found = layers(SEQUENCE, class_name=name)
    assert found == {"body/conv": (1, 4, 30, 30), "body/pool_conv": (1, 4, 15, 15), "fc": (1, 5)}


def test_a_forward_that_does_nothing_is_no_network() -> None:
    with pytest.raises(ModelError, match="the forward of Net computes nothing from its input"):
        load("class Net(chainer.Chain):\n    def forward(self, x):\n        return x\n")


def test_an_attribute_that_a_class_looks_up_itself() -> None:
    text = """
class Net(chainer.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.conv1 = L.Convolution2D(3, 4, 3)
    def __getattr__(self, name):
        return getattr(self, name.replace('layer', 'conv'))
    def forward(self, x):
        return self.layer1(x)
"""
    assert layers(text) == {"conv1": (1, 4, 30, 30)}


def test_an_input_has_as_many_axes_as_the_definition_names() -> None:
    """Atoms, words, frames: the names that a shape gets tell it, in forward or in what that calls."""
    text = """import chainer
import chainer.functions as F
import chainer.links as L


class Net(chainer.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.l = L.Linear(16, 8)

    def forward(self, x, adjacency):
        batch, atoms, channels = x.shape
        h = F.reshape(self.l(F.reshape(x, (batch * atoms, channels))), (batch, atoms, 8))
        return self.gathered(h, adjacency)

    def gathered(self, h, adjacency):
        batch, kinds, atoms, _, _ = adjacency.shape
        return F.reshape(h, (batch, atoms * 8))
"""
    model = shapecalc.loads(text, format="chainer", name="net.py")
    assert [len(given.declared or ()) for given in model.graph.inputs] == [3, 5]
    trace = model.trace({"x": (2, 5, 16), "adjacency": (2, 4, 5, 5, 1)})
    assert trace.problems == []
    assert trace.outputs[0].shape == (2, 40)
    with pytest.raises(UsageError, match="does not say the size of its input 'x'") as caught:
        model.trace()
    assert caught.value.hint == "give all 3 of its axes, as in --input 1x16x16"
    twice = text.replace("return self.gathered", "batch, atoms = x.shape\n        return self.gathered")
    with pytest.raises(shapecalc.ModelError, match="3 values for 2 names"):
        shapecalc.loads(twice, format="chainer", name="net.py")


def test_a_linear_that_is_derived_from_is_sized_by_its_first_input() -> None:
    text = """import chainer
import chainer.functions as F
import chainer.links as L


class Atomwise(L.Linear):
    def __call__(self, x):
        batch, atoms, channels = x.shape
        h = super(Atomwise, self).__call__(F.reshape(x, (batch * atoms, channels)))
        return F.reshape(h, (batch, atoms, self.out_size))


class Net(chainer.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.a = Atomwise(None, 8)

    def forward(self, x):
        return self.a(x)
"""
    model = shapecalc.loads(text, format="chainer", name="net.py", class_name="Net")
    trace = model.trace((2, 5, 16))
    assert (trace.problems, trace.outputs[0].shape, trace.params) == ([], (2, 5, 8), 16 * 8 + 8)
    bare = text.replace("Atomwise(None, 8)", "Atomwise(None, 8, nobias=True)")
    with pytest.raises(ModelError, match="its argument W has None dimensions, not 2"):
        shapecalc.loads(bare, format="chainer", name="net.py", class_name="Net")
