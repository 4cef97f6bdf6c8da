"""Rows of ONNX's operators beyond those of classification nets: worked cases from the specification's texts."""

from __future__ import annotations

from typing import Any

import pytest
from contributed_cases import CONTRIB, LAID_OUT, MORE, blocked, contrib
from test_operators import IMAGE, Case, called, ints, names, row_of, tensor

from shapecalc import dims
from shapecalc.dialects import get_dialect
from shapecalc.graph import Node, Tensor
from shapecalc.ops import Call, Scope
from shapecalc.ops.types import need_one_type


def floats(*values: float) -> Tensor:
    return Tensor((len(values),), "float32", values)


def scalar(value: int | float) -> Tensor:
    return Tensor((), "int64" if isinstance(value, int) else "float32", (value,))


RESIZED = [
    Case("Resize", (IMAGE, (), floats(1, 1, 2, 2.5)), {}, ((1, 8, 24, 25),)),
    Case("Resize", (IMAGE, floats(1, 1, 0.7, 0.3)), {}, ((1, 8, 8, 3),)),
    Case("Resize", (IMAGE, (), (0,), ints(1, 8, 7, 9)), {}, ((1, 8, 7, 9),)),
    Case("Resize", (IMAGE, (), floats(2), (0,)), {"axes": (-1,)}, ((1, 8, 12, 20),)),
    Case("Upsample", (IMAGE, floats(1, 1, 2, 3)), {}, ((1, 8, 24, 30),)),
    Case("Upsample", (IMAGE,), {"scales": (1.0, 1.0, 2.0, 3.0)}, ((1, 8, 24, 30),)),
    Case("Upsample", (IMAGE,), {"height_scale": 2.0, "width_scale": 1.5}, ((1, 8, 24, 15),)),
    Case("DepthToSpace", (IMAGE,), {"blocksize": 2}, ((1, 2, 24, 20),)),
    Case("SpaceToDepth", (IMAGE,), {"blocksize": 2}, ((1, 32, 6, 5),)),
    Case("CenterCropPad", (IMAGE, ints(20, 6)), {"axes": (2, 3)}, ((1, 8, 20, 6),)),
]
COUNTED = [
    Case("Range", (scalar(10), scalar(4), scalar(-2)), {}, ((3,),)),
    Case("Range", (scalar(0.0), scalar(1.0), scalar(0.3)), {}, ((4,),)),
    Case("ReduceMax", (IMAGE, (2,)), {"keepdims": 0}, (("?", "?"),)),
    *(Case(op, (IMAGE,), {}, (IMAGE,)) for op in ("CumSum", "CumProd", "Trilu", "EyeLike")),
    Case("TopK", (IMAGE, ints(3)), {"axis": 1}, ((1, 3, 12, 10), (1, 3, 12, 10))),
    Case("NonZero", (ints(1, 0, 2),), {}, ((1, 2),)),
    Case("NonZero", ((3, 4),), {}, ((2, "o0[1]"),)),
    Case("Unique", (ints(2, 1, 1),), {}, ((2,), (2,), (3,), (2,))),
    Case("Unique", ((3, 4),), {"axis": 1}, ((3, "o0[1]"), ("o0[1]",), (4,), ("o0[1]",))),
    Case("NonMaxSuppression", ((1, 100, 4), (1, 20, 100), ints(10)), {}, (("o0[0]", 3),)),
    Case("NonMaxSuppression", ((1, 100, 4), (1, 20, 100)), {}, ((0, 3),)),
    Case("Compress", (IMAGE, ints(0, 1, 1)), {"axis": 2}, ((1, 8, 2, 10),)),
    Case("Compress", (IMAGE, (3,)), {}, (("o0[0]",),)),
    Case("OneHot", ((3, 4), scalar(7), (2,)), {}, ((3, 4, 7),)),
    Case("OneHot", ((3, 4), scalar(7), (2,)), {"axis": 0}, ((7, 3, 4),)),
]
INDEXED = [
    Case("GatherElements", (IMAGE, (1, 2, 3, 4)), {"axis": 1}, ((1, 2, 3, 4),)),
    Case("GatherND", ((4, 5, 6, 7), (3, 2)), {}, ((3, 6, 7),)),
    Case("GatherND", ((4, 5, 6, 7), (4, 3, 1)), {"batch_dims": 1}, ((4, 3, 6, 7),)),
    *(Case(op, (IMAGE, (1, 2, 3, 4), (1, 2, 3, 4)), {}, (IMAGE,)) for op in ("Scatter", "ScatterElements")),
    Case("ScatterND", (IMAGE, (2, 1), (2, 8, 12, 10)), {}, (IMAGE,)),
    Case("TensorScatter", ((2, 8, 100, 64), (2, 8, 1, 64), ints(3, 5)), {}, ((2, 8, 100, 64),)),
]
TYPED = [
    *(Case(op, (IMAGE, (2, 2)), {"to": "float32"}, (IMAGE,)) for op in ("CastLike", "BitCast")),
    Case("Size", (IMAGE,), {}, ((),)),
]

SEQUENCE = (7, 2, 16)  # steps, batch, features
QUANTIZED = ((), ())  # a scale and a zero point


def rnn(gates: int, directions: int = 1) -> tuple[Any, ...]:
    return (SEQUENCE, (directions, gates * 5, 16), (directions, gates * 5, 5))


LEARNED = [
    Case("Det", ((2, 3, 4, 4),), {}, ((2, 3),)),
    *(Case(op, (IMAGE,), {}, (IMAGE,)) for op in ("LpNormalization", "MeanVarianceNormalization")),
    Case("RMSNormalization", (IMAGE, (10,)), {}, (IMAGE,)),
    Case("ReverseSequence", ((4, 4), (4,)), {}, ((4, 4),)),
    Case("NegativeLogLikelihoodLoss", ((3, 5, 6), (3, 6)), {}, ((),)),
    Case("NegativeLogLikelihoodLoss", ((3, 5, 6), (3, 6)), {"reduction": "none"}, ((3, 6),)),
    Case("RNN", rnn(1), {"hidden_size": 5}, ((7, 1, 2, 5), (1, 2, 5))),
    Case("GRU", rnn(3, 2), {"direction": "bidirectional"}, ((7, 2, 2, 5), (2, 2, 5))),
    Case("LSTM", rnn(4), {"layout": 1}, ((7, 2, 1, 5), (7, 1, 5), (7, 1, 5))),
    Case("Adagrad", ((), (), (3,), (3,), (3,)), {}, ((3,), (3,)), "ai.onnx.preview.training"),
    Case("Momentum", ((), (), (3,), (4,), *[(3,), (4,)] * 2), {}, ((3,), (4,)) * 2, "ai.onnx.preview.training"),
    Case("Adam", ((), (), *[(3,)] * 4), {}, ((3,),) * 3, "ai.onnx.preview.training"),
]
QUANTIZATION = [
    *(Case(f"{op}Linear", (IMAGE, *QUANTIZED), {}, (IMAGE,)) for op in ("Quantize", "Dequantize")),
    *(Case(f"{op}Linear", (IMAGE, *QUANTIZED), {}, (IMAGE,), "com.microsoft") for op in ("Quantize", "Dequantize")),
    Case("DynamicQuantizeLinear", (IMAGE,), {}, (IMAGE, (), ())),
    Case("QLinearConv", (IMAGE, *QUANTIZED, (4, 8, 3, 3), *QUANTIZED * 2), {}, ((1, 4, 10, 8),)),
    Case("ConvInteger", (IMAGE, (4, 8, 3, 3)), {"pads": (1, 1, 1, 1)}, ((1, 4, 12, 10),)),
    Case("QLinearMatMul", ((2, 3), *QUANTIZED, (3, 4), *QUANTIZED * 2), {}, ((2, 4),)),
    Case("MatMulInteger", ((2, 3), (3, 4)), {}, ((2, 4),)),
]
ATTENDED = [
    Case("Einsum", ((2, 3, 4), (2, 4, 5)), {"equation": "bij, bjk -> bik"}, ((2, 3, 5),)),
    Case("Einsum", ((2, 3, 4), (4, 5)), {"equation": "...i,ij"}, ((2, 3, 5),)),
    Case("Einsum", ((3, 3),), {"equation": "ii->i"}, ((3,),)),
    Case(
        "Attention",
        ((2, 8, 5, 16), (2, 8, 7, 16), (2, 8, 7, 20), (), (2, 8, 3, 16), (2, 8, 3, 20)),
        {},
        ((2, 8, 5, 20), (2, 8, 10, 16), (2, 8, 10, 20), (2, 8, 5, 10)),
    ),
    Case("Attention", ((2, 5, 64), (2, 7, 32), (2, 7, 48)), {"q_num_heads": 4, "kv_num_heads": 2}, ((2, 5, 96),)),
    Case("FlexAttention", ((2, 8, 5, 16), (2, 8, 7, 16), (2, 8, 7, 20)), {}, ((2, 8, 5, 20),), "ai.onnx.preview"),
    Case("RotaryEmbedding", ((2, 8, 5, 16), (50, 8), (50, 8)), {}, ((2, 8, 5, 16),)),
    Case(
        "LinearAttention",
        ((2, 5, 64), (2, 5, 32), (2, 5, 48)),
        {"q_num_heads": 4, "kv_num_heads": 2},
        ((2, 5, 96), (2, 2, 16, 24)),
    ),
    Case("CausalConvWithState", ((2, 6, 9), (6, 1, 4)), {}, ((2, 6, 9), (2, 6, 3))),
]
SIGNALS = [
    *(Case(f"{op}Window", (scalar(10),), {}, ((10,),)) for op in ("Blackman", "Hamming", "Hann")),
    Case("DFT", ((1, 10, 8, 1),), {}, ((1, 10, 8, 2),)),
    Case("DFT", ((1, 10, 8, 1), scalar(6), scalar(1)), {"onesided": 1}, ((1, 4, 8, 2),)),
    Case("DFT", ((1, 5, 2),), {"onesided": 1, "inverse": 1}, ((1, 8, 1),)),
    Case("STFT", ((1, 128, 1), scalar(8), (16,)), {}, ((1, 15, 9, 2),)),
    Case("STFT", ((1, 128, 2), scalar(8), (16,), scalar(16)), {"onesided": 0}, ((1, 15, 16, 2),)),
    Case("MelWeightMatrix", (scalar(8), scalar(16), scalar(8192)), {}, ((9, 8),)),
    *(Case(f"Random{kind}", (), {"shape": (2, 3)}, ((2, 3),)) for kind in ("Normal", "Uniform")),
    *(Case(op, (IMAGE,), {}, (IMAGE,)) for op in ("RandomNormalLike", "RandomUniformLike", "Bernoulli")),
    Case("Multinomial", ((4, 10),), {"sample_size": 3}, ((4, 3),)),
]
SAMPLED = [
    Case("GridSample", (IMAGE, (1, 6, 5, 2)), {}, ((1, 8, 6, 5),)),
    Case("AffineGrid", ((2, 2, 3), ints(2, 3, 5, 6)), {}, ((2, 5, 6, 2),)),
    Case("Col2Im", ((1, 5, 5), ints(5, 5), ints(1, 5)), {}, ((1, 1, 5, 5),)),
    Case("RoiAlign", (IMAGE, (6, 4), (6,)), {"output_height": 7, "output_width": 5}, ((6, 8, 7, 5),)),
    Case("MaxRoiPool", (IMAGE, (6, 5)), {"pooled_shape": (7, 5)}, ((6, 8, 7, 5),)),
    Case("MaxUnpool", (IMAGE, IMAGE), {"kernel_shape": (2, 2), "strides": (2, 2)}, ((1, 8, 24, 20),)),
    Case("MaxUnpool", (IMAGE, IMAGE, ints(1, 8, 25, 21)), {"kernel_shape": (2, 2)}, ((1, 8, 25, 21),)),
    Case("DeformConv", (IMAGE, (4, 8, 3, 3), (1, 18, 10, 8)), {}, ((1, 4, 10, 8),)),
]
TEXTS = [
    Case("StringConcat", ((2, 1), (3,)), {}, ((2, 3),)),
    Case("StringNormalizer", ((5,),), {}, ((5,),)),
    Case("StringNormalizer", ((1, 5),), {"stopwords": ("a",)}, ((1, "o0[1]"),)),
    Case("StringSplit", ((3,),), {}, ((3, "o0[1]"), (3,))),
    Case("RegexFullMatch", ((3,),), {}, ((3,),)),
    Case("TfIdfVectorizer", ((2, 9),), {"ngram_indexes": (0, 3, 1)}, ((2, 4),)),
    Case("ImageDecoder", ((900,),), {}, (("o0[0]", "o0[1]", 3),)),
]
CLASSICAL = [
    *(
        Case(op, ((4, 6),), {}, ((4, 6),), "ai.onnx.ml")
        for op in "Binarizer CategoryMapper Imputer LabelEncoder Normalizer Scaler".split()
    ),
    *(
        Case(op, ((4, 6),), {"classlabels_strings": ("a", "b")}, ((4,), (4, 2)), "ai.onnx.ml")
        for op in ("LinearClassifier", "TreeEnsembleClassifier", "SVMClassifier")
    ),
    *(
        Case("SVMClassifier", ((4, 6),), {"vectors_per_class": counts, **more}, ((4,), (4, scores)), "ai.onnx.ml")
        for counts, more, scores in (
            ((3, 3), {}, 2),
            ((3, 3, 3, 3), {}, 6),
            ((3, 3, 3, 3), {"prob_a": (0.1,) * 6}, 4),
        )
    ),
    Case("LinearRegressor", ((4, 6),), {"targets": 3}, ((4, 3),), "ai.onnx.ml"),
    Case("SVMRegressor", ((4, 6),), {}, ((4, 1),), "ai.onnx.ml"),
    Case("DictVectorizer", ((4, 6),), {"string_vocabulary": ("a", "b")}, ((1, 2),), "ai.onnx.ml"),
    *(
        Case(op, ((4, 6),), {"n_targets": 3}, ((4, 3),), "ai.onnx.ml")
        for op in ("TreeEnsemble", "TreeEnsembleRegressor")
    ),
    Case("FeatureVectorizer", ((4, 6), (4, 2)), {"inputdimensions": (6, 2)}, ((4, 8),), "ai.onnx.ml"),
    Case("OneHotEncoder", ((4, 6),), {"cats_int64s": (1, 2, 3)}, ((4, 6, 3),), "ai.onnx.ml"),
    Case("ArrayFeatureExtractor", ((4, 6), (1, 2)), {}, ((4, 2),), "ai.onnx.ml"),
    *(Case(op, ((4, 6),), {}, ("?",), "ai.onnx.ml") for op in ("CastMap", "ZipMap")),
]
CASES = [
    *RESIZED,
    *COUNTED,
    *INDEXED,
    *TYPED,
    *LEARNED,
    *QUANTIZATION,
    *ATTENDED,
    *SIGNALS,
    *SAMPLED,
    *TEXTS,
    *CLASSICAL,
    *CONTRIB,
    *MORE,
    *LAID_OUT,
]


def spelled(shape: Any) -> Any:
    """A shape with its symbols as text."""
    return tuple(d if isinstance(d, int) else str(d) for d in shape) if isinstance(shape, tuple) else str(shape)


@pytest.mark.parametrize("case", CASES, ids=names)
def test_shapes_are_those_of_the_case(case: Case) -> None:
    call = called(case, [tensor(value) if value is not None else None for value in case.inputs])
    row = row_of(case)
    needs = list(row.needs(call)) if row.needs is not None else []
    assert not any(dims.failed(need.verdict) for need in needs)
    assert tuple(map(spelled, row.shapes(call))) == case.outputs


def test_channels_that_fill_no_block_are_left_open() -> None:
    case = blocked("ReorderInput", ((1, 12, 6, 6),), {"channels_last": 0}, ("?",))
    (shape,) = row_of(case).shapes(called(case, [tensor((1, 12, 6, 6))]))
    assert isinstance(shape, tuple)
    assert isinstance(shape[1], dims.Unknown)
    assert (shape[0], *shape[2:]) == (1, 6, 6)


TYPES = [
    ("MaxPool", ["float32"], {"kernel_shape": (2, 2)}, 2, "", ["float32", "int64"]),
    ("MaxPool", ["uint8"], {"kernel_shape": (2, 2)}, 1, "", "uint8"),
    ("QLinearConv", ["uint8", "float32", "uint8", "int8", "float32", "int8", "float32", "int8"], {}, 1, "", "int8"),
    ("QGemm", ["uint8", "float32", "uint8"] * 2 + ["int32", "float32", "int8"], {}, 1, "com.microsoft", "int8"),
    ("QGemm", ["uint8", "float32", "uint8"] * 2, {}, 1, "com.microsoft", "float32"),
]


@pytest.mark.parametrize(("op", "given", "attrs", "outputs", "domain", "wanted"), TYPES)
def test_element_types_of_indices_and_of_quantized_results(
    op: str, given: list[str], attrs: dict[str, Any], outputs: int, domain: str, wanted: Any
) -> None:
    case = Case(op, (), attrs, (IMAGE,) * outputs, domain)
    row = row_of(case)
    assert row.dtype is not None
    assert row.dtype(called(case, [Tensor(IMAGE, dtype) for dtype in given])) == wanted


@pytest.mark.parametrize(
    ("op", "indices", "fits"),
    [
        *(("Gather", indices, True) for indices in ((0, 9), (-10, 3))),
        *(("Gather", indices, False) for indices in ((0, 10), (-11, 3))),
        ("GatherElements", (0, 11), True),
        ("GatherElements", (0, 12), False),
    ],
)
def test_indices_that_are_known_lie_on_their_axis(op: str, indices: tuple[int, ...], fits: bool) -> None:
    axis = 3 if op == "Gather" else 2
    call = called(Case(op, (), {"axis": axis}, (IMAGE,)), [tensor(IMAGE), ints(*indices)])
    needs = row_of(Case(op, (), {}, ())).needs
    assert needs is not None
    (need,) = needs(call)
    assert need.verdict is fits
    outside = next(i for i in (*indices, None) if i is None or not -IMAGE[axis] <= i < IMAGE[axis])
    assert fits or f"takes element {outside} of {IMAGE[axis]} that giver gives" in need.words().message


@pytest.mark.parametrize(
    ("indices", "batched", "words"),
    [
        ((0, 7, 0, -8), 0, ""),
        ((0, 7, 1, 7), 0, "r takes element 1 of 1 that giver gives"),
        ((7, 11, 0, 0), 1, ""),
        ((7, 12, 0, 0), 1, "r takes element 12 of 12 that giver gives"),
    ],
)
def test_indices_of_several_axes_lie_on_theirs(indices: tuple[int, ...], batched: int, words: str) -> None:
    table = Tensor((2, 2), "int64", indices)
    call = called(Case("GatherND", (), {"batch_dims": batched}, (IMAGE,)), [tensor(IMAGE), table])
    row = row_of(Case("GatherND", (), {}, ()))
    assert row.needs is not None
    failing = [need.words().message for need in row.needs(call) if dims.failed(need.verdict)]
    assert [text.partition(" ")[2] for text in failing] == [words.partition(" ")[2]] * bool(words)


@pytest.mark.parametrize(
    ("attrs", "wanted"), [({}, (1, 7, 1, 1, 1, 7)), ({"axis": 1}, (1, 7, 1, 1, 1, 7)), ({"axis": 0}, None)]
)
def test_one_hot_rows_are_carried(attrs: dict[str, Any], wanted: tuple[int, ...] | None) -> None:
    case = Case("OneHot", (), attrs, (IMAGE,))
    contents = row_of(case).contents
    assert contents is not None
    assert contents(called(case, [ints(1, -1), scalar(3), ints(1, 7)])) == wanted


@pytest.mark.parametrize(
    ("op", "types", "words"),
    [
        ("Add", ("float32", "float16"), "r takes one element type, a gives float32 and b float16"),
        ("Concat", ("int64", None, "int32"), "r takes one element type, a gives int64 and c int32"),
        ("Where", ("bool", "float32", "float64"), "r takes one element type, b gives float32 and c float64"),
        ("Where", ("bool", "float32", "float32"), None),
        ("Pow", ("float32", "int64"), None),
        ("Conv", ("float16", "float16", None), None),
    ],
)
def test_inputs_that_share_an_element_type(op: str, types: tuple[str | None, ...], words: str | None) -> None:
    node = Node("r", op, tuple("abc"[: len(types)]), ("y",))
    need = need_one_type(Call(node, [Tensor((2, 3), dtype) for dtype in types], Scope(get_dialect("onnx"))))
    assert (None if need is None else need.words().message) == words


@pytest.mark.parametrize(("flag", "fits"), [(1, True), (0, False)])
def test_a_fused_product_needs_what_a_product_needs(flag: int, fits: bool) -> None:
    case = contrib("FusedMatMul", (), {"transB": flag}, (2, 3, 5))
    row = row_of(case)
    assert row.needs is not None
    verdicts = [need.verdict for need in row.needs(called(case, [tensor((2, 3, 7)), tensor((2, 5, 7))]))]
    assert any(map(dims.failed, verdicts)) is not fits
