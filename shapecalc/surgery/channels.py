"""Another number of channels, another order, other units: folded into the first convolutions, or a layer in front.

For ``k`` channels in place of ``C`` channel ``j`` of the smaller side stands for all ``i`` with ``i % smaller == j``: a
gray input gets the sum of the weights, so ``gray(g) = rgb(g, g, g)``; of a channel that is repeated each copy gets its
share, so an input whose channel ``i`` repeats channel ``i % C`` gives what it gave before. Both hold exactly, up to
rounding, and are measured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ..errors import RefusedError
from ..graph import Graph, Input, Node, Param
from ..source import Origin
from .edits import renamed
from .names import free_name
from .promises import Pair, Promise
from .stored import swept

#: Rows of a matrix from the input's channels to those the net was trained with, as (channel, share).
Mix = tuple[tuple[tuple[int, float], ...], ...]


#: The order of axes that puts channels first, and the one that puts them last again.
TO_NCHW, TO_NHWC = (0, 3, 1, 2), (0, 2, 3, 1)


def mix_of(before: int, after: int) -> Mix:
    """For each trained channel the new ones it is made of, with their shares.

    >>> mix_of(3, 1), mix_of(3, 4)
    ((((0, 1.0),), ((0, 1.0),), ((0, 1.0),)), (((0, 0.5), (3, 0.5)), ((1, 1.0),), ((2, 1.0),)))
    """
    if after <= before:
        return tuple(((channel % after, 1.0),) for channel in range(before))
    copies = Counter(channel % before for channel in range(after))
    rows: list[list[tuple[int, float]]] = [[] for _ in range(before)]
    for channel in range(after):
        rows[channel % before].append((channel, 1.0 / copies[channel % before]))
    return tuple(map(tuple, rows))


def channel_axis(given: Input) -> int:
    """The axis of an input's channels."""
    return given.layout.index("C")


class _Stem(NamedTuple):
    """A convolution that reads the input: where its weight has the input's channels."""

    node: Node
    axis: int


def _stems(graph: Graph, value: str) -> list[_Stem] | None:
    """The convolutions that read an image, None where something else reads it too or one cannot take the change."""
    value = _behind_padding(graph, _channels_first(graph, value))
    readers = [node for node in graph.nodes if value in node.reads() and not _measures(node, value)]
    stems: list[_Stem] = []
    for node in readers:
        weight = node.inputs[1] if len(node.inputs) > 1 else ""
        plain = (
            node.op == "Conv"
            and node.domain in ("", "ai.onnx")
            and node.inputs[0] == value
            and not node.attrs.get("depth_multiplier")
        )
        if not plain or int(node.attrs.get("group", 1) or 1) != 1 or weight not in graph.params:
            return None
        param = graph.params[weight]
        shared = any(weight in other.inputs for other in graph.nodes if other is not node)
        if shared or (param.recipe is not None and not param.sources):
            return None
        order = str(node.attrs.get("weight_order", "OIHW"))
        stems.append(_Stem(node, 1 if order == "OIHW" else -2))
    return stems or None


def _channels_first(graph: Graph, value: str) -> str:
    """The image as the convolutions of an ONNX file read it, if all that reads it puts its channels first."""
    readers = [node for node in graph.nodes if value in node.reads()]
    turned = [node for node in readers if node.op == "Transpose" and node.attrs.get("perm") == TO_NCHW]
    channels_last = any(given.name == value and given.layout == "NHWC" for given in graph.inputs)
    return turned[0].outputs[0] if channels_last and len(readers) == len(turned) == 1 else value


def _measures(node: Node, value: str) -> bool:
    """Whether a layer of SSD or FCN only takes the height and width of an image (prior_box_layer, crop_layer)."""
    spatial = node.op == "PriorBox" or (node.op == "Crop" and int(node.attrs.get("axis", 0)) >= 2)
    return spatial and node.domain == "caffe" and value != node.inputs[0]


def _behind_padding(graph: Graph, value: str) -> str:
    """The image with its borders, where one layer of a definition pads it: all channels alike, so any number of them.

    In an ONNX file the amounts are numbers of the file's own and are left as they are.
    """
    while True:
        readers = [node for node in graph.nodes if value in node.reads()]
        if len(readers) != 1 or readers[0].op != "Pad" or "pads" not in readers[0].attrs or graph.format == "onnx":
            return value
        pads, layout = readers[0].attrs["pads"], str(readers[0].attrs.get("layout", "NCHW"))
        half = len(pads) // 2
        if half != len(layout) or any(pads[axis + end] for axis in (0, layout.index("C")) for end in (0, half)):
            return value
        value = readers[0].outputs[0]


class MixChannels(NamedTuple):
    """An input of other channels, or of the same ones in another order."""

    input: str
    before: int
    after: int
    mix: Mix
    what: str

    @property
    def layer(self) -> str:
        """The input's name."""
        return self.input

    def apply(self, graph: Graph) -> Graph:
        """The graph whose first convolutions, or a new one in front of everything, read the other channels."""
        stems = _stems(graph, self.input)
        edited = self._folded(graph, stems) if stems is not None else self._in_front(graph)
        inputs = tuple(self._declared(given) if given.name == self.input else given for given in graph.inputs)
        return swept(graph, edited.replace(inputs=inputs))

    def _declared(self, given: Input) -> Input:
        if self.before == self.after or given.native is None:
            return given
        axis = channel_axis(given)
        shape = (*given.native[:axis], self.after, *given.native[axis + 1 :])
        return Input(given.name, shape, dtype=given.dtype, layout=given.layout, role=given.role, origin=given.origin)

    def _folded(self, graph: Graph, stems: Sequence[_Stem]) -> Graph:
        params = dict(graph.params)
        changed: dict[str, Node] = {}
        for node, axis in stems:
            old = params[node.inputs[1]]
            name = free_name(graph, f"{old.name}_{self.what}")
            shape = old.shape
            if shape is not None:
                place = axis % len(shape)
                shape = (*shape[:place], self.after, *shape[place + 1 :])
            params[name] = Param(
                name, shape, old.dtype, recipe="mixed", sources=(old.name,), arguments=(axis, self.mix, self.after)
            )
            changed[node.name] = node.replace(inputs=(node.inputs[0], name, *node.inputs[2:]))
        return graph.replace(nodes=tuple(changed.get(node.name, node) for node in graph.nodes), params=params)

    def _in_front(self, graph: Graph) -> Graph:
        """A convolution of 1×1 with the same numbers, where no single first convolution can take them."""
        given = next(item for item in graph.inputs if item.name == self.input)
        if given.native is None or len(given.native) != 4:
            raise RefusedError(
                f"the channels of {self.input} cannot be changed",
                "E303",
                because="it is no image of known rank",
                hint="give its shape: --input 1x3x224x224",
            )
        name = free_name(graph, f"{self.input}_{self.what}")
        weight = f"{name}/weight"
        shares = [dict(row) for row in self.mix]
        numbers = tuple(row.get(channel, 0.0) for row in shares for channel in range(self.after))
        shape = (self.before, self.after, 1, 1)
        nodes = list(self._mixing(name, weight, given.layout, graph.format == "onnx"))
        return put_in_front(graph, self.input, nodes, [Param(weight, shape, given.dtype, contents=numbers)])

    def _mixing(self, name: str, weight: str, layout: str, plain: bool) -> Iterator[Node]:
        """The convolution; between two transpositions where channels lie last and ``plain`` ONNX is wanted."""
        origin, attrs = Origin(op="inserted"), {"kernel_shape": (1, 1)}
        if layout == "NCHW" or not plain:
            layouts = {} if layout == "NCHW" else {"layout": layout}
            yield Node(name, "Conv", (self.input, weight), (name,), {**attrs, **layouts}, origin=origin)
            return
        first, mixed = f"{name}/first", f"{name}/mixed"
        yield Node(first, "Transpose", (self.input,), (first,), {"perm": TO_NCHW}, origin=origin)
        yield Node(mixed, "Conv", (first, weight), (mixed,), attrs, origin=origin)
        yield Node(name, "Transpose", (mixed,), (name,), {"perm": TO_NHWC}, origin=origin)

    def promise(self, graph: Graph) -> Promise:
        """An image in the new channels gives what the image they stand for gave."""
        given = next(item for item in graph.inputs if item.name == self.input)
        axis = channel_axis(given)
        pairs = tuple(Pair(name, name) for name in _shown(graph))
        if self.after <= self.before:
            taken = tuple(row[0][0] for row in self.mix)
            return Promise(self._words(), pairs, self.input, before=(("take", axis, taken),))
        repeated = tuple(channel % self.before for channel in range(self.after))
        return Promise(self._words(), pairs, self.input, "before", after=(("take", axis, repeated),))

    def _words(self) -> str:
        if self.what == "bgr":
            return "bgr(flipped image) = rgb(image)"
        if self.after == 1:
            return f"gray(g) = rgb({', '.join('g' * self.before)})" if self.before == 3 else "one channel = all alike"
        if self.after < self.before:
            return f"channel i of the {self.before} reads channel i % {self.after} of the {self.after}"
        return f"{self.after} channels, of which channel i repeats i % {self.before}, give what {self.before} gave"

    def describe(self) -> str:
        """One line for people."""
        if self.what == "bgr":
            return f"input {self.input}: channels in the other order, weights of the first layer turned"
        how = "summed" if self.after < self.before else "repeated and scaled"
        return f"input {self.input}: {self.before} → {self.after} channels, weights of the first layer {how}"

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""
        return {
            "edit": "mix-channels",
            "layer": self.input,
            "before": self.before,
            "after": self.after,
            "mix": [[list(share) for share in row] for row in self.mix],
            "what": self.what,
        }


class Normalise(NamedTuple):
    """Pixels in place of normalised numbers: the mean taken off and the deviation divided by inside the net.

    In an ONNX file the first convolutions take the division into their weights: a padding of 0 stays 0. They take the
    mean into their biases only where they are not padded: it would have to be a padding of the mean.
    """

    input: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    folded: tuple[str, ...] = ()  # the convolutions that divide; none: layers in front do
    shifted: bool = False  # whether they take the mean off too

    @classmethod
    def of(cls, graph: Graph, given: str, mean: tuple[float, ...], std: tuple[float, ...]) -> Normalise:
        """The edit, folded as far as that is exact."""
        stems = _stems(graph, given) if graph.format == "onnx" else None
        if stems is None:
            return cls(given, mean, std)
        bare = not any(any(stem.node.attrs.get("pads") or ()) for stem in stems)
        valid = all(stem.node.attrs.get("auto_pad", "NOTSET") in ("NOTSET", "VALID") for stem in stems)
        known = all(bias in ("", *graph.params) for stem in stems for bias in stem.node.inputs[2:])
        return cls(given, mean, std, tuple(stem.node.name for stem in stems), bare and valid and known)

    @property
    def layer(self) -> str:
        """The input's name."""
        return self.input

    def apply(self, graph: Graph) -> Graph:
        """The graph with the division in the first convolutions, and what they cannot take in front of them."""
        given = next(item for item in graph.inputs if item.name == self.input)
        axis = channel_axis(given)
        shape = tuple(len(self.mean) if i == axis else 1 for i in range(len(given.native or ())))
        nodes: list[Node] = []
        params: list[Param] = []
        value = self.input
        steps = [("Sub", "mean", self.mean, 0.0)] if not self.shifted else []
        steps += [("Div", "std", self.std, 1.0)] if not self.folded else []
        for op, word, numbers, idle in steps:
            if all(number == idle for number in numbers):
                continue
            name = free_name(graph, f"{self.input}_{word}")
            params.append(Param(f"{name}/{word}", shape, given.dtype, contents=numbers, trained=False))
            nodes.append(Node(name, op, (value, params[-1].name), (name,), {}, origin=Origin(op="inserted")))
            value = name
        return put_in_front(swept(graph, self._folded(graph)), self.input, nodes, params)

    def _folded(self, graph: Graph) -> Graph:
        params = dict(graph.params)
        nodes = [self._rescaled(graph, node, params) if node.name in self.folded else node for node in graph.nodes]
        return graph.replace(nodes=tuple(nodes), params=params)

    def _rescaled(self, graph: Graph, node: Node, params: dict[str, Param]) -> Node:
        """A convolution that reads pixels, or pixels without their mean."""
        old = params[node.inputs[1]]
        inputs = list(node.inputs)
        if any(deviation != 1.0 for deviation in self.std):
            weight = inputs[1] = free_name(graph, f"{old.name}_pixels")
            params[weight] = Param(
                weight, old.shape, old.dtype, recipe="divided", sources=(old.name,), arguments=(1, self.std)
            )
        if self.shifted and any(self.mean):
            given = [name for name in node.inputs[2:] if name]
            bias = free_name(graph, f"{given[0]}_pixels" if given else f"{node.name}/bias")
            count = None if old.shape is None else (old.shape[0],)
            rates = tuple(mean / std for mean, std in zip(self.mean, self.std, strict=True))
            params[bias] = Param(
                bias, count, old.dtype, recipe="shifted", sources=(old.name, *given), arguments=(1, rates)
            )
            inputs[2:] = [bias]
        return node.replace(inputs=tuple(inputs))

    def promise(self, graph: Graph) -> Promise:
        """Pixels give what the normalised image gave."""
        given = next(item for item in graph.inputs if item.name == self.input)
        pairs = tuple(Pair(name, name) for name in _shown(graph))
        steps = (("pixels",), ("normalise", channel_axis(given), self.mean, self.std))
        return Promise("net(pixels) = original((pixels - mean) / std)", pairs, self.input, "after", steps, steps[:1])

    def describe(self) -> str:
        """One line for people."""
        mean, std = (", ".join(f"{number:g}" for number in numbers) for numbers in (self.mean, self.std))
        if not self.folded:
            how = "by a layer in front"
        elif self.shifted or not any(self.mean):
            how = f"folded into {', '.join(self.folded)}"
        else:
            how = f"the mean by a layer in front, because {', '.join(self.folded)} is padded, which takes the rest"
        return f"input {self.input}: takes pixels; mean {mean} and deviation {std} inside, {how}"

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""
        numbers = {"mean": list(self.mean), "std": list(self.std)}
        return {
            "edit": "normalise",
            "layer": self.input,
            **numbers,
            "folded": list(self.folded),
            "shifted": self.shifted,
        }


def put_in_front(graph: Graph, value: str, nodes: list[Node], params: list[Param]) -> Graph:
    """The graph in which what read an input reads what the last of the new nodes gives."""
    if not nodes:
        return graph
    inner = [node.name for node in graph.nodes if value in node.reads() and value not in node.inputs]
    if inner:
        raise RefusedError(
            f"nothing can be put between {value} and all that read it",
            "E303",
            because=f"{inner[0]} reads it inside a graph of its own, which is not changed",
            hint="simplify the file first, so that its branches are gone",
        )
    last = nodes[-1].outputs[0]
    moved = [renamed(node, {value: last}) for node in graph.nodes]
    first = next((i for i, node in enumerate(moved) if last in node.inputs), 0)
    return graph.replace(
        nodes=(*moved[:first], *nodes, *moved[first:]),
        params={**graph.params, **{param.name: param for param in params}},
    )


def _shown(graph: Graph) -> tuple[str, ...]:
    from ..lower import scores

    return scores(graph)
