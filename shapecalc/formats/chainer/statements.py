"""The statements of Python, each with the meaning it has for the shape of a network.

What has none (assertions, reporting, contexts that choose a device) is left alone.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import ModelError
from .attributes import get_attribute, iterate, set_attribute, set_item, setter
from .binding import parameters
from .chains import Scoped
from .expressions import evaluate, operate
from .functions import FUNCTIONS
from .library import extended, lookup
from .links import LINKS
from .python import elements, truth
from .tape import RankError
from .text import Site
from .values import Class, Function, Instance, Opaque, Scope, Value, Variable

if TYPE_CHECKING:
    from .interpreter import Run

#: Classes above a class; more come from a loop.
MOST_BASES = 64


class Returned:
    """The end of a function's body, with what it gives."""

    __slots__ = ("value",)

    def __init__(self, value: Value) -> None:
        self.value = value


#: What a statement can end with besides going on: `Returned`, or one of these.
BREAK, CONTINUE = object(), object()


def execute(run: Run, body: Sequence[ast.stmt], scope: Scope) -> Any:
    """Follows statements; None, or how they ended."""
    for statement in body:
        site = scope.site(statement)
        run.tick(site)
        rule = STATEMENTS.get(type(statement))
        if rule is None:
            raise site.error(f"a {type(statement).__name__.lower()} statement is not supported here", "E204")
        ended = rule(run, statement, scope)
        if ended is not None:
            return ended
    return None


def assign(run: Run, target: ast.expr, value: Value, scope: Scope) -> None:
    """``target = value``."""
    site = scope.site(target)
    if isinstance(target, ast.Name):
        scope.names[target.id] = value
    elif isinstance(target, (ast.Tuple, ast.List)):
        _unpack(run, target, value, scope)
    elif isinstance(target, ast.Attribute):
        set_attribute(run, evaluate(run, target.value, scope), target.attr, value, site)
    elif isinstance(target, ast.Subscript):
        set_item(evaluate(run, target.value, scope), evaluate(run, target.slice, scope), value, site)
    else:
        raise site.error(f"an assignment to {site.quote()} is not supported", "E204")


def _unpack(run: Run, target: ast.Tuple | ast.List, value: Value, scope: Scope) -> None:
    if isinstance(value, Opaque):
        parts: list[Value] = [Opaque(value.name, value.site) for _ in target.elts]
    else:
        parts = elements(value, scope.site(target))
    starred = next((i for i, part in enumerate(target.elts) if isinstance(part, ast.Starred)), None)
    if starred is not None:
        end = len(parts) - (len(target.elts) - starred - 1)
        parts = [*parts[:starred], parts[starred:end], *parts[end:]]
    if len(parts) != len(target.elts):
        raise _miscounted(run, value, len(target.elts), scope.site(target))
    for part, item in zip(target.elts, parts, strict=True):
        assign(run, part.value if isinstance(part, ast.Starred) else part, item, scope)


def _miscounted(run: Run, value: Value, names: int, site: Site) -> ModelError:
    """What is wrong about so many names: the rank that an input was taken to have, where its shape gets them."""
    count = len(value) if isinstance(value, (list, tuple)) else 0
    message = f"{count} values for {names} names"
    fed = next((name for name in run.tape.inputs if value == Variable(name, count).shape), None) if count else None
    error = site.error(message)
    return error if fed is None else RankError(message, error.location, fed, names)


def _assign(run: Run, node: ast.Assign, scope: Scope) -> None:
    value = evaluate(run, node.value, scope)
    for target in node.targets:
        assign(run, target, value, scope)


def _annotated(run: Run, node: ast.AnnAssign, scope: Scope) -> None:
    if node.value is not None:
        assign(run, node.target, evaluate(run, node.value, scope), scope)


def _augmented(run: Run, node: ast.AugAssign, scope: Scope) -> None:
    held = evaluate(run, node.target, scope)
    value = operate(run, type(node.op), held, evaluate(run, node.value, scope), scope.site(node))
    if isinstance(held, list) and isinstance(value, list):
        held[:] = value
        value = held
    assign(run, node.target, value, scope)


def _expression(run: Run, node: ast.Expr, scope: Scope) -> None:
    if not isinstance(node.value, ast.Constant):
        evaluate(run, node.value, scope)


def _return(run: Run, node: ast.Return, scope: Scope) -> Returned:
    return Returned(None if node.value is None else evaluate(run, node.value, scope))


def _if(run: Run, node: ast.If, scope: Scope) -> Any:
    holds = truth(evaluate(run, node.test, scope), scope.site(node.test))
    return execute(run, node.body if holds else node.orelse, scope)


def _for(run: Run, node: ast.For, scope: Scope) -> Any:
    for item in iterate(run, evaluate(run, node.iter, scope), scope.site(node.iter)):
        run.tick(scope.site(node))
        assign(run, node.target, item, scope)
        ended = execute(run, node.body, scope)
        if ended is BREAK:
            return None
        if isinstance(ended, Returned):
            return ended
    return execute(run, node.orelse, scope)


def _while(run: Run, node: ast.While, scope: Scope) -> Any:
    while truth(evaluate(run, node.test, scope), scope.site(node.test)):
        run.tick(scope.site(node))
        ended = execute(run, node.body, scope)
        if ended is BREAK:
            return None
        if isinstance(ended, Returned):
            return ended
    return execute(run, node.orelse, scope)


def _with(run: Run, node: ast.With, scope: Scope) -> Any:
    """``init_scope`` registers links; other contexts (``using_config``, ``cuda.get_device``) change no shape."""
    opened: list[Instance] = []
    for item in node.items:
        value = evaluate(run, item.context_expr, scope)
        if isinstance(value, Scoped):
            value.chain.open += 1
            opened.append(value.chain)
        if item.optional_vars is not None:
            assign(run, item.optional_vars, value, scope)
    ended = execute(run, node.body, scope)
    for chain in opened:
        chain.open -= 1
    return ended


def _try(run: Run, node: ast.Try, scope: Scope) -> Any:
    ended = execute(run, node.body, scope)
    return execute(run, [*node.orelse, *node.finalbody], scope) if ended is None else ended


def _raise(run: Run, node: ast.Raise, scope: Scope) -> None:
    site = scope.site(node)
    said = site.quote() if site.text.own else _said(run, node, scope)
    raise site.error(f"the definition stops here: {said}", hint="give other arguments: --arg NAME=VALUE")


def _said(run: Run, node: ast.Raise, scope: Scope) -> str:
    """What an exception of shapecalc's own texts says."""
    assert isinstance(node.exc, ast.Call)
    return str(evaluate(run, node.exc.args[0], scope))


_DECORATORS = ("property", "staticmethod", "classmethod")


def _function(run: Run, node: ast.FunctionDef, scope: Scope) -> None:
    kinds = [part.id for part in node.decorator_list if isinstance(part, ast.Name) and part.id in _DECORATORS]
    signature = parameters(node.args, lambda part: evaluate(run, part, scope))
    sets = any(isinstance(part, ast.Attribute) and part.attr == "setter" for part in node.decorator_list)
    name = setter(node.name) if sets else node.name
    scope.names[name] = Function(node.name, node, signature, scope, kinds[0] if kinds else "plain")


def _class(run: Run, node: ast.ClassDef, scope: Scope) -> None:
    """A class; bases that are not known make one that is no link (a dataset, an updater)."""
    given = [extended(run, evaluate(run, base, scope)) for base in node.bases]
    bases = [base for base in given if isinstance(base, Class)]
    made = Class(node.name, bases, {}, scope.site(node))
    if len(made.order) > MOST_BASES:
        raise scope.site(node).error("too many base classes")
    inside = Scope(scope.text, scope, owner=made)
    run.define(node.body, inside)
    for value in inside.names.values():
        if isinstance(value, Function):
            value.owner, value.scope = made, scope
    made.names.update(inside.names)
    scope.names[node.name] = made


def _import(run: Run, node: ast.Import, scope: Scope) -> None:
    for alias in node.names:
        site = scope.site(node)
        root = alias.name if alias.asname else alias.name.split(".")[0]
        scope.names[alias.asname or root] = _module(run, root, 0, site)
        if not alias.asname and "." in alias.name:
            _submodules(run, scope.names[root], alias.name, site)


def _submodules(run: Run, package: Value, dotted: str, site: Site) -> None:
    """``import a.b.c``: each part is a name of the one before it."""
    root, *parts = dotted.split(".")
    for part in parts:
        if not isinstance(package, Scope):
            return
        root = f"{root}.{part}"
        package = package.names.setdefault(part, _module(run, root, 0, site))


def _import_from(run: Run, node: ast.ImportFrom, scope: Scope) -> None:
    site, name = scope.site(node), node.module or ""
    for alias in node.names:
        if alias.name == "*":
            _import_all(run, name, node.level, scope, site)
        else:
            scope.names[alias.asname or alias.name] = _imported(run, name, node.level, alias.name, site)


def _imported(run: Run, module: str, level: int, name: str, site: Site) -> Value:
    """A name of a module, else a module of that name in the package."""
    holder = _module(run, module, level, site, name) if module or level else None
    if isinstance(holder, Scope) and name in holder.names:
        return holder.names[name]
    below = _module(run, f"{module}.{name}".lstrip("."), level, site)
    if isinstance(below, Scope) or not isinstance(holder, Opaque):
        return below  # a module found without the name may not be the one that is meant: it fails where it is used
    return get_attribute(run, holder, name, site)


def _module(run: Run, name: str, level: int, site: Site, wanted: str | None = None) -> Value:
    """A module: one that lies in the definition's folder, or a name outside it."""
    found = run.load(name, level, site, wanted) if run.load is not None and site.text.own else None
    return found if found is not None else Opaque(name, site)


def _import_all(run: Run, module: str, level: int, scope: Scope, site: Site) -> None:
    found = _module(run, module, level, site)
    if isinstance(found, Scope):
        scope.names.update({key: value for key, value in found.names.items() if not key.startswith("_")})
    elif module.startswith("chainer.functions"):
        scope.names.update({name: lookup(run, f"chainer.functions.{name}") for name in FUNCTIONS})
    elif module.startswith("chainer.links"):
        scope.names.update({name: lookup(run, f"chainer.links.{name}") for name in LINKS})


def _nothing(run: Run, node: ast.stmt, scope: Scope) -> None:
    return None


STATEMENTS: dict[type[ast.stmt], Callable[[Run, Any, Scope], Any]] = {
    ast.Assign: _assign,
    ast.AnnAssign: _annotated,
    ast.AugAssign: _augmented,
    ast.Expr: _expression,
    ast.Return: _return,
    ast.If: _if,
    ast.For: _for,
    ast.While: _while,
    ast.With: _with,
    ast.Try: _try,
    ast.Raise: _raise,
    ast.FunctionDef: _function,
    ast.ClassDef: _class,
    ast.Import: _import,
    ast.ImportFrom: _import_from,
    ast.Break: lambda run, node, scope: BREAK,
    ast.Continue: lambda run, node, scope: CONTINUE,
    **dict.fromkeys((ast.Pass, ast.Assert, ast.Global, ast.Nonlocal, ast.Delete), _nothing),
}
