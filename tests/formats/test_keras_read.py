"""Keras definitions of every version: models, layers, and what is said of those that cannot be known."""

from __future__ import annotations

import io
import json
import shlex
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from keras_models import Config, called, conv, fed, functional, layer, model, sequential

import shapecalc
from shapecalc import ModelError, UsageError
from shapecalc.formats.keras.layers import AUGMENTATIONS, LAYERS
from shapecalc.source import apply_patch
from shapecalc.trace import Trace

DATA = Path(__file__).parents[1] / "data"


def read(text: str) -> shapecalc.Model:
    return shapecalc.loads(text, format="keras")


def traced(text: str, spec: Any = None) -> Trace:
    trace = read(text).trace(spec)
    assert trace.problems == []
    return trace


def shapes(trace: Trace) -> dict[str, Any]:
    return {found.name: found.outputs[0].shape for found in trace.layers}


# -- windows: every size Keras gives ---------------------------------------------------------------------------------

WINDOWS = json.loads((DATA / "keras_windows.json").read_text())


@pytest.mark.parametrize("row", WINDOWS, ids=lambda row: "-".join(map(str, row[:5])))
@pytest.mark.parametrize("place", range(4), ids=["Conv2D", "MaxPooling2D", "AveragePooling2D", "Conv2DTranspose"])
def test_a_window_has_the_places_keras_gives_it(row: list[Any], place: int) -> None:
    size, kernel, stride, dilation, padding, *wanted = row
    kind = ("Conv2D", "MaxPooling2D", "AveragePooling2D", "Conv2DTranspose")[place]
    settings = {"strides": [stride] * 2, "padding": padding}
    if "Pooling" in kind:
        settings["pool_size"] = [kernel] * 2
    else:
        settings |= {"filters": 3, "kernel_size": [kernel] * 2, "dilation_rate": [dilation] * 2}
    trace = traced(sequential(layer(kind, **settings), shape=(size, size, 3)))
    assert trace.layer("l").outputs[0].shape == (1, wanted[place], wanted[place], 3)


def test_an_impossible_window_is_a_problem() -> None:
    trace = read(sequential(conv(kernel=9))).trace()
    assert [(p.code, p.layer) for p in trace.problems] == [("E103", "conv")]


# -- models -----------------------------------------------------------------------------------------------------------


def small(modern: bool = True) -> str:
    return functional(
        "image",
        "end",
        fed("image", 8, 8, 3, modern=modern),
        called(conv("a", padding="same", activation="relu"), "image", modern=modern),
        called(conv("b", padding="same"), "image", modern=modern),
        called(layer("Add", "sum"), "a b", modern=modern),
        called(layer("Flatten", "flat"), "sum", modern=modern),
        called(layer("Dense", "end", units=5), "flat", modern=modern),
        modern=modern,
    )


@pytest.mark.parametrize("modern", [True, False])
def test_a_functional_model_of_both_versions(modern: bool) -> None:
    trace = traced(small(modern))
    assert shapes(trace) == {
        "image": (1, 8, 8, 3),
        "a": (1, 8, 8, 4),
        "b": (1, 8, 8, 4),
        "sum": (1, 8, 8, 4),
        "flat": (1, 256),
        "end": (1, 5),
    }
    assert trace.values["a/kernel"] == (3, 3, 3, 4)
    assert trace.values["end/kernel"] == (256, 5)
    assert list(read(small(modern)).graph.params)[:2] == ["a/kernel", "a/bias"]
    assert trace.params == 2 * (27 * 4 + 4) + 256 * 5 + 5
    assert trace.macs == 2 * 64 * 27 * 4 + 256 * 5
    assert [value.name for value in trace.outputs] == ["end"]


@pytest.mark.parametrize("modern", [True, False])
def test_a_sequence_of_both_versions(modern: bool) -> None:
    text = sequential(conv(), layer("GlobalMaxPooling2D", "top"), shape=(10, 12, 1), modern=modern)
    assert shapes(traced(text)) == {"image": (1, 10, 12, 1), "conv": (1, 8, 10, 4), "top": (1, 4)}


@pytest.mark.parametrize(
    "settings",
    [
        {"config": {"name": "s", "layers": [conv(batch_input_shape=[None, 8, 8, 3])]}},
        {"config": {"name": "s", "layers": [conv()], "build_input_shape": [None, 8, 8, 3]}},
        {"config": {"name": "s", "layers": [conv()]}, "build_config": {"input_shape": [None, 8, 8, 3]}},
        {"config": [conv(batch_input_shape=[None, 8, 8, 3])]},
    ],
)
def test_a_sequence_says_its_input_in_several_ways(settings: Config) -> None:
    trace = traced(json.dumps({"class_name": "Sequential", **settings}))
    assert shapes(trace) == {"conv_input": (1, 8, 8, 3), "conv": (1, 6, 6, 4)}


def test_a_sequence_that_does_not_say_its_input_asks_for_it() -> None:
    text = json.dumps({"class_name": "Sequential", "config": {"name": "s", "layers": [conv()]}})
    with pytest.raises(UsageError, match="does not say the size of its input 'conv_input'"):
        read(text).trace()
    with pytest.raises(UsageError, match="224x224x3 for colour"):
        read(text).trace(8)
    assert traced(text, (8, 8, 3)).outputs[0].shape == (1, 6, 6, 4)


def test_a_layer_called_twice_is_two_layers_of_one_weight() -> None:
    text = functional(
        "image",
        [["twice", 1, 0]],
        fed("image", 8, 8, 4),
        called(conv("twice", padding="same"), "image", [("twice", 0, 0)]),
    )
    trace = traced(text)
    assert [found.name for found in trace.layers] == ["image", "twice", "twice_2"]
    assert trace.layer("twice_2").node.inputs == ("twice", "twice/kernel", "twice/bias")
    assert trace.params == 3 * 3 * 4 * 4 + 4


@pytest.mark.parametrize("node", [0, 1])
def test_a_model_in_a_model_is_its_layers(node: int) -> None:
    """Keras counts the making of a functional model as its first call, so the first in another model is number 1."""
    inner = model("x", "c", fed("x", 8, 8, 3), called(conv("c", padding="same", filters=3), "x"), name="inner")
    text = functional("image", [["inner", node, 0]], fed("image", 8, 8, 3), called(inner, "image"))
    trace = traced(text)
    assert [found.name for found in trace.layers] == ["image", "inner/c"]
    assert list(trace.graph.params) == ["inner/c/kernel", "inner/c/bias"]
    assert trace.outputs[0].name == "inner/c"


def test_a_sequence_in_a_sequence_and_twice_the_same_model() -> None:
    inner = {"class_name": "Sequential", "config": {"name": "top", "layers": [conv("c", filters=3, padding="same")]}}
    text = functional("image", [["top", 2, 0]], fed("image", 8, 8, 3), called(inner, "image", [("top", 1, 0)]))
    assert [found.name for found in traced(text).layers] == ["image", "top/c", "top/c_2"]
    assert shapes(traced(sequential(inner, layer("Flatten", "f")))) == {
        "image": (1, 8, 8, 3),
        "top/c": (1, 8, 8, 3),
        "f": (1, 192),
    }


def test_several_inputs_and_outputs() -> None:
    text = functional(
        "a b",
        {"left": ["l", 0, 0], "right": [["r", 0, 0]]},
        fed("a", 4, 4, 2),
        fed("b", 4, 4, 3),
        called(layer("Concatenate", "both", axis=-1), "a b"),
        called(conv("l", kernel=1), "both"),
        called(layer("GlobalAveragePooling2D", "r", keepdims=True), "both"),
    )
    trace = traced(text, {"a": (2, 4, 4, 2), "b": "2x4x4x3"})
    assert [value.shape for value in trace.outputs] == [(2, 4, 4, 4), (2, 1, 1, 5)]


def test_layers_stand_in_any_order() -> None:
    text = functional(
        "image",
        "d",
        called(layer("Dense", "d", units=2), "f"),
        called(layer("Flatten", "f"), "image"),
        fed("image", 3, 3, 1),
    )
    assert [found.name for found in traced(text).layers] == ["image", "f", "d"]


def test_channels_first() -> None:
    first: Any = {"data_format": "channels_first"}
    text = sequential(
        conv(**first),
        layer("MaxPooling2D", "pool", pool_size=[2, 2], **first),
        layer("Flatten", "f", **first),
        shape=(3, 8, 6),
    )
    assert shapes(traced(text)) == {"image": (1, 3, 8, 6), "conv": (1, 4, 6, 4), "pool": (1, 4, 3, 2), "f": (1, 24)}
    assert shapes(traced(text, 8))["conv"] == (1, 4, 6, 6)
    assert shapes(traced(text, "3x10x12"))["conv"] == (1, 4, 8, 10)


@pytest.mark.parametrize(
    ("spec", "shape"),
    [
        (None, (1, 8, 8, 3)),
        (12, (1, 12, 12, 3)),
        ("10x12", (1, 10, 12, 3)),
        ("10x12x3", (1, 10, 12, 3)),
        ("3x10x12", (1, 10, 12, 3)),
        ((3, 10, 12), (1, 10, 12, 3)),
        ("2x10x12x3", (2, 10, 12, 3)),
        ("image:1,10,12,3", (1, 10, 12, 3)),
    ],
)
def test_shapes_of_an_input_whose_channels_come_last(spec: Any, shape: tuple[int, ...]) -> None:
    assert read(sequential(conv())).trace(spec).inputs[0].shape == shape


def test_channels_in_the_wrong_place_are_explained() -> None:
    (problem,) = read(sequential(conv())).trace((1, 3, 12, 12)).problems
    assert (problem.code, problem.message) == ("E102", "conv expects 3 channels, image gives 12")
    assert problem.hint == "the channels come last here: 1x224x224x3"


def test_free_sizes_are_expressions() -> None:
    trace = traced(sequential(conv(strides=[2, 2], padding="same"), shape=(None, None, 3)))
    assert list(map(str, trace.outputs[0].shape or ())) == ["1", "((H - 1)//2) + 1", "((W - 1)//2) + 1", "4"]
    assert traced(sequential(conv(), shape=(None, None, 3)), 9).outputs[0].shape == (1, 7, 7, 4)


def test_sizes_that_fit() -> None:
    text = sequential(layer("MaxPooling2D", "p", pool_size=2), layer("Flatten", "f"), layer("Dense", "d", units=2))
    assert str(read(text).sizes(limit=64)) == "8 to 9"
    trace = read(text).trace(12)
    assert trace.problems[0].message == "d expects 48 inputs, f gives 108"


# -- layers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "settings", "shape", "wanted", "params"),
    [
        ("Conv1D", {"filters": 5, "kernel_size": 3, "padding": "causal"}, (9, 2), (9, 5), 35),
        ("Conv3D", {"filters": 5, "kernel_size": [1, 2, 3]}, (4, 4, 4, 2), (4, 3, 2, 5), 65),
        ("Dense", {"units": 7}, (5, 6, 4), (5, 6, 7), 35),
        ("BatchNormalization", {}, (5, 6, 4), (5, 6, 4), 8),
        ("LayerNormalization", {"axis": [2, 3]}, (5, 6, 4), (5, 6, 4), 48),
        ("Embedding", {"input_dim": 9, "output_dim": 2}, (5,), (5, 2), 18),
        ("LSTM", {"units": 3}, (5, 2), (3,), 72),
        ("LSTM", {"units": 3, "return_sequences": True}, (5, 2), (5, 3), 72),
        ("GRU", {"units": 3, "reset_after": True}, (5, 2), (3,), 63),
        ("GRU", {"units": 3, "reset_after": False}, (5, 2), (3,), 54),
        ("SimpleRNN", {"units": 3, "use_bias": False}, (5, 2), (3,), 15),
        ("Bidirectional", {"layer": layer("LSTM", "x", units=3), "merge_mode": "concat"}, (5, 2), (6,), 144),
        ("Bidirectional", {"layer": layer("LSTM", "x", units=3), "merge_mode": "sum"}, (5, 2), (3,), 144),
        ("TimeDistributed", {"layer": layer("Dense", "x", units=3)}, (5, 2), (5, 3), 9),
        ("PReLU", {"shared_axes": [1, 2]}, (5, 6, 4), (5, 6, 4), 4),
        ("Normalization", {"axis": [-1]}, (5, 6, 4), (5, 6, 4), 0),
        ("Masking", {"mask_value": 0.0}, (5, 2), (5, 2), 0),
        ("CenterCrop", {"height": 3, "width": 2}, (5, 6, 4), (3, 2, 4), 0),
        ("RandomFlip", {"mode": "horizontal"}, (5, 6, 4), (5, 6, 4), 0),
        ("SpatialDropout2D", {"rate": 0.5}, (5, 6, 4), (5, 6, 4), 0),
    ],
)
def test_shapes_and_parameters(
    kind: str, settings: Config, shape: tuple[int, ...], wanted: tuple[int, ...], params: int
) -> None:
    trace = traced(sequential(layer(kind, **settings), shape=shape))
    assert trace.layer("l").outputs[0].shape == (1, *wanted)
    assert trace.params == params
    assert trace.layer("l").source_op == kind


def test_attention_has_its_weights() -> None:
    text = functional(
        "q v",
        "a",
        fed("q", 5, 6),
        fed("v", 7, 8),
        called(layer("MultiHeadAttention", "a", num_heads=2, key_dim=3), "q v"),
    )
    trace = traced(text)
    assert trace.layer("a").outputs[0].shape == (1, 5, 6)
    assert trace.params == (6 * 6 + 6) + (8 * 6 + 6) + (8 * 6 + 6) + (6 * 6 + 6)


@pytest.mark.parametrize(
    ("op", "constants", "made"),
    [
        ("Softmax", {}, "Softmax"),
        ("Mul", {"1": 128.0}, "Power"),
        ("Rsqrt", {}, "Power"),
        ("Mul", {"0": [1.0, 2.0]}, None),
        ("Where", {}, None),
    ],
)
def test_operators_of_tensorflow_written_out(op: str, constants: Config, made: str | None) -> None:
    entry = layer("TensorFlowOpLayer", "t", node_def={"name": "t", "op": op}, constants=constants)
    found = traced(functional("image", "t", fed("image", 4, modern=False), called(entry, "image", modern=False))).layer(
        "t"
    )
    assert (found.op == made and found.outputs[0].shape == (1, 4)) if made else found.outputs[0].shape is None


def test_what_others_wrap_around_a_model() -> None:
    model = json.loads(sequential(layer("Dense", "d", units=2), shape=(3,)))
    for wrapped in ({"modelTopology": {"model_config": model}}, {"architecture": model, "tests": []}):
        assert traced(json.dumps(wrapped)).layer("d").outputs[0].shape == (1, 2)
    with pytest.raises(shapecalc.ModelError, match="has no class_name and config") as caught:
        read(json.dumps(json.dumps(model)))
    assert caught.value.hint is not None
    assert "json.loads() of it" in caught.value.hint


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (layer("Lambda"), "l: a Lambda is Python code, which is not run"),
        ({"module": "keras.layers", **layer("StringLookup")}, "l: StringLookup has no rule yet"),
        (
            {"module": "mine", **layer("Dense", units=3)},
            "l: Dense is no layer of Keras itself, and code is not run",
        ),
        (layer("Patches"), "l: Patches is no layer of Keras itself, and code is not run"),
    ],
)
def test_what_is_code_is_unknown_with_the_reason(entry: Config, reason: str) -> None:
    trace = traced(sequential(entry, layer("Flatten", "f"), layer("Dense", "d", units=2)))
    assert trace.layer("l").outputs[0].unknown == reason
    assert trace.layer("d").outputs[0].unknown == reason
    assert trace.layer("d").params is None


def test_what_cannot_be_written_is_refused() -> None:
    words = layer("Embedding", "words", input_dim=5, output_dim=2, mask_zero=True)
    with pytest.raises(shapecalc.RefusedError, match="l: LSTM has no ONNX form here") as caught:
        read(sequential(words, layer("Dropout", "d"), layer("LSTM", units=3), shape=(5,))).verify()
    assert caught.value.because == "steps are masked before it (mask_zero, Masking)"
    with pytest.raises(shapecalc.RefusedError, match="l: LSTM has no ONNX form"):
        read(sequential(layer("LSTM", units=3, activation="gelu"), shape=(5, 2))).verify()
    with pytest.raises(shapecalc.RefusedError, match=r"its output \? is not known|its output .* is not known"):
        read(sequential(layer("Lambda"))).verify()


@pytest.mark.parametrize(
    ("function", "kwargs", "wanted"),
    [
        ("math.multiply", {"y": 2.0}, (1, 8, 8, 3)),
        ("__operators__.add", {"y": ["image", 0, 0]}, (1, 8, 8, 3)),
        ("math.reduce_mean", {"axis": [1, 2], "keepdims": False}, (1, 3)),
        ("expand_dims", {"axis": 1}, (1, 1, 8, 8, 3)),
        ("compat.v1.squeeze", {"axis": [0]}, (8, 8, 3)),
        ("reshape", {"shape": [-1, 64, 3]}, (1, 64, 3)),
        ("compat.v1.transpose", {"perm": [0, 3, 1, 2]}, (1, 3, 8, 8)),
        ("nn.relu6", {}, (1, 8, 8, 3)),
    ],
)
def test_functions_in_the_graph(function: str, kwargs: Config, wanted: tuple[int, ...]) -> None:
    entry = {**layer("TFOpLambda", "f", function=function), "name": "f", "inbound_nodes": [["image", 0, 0, kwargs]]}
    text = functional("image", "f", fed("image", 8, 8, 3, modern=False), entry, modern=False)
    assert traced(text).outputs[0].shape == wanted


def test_a_function_without_a_rule_is_unknown() -> None:
    entry = {**layer("TFOpLambda", "f", function="image.rot90"), "name": "f", "inbound_nodes": [["image", 0, 0, {}]]}
    trace = traced(functional("image", "f", fed("image", 8, 8, 3, modern=False), entry, modern=False))
    assert trace.outputs[0].unknown == "f: the function image.rot90 has no rule yet"


def test_settings_of_keras_1() -> None:
    text = json.dumps(
        {
            "class_name": "Sequential",
            "keras_version": "1.1.0",
            "config": [
                layer(
                    "Convolution2D",
                    "c",
                    nb_filter=4,
                    nb_row=3,
                    nb_col=2,
                    subsample=[2, 1],
                    border_mode="valid",
                    dim_ordering="th",
                    bias=False,
                    batch_input_shape=[None, 3, 9, 9],
                ),
                layer("MaxPooling2D", "p", pool_size=[2, 2], border_mode="same", dim_ordering="th"),
                layer("Flatten", "f"),
                layer("Dropout", "o", p=0.5),
                layer("Dense", "d", output_dim=5, activation="softmax"),
            ],
        }
    )
    trace = traced(text)
    assert shapes(trace) == {
        "c_input": (1, 3, 9, 9),
        "c": (1, 4, 4, 8),
        "p": (1, 4, 2, 4),
        "f": (1, 32),
        "o": (1, 32),
        "d": (1, 5),
    }
    assert trace.params == 3 * 3 * 2 * 4 + 32 * 5 + 5
    assert trace.layer("c").source_op == "Convolution2D"


def test_a_model_of_tensorflow_js() -> None:
    inner = json.loads(small(False))
    text = json.dumps({"modelTopology": {"keras_version": "2.4.0", "model_config": inner}, "weightsManifest": []})
    assert traced(text).outputs[0].shape == (1, 5)


def test_a_hard_sigmoid_is_that_of_its_version() -> None:
    def slope(modern: bool) -> float:
        graph = read(sequential(layer("Activation", "a", activation="hard_sigmoid"), modern=modern)).graph
        return float(graph.node("a").attrs["alpha"])

    assert (slope(False), slope(True)) == (0.2, 1 / 6)


def test_frozen_layers_are_known() -> None:
    graph = read(sequential(conv("a", trainable=False), conv("b"))).graph
    assert graph.meta["frozen"] == ("a",)


def test_the_page_names_every_layer() -> None:
    page = (Path(__file__).parents[2] / "docs" / "keras.md").read_text(encoding="utf-8")
    assert [kind for kind in [*LAYERS, *AUGMENTATIONS] if f"`{kind}`" not in page] == []


# -- files ------------------------------------------------------------------------------------------------------------


def archive(config: str | bytes | None, name: str = "config.json") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("metadata.json", '{"keras_version": "3.15.1"}')
        if config is not None:
            made.writestr(name, config)
    return buffer.getvalue()


def test_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "net.keras"
    path.write_bytes(archive(small()))
    model = shapecalc.load(path)
    assert model.trace().outputs[0].shape == (1, 5)
    assert model.graph.nodes[1].origin.location == f"{path}/config.json:1"
    assert shapecalc.load(archive(small())).graph.format == "keras"


@pytest.mark.parametrize("suffix", [".json", ".keras", ".h5", ".txt", ""])
def test_the_content_tells_what_the_suffix_does_not(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"net{suffix}"
    path.write_text(small(False))
    assert shapecalc.load(path).graph.format == "keras"


def test_an_hdf5_file(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    for name, value in (("text", small(False)), ("bytes", small(False).encode())):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file.attrs["model_config"] = value
        assert shapecalc.load(tmp_path / f"{name}.h5").trace().outputs[0].shape == (1, 5)
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file.attrs["layer_names"] = []
    with pytest.raises(ModelError, match="holds weights and no definition"):
        shapecalc.load(tmp_path / "weights.h5")


def test_without_h5py_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ModelError) as caught:
        shapecalc.load(b"\x89HDF\r\n\x1a\n" + bytes(64))
    assert caught.value.hint == f"{shlex.quote(sys.executable)} -m pip install h5py"


def test_spans_are_those_of_the_file() -> None:
    text = json.dumps(json.loads(small()), indent=2)
    graph = read(text).graph
    for node in graph.nodes:
        origin = node.origin
        assert origin.span is not None
        entry = json.loads(text[slice(*origin.span)])
        assert (entry["name"], entry["class_name"]) == (node.name, origin.op)
        assert text.count("\n", 0, origin.span.start) + 1 == origin.line
        for key, value in entry["config"].items():
            assert json.loads(text[slice(*origin.parts[key])]) == value
    units = graph.node("end").origin.parts["units"]
    changed = read(apply_patch(text, [(units, "13")])).trace()
    assert changed.outputs[0].shape == (1, 13)
    assert graph.meta["text"] == text


# -- what cannot be read ----------------------------------------------------------------------------------------------


def broken(**changes: Any) -> str:
    return sequential(conv(**changes))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "<keras>:1: error[E203 syntax]: a text in double quotes expected, at the end"),
        ('{"a": }', "<keras>:1: error[E203 syntax]: a JSON value expected, at '}'"),
        ('{"a": 1,\n "b" 2}', "<keras>:2: error[E203 syntax]: ':' expected, at '2}'"),
        ("[1, 2", "<keras>:1: error[E203 syntax]: ',' or ']' expected, at the end"),
        ("{} {}", "<keras>:1: error[E203 syntax]: text after the end of the JSON, at '{}'"),
        ('{"a": "\\q"}', "<keras>:1: error[E203 syntax]: an escape that JSON does not have, at '\"\\\\q\"}'"),
        ("{}", "<keras>: error[E202 unreadable]: this JSON is no Keras model: it has no class_name and config"),
        (
            json.dumps({"class_name": "Sequential", "config": {"name": "s", "layers": []}}),
            "<keras>:1: error[E202 unreadable]: Sequential: a model without layers",
        ),
        (
            broken(filters=0),
            "<keras>:1: error[E109 attribute]: conv: filters must be a whole number of at least 1, found 0",
        ),
        (
            broken(padding="full"),
            "<keras>:1: error[E109 attribute]: conv: padding must be 'valid' or 'same', found 'full'",
        ),
        (
            broken(strides=[2, 2], dilation_rate=[2, 2]),
            "<keras>:1: error[E109 attribute]: conv: strides [2, 2] with dilation_rate [2, 2]: one of them must be 1",
        ),
        (broken(groups=3), "<keras>:1: error[E104 groups]: conv: 4 filters do not divide into 3 groups"),
        (
            broken().replace("[3, 3]", "[3, 3, 3]"),
            "<keras>:1: error[E109 attribute]: conv: kernel_size must be 2 numbers, found [3, 3, 3]",
        ),
        (
            functional("image", "c", fed("image", 8, 8, 3), called(conv("c"), "nowhere")),
            "<keras>:1: error[E205 unknown value]: there is no call 0 of a layer 'nowhere'",
        ),
        (
            functional("image", "a", fed("image", 8, 8, 3), called(conv("a"), "b"), called(conv("b"), "a")),
            "<keras>:1: error[E205 unknown value]: a: it waits for a value of its own, or for one that nothing makes",
        ),
        (
            functional("image", "a", fed("image", 8, 8, 3), called(conv("a"), "image"), called(conv("a"), "image")),
            "<keras>:1: error[E206 duplicate value]: a: a second layer is called 'a'",
        ),
        (
            functional("image", [["a", 0, 1]], fed("image", 8, 8, 3), called(layer("LSTM", "a", units=2), "image")),
            "<keras>:1: error[E205 unknown value]: a gives 1 values, number 1 is asked for",
        ),
        (
            sequential(conv(), shape=(8, 8, 0)),
            "<keras>:1: error[E109 attribute]: image: [None, 8, 8, 0] is no shape",
        ),
    ],
)
def test_errors_say_where_and_what(text: str, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        read(text)
    assert str(caught.value).splitlines()[0] == message


def test_a_model_inside_is_counted_from_0_where_it_is_read_and_from_1_where_it_ends() -> None:
    """As Keras 3 writes a model that is an output and is read as well (models/functional.py, get_tensor)."""
    inner = json.loads(
        functional("i", "c", fed("i", 8, 8, 3), called(layer("Conv2D", "c", filters=4, kernel_size=[3, 3]), "i"))
    )
    inner["config"]["name"] = "inner"
    rows = [
        fed("image", 8, 8, 3),
        called({**inner, "name": "inner"}, "image"),
        called(layer("Flatten", "f"), "inner"),
    ]
    trace = traced(functional("image", [["f", 0, 0], ["inner", 1, 0]], *rows))
    assert [value.shape for value in trace.outputs] == [(1, 144), (1, 6, 6, 4)]
