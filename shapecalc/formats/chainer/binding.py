"""Binding the arguments of a call to the parameters of a function, as Python does."""

from __future__ import annotations

import ast
from collections.abc import Callable

from ...source import Span
from .text import Site
from .values import Arguments, Signature, Value


def bind(signature: Signature, arguments: Arguments, what: str, site: Site) -> tuple[dict[str, Value], dict[str, Span]]:
    """Parameter -> value, defaults filled in, and parameter -> where its argument is written.

    Raises ModelError for an argument too many, given twice, or missing.
    """
    bound: dict[str, Value] = {}
    spans: dict[str, Span] = {}
    for index, (name, value) in enumerate(zip(signature.names, arguments.positional, strict=False)):
        bound[name] = value
        if index in arguments.spans:
            spans[name] = arguments.spans[index]
    _rest(signature, arguments, what, site, bound)
    _keywords(signature, arguments, what, site, bound, spans)
    missing = [name for name in (*signature.names, *signature.keyword_only) if name not in bound]
    for name in missing:
        if name not in signature.defaults:
            raise site.error(f"{what} is called without its argument {name!r}", "E205")
        bound[name] = signature.defaults[name]
    return bound, spans


def _rest(signature: Signature, arguments: Arguments, what: str, site: Site, bound: dict[str, Value]) -> None:
    rest = arguments.positional[len(signature.names) :]
    if signature.rest is not None:
        bound[signature.rest] = tuple(rest)
    elif rest:
        count = len(arguments.positional)
        raise site.error(f"{what} takes {len(signature.names)} arguments, not {count}", "E205")


def _keywords(
    signature: Signature,
    arguments: Arguments,
    what: str,
    site: Site,
    bound: dict[str, Value],
    spans: dict[str, Span],
) -> None:
    extra: dict[str, Value] = {}
    for name, value in arguments.keywords.items():
        if name in bound and name != signature.rest:
            raise site.error(f"{what} is given its argument {name!r} twice", "E205")
        if name in signature.names or name in signature.keyword_only:
            bound[name] = value
            if name in arguments.spans:
                spans[name] = arguments.spans[name]
        elif signature.extra is None:
            raise site.error(f"{what} has no argument {name!r}", "E205")
        else:
            extra[name] = value
    if signature.extra is not None:
        bound[signature.extra] = extra


def parameters(arguments: ast.arguments, evaluate: Callable[[ast.expr], Value]) -> Signature:
    """The parameters of a function; defaults are evaluated where it is defined."""
    names = [part.arg for part in (*arguments.posonlyargs, *arguments.args)]
    values = [evaluate(node) for node in arguments.defaults]
    defaults = dict(zip(names[len(names) - len(values) :], values, strict=True))
    for part, node in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if node is not None:
            defaults[part.arg] = evaluate(node)
    return Signature(
        names,
        defaults,
        rest=arguments.vararg.arg if arguments.vararg else None,
        keyword_only=[part.arg for part in arguments.kwonlyargs],
        extra=arguments.kwarg.arg if arguments.kwarg else None,
    )
