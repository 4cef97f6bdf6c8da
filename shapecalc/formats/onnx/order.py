"""Names and order: every node gets a name of its own, every value one writer, and a writer comes before its readers."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from ...errors import ModelError
from ...graph import Node


def unique_names(given: Sequence[tuple[str, str]]) -> list[str]:
    """Names for nodes given as (name, operator): a nameless one is ``<operator>_<index>``, a second of a name ``…_2``.

    >>> unique_names([("a", "Conv"), ("", "Relu"), ("a", "Conv")])
    ['a', 'Relu_1', 'a_2']
    """
    taken = {name for name, _ in given if name}
    used: set[str] = set()
    names = []
    for index, (name, op) in enumerate(given):
        wanted = name or f"{op}_{index}"
        chosen, count = wanted, 2
        while chosen in used or (chosen in taken and not name) or (chosen != wanted and chosen in taken):
            chosen, count = f"{wanted}_{count}", count + 1
        used.add(chosen)
        names.append(chosen)
    return names


def sorted_nodes(nodes: Sequence[Node], given: Container[str], location: str) -> list[Node]:
    """The nodes with every writer before its readers, otherwise in file order.

    ``given`` holds the inputs and parameters. Raises ModelError for a value written twice, one that nothing gives, and
    for cycles.
    """
    writers = _writers(nodes, given, location)
    known: set[str] = set()
    for node in nodes:
        for name in node.inputs:
            if name and name not in known and name not in given:
                if name not in writers:
                    raise _nowhere(node, name, writers, location)
                return _by_need(nodes, writers, location)
        known.update(node.outputs)
    return list(nodes)


def _writers(nodes: Iterable[Node], given: Container[str], location: str) -> dict[str, Node]:
    writers: dict[str, Node] = {}
    for node in nodes:
        for name in node.outputs:
            if name and (name in writers or name in given):
                other = writers[name].name if name in writers else "an input or initializer"
                raise ModelError(f"{node.name} writes {name!r}, which {other} gives already", "E206", location=location)
            if name:
                writers[name] = node
    return writers


def _nowhere(node: Node, name: str, writers: Iterable[str], location: str) -> ModelError:
    import difflib

    near = difflib.get_close_matches(name, list(writers), n=2)
    hint = f"did the file mean {' or '.join(near)}?" if near else None
    return ModelError(
        f"{node.name} reads {name!r}, which no node, input or initializer gives", "E205", location=location, hint=hint
    )


def _by_need(nodes: Sequence[Node], writers: dict[str, Node], location: str) -> list[Node]:
    """Depth first without recursion, so a chain of any length sorts."""
    done: list[Node] = []
    state: dict[int, bool] = {}  # False: being visited, True: placed
    for root in nodes:
        stack = [root]
        while stack:
            node = stack[-1]
            if state.get(id(node)):
                stack.pop()
                continue
            state[id(node)] = False
            needed = [writers[name] for name in node.inputs if name in writers]
            waiting = [other for other in needed if not state.get(id(other))]
            if not waiting:
                state[id(node)] = True
                done.append(node)
                stack.pop()
            elif any(state.get(id(other)) is False for other in waiting):
                raise ModelError(f"the graph has a cycle through {node.name}", "E202", location=location)
            else:
                stack.append(waiting[0])
    return done
