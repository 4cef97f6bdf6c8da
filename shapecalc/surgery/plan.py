"""Putting a change together: the head, the input and the repair it needs, traced."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

from .. import literal
from ..definition import Definition
from ..dims import Shape, all_numbers, is_number
from ..errors import RefusedError, UsageError
from ..graph import Graph, places
from ..sizes import reference
from ..trace import Trace, first_input
from .criteria import Criteria, judged
from .cutting import cut_at
from .diff import Diff, diff
from .draft import Draft
from .edits import SetInput
from .free import leave_free
from .front import ResizeInput, resize
from .heads import replace_heads
from .new_head import ReplaceHead
from .repairs import Repair, followed, interpolating, obstacle, propose
from .saved import Saved, fingerprint
from .training import Training, training
from .wishes import Wishes, idle, need_one_answer, wish

#: Names a user may give to ``--repair``, and "none" for no repair at all.
REPAIRS = ("rebake", "crop", "pad", "scale", "insert-pool", "rounding", "window", "resize", "none")

#: Codes of problems of a layer whose weights are for another number of inputs.
WEIGHTS_DIFFER = frozenset({"E101", "E102"})

REMARK = (
    "the sigmoid behind {} answered yes or no and stays: each class gets an answer of its own; for one of many, put a "
    "softmax in its place"
)


class Surgery:
    """What will be changed, and the trace of the result; nothing is written.

    ``edits`` in order, ``graph`` the edited net, ``trace`` its trace at the wanted input, ``repairs`` every repair that
    was found, best first, ``kept`` what the edits promise.
    """

    def __init__(self, draft: Draft, traced: Trace, repairs: list[Repair]) -> None:
        self.model = draft.model
        self.edits = draft.edits
        self.graph = draft.graph
        self.trace = traced
        self.repairs = repairs
        self.unrepaired = draft.unrepaired
        self.asked = draft.asked
        self.kept = draft.kept
        self.about = dict(draft.about)
        self.idle: tuple[str, ...] = ()
        self._diff: Diff | None = None

    @classmethod
    def make(
        cls,
        model: Definition,
        *,
        classes: int | None = None,
        input: literal.Spec = None,  # noqa: A002  the contract's word
        repair: str | None = None,
        choice: int | None = None,
        wishes: Wishes = Wishes(),  # noqa: B008  a tuple
    ) -> Self:
        """The plan for another number of classes, another input, or both, and what else is wished for.

        ``choice`` None: the best repair that is not carried out only by name.
        """
        if classes is None and wishes.names:
            classes = len(wishes.names)
        if classes is None and input is None and not wishes.change:
            raise UsageError(
                "nothing to change", "E002", hint="--classes 13, --input 256, or both; --help lists the rest"
            )
        wishes.check()
        if classes is not None and (isinstance(classes, bool) or not isinstance(classes, int) or classes < 1):
            raise UsageError(f"{classes!r} classes make no sense", "E002", hint="a whole number, 1 or more")
        if repair is not None and repair not in REPAIRS:
            raise UsageError(f"no repair {repair!r}", "E002", hint=f"one of {', '.join(REPAIRS)}")
        feeds = model.feeds(input)
        draft = Draft(model.told(feeds), feeds)
        need_one_answer(draft, wishes, model.graph)
        wishes = _with_batch(draft, wishes)
        if classes is not None:
            _with_head(draft, classes, wishes)
        wish(draft, wishes)
        natives = dict(draft.native)
        if input is not None:
            _with_input(draft)
            leave_free(draft, natives, wishes.interpolate)
        traced = draft.at_feeds()
        draft.unrepaired = traced
        repairs = _resized(draft, natives, traced) if repair == "resize" else _repairs(draft, natives, traced)
        if wishes.interpolate:
            repairs = interpolating(repairs, wishes.interpolate, traced, draft.model.retrace)
        if (not traced.ok and repair != "none") or (repairs and traced.ok and repair in (None, "rebake", "resize")):
            chosen = _chosen(draft.model, traced, repairs, repair, choice)
            for edit in chosen.edits:
                draft.do(edit)
            traced = chosen.trace
        elif choice not in (None, 1):
            unasked = "without --plan: it fits as it is"
            hint = unasked if traced.ok else "--repair none takes none of the plans: leave one of the two out"
            raise UsageError(f"there is no plan {choice}", "E002", hint=hint)
        if not traced.ok:
            raise _refusal(draft.model, traced, repair, repairs)
        made = cls(draft, traced, repairs)
        made.idle = idle(draft.edits, wishes)
        return made

    @classmethod
    def cut(
        cls,
        model: Definition,
        *,
        at: Sequence[str] = (),
        features: bool = False,
        pool: str | None = None,
        flatten: bool = False,
        input: literal.Spec = None,  # noqa: A002  the contract's word
    ) -> Self:
        """The plan for the net up to some of its layers, at ``input``."""
        feeds = model.feeds(input)
        draft = Draft(model.told(feeds), feeds)
        found = draft.at_feeds()
        draft.do(cut_at(found, at, features=features, pool=pool or "", flatten=flatten))
        draft.about["cut"] = "features" if features else "-".join(re.sub(r"\W+", "_", name).strip("_") for name in at)
        if input is not None:
            _with_input(draft)
        traced = draft.at_feeds()
        if not traced.ok:
            raise _refusal(draft.model, traced)
        return cls(draft, traced, [])

    @classmethod
    def replay(cls, model: Definition, saved: Saved) -> Self:
        """The plan that was saved, on this model. Raises RefusedError where it was made for another net."""
        draft = Draft(model.told(saved.feeds), saved.feeds)
        saved.check(draft.model)
        for edit in saved.edits:
            try:
                draft.do(edit)
            except (LookupError, TypeError, ValueError, ArithmeticError, StopIteration, AttributeError) as error:
                kind = edit.to_dict()["edit"]
                raise RefusedError(
                    f"the plan's {kind} of {edit.layer} cannot be done",
                    "E304",
                    because=str(error) or type(error).__name__,
                    hint="plan it anew: shapecalc retarget --dry-run --save-plan FILE",
                ) from None
        draft.about |= saved.about
        traced = draft.at_feeds()
        if not traced.ok:
            raise _refusal(draft.model, traced)
        return cls(draft, traced, [])

    def saved(self) -> Saved:
        """The plan as a value that is written to a file and done again, on this model or one of the same layers."""
        return Saved(self.model.name, tuple(self.edits), self.asked, self.about, fingerprint(self.model.graph))

    def diff(self) -> Diff:
        """The result against the original: layers added, removed, replaced and changed, sizes and costs."""
        if self._diff is None:
            self._diff = diff(self.model, self.trace, self.name)
        return self._diff

    def criteria(self) -> list[Criteria]:
        """What each of the repairs is chosen by, in their order."""
        if self.unrepaired is None:
            return []
        return [judged(self.unrepaired, repair.trace) for repair in self.repairs]

    def remarks(self) -> list[str]:
        """What may not be meant: a head of yes or no whose sigmoid stays; windows; wishes without effect."""
        single = {edit.name for edit in self.edits if isinstance(edit, ReplaceHead) and edit.before == 1 < edit.after}
        given: dict[str, str] = {}  # value of such a head -> the head
        squashed = []
        for layer in self.trace.layers:
            if layer.name in single:
                given.update(dict.fromkeys(layer.node.outputs, layer.name))
                squashed += [layer.name] * (getattr(layer.node.attrs.get("activation"), "op", "") == "Sigmoid")
            elif layer.op == "Sigmoid" and layer.node.inputs[0] in given:
                squashed.append(given[layer.node.inputs[0]])
        return [*(REMARK.format(head) for head in squashed), *self._of_export(), *self.idle]

    def _of_export(self) -> list[str]:
        """What is taken to be meant where an export does not say it."""
        if self.model.graph.format != "onnx":
            return []
        from .exports.remarks import remarks
        from .exports.retable import left_behind

        scaled = any(isinstance(edit, ResizeInput) for edit in self.edits)
        behind = left_behind(self.graph, self.trace.feeds) if "input" in self.about and not scaled else []
        return [*remarks(self.edits, self.model.graph, self.trace), *behind]

    @property
    def name(self) -> str:
        """The result's name: ``alexnet-13classes-256``."""
        return "-".join([self.model.name, *self.about.values()])

    def training(self, until: str | None = None) -> Training:
        """How to go on training the result: what is frozen (up to the layer ``until``), tuned and new, how fast.

        Raises UsageError where no layer has that name.
        """
        return training(self.model.graph, self.trace, until)

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON prints it."""
        return {
            "schema": "shapecalc.plan/1",
            "model": self.model.name,
            "name": self.name,
            "edits": [edit.to_dict() for edit in self.edits],
            "repairs": [self._repair(*row) for row in zip(self.repairs, self.criteria(), strict=True)],
            "diff": self.diff().to_dict(),
            "remarks": self.remarks(),
            "trace": self.trace.to_dict(),
        }

    def _repair(self, repair: Repair, criteria: Criteria) -> dict[str, Any]:
        edits = [edit.to_dict() for edit in repair.edits]
        return {"name": repair.name, "chosen": self.chosen(repair), "edits": edits, **criteria.to_dict()}

    def chosen(self, repair: Repair) -> bool:
        """Whether a repair is the one that the plan carries out."""
        return tuple(repair.edits) == tuple(self.edits[-len(repair.edits) :])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {[edit.describe() for edit in self.edits]})"


def _with_head(draft: Draft, classes: int, wishes: Wishes) -> None:
    if not draft.trace.ok:
        raise RefusedError(
            f"{draft.model.name} does not fit this input, so its head cannot be told",
            "E301",
            because=draft.trace.problems[0].headline,
            hint=f"shapecalc trace {draft.model.typed} {draft.model.asked(draft.trace)} shows what does not fit",
        )
    for edit in replace_heads(draft.graph, draft.trace, classes, wishes.head, wishes.start, draft.model.typed):
        draft.do(edit)
    wanting = next((problem for problem in draft.trace.problems if problem.code in WEIGHTS_DIFFER), None)
    if wishes.head and wanting is not None:
        raise RefusedError(
            f"{', '.join(wishes.head)} gives no classes: {wanting.layer} behind it has weights for {wanting.expected}",
            "E301",
            location=wanting.location,
            expected=wanting.expected,
            actual=wanting.actual,
            because=f"{wanting.layer} keeps its weights, and they are for another number of inputs",
            hint="leave --head out, or name the layer that gives the scores",
        )
    draft.about["classes"] = f"{classes}classes"


def _with_batch(draft: Draft, wishes: Wishes) -> Wishes:
    """A batch that the input's shape leaves free, where height or width is free too, is one that is wished for."""
    given = first_input(draft.graph)
    wanted, native = (shapes.get(given.name, ()) if given is not None else () for shapes in (draft.feeds, draft.native))
    if draft.graph.format != "onnx" or wishes.batch is not None or not wanted or not native:
        return wishes
    if is_number(wanted[0]) or not is_number(native[0]) or all_numbers(wanted[1:]):
        return wishes
    return wishes._replace(batch=str(wanted[0]))


def _with_input(draft: Draft) -> None:
    for given in draft.graph.inputs:
        wanted = draft.feeds.get(given.name)
        if wanted is not None and wanted != given.native:
            draft.do(SetInput(given.name, given.native, wanted))
    draft.about["input"] = _size_text(draft.graph, draft.feeds)


def _size_text(graph: Graph, feeds: Mapping[str, Shape]) -> str:
    name, shape = next(iter(feeds.items()), ("", ()))
    layout = next((given.layout for given in graph.inputs if given.name == name), "NCHW")
    spatial = places(shape, layout) if len(shape) == 4 else shape
    return str(spatial[0]) if len(set(map(str, spatial))) == 1 and spatial else "x".join(map(str, spatial))


def _repairs(draft: Draft, natives: Mapping[str, Shape], traced: Trace) -> list[Repair]:
    """Repairs of the net as edited; the sizes of its maps are read off its trace at the input it was made for.

    A net that fits may still hold what was written down for another size: a mask of 64 windows that 256 windows meet
    as four images. Only that is looked for then.
    """
    if (traced.ok and natives == draft.feeds) or reference(draft.model) is None:
        return []
    fitting = draft.model.retrace(draft.graph, natives)
    if traced.ok:
        return followed(traced, fitting, draft.model.retrace)
    return propose(traced, fitting, draft.model.retrace) + _resized(draft, natives, traced)


def _resized(draft: Draft, natives: Mapping[str, Shape], traced: Trace) -> list[Repair]:
    """The image scaled in front to the size the net is made for, or, where that is free, to the nearest that fits."""
    given = first_input(draft.graph)
    known = given is not None and all_numbers(places(natives.get(given.name, ()), given.layout))
    near = None if known else _nearest(draft.model, traced)
    if given is not None and near is not None:
        shape = list(draft.feeds[given.name])
        first = 1 if given.layout == "NHWC" else 2
        shape[first : first + 2] = near.size
        natives = {given.name: tuple(shape)}
    edit = resize(traced, natives)
    if edit is None:
        return []
    found = draft.model.retrace(edit.apply(draft.graph), draft.feeds)
    return [Repair("resize", (edit,), found, len(traced.layers), False, named=True)] if found.ok else []


def _chosen(model: Definition, traced: Trace, repairs: list[Repair], name: str | None, choice: int | None) -> Repair:
    fitting = [r for r in repairs if r.name == name or (name is None and not (r.named and choice is None))]
    if not fitting:
        raise _refusal(model, traced, name, repairs)
    choice = choice or 1
    if not 1 <= choice <= len(fitting):
        raise UsageError(f"there is no plan {choice}", "E002", hint=f"1 to {len(fitting)}")
    return fitting[choice - 1]


def _refusal(
    model: Definition, traced: Trace, wanted: str | None = None, others: Sequence[Repair] = ()
) -> RefusedError:
    """What to raise where no repair, or not the one that was ``wanted``, makes it fit; ``others`` would."""
    first, near = traced.problems[0], _nearest(model, traced)
    who = {None: "no weightless repair makes it fit", "none": "without a repair it does not fit"}
    hint = near.hint() if near is not None and not (first.code == "E102" and first.hint) else first.hint
    if others:
        hint = "; ".join(filter(None, [_instead(others), hint]))
    return RefusedError(
        f"{who.get(wanted, f'the repair {wanted} does not make it fit')}: {first.message}",
        "E302",
        location=first.location,
        expected=first.expected,
        actual=first.actual,
        because=_because(model, traced),
        hint=hint or f"shapecalc sizes {model.typed} lists what fits",
    )


def _instead(others: Sequence[Repair]) -> str:
    """What to type for one of the repairs that would make it fit."""
    if all(repair.named for repair in others):
        return ", or ".join(f"--repair {repair.name}: {repair.describe()}" for repair in others)
    names = " or ".join(dict.fromkeys(repair.name for repair in others))
    return f"--repair {names}, or no --repair at all"


#: A closed form that is told whole in a hint has fewer characters.
LONGEST_FORM = 60


class _Nearest(NamedTuple):
    """The height and width nearest to what was asked that fit as they are, and all sizes that do, in words."""

    size: tuple[int, int]
    sizes: str

    def hint(self) -> str:
        """What to ask for instead."""
        near = str(self.size[0]) if len({*self.size}) == 1 else "x".join(map(str, self.size))
        if len(self.sizes) > LONGEST_FORM:
            return f"{near} fits without a repair"
        return f"sizes {self.sizes} fit without a repair, nearest {near}"


def _nearest(model: Definition, traced: Trace) -> _Nearest | None:
    """What fits near the input of a trace; None where nothing does, or no image of known size goes in."""
    from ..sizes import valid_sizes

    given = first_input(traced.graph)
    shape = traced.feeds[given.name].shape if given is not None and given.name in traced.feeds else ()
    size = places(shape, given.layout) if given is not None and isinstance(shape, tuple) and len(shape) == 4 else ()
    if not size or not all_numbers(size):
        return None
    height, width = map(int, size)
    try:
        found = valid_sizes(model)
    except UsageError:
        return None
    square = found.nearest(height)
    near = found.nearest_rectangle(height, width) if height != width else None if square is None else (square, square)
    return None if near is None else _Nearest(near, str(found))


def _because(model: Definition, traced: Trace) -> str:
    """What stands in the way: trained weights, or what is left once an export's constants are written anew."""
    first, fitting = traced.problems[0], reference(model)
    if first.code == "E101":
        return f"{first.layer} has trained weights of a fixed size"
    left = obstacle(traced, fitting, model.retrace) if fitting is not None else None
    if left is not None:
        return f"with the export's constants written anew, {left}"
    wanted = f" for {first.expected}" if first.expected else ""
    return f"what stands in {first.layer} is{wanted or ' for another size'}, and no repair without weights changes that"
