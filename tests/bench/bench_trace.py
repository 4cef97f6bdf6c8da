"""How long a trace takes in process, the model already loaded, as a ratio of onnx's own shape inference.

    python -m tests.bench.bench_trace [FOLDER] [rounds]

FOLDER holds exported models (default: the corpus beside the checkout). The two run in turn, so a machine that becomes
slower slows both; the ratio of each pair is taken, and their median. onnx's inference has its data propagation on: the
two answer the same question.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import onnx

import shapecalc

CORPUS = Path(__file__).parents[3] / "shared" / "corpus" / "onnx"
SIZE = 224
MODELS = ("resnet50.ts", "swin_tiny_patch4_window7_224.ts", "vit_tiny_patch16_224.ts", "tf_efficientnet_b0.ts")


def seconds(action: Callable[[], object]) -> float:
    """Wall-clock time of one call."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def compare(path: Path, rounds: int) -> str:
    """One line: both times and the ratio of one model."""
    model = shapecalc.load(path)
    proto = onnx.load(path, load_external_data=False)
    names = {given.name for given in model.graph.inputs}
    for given in proto.graph.input:
        if given.name in names:
            given.type.tensor_type.shape.dim[0].dim_value = 1
    infer = onnx.shape_inference.infer_shapes
    model.trace(SIZE)
    pairs = [(seconds(lambda: model.trace(SIZE)), seconds(lambda: infer(proto, data_prop=True))) for _ in range(rounds)]
    ours, peer = (statistics.median(column) * 1e3 for column in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    tensors = len(model.trace(SIZE).tensors)
    return f"{path.stem:40} {tensors:6,} tensors  {ours:7.2f} ms  onnx {peer:8.1f} ms  ratio {ratio:.3f}"


def main() -> None:
    """Prints a line a model; names what is absent."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else CORPUS
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 15
    for name in MODELS:
        path = folder / f"{name}.onnx"
        print(compare(path, rounds) if path.is_file() else f"{path} is absent")


if __name__ == "__main__":
    main()
