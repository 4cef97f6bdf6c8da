"""Which class of a file is the network, or which function makes it."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...errors import ModelError
from .. import Source
from ..foreign import of_source
from .chains import LINK, is_link
from .text import Site, Text
from .values import Arguments, Class, Function, Instance, Scope

if TYPE_CHECKING:
    from .interpreter import Run

#: Functions of a file that are tried for one that makes a network.
MOST_MAKERS = 40


def choose(scope: Scope, wanted: str | None, source: Source) -> Class | Function:
    """The class asked for, or the only chain with a forward that no other class of the file uses.

    Of several, the one that is called like the file (``alex.py``: Alex). Raises ModelError, naming them, otherwise.
    """
    classes = {
        name: value
        for name, value in scope.names.items()
        if isinstance(value, Class) and LINK in value.order and value.site is not None and value.site.text.own
    }
    if wanted is not None:
        if wanted in classes:
            return classes[wanted]
        function = scope.names.get(wanted)
        if isinstance(function, Function) and function.scope.text.own:
            return function
        raise ModelError(
            f"there is no chain {wanted!r}", "E202", location=source.name, hint=f"there is {_names(classes)}"
        )
    able = {name: kind for name, kind in classes.items() if kind.find("forward") or kind.find("__call__")}
    own = {name: kind for name, kind in able.items() if kind.site is not None and kind.site.text is scope.text} or able
    free = _unused(own, scope.text) or own
    if len(free) > 1:
        stem = _plain(source.path.stem if source.path is not None else "")
        free = {name: kind for name, kind in free.items() if _plain(name) == stem} or free
    if len(free) == 1:
        return next(iter(free.values()))
    if not free:
        raise ModelError(
            "no class here is a chain with a forward",
            "E202",
            location=source.name,
            hint=of_source(scope.text.text) or "a Chainer definition is a class derived from chainer.Chain",
        )
    raise ModelError(
        f"several networks are defined here: {_names(free)}",
        "E202",
        location=source.name,
        hint=f"--class-name {next(reversed(free))}",
    )


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _names(classes: Mapping[str, Class]) -> str:
    return ", ".join(classes) or "none"


def _unused(classes: Mapping[str, Class], text: Text) -> dict[str, Class]:
    """Those whose name no other class of the file mentions in its body (being a base is no use)."""
    bodies = [node for node in text.tree.body if isinstance(node, ast.ClassDef)]
    mentioned = {
        part.id
        for body in bodies
        for statement in body.body
        for part in ast.walk(statement)
        if isinstance(part, ast.Name) and part.id != body.name
    }
    return {name: kind for name, kind in classes.items() if name not in mentioned}


def makers(run: Run, scope: Scope, kind: Class) -> list[str]:
    """Functions of the file that make a network of a class without being told anything: ``resnet50()``.

    They are followed like any other call; one that cannot be followed is no answer.
    """
    named = {name: value for name, value in scope.names.items() if isinstance(value, Function)}
    able = [
        (name, value)
        for name, value in named.items()
        if not name.startswith("_") and value.scope.text is scope.text and not _asked(value)
    ]
    found = []
    for name, value in able[:MOST_MAKERS]:
        site = Site(value.scope.text, value.node)
        try:
            made = run.call(value, Arguments(), site)
        except ModelError:
            continue
        if isinstance(made, Instance) and is_link(made) and kind in made.kind.order:
            found.append(name)
            break
    return found


def _asked(function: Function) -> list[str]:
    signature = function.signature
    return [name for name in (*signature.names, *signature.keyword_only) if name not in signature.defaults]
