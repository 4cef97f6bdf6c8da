"""The weights of a net that lost layers: what is left is copied as it lies, under the places it has from now on.

Keras 3 files a layer by its class and its number among those of its model, so a layer behind one that is gone moves up;
older files list the layers of the outermost model by name, with the weights of everything inside (see `store`).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Collection, Mapping
from itertools import islice
from typing import Any, NamedTuple

from .. import Edited
from .build import build
from .text import Document, Value
from .view import own_name

#: Groups under which files of Keras 3 and of 2.12 to 2.15 keep the layers of a model.
ROOTS = ("layers", "_layer_checkpoint_dependencies")
#: Lists of names in the attributes of older files; long ones are split into several with numbers.
LAYER_NAMES, WEIGHT_NAMES = "layer_names", "weight_names"


class Lost(NamedTuple):
    """What a shorter net keeps: ``moved`` groups of layers by where they are and where they will be, ``outer`` layers
    of the outermost model by their place among them, and ``gone`` keys of weights."""

    moved: Mapping[str, str]
    outer: Mapping[str, int]
    gone: frozenset[str]


def lost_in(edited: Edited) -> Lost:
    """What the file keeps of an edited definition that is shorter."""
    new = build(Document("result", edited.text))
    before, after = edited.old.meta["stores"], new.meta["stores"]
    moved = {before[name]: place for name, place in after.items() if name in before}
    names = set(map(own_name, _members(new.meta["calls"][-1].entry)))
    outer = {name: place for place, name in enumerate(name for name in after if name in names)}
    gone = {key for name, key in edited.keys.items() if name not in new.params}
    return Lost(moved, outer, frozenset(gone))


def _members(model: Value) -> list[Value]:
    config = model.get("config")
    listed = config.get("layers") if config is not None and isinstance(config.data, dict) else config
    return listed.items() if listed is not None else []


def without(path: str, lost: Lost) -> None:
    """Writes an HDF5 file anew without what is lost; numbers are copied as they lie. Raises OSError, KeyError."""
    import h5py

    with tempfile.NamedTemporaryFile(suffix=".h5") as beside:  # h5py writes to files of the disk
        with h5py.File(path, "r", locking=False) as old, h5py.File(beside.name, "w") as new:
            _shortened(old, new, lost)
        with open(beside.name, "rb") as made, open(path, "r+b") as target:
            target.truncate()
            shutil.copyfileobj(made, target)


def _shortened(old: Any, new: Any, lost: Lost) -> None:
    _attributes(old, new)
    listed = _by_names(old)
    for name in old:
        if "\\" in name:
            raise KeyError(f"its groups are named as on Windows ({name})")
        if name in ROOTS:
            _by_class(old, new, lost.moved, name)
        elif name == "model_weights":
            group = new.create_group(name)
            _attributes(old[name], group)
            _of_names(old[name], group, lost)
        elif not listed:
            old.copy(name, new)
    if listed:
        _of_names(old, new, lost)


def _attributes(old: Any, new: Any) -> None:
    for name, value in old.attrs.items():
        new.attrs.create(name, value, dtype=old.attrs.get_id(name).dtype)


# -- by class ---------------------------------------------------------------------------------------------------------


def _by_class(old: Any, new: Any, moved: Mapping[str, str], root: str) -> None:
    """Every layer's group under its new number; that of a model in a model is made of its layers'."""
    new.create_group(root)
    for before, after in sorted(moved.items(), key=lambda row: row[1]):
        source, target = (place.replace("layers", root) for place in (before, after))
        inside = any(place.startswith(f"{before}/") for place in moved)
        if source not in old:
            continue
        if not inside:
            old.copy(source, new, target)
            continue
        group = new.require_group(target)
        _attributes(old[source], group)
        for name in old[source]:
            if name not in ROOTS:
                old[source].copy(name, group)


# -- by name ----------------------------------------------------------------------------------------------------------


def _by_names(group: Any) -> bool:
    return any(name.startswith(LAYER_NAMES) for name in group.attrs)


def _of_names(old: Any, new: Any, lost: Lost) -> None:
    """The groups of the layers that stay, without the weights that do not."""
    kept = _relisted(old, new, LAYER_NAMES, lost.outer.__contains__, lambda name: lost.outer[name])
    for name in old:
        if name in kept:
            old.copy(name, new)
            _without_weights(
                new[name], {key.removeprefix(f"{name}/") for key in lost.gone if key.startswith(f"{name}/")}
            )
        elif not _layer(old, name):
            old.copy(name, new)


def _without_weights(group: Any, gone: Collection[str]) -> None:
    for key in gone:
        if key in group:
            del group[key]
    if gone:
        _relisted(group, group, WEIGHT_NAMES, lambda name: name not in gone)


def _layer(group: Any, name: str) -> bool:
    """Whether a group is that of a layer, as the lists of an older file have it."""
    return any(name in map(_text, group.attrs[key]) for key in group.attrs if key.startswith(LAYER_NAMES))


def _relisted(
    old: Any, new: Any, attribute: str, stays: Callable[[str], bool], order: Callable[[str], int] = lambda name: 0
) -> list[str]:
    """Writes the lists of names with those that stay, sorted, in the type they had; gives the names."""
    import numpy

    keys = [key for key in old.attrs if key.startswith(attribute)]
    found = {key: [name for name in old.attrs[key] if stays(_text(name))] for key in keys}
    waiting = iter(sorted((name for names in found.values() for name in names), key=lambda name: order(_text(name))))
    for key, names in found.items():
        value, dtype = old.attrs[key], old.attrs.get_id(key).dtype
        new.attrs.create(key, numpy.array([*islice(waiting, len(names))], dtype=value.dtype), dtype=dtype)
    return [_text(name) for names in found.values() for name in names]


def _text(name: Any) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
