"""Operators that draw numbers: in a proof each gets a seed of its own, so that two runs draw the same.

The seed follows from the name of what is drawn and the seed of the proof; the file that is written keeps its own.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

#: Operators of ONNX that draw, all with an attribute ``seed``; Dropout only in training.
DRAW = frozenset("RandomNormal RandomNormalLike RandomUniform RandomUniformLike Bernoulli Multinomial Dropout".split())
#: The input of Dropout that says whether it is in training; without it it hands on what it gets.
TRAINING = 2
#: Seeds are written as floats, which are exact up to here.
EXACT = 1 << 24


def give_seeds(graph: onnx.GraphProto, seed: int) -> list[str]:
    """Seeds every node that draws, in the graphs inside nodes too; gives the names of what is drawn."""
    from onnx import helper

    drawn = []
    for node in graph.node:
        for inner in node.attribute:
            for part in [inner.g, *inner.graphs]:
                drawn += give_seeds(part, seed)
        if node.op_type in DRAW and node.domain in ("", "ai.onnx") and _in_training(node):
            kept = [attribute for attribute in node.attribute if attribute.name != "seed"]
            del node.attribute[:]
            node.attribute.extend(kept)
            number = zlib.crc32(f"{seed} {node.output[0]}".encode()) % EXACT
            node.attribute.append(helper.make_attribute("seed", number if node.op_type == "Dropout" else float(number)))
            drawn.append(node.output[0])
    return drawn


def _in_training(node: onnx.NodeProto) -> bool:
    return node.op_type != "Dropout" or len(node.input) > TRAINING
