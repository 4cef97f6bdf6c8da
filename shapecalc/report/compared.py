"""Lines of a proof: how far a model is from another, and what it says of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import dims

if TYPE_CHECKING:
    from ..verify.proof import NumberCheck, Report

#: Names told one by one.
SHOWN = 3


def difference(check: NumberCheck) -> str:
    """A difference beside the largest number of its tensor."""
    return "0" if check.difference == 0 else f"{check.difference:.1e} on a scale of {check.scale:.3g}"


def against(report: Report) -> list[str]:
    """How far from another model it is."""
    found = report.against
    if found is None:
        return []
    checks = found.outputs or found.inside
    kind = "outputs" if found.outputs else "tensors inside that both have"
    equal = f"{sum(check.ok for check in checks)} of {len(checks)} {kind} are equal"
    lines = [f"against {found.original}: {equal}, largest difference {difference(found.worst)} ({found.worst.name})"]
    if found.outputs and found.inside:
        same = sum(check.ok for check in found.inside)
        lines.append(f"inside, {same} of {len(found.inside)} tensors of the same name and shape are equal")
    if found.first is not None:
        lines.append(f"the first tensor that differs is {found.first.name}, by {difference(found.first)}")
    apart = [f"{row.name} is {dims.show(row.shape)}, was {dims.show(row.original)}" for row in found.apart[-SHOWN:]]
    return lines + ([f"not compared: {'; '.join(apart)}"] if apart else [])


def seen(report: Report) -> list[str]:
    """The best classes of an image."""
    if report.seen is None:
        return []
    best = [f"{guess.name or f'class {guess.place}'} {guess.score:.4g}" for guess in report.seen.guesses]
    noise = "; its weights are noise, so this says nothing" if report.seeded and report.weights is None else ""
    return [f"{report.seen.image} ({report.seen.output}): {', '.join(best)}{noise}"]
