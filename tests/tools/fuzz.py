"""Damaged and hostile files of every format: only ShapecalcError may come out, in 5 s and 1 GB.

    python -m tests.tools.fuzz                                   every format, 20,000 tries each
    python -m tests.tools.fuzz --format onnx --tries 1000000 --seconds 3600 --seed 7
    python -m tests.tools.fuzz --format onnx --seed 7 --first 4000 --tries 16000    goes on where another run ended
    python -m tests.tools.fuzz --format onnx --replay 7:1234     one try again, with its traceback

A try is told by the seed and its number: the same file is damaged in the same way. The longest is named, so that a
slow one can be looked at. Tries run in child processes of a
few hundred each, with the address space limited, so that a crash of a library is a finding too. ``--keep FOLDER``
writes the file of every finding. Exit status 1 if there was one.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import faulthandler
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import NamedTuple

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # each thread would reserve address space

import shapecalc
from shapecalc.formats.onnx.patch import segments
from shapecalc.formats.onnx.pieces import assemble
from shapecalc.formats.weights import read_weights
from shapecalc.model import Model
from shapecalc.verify.definition_file import patched, write_own
from shapecalc.verify.onnx_file import sized_graph

from . import fuzz_bytes as damage
from . import fuzz_seeds as seeds
from .fuzz_words import BLOCKS, SYNTAX, VALUES, WORDS

SECONDS = 5.0  # of processor time
MEMORY = 1 << 30  # of address space
BATCH = 400
#: A wall-clock limit only for what hangs without computing.
HUNG = 60.0


class TooLong(BaseException):
    """Not an Exception, so that nothing on the way takes it for its own."""


# -- what is asked ----------------------------------------------------------------------------------------------------


def definition(format: str) -> Callable[[bytes, Path, random.Random], None]:  # noqa: A002
    """Everything that is asked of a definition, given as bytes: some tries also ask for sizes or for another head."""

    def ask(data: bytes, folder: Path, chance: random.Random) -> None:
        model = shapecalc.load(data, format=format)
        trace = model.trace()
        trace.to_dict()
        if trace.problems:
            model.advice(trace)
        share = chance.random()
        if share < 0.2:
            _retarget(model, {"classes": 13})
        elif share < 0.3:
            _retarget(model, {"input": 64})
        elif share < 0.4:
            model.sizes(limit=64)
        elif share < 0.5:
            model.trace(48).to_dict()
        elif share < 0.6:
            model.why(chance.choice((None, 48, 300)), run=False).to_dict()
        elif share < 0.65:
            model.cut(features=True).trace.to_dict()
        elif share < 0.7:
            model.compare(dialects=("caffe", "onnx")).to_dict()

    return ask


def _retarget(model: Model, changes: dict[str, int]) -> None:
    plan = model.retarget(**changes)  # type: ignore[arg-type]
    source = model.source
    if model.graph.format == "onnx" and source is not None:
        edited = sized_graph(plan.graph, plan.trace)
        assemble(source.data, segments(source.data, model.graph, edited, {}, plan.trace.tensors))
    else:
        patched(plan)


def weights(suffix: str, net: str, format: str) -> Callable[[bytes, Path, random.Random], None]:  # noqa: A002
    """Everything that is asked of a file of weights."""

    def ask(data: bytes, folder: Path, chance: random.Random) -> None:
        path = folder / f"w{suffix}"
        path.write_bytes(data)
        found = read_weights(path)
        if chance.random() < 0.5:
            for entry in list(found.entries.values())[:20]:
                if entry.load is not None:
                    entry.array()
        shapecalc.loads(net, format=format).match(path).to_dict()

    return ask


def archive(data: bytes, folder: Path, chance: random.Random) -> None:
    """A definition with its weights inside."""
    path = folder / "m.keras"
    path.write_bytes(data)
    model = shapecalc.load(path)
    model.trace().to_dict()
    share = chance.random()
    if share < 0.5:
        model.match().to_dict()
    elif share < 0.8:
        plan = model.retarget(classes=13)
        with open(folder / "made.keras", "w+b") as file:
            write_own(plan, file, folder / "made.keras", patched(plan), 0)


class Target(NamedTuple):
    seeds: Callable[[], Iterator[bytes]]
    mutations: tuple[damage.Mutation, ...]
    ask: Callable[[bytes, Path, random.Random], None]


_KERAS = next(seeds.keras_configs()).decode()
TARGETS = {
    "onnx": Target(seeds.onnx_models, (*damage.PROTOBUF * 4, *damage.BYTES), definition("onnx")),
    "prototxt": Target(seeds.prototxts, (*WORDS, *BLOCKS), definition("caffe")),
    "chainer": Target(seeds.chainer_sources, (*WORDS, *SYNTAX), definition("chainer")),
    "keras": Target(seeds.keras_configs, (*WORDS, *VALUES), definition("keras")),
    "caffemodel": Target(
        seeds.caffemodels, (*damage.PROTOBUF, *damage.BYTES), weights(".caffemodel", seeds.PROTOTXT, "caffe")
    ),
    "binaryproto": Target(
        seeds.means, (*damage.PROTOBUF, *damage.BYTES), weights(".binaryproto", seeds.PROTOTXT, "caffe")
    ),
    "npz": Target(
        seeds.snapshots, (*[damage.zipped(damage.BYTES)] * 8, *damage.ZIP), weights(".npz", seeds.CHAINER, "chainer")
    ),
    "h5": Target(seeds.hdf5s, damage.BYTES, weights(".h5", _KERAS, "keras")),
    ".keras": Target(
        seeds.archives, (*[damage.zipped((*WORDS, *VALUES, *damage.BYTES))] * 12, *damage.ZIP, damage.bomb), archive
    ),
}

# -- tries ------------------------------------------------------------------------------------------------------------


def damaged(target: Target, files: list[bytes], chance: random.Random) -> bytes:
    """A file with one to three kinds of damage."""
    data = chance.choice(files)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile's own about names that are there twice
        return _damaged(target, files, chance, data)


def _damaged(target: Target, files: list[bytes], chance: random.Random, data: bytes) -> bytes:
    for _ in range(chance.choice((1, 1, 1, 1, 2, 3))):
        data = chance.choice(target.mutations)(chance, data, chance.choice(files)) if data else data
    return data[: damage.LONGEST * 4]


class Finding(NamedTuple):
    """What came out: a signature that is the same for the same cause, the try, and the traceback."""

    signature: str
    number: int
    text: str


class Try(NamedTuple):
    """One try: what came out that should not, processor seconds, and whether the file was answered about or refused."""

    finding: Finding | None
    seconds: float
    answered: bool


def tried(target: Target, files: list[bytes], seed: int, number: int, folder: Path) -> Try:
    """One try."""
    chance = random.Random(f"{seed}:{number}")
    data = damaged(target, files, chance)
    started = time.process_time()
    finding, answered = None, False
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        target.ask(data, folder, chance)
        answered = True
    except shapecalc.ShapecalcError as error:
        str(error)
    except BaseException as error:  # noqa: BLE001  that is what is looked for
        signal.setitimer(signal.ITIMER_PROF, 0)
        finding = Finding(_signature(error), number, "".join(traceback.format_exception(error, limit=-12)))
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return Try(finding, time.process_time() - started, answered)


def _signature(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/shapecalc/" in frame.filename and "/tests/" not in frame.filename]
    place = f"{own[-1].filename.split('/shapecalc/')[-1]}:{own[-1].lineno}" if own else "?"
    if isinstance(error, RecursionError | TooLong | MemoryError) and own:
        place = own[-1].filename.split("/shapecalc/")[-1]
    return f"{type(error).__name__} at {place}"


def _limits() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("error")
    faulthandler.enable()

    def stop(number: int, frame: FrameType | None) -> None:
        raise TooLong

    signal.signal(signal.SIGPROF, stop)


def batch(target: Target, files: list[bytes], seed: int, numbers: range, keep: Path | None) -> Iterator[str]:
    """Lines that a child process writes: the number of each try before it, findings and the longest time."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reading)
            with os.fdopen(writing, "w", buffering=1) as out, tempfile.TemporaryDirectory() as folder:
                _work(target, files, seed, numbers, Path(folder), keep, out.write)
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    last = numbers.start
    with os.fdopen(reading) as lines:
        for line in lines:
            last = int(line[1:]) if line.startswith("#") else last
            yield line.rstrip("\n")
    _, status = os.waitpid(child, 0)
    if status:
        yield f"!the process ended with status {status}|{last}|"
        yield f"#{last}"


def _work(
    target: Target,
    files: list[bytes],
    seed: int,
    numbers: range,
    folder: Path,
    keep: Path | None,
    write: Callable[[str], object],
) -> None:
    _limits()
    for number in numbers:
        write(f"#{number}\n")
        faulthandler.dump_traceback_later(HUNG, exit=True)
        finding, seconds, answered = tried(target, files, seed, number, folder)
        faulthandler.cancel_dump_traceback_later()
        write(f"={seconds:.4f}{'+' if answered else ''}\n")
        if finding is not None:
            write(f"!{finding.signature}|{number}|{finding.text!r}\n")
            if keep is not None:
                data = damaged(target, files, random.Random(f"{seed}:{number}"))
                name = "".join(c if c.isalnum() else "_" for c in finding.signature)
                with contextlib.suppress(FileExistsError), open(keep / f"{name}-{seed}-{number}", "xb") as file:
                    file.write(data)


def fuzz(name: str, tries: range, seconds: float, seed: int, keep: Path | None) -> int:
    """Prints what was found in one format; how many causes there were."""
    target = TARGETS[name]
    files = list(target.seeds())
    if not files:
        print(f"{name}: no seeds (h5py is absent)")
        return 0
    started, done, longest, answered = time.monotonic(), tries.start, (0.0, tries.start), 0
    found: dict[str, list[Finding]] = collections.defaultdict(list)
    while done < tries.stop and time.monotonic() - started < seconds:
        end = min(tries.stop, done + BATCH)
        for line in batch(target, files, seed, range(done, end), keep):
            if line.startswith("#"):
                done = int(line[1:]) + 1
            elif line.startswith("="):
                longest = max(longest, (float(line[1:].rstrip("+")), done - 1))
                answered += line.endswith("+")
            else:
                signature, number, text = line[1:].split("|", 2)
                found[signature].append(Finding(signature, int(number), text))
    took = time.monotonic() - started
    print(
        f"{name}: {done - tries.start:,} tries of {len(files)} files in {took:.0f} s ({answered:,} answered, "
        f"the others refused), longest {longest[0]:.2f} s ({seed}:{longest[1]}), {len(found)} causes"
    )
    for signature, findings in sorted(found.items(), key=lambda row: -len(row[1])):
        print(f"  {len(findings):6,} x {signature}, first --format {name} --replay {seed}:{findings[0].number}")
    sys.stdout.flush()
    return len(found)


def replay(name: str, seed: int, number: int, out: Path | None) -> int:
    """One try again, in this process."""
    target = TARGETS[name]
    files = list(target.seeds())
    if out is not None:
        out.write_bytes(damaged(target, files, random.Random(f"{seed}:{number}")))
    _limits()
    with tempfile.TemporaryDirectory() as folder:
        finding, seconds, _ = tried(target, files, seed, number, Path(folder))
    print(f"{seconds:.2f} s\n{finding.text if finding else 'nothing'}")
    return 1 if finding else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--format", choices=[*TARGETS, "all"], default="all")
    parser.add_argument("--tries", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0, metavar="NUMBER", help="the try to begin with")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="a format, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where the files of findings go")
    parser.add_argument("--replay", metavar="SEED:NUMBER", help="one try again")
    parser.add_argument("--write", type=Path, metavar="FILE", help="with --replay: the damaged file")
    given = parser.parse_args()
    if given.replay:
        seed, number = map(int, given.replay.split(":"))
        return replay(given.format, seed, number, given.write)
    if given.keep is not None:
        given.keep.mkdir(parents=True, exist_ok=True)
    names = list(TARGETS) if given.format == "all" else [given.format]
    tries = range(given.first, given.first + given.tries)
    return 1 if sum(fuzz(name, tries, given.seconds, given.seed, given.keep) for name in names) else 0


if __name__ == "__main__":
    sys.exit(main())
