"""Predicted against executed: every tensor of any ONNX models, at several input sizes.

    python -m tests.tools.run_models PATH... [--sizes 64,96,224] [--batches 1,2] [--bind past=7] [--seconds 120]

PATH is a model or a folder of models. Each is run in onnxruntime with its optimisations off and every tensor shown,
with noise of the sizes asked; each tensor, its contents where the trace claims them, and its element type are compared
with the trace. Symbols are bound to what came out the first time; every later expression must then give what came out.

    equal    every size is the predicted one
    open     the prediction is an expression that running decides, and it holds
    unknown  the prediction is silent
    wrong    a size, a number or an element type differs

Where onnxruntime refuses the input, the verdict is on the problems of the trace: the node it names comes `first`, is
`named` later, `another` is named, or the refusal was `missed`; a problem where it runs is a `false alarm`. At the end
the free input is traced too: its expressions, with numbers put in, must be those of the single traces (`law`).
"""

from __future__ import annotations

import argparse
import collections
import multiprocessing
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy
import onnx

import shapecalc
from shapecalc import dims
from shapecalc.trace import Trace, trace

Feeds = dict[str, tuple[int, ...]]
#: How onnxruntime names the node that fails, while it runs and while it loads.
FAILING = (
    r"In Node, \(\"(.*?)\"",
    r"running \S+ node\. Name:'(.*?)' Status",
    r"Node:? ?\(?'?(.*?)'?\)? ?(?:Op|Status|with)",
    r"node \((.*?)\)",
)


class Line(NamedTuple):
    """What came of one model at one input: counts of verdicts, and the first remarks."""

    model: str
    feeds: str
    counts: dict[str, int]
    notes: list[str]


def sizes_of(proto: Any, size: int, batch: int, bound: Mapping[str, int] = MappingProxyType({})) -> Feeds:
    """The shape of every input: free axes and those of images take the size, the first axis the batch.

    ``bound`` says what free axes of these names are.
    """
    constants = {tensor.name for tensor in proto.graph.initializer}
    found = {}
    for given in proto.graph.input:
        if given.name in constants or not given.type.HasField("tensor_type"):
            continue
        free = [not axis.HasField("dim_value") for axis in given.type.tensor_type.shape.dim]
        declared = [axis.dim_value for axis in given.type.tensor_type.shape.dim]
        image = image_axes(declared, free)
        short = size if len(declared) == 4 else max(2, size // 16)
        named = [bound.get(axis.dim_param) for axis in given.type.tensor_type.shape.dim]
        found[given.name] = tuple(
            told or (size if at in image else batch if free[at] and at == 0 else short if free[at] else declared[at])
            for at, told in enumerate(named)
        )
    return found


def image_axes(declared: list[int], free: list[bool]) -> set[int]:
    """The axes of height and width of what looks like an image: four axes, one of them of few channels."""
    if len(declared) != 4:
        return set()
    few = [not free[at] and declared[at] in (1, 3) for at in (1, 3)]
    if not any(few):
        return {at for at in (2, 3) if free[at]}
    return {2, 3} if few[0] else {1, 2}


def shown(proto: Any, feeds: Feeds) -> tuple[Any, list[str]]:
    """The model with every tensor as an output and its inputs declared free where they are fed something else."""
    model = onnx.ModelProto()
    model.CopyFrom(proto)
    declared = {value.name: value for value in model.graph.output}
    names = [name for node in model.graph.node for name in node.output if name]
    del model.graph.output[:]
    del model.graph.value_info[:]
    for given in model.graph.input:
        for at, fed in enumerate(feeds.get(given.name, ())):
            axis = given.type.tensor_type.shape.dim[at]
            if axis.HasField("dim_value") and axis.dim_value != fed:
                axis.Clear()
    for name in dict.fromkeys(names):
        value = onnx.ValueInfoProto(name=name)
        if name in declared:
            value.type.CopyFrom(declared[name].type)
            if value.type.HasField("tensor_type"):
                value.type.tensor_type.ClearField("shape")
        model.graph.output.append(value)
    return model, names


def noise(proto: Any, feeds: Feeds, seed: int) -> dict[str, Any]:
    """Seeded numbers for every input: small whole ones, truths, or noise."""
    rng = numpy.random.default_rng(seed)
    arrays = {}
    for given in proto.graph.input:
        if given.name in feeds:
            kind = onnx.helper.tensor_dtype_to_np_dtype(given.type.tensor_type.elem_type)
            shape = feeds[given.name]
            made = (
                rng.standard_normal(shape) if kind.kind == "f" else rng.integers(0, 2 if kind.kind == "b" else 5, shape)
            )
            arrays[given.name] = numpy.asarray(made).astype(kind)
    return arrays


def absent(proto: Any, folder: Path) -> dict[str, Any]:
    """Noise for the weights whose file does not lie beside the model."""
    arrays = {}
    rng = numpy.random.default_rng(0)
    for tensor in proto.graph.initializer:
        place = {entry.key: entry.value for entry in tensor.external_data}
        if tensor.data_location == onnx.TensorProto.EXTERNAL and not (folder / place["location"]).is_file():
            kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
            arrays[tensor.name] = (rng.random(tuple(tensor.dims), dtype=numpy.float32) * 0.1).astype(kind)
    return arrays


def run(path: Path, proto: Any, feeds: Feeds, seed: int) -> tuple[dict[str, Any] | None, str]:
    """What every tensor came out as, or None and onnxruntime's words."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path.parent))
    model, _ = shown(proto, feeds)
    made = absent(model, path.parent)
    if made:
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in made.values()]
        options.add_external_initializers(list(made), values)
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, noise(proto, feeds, seed)), strict=True)), ""
    except Exception as error:  # noqa: BLE001  onnxruntime raises a class of its own for every status
        return None, " ".join(str(error).split())


def failing(words: str) -> str:
    """The node a refusal names, "" where it names none."""
    for pattern in FAILING:
        found = re.search(pattern, words)
        if found:
            return found[1]
    return ""


def judge(found: Trace, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(verdict, remark) of every tensor that ran."""
    bound: dict[str, int] = {}
    for name, value in values.items():
        tensor = found.tensors.get(name)
        if not isinstance(value, numpy.ndarray):
            yield "sequence", ""
        elif tensor is None or not isinstance(tensor.shape, tuple):
            reason = getattr(getattr(tensor, "shape", None), "reason", "no such value")
            yield "unknown", f"{name} is {value.shape}: {reason}"
        else:
            yield judged(name, tensor, value, bound)


def judged(name: str, tensor: Any, value: Any, bound: dict[str, int]) -> tuple[str, str]:
    remark = f"{name}: {dims.show(tensor.shape)} {tensor.dtype} predicted, {value.shape} {value.dtype} came out"
    if len(tensor.shape) != value.ndim or not all(map(holds, tensor.shape, value.shape, [bound] * value.ndim)):
        return "wrong", remark
    if tensor.dtype is not None and tensor.dtype not in (str(value.dtype), {"object": "string"}.get(str(value.dtype))):
        return "wrong", remark
    listed = tensor.contents
    if listed is not None and (
        len(listed) != value.size or not all(map(meant, listed, value.ravel(), [bound] * len(listed)))
    ):
        return "wrong", f"{name}: {listed} predicted, {value.ravel()[:12]} came out"
    if any(isinstance(d, dims.Unknown) for d in tensor.shape):
        return "unknown", f"{name}: {next(d.reason for d in tensor.shape if isinstance(d, dims.Unknown))}"
    return ("equal" if dims.all_numbers(tensor.shape) else "open"), ""


def holds(size: Any, came: int, bound: dict[str, int]) -> bool:
    """Whether a predicted size is, or may be, the one that came out."""
    if not isinstance(size, dims.Expr):
        return isinstance(size, dims.Unknown) or size == came
    if dims.at_least(size, came + 1) is True or dims.at_least(came - 1, size) is True:
        return False
    if dims.is_symbol(size):
        return bound.setdefault(str(size), came) == came
    value = dims.substitute(size, bound)
    return not isinstance(value, int) or value == came


def meant(number: Any, came: Any, bound: dict[str, int]) -> bool:
    """Whether an element's predicted number is the one that came out, within a float's rounding."""
    if isinstance(number, (dims.Expr, dims.Unknown)):
        return not float(came).is_integer() or holds(number, int(came), bound)
    return bool(number == came or abs(float(number) - float(came)) <= 1e-5 * max(1.0, abs(float(came))))


def refusal(found: Trace, words: str) -> tuple[str, str]:
    """The verdict on the problems of a trace whose input onnxruntime refuses."""
    node = failing(words)
    layers = [problem.layer for problem in found.problems]
    if not layers:
        return "missed", words[:400]
    if not node or node == layers[0]:
        return "first", ""
    if any(node in (problem.layer, *problem.also) for problem in found.problems):
        return "named", f"{node} failed, {layers[0]} is named first: {found.problems[0].message}"
    return "another", f"{node} failed, named are {layers[:3]}: {found.problems[0].message} | {words[:300]}"


def at_size(path: Path, proto: Any, model: shapecalc.Model, feeds: Feeds) -> tuple[Line, Trace]:
    """What came of one model at one input."""
    values, words = run(path, proto, feeds, 0)
    found = trace(model.graph, feeds, dialect="onnxruntime")
    if values is None:
        rows = [refusal(found, words)]
    elif found.problems:
        rows = [("false alarm", f"{found.problems[0].headline} {found.problems[0].hint}")]
    else:
        rows = list(judge(found, values))
    counts = collections.Counter(verdict for verdict, _ in rows)
    order = ("wrong", "false alarm", "missed", "another", "named", "unknown")
    notes = [f"{kind}: {note}" for kind in order for verdict, note in rows if verdict == kind]
    return Line(path.stem, show(feeds), dict(counts), notes), found


def show(feeds: Mapping[str, Any]) -> str:
    return " ".join(f"{name}:{dims.show(shape, 'x')}" for name, shape in feeds.items())


def law(path: Path, model: shapecalc.Model, numbers: list[Trace]) -> Line:
    """Whether the expressions of the free input give what the single traces found."""
    started = time.perf_counter()
    try:
        free = model.trace()
    except shapecalc.UsageError as error:
        return Line(path.stem, "free", {}, [str(error).splitlines()[0]])
    seconds = time.perf_counter() - started
    notes, counts = [f"free trace took {seconds:.1f} s"] * (seconds > 3), collections.Counter[str]()
    longest = max(
        (len(str(d)) for t in free.tensors.values() if isinstance(t.shape, tuple) for d in t.shape), default=0
    )
    notes += [f"longest expression has {longest} characters"] * (longest > 300)
    if any(one.ok for one in numbers):
        notes += [f"wrong: a problem of the free input: {problem.message}" for problem in free.problems[:1]]
    for one in numbers:
        bound = bindings(free, one) if one.ok and not free.problems else None
        if bound is None:
            continue
        for name, tensor in free.tensors.items():
            wanted = one.tensors[name].shape if name in one.tensors else None
            if isinstance(tensor.shape, tuple) and isinstance(wanted, tuple):
                same = len(wanted) == len(tensor.shape) and all(
                    map(agrees, tensor.shape, wanted, [bound] * len(wanted))
                )
                counts["law" if same else "wrong"] += 1
                notes += [f"wrong: {name}: {dims.show(tensor.shape)} at {bound}, not {dims.show(wanted)}"] * (not same)
    return Line(path.stem, "free", dict(counts), notes)


def bindings(free: Trace, one: Trace) -> dict[str, int] | None:
    """What the symbols of the free input are in a single trace; None where one input says two things."""
    bound: dict[str, int] = {}
    for name, tensor in free.feeds.items():
        for symbol, size in zip(tensor.shape, one.feeds[name].shape, strict=True):  # type: ignore[arg-type]
            if symbol != size and (not dims.is_symbol(symbol) or bound.setdefault(str(symbol), size) != size):
                return None
    return bound


def agrees(expression: Any, wanted: Any, bound: dict[str, int]) -> bool:
    value = dims.substitute(expression, bound)
    return not (isinstance(value, int) and isinstance(wanted, int)) or value == wanted


def lines(path: Path, sizes: list[int], batches: list[int], bound: Mapping[str, int]) -> Iterator[Line]:
    """Everything about one model."""
    proto = onnx.load(path, load_external_data=False)
    model = shapecalc.load(path)
    traces = []
    asked: list[Feeds] = []
    for index, size in enumerate(sizes):
        feeds = sizes_of(proto, size, batches[index % len(batches)], bound)
        if feeds not in asked:
            asked.append(feeds)
            line, found = at_size(path, proto, model, feeds)
            traces.append(found)
            yield line
    yield law(path, model, traces)


def _apart(path: Path, sizes: list[int], batches: list[int], bound: Mapping[str, int], pipe: Any) -> None:
    try:
        for line in lines(path, sizes, batches, bound):
            pipe.send(line)
    except Exception as error:  # noqa: BLE001  a crash is a result, and the other models still run
        import traceback

        place = traceback.extract_tb(error.__traceback__)[-1]
        pipe.send(
            Line(path.stem, "", {"crash": 1}, [f"{type(error).__name__}: {error} at {place.filename}:{place.lineno}"])
        )
    pipe.send(None)


def apart(path: Path, sizes: list[int], batches: list[int], bound: Mapping[str, int], seconds: float) -> Iterator[Line]:
    """`lines` in a process of its own: what crashes or hangs ends only itself."""
    ours, theirs = multiprocessing.Pipe(False)
    worker = multiprocessing.get_context("fork").Process(target=_apart, args=(path, sizes, batches, bound, theirs))
    worker.start()
    theirs.close()
    ends = time.monotonic() + seconds
    try:
        while ours.poll(max(0.0, ends - time.monotonic())):
            line = ours.recv()
            if line is None:
                return
            yield line
        yield Line(path.stem, "", {"too slow": 1}, [f"more than {seconds} s"])
    except EOFError:
        yield Line(path.stem, "", {"crash": 1}, ["the process died"])
    finally:
        worker.kill()
        worker.join()


def main() -> None:
    """Prints a line a model and size, its remarks, and the sums."""
    words = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    words.add_argument("paths", nargs="+", type=Path)
    words.add_argument("--sizes", default="224,256")
    words.add_argument("--batches", default="1,2")
    words.add_argument("--bind", default="", metavar="NAME=N,...", help="what free axes of these names are")
    words.add_argument("--seconds", type=float, default=120)
    words.add_argument("--remarks", type=int, default=3)
    words.add_argument("--quiet", action="store_true", help="only models with remarks")
    asked = words.parse_args()
    sizes, batches = ([int(n) for n in text.split(",")] for text in (asked.sizes, asked.batches))
    bound = {name: int(n) for name, n in (text.split("=") for text in asked.bind.split(",") if text)}
    paths = [file for path in asked.paths for file in (sorted(path.rglob("*.onnx")) if path.is_dir() else [path])]
    sums = collections.Counter[str]()
    for path in paths:
        for line in apart(path, sizes, batches, bound, asked.seconds):
            sums.update(line.counts)
            if line.notes or not asked.quiet:
                counts = ", ".join(f"{verdict} {count}" for verdict, count in line.counts.items())
                print(f"{line.model}  {line.feeds}  {counts}", flush=True)
            for note in line.notes[: asked.remarks]:
                print(f"    {note}", flush=True)
    print(f"{len(paths)} models: " + ", ".join(f"{verdict} {count}" for verdict, count in sums.most_common()))


if __name__ == "__main__":
    main()
