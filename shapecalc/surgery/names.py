"""Names: new ones that nothing has, and the layers a person may mean."""

from __future__ import annotations

from collections.abc import Container, Sequence
from shlex import quote

from ..errors import UsageError
from ..graph import Graph

#: Layers suggested for a name that is none.
SUGGESTED = 4


def free_name(graph: Graph, name: str) -> str:
    """``name``, or the first of ``name_2``, ``name_3``, … that no layer, value or parameter has."""
    return unused(name, {value for node in graph.nodes for value in (node.name, *node.outputs)} | graph.params.keys())


def free_param(graph: Graph, name: str) -> str:
    """``name``, or the first of ``name_2``, ``name_3``, … that no parameter has."""
    return unused(name, graph.params)


def unused(name: str, taken: Container[str]) -> str:
    """``name``, or the first of ``name_2``, ``name_3``, … that is not taken."""
    candidate, number = name, 2
    while candidate in taken:
        candidate, number = f"{name}_{number}", number + 1
    return candidate


def no_such_layer(graph: Graph, name: str, option: str, meant: Sequence[str] = ()) -> UsageError:
    """The error for a layer that is not there, with names like it, to be typed; ``meant``: those that would do."""
    import difflib

    names = list(meant) or list(dict.fromkeys(v for node in graph.nodes for v in (node.name, *node.outputs) if v))
    close = difflib.get_close_matches(name, names, SUGGESTED, 0.4)
    parts = [n for n in names if name and name.lower() in n.lower()][-SUGGESTED:]
    found = list(dict.fromkeys([*close, *parts])) or names[-SUGGESTED:]
    hint = " or ".join(f"{option} {quote(each)}" for each in found)
    return UsageError(f"there is no layer or value {name!r}", "E002", hint=hint or None)
