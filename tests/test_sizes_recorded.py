"""Which sizes fit against which sizes the frameworks themselves accepted. Most need ../shared.

Rows with weights of a fixed size ask the closed form of `sizes`; rows of a net made anew at its size ask a fresh trace.
"""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import onnx
import pytest

import shapecalc

SHARED = Path(__file__).resolve().parents[2] / "shared"
LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
CHAINER = json.loads((Path(__file__).parent / "data" / "chainer_nets.json").read_text())


def recorded(name: str) -> list[dict[str, Any]]:
    path = SHARED / "truth" / f"{name}.jsonl.gz"
    return [json.loads(line) for line in gzip.open(path)] if path.exists() else []


def grouped(rows: list[Any]) -> list[Any]:
    """(definition, options, its rows), each definition once."""
    found: dict[Any, list[Any]] = defaultdict(list)
    for path, phase, row in rows:
        if path.exists() or path.suffix == "":
            found[path, phase].append(row)
    return [pytest.param(*key, rows, id=f"{key[0].stem}-{key[1]}") for key, rows in sorted(found.items())]


def caffe() -> list[Any]:
    """Rows of nets fed an image; a Caffe that does not know a fork's layer says nothing of sizes."""
    rows = [row for row in recorded("caffe") if row["input"] is not None and len(row["input"]) == 4]
    rows = [row for row in rows if "Unknown layer type" not in (row["error"] or "")]
    return grouped([(SHARED / "corpus" / "caffe" / Path(r["source"]).name, r.get("phase") or "TEST", r) for r in rows])


def fits(model: shapecalc.Model, row: dict[str, Any], sizes: Any) -> bool:
    """What is said of a row's size: in closed form where weights were fixed, by a fresh trace where they were not."""
    fixed = "fixed" in (row.get("mode") or "")
    return tuple(row["input"][2:]) in sizes if fixed else model.trace(tuple(row["input"]), fresh=True).ok


@pytest.mark.corpus
@pytest.mark.parametrize(("path", "phase", "rows"), caffe())
def test_caffe(path: Path, phase: str, rows: list[dict[str, Any]]) -> None:
    model = shapecalc.load(path, phase=phase)
    sizes = model.sizes() if any(row.get("mode") for row in rows) else None
    assert [r["id"] for r in rows if fits(model, r, sizes) != (r["error"] is None)] == []


@pytest.mark.parametrize("name", ["lenet", "alexnet"])
def test_chainer(name: str) -> None:
    """Rows with their weights from the native size, by the definitions of the zoo that are the recorded nets."""
    sizes, rows = shapecalc.load(name).sizes(), [row for row in CHAINER[name] if row["weights"] == "fixed"]
    assert {row["refused"] for row in rows} == {True, False}
    assert [row["input"] for row in rows if (tuple(row["input"][2:]) in sizes) == row["refused"]] == []


@pytest.mark.skipif(not SHARED.exists(), reason="../shared is not here")
@pytest.mark.corpus
def test_keras() -> None:
    """Every recorded model was made at its size; those without their top go by the definition up to it."""
    files = {path.name.split("_keras3")[0]: path for path in (SHARED / "corpus" / "keras").glob("*.json")}
    wrong, asked = [], 0
    for row in recorded("keras"):
        path = files.get(row["id"].split("__")[0].partition("_")[0].lower())
        if path is None or row["input"] is None:
            continue
        asked += 1
        trace = shapecalc.load(path).trace((1, *row["input"][1:]), fresh=True)
        if trace.ok != (row["error"] is None):
            wrong.append(row["id"])
    assert asked > 20
    assert wrong == []


def exported() -> list[Any]:
    rows = []
    for row in recorded("onnx_sizes"):
        name = row["model"]
        near = [LIGHT / f"{name}.onnx", *(SHARED / "corpus" / "onnx" / f"{name}{end}.onnx" for end in ("", ".ts"))]
        rows += [(path, "", row) for path in near if path.exists()][:1]
    return grouped(rows)


@pytest.mark.corpus
@pytest.mark.parametrize(("path", "phase", "rows"), exported())
def test_onnxruntime(path: Path, phase: str, rows: list[dict[str, Any]]) -> None:
    sizes = shapecalc.load(path).sizes()
    assert [r["size"] for r in rows if (r["size"] in sizes) != r["accepted"]] == []
