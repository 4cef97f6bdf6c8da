"""Calling: functions and classes of the definition, links, natives, and what lies outside."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from ...source import Origin
from .attributes import LONGEST_NAME
from .binding import bind
from .chains import is_link
from .expressions import evaluate
from .links import CALLS
from .statements import Returned, execute
from .text import Site
from .use import Use, describe, modern
from .values import (
    Arguments,
    Bound,
    Class,
    Function,
    Instance,
    Layer,
    Link,
    Native,
    Opaque,
    Scope,
    Super,
    Value,
    Variable,
)

if TYPE_CHECKING:
    from .interpreter import Run

#: Calls inside calls; deeper ones come from a recursion that does not end.
DEEPEST_CALL = 40


def call(run: Run, function: Value, arguments: Arguments, site: Site) -> Value:
    """The result of calling anything; raises ModelError for what cannot be called."""
    run.tick(site)
    if isinstance(function, Native):
        return function.call(run, arguments, site)
    if isinstance(function, Layer):
        return _layer(run, function, arguments, site)
    if run.depth >= DEEPEST_CALL:
        raise site.error(f"{site.quote()}: calls are nested too deeply", "E202")
    run.depth += 1
    try:
        return _deeper(run, function, arguments, site)
    finally:
        run.depth -= 1


def _deeper(run: Run, function: Value, arguments: Arguments, site: Site) -> Value:
    if isinstance(function, Bound):
        return _method(run, function, arguments, site)
    if isinstance(function, Function):
        return _function(run, function, arguments, site)
    if isinstance(function, Class):
        return _create(run, function, arguments, site)
    if isinstance(function, Instance):
        return _instance(run, function, arguments, site)
    if isinstance(function, Opaque):
        return _outside(function, arguments, site)
    raise site.error(f"{site.quote()}: {describe(function)} cannot be called")


def _function(run: Run, function: Function, arguments: Arguments, site: Site, self_value: Value = None) -> Value:
    if self_value is None and function.owner is not None and arguments.positional:
        self_value = arguments.positional[0]  # Base.__init__(self)
    if not function.scope.text.own and function.signature.extra is None:
        arguments = modern(function.signature, arguments)
    bound, _ = bind(function.signature, arguments, function.name, site)
    scope = Scope(function.scope.text, function.scope, owner=function.owner, self_value=self_value)
    scope.names.update(bound)
    if isinstance(function.node, ast.Lambda):
        return evaluate(run, function.node.body, scope)
    ended = execute(run, function.node.body, scope)
    return ended.value if isinstance(ended, Returned) else None


def _method(run: Run, bound: Bound, arguments: Arguments, site: Site) -> Value:
    function, holder = bound.function, bound.self_value
    inside = is_link(holder) and function.name != "__init__"
    if inside:
        if run.model is not None:  # while it is made, its parts are on their way to their places
            _name_detached(run, holder, site)
        run.chains.append(holder)
    try:
        if isinstance(function, Native):
            return function.call(run, arguments.after(holder), site)
        return _function(run, function, arguments.after(holder), site, holder)
    finally:
        if inside:
            run.chains.pop()


def _create(run: Run, kind: Class, arguments: Arguments, site: Site) -> Instance:
    """A new object: its ``__init__`` is followed."""
    made = Instance(kind, run.origin(site, kind.name, {}))
    init = kind.find("__init__")
    if isinstance(init, (Function, Native)):
        _method(run, Bound(init, made), arguments, site)
    return made


def _instance(run: Run, instance: Instance, arguments: Arguments, site: Site) -> Value:
    """``link(x)``: ``__call__`` (Chainer up to 4) or ``forward``. What follows it is named after the chain."""
    function = next((f for f in map(instance.kind.find, ("__call__", "forward")) if f is not None), None)
    if function is None:
        raise site.error(f"{site.quote()}: {instance.kind.name} has no forward", "E204")
    result = _method(run, Bound(function, instance), arguments, site)
    return renamed(result, instance.path) if is_link(instance) else result


def renamed(result: Value, path: str) -> Value:
    """A chain's results as seen from outside: they come after the chain itself."""
    if isinstance(result, Variable) and path:
        return Variable(result.name, result.rank, path, loss=result.loss)
    if isinstance(result, (tuple, list)) and len(result) < 1000:
        return type(result)(renamed(part, path) if isinstance(part, Variable) else part for part in result)
    return result


def _layer(run: Run, layer: Layer, arguments: Arguments, site: Site) -> Variable:
    """A link that is one layer: its node stands where it is made, and remembers where it is called."""
    given = {**layer.given, **CALLS.get(layer.row.name, {})}
    kept = {key: value for key, value in arguments.keywords.items() if key in given}
    values = [value for key, value in arguments.keywords.items() if key in ("x", "inputs")]
    x, *others = (*arguments.positional, *values, None)
    given.update(kept, x=x)
    if len(others) > 2 or (len(arguments.positional) == 2 and layer.row.name != "Linear"):
        raise site.error(f"{site.quote()}: {layer.row.name} of several inputs is not supported", "E204")
    if len(arguments.positional) == 2:
        given["n_batch_axes"] = arguments.positional[1]
    _name_detached(run, layer, site)
    use = Use(layer.row, given, run.tape, site=site, origin=_called(run, layer, site), link=layer)
    result: Variable = layer.row.rule(use)
    return result


def _called(run: Run, layer: Layer, site: Site) -> Origin:
    origin = layer.origin
    if not site.text.own or origin.file != site.text.name:
        return origin
    return Origin(origin.file, origin.line, origin.op, origin.span, origin.parts | {"call": site.span})


def _name_detached(run: Run, link: Link, site: Site) -> None:
    """A link that is no child of the model still needs a name; Chainer would not save its weights."""
    top = link
    while top.parent is not None:
        top = top.parent
    root = run.chains[0] if run.chains else link
    if top is root or top is run.model:
        return
    if top.name is None:
        kind = top.row.name if isinstance(top, Layer) else top.kind.name if isinstance(top, Instance) else "link"
        run.detached += 1
        top.name = f"unregistered/{kind}_{run.detached}"
    run.tape.warnings.setdefault(
        f"{site.text.location(site.node)}: {top.name} is not registered (init_scope, add_link), so Chainer saves no "
        "weights for it"
    )


def make_super(arguments: Arguments, scope: Scope, site: Site) -> Super:
    """``super()`` or ``super(Class, self)``."""
    owner, holder = scope.owner, scope.self_value
    if len(arguments.positional) == 2:
        owner, holder = arguments.positional
    if not isinstance(owner, Class) or not isinstance(holder, Instance):
        raise site.error(f"{site.quote()} is not understood here")
    return Super(owner, holder)


def _outside(function: Opaque, arguments: Arguments, site: Site) -> Value:
    """Calling what lies outside the definition gives something unknown; unless it is a layer, that matters later."""
    name = function.name
    if name.startswith("chainer.functions."):
        raise site.error(f"F.{name.rpartition('.')[2]} is not supported", "E204")
    fed = any(isinstance(value, Variable) for value in arguments.values())
    if fed and name.startswith("chainer.links."):
        raise site.error(f"L.{name.split('.')[-1].rstrip('()')} is not supported", "E204")
    if fed and name.startswith("self.") and name.count(".") == 1:
        raise site.error(f"there is no {name}: nothing assigns it", "E205")
    return Opaque(f"{name}()"[:LONGEST_NAME], site)
