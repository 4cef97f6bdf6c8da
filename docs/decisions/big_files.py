"""Draws big-files.svg: time and peak memory of whole processes against the size of the file they open.

    python docs/decisions/big_files.py [--rounds N] [FOLDER]

The files, VGG16 at other widths, are written into FOLDER (default: a temporary one) with holes for weights, so 5 GB of
them take no place; what is written from them does. `trace` and `retarget --classes 13 --no-verify`, with the weights
inside the file and beside it, and `onnx.load` up to 500 MB. Inside, 5 GB are more than protobuf's own reader takes.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.bench.bench_big import Cost, cost, shapecalc  # noqa: E402

SIZES = (50, 500, 5000)


class Series(NamedTuple):
    """One line of the figure: its words, its colour, and a cost for each size."""

    words: str
    colour: str
    costs: list[Cost]


# -- measuring --------------------------------------------------------------------------------------------------------


def measured(folder: Path, rounds: int) -> list[Series]:
    """Every series, the fastest of its rounds; files are made and removed one by one."""
    found = {
        "trace, weights inside": "#1f77b4",
        "trace, weights beside": "#2ca02c",
        "retarget, weights inside": "#d62728",
        "retarget, weights beside": "#9467bd",
        "onnx.load, weights inside": "#7f7f7f",
    }
    series = {words: Series(words, colour, []) for words, colour in found.items()}
    for megabytes in SIZES:
        for place in ("inside", "beside"):
            path = folder / "vgg.onnx"
            words = ["--external"] if place == "beside" else []
            made = [sys.executable, "-m", "tests.bench.big", str(path), str(megabytes), "--holes", *words]
            subprocess.run(made, check=True, cwd=ROOT)
            for name, command in _commands(path, megabytes, place):
                best = min(_rounds(command, folder / "out.onnx", rounds))
                print(f"{megabytes:5} MB  {name:26} {best.seconds:6.2f} s {best.megabytes:7.0f} MB", flush=True)
                series[name].costs.append(best)
            for left in folder.glob("vgg.onnx*"):
                left.unlink()
    return list(series.values())


def _commands(path: Path, megabytes: int, place: str) -> Iterator[tuple[str, list[str]]]:
    yield f"trace, weights {place}", shapecalc("trace", path)
    out = path.with_name("out.onnx")
    yield f"retarget, weights {place}", shapecalc("retarget", path, "--classes", "13", "--no-verify", "-o", out)
    if place == "inside" and megabytes <= 500:
        yield "onnx.load, weights inside", [sys.executable, "-c", f"import onnx; onnx.load({str(path)!r})"]


def _rounds(command: list[str], out: Path, rounds: int) -> Iterator[Cost]:
    for _ in range(rounds):
        out.unlink(missing_ok=True)
        yield cost(command)
    out.unlink(missing_ok=True)


# -- drawing ----------------------------------------------------------------------------------------------------------

WIDTH, HEIGHT, LEFT, TOP, GAP = 300, 240, 60, 30, 90
LEGEND = 20


class Panel(NamedTuple):
    """One of the two drawings: what it shows, its ticks (the first and last are its ends), where it begins."""

    title: str
    field: str
    ticks: tuple[float, ...]
    x: int

    def at(self, megabytes: float, value: float) -> tuple[float, float]:
        """Where a point lies; both axes are logarithmic."""
        return self.x + WIDTH * _share(megabytes, SIZES[0], SIZES[-1]), TOP + HEIGHT * (
            1 - _share(value, self.ticks[0], self.ticks[-1])
        )


def _share(value: float, low: float, high: float) -> float:
    return math.log(value / low) / math.log(high / low)


PANELS = (
    Panel("whole process, seconds", "seconds", (0.1, 1, 10, 100), LEFT),
    Panel("peak memory, MB", "megabytes", (10, 100, 1000, 10000), LEFT + WIDTH + GAP),
)


def figure(series: list[Series]) -> str:
    """The SVG."""
    width, height = PANELS[-1].x + WIDTH + 30, TOP + HEIGHT + 45 + LEGEND * len(series)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for panel in PANELS:
        parts += [*_axes(panel), *(part for line in series for part in _line(panel, line))]
    for row, line in enumerate(series):
        y = TOP + HEIGHT + 50 + LEGEND * row
        parts.append(f'<path d="M{LEFT} {y - 4}h24" stroke="{line.colour}" stroke-width="2"/>')
        parts.append(f'<text x="{LEFT + 32}" y="{y}">{line.words}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _axes(panel: Panel) -> Iterator[str]:
    yield f'<text x="{panel.x}" y="{TOP - 12}" font-weight="bold">{panel.title}</text>'
    for tick in panel.ticks:
        _, y = panel.at(SIZES[0], tick)
        yield f'<path d="M{panel.x} {y:.1f}h{WIDTH}" stroke="#ddd"/>'
        yield f'<text x="{panel.x - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>'
    for megabytes in SIZES:
        x, _ = panel.at(megabytes, panel.ticks[0])
        yield f'<text x="{x:.1f}" y="{TOP + HEIGHT + 18}" text-anchor="middle">{megabytes} MB</text>'


def _line(panel: Panel, line: Series) -> Iterator[str]:
    points = [panel.at(size, getattr(held, panel.field)) for size, held in zip(SIZES, line.costs, strict=False)]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    yield f'<path d="M{path}" fill="none" stroke="{line.colour}" stroke-width="2"/>'
    yield from (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{line.colour}"/>' for x, y in points)


def main() -> None:
    """Prints the figures and writes the drawing beside this script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("folder", nargs="?", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        drawn = figure(measured(Path(folder), given.rounds))
    Path(__file__).with_name("big-files.svg").write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main()
