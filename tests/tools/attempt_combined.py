"""Tries seeded combinations of edits, several in one command, on many real nets; the same verdicts as attempt_surgery.

    python -m tests.tools.attempt_combined [FILE ...] [--tries 500] [--seed 0] [--results FILE] [--seconds N]

Each try draws a net (the zoo and ../shared/corpus without FILE) and two to five of: other classes, another size,
channels, the other order of channels, mean and deviation, a batch, or a cut with a size. The plan is also written as
JSON, read back and done again; a plan that then gives another graph is `wrong`.
"""

from __future__ import annotations

import argparse
import collections
import json
import multiprocessing
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import shapecalc

from .attempt_surgery import FAILURES, Edit, Net, attempt, halfway, models, opened, with_weights

#: Sizes that are drawn, as shares of the net's own.
SHARES = (0.75, 1.0, 1.25, 1.5)


def drawn(net: Net, dice: random.Random) -> tuple[str, dict[str, Any]]:
    """(the edits in words, what `retarget` or `cut` is called with); a cut has the key "cut"."""
    high, wide = (max(8, round(side * dice.choice(SHARES) / 8) * 8) for side in (net.height, net.width))
    size = (high, wide)
    if dice.random() < 0.15:
        wanted: dict[str, Any] = {"cut": halfway(net.model), "pool": dice.choice([None, "avg", "max"])}
        wanted |= {"flatten": dice.random() < 0.5, **net.given(size if dice.random() < 0.5 else None)}
        return _words(wanted), wanted
    choices: dict[str, Any] = {
        "classes": dice.choice([2, 13, 1000]),
        "input": net.given(size)["input"],
        "channels": dice.choice([1, 4]),
        "mean": [dice.uniform(0, 128)],
        "std": [dice.uniform(1, 128)],
        "batch": dice.choice([2, 4, "N"]) if net.model.graph.format == "onnx" else dice.choice([2, 4]),
        "bgr": True,
    }
    names = dice.sample(sorted(choices), dice.randint(2, 5))
    if "bgr" in names and ("channels" in names or net.channels != 3):
        names.remove("bgr")
    wanted = {name: choices[name] for name in names} or {"classes": 13}
    if "input" not in wanted:
        wanted |= net.batched() if "batch" in wanted else net.given()
    return _words(wanted), wanted


def _words(wanted: dict[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in wanted.items() if value not in (None, False))


def planned(model: Any, wanted: dict[str, Any], folder: Path) -> Any:
    """The plan, after it went through JSON; raises AssertionError where that changed it."""
    given = dict(wanted)
    place = given.pop("cut", None)
    plan = model.cut(place, **given) if place is not None else model.retarget(**given)
    saved = plan.save_plan(folder / "plan.json", overwrite=True)
    again = model.replay(saved)
    assert [edit.describe() for edit in again.edits] == [edit.describe() for edit in plan.edits]
    assert again.trace.to_dict() == plan.trace.to_dict()
    return again


def tried(name: str, number: int, seed: int, pipe: Any) -> None:
    """One combination on one net, sent as a line."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        line: dict[str, Any] = {"edit": "load"}
        try:
            net = opened(str(with_weights(Path(name), folder)) if Path(name).suffix else name)
            words, wanted = drawn(net, random.Random(f"{seed} {number}"))
            line = {"edit": words, "format": net.model.graph.format}
            line |= attempt(
                net.model, Edit("combined", words, lambda: planned(net.model, wanted, folder)), folder, False
            )
        except shapecalc.ShapecalcError as error:
            line |= {"verdict": "unread", "code": error.code, "words": error.message}
        except Exception as error:  # noqa: BLE001  a crash is a result
            line |= {"verdict": "crash", "words": f"{type(error).__name__}: {error}"}
    pipe.send(line)  # who reads it ends this process: not before the folder is gone


def apart(name: str, number: int, seed: int, limit: float) -> dict[str, Any]:
    """`tried` in a process of its own, ended after ``limit`` seconds."""
    ours, theirs = multiprocessing.Pipe(False)
    worker = multiprocessing.get_context("fork").Process(target=tried, args=(name, number, seed, theirs))
    worker.start()
    theirs.close()
    try:
        if not ours.poll(limit):
            return {"edit": f"number {number}", "verdict": "slow", "words": f"more than {limit:g} s"}
        found: dict[str, Any] = ours.recv()
        return found
    except EOFError:
        return {"edit": f"number {number}", "verdict": "crash", "words": "the process died"}
    finally:
        worker.kill()
        worker.join()


def main() -> int:
    """Prints a line a try and the counts; 1 where one failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="*")
    parser.add_argument("--tries", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=Path(tempfile.gettempdir()) / "combined.jsonl")
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--limit", type=float, default=120.0, help="seconds of one try")
    given = parser.parse_args()
    import onnxruntime  # noqa: F401  once, before the processes are forked

    from shapecalc.verify import plans  # noqa: F401

    end, dice = time.monotonic() + given.seconds, random.Random(given.seed)
    nets = models(given.files)
    order = [name for _ in range(given.tries // len(nets) + 1) for name in dice.sample(nets, len(nets))][: given.tries]
    counts: collections.Counter[str] = collections.Counter()
    for number, name in enumerate(order):
        if time.monotonic() > end:
            print("out of time")
            break
        line = apart(name, number, given.seed, given.limit)
        counts[line["verdict"]] += 1
        with given.results.open("a") as file:
            file.write(json.dumps({"model": name, "number": number, **line}) + "\n")
        code = f"[{line['code']}] " if "code" in line else ""
        print(f"{number} {name}: {line['edit']}: {line['verdict']} {code}{line.get('words', '')}".rstrip(), flush=True)
    print(dict(counts))
    return 1 if any(counts[kind] for kind in FAILURES) else 0


if __name__ == "__main__":
    sys.exit(main())
