"""Why a size does not fit: chains, forks, constants of files, texts tied to layers, ways out that were run."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

import shapecalc
from shapecalc.cli.app import application, run
from shapecalc.why import Why

UNET = """
name: "unet" input: "data" input_shape { dim: 1 dim: 3 dim: 64 dim: 64 }
layer { name: "enc1" type: "Convolution" bottom: "data" top: "enc1"
  convolution_param { num_output: 4 kernel_size: 3 pad: 1 } }
layer { name: "down1" type: "Pooling" bottom: "enc1" top: "down1"
  pooling_param { kernel_size: 2 stride: 2 round_mode: FLOOR } }
layer { name: "enc2" type: "Convolution" bottom: "down1" top: "enc2"
  convolution_param { num_output: 8 kernel_size: 3 pad: 1 } }
layer { name: "down2" type: "Pooling" bottom: "enc2" top: "down2"
  pooling_param { kernel_size: 2 stride: 2 round_mode: FLOOR } }
layer { name: "up2" type: "Deconvolution" bottom: "down2" top: "up2"
  convolution_param { num_output: 8 kernel_size: 2 stride: 2 } }
layer { name: "cat2" type: "Concat" bottom: "enc2" bottom: "up2" top: "cat2" }
layer { name: "up1" type: "Deconvolution" bottom: "cat2" top: "up1"
  convolution_param { num_output: 4 kernel_size: 2 stride: 2 } }
layer { name: "cat1" type: "Concat" bottom: "enc1" bottom: "up1" top: "cat1" }
"""


POOL5 = "pool5/7x7_s1"


def why(name: str, size: object, **options: object) -> Why:
    return shapecalc.load(name).why(size, **options)  # type: ignore[arg-type]


def unet() -> shapecalc.Model:
    return shapecalc.loads(UNET, format="caffe", name="unet")


# -- fan-ins and kernels ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "size", "chain", "wanted", "offered", "uneven"),
    [
        ("alexnet", 256, "conv1 pool1 pool2 pool5 fc6", "9,216 = 256·6·6", "12,544 = 256·7·7", "conv1"),
        ("alexnet", 192, "conv1 pool1 pool2 pool5 fc6", "9,216 = 256·6·6", "6,400 = 256·5·5", "conv1"),
        ("vgg16", 150, "pool1 pool2 pool3 pool4 pool5 fc6", "25,088 = 512·7·7", "12,800 = 512·5·5", "pool2"),
        ("lenet", 32, "conv1 pool1 conv2 pool2 fc3", "800 = 50·4·4", "1,250 = 50·5·5", None),
        (
            "googlenet",
            128,
            "conv1/7x7_s2 pool1/3x3_s2 pool2/3x3_s2 pool3/3x3_s2 pool4/3x3_s2 pool5/7x7_s1",
            "size of at least 7",
            "size 4 from inception_5b/output, so (4 + 2·0 − 7)/1 + 1 = -2",
            "conv1/7x7_s2",
        ),
    ],
)
def test_the_chain_behind_a_misfit(
    name: str, size: int, chain: str, wanted: str, offered: str, uneven: str | None
) -> None:
    cause = why(name, size, run=False).cause
    assert cause is not None
    assert [step.layer for step in cause.chain] == chain.split()
    assert (cause.wanted, cause.offered) == (wanted, offered)
    assert (cause.first_uneven.layer if cause.first_uneven else None) == uneven


def test_the_chain_is_a_way_through_the_graph() -> None:
    """Every step reads, through layers that keep the size, what the step before gives."""
    answer = why("googlenet", 128, run=False)
    assert answer.cause is not None
    steps = answer.cause.chain
    for before, after in pairwise(steps):
        given = answer.trace.layer(after.layer).inputs[0].shape
        assert given is not None
        assert given[2:] == tuple(before.output[2:])


def test_where_the_first_pixel_is_lost_is_told_from_uneven_padding() -> None:
    cause = why("googlenet", 129, run=False).cause
    assert cause is not None
    assert cause.first_uneven is not None
    lost = cause.first_lost
    for step in cause.chain:
        if lost is not None and step.layer == lost.layer:
            break
        assert not step.lost


# -- joins, reshapes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "join", "at", "branches"),
    [
        (62, "cat2", "enc2", [[], ["down2", "up2"]]),
        (61, "cat1", "enc1", [[], ["down1", "up1"]]),
        (63, "cat2", "enc2", [[], ["down2", "up2"]]),
    ],
)
def test_the_fork_of_a_join(size: int, join: str, at: str, branches: list[list[str]]) -> None:
    cause = unet().why(size, run=False).cause
    assert cause is not None
    assert cause.fork is not None
    assert (cause.problem.layer, cause.fork.at) == (join, at)
    assert [[step.layer for step in branch] for branch in cause.fork.branches] == branches
    assert cause.first_lost is not None
    assert cause.first_lost.layer == branches[1][0]


def onnx_model(folder: Path) -> Path:
    """A net whose exporter wrote down 49 places: x → conv 32/32 → reshape to [1, 8, 49] → + position."""
    onnx = pytest.importorskip("onnx")
    numpy = pytest.importorskip("numpy")
    helper, numbers = onnx.helper, onnx.numpy_helper
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "patch", kernel_shape=[32, 32], strides=[32, 32]),
        helper.make_node("Reshape", ["c", "target"], ["r"], "tokens"),
        helper.make_node("Add", ["r", "position"], ["y"], "embed"),
    ]
    weights = {
        "w": numpy.zeros((8, 3, 32, 32), "float32"),
        "target": numpy.array([1, 8, -1], "int64"),
        "position": numpy.zeros((1, 8, 49), "float32"),
    }
    graph = helper.make_graph(
        nodes,
        "tokens",
        [helper.make_tensor_value_info("x", 1, [1, 3, 224, 224])],
        [helper.make_tensor_value_info("y", 1, None)],
        [numbers.from_array(array, name) for name, array in weights.items()],
    )
    path = folder / "tokens.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_a_weight_in_a_join_is_a_constant_of_the_file(tmp_path: Path) -> None:
    cause = why(str(onnx_model(tmp_path)), 256, run=False).cause
    assert cause is not None
    assert cause.baked is not None
    assert (cause.baked.constant, cause.baked.value) == ("position", "1×8×49")
    assert (cause.baked.made_for, cause.baked.numbers) == ("224×224", "7×7 places of patch, 8×8 now")
    assert [step.layer for step in cause.chain] == ["patch", "tokens", "embed"]


# -- ways out ---------------------------------------------------------------------------------------------------------


def test_ways_out_were_run() -> None:
    answer = why("lenet", 32)
    assert [(tried.kind, tried.size[2:], tried.ran) for tried in answer.repairs] == [
        ("input", (28, 28), True),
        *[("edit", (32, 32), True)] * (len(answer.repairs) - 1),
    ]
    assert len(answer.repairs) >= 3
    assert answer.repairs[1].command == "shapecalc retarget lenet --input 32"


@pytest.mark.parametrize("size", [57, 61, 62, 63])
def test_inputs_that_are_offered_fit(size: int) -> None:
    answer = unet().why(size)
    offered = [tried for tried in answer.repairs if tried.kind == "input"]
    assert offered
    assert all(tried.ran and unet().trace(tried.size[2:]).ok for tried in offered)


def test_what_is_not_run_is_said() -> None:
    assert {tried.ran for tried in why("lenet", 32, run=False).repairs} == {None}
    other = why("lenet", 32, dialect="onnx").repairs
    assert {tried.reason for tried in other} == {"not executed: onnx rules are not the file's own"}


def test_everything_fits_and_what_is_lost() -> None:
    answer = why("alexnet", 228)
    assert answer.ok
    assert answer.cause is None
    assert answer.repairs == []
    assert [note.layer for note in answer.notes] == ["conv1"]
    assert why("alexnet", 227).notes == []


# -- texts tied to a model --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "layer", "sizes"),
    [
        ("alexnet", "mat1 and mat2 shapes cannot be multiplied (1x6400 and 9216x4096)", "fc6", "167 to 198"),
        ("alexnet_groups", "Check failed: K_ == new_K (9216 vs. 82944) Input size", "fc6", "583 to 614"),
        ("vgg16", "Check failed: K_ == new_K (25088 vs. 32768) Input size", "fc6", "225 to 256"),
        (
            "googlenet",
            "at layer pool5/7x7_s1: blob.cpp:32: Check failed: shape[i] >= 0 (-2 vs. 0)",
            POOL5,
            "127 to 158",
        ),
    ],
)
def test_a_text_is_tied_to_the_sizes_that_give_it(name: str, text: str, layer: str, sizes: str) -> None:
    answer = why(name, None, error=text, run=False)
    assert answer.tie is not None
    assert answer.tie.layer == layer
    assert str(answer.tie.sizes) == sizes
    assert answer.cause is not None
    assert answer.cause.problem.layer == layer


@pytest.mark.parametrize("size", [130, 167, 180, 198, 240, 300])
def test_the_numbers_of_a_trace_lead_back_to_it(size: int) -> None:
    """The text a framework would print for a size is tied to sizes that hold it, and to no other."""
    trace = shapecalc.load("alexnet").trace(size)
    given = int(trace.problems[0].actual.split(" =")[0].replace(",", ""))
    answer = why("alexnet", None, error=f"Expect: x.shape[1] == W.shape[1] Actual: {given} != 9216", run=False)
    assert answer.tie is not None
    assert answer.tie.sizes is not None
    assert size in answer.tie.sizes
    for edge in (answer.tie.sizes.intervals[0].low, answer.tie.sizes.intervals[-1].high):
        assert edge is not None
        assert shapecalc.load("alexnet").trace(edge).problems[0].actual == trace.problems[0].actual


def test_a_text_of_a_join() -> None:
    text = "Check failed: top_shape[j] == bottom[i]->shape(j) (31 vs. 30) All inputs must have the same shape"
    answer = unet().why(error=text, run=False)
    assert answer.tie is not None
    assert answer.tie.sizes is not None
    assert (answer.tie.layer, str(answer.tie.sizes)) == ("cat2", "62 to 63")


def test_a_text_of_another_net_is_told() -> None:
    answer = why("alexnet", None, error="mat1 and mat2 shapes cannot be multiplied (1x6401 and 9216x4096)", run=False)
    assert answer.tie is not None
    assert "no square input up to 2048 gives 6,401 in fc6" in answer.tie.note


def test_channels_and_weights_of_a_text() -> None:
    gray = why("alexnet", None, error="Number of input channels should be multiple of 3 but got 1", run=False)
    assert gray.cause is not None
    assert (gray.cause.problem.code, gray.cause.problem.layer) == ("E102", "conv1")
    text = (
        "size mismatch for fc8.weight: copying a param with shape torch.Size([13, 4096]) from checkpoint, the shape in "
        "current model is torch.Size([1000, 4096])."
    )
    weights = why("alexnet", None, error=text, run=False)
    assert weights.tie is not None
    assert weights.tie.note == "fc8 of alexnet has the model's shape"
    assert weights.ok


# -- the command ------------------------------------------------------------------------------------------------------


def output(*arguments: str, status: int = 0, stdin: str | None = None) -> str:
    result = CliRunner().invoke(application(), list(arguments), env={"COLUMNS": "80"}, input=stdin)
    assert result.exit_code == status
    return result.stdout


@pytest.mark.parametrize(("name", "size"), [("alexnet", 256), ("googlenet", 128), ("vgg16", 150), ("resnet50", 128)])
def test_it_reads_well_at_80_columns(name: str, size: int) -> None:
    text = output("why", name, "-i", str(size), "--no-run")
    assert max(map(len, text.splitlines())) <= 80
    assert "wanted" in text
    assert "What would help" in text


def test_a_text_without_a_model() -> None:
    text = "mat1 and mat2 shapes cannot be multiplied (1x6400 and 9216x4096)"
    printed = output("why", "--error", text)
    assert "wanted   9,216 = 256·6·6" in printed
    assert "offered  6,400 = 256·5·5" in printed
    assert output("why", "--error", "-", stdin=text) == printed
    found = json.loads(output("why", "--error", text, "--json"))["error"]
    assert (found["recognised"], found["wanted"], found["given"]) == (True, "9,216 = 256·6·6", "6,400 = 256·5·5")


def test_a_text_nobody_knows() -> None:
    printed = output("why", "--error", "Segmentation fault")
    assert printed.startswith("This text is not recognised.")
    assert "PyTorch, Caffe, Chainer" in printed
    assert json.loads(output("why", "--error", "boo", "--json"))["error"] == {"text": "boo", "recognised": False}


def test_json_holds_the_answer() -> None:
    found = json.loads(output("why", "lenet", "-i", "32", "--json", "--no-run"))
    assert found["schema"] == "shapecalc.why/1"
    assert found["cause"]["problem"]["layer"] == "fc3"
    assert [step["layer"] for step in found["cause"]["chain"]] == ["conv1", "pool1", "conv2", "pool2", "fc3"]
    assert found["repairs"][0]["input"] == [1, 1, 28, 28]


def test_nothing_asked_is_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["why"]) == 2
    assert capsys.readouterr().err.startswith("error[E002 option]: nothing was asked")


WINDOW = """
input: "x" input_dim: 1 input_dim: 3 input_dim: 4 input_dim: 4
layer { name: "conv" type: "Convolution" bottom: "x" top: "conv" convolution_param { num_output: 1 kernel_size: 9 } }
"""


def test_sizes_without_end_are_said_to_have_none(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(WINDOW)
    shown = output("why", str(tmp_path / "net.prototxt"), "-i", "4", "--no-run")
    assert "square inputs that fit near it: 9 and up\n" in shown
    assert "square inputs that fit near it: 199 to 230\n" in output("why", "alexnet", "-i", "256", "--no-run")


def test_where_no_size_fits_no_rectangle_is_promised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import onnx.parser

    young = '<ir_version: 8, opset_import: ["" : 13]>\ng (float[1, 3, 8, 8] x) => (float y) {y = Mish (x)}'
    (tmp_path / "young.onnx").write_bytes(onnx.parser.parse_model(young).SerializeToString())
    assert run(["sizes", str(tmp_path / "young.onnx")]) == 0
    shown = capsys.readouterr().out
    assert "square N×N  none" in shown
    assert "rectangles" not in shown
