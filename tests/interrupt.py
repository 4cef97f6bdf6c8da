"""A program that is killed: saves a plan again and again in children that die at every step and at every moment.

usage: python tests/interrupt.py MODEL OUT HEAD    (HEAD gets 3 classes; OUT's old content is what it has)

A child dies like after ``kill -9``: no handler, no ``finally``. After each death OUT must be the old file or the new
one, and a copy of weights beside it is whole. Prints what was seen as JSON: deaths, and how often OUT was old or new.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import shapecalc

#: External data of MODEL, where it has any; OUT in another folder gets a copy.
WEIGHTS = "weights.bin"
#: Children that die at a moment by the clock.
MOMENTS = 24
#: Steps seen by an audit hook in one save; more are not tried.
MOST_STEPS = 400


def dying(step: int) -> Callable[[str, Any], None]:
    """An audit hook that ends the process at the ``step``-th event: a file opened, locked, linked, renamed, removed."""
    left = [step]

    def hook(event: str, _: Any) -> None:
        if event.partition(".")[0] in ("open", "os", "fcntl", "shutil", "tempfile") and event != "os.kill":
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return hook


def child(body: Callable[[], None]) -> bool:
    """Runs ``body`` in a child; whether it came to its end."""
    number = os.fork()
    if number == 0:
        status = 1
        try:
            body()
            status = 0
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            raise
        finally:
            os._exit(status)
    _, status = os.waitpid(number, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit("a save failed")
    return not os.WIFSIGNALED(status)


def main() -> None:
    """One line of JSON."""
    source, target, head = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    old = target.read_bytes()
    plan = shapecalc.load(source).retarget(classes=3, head=[head])

    def save() -> None:
        plan.save(target, overwrite=True, verify=False)

    started = time.perf_counter()
    child(save)
    took = time.perf_counter() - started
    new = target.read_bytes()
    seen = {"deaths": 0, "old": 0, "new": 0, "neither": 0, "left": 0, "torn": 0}
    weights, copy = source.with_name(WEIGHTS), target.with_name(WEIGHTS)

    def attempt(body: Callable[[], None]) -> bool:
        target.write_bytes(old)
        if copy != weights:
            copy.unlink(missing_ok=True)
        ended = child(body)
        found = target.read_bytes()
        if weights.exists():
            whole = copy.exists() and copy.read_bytes() == weights.read_bytes()
            seen["torn"] += not whole and (copy.exists() or found == new)
        seen["deaths"] += not ended
        seen["old" if found == old else "new" if found == new else "neither"] += 1
        seen["left"] += bool(parts(target))
        return ended

    def stepwise(step: int) -> None:
        sys.addaudithook(dying(step))
        save()

    def timed(seconds: float) -> None:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        save()

    steps = next(step for step in range(MOST_STEPS) if attempt(partial(stepwise, step)))
    for moment in range(1, MOMENTS):
        attempt(partial(timed, took * moment / MOMENTS))
    target.write_bytes(old)
    child(save)
    print(json.dumps({**seen, "steps": steps, "behind": parts(target), "whole": target.read_bytes() == new}))


def parts(target: Path) -> list[str]:
    """Temporary files beside it."""
    return sorted(path.name for path in target.parent.iterdir() if path.suffix == ".part")


if __name__ == "__main__":
    main()
