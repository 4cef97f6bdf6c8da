"""One edit written as prototxt and as ONNX: both read again have the same trace, over every net that has a head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import shapecalc
from shapecalc.errors import ModelError, ShapecalcError
from shapecalc.verify.definition_file import patched
from shapecalc.verify.plans import Plan
from shapecalc.verify.writing import as_onnx

ROOT = Path(__file__).parents[2]
CORPUS = ROOT.parent / "shared" / "corpus" / "caffe"
FILES = sorted((ROOT / "zoo").glob("*.prototxt")) + sorted(CORPUS.glob("*.prototxt"))
#: What these nets end in instead of one classifier, or one number of classes.
HEADLESS = """linreg siamese_train_test surgery_conv v1_siamese_train_test
    v2of_v1_siamese_train_test""".split()

#: Detectors, of which ONNX cannot say every layer: classes, and boxes or priors for each.
TEXTS = """faster_rcnn_vgg16_test faster_rcnn_zf_test faster_voc_mobilenet mobilenet_ssd_voc_deploy
    mobilenet_ssd_voc_train pelee_voc_deploy rfcn_voc_resnet18""".split()


def planned(path: Path) -> Plan:
    """Seven classes, at the declared input or one that the file asks for."""
    try:
        model = shapecalc.load(path)
    except ModelError:
        model = shapecalc.load(path, phase="TRAIN")
    try:
        model.trace()
        return model.retarget(classes=7)
    except ShapecalcError as error:
        if error.code != "E207":
            raise
    return model.retarget(classes=7, input=wanted(model))


def wanted(model: shapecalc.Model) -> tuple[int, ...]:
    """Three channels of the size the file says, of 224 where it says none; a vector where no image is read."""
    declared = next((given.declared for given in model.graph.inputs if given.role == "image"), (10, 4))
    if declared is not None and len(declared) == 2:
        return (10, 4)
    sizes = [d for d in (declared or ())[2:] if isinstance(d, int)] or [28 if "mnist" in model.name else 224]
    return (3, sizes[0], sizes[-1])


def shapes(trace: shapecalc.Trace) -> dict[str, Any]:
    """What each value has that ONNX can have too: no labels, losses and values worked on in place."""
    return {name: shape for name, shape in trace.values.items() if "@" not in name}


@pytest.mark.parametrize("path", [p for p in FILES if p.stem in HEADLESS], ids=lambda path: path.stem)
def test_a_net_without_a_head_of_classes_is_refused(path: Path) -> None:
    with pytest.raises(ShapecalcError) as caught:
        planned(path)
    assert caught.value.code == "E301"


@pytest.mark.parametrize("path", [p for p in FILES if p.stem in TEXTS], ids=lambda path: path.stem)
def test_a_detector_is_changed_as_text(path: Path) -> None:
    plan = planned(path)
    feeds = {name: tensor.shape for name, tensor in plan.trace.feeds.items() if isinstance(tensor.shape, tuple)}
    text = shapecalc.loads(patched(plan), format="caffe", phase=str(plan.graph.meta["phase"])).trace(feeds, fresh=True)
    assert any(layer.name.endswith(("_7", "_28")) for layer in text.layers)
    made = shapes(text).keys() - {given.name for given in plan.graph.inputs}
    assert made == shapes(plan.trace).keys() - {given.name for given in plan.graph.inputs}
    assert {name: text.values[name] for name in made} == {name: plan.trace.values[name] for name in made}


@pytest.mark.parametrize("path", [p for p in FILES if p.stem not in HEADLESS + TEXTS], ids=lambda path: path.stem)
def test_text_and_onnx_of_one_edit_have_the_same_trace(path: Path) -> None:
    plan = planned(path)
    phase = str(plan.graph.meta["phase"])
    feeds = {name: tensor.shape for name, tensor in plan.trace.feeds.items() if isinstance(tensor.shape, tuple)}
    text = shapecalc.loads(patched(plan), format="caffe", phase=phase).trace(feeds, fresh=True)
    onnx = shapecalc.load(as_onnx(plan.model, plan.graph, plan.trace, init=False, seed=0), format="onnx").trace()
    assert text.ok
    assert onnx.ok
    both = shapes(text).keys() & shapes(onnx).keys()
    heads = [edit.to_dict()["name"] for edit in plan.edits if edit.to_dict()["edit"] == "replace-head"]
    assert heads
    assert {name: text.values[name] for name in both} == {name: onnx.values[name] for name in both}
    outputs = {value.name for value in onnx.outputs}
    assert outputs <= both
    weights = [
        sorted(value.shape for layer in trace.layers for value in layer.weights if value.shape and len(value.shape) > 1)
        for trace in (text, onnx)
    ]
    assert {s for s in weights[0] if s not in weights[1]} == set()
