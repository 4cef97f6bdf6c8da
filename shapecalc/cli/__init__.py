"""The command line: thin. It parses, calls the model, and hands the answer to the report."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command line and ends the process with the contract's exit status."""
    from .app import run

    sys.exit(run(sys.argv[1:]))


__all__ = ["main"]
