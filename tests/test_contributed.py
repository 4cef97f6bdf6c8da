"""Cases of onnxruntime's own operators, run in onnxruntime: what comes out has the shapes of the case."""

from __future__ import annotations

from typing import Any

import numpy
import onnx
import onnxruntime
import pytest
from contributed_cases import CONTRIB, LAID_OUT, MORE
from onnx import TensorProto, helper
from test_operators import Case, names

from shapecalc.graph import Tensor

F, U8, I8, I32, I64 = (
    TensorProto.FLOAT,
    TensorProto.UINT8,
    TensorProto.INT8,
    TensorProto.INT32,
    TensorProto.INT64,
)
#: Element types of the inputs where they are not all float.
TYPES: dict[str, tuple[int, ...]] = {
    "ConvTransposeWithDynamicPads": (F, F, I64),
    "CropAndResize": (F, F, I32, I32),
    "DecoderMaskedMultiHeadAttention": (F,) * 7,
    "EmbedLayerNormalization": (I32, I32, F, F, F, F, F),
    "ExpandDims": (F, I32),
    "GatherBlockQuantized": (U8, I64, F),
    "GatherND": (F, I64),
    "GreedySearch": (I32, I32),
    "GroupQueryAttention": (F, F, F, F, F, I32, I32),
    "MatMulInteger16": (TensorProto.INT16, TensorProto.INT16),
    "MaxpoolWithMask": (F, I32),
    "MulInteger": (U8, U8, U8, U8),
    "MultiHeadAttention": (F, F, F, F, I32, F, F, F, I32),
    "MurmurHash3": (I32,),
    "NGramRepeatBlock": (I64, F),
    "Pad": (F, I64),
    "QAttention": (U8, I8, F, F, F, I32, U8, I8),
    "QGemm": (U8, F, U8, I8, F, I8, I32, F, U8),
    "QLinearAdd": (U8, F, U8, U8, F, U8, F),
    "QLinearAveragePool": (U8, F, U8, F, U8),
    "QLinearConcat": (F, U8, U8, F, U8, U8, F, U8),
    "QLinearConv": (U8, F, U8, I8, F, I8, F, U8),
    "QLinearGlobalAveragePool": (U8, F, U8, F, U8),
    "QLinearMul": (U8, F, U8, U8, F, U8, F),
    "ReduceSumInteger": (U8,),
    "RelativePositionBias": (F, I64, I64),
    "Range": (I64, I64, I64),
    "SparseAttention": (F, F, F, F, F, I32, I32, I32, I32),
    "Unique": (F,),
    "WordConvEmbedding": (I32, F, F, F),
}
#: Operators that have code for the CPU; the others run on GPUs alone, or need whole graphs and packed weights.
RUN = frozenset(
    "Attention AveragePool BranchwiseRMSNorm CDist ConvTransposeWithDynamicPads EmbedLayerNormalization ExpandDims "
    "FastGelu FusedConv FusedGemm FusedMatMul GatherND Gelu GlobalAveragePool GlobalMaxPool GridSample "
    "MatMulInteger16 MaxPool MaxpoolWithMask MurmurHash3 NGramRepeatBlock Pad QAttention QGemm QLinearAdd "
    "QLinearAveragePool QLinearConcat QLinearConv QLinearGlobalAveragePool QLinearMul QuickGelu Range ReorderInput "
    "ReorderOutput ScaledSiLU SimplifiedLayerNormalization SkipLayerNormalization TransposeMatMul Trilu UnfoldTensor "
    "Unique Upsample WordConvEmbedding".split()
)
#: Those that run with some of their inputs only.
CHOSEN = [
    case
    for case in MORE
    if (case.op, len(case.inputs)) in {("MultiHeadAttention", 9), ("GroupQueryAttention", 7), ("MultiHeadAttention", 3)}
    and isinstance(case.inputs[-1], Tensor)
]


def built(case: Case) -> tuple[bytes, dict[str, Any]]:
    """A model of the one node, and noise for its inputs."""
    kinds = TYPES.get(case.op, (F,) * 20)
    rng = numpy.random.default_rng(0)
    given, feeds, wanted, weights = [], {}, [], []
    for at, value in enumerate(case.inputs):
        wanted.append("" if value is None else f"x{at}")
        if value is None:
            continue
        kind = helper.tensor_dtype_to_np_dtype(kinds[at])
        if isinstance(value, Tensor):
            assert isinstance(value.shape, tuple)
            weights.append(
                onnx.numpy_helper.from_array(numpy.array(value.contents, kind).reshape(value.shape), f"x{at}")
            )
            continue
        given.append(helper.make_tensor_value_info(f"x{at}", kinds[at], value))
        made = rng.standard_normal(value) if kinds[at] == F else rng.integers(0, 2, value)
        feeds[f"x{at}"] = numpy.asarray(made).astype(kind)
    outputs = [f"y{at}" for at in range(len(case.outputs))]
    node = helper.make_node(case.op, wanted, outputs, domain=case.domain, **case.attrs)
    infos = [onnx.ValueInfoProto(name=name) for name in outputs]
    graph = helper.make_graph([node], "one", given, infos, weights)
    domains = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=domains, ir_version=8).SerializeToString(), feeds


@pytest.mark.parametrize("case", [*CHOSEN, *(c for c in (*CONTRIB, *MORE, *LAID_OUT) if c.op in RUN)], ids=names)
def test_onnxruntime_gives_the_shapes_of_the_case(case: Case) -> None:
    model, feeds = built(case)
    onnxruntime.set_default_logger_severity(4)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    found = [value.shape for value in session.run(None, feeds)]
    assert len(found) == len(case.outputs)
    for shape, told in zip(found, case.outputs, strict=True):
        assert len(shape) == len(told)
        assert all(isinstance(size, str) or size == came for size, came in zip(told, shape, strict=True))
