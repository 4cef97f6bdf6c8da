"""Modules that a definition imports from its own folder: files beside it and in the packages below, none elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from .. import Source
from .text import LONGEST, Site, Text
from .values import Scope

if TYPE_CHECKING:
    from .interpreter import Run

#: Modules beside the definition that a reading opens.
MOST_MODULES = 64


class Modules:
    """What the imports of a definition at ``path`` find: nothing for a text without a place.

    A name is looked for as Python would with the definition's folder on its path; a package that the definition is
    itself a part of is that folder (``chainercv2.models.common`` is ``common.py`` beside it).
    """

    def __init__(self, run: Run, shown: str, path: Path | None) -> None:
        self.run = run
        self.shown = Path(shown).parent
        self.root = None if path is None else path.parent
        self.inside = None if path is None else path.resolve().parent
        self.folders: dict[str, Path] = {} if path is None else {shown: path.parent}
        self.found: dict[Path, Scope | None] = {}

    def load(self, name: str, level: int, site: Site) -> Scope | None:
        """The module ``name`` (``level`` dots in front) as it is imported at ``site``; None where no file has it."""
        parts = [part for part in name.split(".") if part]
        if self.root is None or not all(part.isidentifier() for part in parts) or name.startswith("chainer."):
            return None
        if name == "chainer" and not level:
            return None
        for stem in self._stems(parts, level, site):
            found = self._module(stem, site)
            if found is not None:
                return found
        return None

    def _stems(self, parts: list[str], level: int, site: Site) -> Iterator[Path]:
        """Paths without their suffix, in the order in which they are looked at."""
        assert self.root is not None
        here = self.folders.get(site.text.name, self.root)
        if level:
            for _ in range(level - 1):
                here = here.parent
            yield here.joinpath(*parts)
        for start in range(len(parts) if parts else 0):
            yield self.root.joinpath(*parts[start:])
            if here != self.root:
                yield here.joinpath(*parts[start:])

    def _module(self, stem: Path, site: Site) -> Scope | None:
        for path in (stem.with_name(f"{stem.name}.py"), stem / "__init__.py"):
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
        """A file below the definition's folder, links followed; not one that is too long for a definition."""
        assert self.root is not None
        assert self.inside is not None
        try:
            real = path.resolve()
            if not real.is_relative_to(self.inside) or not real.is_file() or real.stat().st_size > LONGEST:
                return None
            data = real.read_bytes()
        except OSError:
            return None
        if sum(scope is not None for scope in self.found.values()) >= MOST_MODULES:
            raise site.error("too many modules", "E202")
        shown = str(self.shown / path.relative_to(self.root)) if path.is_relative_to(self.root) else path.name
        self.folders[shown] = path.parent
        return self.run.module(Text(shown, Source(shown, path, data).text()))
