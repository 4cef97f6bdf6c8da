"""Writes docs/errors-seen.md from the table of error texts: python -m tests.tools.make_errors_seen."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from shapecalc.said import KINDS, ROWS, Row, recognise
from shapecalc.said.meaning import tell

PAGE = Path(__file__).parents[2] / "docs" / "errors-seen.md"

INTRO = """\
# Error texts that are recognised

`shapecalc why --error "TEXT"` takes what a framework said, says which kind of misfit it is, takes its numbers apart and
says what to do next. `shapecalc why MODEL --error "TEXT"` ties it to the layer of the model it is about and to the
input sizes that give its numbers; `--error -` reads the text from stdin, a whole log as well.

{count} texts of {frameworks} frameworks, each with an example that somebody met and what is read in it. The page is
made from the table in `shapecalc/said/` by `python -m tests.tools.make_errors_seen`, and a test keeps it so. A text
that is not here is not recognised, and `why` says so. A new one is one row: a pattern that names its numbers, a real
example, and where it was met.
"""


def page() -> str:
    """The whole page."""
    frameworks = [(name, list(rows)) for name, rows in groupby(ROWS, key=lambda row: row.framework)]
    parts = [INTRO.format(count=len(ROWS), frameworks=len(frameworks))]
    for name, rows in frameworks:
        parts.append(f"## {name}\n")
        parts += [entry(row) for row in rows]
    return "\n".join(parts)


def entry(row: Row) -> str:
    """One text: what it means, its example, its source and what is read in it."""
    said = recognise(row.example)
    assert said is not None
    told = tell(said)
    source = f"[{row.source.replace('/issues/', '#').replace('/pull/', '#')}]({row.url})" if row.url else row.source
    lines = [
        f"**{row.kind}**: {KINDS[row.kind]} ({source})",
        "",
        "```text",
        *row.example.strip().splitlines(),
        "```",
        "",
    ]
    lines += [f"- wanted {told.wanted}; offered {told.given}"] if told.wanted and told.given else []
    lines += [f"- likely: {cause}" for cause in told.causes]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
