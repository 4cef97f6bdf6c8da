"""What is said of receptive fields in text: the table, joins that are not aligned, and what is not known."""

from __future__ import annotations

from pathlib import Path

import pytest

import shapecalc
from shapecalc.cli.app import run
from shapecalc.explain import misaligned, unseen
from shapecalc.graph import Graph, Input, Node, Param
from shapecalc.report.fields import share_text

Capture = pytest.CaptureFixture[str]

CONV = """layer {{ name: "{0}" type: "Convolution" bottom: "{1}" top: "{0}"
  convolution_param {{ num_output: 3 kernel_size: {2} stride: 2 pad: {3} }} }}
"""
JOIN = """input: "x" input_shape { dim: [1, 3, 8, 8] }
%s layer { name: "sum" type: "Eltwise" bottom: "a" bottom: "b" top: "sum" }
layer { name: "relu" type: "ReLU" bottom: "sum" top: "relu" }
"""


def joined(pad: int, kernel: int) -> str:
    """A convolution of 3 elements, padded by one, beside another."""
    return JOIN % (CONV.format("a", "x", 3, 1) + CONV.format("b", "x", kernel, pad))


@pytest.mark.parametrize(
    ("kernel", "pad", "notes"),
    [
        (3, 1, []),
        (1, 0, []),
        (
            2,
            0,
            [
                (
                    "sum",
                    "misaligned: the first places of its branches are centred on pixels 0 and 0.5; so it is in one "
                    "layer behind it",
                )
            ],
        ),
    ],
)
def test_a_join_of_branches_centred_on_unlike_pixels_is_named(
    kernel: int, pad: int, notes: list[tuple[str, str]]
) -> None:
    assert misaligned(shapecalc.loads(joined(pad, kernel), format="caffe").trace()) == notes


def test_the_table_says_no_start_where_there_is_none(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "join.prototxt"
    path.write_text(joined(0, 2))
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["trace", str(path), "--receptive"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines[2:9] if line and "─" not in line}
    assert rows == {
        "Layer": ["Output", "RF", "Jump", "Start", "Padding"],
        "input": ["3×8×8", "1", "1", "0", "0%"],
        "a": ["3×4×4", "3", "2", "0", "43.8%"],
        "b": ["3×4×4", "2", "2", "0.5", "0%"],
        "sum": ["3×4×4", "3", "2", "misaligned", "43.8%"],
        "relu": ["3×4×4", "3", "2", "misaligned", "43.8%"],
    }
    assert max(map(len, lines)) <= 80
    assert "sum: misaligned: the first places of its branches are centred on pixels 0 and 0.5" in " ".join(lines)
    assert run(["trace", str(path)]) == 0
    assert "sum: misaligned" in capsys.readouterr().out
    assert run(["trace", str(path), "--receptive", "--dialect", "caffe,onnx"]) == 2


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0%"), (1, "100%"), (1e-9, "0.1%"), (1 - 1e-9, "99.9%"), (0.5, "50.0%")]
)
def test_a_share_is_all_or_nothing_only_where_it_is(share: float, text: str) -> None:
    assert share_text(share) == text


def made(nodes: list[Node], shape: tuple[int, ...], params: list[Param]) -> shapecalc.Trace:
    return shapecalc.Model(Graph("g", [Input("x", shape)], nodes, ["y"], params), "g").trace()


def test_sizes_read_off_an_image_say_nothing_of_its_layout() -> None:
    """Torch's exports read the image's sizes for a reshape, behind which stands what would be a turn from NHWC."""
    nodes = [
        Node("sizes", "Shape", ["x"], ["s"]),
        Node("turned", "Transpose", ["x"], ["t"], {"perm": [0, 2, 3, 1]}),
        Node("flat", "Reshape", ["t", "s"], ["f"]),
        Node("back", "Transpose", ["f"], ["b"], {"perm": [0, 3, 1, 2]}),
        Node("conv", "Conv", ["x", "w"], ["y"]),
    ]
    trace = made(nodes, (1, 3, 8, 8), [Param("w", (4, 3, 3, 3))])
    assert (trace.layer("conv").receptive_field, trace.layer("conv").unseen) == (3, None)


@pytest.mark.parametrize(
    ("indices", "axis", "size", "axes"), [((0,), 1, 3, (2, 3)), ((0, 2), 1, 3, (2, 3)), ((0,), 2, None, ())]
)
def test_channels_chosen_by_a_table_see_what_they_saw(
    indices: tuple[int, ...], axis: int, size: int | None, axes: tuple[int, ...]
) -> None:
    nodes = [
        Node("conv", "Conv", ["x", "w"], ["c"]),
        Node("some", "Gather", ["c", "i"], ["g"], {"axis": axis}),
        Node("spread", "Expand", ["g", "shape"], ["y"]),
    ]
    tables = [
        Param("i", (len(indices),), "int64", contents=indices, trained=False),
        Param("shape", (1,), "int64", contents=(1,), trained=False),
    ]
    trace = made(nodes, (1, 3, 8, 8), [Param("w", (4, 3, 3, 3)), *tables])
    for name in ("some", "spread"):
        assert (trace.layer(name).receptive_field, trace.layer(name).axes) == (size, axes)
    reasons = [] if size else [("some", "not known: it picks places by a table; the same of one layer behind it")]
    assert unseen(trace) == reasons
