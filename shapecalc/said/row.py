"""The table of error texts: one row a text of a framework, with a pattern and a real example where somebody met it.

A pattern names what its numbers mean: ``wanted`` (what the layer's weights, its other branch or its declaration are
for), ``given`` (what arrived), and where the text says so ``layer``, ``axis``, ``rows`` (the other side of a matrix),
``rank`` (how many axes arrived), ``elements`` (of
a target), ``low`` and ``high``. Runs of blanks and line ends in a text count as one blank.

``recorded`` as a source: the text was produced by running that framework for this project, at the version named.
"""

from __future__ import annotations

from typing import NamedTuple

FAN_IN, CHANNELS, KERNEL, GROUPS, JOIN, RESHAPE = "fan-in", "channels", "kernel", "groups", "join", "reshape"
WEIGHTS, INPUT, PROFILE = "weights", "input", "profile"
PADDING, BATCH, RANK, LABELS, PARTS = "padding", "batch", "rank", "labels", "parts"
CROP, DECLARED = "crop", "declared"

#: kind -> what does not fit, in words.
KINDS = {
    FAN_IN: "a fully connected layer's weights are for another number of inputs",
    CHANNELS: "weights are for another number of channels",
    KERNEL: "a window is larger than what is left of the image",
    GROUPS: "channels do not divide into groups",
    JOIN: "branches that meet have different sizes",
    RESHAPE: "the elements do not fit the target of a reshape",
    WEIGHTS: "a file's weights have another shape than the layer's",
    INPUT: "the model declares another input",
    PROFILE: "the input is outside the sizes the engine was built for",
    PADDING: "a border that mirrors the map is wider than the map",
    BATCH: "the images of a batch have different sizes",
    RANK: "the input has another number of axes",
    LABELS: "labels have another shape than what the net gives",
    CROP: "a crop is larger than what it is cut from",
    DECLARED: "a shape written in the file is not the one that its nodes give",
    PARTS: "a layer has more or fewer weights than the file holds for it",
}

_GITHUB = "https://github.com/"


class Row(NamedTuple):
    """One text: whose it is, what kind of misfit, its pattern, a real example and where that was met."""

    framework: str
    kind: str
    pattern: str
    example: str
    source: str

    @property
    def url(self) -> str:
        """A link to the source; empty where the text was recorded for this project."""
        return "" if self.source.startswith("recorded") else _GITHUB + self.source
