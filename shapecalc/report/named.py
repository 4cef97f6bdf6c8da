"""Long sizes under short names: ``h1 = (H - 1)//32`` once below the table, each name made of earlier ones."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from math import gcd
from typing import NamedTuple, TypeAlias

from .. import dims
from ..bounds import lower_bound
from ..dims import Dim, Expr, Shape, Unknown
from ..expressions import Atom, Monomial
from ..graph import Tensor
from ..ops import Call
from ..trace import Layer
from ..traced import formula_of

#: A size longer than this is shown by a name; in a table that is too wide for its window, longer than the second.
LONGEST, NARROW = 40, 8
#: Of what sizes are made, a part gets a name of its own where it is longer than the first number and occurs again, or
#: longer than the second.
AGAIN, ONCE = 8, 30

#: What stands for a long size until it is known which ones are shown; no file has these signs in a name.
_HELD = re.compile("\ue000(\\d+)\ue001")


Terms: TypeAlias = dict[Monomial, int]


class Texts(NamedTuple):
    """Output shape and formula of layers as they are shown, and the names in them with their definitions, in order."""

    shapes: dict[Layer, str]
    formulas: dict[Layer, str]
    names: list[tuple[str, str]]


def texts_of(layers: Iterable[Layer], batch: bool, formulas: bool = True, longest: int = LONGEST) -> Texts:
    """The texts of layers; the batch of 1 is left out unless ``batch``. ``formulas``: they are wanted as well.

    Sizes of more than ``longest`` characters get names.
    """
    held = _Held(longest)
    shapes, written = {}, {}
    for layer in layers:
        shape = layer.tensors[0].shape if layer.tensors else ()
        one = isinstance(shape, tuple) and len(shape) > 1 and shape[0] == 1  # windows stand where the batch does
        short = shape[1:] if one and isinstance(shape, tuple) and not batch else shape
        shapes[layer] = dims.show(held.shape(short)) if layer.tensors else ""
        written[layer] = held.formula(layer) if formulas else ""
    if not held.sizes:
        return Texts(shapes, written, [])
    texts = [*shapes.values(), *written.values()]
    shown = dict.fromkeys(int(number) for text in texts for number in _HELD.findall(text))
    names = Names([held.sizes[number] for number in shown])

    def put(text: str) -> str:
        return _HELD.sub(lambda found: names.text(held.sizes[int(found[1])]), text)

    return Texts({k: put(v) for k, v in shapes.items()}, {k: put(v) for k, v in written.items()}, names.definitions)


class _Held:
    """Long sizes that layers are shown with, each held by a symbol."""

    def __init__(self, longest: int) -> None:
        self.sizes: list[Expr] = []
        self._longest = longest
        self._known: dict[Expr, Dim] = {}

    def dim(self, dim: Dim) -> Dim:
        """A dimension, by its symbol if it is long."""
        if not isinstance(dim, Expr):
            return dim
        if dim not in self._known:
            self._known[dim] = self._symbol(dim) if len(str(dim)) > self._longest else dim
        return self._known[dim]

    def _symbol(self, dim: Expr) -> Expr:
        self.sizes.append(dim)
        return dims.symbol(f"\ue000{len(self.sizes) - 1}\ue001", lower_bound(dim) or 0)

    def shape(self, shape: Shape | Unknown) -> Shape | Unknown:
        """A shape, its long dimensions by their symbols."""
        return tuple(map(self.dim, shape)) if isinstance(shape, tuple) else shape

    def formula(self, layer: Layer) -> str:
        """The formula; a long one of free sizes is made again from the symbols."""
        if len(layer.formula) <= LONGEST or not any(isinstance(d, Expr) for d in _dims_of(layer)):
            return layer.formula
        call = layer.call
        inputs = [tensor and self._tensor(tensor) for tensor in call.inputs]
        return formula_of(Call(call.node, inputs, call.scope, call.attrs), [self.shape(t.shape) for t in layer.tensors])

    def _tensor(self, tensor: Tensor) -> Tensor:
        contents = tensor.contents
        return Tensor(
            self.shape(tensor.shape), tensor.dtype, None if contents is None else tuple(map(self.dim, contents))
        )


def _dims_of(layer: Layer) -> Iterator[Dim]:
    for tensor in (*layer.call.inputs, *layer.tensors):
        if tensor is not None:
            yield from tensor.shape if isinstance(tensor.shape, tuple) else ()
            yield from tensor.contents or ()


class Names:
    """Names for sizes: one for each, and one for each part that is long or occurs again.

    >>> h, w = dims.symbol("H"), dims.symbol("W")
    >>> Names([((h + 1) // 2 + 1) * ((w + 1) // 2 + 1), (h + 1) // 2 * 64]).definitions
    [('h1', '(H - 1)//2'), ('s1', '(h1 + 2)*(((W - 1)//2) + 2)'), ('h2', '64*h1 + 64')]
    """

    def __init__(self, sizes: Iterable[Expr]) -> None:
        self.definitions: list[tuple[str, str]] = []
        self._texts: dict[Expr, str | None] = dict.fromkeys(sizes)  # size -> its name, once it has one
        self._factors: dict[Expr, list[Expr]] = {}
        self._uses: Counter[Atom] = Counter()
        self._count()
        self._taken = {name for size in self._texts for name in dims.symbols(size)}
        self._numbers: Counter[str] = Counter()
        self._shown: dict[Atom, Atom] = {}
        for size in self._texts:
            self.text(size)

    def text(self, size: Expr) -> str:
        """The name of a size."""
        name = self._texts[size]
        if name is None:
            name = self._texts[size] = self._named(size)
        return name

    def _count(self) -> None:
        """How often each part occurs where all that is equal is written once."""
        waiting = list(self._texts)
        while waiting:
            size = waiting.pop()
            if size in self._factors:
                continue
            self._factors[size] = factors(size)
            for factor in self._factors[size]:
                if factor is not size and factor in self._texts:
                    continue  # it is there by its own name
                for atom in (atom for monomial in factor.terms for atom in monomial):
                    self._uses[atom] += 1
                    if atom.kind != "symbol":
                        waiting += [arg for arg in atom.args if isinstance(arg, Expr)]

    def _named(self, size: Expr) -> str:
        """A new name of a whole size; one that is a single part shares the name of that."""
        ((monomial, factor), *more) = size.terms.items()
        if not more and factor == 1 and len(monomial) == 1:
            shown = self._part(monomial[0])
            return shown.text if shown.kind == "symbol" else self._define(size, _bare(shown.text))
        return self._define(size, self._product(size))

    def _define(self, size: Expr, text: str) -> str:
        letters = dims.symbols(size)
        letter = next(iter(letters)).lower() if len(letters) == 1 else ""
        prefix = letter if len(letter) == 1 and letter.isalpha() else "s"
        while True:
            self._numbers[prefix] += 1
            name = f"{prefix}{self._numbers[prefix]}"
            if name not in self._taken:
                break
        self.definitions.append((name, text))
        return name

    def _written(self, size: Dim) -> str:
        """A size made of names."""
        if not isinstance(size, Expr):
            return str(size)
        return self.text(size) if size in self._texts else self._product(size)

    def _product(self, size: Expr) -> str:
        """A size as a product of sums, where it is one."""
        parts = sorted(self._factors[size], key=lambda part: len(part.terms) > 1)  # N*(h1 + 1), as one says it
        if len(parts) == 1:
            return self._sum(size)
        texts = [self.text(part) if part in self._texts else self._sum(part) for part in parts]
        return "*".join(f"({text})" if " " in text else text for text in texts)

    def _sum(self, size: Expr) -> str:
        return str(Expr({tuple(sorted(map(self._part, m))): factor for m, factor in size.terms.items()}))

    def _part(self, atom: Atom) -> Atom:
        """A part as it is shown: by its name, or written out."""
        if atom.kind == "symbol":
            return atom
        if atom not in self._shown:
            texts = [self._written(arg) for arg in atom.args]
            text = f"{atom.kind}({', '.join(texts)})"
            if atom.kind == "//":
                text = f"({'//'.join(t if re.fullmatch(r'[A-Za-z0-9_]+', t) else f'({t})' for t in texts)})"
            if len(text) > (AGAIN if self._uses[atom] > 1 else ONCE):
                name = self._define(Expr({(atom,): 1}), _bare(text))
                self._shown[atom] = Atom("symbol", (name, 0, None), name)
            else:
                self._shown[atom] = Atom(atom.kind, atom.args, text)
        return self._shown[atom]


def _bare(text: str) -> str:
    """A division without the brackets around it."""
    return text[1:-1] if text.startswith("(") else text


def factors(size: Expr) -> list[Expr]:
    """A size as a product, one factor a set of free symbols (heights apart from widths); itself where it is none.

    >>> h, w = dims.symbol("H"), dims.symbol("W")
    >>> [str(factor) for factor in factors(2 * h * w + 4 * h + 2 * w + 4)]
    ['2', 'H + 1', 'W + 2']
    """
    kinds = dict.fromkeys(_kind(atom) for monomial in size.terms for atom in monomial)
    number, found, rest = 1, [], dict(size.terms)
    for kind in kinds if len(kinds) > 1 and len(size.terms) > 1 else ():
        factor, rest = _apart(rest, kind)
        whole = gcd(*factor.values())
        number *= whole
        found.append(Expr({monomial: value // whole for monomial, value in factor.items()}))
    found = [factor for factor in found if factor.terms != {(): 1}]
    if not found:
        return [size]
    return [factor for factor in (Expr({(): number}), *found, Expr(rest)) if factor.terms != {(): 1}]


def _apart(terms: Terms, kind: frozenset[str]) -> tuple[Terms, Terms]:
    """Two factors, the first of all that has exactly these symbols; 1 and the whole where it does not split so."""
    rows: dict[Monomial, Terms] = {}
    for monomial, value in terms.items():
        inside = tuple(atom for atom in monomial if _kind(atom) == kind)
        rows.setdefault(inside, {})[tuple(atom for atom in monomial if _kind(atom) != kind)] = value
    first = next(iter(rows.values()))
    whole = gcd(*first.values())
    rest = {monomial: value // whole for monomial, value in first.items()}
    lead, unit = next(iter(rest.items()))
    factor = {inside: row.get(lead, 0) // unit for inside, row in rows.items()}
    if any(
        row != {monomial: value * factor[inside] for monomial, value in rest.items()} for inside, row in rows.items()
    ):
        return {(): 1}, terms
    return factor, rest


def _kind(atom: Atom) -> frozenset[str]:
    return frozenset(dims.symbols(Expr({(atom,): 1})))
