"""What every layer sees of the image, as a table: receptive field, jump, start, and the share that sees padding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from .. import dims
from ..explain import misaligned, unseen
from ..graph import PLUMBING
from ..ops.training import TRAINING
from .named import LONGEST, NARROW, Texts, texts_of
from .table import Cells, Column, field_text, has_batch, print_cells
from .words import hanging

if TYPE_CHECKING:
    from ..model import Model
    from ..trace import Layer, Trace

LEGEND = (
    "RF: pixels that one place sees. Jump: from a place to its neighbour. Start: the pixel on which the first place is "
    "centred. Padding: the share of places whose field reaches out of the image."
)


def print_fields(console: Console, model: Model, trace: Trace) -> None:
    """The whole answer of ``shapecalc trace --receptive``."""
    inputs = ", ".join(f"{v.name} {dims.show(v.tensor.shape)}" for v in trace.inputs)
    console.print(Text.assemble((model.name, "bold"), f"  input {inputs}  {trace.dialect} rules"))
    console.print()
    print_cells(field_cells(trace, console.width), console)
    console.print()
    console.print(hanging(Text(LEGEND, style="dim")))
    for note in [*misaligned(trace), *unseen(trace)]:
        console.print(hanging(Text.assemble((f"{note.layer}: ", "yellow"), note.text)))
    for problem in trace.problems[:1]:
        console.print(hanging(Text(problem.headline, style="bold red")))


def field_cells(trace: Trace, width: int) -> Cells:
    """A row for every layer that sees something of the image, or of which that is not known."""
    seeing = [layer for layer in trace.layers if layer.op not in (PLUMBING | TRAINING)]
    layers = [layer for layer in seeing if layer.fields or layer.unseen]
    for longest in (LONGEST, NARROW):
        texts = texts_of(layers, has_batch(trace), formulas=False, longest=longest)
        columns = _columns(texts)
        rows = [[column.cell(layer) for column in columns] for layer in layers]
        cells = Cells(columns, layers, rows, False, texts.names)
        if cells.least <= width:
            break
    return cells


def _columns(texts: Texts) -> list[Column]:
    return [
        Column("Layer", lambda layer: layer.name),
        Column("Output", texts.shapes.__getitem__),
        Column("RF", lambda layer: "?" if layer.unseen else field_text(layer.receptive_field), right=True),
        Column("Jump", lambda layer: field_text(layer.jump), right=True),
        Column("Start", start_text, right=True),
        Column("Padding", lambda layer: share_text(layer.sees_padding), right=True),
    ]


def start_text(layer: Layer) -> str:
    """The centre of the first place; where branches met that have unlike ones there is none."""
    if layer.misaligned:
        return "misaligned"
    start: Any = layer.start
    parts = start if isinstance(start, tuple) else (start,)
    return "" if start is None else "×".join(f"{part:g}" for part in parts)


def share_text(share: float | None) -> str:
    """``85.2%``; never 100% of what is less, nor 0% of what is more."""
    if share is None:
        return ""
    return f"{min(max(share, 0.001), 0.999):.1%}" if 0 < share < 1 else f"{share:.0%}"
