"""shapecalc: open any network definition, see every shape and why, change it, and prove the change by running it.

>>> import shapecalc
>>> trace = shapecalc.load("alexnet").trace(256)
>>> trace.problems[0].layer
'fc6'

Names are imported when they are first used, so ``import shapecalc`` costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "DeviceError": "errors",
    "Model": "model",
    "ModelError": "errors",
    "Problem": "trace",
    "RefusedError": "errors",
    "ShapecalcError": "errors",
    "Trace": "trace",
    "UsageError": "errors",
    "load": "model",
    "loads": "model",
}

__all__ = [
    "DeviceError",
    "Model",
    "ModelError",
    "Problem",
    "RefusedError",
    "ShapecalcError",
    "Trace",
    "UsageError",
    "__version__",
    "load",
    "loads",
]

if TYPE_CHECKING:
    from .errors import DeviceError, ModelError, RefusedError, ShapecalcError, UsageError
    from .model import Model, load, loads
    from .trace import Problem, Trace


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'shapecalc' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f".{home}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
