"""Chainer definitions cut as texts: the statements that go, and what the forward returns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import shapecalc
from shapecalc.errors import RefusedError
from shapecalc.verify.definition_file import patched

HEAD = """import chainer
import chainer.functions as F
import chainer.links as L


class Block(chainer.Chain):
    def __init__(self):
        super().__init__(c=L.Convolution2D(4, 4, 3, pad=1))

    def __call__(self, x):
        return F.relu(self.c(x)) + x


class Net(chainer.Chain):
    insize = 12

    def __init__(self):
        super().__init__(
            conv=L.Convolution2D(3, 4, 3), one=Block(), two=Block(), fc=L.Linear(None, 7))
        self.blocks = [self.one, self.two]

    def __call__(self, x, t):
"""
BODY = """        h = F.max_pooling_2d(F.relu(self.conv(x)), 2)  # 5 x 5
        for block in self.blocks:
            h = block(h)
        g = h
        h = F.dropout(
            F.tanh(h), 0.5)
        if chainer.config.train:
            h = h * 1
        y = self.fc(h)
        self.loss = F.softmax_cross_entropy(y, t)
        return self.loss
"""

#: What is cut at and how, and the forward that is left.
CASES: dict[str, tuple[tuple[str, ...], dict[str, Any], str]] = {
    "a part of an expression": (("conv",), {}, "        return self.conv(x)\n"),
    "a statement, which keeps its comment": (
        ("pool_conv",),
        {},
        "        h = F.max_pooling_2d(F.relu(self.conv(x)), 2)  # 5 x 5\n        return h\n",
    ),
    "behind a loop": (
        ("two/add_c",),
        {},
        BODY[: BODY.index("        g = h")] + "        return h\n",
    ),
    "on two lines": (
        ("drop_two",),
        {},
        BODY[: BODY.index("        if")] + "        return h\n",
    ),
    "several values": (
        ("fc", "relu_conv"),
        {},
        "        relu_conv = F.relu(self.conv(x))\n"
        + BODY[: BODY.index("        self.loss")].replace("F.relu(self.conv(x))", "relu_conv")
        + "        return y, relu_conv\n",
    ),
    "parts of one expression": (
        ("conv", "relu_conv"),
        {},
        "        conv = self.conv(x)\n        return conv, F.relu(conv)\n",
    ),
    "pooled": (
        ("conv",),
        {"pool": "avg"},
        "        conv = self.conv(x)\n        return F.average_pooling_2d(conv, conv.shape[2:])\n",
    ),
    "pooled and flattened": (
        ("pool_conv",),
        {"pool": "max", "flatten": True},
        BODY[: BODY.index("        for")]
        + "        return F.reshape(F.max_pooling_2d(h, h.shape[2:]), (h.shape[0], -1))\n",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_left(name: str) -> None:
    at, wanted, body = CASES[name]
    model = shapecalc.loads(HEAD + BODY, format="chainer", name="net.py")
    assert patched(model.cut(*at, **wanted)) == HEAD + body


def test_what_is_written_is_the_plan_and_its_onnx(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(HEAD + BODY)
    plan = shapecalc.load(tmp_path / "net.py").cut("two/add_c", pool="avg")
    assert plan.file_name == "net-two_add_c.py"
    text = shapecalc.load(plan.save(tmp_path / plan.file_name, device="cpu"))
    onnx = shapecalc.load(plan.save(tmp_path / "net.onnx", device="cpu"))
    assert text.trace().outputs[0].shape == onnx.trace().outputs[0].shape == (1, 4, 1, 1)


REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    "inside a link that serves twice": (("two/c",), "no statement of the forward ends with it alone"),
    "one of several inside": (
        ("conv", "one/c"),
        "the text that gives it serves several layers, or runs more than once",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_forward_cannot_end_with(name: str) -> None:
    at, said = REFUSED[name]
    plan = shapecalc.loads(HEAD + BODY, format="chainer", name="net.py").cut(*at)
    with pytest.raises(RefusedError) as caught:
        patched(plan)
    assert caught.value.because == said
    assert caught.value.hint == "write it as ONNX: -o result.onnx"


def test_a_detector_is_sent_to_onnx() -> None:
    """Whose classes are followed there through reshapes and joins."""
    text = HEAD.replace("def __call__(self, x, t)", "def __call__(self, x)") + (
        "        return F.concat((self.conv(x), self.conv(x)), axis=1)\n"
    )
    with pytest.raises(RefusedError) as caught:
        shapecalc.loads(text, format="chainer", name="net.py").retarget(classes=3)
    assert str(caught.value.hint).startswith(
        "a detector is changed as ONNX: shapecalc convert net.py -o net.onnx, then --classes of that; "
    )


def test_a_forward_of_chainer_itself() -> None:
    text = "import chainer\nimport chainer.links as L\n\n\nclass Net(L.VGG16Layers):\n    pass\n"
    plan = shapecalc.loads(text, format="chainer", name="net.py").cut("conv3_3")
    with pytest.raises(RefusedError, match="this source cannot be cut there") as caught:
        patched(plan)
    assert caught.value.because == "the forward of its class is not written in this file"
