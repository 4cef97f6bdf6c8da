"""What a Python expression of a definition can be worth, when nothing is executed.

Numbers, strings, tuples, lists and dicts stand for themselves, sizes of traced values are `shapecalc.dims` expressions,
and the rest is one of the classes below.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from ...dims import Dim, symbol
from ...source import Origin, Span
from .text import Site, Text

Value: TypeAlias = Any
#: Chains inside chains; deeper ones come from a loop.
DEEPEST = 64


class Opaque:
    """Something outside the definition, known by its dotted name alone: ``chainer.initializers.HeNormal``.

    ``site`` is where it came up, for the message if a layer depends on it.
    """

    __slots__ = ("name", "site")

    def __init__(self, name: str, site: Site | None = None) -> None:
        self.name = name
        self.site = site

    def __repr__(self) -> str:
        return f"Opaque({self.name!r})"


class Array(Opaque):
    """An array of one number (numpy.zeros, numpy.ones); a value of the graph where a layer reads it.

    ``number`` is None of one that is drawn by chance: only its shape is known.
    """

    __slots__ = ("number", "shape")

    def __init__(self, name: str, shape: tuple[Dim, ...], number: float | None, site: Site | None = None) -> None:
        super().__init__(name, site)
        self.shape = shape
        self.number = number


class Placed(int):
    """A whole number that remembers where it stands in the definition: what an edit of it replaces.

    It keeps its place through names, defaults, lists and calls; what is computed from it is a plain number.
    """

    span: Span

    @classmethod
    def at(cls, value: int, span: Span) -> Placed:
        """``value``, standing at ``span``."""
        made = cls(value)
        made.span = span
        return made


class Variable:
    """A value of the graph on its way through ``forward``.

    ``after`` is the path of the nearest link before it (function calls are named after it); ``loss`` tells numbers
    that exist for training only; ``known`` is the shape of a parameter.
    """

    __slots__ = ("after", "known", "loss", "name", "rank")

    def __init__(
        self,
        name: str,
        rank: int | None,
        after: str = "",
        *,
        loss: bool = False,
        known: tuple[Dim, ...] | None = None,
    ) -> None:
        self.name = name
        self.rank = rank
        self.after = after
        self.loss = loss
        self.known = known

    @property
    def shape(self) -> tuple[Dim, ...]:
        """Its dimensions, as symbols that a trace fills in; the rank must be known."""
        if self.known is not None:
            return self.known
        return tuple(symbol(f"{self.name}[{axis}]") for axis in range(self.rank or 0))

    def __repr__(self) -> str:
        return f"Variable({self.name!r}, rank {self.rank})"


class Scope:
    """Names and their values: a module, a class body or one call of a function.

    ``owner`` and ``self_value`` are what ``super()`` means here.
    """

    __slots__ = ("names", "owner", "parent", "self_value", "text")

    def __init__(
        self, text: Text, parent: Scope | None = None, *, owner: Class | None = None, self_value: Value = None
    ) -> None:
        self.text = text
        self.parent = parent
        self.names: dict[str, Value] = {}
        inherited = (parent.owner, parent.self_value) if parent is not None else (None, None)
        self.owner: Class | None = inherited[0] if owner is None else owner
        self.self_value: Value = inherited[1] if self_value is None else self_value

    def find(self, name: str) -> tuple[Value] | None:
        """The value of a name, in a 1-tuple; None if there is none."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return (scope.names[name],)
            scope = scope.parent
        return None

    def site(self, node: ast.AST) -> Site:
        """The place of a node of this scope's file."""
        return Site(self.text, node)


class Signature:
    """The parameters of a callable: positional names, their defaults, ``*rest``, keyword-only names, ``**extra``."""

    __slots__ = ("defaults", "extra", "keyword_only", "names", "rest")

    def __init__(
        self,
        names: Sequence[str] = (),
        defaults: Mapping[str, Value] | None = None,
        *,
        rest: str | None = None,
        keyword_only: Sequence[str] = (),
        extra: str | None = None,
    ) -> None:
        self.names = tuple(names)
        self.defaults = dict(defaults or {})
        self.rest = rest
        self.keyword_only = tuple(keyword_only)
        self.extra = extra


class Arguments:
    """What a call passes; ``spans`` says where each was written, by position or keyword."""

    __slots__ = ("keywords", "positional", "spans")

    def __init__(
        self,
        positional: Iterable[Value] = (),
        keywords: Mapping[str, Value] | None = None,
        spans: Mapping[int | str, Span] | None = None,
    ) -> None:
        self.positional = tuple(positional)
        self.keywords = dict(keywords or {})
        self.spans = dict(spans or {})

    def after(self, first: Value) -> Arguments:
        """The same arguments with one more in front: the object of a method."""
        spans = {key + 1 if isinstance(key, int) else key: span for key, span in self.spans.items()}
        return Arguments((first, *self.positional), self.keywords, spans)

    def values(self) -> Iterator[Value]:
        """All that is passed."""
        yield from self.positional
        yield from self.keywords.values()


class Function:
    """A function or lambda of the definition; ``kind`` is "plain", "property", "staticmethod" or "classmethod"."""

    __slots__ = ("kind", "name", "node", "owner", "scope", "signature")

    def __init__(
        self,
        name: str,
        node: ast.FunctionDef | ast.Lambda,
        signature: Signature,
        scope: Scope,
        kind: str = "plain",
    ) -> None:
        self.name = name
        self.node = node
        self.signature = signature
        self.scope = scope
        self.kind = kind
        self.owner: Class | None = None


class Native:
    """A callable that shapecalc knows: a builtin, a method, a function or link of Chainer."""

    __slots__ = ("call", "name")

    def __init__(self, name: str, call: Callable[[Any, Arguments, Site], Value]) -> None:
        self.name = name
        self.call = call

    def __repr__(self) -> str:
        return f"Native({self.name!r})"


class Bound:
    """A method with its object."""

    __slots__ = ("function", "self_value")

    def __init__(self, function: Function | Native, self_value: Value) -> None:
        self.function = function
        self.self_value = self_value


class Class:
    """A class: of the definition, or one of Chainer's that are bases (whose methods are natives)."""

    __slots__ = ("bases", "name", "names", "order", "site")

    def __init__(
        self, name: str, bases: Sequence[Class] = (), names: dict[str, Value] | None = None, site: Site | None = None
    ) -> None:
        self.name = name
        self.bases = tuple(bases)
        self.names = names if names is not None else {}
        self.site = site
        #: The class and its bases, each before its own bases (Python's order for trees without crossings).
        self.order: list[Class] = [self]
        inherited = [found for base in self.bases for found in base.order]
        self.order += [found for i, found in enumerate(inherited) if found not in inherited[i + 1 :]]

    def find(self, name: str, after: Class | None = None) -> Value:
        """An attribute of the class or its bases (of those after ``after`` only); None if there is none."""
        start = self.order.index(after) + 1 if after in self.order else 0
        for found in self.order[start:]:
            if name in found.names:
                return found.names[name]
        return None

    def __repr__(self) -> str:
        return f"Class({self.name!r})"


class Link:
    """What has a place in the tree of links: its path is that of its parent and its own name there."""

    __slots__ = ("name", "origin", "parent")

    def __init__(self, origin: Origin) -> None:
        self.parent: Instance | None = None
        self.name: str | None = None
        self.origin = origin

    @property
    def path(self) -> str:
        """``res2/0/conv1``; empty for the model itself."""
        names: list[str] = []
        link: Link | None = self
        while link is not None and len(names) < DEEPEST:
            names += [link.name] if link.name is not None else []
            link = link.parent
        return "/".join(reversed(names))


class Instance(Link):
    """An object of a class of the definition: a chain, or any other object."""

    __slots__ = ("attributes", "children", "kind", "open")

    def __init__(self, kind: Class, origin: Origin) -> None:
        super().__init__(origin)
        self.kind = kind
        self.attributes: dict[str, Value] = {}
        self.children: dict[str, Link] = {}
        self.open = 0  # how many init_scope blocks we are in

    def __repr__(self) -> str:
        return f"Instance({self.kind.name!r})"


class Layer(Link):
    """A link of chainer.links with its bound constructor arguments; ``row`` says what it does."""

    __slots__ = ("given", "row")

    def __init__(self, row: Any, given: dict[str, Value], origin: Origin) -> None:
        super().__init__(origin)
        self.row = row
        self.given = given

    def __repr__(self) -> str:
        return f"Layer({self.row.name!r})"


class Parameter(Link):
    """``chainer.Parameter``, or an array that is saved with its link: a value of the graph where it is read.

    ``shape`` is None where the first input decides.
    """

    __slots__ = ("shape", "trained")

    def __init__(self, shape: tuple[Dim, ...] | None, origin: Origin, *, trained: bool = True) -> None:
        super().__init__(origin)
        self.shape = shape
        self.trained = trained

    def __repr__(self) -> str:
        return f"Parameter({self.shape!r})"


class Super:
    """``super()``: the object, seen from the class after ``after``."""

    __slots__ = ("after", "self_value")

    def __init__(self, after: Class, self_value: Value) -> None:
        self.after = after
        self.self_value = self_value


class Ratio:
    """A true division of sizes, waiting for ``int`` or a rounding."""

    __slots__ = ("bottom", "top")

    def __init__(self, top: Dim, bottom: Dim) -> None:
        self.top = top
        self.bottom = bottom
