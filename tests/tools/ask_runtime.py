"""Asks onnxruntime at the boundaries of the closed form: does it accept just the sizes that are said to fit?

    python tests/tools/ask_runtime.py [--into asked.jsonl] [--page docs/sizes-asked.md] [--largest 480] [PATH ...]

Asked are, of each file, the squares where fitting begins or ends and their neighbours (ends of intervals, members of
congruences), corners of the rectangles that are said to fit, each also a row and a column beside, and some at random.
An ONNX file is run as it is, its input opened. A definition is written as ONNX at a size that fits, and run there; at a
size that does not, the file written for the nearest that does is opened and fed, and onnxruntime's answer held against
what is said of that file by onnxruntime's rules. Prints every answer that differs. onnxruntime runs in a process of its
own: at some sizes it crashes, which is no acceptance.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import shapecalc
from shapecalc.definition import Definition
from shapecalc.graph import Graph
from shapecalc.literal import AXIS_NAMES
from shapecalc.lower import lower
from shapecalc.model import Model
from shapecalc.sizes.bounds import native_size
from shapecalc.sizes.found import Sizes
from shapecalc.trace import Trace, first_input, trace
from shapecalc.verify.device import make_session
from shapecalc.verify.run import Runnable, runnable

sys.path.insert(0, str(Path(__file__).parents[1]))
from tools.check_sizes import accepted, named

#: Sizes asked of one file: so many boundaries of squares, so many rectangles, so many at random.
SQUARES, RECTANGLES, RANDOM = 24, 12, 6
#: Parts of what onnxruntime says that are no refusal of the size.
NO_VERDICT = ("Failed to allocate memory", "bad allocation", "NOT_IMPLEMENTED")

Size = tuple[int, int]


# -- what is asked -----------------------------------------------------------------------------------------------------


def asked(sizes: Sizes, native: Size, largest: int) -> list[Size]:
    """The sizes asked of a file, none larger than ``largest`` on a side but the native one's neighbours."""
    chosen = random.Random(0)
    squares = [n for n in range(2, largest + 1) if (n in sizes) != (n - 1 in sizes)]
    squares = _some([side for n in squares for side in (n - 1, n)], SQUARES, native[0])
    beside = [(h + a, w + b) for h, w in _corners(sizes, native, largest) for a, b in ((0, 0), (1, 0), (0, 1), (-1, 0))]
    rectangles = _some([pair for pair in beside if min(pair) > 0 and max(pair) <= largest], RECTANGLES, native)
    anywhere = [(chosen.randint(1, largest), chosen.randint(1, largest)) for _ in range(RANDOM)]
    return list(dict.fromkeys([*((n, n) for n in squares), native, *rectangles, *anywhere]))


def _some(found: Sequence[Any], count: int, near: Any) -> list[Any]:
    """All, or the smallest third, the third around the native size, and a third of the rest."""
    found = list(dict.fromkeys(found))
    if len(found) <= count:
        return found
    third = count // 3
    by_distance = sorted(found, key=lambda size: _distance(size, near))
    chosen = [*sorted(found)[:third], *by_distance[:third]]
    rest = [size for size in found if size not in chosen]
    return [*chosen, *random.Random(0).sample(rest, min(third, len(rest)))]


def _distance(size: Any, near: Any) -> int:
    pairs = zip(size, near, strict=True) if isinstance(size, tuple) else [(size, near)]
    return sum(abs(a - b) for a, b in pairs)


def _corners(sizes: Sizes, native: Size, largest: int) -> list[Size]:
    """Corners of the rectangles that fit: of every way in which height and width go together."""
    pairs = [(rows, columns) for coupling in sizes.couplings for _, _, rows, columns in coupling.pairs]
    found = []
    for rows, columns in pairs or [(sizes.heights, sizes.widths)]:
        ends = []
        for form, side in ((rows, native[0]), (columns, native[1])):
            runs = list(form.intervals(largest))
            near = min(runs, key=lambda run: abs(run.low - side), default=None)
            ends.append(
                [run.low for run in runs[:1]] + ([near.low, min(near.high or largest, largest)] if near else [])
            )
        found += [(h, w) for h in dict.fromkeys(ends[0]) for w in dict.fromkeys(ends[1])]
    return found


# -- who answers -------------------------------------------------------------------------------------------------------


def opened(what: Runnable) -> Any:
    """A session of it whose inputs and outputs say no size, every tensor kept."""
    proto = what.proto
    for value in proto.graph.input:
        if value.name in what.inputs:
            for place, axis in enumerate(value.type.tensor_type.shape.dim):
                axis.dim_param = f"{value.name}_{place}"
    outputs = [(value.name, value.type.tensor_type.elem_type) for value in proto.graph.output]
    del proto.graph.output[:]
    for name, kind in outputs:
        made = proto.graph.output.add(name=name)
        if kind:
            made.type.tensor_type.elem_type = kind
    return make_session(proto.SerializeToString(), "cpu", what.arrays, what.folder)


def said(session: Any, inputs: dict[str, Any]) -> str:
    """What onnxruntime says of an input: nothing where it runs, else the end of its words."""
    try:
        session.run(None, inputs)
    except Exception as error:  # noqa: BLE001  onnxruntime raises a class of its own for every status
        return " ".join(str(error).split())
    return ""


class Asking:
    """A file that onnxruntime is asked about."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.model: Model = shapecalc.load(name)
        self.spec = accepted(self.model)
        self.sizes = self.model.sizes(input=self.spec)
        given = first_input(self.model.graph)
        assert given is not None
        self.given = given
        self.native = native_size(self.model) or (224, 224)
        self.sessions: dict[Size, tuple[Any, Graph | None]] = {}

    def feeds(self, size: Size) -> dict[str, Any]:
        """The shapes of all inputs, the image at ``size``."""
        feeds = {n: tuple(d if isinstance(d, int) else 1 for d in s) for n, s in self.model.feeds(self.spec).items()}
        shape = list(feeds[self.given.name])
        for axis, side in zip("HW", size, strict=True):
            shape[AXIS_NAMES[self.given.layout].index(axis)] = side
        return {**feeds, self.given.name: tuple(shape)}

    def made(self, size: Size) -> tuple[Runnable, Graph | None]:
        """The model as something that runs at a size, and its ONNX form where it is none. Raises ShapecalcError."""
        told = self.model.told(self.feeds(size))
        traced: Trace = Definition.trace(told, self.feeds(size))
        lowered = None if self.model.graph.format == "onnx" else lower(traced.graph, traced)
        return runnable(told, traced.graph, traced, 0), lowered

    def answer(self, size: Size, fits: bool) -> tuple[bool, str]:
        """Whether what is run fits by our rules, and what onnxruntime says."""
        import numpy

        if self.model.graph.format != "onnx" and fits:
            what, _ = self.made(size)
            session = make_session(what.proto.SerializeToString(), "cpu", what.arrays, what.folder)
            return True, said(session, what.inputs)
        base = self.base(size)
        if base not in self.sessions:
            what, lowered = self.made(base)
            self.sessions = {base: (opened(what), lowered)}  # one at a time: it holds all weights
        session, lowered = self.sessions[base]
        if lowered is not None:
            feeds = {given.name: self.feeds(size)[given.name] for given in lowered.inputs}
            fits = trace(lowered, feeds, dialect="onnxruntime").ok
        images = numpy.random.default_rng(0)
        fed = {}
        for given in session.get_inputs():
            kind = {"tensor(float)": "float32", "tensor(int64)": "int64"}.get(given.type, "float32")
            fed[given.name] = images.standard_normal(self.feeds(size)[given.name]).astype(kind)
        return fits, said(session, fed)

    def base(self, size: Size) -> Size:
        """The size at which the file is written that is fed another."""
        if self.model.graph.format == "onnx":
            return self.native
        near = self.sizes.nearest_rectangle(*size)
        return near if near is not None else self.native


def rows_of(name: str, largest: int, seconds: float, start: int) -> Iterator[dict[str, Any]]:
    """A file's answers from a place on, as many as come in time, each first without. Raises ShapecalcError."""
    asking = Asking(name)
    begun = time.monotonic()
    for place, size in enumerate(asked(asking.sizes, asking.native, largest)):
        if place < start:
            continue
        if time.monotonic() - begun > seconds:
            return
        said = size in asking.sizes
        row = {"file": name, "format": asking.model.graph.format, "size": size, "said": said, "fits": said}
        yield {**row, "runtime": None}
        fits, words = asking.answer(size, said)
        yield {**row, "fits": fits, "runtime": "no verdict" if any(p in words for p in NO_VERDICT) else words[-300:]}


def answers(name: str, largest: int, seconds: float) -> list[dict[str, Any]]:
    """A file's answers, from processes of their own: a size at which one crashes is passed over by the next."""
    rows: list[dict[str, Any]] = []
    start = 0
    while True:
        command = [sys.executable, __file__, "--one", str(start), "--largest", str(largest), "--seconds", str(seconds)]
        ran = subprocess.run([*command, name], capture_output=True, text=True, check=False)
        lines = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
        rows += [line for line in lines if line["runtime"] not in (None, "no verdict")]
        if ran.returncode >= 0:
            if ran.returncode:
                print(f"{Path(name).name}: {' '.join(ran.stdout.splitlines()[-1:])[:150]}", flush=True)
            return rows
        rows.append({**lines[-1], "runtime": f"crashed (signal {-ran.returncode})"})
        start += sum(line["runtime"] is None for line in lines)


def one(name: str, largest: int, seconds: float, start: int) -> int:
    """Prints a file's answers as lines of JSON."""
    try:
        for row in rows_of(name, largest, seconds, start):
            print(json.dumps(row), flush=True)
    except shapecalc.ShapecalcError as error:
        print(" ".join(str(error).split()))
        return 3
    return 0


# -- what came of it ---------------------------------------------------------------------------------------------------


def page(rows: Iterable[dict[str, Any]]) -> str:
    """The counts as a table."""
    import onnxruntime

    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row["file"]].append(row)
    lines = []
    for name, answers in sorted(found.items(), key=lambda item: (item[1][0]["format"], Path(item[0]).name)):
        taken = sum(row["said"] for row in answers)
        same = sum(row["fits"] == (not row["runtime"]) for row in answers)
        other = sum(row["said"] != row["fits"] for row in answers)
        cells = (Path(name).name, answers[0]["format"], len(answers), taken, len(answers) - taken, same, other or "")
        lines.append(f"| {' | '.join(map(str, cells))} |")
    counts = [sum(map(len, found.values())), sum(row["said"] for rows in found.values() for row in rows)]
    total = f"{counts[0]:,} sizes of {len(found)} files, {counts[1]:,} of them said to fit"
    text = f"# Sizes asked of onnxruntime\n\n{INTRODUCTION}\n\nonnxruntime {onnxruntime.__version__}: {total}.\n\n"
    heading = "| file | format | asked | fit | do not | same answer | by other rules |\n|---|---|---|---|---|---|---|\n"
    return text + heading + "\n".join(lines) + "\n"


INTRODUCTION = """Made by `tests/tools/ask_runtime.py --page`. Asked are the sizes where fitting begins or ends and
their neighbours, corners of the rectangles that fit and what lies beside them, and some at random. An ONNX file is
run as it is, its input opened. A definition is written as ONNX at each size that fits, and run; at a size that does
not, the file written for the nearest that does is opened and fed, and the answer held against what is said of that
file. The last column counts where that file takes what the definition's own framework refuses: onnxruntime rounds
(1 - 2)/2 to 0, so a window may stand on a map that is smaller than it; Keras refuses that."""


def main() -> int:
    """Asks about what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--largest", type=int, default=480)
    parser.add_argument("--seconds", type=float, default=90)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("paths", nargs="*")
    options = parser.parse_args()
    if options.one is not None:
        return one(options.paths[0], options.largest, options.seconds, options.one)
    done = options.into.read_text().splitlines() if options.into and options.into.exists() else []
    rows = list(map(json.loads, done))
    known = {row["file"] for row in rows}
    for name in named(options.paths):
        if name in known:
            continue
        found = answers(name, options.largest, options.seconds)
        if options.into:
            with options.into.open("a") as file:
                file.writelines(json.dumps(row) + "\n" for row in found)
        rows += found
        wrong = [row for row in found if row["fits"] == bool(row["runtime"])]
        print(f"{Path(name).name}: {len(found)} asked, {len(wrong)} answered otherwise", flush=True)
        for row in wrong[:4]:
            print(f"  {row['size']}: said to {'fit' if row['fits'] else 'be refused'}; {row['runtime'] or 'it ran'}")
    if options.page:
        options.page.write_text(page(rows))
    failed = sum(row["fits"] == bool(row["runtime"]) for row in rows)
    print(f"{len(rows)} asked, {failed} answered otherwise")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
