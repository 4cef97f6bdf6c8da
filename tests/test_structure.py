"""The structure holds: imports go one way, heavy modules stay out of the way, public names are the exported ones."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import shapecalc

PACKAGE = Path(shapecalc.__file__).parent

#: Rooms from the ground up. A module may import from its own row and from the rows above it in this list only.
ROWS = (
    ("errors", "source", "elements", "copying"),
    ("problem",),
    ("expressions", "memory", "said"),
    ("bounds",),
    ("dims", "intervals"),
    ("window", "dialects"),
    ("graph",),
    ("ops",),
    ("receptive", "cost", "literal"),
    ("traced",),
    ("trace",),
    ("formats", "zoo", "files"),
    ("definition",),
    ("layout", "lower", "waves", "coordinates"),
    ("resampling",),
    ("folding",),
    ("weights", "explain", "sizes", "match", "footprint"),
    ("compare",),
    ("surgery",),
    ("kept",),
    ("pair",),
    ("baked", "verify"),
    ("model", "why"),
    ("report",),
    ("cli",),
    ("__init__", "__main__"),
)
LEVEL = {room: level for level, rooms in enumerate(ROWS) for room in rooms}

#: External modules and the only rooms that may import them.
OUTSIDE = {
    "onnx": {"formats", "verify"},
    "onnxruntime": {"verify"},
    "rich": {"report"},
    "typer": {"cli"},
    "numpy": {
        "bounds",
        "sizes",
        "weights",
        "formats",
        "verify",
        "why",
        "resampling",
        "folding",
        "waves",
        "coordinates",
    },
}


def room_of(module: tuple[str, ...]) -> str:
    return module[0] if module else "__init__"


def imports(path: Path, package: Path) -> Iterator[tuple[int, tuple[str, ...]]]:
    """(line, module path) of every import in a file; modules of the package without its name, others with theirs."""
    inside = path.relative_to(package).with_suffix("").parts
    parent = inside[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, tuple(alias.name.split("."))) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            base = (*parent[: len(parent) - node.level + 1], *(node.module.split(".") if node.module else ()))
            if base:
                yield node.lineno, ("shapecalc", *base)
            else:
                yield from ((node.lineno, ("shapecalc", alias.name)) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, tuple(node.module.split("."))


def misplaced(package: Path) -> list[str]:
    """Every import that goes against the order, as ``file:line imports what``."""
    found = []
    for path in sorted(package.rglob("*.py")):
        if "_zoo" in path.parts:
            continue
        room = room_of(path.relative_to(package).with_suffix("").parts)
        for line, module in imports(path, package):
            where = f"{path.relative_to(package)}:{line} imports {'.'.join(module)}"
            if module[0] == "shapecalc":
                target = room_of(module[1:])
                if room != "__init__" and LEVEL.get(target, -1) > LEVEL[room]:
                    found.append(where)
            elif module[0] in OUTSIDE and room not in OUTSIDE[module[0]]:
                found.append(where)
    return found


def test_imports_go_one_way() -> None:
    assert misplaced(PACKAGE) == []


def test_every_room_has_its_row() -> None:
    rooms = {p.stem for p in PACKAGE.glob("*.py")} | {p.parent.name for p in PACKAGE.glob("*/__init__.py")}
    assert rooms == set(LEVEL)


def test_the_import_test_can_fail(tmp_path: Path) -> None:
    (tmp_path / "dims.py").write_text("def f():\n    from .trace import trace\n    import onnxruntime\n")
    assert misplaced(tmp_path) == ["dims.py:2 imports shapecalc.trace", "dims.py:3 imports onnxruntime"]


HEAVY = ("numpy", "onnx", "onnxruntime")


def loaded_by(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after running ``code``."""
    script = f"import sys\n{code}\nprint('\\n'.join(sorted({{name.split('.')[0] for name in sys.modules}})))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(run.stdout.split("\n"))


TRACE = "import shapecalc.cli.app as app, io, contextlib\nwith contextlib.redirect_stdout(io.StringIO()): app.run({})"


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import shapecalc", (*HEAVY, "rich", "typer")),
        ("import shapecalc; shapecalc.load('alexnet').trace(256)", (*HEAVY, "rich", "typer")),
        (TRACE.format(["trace", "alexnet", "--input", "256"]), HEAVY),
        (TRACE.format(["trace", "googlenet", "--json"]), HEAVY),
        (TRACE.format(["trace", "mobilenet_v2"]), HEAVY),
        (TRACE.format(["zoo"]), HEAVY),
        ("import shapecalc.verify.plans", HEAVY),  # an edited file is being copied before they are needed
    ],
)
def test_heavy_modules_are_not_loaded(code: str, absent: tuple[str, ...]) -> None:
    assert loaded_by(code).isdisjoint(absent)


def test_the_lazy_import_test_can_fail() -> None:
    assert "numpy" in loaded_by("import shapecalc.weights")
    assert {"rich", "typer"} <= loaded_by(TRACE.format(["trace", "alexnet"]))


def test_public_names_are_the_exported_ones() -> None:
    assert sorted(shapecalc.__all__) == sorted({*shapecalc._HOMES, "__version__"})
    for name in shapecalc.__all__:
        assert getattr(shapecalc, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = shapecalc.nonsense
