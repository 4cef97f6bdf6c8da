"""Damaged definitions that are text: what tests.tools.fuzz found. Each is refused or shown, soon."""

from __future__ import annotations

import time

import keras_models as k
import pytest

import shapecalc
from shapecalc import ModelError, ShapecalcError

#: Processor seconds that no file may take.
LONGEST = 5.0

CHAINER = """import chainer
import chainer.links as L
import chainer.functions as F
class N(chainer.Chain):
    insize = 8
    def __init__(self):
        super().__init__(c=L.Convolution2D(3, 4, 3))
    def forward(self, x):
        return {}
"""


def length_of(value: str) -> str:
    return CHAINER.format(f"F.reshape(self.c(x), (len({value}), -1))")


def indexed(index: k.Config) -> str:
    """``x[index]`` as Keras 3 writes it."""
    entry = k.called(k.layer("GetItem", "item"), "image")
    entry["inbound_nodes"] = [{"args": [k.tensor("image"), index], "kwargs": {}}]
    return k.functional("image", "item", k.fed("image", 4, 4, 3), entry)


def outputs(number: int) -> str:
    """A model that gives an output of a layer by its number."""
    called = k.called(k.layer("Lambda", "l", function="f"), "image")
    return k.functional("image", [["l", 0, number]], k.fed("image", 4, 4, 3), called)


#: name -> (format, text, what the refusal says).
REFUSED = {
    "the length of a function": ("chainer", length_of("F.relu"), r"len\(F.relu\).* has no length"),
    "the length of a class": ("chainer", length_of("L.Convolution2D"), r"has no length"),
    "the length of a module": ("chainer", length_of("L"), r"has no length"),
    "an output with the number 10^18": ("keras", outputs(10**18), r"1000000000000000001 outputs"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_sense_is_refused(name: str) -> None:
    format, text, message = REFUSED[name]  # noqa: A001
    with pytest.raises(ModelError, match=message):
        shapecalc.loads(text, format=format)


@pytest.mark.parametrize("config", ["same", 3, [1, 2], {"start": "same"}, {"step": 0}, {"begin": 1}])
def test_an_index_of_another_kind_is_unknown(config: object) -> None:
    slices = indexed({"class_name": "__slice__", "config": config})
    layer = shapecalc.loads(slices, format="keras").trace().layer("item")
    assert layer.outputs[0].shape is None
    assert "index" in str(layer.outputs[0].unknown)


def pooled(conv: str = "", pool: str = "", fc: str = "") -> str:
    return f"""name: "N" input: "data" input_shape {{ dim: 1 dim: 3 dim: 8 dim: 8 }}
layer {{ name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param {{ num_output: 4 kernel_size: 3 {conv} }} }}
layer {{ name: "pool" type: "Pooling" bottom: "conv" top: "pool" pooling_param {{ kernel_size: 2 {pool} }} }}
layer {{ name: "fc" type: "InnerProduct" bottom: "pool" top: "fc" inner_product_param {{ num_output: 10 }} }}
"""


#: name -> (a net whose input of 64 is asked for, what the repair does; None where nothing needs one).
REPAIRED = {
    "a map of 2^32": (pooled(conv="pad: 2147483647"), "4294967355×4294967355 → 4294967299×4294967299"),
    "a stride of 2^31": (pooled(pool="stride: 2147483647"), None),
    "a kernel of 2^31": (
        pooled(pool="pad: 2147483646 stride: 3").replace("size: 2 ", "size: 2147483647 "),
        "715827903×715827903 → 715827884×715827884",
    ),
}


@pytest.mark.parametrize("name", REPAIRED)
def test_a_repair_of_huge_numbers_is_found_soon(name: str) -> None:
    text, wanted = REPAIRED[name]
    started = time.process_time()
    plan = shapecalc.loads(text, format="caffe").retarget(input=64)
    assert time.process_time() - started < LONGEST
    assert plan.trace.ok
    assert [edit.describe().rpartition(": ")[2] for edit in plan.edits[1:]] == ([wanted] if wanted else [])


def test_behind_a_map_without_a_place_the_rest_is_shown() -> None:
    """A kernel of 3 on a map of 1: what follows has no size, and so no share of places that see padding."""
    text = pooled(conv="stride: 6", pool="stride: 2").replace("kernel_size: 2", "kernel_size: 3")
    conv = 'layer { name: "c2" type: "Convolution" bottom: "pool" top: "c2" convolution_param { num_output: 4 pad: 1 '
    trace = shapecalc.loads(f"{text}{conv} kernel_size: 3 }} }}", format="caffe").trace()
    assert [(p.layer, p.code) for p in trace.problems] == [("pool", "E103")]
    rows = {row["name"]: row for row in trace.to_dict()["layers"]}
    assert (rows["c2"]["outputs"][0]["shape"], rows["c2"]["sees_padding"]) == ([1, 4, None, None], None)
    assert trace.layer("conv").sees_padding == 0


def test_a_net_of_layers_of_no_known_type() -> None:
    """What makes no sense of its input feeds nothing; the layers are shown, each with its problem."""
    text = """layer { name: "data" type: "conv" top: "data" input_param { shape { dim: 1 dim: 1 dim: 100 dim: 100 } } }
layer { name: "c" type: "conv" bottom: "data" top: "c" convolution_param { num_output: 3 kernel_size: 5 } }"""
    model = shapecalc.loads(text, format="caffe")
    trace = model.trace()
    assert trace.feeds == {}
    assert [problem.layer for problem in trace.problems] == ["c"]
    assert model.advice(trace).repairs == []
    assert trace.to_dict()["layers"][-1]["name"] == "c"


def test_numbers_that_no_layer_takes_are_refused() -> None:
    with pytest.raises(ModelError, match="pad 2147483647 must be smaller than kernel 2"):
        shapecalc.loads(pooled(pool="pad: 2147483647"), format="caffe")
    with pytest.raises(ShapecalcError, match="sizes are 1 to 1,000,000,000"):
        shapecalc.loads(pooled(), format="caffe").retarget(input=10**18)
