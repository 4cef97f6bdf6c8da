"""Worked cases of onnxruntime's own operators; `test_contributed` runs those that it has for the CPU."""

from __future__ import annotations

from typing import Any

from test_operators import IMAGE, Case, ints

from shapecalc.graph import Tensor


def scalar(value: int) -> Tensor:
    return Tensor((), "int64", (value,))


#: A scale and a zero point.
QUANTIZED = ((), ())

TOKENS = (2, 5, 64)


def contrib(op: str, inputs: tuple[Any, ...], attrs: dict[str, Any], *outputs: Any) -> Case:
    return Case(op, inputs, attrs, outputs, "com.microsoft")


CONTRIB = [
    *(
        contrib(op, (TOKENS,), {}, TOKENS)
        for op in "BiasGelu BiasDropout BiasSoftmax FastGelu Gelu QuickGelu QLinearLeakyRelu QLinearSigmoid "
        "QLinearSoftmax RotaryEmbedding GroupNorm Inverse Trilu BiasAdd DequantizeWithOrder QuantizeWithOrder".split()
    ),
    *(
        Case(op, (TOKENS, TOKENS, (64,)), {}, (TOKENS, (2, 5, 1), (2, 5, 1), TOKENS), domain)
        for op, domain in [
            ("SkipLayerNormalization", "com.microsoft"),
            ("SkipSimplifiedLayerNormalization", "com.microsoft"),
            ("SkipSimplifiedLayerNormalization", ""),
        ]
    ),
    Case("SimplifiedLayerNormalization", (TOKENS, (64,)), {}, (TOKENS, (2, 5, 1))),
    *(contrib(f"QLinear{op}", (IMAGE, (), (), (8, 1, 1), (), (), ()), {}, IMAGE) for op in ("Add", "Mul")),
    contrib("QLinearAveragePool", (IMAGE, (), (), (), ()), {"kernel_shape": (2, 2)}, (1, 8, 11, 9)),
    contrib("QLinearGlobalAveragePool", ((1, 12, 10, 8), (), (), (), ()), {"channels_last": 1}, (1, 1, 1, 8)),
    contrib("QLinearConcat", ((), (), IMAGE, (), (), (1, 4, 12, 10), (), ()), {"axis": 1}, (1, 12, 12, 10)),
    contrib("QLinearReduceMean", (IMAGE, (), (), (), ()), {"axes": (2, 3)}, (1, 8, 1, 1)),
    contrib("QLinearWhere", (IMAGE, IMAGE, (), (), (8, 1, 1), (), (), (), ()), {}, IMAGE),
    contrib("FusedConv", (IMAGE, (4, 8, 3, 3), (4,)), {"activation": "Relu"}, (1, 4, 10, 8)),
    contrib("FusedGemm", ((3, 7), (5, 7), (5,)), {"transB": 1, "activation": "Relu"}, (3, 5)),
    *(contrib(op, ((2, 3, 7), (2, 5, 7)), {"transB": 1}, (2, 3, 5)) for op in ("FusedMatMul", "TransposeMatMul")),
    contrib("FusedMatMul", ((3, 2, 7), (2, 7, 5)), {"transBatchA": 1}, (2, 3, 5)),
    *(
        contrib(op, (TOKENS, (48, 2, 16), (96,)), {"K": 64, "N": 48}, (2, 5, 48))
        for op in ("MatMulNBits", "MatMulBnb4")
    ),
    *(contrib(op, ((2, 3), (3, 4)), {}, (2, 4)) for op in ("DynamicQuantizeMatMul", "MatMulInteger16")),
    contrib("MatMulIntegerToFloat", ((2, 3), (3, 4), ()), {}, (2, 4)),
    contrib("Attention", (TOKENS, (64, 192), (192,)), {"num_heads": 4}, TOKENS, (2, 2, 4, 5, 16)),
    contrib(
        "MultiHeadAttention",
        (TOKENS, (2, 7, 64), (2, 7, 32)),
        {"num_heads": 4},
        (2, 5, 32),
        (2, 4, 7, 16),
        (2, 4, 7, 8),
    ),
    contrib("MultiHeadAttention", ((2, 5, 4, 3, 16),), {"num_heads": 4}, TOKENS),
    contrib(
        "GroupQueryAttention",
        ((2, 5, 96), None, None, None, None, (2,), scalar(9)),
        {"num_heads": 4, "kv_num_heads": 1},
        TOKENS,
        (2, 1, 9, 16),
    ),
]
LSTM8 = ((7, 2, 16), (2, 16, 48), (2, 12, 48), (2, 96))
QGEMM = ((3, 7), *QUANTIZED, (5, 7), *QUANTIZED, (5,), *QUANTIZED)


def blocked(op: str, inputs: tuple[Any, ...], attrs: dict[str, Any], *outputs: Any) -> Case:
    return Case(op, inputs, attrs, outputs, "com.microsoft.nchwc")


#: What onnxruntime's optimizer writes when it may choose how channels lie.
LAID_OUT = [
    contrib("NhwcMaxPool", ((1, 12, 10, 8),), {"kernel_shape": (3, 3), "strides": (2, 2)}, (1, 5, 4, 8)),
    contrib("QGemm", QGEMM, {"transB": 1}, (3, 5)),
    contrib(
        "QLinearConv",
        ((1, 12, 10, 8), *QUANTIZED, (4, 8, 3, 3), *QUANTIZED * 2),
        {"channels_last": 1},
        (1, 10, 8, 4),
    ),
    contrib(
        "DynamicQuantizeLSTM",
        LSTM8,
        {"direction": "bidirectional", "hidden_size": 12},
        (7, 2, 2, 12),
        *((2, 2, 12),) * 2,
    ),
    blocked("ReorderInput", ((1, 32, 12, 10),), {"channels_last": 0}, (1, 32, 12, 10)),
    blocked("ReorderInput", ((1, 12, 10, 32),), {"channels_last": 1}, (1, 32, 12, 10)),
    blocked("ReorderOutput", ((1, 16, 12, 10),), {"channels": 12, "channels_last": 0}, (1, 12, 12, 10)),
    blocked("ReorderOutput", ((1, 16, 12, 10),), {"channels": 12, "channels_last": 1}, (1, 12, 10, 12)),
    blocked("Conv", ((1, 32, 12, 10), (16, 24, 3, 3), (16,)), {"group": 1, "activation": "Relu"}, (1, 16, 10, 8)),
    blocked("MaxPool", ((1, 32, 12, 10),), {"kernel_shape": (2, 2), "strides": (2, 2)}, (1, 32, 6, 5)),
    blocked("AveragePool", ((1, 32, 12, 10),), {"kernel_shape": (3, 3)}, (1, 32, 10, 8)),
    *(blocked(f"Global{kind}Pool", ((1, 32, 12, 10),), {}, (1, 32, 1, 1)) for kind in ("Average", "Max")),
    blocked("Upsample", ((1, 32, 12, 10),), {"scales": (1, 1, 2, 3)}, (1, 32, 24, 30)),
]

WORDS = ((2, 5), (2, 5), (100, 64), (16, 64), (2, 64), (64,), (64,))
QUERY, KEPT = (2, 1, 64), (2, 4, 7, 16)
#: Attention of language models, what stands around it, and forms that left ONNX.
MORE = [
    *(
        contrib(op, (TOKENS,), {}, TOKENS)
        for op in "MRotaryEmbedding ScaledSiLU GatedAdd GatedRMSNorm BranchwiseRMSNorm QOrderedGelu "
        "QOrderedLayerNormalization MoE QMoE LongformerAttention".split()
    ),
    *(Case(op, (IMAGE,), {}, (IMAGE,)) for op in ("Affine", "ImageScaler", "ParametricSoftplus", "ScaledTanh")),
    contrib("SkipGroupNorm", (IMAGE,), {}, IMAGE, IMAGE),
    contrib(
        "Attention", (TOKENS, (64, 192), (192,), None, (2, 2, 4, 7, 16)), {"num_heads": 4}, TOKENS, (2, 2, 4, 12, 16)
    ),
    contrib(
        "Attention",
        (TOKENS, (64, 160), (160,)),
        {"num_heads": 4, "qkv_hidden_sizes": (64, 64, 32)},
        (2, 5, 32),
    ),
    contrib(
        "DecoderMaskedSelfAttention",
        (QUERY, (64, 192), (192,), None, (2, 2, 4, 9, 16)),
        {"num_heads": 4, "past_present_share_buffer": 1},
        QUERY,
        (2, 2, 4, 9, 16),
    ),
    contrib(
        "QAttention",
        (TOKENS, (64, 192), (192,), (), (), None, (), ()),
        {"num_heads": 4},
        TOKENS,
        (2, 2, 4, 5, 16),
    ),
    contrib("PackedAttention", ((9, 64), (64, 192), (192,), (2, 5), (3,)), {"num_heads": 4}, (9, 64)),
    contrib("PackedMultiHeadAttention", ((9, 4, 3, 16), None, None, None, (2, 5), (3,)), {"num_heads": 4}, (9, 64)),
    contrib("PackedMultiHeadAttention", ((9, 64), (9, 64), (9, 32)), {"num_heads": 4}, (9, 32)),
    contrib(
        "MultiHeadAttention",
        (TOKENS, TOKENS, TOKENS, None, None, None, KEPT, KEPT),
        {"num_heads": 4},
        TOKENS,
        (2, 4, 12, 16),
        (2, 4, 12, 16),
        (2, 4, 5, 12),
    ),
    contrib(
        "MultiHeadAttention",
        (QUERY, QUERY, QUERY, None, None, None, KEPT, KEPT, ints(3)),
        {"num_heads": 4},
        QUERY,
        KEPT,
        KEPT,
    ),
    contrib(
        "DecoderMaskedMultiHeadAttention",
        (QUERY, QUERY, QUERY, None, None, KEPT, KEPT),
        {"num_heads": 4},
        QUERY,
        (2, 4, 8, 16),
        (2, 4, 8, 16),
    ),
    contrib("DecoderMaskedMultiHeadAttention", (QUERY, KEPT, KEPT), {"num_heads": 4}, QUERY),
    contrib("DecoderMaskedMultiHeadAttention", ((2, 1, 192),), {"num_heads": 4}, QUERY),
    contrib(
        "GroupQueryAttention",
        (QUERY, (2, 1, 32), (2, 1, 32), (2, 2, 7, 16), (2, 2, 7, 16), (2,), scalar(8)),
        {"num_heads": 4, "kv_num_heads": 2},
        QUERY,
        (2, 2, 8, 16),
        (2, 2, 8, 16),
    ),
    contrib(
        "GroupQueryAttention",
        (QUERY, (2, 1, 32), (2, 1, 32), None, None, (2,), ()),
        {"num_heads": 4, "kv_num_heads": 2},
        QUERY,
        (2, 2, "o1[2]", 16),
        (2, 2, "o1[2]", 16),
    ),
    contrib(
        "SparseAttention",
        (QUERY, (2, 1, 32), (2, 1, 32), (2, 2, 9, 16), (2, 2, 9, 16), (1, 2), (1, 1), scalar(8), (2,)),
        {"num_heads": 4, "kv_num_heads": 2, "sparse_block_size": 16},
        QUERY,
        (2, 2, 9, 16),
        (2, 2, 9, 16),
    ),
    contrib(
        "PagedAttention",
        ((9, 64), (9, 32), (9, 32), (10, 4, 2, 16), (10, 4, 2, 16)),
        {"num_heads": 4, "kv_num_heads": 2},
        (9, 64),
        (10, 4, 2, 16),
        (10, 4, 2, 16),
    ),
    *(contrib(f"{q}EmbedLayerNormalization", WORDS, {}, TOKENS, (2,)) for q in ("", "Q")),
    contrib("RelativePositionBias", ((32, 4), scalar(5), scalar(7)), {"max_distance": 16}, (1, 4, 5, 7)),
    contrib("GatedRelativePositionBias", (TOKENS,), {"num_heads": 4}, (2, 4, 5, 5)),
    contrib("RemovePadding", (TOKENS, (2,)), {}, ("o0[0]", 64), (2, 5), (3,), (1,)),
    contrib("RestorePadding", ((9, 64), (2, 5)), {}, TOKENS),
    *(
        contrib(
            op,
            ((2, 5), ints(20), ints(1), ints(4), ints(3)),
            {"vocab_size": 50},
            (2, 3, 20),
            (2, 3),
            ("o2[0]", 2, 4, 50),
        )
        for op in ("BeamSearch", "WhisperBeamSearch")
    ),
    *(contrib(op, ((2, 5), ints(20)), {"vocab_size": 50}, (2, 20)) for op in ("GreedySearch", "Sampling")),
    contrib(
        "LinearAttention",
        (TOKENS, (2, 5, 32), (2, 5, 48)),
        {"q_num_heads": 4, "kv_num_heads": 2, "state_window": 3},
        (2, 5, 96),
        (3, 2, 2, 16, 24),
    ),
    contrib("CausalConvWithState", ((2, 6, 9), (6, 1, 4)), {}, (2, 6, 9), (2, 6, 3)),
    contrib("TorchEmbedding", ((100, 64), (2, 5)), {}, TOKENS),
    contrib("GatherBlockQuantized", ((100, 64), (2, 5), (100, 4)), {"block_size": 16}, TOKENS),
    contrib("Unique", ((9,),), {}, ("o0[0]",), (9,), ("o0[0]",)),
    contrib("Tokenizer", ((2,),), {}, (2, "o0[1]")),
    contrib("WordConvEmbedding", ((5, 20), (64, 1, 3, 8), (64,), (100, 8)), {}, (5, 64)),
    contrib("NGramRepeatBlock", ((2, 5), (2, 50)), {"ngram_size": 2}, (2, 50)),
    contrib("MurmurHash3", ((2, 5),), {}, (2, 5)),
    contrib("CropAndResize", (IMAGE, (6, 4), (6,), ints(7, 9)), {}, (6, 8, 7, 9)),
    contrib("ExpandDims", (IMAGE, scalar(-1)), {}, (*IMAGE, 1)),
    contrib("UnfoldTensor", ((2, 20),), {"dim": 1, "size": 6, "step": 3}, (2, 5, 6)),
    contrib("Rfft", ((2, 20),), {"signal_ndim": 1, "onesided": 1, "normalized": 0}, (2, 11, 2)),
    contrib("Irfft", ((2, 11, 2),), {"signal_ndim": 1, "onesided": 1, "normalized": 0}, (2, 20)),
    contrib("CDist", ((4, 6), (5, 6)), {"metric": "euclidean"}, (4, 5)),
    contrib("IsAllFinite", (IMAGE,), {}, ()),
    *(contrib(f"Bitmask{bias}Dropout", (IMAGE,), {}, IMAGE, (30,)) for bias in ("", "Bias")),
    contrib("BiasSplitGelu", (TOKENS, (64,)), {}, (2, 5, 32)),
    contrib("GemmaRotaryEmbedding", ((2, 5, 16), *[(2, 4, 5, 16)] * 4), {}, *[(2, 4, 5, 16)] * 2),
    contrib("MatMulNBitsMlp", (TOKENS,), {"N": 48}, (2, 5, 48), TOKENS),
    contrib("MatMulNBitsQkv", (TOKENS,), {"Nq": 48, "Nkv": 12}, (2, 5, 48), (2, 5, 12), (2, 5, 12), TOKENS),
    contrib("MatMulFpQ4", (TOKENS, (900,), ints(64, 48)), {}, (2, 5, 48)),
    *(contrib(op, ((2, 5, 2), (5, 2)), {}, (2, 5, 2)) for op in ("ComplexMul", "ComplexMulConj")),
    contrib("MulInteger", (IMAGE, (), (8, 1, 1), ()), {}, IMAGE),
    contrib("AttnLSTM", ((7, 2, 16), (1, 20, 16), (1, 20, 5)), {"hidden_size": 5}, (7, 1, 2, 5), (1, 2, 5), (1, 2, 5)),
    contrib("MaxpoolWithMask", (IMAGE, IMAGE), {"kernel_shape": (2, 2), "strides": (2, 2)}, (1, 8, 6, 5)),
    contrib(
        "ConvTransposeWithDynamicPads",
        (IMAGE, (8, 4, 4, 4), ints(1, 1, 1, 1)),
        {"strides": (2, 2)},
        (1, 4, 24, 20),
    ),
    contrib("ReduceSumInteger", (IMAGE,), {"axes": (2, 3), "keepdims": 0}, (1, 8)),
    contrib("Pad", (IMAGE, ints(0, 0, 1, 2, 0, 0, 3, 4)), {}, (1, 8, 16, 16)),
    contrib("Range", (scalar(2), scalar(12), scalar(3)), {}, (4,)),
    contrib("GatherND", ((4, 5, 6, 7), (3, 2)), {}, (3, 6, 7)),
    contrib("GridSample", (IMAGE, (1, 6, 5, 2)), {}, (1, 8, 6, 5)),
    *(contrib(op, ((1, 12, 10, 8), (4, 8, 3, 3), (4,)), {}, (1, 10, 8, 4)) for op in ("NhwcConv", "NhwcFusedConv")),
    contrib("GemmFastGelu", (TOKENS, (64, 48), (48,)), {}, (2, 5, 48)),
    contrib("GemmFloat8", ((3, 7), (5, 7)), {"transB": 1}, (3, 5)),
    contrib("FusedMatMulActivation", ((2, 3, 7), (2, 5, 7)), {"transB": 1, "activation": "Relu"}, (2, 3, 5)),
    *(
        Case(
            "EfficientNMS_TRT",
            ((2, 900, 4), (2, 900, 20)),
            {"max_output_boxes": 100},
            ((2, 1), (2, 100, 4), (2, 100), (2, 100)),
            domain,
        )
        for domain in ("", "TRT")
    ),
]
