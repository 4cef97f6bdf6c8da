"""What a net makes of a rounding of its image: the measure of differences where a net amplifies them.

Made-up weights let activations grow until gates that follow them are steps, and a step answers the last digit of an
image with a tenth of its scale. Two nets that compute the same then differ by as much at their ends, and no edit is to
blame. So each tensor is compared with what the original itself makes of an image that is off by a rounding. Tensors
that do not amplify are held to the limit as ever, and those lie between the edit and the ones that do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy

from ..weights import Array
from .proof import NumberCheck, compare

Tensors = Mapping[str, Array]
#: Images that are off by a rounding; each tells of other steps.
SHAKES = 3
#: How much more than those one rounding more may do: a sum in another order has several.
AMPLIFIED = 4.0


def shaken(images: Tensors, seed: int) -> dict[str, Array]:
    """Inputs whose floats are the next above or below, or stay."""
    generator = numpy.random.default_rng(seed)
    found = dict(images)
    for name, image in images.items():
        if image.dtype.kind == "f":
            towards = generator.choice(numpy.array([-numpy.inf, numpy.inf], image.dtype), image.shape)
            found[name] = numpy.where(generator.random(image.shape) < 0.5, image, numpy.nextafter(image, towards))
    return found


def held(
    before: Tensors, after: Tensors, again: Callable[[int], Tensors], rtol: float, own: Sequence[str]
) -> tuple[list[NumberCheck], float] | None:
    """Checks of tensors that both nets make, and the most that one of ``own`` answers a rounding with, by its scale.

    ``again(seed)`` are the original's tensors of an image that is `shaken`; ``own`` are the tensors that must hold.
    None where no tensor but those that amplify was compared, so that nothing would be proved.
    """
    shared = [name for name in before if name in after and _comparable(before[name], after[name])]
    answers = dict.fromkeys(shared, 0.0)
    for seed in range(SHAKES):
        other = again(seed)
        for check in compare({n: before[n] for n in shared}, {n: other[n] for n in shared if n in other}, rtol):
            answers[check.name] = max(answers[check.name], check.share)
    limits = {name: max(rtol, AMPLIFIED * answer) for name, answer in answers.items()}
    checks = [compare({n: before[n]}, {n: after[n]}, limits[n])[0] for n in shared]
    if not any(check.scale and limits[check.name] == rtol for check in checks):
        return None
    return [c for c in checks if c.name in own or not c.ok], max((answers.get(name, 0.0) for name in own), default=0.0)


def _comparable(first: Array, second: Array) -> bool:
    return first.shape == second.shape and first.size > 0 and first.dtype.kind == "f"
