"""Many files at many sizes: does each fit, and does each run with the shapes that were predicted?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from .. import literal
from ..definition import Definition
from ..dims import show
from ..errors import DeviceError, ModelError, ShapecalcError
from .plans import prove_model


class Row(NamedTuple):
    """One file at one size: "ok", "no" or "unreadable", and the words for it."""

    model: str
    size: str
    verdict: str
    words: str
    tensors: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON prints it."""
        return self._asdict()


#: Verdict -> the exit status of a run whose worst it is.
STATUS = {"ok": 0, "no": 1, "unreadable": 3}


def gate(
    names: Iterable[str], sizes: Iterable[literal.Spec], open_model: Callable[[str], Definition], device: str | None
) -> Iterator[Row]:
    """A row for every file at every size (None: its own). ``device`` None: traced, not run.

    Raises DeviceError where ``device`` cannot run anything; every other error is a row.
    """
    wanted = list(sizes) or [None]
    for name in names:
        try:
            model = open_model(name)
        except ModelError as error:
            yield Row(name, "", "unreadable", str(error).splitlines()[0])
            continue
        for size in wanted:
            yield _row(name, model, size, device)


def _row(name: str, model: Definition, size: literal.Spec, device: str | None) -> Row:
    asked = "" if size is None else str(size)
    try:
        traced = model.trace(size)
        shapes = ", ".join(show(tensor.shape) for tensor in traced.feeds.values())
        if traced.problems:
            return Row(name, asked or shapes, "no", traced.problems[0].headline)
        if device is None:
            return Row(name, asked or shapes, "ok", "fits")
        report = prove_model(model, traced, device=device, seed=0, rtol=None)
        report.raise_for_failure()
    except DeviceError:
        raise
    except ShapecalcError as error:
        return Row(name, asked, "no", str(error).splitlines()[0])
    return Row(name, asked or shapes, "ok", f"ran on {report.run.device_name}", len(report.shapes))
