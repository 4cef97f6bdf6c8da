"""What shapes a definition really has: run by the Python that has Chainer, with nothing of shapecalc.

    python chainer_shapes.py '{"file": …, "name": …, "arguments": {…}, "inputs": [[shape, dtype], …], "out": FILE}'

builds ``name`` (a class, or a function that makes a model), runs it on zeros as in a test, and writes JSON: the output
shapes of every function that Chainer applied, in order, and the shapes of all parameters by path.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

#: What examples import beside Chainer to report, and this needs none of.
ASIDE = ("matplotlib",)


def module_of(file: Path) -> Any:
    """The module of a file, inside its packages where it lies in any."""
    parts, folder = [file.stem], file.parent
    while (folder / "__init__.py").exists():
        parts.insert(0, folder.name)
        folder = folder.parent
    sys.path.insert(0, str(folder))
    return importlib.import_module(".".join(parts))


def measure(asked: Any) -> Any:
    """The shapes, by running the definition in Chainer."""
    import chainer  # type: ignore[import-not-found, unused-ignore]
    import numpy

    for name in ASIDE:
        sys.modules.setdefault(name, MagicMock())
    applied = []
    apply = chainer.FunctionNode.apply

    def told(self: Any, inputs: Any) -> Any:
        results = apply(self, inputs)
        applied.append([type(self).__name__, [list(result.shape) for result in results]])
        return results

    model = getattr(module_of(Path(asked["file"])), asked["name"])(**asked["arguments"])
    chainer.FunctionNode.apply = told
    with chainer.using_config("train", False), chainer.no_backprop_mode():
        model(*(numpy.zeros(shape, dtype) for shape, dtype in asked["inputs"]))
    params = {name.strip("/"): list(param.shape) for name, param in model.namedparams() if param.array is not None}
    return {"applied": applied, "params": params}


if __name__ == "__main__":
    ASKED = json.loads(sys.argv[1])
    Path(ASKED["out"]).write_text(json.dumps(measure(ASKED)), encoding="utf-8")
