"""Exported models: symbols, arrays of sizes and single sizes give one answer for every tensor."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest

import shapecalc
from shapecalc import dims
from shapecalc.trace import trace

FOLDER = Path(__file__).parents[2] / "shared" / "corpus" / "onnx"
MODELS = [
    "convnext_atto.dynamo",
    "edgenext_xx_small.ts",
    "efficientnet_b0.dynamo",
    "hrnet_w18_small.ts",
    "maxvit_tiny_rw_224.ts",
    "mobilevitv2_050.ts",
    "nasnetalarge.ts",
    "swin_tiny_patch4_window7_224.ts",
    "tf_efficientnetv2_b0.ts",
    "vit_tiny_patch16_224.ts",
]
SIZES = (96, 160, 224, 227, 256, 299)

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.skipif(not FOLDER.is_dir(), reason="../shared/corpus/onnx is absent"),
]


def load(name: str) -> shapecalc.Model:
    return shapecalc.load(FOLDER / f"{name}.onnx")


@pytest.mark.parametrize("name", MODELS)
def test_every_expression_computes_what_the_size_gives(name: str) -> None:
    model = load(name)
    symbolic = model.trace()
    assert symbolic.ok
    free = sorted(set().union(*(dims.symbols(d) for v in symbolic.inputs for d in v.shape or ())))
    sizes = random.Random(name)
    for _ in range(3):
        bindings = {symbol: sizes.choice(SIZES) for symbol in free}
        feeds = {v.name: tuple(dims.substitute(d, bindings) for d in v.shape or ()) for v in symbolic.inputs}
        numbers = trace(model.graph, feeds)
        if numbers.ok:
            wanted = {key: tuple(dims.substitute(d, bindings) for d in v or ()) for key, v in symbolic.values.items()}
            assert wanted == {key: tuple(v or ()) for key, v in numbers.values.items()}


@pytest.mark.parametrize("name", [name for name in MODELS if name.endswith(".ts")])
def test_many_sizes_at_once_are_those_that_fit_alone(name: str) -> None:
    model = load(name)
    found = model.sizes(limit=320)
    (given,) = model.graph.inputs
    if given.native is None or isinstance(given.native[2], int):
        pytest.skip(f"{name} is made for one size")
    for size in itertools.chain(range(1, 40, 5), range(200, 320, 7)):
        assert (size in found) == trace(model.graph, {given.name: (1, 3, size, size)}).ok, size


@pytest.mark.parametrize(
    ("name", "layer", "height"),
    [
        ("tf_efficientnetv2_b0.ts", "/conv_head/Conv", "((H - 1)//32) + 1"),
        ("nasnetalarge.ts", "/cell_17/comb_iter_4_left/separable_2/pointwise_conv2d/Conv", "((H - 3)//32) + 1"),
    ],
)
def test_same_padding_computed_by_a_graph_comes_out_in_closed_form(name: str, layer: str, height: str) -> None:
    """Shape, Cast to float, Div, Ceil, Mul, Max and Pad fold into the one division they stand for."""
    shape = load(name).trace().layer(layer).outputs[0].shape
    assert shape is not None
    assert str(shape[2]) == height


def test_a_size_that_an_export_cannot_take_is_told_at_its_first_cause() -> None:
    (problem,) = load("vit_tiny_patch16_224.ts").trace(256).problems
    assert problem.layer == "/Add"
    assert problem.hint.startswith("the input size that pos_embed was made for: it is a weight of 14×14 + 1 places")
