"""The definitions that ship: found by name, described by zoo/index.toml."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from .errors import ModelError


class Entry(NamedTuple):
    """One definition: its file, the paper and definition it follows, its native input and check values."""

    name: str
    path: Path
    row: dict[str, Any]


def folder() -> Path:
    """Where the zoo lies: inside the installed package, or beside it in a checkout."""
    inside = Path(__file__).parent / "_zoo"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "zoo"


def entries() -> dict[str, Entry]:
    """Name -> entry, in the order of the index."""
    import tomllib

    root = folder()
    with open(root / "index.toml", "rb") as file:
        rows = tomllib.load(file)
    return {name: Entry(name, root / row["file"], row) for name, row in rows.items()}


def find(name: str) -> Path | None:
    """The definition called ``name``, None if there is none: files bear the names of the index, which is not read."""
    named = (path for path in folder().iterdir() if path.stem == name and path.suffix != ".toml")
    return next(filter(Path.is_file, named), None)


def unknown(name: str) -> ModelError:
    """The error for a name that is neither a file nor in the zoo, with near names and files."""
    import difflib

    known, path = list(entries()), Path(name)
    near = difflib.get_close_matches(path.stem.lower(), known, n=3, cutoff=0.5)
    close = [*_siblings(path), *near]
    hint = f"did you mean {' or '.join(close)}?" if close else f"the zoo has {', '.join(known)}"
    return ModelError(f"no file and no zoo model is called {name!r}", "E201", hint=hint)


def _siblings(path: Path) -> list[str]:
    """Files beside a path that is none: those whose names go on where its own ends, else those spelled alike."""
    import difflib

    if not path.stem or not os.path.isdir(path.parent):
        return []
    names = sorted(p.name for p in path.parent.iterdir() if p.is_file())
    longer = [n for n in names if n.lower().startswith(path.stem.lower())][:3]
    return [str(path.parent / n) for n in longer or difflib.get_close_matches(path.name, names, n=3, cutoff=0.6)]
