"""Tries edits on many real nets and writes, attempt by attempt, what ran or was refused with which reason.

    python -m tests.tools.attempt_surgery [FILE ...] [--results FILE] [--again VERDICTS] [--dry-run] [--help]

Without FILE: the zoo and ../shared/corpus. Every edit is planned, proved by running, written into a temporary folder,
loaded by onnxruntime once more with its optimisations on, and run. Graphs published without their weights get seeded
ones, in that folder. Each model is tried in a process of its own, so what hangs or dies ends one attempt.

--results is a file of JSON lines: what it holds already is not tried again, unless its verdict is one of --again.

    planned   with --dry-run: it was not refused
    ran       proved, written, loaded and run; every output has the predicted shape
    refused   with a cause and exit status 4 (or 2: a wish that makes no sense); nothing is written
    uncaused  refused without saying why or what else
    unread    the definition is not read
    broken    onnxruntime refuses what was written
    wrong     an output has another shape than predicted
    crash     any other exception, or the process died
    slow      it took more than --limit seconds

Nets of more than `HEAVY` multiply-accumulates or `LARGE` parameters run once: the shapes of all their tensors are
proved, but no numbers compared with the original's, and onnxruntime loads the written file without running it again.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from math import isqrt
from pathlib import Path
from typing import Any, NamedTuple

import numpy
import onnx

import shapecalc
from shapecalc.dims import is_number, substitute, symbols
from shapecalc.graph import places
from shapecalc.resampling import shifted_windows
from shapecalc.surgery.exports.shifting import FAR
from shapecalc.weights import Numbers, proving
from shapecalc.zoo import entries

ROOT = Path(__file__).parents[2]
CORPUS = ROOT.parent / "shared" / "corpus"
SUFFIXES = (".prototxt", ".json", ".keras", ".onnx", ".py")
#: Multiply-accumulates and parameters above which the comparison with the original is left out.
HEAVY, LARGE = 2e8, 1e7
#: The size of an image whose height and width are free.
FREE = 224
#: A failed attempt, whatever the reader may think of refusals.
FAILURES = ("uncaused", "broken", "wrong", "crash", "slow")

#: The words of the edit that leaves height and width free.
FREELY = "input ?x?"
#: A map of so many rows at least is a map.
MANY = 5

#: What onnxruntime calls element types, where numpy says otherwise.
KINDS = {"tensor(float)": "float32", "tensor(double)": "float64"}

Make = Callable[[], Any]


class Edit(NamedTuple):
    """One thing to try: its kind (a row of the table), its words, and how to plan it."""

    kind: str
    words: str
    plan: Make


def models(files: Iterable[str]) -> list[str]:
    """The files given, or the zoo and the corpus, those of little work first."""
    found = list(files)
    if not found:
        found = list(entries())
        found += [str(path) for path in sorted(CORPUS.glob("*/*")) if path.suffix in SUFFIXES]
        found.sort(key=_work)
    return found


def _work(name: str) -> float:
    """Multiply-accumulates and, because they are made and loaded, parameters of a net at its own size."""
    try:
        net = opened(name)
        trace = net.model.trace((1, net.channels, net.height, net.width))
    except shapecalc.ShapecalcError:
        return 0.0
    return float(work(trace) + 20 * trace.params)


def work(trace: Any) -> int:
    """Multiply-accumulates of a trace, of one item where the batch is free."""
    batches = {str(t.shape[0]) for t in trace.feeds.values() if isinstance(t.shape, tuple) and t.shape}
    macs = substitute(trace.macs, {name: 1 if name in batches else FREE for name in symbols(trace.macs)})
    return macs if is_number(macs) else 0


class Net(NamedTuple):
    """A net to try, and the shape it is asked at: the one it is made for."""

    model: Any
    channels: int
    height: int
    width: int
    open: bool  # whether the definition leaves a part of it to its data, so that it has to be given

    def batched(self) -> dict[str, Any]:
        """As `given`, with the batch as it is."""
        return {"input": (self.channels, self.height, self.width)} if self.open else {}

    def given(self, size: tuple[int, int] | None = None) -> dict[str, Any]:
        """The input to ask for: another size, or what a definition needs to be told."""
        if self.open:  # one item: a batch of its data may be a thousand
            sides = size or (self.height, self.width)
            last = any(given.layout == "NHWC" for given in self.model.graph.inputs if given.role == "image")
            return {"input": (1, *sides, self.channels) if last else (1, self.channels, *sides)}
        return {} if size is None else {"input": size}


#: What goes into nets that leave it to their data: photographs, pictures of CIFAR and MNIST, pairs of those.
PICTURES = ((3, 227, 227), (3, 224, 224), (3, 32, 32), (1, 28, 28), (2, 28, 28), (3, 300, 300))


def opened(name: str) -> Net:
    """A model with the phase it is written for, and the shape it is made for."""
    try:
        model = shapecalc.load(name)
    except shapecalc.ModelError as error:
        if "--phase TRAIN" not in str(error.hint):
            raise
        model = shapecalc.load(name, phase="TRAIN")
    try:
        free = any(map(symbols, chain.from_iterable(model.feeds().values())))
        if free and model.graph.format != "onnx":  # an ONNX file of a definition is written for one size
            return _open(model)
    except shapecalc.UsageError:
        return _open(model)
    for given in model.graph.inputs:
        shape = given.native
        if given.role == "image" and shape is not None and len(shape) == 4:
            high, wide = (int(n) if is_number(n) else FREE for n in places(shape, given.layout))
            count = shape[given.layout.index("C")]
            return Net(model, int(count) if is_number(count) else 3, high, wide, open=False)
    return Net(model, 3, FREE, FREE, open=False)


def _open(model: Any) -> Net:
    """A net that leaves its size or its channels to its data, with the first picture that fits."""
    for picture in PICTURES:
        with contextlib.suppress(shapecalc.ShapecalcError):
            if model.trace(picture).ok:
                return Net(model, *picture, open=True)
    return Net(model, *PICTURES[0], open=True)


def edits(net: Net) -> Iterator[Edit]:
    """What is tried on one net."""
    retarget, cut = net.model.retarget, net.model.cut
    yield Edit("classes", "classes 13", lambda: retarget(classes=13, **net.given()))
    yield Edit("batch", "batch 4", lambda: retarget(batch=4, **net.batched()))
    if net.model.graph.format == "onnx":
        yield Edit("batch", "batch N", lambda: retarget(batch="N"))
    for count in (3 if net.channels == 1 else 1, 4):
        yield Edit("channels", f"channels {count}", partial(retarget, channels=count, **net.given()))
    if net.channels == 3:
        yield Edit("pixels", "bgr", lambda: retarget(bgr=True, **net.given()))
    yield Edit("pixels", "mean and std", lambda: retarget(mean=[100.0], std=[50.0], **net.given()))
    wanted = sizes(net.height, net.width)
    for size in wanted:
        shown = "x".join(map(str, size))
        yield Edit("size", f"input {shown}", partial(retarget, **net.given(size)))
    if net.model.graph.format == "onnx":
        yield Edit("size", FREELY, partial(retarget, input="?x?"))
    words = f"classes 13, input {wanted[1][0]}"
    yield Edit("classes and size", words, lambda: retarget(classes=13, **net.given(wanted[1])))
    yield Edit("cut", "features", lambda: cut(features=True, pool="avg", flatten=True, **net.given()))
    middle = halfway(net.model)
    if middle:
        yield Edit("cut", f"cut at {middle}", lambda: cut(middle, **net.given()))


def sizes(height: int, width: int) -> list[tuple[int, int]]:
    """Five other sizes: smaller, larger, a rectangle, off by one, twice as large."""
    step = 32 if min(height, width) >= 128 else 4
    return [
        (_near(0.75 * height, step), _near(0.75 * width, step)),
        (_near(height + step, step), _near(width + step, step)),
        (_near(height, step), _near(1.3 * width, step)),
        (height + 1, width + 1),
        (2 * height, 2 * width),
    ]


def _near(size: float, step: int) -> int:
    return max(step, round(size / step) * step)


def halfway(model: Any) -> str:
    """The layer in the middle of those that an input reaches."""
    reached = {given.name for given in model.graph.inputs}
    nodes = []
    for node in model.graph.nodes:
        if node.op != "Input" and reached & node.reads():
            reached.update(node.outputs)
            nodes.append(node)
    return nodes[len(nodes) // 2].name if nodes else ""


def with_weights(path: Path, folder: Path) -> Path:
    """The file, or a copy with seeded weights in a file beside it where it was published without them."""
    if path.suffix != ".onnx":
        return path
    graph = shapecalc.load(path).graph
    placed = [(param.name, param.where) for param in graph.params.values() if param.where is not None]
    absent = {name for name, where in placed if not Path(where.path).is_file()}
    if not absent:
        return path
    proto = onnx.load(path, load_external_data=False)
    numbers = Numbers(graph, {}, make=proving, seed=0)
    with (folder / "weights.bin").open("wb") as file:
        for tensor in (tensor for tensor in proto.graph.initializer if tensor.name in absent):
            array = by_offset(numbers.array(tensor.name))
            raw = numpy.ascontiguousarray(array, numpy.dtype(graph.params[tensor.name].dtype)).tobytes()
            place = {"location": "weights.bin", "offset": str(file.tell()), "length": str(len(raw))}
            file.write(raw)
            del tensor.external_data[:]
            for key, value in place.items():
                tensor.external_data.add(key=key, value=value)
    copy = folder / path.name
    copy.write_bytes(proto.SerializeToString())
    return copy


def by_offset(array: Any) -> Any:
    """A table between every two of many places as an export folds it: depending on their offset alone; others as is.

    One for each of several windows, without heads, is the mask of windows shifted by half their side.
    """
    side = isqrt(array.shape[-1]) if array.ndim in (3, 4) else 0
    if side < MANY or array.shape[-2] != array.shape[-1] or side * side != array.shape[-1]:
        return array
    windows = isqrt(array.shape[0])
    if array.ndim == 3 and windows > 1 and windows * windows == array.shape[0]:
        map_size = (windows * side, windows * side)
        return shifted_windows(map_size, (side, side), (side // 2, side // 2), FAR, 0).astype(array.dtype)
    rows, columns = divmod(numpy.arange(side * side), side)
    down, across = (axis[:, None] - axis[None, :] + side - 1 for axis in (rows, columns))
    return array[..., :1, :].repeat(4, -2).reshape(*array.shape[:-2], -1)[..., (down * (2 * side - 1) + across)]


def attempt(model: Any, edit: Edit, folder: Path, dry: bool) -> dict[str, Any]:
    """The verdict and the words of one attempt, as a line of the results."""
    import onnxruntime

    found: dict[str, Any] = {}
    try:
        plan = edit.plan()
        found["edits"] = [made.describe() for made in plan.edits][:4]
        if dry:
            return {**found, "verdict": "planned"}
        found["proof"] = proved(plan)
        target = (
            model.path.parent if model.graph.format == "onnx" and model.zoo_name is None else folder
        ) / "_out.onnx"
        plan.save(target, overwrite=True, device="cpu")
        found |= runs(plan, target, edit.words == FREELY) if light(plan.trace) else {"verdict": "ran"}
        target.unlink()
        if model.graph.format != "onnx":
            found["text"] = as_text(plan, folder)
    except shapecalc.ShapecalcError as error:
        caused = error.because or error.hint or error.expected
        found |= {"verdict": "refused" if caused else "uncaused", "code": error.code, "words": error.message}
        found |= {"because": error.because, "hint": error.hint, "expected": error.expected, "actual": error.actual}
    except Exception as error:  # noqa: BLE001  what escapes is what is counted
        kind = "broken" if type(error).__module__.startswith(onnxruntime.__name__) else "crash"
        found |= {"verdict": kind, "words": f"{type(error).__name__}: {error}"}
    return {key: value for key, value in found.items() if value}


def light(trace: Any) -> bool:
    """Whether everything is run as the product does."""
    return bool(work(trace) <= HEAVY and trace.params <= LARGE)


def proved(plan: Any) -> str:
    """Proves a plan as the product does; where that is too much work, by one run."""
    from shapecalc.verify.proof import prove
    from shapecalc.verify.run import runnable

    if light(plan.trace):
        plan.verify(device="cpu")
        return "whole"
    report = prove(runnable(plan.model, plan.graph, plan.trace, 0), device="cpu", repeat=0)
    report.raise_for_failure()
    plan.report = report
    return "shapes"


def runs(plan: Any, path: Path, freely: bool) -> dict[str, str]:
    """Loads and runs a written file as its user would, at the planned input; its outputs against the plan's.

    ``freely``: at a larger image too.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    made = plan.report.inputs
    feeds = {}
    for given in session.get_inputs():
        kind = KINDS.get(given.type) or given.type.removeprefix("tensor(").removesuffix(")")
        feeds[given.name] = numpy.random.default_rng(0).standard_normal(made[given.name]).astype(kind)
    if freely:
        session.run(None, {name: larger(plan.graph, name, image) for name, image in feeds.items()})
    came = [getattr(value, "shape", None) for value in session.run(None, feeds)]  # None: a list or a dictionary
    proof = {check.name: check.actual for check in plan.report.shapes}
    names = [value.name for value in session.get_outputs()]
    apart = [
        f"{n} is {c}, not {proof[n]}"
        for n, c in zip(names, came, strict=True)
        if proof.get(n, c) != c and c is not None
    ]
    return {"verdict": "wrong", "words": "; ".join(apart)} if apart else {"verdict": "ran"}


def larger(graph: Any, name: str, image: Any) -> Any:
    """An image with 32 more rows and columns."""
    layout = next(given.layout for given in graph.inputs if given.name == name)
    if image.ndim != len(layout):
        return image
    return numpy.pad(image, [(0, 32 if axis in "HW" else 0) for axis in layout])


def as_text(plan: Any, folder: Path) -> str:
    """Whether the definition's own format says the plan, or why not."""
    from shapecalc.verify.definition_file import own_suffixes

    suffix = next(iter(own_suffixes(plan.model)), None)
    if suffix is None:
        return "no text"
    try:
        plan.save(folder / f"_out{suffix}", overwrite=True, device="cpu")
    except shapecalc.ShapecalcError as error:
        return f"[{error.code}] {error.message}"
    return "said"


def tried(name: str, done: set[str], dry: bool, pipe: Any) -> None:
    """Everything about one model that is not done, sent line by line; first the edits' words, last None."""
    with tempfile.TemporaryDirectory() as place:
        _tried(name, done, dry, pipe, Path(place))
    pipe.send(None)  # who reads it ends this process: not before the folder is gone


def _tried(name: str, done: set[str], dry: bool, pipe: Any, folder: Path) -> None:
    try:
        net = opened(name if dry else str(with_weights(Path(name), folder)))
        model = net.model
        wanted = [edit for edit in edits(net) if edit.words not in done]
    except Exception as error:  # noqa: BLE001  a crash is a result
        known = isinstance(error, shapecalc.ShapecalcError)
        words = error.message if known else f"{type(error).__name__}: {error}"  # type: ignore[attr-defined]
        pipe.send([("load", "load")])
        pipe.send({"verdict": "unread" if known else "crash", "words": words, "edit": "load", "kind": "load"})
        return
    pipe.send([(edit.kind, edit.words) for edit in wanted])
    for edit in wanted:
        started = time.monotonic()
        line = attempt(model, edit, folder, dry)
        about = {"edit": edit.words, "kind": edit.kind, "format": model.graph.format}
        pipe.send({**about, **line, "seconds": round(time.monotonic() - started, 2)})


def apart(name: str, done: set[str], dry: bool, limit: float) -> Iterator[dict[str, Any]]:
    """`tried` in a process of its own, started anew behind an attempt that hangs or dies."""
    done = set(done)
    while True:
        ours, theirs = multiprocessing.Pipe(False)
        worker = multiprocessing.get_context("fork").Process(target=tried, args=(name, done, dry, theirs))
        worker.start()
        theirs.close()
        wanted: list[tuple[str, str]] = []
        try:
            verdict = "slow"
            with contextlib.suppress(EOFError):
                verdict = "crash"
                while True:
                    if not ours.poll(limit):
                        verdict = "slow"
                        break
                    line = ours.recv()
                    if line is None:
                        return
                    if isinstance(line, list):
                        wanted = line
                        continue
                    done.add(line["edit"])
                    yield line
        finally:
            worker.kill()
            worker.join()
        kind, words = next((row for row in wanted if row[1] not in done), ("load", "load"))
        yield {"edit": words, "kind": kind, "verdict": verdict, "words": f"more than {limit:g} s" * (verdict == "slow")}
        done.add(words)
        if words == "load":
            return


def read(results: Path, again: Iterable[str]) -> dict[tuple[str, str], dict[str, Any]]:
    """(model, edit) -> the last line of each attempt whose verdict is to stand."""
    lines = results.read_text().splitlines() if results.is_file() else []
    found = {(line["model"], line["edit"]): line for line in map(json.loads, lines)}
    return {key: line for key, line in found.items() if line["verdict"] not in again}


def called(name: str) -> str:
    """What a model is called in the results: its folder and file."""
    path = Path(name)
    return f"{path.parent.name}/{path.name}" if path.suffix in SUFFIXES else f"zoo/{name}"


def main() -> int:
    """Prints a line an attempt and the counts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="*")
    parser.add_argument("--results", type=Path, default=Path(tempfile.gettempdir()) / "attempts.jsonl")
    parser.add_argument("--again", default="", help="verdicts, a comma between")
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--limit", type=float, default=120.0, help="seconds of one attempt")
    parser.add_argument("--dry-run", action="store_true", help="only plan")
    given = parser.parse_args()
    import onnxruntime  # noqa: F401  once, before the processes are forked

    from shapecalc.verify import plans  # noqa: F401

    end = time.monotonic() + given.seconds
    done = read(given.results, given.again.split(","))
    counts: collections.Counter[str] = collections.Counter(line["verdict"] for line in done.values())
    for name in models(given.files):
        if time.monotonic() > end:
            print("out of time")
            break
        stood = {edit for model, edit in done if model == called(name)}
        for line in apart(name, stood, given.dry_run, given.limit):
            counts[line["verdict"]] += 1
            with given.results.open("a") as file:
                file.write(json.dumps({"model": called(name), **line}) + "\n")
            code = f"[{line['code']}] " if "code" in line else ""
            words = f"{called(name)}: {line['edit']}: {line['verdict']} {code}{line.get('words', '')}".rstrip()
            print(f"{words} ({line.get('seconds', 0):.1f} s)", flush=True)
    print(dict(counts))
    return 1 if any(counts[kind] for kind in FAILURES) else 0


if __name__ == "__main__":
    sys.exit(main())
