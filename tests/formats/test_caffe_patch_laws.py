"""Laws of edits in a prototxt, over the zoo, the corpus and generated nets.

No edit gives the file byte for byte; an edited file reads back as the plan; nothing else of it differs.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prototxts import load, same_shapes, written

import shapecalc
from shapecalc.dims import all_numbers
from shapecalc.errors import ModelError, RefusedError, ShapecalcError
from shapecalc.model import Model
from shapecalc.verify.definition_file import patched

ROOT = Path(__file__).parents[2]
CORPUS = ROOT.parent / "shared" / "corpus" / "caffe"
FILES = sorted((ROOT / "zoo").glob("*.prototxt")) + sorted(CORPUS.glob("*.prototxt"))

EDITS: list[dict[str, Any]] = [
    {"classes": 7},
    {"classes": 7, "input": (3, 227, 227)},
    {"input": 256},
    {"input": (3, 300, 300)},
    {"input": 256, "repair": "window"},
    {"input": 240, "repair": "rounding"},
]
#: An edit that a prototxt does not say: a scaled image.
IN_ONNX_ALONE = {"resize-input", "pad", "scale"}
#: Longer files take a second an edit.
LARGE = 25_000
#: Fields an edit may touch or bring: names and blobs, outputs and rates, sizes of inputs, windows.
FIELDS = """name top bottom type num_output lr_mult decay_mult blobs_lr weight_decay dim input_dim crop_size cropsize
    new_height new_width height width pool kernel_size kernelsize stride pad round_mode ceil_mode num_classes
    output_dim"""
MESSAGES = "layers? layer param pooling_param transform_param input_param shape inner_product_param convolution_param"
TOUCHED = re.compile(rf"[-+]\s*(\}}|({'|'.join(MESSAGES.split())})\s*:?\s*\{{.*|({'|'.join(FIELDS.split())})\s*:.*)?")


def changed(before: str, after: str) -> list[str]:
    """Lines that were taken out or put in, in the order of the files."""
    old, new = before.splitlines(), after.splitlines()
    gone, come = Counter(old) - Counter(new), Counter(new) - Counter(old)
    return [f"-{line}" for line in gone.elements()] + [f"+{line}" for line in come.elements()]


def read(path: Path) -> Model:
    try:
        return shapecalc.load(path)
    except ModelError:
        return shapecalc.load(path, phase="TRAIN")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_edit_gives_the_file_byte_for_byte(path: Path) -> None:
    try:
        model = read(path)
    except ModelError as error:
        pytest.skip(f"not read: {error.message}")
    assert written(model, model.graph).encode() == path.read_bytes()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_edit_reads_back_as_the_plan(path: Path) -> None:
    before = path.read_bytes().decode()
    for edit in EDITS if len(before) < LARGE else EDITS[:2]:
        try:
            plan = read(path).retarget(**edit)
        except ShapecalcError:
            continue  # nothing to change here, or no repair: not a matter of the format
        if "HDF5Data" in before and plan.about.keys() == {"input"}:
            continue  # its data decide the size, so nothing is written
        if IN_ONNX_ALONE & {made.to_dict()["edit"] for made in plan.edits}:
            with pytest.raises(RefusedError, match=r"cannot be added to a prototxt here"):
                patched(plan)
            continue
        result = patched(plan)
        assert [line for line in changed(before, result) if not TOUCHED.fullmatch(line)] == []
        again = shapecalc.loads(result, format="caffe", phase=str(plan.graph.meta["phase"]))
        feeds = {name: tensor.shape for name, tensor in plan.trace.feeds.items() if all_numbers(tensor.shape)}
        same_shapes(plan.trace, again.trace(feeds if "input" in edit else None, fresh=True))
        assert [n.name for n in again.graph.nodes] == [n.name for n in plan.graph.nodes]


def test_the_laws_were_asked_of_real_edits() -> None:
    """The zoo alone has heads, inputs, new poolings and other windows."""
    kinds = set()
    for path in FILES[:6]:
        for edit in EDITS:
            try:
                kinds |= {made.to_dict()["edit"] for made in read(path).retarget(**edit).edits}
            except ShapecalcError:
                continue
    assert kinds == {"replace-head", "set-input", "insert-pool", "change-pool"}


# -- Caffe's own examples ---------------------------------------------------------------------------------------------

needs_corpus = pytest.mark.skipif(not CORPUS.is_dir(), reason="../shared/corpus is absent")


@needs_corpus
@pytest.mark.parametrize("name", ["v1_googlenet_train_val", "v2of_v1_googlenet_train_val"])
def test_all_three_heads_of_googlenet(name: str) -> None:
    path = CORPUS / f"{name}.prototxt"
    lines = changed(path.read_text(), patched(shapecalc.load(path).retarget(classes=20)))
    texts = [line.replace(" ", "") for line in lines]
    assert texts.count("+num_output:20") == 3
    assert [line for line in texts if line.startswith("+name:")] == [
        f'+name:"loss{n}/classifier_20"' for n in (1, 2, 3)
    ]
    assert len([line for line in texts if re.fullmatch(r'\+bottom:"loss\d/classifier_20"', line)]) == 9
    assert len([line for line in texts if re.fullmatch(r"\+(lr_mult|blobs_lr):[12]0", line)]) == 6


@needs_corpus
def test_fine_tuning_as_caffes_own_example() -> None:
    """examples/finetune_flickr_style is CaffeNet with another head; what is made of CaffeNet says the same of it."""
    keys = ("num_output", "lr_mult", "lr_mult[1]", "decay_mult", "decay_mult[1]")
    plan = shapecalc.load(CORPUS / "caffenet_train_val.prototxt").retarget(classes=20, input=(3, 227, 227))
    made, example = load(patched(plan)), shapecalc.load(CORPUS / "flickr_style_train_val.prototxt")
    for model, name in ((made, "fc8_20"), (example, "fc8_flickr")):
        parts, text = model.graph.node(name).origin.parts, str(model.graph.meta["text"])
        assert [text[slice(*parts[key])] for key in keys] == ["20", "10", "20", "1", "0"]


@needs_corpus
@pytest.mark.parametrize("name", ["caffenet", "bvlc_alexnet"])
def test_train_val_and_deploy_get_the_same_layers(name: str) -> None:
    names = []
    for kind in ("train_val", "deploy"):
        plan = shapecalc.load(CORPUS / f"{name}_{kind}.prototxt").retarget(classes=20, input=(3, 256, 256))
        again = load(patched(plan))
        names.append([node.name for node in again.graph.nodes if node.op in ("Gemm", "Conv", "AveragePool", "MaxPool")])
    assert names[0] == names[1]
    assert {"fc8_20", "pool5_fit"} <= set(names[0])


# -- generated nets ---------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "fc8", "loss1/classifier", "ä ö", 'quo"te', "it's", "back\\slash"])
GAPS = st.sampled_from([" ", "\n  ", "\n\t", " # note {\n  ", ",\n  ", "; "])
RATES = [(), ("param { lr_mult: 1 }",), ("param {}", "param < lr_mult: 2 decay_mult: 0 >")]
ENDS = ["Softmax", "Sigmoid", "SoftmaxWithLoss", "FocalLoss"]
#: What forks and phases add to a layer: fields nobody knows, rules that the test phase meets.
EXTRAS = [
    (),
    ("fancy_param { depth: 3 # its own\n }",),
    ("include { phase: TEST }",),
    ("exclude { phase: TRAIN }", "exclude { stage: 'deploy' }"),
    ("include < not_stage: 'x' min_level: 0 >", "quantize: true"),
]


@st.composite
def nets(draw: st.DrawFn) -> str:
    """A net of a few layers in any layout that TextFormat allows."""
    gap, colon, quote = draw(GAPS), draw(st.sampled_from(["", ": "])), draw(st.sampled_from("\"'"))

    start = gap.lstrip(",;")

    def text(value: str) -> str:
        return quote + value.replace("\\", "\\\\").replace(quote, "\\" + quote) + quote

    def layer(name: str, kind: str, bottom: str, top: str, *rest: str) -> str:
        fields = [f"name: {text(name)}", f"type: {text(kind)}", f"bottom: {text(bottom)}", f"top: {text(top)}", *rest]
        return f"layer {colon}{{{start}{gap.join(draw(st.permutations(fields)))}{gap}}}"

    def message(name: str, *fields: str) -> str:
        return f"{name} {{{start}{gap.join(draw(st.permutations(fields)))}{gap}}}"

    head, end = draw(NAMES), draw(st.sampled_from(ENDS))
    bias, stride = draw(st.sampled_from(["true", "false"])), draw(st.integers(1, 3))
    maybe = [
        [part] if draw(st.booleans()) else []
        for part in (
            layer("r", draw(st.sampled_from(["ReLU", "ReLU6", "PReLU"])), "c", "c", *draw(st.sampled_from(EXTRAS[:2]))),
            layer("d", "Dropout", "p", "p"),
        )
    ]
    label = [f"bottom: {text('x')}"] if "Loss" in end else []
    extra = draw(st.sampled_from(EXTRAS))
    parts = [
        'input: "x" input_dim: 2 input_dim: 3 input_dim: 16 input_dim: 16',
        layer("c", "Convolution", "x", "c", message("convolution_param", "num_output: 4", "kernel_size: 3"), *extra),
        *maybe[0],
        layer("p", "Pooling", "c", "p", message("pooling_param", "kernel_size: 3", f"stride: {stride}", "pool: MAX")),
        *maybe[1],
        layer("h", "InnerProduct", "p", "h", message("inner_product_param", "num_output: 6")),
        layer(
            head,
            "InnerProduct",
            "h",
            head,
            message("inner_product_param", "num_output: 6", f"bias_term: {bias}"),
            *draw(st.sampled_from(RATES)),
        ),
        layer("last", end, head, head if end == "Sigmoid" else "out", *label),
    ]
    eol = draw(st.sampled_from(["\n", "\r\n", "\n\n"]))
    first = draw(st.sampled_from(["", "\ufeff", "# c\n"]))
    return first + eol.join(parts) + draw(st.sampled_from(["", eol]))


@settings(max_examples=200, deadline=None)
@given(nets(), st.integers(1, 9), st.integers(12, 40), st.sampled_from(["classes", "input", "both"]))
def test_generated_nets(text: str, classes: int, size: int, what: str) -> None:
    model = load(text)
    assert written(model, model.graph) == text
    edit = {"classes": classes, "input": size}
    try:
        plan = model.retarget(**(edit if what == "both" else {what: edit[what]}))  # type: ignore[arg-type]
    except RefusedError as error:
        assert error.code in ("E301", "E302")  # noqa: PT017  no head or no repair: not a matter of the format
        return
    result = patched(plan)
    same_shapes(plan.trace, load(result).trace(fresh=True))
    if not plan.edits:
        assert result == text
    for line in changed(text, result):
        kept = re.sub(r"\W+", " ", line).split()
        assert any(word in kept for word in [*FIELDS.split(), *MESSAGES.split()]) or kept in ([], ["note"]), line
