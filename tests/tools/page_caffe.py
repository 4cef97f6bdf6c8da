"""The made parts of docs/caffe.md."""

from __future__ import annotations

from collections.abc import Callable

from shapecalc.formats.caffe.schema import FORKS

from .make_pages import code, table


def _forks() -> str:
    rows = [(code([name]), code([where]) if where else "", meaning) for (where, name), meaning in FORKS.items()]
    return table(["field", "of", "read"], rows)


PARTS: dict[str, Callable[[], str]] = {"forks": _forks}
