"""The public model: a definition, and the questions it answers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from . import literal, zoo
from .definition import Definition
from .errors import ModelError, UsageError
from .formats import Options, Source, contents, read

if TYPE_CHECKING:
    from .compare import Comparison
    from .footprint import Cost
    from .formats.weights import WeightFile
    from .graph import Graph
    from .intervals import Interval
    from .match import Match
    from .sizes.found import Sizes
    from .sizes.solve import Solved
    from .surgery.repairs import Repair
    from .trace import Trace
    from .verify.plans import Plan
    from .verify.proof import Report
    from .why import Why

#: Problems that another input size or a pooling can mend: fan-ins, kernels, joins, reshapes.
SIZE_PROBLEMS = frozenset({"E101", "E103", "E105", "E106"})


class Advice(NamedTuple):
    """The way out of a misfit: square sizes that fit as they are, and weightless repairs, best first."""

    sizes: Interval | None
    repairs: list[Repair]

    def to_dict(self) -> dict[str, Any]:
        """The advice as JSON prints it."""
        sizes = None if self.sizes is None or self.sizes.empty else [self.sizes.low, self.sizes.high]
        repairs = [{"name": r.name, "edits": [edit.to_dict() for edit in r.edits]} for r in self.repairs]
        return {"sizes": sizes, "repairs": repairs}


class Model(Definition):
    """A network definition: trace it, ask which sizes fit, retarget it.

    ``name`` is what people call it, ``graph`` its nodes and parameters, ``weights`` the file of trained weights it was
    opened with. With weights, whatever runs the model uses them and whatever writes it writes them.
    """

    def trace(
        self,
        input: literal.Spec = None,  # noqa: A002  the contract's word
        *,
        fresh: bool = False,
        dialect: str | None = None,
    ) -> Trace:
        """Every layer's shape when ``input`` goes in; see `Definition.trace`. Its problems know their causes."""
        found = super().trace(input, fresh=fresh, dialect=dialect)
        if found.problems:
            from .baked import Finder

            finder = Finder(self, found)
            for problem in found.problems:
                problem.find = finder.cause
        return found

    def sizes(
        self,
        *,
        limit: int | None = None,
        dialect: str | None = None,
        exact: bool = False,
        input: literal.Spec = None,  # noqa: A002
    ) -> Sizes:
        """Every input size that fits, in closed form for all heights and widths, with the layers that forbid the rest.

        ``exact``: only sizes at which every division is whole. ``input`` says what the definition leaves open.
        Iteration and ``intervals`` end at ``limit`` (4096). Raises UsageError where the net takes no image.
        """
        from .sizes.found import valid_sizes

        return valid_sizes(self, limit=limit, dialect=dialect, exact=exact, input=input)

    def cost(
        self,
        input: literal.Spec = None,  # noqa: A002  the contract's word
        *,
        batch: int | None = None,
        precision: str | None = None,
        dialect: str | None = None,
    ) -> Cost:
        """Parameters, multiply-accumulates and bytes: of weights, of activations, and the most held at once.

        ``batch`` replaces the declared one, and a batch left open counts as 1; ``precision`` is fp64, fp32, fp16, bf16
        or int8, None the definition's own element types. Raises UsageError for a shape that makes no sense.
        """
        from .footprint import cost

        return cost(self, input, batch=batch, precision=precision, dialect=dialect)

    def solve(self, hole: str, *, input: literal.Spec = None, dialect: str | None = None) -> Solved:  # noqa: A002
        """What a definition leaves open, or an input that gives a wanted map.

        ``"fc6.fan_in"`` is the number of inputs of a layer at ``input``; ``"pool5=6x6"`` asks for the inputs that give
        the layer's output that height and width. Raises UsageError for anything else.
        """
        from .sizes.solve import solve

        return solve(self, hole, input=input, dialect=dialect)

    def advice(self, misfit: Trace) -> Advice:
        """What would make a trace with problems fit: the sizes that do, and repairs that were each traced."""
        from .sizes import reference, square_bounds
        from .surgery.repairs import propose

        about_size = any(problem.code in SIZE_PROBLEMS for problem in misfit.problems)
        told = self.told({name: t.shape for name, t in misfit.feeds.items() if isinstance(t.shape, tuple)})
        fitting = reference(told, misfit.dialect) if about_size else None
        if fitting is None:
            return Advice(None, [])
        repairs = propose(misfit, fitting, told.retrace)
        bound = square_bounds(told, misfit.dialect)
        sizes = None if bound is None or not told._fits_throughout(bound.sizes, misfit) else bound.sizes
        return Advice(sizes, repairs)

    def _fits_throughout(self, sizes: Interval, misfit: Trace) -> bool:
        """Whether an interval from the inverse holds under the forward rules: its ends, its middle, and just outside.

        Joins and reshapes can forbid sizes inside; an interval that has the misfit in it is wrong as well.
        """
        if sizes.empty or sizes.high is None:
            return False
        inside = {sizes.low, sizes.high, (sizes.low + sizes.high) // 2, (3 * sizes.low + sizes.high) // 4}
        outside = {size for size in (sizes.low - 1, sizes.high + 1) if size > 0}
        try:
            fits = {size: self.trace(size, dialect=misfit.dialect).ok for size in inside | outside}
        except UsageError:
            return False
        return all(fits[size] for size in inside) and not any(fits[size] for size in outside)

    def compare(
        self,
        input: literal.Spec = None,  # noqa: A002  the contract's word
        *,
        dialects: list[str] | tuple[str, ...],
        fresh: bool = False,
    ) -> Comparison:
        """The net under several frameworks' rounding and padding: where they part, and the sizes each accepts.

        Raises UsageError for a shape that makes no sense or a dialect there is not.
        """
        from .compare import compare

        return compare(self, input, list(dialects), fresh=fresh)

    def why(
        self,
        input: literal.Spec = None,  # noqa: A002  the contract's word
        *,
        error: str | None = None,
        dialect: str | None = None,
        run: bool = True,
    ) -> Why:
        """Why ``input`` does not fit: the shortest chain of layers, what is wanted and offered, ways out that were run.

        ``error`` is a framework's text: it is tied to the layer it is about, and without ``input`` to the sizes that
        give its numbers. ``run`` False only traces the ways out. A free batch is looked at as one item. Raises
        UsageError for a shape that makes no sense.
        """
        from .why import explain

        return explain(self, input, error=error, dialect=dialect, run=run)

    def match(self, weights: str | Path | None = None, *, input: literal.Spec = None) -> Match:  # noqa: A002
        """Which weights of a file (None: the one the model was opened with) load into which layer, and why not.

        ``input`` sizes the weights the definition leaves open; None is the native input. Raises ModelError for a file
        that cannot be read, UsageError where there is none.
        """
        from .match import match

        return match(self, weights, input=input)

    def verify(
        self,
        input: literal.Spec = None,  # noqa: A002  the contract's word
        *,
        device: str = "auto",
        seed: int = 0,
        rtol: float | None = None,
        against: Definition | str | Path | None = None,
        image: str | Path | None = None,
        **picture: Any,
    ) -> Report:
        """Runs the model in onnxruntime and compares every tensor's shape with the trace.

        ``against`` is another model (or what `load` takes) that gets the same inputs: what has the same shape must hold
        the same numbers, within ``rtol`` of its scale. ``image`` is a file that goes in, with how it is prepared:
        ``resize`` (its shorter side), ``mean``, ``std``, ``bgr``, ``white`` (what a pixel of 255 becomes).

        Raises RefusedError where onnxruntime refuses it or the two cannot be compared, DeviceError where ``device``
        (auto, cpu or cuda) cannot run, UsageError for an image that cannot be read.
        """
        from .verify.asked import verify_model
        from .verify.picture import Picture

        other = against if against is None or isinstance(against, Definition) else load(against)
        shown = Picture(Path(image), **_tuples(picture)) if image is not None else None
        return verify_model(self, self.trace(input), device=device, seed=seed, rtol=rtol, against=other, image=shown)

    def convert(
        self,
        path: str | Path,
        *,
        input: literal.Spec = None,  # noqa: A002
        overwrite: bool = False,
        init: bool = False,
        seed: int = 0,
        device: str = "auto",
        verify: bool = True,
    ) -> Report | None:
        """Writes the definition as ONNX at ``input``, after running it; see `verify` for what is raised.

        ``verify`` False writes what was only traced, and there is no report.
        """
        from .verify.plans import convert_model

        return convert_model(
            self,
            self.trace(input),
            Path(path),
            overwrite=overwrite,
            init=init,
            seed=seed,
            device=device,
            verify=verify,
        )

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Writes the definition as it was read, byte for byte, through the writer of its own format.

        Raises UsageError where the file exists and ``overwrite`` is not set, or its suffix is another format's.
        """
        from .verify.writing import save_model

        return save_model(self, Path(path), overwrite=overwrite)

    def retarget(
        self,
        *,
        classes: int | None = None,
        input: literal.Spec = None,  # noqa: A002
        repair: str | None = None,
        plan: int | None = None,
        **wishes: Any,
    ) -> Plan:
        """A plan for another number of classes or another input; nothing is written until ``Plan.save``.

        Further ``wishes``: ``head`` (the name of the classifier, or several), ``start`` ("zeros", "normal" or
        "framework": how new weights start), ``names`` (of the classes), ``channels``, ``bgr``, ``mean``, ``std`` (per
        channel; the result takes pixels), ``batch`` (a number, or "N" for a free one), ``convolutional`` (fully
        connected layers become convolutions), ``interpolate`` (tables of positions: "timm", "huggingface",
        "torchvision").

        Raises RefusedError where no head is found, no weightless repair makes the size fit, or an edit cannot be made,
        UsageError for a wish that makes no sense.
        """
        from .surgery.wishes import Wishes
        from .verify.plans import Plan

        unknown = next((name for name in wishes if name not in Wishes._fields), None)
        if unknown is not None:
            raise TypeError(f"retarget() got an unexpected argument {unknown!r}")
        asked = Wishes(**_tuples(wishes))
        return Plan.make(self, classes=classes, input=input, repair=repair, choice=plan, wishes=asked)

    def replay(self, saved: str | Path | Mapping[str, Any]) -> Plan:
        """The plan that `Plan.save_plan` wrote (its file, or the JSON itself), done on this model.

        Raises UsageError where it is no plan, RefusedError (E304) where it was made for another net: another format,
        another input or layer, which is named. Other weights are no other net.
        """
        from .surgery.saved import Saved
        from .verify.plans import Plan

        return Plan.replay(self, Saved.read(saved))

    def cut(
        self,
        *at: str,
        features: bool = False,
        pool: str | None = None,
        flatten: bool = False,
        input: literal.Spec = None,  # noqa: A002
    ) -> Plan:
        """A plan for the net up to the layers (or values) ``at``, whose outputs become its own.

        ``features``: just before the head. ``pool`` "avg" or "max" folds all places of each output into one,
        ``flatten`` makes rows of them. Raises UsageError for a layer that is not there, RefusedError where no head is
        found.
        """
        from .verify.plans import Plan

        return Plan.cut(self, at=at, features=features, pool=pool, flatten=flatten, input=input)


#: Wishes that are several names: one alone may be given as it is.
NAMES = ("head", "names")


def _tuples(wishes: Mapping[str, Any]) -> dict[str, Any]:
    several = {key: (value,) if key in NAMES and isinstance(value, str) else value for key, value in wishes.items()}
    return {key: tuple(value) if isinstance(value, (list, tuple)) else value for key, value in several.items()}


def load(
    model: Any,
    *,
    format: str | None = None,  # noqa: A002  the contract's word
    phase: str = "TEST",
    stages: tuple[str, ...] = (),
    level: int | None = None,
    class_name: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    path: str | Path | None = None,
    weights: str | Path | None = None,
) -> Model:
    """Opens a definition: a path, a zoo name, bytes (with ``format``) or an onnx ModelProto.

    ``phase``, ``stages`` and ``level`` choose the layers of a Caffe net, ``class_name`` and ``arguments`` the class of
    a Chainer file and what its constructor is called with, ``path`` a folder besides its own that has modules it
    imports. ``weights`` is a file of trained weights that goes with it
    (``.caffemodel, ``.npz``, ``.h5``): `Model.match` says what fits, `Model.verify`, `Model.convert` and a plan's
    ``save`` use them, bit for bit. Nothing read is executed. Raises ModelError.
    """
    trained = _weights(weights)
    options = _options(phase, stages, class_name, arguments, level, path)
    if hasattr(model, "SerializeToString"):
        return _model(Source("model", None, model.SerializeToString()), options, "onnx", weights=trained)
    if isinstance(model, (bytes, bytearray, memoryview)):
        return _model(Source("<bytes>", None, bytes(model)), options, format, weights=trained)
    name = str(model)
    file = Path(name)
    shown, zoo_name = name, None
    if not os.path.isfile(file):  # False, not an error, where the name is too long
        found = zoo.find(name)
        if found is None:
            raise _no_such(file, name)
        file, shown, zoo_name = found, f"zoo/{found.name}", name
    source = Source(shown, file, contents(file, shown))
    return _model(source, options, format, file.stem, weights=trained, zoo_name=zoo_name)


def _model(
    source: Source,
    options: Options,
    format: str | None,  # noqa: A002
    name: str = "",
    *,
    weights: WeightFile | None,
    zoo_name: str | None = None,
) -> Model:
    graph = read(source, options, format)
    if weights is None and graph.meta.get("weights_inside"):
        graph, weights = _own_weights(graph, source)
    made = Model(
        graph,
        name or graph.name or format or "model",
        path=source.path,
        zoo_name=zoo_name,
        source=source,
        weights=weights,
    )
    _ = made.places  # weights of another framework are refused now, not when they are needed
    return made


def _own_weights(graph: Graph, source: Source) -> tuple[Graph, WeightFile | None]:
    """The weights beside the definition in its own file.

    A trace needs none: what keeps them from being read is a warning then, and an error where numbers are needed.
    """
    from .formats.weights import own_weights

    try:
        return graph, own_weights(source)
    except ModelError as error:
        meta = {**graph.meta, "unread": error}
        return graph.replace(meta=meta, warnings=(*graph.warnings, f"its weights are not read: {error.message}")), None


def _weights(path: str | Path | None) -> WeightFile | None:
    if path is None:
        return None
    from .formats.weights import read_weights

    return read_weights(path)


def loads(text: str | bytes, *, format: str, name: str | None = None, **options: Any) -> Model:  # noqa: A002
    """Opens a definition given as text; see `load`."""
    data = text.encode() if isinstance(text, str) else text
    chosen = _options(**{name: options.pop(name) for name in Options._fields if name in options})
    trained = _weights(options.pop("weights", None))
    if options:
        raise TypeError(f"loads() got an unexpected argument {next(iter(options))!r}")
    source = Source(name or f"<{format}>", None, data)
    return _model(source, chosen, format, name or "", weights=trained)


def _options(
    phase: str = "TEST",
    stages: Sequence[str] = (),
    class_name: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    level: int | None = None,
    path: str | Path | None = None,
) -> Options:
    """What a caller says of how to read. Raises UsageError for a phase or a folder that there is not."""
    if phase.upper() not in ("TEST", "TRAIN"):
        raise UsageError(f"no phase {phase!r}", "E002", hint="TEST or TRAIN")
    return Options(phase.upper(), tuple(stages), class_name, dict(arguments or {}), level, _folder(path))


def _folder(path: str | Path | None) -> str | None:
    """A folder of modules; raises UsageError where there is none."""
    if path is not None and not os.path.isdir(path):
        raise UsageError(f"{path} is no folder", "E002", hint="--path names the folder whose modules are imported")
    return None if path is None else str(path)


def _no_such(path: Path, name: str) -> ModelError:
    if os.path.isdir(path):
        return ModelError("this is a folder, not a definition", "E202", location=name, hint="name a file inside it")
    if os.path.islink(path):
        return ModelError("this link leads nowhere", "E202", location=name, hint=f"it points to {os.readlink(path)}")
    if os.path.exists(path):
        return ModelError("this is no file but a pipe or a device", "E202", location=name, hint="write it into a file")
    return zoo.unknown(name)
