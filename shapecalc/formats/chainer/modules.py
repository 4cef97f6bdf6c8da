"""Modules that a definition imports: files in its own folder and in a folder the caller names, none elsewhere."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from .. import Source
from .text import LONGEST, Site, Text
from .values import Scope

if TYPE_CHECKING:
    from .interpreter import Run

#: Modules beside the definition that a reading opens.
MOST_MODULES = 256
#: Folders above the definition's that are looked at for a package it imports; nothing in them is opened.
MOST_ABOVE = 8
#: Packages that hold no part of a network of somebody's own, or that are known here.
LIBRARIES = {"chainer", "chainermn", "chainercv", "numpy", "cupy", "six", *sys.stdlib_module_names}


class Modules:
    """What the imports of a definition at ``path`` find: nothing for a text without a place.

    A name is looked for as Python would with the definition's folder on its path, then in ``further``. A package that
    the definition is itself a part of is that folder (``chainercv2.models.common`` is ``common.py`` beside it).
    """

    def __init__(self, run: Run, shown: str, path: Path | None, further: str | None = None) -> None:
        self.run = run
        self.root = None if path is None else path.parent
        #: Folders whose files may be read, and how people are told of them.
        self.folders: dict[Path, Path] = {} if path is None else {path.parent: Path(shown).parent}
        if further is not None:
            self.folders.setdefault(Path(further), Path(further))
        self.inside = [folder.resolve() for folder in self.folders]
        self.places: dict[str, Path] = {} if path is None else {shown: path.parent}
        self.found: dict[Path, Scope | None] = {}
        self.absent: list[str] = []

    def load(self, name: str, level: int, site: Site, wanted: str | None = None) -> Scope | None:
        """The module ``name`` (``level`` dots in front) as it is imported at ``site``; None where no file has it.

        Of several that the name may mean, the first that has ``wanted``.
        """
        parts = [part for part in name.split(".") if part]
        if self.root is None or not all(part.isidentifier() for part in parts) or name.startswith("chainer."):
            return None
        if name == "chainer" and not level:
            return None
        first: Scope | None = None
        for stem in self._stems(parts, level, site):
            found = self._module(stem, site)
            if found is not None and (wanted is None or wanted in found.names):
                return found
            first = first or found
        if first is None and parts and parts[0] not in LIBRARIES:
            self.absent.append(".".join(parts))
        return first

    def way_out(self, message: str) -> str | None:
        """Where a module lies that a message names and no folder had; None where it names none."""
        for name in sorted(self.absent, key=len, reverse=True):
            if re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", message):
                return self._above(name)
        return None

    def _above(self, name: str) -> str:
        package = name.split(".")[0]
        assert self.root is not None
        for folder in list(self.root.resolve().parents)[:MOST_ABOVE]:
            if (folder / package).is_dir() or (folder / f"{package}.py").is_file():
                return f"{package} lies above the definition's folder: --path {shlex.quote(str(folder))}"
        return f"{name} is not in the definition's folder: --path DIR, the folder that has {package}"

    def _stems(self, parts: list[str], level: int, site: Site) -> Iterator[Path]:
        """Paths without their suffix, in the order in which they are looked at."""
        assert self.root is not None
        here = self.places.get(site.text.name, self.root)
        if level:
            for _ in range(level - 1):
                here = here.parent if len(here.parts) > 1 else here.resolve().parent
            yield here.joinpath(*(parts or ["__init__"]))
        for start in range(len(parts)):
            for folder in dict.fromkeys((self.root, here)):
                yield folder.joinpath(*parts[start:])
            if not start:
                yield from self._own_package(parts)
                yield from (folder.joinpath(*parts) for folder in self.folders if folder != self.root)

    def _own_package(self, parts: list[str]) -> Iterator[Path]:
        """``a.b.c`` in a folder that is itself called ``a/b``: its ``c``."""
        assert self.root is not None
        above = self.root.resolve().parts
        for count in range(len(parts), 0, -1):
            if above[-count:] == tuple(parts[:count]):
                yield self.root.joinpath(*parts[count:])

    def _module(self, stem: Path, site: Site) -> Scope | None:
        beside = [stem.with_name(f"{stem.name}.py")] if stem.name else []
        for path in (*beside, stem / "__init__.py"):
            if path not in self.found:
                if len(self.found) >= MOST_MODULES * 8:
                    raise site.error("too many modules", "E202")
                self.found[path] = None  # what imports itself finds nothing
                self.found[path] = self._read(path, site)
            scope = self.found[path]
            if scope is not None:
                return scope
        return None

    def _read(self, path: Path, site: Site) -> Scope | None:
        """A file below one of the folders, links followed; not one that is too long for a definition."""
        try:
            real = path.resolve()
            allowed = any(real.is_relative_to(folder) for folder in self.inside)
            if not allowed or not real.is_file() or real.stat().st_size > LONGEST:
                return None
            data = real.read_bytes()
        except OSError:
            return None
        if sum(scope is not None for scope in self.found.values()) >= MOST_MODULES:
            raise site.error("too many modules", "E202")
        shown = self._shown(path)
        self.places[shown] = path.parent
        return self.run.module(Text(shown, Source(shown, path, data).text()))

    def _shown(self, path: Path) -> str:
        for folder, name in self.folders.items():
            if path.is_relative_to(folder):
                return str(name / path.relative_to(folder))
        return str(path)
