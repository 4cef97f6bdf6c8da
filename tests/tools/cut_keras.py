"""Keras files cut as texts, loaded in the real Keras: what they give against the original's tensors there.

    python -m tests.tools.cut_keras --python PYTHON [--pool] FILE ...

PYTHON is one that has Keras; the files are .keras or .h5 with weights. Each is cut before its head, at the layer in the
middle and at two layers at once, with --pool also averaged over its places and flattened; the result is loaded by Keras
beside the original and both are run on the same noise. Exit status 1 where a number differs or a weight is another.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import shapecalc

from .attempt_surgery import halfway

#: What Keras runs: the original's layers and the cut model on the same noise; the largest difference of each output.
WORKER = """
import json, os, sys
os.environ.setdefault("KERAS_BACKEND", "numpy")
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy
try:
    import keras
except ImportError:
    import tensorflow.keras as keras
def found(model, path):
    head, _, rest = path.partition("/")
    layer = model.get_layer(head)
    return found(layer, rest) if rest else layer
for line in sys.stdin:
    row = json.loads(line)
    try:
        whole = keras.models.load_model(row["whole"], compile=False)
        short = keras.models.load_model(row["short"])
        random = numpy.random.default_rng(0)
        feeds = [random.standard_normal([d or s for d, s in zip(x.shape, row["shapes"][i])]).astype("float32")
                 for i, x in enumerate(whole.inputs)]
        values = []
        for at in row["at"]:
            made = [found(whole, name).output for name in at]
            values += [m[0] if isinstance(m, (list, tuple)) else m for m in made]
        probe = keras.Model(whole.inputs, values)
        one = feeds if len(feeds) > 1 else feeds[0]
        wanted, given = (x if isinstance(x, (list, tuple)) else [x] for x in (probe(one), short(one)))
        wanted, given = ([numpy.asarray(v) for v in x] for x in (wanted, given))
        if row["pool"]:
            wanted = [v.reshape(len(v), -1, v.shape[-1]).mean(1) if v.ndim == 4 else v for v in wanted]
        worst = max(float(abs(a - b).max() / max(abs(a).max(), 1e-30)) for a, b in zip(wanted, given, strict=True))
        by_name = {w.path if hasattr(w, "path") else w.name: numpy.asarray(w) for w in whole.weights}
        same = all(numpy.array_equal(by_name[n], numpy.asarray(w)) for w in short.weights
                   for n in [w.path if hasattr(w, "path") else w.name] if n in by_name)
        print(json.dumps({"worst": worst, "same": bool(same), "weights": len(short.weights)}), flush=True)
    except Exception as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"[:400]}), flush=True)
"""


def plans(model: Any, pool: bool) -> Iterator[tuple[str, Any]]:
    """What is tried on one file."""
    ends: dict[str, Any] = {"pool": "avg", "flatten": True} if pool else {}
    yield "features", lambda: model.cut(features=True, **ends)
    middle = halfway(model)
    yield middle, lambda: model.cut(middle, **ends)
    names = [node.name for node in model.graph.nodes if node.op != "Input"]
    pair = names[len(names) // 4], names[3 * len(names) // 4]
    yield " and ".join(pair), lambda: model.cut(*pair, **ends)


def main() -> int:
    """Prints a line a cut."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--python", required=True)
    parser.add_argument("--pool", action="store_true")
    given = parser.parse_args()
    worker = subprocess.Popen([given.python, "-c", WORKER], stdin=-1, stdout=-1, stderr=-3, text=True)
    assert worker.stdin is not None
    assert worker.stdout is not None
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for file in given.files:
            model = shapecalc.load(file)
            for words, make in plans(model, given.pool):
                target = Path(folder) / f"cut{Path(file).suffix}"
                try:
                    plan = make()
                    plan.save(target, overwrite=True, verify=False)
                except shapecalc.ShapecalcError as error:
                    print(f"{Path(file).name}: {words}: refused {error.message}: {error.because}", flush=True)
                    continue
                taps = next(edit for edit in plan.edits if hasattr(edit, "taps")).taps
                row = {"whole": file, "short": str(target), "pool": given.pool, "at": [[tap.layer] for tap in taps]}
                row["shapes"] = [
                    [d if isinstance(d, int) else 48 for d in tensor.shape] for tensor in plan.trace.feeds.values()
                ]
                worker.stdin.write(json.dumps(row) + "\n")
                worker.stdin.flush()
                said = json.loads(worker.stdout.readline())
                failed += "error" in said or not said["same"] or said["worst"] > 1e-5
                size = f"{target.stat().st_size:,} of {Path(file).stat().st_size:,} bytes"
                print(f"{Path(file).name}: {words}: {said} {size}", flush=True)
    worker.stdin.close()
    worker.wait()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
