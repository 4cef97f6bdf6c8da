"""Proving and writing a plan: it runs, what comes before the edit computes the same, then the file appears.

What only a proof needs, and numpy, is imported where it is used: a plan that is not proved is written without them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from .. import copying, files
from ..definition import Definition
from ..dims import product
from ..errors import RefusedError, UsageError
from ..formats import FORMATS, Source
from ..formats.onnx.patch import segments
from ..formats.onnx.pieces import Pieces, copy_to
from ..formats.onnx.write import PLACEHOLDER, to_proto
from ..graph import Graph
from ..lower import TRACED_ALONE, lower
from ..source import Span
from ..surgery.criteria import IDLE, untouched
from ..surgery.plan import Surgery
from ..trace import Trace, trace
from .beside import Beside, check_how, elsewhere, placed, planned, renamed
from .copied import Copied, Lines, copied, lines_of
from .definition_file import check_weights, holds_weights, own_suffixes, patched, text_of, write_own
from .onnx_file import is_placeholder, new_weights, sized_graph, sources_of, without_sources

if TYPE_CHECKING:
    from .proof import Report
    from .run import Runnable

#: Bytes of weights that fit into a message of 2 GB, with room for everything else.
LARGEST = (1 << 31) - (1 << 24)


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
        own = own_suffixes(self.model) if self.model.zoo_name is None and self.sayable else ()
        return self.name + (own[0] if own else ".onnx")

    @property
    def sayable(self) -> bool:
        """Whether the definition's own format may say the plan: only a prototxt loses layers, then gets none."""
        kept = {node.origin.span for node in self.graph.nodes}
        whole = all(node.origin.span in kept for node in self.model.graph.nodes)
        return whole or (self.model.graph.format == "caffe" and None not in kept)

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
        shared = ready(self, target, overwrite=overwrite, init=init, external=external)
        if self.report is None and verify:
            self.verify(device=device, seed=seed)
        write = Writing(init, seed, verify, overwrite, work if work is not None else copying.Work())
        self.beside = save_plan(self, target, shared, write)
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
    _check_target(path, overwrite)
    report = None
    if verify:
        report = prove_model(model, traced, device=device, seed=seed, rtol=None)
        report.raise_for_failure()
    else:
        check_runs(model, traced)
    data = as_onnx(model, model.graph, traced, init=init, seed=seed)
    files.write_whole(path, lambda file: _write_new(file, data, model, verify), overwrite=overwrite)
    return report


def save_model(model: Definition, path: Path, *, overwrite: bool) -> Path:
    """Writes a definition with no edit at all: what its format's writer makes of it is the file, byte for byte.

    Weights that lie beside it are copied into another folder.
    """
    source = model.source
    suffixes = (".onnx", ".pb", ".ort") if model.graph.format == "onnx" else own_suffixes(model)
    if source is None or path.suffix.lower() not in suffixes:
        raise UsageError(
            f"{path.name}: a {model.graph.format} definition is saved as {' or '.join(suffixes[:2])}",
            "E002",
            hint="convert writes it as ONNX",
        )
    files.check_writable(path, overwrite=overwrite)
    beside = planned(model, model.graph, path, None) if _has_weights(model) else ()
    if renamed(beside):
        raise RefusedError(
            "its weights lie beside it, under a name that is taken there",
            "E303",
            because=", ".join(f"{path.parent / name}" for name in renamed(beside).values()) + " would be its name",
            hint="save it into an empty folder",
        )
    with placed(beside, path.parent, copying.Work()):
        files.write_whole(path, lambda file: copy_to(file, source, _unedited(model, source)), overwrite=overwrite)
    return path


def _unedited(model: Definition, source: Source) -> Pieces:
    """The source's pieces as its writer gives them for a graph that is another object and says the same."""
    same = model.graph.replace()
    if model.graph.format == "onnx":
        return segments(source.data, model.graph, same)
    text = next(iter(FORMATS[model.graph.format].editor().patch(source, model.graph, same))).encode()
    inside = model.graph.meta.get("weights_inside")  # an archive: the definition is one part, which stays as it was
    return [Span(0, len(source.data))] if inside and text != bytes(source.data) else [text]


def _write_new(file: BinaryIO, data: bytes, model: Definition, verify: bool) -> None:
    file.write(data)
    if verify:
        _check_loads(file, model)


def _check_target(path: Path, overwrite: bool, own: tuple[str, ...] = ()) -> None:
    files.check_writable(path, overwrite=overwrite)
    if path.suffix.lower() not in (".onnx", *own):
        ways = f"ONNX or {own[0]}" if own else "ONNX"
        raise UsageError(
            f"{path.name}: results are written as {ways}", "E002", hint=f"-o {path.with_suffix('.onnx').name}"
        )


def before_edits(original: Graph, edited: Graph) -> Graph:
    """The part of the original that no edit can have changed: nodes both graphs share, and all they depend on."""
    nodes = untouched(original, edited)
    outputs = tuple(name for node in nodes for name in node.outputs if name)
    kept = {given.name for given in edited.inputs}  # a cut leaves out what nothing reads any more
    inputs = tuple(given for given in original.inputs if given.name in kept)
    return original.replace(inputs=inputs, nodes=tuple(nodes), outputs=outputs, meta={"part": True})


class Writing(NamedTuple):
    """How a result is written."""

    init: bool
    seed: int
    verify: bool
    overwrite: bool
    work: copying.Work


class Ready(NamedTuple):
    """What is known before anything runs: the text of a definition, None for an ONNX file; files of weights beside."""

    text: str | None
    beside: tuple[Beside, ...]


def ready(plan: Plan, path: Path, *, overwrite: bool, init: bool, external: str | None) -> Ready:
    """Raises UsageError and RefusedError for a result that cannot be written at ``path``, before anything runs."""
    own = own_suffixes(plan.model)
    _check_target(path, overwrite, own)
    check_how(external)
    if path.suffix.lower() in own:
        return Ready(_patched(plan, path, init), ())
    if any(Path(place).resolve() == path.resolve() for place in elsewhere(plan.model, plan.model.graph)):
        raise UsageError(f"{path} holds weights of the original", "E003", hint="name another file")
    return Ready(None, planned(plan.model, plan.graph, path, external))


def save_plan(plan: Plan, path: Path, ready: Ready, how: Writing) -> tuple[Beside, ...]:
    """Writes a plan's result; gives the files of weights that it names. See `Plan.save`."""
    if ready.text is not None:
        text = ready.text
        files.write_whole(path, lambda file: write_own(plan, file, path, text, how.seed), overwrite=how.overwrite)
        if plan.model.source is not None:
            plan.copied = lines_of(text_of(plan.model, plan.model.source), text)
        return ()
    with placed(ready.beside, path.parent, how.work) as beside:
        names = renamed(beside)
        files.write_whole(path, lambda file: _write(plan, file, names, how), overwrite=how.overwrite)
    return beside


def _patched(plan: Plan, path: Path, init: bool) -> str:
    check_weights(plan, path)
    if init and not holds_weights(plan.model, path):
        hint = f"-o {path.with_suffix('.onnx').name} writes a file that does"
        raise UsageError(f"{path.name} holds no weights that --init could initialise", "E002", hint=hint)
    return patched(plan)


def _write(plan: Plan, file: BinaryIO, names: Mapping[str, str], how: Writing) -> None:
    """An ONNX file is patched: everything but the edit is copied as it lies. A definition is written anew."""
    source = plan.model.source
    if plan.graph.format == "onnx" and source is not None:
        edited = sized_graph(plan.graph, plan.trace)
        tensors = new_weights(plan.model, edited, plan.trace, how.seed)
        _check_computed(plan.model, edited, tensors)
        written = without_sources(edited)
        pieces = segments(source.data, plan.model.graph, written, tensors, plan.trace.tensors, names)
        copy_to(file, source, pieces, how.work)
        plan.copied = copied(plan.model.graph, written, pieces, tensors)
    else:
        file.write(as_onnx(plan.model, plan.graph, plan.trace, init=how.init, seed=how.seed))
    if how.verify:
        _check_loads(file, plan.model)


def _check_computed(model: Definition, edited: Graph, tensors: Collection[str]) -> None:
    """Weights computed from others need their numbers. Raises RefusedError where the file with them is not there."""
    for name, param in edited.params.items():
        lost = [source for source in sources_of(edited, param) if not is_placeholder(edited.params[source])]
        if lost and name not in tensors and name not in model.graph.params:
            away = [Path(place).name for place in sorted(elsewhere(model, model.graph)) if not Path(place).is_file()]
            missing = f"{away[0]}, which the file names for its weights, is missing" if away else ""
            raise RefusedError(
                f"{name} is computed from {lost[0]}, whose numbers are not there",
                "E303",
                location=model.source.name if model.source is not None else None,
                because=missing or f"{lost[0]} is stored in a form that is not read",
                hint=f"put {away[0] if away else 'its numbers'} beside it; --dry-run shows the change without",
            )


def _check_loads(file: BinaryIO, model: Definition) -> None:
    """onnxruntime loads the very bytes that are about to be put in place. Raises RefusedError where it does not.

    Not where weights of the original are missing: then no file with them can be loaded, the original neither.
    """
    from .device import make_session

    file.flush()
    if _has_weights(model):
        make_session(file.name, "cpu", {})


def _has_weights(model: Definition) -> bool:
    """Whether the files are there in which weights lie beside the model: graphs are published without them."""
    return all(Path(place).is_file() for place in elsewhere(model, model.graph))


def as_onnx(model: Definition, graph: Graph, traced: Trace, *, init: bool, seed: int) -> bytes:
    """The bytes of an ONNX file for a definition, the model's own or an edited one.

    Its weights are the trained ones of the model's file, what an edit made anew initialised; without a file they are
    placeholders, or all initialised.
    """
    from ..weights import Numbers, from_file, initial, trained

    lowered = lower(graph, traced)
    _check_fits(lowered)
    predicted = trace(lowered, {i.name: i.declared for i in lowered.inputs if i.declared is not None})
    known = trained(model, lowered)
    numbers = Numbers(lowered, known, make=initial, seed=seed)
    made = [name for name in from_file(lowered) if name not in known]
    metadata = {**graph.meta.get("metadata", {}), "shapecalc.source": f"{graph.format} definition {graph.name}"}
    metadata |= _about_weights(model, made, f"initialised, not trained (seed {seed})", init)
    if PLACEHOLDER in metadata:
        return bytes(to_proto(lowered, predicted, fill=numbers.filler, metadata=metadata).SerializeToString())
    return bytes(to_proto(lowered, predicted, numbers=numbers.array, metadata=metadata).SerializeToString())


def _about_weights(model: Definition, made: list[str], initialised: str, init: bool) -> dict[str, str]:
    """What the file says of its weights: where they come from, and which of them nobody trained."""
    if model.weights is None:
        placeholder = "every weight is a constant placeholder: load trained ones before use"
        return {"shapecalc.weights": initialised} if init else {PLACEHOLDER: placeholder}
    about = {"shapecalc.weights": f"trained, from {Path(model.weights.name).name}"}
    return about | ({"shapecalc.new_weights": f"{', '.join(made)}: {initialised}"} if made else {})


def _check_fits(lowered: Graph) -> None:
    """A protobuf message holds 2 GB at most, and this one holds the weights."""
    sizes = {name: 4 * int(product(param.shape or ())) for name, param in lowered.params.items()}
    if sum(sizes.values()) > LARGEST:
        widest = max(sizes, key=lambda name: sizes[name])
        raise RefusedError(
            f"{sum(sizes.values()):,} bytes of weights do not fit into an ONNX file, which holds 2 GB",
            "E303",
            because=f"{widest} alone is {sizes[widest]:,} bytes",
            hint="a smaller input; or --no-verify writes a definition in its own format without running it",
        )
