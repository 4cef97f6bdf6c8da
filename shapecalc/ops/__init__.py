"""The operators: one row each, grouped by family.

A family is imported when an operator is looked up that the families before it do not have, so a convolutional net does
not pay for rows it never meets. `all_rows` imports them all.
"""

from __future__ import annotations

import importlib

from .base import (
    MALFORMED,
    OPERATORS,
    AnyWindow,
    Call,
    Detail,
    Entered,
    Lowered,
    MissingInputError,
    Need,
    OpenRankError,
    Operator,
    Scope,
)

#: Families in the order in which nets ask for them.
_FAMILIES = [
    "conv",
    "pool",
    "elementwise",
    "dense",
    "norm",
    "training",
    "shaping",
    "padding",
    "joining",
    "constants",
    "reduction",
    "resizing",
    "counting",
    "indexing",
    "control",
    "quantized",
    "recurrent",
    "attention",
    "microsoft",
    "fused_attention",
    "contributed",
    "sampling",
    "signal",
    "lists",
    "text",
    "learning",
    "vision",
    "caffe",
    "unrolled",
    "keras",
    "sequences",
    "chainer",
    "unpooling",
    "regions",
    "keras_functions",
    "keras_cells",
    "keras_steps",
    "keras_einsum",
]


def _import_family() -> None:
    importlib.import_module(f".{_FAMILIES.pop(0)}", __name__)


def find(op: str, domain: str = "") -> Operator | None:
    """The row of an operator, None where there is none. The domain ``ai.onnx`` is the empty one."""
    key = ("" if domain == "ai.onnx" else domain, op)
    while key not in OPERATORS and _FAMILIES:
        _import_family()
    return OPERATORS.get(key)


def all_rows() -> dict[tuple[str, str], Operator]:
    """Every row by (domain, name)."""
    while _FAMILIES:
        _import_family()
    return dict(OPERATORS)


__all__ = [
    "MALFORMED",
    "AnyWindow",
    "Call",
    "Detail",
    "Entered",
    "Lowered",
    "MissingInputError",
    "Need",
    "OpenRankError",
    "Operator",
    "Scope",
    "all_rows",
    "find",
]
