"""A bar on stderr for copying that takes over a second."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from .console import make_console

#: Seconds of work before anything is shown.
PATIENCE = 1.0


class Bar:
    """Shown once there was a second's work, gone when it ends."""

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.console = console if console is not None else make_console(sys.stderr)
        self.clock = clock
        self.started: float | None = None
        self.bar: Progress | None = None

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.bar is not None:
            self.bar.stop()

    def show(self, done: int, total: int) -> None:
        """So many bytes of so many are copied."""
        now = self.clock()
        if self.started is None:
            self.started = now
        if self.bar is None and now - self.started > PATIENCE:
            columns = (TextColumn("copying"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
            self.bar = Progress(*columns, console=self.console, transient=True)
            self.bar.add_task("copying")
            self.bar.start()
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], completed=done, total=total)
