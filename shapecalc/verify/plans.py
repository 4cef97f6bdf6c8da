"""Proving a plan: it runs, and what comes before the edit computes the same; then it is written.

What only a proof needs, and numpy, is imported where it is used: a plan that is not proved is written without them.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from .. import copying, files
from ..definition import Definition
from ..errors import RefusedError, UsageError
from ..graph import Graph
from ..lower import TRACED_ALONE
from ..surgery.criteria import IDLE, untouched
from ..surgery.plan import Surgery
from ..trace import Trace
from .beside import Beside
from .copied import Copied, Lines
from .definition_file import own_suffixes
from .writing import Writing, as_onnx, check_target, ready, write, write_new

if TYPE_CHECKING:
    from .proof import Report
    from .run import Runnable


class Plan(Surgery):
    """What will be changed, the trace of the result, and its proof; nothing is written until `save`.

    ``edits`` in order, ``graph`` the edited net, ``trace`` its trace at the wanted input, ``repairs`` every repair that
    was found, best first, ``report`` the proof once it was made, ``copied`` what a written file has of the original.
    """

    report: Report | None = None
    #: Files of weights that the written file names, and how it came by them.
    beside: tuple[Beside, ...] = ()
    copied: Copied | Lines | None = None  # what of the original is in the file that was written

    @property
    def file_name(self) -> str:
        """What the result is called: ``alexnet-13classes-256.onnx``; a file keeps its format, a zoo model is ONNX."""
        own = own_suffixes(self.model) if self.model.zoo_name is None else ()
        return self.name + (own[0] if own else ".onnx")

    def verify(self, *, device: str = "auto", seed: int = 0, rtol: float | None = None) -> Report:
        """Runs the result in onnxruntime and compares it with the trace and with the original.

        Raises RefusedError where the proof fails and DeviceError where ``device`` cannot run.
        """
        try:
            self.report = prove_plan(self, device=device, seed=seed, rtol=rtol)
        except RefusedError as error:
            own = self.file_name.rpartition(".")[2] != "onnx"
            if error.hint == TRACED_ALONE and own:  # what has no ONNX form is still said as a text
                error.hint = f"--no-verify writes {self.file_name}, unproved"
            raise
        return self.report

    def save(
        self,
        path: str | Path,
        *,
        overwrite: bool = False,
        init: bool = False,
        seed: int = 0,
        device: str = "auto",
        verify: bool = True,
        external: str | None = None,
        work: copying.Work | None = None,
    ) -> Path:
        """Writes the result, verified first if it was not; the file appears whole or not at all.

        ``verify`` False writes what was only traced: nothing is run, not even loaded, and ``report`` stays None.

        ``external`` is how an ONNX file shares the weights that lie in files beside the original: "refer" names them
        where they lie, which only a file in their folder or above it can; "link" makes hard links, copies where none
        can be made; "copy" copies. Default: refer where that is possible, else copy. ``work`` is told what is copied.

        The suffix of ``path`` says how: ONNX, or the definition's own format, in which everything but the edit stays
        character by character as it was and weights are not written.

        A model opened with weights keeps them, and what an edit made anew is initialised. Without, weights are
        placeholders, or initialised ones with ``init``. Raises RefusedError where the proof fails or the definition
        cannot say the edit, UsageError where the file exists and ``overwrite`` is not set.
        """
        target = Path(path)
        how = Writing(init, seed, verify, overwrite, external, work if work is not None else copying.Work())
        prepared = ready(self, target, how)
        if self.report is None and verify:
            self.verify(device=device, seed=seed)
        self.beside, self.copied = write(self, target, prepared, how)
        return target

    def save_plan(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Writes the plan itself as JSON, for `Model.replay`; what it changes is not written.

        Raises UsageError where the file exists and ``overwrite`` is not set.
        """
        target = Path(path)
        text = self.saved().text().encode()
        files.write_whole(target, lambda file: file.write(text), overwrite=overwrite)
        return target


def prove_plan(plan: Plan, *, device: str = "auto", seed: int = 0, rtol: float | None = None) -> Report:
    """The proof of a plan: every tensor's shape, and the numbers of everything before the first edit.

    Raises RefusedError naming the first thing that does not hold, DeviceError where ``device`` cannot run.
    """
    from .promises import measured
    from .proof import RTOL, prove
    from .run import runnable

    limit = RTOL if rtol is None else rtol
    edited = runnable(plan.model, plan.graph, plan.trace, seed)
    untouched = before_edits(plan.model.graph, plan.graph)
    shared = None
    if any(node.op not in IDLE for node in untouched.nodes):
        feeds = {name: tensor.shape for name, tensor in plan.trace.feeds.items()}
        original = plan.model.retrace(untouched, feeds)  # type: ignore[arg-type]
        shared = runnable(plan.model, untouched, original, seed, edited.arrays)
    report = prove(edited, against=shared, device=device, seed=seed, rtol=limit)
    place = report.run.device
    report.promises = [measured(plan.model, kept, device=place, seed=seed, rtol=limit) for kept in plan.kept]
    report.weights = plan.model.weights.name if plan.model.weights is not None else None
    report.raise_for_failure()
    return report


def prove_model(model: Definition, traced: Trace, *, device: str, seed: int, rtol: float | None) -> Report:
    """The proof of a definition at the input of a trace. Raises RefusedError where the trace has problems."""
    from .run import runnable

    check_runs(model, traced)
    return prove_runnable(model, runnable(model, model.graph, traced, seed), device=device, seed=seed, rtol=rtol)


def prove_runnable(
    model: Definition, what: Runnable, *, device: str, seed: int, rtol: float | None, keep: Collection[str] = ()
) -> Report:
    """The proof of a definition that is ready to run, with the name of its weights; it keeps the tensors ``keep``."""
    from .proof import RTOL, prove

    report = prove(what, device=device, seed=seed, rtol=RTOL if rtol is None else rtol, keep=keep)
    report.weights = model.weights.name if model.weights is not None else None
    return report


def check_runs(model: Definition, traced: Trace) -> None:
    """Raises RefusedError where the trace has problems: nothing would run."""
    if traced.ok:
        return
    first, *others = traced.problems
    shown = f"shapecalc trace {model.typed} {model.asked(traced)} shows what would"
    raise RefusedError(
        f"it does not fit, so there is nothing to run: {first.message}",
        first.code,
        location=first.location,
        expected=first.expected,
        actual=first.actual,
        because=f"{first.layer} {f'is the first of {len(others) + 1} that do' if others else 'alone does'} not fit",
        hint=first.hint if first.code == "E112" else shown,  # no other input changes what an opset has
    )


def convert_model(
    model: Definition, traced: Trace, path: Path, *, overwrite: bool, init: bool, seed: int, device: str, verify: bool
) -> Report | None:
    """Writes a definition as ONNX once it ran and every tensor had the predicted shape.

    ``verify`` False: once it was traced; there is no report then.
    """
    if model.graph.format == "onnx":
        raise UsageError(
            f"{model.argument} is ONNX already", "E002", hint=f"shapecalc retarget {model.typed} changes it"
        )
    check_target(path, overwrite)
    report = None
    if verify:
        report = prove_model(model, traced, device=device, seed=seed, rtol=None)
        report.raise_for_failure()
    else:
        check_runs(model, traced)
    data = as_onnx(model, model.graph, traced, init=init, seed=seed)
    files.write_whole(path, lambda file: write_new(file, data, model, verify), overwrite=overwrite)
    return report


def before_edits(original: Graph, edited: Graph) -> Graph:
    """The part of the original that no edit can have changed: nodes both graphs share, and all they depend on."""
    nodes = untouched(original, edited)
    outputs = tuple(name for node in nodes for name in node.outputs if name)
    kept = {given.name for given in edited.inputs}  # a cut leaves out what nothing reads any more
    inputs = tuple(given for given in original.inputs if given.name in kept)
    return original.replace(inputs=inputs, nodes=tuple(nodes), outputs=outputs, meta={"part": True})
