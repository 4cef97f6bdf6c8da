"""Real definitions: shapes recorded from Keras, and the counts that are published. Needs ../shared."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

import shapecalc
from shapecalc.source import apply_patch
from shapecalc.verify.definition_file import patched

SHARED = Path(__file__).resolve().parents[3] / "shared"
CORPUS = SHARED / "corpus" / "keras"
pytestmark = [pytest.mark.corpus, pytest.mark.skipif(not CORPUS.exists(), reason="the corpus of ../shared is not here")]


def rows() -> list[dict[str, Any]]:
    path = SHARED / "truth" / "keras.jsonl.gz"
    return [json.loads(line) for line in gzip.open(path)] if path.exists() else []


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["id"])
def test_every_recorded_shape(row: dict[str, Any]) -> None:
    """Those of a net without its top are compared as far as the definition, which has one, goes with it."""
    name, _, kind = row["id"].split("__")[0].partition("_")
    path = CORPUS / f"{name.lower()}_keras3.json"
    if not path.exists():
        pytest.skip(f"{path.name} is not in the corpus")
    trace = shapecalc.load(path).trace((1, *row["input"][1:]), fresh=True)
    assert trace.problems == []
    known = {layer.name for layer in trace.layers}
    wanted = {
        n: (1, *s[1:]) for n, op, s in row["layers"] if s and op != "InputLayer" and (kind != "notop" or n in known)
    }
    assert wanted
    assert {n: trace.layer(n).outputs[0].shape for n in wanted} == wanted


#: (trained parameters as Keras counts them, multiply-accumulates) at the native size.
COUNTS = {
    "densenet121_keras3.json": (7_978_856, 2_834_161_664),
    "inceptionv3_keras3.json": (23_817_352, 5_713_216_096),
    "lenet_sequential_keras3.json": (431_080, 2_293_000),
    "mobilenet_keras3.json": (4_231_976, 568_740_352),
    "resnet50_keras3.json": (25_583_592, 3_857_973_248),
    "vgg16_finetune_150_keras3.json": (16_812_353, 6_617_588_736),
    "vgg16_keras3.json": (138_357_544, 15_470_264_320),
}


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_and_macs(name: str) -> None:
    trace = shapecalc.load(CORPUS / name).trace()
    assert (trace.params, trace.macs) == COUNTS[name]


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*")), ids=lambda path: path.name)
def test_a_head_of_13_classes(path: Path) -> None:
    plan = shapecalc.load(path).retarget(classes=13, input=64 if "tiny" in path.name else None)
    assert plan.trace.ok
    assert plan.trace.outputs[0].shape == (1, 13)


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.json")), ids=lambda path: path.name)
def test_written_back_only_the_head_differs(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    model = shapecalc.load(path)
    assert apply_patch(model.graph.meta["text"], []) == text
    edited = patched(model.retarget(classes=13, input=64 if "tiny" in path.name else None))
    (head,) = [node for node in model.graph.nodes if node.origin.op in ("Dense", "Conv2D")][-1:]
    name = head.name.rpartition("/")[2]
    assert edited.replace(f'"{name}_13"', f'"{name}"').count(f'"{name}"') == text.count(f'"{name}"')
    assert sum(a != b for a, b in zip(text.split('"'), edited.split('"'), strict=True)) <= 12


def test_the_bottleneck_example_stops_where_its_weights_were_trained() -> None:
    model = shapecalc.load(CORPUS / "vgg16_finetune_150_keras3.json")
    (problem,) = model.trace(224).problems
    assert problem.message == "top_model/dense expects 8192 inputs, top_model/flatten_1 gives 25088"
    assert str(model.sizes(limit=512)) == "128 to 159"
