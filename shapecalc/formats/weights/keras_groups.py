"""The two layouts of Keras' HDF5 files of weights.

============ ====================================================================================================
Keras 3      ``layers/conv2d_1/vars/0``: by class and count (saving/saving_lib.py); so do the ``.keras`` files of
             Keras 2.12 to 2.15, in a group ``_layer_checkpoint_dependencies`` at first
before       a group for each layer, whose attribute ``weight_names`` lists its data sets in the layer's order;
             the attribute ``layer_names`` lists the groups (legacy/saving/legacy_h5_format.py). Of a saved model
             they are in ``model_weights``. Lists too long for an attribute are split: ``weight_names0``, …
============ ====================================================================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .base import Entry, damaged

#: Parts of a list of names; an attribute holds 64 kB, and no model has names for more.
MOST_PARTS = 1000
_VARIABLE = re.compile(r"(?:^|/)vars/\d+$")
#: Keras 2 called the parts of attention by names of its own.
_PRIVATE = re.compile(r"/_(query_dense|key_dense|value_dense|output_dense)/")
#: What belongs to training and to no layer.
TRAINING = ("optimizer/", "optimizer_weights/", "metrics/", "loss/", "_metrics/", "compile_metrics/")
OLDER_ROOT = "_layer_checkpoint_dependencies"


def arranged(file: Any, found: dict[str, Entry], shown: str) -> dict[str, Entry]:
    """What a file holds for the layers of a model, in Keras' order; of other files everything, as it was found."""
    group, prefix = (file["model_weights"], "model_weights/") if "model_weights" in file else (file, "")
    if any(_VARIABLE.search(key.replace("\\", "/")) for key in found):
        return {entry.key: entry for entry in _of_classes(found)}
    if not any(name in group.attrs for name in ("layer_names", "layer_names0")):
        return found
    return {entry.key: entry for entry in _of_names(group, prefix, found, shown)}


def _of_classes(found: dict[str, Entry]) -> Iterator[Entry]:
    for given, entry in found.items():
        key = given.replace("\\", "/")  # as Windows wrote it
        key = _PRIVATE.sub(r"/\1/", key.replace(OLDER_ROOT, "layers"))
        if not key.startswith(TRAINING):
            yield entry._replace(key=key)


def _of_names(group: Any, prefix: str, found: dict[str, Entry], shown: str) -> Iterator[Entry]:
    layers = {name: f"{prefix}{name}/" for name in _names(group, "layer_names", shown)}
    for layer, place in layers.items():
        if layer not in group:
            continue
        for name in _names(group[layer], "weight_names", shown):
            entry = found.get(place + name)
            if entry is not None:
                yield entry._replace(key=f"{layer}/{name}", layer=layer)


def _names(group: Any, attribute: str, shown: str) -> list[str]:
    """A list of names, in one attribute or in several with numbers."""
    if attribute in group.attrs:
        parts = [group.attrs[attribute]]
    else:
        kept = (f"{attribute}{number}" for number in range(MOST_PARTS))
        parts = []
        for name in kept:
            if name not in group.attrs:
                break
            parts.append(group.attrs[name])
    names = [_text(name) for part in parts for name in part]
    if None in names:
        raise damaged(shown, f"{attribute} holds something that is no name")
    return [name for name in names if name]


def _text(name: Any) -> str | None:
    if isinstance(name, bytes):
        return name.decode("utf-8", "replace")
    return name if isinstance(name, str) else None
