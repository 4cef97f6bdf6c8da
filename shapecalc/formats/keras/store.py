"""Where a Keras file keeps the weights of each layer: in Keras 3 by class and count, before that by name.

Keras 3 (saving/saving_lib.py) files a layer under its class, counted among the layers of its model:
``layers/conv2d_1/vars/0``, inside a model of its own ``layers/functional/layers/dense/vars/0``. Older files
(legacy/saving/legacy_h5_format.py) have a group for each layer of the outermost model, by the layer's name, with the
weights of everything inside it in a list.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_WORD, _CAPITAL = re.compile(r"(.)([A-Z][a-z]+)"), re.compile(r"([a-z])([A-Z])")


class Home(NamedTuple):
    """Where the numbers of one parameter are: the key of Keras 3, and for older files the layer and the names in it.

    ``outer`` is the layer of the outermost model, ``layer`` the one that has the weight, ``trained`` what training
    changes: before Keras 3 a model lists such weights first.
    """

    key: str
    outer: str
    layer: str
    weight: str
    trained: bool


class Scope(NamedTuple):
    """Where layers stand: what their names and their places in a file begin with, and the outermost model's layer."""

    prefix: str = ""
    store: str = ""
    outer: str = ""


class Shelf:
    """The layers of one model by class, each with the number Keras gives it."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.counts: dict[str, int] = {}

    def place(self, kind: str) -> str:
        """The place of the next layer of a class.

        >>> shelf = Shelf(Scope())
        >>> [shelf.place(kind) for kind in ("Conv2D", "PReLU", "Conv2D")]
        ['layers/conv2d', 'layers/p_re_lu', 'layers/conv2d_1']
        """
        name = snake_case(kind)
        count = self.counts[name] = self.counts.get(name, -1) + 1
        return f"{self.scope.store}layers/{name}_{count}" if count else f"{self.scope.store}layers/{name}"


def snake_case(kind: str) -> str:
    """A class as a name of a file's groups (utils/naming.py).

    >>> snake_case("DepthwiseConv2D")
    'depthwise_conv2d'
    """
    return _CAPITAL.sub(r"\1_\2", _WORD.sub(r"\1_\2", re.sub(r"\W+", "", kind))).lower()
