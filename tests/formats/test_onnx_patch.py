"""Edits of an ONNX file: what they leave alone is byte for byte what it was, and the whole loads and runs."""

from __future__ import annotations

import io
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnx_models import LIGHT_MODELS, light, model, small

import shapecalc
from shapecalc.copying import Work
from shapecalc.errors import ModelError, RefusedError
from shapecalc.formats import Options, Source
from shapecalc.formats.onnx import pieces as onnx_pieces
from shapecalc.formats.onnx import read
from shapecalc.formats.onnx.patch import segments, skeleton
from shapecalc.formats.onnx.pieces import Later, Pieces, assemble, copy_to, size_of
from shapecalc.graph import Graph, Input, Node, Param
from shapecalc.model import Model
from shapecalc.source import Span

CORPUS = Path(__file__).parents[3] / "shared" / "corpus" / "onnx"


def graph_of(data: bytes, path: Path | None = None) -> Graph:
    return read(Source(str(path or "model"), path, data), Options())


def run(data: bytes | Path, feeds: dict[str, Any]) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    given = str(data) if isinstance(data, Path) else data
    return list(onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"]).run(None, feeds))


def replaced(graph: Graph, changes: dict[str, Node], after: dict[str, Node] | None = None) -> list[Node]:
    """The nodes with some replaced by name, and others inserted after a name."""
    nodes: list[Node] = []
    for node in graph.nodes:
        nodes.append(changes.get(node.name, node))
        if after and node.name in after:
            nodes.append(after[node.name])
    return nodes


def with_pool(graph: Graph) -> Graph:
    """A 1x1 pooling between the first activation and what reads it: changes many nodes and no shape."""
    first = next(node for node in graph.nodes if node.op in ("Relu", "Clip"))
    value = first.outputs[0]
    pool = Node("inserted", "AveragePool", [value], ["inserted_out"], {"kernel_shape": (1, 1), "ceil_mode": 0})
    moved = {
        node.name: node.replace(inputs=["inserted_out" if name == value else name for name in node.inputs])
        for node in graph.nodes
        if value in node.inputs
    }
    return graph.replace(nodes=replaced(graph, moved, {first.name: pool}))


def with_head(graph: Graph, classes: int) -> Graph:
    """The last Gemm with another name and new parameters."""
    head = [node for node in graph.nodes if node.op == "Gemm"][-1]
    gone = head.inputs[1:3]
    fan_in = (graph.params[gone[0]].shape or ())[1]
    new = head.replace(name="head13", inputs=(head.inputs[0], "head13.w", "head13.b"))
    params = {name: param for name, param in graph.params.items() if name not in gone}
    added = [Param("head13.w", (classes, fan_in)), Param("head13.b", (classes,))]
    return graph.replace(
        nodes=replaced(graph, {head.name: new}), params={**params, **{param.name: param for param in added}}
    )


def head_numbers(graph: Graph) -> dict[str, bytes]:
    numbers = numpy.random.default_rng(1)
    return {
        name: numbers.random(graph.params[name].shape, dtype=numpy.float32).tobytes()
        for name in ("head13.w", "head13.b")
    }


def patched(data: bytes, old: Graph, new: Graph, tensors: dict[str, bytes] | None = None) -> bytes:
    """The new file, checked by onnx and read again."""
    result = assemble(data, segments(data, old, new, tensors, Model(new, "new").trace().tensors))
    onnx.checker.check_model(onnx.ModelProto.FromString(result))
    again = graph_of(result)
    assert [node.op for node in again.nodes] == [node.op for node in new.nodes]
    return result


def feeds_of(graph: Graph) -> dict[str, Any]:
    numbers = numpy.random.default_rng(2)
    return {item.name: numbers.random(item.declared, dtype=numpy.float32) for item in graph.inputs}


# -- nothing changed --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [small().SerializeToString(), *(light(name).read_bytes() for name in LIGHT_MODELS)])
def test_a_graph_as_it_was_is_the_file_as_it_was(data: bytes) -> None:
    graph = graph_of(data)
    whole: Pieces = [Span(0, len(data))]
    assert segments(data, graph, graph) == whole
    assert segments(data, graph, graph.replace()) == whole


# -- edits on real models ---------------------------------------------------------------------------------------------

#: Those that end in a Gemm whose weight is a parameter; VGG's placeholders take seconds to fill.
RUN = [name for name in LIGHT_MODELS if name != "light_vgg19"]
HEADED = [name for name in RUN if name not in ("light_densenet121", "light_squeezenet", "light_inception_v1")]


@pytest.mark.parametrize("name", RUN)
def test_an_inserted_pooling_changes_no_number(name: str) -> None:
    data = light(name).read_bytes()
    old = graph_of(data)
    result = patched(data, old, with_pool(old))
    feeds = feeds_of(old)
    for before, after in zip(run(data, feeds), run(result, feeds), strict=True):
        numpy.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("given", [True, False], ids=["numbers", "placeholder"])
@pytest.mark.parametrize("name", HEADED)
def test_a_new_head_runs(name: str, given: bool) -> None:
    data = light(name).read_bytes()
    old = graph_of(data)
    new = with_head(old, 13)
    result = patched(data, old, new, head_numbers(new) if given else None)
    assert run(result, feeds_of(old))[-1].shape == (1, 13)
    declared = onnx.ModelProto.FromString(result).graph.output[0].type.tensor_type.shape
    assert [dim.dim_value for dim in declared.dim] == [1, 13]
    assert given or len(result) < len(data) + 200


def test_the_sizes_of_a_placeholder_go_with_it() -> None:
    data = light("light_bvlc_alexnet").read_bytes()
    old = graph_of(data)
    names = {
        tensor.name for tensor in onnx.ModelProto.FromString(patched(data, old, with_head(old, 13))).graph.initializer
    }
    assert "fc8_w_0__SHAPE" not in names
    assert {"fc7_w_0__SHAPE", "head13.w/sizes"} <= names


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason="../shared/corpus/onnx is not here")
@pytest.mark.parametrize("name", ["resnet18.ts", "densenet121.dynamo", "mobilenetv3_large_100.ts", "regnetx_002.ts"])
def test_exported_models_take_an_edit(name: str, tmp_path: Path) -> None:
    data = (CORPUS / f"{name}.onnx").read_bytes()
    path = tmp_path / "model.onnx"
    old = graph_of(data, path)
    assert segments(data, old, old.replace()) == [Span(0, len(data))]
    path.write_bytes(assemble(data, segments(data, old, with_pool(old))))
    outside = [param.where for param in old.params.values() if param.where and param.where.path != str(path)]
    with open(tmp_path / "weights.bin", "wb") as file:  # left out of the corpus: zeros stand in
        file.truncate(max(where.offset + where.length for where in outside))
    onnx.checker.check_model(path)
    assert run(path, {"x": numpy.zeros((1, 3, 64, 64), numpy.float32)})[0].shape == (1, 1000)


# -- what is kept -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ir_version", [3, 8])
def test_what_an_edit_leaves_alone_stays_byte_for_byte(ir_version: int) -> None:
    data = small(ir_version).SerializeToString()
    old = graph_of(data)
    new = with_head(old, 13)
    before = onnx.ModelProto.FromString(data)
    after = onnx.ModelProto.FromString(patched(data, old, new, head_numbers(new)))
    assert after.graph.node[0].SerializeToString() == before.graph.node[0].SerializeToString()
    assert after.graph.node[0].doc_string == "kept"
    assert [tensor.name for tensor in after.graph.initializer] == ["conv.w", "conv.b", "head13.w", "head13.b"]
    assert after.graph.initializer[0].raw_data == before.graph.initializer[0].raw_data
    assert {item.name for item in after.graph.input} == (
        {"x"} if ir_version >= 4 else {"x", "conv.w", "conv.b", "head13.w", "head13.b"}
    )
    assert [info.name for info in after.graph.value_info] == ["c", "f"]
    assert after.metadata_props == before.metadata_props


def test_unknown_fields_survive_in_an_edited_node() -> None:
    made = small()
    unknown = b"\xfa\x3e\x03abc"  # field 1007
    node = made.graph.node[2]
    node.MergeFromString(unknown)
    data = made.SerializeToString()
    old = graph_of(data)
    pool = old.node("pool")
    new = old.replace(nodes=replaced(old, {"pool": pool.replace(attrs={**pool.attrs, "pads": (0, 0, 1, 1)})}))
    pieces = segments(data, old, new)
    result = assemble(data, pieces)
    assert unknown in result
    after = onnx.ModelProto.FromString(result).graph.node[2]
    assert {item.name: list(item.ints) for item in after.attribute} == {
        "kernel_shape": [2, 2],
        "strides": [2, 2],
        "pads": [0, 0, 1, 1],
    }


def test_shapes_after_a_change_are_dropped_and_outputs_take_the_traced_one() -> None:
    data = small().SerializeToString()
    old = graph_of(data)
    pool = old.node("pool")
    wide = pool.replace(attrs={**pool.attrs, "kernel_shape": (4, 4), "strides": (4, 4)})
    cut = old.replace(
        nodes=[n for n in replaced(old, {"pool": wide}) if n.name != "fc"], outputs=["f"], params=old.params
    )
    result = patched(data, old, cut)
    after = onnx.ModelProto.FromString(result).graph
    assert [info.name for info in after.value_info] == ["c"]
    assert [dim.dim_value for dim in after.output[0].type.tensor_type.shape.dim] == [1, 392]
    assert run(result, feeds_of(old))[0].shape == (1, 392)


def test_a_free_output_dimension_stays_free() -> None:
    node = helper.make_node("MaxPool", ["x"], ["y"], name="pool", kernel_shape=[2, 2])
    data = model([node], {"x": ["N", 3, 8, 8]}, {"y": ["N", 3, 7, 7]}).SerializeToString()
    old = graph_of(data)
    new = old.replace(nodes=[old.node("pool").replace(attrs={"kernel_shape": (3, 3), "ceil_mode": 0})])
    values = Model(new, "new").trace((1, 3, 8, 8)).tensors
    result = onnx.ModelProto.FromString(assemble(data, segments(data, old, new, None, values)))
    shape = result.graph.output[0].type.tensor_type.shape
    assert [dim.dim_param or dim.dim_value for dim in shape.dim] == ["N", 3, 6, 6]


def test_inputs_are_declared_anew() -> None:
    data = small().SerializeToString()
    old = graph_of(data)
    given = old.inputs[0]
    new = old.replace(inputs=[Input(given.name, (4, 3, 32, 32), dtype=given.dtype, origin=given.origin)])
    result = patched(data, old, new)
    assert run(result, {"x": numpy.zeros((4, 3, 32, 32), numpy.float32)})[0].shape == (4, 10)


def test_metadata_is_added_and_kept() -> None:
    data = small().SerializeToString()
    old = graph_of(data)
    new = old.replace(meta={**old.meta, "metadata": {**old.meta["metadata"], "shapecalc": "head of 13"}})
    pieces = segments(data, old, new)
    assert pieces[0] == Span(0, len(data))
    after = onnx.ModelProto.FromString(assemble(data, pieces))
    assert {item.key: item.value for item in after.metadata_props} == {"author": "nobody", "shapecalc": "head of 13"}


def test_numbers_of_the_file_can_move_to_another_name() -> None:
    data = small().SerializeToString()
    old = graph_of(data)
    param = old.params["fc.w"]
    moved = Param("fc13.w", param.shape, param.dtype, where=param.where)
    fc = old.node("fc").replace(inputs=("f", "fc13.w", "fc.b"))
    params = {name: p for name, p in old.params.items() if name != "fc.w"}
    new = old.replace(nodes=replaced(old, {"fc": fc}), params={**params, "fc13.w": moved})
    pieces = segments(data, old, new)
    feeds = feeds_of(old)
    assert size_of(piece for piece in pieces if isinstance(piece, bytes)) < 600
    assert run(assemble(data, pieces), feeds)[0].tolist() == run(data, feeds)[0].tolist()


def test_new_attributes_of_every_kind_are_written() -> None:
    data = model([helper.make_node("Relu", ["x"], ["y"], name="r")], {"x": [2, 3]}, {"y": [2, 3]}).SerializeToString()
    old = graph_of(data)
    attrs = {"a": 1, "b": 0.5, "c": "text", "d": (1, -2), "e": (0.5, 1.0), "f": ("x", "y"), "g": None, "to": "float16"}
    new = old.replace(nodes=[Node("other", "Cast", ["x"], ["y"], attrs, domain="test")])
    node = onnx.ModelProto.FromString(assemble(data, segments(data, old, new))).graph.node[0]
    found = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    assert found == {"a": 1, "b": 0.5, "c": b"text", "d": [1, -2], "e": [0.5, 1.0], "f": [b"x", b"y"], "to": 10}
    assert (node.domain, node.name) == ("test", "other")


def test_sparse_and_typed_tensors_survive() -> None:
    made = small()
    made.graph.initializer.append(helper.make_tensor("ids", TensorProto.INT64, [2], [1, -2]))
    values = helper.make_tensor("thin", TensorProto.FLOAT, [1], [3.0])
    made.graph.sparse_initializer.append(
        helper.make_sparse_tensor(values, helper.make_tensor("at", TensorProto.INT64, [1], [2]), [4])
    )
    data = made.SerializeToString()
    old = graph_of(data)
    assert old.params["thin"].shape == (4,)
    result = onnx.ModelProto.FromString(assemble(data, segments(data, old, with_pool(old))))
    assert result.graph.sparse_initializer == made.graph.sparse_initializer
    assert result.graph.initializer[-1].int64_data == [1, -2]


# -- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("opset", "tensors", "words"),
    [
        (17, {"head13.w": b"1234"}, "head13.w cannot be written"),
        (8, {}, "head13.w has no numbers, and opset 8 has no placeholder for them"),
    ],
)
def test_refusals(opset: int, tensors: dict[str, bytes], words: str) -> None:
    made = small()
    made.opset_import[0].version = opset
    data = made.SerializeToString()
    old = graph_of(data)
    with pytest.raises(RefusedError) as caught:
        segments(data, old, with_head(old, 13), tensors)
    assert caught.value.message == words


# -- laws -------------------------------------------------------------------------------------------------------------

SMALL = small().SerializeToString()


@settings(max_examples=60, deadline=None)
@given(st.sets(st.sampled_from(["conv", "relu", "pool", "fc"])), st.booleans(), st.booleans())
def test_nodes_that_are_not_edited_keep_their_bytes(edited: set[str], head: bool, metadata: bool) -> None:
    old = graph_of(SMALL)
    nodes = [node.replace(name=f"{node.name}_2") if node.name in edited else node for node in old.nodes]
    new = old.replace(nodes=nodes, meta={**old.meta, "metadata": {"a": "b"} if metadata else old.meta["metadata"]})
    new = with_head(new, 7) if head else new
    # with numbers: a placeholder is a node of the file, so the index in the name of a nameless layer would move
    result = assemble(SMALL, segments(SMALL, old, new, head_numbers(new) if head else None))
    again = graph_of(result)
    assert [node.name for node in again.nodes] == [node.name for node in new.nodes]
    for before, node, after in zip(old.nodes, new.nodes, again.nodes, strict=True):
        assert before.origin.span is not None
        assert after.origin.span is not None
        if node is before:
            assert SMALL[slice(*before.origin.span)] == result[slice(*after.origin.span)]


# -- writing ----------------------------------------------------------------------------------------------------------


def test_pieces_are_copied_from_a_file_or_from_memory(tmp_path: Path) -> None:
    data = bytes(range(256)) * 1000
    origin = tmp_path / "origin"
    origin.write_bytes(data)
    pieces: Pieces = [Span(10, 20), b"new", Span(100, 200_000), b"", Span(0, 5)]
    target = tmp_path / "target"
    with open(target, "wb") as file:
        file.write(b"head")
        copy_to(file, Source("origin", origin, data), pieces)
        file.write(b"tail")
    memory = io.BytesIO()
    copy_to(memory, Source("origin", None, data), pieces)
    assert target.read_bytes() == b"head" + assemble(data, pieces) + b"tail"
    assert memory.getvalue() == assemble(data, pieces)


@pytest.mark.parametrize("threshold", [1, 1 << 30], ids=["beside", "in turn"])
def test_pieces_that_are_made_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threshold: int) -> None:
    monkeypatch.setattr(onnx_pieces, "BESIDE_FROM", threshold)
    data = bytes(range(256)) * 1000
    origin, target = tmp_path / "origin", tmp_path / "target"
    origin.write_bytes(data)
    made: list[str] = []
    later = [Later(3, lambda: made.append("a") or b"abc"), Later(2, lambda: made.append("b") or b"de")]  # type: ignore[func-returns-value]
    pieces: Pieces = [Span(10, 200_000), later[1], b"new", later[0], Span(0, 5), later[1]]
    interval = sys.getswitchinterval()
    with open(target, "wb") as file:
        copy_to(file, Source("origin", origin, data), pieces, Work(meanwhile=lambda: made.append("report")))
    assert size_of(pieces) == len(target.read_bytes())
    assert target.read_bytes() == data[10:200_000] + b"de" + b"new" + b"abc" + data[:5] + b"de"
    assert sorted(made) == ["a", "b"] + ["report"] * (threshold == 1)
    assert sys.getswitchinterval() == interval


@pytest.mark.parametrize("threshold", [1, 1 << 30], ids=["beside", "in turn"])
def test_a_piece_that_cannot_be_made_ends_the_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threshold: int
) -> None:
    monkeypatch.setattr(onnx_pieces, "BESIDE_FROM", threshold)
    origin = tmp_path / "origin"
    origin.write_bytes(bytes(200_000))
    pieces: Pieces = [Span(0, 200_000), Later(3, lambda: b"four")]
    with open(tmp_path / "target", "wb") as file, pytest.raises(RefusedError, match="3 bytes are needed, 4 were made"):
        copy_to(file, Source("origin", origin, origin.read_bytes()), pieces)


def test_what_cannot_be_written_beside_is_raised_where_the_caller_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_pieces, "BESIDE_FROM", 1)
    origin = tmp_path / "origin"
    origin.write_bytes(bytes(200_000))
    with open(tmp_path / "target", "wb") as file, pytest.raises(ModelError, match="became shorter"):
        copy_to(file, Source("origin", origin, bytes(300_000)), [Span(0, 300_000), Later(1, lambda: b"x")])


def test_an_interrupt_ends_the_copy_at_its_next_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_pieces, "BESIDE_FROM", 1)
    monkeypatch.setattr("shapecalc.copying.STEP", 1 << 12)
    origin, target = tmp_path / "origin", tmp_path / "target"
    origin.write_bytes(bytes(1 << 20))
    begun = threading.Event()

    def show(done: int, total: int) -> None:
        begun.set()
        while not work.stopped:
            time.sleep(0.001)

    def interrupted() -> bytes:
        begun.wait()
        raise KeyboardInterrupt

    work = Work(show)
    with open(target, "wb") as file, pytest.raises(KeyboardInterrupt):
        copy_to(file, Source("origin", origin, bytes(1 << 20)), [Span(0, 1 << 20), Later(1, interrupted)], work)
    assert threading.active_count() == 1
    assert work.done == 1 << 12 < work.total


def test_a_skeleton_leaves_the_weights_where_they_are(tmp_path: Path) -> None:
    path = tmp_path / "whole.onnx"
    path.write_bytes(SMALL)
    old = graph_of(SMALL, path)
    new = with_pool(old)
    result = assemble(SMALL, skeleton(SMALL, old, new, path.name))
    assert len(result) < len(SMALL) // 20
    (tmp_path / "skeleton.onnx").write_bytes(result)
    feeds = feeds_of(old)
    assert run(tmp_path / "skeleton.onnx", feeds)[0].tolist() == run(SMALL, feeds)[0].tolist()


def test_a_loaded_model_can_be_patched_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "small.onnx"
    path.write_bytes(SMALL)
    mapped, inside = shapecalc.load(path).graph, graph_of(SMALL)
    results = [assemble(SMALL, segments(SMALL, graph, with_pool(graph))) for graph in (mapped, inside)]
    assert results[0] == results[1]
