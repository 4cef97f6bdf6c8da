"""What a command takes: declared beside each parameter of its function, and read from its signature.

`Annotated[int | None, Option("--classes", metavar="N", help="…")]` is an option of one whole number. The type says how
its text is read: str, int, float or Path, a list where it may be repeated, bool for a switch. A parameter that is a
`Group` stands for the options that are its fields.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import NoneType
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints


class Option:
    """An option by its names; ``min`` and ``max`` bound a number, a ``hidden`` one is not in the help."""

    def __init__(
        self,
        *names: str,
        metavar: str = "",
        help: str = "",  # noqa: A002  what everyone calls it
        min: float | None = None,  # noqa: A002
        max: float | None = None,  # noqa: A002
        hidden: bool = False,
    ) -> None:
        self.names = names
        self.metavar = metavar
        self.help = help
        self.min = min
        self.max = max
        self.hidden = hidden


class Argument:
    """A word without a name in front; told by its place."""

    names: tuple[str, ...] = ()
    min: float | None = None
    max: float | None = None
    hidden = False

    def __init__(self, metavar: str, help: str) -> None:  # noqa: A002
        self.metavar = metavar
        self.help = help


class Group:
    """Options that go together: a command takes one as one parameter, and the command line shows its fields."""


class Parameter(NamedTuple):
    """One thing a command takes: its name, the type of a value, how it was declared, the parameter it is a field of."""

    name: str
    kind: type
    many: bool
    required: bool
    default: Any
    said: Option | Argument
    group: str = ""

    @property
    def is_switch(self) -> bool:
        """Whether it takes no value."""
        return self.kind is bool


#: Every command has it.
HELP = Parameter("help", bool, False, False, False, Option("-h", "--help", help="Show this and end."))
_REQUIRED: Any = object()


class Command:
    """A function that is called from the command line: ``takes`` is what, in the order of its signature, help last."""

    def __init__(self, function: Callable[..., int]) -> None:
        self.function = function
        self.groups: dict[str, type[Group]] = {}
        self.takes: list[Parameter] = []
        hints = get_type_hints(function, include_extras=True)
        for name, default in _signature(function):
            self._add(name, hints[name], default)
        self.takes.append(HELP)

    def _add(self, name: str, hint: Any, default: Any) -> None:
        if not (isinstance(hint, type) and issubclass(hint, Group)):
            self.takes.append(_parameter(name, hint, default))
            return
        self.groups[name] = hint
        for field, kind in get_type_hints(hint, include_extras=True).items():
            self.takes.append(_parameter(field, kind, getattr(hint, field, _REQUIRED), name))

    def call(self, values: Mapping[str, Any]) -> int:
        """Runs the command with a value for everything it takes; gives the exit status."""
        own = {p.name: values[p.name] for p in self.takes if not p.group and p is not HELP}
        for name, kind in self.groups.items():
            own[name] = kind(**{p.name: values[p.name] for p in self.takes if p.group == name})
        return self.function(**own)


def _signature(function: Callable[..., int]) -> list[tuple[str, Any]]:
    """(name, default) of every parameter; inspect, which could say it too, is slow to import."""
    made: Any = function
    names = made.__code__.co_varnames[: made.__code__.co_argcount + made.__code__.co_kwonlyargcount]
    by_place = made.__code__.co_varnames[: made.__code__.co_argcount]
    last = made.__defaults__ or ()
    defaults = {**dict(zip(by_place[len(by_place) - len(last) :], last, strict=True)), **(made.__kwdefaults__ or {})}
    return [(name, defaults.get(name, _REQUIRED)) for name in names]


def _parameter(name: str, hint: Any, default: Any, group: str = "") -> Parameter:
    annotation, said = get_args(hint)
    kind, many = _kind(annotation)
    required = default is _REQUIRED
    return Parameter(name, kind, many, required, None if required else default, said, group)


def _kind(annotation: Any) -> tuple[type, bool]:
    """The type of one value, and whether there may be several: of int | None, list[str] and the like."""
    kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
    if get_origin(annotation) is list:
        return kinds[0], True
    return _kind(kinds[0]) if kinds else (annotation, False)
