"""Operators on strings, vocabularies and encoded images."""

from __future__ import annotations

from ..dims import Unknown
from .base import Call, Operator, Shapes, register, same_shape
from .counting import runtime_count
from .elementwise import broadcast


def _normalized(call: Call) -> Shapes:
    """Words that are stopped drop out; of none at least an empty one stays."""
    shape = call.shape()
    if not call.attr("stopwords"):
        return [shape]
    return [(*shape[:-1], runtime_count(call, axis=len(shape) - 1, low=1, high=shape[-1]))]


def _split(call: Call) -> Shapes:
    shape = call.shape()
    return [(*shape, runtime_count(call, axis=len(shape))), shape][: len(call.node.outputs)]


def _counted_grams(call: Call) -> Shapes:
    indexes = call.attr("ngram_indexes", ())
    return [(*call.shape()[:-1], max(indexes) + 1 if indexes else Unknown(f"{call.name} names no n-grams"))]


def _decoded(call: Call) -> Shapes:
    channels = 1 if call.attr("pixel_format", "RGB") == "Grayscale" else 3
    return [(runtime_count(call, axis=0), runtime_count(call, axis=1), channels)]


register(
    Operator("StringConcat", lambda call: [broadcast([call.shape(0), call.shape(1)])], source="ONNX StringConcat-20"),
    Operator("StringNormalizer", _normalized, source="ONNX StringNormalizer-10"),
    Operator("StringSplit", _split, dtype=lambda call: ["string", "int64"], source="ONNX StringSplit-20"),
    Operator("RegexFullMatch", same_shape, dtype=lambda call: "bool", source="ONNX RegexFullMatch-20"),
    Operator("TfIdfVectorizer", _counted_grams, dtype=lambda call: "float32", source="ONNX TfIdfVectorizer-9"),
    Operator("ImageDecoder", _decoded, dtype=lambda call: "uint8", source="ONNX ImageDecoder-20"),
)
