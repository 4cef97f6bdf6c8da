"""Python layers: what they do is code, which is not run, but those of py-faster-rcnn are known by their names.

Their shapes are those of lib/rpn and lib/roi_data_layer of py-faster-rcnn, which R-FCN and PVANET share: how many
regions there are is known when they run, how wide a row of them is before.
"""

from __future__ import annotations

import re
from typing import Any

from .layer import Layer
from .made import Made

#: What nobody can know of a layer of the user's own.
CODE = "a Python layer decides its shape in code that is not run"
PROPOSED = "how many regions are proposed is known when it runs"
#: Rows that a layer gives, by top: the sizes behind their number, None where the file does not say one.
_ROWS: dict[str, tuple[tuple[int | None, ...], ...]] = {
    "ProposalLayer": ((5,), (1, 1, 1)),
    "ProposalTargetLayer": ((5,), (), (None,), (None,), (None,)),
}
_LIST = re.compile(r"'(?P<name>scales|ratios)'\s*:[^\[\]{}:]*\[(?P<items>[^\[\]]*)\]")
#: rpn/generate_anchors.py: three scales and three ratios, where the layer is told no others.
_ANCHORS = {"scales": 3, "ratios": 3}


def python_layer(layer: Layer) -> Made:
    """A Python layer; only those whose shapes are known by name are more than an unknown output."""
    view = layer.param("python_param")
    module, name = view.text("module"), view.text("layer")
    attrs: dict[str, Any] = {"reason": CODE}
    if module.startswith("rpn.") and name in _ROWS:
        attrs = {"reason": PROPOSED, "rows": _ROWS[name]}
    if module.startswith("rpn.") and name == "AnchorTargetLayer" and layer.bottoms:
        told = {found["name"]: found["items"].count(",") + 1 for found in _LIST.finditer(view.text("param_str"))}
        counts = _ANCHORS | told
        return Made("AnchorTargets", {"anchors": counts["scales"] * counts["ratios"]}, domain="caffe")
    return Made("Computed", attrs, domain="caffe")
