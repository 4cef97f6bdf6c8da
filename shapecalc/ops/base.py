"""The row type of an operator, what a row may look at, and the registry.

An operator is one `Operator` in one file of this folder: its shape rule, what it requires, the weights it needs, its
window (for inverse and receptive field), its cost, its formula and how ONNX says it. Everything else in shapecalc asks
the row; nothing else switches on an operator's name (docs/adding-an-operator.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from .. import dims
from ..dialects import Dialect
from ..dims import Dim, Shape, Unknown, Verdict
from ..graph import Graph, Node, Param, Tensor, places
from ..window import TransposedWindow, Window

AnyWindow: TypeAlias = Window | TransposedWindow


class Detail(NamedTuple):
    """The words of a failed requirement: the rule with its numbers, what was wanted and what was given."""

    message: str
    expected: str = ""
    actual: str = ""
    hint: str = ""


class Need(NamedTuple):
    """A requirement: its verdict, the error code, and words that are only made when it fails.

    ``blocks``: the shape rule makes no sense without it, so the outputs are unknown.
    """

    verdict: Verdict
    code: str
    words: Callable[[], Detail]
    blocks: bool = False


class Entered(NamedTuple):
    """What came of walking a subgraph: its outputs, what does not fit inside, at which of many sizes it fits."""

    outputs: list[Tensor]
    problems: list[Any]
    fits: Any


class Scope:
    """What the calls of one graph share.

    ``graph`` is that graph, ``givers`` tells the layer each value comes from. ``enter`` walks a subgraph for given
    inputs; `Call.report` adds what it found to the problems of the net. ``inside``: the graph is itself a
    subgraph or a function, so its nodes may run any number of times.
    """

    __slots__ = ("dialect", "enter", "givers", "graph", "inside", "opset", "report")

    def __init__(
        self,
        dialect: Dialect,
        *,
        opset: int = 22,
        givers: Mapping[str, str] | None = None,
        graph: Graph | None = None,
        enter: Callable[[Call, Graph, Sequence[Tensor | None]], Entered] | None = None,
        report: Callable[[Entered], None] | None = None,
        inside: bool = False,
    ) -> None:
        self.dialect = dialect
        self.inside = inside
        self.opset = opset
        self.givers = {} if givers is None else givers
        self.graph = graph
        self.enter = enter
        self.report = report


class Call:
    """One node meeting its inputs: all a rule may look at.

    ``inputs`` are tensors in the node's order, None for an input left out.
    """

    __slots__ = ("attrs", "inputs", "node", "scope")

    def __init__(
        self, node: Node, inputs: Sequence[Tensor | None], scope: Scope, attrs: dict[str, Any] | None = None
    ) -> None:
        self.node = node
        self.inputs = inputs
        self.scope = scope
        self.attrs = node.attrs if attrs is None else attrs

    @property
    def dialect(self) -> Dialect:
        """The framework whose rules hold."""
        return self.scope.dialect

    @property
    def opset(self) -> int:
        """The version of ONNX's operators the graph uses."""
        return self.scope.opset

    def enter(self, body: Graph, inputs: Sequence[Tensor | None]) -> Entered:
        """What a subgraph gives for these inputs; it sees the values around this node."""
        if self.scope.enter is None:
            raise MissingInputError(f"{self.name} has subgraphs, which only a trace enters")
        return self.scope.enter(self, body, inputs)

    def report(self, entered: Entered) -> None:
        """What does not fit in a subgraph that certainly runs is a problem of the net."""
        if self.scope.report is not None:
            self.scope.report(entered)

    @property
    def name(self) -> str:
        """The layer's name."""
        return self.node.name

    def attr(self, name: str, default: Any = None) -> Any:
        """An attribute, or ``default`` where it is absent or None."""
        value = self.attrs.get(name)
        return default if value is None else value

    def has(self, index: int) -> bool:
        """Whether input ``index`` is there."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def tensor(self, index: int) -> Tensor:
        """Input ``index``, which must be there."""
        tensor = self.inputs[index] if index < len(self.inputs) else None
        if tensor is None:
            raise MissingInputError(f"{self.name} has no input {index}")
        return tensor

    def shape(self, index: int = 0) -> Shape:
        """Shape of input ``index``; raises OpenRankError where not even its rank is known."""
        tensor = self.inputs[index] if index < len(self.inputs) else None
        if tensor is None:
            raise MissingInputError(f"{self.name} has no input {index}")
        if isinstance(tensor.shape, tuple):
            return tensor.shape
        raise OpenRankError(tensor.shape)

    def rank(self, index: int = 0) -> int | None:
        """Rank of input ``index``, None where it is not known or the input is absent."""
        tensor = self.inputs[index] if index < len(self.inputs) else None
        return None if tensor is None or isinstance(tensor.shape, Unknown) else len(tensor.shape)

    def contents(self, index: int) -> tuple[Dim, ...] | None:
        """Contents of a small integer input, None where they are not known or the input is absent."""
        return self.inputs[index].contents if self.has(index) else None  # type: ignore[union-attr]

    def giver(self, index: int = 0) -> str:
        """The layer that input ``index`` comes from, for messages."""
        name = self.node.inputs[index] if index < len(self.node.inputs) else ""
        return self.scope.givers.get(name, name) or "the input"

    def weight(self, index: int) -> Param | None:
        """The parameter that input ``index`` is, None where a layer or nobody gives it."""
        graph = self.scope.graph
        return None if graph is None or index >= len(self.node.inputs) else graph.params.get(self.node.inputs[index])

    # -- layout ---------------------------------------------------------------------------------------------------
    @property
    def layout(self) -> str:
        """ "NCHW" or "NHWC"."""
        return str(self.attr("layout", "NCHW"))

    @property
    def channel_axis(self) -> int:
        """The axis of the channels of input 0."""
        return 1 if self.layout == "NCHW" else len(self.shape()) - 1

    @property
    def spatial(self) -> Shape:
        """Height, width, … of input 0."""
        return places(self.shape(), self.layout)

    @property
    def channels(self) -> Dim:
        """Channels of input 0."""
        return self.shape()[self.channel_axis]

    def image(self, channels: Dim, spatial: Iterable[Dim]) -> Shape:
        """A shape like input 0's with these channels and this height, width, …."""
        batch = self.shape()[0]
        return (batch, channels, *spatial) if self.layout == "NCHW" else (batch, *spatial, channels)

    def axis(self, value: int, rank: int | None = None) -> int:
        """A possibly negative axis as one that counts from 0; raises ValueError where there is none, nor an end."""
        count = len(self.shape()) if rank is None else rank
        if not -count <= value <= count:
            raise ValueError(f"axis {value} of {count}")
        return value + count if value < 0 else value


#: What a rule raises when attributes contradict each other; recorded as a problem of that layer.
MALFORMED = (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError, ZeroDivisionError)
#: The names of ONNX's own domain, which is closed.
OWN_DOMAIN = frozenset({"", "ai.onnx"})
#: onnxruntime and onnx.checker know no tensor of more axes than this; a damaged file may claim millions.
MOST_AXES = 64


class OpenRankError(Exception):
    """A rule asked for the shape of a value whose rank is unknown; the reason travels on."""

    def __init__(self, unknown: Unknown) -> None:
        super().__init__(unknown.reason)
        self.unknown = unknown


class MissingInputError(Exception):
    """A rule asked for an input the node does not have."""


class Lowered(NamedTuple):
    """What a node becomes in plain ONNX: nodes in order, and parameters they need besides the node's own."""

    nodes: list[Node]
    params: list[Param] = []  # noqa: RUF012  never changed in place


Shapes: TypeAlias = Sequence[Shape | Unknown]
Moved: TypeAlias = Callable[["Call", Sequence[int]], dict[str, Any]]


class Operator:
    """One operator: rules side by side, each a small pure function of a `Call`.

    =========== ==================================================================================================
    shapes      output shapes
    needs       requirements, each with the sentence that explains its failure
    weights     input position -> shape the parameter must have, for definitions without weights
    windows     the window along each spatial axis of input 0, for the inverse and the receptive field
    macs        multiply-accumulates of one call
    formula     how the output follows from the numbers, as text
    contents    contents of the first output (of every output: a list), for small tensors that shapes are made of
    dtype       element type of the outputs (of every output: a list), where it is not that of input 0
    tensors     whole outputs at once, in the place of shapes, contents and dtype: for operators with subgraphs
    constants   input positions that no training changes: running statistics, bounds, amounts
    images      it speaks of channels and places, so that its attribute ``layout`` says which axis is which
    moved       its attributes where the axes of its inputs stand in another order (old axes in their new order), for
                operators that can work in any; without it, inputs are taken as they lie
    lower       plain ONNX nodes with the same numbers, where the node is not ONNX as it stands
    =========== ==================================================================================================
    """

    __slots__ = (
        "constants",
        "contents",
        "dtype",
        "elementwise",
        "formula",
        "images",
        "lower",
        "macs",
        "moved",
        "name",
        "needs",
        "shapes",
        "source",
        "tensors",
        "weights",
        "windows",
    )

    def __init__(
        self,
        name: str,
        shapes: Callable[[Call], Shapes],
        *,
        needs: Callable[[Call], Iterator[Need]] | None = None,
        weights: Callable[[Call], dict[int, Shape]] | None = None,
        windows: Callable[[Call], Sequence[AnyWindow]] | None = None,
        macs: Callable[[Call, Shapes], Dim] | None = None,
        formula: Callable[[Call, Shapes], str] | None = None,
        contents: Callable[[Call], tuple[Dim, ...] | list[tuple[Dim, ...] | None] | None] | None = None,
        dtype: Callable[[Call], str | list[str | None] | None] | None = None,
        lower: Callable[[Call, Shapes], Lowered | None] | None = None,
        tensors: Callable[[Call], list[Tensor]] | None = None,
        constants: tuple[int, ...] = (),
        elementwise: bool = False,
        images: bool = False,
        moved: Moved | None = None,
        source: str = "",
    ) -> None:
        self.name = name
        self.shapes = shapes
        self.needs = needs
        self.weights = weights
        self.windows = windows
        self.macs = macs
        self.formula = formula
        self.contents = contents
        self.dtype = dtype
        self.lower = lower
        self.tensors = tensors
        self.constants = constants
        self.images = images
        self.moved = moved
        self.elementwise = elementwise  # every output element depends on the same place of the inputs only
        self.source = source  # where the rule comes from

    def __repr__(self) -> str:
        return f"Operator({self.name!r})"


OPERATORS: dict[tuple[str, str], Operator] = {}


def register(*rows: Operator, domain: str = "") -> None:
    """Adds rows to the registry; a name may stand only once in a domain."""
    for row in rows:
        key = (domain, row.name)
        if key in OPERATORS:
            raise ValueError(f"operator {row.name!r} is registered twice")
        OPERATORS[key] = row


# -- rules that many rows share ---------------------------------------------------------------------------------------


def same_shape(call: Call) -> Shapes:
    """Every output has the shape of input 0."""
    return [call.shape()] * len(call.node.outputs)


def unmoved(call: Call, order: Sequence[int]) -> dict[str, Any]:
    """The attributes of an operator that knows no axes."""
    return call.attrs


def moved_axis(call: Call, order: Sequence[int]) -> dict[str, Any]:
    """The attributes with ``axis`` at its new place."""
    axis = call.attrs.get("axis")
    return call.attrs if axis is None else {**call.attrs, "axis": order.index(call.axis(int(axis)))}


def need_rank(call: Call, *ranks: int, index: int = 0, at_least: int | None = None) -> Need:
    """Input ``index`` must have one of these ranks (or at least ``at_least``)."""
    rank = call.rank(index)
    fits = None if rank is None else rank in ranks or (at_least is not None and rank >= at_least)
    wanted = f"{at_least} or more" if at_least is not None else " or ".join(map(str, ranks))

    def words() -> Detail:
        shape = dims.show(call.tensor(index).shape)
        return Detail(
            f"{call.name} takes a tensor of {wanted} dimensions, {call.giver(index)} gives {rank}",
            f"{wanted} dimensions",
            f"{shape} ({rank})",
        )

    return Need(fits, "E108", words, blocks=True)


def factors(shape: Iterable[Dim]) -> str:
    """``256·6·6``."""
    return "·".join(str(d) for d in shape)


def number(value: Dim) -> str:
    """A count for messages, with thousands separated: ``12,544``."""
    return f"{value:,}" if isinstance(value, int) else str(value)


def counted(value: Dim, noun: str) -> str:
    """``1 channel``, ``3 channels``."""
    return f"{number(value)} {noun}{'' if isinstance(value, int) and value == 1 else 's'}"
