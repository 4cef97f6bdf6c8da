"""Edits: every head found and renamed, counts that repeat, repairs in their order, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy
import onnx
import pytest

import shapecalc
from shapecalc.verify.run import execute, runnable
from shapecalc.weights import Array

TWO_HEADS = """
name: "TwoHeads"
layer {
  name: "data" type: "Input" top: "data" top: "label"
  input_param { shape { dim: 2 dim: 3 dim: 8 dim: 8 } shape { dim: 2 } }
}
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "aux" type: "InnerProduct" bottom: "conv" top: "aux" inner_product_param { num_output: 10 } }
layer { name: "aux_loss" type: "SoftmaxWithLoss" bottom: "aux" bottom: "label" top: "aux_loss" }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc" inner_product_param { num_output: 10 } }
layer { name: "square" type: "InnerProduct" bottom: "fc" top: "square" inner_product_param { num_output: 10 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "square" bottom: "label" top: "loss" }
"""


def test_every_head_is_replaced_and_a_square_one_keeps_its_inputs() -> None:
    plan = shapecalc.loads(TWO_HEADS, format="caffe").retarget(classes=7)
    assert [edit.layer for edit in plan.edits] == ["aux", "square"]
    assert plan.trace.layer("aux_7").outputs[0].shape == (2, 7)
    assert plan.trace.layer("square_7").outputs[0].shape == (2, 7)
    assert plan.trace.layer("fc").outputs[0].shape == (2, 10)
    weights = {value.name: value.shape for value in plan.trace.layer("square_7").weights}
    assert weights == {"square_7/weight": (7, 10), "square_7/bias": (7,)}
    assert plan.verify(device="cpu").ok


def test_a_square_head_of_an_onnx_file_keeps_its_inputs(tmp_path: Path) -> None:
    target = tmp_path / "square.onnx"
    shapecalc.loads(TWO_HEADS, format="caffe").convert(target, init=True, device="cpu")
    plan = shapecalc.load(target).retarget(classes=7)
    shapes = {value.name: value.shape for value in plan.trace.layer("square_7").weights}
    assert sorted(map(str, shapes.values())) == ["(7, 10)", "(7,)"]


def test_a_reshape_that_repeats_the_count_follows() -> None:
    source = (
        "import chainer\nimport chainer.functions as F\nimport chainer.links as L\n"
        "class Net(chainer.Chain):\n"
        "    insize = 16\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        with self.init_scope():\n"
        "            self.conv1 = L.Convolution2D(3, 1000, 3, pad=1)\n"
        "    def forward(self, x):\n"
        "        h = F.average_pooling_2d(self.conv1(x), 16)\n"
        "        return F.reshape(h, (len(x), 1000))\n"
    )
    plan = shapecalc.loads(source, format="chainer").retarget(classes=13)
    assert plan.trace.outputs[0].shape == (1, 13)
    assert plan.trace.problems == []


@pytest.mark.parametrize(
    ("size", "repairs"),
    [
        (256, ["insert-pool", "window", "window", "window", "resize"]),
        (448, ["insert-pool", "window", "window", "window", "resize"]),
        (192, ["window", "window", "window", "resize"]),
    ],
)
def test_repairs_of_alexnet_in_order(size: int, repairs: list[str]) -> None:
    model = shapecalc.load("alexnet")
    plan = model.retarget(input=size)
    assert [repair.name for repair in plan.repairs] == repairs
    changed = [repair.changed_layers for repair in plan.repairs]
    assert changed == sorted(changed)
    for repair in plan.repairs:
        assert repair.trace.ok
        assert repair.trace.layer("fc6").outputs[0].shape == (1, 4096)


def test_one_rounding_repairs_an_onnx_alexnet_at_its_lower_neighbour() -> None:
    """With floor pooling 224 gives 5x5; ../facts: rounding pool1 up is enough."""
    model = shapecalc.load("alexnet_groups")
    text = (model.source.text() if model.source else "").replace("pool: MAX", "pool: MAX round_mode: FLOOR")
    assert text.count("FLOOR") == 3
    floor = shapecalc.loads(text, format="caffe")
    assert not floor.trace(224).ok
    plan = floor.retarget(input=224, repair="rounding")
    assert [edit.describe() for edit in plan.edits][-1].endswith("round up instead of down")
    assert plan.trace.ok


def test_a_size_no_repair_reaches_is_refused_with_the_way_out() -> None:
    with pytest.raises(shapecalc.RefusedError) as caught:
        shapecalc.load("alexnet").retarget(input=64)
    assert caught.value.code == "E302"
    assert caught.value.hint == (
        "--repair resize: resize x in front, bilinearly: 64×64 → 227×227; the net itself runs at 227×227; "
        "sizes 199 to 230 fit without a repair, nearest 199"
    )
    with pytest.raises(shapecalc.RefusedError):
        shapecalc.load("alexnet").retarget(input=256, repair="none")


def test_a_net_without_a_classifier_is_refused() -> None:
    text = (
        'input: "d" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 } layer { name: "r" type: "ReLU" bottom: "d" top: "r" }'
    )
    with pytest.raises(shapecalc.RefusedError, match="ends in no classifier"):
        shapecalc.loads(text, format="caffe").retarget(classes=3)


def test_placeholders_do_no_harm(tmp_path: Path) -> None:
    """Variances and gains are 1 and shifts 0 in a file of placeholders, so it computes numbers and no NaN."""
    target = tmp_path / "net.onnx"
    shapecalc.load("resnet50").convert(target, device="cpu")
    import onnxruntime

    session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {"data": numpy.ones((1, 3, 224, 224), numpy.float32)})
    assert numpy.isfinite(scores).all()
    fills = {
        node.output[0]: float(onnx.numpy_helper.to_array(node.attribute[0].t)[0])
        for node in onnx.load(target).graph.node
        if node.op_type == "ConstantOfShape"
    }
    assert {fills[name] for name in fills if "var" in name} == {1.0}


# -- lowering against numpy, where nothing was recorded ---------------------------------------------------------------


def caffe(body: str, tops: int = 1, weights: dict[str, Array] | None = None) -> tuple[list[Array], Array]:
    """The inputs and the output of one Caffe layer ``l``, lowered and run."""
    names = [f"x{i}" for i in range(tops)]
    shape = "input_param { shape { dim: 1 dim: 2 dim: 3 dim: 3 } }"
    layers = [f'layer {{ name: "{n}" type: "Input" top: "{n}" {shape} }}' for n in names]
    bottoms = " ".join(f'bottom: "{n}"' for n in names)
    text = "\n".join([*layers, f'layer {{ name: "l" {bottoms} top: "y" {body} }}'])
    model = shapecalc.loads(text, format="caffe")
    what = runnable(model, model.graph, model.trace(None, fresh=True), 3, weights)
    generators = [numpy.random.default_rng(i) for i in range(tops)]
    images = {n: g.random((1, 2, 3, 3), dtype=numpy.float32) + 0.5 for n, g in zip(names, generators, strict=True)}
    return list(images.values()), execute(what._replace(inputs=images), "cpu").tensors["y"]


def test_power_shifts_after_it_scales() -> None:
    (x,), y = caffe('type: "Power" power_param { power: 2 scale: 3 shift: 1 }')
    assert numpy.allclose(y, (1 + 3 * x) ** 2, rtol=1e-6)


def test_coefficients_belong_to_their_inputs() -> None:
    (a, b), y = caffe('type: "Eltwise" eltwise_param { operation: SUM coeff: 2 coeff: -0.5 }', tops=2)
    assert numpy.allclose(y, 2 * a - 0.5 * b, rtol=1e-6)


def test_a_batch_norm_that_summed_nothing_has_mean_and_variance_0() -> None:
    weights = {
        "l/mean": numpy.ones(2, numpy.float32),
        "l/variance": numpy.ones(2, numpy.float32),
        "l/scale_factor": numpy.zeros(1, numpy.float32),
    }
    (x,), y = caffe('type: "BatchNorm" batch_norm_param { eps: 0.25 }', weights=weights)
    assert numpy.allclose(y, x / 0.5, rtol=1e-6)


def test_depthwise_outputs_stand_channel_by_channel() -> None:
    """Chainer depthwise_convolution_2d.py: output channel c*multiplier + m."""
    source = (
        "import chainer\nimport chainer.links as L\n"
        "class Net(chainer.Chain):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        with self.init_scope():\n"
        "            self.l = L.DepthwiseConvolution2D(2, 3, 1, nobias=True)\n"
        "    def forward(self, x):\n"
        "        return self.l(x)\n"
    )
    model = shapecalc.loads(source, format="chainer")
    weight = numpy.arange(6, dtype=numpy.float32).reshape(3, 2, 1, 1)
    what = runnable(model, model.graph, model.trace((1, 2, 2, 2), fresh=True), 0, {"l/W": weight})
    image = numpy.stack([numpy.full((2, 2), 1.0), numpy.full((2, 2), 10.0)])[None].astype(numpy.float32)
    y = execute(what._replace(inputs={"x": image}), "cpu").tensors[model.graph.outputs[0]]
    assert y[0, :, 0, 0].tolist() == [0.0, 2.0, 4.0, 10.0, 30.0, 50.0]


def test_macs_of_a_transposed_convolution_count_its_inputs() -> None:
    text = (
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 4 dim: 5 dim: 6 } } }'
        'layer { name: "l" type: "Deconvolution" bottom: "x" top: "y"'
        " convolution_param { num_output: 3 kernel_size: 2 stride: 2 } }"
    )
    trace = shapecalc.loads(text, format="caffe").trace()
    assert trace.layer("l").outputs[0].shape == (1, 3, 10, 12)
    assert trace.layer("l").macs == 4 * 5 * 6 * 3 * 2 * 2


def test_a_layer_of_unknown_size_is_not_written() -> None:
    text = (
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 4 dim: 5 dim: 6 } } }'
        'layer { name: "p" type: "Python" bottom: "x" top: "y" python_param { module: "m" layer: "L" } }'
    )
    with pytest.raises(shapecalc.RefusedError, match="is not known, so it cannot be written"):
        shapecalc.loads(text, format="caffe").verify(device="cpu")


# -- heads that cannot be told, files that cannot be written ----------------------------------------------------------


def test_the_first_layer_can_be_the_head() -> None:
    text = (
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 4 } } }'
        'layer { name: "fc" type: "InnerProduct" bottom: "x" top: "fc" inner_product_param { num_output: 10 } }'
    )
    report = shapecalc.loads(text, format="caffe").retarget(classes=7).verify(device="cpu")
    assert report.ok
    assert report.before_edit is None


HEADS = """
layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ dim: 1 dim: 4 dim: 6 dim: 6 }} }} }}
layer {{
  name: "conv" type: "Convolution" bottom: "x" top: "conv" convolution_param {{ num_output: 8 kernel_size: 3 }}
}}
layer {{ name: "relu" type: "ReLU" bottom: "conv" top: "conv" }}
{rest}
"""


@pytest.mark.parametrize(
    ("rest", "because"),
    [
        ("", "ends in no classifier"),
        (
            'layer { name: "a" type: "InnerProduct" bottom: "conv" top: "a" inner_product_param { num_output: 21 } } '
            'layer { name: "b" type: "InnerProduct" bottom: "conv" top: "b" inner_product_param { num_output: 84 } }',
            "several heads of different sizes",
        ),
    ],
)
def test_a_head_is_not_guessed(rest: str, because: str) -> None:
    with pytest.raises(shapecalc.RefusedError, match=because) as caught:
        shapecalc.loads(HEADS.format(rest=rest), format="caffe").retarget(classes=13)
    assert caught.value.code == "E301"


def test_a_shared_head_is_refused_with_its_other_reader() -> None:
    source = (
        "import chainer\nimport chainer.functions as F\nimport chainer.links as L\n"
        "class Net(chainer.Chain):\n"
        "    insize = 8\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        with self.init_scope():\n"
        "            self.conv1 = L.Convolution2D(3, 4, 3)\n"
        "            self.fc = L.Linear(None, 10)\n"
        "    def forward(self, x):\n"
        "        h = self.conv1(x)\n"
        "        return self.fc(F.relu(h)), self.fc(F.tanh(h))\n"
    )
    with pytest.raises(shapecalc.RefusedError, match="its weight is shared"):
        shapecalc.loads(source, format="chainer").retarget(classes=3)


@pytest.mark.parametrize(("size", "layer"), [(160, "pool5"), (192, "pool5")])
def test_a_pooling_larger_than_its_map_is_its_own_repair(size: int, layer: str) -> None:
    plan = shapecalc.load("resnet50").retarget(input=size)
    assert [edit.layer for edit in plan.edits][-1] == layer
    assert plan.trace.outputs[0].shape == (1, 1000)


def test_a_file_onnxruntime_does_not_load_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from shapecalc.verify import plans

    monkeypatch.setattr(plans, "as_onnx", lambda *arguments, **options: b"no model")
    with pytest.raises(shapecalc.RefusedError) as caught:
        shapecalc.load("lenet").convert(tmp_path / "a.onnx", device="cpu")
    assert caught.value.code == "E403"
    assert list(tmp_path.iterdir()) == []


def test_the_same_edit_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        shapecalc.load("squeezenet").retarget(classes=3).save(tmp_path / f"{name}.onnx", device="cpu")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


@pytest.mark.parametrize("name", ["alexnet", "lenet", "caffenet"])
def test_the_written_file_takes_the_sizes_of_its_definition(name: str, tmp_path: Path) -> None:
    model = shapecalc.load(name)
    model.convert(tmp_path / "a.onnx", device="cpu")
    assert str(shapecalc.load(tmp_path / "a.onnx").sizes(limit=300)) == str(model.sizes(limit=300))


def test_initialised_gains_are_1(tmp_path: Path) -> None:
    shapecalc.load("resnet50").convert(tmp_path / "a.onnx", init=True, device="cpu")
    weights = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(tmp_path / "a.onnx").graph.initializer}
    gains = {name for name in weights if name.startswith("scale") and name.endswith("/weight")}
    assert len(gains) == 53
    assert all((weights[name] == 1).all() for name in gains)
