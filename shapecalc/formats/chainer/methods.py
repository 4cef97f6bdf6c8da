"""Python's builtin functions, and the methods of its own types, as far as definitions use them."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ... import dims
from ...dims import Expr
from . import python
from .text import Site
from .use import describe
from .values import Arguments, Bound, Class, Function, Instance, Layer, Native, Opaque, Ratio, Value, Variable

if TYPE_CHECKING:
    from .interpreter import Run

#: A format that reaches into its values, ``{0.name}`` or ``{0[1]}``, or whose width is itself one: ``{:{}}``.
_REACHING = re.compile(r"\{[^{}:!]*[.\[]|\{[^{}]*\{")
#: What a plain Python function raises on arguments that make no sense.
_WRONG = (TypeError, ValueError, ArithmeticError, KeyError, IndexError, AttributeError)


def plain(name: str, function: Callable[..., Value]) -> Native:
    """A function of Python that is safe to call on known values; of unknown ones its result is unknown."""

    def call(run: Run, arguments: Arguments, site: Site) -> Value:
        if any(isinstance(value, (Opaque, Variable)) for value in arguments.values()):
            return Opaque(site.quote(), site)
        for value in arguments.values():
            python.weigh(value, site)
        try:
            return python.checked(function(*arguments.positional, **arguments.keywords), site)
        except _WRONG as error:
            raise site.error(f"{site.quote()}: {error}") from None

    return Native(name, call)


# -- methods ----------------------------------------------------------------------------------------------------------


def _format(text: str, *values: Value, **named: Value) -> str:
    # A format can reach into attributes and elements; definitions only fill in numbers and texts.
    if _REACHING.search(text):
        raise ValueError("a format that reaches into its values")
    simple = [value if isinstance(value, (int, float, str)) else str(value) for value in values]
    return text.format(*simple, **named)


def _extend(values: list[Value], more: Value) -> None:
    if len(values) + len(more) > python.LONGEST_LIST:
        raise ValueError("too long a list")
    values.extend(more)


def _append(values: list[Value], value: Value) -> None:
    if len(values) >= python.LONGEST_LIST:
        raise ValueError("too long a list")
    values.append(value)


_TEXT = "lower upper strip lstrip rstrip split startswith endswith replace title capitalize isdigit find count join"
_METHODS: dict[type, dict[str, Callable[..., Value]]] = {
    str: {**{name: getattr(str, name) for name in _TEXT.split()}, "format": _format},
    list: {
        **{name: getattr(list, name) for name in "pop reverse index insert copy count remove clear".split()},
        "append": _append,
        "extend": _extend,
    },
    tuple: {name: getattr(tuple, name) for name in ("index", "count")},
    dict: {
        **{name: getattr(dict, name) for name in "get update pop setdefault copy".split()},
        "items": lambda self: list(self.items()),
        "iteritems": lambda self: list(self.items()),
        "keys": lambda self: list(self),
        "values": lambda self: list(self.values()),
    },
    set: {name: getattr(set, name) for name in "add update discard union".split()},
    float: {"is_integer": float.is_integer},
}


def method(holder: Value, name: str, site: Site) -> Value:
    """A method of one of Python's own types, bound to its object."""
    function = _METHODS.get(type(holder), {}).get(name)
    if function is None:
        return Opaque(f"{describe(holder)}.{name}"[:200], site)
    if isinstance(holder, str) and name == "format":
        return Native(name, lambda run, arguments, at: _formatted(run, holder, arguments, at))
    if not isinstance(holder, str):  # a list holds links and values of the graph as well as numbers
        return Native(name, lambda run, arguments, at: _of_container(function, holder, arguments, at))
    safe = plain(name, function)
    return Native(name, lambda run, arguments, at: safe.call(run, arguments.after(holder), at))


def _formatted(run: Run, text: str, arguments: Arguments, site: Site) -> Value:
    for value in arguments.values():
        python.check_format(text, value, site)
    return plain("format", _format).call(run, arguments.after(text), site)


def _of_container(function: Callable[..., Value], holder: Value, arguments: Arguments, site: Site) -> Value:
    try:
        return function(holder, *arguments.positional, **arguments.keywords)
    except _WRONG as error:
        raise site.error(f"{site.quote()}: {error}") from None


# -- builtins ---------------------------------------------------------------------------------------------------------


def _range(run: Run, arguments: Arguments, site: Site) -> Value:
    numbers = arguments.positional
    for number in numbers:
        if not isinstance(number, int):
            raise site.error(f"{site.quote()}: {describe(number)} is not known without running it")
    try:
        wanted = range(*numbers)
        return list(wanted) if len(wanted) <= python.LONGEST_LIST else _endless(site)
    except (TypeError, ValueError, OverflowError) as error:
        raise site.error(f"{site.quote()}: {error}") from None


def _endless(site: Site) -> Value:
    raise site.error(f"{site.quote()}: a loop of more than {python.LONGEST_LIST:,} rounds", "E202")


def _listed(run: Run, value: Value, site: Site) -> list[Value]:
    from .attributes import iterate

    return iterate(run, value, site)


def _collected(kind: Callable[[list[Value]], Value]) -> Callable[[Run, Arguments, Site], Value]:
    def call(run: Run, arguments: Arguments, site: Site) -> Value:
        values = _listed(run, arguments.positional[0], site) if arguments.positional else []
        try:
            return kind(values)
        except _WRONG as error:
            raise site.error(f"{site.quote()}: {error}") from None

    return call


def _dict(run: Run, arguments: Arguments, site: Site) -> Value:
    pairs = arguments.positional[0] if arguments.positional else {}
    try:
        return {**dict(pairs), **arguments.keywords}
    except (TypeError, ValueError) as error:
        raise site.error(f"{site.quote()}: {error}") from None


def _zip(run: Run, arguments: Arguments, site: Site) -> Value:
    return list(zip(*(_listed(run, value, site) for value in arguments.positional), strict=False))


def _enumerate(run: Run, arguments: Arguments, site: Site) -> Value:
    values, start, *_ = (*arguments.positional, *arguments.keywords.values(), 0)
    return [(i + start, value) for i, value in enumerate(_listed(run, values, site))]


def _map(run: Run, arguments: Arguments, site: Site) -> Value:
    function, *lists = arguments.positional
    rows = zip(*(_listed(run, value, site) for value in lists), strict=False)
    return [run.call(function, Arguments(row), site) for row in rows]


def _reduced(run: Run, arguments: Arguments, site: Site) -> Value:
    """``functools.reduce(function, values, initial)``."""
    function, values, *initial = arguments.positional
    found = [*initial, *_listed(run, values, site)]
    if not found:
        raise site.error(f"{site.quote()}: there is nothing to reduce")
    total = found[0]
    for value in found[1:]:
        total = run.call(function, Arguments([total, value]), site)
    return total


def _sum(run: Run, arguments: Arguments, site: Site) -> Value:
    from .expressions import operate

    total: Value = arguments.positional[1] if len(arguments.positional) > 1 else 0
    for value in _listed(run, arguments.positional[0], site) if arguments.positional else []:
        plainly = isinstance(total, int) and total == 0
        total = value if plainly else operate(run, ast.Add, total, value, site)
    return total


def _number(run: Run, arguments: Arguments, site: Site) -> Value:
    """``int``: of a size, what it comes to when the size is known."""
    value = arguments.positional[0] if arguments.positional else 0
    if isinstance(value, (Expr, Ratio)):
        return python.floor(value)
    return plain("int", int).call(run, arguments, site)


def _rounded(name: str, exact: Callable[[float], int], sized: Callable[[Value], Value]) -> Native:
    safe = plain(name, exact)

    def call(run: Run, arguments: Arguments, site: Site) -> Value:
        value = arguments.positional[0] if arguments.positional else None
        return sized(value) if isinstance(value, (Expr, Ratio)) else safe.call(run, arguments, site)

    return Native(name, call)


def _extreme(name: str, exact: Callable[..., Value], sized: Callable[[Value, Value], Value]) -> Native:
    safe = plain(name, exact)

    def call(run: Run, arguments: Arguments, site: Site) -> Value:
        given = arguments.positional
        values = _listed(run, given[0], site) if len(given) == 1 else list(given)
        if not any(isinstance(value, Expr) for value in values):
            return safe.call(run, arguments, site)
        if not all(isinstance(value, (int, Expr)) for value in values):
            raise site.error(f"{site.quote()} depends on the size of the input in a way that is not supported")
        total = values[0]
        for value in values[1:]:
            total = sized(total, value)
        return total

    return Native(name, call)


def _instance_of(run: Run, arguments: Arguments, site: Site) -> Value:
    value, wanted = arguments.positional if len(arguments.positional) == 2 else (None, None)
    kinds = wanted if isinstance(wanted, tuple) else (wanted,)
    verdicts = [_is(value, kind) for kind in kinds]
    if True in verdicts or None not in verdicts:
        return True in verdicts
    return Opaque(site.quote(), site)


_TYPES: dict[str, type | tuple[type, ...]] = {
    "int": int,
    "float": float,
    "str": str,
    "bool": bool,
    "list": list,
    "tuple": tuple,
    "dict": dict,
    "set": set,
}


def _is(value: Value, kind: Value) -> bool | None:
    """Whether a value is of a kind, None where that is not known."""
    if isinstance(value, Opaque):
        return None
    if isinstance(kind, Class):
        return isinstance(value, Instance) and kind in value.kind.order
    if isinstance(kind, Native) and kind.name in _TYPES:
        return isinstance(value, _TYPES[kind.name])
    if isinstance(value, Layer):
        return isinstance(kind, Native) and kind.name == value.row.name
    name = kind.name.rpartition(".")[2] if isinstance(kind, (Opaque, Native)) else ""
    return isinstance(value, Variable) and name == "Variable"


def _get_attribute(run: Run, arguments: Arguments, site: Site) -> Value:
    from .attributes import get_attribute, has_attribute

    holder, name, *default = arguments.positional
    if not isinstance(name, str):
        raise site.error(f"{site.quote()}: the name of the attribute is {describe(name)}")
    if default and has_attribute(run, holder, name, site) is False:
        return default[0]
    return get_attribute(run, holder, name, site)


def _set_attribute(run: Run, arguments: Arguments, site: Site) -> Value:
    from .attributes import set_attribute

    holder, name, value = arguments.positional
    if not isinstance(name, str):
        raise site.error(f"{site.quote()}: the name of the attribute is {describe(name)}")
    set_attribute(run, holder, name, value, site)


def _has_attribute(run: Run, arguments: Arguments, site: Site) -> Value:
    from .attributes import has_attribute

    holder, name = arguments.positional
    return has_attribute(run, holder, str(name), site)


def _length(run: Run, arguments: Arguments, site: Site) -> Value:
    from .attributes import get_attribute
    from .operators import length

    (value,) = arguments.positional
    if isinstance(value, Instance):
        return run.call(get_attribute(run, value, "__len__", site), Arguments(), site)
    return length(value, site)


def _callable(run: Run, arguments: Arguments, site: Site) -> Value:
    return isinstance(arguments.positional[0], (Function, Native, Bound, Class, Layer, Instance))


def _counted(name: str, count: int, call: Callable[[Run, Arguments, Site], Value]) -> Native:
    """A builtin that takes at least ``count`` arguments."""

    def checked(run: Run, arguments: Arguments, site: Site) -> Value:
        if len(arguments.positional) < count:
            raise site.error(f"{site.quote()}: {name} takes {count} arguments")
        try:
            return call(run, arguments, site)
        except ValueError as error:  # too many to unpack
            raise site.error(f"{site.quote()}: {error}") from None

    return Native(name, checked)


def _slice(arguments: Arguments, site: Site) -> slice:
    if not 1 <= len(arguments.positional) <= 3:
        raise site.error(f"{site.quote()}: slice takes 1 to 3 arguments")
    return slice(*arguments.positional)


def _truth(run: Run, arguments: Arguments, site: Site) -> Value:
    return python.truth(arguments.positional[0], site) if arguments.positional else False


BUILTINS: dict[str, Any] = {
    function.name: function
    for function in (
        Native("range", _range),
        Native("slice", lambda run, arguments, site: _slice(arguments, site)),
        Native("int", _number),
        Native("bool", _truth),
        Native("list", _collected(list)),
        Native("tuple", _collected(tuple)),
        Native("set", _collected(set)),
        Native("sorted", _collected(sorted)),
        Native("reversed", _collected(lambda values: values[::-1])),
        Native("any", _collected(any)),
        Native("all", _collected(all)),
        Native("dict", _dict),
        Native("zip", _zip),
        Native("globals", lambda run, arguments, site: run.modules[site.text.name].names),
        Native("print", lambda run, arguments, site: None),
        Native("sum", _sum),
        _counted("enumerate", 1, _enumerate),
        _counted("map", 2, _map),
        _counted("isinstance", 2, _instance_of),
        _counted("getattr", 2, _get_attribute),
        _counted("setattr", 3, _set_attribute),
        _counted("hasattr", 2, _has_attribute),
        _counted("len", 1, _length),
        _counted("callable", 1, _callable),
        _extreme("min", min, dims.minimum),
        _extreme("max", max, dims.maximum),
        *(plain(name, function) for name, function in (("abs", abs), ("round", round), ("float", float), ("str", str))),
    )
}
BUILTINS |= {"xrange": BUILTINS["range"], "unicode": BUILTINS["str"], "Ellipsis": Ellipsis}

#: Functions of math, numpy and others that definitions compute sizes with.
OUTSIDE: dict[str, Native] = {
    "math.ceil": _rounded("ceil", math.ceil, python.ceil),
    "math.floor": _rounded("floor", math.floor, python.floor),
    "math.sqrt": plain("sqrt", math.sqrt),
    "math.log": plain("log", math.log),
    "math.log2": plain("log2", math.log2),
    "numpy.ceil": _rounded("ceil", math.ceil, python.ceil),
    "numpy.floor": _rounded("floor", math.floor, python.floor),
    "numpy.sqrt": plain("sqrt", math.sqrt),
    "numpy.prod": Native("prod", lambda run, arguments, site: _product(run, arguments, site)),
    "inspect.isfunction": Native("isfunction", lambda run, arguments, site: _is_function(arguments)),
    "inspect.isclass": Native("isclass", lambda run, arguments, site: _is_class(arguments)),
    # A file of weights is there or not without changing a shape; where it is, nothing is downloaded.
    **{f"os.path.{name}": Native(name, lambda run, arguments, site: True) for name in ("exists", "isfile", "isdir")},
    "copy.copy": Native("copy", lambda run, arguments, site: _copied(run, arguments, site)),
    "copy.deepcopy": Native("deepcopy", lambda run, arguments, site: _copied(run, arguments, site)),
    "six.moves.range": BUILTINS["range"],
    "six.moves.xrange": BUILTINS["range"],
    "six.moves.zip": BUILTINS["zip"],
    "collections.OrderedDict": BUILTINS["dict"],
    "functools.reduce": _counted("reduce", 2, _reduced),
    "six.moves.reduce": _counted("reduce", 2, _reduced),
}


def _is_function(arguments: Arguments) -> bool:
    value = arguments.positional[0] if arguments.positional else None
    return isinstance(value, Function) or (isinstance(value, Native) and value.name != "partial")  # that is an object


def _is_class(arguments: Arguments) -> bool:
    return bool(arguments.positional) and isinstance(arguments.positional[0], Class)


def _copied(run: Run, arguments: Arguments, site: Site) -> Value:
    """A copy of a list or dict; a link is copied by Chainer with its weights, which a shape does not tell."""
    value = arguments.positional[0] if arguments.positional else None
    return value.copy() if isinstance(value, (list, dict, set)) else value


def _product(run: Run, arguments: Arguments, site: Site) -> Value:
    values = _listed(run, arguments.positional[0], site) if arguments.positional else []
    if not all(isinstance(value, (int, Expr)) for value in values):
        return Opaque(site.quote(), site)
    return python.checked(dims.product(values), site)
