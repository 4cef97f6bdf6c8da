"""What Caffe's forks add: layers, losses, data layers, types of old files, and what is left unread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pytest

import shapecalc
from shapecalc.errors import RefusedError
from shapecalc.model import Model
from shapecalc.verify.run import execute, runnable


def load(text: str, **options: Any) -> Model:
    return shapecalc.loads(text, format="caffe", name="net", **options)


def fed(*dims: str) -> str:
    """Inputs x, y, z of these dimensions."""
    rows = zip("xyz", dims, strict=False)
    return "".join(
        f'layer {{ name: "in_{name}" type: "Input" top: "{name}" input_param {{ shape {{ dim: [{sizes}] }} }} }}\n'
        for name, sizes in rows
    )


#: Inputs, the layer, what its tops have ("?": not known before it runs), the shapes of its parameters.
LAYERS: list[tuple[tuple[str, ...], str, list[Any], list[Any]]] = [
    # BVLC's recurrent layers: the parameters of the nets they unroll into
    (
        ("7, 2, 5", "7, 2"),
        'type: "LSTM" bottom: "y" recurrent_param { num_output: 3 }',
        [(7, 2, 3)],
        [(12, 5), (12,), (12, 3)],
    ),
    (
        ("7, 2, 5, 2", "7, 2", "2, 4"),
        'type: "LSTM" bottom: "y" bottom: "z" recurrent_param { num_output: 3 }',
        [(7, 2, 3)],
        [(12, 10), (12,), (12, 4), (12, 3)],
    ),
    (
        ("7, 2, 5", "7, 2"),
        'type: "RNN" bottom: "y" recurrent_param { num_output: 3 }',
        [(7, 2, 3)],
        [(3, 5), (3,), (3, 3), (3, 3), (3,)],
    ),
    (
        ("7, 2, 5", "7, 2", "1, 2, 3"),
        'type: "RNN" bottom: "y" bottom: "z" top: "h" recurrent_param { num_output: 3 expose_hidden: true }',
        [(7, 2, 3), (1, 2, 3)],
        [(3, 5), (3,), (3, 3), (3, 3), (3,)],
    ),
    # C3D's
    (
        ("1, 3, 16, 112, 112",),
        'type: "Convolution3D" convolution_param { num_output: 4 kernel_size: 3 kernel_depth: 2 pad: 1 '
        "temporal_stride: 2 }",
        [(1, 4, 8, 112, 112)],
        [(4, 3, 2, 3, 3), (4,)],
    ),
    (
        ("1, 3, 4, 7, 7",),
        'type: "Deconvolution3D" convolution_param { num_output: 4 kernel_size: 4 kernel_depth: 4 pad: 1 '
        "temporal_pad: 1 stride: 2 temporal_stride: 2 bias_term: false }",
        [(1, 4, 8, 14, 14)],
        [(3, 4, 4, 4, 4)],
    ),
    (
        ("1, 3, 16, 7, 7",),
        'type: "Pooling3D" pooling_param { kernel_size: 2 kernel_depth: 1 stride: 2 temporal_stride: 1 }',
        [(1, 3, 16, 4, 4)],
        [],
    ),
    # segmentation
    (("1, 4, 5, 5",), 'type: "BN" bn_param { slope_filler {} }', [(1, 4, 5, 5)], [(4,), (4,)]),
    (("1, 4, 5, 5",), 'type: "BN" bn_param { shift_filler {} }', [(1, 4, 5, 5)], [(4,), (4,)]),
    (("1, 4, 5, 5",), 'type: "BN" bn_param { bn_mode: INFERENCE }', [(1, 4, 5, 5)], [(4,), (4,)]),
    (
        ("1, 4, 5, 5", "1, 4, 5, 5"),
        'type: "Upsample" bottom: "y" upsample_param { pad_out_h: true }',
        [(1, 4, 9, 10)],
        [],
    ),
    (("1, 4, 5, 5", "1, 9, 8, 7"), 'type: "Interp" bottom: "y" interp_param {}', [(1, 4, 8, 7)], []),
    # detection
    (
        ("1, 4, 9, 9", "6, 5"),
        'type: "ROIAlign" bottom: "y" roi_align_param { pooled_h: 3 pooled_w: 2 }',
        [(6, 4, 3, 2)],
        [],
    ),
    (("1, 4, 9, 9", "1, 8, 9, 9"), 'type: "Proposal" bottom: "y"', ["?"], []),
    (("1, 4, 9, 9", "1, 8, 9, 9"), 'type: "Yolov3DetectionOutput" bottom: "y"', [(1, 1, None, 7)], []),
    (
        ("1, 3, 50, 60",),
        'type: "DetectNetTransformation" top: "l" detectnet_groundtruth_param { image_size_x: 64 }',
        [(1, 3, 384, 64), "?"],
        [],
    ),
    # faces and others
    (("2, 4, 5, 5",), 'type: "ReLU6"', [(2, 4, 5, 5)], []),
    (("2, 4, 5, 5",), 'type: "Noise"', [(2, 4, 5, 5)], []),
    (("2, 4, 5, 5",), 'type: "Flip"', [(2, 4, 5, 5)], []),
    (("2, 4, 5, 5",), 'type: "Normalize"', [(2, 4, 5, 5)], []),
    (("2, 8", "6, 8"), 'type: "InnerDistance" bottom: "y"', [(2, 6)], []),
    (("2, 4, 3",), 'type: "InnerDistance" inner_distance_param { num_output: 7 }', [(2, 7)], [(7, 12)]),
    (
        ("2, 8", "2"),
        'type: "MarginInnerProduct" bottom: "y" top: "lambda" margin_inner_product_param { num_output: 6 }',
        [(2, 6), "?"],
        [(6, 8)],
    ),
    (("2, 6, 5, 5",), 'type: "ShuffleChannel" shuffle_channel_param { group: 3 }', [(2, 6, 5, 5)], []),
    (("2, 8, 6, 4",), 'type: "Reorg" reorg_param { stride: 2 }', [(2, 32, 3, 2)], []),
    (("2, 8, 6, 4",), 'type: "Reorg" reorg_param { stride: 2 reverse: true }', [(2, 2, 12, 8)], []),
]


@pytest.mark.parametrize(("inputs", "body", "tops", "weights"), LAYERS, ids=[row[1][:60] for row in LAYERS])
def test_shapes_and_parameters(inputs: tuple[str, ...], body: str, tops: list[Any], weights: list[Any]) -> None:
    trace = load(fed(*inputs) + f'layer {{ name: "l" bottom: "x" top: "t" {body} }}').trace(fresh=True)
    assert trace.problems == []
    layer = trace.layer("l")
    assert ["?" if value.shape is None else value.shape for value in layer.outputs] == tops
    assert [v.shape for v in layer.weights] == weights


#: py-faster-rcnn's layers in Python, which are not run: what they say of themselves.
RCNN = [
    ("rpn.anchor_target_layer", "AnchorTargetLayer", "'feat_stride': 16", 4, [(1, 1, 45, 6), *[(1, 36, 5, 6)] * 3]),
    (
        "rpn.anchor_target_layer",
        "AnchorTargetLayer",
        "'feat_stride': 16 \\n'scales': !!python/tuple [4, 8, 16, 32]",
        1,
        [(1, 1, 60, 6)],
    ),
    (
        "rpn.anchor_target_layer",
        "AnchorTargetLayer",
        "{'feat_stride': 16, 'ratios': [0.3, 0.5, 1, 2, 3], 'scales': [3, 6, 9, 16, 32]}",
        2,
        [(1, 1, 125, 6), (1, 100, 5, 6)],
    ),
    ("rpn.proposal_layer", "ProposalLayer", "", 2, [(None, 5), (None, 1, 1, 1)]),
    ("rpn.proposal_target_layer", "ProposalTargetLayer", "", 3, [(None, 5), (None,), (None, None)]),
    ("mine.proposal_layer", "ProposalLayer", "", 1, [None]),
]


@pytest.mark.parametrize(("module", "kind", "told", "tops", "shapes"), RCNN)
def test_layers_of_faster_rcnn_in_python(module: str, kind: str, told: str, tops: int, shapes: list[Any]) -> None:
    param = f"""python_param {{ module: '{module}' layer: '{kind}' param_str: "{told}" }}"""
    written = " ".join(f'top: "t{i}"' for i in range(tops))
    text = fed("1, 18, 5, 6") + f'layer {{ name: "l" type: "Python" bottom: "x" {written} {param} }}'
    trace = load(text).trace()
    assert trace.problems == []
    assert [value.shape for value in trace.layer("l").outputs] == shapes


#: What does not go together, and how it is said.
MISFITS = [
    (("7, 2, 5", "7, 3"), 'type: "LSTM" bottom: "y" recurrent_param { num_output: 3 }', "E105", "a mark for each step"),
    (("2, 5, 4, 4",), 'type: "ShuffleChannel" shuffle_channel_param { group: 3 }', "E104", "shuffles 5 channels in 3"),
    (("2, 8, 5, 4",), 'type: "Reorg" reorg_param { stride: 2 }', "E106", "height 5 does not divide by 2"),
    (("2, 6, 4, 4",), 'type: "Reorg" reorg_param { stride: 2 }', "E106", "channels 6 does not divide by 4"),
]


@pytest.mark.parametrize(("inputs", "body", "code", "words"), MISFITS, ids=[row[2] for row in MISFITS])
def test_misfits(inputs: tuple[str, ...], body: str, code: str, words: str) -> None:
    (problem,) = load(fed(*inputs) + f'layer {{ name: "l" bottom: "x" top: "t" {body} }}').trace().problems
    assert problem.code == code
    assert words in problem.message


def test_a_layer_that_is_not_read_is_a_problem_of_its_own() -> None:
    """What comes before it has its shapes, what comes behind it the reason, and the problem its place."""
    text = fed("1, 3, 8, 8") + 'layer { name: "a" type: "ReLU" bottom: "x" top: "x" }\n'
    text += (
        'layer { name: "b" type: "Fancy" bottom: "x" top: "b" }\nlayer { name: "c" type: "ReLU" bottom: "b" top: "c" }'
    )
    trace = load(text).trace()
    assert [(p.code, p.layer, p.location, p.message) for p in trace.problems] == [
        ("E204", "b", "net:3", "b is of type 'Fancy', which is not read")
    ]
    assert trace.problems[0].hint == "a layer of a fork: cut the net before it, or take it out"
    assert trace.layer("a").outputs[0].shape == (1, 3, 8, 8)
    assert trace.layer("c").outputs[0].unknown == "b is of type 'Fancy', which is not read"


# -- what they are told by --------------------------------------------------------------------------------------------


def test_losses_and_data_layers_of_forks_are_told_by_what_they_do() -> None:
    text = 'layer { name: "d" type: "PairData" top: "d" top: "l" image_data_param { batch_size: 2 new_height: 9 '
    text += "new_width: 7 } transform_param { mean_value: [1, 2, 3] } }\n"
    text += 'layer { name: "loss" type: "FocalLoss" bottom: "d" bottom: "l" }'
    model = load(text)
    trace = model.trace()
    assert trace.ok
    assert [(given.name, given.role) for given in model.graph.inputs] == [("d", "image"), ("l", "label")]
    assert trace.layer("loss").outputs[0].shape == ()
    assert trace.values["d"] == (2, 3, 9, 7)
    said = [warning for warning in model.graph.warnings if "read as" in warning]
    assert said[0].startswith("net:1: PairData is not BVLC Caffe's; read as a data layer (did you mean ")
    assert said[1:] == ["net:2: FocalLoss is not BVLC Caffe's; read as a layer that judges scores"]


#: Data layers: the shapes of their tops, "?" for a rank that the data alone know.
CROP = "transform_param { crop_size: 9 }"
DATA = [
    ("ImageSegData", "image_data_param { batch_size: 2 }", CROP, 3, ["2×?×9×9", "2×1×9×9", "2×1×1×2"]),
    (
        "DenseImageData",
        "dense_image_data_param { batch_size: 2 new_height: 8 new_width: 9 }",
        "",
        2,
        ["2×?×8×9", "2×1×8×9"],
    ),
    ("AnnotatedData", "data_param { batch_size: 2 }", CROP, 2, ["2×?×9×9", "1×1×?×8"]),
    ("VideoData", "video_data_param { batch_size: 2 new_length: 8 }", CROP, 2, ["2×3×8×9×9", "2"]),
    (
        "VideoData",
        "video_data_param { batch_size: 1 new_length: 5 num_segments: 3 modality: FLOW }",
        CROP,
        2,
        ["1×30×9×9", "1"],
    ),
    ("ClipData", "image_data_param { batch_size: 2 new_length: 8 crop_size: 9 }", "", 2, ["2×3×8×9×9", "?"]),
    ("OddData", "odd_param { }", "", 2, ["?", "?"]),
]


@pytest.mark.parametrize(("kind", "own", "transform", "tops", "wanted"), DATA, ids=[row[0] for row in DATA])
def test_data_layers(kind: str, own: str, transform: str, tops: int, wanted: list[str]) -> None:
    names = " ".join(f'top: "{name}"' for name in "abc"[:tops])
    model = load(f'layer {{ name: "d" type: "{kind}" {names} {own} {transform} }}')
    shown = [
        "?" if given.declared is None else "×".join(str(d) if isinstance(d, int) else "?" for d in given.declared)
        for given in model.graph.inputs
    ]
    assert shown == wanted


def test_what_only_unknown_layers_read_need_not_be_told() -> None:
    """A Python layer makes what it makes when it runs; only the image decides any size."""
    text = 'layer { name: "d" type: "Python" top: "data" top: "info" top: "rois" }\n'
    text += 'layer { name: "c" type: "ReLU" bottom: "data" top: "c" }\n'
    text += 'layer { name: "p" type: "Python" bottom: "c" bottom: "info" top: "p" }\n'
    text += 'layer { name: "r" type: "ROIPooling" bottom: "c" bottom: "rois" top: "r" roi_pooling_param { pooled_h: 2 '
    text += "pooled_w: 2 } }"
    trace = load(text).trace((3, 8, 9))
    assert trace.ok
    assert trace.layer("c").outputs[0].shape == (1, 3, 8, 9)
    assert trace.layer("r").outputs[0].shape == (None, 3, 2, 2)


#: Enum words of V1 files -> today's type: Caffe's own, forks' by today's spelling, and any other as it is written.
WORDS = [
    ("RELU", "ReLU"),
    ("18", "ReLU"),
    ("PRELU", "PReLU"),
    ("BN", "BN"),
    ("CONVOLUTION3D", "Convolution3D"),
    ("SMOOTH_L1_LOSS", "SmoothL1Loss"),
    ("MY_OWN_LOSS", "MyOwnLoss"),
]


@pytest.mark.parametrize(("word", "kind"), WORDS)
def test_types_of_old_forks(word: str, kind: str) -> None:
    body = "convolution_param { num_output: 1 kernel_size: 1 kernel_depth: 1 }" if "CONV" in word else ""
    text = f'input: "x" input_shape {{ dim: [1, 2, 3, 4] }} layers {{ type: {word} bottom: "x" top: "t" {body} }}'
    text = text if "LOSS" not in word else text.replace('bottom: "x"', 'bottom: "x" bottom: "x"')
    assert load(text).graph.nodes[-1].origin.op == kind


# -- level ------------------------------------------------------------------------------------------------------------

LEVELS = 'layer { name: "l" type: "ReLU" bottom: "x" top: "t" include { min_level: 2 max_level: 3 } }'


@pytest.mark.parametrize(("state", "level", "there"), [("", None, False), ("", 2, True), ("", 4, False)])
@pytest.mark.parametrize("own", ["", "state { level: 3 } "])
def test_levels(own: str, state: str, level: int | None, there: bool) -> None:
    """A level that is asked for counts in the place of the file's own."""
    graph = load(own + fed("1, 2, 3, 4") + LEVELS, level=level).graph
    wanted = True if level is None and own else there
    assert [node.name for node in graph.nodes] == ["in_x", "l"][: 1 + wanted]


# -- as ONNX ----------------------------------------------------------------------------------------------------------


def test_what_onnx_has_no_words_for_is_refused_by_name(tmp_path: Path) -> None:
    text = fed("1, 4, 9, 9", "2, 5") + 'layer { name: "roi" type: "ROIAlign" bottom: "x" bottom: "y" top: "t" '
    with pytest.raises(RefusedError, match="roi: ROIAlign has no ONNX form") as caught:
        load(text + "roi_align_param { pooled_h: 2 pooled_w: 2 } }").convert(tmp_path / "net.onnx", device="cpu")
    assert caught.value.location == "net:3"


def numbers(text: str, image: Any) -> Any:
    """What the only output is for an image, in onnxruntime."""
    model = load(text)
    trace = model.trace(fresh=True)
    what = runnable(model, model.graph, trace, 0)
    return execute(what._replace(inputs={"x": image}), "cpu").tensors["t"]


def test_shuffled_channels() -> None:
    image = numpy.arange(6, dtype=numpy.float32).reshape(1, 6, 1, 1)
    text = fed("1, 6, 1, 1") + 'layer { name: "l" type: "ShuffleChannel" bottom: "x" top: "t" shuffle_channel_param { '
    assert numbers(text + "group: 2 } }", image).reshape(-1).tolist() == [0, 3, 1, 4, 2, 5]


@pytest.mark.parametrize("reverse", [False, True])
def test_reorganised_places(reverse: bool) -> None:
    """Against a loop over places, written out after reorg_cpu (reorg_layer.hpp)."""
    channels, height, width, stride = 8, 6, 4, 2
    image = numpy.random.default_rng(0).random((1, channels, height, width), numpy.float32)
    flat, expected = image.reshape(-1), numpy.zeros(image.size, numpy.float32)
    few = channels // stride**2
    for place, (k, j, i) in enumerate(numpy.ndindex(channels, height, width)):
        row, column = j * stride + k // few // stride, i * stride + k // few % stride
        other = column + width * stride * (row + height * stride * (k % few))
        if reverse:
            expected[other] = flat[place]
        else:
            expected[place] = flat[other]
    flag = " reverse: true" if reverse else ""
    text = (
        fed("1, 8, 6, 4")
        + f'layer {{ name: "l" type: "Reorg" bottom: "x" top: "t" reorg_param {{ stride: 2{flag} }} }}'
    )
    assert numbers(text, image).reshape(-1).tolist() == expected.tolist()


RESIZED = """layer { name: "data" type: "AnnotatedData" top: "data"
  data_param { batch_size: 2 } transform_param { mean_value: 1 mean_value: 1 mean_value: 1 SIZES } }
layer { name: "pool" type: "Pooling" bottom: "data" top: "pool" pooling_param { kernel_size: 2 stride: 2 } }
"""


def test_a_further_top_of_a_fork_s_data_is_asked_for() -> None:
    one = "resize_param { height: 300 width: 300 } "
    text = RESIZED.replace("SIZES", one).replace('top: "data"', 'top: "data" top: "label" top: "maps"', 1)
    text += 'layer { name: "sum" type: "Eltwise" bottom: "pool" bottom: "maps" top: "sum" }'
    with pytest.raises(shapecalc.UsageError, match="size of its input 'maps'"):
        load(text, phase="TRAIN").trace()


def test_of_several_sizes_that_are_drawn_from_none_is_known() -> None:
    one, other = ("resize_param { height: 300 width: 300 } ", "resize_param { height: 416 width: 416 } ")
    twice = load(RESIZED.replace("SIZES", one + one), phase="TRAIN")
    assert twice.trace().values["pool"] == (2, 3, 150, 150)
    with pytest.raises(shapecalc.UsageError, match="does not say the size"):
        load(RESIZED.replace("SIZES", one + other), phase="TRAIN").trace()


def test_interpolation_keeps_corners_and_cuts_its_border() -> None:
    image = numpy.arange(16, dtype=numpy.float32).reshape(1, 1, 4, 4)
    text = fed("1, 1, 4, 4") + 'layer { name: "l" type: "Interp" bottom: "x" top: "t" interp_param { '
    whole = numbers(text + "zoom_factor: 2 } }", image)
    assert whole.shape == (1, 1, 7, 7)
    numpy.testing.assert_allclose(whole[0, 0, ::2, ::2], image[0, 0])
    numpy.testing.assert_allclose(whole[0, 0, 0, :3], [0, 0.5, 1])
    inner = numbers(text + "pad_beg: -1 pad_end: -1 height: 2 width: 2 } }", image)
    numpy.testing.assert_allclose(inner[0, 0], image[0, 0, 1:3, 1:3])


def test_relu6_and_unit_vectors() -> None:
    image = numpy.array([[-1, 3, 9]], numpy.float32)
    layer = fed("1, 3") + 'layer {{ name: "l" type: "{}" bottom: "x" top: "t" }}'
    assert numbers(fed("1, 3") + layer.partition("\n")[2].format("ReLU6"), image).tolist() == [[0, 3, 6]]
    unit = numbers(fed("1, 3") + layer.partition("\n")[2].format("Normalize"), image)
    numpy.testing.assert_allclose(unit, image / numpy.sqrt(91), rtol=1e-6)
