"""Edits written back into a prototxt, row by row: the whole text that comes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from prototxts import (
    DATA,
    HEADER,
    LAYERS,
    LINES,
    LOSSES,
    MAPS,
    TRAIN_VAL,
    V0,
    V1,
    V2,
    load,
    replaced,
    same_shapes,
    written,
)

import shapecalc
from shapecalc import dims, zoo
from shapecalc.errors import RefusedError, UsageError
from shapecalc.graph import Graph
from shapecalc.model import Model
from shapecalc.surgery.edits import ChangePool, InsertPool, SetInput
from shapecalc.verify.definition_file import patched

Pairs = list[tuple[str, str]]

# -- heads ------------------------------------------------------------------------------------------------------------

#: The head's name, its top, who reads it, its outputs.
HEAD = [('name: "fc"', 'name: "fc_5"'), ('top: "fc"\n', 'top: "fc_5"\n'), ("num_output: 10", "num_output: 5")]
HEAD += [('bottom: "fc"', 'bottom: "fc_5"')]
TOP = 'top: "fc_5"\n'
PARAMS = "  param {\n    lr_mult: 10\n    decay_mult: 1\n  }\n  param {\n    lr_mult: 20\n    decay_mult: 0\n  }\n"
LISTS = "blobs_lr: 10\n@blobs_lr: 20\n@weight_decay: 1\n@weight_decay: 0\n"
FROZEN = "  param { lr_mult: 0 decay_mult: 0 }\n  param { lr_mult: 0. } # frozen\n"
SLOW = ('  top: "conv"\n  convolution', '  top: "conv"\n  param { lr_mult: 0.5 }\n  convolution')
RESHAPE = 'type: "Reshape"\n  reshape_param { shape { dim: [-1, %d, 1, 1] } }'
SIGMOID = ('type: "Softmax"\n  bottom: "fc"\n  top: "prob"', 'type: "Sigmoid"\n  bottom: "fc"\n  top: "fc"')

HEADS: list[tuple[str, str, Pairs]] = [
    ("a definition for deployment", V2, HEAD),
    ("one for training", TRAIN_VAL, [*HEAD, (TOP, TOP + PARAMS)]),
    ("V1", V1, [*HEAD, (TOP, TOP + "  " + LISTS.replace("@", "  "))]),
    ("V0", V0, [*HEAD, ("num_output: 5\n", "num_output: 5\n    " + LISTS.replace("@", "    "))]),
    (
        "rates that are there",
        TRAIN_VAL.replace('  top: "fc"\n', '  top: "fc"\n' + FROZEN),
        [
            *HEAD,
            ("  param { lr_mult: 0 decay_mult: 0 }", "  param { lr_mult: 10 decay_mult: 1 }"),
            ("  param { lr_mult: 0. }", "  param { lr_mult: 20 }"),
        ],
    ),
    (
        "rates of V1",
        V1.replace('  top: "fc"\n', '  top: "fc"\n  blobs_lr: 1 # slow\n  weight_decay: 0\n'),
        [*HEAD, ("  blobs_lr: 1 # slow\n", "  blobs_lr: 10 # slow\n  blobs_lr: 20\n"), ("decay: 0", "decay: 1")],
    ),
    (
        "rates in a list",
        V1.replace('  top: "fc"\n', '  top: "fc"\n  blobs_lr: [1]\n'),
        [*HEAD, ("  blobs_lr: [1]\n", "  blobs_lr: [10]\n  blobs_lr: 20\n")],
    ),
    (
        "a second parameter without a rate",
        TRAIN_VAL.replace('  top: "fc"\n', '  top: "fc"\n  param { }\n'),
        [*HEAD, ("  param { }\n", "  param { lr_mult: 10 }\n  param { lr_mult: 20 decay_mult: 0 }\n")],
    ),
    (
        "others at half the rate",
        TRAIN_VAL.replace(*SLOW),
        [*HEAD, (TOP, TOP + PARAMS.replace("10", "5").replace("20", "10"))],
    ),
    (
        "no bias",
        TRAIN_VAL.replace("num_output: 10\n", "num_output: 10 bias_term: false\n"),
        [*HEAD, (TOP, TOP + PARAMS[: PARAMS.index("  param", 9)])],
    ),
    (
        "another top",
        replaced(V2, ('top: "fc"', 'top: "scores"'), ('bottom: "fc"', 'bottom: "scores"')),
        [HEAD[0], HEAD[2]],
    ),
    ("an activation in place", V2.replace(*SIGMOID), HEAD),
    (
        "a Reshape that repeats the classes",
        V2.replace('type: "Softmax"', RESHAPE % 10),
        [*HEAD, ("[-1, 10, 1, 1]", "[-1, 5, 1, 1]")],
    ),
    (
        "a convolution",
        replaced(
            V2, ("InnerProduct", "Convolution"), ("inner_product", "convolution"), ("10\n", "10 kernel_size: 1\n")
        ),
        HEAD,
    ),
]


@pytest.mark.parametrize("eol", ["\n", "\r\n"])
@pytest.mark.parametrize(("text", "pairs"), [row[1:] for row in HEADS], ids=[row[0] for row in HEADS])
def test_heads(text: str, pairs: Pairs, eol: str) -> None:
    plan = load(text.replace("\n", eol)).retarget(classes=5)
    result = patched(plan)
    assert result == replaced(text, *pairs).replace("\n", eol)
    again = load(result)
    same_shapes(plan.trace, again.trace())
    assert [node.name for node in again.graph.nodes] == [node.name for node in plan.graph.nodes]


def test_training_and_deployment_name_the_head_alike_and_both_phases_stay_whole() -> None:
    deploy = patched(load(V2).retarget(classes=5))
    train_val, same = (patched(load(TRAIN_VAL, phase).retarget(classes=5)) for phase in ("TRAIN", "TEST"))
    assert train_val == same
    for model in (load(deploy), load(train_val, "TRAIN"), load(train_val, "TEST")):
        assert model.trace().layer("fc_5").outputs[0].shape[1] == 5  # type: ignore[index]


def test_the_variant_of_a_head_in_another_phase_is_edited_too() -> None:
    head = LAYERS[LAYERS.index('layer {\n  name: "fc"') :]
    variants = [head.replace("  # the", f"  include {{ phase: {phase} }}\n  # the") for phase in ("TRAIN", "TEST")]
    text = DATA + MAPS + variants[0].replace('name: "fc"', 'name: "fc_train"') + variants[1] + LOSSES
    result = patched(load(text).retarget(classes=5))
    for phase, name in (("TRAIN", "fc_train_5"), ("TEST", "fc_5")):
        assert load(result, phase).trace().layer(name).outputs[0].shape[1] == 5  # type: ignore[index]


# -- inputs -----------------------------------------------------------------------------------------------------------

#: H and W stand for height and width: 12 and 12 before, 20 and 20 or 24 afterwards.
LAYER = 'layer { name: "data" type: "%s" top: "data" %s }\n'
INPUTS = {
    "input_dim": 'input: "data"\ninput_dim: 1\ninput_dim: 3\ninput_dim: H # rows\ninput_dim: W\n',
    "on one line": "input: 'data' input_dim: 1, input_dim: 3, input_dim: H, input_dim: W\n",
    "input_shape": "input: 'data' input_shape { dim: [1, 3, H, W] }\n",
    "an Input layer": LAYER % ("Input", "input_param: < shape { dim: 1 dim: 3 dim: H; dim: W } >"),
    "data layers of both phases": DATA.replace("crop_size: 12", "crop_size: H"),
    "an old crop": LAYER % ("ImageData", "image_data_param { crop_size: H }"),
    "scaled images": LAYER % ("ImageData", "image_data_param { new_height: H new_width: W }"),
    "the fork's resizing": LAYER % ("ImageData", "transform_param { resize_param { height: H width: W } }"),
    "MemoryData": LAYER % ("MemoryData", "memory_data_param { batch_size: 1 channels: 3 height: H width: W }"),
    "a crop of MemoryData": 'layer { name: "data" type: "MemoryData" top: "data" transform_param { crop_size: H }\n'
    "  memory_data_param { batch_size: 1 channels: 3 height: 90 width: 99 } }\n",
    "DummyData by columns": LAYER % ("DummyData", "dummy_data_param { num: 1 channels: 3 height: H width: W }"),
    "DummyData by shapes": LAYER % ("DummyData", "dummy_data_param { shape { dim: 1 dim: 3 dim: H dim: W } }"),
}


@pytest.mark.parametrize("head", INPUTS.values(), ids=INPUTS)
def test_inputs(head: str) -> None:
    size = (20, 24 if " W" in head else 20)
    before, after = (head.replace(" H", f" {h}").replace(" W", f" {w}") for h, w in ((12, 12), size))
    plan = load(before + MAPS).retarget(input=size)
    assert patched(plan) == after + MAPS
    assert load(after + MAPS).trace().values["data"] == (*plan.trace.values["data"][:2], *size)  # type: ignore[index]


OTHERS: list[tuple[str, str, Any, str]] = [
    ("the batch of the phase that is read", DATA, (2, 3, 12, 12), DATA.replace("batch_size: 4", "batch_size: 2")),
    ("a shape of another rank", LAYER % ("Input", "input_param { shape { dim: 5 } }"), (1, 3, 20, 20),
     LAYER % ("Input", "input_param { shape { dim: 1 dim: 3 dim: 20 dim: 20 } }")),
    ("an input without a shape", 'input: "data"\n', (1, 3, 20, 20),
     'input: "data"\ninput_shape { dim: 1 dim: 3 dim: 20 dim: 20 }\n'),
    ("an Input layer without a shape", LAYER % ("Input", ""), (1, 3, 20, 20),
     LAYER % ("Input", 'input_param { shape { dim: 1 dim: 3 dim: 20 dim: 20 } } ')),
    ("images of their own size", 'layer {\n  name: "data"\n  type: "ImageData"\n  top: "data"\n}\n', (1, 3, 20, 20),
     'layer {\n  name: "data"\n  type: "ImageData"\n  top: "data"\n  transform_param {\n    crop_size: 20\n  }\n}\n'),
    ("a crop larger than what images are scaled to",
     LAYER % ("ImageData", "image_data_param { new_height: 16 new_width: 24 } transform_param { crop_size: 12 }"), 20,
     LAYER % ("ImageData", "image_data_param { new_height: 20 new_width: 24 } transform_param { crop_size: 20 }")),
    ("data whose shape no file tells", LAYER % ("HDF5Data", ""), (1, 3, 20, 20), LAYER % ("HDF5Data", "")),
]  # fmt: skip


@pytest.mark.parametrize(("head", "size", "wanted"), [row[1:] for row in OTHERS], ids=[row[0] for row in OTHERS])
def test_other_inputs(head: str, size: Any, wanted: str) -> None:
    model = load(head + MAPS)
    shape = model.feeds(size)["data"] if isinstance(size, int) else size
    assert (
        written(model, SetInput("data", None, shape).apply(model.graph)).split('layer {\n  name: "conv"')[0] == wanted
    )


def test_channels_that_only_the_data_know_are_asked_for() -> None:
    with pytest.raises(UsageError, match="does not say how many channels its input 'data' has") as caught:
        load(TRAIN_VAL.replace(" mean_value: 1 mean_value: 2 mean_value: 3", "")).retarget(classes=5)
    assert caught.value.hint == "give them: --input 3x12x12 for colour, 1x12x12 for gray"


def test_the_channels_that_only_the_data_know_are_given_and_the_trained_size_holds() -> None:
    """Without its mean values a data layer says its crop and no channels; fc's weights are those of 12×12 still."""
    text = TRAIN_VAL.replace(" mean_value: 1 mean_value: 2 mean_value: 3", "")
    plan = load(text).retarget(input=(3, 14, 14))
    assert [edit.to_dict()["edit"] for edit in plan.edits] == ["set-input", "insert-pool"]
    again = load(patched(plan)).trace((3, 14, 14))
    assert again.ok
    assert again.layer("fc").weights[0].shape == (10, 8 * 5 * 5)


# -- poolings ---------------------------------------------------------------------------------------------------------

BLOCK = "pool: MAX\n    kernel_size: 2\n    stride: 2\n"
WINDOWS: list[tuple[str, dict[str, Any], str]] = [
    (BLOCK, {"kernel_shape": (4, 4)}, "pool: MAX\n    kernel_size: 4\n    stride: 2\n"),
    (BLOCK, {"strides": (1, 1)}, "pool: MAX\n    kernel_size: 2\n    stride: 1\n"),
    (BLOCK, {"pads": (1, 1, 1, 1)}, BLOCK + "    pad: 1\n"),
    (BLOCK, {"kernel_shape": (4, 2)}, "pool: MAX\n    kernel_h: 4 kernel_w: 2\n    stride: 2\n"),
    (BLOCK, {"pads": (1, 0, 1, 0)}, BLOCK + "    pad_h: 1\n    pad_w: 0\n"),
    (BLOCK, {"ceil_mode": 0}, BLOCK + "    round_mode: FLOOR\n"),
    (BLOCK, {"ceil_mode": 1}, BLOCK),  # what Caffe does when nothing is said
    (BLOCK + "    round_mode: FLOOR # down\n", {"ceil_mode": 1}, BLOCK + "    round_mode: CEIL # down\n"),
    (BLOCK + "    round_mode: 1\n", {"ceil_mode": 1}, BLOCK + "    round_mode: CEIL\n"),
    (BLOCK + "    ceil_mode: true\n", {"ceil_mode": 0}, BLOCK + "    ceil_mode: false\n"),
    ("kernel_size: 2\n", {"strides": (3, 3)}, "kernel_size: 2\n    stride: 3\n"),
    ("kernel_size: 2 pad: 1\n", {"pads": (0, 0, 0, 0)}, "kernel_size: 2 pad: 0\n"),
    ("kernel_h: 2, kernel_w: 3\n", {"kernel_shape": (4, 2)}, "kernel_h: 4, kernel_w: 2\n"),
    ("kernel_size: [2]\n", {"kernel_shape": (4, 2)}, "kernel_h: 4 kernel_w: 2\n"),
    ("kernel_size: 2; # 2\n", {"kernel_shape": (3, 3), "strides": (2, 2)}, "kernel_size: 3; # 2\n    stride: 2\n"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "attrs", "after"), WINDOWS)
def test_windows(before: str, attrs: dict[str, Any], after: str) -> None:
    text = HEADER + replaced(MAPS, (BLOCK, before))
    model = load(text)
    new = ChangePool("pool", attrs, "").apply(model.graph)
    result = written(model, new)
    assert result == HEADER + replaced(MAPS, (BLOCK, after))
    same_shapes(Model(new, "new").trace(), load(result).trace())


# -- new poolings -----------------------------------------------------------------------------------------------------

PACKED = replaced(V2, ('"\n  type', '"  type'), ('"\n  bottom', '"  bottom'), ('"\n  top', '"  top'))
FLAT = (
    "layer { name: '%s' type: 'Pooling' bottom: '%s' top: '%s' pooling_param { pool: AVE kernel_size: 2 stride: 1 } }\n"
)
FC = ("'InnerProduct', bottom: 'p'", "'InnerProduct', bottom: '%s'")
AVERAGE = "  pooling_param {\n    pool: AVE\n    kernel_size: 2\n    stride: 1\n  }\n}\n"
PLAIN = '%s {\n  name: "pool_fit"\n  type: %s\n  bottom: "pool"\n  top: "pool_fit"\n' + AVERAGE
BEHIND_POOL = ('bottom: "pool"\n', 'bottom: "pool_fit"\n')
BRANCH = "layer { name: 's', type: 'Sigmoid', bottom: 'p', top: 's' }\n"
INSERTIONS: list[tuple[str, str, str, str, Pairs]] = [
    ("a block", V2, "pool", PLAIN % ("layer", '"Pooling"'), [BEHIND_POOL]),
    ("V1", V1, "pool", PLAIN % ("layers", "POOLING"), [BEHIND_POOL]),
    (
        "V0",
        V0,
        "pool",
        'layers {\n  layer {\n    name: "pool_fit"\n    type: "pool"\n    pool: AVE\n    kernelsize: 2\n    stride: 1\n'
        '  }\n  bottom: "pool"\n  top: "pool_fit"\n}\n',
        [BEHIND_POOL],
    ),
    (
        "plain fields on one line",
        PACKED,
        "pool",
        'layer {\n  name: "pool_fit"  type: "Pooling"  bottom: "pool"  top: "pool_fit"\n' + AVERAGE,
        [('"InnerProduct"  bottom: "pool"', '"InnerProduct"  bottom: "pool_fit"')],
    ),
    (
        "before what works in place",
        LINES,
        "p",
        FLAT % ("p_fit", "p", "p_fit"),
        [("bottom: 'p', top: 'p' } # in", "bottom: 'p_fit', top: 'p_fit' } # in"), (FC[0], FC[1] % "p_fit")],
    ),
    ("behind what works in place", LINES, "r", FLAT % ("r_fit", "p", "r_fit"), [(FC[0], FC[1] % "r_fit")]),
    (
        "behind an input that is no layer",
        LINES,
        "input",
        FLAT % ("input_fit", "x", "input_fit"),
        [("bottom: 'x', top: 'c'", "bottom: 'input_fit', top: 'c'")],
    ),
]


def with_pool(model: Model, layer: str) -> Graph:
    value = model.graph.node(layer).outputs[0]
    return InsertPool(layer, value, f"{layer}_fit", (2, 2), (1, 1), ((), ())).apply(model.graph)


IN_PLACE = ("bottom: 'p', top: 'p' } # in", "bottom: 'p_fit', top: 'p_fit' } # in")


@pytest.mark.parametrize(
    ("readers", "text", "pairs"),
    [
        (["f"], LINES.replace("top: 'p' } # in", "top: 'r' } # in"), [(FC[0], FC[1] % "p_fit")]),
        (["s"], LINES, [("bottom: 'p', top: 's'", "bottom: 'p_fit', top: 's'")]),
        (["r"], LINES, [IN_PLACE, (FC[0], FC[1] % "p_fit")]),
    ],
)
def test_a_pooling_for_some_of_the_readers(readers: list[str], text: str, pairs: Pairs) -> None:
    text = text.replace("layer { name: 'r'", BRANCH + "layer { name: 'r'")
    model = load(text)
    value = model.graph.node("p").outputs[0]
    edit = InsertPool("p", value, "p_fit", (2, 2), (1, 1), ((), ()), readers=tuple(readers))
    graph = edit.apply(model.graph)
    result = written(model, graph)
    assert result.replace(FLAT % ("p_fit", "p", "p_fit"), "") == replaced(text, *pairs)
    same_shapes(Model(graph, "new").trace(), load(result).trace())


@pytest.mark.parametrize("eol", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("text", "layer", "new", "pairs"), [row[1:] for row in INSERTIONS], ids=[row[0] for row in INSERTIONS]
)
def test_new_poolings(text: str, layer: str, new: str, pairs: Pairs, eol: str) -> None:
    model = load(text.replace("\n", eol))
    graph = with_pool(model, layer)
    result = written(model, graph)
    assert new.replace("\n", eol) in result
    assert result.replace(new.replace("\n", eol), "") == replaced(text, *pairs).replace("\n", eol)
    again = load(result)
    same_shapes(Model(graph, "new").trace(), again.trace())
    assert [node.name for node in again.graph.nodes] == [node.name for node in graph.nodes]


def test_blank_lines_between_layers_are_kept_between_new_ones() -> None:
    model = load(V2.replace("}\nlayer", "}\n\nlayer"))
    assert '  }\n}\n\nlayer {\n  name: "pool_fit"' in written(model, with_pool(model, "pool"))


def test_a_pooling_stands_behind_what_writes_the_blob_in_any_phase() -> None:
    turned = DATA.replace("TEST", "X").replace("TRAIN", "TEST").replace("X", "TRAIN")
    model = load(turned + LAYERS)
    result = written(model, with_pool(model, "data"))
    for phase in ("TRAIN", "TEST"):
        assert load(result, phase).trace().layer("conv").outputs[0].shape[2:] == (9, 9)  # type: ignore[index]


# -- refusals ---------------------------------------------------------------------------------------------------------

Change = Callable[[Graph], Graph]


def shaped(*shape: Any) -> Change:
    return lambda graph: SetInput("data", None, shape).apply(graph)


def pooled(**attrs: Any) -> Change:
    return lambda graph: ChangePool("pool", attrs, "").apply(graph)


TWO = (
    'layer { name: "data" type: "Input" top: "data" top: "b" input_param { shape { dim: 1 dim: 3 dim: 9 dim: 9 } } }\n'
)
REFUSALS: list[tuple[str, Change, str]] = [
    (V2, shaped(1, 3, dims.symbol("H"), 12), "input: a prototxt has no free dimensions"),
    (V2, shaped(3, 12), "input: input_dim says 4 dimensions, not 2"),
    (DATA + MAPS, shaped(4, 3, 20, 24), "data: its crop_size is one number, 20×24 are two"),
    (DATA + MAPS, shaped(4, 1, 20, 20), "data: its data have 3 channels, not 1"),
    (TWO + MAPS, shaped(1, 3, 20, 20), "data: 2 inputs share one shape"),
    (V0, pooled(ceil_mode=0), "pool: a V0 layer cannot say round_mode"),
    (V0, pooled(kernel_shape=(2, 3)), "pool: a V0 layer cannot say kernel_h"),
    (V2, pooled(pads=(0, 0, 1, 1)), "pool: Caffe pads both sides alike"),
    (V2, pooled(dilations=(2, 2)), "pool: its dilations cannot be changed in a prototxt"),
]


@pytest.mark.parametrize(("text", "change", "message"), REFUSALS, ids=[row[2] for row in REFUSALS])
def test_refusals(text: str, change: Change, message: str) -> None:
    model = load(text)
    with pytest.raises(RefusedError) as caught:
        written(model, change(model.graph))
    layer, _, because = message.partition(": ")
    assert (caught.value.code, caught.value.because) == ("E303", because)
    assert caught.value.message == f"{layer}: this prototxt cannot say the edit"
    assert str(caught.value.location).startswith("net.prototxt:")
    assert caught.value.hint


def test_the_zoo_is_text_in_its_own_style() -> None:
    path = zoo.find("caffenet")
    assert path is not None
    result = patched(shapecalc.load("caffenet").retarget(classes=13, input=256))
    pool = 'layer {\n  name: "pool5_fit"  type: "Pooling"  bottom: "pool5"  top: "pool5_fit"\n'
    pool += "  pooling_param { pool: AVE  kernel_size: 2  stride: 1 }\n}\n"
    assert pool in result
    assert result.replace(pool, "") == replaced(
        path.read_text(),
        ("dim: 227  dim: 227", "dim: 256  dim: 256"),
        ('"InnerProduct"  bottom: "pool5"', '"InnerProduct"  bottom: "pool5_fit"'),
        ('"fc8"', '"fc8_13"'),
        ("num_output: 1000", "num_output: 13"),
    )


def test_what_only_measures_the_image_lets_its_channels_change() -> None:
    """SSD's boxes and FCN's crop read the image for its size: the first convolution takes the channels."""
    text = """layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 32 dim: 32 } } }
layer { name: "c" type: "Convolution" bottom: "data" top: "c" convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "box" type: "PriorBox" bottom: "c" bottom: "data" top: "box" prior_box_param { min_size: 8 } }
layer { name: "up" type: "Deconvolution" bottom: "c" top: "up"
  convolution_param { num_output: 2 kernel_size: 4 stride: 2 } }
layer { name: "score" type: "Crop" bottom: "up" bottom: "data" top: "score" crop_param { axis: 2 offset: 3 } }
"""
    plan = shapecalc.loads(text, format="caffe", name="net.prototxt").retarget(channels=1)
    assert patched(plan) == text.replace("dim: 1 dim: 3", "dim: 1 dim: 1")
    assert plan.verify(device="cpu").ok
