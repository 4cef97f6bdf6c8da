"""The made parts of docs/keras.md."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Callable
from pathlib import Path

import shapecalc
from shapecalc.formats.keras import older
from shapecalc.formats.keras.activations import ACTIVATIONS
from shapecalc.formats.keras.layers import AUGMENTATIONS, LAYERS
from shapecalc.formats.keras.operations import ALIASES, ROWS

from .make_pages import code, table

NUMBERS = Path(__file__).parents[1] / "data" / "keras_numeric.json"


def compared() -> dict[str, set[str]]:
    """Layer -> operators, of the models whose numbers were recorded from Keras."""
    found: dict[str, set[str]] = {}
    for row in json.loads(NUMBERS.read_text(encoding="utf-8")):
        for node in shapecalc.loads(row["model"], format="keras").graph.nodes:
            found.setdefault(node.origin.op, set()).add(node.op)
    return found


def _row_of(kind: str) -> tuple[str, str]:
    """What makes a layer's node: module and name of the function, or of the one that made that."""
    row = LAYERS[kind]
    return row.__module__, row.__qualname__.partition(".")[0]


def _says(module: str, name: str) -> str:
    """The first line of a row's docstring, without what only the code needs."""
    found = getattr(importlib.import_module(module), name, None)
    text = inspect.getdoc(found) or ""
    return text.partition("\n\n")[0].replace("\n", " ").replace("``", "`").rstrip(".")


def _layers() -> str:
    seen = compared()
    groups: dict[tuple[str, str], list[str]] = {}
    for kind in LAYERS:
        if kind not in AUGMENTATIONS:
            groups.setdefault(_row_of(kind), []).append(kind)
    rows = []
    for (module, name), kinds in groups.items():
        names = ", ".join(f"`{kind}` ●" if kind in seen else f"`{kind}`" for kind in kinds)
        operators = sorted(set().union(*(seen.get(kind, set()) for kind in kinds)))
        shown = ", ".join(operators[:4]) + (", …" if len(operators) > 4 else "")
        rows.append((names, shown, _says(module, name) if name != "plain" else "Nothing outside training"))
    return table(["layers", "operator", "what is done"], rows)


def _activations() -> str:
    return code(ACTIVATIONS)


def _augmentations() -> str:
    return code(AUGMENTATIONS)


def _functions() -> str:
    names = {name: [other for other, known in ALIASES.items() if known == name] for name in ROWS}
    return table(["function", "also called"], [(code([name]), code(others)) for name, others in names.items()])


def _older() -> str:
    rows = [(code([old]), code([new])) for old, new in older.SETTINGS.items()]
    rows += [(code(names), code(["kernel_size"])) for names in older.KERNELS]
    rows += [(code([old]), code([new])) for old, new in older.KINDS.items()]
    rows += [(f"`Merge`, mode {code([mode])}", code([kind])) for mode, kind in older.MERGES.items()]
    return table(["Keras 1", "since"], rows)


PARTS: dict[str, Callable[[], str]] = {
    "layers": _layers,
    "activations": _activations,
    "augmentations": _augmentations,
    "functions": _functions,
    "older": _older,
}
