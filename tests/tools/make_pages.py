"""Fills the made parts of the pages in docs/ from the tables in the code: python -m tests.tools.make_pages.

A page holds prose and, between two comments, what is made:

    <!-- made: caffe.layers -->
    …
    <!-- end -->

The part ``caffe.layers`` is ``PARTS["layers"]`` of the module ``page_caffe`` beside this one: a function without
arguments that gives markdown. A new page is its markdown file and such a module; a test holds every page to its parts.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
MADE = re.compile(r"(?P<open><!-- made: (?P<module>\w+)\.(?P<part>\w+) -->\n).*?(?P<close><!-- end -->)", re.DOTALL)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A markdown table.

    >>> print(table(["a", "b"], [["1", "x|y"]]))
    | a | b |
    |---|---|
    | 1 | x\\|y |
    """
    lines = [list(head), ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    texts = ["| " + " | ".join(cells) + " |" for cells in lines]
    texts[1] = texts[1].replace(" ", "")
    return "\n".join(texts)


def code(words: Iterable[str]) -> str:
    """Words as code, in their order.

    >>> code(["ReLU", "PReLU"])
    '`ReLU`, `PReLU`'
    """
    return ", ".join(f"`{word}`" for word in words)


def part(module: str, name: str) -> Callable[[], str]:
    """The function that makes a part; raises LookupError where there is none."""
    found: dict[str, Callable[[], str]] = importlib.import_module(f"{__package__}.page_{module}").PARTS
    return found[name]


def filled(text: str) -> str:
    """A page with every made part made anew; what is written by hand stays."""
    return MADE.sub(lambda m: f"{m['open']}\n{part(m['module'], m['part'])().strip()}\n\n{m['close']}", text)


def pages() -> list[Path]:
    """The pages that have made parts."""
    return [path for path in sorted(DOCS.glob("*.md")) if MADE.search(path.read_text(encoding="utf-8"))]


if __name__ == "__main__":
    for page in pages():
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
