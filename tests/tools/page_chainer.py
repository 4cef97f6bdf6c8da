"""The made parts of docs/chainer.md."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from shapecalc.formats.chainer import recipes
from shapecalc.formats.chainer.bases import LINKS_AS_BASES
from shapecalc.formats.chainer.chainercv import CHAINERCV
from shapecalc.formats.chainer.composites import COMPOSITES
from shapecalc.formats.chainer.functions import FUNCTIONS
from shapecalc.formats.chainer.library import CLASSES
from shapecalc.formats.chainer.links import LINKS
from shapecalc.formats.chainer.use import OLDER, Row
from shapecalc.formats.chainer.vision import VISION

from .make_pages import table

RECORDED = Path(__file__).parents[1] / "data" / "chainer_recorded.json"
#: Members of `VISION` that no definition names.
INNER = ("VGGLayers", "ResNetLayers")


def _recorded() -> set[str]:
    """Names of links and functions that stand in a recording of Chainer's numbers."""
    rows = json.loads(RECORDED.read_text(encoding="utf-8"))
    texts = "\n".join(row.get("source") or f"{row['link']} {row['body']}" for row in rows)
    return set(re.findall(r"\b[FL]\.(\w+)", texts))


def _marked(names: Iterable[str]) -> list[str]:
    known = _recorded()
    return [f"`{name}` ●" if name in known else f"`{name}`" for name in names]


def _settings(row: Row) -> str:
    return ", ".join(row.signature.names)


def _rows(rows: dict[str, Row]) -> str:
    cells = [[mark, f"`{_settings(row)}`"] for mark, row in zip(_marked(rows), rows.values(), strict=True)]
    return table(["", "arguments"], cells)


def _links() -> str:
    return _rows(LINKS)


def _functions() -> str:
    return _rows(dict(sorted(FUNCTIONS.items())))


def _composites() -> str:
    own = [name for name in COMPOSITES if name not in VISION]
    functions = [name for name in own if name.islower()]
    links = [name for name in own if not name.islower()]
    assert set(recipes.FUNCTIONS) <= set(functions)
    rows = [["links", ", ".join(_marked(sorted(links)))], ["functions", ", ".join(_marked(sorted(functions)))]]
    return table(["", "read as they are made of others"], rows)


def _nets() -> str:
    return ", ".join(f"`{name}`" for name in VISION if name not in INNER)


def _chainercv() -> str:
    return ", ".join(f"`{name}`" for name in CHAINERCV)


def _bases() -> str:
    return ", ".join(f"`{name}`" for name in LINKS_AS_BASES)


def _classes() -> str:
    return table(["Chainer 1", "read as"], [[f"`F.{old}(…)(x)`", f"`F.{new}(x, …)`"] for old, new in CLASSES.items()])


def _older() -> str:
    rows = [[f"`{name}`", str(old.shared), f"`{', '.join(old.names)}`"] for name, old in sorted(OLDER.items())]
    return table(["", "arguments in common", "then, in Chainer 1"], rows)


PARTS: dict[str, Callable[[], str]] = {
    "links": _links,
    "functions": _functions,
    "composites": _composites,
    "nets": _nets,
    "chainercv": _chainercv,
    "bases": _bases,
    "classes": _classes,
    "older": _older,
}
