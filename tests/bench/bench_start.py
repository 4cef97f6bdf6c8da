"""How long `shapecalc trace alexnet --input 256` takes as a whole process, as a ratio of a program that only prints.

    python -m tests.bench.bench_start [pairs]

The two run in turn, so a machine that becomes slower slows both; the ratio of each pair is taken, and their median.
The limit is 1.3.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

PEER = [sys.executable, str(Path(__file__).with_name("peer.py")), "alexnet", "--input", "256"]
OURS = [sys.executable, "-m", "shapecalc", "trace", "alexnet", "--input", "256"]
LIMIT = 1.3


#: As installed by pip, modules have their bytecode; an environment that forbids writing it would time the compiler.
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}


def seconds(command: list[str]) -> float:
    """Wall-clock time of one whole process."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=ENVIRONMENT)
    return time.perf_counter() - started


def main() -> None:
    """Prints the ratio of every pair's times: smallest, median, largest."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    seconds(PEER), seconds(OURS)
    rows = [(seconds(OURS), seconds(PEER)) for _ in range(pairs)]
    ratios = sorted(ours / peer for ours, peer in rows)
    ours, peer = (statistics.median(column) for column in zip(*rows, strict=True))
    print(
        f"trace alexnet --input 256: {ours * 1e3:.0f} ms, typer + rich table: {peer * 1e3:.0f} ms (medians of {pairs})"
    )
    print(f"ratio {statistics.median(ratios):.2f} (smallest {ratios[0]:.2f}, largest {ratios[-1]:.2f}), limit {LIMIT}")


if __name__ == "__main__":
    main()
