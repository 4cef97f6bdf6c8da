"""Weights in files beside an ONNX file, shared with a changed one: named where they lie, linked, or copied.

A file names its external data relative to its own folder and never outside it. No file of weights that is there already
is replaced: another model may read it. Links are made only where they are asked for: the onnx package (1.23) refuses to
open data with several hard links, the original's too from then on; onnxruntime does not mind.
"""

from __future__ import annotations

import filecmp
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ..copying import Work
from ..definition import Definition
from ..errors import RefusedError, UsageError
from ..files import copy_whole
from ..graph import Graph, Param

HOW = ("refer", "link", "copy")


class Beside(NamedTuple):
    """A file of weights beside a model: its path, what the model calls it, and what the result does; ``why`` no link.

    Both names are relative to the folder of who names it.
    """

    path: str
    name: str
    location: str
    how: str
    why: str = ""

    def to_dict(self) -> dict[str, str]:
        """As JSON prints it."""
        return {"path": self.path, "location": self.location, "how": self.how}


def check_how(how: str | None) -> None:
    """Raises UsageError for a word that says no way of sharing."""
    if how not in (None, *HOW):
        raise UsageError(f"weights beside a file are shared by {', '.join(HOW)}; not by {how!r}", "E002")


def elsewhere(model: Definition, graph: Graph) -> set[str]:
    """The files beside the model's own in which weights of a graph lie, as their parameters name them."""
    own = model.graph.meta.get("path")
    if model.graph.format != "onnx":
        return set()
    return {param.where.path for param in _params(graph) if param.where is not None and param.where.path != own}


def _params(graph: Graph) -> Iterator[Param]:
    """The parameters of a graph and of those in its nodes."""
    yield from graph.params.values()
    for inner in _inside(graph):
        yield from _params(inner)


def _inside(graph: Graph) -> Iterator[Graph]:
    yield from (value for node in graph.nodes for value in node.attrs.values() if isinstance(value, Graph))
    yield from graph.functions.values()


def planned(model: Definition, graph: Graph, target: Path, how: str | None) -> tuple[Beside, ...]:
    """How the result at ``target`` shares the weights that lie beside the model's file; None: refer, else copy.

    Raises RefusedError where that way is impossible, before anything is made.
    """
    check_how(how)
    if model.path is None:
        return ()
    found: list[Beside] = []
    for path in sorted(elsewhere(model, graph)):
        found.append(_planned(model.path, path, target, how, {item.location for item in found}))
    _check_inside(graph, renamed(found))
    return tuple(found)


def _planned(own: Path, path: str, target: Path, how: str | None, taken: set[str]) -> Beside:
    name = Path(path).relative_to(own.parent)
    source, folder = own.parent.resolve() / name, target.parent.resolve()
    if how in (None, "refer") and source.is_relative_to(folder):
        return Beside(path, name.as_posix(), source.relative_to(folder).as_posix(), "refer")
    if how == "refer":
        raise RefusedError(
            "its weights lie in files beside the original, which a file in another folder cannot name",
            "E303",
            because=str(source),
            hint=f"--external link or copy, or beside the original: -o {own.parent / target.name}",
        )
    _check_source(own, source)
    way = how or "copy"
    free = (new for new in _names(PurePosixPath(name), target) if new not in taken)
    new = next(new for new in free if _usable(folder / new, source, way))
    return Beside(path, name.as_posix(), new, "refer" if folder / new == source else way)


def _check_source(own: Path, source: Path) -> None:
    """Links may lead to a place where the model itself lies, as in a cache of downloads, but to no other."""
    if not source.is_file():
        raise RefusedError(
            f"the weights in {source.name} can be neither linked nor copied",
            "E303",
            because=f"{source} is not there",
            hint=f"put it there; --external refer and a result in {own.parent} need only its name",
        )
    homes = (own.parent.resolve(), own.resolve().parent)
    if not any(source.resolve().is_relative_to(home) for home in homes):
        raise RefusedError(
            f"{source} leads out of the model's folder",
            "E303",
            because=f"it is {source.resolve()}",
            hint="put the weights themselves beside the model",
        )


def _names(location: PurePosixPath, target: Path) -> Iterator[str]:
    """Its own name, then names after the result: ``out.weights.data``, ``out.1.weights.data``, …"""
    yield str(location)
    yield str(location.with_name(f"{target.stem}.{location.name}"))
    yield from (str(location.with_name(f"{target.stem}.{number}.{location.name}")) for number in count(1))


def _usable(path: Path, source: Path, how: str) -> bool:
    """Whether nothing is there, or the same bytes; a copy shares no bytes with its original."""
    if not os.path.lexists(path):
        return True
    if not path.is_file():
        return False
    return how != "copy" if path.samefile(source) else filecmp.cmp(path, source, shallow=False)


def _check_inside(graph: Graph, changed: Mapping[str, str]) -> None:
    """Graphs inside nodes are copied as they are, with the names in them."""
    for param in (param for inner in _inside(graph) for param in _params(inner)):
        if param.where is not None and param.where.path in changed:
            raise RefusedError(
                f"{param.name}, inside a node, lies in {param.where.path}, which the result cannot call the same",
                "E303",
                because="what is inside a node is copied as it lies, its names of files too",
                hint="--external link or copy, into an empty folder",
            )


def renamed(found: Iterable[Beside]) -> dict[str, str]:
    """The files that the result calls by another name: path -> that name."""
    return {item.path: item.location for item in found if item.location != item.name}


@contextmanager
def placed(found: Iterable[Beside], folder: Path, work: Work) -> Iterator[tuple[Beside, ...]]:
    """Has the files of weights in place while the result is written, and takes them away again where that fails."""
    made: list[Path] = []
    try:
        yield tuple([_place(item, folder / item.location, made, work) for item in found])
    except BaseException:
        for path in reversed(made):
            path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
        raise


def _place(item: Beside, path: Path, made: list[Path], work: Work) -> Beside:
    if item.how == "refer" or os.path.lexists(path):
        return item
    for parent in reversed([parent for parent in path.parents if not parent.exists()]):
        parent.mkdir()
        made.append(parent)
    if item.how == "link":
        try:
            os.link(Path(item.path).resolve(), path)
            made.append(path)
            return item
        except OSError as error:
            item = item._replace(how="copy", why=error.strerror or "no link")
    copy_whole(Path(item.path), path, work)
    made.append(path)
    return item
