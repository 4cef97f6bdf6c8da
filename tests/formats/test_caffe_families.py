"""Heads of several layers in a prototxt: detectors and nets that score every pixel, changed line by line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import shapecalc
from shapecalc.verify.definition_file import patched

FCN = """
name: "fcn"   # scores at two depths
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 32 dim: 32 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1" param { lr_mult: 1 } param { lr_mult: 2 }
  convolution_param { num_output: 8 kernel_size: 3 pad: 1 stride: 2 } }
layer { name: "conv2" type: "Convolution" bottom: "conv1" top: "conv2"
  convolution_param { num_output: 8 kernel_size: 3 pad: 1 stride: 2 } }
layer {
  name: "score_fr"
  type: "Convolution"
  bottom: "conv2"
  top: "score_fr"
  param { lr_mult: 1 decay_mult: 1 }
  param { lr_mult: 2 decay_mult: 0 }
  convolution_param { num_output: 21 kernel_size: 1 }  # classes
}
layer {
  name: "up2"
  type: "Deconvolution"
  bottom: "score_fr"
  top: "up2"
  param { lr_mult: 0 }
  convolution_param { num_output: 21 group: 21 bias_term: false kernel_size: 4 stride: 2 pad: 1 }
}
layer { name: "score_pool" type: "Convolution" bottom: "conv1" top: "score_pool"
  convolution_param { num_output: 21 kernel_size: 1 } }
layer { name: "fuse" type: "Eltwise" bottom: "up2" bottom: "score_pool" top: "fuse" }
layer { name: "up4" type: "Deconvolution" bottom: "fuse" top: "up4" param { lr_mult: 0 }
  convolution_param { num_output: 21 bias_term: false kernel_size: 4 stride: 2 } }
layer { name: "score" type: "Crop" bottom: "up4" bottom: "data" top: "score" crop_param { axis: 2 offset: 1 } }
"""
FCN_TRAIN = (
    FCN
    + """layer { name: "gt" type: "Input" top: "gt" input_param { shape { dim: 1 dim: 1 dim: 32 dim: 32 } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "gt" top: "loss" }
"""
)

SSD = """
name: "ssd"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 32 dim: 32 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 8 kernel_size: 3 pad: 1 stride: 4 } }
layer { name: "loc" type: "Convolution" bottom: "conv1" top: "loc" convolution_param { num_output: 16 kernel_size: 1 } }
layer { name: "loc_perm" type: "Permute" bottom: "loc" top: "loc_perm"
  permute_param { order: 0 order: 2 order: 3 order: 1 } }
layer { name: "loc_flat" type: "Flatten" bottom: "loc_perm" top: "loc_flat" }
layer { name: "conf" type: "Convolution" bottom: "conv1" top: "conf"
  convolution_param { num_output: 84 kernel_size: 1 } }
layer { name: "conf_perm" type: "Permute" bottom: "conf" top: "conf_perm"
  permute_param { order: 0 order: 2 order: 3 order: 1 } }
layer { name: "conf_flat" type: "Flatten" bottom: "conf_perm" top: "conf_flat" }
layer { name: "boxes" type: "PriorBox" bottom: "conv1" bottom: "data" top: "boxes"
  prior_box_param { min_size: 8 max_size: 16 aspect_ratio: 2 } }
"""
SSD_TEST = (
    SSD
    + """
layer { name: "conf_rows" type: "Reshape" bottom: "conf_flat" top: "conf_rows"
  reshape_param { shape { dim: 0 dim: -1 dim: 21 } } }
layer { name: "conf_soft" type: "Softmax" bottom: "conf_rows" top: "conf_soft" softmax_param { axis: 2 } }
layer { name: "conf_out" type: "Flatten" bottom: "conf_soft" top: "conf_out" }
layer { name: "found" type: "DetectionOutput" bottom: "loc_flat" bottom: "conf_out" bottom: "boxes" top: "found"
  detection_output_param { num_classes: 21 share_location: true background_label_id: 0 } }
"""
)
SSD_TRAIN = (
    SSD
    + """
layer { name: "gt" type: "Input" top: "gt" input_param { shape { dim: 1 dim: 1 dim: 4 dim: 8 } } }
layer { name: "loss" type: "MultiBoxLoss" bottom: "loc_flat" bottom: "conf_flat" bottom: "boxes" bottom: "gt"
  top: "loss" multibox_loss_param { num_classes: 21 } }
"""
)

RCNN = """
name: "rcnn"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 32 dim: 32 } } }
layer { name: "rois" type: "Input" top: "rois" input_param { shape { dim: 2 dim: 5 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 8 kernel_size: 3 pad: 1 stride: 4 } }
layer { name: "rpn_cls_score" type: "Convolution" bottom: "conv1" top: "rpn_cls_score"
  convolution_param { num_output: 18 kernel_size: 1 } }
layer { name: "roi" type: "ROIPooling" bottom: "conv1" bottom: "rois" top: "roi"
  roi_pooling_param { pooled_w: 3 pooled_h: 3 spatial_scale: 0.25 } }
layer { name: "fc7" type: "InnerProduct" bottom: "roi" top: "fc7" inner_product_param { num_output: 16 } }
layer { name: "cls_score" type: "InnerProduct" bottom: "fc7" top: "cls_score" inner_product_param { num_output: 21 } }
layer { name: "bbox_pred" type: "InnerProduct" bottom: "fc7" top: "bbox_pred" inner_product_param { num_output: 84 } }
"""
RCNN_TEST = (
    RCNN
    + """
layer { name: "cls_prob" type: "Softmax" bottom: "cls_score" top: "cls_prob" }
"""
)
RCNN_TRAIN = (
    RCNN
    + """
layer { name: "roi-data" type: "Python" top: "labels" top: "targets"
  python_param { module: "m" layer: "L" param_str: "'num_classes': 21" } }
layer { name: "loss_cls" type: "SoftmaxWithLoss" bottom: "cls_score" bottom: "labels" top: "loss_cls" }
"""
)


def load(text: str) -> shapecalc.Model:
    return shapecalc.loads(text, format="caffe", name="net.prototxt")


def words(text: str) -> list[str]:
    return text.replace("{", " { ").replace("}", " } ").split()


#: (definition, heads, [what stands there before, after]); everything else is as it was, word by word
TABLE: list[tuple[str, str, list[str], list[tuple[str, str]]]] = [
    ("FCN", FCN, ["score_fr", "up2", "score_pool", "up4"], [("21", "14")] * 5),
    ("FCN to train", FCN_TRAIN, ["score_fr", "up2", "score_pool", "up4"], [("21", "14")] * 5),
    ("SSD", SSD_TEST, ["conf"], [("84", "56"), ("21", "14"), ("21", "14")]),
    ("SSD to train", SSD_TRAIN, ["conf"], [("84", "56"), ("21", "14")]),
    ("Faster R-CNN", RCNN_TEST, ["cls_score", "bbox_pred"], [("21", "14"), ("84", "56")]),
    ("Faster R-CNN to train", RCNN_TRAIN, ["cls_score", "bbox_pred"], [("21", "14"), ("84", "56"), ('21"', '14"')]),
]
#: What a file for training gets besides: the rates of new layers.
RATES = re.compile(r"\bparam \{ [^{}]*\}")


@pytest.mark.parametrize(("name", "text", "heads", "numbers"), TABLE, ids=[row[0] for row in TABLE])
def test_a_family_changes_together(name: str, text: str, heads: list[str], numbers: list[tuple[str, str]]) -> None:
    plan = load(text).retarget(classes=14)
    edits = [edit.to_dict() for edit in plan.edits]
    assert [edit["layer"] for edit in edits] == heads
    assert {(edit["before"], edit["after"]) for edit in edits} == {(21, 14)}
    before, after = (words(RATES.sub("", part)) for part in (text, patched(plan)))
    changed = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
    assert [pair for pair in changed if pair[0].strip('"') not in heads] == numbers
    assert {pair for pair in changed if pair[0].strip('"') in heads} == {(f'"{h}"', f'"{h}_14"') for h in heads}
    rates = [RATES.findall(part) for part in (text, patched(plan))]
    assert (rates[0] != rates[1]) == ("train" in name)


def test_enlargements_that_do_not_learn_stay_fixed() -> None:
    after = patched(load(FCN_TRAIN).retarget(classes=14))
    blocks = {block.split('"')[1]: block for block in after.split("layer {")[1:]}
    assert "lr_mult: 0" in blocks["up2_14"]
    assert "lr_mult: 10" not in blocks["up2_14"]
    assert "lr_mult: 10" in blocks["score_fr_14"]
    assert "lr_mult: 20" in blocks["score_fr_14"]


@pytest.mark.parametrize("text", [FCN, SSD_TEST, RCNN_TEST], ids=["FCN", "SSD", "Faster R-CNN"])
def test_the_result_is_proved_and_written_as_onnx_too(text: str, tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(text)
    model = shapecalc.load(tmp_path / "net.prototxt")
    model.retarget(classes=14).save(tmp_path / "new.prototxt", device="cpu")
    model.retarget(classes=14).save(tmp_path / "new.onnx", device="cpu")
    written = shapecalc.load(tmp_path / "new.prototxt").trace()
    exported = shapecalc.load(tmp_path / "new.onnx").trace()
    shared = {name: shape for name, shape in written.values.items() if name in exported.values and shape is not None}
    assert {name: exported.values[name] for name in shared} == shared
    assert len(shared) > 6


def test_detections_are_left_to_whoever_runs_the_net() -> None:
    """DetectionOutput has no ONNX form: what it reads comes out."""
    from shapecalc.lower import lower

    model = load(SSD_TEST)
    trace = model.trace()
    assert lower(model.graph, trace).outputs == ("loc_flat", "conf_out", "boxes")


def test_as_many_classes_as_there_are_change_nothing() -> None:
    assert load(SSD_TEST).retarget(classes=21).edits == []


def test_how_the_classes_are_counted_is_said() -> None:
    said = [edit.describe() for edit in load(SSD_TEST).retarget(classes=14).edits]
    assert said == [
        "head conf → conf_14: 21 → 14 classes (the background is one of them), 4 outputs for each, new weights"
    ]


#: (what is changed in the definition, the reason for the refusal)
REFUSED: list[tuple[str, str, str, str]] = [
    (SSD_TRAIN, "num_output: 84", "num_output: 85", "its confidences are not boxes of 21 classes"),
    (
        SSD_TEST,
        'type: "Softmax" bottom: "conf_rows"',
        'type: "LRN" bottom: "conf_rows"',
        "which layers hold its classes",
    ),
    (
        RCNN_TEST,
        'layer { name: "cls_prob"',
        'layer { name: "twin" type: "InnerProduct" bottom: "fc7" top: "twin" inner_product_param { num_output: 84 } }\n'
        'layer { name: "cls_prob"',
        "it scores regions twice",
    ),
]


@pytest.mark.parametrize(("text", "old", "new", "reason"), REFUSED)
def test_what_is_no_family_is_refused_with_its_reason(text: str, old: str, new: str, reason: str) -> None:
    with pytest.raises(shapecalc.RefusedError, match=reason):
        load(text.replace(old, new)).retarget(classes=14)


RFCN = """name: "RFCN"
input: "data" input_shape { dim: 1 dim: 3 dim: 64 dim: 64 }
input: "rois" input_shape { dim: 5 dim: 5 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 8 kernel_size: 3 pad: 1 } }
layer { name: "rfcn_cls" type: "Convolution" bottom: "conv" top: "rfcn_cls"
  convolution_param { num_output: 189 kernel_size: 1 } }  # 21 * 3 * 3
layer { name: "rfcn_bbox" type: "Convolution" bottom: "conv" top: "rfcn_bbox"
  convolution_param { num_output: BOXMAPS kernel_size: 1 } }
layer { name: "cls_rois" type: "PSROIPooling" bottom: "rfcn_cls" bottom: "rois" top: "cls_rois"
  psroi_pooling_param { spatial_scale: 1 output_dim: 21 group_size: 3 } }
layer { name: "ave_cls" type: "Pooling" bottom: "cls_rois" top: "cls_score"
  pooling_param { pool: AVE kernel_size: 3 stride: 3 } }
layer { name: "loc_rois" type: "PSROIPooling" bottom: "rfcn_bbox" bottom: "rois" top: "loc_rois"
  psroi_pooling_param { spatial_scale: 1 output_dim: BOXES group_size: 3 } }
layer { name: "ave_loc" type: "Pooling" bottom: "loc_rois" top: "bbox_pre"
  pooling_param { pool: AVE kernel_size: 3 stride: 3 } }
layer { name: "prob" type: "Softmax" bottom: "cls_score" top: "prob_pre" }
layer { name: "prob_rows" type: "Reshape" bottom: "prob_pre" top: "prob" reshape_param { shape { dim: -1 dim: 21 } } }
layer { name: "box_rows" type: "Reshape" bottom: "bbox_pre" top: "box" reshape_param { shape { dim: -1 dim: BOXES } } }
"""
SCORES = {
    "rfcn_cls": "rfcn_cls_14",
    "num_output: 189": "num_output: 126",
    "output_dim: 21": "output_dim: 14",
    "dim: 21": "dim: 14",
}
#: Boxes of every class follow the classes; two (background or not) stay.
POSITIONS = (
    (84, SCORES | {"rfcn_bbox": "rfcn_bbox_14", "num_output: 756": "num_output: 504", "dim: 84": "dim: 56"}),
    (8, SCORES),
)


@pytest.mark.parametrize(("boxes", "changes"), POSITIONS)
def test_position_maps_follow_their_classes(boxes: int, changes: dict[str, str]) -> None:
    text = RFCN.replace("BOXMAPS", str(boxes * 9)).replace("BOXES", str(boxes))
    plan = load(text).retarget(classes=14)
    written = patched(plan)
    expected = text
    for old, new in changes.items():
        expected = expected.replace(old, new)
    assert written == expected
    assert [value.shape for value in plan.trace.outputs] == [(5, 14), (5, 8 if boxes == 8 else 56)]


UNTOLD = (
    ("num_output: 189", "num_output: 190", "cls_rois does not pool 9 cells of a convolution"),
    ('type: "Softmax" bottom: "cls_score"', 'type: "TanH" bottom: "cls_score"', "which of its maps of positions"),
)


@pytest.mark.parametrize(("old", "new", "reason"), UNTOLD)
def test_position_maps_that_hold_no_classes_are_refused(old: str, new: str, reason: str) -> None:
    text = RFCN.replace("BOXMAPS", "72").replace("BOXES", "8").replace(old, new)
    with pytest.raises(shapecalc.RefusedError, match=reason):
        load(text).retarget(classes=14)
