"""Why an input does not fit: the shortest chain of layers behind the misfit, where the first pixel is lost, what is
wanted against what is offered, where branches part, and ways out that were each run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import literal
from ..definition import Definition
from ..dims import Expr, Shape
from ..errors import UsageError
from ..explain import Note, notes
from ..graph import places
from ..problem import Baked
from ..said import Said, recognise
from ..said.meaning import tell
from ..said.told import Told
from ..trace import Problem, Trace, first_input
from .cause import SIZES, Cause, cause_of
from .chain import amount
from .tie import Tie, tie
from .tried import Tried, try_edits, try_inputs

if TYPE_CHECKING:
    from ..intervals import Interval
    from ..model import Model
    from ..sizes import Sizes

__all__ = ["SIZES", "Baked", "Cause", "Tie", "Tried", "Why", "amount", "explain", "said_dict"]


class Why:
    """The answer of `Model.why`: whether the input fits, the cause if not, and ways out that were each run.

    ``said`` is the recognised text with ``told``, its meaning, and ``tie``, what of the model it is about. ``others``
    are problems besides the one explained. ``notes`` tell what is lost where everything fits.
    """

    schema = "shapecalc.why/1"

    def __init__(self, model: str, trace: Trace) -> None:
        self.model = model
        self.trace = trace
        self.typed = model  # what a person types to open it,
        self.asked = ""  # and to feed it
        self.text: str | None = None
        self.said: Said | None = None
        self.told: Told | None = None
        self.tie: Tie | None = None
        self.cause: Cause | None = None
        self.others: list[Problem] = []
        self.sizes: list[Interval] = []  # those that fit, nearest to what was asked
        self.open: int | None = None  # where the last of these ends only because nothing larger was asked
        self.repairs: list[Tried] = []

    @property
    def ok(self) -> bool:
        """Whether everything fits."""
        return self.trace.ok

    @property
    def notes(self) -> list[Note]:
        """What the input loses where it fits."""
        return notes(self.trace)

    def to_dict(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        return {
            "schema": self.schema,
            "model": self.model,
            "dialect": self.trace.dialect,
            "inputs": {
                v.name: [str(d) if isinstance(d, Expr) else d for d in v.shape or ()] for v in self.trace.inputs
            },
            "ok": self.ok,
            "error": said_dict(self.text, self.said, self.told) if self.text is not None else None,
            "about": self.tie.to_dict() if self.tie is not None else None,
            "cause": self.cause.to_dict() if self.cause is not None else None,
            "others": [problem.to_dict() for problem in self.others],
            "sizes": [list(interval) for interval in self.sizes],
            "repairs": [tried.to_dict() for tried in self.repairs],
            "notes": [note._asdict() for note in self.notes],
        }

    def __repr__(self) -> str:
        return f"Why({self.model!r}, {'fits' if self.ok else self.cause and self.cause.problem.message})"


def said_dict(text: str, said: Said | None, told: Told | None) -> dict[str, Any]:
    """A text and its meaning, as JSON prints them."""
    known = (said.to_dict() | told._asdict()) if said is not None and told is not None else {}
    return {"text": text, "recognised": said is not None, **{k: _listed(v) for k, v in known.items()}}


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def explain(
    model: Model,
    input: literal.Spec = None,  # noqa: A002  the contract's word
    *,
    error: str | None = None,
    dialect: str | None = None,
    run: bool = True,
) -> Why:
    """See `Model.why`."""
    said = recognise(error) if error is not None else None
    tied = tie(model, said, input, dialect) if said is not None else None
    spec = tied.spec if tied is not None else input
    traced = model.trace(_concrete(model, spec), dialect=dialect)
    answer = Why(model.name, traced)
    answer.typed, answer.asked = model.typed, model.asked(traced)
    answer.text, answer.said, answer.tie = error, said, tied
    answer.told = tell(said) if said is not None else None
    if traced.problems:
        problem = _focus(traced, tied)
        answer.cause = cause_of(model, traced, problem)
        answer.others = [p for p in traced.problems if p is not problem]
        _ways_out(model, answer, run)
    return answer


def _concrete(model: Definition, spec: literal.Spec) -> dict[str, Shape]:
    """The feeds with one item in the place of a free batch: numbers read better than expressions of N."""
    feeds = model.feeds(spec)
    layouts = {given.name: given.layout for given in model.graph.inputs}
    for name, shape in feeds.items():
        if len(shape) == 4 and any(isinstance(d, Expr) for d in places(shape, layouts[name])):
            raise UsageError(
                f"{model.name} leaves the size of {name} free, so there is nothing to ask about yet",
                "E207",
                hint="give it: --input 224",
            )
    return {name: tuple(1 if isinstance(d, Expr) else d for d in shape) for name, shape in feeds.items()}


def _focus(traced: Trace, tied: Tie | None) -> Problem:
    """The problem a text is about, else the first: the ones behind it may follow from it."""
    named = [p for p in traced.problems if tied is not None and p.layer == tied.layer]
    return (named or traced.problems)[0]


# -- ways out ---------------------------------------------------------------------------------------------------------


def _ways_out(model: Model, answer: Why, run: bool) -> None:
    """The nearest inputs that fit and the best edits, each run."""
    misfit = answer.trace
    try:
        sizes = model.sizes(dialect=misfit.dialect)
    except UsageError:
        sizes = None
    if sizes is not None:
        answer.sizes = _near(sizes, misfit)
        answer.open = sizes.limit if sizes.limit + 1 in sizes else None
        answer.repairs += try_inputs(model, misfit, sizes, run)
    given = first_input(misfit.graph)
    fed = misfit.feeds.get(given.name) if given is not None else None  # None: it is a sequence or a dictionary
    shape = fed.shape if fed is not None else None
    if not isinstance(shape, tuple):
        return
    advice = model.advice(misfit)
    command = f"shapecalc retarget {model.typed} {model.asked(misfit)}"
    answer.repairs += try_edits(model, advice.repairs, shape, command, run)


#: Intervals of sizes named near what was asked.
NEAR = 4


def _near(sizes: Sizes, misfit: Trace) -> list[Interval]:
    """The intervals of square sizes nearest to the input, in order."""
    given = first_input(misfit.graph)
    shape = misfit.feeds[given.name].shape if given is not None else ()
    asked = places(shape, given.layout) if given is not None and isinstance(shape, tuple) else ()
    if not asked or not isinstance(asked[0], int):
        return []
    middle = asked[0]

    def distance(interval: Interval) -> int:
        low, high = interval
        return max(low - middle, 0 if high is None else middle - high, 0)

    return sorted(sorted(sizes.intervals, key=distance)[:NEAR])
