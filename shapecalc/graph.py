"""The graph: nodes that name the values they read and write, parameters, inputs. Small and immutable.

An edited graph shares every untouched node with the original, so "what changed" is a comparison of identities.
Operators are ONNX's by name and meaning; what ONNX cannot say is an extra attribute:

=================== ================ ===================================================================================
attribute           on               meaning
=================== ================ ===================================================================================
``layout``          any              "NHWC" where the channels come last (one, two or three places between); the values
                                     keep the framework's order, and so do the axes that attributes name
``activation``      any              an `Activation` applied to the first output, where a layer ends in one
``weight_order``    Conv, …          how the weight lies: "OIHW" (ONNX's), "HWIO", or "HWIM" of a depthwise one (Keras)
``ceil_mode`` None  pooling          the definition does not say; the dialect decides
``axis``            Gemm             the input is flattened from this axis first (Caffe InnerProduct, Chainer Linear)
``channels``        Conv, Gemm, …    number of outputs, for weights that are not sized yet
``phase``           Dropout, …       "TRAIN" or "TEST"
=================== ================ ===================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from .dims import Dim, Shape, Unknown, all_numbers
from .source import Origin

#: Operators that only hand on sizes and constants: tables leave them out, JSON keeps them.
PLUMBING = frozenset({"Constant", "ConstantOfShape", "Shape"})


class Location(NamedTuple):
    """Where a parameter's bytes lie: a file, the first byte, how many."""

    path: str
    offset: int
    length: int


class Tensor:
    """What is known of a value before anything runs: shape, element type and, for small integer tensors, contents.

    ``shape`` is a tuple of dimensions, or Unknown where not even the rank is known. ``contents`` is flat, row-major.
    """

    __slots__ = ("contents", "dtype", "shape")

    def __init__(
        self, shape: Shape | Unknown, dtype: str | None = None, contents: tuple[Dim, ...] | None = None
    ) -> None:
        self.shape = shape
        self.dtype = dtype
        self.contents = contents

    @property
    def sizes(self) -> tuple[int, ...] | None:
        """The shape where all of it is numbers."""
        return self.shape if isinstance(self.shape, tuple) and all_numbers(self.shape) else None

    def __repr__(self) -> str:
        extra = f", contents={self.contents}" if self.contents is not None else ""
        return f"Tensor({self.shape}, {self.dtype}{extra})"


class Param:
    """A trained tensor: its shape, and where its numbers are. The numbers themselves stay there.

    ``shape`` None: sized by the first input it meets (a definition without weights). ``trained`` tells weights that are
    learned from constants of the graph (a Reshape's target).

    A parameter with ``recipe`` is computed from others (``sources``) and from ``arguments`` when a file is written; the
    name is one of `shapecalc.weights.RECIPES`.
    """

    __slots__ = ("arguments", "contents", "dtype", "name", "origin", "recipe", "shape", "sources", "trained", "where")

    def __init__(
        self,
        name: str,
        shape: tuple[int, ...] | None = None,
        dtype: str = "float32",
        *,
        contents: tuple[Any, ...] | None = None,
        where: Location | None = None,
        trained: bool = True,
        recipe: str | None = None,
        sources: tuple[str, ...] = (),
        arguments: tuple[Any, ...] = (),
        origin: Origin | None = None,
    ) -> None:
        self.name = name
        self.shape = shape
        self.dtype = dtype
        self.contents = contents
        self.where = where
        self.trained = trained
        self.recipe = recipe
        self.sources = sources
        self.arguments = arguments
        self.origin = origin

    def __repr__(self) -> str:
        return f"Param({self.name!r}, {self.shape}, {self.dtype})"


class Activation(NamedTuple):
    """An operator that a layer applies to its own output; it keeps the shape."""

    op: str
    attrs: Mapping[str, Any] = {}
    domain: str = ""


def places(shape: Shape, layout: str = "NCHW") -> Shape:
    """Height, width, … of a map: its shape without batch and channels.

    >>> places((1, 7, 7, 512), "NHWC")
    (7, 7)
    """
    return shape[1:-1] if layout == "NHWC" else shape[2:]


class Reference(NamedTuple):
    """In the place of an attribute's value inside a function: the attribute of the function that gives it.

    ``read`` makes of it what the reader makes of a value that stands there itself: of a type's number its name.
    """

    name: str
    read: Callable[[Any], Any] | None = None

    def bound(self, arguments: Mapping[str, Any]) -> Any:
        """The value that a call gives; None where it gives none."""
        value = arguments.get(self.name)
        return value if value is None or self.read is None else self.read(value)


class Input:
    """A value fed from outside: its declared shape (None where the rank is open, symbols where a dimension is free).

    ``native`` is the shape the net was made for, where the definition tells it apart from the declared one.
    ``role`` is "image", "label" or "other"; a shape without a name is for the first input that is not a label.
    ``unshaped`` is what is known of an input that is no tensor: a sequence, a dictionary, an optional value.
    """

    __slots__ = ("declared", "dtype", "layout", "name", "native", "origin", "role", "unshaped")

    def __init__(
        self,
        name: str,
        declared: Shape | None = None,
        *,
        native: Shape | None = None,
        dtype: str = "float32",
        layout: str = "NCHW",
        role: str = "image",
        origin: Origin | None = None,
        unshaped: Unknown | None = None,
    ) -> None:
        self.name = name
        self.declared = declared
        self.unshaped = unshaped
        self.native = native if native is not None else declared
        self.dtype = dtype
        self.layout = layout
        self.role = role
        self.origin = origin

    def __repr__(self) -> str:
        return f"Input({self.name!r}, {self.declared})"


class Node:
    """One operator: reads ``inputs``, writes ``outputs`` (names of values; "" for one left out).

    ``name`` is the layer's name in its own file. Parameters are inputs too, as in ONNX.
    """

    __slots__ = ("attrs", "domain", "inputs", "name", "op", "origin", "outputs")

    def __init__(
        self,
        name: str,
        op: str,
        inputs: Iterable[str],
        outputs: Iterable[str],
        attrs: Mapping[str, Any] | None = None,
        *,
        origin: Origin | None = None,
        domain: str = "",
    ) -> None:
        self.name = name
        self.op = op
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.attrs = dict(attrs or {})
        self.origin = origin if origin is not None else Origin(op=op)
        self.domain = domain

    def replace(self, **changes: Any) -> Node:
        """A copy with some fields changed; the origin stays, so a patch finds the source."""
        fields = {key: getattr(self, key) for key in ("name", "op", "inputs", "outputs", "attrs", "origin", "domain")}
        fields.update(changes)
        return Node(**fields)

    def input(self, index: int) -> str:
        """The name of input ``index``, "" where it is left out or, in a damaged file, lacking."""
        return self.inputs[index] if index < len(self.inputs) else ""

    def reads(self) -> set[str]:
        """The values it reads: its inputs, and those of the net that the graphs in its attributes read."""
        found = {name for name in self.inputs if name}
        for value in self.attrs.values():
            if isinstance(value, Graph):
                found |= value.captured()
        return found

    def __repr__(self) -> str:
        return f"Node({self.name!r}, {self.op}, {self.inputs} -> {self.outputs})"


class Graph:
    """Nodes in an order in which every value is written before it is read, with inputs, outputs and parameters.

    ``format`` is the file's ("caffe", "chainer", "onnx", …), ``dialect`` the framework whose rules hold by default,
    ``meta`` what a format needs to write the file back (opset versions, the source text). ``functions`` are operators
    that the model defines itself, by (domain, name). ``parameters``: the graph is such a function, with these defaults
    of its attributes.
    """

    __slots__ = (
        "_producers",
        "dialect",
        "format",
        "functions",
        "inputs",
        "meta",
        "name",
        "nodes",
        "opset",
        "outputs",
        "parameters",
        "params",
        "warnings",
    )

    def __init__(
        self,
        name: str,
        inputs: Iterable[Input],
        nodes: Iterable[Node],
        outputs: Iterable[str],
        params: Mapping[str, Param] | Iterable[Param] = (),
        *,
        dialect: str = "onnx",
        format: str = "onnx",  # noqa: A002  the file's format is called format everywhere
        opset: int = 22,
        meta: Mapping[str, Any] | None = None,
        warnings: Iterable[str] = (),
        functions: Mapping[tuple[str, str], Graph] | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.inputs = tuple(inputs)
        self.nodes = tuple(nodes)
        self.outputs = tuple(outputs)
        self.params = dict(params) if isinstance(params, Mapping) else {param.name: param for param in params}
        self.dialect = dialect
        self.format = format
        self.opset = opset
        self.meta = dict(meta or {})
        self.warnings = tuple(warnings)
        self.functions = functions or {}
        self.parameters = parameters
        self._producers: dict[str, Node] | None = None  # made when first asked for

    def replace(self, **changes: Any) -> Graph:
        """A copy with some fields changed; everything else is shared."""
        fields = {key: getattr(self, key) for key in Graph.__slots__ if key != "_producers"}
        fields.update(changes)
        return Graph(**fields)

    def node(self, name: str) -> Node:
        """The node called ``name``; raises KeyError."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    def producers(self) -> dict[str, Node]:
        """Value name -> the node that writes it; not to be changed by who reads it."""
        if self._producers is None:
            self._producers = {output: node for node in self.nodes for output in node.outputs if output}
        return self._producers

    def users(self) -> dict[str, list[Node]]:
        """Value name -> the nodes that read it, in order."""
        users: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                if name:
                    users.setdefault(name, []).append(node)
        return users

    def ancestors(self, values: Iterable[str]) -> Iterator[Node]:
        """The nodes that ``values`` depend on, in graph order."""
        wanted = set(values)
        found: list[Node] = []
        for node in reversed(self.nodes):
            if wanted.intersection(node.outputs):
                wanted.update(node.reads())
                found.append(node)
        return reversed(found)

    def captured(self) -> set[str]:
        """Of a graph inside a node: the values around it that it reads."""
        own = {given.name for given in self.inputs} | self.params.keys() | self.producers().keys()
        return ({name for node in self.nodes for name in node.reads()} | {*self.outputs}) - own

    def pruned(self, outputs: Iterable[str]) -> Graph:
        """What ``outputs`` are computed from: the nodes, parameters and inputs they need.

        Parameters that others are computed from stay, and those that no node read before (a format knows why).
        """
        chosen = tuple(outputs)
        nodes = tuple(self.ancestors(chosen))
        read = {name for node in nodes for name in node.reads()} | {*chosen}
        idle = self.params.keys() - {name for node in self.nodes for name in node.reads()}
        params = {name: param for name, param in self.params.items() if name in read or name in idle}
        waiting = list(params.values())
        for param in waiting:
            found = [self.params[name] for name in param.sources if name not in params]
            params.update((source.name, source) for source in found)
            waiting += found
        inputs = tuple(given for given in self.inputs if given.name in read)
        return self.replace(nodes=nodes, params=params, inputs=inputs, outputs=chosen)

    def __repr__(self) -> str:
        return f"Graph({self.name!r}, {len(self.nodes)} nodes, {self.format})"
