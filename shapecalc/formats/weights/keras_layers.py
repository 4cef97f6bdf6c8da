"""Which numbers of a Keras file belong to which parameter, in both layouts (see `keras_groups`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

from .base import Entry, WeightFile

if TYPE_CHECKING:
    from ..keras.store import Home


Homes: TypeAlias = "Mapping[str, Home]"
Found: TypeAlias = dict[str, tuple[str, Entry | None]]


def keras_entries(homes: Homes, file: WeightFile) -> Found:
    """Parameter -> its key in the file and the entry there, None where there is none."""
    if not any(entry.layer for entry in file.entries.values()):
        return {name: (home.key, file.entries.get(home.key)) for name, home in homes.items()}
    groups: dict[str, list[Entry]] = {}
    for entry in file.entries.values():
        groups.setdefault(entry.layer, []).append(entry)
    found: Found = {}
    layers = _by_layer(homes)
    for outer, group in _paired(list(layers), list(groups)).items():
        found |= _within(layers[outer], homes, groups.get(group, []), group)
    return found


def _by_layer(homes: Homes) -> dict[str, list[str]]:
    """Outermost layer -> its parameters."""
    layers: dict[str, list[str]] = {}
    for name, home in homes.items():
        layers.setdefault(home.outer, []).append(name)
    return layers


def _paired(layers: list[str], groups: list[str]) -> dict[str, str]:
    """Layer of the definition -> group of the file: by name where most are there, else by order where as many are.

    Keras itself goes by order (load_weights), or by name when told to (by_name); names that agree say the same.
    """
    known = set(groups)
    alike = sum(layer in known for layer in layers)
    if 2 * alike < len(layers) and len(layers) == len(groups):
        return dict(zip(layers, groups, strict=True))
    return {layer: layer for layer in layers}


def _within(names: list[str], homes: Homes, entries: list[Entry], group: str) -> Found:
    """Parameters of one outermost layer: in their order; inside a model by their names, where those tell them apart."""
    if len({homes[name].layer for name in names}) > 1:
        named = {name: [e for e in entries if _is_called(e.key, homes[name])] for name in names}
        if all(len(matches) == 1 for matches in named.values()):
            return {name: (matches[0].key, matches[0]) for name, matches in named.items()}
        names = sorted(names, key=lambda name: not homes[name].trained)
    found: Found = {}
    for place, name in enumerate(names):
        entry = entries[place] if place < len(entries) else None
        missing = f"{group}/{homes[name].weight}"
        found[name] = (entry.key if entry is not None else missing, entry)
    return found


def _is_called(key: str, home: Home) -> bool:
    """Whether a path ends in the weight's name and goes through its layer: ``inner/conv/kernel:0``."""
    parts = key.partition(":")[0].split("/")
    *inside, last = home.weight.split("/")
    return parts[-1] == last and {home.layer, *inside}.issubset(parts[:-1])
