"""What ``shapecalc sizes`` prints: the closed form, who forbids the rest, what ties height and width, what is near."""

from __future__ import annotations

import itertools
from functools import cached_property
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from .. import literal
from ..errors import UsageError
from ..graph import Input
from ..trace import first_input
from .console import make_console

if TYPE_CHECKING:
    from ..model import Model
    from ..sizes.form import Form
    from ..sizes.found import Sizes
    from ..sizes.solve import Solved
    from ..sizes.verdicts import Coupling

#: Layers, pairs and requirements named one by one.
SHOWN = 6
#: Ways to write a product as a map that are listed.
SQUAREST = 3
COLOURS = {
    1: "1: gray; a colour image must be averaged",
    3: "3: RGB; a gray image must be repeated, or `retarget --channels 1`",
    4: "4: RGB and alpha",
}


class Question:
    """One call of the command: the model, what was asked about it, and the sets that answer."""

    def __init__(self, model: Model, spec: Any, limit: int, exact: bool, dialects: list[str | None]) -> None:
        self.model = model
        self.spec = spec
        self.exact = exact
        self.dialects = dialects
        self.each = [
            model.sizes(limit=limit, dialect=name and name.strip(), exact=exact, input=spec) for name in dialects
        ]
        self.sizes = self.each[0]
        for other in self.each[1:]:
            self.sizes = self.sizes & other
        self.whole = None if exact else self.each[0].exactly()
        self.given = first_input(model.graph)

    def to_dict(self, near: str | None) -> dict[str, Any]:
        """The answer as JSON prints it."""
        found = self.sizes.to_dict() | {"model": self.model.name, "exact_only": self.exact}
        found["exact"] = (self.whole or self.sizes).square.to_dict()
        found["dialects"] = {name: str(each) for each in self.each for name in each.names}
        height, width = _near(near) if near is not None else (None, None)
        found["near"] = height if height == width else [height, width]
        found["beside"] = [{axis: size, other: form.to_dict()} for axis, size, other, form in self.tied]
        nearest: Any = None
        if height is not None and width is not None:
            pair = self.sizes.nearest_rectangle(height, width)
            nearest = self.sizes.nearest(height) if height == width else pair and list(pair)
        return found | {"nearest": nearest}

    def show(self, near: str | None) -> None:
        """Prints the answer."""
        lines = self._lines(near)
        console = make_console()
        kind = "every division whole" if self.exact else "what fits"
        names = ", ".join(name for each in self.each for name in each.names)
        console.print(Text.assemble((self.model.name, "bold"), f"  {kind}, {names} rules; N is height or width"))
        rows = Table.grid(padding=(0, 2, 0, 0))
        rows.add_column(no_wrap=True)
        rows.add_column()
        for label, text in lines:
            rows.add_row(Text(f"  {label}", style="bold"), Text(text))
        console.print(rows)

    def _lines(self, near: str | None) -> list[tuple[str, str]]:
        found = self.sizes
        lines = [(", ".join(names), str(each)) for names, each in self.alike] if len(self.each) > 1 else []
        lines.append(("in all of them" if lines else "square N×N", str(found)))
        if self.whole is not None and len(self.each) == 1:
            lines.append(("exact", _exact(self.whole)))
        lines += [*_rectangles(found), *self._beside()]
        if near is not None:
            lines += self._nearest(*_near(near))
        lines += _forbidden(self.alike)
        return lines + _images(self.given)

    @cached_property
    def alike(self) -> list[tuple[list[str], Sizes]]:
        """Dialects that give the same answer for the same reasons, together."""
        found: dict[str, tuple[list[str], Sizes]] = {}
        for each in self.each:
            reasons = "\n".join(f"{row.layer} {row.code} {row.sizes}" for row in each.refusals)
            found.setdefault(reasons, ([], each))[0].extend(each.names)
        return list(found.values())

    @cached_property
    def tied(self) -> list[tuple[str, int, str, Form]]:
        """(axis, its native size, the other axis, the sizes that go with it), where no list of rectangles says them.

        Without a native size that fits, of the nearest square to the usual one.
        """
        from ..sizes.bounds import native_size

        listed = self.sizes.product and all(coupling.product is not None for coupling in self.sizes.couplings)
        if listed:
            return []
        square = self.sizes.nearest(literal.USUAL[0])
        height, width = native_size(self.model) or (square, square)
        if height is None or width is None:
            return []
        return [
            ("height", height, "width", self._going_with({"height": height})),
            ("width", width, "height", self._going_with({"width": width})),
        ]

    def _going_with(self, side: dict[str, int]) -> Form:
        """The other sides that go with one under every dialect asked."""
        from ..sizes.form import EVERY
        from ..sizes.found import beside

        found = EVERY
        for name in self.dialects:
            dialect = name and name.strip()
            found = found & beside(self.model, side, dialect=dialect, exact=self.exact, input=self.spec)
        return found

    def _beside(self) -> list[tuple[str, str]]:
        return [(f"  {axis} {size}", f"{other} {form}") for axis, size, other, form in self.tied]

    def _nearest(self, height: int, width: int) -> list[tuple[str, str]]:
        if height == width:
            low, high = self.sizes.square.below(height), self.sizes.square.above(height)
            around = f"below or at {low or 'none'}, above or at {high or 'none'}"
            return [(f"near {height}", f"{self.sizes.nearest(height) or 'none'} ({around})")]
        pair = self.sizes.nearest_rectangle(height, width)
        lines = [(f"near {height}x{width}", "none" if pair is None else f"{pair[0]}x{pair[1]}")]
        if self.sizes.independent:
            for axis, size, form in (("height", height, self.sizes.heights), ("width", width, self.sizes.widths)):
                around = f"below or at {form.below(size) or 'none'}, above or at {form.above(size) or 'none'}"
                lines.append((f"  {axis} {size}", around))
        return lines + self._as_trained(height, width, pair)

    def _as_trained(self, height: int, width: int, pair: tuple[int, int] | None) -> list[tuple[str, str]]:
        """The nearest that gives the map the net was trained with, where another map is nearer."""
        from ..sizes.bounds import native_size

        native = native_size(self.model)
        if native is None or pair is None or len(self.sizes.couplings) != 1:
            return []
        for a, b, rows, columns in self.sizes.couplings[0].pairs:
            if native[0] in rows and native[1] in columns and not (pair[0] in rows and pair[1] in columns):
                return [
                    (f"  as {a}×{b}", f"{rows.nearest(height)}x{columns.nearest(width)}, the map it was trained with")
                ]
        return []

    def emitted(self, form: str) -> tuple[str, str]:
        """trtexec's options for one range of sizes without holes, around the native size; and what they leave out."""
        if form != "trtexec":
            raise UsageError(f"nothing is emitted as {form!r}", "E002", hint="trtexec")
        from ..sizes.profile import trtexec

        return trtexec(self.model, self.sizes)


def _exact(found: Sizes) -> str:
    """The sizes at which every division is whole, and which of them fit."""
    if not found.whole:
        return "none: at every size some division is not whole"
    fit = "all of them fit" if str(found.whole) == str(found) else f"of these fit {found}"
    return f"{found.whole}: every division whole; {fit}"


def _near(text: str) -> tuple[int, int]:
    _, shape = literal.parse(text)
    if not 1 <= len(shape) <= 2 or not all(isinstance(n, int) for n in shape):
        raise UsageError(f"{text!r} is no size", "E001", hint="256, or 1080x1920 (height x width)")
    return int(shape[0]), int(shape[-1])


def _rectangles(found: Sizes) -> list[tuple[str, str]]:
    if not found.product:
        return [("rectangles", "height and width depend on each other; ask with --near HxW")]
    if found.independent:
        if found.heights == found.widths:
            if str(found.heights) == "none":
                return []
            each = "" if str(found.heights) == "every size" else f", each {found.heights}"
            return [("rectangles", f"any height and width{each}")]
        return [("height", str(found.heights)), ("width", str(found.widths))]
    lines = [line for coupling in _merged(found) if coupling.product is not None for line in _coupled(coupling)]
    others = [coupling.layer for coupling in found.couplings if coupling.product is None]
    if others:
        more = f" and {len(others) - 1} more tie" if len(others) > 1 else " ties"
        lines.append(("rectangles", f"{others[0]}{more} height and width together; ask with --near HxW"))
    return lines


def _merged(found: Sizes) -> list[Coupling]:
    """The requirements of several dialects on one layer as one: the rectangles that meet each of them."""
    merged: dict[tuple[str, int | None], Coupling] = {}
    for coupling in found.couplings:
        key = (coupling.layer, coupling.product)
        first = merged.setdefault(key, coupling)
        if first is not coupling:
            pairs = [
                (a, b, rows & other_rows, columns & other_columns)
                for a, b, rows, columns in first.pairs
                for _, _, other_rows, other_columns in coupling.pairs
                if rows & other_rows and columns & other_columns
            ]
            merged[key] = coupling._replace(pairs=pairs)
    return list(merged.values())


def _coupled(coupling: Coupling) -> list[tuple[str, str]]:
    many = f", {len(coupling.pairs)} ways" if len(coupling.pairs) > 1 else ""
    many += ", the squarest" if len(coupling.pairs) > SQUAREST else ""
    lines = [("rectangles", f"{coupling.layer} wants height × width of its map = {coupling.product}{many}:")]
    shown = sorted(coupling.pairs, key=lambda row: abs(row[0] - row[1]))[:SQUAREST]
    lines += [("", f"{a}×{b} from height {rows}, width {columns}") for a, b, rows, columns in shown]
    return lines


def _forbidden(alike: list[tuple[list[str], Sizes]]) -> list[tuple[str, str]]:
    """Who refuses which sizes, by dialect where several are asked."""
    from ..sizes.found import reason

    lines = []
    for names, each in alike:
        named = f", {', '.join(names)}" if len(alike) > 1 else ""
        rows = [f"{row.sizes}: {row.layer} ({reason(row.code)}{named})" for row in each.refusals]
        left = rows[SHOWN:] if len(rows) > SHOWN + 1 else []
        lines += [("refused", row) for row in (rows[:SHOWN] if left else rows)]
        lines += [("", f"and {len(left)} more layers (--json)")] if left else []
    return lines


def _images(given: Input | None) -> list[tuple[str, str]]:
    if given is None or given.native is None or len(given.native) != 4:
        return []
    channels, batch = given.native[given.layout.index("C")], given.native[0]
    text = COLOURS.get(channels, str(channels)) if isinstance(channels, int) else "as the data has it"
    free = f"{batch}, as the file says; `retarget --batch 8` writes another" if isinstance(batch, int) else "free"
    return [("channels", text), ("batch", free)]


def _lines(items: list[str], width: int) -> list[str]:
    """Items side by side, a semicolon between, none of them folded."""
    lines: list[str] = []
    for place, item in enumerate(items):
        word = item if place == len(items) - 1 else f"{item};"
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def print_solved(answer: Solved) -> None:
    """What was asked, the answer, and how it comes about."""
    console = make_console()
    console.print(Text(answer.asked, style="bold"))
    if not isinstance(answer.answer, dict):
        console.print(Text(f"  {answer.answer}"))
    else:
        widest = max(map(len, answer.answer))
        for key, value in answer.answer.items():
            lines = _lines(value, console.width - widest - 4) if isinstance(value, list) else [value]
            for label, line in itertools.zip_longest([key.replace("_", " ")], lines or ["none"], fillvalue=""):
                console.print(Text(f"  {label:<{widest}}  {line}"))
    for line in answer.because:
        console.print(Text(f"  {line}", style="dim"))
