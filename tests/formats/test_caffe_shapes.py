"""Shapes of Caffe layers and nets against those recorded from Caffe itself."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest

import shapecalc
from shapecalc import ShapecalcError
from shapecalc.formats.caffe.text import parse

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"
CORPUS = ROOT.parent / "shared" / "corpus" / "caffe"
TRUTH = ROOT.parent / "shared" / "truth" / "caffe.jsonl.gz"


def recorded(name: str) -> list[Any]:
    """Rows of a file recorded from BVLC Caffe (forks' layers from their forks)."""
    rows: list[Any] = json.loads((DATA / name).read_text(encoding="utf-8"))
    return rows


# -- single layers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", recorded("caffe_layers.json"), ids=lambda row: row["name"])
def test_a_layer_has_the_shapes_caffe_gave_it(row: dict[str, Any]) -> None:
    try:
        traced = shapecalc.loads(row["prototxt"], format="caffe").trace(None, fresh=True)
    except ShapecalcError:
        assert row["error"] is not None
        return
    assert bool(traced.problems) == (row["error"] is not None)
    assert {name: traced.values[name] for name in row["shapes"]} == {n: tuple(s) for n, s in row["shapes"].items()}


def test_windows_have_the_size_caffe_gave_them() -> None:
    wrong = [row for row in recorded("caffe_windows.json") if window(*row[:-1]) != (1, 2, row[-1], row[-1])]
    assert wrong == []


def window(kind: str, size: int, kernel: int, stride: int, pad: int, dilation: int) -> Any:
    op, _, rounding = kind.partition(" ")
    fields = f"kernel_size: {kernel} stride: {stride} pad: {pad}"
    if op.endswith("Pooling"):
        method = f"pool: {'AVE' if op.startswith('Ave') else 'MAX'} {rounding if 'FLOOR' in rounding else ''}"
        body = f'type: "Pooling" pooling_param {{ {fields} {method} }}'
    else:
        body = f'type: "{op}" convolution_param {{ {fields} dilation: {dilation} num_output: 2 }}'
    text = f'input: "x" input_shape {{ dim: [1, 2, {size}, {size}] }} layer {{ name: "l" bottom: "x" top: "l" {body} }}'
    traced = shapecalc.loads(text, format="caffe").trace(None, fresh=True)
    assert traced.ok, row_of(traced)
    return traced.layer("l").outputs[0].shape


def row_of(traced: Any) -> str:
    return str(traced.problems[0])


def fed(name: str, dims: str) -> str:
    """An input of these dimensions."""
    return f'input: "{name}" input_shape {{ dim: [{dims.replace(" ", ", ")}] }} '


#: (input dimensions, the layer, its shape, what onnx calls it). Rules: the source files named in shapecalc.ops.caffe.
LAYERS = [
    ("1 3 6 6 6", 'type: "Convolution" convolution_param { num_output: 2 kernel_size: 3 }', (1, 2, 4, 4, 4), "Conv"),
    ("1 3 9", 'type: "Convolution" convolution_param { num_output: 2 kernel_size: 3 stride: 2 }', (1, 2, 4), "Conv"),
    (
        "1 3 6 8",
        'type: "Convolution" convolution_param { num_output: 2 kernel_size: 3 kernel_size: 5 pad: [0, 2] }',
        (1, 2, 4, 8),
        "Conv",
    ),
    (
        "1 3 7 7",
        'type: "Convolution" convolution_param { num_output: 2 kernel_size: 3 dilation: 2 }',
        (1, 2, 3, 3),
        "Conv",
    ),
    (
        "1 4 6 6",
        'type: "ConvolutionDepthwise" convolution_param { num_output: 4 kernel_size: 3 bias_term: false }',
        (1, 4, 4, 4),
        "Conv",
    ),
    ("1 3 6 6", 'type: "Pooling" pooling_param { kernel_h: 2 kernel_w: 3 stride: 2 }', (1, 3, 3, 3), "MaxPool"),
    ("2 3 4", 'type: "InnerProduct" inner_product_param { num_output: 5 transpose: true }', (2, 5), "Gemm"),
    ("2 3 4", 'type: "InnerProduct" inner_product_param { num_output: 5 axis: -1 }', (2, 3, 5), "Gemm"),
    ("2 3", 'type: "Embed" embed_param { num_output: 5 input_dim: 7 }', (2, 3, 5), "Embed"),
    ("2 3 4 5", 'type: "Flatten"', (2, 60), "Flatten"),
    ("2 3 4 5", 'type: "Flatten" flatten_param { axis: 2 }', (2, 3, 20), "Flatten"),
    (
        "2 3 4 5",
        'type: "Reshape" reshape_param { shape { dim: 6 dim: -1 } axis: 1 num_axes: 2 }',
        (2, 6, 2, 5),
        "Reshape",
    ),
    ("2 3 4 5", 'type: "ArgMax"', (2, 1, 1, 1), "ArgMax"),
    ("2 3", 'type: "ArgMax" argmax_param { out_max_val: true top_k: 2 }', (2, 2, 2), "ArgMax"),
    ("2 3 4", 'type: "ArgMax" argmax_param { axis: -1 top_k: 2 }', (2, 3, 2), "ArgMax"),
    ("2 3 4", 'type: "Reduction"', (), "Reduction"),
    ("2 3 4", 'type: "Tile" tile_param { tiles: 3 }', (2, 9, 4), "Tile"),
    ("1 2 5 7", 'type: "SPP" spp_param { pyramid_height: 1 }', (1, 2, 1, 1), "SPP"),
    ("1 2 5 7", 'type: "SPP" spp_param { pyramid_height: 2 pool: AVE }', (1, 10), "SPP"),
    ("1 2 3 4", 'type: "Permute" permute_param { order: 0 order: 2 }', (1, 3, 2, 4), "Permute"),
    (
        "1 2 4 4",
        'type: "PriorBox" bottom: "x" prior_box_param { min_size: 1 max_size: 2 aspect_ratio: 2 }',
        (1, 2, 256),
        "PriorBox",
    ),
    ("1 2 4 4", 'type: "DetectionOutput" bottom: "x" bottom: "x"', (1, 1, None, 7), "DetectionOutput"),
    ("1 2 9 9", 'type: "Interp" interp_param { shrink_factor: 2 zoom_factor: 3 }', (1, 2, 13, 13), "Interp"),
    ("1 2 9 9", 'type: "Interp" interp_param { height: 5 width: 6 }', (1, 2, 5, 6), "Interp"),
    ("1 2 9 9", 'type: "Upsample" upsample_param { scale: 2 pad_out_h: 1 }', (1, 2, 17, 18), "Upsample"),
    ("1 2 9 9", 'type: "Python" python_param { module: "m" }', None, "Computed"),
    ("1 2 4 4", 'type: "Clip" clip_param { min: 0 max: 6 }', (1, 2, 4, 4), "Clip"),
    ("1 2 4 4", 'type: "Bias"', (1, 2, 4, 4), "Scale"),
    ("1 2 4 4", 'type: "ReLU" relu_param { negative_slope: 0.1 }', (1, 2, 4, 4), "LeakyRelu"),
    ("1 2 4 4", 'type: "Accuracy" bottom: "x"', (), "Accuracy"),
    ("1 2 4 4", 'type: "HingeLoss" bottom: "x"', (), "Loss"),
]


@pytest.mark.parametrize(("dims", "layer", "shape", "op"), LAYERS, ids=[row[1][6:60] for row in LAYERS])
def test_a_layer(dims: str, layer: str, shape: Any, op: str) -> None:
    text = fed("x", dims) + f'layer {{ name: "l" bottom: "x" top: "l" {layer} }}'
    traced = shapecalc.loads(text, format="caffe").trace(None)
    assert traced.problems == []
    assert (traced.layer("l").outputs[0].shape, traced.layer("l").op) == (shape, op)


TWO = [
    ("1 2 3 4", "1 2 3 4", 'type: "Eltwise"', [(1, 2, 3, 4)]),
    ("1 2 3 4", "1 5 3 4", 'type: "Concat"', [(1, 7, 3, 4)]),
    ("1 2 3 4", "1 2", 'type: "Scale" scale_param { axis: 0 }', [(1, 2, 3, 4)]),
    ("1 2 3 4", "3 4", 'type: "Scale" scale_param { axis: 2 bias_term: true }', [(1, 2, 3, 4)]),
    ("1 2 3 4", "2", 'type: "Bias"', [(1, 2, 3, 4)]),
    ("9 2 3 4", "5", 'type: "BatchReindex"', [(5, 2, 3, 4)]),
    ("1 2 9 9", "5 5", 'type: "ROIPooling" roi_pooling_param { pooled_h: 7 pooled_w: 6 }', [(5, 2, 7, 6)]),
    ("1 2 9 9", "5 5", 'type: "PSROIPooling" psroi_pooling_param { output_dim: 8 group_size: 7 }', [(5, 8, 7, 7)]),
]


@pytest.mark.parametrize(("first", "second", "layer", "wanted"), TWO, ids=[row[2][6:60] for row in TWO])
def test_a_layer_of_two(first: str, second: str, layer: str, wanted: list[Any]) -> None:
    inputs = fed("x", first) + fed("y", second)
    traced = shapecalc.loads(f'{inputs} layer {{ name: "l" bottom: "x" bottom: "y" top: "l" {layer} }}', format="caffe")
    assert [value.shape for value in traced.trace(None).layer("l").outputs] == wanted


SLICES = [
    ("", [(1, 3, 4), (1, 3, 4)], ""),
    ("slice_param { slice_point: 2 }", [(1, 2, 4), (1, 4, 4)], ""),
    ("slice_param { axis: -1 }", [(1, 6, 2), (1, 6, 2)], ""),
    ("slice_param { slice_dim: 2 slice_point: 1 }", [(1, 6, 1), (1, 6, 3)], ""),
    ("slice_param { axis: 0 }", None, "E106"),
]


@pytest.mark.parametrize(("field", "wanted", "code"), SLICES, ids=[row[0] for row in SLICES])
def test_slices(field: str, wanted: Any, code: str) -> None:
    text = fed("x", "1 6 4") + f'layer {{ name: "l" type: "Slice" bottom: "x" top: "a" top: "b" {field} }}'
    traced = shapecalc.loads(text, format="caffe").trace(None)
    assert [problem.code for problem in traced.problems] == ([code] if code else [])
    if wanted is not None:
        assert [value.shape for value in traced.layer("l").outputs] == wanted


# -- whole nets -------------------------------------------------------------------------------------------------------


def test_the_zoo_has_the_shapes_caffe_gave_the_published_nets() -> None:
    for row in recorded("caffe_nets.json"):
        traced = shapecalc.load(ROOT / "zoo" / f"{row['zoo']}.prototxt").trace(
            tuple(row["size"]), fresh=not row["fixed"]
        )
        where = (row["zoo"], row["size"], row["fixed"])
        assert (where, traced.ok) == (where, row["error"] is None)
        if traced.ok:
            known = {layer.name: layer.outputs[0].shape for layer in traced.layers}
            shared = {name: shape for name, shape in row["shapes"].items() if name in known}
            assert len(shared) >= 0.9 * len(row["shapes"])
            assert (where, {name: list(known[name] or ())[1:] for name in shared}) == (where, shared)


#: name: native size, parameters, multiply-accumulates of convolutions and fully connected layers, last map.
ZOO = {
    "caffenet": (227, 60_965_224, 724_406_816, "pool5", (1, 256, 6, 6)),
    "alexnet_groups": (227, 60_965_224, 724_406_816, "pool5", (1, 256, 6, 6)),
    "vgg16": (224, 138_357_544, 15_470_264_320, "pool5", (1, 512, 7, 7)),
    "googlenet": (224, 6_998_552, 1_582_671_872, "inception_5b/output", (1, 1024, 7, 7)),
    "squeezenet": (227, 1_235_496, 387_747_520, "conv10", (1, 1000, 14, 14)),
    "resnet50": (224, 25_557_032, 3_857_973_248, "res5c", (1, 2048, 7, 7)),
}


@pytest.mark.parametrize("name", ZOO)
def test_the_zoo_has_the_published_figures(name: str) -> None:
    size, params, macs, last, shape = ZOO[name]
    model = shapecalc.load(ROOT / "zoo" / f"{name}.prototxt")
    traced = model.trace(None)
    products = sum(layer.macs for layer in traced.layers if layer.op in ("Conv", "Gemm"))
    assert model.graph.warnings == ()
    assert traced.ok
    assert traced.inputs[0].shape == (1, 3, size, size)
    assert (traced.params, products, traced.layer(last).outputs[0].shape) == (params, macs, shape)
    assert [tuple(value.shape or ())[:2] for value in traced.outputs] == [(1, 1000)]


# -- the corpus -------------------------------------------------------------------------------------------------------

needs_corpus = pytest.mark.skipif(not CORPUS.is_dir(), reason="../shared/corpus/caffe is not here")


def corpus() -> list[Path]:
    return sorted(CORPUS.glob("*.prototxt"))


@pytest.mark.corpus
@needs_corpus
def test_every_definition_is_written_back_as_it_was() -> None:
    for path in corpus():
        text = path.read_text(encoding="utf-8")
        assert parse(text).write() == text


@pytest.mark.corpus
@needs_corpus
@pytest.mark.parametrize("age", ["v1_cifar10_quick_train_test", "v1_siamese_train_test", "v1_googlenet_train_val"])
@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_an_old_file_reads_as_what_caffes_own_tool_made_of_it(age: str, phase: str) -> None:
    old, new = (shapecalc.load(CORPUS / f"{name}.prototxt", phase=phase).graph for name in (age, f"v2of_{age}"))
    assert [(n.op, n.inputs, n.outputs, n.attrs) for n in old.nodes] == [
        (n.op, n.inputs, n.outputs, n.attrs) for n in new.nodes
    ]


@pytest.mark.corpus
@needs_corpus
def test_every_weight_has_the_shape_caffe_gave_it() -> None:
    count = 0
    with gzip.open(TRUTH) as file:
        rows = [json.loads(line) for line in file]
    for row in rows:
        if not row.get("params") or row["error"] or not row["input"]:
            continue
        model = shapecalc.load(CORPUS / Path(row["source"]).name, phase=row.get("phase") or "TEST")
        traced = model.trace(tuple(row["input"]), fresh=True)
        wanted: dict[str, list[tuple[int, ...]]] = {}
        for layer, _, _, shape in row["params"]:
            wanted.setdefault(layer, []).append(tuple(shape))
        for layer, shapes in wanted.items():
            names = [name for name in traced.layer(layer).node.inputs if name in model.graph.params]
            assert (row["id"], layer, [traced.values[name] for name in names]) == (row["id"], layer, shapes)
        count += len(wanted)
    assert count > 15_000


@pytest.mark.corpus
@needs_corpus
def test_a_damaged_definition_is_read_or_refused() -> None:
    """Characters lost, doubled or changed: only ShapecalcError may come out."""
    texts = [path.read_text(encoding="utf-8") for path in corpus() if path.stat().st_size < 6000]
    chance = random.Random(20)
    for _ in range(1500):
        shapecalc_survives(damaged(chance.choice(texts), chance))


def damaged(text: str, chance: random.Random) -> str:
    for _ in range(chance.randint(1, 4)):
        start = chance.randrange(len(text))
        end = min(len(text), start + chance.choice([1, 1, 5, 40]))
        piece = chance.choice(["", text[start:end] * 2, "0", "-1", "99999999", "{", "}", '"', "1e9", "\x00", "dim: 0"])
        text = text[:start] + piece + text[end:]
    return text


def shapecalc_survives(text: str) -> None:
    try:
        model = shapecalc.loads(text, format="caffe")
        model.trace(None)
        model.trace(224)
    except ShapecalcError as error:
        assert str(error)  # noqa: PT017  every way out but a crash is right
