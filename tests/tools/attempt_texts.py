"""Tries edits on Caffe, Chainer and Keras definitions as texts, and compares each with the same edit as ONNX.

    python -m tests.tools.attempt_texts [FILE ...] [--results FILE] [--seconds N] [--only WORDS] [--help]

Without FILE: the zoo and ../shared/corpus, and of both what is no ONNX file. The edits are those of `attempt_surgery`.
Every edit is planned and said in the definition's own format; the text is read again, traced, and turned into ONNX at
the plan's input, as the plan is. Nothing is run: that is `attempt_surgery`. --results is a file of JSON lines, one an
attempt. Exit status 1 where anything differs or fails.

    said      the text reads as the plan, and gives the plan's ONNX: layers, wiring, attributes and shapes
    traced    the text reads as the plan; neither has an ONNX form, for the same reason
    unsaid    the plan is no text in this format, with code and cause
    refused   there is no such plan
    differs   the ONNX of the text is not that of the plan: which layers
    unread    the definition is not read
    crash     any other exception
"""

from __future__ import annotations

import argparse
import collections
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import shapecalc
from shapecalc.formats import Options, Source, read
from shapecalc.graph import Graph
from shapecalc.lower import lower
from shapecalc.trace import Trace, trace
from shapecalc.verify.definition_file import own_suffixes, patched, same_net

from .attempt_surgery import called, edits, models, opened

FAILURES = ("differs", "crash")


def as_onnx(graph: Graph, traced: Trace) -> Trace:
    """The trace of a net as its ONNX file has it."""
    lowered = lower(graph, traced)
    if "held" in graph.meta:  # Caffe gives every blob that nobody reads, asked for or not
        lowered = lowered.replace(meta={"held": lowered.producers().keys()})
    return trace(lowered, {given.name: given.declared for given in lowered.inputs if given.declared is not None})


def read_again(plan: Any, text: str) -> Trace:
    """A text at the plan's input."""
    source: Source = plan.model.source
    options: Options = plan.model.graph.meta["options"]
    graph = read(source._replace(data=text.encode()), options, plan.model.graph.format)
    feeds = dict(zip((given.name for given in graph.inputs), _shapes(plan.trace, graph), strict=True))
    return trace(graph, feeds)


def _shapes(traced: Trace, graph: Graph) -> Iterator[Any]:
    by_name = {name: tensor.shape for name, tensor in traced.feeds.items()}
    left = iter([shape for name, shape in by_name.items() if name not in {given.name for given in graph.inputs}])
    for given in graph.inputs:
        yield by_name.get(given.name) or next(left, given.native)


def unlike(first: Trace, second: Trace) -> str:
    """What one net has and the other has not: operators with their shapes."""
    counts = [
        collections.Counter(f"{x.op} {[t.shape for t in x.tensors]} {dict(x.call.attrs)}" for x in each.layers)
        for each in (first, second)
    ]
    plan, text = ([*islice((a - b).elements(), 3)] for a, b in (counts, counts[::-1]))
    return f"plan {plan} text {text}"


def compared(plan: Any) -> dict[str, Any]:
    """The verdict on a plan whose definition has a text."""
    text = patched(plan)
    found = read_again(plan, text)
    try:
        wanted = as_onnx(plan.graph, plan.trace)
    except shapecalc.ShapecalcError as error:
        try:
            as_onnx(found.graph, found)
        except shapecalc.ShapecalcError:
            return {"verdict": "traced", "words": error.message, "because": error.because}
        return {"verdict": "differs", "words": f"the text has an ONNX form, the plan none: {error.message}"}
    given = as_onnx(found.graph, found)
    if same_net(wanted, given):
        return {"verdict": "said"}
    return {"verdict": "differs", "words": unlike(wanted, given)}


def attempt(make: Any) -> dict[str, Any]:
    """One edit: planned, said, compared."""
    try:
        plan = make()
    except shapecalc.ShapecalcError as error:
        return {"verdict": "refused", "code": error.code, "words": error.message}
    except Exception as error:  # noqa: BLE001  a crash is a result
        return {"verdict": "crash", "words": f"{type(error).__name__}: {error}"}
    try:
        return compared(plan)
    except shapecalc.ShapecalcError as error:
        words = {"words": error.message, "because": error.because, "hint": error.hint, "code": error.code}
        return {"verdict": "unsaid", **words, "location": error.location, "edits": [e.describe() for e in plan.edits]}
    except Exception as error:  # noqa: BLE001
        return {"verdict": "crash", "words": f"{type(error).__name__}: {error}"}


def tried(name: str, only: str) -> Iterator[dict[str, Any]]:
    """A line for each edit of a definition that has a text."""
    try:
        net = opened(name)
    except shapecalc.ShapecalcError as error:
        yield {"edit": "load", "verdict": "unread", "code": error.code, "words": error.message}
        return
    if not own_suffixes(net.model):
        return
    for edit in edits(net):
        if only in edit.words:
            yield {"edit": edit.words, "kind": edit.kind, "format": net.model.graph.format, **attempt(edit.plan)}


def main() -> int:
    """Prints a line an attempt that is not said, and the counts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="*")
    parser.add_argument("--results", type=Path, default=Path(tempfile.gettempdir()) / "texts.jsonl")
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--only", default="", help="edits with these words")
    given = parser.parse_args()
    end = time.monotonic() + given.seconds
    counts: collections.Counter[str] = collections.Counter()
    definitions: set[str] = set()
    with given.results.open("w") as file:
        for name in (name for name in models(given.files) if not name.endswith(".onnx")):
            if time.monotonic() > end:
                print("out of time")
                break
            for line in tried(name, given.only):
                counts[line["verdict"]] += 1
                definitions.add(name)
                file.write(json.dumps({"model": called(name), **line}, default=str) + "\n")
                if line["verdict"] not in ("said", "refused"):
                    words = line.get("because") or line.get("words", "")
                    print(f"{called(name)}: {line['edit']}: {line['verdict']} {words}"[:300], flush=True)
    print(f"{len(definitions)} definitions, {dict(counts)}")
    return 1 if any(counts[kind] for kind in FAILURES) else 0


if __name__ == "__main__":
    sys.exit(main())
