"""How the trace answers the node models of the onnx package: each operator's own examples, with their recorded outputs.

    python -m tests.tools.node_models [--show]

The dialect is the specification's: what onnxruntime has no code for, `ask_nodes` asks. Each model is asked twice: with
the shapes of its inputs alone, and with small inputs as constants of the model (axes, sizes, a number of turns), as
exporters write them. An output is

    equal    every size is the recorded one
    open     sizes that the numbers decide are symbols or unknown, the others are the recorded ones
    unknown  not even the number of axes is known
    wrong    a size differs, a symbol's bounds exclude the recorded size, or a problem is reported
"""

from __future__ import annotations

import collections
import sys
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy
import onnx
from onnx import numpy_helper

import shapecalc
from shapecalc import dims
from shapecalc.graph import Tensor
from shapecalc.ops.lists import Listed
from shapecalc.trace import trace

#: Inputs up to this many elements become constants when a model is asked the second time.
SMALL = 16


class Answer(NamedTuple):
    """One output of one model: the verdict, and what was said of it."""

    model: str
    constants: bool
    verdict: str
    note: str


def node_models() -> list[Any]:
    """The test cases that the onnx package generates for its operators."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package's own examples divide by zero
        from onnx.backend.test.case.node import collect_testcases

        return [case for case in collect_testcases() if case.model is not None]


def as_array(value: Any) -> Any:
    """A recorded value as an array, None for what is no tensor."""
    if isinstance(value, onnx.TensorProto):
        value = numpy_helper.to_array(value)
    return numpy.asarray(value) if isinstance(value, (numpy.ndarray, numpy.generic)) else None


def answers(case: Any, constants: bool) -> Iterator[Answer]:
    """What the trace says of every output of one model."""
    given, recorded = case.data_sets[0]
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    feeds: dict[str, Any] = {}
    for index, (info, value) in enumerate(zip(model.graph.input, given, strict=False)):
        array = as_array(value)
        if array is None:
            if isinstance(value, list) and all(as_array(item) is not None for item in value):
                feeds[info.name] = Listed([Tensor(item.shape, str(item.dtype)) for item in map(as_array, value)])
            continue
        chosen = constants and array.size <= SMALL and array.dtype.kind in "biuf"
        if chosen and (index or len(model.graph.input) == 1):
            model.graph.initializer.append(numpy_helper.from_array(array, info.name))
        else:
            feeds[info.name] = array.shape
    found = trace(shapecalc.load(model).graph, feeds, dialect="onnx")
    if found.problems:
        yield Answer(case.name, constants, "wrong", str(found.problems[0]))
        return
    bound: dict[str, int] = {}
    for info, value in zip(model.graph.output, recorded, strict=False):
        verdict = judged(found.tensors[info.name], value, bound)
        yield Answer(case.name, constants, verdict, f"{info.name}: {found.tensors[info.name]}")


def judged(tensor: Tensor, recorded: Any, bound: dict[str, int]) -> str:
    """The verdict on one value; ``bound`` keeps what symbols stand for, so that they stand for one size."""
    if isinstance(recorded, list):
        if not isinstance(tensor.shape, Listed):
            return "unknown"
        items, common = tensor.shape.items, tensor.shape.common
        if items is None:  # how many there are the numbers decide; what all of them share holds for each
            rows = [judged(common, value, {}) for value in recorded] if common is not None else ["unknown"]
            return "wrong" if "wrong" in rows else "unknown" if "unknown" in rows else "open"
        rows = [judged(item, value, bound) for item, value in zip(items, recorded, strict=False)]
        return "wrong" if len(items) != len(recorded) or "wrong" in rows else max(rows, default="equal")
    array = as_array(recorded)
    if array is None or not isinstance(tensor.shape, tuple):
        return "unknown"
    if len(tensor.shape) != array.ndim or not all(map(fits, tensor.shape, array.shape, [bound] * array.ndim)):
        return "wrong"
    return "equal" if dims.all_numbers(tensor.shape) else "open"


def fits(size: Any, recorded: int, bound: dict[str, int]) -> bool:
    """Whether a size may be the recorded one."""
    if isinstance(size, int):
        return size == recorded
    if not isinstance(size, dims.Expr):
        return True
    if dims.at_least(size, recorded + 1) is True or dims.at_least(recorded - 1, size) is True:
        return False
    return not dims.is_symbol(size) or bound.setdefault(str(size), recorded) == recorded


def main() -> None:
    """Prints the share of each verdict."""
    cases = node_models()
    for constants in (False, True):
        rows = [answer for case in cases for answer in answers(case, constants)]
        counts = collections.Counter(row.verdict for row in rows)
        how = "small inputs as constants" if constants else "shapes of the inputs alone"
        shares = ", ".join(f"{verdict} {count} ({count / len(rows):.1%})" for verdict, count in sorted(counts.items()))
        print(f"{len(cases)} models, {how}: {shares}")
        for row in rows:
            if row.verdict == "wrong" or ("--show" in sys.argv and row.verdict == "unknown"):
                print(f"  {row.verdict}: {row.model}: {row.note}")


if __name__ == "__main__":
    main()
