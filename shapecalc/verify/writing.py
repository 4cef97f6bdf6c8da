"""Writing what a plan made, or a definition as it is: the file appears whole or not at all.

What only a proof needs, and numpy, is imported where it is used: a plan that is not proved is written without them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple

from .. import copying, files
from ..definition import Definition
from ..dims import product
from ..errors import RefusedError, UsageError
from ..formats import FORMATS, Source
from ..formats.onnx.patch import segments
from ..formats.onnx.pieces import Pieces, copy_to
from ..formats.onnx.write import PLACEHOLDER, to_proto
from ..graph import Graph
from ..lower import lower
from ..source import Span
from ..surgery.plan import Surgery
from ..trace import Trace, trace
from .beside import Beside, check_how, elsewhere, placed, planned, renamed
from .copied import Copied, Lines, copied, lines_of
from .definition_file import check_weights, holds_weights, own_suffixes, patched, text_of, write_own
from .onnx_file import is_placeholder, new_weights, sized_graph, sources_of, without_sources

#: Bytes of weights that fit into a message of 2 GB, with room for everything else.
LARGEST = (1 << 31) - (1 << 24)


class Writing(NamedTuple):
    """How a result is written."""

    init: bool
    seed: int
    verify: bool
    overwrite: bool
    external: str | None  # see `Plan.save`
    work: copying.Work


class Ready(NamedTuple):
    """What is known before anything runs: the text of a definition, None for an ONNX file; files of weights beside."""

    text: str | None
    beside: tuple[Beside, ...]


class Written(NamedTuple):
    """What came of it: files of weights that the written one names, what of the original is in it."""

    beside: tuple[Beside, ...]
    copied: Copied | Lines | None


def check_target(path: Path, overwrite: bool, own: tuple[str, ...] = ()) -> None:
    """Raises UsageError for a path that no result can be written to; ``own`` are the definition's own suffixes."""
    files.check_writable(path, overwrite=overwrite)
    if path.suffix.lower() not in (".onnx", *own):
        ways = f"ONNX or {own[0]}" if own else "ONNX"
        raise UsageError(
            f"{path.name}: results are written as {ways}", "E002", hint=f"-o {path.with_suffix('.onnx').name}"
        )


def ready(plan: Surgery, path: Path, how: Writing) -> Ready:
    """Raises UsageError and RefusedError for a result that cannot be written at ``path``, before anything runs."""
    own = own_suffixes(plan.model)
    check_target(path, how.overwrite, own)
    check_how(how.external)
    if path.suffix.lower() in own:
        return Ready(_patched(plan, path, how.init), ())
    if any(Path(place).resolve() == path.resolve() for place in elsewhere(plan.model, plan.model.graph)):
        raise UsageError(f"{path} holds weights of the original", "E003", hint="name another file")
    return Ready(None, planned(plan.model, plan.graph, path, how.external))


def write(plan: Surgery, path: Path, ready: Ready, how: Writing) -> Written:
    """Writes a plan's result. See `Plan.save`."""
    if ready.text is not None:
        text, source = ready.text, plan.model.source
        files.write_whole(path, lambda file: write_own(plan, file, path, text, how.seed), overwrite=how.overwrite)
        return Written((), lines_of(text_of(plan.model, source), text) if source is not None else None)
    shares: list[Copied | None] = []
    with placed(ready.beside, path.parent, how.work) as beside:
        names = renamed(beside)
        files.write_whole(path, lambda file: shares.append(_write(plan, file, names, how)), overwrite=how.overwrite)
    return Written(beside, *shares)


def _patched(plan: Surgery, path: Path, init: bool) -> str:
    check_weights(plan, path)
    if init and not holds_weights(plan.model, path):
        hint = f"-o {path.with_suffix('.onnx').name} writes a file that does"
        raise UsageError(f"{path.name} holds no weights that --init could initialise", "E002", hint=hint)
    return patched(plan, weighted=holds_weights(plan.model, path))


def _write(plan: Surgery, file: BinaryIO, names: Mapping[str, str], how: Writing) -> Copied | None:
    """An ONNX file is patched: everything but the edit is copied as it lies. A definition is written anew."""
    source, share = plan.model.source, None
    if plan.graph.format == "onnx" and source is not None:
        edited = sized_graph(plan.graph, plan.trace)
        tensors = new_weights(plan.model, edited, plan.trace, how.seed)
        _check_computed(plan.model, edited, tensors)
        written = without_sources(edited)
        pieces = segments(source.data, plan.model.graph, written, tensors, plan.trace.tensors, names)
        copy_to(file, source, pieces, how.work)
        share = copied(plan.model.graph, written, pieces, tensors)
    else:
        file.write(as_onnx(plan.model, plan.graph, plan.trace, init=how.init, seed=how.seed))
    if how.verify:
        _check_loads(file, plan.model)
    return share


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


def write_new(file: BinaryIO, data: bytes, model: Definition, verify: bool) -> None:
    """Writes a file's bytes, which onnxruntime then loads if ``verify``. Raises RefusedError where it does not."""
    file.write(data)
    if verify:
        _check_loads(file, model)
