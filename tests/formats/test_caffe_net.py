"""From text to graph: upgrades, phases, wiring, parameters, spans of edits, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

import shapecalc
import shapecalc.formats.caffe
from shapecalc.errors import ModelError
from shapecalc.formats import Options, Source, format_of
from shapecalc.model import Model

DATA = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }\n'


def load(text: str, **options: Any) -> Model:
    return shapecalc.loads(text, format="caffe", name="net", **options)


def shapes(text: str, **options: Any) -> dict[str, Any]:
    """Layer -> shape of its first top."""
    traced = load(text, **options).trace(None, fresh=True)
    assert not traced.problems
    return {layer.name: layer.outputs[0].shape for layer in traced.layers if layer.outputs}


# -- versions of the format -------------------------------------------------------------------------------------------

V2 = """
name: "n"
layer { name: "input" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 9 dim: 9 } } }
layer { name: "c" type: "Convolution" bottom: "data" top: "c" param { lr_mult: 1 } param { lr_mult: 2 }
  convolution_param { num_output: 4 kernel_size: 3 pad: 1 stride: 2 } }
layer { name: "r" type: "ReLU" bottom: "c" top: "c" }
layer { name: "p" type: "Pooling" bottom: "c" top: "p" pooling_param { pool: MAX kernel_size: 3 stride: 2 pad: 1 } }
layer { name: "f" type: "InnerProduct" bottom: "p" top: "f" inner_product_param { num_output: 5 bias_term: false } }
layer { name: "s" type: "Softmax" bottom: "f" top: "s" }
"""
V1 = """
name: "n" input: "data" input_dim: 2 input_dim: 3 input_dim: 9 input_dim: 9
layers { name: "c" type: CONVOLUTION bottom: "data" top: "c" blobs_lr: 1 blobs_lr: 2
  convolution_param { num_output: 4 kernel_size: 3 pad: 1 stride: 2 } }
layers { name: "r" type: RELU bottom: "c" top: "c" }
layers { name: "p" type: 17 bottom: "c" top: "p" pooling_param { pool: 0 kernel_size: 3 stride: 2 pad: 1 } }
layers { name: "f" type: INNER_PRODUCT bottom: "p" top: "f" inner_product_param { num_output: 5 bias_term: false } }
layers { name: "s" type: SOFTMAX bottom: "f" top: "s" }
"""
V0 = """
name: "n" input: "data" input_shape { dim: [2, 3, 9, 9] }
layers { layer { name: "pad" type: "padding" pad: 1 } bottom: "data" top: "padded" }
layers { layer { name: "c" type: "conv" num_output: 4 kernelsize: 3 stride: 2 blobs_lr: 1. blobs_lr: 2. }
  bottom: "padded" top: "c" }
layers { layer { name: "r" type: "relu" } bottom: "c" top: "c" }
layers { layer { name: "p" type: "pool" pool: MAX kernelsize: 3 stride: 2 pad: 1 } bottom: "c" top: "p" }
layers { layer { name: "f" type: "innerproduct" num_output: 5 biasterm: false } bottom: "p" top: "f" }
layers { layer { name: "s" type: "softmax" } bottom: "f" top: "s" }
"""


def likeness(text: str) -> list[Any]:
    return [(n.name, n.op, n.inputs, n.outputs, n.attrs, n.origin.op) for n in load(text).graph.nodes]


@pytest.mark.parametrize("old", [V1, V0], ids=["V1", "V0"])
def test_old_files_become_what_they_mean_today(old: str) -> None:
    assert likeness(old) == likeness(V2)
    assert load(old).graph.warnings == ()


def test_every_version_has_the_spans_an_edit_needs() -> None:
    for text, wanted in ((V2, "4"), (V1, "4"), (V0, "4")):
        parts = load(text).graph.node("c").origin.parts
        assert text[slice(*parts["num_output"])] == wanted
        assert text[slice(*parts["pad"])] == "1"
        assert text[slice(*parts["lr_mult[1]"])].rstrip(".") == "2"


def test_parts_of_a_layer() -> None:
    text = DATA + (
        'layer {\n  name: "c" # first\n  type: "Convolution" bottom: "data" top: "c"\n'
        '  param { name: "w" lr_mult: 1 } param { decay_mult: 0 lr_mult: 2 }\n'
        '  convolution_param { num_output: 4 kernel_size: 3 kernel_size: 5 weight_filler { type: "xavier" } }\n}\n'
    )
    origin = load(text).graph.node("c").origin
    found = {name: text[slice(*span)] for name, span in origin.parts.items()}
    assert (origin.file, origin.line, origin.op) == ("net", 2, "Convolution")
    assert found.pop("message").startswith('layer {\n  name: "c" # first')
    assert found == {
        "name": '"c"',
        "type": '"Convolution"',
        "bottom": '"data"',
        "top": '"c"',
        "param": '{ name: "w" lr_mult: 1 }',
        "param[1]": "{ decay_mult: 0 lr_mult: 2 }",
        "param.name": '"w"',
        "lr_mult": "1",
        "decay_mult[1]": "0",
        "lr_mult[1]": "2",
        "convolution_param": '{ num_output: 4 kernel_size: 3 kernel_size: 5 weight_filler { type: "xavier" } }',
        "num_output": "4",
        "kernel_size": "3",
        "kernel_size[1]": "5",
        "weight_filler": '{ type: "xavier" }',
        "weight_filler.type": '"xavier"',
    }


# -- phases -----------------------------------------------------------------------------------------------------------


def branch(rules: str) -> str:
    return DATA + f'layer {{ name: "x" type: "ReLU" bottom: "data" top: "x" {rules} }}'


RULES = [
    ("", True, True),
    ("include { phase: TRAIN }", True, False),
    ("include { phase: 1 }", False, True),
    ("exclude { phase: TEST }", True, False),
    ("include { phase: TRAIN } include { phase: TEST }", True, True),
    ('include { stage: "a" }', False, False),
    ('exclude { stage: "a" }', True, True),
    ('include { not_stage: "a" }', True, True),
    ("include { min_level: 1 }", False, False),
    ("include { max_level: 0 }", True, True),
    ('include { phase: TEST stage: "a" }', False, False),
    ("include {}", True, True),
]


@pytest.mark.parametrize(("rules", "train", "test"), RULES, ids=[row[0] for row in RULES])
def test_phase_rules(rules: str, train: bool, test: bool) -> None:
    found = {
        phase: "x" in [n.name for n in load(branch(rules), phase=phase).graph.nodes] for phase in ("TRAIN", "TEST")
    }
    assert found == {"TRAIN": train, "TEST": test}


def test_a_stage_is_met_when_all_are_there() -> None:
    text = branch('include { stage: "a" stage: "b" not_stage: "c" }')
    met = {
        stages: len(load(text, stages=stages).graph.nodes) == 2 for stages in ((), ("a",), ("a", "b"), ("a", "b", "c"))
    }
    assert met == {(): False, ("a",): False, ("a", "b"): True, ("a", "b", "c"): False}


def test_the_file_may_name_stages_and_a_level_of_its_own() -> None:
    text = 'state { stage: "a" level: 2 }' + branch('include { stage: "a" min_level: 2 }')
    assert [n.name for n in load(text).graph.nodes] == ["data", "x"]


# -- blobs ------------------------------------------------------------------------------------------------------------


def test_in_place_layers_write_new_values_and_the_last_keeps_the_name() -> None:
    graph = load(V2 + 'layer { name: "d" type: "Dropout" bottom: "f" top: "f" }').graph
    wired = {node.name: (node.inputs[:1], node.outputs) for node in graph.nodes}
    assert wired["c"] == (("data",), ("c@c",))
    assert wired["r"] == (("c@c",), ("c",))
    assert wired["s"] == (("f@f",), ("s",))
    assert wired["d"] == (("f@f",), ("f",))
    assert graph.outputs == ("s", "f")


def test_what_is_fed_keeps_its_name_when_a_layer_works_on_it_in_place() -> None:
    graph = load(DATA + 'layer { name: "r" type: "ReLU" bottom: "data" top: "data" }').graph
    assert [given.name for given in graph.inputs] == ["data"]
    assert graph.node("r").outputs == ("data@r",)


def test_shared_parameters_are_one() -> None:
    twice = "".join(
        f'layer {{ name: "{n}" type: "InnerProduct" bottom: "data" top: "{n}" '
        'param { name: "w" } param { name: "b" } inner_product_param { num_output: 4 } }\n'
        for n in "xy"
    )
    model = load(DATA + twice)
    assert model.graph.node("x").inputs == model.graph.node("y").inputs == ("data", "w", "b")
    assert model.trace(None).params == 4 * 3 * 8 * 8 + 4


def test_statistics_are_not_learned_and_other_weights_are() -> None:
    layers = [
        ("BatchNorm", "", ("", "", "x/mean", "x/variance", "x/scale_factor"), 0),
        ("Scale", "scale_param { bias_term: true }", ("x/weight", "x/bias"), 6),
        ("PReLU", "", ("x/slope",), 3),
        ("Deconvolution", "convolution_param { num_output: 2 kernel_size: 2 }", ("x/weight", "x/bias"), 26),
    ]
    for kind, body, names, count in layers:
        model = load(DATA + f'layer {{ name: "x" type: "{kind}" bottom: "data" top: "x" {body} }}')
        assert (model.graph.node("x").inputs[1:], model.trace(None).params) == (names, count)


def test_a_loss_without_a_top_has_one_nobody_reads_and_labels_are_labels() -> None:
    graph = load(
        'layer { name: "d" type: "Data" top: "data" top: "label" data_param { batch_size: 5 } '
        "transform_param { crop_size: 8 } }"
        'layer { name: "f" type: "InnerProduct" bottom: "data" top: "f" inner_product_param { num_output: 4 } }'
        'layer { name: "l" type: "SoftmaxWithLoss" bottom: "f" bottom: "label" }'
    ).graph
    assert [(given.name, given.role) for given in graph.inputs] == [("data", "image"), ("label", "label")]
    assert graph.node("l").outputs == ("l",)
    assert graph.meta["scores"] == ("f",)


# -- data layers ------------------------------------------------------------------------------------------------------

INPUTS = [
    ("Input", "input_param { shape { dim: 1 dim: 2 } }", ["1×2", "1×2"]),
    ("Input", "input_param { shape { dim: 1 } shape { dim: 2 } }", ["1", "2"]),
    ("Input", "", ["none", "none"]),
    ("Data", "data_param { batch_size: 4 } transform_param { crop_size: 9 }", ["4×?×9×9", "4"]),
    ("Data", "data_param { batch_size: 4 crop_size: 9 } transform_param { force_gray: true }", ["4×1×9×9", "4"]),
    ("Data", "data_param { batch_size: 4 } transform_param { mean_value: [1, 2, 3] }", ["4×3×?×?", "4"]),
    ("ImageData", "image_data_param { batch_size: 4 new_height: 5 new_width: 6 }", ["4×3×5×6", "4"]),
    ("ImageData", "image_data_param { is_color: false } transform_param { crop_size: 7 }", ["1×1×7×7", "1"]),
    ("MemoryData", "memory_data_param { batch_size: 2 channels: 3 height: 4 width: 5 }", ["2×3×4×5", "2"]),
    ("DummyData", "dummy_data_param { num: 1 channels: 2 height: 3 width: 4 }", ["1×2×3×4", "1×2×3×4"]),
    ("DummyData", "dummy_data_param { shape { dim: 6 } shape { dim: 7 } }", ["6", "7"]),
    ("HDF5Data", "hdf5_data_param { batch_size: 4 }", ["none", "none"]),
    ("Python", "python_param { module: 'm' layer: 'l' }", ["none", "none"]),
]


@pytest.mark.parametrize(("kind", "body", "wanted"), INPUTS, ids=[f"{k} {b[:40]}" for k, b, _ in INPUTS])
def test_what_a_data_layer_tells(kind: str, body: str, wanted: list[str]) -> None:
    graph = load(f'layer {{ name: "d" type: "{kind}" top: "a" top: "b" {body} }}').graph
    assert [(node.name, node.op, node.outputs) for node in graph.nodes] == [("d", "Input", ("a", "b"))]
    found = ["none" if i.declared is None else shapecalc.dims.show(i.declared) for i in graph.inputs]
    assert found == wanted


def test_an_input_of_unknown_rank_takes_the_shape_it_is_given() -> None:
    model = load(
        'layer { name: "d" type: "HDF5Data" top: "x" }'
        'layer { name: "f" type: "InnerProduct" bottom: "x" top: "f" inner_product_param { num_output: 4 } }'
    )
    assert model.trace((10, 4)).layer("f").outputs[0].shape == (10, 4)


# -- refused, and warned of -------------------------------------------------------------------------------------------


def relu(extra: str = "", name: str = "x", bottom: str = "data", top: str = "x") -> str:
    return f'layer {{ name: "{name}" type: "ReLU" bottom: "{bottom}" top: "{top}" {extra} }}\n'


def one(kind: str, body: str = "") -> str:
    return DATA + f'layer {{ name: "x" type: "{kind}" bottom: "data" top: "x" {body} }}'


REFUSED = [
    (DATA + relu(bottom="dada"), "E205", "net:2", "x reads 'dada', which no layer before it writes (its bottom 0)"),
    (DATA + relu() + relu(name="y"), "E206", "net:3", "y writes 'x', which x writes too"),
    (one("Convolutoin"), "E204", "net:2", "x is of type 'Convolutoin', which is not read"),
    (DATA + 'layer { name: "x" top: "x" }', "E204", "net:2", "x has no type"),
    (DATA + "layers { type: RELU }", "E203", "net:2", None),
    (DATA + relu("include {} exclude {}"), "E203", "net:2", "layer 'x' has both include and exclude rules"),
    (DATA + relu('name: "z"'), "E203", "net:2", "name is given twice, first on line 2"),
    ("layers { type: 99 }", "E203", "net:1", None),
    ("layers { layer { type: 'nope' } }", "E204", "net:1", "'nope' is no V0 layer type"),
    ("layer: 3", "E203", "net:1", "layer expects a message { … }, found 3"),
    ("name: 3", "E202", "net", "there is no layer for phase TEST"),
    ('input: "a" input: "b" input_dim: 1', "E203", "net:1", None),
    (one("Convolution"), "E109", "net:2", "x: kernel_size must be at least 1, found 0"),
    (one("Convolution", "convolution_param { kernel_size: 3 }"), "E109", "net:2", "x: num_output must be at least 1"),
    (
        one("Convolution", "convolution_param { num_output: 1 kernel_size: 3 kernel_h: 3 }"),
        "E109",
        "net:2",
        "x: give kernel_size, or kernel_h and kernel_w",
    ),
    (one("Convolution", "convolution_param { num_output: 'a' kernel_size: 1 }"), "E203", "net:2", None),
    (one("Convolution", "convolution_param { num_output: 9999999999 kernel_size: 1 }"), "E203", "net:2", None),
    (
        one("Pooling", "pooling_param { kernel_size: 2 pad: 2 }"),
        "E109",
        "net:2",
        "x: pad 2 must be smaller than kernel 2",
    ),
    (
        one("Pooling", "pooling_param { pool: MEAN }"),
        "E203",
        "net:2",
        "pool expects one of MAX, AVE, STOCHASTIC, found 'MEAN'",
    ),
    (one("Pooling", "pooling_param { kernel_h: 2 }"), "E109", "net:2", "x: give kernel_size, or kernel_h and kernel_w"),
    (
        one("Pooling", "pooling_param { global_pooling: true kernel_size: 2 }"),
        "E109",
        "net:2",
        "x: global_pooling takes no kernel, pad or stride",
    ),
    (one("LRN", "lrn_param { local_size: 4 }"), "E109", "net:2", "x: local_size must be odd, found 4"),
    (one("Eltwise", "eltwise_param { coeff: 1 coeff: 2 }"), "E109", "net:2", None),
    (one("Concat", "concat_param { axis: 1 concat_dim: 1 }"), "E109", "net:2", "x: give axis or concat_dim, not both"),
    (
        one("Reshape", "reshape_param { shape { dim: -1 dim: -1 } }"),
        "E109",
        "net:2",
        "x: reshape_param has more than one -1",
    ),
    ('layer { name: "x" type: "ReLU" top: "x" }', "E109", "net:1", "x: ReLU takes 1 bottom, found 0"),
    (one("Eltwise"), "E109", "net:2", "x: Eltwise takes at least 2 bottoms, found 1"),
    (relu('top: "z"'), "E205", "net:1", None),
    (DATA + relu('top: "z"'), "E109", "net:2", "x: ReLU takes 1 top, found 2"),
    (one("Pooling", 'top: "b" top: "c"'), "E109", "net:2", "x: Pooling takes 1 to 2 tops, found 3"),
    (DATA.replace("dim: 8", "dim: 0"), "E109", "net:1", "data: 0 is not a size: sizes start at 1"),
    (DATA.replace("dim: 8", "dim: 999999999999999999"), "E203", "net:1", None),
]


@pytest.mark.parametrize(("text", "code", "location", "message"), REFUSED, ids=[str(i) for i in range(len(REFUSED))])
def test_refused_with_the_place(text: str, code: str, location: str, message: str | None) -> None:
    with pytest.raises(ModelError) as caught:
        load(text)
    assert (caught.value.code, caught.value.location) == (code, location)
    if message is not None:
        assert caught.value.message == message


HINTS = [
    (DATA + relu(bottom="dat"), "did you mean data?"),
    (one("Convolutoin"), "did you mean Convolution or Convolution3D or Deconvolution?"),
    (relu("include { phase: TRAIN }", name="a", bottom="x", top="d") + relu(bottom="d"), "--phase TRAIN"),
    (relu('name: "z"'), "keep one; Caffe stops here too"),
    ('net: "train_val.prototxt" base_lr: 0.1', "this is a solver: its net is in train_val.prototxt"),
    ('item { name: "dog" label: 1 }', "this is a label map"),
]


@pytest.mark.parametrize(("text", "hint"), HINTS, ids=["blob", "type", "phase", "twice", "solver", "labels"])
def test_near_names_are_hinted_at(text: str, hint: str) -> None:
    with pytest.raises(ModelError) as caught:
        load(text)
    assert (caught.value.hint or "").endswith(hint)


WARNED = [
    (relu("fancy: 3"), "net:2: fancy is not a field of BVLC Caffe; ignored"),
    (
        relu("relu_param { negative_slop: 1 }"),
        "net:2: relu_param.negative_slop is not a field of BVLC Caffe; ignored (did you mean negative_slope?)",
    ),
    ("fancy_param { a { b: 1 } }", "net:2: fancy_param is not a field of BVLC Caffe; ignored"),
    (relu() + relu(bottom="x", top="y"), "net:3: a second layer is called 'x'; here it is 'x_2'"),
    (relu("param { lr_mult: 1 }"), "net:2: x has 0 parameters, 1 param are given"),
    (
        'layer { name: "p" type: "Pooling" bottom: "data" top: "p" pooling_param { kernel_size: 2 ceil_mode: false } }',
        "net:2: pooling_param.ceil_mode is not BVLC Caffe's; read true rounds up, false down, "
        "as in the forks of DenseNet and SENet",
    ),
]


@pytest.mark.parametrize(("text", "warning"), WARNED, ids=[row[0][:40] for row in WARNED])
def test_warned_of_and_read(text: str, warning: str) -> None:
    assert load(DATA + text).graph.warnings == (warning,)


ROUNDING = [
    ("", 4, None),
    ("round_mode: CEIL", 4, 1),
    ("round_mode: FLOOR", 3, 0),
    ("round_mode: 1", 3, 0),
    ("ceil_mode: true", 4, 1),
    ("ceil_mode: false", 3, 0),
]


@pytest.mark.parametrize(("field", "size", "mode"), ROUNDING, ids=[row[0] for row in ROUNDING])
def test_rounding_of_a_pooling(field: str, size: int, mode: int | None) -> None:
    text = one("Pooling", f"pooling_param {{ kernel_size: 3 stride: 2 {field} }}")
    assert load(text).graph.node("x").attrs["ceil_mode"] is mode
    assert shapes(text)["x"] == (1, 3, size, size)


SNIFFED = [
    (b'name: "x"\nlayer {', True),
    (b"layers{ name:", True),
    (b'input: "data"\ninput_dim: 1', True),
    (b"layer <name: 'x'>", True),
    (b"import chainer\n", False),
    (b'{"class_name": "Model", "layers": []}', False),
    (b"\x08\x07layer {", False),
]


@pytest.mark.parametrize(("head", "wanted"), SNIFFED, ids=[str(row[0][:20]) for row in SNIFFED])
def test_sniffed(head: bytes, wanted: bool) -> None:
    assert shapecalc.formats.caffe.sniff(head) is wanted


def test_found_by_content_alone() -> None:
    source = Source("<bytes>", None, DATA.encode())
    row = format_of(source, None)
    assert (row.name, row.reader().read(source, Options()).format) == ("caffe", "caffe")
