"""What a file of 553 MB costs, as whole processes: time as a ratio of a peer that runs in turn, and peak memory.

    python -m tests.bench.bench_big [pairs] [FOLDER]

`trace` against `onnx.load` (limits: 0.3 of its time, 90 MB), `retarget --classes 13 --no-verify` against `cp` (2.5
times, 120 MB), the same without what reads the command line (decision 18), in place of another file against `cp` with
`sync`, and what the proof adds. The file, VGG16 with its weights inside, is written first, into FOLDER or a temporary
one. The ratio of each pair is taken, and their median. Peak memory counts touched pages of the file too, and starts at
the peak of the process that forks: nothing large is imported here.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from .bench_start import ENVIRONMENT


class Cost(NamedTuple):
    """Seconds of one whole process, and its peak memory in MB."""

    seconds: float
    megabytes: float


def cost(command: list[str]) -> Cost:
    """Runs a process whose output is thrown away. Raises RuntimeError where it fails."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"exit status {process.returncode}: {' '.join(command)}")
    return Cost(seconds, usage.ru_maxrss / 1024 * 1.024**2)


def shapecalc(*words: str | Path) -> list[str]:
    """A command of ours."""
    return [sys.executable, "-m", "shapecalc", *map(str, words)]


def compared(title: str, ours: list[str], peer: list[str], made: list[Path], pairs: int) -> None:
    """One line: both medians, the ratio, the peak of each."""
    rows: list[tuple[Cost, Cost]] = []
    for _ in range(pairs + 1):
        for path in made:
            path.unlink(missing_ok=True)
        rows.append((cost(ours), cost(peer)))
    rows = rows[1:]  # the first pair brings the programs into memory
    ratios = sorted(a.seconds / b.seconds for a, b in rows)
    mine, other = (Cost(*map(statistics.median, zip(*column, strict=True))) for column in zip(*rows, strict=True))
    print(
        f"{title:45} {mine.seconds:6.2f} s {mine.megabytes:6.0f} MB   peer {other.seconds:5.2f} s"
        f" {other.megabytes:6.0f} MB   ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})",
        flush=True,
    )


def measure(folder: Path, pairs: int) -> None:
    """All comparisons, in one folder."""
    path, out, copy = folder / "vgg16.onnx", folder / "vgg13.onnx", folder / "copy.onnx"
    if not path.is_file():
        subprocess.run([sys.executable, "-m", "tests.bench.big", str(path)], check=True)
    load = [sys.executable, "-c", f"import onnx; onnx.load({str(path)!r})"]
    cp = ["cp", str(path), str(copy)]
    retarget = shapecalc("retarget", path, "--classes", "13", "-o", out)
    compared("trace, onnx.load", shapecalc("trace", path), load, [], pairs)
    compared("retarget --no-verify, cp", [*retarget, "--no-verify"], cp, [out, copy], pairs)
    called = f"import shapecalc; shapecalc.load({str(path)!r}).retarget(classes=13).save({str(out)!r}, verify=False)"
    compared("the same from Python, cp", [sys.executable, "-c", called], cp, [out, copy], pairs)
    synced = ["sh", "-c", 'cp "$0" "$1" && sync "$1"', str(path), str(copy)]
    replaced = [*retarget, "--no-verify", "--overwrite"]
    compared("retarget --overwrite --no-verify, cp and sync", replaced, synced, [], pairs)
    compared("retarget (proved), retarget --no-verify", retarget, [*retarget, "--no-verify", "--overwrite"], [out], 3)


def main() -> None:
    """Prints the lines."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    if len(sys.argv) > 2:
        measure(Path(sys.argv[2]), pairs)
        return
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), pairs)


if __name__ == "__main__":
    main()
