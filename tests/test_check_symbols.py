"""The script that holds expressions of a free input against numbers: nothing in a net, something in a wrong one."""

from __future__ import annotations

from pathlib import Path

import onnx.parser
import pytest
from tools import check_symbols

from shapecalc import dims
from shapecalc.dims import Unknown, symbol
from shapecalc.graph import Tensor

NET = """<ir_version: 8, opset_import: ["" : 18]>
g (float[n, 3, h, w] x) => (float y) {
    p = MaxPool <kernel_shape = [3, 3], strides = [2, 2], ceil_mode = 1> (x)
    s = Shape <start = 2> (p)
    c = Constant <value_ints = [-1]> ()
    t = Concat <axis = 0> (c, s)
    y = Reshape (p, t)
}"""


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "net.onnx"
    path.write_bytes(onnx.parser.parse_model(NET).SerializeToString())
    return path


def test_a_net_has_the_shapes_of_its_numbers(net: Path) -> None:
    verdicts = [verdict for verdict, _ in check_symbols.of_net(net, [(64, 64), (33, 80)], [1, 3])]
    assert len(verdicts) > 50
    assert set(verdicts) == {"equal"}


def test_a_wrong_rule_would_be_found(net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = dims.substitute
    monkeypatch.setattr(dims, "substitute", lambda dim, bound: right(dim, {**bound, "HEIGHT": 65}))
    assert "unequal" in {verdict for verdict, _ in check_symbols.of_net(net, [(64, 64)], [1])}


N, COUNT = symbol("N"), symbol("y[0]", 0, 9)


@pytest.mark.parametrize(
    ("free", "number", "verdict"),
    [
        (Tensor((N * 2,)), Tensor((6,)), "equal"),
        (Tensor((N + 1,)), Tensor((6,)), "unequal"),
        (Tensor((N, 1)), Tensor((3,)), "unequal"),
        (Tensor((Unknown("?"),)), Tensor((6,)), "weaker"),
        (Tensor((3,)), Tensor((Unknown("?"),)), "unequal"),
        (Tensor((COUNT,)), Tensor((COUNT,)), "open"),
        (Tensor((2,), "int64", (N, 4)), Tensor((2,), "int64", (3, 4)), "equal"),
        (Tensor((2,), "int64", (N, 4)), Tensor((2,), "int64", (3, 5)), "unequal"),
        (Tensor(Unknown("?")), Tensor((3,)), "weaker"),
    ],
)
def test_verdicts(free: Tensor, number: Tensor, verdict: str) -> None:
    assert check_symbols.of_tensor(free, number, {"N": 3}) == verdict
