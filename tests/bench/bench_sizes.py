"""How long sizes in closed form take against tracing every size to 4,096 one by one, as a ratio of one run.

    python -m tests.bench.bench_sizes [FILE ...]

Of the traces one by one a sample of sizes is timed and scaled up. Default: ResNet-152 and large exported graphs of the
corpus beside the checkout.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import shapecalc

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"
FILES = (
    "caffe/resnet152_deploy.prototxt",
    "onnx/nasnetalarge.ts.onnx",
    "onnx/swin_tiny_patch4_window7_224.ts.onnx",
    "onnx/maxvit_tiny_rw_224.ts.onnx",
)
LIMIT = 4096
SAMPLE = range(160, 480, 32)


def seconds(action: Callable[[], object]) -> float:
    """Wall-clock time of one call."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def compare(path: Path) -> str:
    """One line: the closed form, one by one, and how many times faster."""
    model = shapecalc.load(path)
    model.trace(224)
    ours = statistics.median(seconds(model.sizes) for _ in range(3))
    each = statistics.median(seconds(lambda size=size: model.trace(size)) for size in SAMPLE)  # type: ignore[misc]
    return (
        f"{path.stem:40} closed form {ours:6.2f} s  one by one {each * LIMIT:7.1f} s  ratio {each * LIMIT / ours:.0f}"
    )


def main() -> None:
    """Prints a line a file; names what is absent."""
    for path in [Path(name) for name in sys.argv[1:]] or [CORPUS / name for name in FILES]:
        print(compare(path) if path.is_file() else f"{path} is absent", flush=True)


if __name__ == "__main__":
    main()
