"""Small graphs of one operator, right and slightly wrong: what onnxruntime does with each against what the trace says.

    python -m tests.tools.ask_nodes [--op Resize,Pad] [--seed 0] [--each 40] [--remarks 3]

The seeds are the node models of the onnx package and the worked cases of onnxruntime's own operators. Each is asked as
it is, then changed in one place (`CHANGES`): an axis longer, shorter, one or none, an axis more or fewer, a number or a
word of an attribute, an element of a constant, an element type, an input left out, an opset. Small whole inputs are
constants in one half of the questions and fed in the other.

    equal    it runs, and every output has the predicted sizes, numbers and type
    open     it runs; a predicted size is an expression, and holds
    refused  it does not load or run, and the trace has a problem
    unknown  it runs, and the prediction is silent
    wrong, missed, false alarm: what is to be mended; `onnx` counts where the specification's dialect alone objects
    died     onnxruntime itself crashed; not asked: its Python has no such array, or it has no such opset
"""

from __future__ import annotations

import argparse
import collections
import itertools
import multiprocessing
import random
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

import shapecalc
from shapecalc.graph import Tensor
from shapecalc.ops.lists import Listed
from shapecalc.trace import Trace, trace

from . import node_models, run_models

#: Constants have at most so many elements.
SMALL = 32
#: What an input's element type is changed to.
TYPES = [
    TensorProto.FLOAT,
    TensorProto.FLOAT16,
    TensorProto.DOUBLE,
    TensorProto.INT64,
    TensorProto.INT32,
    TensorProto.INT16,
    TensorProto.INT8,
    TensorProto.UINT8,
    TensorProto.UINT16,
    TensorProto.UINT32,
    TensorProto.UINT64,
    TensorProto.BOOL,
]
#: The newest released opset that onnxruntime takes.
NEWEST = 26
OPSETS = (7, 9, 10, 11, 12, 13, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24)
#: Verdicts in the order in which the table has them.
VERDICTS = ("equal", "open", "refused", "unknown", "wrong", "missed", "false alarm", "crash", "onnx")
#: What onnxruntime's words say where nothing was asked: arrays it cannot be fed, opsets that are not released.
NOT_ASKED = ("can't be converted to MLDataType", "No corresponding Numpy type", "under development", "ai.onnx.preview")
TO_MEND = ("wrong", "missed", "false alarm", "crash")


class Question(NamedTuple):
    """A model and what it is fed."""

    op: str
    about: str
    model: onnx.ModelProto
    feeds: dict[str, Any]


class Answer(NamedTuple):
    """What came of a question: the verdict, a remark, and whether the specification's dialect alone objects."""

    op: str
    about: str
    verdict: str
    remark: str = ""
    onnx: bool = False


# -- seeds ------------------------------------------------------------------------------------------------------------


def seeds() -> Iterator[Question]:
    """Models of one node that run, with what they are fed."""
    for case in node_models.node_models():
        if "_expanded" not in case.name and len(case.model.graph.node) == 1:
            given = zip(case.model.graph.input, case.data_sets[0][0], strict=False)
            feeds = {info.name: fed(value) for info, value in given}
            yield Question(case.model.graph.node[0].op_type, case.name, case.model, feeds)
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from contributed_cases import CONTRIB, LAID_OUT, MORE
    from test_contributed import built

    for number, case in enumerate((*CONTRIB, *MORE, *LAID_OUT)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                model, feeds = built(case)
            except Exception:  # noqa: BLE001  not every case can be built for the CPU
                continue
        yield Question(f"{case.domain}:{case.op}", f"case {number}", onnx.ModelProto.FromString(model), feeds)


def fed(value: Any) -> Any:
    """An input as onnxruntime takes it."""
    if isinstance(value, list):
        return [fed(item) for item in value]
    value = numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value
    return numpy.asarray(value) if isinstance(value, numpy.generic) else value


# -- changes ----------------------------------------------------------------------------------------------------------

Change = Callable[[Question], Iterator[tuple[str, Callable[[Question], None]]]]


def arrays(asked: Question) -> list[str]:
    return [name for name, value in asked.feeds.items() if isinstance(value, numpy.ndarray)]


def resized(name: str, shape: tuple[int, ...]) -> Callable[[Question], None]:
    """The input in another shape, its numbers repeated."""

    def change(asked: Question) -> None:
        asked.feeds[name] = numpy.resize(asked.feeds[name], shape)

    return change


def axes(asked: Question) -> Iterator[tuple[str, Callable[[Question], None]]]:
    """An axis longer, shorter, one or none."""
    for name in arrays(asked):
        shape = asked.feeds[name].shape
        for axis, size in enumerate(shape):
            for other in dict.fromkeys((size - 1, size + 1, 1, 0, 2 * size)):
                if other != size and other >= 0:
                    yield f"{name}[{axis}] {size}→{other}", resized(name, (*shape[:axis], other, *shape[axis + 1 :]))


def ranks(asked: Question) -> Iterator[tuple[str, Callable[[Question], None]]]:
    """An axis more or fewer."""
    for name in arrays(asked):
        shape = asked.feeds[name].shape
        for other in [(1, *shape), (*shape, 1), *([shape[1:], shape[:-1]] if shape else [])]:
            yield f"{name} {shape}→{other}", resized(name, other)


def elements(asked: Question) -> Iterator[tuple[str, Callable[[Question], None]]]:
    """An element of what may be a constant: another, one fewer, one more."""
    for name in arrays(asked):
        array = asked.feeds[name]
        if array.size > 8 or array.ndim > 1 or array.dtype.kind not in "iuf":
            continue
        for at in range(array.size):
            old = array.ravel()[at]
            for new in (-1, 0, 1, old + 1, -old, 100) if array.dtype.kind != "f" else (0.0, 0.4, 1.0, 1.7, -1.0):
                if new != old and not (new < 0 and array.dtype.kind == "u"):
                    yield f"{name}[{at}]={old}→{new}", put(name, at, new)
        if array.ndim == 1 and array.size:
            yield f"{name} one fewer", resized(name, (array.size - 1,))
            yield f"{name} one more", resized(name, (array.size + 1,))


def put(name: str, at: int, new: Any) -> Callable[[Question], None]:
    def change(asked: Question) -> None:
        array = asked.feeds[name].copy()
        array.reshape(-1)[at] = new
        asked.feeds[name] = array

    return change


def attributes(asked: Question) -> Iterator[tuple[str, Callable[[Question], None]]]:
    """A number or a word of an attribute, or none of it."""
    for at, attribute in enumerate(asked.model.graph.node[0].attribute):
        value = helper.get_attribute_value(attribute)
        for other in others(attribute, value):
            yield f"{attribute.name}={value}→{other}", attribute_set(at, other)
        yield f"no {attribute.name}", attribute_set(at, None)


def others(attribute: onnx.AttributeProto, value: Any) -> list[Any]:
    """Other values of an attribute."""
    if attribute.type == onnx.AttributeProto.INT:
        found: list[Any] = [value + 1, value - 1, -1, 0, 1, 2, 100, -100]
    elif attribute.type == onnx.AttributeProto.INTS:
        found = [[*value[:i], n, *value[i + 1 :]] for i in range(len(value)) for n in (value[i] + 1, 0, -1, 2, 100)]
        found += [[*value, 1], [*value[:-1]]] if value else [[1]]
    elif attribute.type == onnx.AttributeProto.FLOAT:
        found = [0.0, -1.0, 0.5, 2.0]
    elif attribute.type == onnx.AttributeProto.STRING:
        found = [word.encode() for word in sorted(words_of(attribute.name))]
    else:
        found = []
    return [other for other in found if other != value]


WORDS: dict[str, set[str]] = collections.defaultdict(lambda: {"bogus"})


def words_of(name: str) -> set[str]:
    """The words that the seeds know for an attribute."""
    return WORDS[name]


def attribute_set(at: int, value: Any) -> Callable[[Question], None]:
    def change(asked: Question) -> None:
        node = asked.model.graph.node[0]
        name, kind = node.attribute[at].name, node.attribute[at].type
        del node.attribute[at]
        if value is not None:
            node.attribute.append(helper.make_attribute(name, value, attr_type=kind))

    return change


def types(asked: Question) -> Iterator[tuple[str, Callable[[Question], None]]]:
    """Another element type of an input, alone and together with those that have the same."""
    for name in arrays(asked):
        dtype = asked.feeds[name].dtype
        alike = [other for other in arrays(asked) if asked.feeds[other].dtype == dtype]
        for kind in TYPES:
            other = helper.tensor_dtype_to_np_dtype(kind)
            if other != dtype and dtype.kind in "biuf":
                yield f"{name} {dtype}→{other}", typed([name], other)
                if len(alike) > 1 and alike[0] == name:
                    yield f"all {dtype}→{other}", typed(alike, other)


def typed(names: list[str], other: Any) -> Callable[[Question], None]:
    def change(asked: Question) -> None:
        for name in names:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                asked.feeds[name] = asked.feeds[name].astype(other)

    return change


def left_out(asked: Question) -> Iterator[tuple[str, Callable[[Question], None]]]:
    """An input or an output that is not there."""
    node = asked.model.graph.node[0]
    for at, name in enumerate(node.input):
        if name:
            yield f"no {name}", dropped("input", at)
    for at, name in enumerate(node.output):
        if name and len(node.output) > 1:
            yield f"no output {name}", dropped("output", at)


def dropped(field: str, at: int) -> Callable[[Question], None]:
    def change(asked: Question) -> None:
        names = getattr(asked.model.graph.node[0], field)
        name = names[at]
        names[at] = ""
        while names and not names[-1]:
            del names[-1]
        if field == "input" and name not in names:
            asked.feeds.pop(name, None)

    return change


def opsets(asked: Question) -> Iterator[tuple[str, Callable[[Question], None]]]:
    """Another opset of the file."""
    for version in OPSETS:
        if version != next((row.version for row in asked.model.opset_import if not row.domain), version):
            yield f"opset {version}", of_opset(version)


def of_opset(version: int) -> Callable[[Question], None]:
    def change(asked: Question) -> None:
        for row in asked.model.opset_import:
            if not row.domain:
                row.version = version

    return change


CHANGES: tuple[Change, ...] = (axes, ranks, elements, attributes, types, left_out, opsets)


def questions(seed: int, each: int, wanted: set[str]) -> Iterator[Question]:
    """Every seed as it is, and so many changes of it, drawn alike from every kind."""
    known = list(seeds())
    for row in known:
        for attribute in row.model.graph.node[0].attribute:
            if attribute.type == onnx.AttributeProto.STRING and len(attribute.s) < 40:
                WORDS[attribute.name].add(attribute.s.decode())
    for row in known:
        if wanted and row.op not in wanted:
            continue
        yield row
        rng = random.Random(f"{seed} {row.about}")
        kinds = [rng.sample(found, len(found)) for found in (list(change(row)) for change in CHANGES)]
        drawn = [pick for turn in itertools.zip_longest(*kinds) for pick in turn if pick is not None]
        for words, change in drawn[:each]:
            model = onnx.ModelProto()
            model.CopyFrom(row.model)
            asked = Question(row.op, f"{row.about}: {words}", model, dict(row.feeds))
            change(asked)
            yield asked


# -- answers ----------------------------------------------------------------------------------------------------------


def finished(asked: Question, constants: bool) -> Question:
    """The model with its inputs as they are fed now, small whole ones as constants of it where asked."""
    model = onnx.ModelProto()
    model.CopyFrom(asked.model)
    model.ir_version = min(model.ir_version, 11)
    for domain in model.opset_import:
        domain.version = min(domain.version, NEWEST if not domain.domain else domain.version)
    declared = {info.name: info for info in model.graph.input}
    del model.graph.input[:]
    del model.graph.value_info[:]
    feeds = {}
    for name, value in asked.feeds.items():
        if not isinstance(value, numpy.ndarray):
            model.graph.input.append(declared[name])
            feeds[name] = value
        elif constants and value.size <= SMALL and value.dtype.kind in "biuf" and len(asked.feeds) > 1:
            if name == next(iter(asked.feeds)):
                model.graph.input.append(info_of(name, value))
                feeds[name] = value
            else:
                model.graph.initializer.append(numpy_helper.from_array(value, name))
        else:
            model.graph.input.append(info_of(name, value))
            feeds[name] = value
    names = [name for name in model.graph.node[0].output if name]
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return Question(asked.op, asked.about + " | constants" * constants, model, feeds)


def info_of(name: str, value: Any) -> onnx.ValueInfoProto:
    kind = TensorProto.STRING if value.dtype.kind in "OUS" else helper.np_dtype_to_tensor_dtype(value.dtype)
    return helper.make_tensor_value_info(name, kind, value.shape)


def ran(asked: Question) -> tuple[dict[str, Any] | None, str]:
    """Every output, or None and onnxruntime's words."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(asked.model.SerializeToString(), options, ["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, asked.feeds), strict=True)), ""
    except Exception as error:  # noqa: BLE001  onnxruntime raises a class of its own for every status
        return None, " ".join(str(error).split())


def traced(asked: Question, dialect: str) -> Trace:
    feeds = {
        name: Listed([Tensor(numpy.shape(item), str(numpy.asarray(item).dtype)) for item in value])
        if isinstance(value, list)
        else numpy.shape(value)
        for name, value in asked.feeds.items()
        if value is not None
    }
    return trace(shapecalc.load(asked.model).graph, feeds, dialect=dialect)


def answer(asked: Question) -> Answer:
    """The verdict on one question."""
    values, words = ran(asked)
    if any(text in words for text in NOT_ASKED):
        return Answer(asked.op, asked.about, "not asked", words[:300])
    try:
        found, strict = traced(asked, "onnxruntime"), traced(asked, "onnx")
    except shapecalc.ShapecalcError as error:
        verdict = "refused" if values is None else "false alarm"
        return Answer(asked.op, asked.about, verdict, str(error).splitlines()[0])
    objects = values is not None and found.ok and not strict.ok
    if values is None:
        return Answer(asked.op, asked.about, "missed" if found.ok else "refused", words[:300])
    if not found.ok:
        return Answer(asked.op, asked.about, "false alarm", str(found.problems[0]).splitlines()[0])
    verdict, remark = judged(found, values)
    return Answer(asked.op, asked.about, verdict, remark, objects)


def judged(found: Trace, values: dict[str, Any]) -> tuple[str, str]:
    """The worst verdict on the outputs, and its remark."""
    rows, bound = [], dict[str, int]()
    for name, value in values.items():
        tensor = found.tensors[name]
        if isinstance(value, list):
            rows.append((node_models.judged(tensor, value, bound), f"{name}: {tensor}"))
        elif isinstance(value, (numpy.ndarray, numpy.generic)) and isinstance(tensor.shape, tuple):
            tensor = Tensor(tensor.shape, as_python_has_it(tensor.dtype), tensor.contents)
            rows.append(run_models.judged(name, tensor, numpy.asarray(value), bound))
        else:
            rows.append(("unknown", f"{name}: {tensor}"))
    return max(rows, key=lambda row: VERDICTS.index(row[0]), default=("equal", ""))


def as_python_has_it(dtype: str | None) -> str | None:
    """The type of the array that onnxruntime's Python gives."""
    return "uint8" if dtype and dtype.startswith("float8") else dtype


# -- running ----------------------------------------------------------------------------------------------------------


def _work(asked: list[Question], start: int, pipe: Any) -> None:
    for row in asked[start:]:
        pipe.send(None)  # begun
        try:
            pipe.send(answer(row))
        except Exception as error:  # noqa: BLE001  a crash is a result
            pipe.send(Answer(row.op, row.about, "crash", f"{type(error).__name__}: {error}"))
    pipe.send(Answer("", "", "end"))


def answers(asked: list[Question], seconds: float = 20) -> Iterator[Answer]:
    """The answers, from processes of their own: a question at which one dies has no verdict."""
    start = 0
    while start < len(asked):
        ours, theirs = multiprocessing.Pipe(False)
        worker = multiprocessing.get_context("fork").Process(target=_work, args=(asked, start, theirs))
        worker.start()
        theirs.close()
        try:
            while ours.poll(seconds):
                found = ours.recv()
                if found is not None:
                    if found.verdict == "end":
                        return
                    start += 1
                    yield found
        except EOFError:
            pass
        finally:
            worker.kill()
            worker.join()
        yield Answer(asked[start].op, asked[start].about, "died")
        start += 1


def table(rows: list[Answer]) -> Iterator[str]:
    """A line for every operator, and the sums."""
    columns = (*VERDICTS, "died", "not asked")
    sums: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for row in rows:
        for op in (row.op, "all"):
            sums[op][row.verdict] += 1
            sums[op]["onnx"] += row.onnx
    yield " | ".join(["operator", "asked", *columns])
    for op in sorted(sums, key=lambda op: (op == "all", op)):
        counts = sums[op]
        asked = sum(counts.values()) - counts["onnx"]
        yield " | ".join([op, str(asked), *(str(counts[verdict] or "") for verdict in columns)])


def kind_of(row: Answer) -> str:
    """Remarks that say the same but for numbers are of one kind."""
    return re.sub(r"-?\d+", "#", f"{row.op} {row.verdict} {row.remark[:160]}")


def main() -> None:
    """Prints what is to be mended, some of every kind, and the table."""
    words = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    words.add_argument("--op", default="", help="only these operators")
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--each", type=int, default=40, help="changes of each model")
    words.add_argument("--remarks", type=int, default=2, help="examples of each kind")
    asked = words.parse_args()
    started = time.monotonic()
    drawn = questions(asked.seed, asked.each, {op for op in asked.op.split(",") if op})
    every = [finished(row, bool((number + asked.seed) % 2)) for number, row in enumerate(drawn)]
    rows = list(answers(every))
    kinds: dict[str, list[Answer]] = collections.defaultdict(list)
    for row in rows:
        if row.verdict in TO_MEND:
            kinds[kind_of(row)].append(row)
    for _, alike in sorted(kinds.items(), key=lambda item: (item[1][0].verdict, item[0])):
        print(f"{alike[0].verdict} × {len(alike)}: {alike[0].op}: {alike[0].remark}")
        for row in alike[: asked.remarks]:
            print(f"    {row.about}")
    print("\n".join(table(rows)))
    print(f"{len(rows)} questions, {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
