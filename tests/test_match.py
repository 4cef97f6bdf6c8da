"""Weights beside a definition: what loads where, in Caffe's and Chainer's own terms, and what is written with them."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy
import onnx
import onnxruntime
import pytest
from weight_files import caffemodel, noise

import shapecalc
from shapecalc.cli.app import run
from shapecalc.formats.weights import read_weights
from shapecalc.match import recognised
from shapecalc.weights import Array

Capture = pytest.CaptureFixture[str]

NET = """name: "net"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 3, 9, 9] } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "fc6" type: "InnerProduct" bottom: "conv1" top: "fc6" inner_product_param { num_output: 5 } }
layer { name: "fc7" type: "InnerProduct" bottom: "fc6" top: "fc7" inner_product_param { num_output: 2 } }
"""
FULL = {
    "conv1": [noise(4, 3, 3, 3), noise(4, seed=1)],
    "fc6": [noise(5, 196, seed=2), noise(5, seed=3)],
    "fc7": [noise(2, 5, seed=4), noise(2, seed=5)],
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("net.prototxt").write_text(NET)
    Path("net.caffemodel").write_bytes(caffemodel(FULL))
    return tmp_path


def verdicts(weights: dict[str, list[Array]], text: str = NET, way: str = "packed") -> dict[str, str]:
    Path("other.caffemodel").write_bytes(caffemodel(weights, way))
    found = shapecalc.loads(text, format="caffe").match("other.caffemodel")
    return {row.key: row.verdict for row in found.rows if row.verdict != "same"}


# -- Caffe ------------------------------------------------------------------------------------------------------------

CASES: dict[str, tuple[dict[str, list[Array]], dict[str, str]]] = {
    "all": ({}, {}),
    "missing": ({"fc7": []}, {"fc7/0": "missing", "fc7/1": "missing"}),
    "no bias": ({"fc7": FULL["fc7"][:1]}, {"fc7/1": "missing"}),
    "one too many": ({"fc7": [*FULL["fc7"], noise(1)]}, {"fc7/2": "different"}),
    "other classes": ({"fc7": [noise(9, 5), noise(9)]}, {"fc7/0": "different", "fc7/1": "different"}),
    "reshaped": ({"fc6": [noise(5, 4, 7, 7), noise(5)]}, {"fc6/0": "reshape-only"}),
    "ignored": ({"fc8": [noise(3)]}, {"fc8/0": "ignored"}),
}


@pytest.mark.parametrize("way", ["packed", "legacy"])
@pytest.mark.parametrize("case", CASES)
def test_verdicts(case: str, way: str) -> None:
    change, wanted = CASES[case]
    assert verdicts(FULL | change, way=way) == wanted


def test_a_fully_convolutional_net_of_digits_1525() -> None:
    """github.com/NVIDIA/DIGITS/issues/1525: the same numbers, 4096×9216 in the file and 4096×256×6×6 in the net."""
    layer = 'layer { name: "fc6" type: "Convolution" bottom: "pool5" top: "fc6" '
    text = 'input: "pool5" input_shape { dim: [1, 256, 6, 6] } ' + layer
    text += "convolution_param { num_output: 40 kernel_size: 6 } }"
    Path("fc.caffemodel").write_bytes(caffemodel({"fc6": [noise(40, 9216), noise(40)]}, "legacy"))
    model = shapecalc.loads(text, format="caffe", weights="fc.caffemodel")
    found = model.match()
    assert [(row.wanted, row.given, row.verdict) for row in found.rows] == [
        ((40, 256, 6, 6), (1, 1, 40, 9216), "reshape-only"),
        ((40,), (40,), "same"),
    ]
    assert found.rows[0].says == (
        "Cannot copy param 0 weights from layer 'fc6'; shape mismatch.  "
        "Source param shape is 1 1 40 9216 (368640); target param shape is 40 256 6 6 (368640). "
        "To learn this layer's parameters from scratch rather than copying from a saved net, rename the layer."
    )
    assert not found.ok
    model.convert("fc.onnx", device="cpu")
    assert numpy.array_equal(initializers("fc.onnx")["fc6/weight"], noise(40, 9216).reshape(40, 256, 6, 6))


def test_shared_parameters_take_what_was_copied_last() -> None:
    first, second = (f'layer {{ name: "{n}" type: "InnerProduct" bottom: "d" top: "{n}" ' for n in "ab")
    rest = 'param { name: "w" } inner_product_param { num_output: 2 bias_term: false } } '
    text = 'input: "d" input_shape { dim: [1, 3] } ' + first + rest + second + rest
    Path("s.caffemodel").write_bytes(caffemodel({"a": [noise(2, 3)], "b": [noise(2, 3, seed=7)]}))
    model = shapecalc.loads(text, format="caffe", weights="s.caffemodel")
    assert [row.key for row in model.match().rows] == ["a/0", "b/0"]
    assert numpy.array_equal(model.given["w"].array(), noise(2, 3, seed=7))


def test_fork_statistics_with_sizes_of_one_around_them() -> None:
    text = 'input: "d" input_shape { dim: [1, 3, 2, 2] } layer { name: "bn" type: "BN" bottom: "d" top: "bn" }'
    assert verdicts({"bn": [noise(1, 3, 1, 1)] * 4}, text) == {}


def test_a_definition_that_leaves_its_size_to_the_data() -> None:
    text = NET.replace('type: "Input"', 'type: "Data"').replace("input_param { shape { dim: [1, 3, 9, 9] } }", "")
    model = shapecalc.loads(text, format="caffe", weights="net.caffemodel")
    assert {row.verdict for row in model.match().rows} == {"same"}
    assert model.trace((3, 9, 9)).ok
    (problem,) = model.trace((3, 10, 10)).problems
    assert (problem.code, problem.expected) == ("E101", "196")


def test_weights_of_another_size_decide_the_trace() -> None:
    text = NET.replace("9, 9", "10, 10")
    model = shapecalc.loads(text, format="caffe", weights="net.caffemodel")
    assert [row.key for row in model.match().of("different")] == ["fc6/0"]
    assert model.trace(None).problems[0].message == "fc6 expects 196 inputs, relu1 gives 256"
    assert shapecalc.loads(text, format="caffe").trace(None).ok
    assert model.match(input=9).ok
    with pytest.raises(shapecalc.RefusedError, match="fc6 expects 196 inputs"):
        model.convert("net.onnx", device="cpu")


MESSAGES = [
    (
        "F0523 net.cpp:757] Cannot copy param 0 weights from layer 'fc7'; shape mismatch.  "
        "Source param shape is 9 5 (45); target param shape is 2 5 (10). To learn this layer's parameters from scratch",
        ["fc7/0"],
    ),
    ("net.cpp:740] Check failed: … (2 vs. 1) Incompatible number of blobs for layer fc7", ["fc7/0", "fc7/1"]),
    ("KeyError: 'fc6/0 is not a file in the archive'", ["fc6/0"]),
    ("segmentation fault", []),
]


@pytest.mark.parametrize(("text", "keys"), MESSAGES)
def test_messages_are_recognised(text: str, keys: list[str]) -> None:
    found = shapecalc.load("net.prototxt").match("net.caffemodel")
    assert [row.key for row in recognised(found, text)] == keys


# -- Chainer ----------------------------------------------------------------------------------------------------------

CHAIN = """import chainer
import chainer.functions as F
import chainer.links as L

class Net(chainer.Chain):
    insize = 9
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.conv1 = L.Convolution2D(3, 4, 3)
            self.bn = L.BatchNormalization(4)
            self.dw = L.DepthwiseConvolution2D(None, 2, 3)
            self.fc = L.Linear(None, 2)

    def forward(self, x):
        return self.fc(self.dw(F.relu(self.bn(self.conv1(x)))))
"""
SNAPSHOT: dict[str, Array] = {
    "conv1/W": noise(4, 3, 3, 3),
    "conv1/b": noise(4, seed=1),
    "bn/gamma": noise(4, seed=2),
    "bn/beta": noise(4, seed=3),
    "bn/avg_mean": noise(4, seed=4),
    "bn/avg_var": numpy.abs(noise(4, seed=5)),
    "bn/N": numpy.array(3),
    "dw/W": noise(2, 4, 3, 3, seed=6),
    "dw/b": noise(8, seed=7),
    "fc/W": noise(2, 200, seed=8),
    "fc/b": noise(2, seed=9),
}


def save(arrays: dict[str, Array]) -> None:
    numpy.savez("w.npz", **arrays)  # type: ignore[arg-type]


@pytest.mark.parametrize("prefix", ["", "predictor/", "updater/model:main/", "updater/model:main/predictor/"])
def test_snapshots_of_chainer(prefix: str) -> None:
    save({prefix + key: array for key, array in SNAPSHOT.items()} | {"iteration": numpy.array(5)})
    found = shapecalc.loads(CHAIN, format="chainer").match("w.npz")
    assert found.ok
    assert {row.key for row in found.of("ignored")} == {prefix + "bn/N", "iteration"}
    assert {row.key for row in found.of("same")} == {prefix + key for key in SNAPSHOT} - {prefix + "bn/N"}


def test_the_definition_may_have_the_predictor() -> None:
    save(SNAPSHOT)
    wrapped = CHAIN + "\nclass Model(chainer.Chain):\n    def __init__(self):\n        super().__init__()\n"
    wrapped += "        with self.init_scope():\n            self.predictor = Net()\n"
    wrapped += "    def forward(self, x):\n        return self.predictor(x)\n"
    found = shapecalc.loads(wrapped, format="chainer").match("w.npz", input=9)
    assert {row.verdict for row in found.rows if row.param} == {"same"}


def test_a_parameter_without_a_size_is_lazy() -> None:
    save(SNAPSHOT | {"fc/W": numpy.array(None)})
    model = shapecalc.loads(CHAIN, format="chainer", weights="w.npz")
    found = model.match()
    assert ([row.key for row in found.of("lazy")], found.ok) == (["fc/W"], False)
    with pytest.raises(shapecalc.RefusedError, match=r"w\.npz does not hold the weights of fc"):
        model.convert("net.onnx", device="cpu")


def test_depthwise_weights_are_turned() -> None:
    save(SNAPSHOT)
    model = shapecalc.loads(CHAIN, format="chainer", weights="w.npz")
    model.convert("net.onnx", device="cpu")
    written = initializers("net.onnx")["dw/W:grouped"]
    assert numpy.array_equal(written, SNAPSHOT["dw/W"].transpose(1, 0, 2, 3).reshape(8, 1, 3, 3))


def test_weights_for_another_kind_of_definition_are_refused() -> None:
    with pytest.raises(shapecalc.ModelError, match="go with caffe, chainer and keras definitions, not with onnx"):
        shapecalc.load("mobilenet_v2", weights="net.caffemodel")


# -- written with them ------------------------------------------------------------------------------------------------


def initializers(path: str) -> dict[str, Array]:
    return {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}


def test_a_converted_model_holds_the_weights_bit_for_bit(capsys: Capture) -> None:
    assert run(["convert", "net.prototxt", "--weights", "net.caffemodel", "-o", "net.onnx"]) == 0
    written = initializers("net.onnx")
    for name, arrays in FULL.items():
        for array, word in zip(arrays, ("weight", "bias"), strict=True):
            assert written[f"{name}/{word}"].tobytes() == array.tobytes()
    out = " ".join(capsys.readouterr().out.split())
    assert "weights are those of net.caffemodel; images were seeded noise (seed 0)" in out
    assert "weights are those of net.caffemodel, bit for bit" in out
    metadata = {p.key: p.value for p in onnx.load("net.onnx").metadata_props}
    assert metadata["shapecalc.weights"] == "trained, from net.caffemodel"
    assert "shapecalc.placeholder_weights" not in metadata


def test_a_new_head_is_initialised_and_the_rest_kept(capsys: Capture) -> None:
    arguments = ["retarget", "net.prototxt", "--classes", "7", "--weights", "net.caffemodel", "-o", "new.onnx"]
    assert run(arguments) == 0
    written = initializers("new.onnx")
    assert written["fc6/weight"].tobytes() == FULL["fc6"][0].tobytes()
    assert written["fc7_7/weight"].shape == (7, 5)
    assert "fc7/weight" not in written
    out = " ".join(capsys.readouterr().out.split())
    assert "new fc7_7/bias, fc7_7/weight and images were seeded noise" in out or "new fc7_7/weight" in out
    metadata = {p.key: p.value for p in onnx.load("new.onnx").metadata_props}
    assert "fc7_7/weight" in metadata["shapecalc.new_weights"]


def test_the_head_may_be_missing_in_the_file_where_it_is_replaced() -> None:
    Path("headless.caffemodel").write_bytes(caffemodel({k: v for k, v in FULL.items() if k != "fc7"}))
    model = shapecalc.load("net.prototxt", weights="headless.caffemodel")
    model.retarget(classes=7).save("new.onnx", device="cpu")
    with pytest.raises(shapecalc.RefusedError) as caught:
        model.convert("net.onnx", device="cpu")
    assert (caught.value.code, caught.value.message) == ("E208", "headless.caffemodel does not hold the weights of fc7")
    assert not Path("net.onnx").exists()


def test_weights_of_another_shape_are_refused() -> None:
    Path("w.caffemodel").write_bytes(caffemodel(FULL | {"fc7": [noise(9, 5), noise(9)]}))
    model = shapecalc.load("net.prototxt", weights="w.caffemodel")
    with pytest.raises(shapecalc.RefusedError, match=r"w\.caffemodel has weights of other shapes for fc7") as caught:
        model.verify(device="cpu")
    assert caught.value.code == "E209"


@pytest.mark.parametrize(
    ("layer", "weights"),
    [
        ('"Convolution" convolution_param { num_output: 4 kernel_size: 3 bias_term: false }', noise(4, 3, 5, 5)),
        ('"Deconvolution" convolution_param { num_output: 4 kernel_size: 3 bias_term: false }', noise(3, 2, 3, 3)),
        ('"InnerProduct" inner_product_param { num_output: 4 bias_term: false transpose: true }', noise(243, 2)),
        ('"InnerProduct" inner_product_param { num_output: 4 bias_term: false }', noise(2, 243)),
        ('"PReLU" prelu_param { }', noise(4)),
    ],
)
def test_only_what_follows_the_input_is_taken_from_the_file(layer: str, weights: Array) -> None:
    text = f'input: "d" input_shape {{ dim: [1, 3, 9, 9] }} layer {{ name: "l" bottom: "d" top: "l" type: {layer} }}'
    Path("w.caffemodel").write_bytes(caffemodel({"l": [weights]}))
    model = shapecalc.loads(text, format="caffe", weights="w.caffemodel")
    assert model.trace(None).ok
    assert model.trace(None).outputs[0].shape == shapecalc.loads(text, format="caffe").trace(None).outputs[0].shape
    with pytest.raises(shapecalc.RefusedError, match="has weights of other shapes for l"):
        model.convert("net.onnx", device="cpu")


def test_a_net_without_weights_needs_none(capsys: Capture) -> None:
    text = 'input: "d" input_shape { dim: [1, 3, 9, 9] } layer { name: "r" type: "ReLU" bottom: "d" top: "r" }'
    Path("p.prototxt").write_text(text)
    assert run(["match", "p.prototxt", "net.caffemodel"]) == 0
    assert "everything loads: 6 ignored" in capsys.readouterr().out


def test_doubles_become_floats() -> None:
    Path("d.caffemodel").write_bytes(caffemodel(FULL, "double"))
    shapecalc.load("net.prototxt", weights="d.caffemodel").convert("net.onnx", device="cpu")
    assert numpy.array_equal(initializers("net.onnx")["fc6/weight"], FULL["fc6"][0])


# -- the command ------------------------------------------------------------------------------------------------------


def test_the_command_answers_yes_and_no(capsys: Capture) -> None:
    assert run(["match", "net.prototxt", "net.caffemodel"]) == 0
    assert "everything loads: 6 same" in capsys.readouterr().out
    Path("w.caffemodel").write_bytes(caffemodel(FULL | {"fc6": [noise(5, 4, 7, 7), noise(5)], "old": [noise(1)]}))
    assert run(["match", "net.prototxt", "w.caffemodel", "--error", MESSAGES[0][0].replace("fc7", "fc6")]) == 1
    out = " ".join(capsys.readouterr().out.split())
    for text in (
        "fc6 fc6/0 5×196 5×4×7×7 reshape-only",
        "old old/0 1 ignored",
        "not everything loads: 5 same, 1 reshape-only, 1 ignored",
        "reshape-only: the numbers are as many, in another shape: convert and retarget --weights reshape them: "
        "shapecalc convert net.prototxt --weights w.caffemodel -o reshaped.onnx",
        "the message is about fc6/0 (net.prototxt:6): 5×196 is wanted, 5×4×7×7 is given: reshape-only",
    ):
        assert text in out


def test_json_of_a_match(capsys: Capture) -> None:
    Path("w.caffemodel").write_bytes(caffemodel(FULL | {"fc7": [noise(9, 5)]}))
    assert run(["match", "net.prototxt", "w.caffemodel", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["schema"] == "shapecalc.match/1"
    assert (answer["ok"], answer["counts"]) == (False, {"same": 4, "different": 1, "missing": 1})
    row = answer["rows"][4]
    assert (row["layer"], row["param"], row["key"], row["wanted"], row["given"], row["verdict"]) == (
        *("fc7", "fc7/weight", "fc7/0"),
        *([2, 5], [9, 5], "different"),
    )


@pytest.mark.parametrize(
    ("arguments", "status", "first"),
    [
        (["match", "net.prototxt", "none"], 3, "none: error[E202 unreadable]: there is no such file"),
        (["match", "net.prototxt", "net.prototxt"], 3, "wire type"),
        (["match", "net.onnx", "net.caffemodel"], 3, "error[E201 unknown model]"),
        (["convert", "net.prototxt", "--weights", "cut"], 3, "cut: error[E202 unreadable]"),
    ],
)
def test_bad_input_is_one_clear_error(arguments: list[str], status: int, first: str, capsys: Capture) -> None:
    Path("cut").write_bytes(caffemodel(FULL)[:-5])
    assert run(arguments) == status
    assert first in capsys.readouterr().err


# -- a forward pass recorded from Caffe -------------------------------------------------------------------------------

TINY: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "caffe_tiny.json").read_text())


def recorded(row: dict[str, Any]) -> Array:
    return numpy.array(row["data"], numpy.float32).reshape(row["shape"])


BLOBS = {name: recorded(row) for name, row in TINY["blobs"].items()}
TRAINED = {f"{row['layer']}/{row['index']}": recorded(row) for row in TINY["weights"]}


def test_a_file_caffe_wrote_holds_what_caffe_had() -> None:
    """Its statistics of bn1 are zero: they were set for the forward pass after the file was written."""
    Path("tiny.caffemodel").write_bytes(base64.b64decode(TINY["caffemodel"]))
    entries = read_weights("tiny.caffemodel").entries
    assert list(entries) == list(TRAINED)
    for key, array in TRAINED.items():
        assert numpy.array_equal(entries[key].array(), array if not key.startswith("bn1") else numpy.zeros_like(array))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Array]:
    """Every blob of the forward pass, from the converted model with each of its tensors made an output."""
    place = tmp_path_factory.mktemp("tiny")
    (place / "tiny.prototxt").write_text(TINY["prototxt"])
    layers: dict[str, list[Array]] = {}
    for key, array in TRAINED.items():
        layers.setdefault(key.rpartition("/")[0], []).append(array)
    (place / "tiny.caffemodel").write_bytes(caffemodel(layers))
    model = shapecalc.load(place / "tiny.prototxt", weights=place / "tiny.caffemodel")
    assert model.match().ok
    model.convert(place / "tiny.onnx", device="cpu")
    proto = onnx.load(place / "tiny.onnx")
    names = [name for node in proto.graph.node for name in node.output]
    del proto.graph.output[:]
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return {"data": BLOBS["data"], **dict(zip(names, session.run(names, {"data": BLOBS["data"]}), strict=True))}


@pytest.mark.parametrize("name", BLOBS)
def test_a_forward_pass_equals_caffes(name: str, tiny: dict[str, Array]) -> None:
    assert tiny[name].shape == BLOBS[name].shape
    assert float(numpy.abs(tiny[name] - BLOBS[name]).max()) <= 1e-5 * float(numpy.abs(BLOBS[name]).max())
