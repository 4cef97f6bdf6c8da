"""File formats: one package each with `sniff` and `read`, found here by suffix or content.

A reader gets a `Source` and `Options` and returns a `Graph`; it executes nothing, opens no other file (sibling modules
of a Chainer definition excepted) and raises only ModelError, with file and line.
"""

from __future__ import annotations

import ast
import importlib
import mmap
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol, cast

from ..errors import ModelError
from ..graph import Graph
from .foreign import SEEN, refuse_foreign

#: Smaller files are read, larger ones mapped: their weights stay on disk.
MAPPED_FROM = 1 << 20

#: The longest text that is read: a hundred times the longest definition known, and no strain on the memory.
LARGEST_TEXT = 1 << 28


def contents(path: Path, shown: str) -> Any:
    """The bytes of a file, or a read-only map of a large one; raises ModelError where it cannot be read."""
    try:
        with open(path, "rb") as file:
            if path.stat().st_size < MAPPED_FROM:
                return file.read()
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror}", "E202", location=shown) from None


class Source(NamedTuple):
    """A definition as it lies on disk or came from a caller: ``name`` for people, ``path`` None if in memory."""

    name: str
    path: Path | None
    data: Any  # bytes, or a read-only memory map of the file

    def text(self) -> str:
        """The source as text; raises ModelError where it is not UTF-8, or longer than a definition can be."""
        if len(self.data) > LARGEST_TEXT:
            raise ModelError(
                f"{len(self.data) >> 20:,} MB are too much for a definition that is text",
                "E202",
                location=self.name,
                hint="name the definition; its weights go in by --weights",
            )
        try:
            return bytes(self.data).decode("utf-8")
        except UnicodeDecodeError as error:
            raise ModelError(
                f"byte {error.start} is not UTF-8 text",
                "E202",
                location=self.name,
                hint="check that the file is whole, and what its suffix says it is",
            ) from None


class Options(NamedTuple):
    """What a caller can say about how to read: Caffe phase, stages and level, a Chainer class and its arguments.

    ``path`` is a folder that modules of a Chainer definition are looked for in after its own.
    """

    phase: str = "TEST"
    stages: tuple[str, ...] = ()
    class_name: str | None = None
    arguments: Mapping[str, Any] = {}
    level: int | None = None
    path: str | None = None

    @property
    def flags(self) -> tuple[str, ...]:
        """The same as a command line says it, quoted for a shell: ``--phase TRAIN``, ``--arg n_class=13``."""
        said = [] if self.phase == "TEST" else [f"--phase {self.phase}"]
        said += [f"--stage {stage}" for stage in map(shlex.quote, self.stages)]
        said += [] if self.level is None else [f"--level {self.level}"]
        said += [] if self.path is None else [f"--path {shlex.quote(self.path)}"]
        said += [] if self.class_name is None else [f"--class-name {shlex.quote(self.class_name)}"]
        return (*said, *(f"--arg {shlex.quote(f'{n}={_literal(v)}')}" for n, v in self.arguments.items()))

    def along(self, hint: str) -> str:
        """A hint that asks for a flag, with those that were given before it: what is typed next has both."""
        words, dashes, asked = hint.partition("--")
        kept = [flag for flag in self.flags if flag.split("=")[0] not in hint and not _replaced(flag, hint)]
        return " ".join([f"{words}{kept[0]}", *kept[1:], dashes + asked]) if dashes and kept else hint


def _replaced(flag: str, hint: str) -> bool:
    """Whether a hint gives another value to an option that has one value."""
    option = flag.split()[0]
    return option not in ("--arg", "--stage") and option in hint


def _literal(value: Any) -> str:
    """A value of ``--arg`` as it is typed: text bare, unless that reads as something else."""
    if not isinstance(value, str):
        return repr(value)
    try:
        ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return value
    return repr(value)


class Reader(Protocol):
    """What each format package offers."""

    def sniff(self, head: bytes) -> bool:
        """Whether the first kilobytes look like this format."""

    def read(self, source: Source, options: Options) -> Graph:
        """The graph; raises ModelError."""


class Editor(Protocol):
    """What the module ``patch`` of a format offers whose definitions are text."""

    def patch(self, source: Source, old: Graph, new: Graph) -> Iterator[str]:
        """Texts that may say ``new``, best first, made of the source of ``old``; raises RefusedError (E303)."""


class Edited(NamedTuple):
    """What a format that keeps weights beside its definition needs to write an edited one.

    ``text`` is the definition, ``old`` and ``new`` the graphs, ``keys`` where the file has the numbers of a parameter,
    ``array`` makes those of a new one.
    """

    text: str
    old: Graph
    new: Graph
    keys: Mapping[str, str]
    array: Callable[[str], Any]


class Packer(Protocol):
    """What the module ``patch`` of a format offers besides whose files can hold more than the definition."""

    def suffixes(self, source: Source) -> tuple[str, ...]:
        """What an edited ``source`` may be written as."""

    def pack(self, file: BinaryIO, path: Path, source: Source, edited: Edited) -> None:
        """Writes it, as the suffix of ``path`` says; raises RefusedError (E303)."""


class Format(NamedTuple):
    """A row of the table below; ``patched`` tells definitions that an edit is written back into, as text."""

    name: str
    suffixes: tuple[str, ...]
    package: str
    patched: bool = False

    def reader(self) -> Reader:
        """The format's package, imported now."""
        return cast(Reader, importlib.import_module(self.package))

    def editor(self) -> Editor:
        """What writes edits back, imported now."""
        return cast(Editor, importlib.import_module(f"{self.package}.patch"))

    def packer(self) -> Packer | None:
        """What writes edits into files that hold more than the definition, None where a file is the definition."""
        module = importlib.import_module(f"{self.package}.patch")
        return cast(Packer, module) if hasattr(module, "pack") else None


FORMATS = {
    row.name: row
    for row in (
        Format("caffe", (".prototxt", ".pt", ".pbtxt", ".prototext"), "shapecalc.formats.caffe", True),
        Format("chainer", (".py",), "shapecalc.formats.chainer", True),
        Format("keras", (".json", ".keras", ".h5", ".hdf5"), "shapecalc.formats.keras", True),
        Format("onnx", (".onnx", ".pb", ".ort"), "shapecalc.formats.onnx"),
    )
}

#: What holds trained weights and no definition: Caffe's file says its layers, but not how they are wired.
WEIGHTS_ALONE = frozenset({".npz", ".caffemodel"})
ZIPPED = b"PK\x03\x04"

#: Enough of a file to tell its format.
HEAD = 65536


def format_of(source: Source, name: str | None) -> Format:
    """The format of a source: the one named, that of its suffix, or the one whose reader recognises the content."""
    if name is not None:
        if name not in FORMATS:
            raise ModelError(f"no format {name!r}", "E202", hint=f"one of {', '.join(FORMATS)}")
        return FORMATS[name]
    suffix = source.path.suffix.lower() if source.path is not None else ""
    for row in FORMATS.values():
        if suffix in row.suffixes:
            return row
    known = [suffix for row in FORMATS.values() for suffix in row.suffixes]
    head = bytes(source.data[:HEAD])
    for row in FORMATS.values():
        if row.reader().sniff(head):
            return row
    if suffix in WEIGHTS_ALONE or head.startswith(ZIPPED):
        raise ModelError(
            "this holds weights at most, not a definition",
            "E202",
            location=source.name,
            hint=f"name the definition, and --weights {shlex.quote(source.name)}",
        )
    raise ModelError(
        "this is none of the formats shapecalc reads",
        "E202",
        location=source.name,
        hint=f"{', '.join(FORMATS)}: a file that ends in {', '.join(known)}",
    )


def read(source: Source, options: Options = Options(), format: str | None = None) -> Graph:  # noqa: A002, B008
    """The graph of a source; raises ModelError with file and line for anything that cannot be read."""
    if len(source.data) == 0:
        raise ModelError("the file is empty", "E202", location=source.name)
    refuse_foreign(bytes(source.data[:SEEN]), source.name, "a definition")
    try:
        row = format_of(source, format)
        graph = row.reader().read(source, options)
    except ModelError as error:
        error.hint = options.along(error.hint) if error.hint else error.hint
        raise
    warnings = (*graph.warnings, *_unheeded(source, options, row.name))
    meta = {**graph.meta, "options": options}  # a patched source is read again as this one was
    return graph.replace(meta=meta, warnings=warnings)


def _unheeded(source: Source, options: Options, format: str) -> Iterator[str]:  # noqa: A002
    """What the caller said that nothing in the file asks for: a name that is mistyped would go unnoticed."""
    if options.class_name is not None and format != "chainer":
        yield f"--class-name {options.class_name} chooses nothing: this is no Chainer source"
    text = source.text() if options.arguments and format in ("chainer", "caffe") else ""
    for name in options.arguments:
        last = name.rpartition(".")[2]
        if not re.search(rf"\b{re.escape(last)}\b" if format == "chainer" else rf"\b{re.escape(last)}\s*:\s*\?", text):
            yield f"--arg {name} is given to nothing: {source.name} does not ask for it"
