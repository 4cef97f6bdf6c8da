"""What ``verify`` answers: does it run as predicted, is it equal to another model, what does it say of an image?"""

from __future__ import annotations

from ..definition import Definition
from ..errors import UsageError
from ..lower import scores
from ..trace import Trace
from .against import held_against
from .picture import Picture, seen
from .plans import check_runs, prove_runnable
from .proof import RTOL, Report
from .run import Runnable, runnable


def verify_model(
    model: Definition,
    traced: Trace,
    *,
    device: str,
    seed: int,
    rtol: float | None,
    against: Definition | None = None,
    image: Picture | None = None,
) -> Report:
    """The proof of a definition at the input of a trace; ``against`` and ``image`` are asked for besides.

    Raises RefusedError where it does not fit or ``against`` cannot be compared, UsageError for an image that cannot be.
    """
    check_runs(model, traced)
    what = runnable(model, model.graph, traced, seed)
    if image is not None:
        what = _showing(model, what, image)
    keep = scores(model.graph) if image is not None else ()
    report = prove_runnable(model, what, device=device, seed=seed, rtol=rtol, keep=keep)
    if image is not None:
        report.seen = seen(model.graph, str(image.path), report.kept)
    if against is not None:
        limit = RTOL if rtol is None else rtol
        report.against = held_against(model, what, against, device=report.run.device, seed=seed, rtol=limit)
    return report


def _showing(model: Definition, what: Runnable, image: Picture) -> Runnable:
    given = next((given for given in model.graph.inputs if given.role == "image" and given.name in what.inputs), None)
    if given is None:
        raise UsageError(f"{model.name} takes no image", "E002", hint="leave --image out")
    array = image.array(given, what.inputs[given.name].shape)
    return what._replace(inputs={**what.inputs, given.name: array})
