"""The expressions of Python, each with the value it has without running it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ...errors import ModelError
from ...source import Span
from . import python
from .attributes import get_attribute, get_item, iterate
from .binding import parameters
from .methods import BUILTINS
from .operators import binary, negative
from .text import Site
from .use import describe
from .values import Arguments, Function, Opaque, Placed, Scope, Value, Variable

if TYPE_CHECKING:
    from .interpreter import Run


#: Expressions that make a value, where others only name one.
_MAKING = (ast.Call, ast.BinOp, ast.UnaryOp)


def evaluate(run: Run, node: ast.expr, scope: Scope) -> Value:
    """The value of an expression; raises ModelError where it cannot be known and something depends on it."""
    site = scope.site(node)
    run.tick(site)
    rule = EXPRESSIONS.get(type(node))
    if rule is None:
        raise site.error(f"{site.quote()}: this kind of expression is not supported", "E204")
    value = rule(run, node, scope)
    if isinstance(value, Variable) and isinstance(node, _MAKING) and scope.text is run.text:
        run.tape.wrote(value.name, site.span)
    return value


def _constant(run: Run, node: ast.Constant, scope: Scope) -> Value:
    if isinstance(node.value, (bytes, complex)):
        return Opaque(scope.site(node).quote(), scope.site(node))
    value = python.checked(node.value, scope.site(node))
    return Placed.at(value, scope.text.span(node)) if type(value) is int and scope.text is run.text else value


def _name(run: Run, node: ast.Name, scope: Scope) -> Value:
    found = scope.find(node.id)
    if found is not None:
        return found[0]
    if node.id in BUILTINS:
        return BUILTINS[node.id]
    if node.id in run.arguments:
        return run.arguments[node.id]
    return Opaque(node.id, scope.site(node))


def _attribute(run: Run, node: ast.Attribute, scope: Scope) -> Value:
    return get_attribute(run, evaluate(run, node.value, scope), node.attr, scope.site(node))


def _subscript(run: Run, node: ast.Subscript, scope: Scope) -> Value:
    holder = evaluate(run, node.value, scope)
    return get_item(run, holder, evaluate(run, node.slice, scope), scope.site(node))


def _slice(run: Run, node: ast.Slice, scope: Scope) -> slice:
    parts = (None if part is None else evaluate(run, part, scope) for part in (node.lower, node.upper, node.step))
    return slice(*parts)


def _call(run: Run, node: ast.Call, scope: Scope) -> Value:
    function = evaluate(run, node.func, scope)
    site = scope.site(node)
    arguments = _arguments(run, node, scope)
    if isinstance(node.func, ast.Name) and node.func.id == "super" and scope.find("super") is None:
        from .calls import make_super

        return make_super(arguments, scope, site)
    if not site.text.own:
        return run.call(function, arguments, site)
    run.sites.append(site)
    try:
        return run.call(function, arguments, site)
    except ModelError as error:
        error.location = error.location or site.text.location(node)  # it went wrong in a text of shapecalc's own
        raise
    finally:
        run.sites.pop()


def _arguments(run: Run, node: ast.Call, scope: Scope) -> Arguments:
    positional: list[Value] = []
    spans: dict[int | str, Span] = {}
    for part in node.args:
        if isinstance(part, ast.Starred):
            positional += iterate(run, evaluate(run, part.value, scope), scope.site(part))
        else:
            spans[len(positional)] = scope.text.span(part)
            positional.append(evaluate(run, part, scope))
    keywords: dict[str, Value] = {}
    for keyword in node.keywords:
        value = evaluate(run, keyword.value, scope)
        if keyword.arg is not None:
            keywords[keyword.arg] = value
            spans[keyword.arg] = scope.text.span(keyword.value)
        elif isinstance(value, dict):
            keywords.update({str(key): item for key, item in value.items()})
        elif not isinstance(value, Opaque):
            raise scope.site(node).error(f"**{describe(value)}: what is passed must be known")
    return Arguments(positional, keywords, spans)


def operate(run: Run, kind: type[ast.operator], left: Value, right: Value, site: Site) -> Value:
    """``left <kind> right``."""
    if isinstance(left, Variable) or isinstance(right, Variable):
        return binary(run, kind, left, right, site)
    return python.calculate(kind, left, right, site)


def _binary(run: Run, node: ast.BinOp, scope: Scope) -> Value:
    left, right = evaluate(run, node.left, scope), evaluate(run, node.right, scope)
    return operate(run, type(node.op), left, right, scope.site(node))


def _unary(run: Run, node: ast.UnaryOp, scope: Scope) -> Value:
    value, site = evaluate(run, node.operand, scope), scope.site(node)
    if isinstance(node.op, ast.Not):
        return not python.truth(value, site)
    if isinstance(node.op, ast.UAdd):
        return value
    if isinstance(value, Variable) and isinstance(node.op, ast.USub):
        return negative(run, value, site)
    if isinstance(node.op, ast.USub):
        return python.calculate(ast.Sub, 0, value, site)
    return python.calculate(ast.Sub, -1, value, site)  # ~n


def _boolean(run: Run, node: ast.BoolOp, scope: Scope) -> Value:
    *first, last = node.values
    for part in first:
        value = evaluate(run, part, scope)
        if python.truth(value, scope.site(part)) == isinstance(node.op, ast.Or):
            return value
    return evaluate(run, last, scope)


def _compare(run: Run, node: ast.Compare, scope: Scope) -> Value:
    left = evaluate(run, node.left, scope)
    verdict: Value = True
    for op, part in zip(node.ops, node.comparators, strict=True):
        right = evaluate(run, part, scope)
        verdict = python.compare(type(op), left, right, scope.site(node))
        if verdict is not True:
            return verdict
        left = right
    return verdict


def _choice(run: Run, node: ast.IfExp, scope: Scope) -> Value:
    holds = python.truth(evaluate(run, node.test, scope), scope.site(node.test))
    return evaluate(run, node.body if holds else node.orelse, scope)


def _items(run: Run, parts: Sequence[ast.expr], scope: Scope) -> list[Value]:
    items: list[Value] = []
    for part in parts:
        if isinstance(part, ast.Starred):
            items += iterate(run, evaluate(run, part.value, scope), scope.site(part))
        else:
            items.append(evaluate(run, part, scope))
    return items


def _set(run: Run, node: ast.Set, scope: Scope) -> Value:
    return hashed(lambda: set(_items(run, node.elts, scope)), scope.site(node))


def hashed(make: Callable[[], Value], site: Site) -> Value:
    """A dict or set; raises ModelError where a key has no hash."""
    try:
        return make()
    except TypeError as error:
        raise site.error(f"{site.quote()}: {error}") from None


def _dict(run: Run, node: ast.Dict, scope: Scope) -> Value:
    made: dict[Value, Value] = {}
    for key, part in zip(node.keys, node.values, strict=True):
        value = evaluate(run, part, scope)
        if key is not None:
            pair = [(evaluate(run, key, scope), value)]
            made.update(hashed(partial(dict, pair), scope.site(node)))
        elif isinstance(value, dict):
            made.update(value)
    return made


def _rounds(run: Run, generators: Sequence[ast.comprehension], scope: Scope) -> Iterator[Scope]:
    """The scopes a comprehension goes through, one for each element."""
    if not generators:
        yield scope
        return
    from .statements import assign

    first, *rest = generators
    for item in iterate(run, evaluate(run, first.iter, scope), scope.site(first.iter)):
        run.tick(scope.site(first.iter))
        inside = Scope(scope.text, scope)
        assign(run, first.target, item, inside)
        if all(python.truth(evaluate(run, test, inside), inside.site(test)) for test in first.ifs):
            yield from _rounds(run, rest, inside)


def _list_comprehension(run: Run, node: ast.ListComp | ast.GeneratorExp, scope: Scope) -> Value:
    return [evaluate(run, node.elt, inside) for inside in _rounds(run, node.generators, scope)]


def _set_comprehension(run: Run, node: ast.SetComp, scope: Scope) -> Value:
    rounds = _rounds(run, node.generators, scope)
    return hashed(lambda: {evaluate(run, node.elt, inside) for inside in rounds}, scope.site(node))


def _dict_comprehension(run: Run, node: ast.DictComp, scope: Scope) -> Value:
    rounds = _rounds(run, node.generators, scope)
    pairs = ((evaluate(run, node.key, inside), evaluate(run, node.value, inside)) for inside in rounds)
    return hashed(lambda: dict(pairs), scope.site(node))


def _joined(run: Run, node: ast.JoinedStr, scope: Scope) -> Value:
    parts = [evaluate(run, part, scope) for part in node.values]
    if any(isinstance(part, Opaque) for part in parts):
        return Opaque(scope.site(node).quote(), scope.site(node))
    return python.checked("".join(str(part) for part in parts), scope.site(node))


def _formatted(run: Run, node: ast.FormattedValue, scope: Scope) -> Value:
    value, site = evaluate(run, node.value, scope), scope.site(node)
    spec = "" if node.format_spec is None else evaluate(run, node.format_spec, scope)
    if isinstance(value, Opaque) or isinstance(spec, Opaque):
        return Opaque(site.quote(), site)
    python.check_format(f"{{:{spec}}}", value, site)
    try:
        return format(repr(value) if node.conversion == ord("r") else value, spec)
    except (TypeError, ValueError) as error:
        raise site.error(f"{site.quote()}: {error}") from None


def _lambda(run: Run, node: ast.Lambda, scope: Scope) -> Value:
    return Function("lambda", node, parameters(node.args, lambda part: evaluate(run, part, scope)), scope)


def _walrus(run: Run, node: ast.NamedExpr, scope: Scope) -> Value:
    value = evaluate(run, node.value, scope)
    scope.names[node.target.id] = value
    return value


EXPRESSIONS: dict[type[ast.expr], Callable[[Run, Any, Scope], Value]] = {
    ast.Constant: _constant,
    ast.Name: _name,
    ast.Attribute: _attribute,
    ast.Subscript: _subscript,
    ast.Slice: _slice,
    ast.Call: _call,
    ast.BinOp: _binary,
    ast.UnaryOp: _unary,
    ast.BoolOp: _boolean,
    ast.Compare: _compare,
    ast.IfExp: _choice,
    ast.Tuple: lambda run, node, scope: tuple(_items(run, node.elts, scope)),
    ast.List: lambda run, node, scope: _items(run, node.elts, scope),
    ast.Set: _set,
    ast.Dict: _dict,
    ast.ListComp: _list_comprehension,
    ast.GeneratorExp: _list_comprehension,
    ast.SetComp: _set_comprehension,
    ast.DictComp: _dict_comprehension,
    ast.JoinedStr: _joined,
    ast.FormattedValue: _formatted,
    ast.Lambda: _lambda,
    ast.NamedExpr: _walrus,
}
