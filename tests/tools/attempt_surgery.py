"""Tries edits on many real nets and prints, model by model, what ran or was refused with which reason.

usage: python tests/tools/attempt_surgery.py [--seconds N] [FILE ...]     (default: the zoo and ../shared/corpus)

Every edit is carried out, proved by running, written into a temporary folder and loaded by onnxruntime once more, where
the net's weights are there. The last line counts: ran, refused, and what must be 0: refusals without a cause, files
that onnxruntime refuses, crashes.
"""

from __future__ import annotations

import argparse
import collections
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import onnxruntime

import shapecalc
from shapecalc.zoo import entries

ROOT = Path(__file__).parents[2]
CORPUS = ROOT.parent / "shared" / "corpus"

EDITS: dict[str, Callable[[Any], Any]] = {
    "classes 13": lambda model: model.retarget(classes=13),
    "batch 4": lambda model: model.retarget(batch=4),
    "channels 1": lambda model: model.retarget(channels=1),
    "features": lambda model: model.cut(features=True, pool="avg", flatten=True),
}


def models(files: Iterable[str]) -> list[str]:
    """The files given, or the zoo and the corpus."""
    found = list(files)
    if not found:
        found = list(entries())
        found += [str(path) for path in sorted(CORPUS.glob("*/*")) if path.suffix in (".prototxt", ".json", ".onnx")]
    return found


def attempt(model: Any, edit: Callable[[Any], Any], folder: Path) -> tuple[str, str]:
    """(ran, refused, uncaused, broken or crash; the words)."""
    try:
        plan = edit(model)
        plan.verify(device="cpu")
        absent = model.graph.format == "onnx" and any(
            param.where is not None and not Path(param.where.path).is_file() for param in model.graph.params.values()
        )
        if absent:
            return "ran", "proved; its weights are not here, so nothing was written"
        target = folder / "out.onnx"
        plan.save(target, overwrite=True, device="cpu")
        onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    except shapecalc.ShapecalcError as error:
        verdict = "refused" if error.because or error.hint or error.expected else "uncaused"
        return verdict, f"[{error.code}] {error.message}"
    except Exception as error:  # noqa: BLE001  a crash is what is counted
        kind = "broken" if "onnxruntime" in type(error).__module__ else "crash"
        return kind, f"{type(error).__name__}: {error}"
    return "ran", ""


def main() -> int:
    """Prints a line for each attempt and the counts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="*")
    parser.add_argument("--seconds", type=float, default=3600.0)
    given = parser.parse_args()
    end = time.monotonic() + given.seconds
    counts: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        for name in models(given.files):
            if time.monotonic() > end:
                print("out of time")
                break
            try:
                model = shapecalc.load(name)
            except shapecalc.ShapecalcError as error:
                print(f"{Path(name).name}: not read: {error.message}", flush=True)
                continue
            for edit, make in EDITS.items():
                verdict, words = attempt(model, make, Path(folder))
                counts[verdict] += 1
                print(f"{Path(name).name}: {edit}: {verdict} {words}".rstrip(), flush=True)
    print(dict(counts))
    return 1 if counts["uncaused"] or counts["broken"] or counts["crash"] else 0


if __name__ == "__main__":
    sys.exit(main())
