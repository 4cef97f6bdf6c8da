"""Numbers for parameters: trained ones from a file, seeded where there are none, derived ones from others.

Random numbers depend on the seed and the parameter's name alone, so the same layer gets the same weights in the
original and in the edited graph: what an edit leaves alone must then compute the same numbers.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from shlex import quote
from typing import Any, NamedTuple

import numpy
import numpy.typing

from . import memory
from .definition import Definition
from .dims import product, show
from .errors import RefusedError
from .folding import folded
from .graph import Graph, Param
from .resampling import TABLES

Array = numpy.typing.NDArray[Any]


class Slot(NamedTuple):
    """What a parameter is for: which operator reads it, as which input."""

    op: str
    position: int
    turned: bool = False  # a matrix of (inputs, outputs), where most are (outputs, inputs)


#: Recurrent operators; the parameters theirs are made of are matrices of (inputs, outputs).
CELLS = frozenset({"LSTM", "GRU", "RNN"})

#: (operator, input) -> how its numbers start: (kind, what for training from scratch).
ROLES: dict[tuple[str, int], str] = {
    **dict.fromkeys([("Conv", 1), ("ConvTranspose", 1), ("Gemm", 1), ("MatMul", 1)], "weight"),
    **dict.fromkeys([("FusedConv", 1), ("FusedGemm", 1)], "weight"),
    **dict.fromkeys([("Scale", 1), ("BatchNormalization", 1), ("LayerNormalization", 1)], "gain"),
    **dict.fromkeys([("InstanceNormalization", 1), ("GroupNormalization", 1), ("RMSNormalization", 1)], "gain"),
    **dict.fromkeys([("Mul", 0), ("Mul", 1)], "gain"),
    **{(cell, place): "weight" for cell in sorted(CELLS) for place in (1, 2)},
    ("BatchNormalization", 4): "variance",
    ("BatchNormalization", 5): "scale_factor",
    ("PRelu", 1): "slope",
}


def slots(graph: Graph) -> dict[str, Slot]:
    """Parameter name -> its first use, or that as a variance; what only hands it on is looked through.

    That is a Reshape that lines it up with its axis, or an Identity where an export keeps equal tensors once: ones that
    are a gain here and a variance there must not become negative.
    """
    found: dict[str, Slot] = {}
    lined_up: dict[str, str] = {}
    for node in graph.nodes:
        given = lined_up.get(node.inputs[0], node.inputs[0]) if node.inputs else ""
        if node.op in ("Reshape", "Identity") and given in graph.params:
            lined_up[node.outputs[0]] = given
            continue
        for index, value in enumerate(node.inputs):
            name = lined_up.get(value, value)
            if name and (name not in found or ROLES.get((node.op, index)) == "variance"):
                turned = node.op in ("Gemm", "FusedGemm") and index == 1 and not node.attrs.get("transB")
                turned = turned or (node.op in CELLS and index in (1, 2))
                found[name] = Slot(node.op, index, turned)
    for param in graph.params.values():  # a derived parameter's sources are used where it is
        for index, source in enumerate(param.sources):
            if param.name in found:
                slot = Slot("BatchNormalization", 5) if param.recipe == "unscaled" and index == 1 else found[param.name]
                found.setdefault(source, slot)
    for name in lined_up.values():  # handed on to nothing: still numbers that are read
        found.setdefault(name, Slot("Identity", 0))
    return found


def role(name: str, uses: Mapping[str, Slot]) -> str:
    """ "weight", "gain", "variance", "slope", "scale_factor", or "shift" for everything that is added."""
    slot = uses.get(name, Slot("", 0))
    return ROLES.get((slot.op, slot.position), "shift")


def _generator(seed: int, name: str) -> numpy.random.Generator:
    return numpy.random.default_rng([seed, zlib.crc32(name.encode())])


def fan_in(shape: tuple[int, ...]) -> int:
    """Inputs that one output sums over: all axes but the first of a weight."""
    return max(1, int(product(shape[1:])))


def initial(param: Param, kind: str, seed: int) -> Array:
    """Weights to train from: He's normal, std = sqrt(2 / fan-in) (He et al. 2015); gains 1, shifts 0."""
    shape = param.shape or ()
    if kind == "weight":
        noise = _generator(seed, param.name).standard_normal(shape, dtype=numpy.float32)
        return noise * numpy.float32(numpy.sqrt(2.0 / fan_in(shape)))
    fill = {"gain": 1.0, "variance": 1.0, "scale_factor": 1.0, "slope": 0.25}.get(kind, 0.0)
    return numpy.full(shape, fill, numpy.float32)


def proving(param: Param, kind: str, seed: int) -> Array:
    """Weights for a proof: as `initial`, but no gain is exactly 1 and no shift exactly 0, so none can be left out."""
    shape = param.shape or ()
    if kind == "scale_factor":
        return initial(param, kind, seed)
    noise = _generator(seed, param.name).random(shape, dtype=numpy.float32)
    if kind == "weight":  # He's uniform: the same variance as `initial`, in a third of the time
        bound = numpy.float32(numpy.sqrt(6.0 / fan_in(shape)))
        noise *= 2 * bound
        noise -= bound
        return noise
    low, high = {"gain": (0.5, 1.5), "variance": (0.5, 1.5), "slope": (0.1, 0.4)}.get(kind, (-0.1, 0.1))
    return numpy.asarray(noise * numpy.float32(high - low) + numpy.float32(low), numpy.float32)


def _unscaled(value: Array, factor: Array) -> Array:
    """Caffe keeps running sums; a factor of 0 means nothing was summed (batch_norm_layer.cpp)."""
    scale = float(factor.reshape(-1)[0])
    return value * numpy.float32(0.0 if scale == 0 else 1.0 / scale)


def _depthwise(weight: Array) -> Array:
    """Chainer's (multiplier, channels, kh, kw) as ONNX's (channels*multiplier, 1, kh, kw)."""
    multiplier, channels, *kernel = weight.shape
    return weight.transpose(1, 0, 2, 3).reshape(channels * multiplier, 1, *kernel)


def _hwio(weight: Array) -> Array:
    """Keras' (height, width, inputs, outputs) as ONNX's (outputs, inputs, height, width)."""
    return numpy.ascontiguousarray(weight.transpose(weight.ndim - 1, weight.ndim - 2, *range(weight.ndim - 2)))


def _hwim(weight: Array) -> Array:
    """Keras' depthwise (height, width, inputs, multiplier) as ONNX's (inputs*multiplier, 1, height, width)."""
    *kernel, inputs, multiplier = weight.shape
    moved = weight.transpose(weight.ndim - 2, weight.ndim - 1, *range(weight.ndim - 2))
    return numpy.ascontiguousarray(moved.reshape(inputs * multiplier, 1, *kernel))


def _ordered_gates(matrix: Array, order: str) -> Array:
    """Keras' (inputs, gates·units) turned round, its gates i, f, c, o in ONNX's order i, o, f, c."""
    if order != "ifco":
        return matrix.T
    i, f, c, o = numpy.split(matrix.T, 4)
    return numpy.concatenate([i, o, f, c])


def _gates(order: str) -> Callable[..., Array]:
    """Kernels of all directions as ONNX's (directions, gates·units, inputs)."""

    def make(*kernels: Array) -> Array:
        return numpy.ascontiguousarray(numpy.stack([_ordered_gates(kernel, order) for kernel in kernels]))

    return make


def _cudnn_gates(order: str, state: bool) -> Callable[..., Array]:
    """Kernels as cuDNN keeps them: each gate's (inputs, units) holds (units, inputs), of the state as it is shaped.

    keras/saving/legacy/hdf5_format.py of Keras 2, _convert_rnn_weights.
    """
    count = 4 if order == "ifco" else 3

    def one(kernel: Array) -> Array:
        gates = [gate if state else gate.reshape(gate.shape[::-1]) for gate in numpy.split(kernel, count, axis=1)]
        return _ordered_gates(numpy.concatenate(gates).T, order)

    return lambda *kernels: numpy.ascontiguousarray(numpy.stack([one(kernel) for kernel in kernels]))


def _cudnn_biases(order: str) -> Callable[..., Array]:
    """Both biases in one line: of the input, then of the state."""
    return lambda *biases: _gate_biases(order)(*(bias.reshape(2, -1) for bias in biases))


def _gate_biases(order: str) -> Callable[..., Array]:
    """Biases of all directions as ONNX's (directions, 2·gates·units): those of the input, then of the state."""

    def one(bias: Array) -> Array:
        rows = bias if bias.ndim == 2 else numpy.stack([bias, numpy.zeros_like(bias)])
        return numpy.concatenate([_ordered_gates(row[None], order)[:, 0] for row in rows])

    return lambda *biases: numpy.stack([one(bias) for bias in biases])


def _mixed(weight: Array, axis: int, mix: Sequence[Sequence[tuple[int, float]]], channels: int) -> Array:
    """Weights for other input channels: of the trained channel ``i`` each of ``mix[i]`` gets its share, summed."""
    old = numpy.moveaxis(weight, axis, 0)
    new = numpy.zeros((channels, *old.shape[1:]), weight.dtype)
    for row, shares in zip(old, mix, strict=True):
        for channel, share in shares:
            new[channel] += row if share == 1 else row * weight.dtype.type(share)
    return numpy.ascontiguousarray(numpy.moveaxis(new, 0, axis))


def _along(numbers: Sequence[float], axis: int, rank: int) -> Array:
    return numpy.asarray(numbers).reshape([-1 if place == axis else 1 for place in range(rank)])


def _divided(weight: Array, axis: int, std: Sequence[float]) -> Array:
    """Weights that read an image before each channel is divided by its deviation."""
    return numpy.asarray(weight / _along(std, axis, weight.ndim), weight.dtype)


def _shifted(weight: Array, *given: Any) -> Array:
    """A bias that takes off what a constant of each channel gives: (weight, bias if there is one, axis, constants)."""
    *bias, axis, constants = given
    taken = (weight * _along(constants, axis, weight.ndim)).sum(axis=tuple(range(1, weight.ndim)))
    return numpy.asarray((bias[0] if bias else 0.0) - taken, weight.dtype)


def _rows(old: Array, axis: int, rows: tuple[int, ...], spread: float) -> Array:
    """Rows of the old numbers in another order; -1 is a new one, normal noise of this deviation."""
    kept = numpy.take(old, [max(row, 0) for row in rows], axis)
    noise = numpy.random.default_rng(len(rows)).standard_normal(kept.shape, numpy.float32) * numpy.float32(spread)
    new = numpy.asarray([row < 0 for row in rows]).reshape([-1 if i == axis else 1 for i in range(kept.ndim)])
    return numpy.where(new, noise.astype(kept.dtype), kept)


#: How a derived parameter is computed from its sources.
RECIPES: dict[str, Callable[..., Array]] = {
    "unscaled": _unscaled,
    "depthwise": _depthwise,
    "hwio": _hwio,
    "hwim": _hwim,
    "ifco": _gates("ifco"),
    "gates": _gates(""),
    "ifco_bias": _gate_biases("ifco"),
    "gates_bias": _gate_biases(""),
    **{f"cudnn_{order}_input": _cudnn_gates(order, state=False) for order in ("ifco", "gates")},
    **{f"cudnn_{order}_state": _cudnn_gates(order, state=True) for order in ("ifco", "gates")},
    **{f"cudnn_{order}_bias": _cudnn_biases(order) for order in ("ifco", "gates")},
    "mixed": _mixed,
    "window": lambda weight, shape, turned: (weight.T if turned else weight).reshape(shape),
    "divided": _divided,
    "shifted": _shifted,
    "rows": _rows,
    "folded": folded,
    **TABLES,
}
#: Recipes that only move the numbers of one source, so that one made up in ONNX's order can be moved back.
ORDERS: dict[str, Callable[[Array, tuple[int, ...]], Array]] = {
    "hwio": lambda weight, shape: weight.transpose(*range(2, weight.ndim), 1, 0),
    "hwim": lambda weight, shape: numpy.moveaxis(weight[:, 0].reshape(*shape[-2:], *shape[:-2]), (0, 1), (-2, -1)),
}
CONSTANTS = {"ones": 1.0, "zeros": 0.0}
#: How frameworks start a layer, from its inputs and outputs: (the standard deviation, or the bound of a uniform one).
#: Caffe's examples fill a new fully connected layer with a deviation of 0.01; Chainer's LeCunNormal and Keras'
#: GlorotUniform are their defaults; PyTorch's nn.Linear draws weights and biases within 1/sqrt(fan-in).
STARTS: dict[str, tuple[str, Callable[[float, float], float]]] = {
    "gaussian": ("normal", lambda inputs, outputs: 0.01),
    "lecun": ("normal", lambda inputs, outputs: (1 / inputs) ** 0.5),
    "glorot": ("uniform", lambda inputs, outputs: (6 / (inputs + outputs)) ** 0.5),
    "torch": ("uniform", lambda inputs, outputs: (1 / inputs) ** 0.5),
}


class Numbers:
    """Arrays for the parameters of a graph: those given, the derived ones, and seeded ones for the rest."""

    def __init__(
        self,
        graph: Graph,
        given: Mapping[str, Array] | None = None,
        *,
        make: Callable[[Param, str, int], Array] = proving,
        seed: int = 0,
    ) -> None:
        self.graph = graph
        self.given = dict(given or {})
        self.make = make
        self.seed = seed
        self.bytes = 0  # of what was made here; what is given may lie in its file
        self.uses = slots(graph)
        self.orders = {p.sources[0]: p for p in graph.params.values() if p.recipe in ORDERS}

    def array(self, name: str) -> Array:
        """The numbers of one parameter, made when first asked for."""
        if name not in self.given:
            param = self.graph.params[name]
            self.bytes += int(product(param.shape or ())) * numpy.dtype(param.dtype).itemsize
            memory.check(self.bytes, f"the weights up to {name}")
            self.given[name] = self._make(param)
        return self.given[name]

    def filler(self, name: str) -> float:
        """The one number a placeholder holds: 1 where dividing or multiplying by it must do no harm, else 0."""
        param = self.graph.params[name]
        if param.recipe in CONSTANTS:
            return CONSTANTS[param.recipe]
        return 1.0 if role(name, self.uses) in ("gain", "variance", "scale_factor") else 0.0

    def _make(self, param: Param) -> Array:
        shape = param.shape or ()
        if param.contents is not None:
            return numpy.array(param.contents, numpy.dtype(param.dtype)).reshape(shape)
        if param.recipe in CONSTANTS:
            return numpy.full(shape, CONSTANTS[param.recipe], numpy.float32)
        if param.recipe in STARTS:
            return self._started(param, *STARTS[param.recipe])
        if param.recipe in (*TABLES, "folded") and not self.given.keys() >= set(param.sources):
            return self._made_up(param)  # what is made up has none of the regularity that a table is told by
        if param.recipe is not None:
            return RECIPES[param.recipe](*(self.array(source) for source in param.sources), *param.arguments)
        return self._made_up(param)

    def _started(self, param: Param, kind: str, spread: Callable[[float, float], float]) -> Array:
        """Numbers as a framework starts a layer with them."""
        shape = param.shape or (1,)
        slot = self.uses.get(param.name, Slot("", 0))
        inputs, outputs = fan_in(shape), shape[0]
        if slot.turned or slot.op == "MatMul":
            inputs, outputs = shape[0], shape[-1]
        generator = _generator(self.seed, param.name)
        if kind == "normal":
            return generator.standard_normal(shape, numpy.float32) * numpy.float32(spread(inputs, outputs))
        return (generator.random(shape, numpy.float32) * 2 - 1) * numpy.float32(spread(inputs, outputs))

    def _made_up(self, param: Param) -> Array:
        """Seeded numbers; of a weight that lies otherwise as ONNX's, whose fan-in is told by its shape."""
        kind, shape = role(param.name, self.uses), param.shape or ()
        recipe, in_order = self._order(param.name, shape)
        if recipe is not None:
            made = self.make(Param(param.name, in_order), kind, self.seed)
            return numpy.ascontiguousarray(ORDERS[recipe](made, shape))
        if self.uses.get(param.name, Slot("", 0)).turned and len(shape) == 2:
            return numpy.ascontiguousarray(self.make(Param(param.name, shape[::-1]), kind, self.seed).T)
        return self.make(param, kind, self.seed)

    def _order(self, name: str, shape: tuple[int, ...]) -> tuple[str | None, tuple[int, ...] | None]:
        """How a weight is moved on its way into ONNX, and its shape there; looked for through other channels too."""
        derived = self.orders.get(name)
        if derived is not None:
            return derived.recipe, derived.shape
        mixed = [p for p in self.graph.params.values() if p.recipe == "mixed" and name in p.sources]
        if any(self.orders.get(p.name) is not None for p in mixed):
            return "hwio", (shape[-1], shape[-2], *shape[:-2])
        return None, None


# -- trained ----------------------------------------------------------------------------------------------------------

#: Layers named in a refusal before it says how many more there are.
NAMED = 5


def from_file(graph: Graph) -> list[str]:
    """The parameters of a lowered graph that come from a file of weights: not constants, not what is derived."""
    return [p.name for p in graph.params.values() if p.contents is None and p.recipe is None]


def trained(model: Definition, graph: Graph, known: Collection[str] = ()) -> dict[str, Array]:
    """The numbers the model's weight file has for a lowered graph, those ``known`` left out; none without a file.

    What an edit made anew is left out too. Raises RefusedError where the file does not hold what the definition needs,
    ModelError where the definition's own file holds weights that could not be read.
    """
    if model.weights is None:
        if "unread" in model.graph.meta:
            raise model.graph.meta["unread"]
        return {}
    wanted = [name for name in from_file(graph) if name in model.graph.params and name not in known]
    entries = {name: model.given[name] for name in wanted if name in model.given and model.given[name].load is not None}
    absent = [name for name in wanted if name not in entries]
    _refuse(
        model, absent, "E208", "does not hold the weights of", f"nothing in it loads into {', '.join(absent[:NAMED])}"
    )
    shapes = {name: graph.params[name].shape or () for name in wanted}
    wrong = [name for name in wanted if product(entries[name].shape) != product(shapes[name])]
    apart = [f"{name} is {show(shapes[name])} and {show(entries[name].shape)} in the file" for name in wrong[:NAMED]]
    _refuse(model, wrong, "E209", "has weights of other shapes for", ", ".join(apart))
    return {name: _as_float(entries[name].array(shapes[name]), graph.params[name]) for name in wanted}


def _refuse(model: Definition, names: list[str], code: str, what: str, because: str) -> None:
    if not names or model.weights is None:
        return
    layers = list(dict.fromkeys(place.layer for place in model.places if place.param in set(names)))
    shown = ", ".join(layers[:NAMED]) + (f" and {len(layers) - NAMED} more" if len(layers) > NAMED else "")
    raise RefusedError(
        f"{model.weights.name} {what} {shown}",
        code,
        because=because,
        hint=f"shapecalc match {model.typed} {quote(model.weights.name)} compares them",
    )


def _as_float(array: Array, param: Param) -> Array:
    """As the definition computes: Caffe and Chainer cast what they load to the parameter's own type."""
    return numpy.asarray(array, numpy.dtype(param.dtype))
