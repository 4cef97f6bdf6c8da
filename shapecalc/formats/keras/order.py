"""The order in which Keras holds the layers of a functional model, which is not that of their list in the file.

Layers are sorted by how far they are from the outputs, the furthest first, and by when a walk from the outputs to the
inputs meets them (ops/function.py, map_graph). Keras writes the list in that order and computes it anew when it reads,
so the two differ where a definition was edited: weights are filed by this order.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

Called = TypeVar("Called", bound=Hashable)
Layer = TypeVar("Layer", bound=Hashable)


def keras_order(
    outputs: Iterable[Called], parents: Callable[[Called], Sequence[Called]], layer_of: Callable[[Called], Layer]
) -> list[Layer]:
    """The layers behind ``outputs``; ``parents`` are the calls whose values a call reads.

    >>> keras_order("d", {"a": "", "b": "a", "c": "", "d": "bc"}.__getitem__, str.upper)
    ['A', 'B', 'C', 'D']
    """
    finished, met = _walked(outputs, parents, layer_of)
    depths: dict[Called, int] = {}
    of_layers: dict[Layer, int] = {}
    for call in reversed(finished):
        layer = layer_of(call)
        depth = depths[call] = of_layers[layer] = max(depths.get(call, 0), of_layers.get(layer, 0))
        for parent in parents(call):
            depths[parent] = max(depth + 1, depths.get(parent, 0))
    return sorted(of_layers, key=lambda layer: (-of_layers[layer], met[layer]))


def _walked(
    outputs: Iterable[Called], parents: Callable[[Called], Sequence[Called]], layer_of: Callable[[Called], Layer]
) -> tuple[list[Called], dict[Layer, int]]:
    """Calls, each behind those that it reads, and when each layer was met."""
    finished: list[Called] = []
    begun: set[Called] = set()  # of a circle too each is met once: it is refused where its calls are put in order
    met: dict[Layer, int] = {}
    for output in outputs:
        waiting = [(output, False)]
        while waiting:
            call, done = waiting.pop()
            if done:
                finished.append(call)
            elif call not in begun:
                begun.add(call)
                met.setdefault(layer_of(call), len(met))
                waiting.append((call, True))
                waiting += [(parent, False) for parent in reversed(parents(call))]
    return finished, met
