"""Edits as JSON and back: every field of an edit under its own name, checked against its type when it is read.

Nothing here knows a single edit: a new kind is one line of `KINDS`.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any, Union, get_args, get_origin, get_type_hints

from ..dims import Expr, Unknown, symbol
from ..errors import RefusedError, UsageError
from .batch import SetBatch
from .channels import MixChannels, Normalise
from .convolutional import Convolutional
from .crop import CropMap
from .cutting import Cut
from .detectors import ReplaceScores
from .edits import ChangePool, Edit, InsertPool, SetInput
from .exports.computed import Computed, CropToFit
from .exports.distant import LookUpToFit
from .exports.folded import Fold
from .exports.lookup import Lookup
from .exports.offsets import Offsets
from .exports.patches import FillMap
from .exports.pooling import AdaptPool
from .exports.retable import Resample, SetConstant
from .exports.shifting import MaskWindows, PadWindows, RollMap, TrimMap
from .exports.sliding import MaskToFit, RollToFit, TrimToFit
from .exports.spread import Spread
from .exports.states import SpreadNumber, StartAtZero
from .exports.stretched import Stretch
from .exports.waved import Waved
from .exports.whole import AttendInWindows
from .front import ResizeInput
from .joins import PadMap, ScaleMap
from .labels import NameClasses
from .new_head import ReplaceHead
from .quantized import FloatHead

#: What an edit is called in JSON -> the edit.
KINDS: Mapping[str, Any] = {
    "set-input": SetInput,
    "insert-pool": InsertPool,
    "change-pool": ChangePool,
    "float-head": FloatHead,
    "replace-head": ReplaceHead,
    "replace-scores": ReplaceScores,
    "name-classes": NameClasses,
    "mix-channels": MixChannels,
    "normalise": Normalise,
    "set-batch": SetBatch,
    "convolutional": Convolutional,
    "crop": CropMap,
    "pad": PadMap,
    "scale": ScaleMap,
    "resize-input": ResizeInput,
    "set-constant": SetConstant,
    "lookup": Lookup,
    "resample": Resample,
    "fold": Fold,
    "compute": Computed,
    "stretch": Stretch,
    "spread": Spread,
    "waved": Waved,
    "look-up-to-fit": LookUpToFit,
    "roll-to-fit": RollToFit,
    "trim-to-fit": TrimToFit,
    "mask-to-fit": MaskToFit,
    "crop-to-fit": CropToFit,
    "roll": RollMap,
    "trim": TrimMap,
    "fill": FillMap,
    "offsets": Offsets,
    "start-at-zero": StartAtZero,
    "spread-number": SpreadNumber,
    "pad-windows": PadWindows,
    "attend-in-windows": AttendInWindows,
    "mask": MaskWindows,
    "adapt-pool": AdaptPool,
    "cut": Cut,
}


def encode(edit: Edit) -> dict[str, Any]:
    """An edit as JSON that `decode` reads: its kind, a line for people, all its fields. Raises RefusedError."""
    kind = next(kind for kind, made in KINDS.items() if type(edit) is made)
    return {"edit": kind, "says": edit.describe(), "fields": encoded(edit)}


def encoded(value: Any) -> Any:
    """A value of an edit as JSON: a tuple is a list, a tuple with names an object, a free dimension ``{"free": "N"}``.

    Raises RefusedError for a size that JSON has no form for (an expression of free dimensions).
    """
    if isinstance(value, tuple):
        fields = getattr(value, "_fields", None)
        if fields is None:
            return [encoded(item) for item in value]
        return {name: encoded(getattr(value, name)) for name in fields}
    if isinstance(value, Mapping):
        return {str(key): encoded(item) for key, item in value.items()}
    if isinstance(value, Expr) and value == symbol(str(value)):
        return {"free": str(value)}
    if isinstance(value, Unknown):
        return {"unknown": value.reason}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise RefusedError(
        f"a plan with {value} in it cannot be saved",
        "E303",
        because="it has no form in JSON",
        hint="leave --save-plan out: the result itself can be written",
    )


class UnfitError(Exception):
    """A value of JSON that is not of the type that is wanted; the words say where."""


def decode(row: Any) -> Edit:
    """The edit that `encode` wrote. Raises UsageError for anything else."""
    kind = row.get("edit") if isinstance(row, dict) else None
    made = KINDS.get(kind) if isinstance(kind, str) else None
    if made is None:
        raise UsageError(f"the plan has an edit {kind!r}, which is none", "E002", hint=f"one of {', '.join(KINDS)}")
    try:
        edit: Edit = decoded(row.get("fields"), made, str(kind))
    except UnfitError as error:
        raise UsageError(f"the plan is damaged: {error}", "E002", hint="--save-plan writes a new one") from None
    return edit


def decoded(value: Any, hint: Any, where: str) -> Any:
    """A value of JSON as the type ``hint``. Raises UnfitError."""
    if hint is Any:
        return _plain(value, where)
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        kinds = [kind for kind in get_args(hint) if kind is not type(None)]
        return None if value is None and len(kinds) < len(get_args(hint)) else decoded(value, kinds[0], where)
    if origin is tuple:
        return _items(value, get_args(hint), where)
    if hasattr(hint, "_fields"):
        return _named(value, hint, where)
    if hint is float and type(value) is int:
        return float(value)
    wanted = dict if origin is dict else hint
    if type(value) is not wanted:
        raise UnfitError(f"{where} is {value!r:.40}, no {wanted.__name__}")
    return {key: _plain(item, f"{where}.{key}") for key, item in value.items()} if wanted is dict else value


def _items(value: Any, hints: tuple[Any, ...], where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise UnfitError(f"{where} is {value!r:.40}, no list")
    if hints[-1] is Ellipsis:
        hints = (hints[0],) * len(value)
    if len(hints) != len(value):
        raise UnfitError(f"{where} has {len(value)} entries, not {len(hints)}")
    return tuple(decoded(item, hint, f"{where}[{i}]") for i, (item, hint) in enumerate(zip(value, hints, strict=True)))


def _named(value: Any, made: Any, where: str) -> Any:
    """A tuple with names; fields that have a default may be absent, as in a plan of an older version."""
    if not isinstance(value, dict):
        raise UnfitError(f"{where} has no fields")
    strange = value.keys() - set(made._fields)
    missing = set(made._fields) - value.keys() - made._field_defaults.keys()
    if strange or missing:
        raise UnfitError(f"{where} has {'no' if missing else 'a'} field {min(missing or strange)!r}")
    hints = get_type_hints(made)
    return made(**{name: decoded(item, hints[name], f"{where}.{name}") for name, item in value.items()})


def _plain(value: Any, where: str) -> Any:
    """A value of any type: lists are tuples, objects are sizes that are no numbers."""
    if isinstance(value, list):
        return tuple(_plain(item, where) for item in value)
    if not isinstance(value, dict):
        return value
    (key, text), *more = [*value.items()] or [("", "")]
    if more or key not in ("free", "unknown") or not isinstance(text, str) or not text:
        raise UnfitError(f"{where} is {value!r:.40}, no size")
    return symbol(text) if key == "free" else Unknown(text)
