"""Keras' EinsumDense, under the domain "keras": a sum of products with a kernel, and a bias over named axes.

``x,kernel->result``, as in ``abc,cde->abde``; ``...`` may stand in front of both (core/einsum_dense.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .. import dims
from ..dims import Dim, Shape
from .base import Call, Detail, Lowered, Need, Operator, Shapes, need_rank, register
from .chain import Chain

DOTS = "..."


class Terms(NamedTuple):
    """The letters of the value, the kernel and the result, without the dots in front."""

    value: str
    kernel: str
    result: str


def terms_of(equation: str) -> Terms | None:
    """The parts of an equation; None for one of another form.

    >>> terms_of("...nv,nvo->...o")
    Terms(value='nv', kernel='nvo', result='o')
    """
    left, arrow, result = equation.replace(" ", "").partition("->")
    value, comma, kernel = left.partition(",")
    if not (arrow and comma) or value.startswith(DOTS) != result.startswith(DOTS):
        return None
    terms = Terms(value.removeprefix(DOTS), kernel, result.removeprefix(DOTS))
    plain = all(term.isascii() and term.isalpha() and len(set(term)) == len(term) for term in terms)
    return terms if plain and set(terms.result) <= set(terms.value + terms.kernel) else None


def _terms(call: Call) -> Terms:
    terms = terms_of(call.attr("equation"))
    assert terms is not None  # the reader refuses others
    return terms


def _sizes(call: Call) -> dict[str, Dim]:
    """Letter -> size: from the value, and for the kernel's own from what the result is to be."""
    terms, shape = _terms(call), call.shape()
    wanted = call.attr("output_shape")
    rows = zip(terms.result[::-1], wanted[::-1], strict=False)
    found: dict[str, Dim] = {letter: size for letter, size in rows if size is not None}
    return found | dict(zip(terms.value[::-1], shape[::-1], strict=False))


def _shapes(call: Call) -> Shapes:
    terms, sizes = _terms(call), _sizes(call)
    hidden = call.shape()[: len(call.shape()) - len(terms.value)]
    return [(*hidden, *(sizes[letter] for letter in terms.result))]


def _weights(call: Call) -> dict[int, Shape]:
    terms, sizes, axes = _terms(call), _sizes(call), call.attr("bias_axes", "")
    found: dict[int, Shape] = {1: tuple(sizes[letter] for letter in terms.kernel)}
    if axes:
        first = min(terms.result.index(letter) for letter in axes)
        found[2] = tuple(sizes[letter] if letter in axes else 1 for letter in terms.result[first:])
    return found


def _needs(call: Call) -> Iterator[Need]:
    terms = _terms(call)
    dotted = call.attr("equation").startswith(DOTS)
    rank = len(terms.value)
    yield need_rank(call, at_least=rank + 1) if dotted else need_rank(call, rank)
    given = dict(zip(terms.value[::-1], call.shape()[::-1], strict=False))
    for letter, size in zip(terms.kernel, call.shape(1), strict=False):
        if letter in given:
            words = Detail(
                f"{call.name} expects {size} places on axis {letter!r}, {call.giver()} gives {given[letter]}",
                str(size),
                str(given[letter]),
            )
            yield Need(dims.equal(size, given[letter]), "E101", lambda words=words: words)  # type: ignore[misc]


def _macs(call: Call, outputs: Shapes) -> Dim:
    """Every place of the result and every letter that is summed over."""
    terms, sizes = _terms(call), _sizes(call)
    out = outputs[0]
    if not isinstance(out, tuple):
        return out
    return dims.product([*out, *(sizes[letter] for letter in terms.kernel if letter not in terms.result)])


def _lower(call: Call, outputs: Shapes) -> Lowered:
    chain = Chain(call)
    equation = call.attr("equation").replace(" ", "")
    value = chain.add("Einsum", call.node.inputs[:2], {"equation": equation})
    if call.has(2):
        chain.add("Add", (value, call.node.inputs[2]))
    return chain.done()


register(
    Operator(
        "EinsumDense",
        _shapes,
        needs=_needs,
        weights=_weights,
        macs=_macs,
        lower=_lower,
        source="Keras core/einsum_dense.py",
    ),
    domain="keras",
)
