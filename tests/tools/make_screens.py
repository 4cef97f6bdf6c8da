"""Writes docs/screens: what the commands print on a terminal of 80 columns, as text and as SVG.

usage: python -m tests.tools.make_screens

Every command runs in a temporary folder. A retarget runs with ``--device cpu``, so that the screen is the same on a
machine with a GPU; its times and its processor are what differ from run to run (`masked`).
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from unittest import mock

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

from shapecalc.cli.app import run

ROOT = Path(__file__).parents[2]
SCREENS = ROOT / "docs" / "screens"
COLUMNS = 80

#: File name -> the command as a person types it.
COMMANDS = {
    "trace-227": "shapecalc trace alexnet",
    "trace-256": "shapecalc trace alexnet --input 256",
    "retarget-256": "shapecalc retarget alexnet --classes 13 --input 256",
    "zoo": "shapecalc zoo",
}
#: Commands that run a model, and would take another device where there is one.
RUNNING = ("retarget", "verify", "convert")

#: rich's colours and signs; without colour for a plain text.
PLAIN = {"NO_COLOR": "1", "TERM": "dumb"}
COLOURED = {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLORTERM": "truecolor"}
FORGOTTEN = ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "CLICOLOR_FORCE")

#: rich's frame around a terminal, without the fonts it would fetch from another site. rich places text every 12.2 px;
#: at 20.26 px these fonts are as wide, also for programs that do not know ``textLength``.
SVG_FORMAT = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: 20.26px;
line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix" xml:space="preserve">
{matrix}
</g>
</g>
</svg>
"""


@contextlib.contextmanager
def _terminal(folder: Path, settings: Mapping[str, str]) -> Iterator[io.TextIOWrapper]:
    """Standard output as a stream of UTF-8 in ``folder``, with the environment of a terminal of 80 columns."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    kept = {name: value for name, value in os.environ.items() if name not in FORGOTTEN}
    environment = {**kept, "COLUMNS": str(COLUMNS), **settings}
    with (
        contextlib.chdir(folder),
        mock.patch.dict(os.environ, environment, clear=True),
        contextlib.redirect_stdout(stream),
        contextlib.redirect_stderr(stream),
    ):
        yield stream


def printed(command: str, folder: Path, *, colour: bool = False) -> str:
    """What ``shapecalc …`` prints in ``folder``, on stdout and stderr."""
    words = shlex.split(command)[1:]
    words += ["--device", "cpu"] if words[0] in RUNNING and "--device" not in words else []
    with _terminal(folder, COLOURED if colour else PLAIN) as stream:
        run(words)
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode("utf-8")


def masked(text: str) -> str:
    """The text without what a run decides (times, the processor), as one line: a longer time may wrap elsewhere."""
    text = re.sub(r"[\d.,]+\s+ms\b", "# ms", text)
    text = re.sub(r"CPU\s+\(\d+\s+cores\)", "CPU (# cores)", text)
    return re.sub(r"\s+", " ", text).strip()


def svg(name: str, command: str, coloured: str) -> str:
    """The screen as a picture."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(coloured), end="", no_wrap=True)
    return console.export_svg(title=command, theme=DIMMED_MONOKAI, code_format=SVG_FORMAT, unique_id=name)


def main() -> int:
    """Writes every screen; the text and the picture are of one run."""
    SCREENS.mkdir(parents=True, exist_ok=True)
    for name, command in COMMANDS.items():
        with tempfile.TemporaryDirectory() as folder:
            coloured = printed(command, Path(folder), colour=True)
        plain = "\n".join(line.rstrip() for line in Text.from_ansi(coloured).plain.rstrip().splitlines())
        (SCREENS / f"{name}.txt").write_text(f"$ {command}\n{plain}\n", encoding="utf-8")
        (SCREENS / f"{name}.svg").write_text(svg(name, command, coloured), encoding="utf-8")
        print(f"docs/screens/{name}: {command}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
