"""One use of a function or link of Chainer: its bound arguments, and the node it becomes.

A `Row` is one function or link: its parameters as Chainer declares them, and a rule, which sees a `Use`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...dims import Dim, Expr
from ...errors import ModelError
from ...source import Origin, Span
from .binding import bind
from .tape import Tape, joined, label
from .text import Site
from .values import Arguments, Array, Layer, Opaque, Placed, Ratio, Signature, Value, Variable

#: The default of an argument whose absence means something else than any value.
UNSET = Opaque("unset")
#: Arguments of Chainer 1 that are gone, and those that steer numbers and never a shape.
LEGACY = frozenset(
    "train test volatile use_cudnn wscale bias deterministic initialW initial_bias dtype initial_gamma "
    "initial_beta initial_avg_mean initial_avg_var conv_init bias_init finetune running_mean running_var".split()
)
#: What the place of a number is called by, behind the name of its argument.
NUMBER = ".number"
#: No size of a network is larger; larger numbers are a slip or an attack.
LARGEST = 10**9


def modern(signature: Signature, arguments: Arguments) -> Arguments:
    """The arguments without those of Chainer 1 that are gone."""
    kept = {key: value for key, value in arguments.keywords.items() if key in signature.names or key not in LEGACY}
    return Arguments(arguments.positional, kept, arguments.spans)


class Older:
    """How Chainer 1 ordered the arguments behind the first ``shared`` ones, where a call shows that it means that."""

    __slots__ = ("names", "shared")

    def __init__(self, shared: int, names: str) -> None:
        self.shared = shared
        self.names = names.split()

    def turned(self, signature: Signature, arguments: Arguments) -> Arguments:
        """Positional arguments of Chainer 1 as keywords; as they are where the call can be today's."""
        rest = arguments.positional[self.shared :]
        today = signature.names[self.shared : self.shared + len(rest)]
        twice = any(name in arguments.keywords for name in today)
        fits = len(today) == len(rest) and all(_looks(name, value) for name, value in zip(today, rest, strict=True))
        if (fits and not twice) or len(rest) > len(self.names):
            return arguments
        named = {
            name: value
            for name, value in zip(self.names, rest, strict=False)
            if name in signature.names and name not in arguments.keywords
        }
        spans = {key: span for key, span in arguments.spans.items() if not isinstance(key, int) or key < self.shared}
        return Arguments(arguments.positional[: self.shared], {**named, **arguments.keywords}, spans)


def _looks(name: str, value: Value) -> bool:
    """Whether a value can be that of today's argument ``name``: ``nobias`` is yes or no."""
    return name not in ("nobias", "cover_all") or isinstance(value, (bool, Opaque))


#: chainer/links/connection and chainer/functions of version 1.24.
OLDER = {
    "Convolution2D": Older(5, "wscale bias nobias use_cudnn initialW initial_bias"),
    "Deconvolution2D": Older(5, "wscale bias nobias outsize use_cudnn initialW initial_bias"),
    "DilatedConvolution2D": Older(6, "wscale bias nobias use_cudnn initialW initial_bias"),
    "Linear": Older(2, "wscale bias nobias initialW initial_bias"),
    "max_pooling_2d": Older(5, "use_cudnn"),
    "average_pooling_2d": Older(4, "use_cudnn"),
    "dropout": Older(2, "train"),
    **{name: Older(1, "use_cudnn") for name in ("relu", "sigmoid", "tanh", "softmax", "log_softmax")},
    "softmax_cross_entropy": Older(2, "use_cudnn normalize cache_score"),
}


class Row:
    """A function or link: its name, the rule that says what it becomes, its parameters as Chainer declares them.

    ``kind`` names its calls (relu, pool, …); ``numbered`` whether they carry the number of the link before them.
    ``options`` is what the rule itself needs to know.
    """

    __slots__ = ("kind", "name", "numbered", "options", "rule", "signature")

    def __init__(
        self,
        name: str,
        rule: Callable[[Use], Value],
        parameters: str,
        kind: str = "",
        *,
        numbered: bool = True,
        options: Any = None,
        **defaults: Value,
    ) -> None:
        self.name = name
        self.rule = rule
        self.kind = kind or name
        self.numbered = numbered
        self.options = options
        names = parameters.split()
        rest = next((name[1:] for name in names if name.startswith("*")), None)
        plain = [name for name in names if not name.startswith("*")]
        self.signature = Signature((*plain, *defaults), defaults, rest=rest)

    def bind(self, arguments: Arguments, site: Site) -> tuple[dict[str, Value], dict[str, Span]]:
        """The arguments by name, defaults filled in, and where each was written.

        ``<name>.number`` is where a number stands that was passed by name: in a default, a constant, a call.
        """
        kept = modern(self.signature, arguments)
        older = OLDER.get(self.name)
        if older is not None and (
            len(kept.positional) > older.shared or len(kept.positional) > len(self.signature.names)
        ):
            kept = older.turned(self.signature, kept)
        given, spans = bind(self.signature, kept, self.name, site)
        placed = {f"{key}{NUMBER}": value.span for key, value in given.items() if isinstance(value, Placed)}
        return given, spans | placed


class Use:
    """A row with the arguments of one call: what its rule reads, and where it writes."""

    def __init__(
        self,
        row: Row,
        given: Mapping[str, Value],
        tape: Tape,
        *,
        site: Site,
        origin: Origin,
        scope: str = "",
        link: Layer | None = None,
    ) -> None:
        self.row = row
        self.given = given
        self.tape = tape
        self.site = site
        self.origin = origin
        self.scope = scope
        self.link = link

    # -- reading arguments ----------------------------------------------------------------------------------------
    def __getitem__(self, name: str) -> Value:
        return self.given[name]

    def error(self, message: str, code: str = "E205", hint: str | None = None) -> ModelError:
        """An error about this call."""
        return self.site.error(f"{self.row.name}: {message}", code, hint)

    def variable(self, name: str = "x") -> Variable:
        """An argument that is a value of the graph."""
        return self.as_variable(self.given[name], name)

    def as_variable(self, value: Value, name: str) -> Variable:
        """A value that must be one of the graph."""
        if isinstance(value, Variable):
            return value
        if isinstance(value, Array):
            return filled(self, value)
        raise self.error(f"its argument {name} is {describe(value)}, not something computed from the input", "E205")

    def variables(self, name: str) -> list[Variable]:
        """An argument that is a list or tuple of values of the graph, not empty."""
        given = self.given[name]
        if isinstance(given, Variable):
            return [given]
        if not isinstance(given, (list, tuple)) or not given:
            raise self.error(f"its argument {name} is {describe(given)}, not a list of values")
        return [self.as_variable(value, name) for value in given]

    def size(self, name: str, least: int = 0) -> Dim:
        """An argument that is a whole number of at least ``least``, or a size of some value."""
        return self.as_size(self.given[name], name, least)

    def as_size(self, value: Value, name: str, least: int) -> Dim:
        """A value that must be a whole number of at least ``least``."""
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, Expr):
            return value
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.error(f"its argument {name} is {describe(value)}, not a whole number", hint=_way_out(value))
        if not least <= value <= LARGEST:
            raise self.error(f"its argument {name} is {value}, which is no {name}", "E109", f"{least} or more")
        return int(value)

    def pair(self, name: str, least: int = 0, rank: int = 2) -> tuple[Dim, ...]:
        """An argument that is one number for all axes or one for each."""
        value = self.given[name]
        if not isinstance(value, (list, tuple)):
            return (self.as_size(value, name, least),) * rank
        if len(value) != rank:
            raise self.error(f"its argument {name} has {len(value)} numbers for {rank} axes", "E109")
        return tuple(self.as_size(item, name, least) for item in value)

    def number(self, name: str) -> float:
        """An argument that is a number."""
        value = self.given[name]
        if isinstance(value, (int, float)):
            return float(value)
        raise self.error(f"its argument {name} is {describe(value)}, not a number")

    def axes(self, name: str, rank: int | None) -> tuple[int, ...]:
        """An argument that is an axis, several, or None for all; negative ones count from the end."""
        value = self.given[name]
        if value is None:
            value = tuple(range(self.need_rank(rank)))
        found = tuple(value) if isinstance(value, (list, tuple)) else (value,)
        if not all(isinstance(axis, int) and -64 <= axis < 64 for axis in found):
            raise self.error(f"its argument {name} is {describe(value)}, not an axis")
        return tuple(axis + self.need_rank(rank) if axis < 0 else axis for axis in found)

    def need_rank(self, rank: int | None) -> int:
        """A rank that must be known here."""
        if rank is None:
            raise self.error("the number of dimensions of its input is not known here")
        return rank

    # -- writing nodes --------------------------------------------------------------------------------------------
    @property
    def path(self) -> str:
        """The path of the link, which its parameters and its node are called by."""
        return self.link.path if self.link is not None else self.scope

    def param(self, key: str, shape: Sequence[Any] | None = None, **fields: Any) -> str:
        """A parameter of the link under Chainer's own key."""
        return self.tape.param(f"{self.path}/{key}", shape, origin=self.origin, **fields)

    def emit(
        self,
        op: str,
        inputs: Sequence[Variable | str],
        attrs: Mapping[str, Any] | None = None,
        *,
        rank: int | None,
        kind: str | None = None,
        domain: str = "",
    ) -> Variable:
        """Adds the node of this call; its output, named after the link or after the function and the link before."""
        return self.emit_many(op, inputs, attrs, ranks=[rank], kind=kind, domain=domain)[0]

    def emit_many(
        self,
        op: str,
        inputs: Sequence[Variable | str],
        attrs: Mapping[str, Any] | None = None,
        *,
        ranks: Sequence[int | None],
        kind: str | None = None,
        domain: str = "",
    ) -> list[Variable]:
        """As `emit`, for a node of several outputs."""
        before = [value for value in inputs if isinstance(value, Variable)]
        after = self.path if self.link is not None else joined(before, self.scope)
        name = after if self.link is not None else label(kind or self.row.kind, self.scope, after, self.row.numbered)
        loss = any(value.loss for value in before)
        names = [value.name if isinstance(value, Variable) else value for value in inputs]
        kept, count = attrs or {}, len(ranks)
        written, where = ("Loss", "") if loss else (op, domain)
        own = self.link is not None
        made = self.tape.add(written, name, names, kept, self.origin, count, where, link=own)
        return [Variable(out, 0 if loss else rank, after, loss=loss) for out, rank in zip(made, ranks, strict=True)]


def filled(use: Use, array: Array) -> Variable:
    """An array of one number as a value of the graph; raises ModelError for one that is drawn by chance."""
    if array.number is None:
        raise use.error(f"{array.name} is drawn by chance each time it runs")
    attrs = {"shape": array.shape, "value": array.number}
    return use.emit("Filled", [], attrs, rank=len(array.shape), kind="filled", domain="chainer")


def numbers(parts: Mapping[str, Span]) -> dict[str, Span]:
    """Those of the parts of an origin that are places of numbers."""
    return {key: span for key, span in parts.items() if key.endswith(NUMBER)}


def _way_out(value: Value) -> str | None:
    if isinstance(value, Opaque):
        named = all(part.isidentifier() for part in value.name.split("."))
        return f"give it: --arg {value.name}=…" if named else "write the number into the definition"
    return None


def describe(value: Value) -> str:
    """A value for messages."""
    if isinstance(value, Opaque):
        return f"{value.name}, whose value is not known without running it"
    if isinstance(value, Variable):
        return f"the value {value.name}"
    if isinstance(value, Ratio):
        return f"{value.top}/{value.bottom}"
    if value is None or isinstance(value, (bool, int, float, str)):
        text = repr(value) if not isinstance(value, int) or abs(value) < 10**18 else "a huge number"
        return text if len(text) < 80 else text[:79] + "…"
    return f"a {type(value).__name__.lower()}"
