"""Definitions that build on others' code: ChainerCV, links as bases, modules elsewhere; what is said where none is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import shapecalc
from shapecalc.errors import ModelError, UsageError

HEAD = "import chainer\nimport chainer.functions as F\nimport chainer.links as L\nimport numpy as np\n"
CHAIN = """
class Net(chainer.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.a = {link}
    def forward(self, x):
        return {body}
"""


def trace(text: str, size: Any, **options: Any) -> shapecalc.Trace:
    traced = shapecalc.loads(HEAD + text, format="chainer", name="net.py", **options).trace(size, fresh=True)
    assert not traced.problems
    return traced


def shapes(traced: shapecalc.Trace) -> list[Any]:
    return [value.shape for value in traced.outputs]


def parameters(traced: shapecalc.Trace) -> dict[str, Any]:
    return {name: traced.tensors[name].shape for name in traced.graph.params}


# -- ChainerCV --------------------------------------------------------------------------------------------------------

CV = "from chainercv.links import {name}\n"
#: What is made of ChainerCV -> the input, the outputs and how many parameters, as chainercv 0.13.1 on Chainer 7.8.1.
NETS = (
    ("ResNet50", "ResNet50(n_class=1000, arch='he')", (3, 224, 224), [(1, 1000)], 25_557_096),
    ("ResNet101", "ResNet101()", (3, 224, 224), [(1, 1000)], 44_549_160),
    ("SEResNet50", "SEResNet50(13)", (3, 224, 224), [(1, 13)], 28_088_024 - 987 * 2_049),
    ("SEResNeXt50", "SEResNeXt50()", (3, 224, 224), [(1, 1000)], 27_559_896),
    ("VGG16", "VGG16()", (3, 224, 224), [(1, 1000)], 138_357_544),
    ("SSD300", "SSD300(n_fg_class=20)", (3, 300, 300), [(1, 8732, 4), (1, 8732, 21)], 26_285_486),
    ("SSD512", "SSD512(n_fg_class=20)", (3, 512, 512), [(1, 24564, 4), (1, 24564, 21)], 27_188_676),
)


@pytest.mark.parametrize(("name", "made", "size", "outputs", "count"), NETS)
def test_nets_of_chainercv(name: str, made: str, size: Any, outputs: Any, count: int) -> None:
    traced = trace(CV.format(name=name) + CHAIN.format(link=made, body="self.a(x)"), size)
    assert (shapes(traced), traced.params) == (outputs, count)


LINKS = (
    ("Conv2DActiv", "Conv2DActiv(None, 8, 3, 2, 1)", [(1, 8, 16, 16)], {"a/conv/W": (8, 3, 3, 3), "a/conv/b": (8,)}),
    ("Conv2DBNActiv", "Conv2DBNActiv(8, 3, pad=1, activ=None)", [(1, 8, 32, 32)], {"a/conv/W": (8, 3, 3, 3)}),
    ("SeparableConv2DBNActiv", "SeparableConv2DBNActiv(3, 6, 3)", [(1, 6, 30, 30)], {"a/pointwise/W": (6, 3, 1, 1)}),
    ("SEBlock", "SEBlock(3, ratio=3)", [(1, 3, 32, 32)], {"a/down/W": (1, 3), "a/up/W": (3, 1)}),
)


@pytest.mark.parametrize(("name", "made", "outputs", "weights"), LINKS)
def test_links_of_chainercv(name: str, made: str, outputs: Any, weights: Any) -> None:
    traced = trace(CV.format(name=name) + CHAIN.format(link=made, body="self.a(x)"), (3, 32, 32))
    assert shapes(traced) == outputs
    assert weights.items() <= parameters(traced).items()


PICKED = (
    CV.format(name="PickableSequentialChain")
    + """
class Net(PickableSequentialChain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.conv = L.Convolution2D(3, 4, 3)
            self.pool = lambda x: F.max_pooling_2d(x, 2)
            self.fc = L.Linear(None, 5)
        self.pick = {pick}
"""
)


@pytest.mark.parametrize(
    ("pick", "outputs"),
    [
        ("None", [(1, 5)]),
        ("'pool'", [(1, 4, 5, 5)]),
        ("('fc', 'conv')", [(1, 5), (1, 4, 10, 10)]),
    ],
)
def test_a_pickable_chain_gives_what_is_picked(pick: str, outputs: Any) -> None:
    assert shapes(trace(PICKED.format(pick=pick), (3, 12, 12))) == outputs


# -- links as bases ---------------------------------------------------------------------------------------------------

EXTENDED = """
class Own({base}):
    def forward(self, x):
        return {body}
"""
BASES = (
    (
        "L.Convolution2D",
        "super().forward(x)",
        "Own(3, 6, 3, stride=2)",
        {"a/W": (6, 3, 3, 3), "a/b": (6,)},
        (1, 6, 5, 5),
    ),
    ("L.Convolution2D", "F.convolution_2d(x, self.W * 2)", "Own(3, 6, 3)", {"a/W": (6, 3, 3, 3)}, (1, 6, 10, 10)),
    (
        "L.Deconvolution2D",
        "F.relu(super().forward(x))",
        "Own(3, 6, 2, stride=2)",
        {"a/W": (3, 6, 2, 2)},
        (1, 6, 24, 24),
    ),
    ("L.Linear", "F.linear(x, self.W)", "Own(3, 6)", {"a/W": (6, 3)}, (1, 6)),
    ("L.BatchNormalization", "super().forward(x)", "Own(3)", {"a/gamma": (3,), "a/avg_var": (3,)}, (1, 3, 12, 12)),
)


@pytest.mark.parametrize(("base", "body", "made", "weights", "output"), BASES)
def test_a_link_is_extended(base: str, body: str, made: str, weights: Any, output: Any) -> None:
    size = (1, 3) if base == "L.Linear" else (3, 12, 12)
    traced = trace(EXTENDED.format(base=base, body=body) + CHAIN.format(link=made, body="self.a(x)"), size)
    assert shapes(traced) == [output]
    assert weights.items() <= parameters(traced).items()


DRAWN = """
class Own(L.Linear):
    def __init__(self):
        super().__init__(12, 6)
        self.u = np.random.normal(size=(1, 6)).astype('f')
        {registered}
    def forward(self, x):
        return F.linear(x, self.W) * self.u
"""


def test_an_array_drawn_by_chance_is_known_from_the_snapshot_alone() -> None:
    text = DRAWN.format(registered="self.register_persistent('u')")
    assert parameters(trace(text, (1, 12)))["u"] == (1, 6)
    with pytest.raises(ModelError) as refused:
        trace(text.replace("self.register_persistent('u')", "pass"), (1, 12))
    assert "is drawn by chance each time it runs" in str(refused.value)


# -- modules elsewhere ------------------------------------------------------------------------------------------------


def project(folder: Path) -> Path:
    """models/net.py, which imports source/blocks.py above it."""
    (folder / "models").mkdir()
    (folder / "source").mkdir()
    (folder / "source" / "blocks.py").write_text(HEAD + "def made():\n    return L.Linear(None, 7)\n")
    net = folder / "models" / "net.py"
    net.write_text(HEAD + "from source.blocks import made\n" + CHAIN.format(link="made()", body="self.a(x)"))
    return net


def test_a_module_above_is_read_where_the_caller_says_so(tmp_path: Path) -> None:
    net = project(tmp_path)
    with pytest.raises(ModelError) as refused:
        shapecalc.load(net)
    assert refused.value.hint == f"source lies above the definition's folder: --path {tmp_path}"
    assert shapes(shapecalc.load(net, path=tmp_path).trace((3, 4, 4), fresh=True)) == [(1, 7)]


def test_a_module_that_is_nowhere_is_named(tmp_path: Path) -> None:
    net = project(tmp_path)
    net.write_text(net.read_text().replace("source.blocks", "nowhere.at_all"))
    with pytest.raises(ModelError) as refused:
        shapecalc.load(net, path=tmp_path)
    assert refused.value.hint is not None
    assert refused.value.hint.endswith("--path DIR, the folder that has nowhere")


def test_a_path_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        shapecalc.load(project(tmp_path), path=tmp_path / "none")
    assert "is no folder" in str(refused.value)


def test_of_modules_of_one_name_the_one_that_has_it(tmp_path: Path) -> None:
    """A package of the same name beside the definition may not be the one that is meant."""
    (tmp_path / "utils").mkdir()
    (tmp_path / "utils" / "__init__.py").write_text("WIDTH = 3\n")
    net = tmp_path / "net.py"
    net.write_text(
        HEAD
        + "from other.utils import shown\nfrom utils import WIDTH\n"
        + CHAIN.format(link="L.Linear(None, WIDTH)", body="self.a(x)")
    )
    assert shapes(shapecalc.load(net).trace((3, 4, 4), fresh=True)) == [(1, 3)]


def test_the_definition_s_own_package(tmp_path: Path) -> None:
    folder = tmp_path / "nets" / "small"
    folder.mkdir(parents=True)
    (folder / "common.py").write_text(HEAD + "def made():\n    return L.Linear(None, 7)\n")
    net = folder / "net.py"
    net.write_text(HEAD + "from nets.small.common import made\n" + CHAIN.format(link="made()", body="self.a(x)"))
    assert shapes(shapecalc.load(net).trace((3, 4, 4), fresh=True)) == [(1, 7)]


# -- Python -----------------------------------------------------------------------------------------------------------

PYTHON = (
    (
        "import sys\ndef made():\n    return L.Linear(None, 7)\n",
        "getattr(sys.modules[__name__], 'made')()",
        "self.a(x)",
    ),
    ("def made():\n    return L.Linear(None, 7)\n", "globals()['made']()", "self.a(x)"),
    ("import os\n", "L.Linear(None, 7 if os.path.exists('w.npz') else 8)", "self.a(x)"),
    ("NAME = 'net-{}.npz'.format(3)\n", "L.Linear(None, 7)", "self.a(x)"),
    ("", "L.Linear(None, 7)", "self.a(x) + np.zeros_like(self.a(x).data)"),
    ("", "L.Linear(None, 7)", "self.a(x) if not hasattr(self.a, 'extra') and not hasattr(F.relu, 'extra') else x"),
)


@pytest.mark.parametrize(("above", "link", "body"), PYTHON)
def test_more_of_python(above: str, link: str, body: str) -> None:
    assert shapes(trace(above + CHAIN.format(link=link, body=body), (3, 4, 4))) == [(1, 7)]


def test_several_values_of_one_argument() -> None:
    text = (
        CHAIN.format(link="L.Linear(None, 7)", body="self.a(x)")
        .replace("(self, x)", "(self, *x)")
        .replace("(x)", "(x[0])")
    )
    assert shapes(trace(text, (3, 4, 4))) == [(1, 7)]


def test_an_error_inside_a_recipe_points_into_the_definition() -> None:
    text = "from chainercv import utils\nP, _ = utils.prepare_pretrained_model({'n': None}, None, {})\n"
    text += CHAIN.format(link="L.Linear(None, P['n'])", body="self.a(x)").replace(
        "        super().__init__()\n",
        "        super().__init__()\n        utils.prepare_pretrained_model({'n_fg_class': None}, None, {})\n",
    )
    with pytest.raises(ModelError) as refused:
        trace(text, (3, 4, 4))
    assert refused.value.location == "net.py:11"
    assert refused.value.message == "the definition stops here: n_fg_class must be specified"
