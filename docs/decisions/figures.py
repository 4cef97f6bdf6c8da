"""Prints the figures that the decisions quote, measured on the machine at hand.

usage: python docs/decisions/figures.py [--runs N] [ONNX FILE ...]

The ONNX files named are traced with and without the contents of small integer tensors (decision 5). Times are the
smallest of N runs; what the decisions quote are the ratios, which change little from machine to machine.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy

import shapecalc
from shapecalc import dims
from shapecalc.formats.onnx.patch import segments
from shapecalc.formats.onnx.pieces import size_of
from shapecalc.lower import lower
from shapecalc.ops import all_rows
from shapecalc.source import Span
from shapecalc.trace import trace
from shapecalc.verify.onnx_file import sized_graph
from shapecalc.zoo import entries

#: Prints the most memory the process used (Linux; what getrusage says may be inherited from the parent).
PEAK = "\nprint(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"


def fastest(call: Callable[[], object], runs: int) -> float:
    """Seconds of the fastest of ``runs`` calls."""
    seconds = []
    for _ in range(runs):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def process(code: str, runs: int) -> float:
    """Seconds of a whole interpreter that runs ``code``."""
    return fastest(lambda: subprocess.run([sys.executable, "-c", code], check=True, capture_output=True), runs)


def processor(code: str, runs: int) -> float:
    """Seconds of processor time of a whole interpreter that runs ``code``: a busy machine changes it less."""

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return min(once() for _ in range(runs))


def imports(runs: int) -> Iterator[str]:
    """Decisions 1 and 3: what an import costs in processor time, as a multiple of the bare interpreter."""
    bare = processor("pass", runs)
    yield f"bare interpreter {bare * 1e3:.1f} ms"
    for name in (
        "shapecalc",
        "shapecalc.graph",
        "shapecalc.ops",
        "numpy",
        "onnx",
        "onnxruntime",
        "typer",
        "rich.table",
    ):
        yield f"import {name:<16} {(processor(f'import {name}', runs) - bare) / bare:6.1f} bare interpreters"
    load = "import shapecalc; shapecalc.load('{}').trace({})"
    for model, size in (("alexnet", 256), ("caffenet", 256), ("mobilenet_v2", 224)):
        try:
            shapecalc.load(model)
        except shapecalc.ModelError:
            continue
        spent = processor(load.format(model, size), runs) - bare
        yield f"load and trace {model:<13} {spent / bare:6.1f} bare interpreters"


def rows() -> Iterator[str]:
    """Decision 3: how many operators there are, and how many of their rules."""
    yield f"{len(all_rows())} rows"
    for rule in ("needs", "weights", "windows", "macs", "formula", "contents", "lower"):
        yield f"  {rule:<9}{sum(getattr(row, rule) is not None for row in all_rows().values()):4} rows"


def sizes(runs: int) -> Iterator[str]:
    """Decision 4: one trace over 4,096 sizes against one over a single size, and over a symbol."""
    model = shapecalc.load("caffenet")
    sized, wanted = model.sized()
    every, height = numpy.arange(1, 4097), dims.symbol("H")

    def at(size: object) -> Callable[[], object]:
        shape: tuple[object, ...] = (1, 3, size, size)
        return lambda: trace(model.graph, {"data": shape}, sized=sized, wanted=wanted)  # type: ignore[dict-item]

    with numpy.errstate(all="ignore"):
        one, many, symbolic = (fastest(at(size), runs) for size in (227, every, height))
    yield f"caffenet at 227: {one * 1e3:.2f} ms"
    yield f"  4,096 sizes at once {many / one:.1f} times that, a symbol {symbolic / one:.1f} times"


def contents(paths: list[Path]) -> Iterator[str]:
    """Decision 5: tensors whose shape is known, with and without contents."""
    models = [shapecalc.load(path) for path in paths]
    saved = {key: row.contents for key, row in all_rows().items()}
    for label in ("with contents", "without"):
        known = total = whole = 0
        for model in models:
            found = model.trace({name: [d if isinstance(d, int) else 1 for d in s] for name, s in model.native.items()})
            shapes = [value.shape for layer in found.layers for value in layer.outputs if value.name]
            right = sum(shape is not None and all(isinstance(d, int) for d in shape) for shape in shapes)
            known, total, whole = known + right, total + len(shapes), whole + (right == len(shapes))
        yield f"{label}: {known:,} of {total:,} tensors known, {whole} of {len(models)} files whole"
        for row in all_rows().values():
            row.contents = None
    for key, row in all_rows().items():
        row.contents = saved[key]


def patched() -> Iterator[str]:
    """Decision 6: bytes of an ONNX file that a new head copies from the original."""
    model = shapecalc.load("mobilenet_v2")
    plan = model.retarget(classes=13)
    assert model.source is not None
    pieces = segments(model.source.data, model.graph, sized_graph(plan.graph, plan.trace), {}, plan.trace.tensors)
    copied = size_of(piece for piece in pieces if isinstance(piece, Span))
    yield f"mobilenet_v2, 13 classes: {copied:,} of {size_of(pieces):,} bytes are spans of the original"


def files(runs: int) -> Iterator[str]:
    """Decision 7: time and memory of reading a file with 553 MB of weights."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vgg16.onnx"
        shapecalc.load("vgg16").convert(path, init=True, device="cpu")
        yield f"vgg16 with weights: {path.stat().st_size / 1e6:.0f} MB"
        for label, code in (
            ("bare interpreter", "pass"),
            ("shapecalc", f"import shapecalc; shapecalc.load({str(path)!r}).trace()"),
            ("onnx.load", f"import onnx; onnx.load({str(path)!r})"),
            ("copy", f"import shutil; shutil.copyfile({str(path)!r}, {str(path) + '.copy'!r})"),
        ):
            run = subprocess.run([sys.executable, "-c", code + PEAK], check=True, capture_output=True, text=True)
            yield f"  {label:<17}{process(code, runs) * 1e3:8.0f} ms {int(run.stdout) / 1024:8.0f} MB peak"


def proof(runs: int) -> Iterator[str]:
    """Decision 10: the share of a retarget that is the proof."""
    planned = fastest(lambda: shapecalc.load("caffenet").retarget(classes=13, input=256), runs)
    plan = shapecalc.load("caffenet").retarget(classes=13, input=256)
    proved = fastest(lambda: plan.verify(device="cpu"), runs)
    yield f"caffenet, 13 classes at 256: plan {planned * 1e3:.0f} ms, proof {proved * 1e3:.0f} ms"


def lowered() -> Iterator[str]:
    """Decision 11: layers of a definition and the ONNX nodes they become."""
    for name, entry in entries().items():
        if entry.row["format"] == "onnx" or not entry.path.is_file():
            continue
        model = shapecalc.load(name)
        found = model.trace()
        nodes = lower(model.graph, found).nodes
        named = {layer.name for layer in found.layers}
        made = sum(node.name not in named for node in nodes)
        yield f"{name:<15} {len(found.layers):4} layers {len(nodes):4} nodes, {made} of them no layer's"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("files", nargs="*", type=Path)
    given = parser.parse_args()
    parts: dict[str, Iterator[str]] = {
        "imports": imports(given.runs),
        "rows": rows(),
        "sizes": sizes(given.runs),
        "contents": contents(given.files),
        "patched": patched(),
        "files": files(3),
        "proof": proof(3),
        "lowered": lowered(),
    }
    for title, lines in parts.items():
        print(f"== {title}")
        for line in lines:
            print(line, flush=True)


if __name__ == "__main__":
    main()
