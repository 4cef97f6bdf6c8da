"""A model of more than 2 GB: read, written as it was, changed and made ready for a proof, and nothing of it is moved.

Its weights are holes of a sparse file, so it takes no place and no time.
"""

from __future__ import annotations

import os
from pathlib import Path

import onnx
import pytest
from bench.big import write

import shapecalc
from shapecalc.formats.onnx.patch import segments
from shapecalc.source import Span
from shapecalc.verify.run import Runnable, runnable

MEGABYTES = 2300
#: The largest message that protobuf's own reader takes.
LIMIT = 1 << 31

pytestmark = pytest.mark.skipif(os.name == "nt", reason="sparse files")


@pytest.fixture(params=["inside", "beside"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The model, its weights inside the file or beside it."""
    made = tmp_path / "large.onnx"
    write(made, MEGABYTES, holes=True, external=request.param == "beside")
    assert max(file.stat().st_size for file in tmp_path.iterdir()) > LIMIT
    if sum(file.stat().st_blocks for file in tmp_path.iterdir()) * 512 > 1 << 24:
        pytest.skip("this file system has no sparse files")
    return made


def beside(path: Path) -> bool:
    return path.stat().st_size < LIMIT


def test_every_shape_is_known(path: Path) -> None:
    trace = shapecalc.load(path).trace()
    assert trace.ok
    assert trace.outputs[0].shape == (1, 1000)
    assert 4 * trace.params > LIMIT


def test_written_without_an_edit_it_is_the_same_file(path: Path) -> None:
    """Where the weights are inside, one span of the source, which the kernel copies."""
    model = shapecalc.load(path)
    assert model.source is not None
    pieces = segments(model.source.data, model.graph, model.graph.replace())
    assert pieces == [Span(0, path.stat().st_size)]
    if beside(path):
        copy = model.save(path.with_name("copy.onnx"))
        assert copy.read_bytes() == path.read_bytes()


def test_a_change_copies_no_weight(path: Path) -> None:
    model = shapecalc.load(path)
    if not beside(path):
        assert model.source is not None
        plan = model.retarget(classes=13)
        pieces = segments(model.source.data, model.graph, plan.graph, values=plan.trace.tensors)
        assert sum(len(piece) for piece in pieces if isinstance(piece, bytes)) < 2000
        return
    changed = model.retarget(classes=13).save(path.with_name("changed.onnx"), verify=False)
    assert changed.stat().st_size < 1 << 20
    onnx.checker.check_model(changed)
    before, after = (weights(onnx.load(file, load_external_data=False)) for file in (path, changed))
    assert len(before.items() & after.items()) == len(before) - 2  # the head's two are new


def weights(proto: onnx.ModelProto) -> dict[str, tuple[str, ...]]:
    """Where each weight lies: file, offset, length."""
    return {
        tensor.name: tuple({entry.key: entry.value for entry in tensor.external_data}.values())
        for tensor in proto.graph.initializer
    }


def test_a_proof_gets_a_few_kilobytes_that_name_the_weights_where_they_lie(path: Path) -> None:
    model = shapecalc.load(path)
    plan = model.retarget(classes=13)
    what = runnable(model, plan.graph, plan.trace, 0)
    assert what.proto.ByteSize() < 1 << 20
    assert what.arrays == {}
    assert what.folder == str(path.parent)
    places = weights(what.proto)
    kept = [param for param in model.graph.params.values() if param.where is not None and param.where.length >= 1024]
    named = [param for param in kept if param.name in places]
    assert len(named) == len(kept) - 2
    for param in named:
        assert param.where is not None
        expected = (Path(param.where.path).name, str(param.where.offset), str(param.where.length))
        assert places[param.name] == expected
    assert reaches(what, path)


def reaches(what: Runnable, path: Path) -> bool:
    """Whether some weight lies beyond what 32 bits can say."""
    return any(int(place[1]) > LIMIT for place in weights(what.proto).values() if place)


def test_it_is_told_from_a_file_that_was_cut_short(path: Path) -> None:
    if beside(path):
        pytest.skip("the numbers lie in another file")
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(shapecalc.ModelError, match=r"large\.onnx"):
        shapecalc.load(path)


def test_weights_that_one_message_cannot_hold_are_refused_with_the_widest_layer(tmp_path: Path) -> None:
    text = """
        input: "x" input_shape { dim: 1 dim: 30000 }
        layer { name: "fc" type: "InnerProduct" bottom: "x" top: "fc" inner_product_param { num_output: 30000 } }
    """
    with pytest.raises(shapecalc.RefusedError, match="do not fit into an ONNX file") as caught:
        shapecalc.loads(text, format="caffe").convert(tmp_path / "net.onnx", verify=False)
    assert "3,600,000,000 bytes" in str(caught.value.because)
    assert list(tmp_path.iterdir()) == []
