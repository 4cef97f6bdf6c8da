"""The command line: thin. It parses, calls the model, and hands the answer to the report."""

from __future__ import annotations

import gc
import sys

#: New objects before garbage is looked for: one command makes little of it, and what modules are made of is none.
THRESHOLD = 50_000


def main() -> None:
    """Runs the command line and ends the process with the contract's exit status."""
    gc.set_threshold(THRESHOLD)
    from .app import run

    status = run(sys.argv[1:])
    gc.freeze()  # at its end Python looks through all that is left, several times: a sixth of a short command's time
    sys.exit(status)


__all__ = ["main"]
