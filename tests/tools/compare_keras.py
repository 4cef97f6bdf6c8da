"""Whole models of Keras, written as ONNX and run, against what Keras made of them (`record_keras_models`).

    python -m tests.tools.compare_keras                     all that are recorded, with seeded weights
    python -m tests.tools.compare_keras VGG16 ResNet50      these
    python -m tests.tools.compare_keras --files FOLDER      the files that the recorder saved there, with their weights

Prints the largest difference of an output, relative to the output's largest number. Exit status 1 if one is larger
than `LIMIT`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy

import shapecalc
from shapecalc.trace import Trace
from shapecalc.verify.run import execute, runnable
from shapecalc.weights import Array

from . import seeded
from .record_keras_models import CORPUS, recorded

#: Largest difference from the recording, relative to the output's largest number.
LIMIT = 1e-5
#: What the recorder saves of a model, and the weights that go with it.
SAVED = ((".keras", None), (".h5", None), (".json", ".weights.h5"), (".json", ".h5"))


def opened(row: dict[str, Any]) -> shapecalc.Model:
    """The recorded definition, or that of the corpus."""
    if row["model"] is not None:
        return shapecalc.loads(row["model"], format="keras")
    return shapecalc.load(CORPUS / row["name"])


def difference(row: dict[str, Any], model: shapecalc.Model) -> float:
    """The largest difference of the outputs that were kept, or of their sum a number, relative to the largest."""
    trace = model.trace(tuple(row["input"]))
    what = runnable(model, model.graph, trace, 0, _weights(model, trace, row.get("damped", 1.0)))
    fed = {name: seeded.image(row["name"], array.shape) for name, array in what.inputs.items()}
    value = trace.layer(row["layer"]).outputs[0] if row.get("layer") else trace.outputs[0]
    got = execute(what._replace(inputs=fed), "cpu").tensors[value.name].astype("float64").reshape(-1)
    if got.shape != (row["count"],):
        return float("inf")
    kept = float(numpy.abs(got[:: row["step"]] - numpy.array(row["kept"])).max())
    mean = abs(float(got.sum()) - float(row["sum"])) / len(got)
    return max(kept, mean) / float(row["scale"])


def _weights(model: shapecalc.Model, trace: Trace, damped: float) -> dict[str, Array] | None:
    """Seeded ones where the model has none."""
    if model.weights is not None:
        return None
    params = [param.name for param in model.graph.params.values() if param.contents is None]
    return {name: seeded.weight(name, trace.tensors[name].shape, damped) for name in params}  # type: ignore[arg-type]


def _cases(names: list[str], folder: Path | None) -> Iterator[tuple[str, dict[str, Any], Path | None, Path | None]]:
    """(what is printed, row, definition, weights); without a definition the row's own."""
    for row in recorded():
        base = row["name"].removesuffix(".json")
        if names and base not in names:
            continue
        if folder is None:
            yield base, row, None, None
            continue
        for suffix, weights in SAVED:
            path, beside = folder / f"{base}{suffix}", folder / f"{base}{weights}" if weights else None
            if path.exists() and (beside is None or beside.exists()):
                yield f"{base}{suffix} {weights or ''}", row, path, beside


def main() -> int:
    """Prints a line a model; 1 if one differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--files", type=Path, metavar="FOLDER")
    given = parser.parse_args()
    worse = 0
    for shown, row, path, weights in _cases(given.names, given.files):
        started = time.monotonic()
        model = opened(row) if path is None else shapecalc.load(path, weights=weights)
        found = difference(row, model)
        worse += not found <= LIMIT
        print(
            f"{shown:50} {found:.1e} {'' if found <= LIMIT else 'differs'} {time.monotonic() - started:.1f} s",
            flush=True,
        )
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
