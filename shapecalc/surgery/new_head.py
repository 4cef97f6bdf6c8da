"""A new head: the classifier named anew, with new weights for another number of classes."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..elements import FLOATS
from ..graph import Graph, Node, Param
from .edits import renamed
from .stored import Stored, param_of, stored, swept

#: Operators that add or scale by a number for each class.
PER_CLASS = frozenset({"Add", "Sub", "Mul", "Div"})
#: Operators around numbers whose range was measured with the old classes.
QUANTIZED = frozenset({"QuantizeLinear", "DequantizeLinear"})
#: Operators whose result has the shape that one of their inputs holds, and which.
TARGETS = {"Reshape": 1, "Resize": 3}
#: How new weights may start.
STARTS = ("zeros", "normal", "framework")


class ReplaceHead(NamedTuple):
    """Another number of classes: the last layer with weights, named anew and with new weights.

    The new name keeps old weights from being loaded into it by accident, as Caffe's fine-tuning guide advises.
    """

    layer: str
    name: str
    before: int
    after: int
    start: str = ""  # one of STARTS; empty: He's normal, or what whoever writes the file chooses
    times: int = 1  # outputs for each class: a detector's boxes, or their sides
    counted: str = ""  # what the classes include

    def apply(self, graph: Graph) -> Graph:
        """The graph with the head renamed, its parameters renamed and sized anew, and constants of the old count."""
        old = graph.node(self.layer)
        params = dict(graph.params)
        inputs = [old.inputs[0], *(self._renewed(graph, params, old, i) for i in range(1, len(old.inputs)))]
        outputs = {name: self.name for name in old.outputs if name == old.name and graph.format != "onnx"}
        attrs = {**old.attrs, "channels": self.times * self.after} if "channels" in old.attrs else old.attrs
        if old.op == "ConvTranspose" and attrs.get("group") == self.before:  # each score is enlarged by itself
            attrs = {**attrs, "group": self.after}
        new = old.replace(
            name=self.name,
            inputs=tuple(inputs),
            outputs=tuple(outputs.get(name, name) for name in old.outputs),
            attrs=attrs,
        )
        nodes = [new if node is old else renamed(node, outputs) for node in graph.nodes]
        result = graph.replace(
            nodes=tuple(nodes),
            params=params,
            outputs=tuple(outputs.get(name, name) for name in graph.outputs),
            meta={
                **graph.meta,
                "scores": tuple(outputs.get(n, n) for n in graph.meta.get("scores", ())),
                "classes": (self.before, self.after),
            },
        )
        return swept(graph, self._recount(result, new))

    def _renewed(self, graph: Graph, params: dict[str, Param], node: Node, index: int) -> str:
        """The name of the new parameter in the place of an input; of the input itself where that is no weight."""
        name = node.inputs[index]
        found = stored(graph, name) if name else None
        if found is None or found.shape == ():
            return name
        fresh = self._param_name(found.name)
        shape = _resized(found, _class_axis(node, index), self.times * self.before, self.times * self.after)
        if shape == found.shape and shape is not None:
            return name
        params[fresh] = Param(fresh, shape, _float_of(graph, found), trained=True, **self._made(graph, shape, index))
        return fresh

    def _made(self, graph: Graph, shape: tuple[int, ...] | None, index: int) -> dict[str, Any]:
        """How the new numbers start: a recipe of `shapecalc.weights`, none where it is left to the writer."""
        if not self.start:
            return {}
        framework = {"caffe": "gaussian", "chainer": "lecun", "keras": "glorot"}.get(graph.format, "torch")
        kind = {"zeros": "zeros", "normal": "gaussian", "framework": framework}[self.start]
        bias = index > 1
        return {"recipe": "zeros" if bias and kind != "torch" else kind}

    def _param_name(self, name: str) -> str:
        if name.startswith(self.layer):
            return self.name + name[len(self.layer) :]
        return f"{name}_{self.after}"

    def _recount(self, graph: Graph, head: Node) -> Graph:
        """What follows the head and holds the number of classes holds the new one: biases, targets of reshapes."""
        reached = set(head.outputs)
        each = 1  # outputs for each class, where something between pools them
        nodes: list[Node] = []
        params = dict(graph.params)
        for node in graph.nodes:
            if reached.intersection(node.inputs):
                reached.update(node.outputs)
                if node.op == "RegionMaps" and node.attrs.get("channels"):
                    each = int(node.attrs["channels"]) // self.before
                    node = node.replace(attrs={**node.attrs, "channels": each * self.after})
                node = self._retargeted(self._rebiased(graph, node, params, reached), params, each)
                if node.attrs.get("num_classes") == self.before:  # a detector's end
                    node = node.replace(attrs={**node.attrs, "num_classes": self.after})
            nodes.append(node)
        return graph.replace(nodes=tuple(nodes), params=params)

    def _rebiased(self, graph: Graph, node: Node, params: dict[str, Param], reached: set[str]) -> Node:
        """An addition or a scale with a number for each class gets new ones; what was quantized goes on as it is."""
        if node.op in QUANTIZED:
            return node.replace(op="Identity", inputs=node.inputs[:1], attrs={})
        if node.op not in PER_CLASS:
            return node
        inputs = list(node.inputs)
        for index, name in enumerate(node.inputs):
            found = stored(graph, name) if name not in reached else None
            if found is None or found.shape is None or self.before not in found.shape:
                continue
            axis = max(i for i, d in enumerate(found.shape) if d == self.before)
            fresh = f"{found.name}_{self.after}"
            params[fresh] = Param(
                fresh,
                tuple(self.after if i == axis else d for i, d in enumerate(found.shape)),
                _float_of(graph, found),
                trained=True,
                recipe="ones" if node.op in ("Mul", "Div") else "zeros",
            )
            inputs[index] = fresh
        return node if tuple(inputs) == node.inputs else node.replace(inputs=tuple(inputs))

    def _retargeted(self, node: Node, params: dict[str, Param], each: int) -> Node:
        place = TARGETS.get(node.op)
        if place is None:
            return node
        target = node.attrs.get("shape")
        if target is not None and each * self.before in target:
            return node.replace(attrs={**node.attrs, "shape": self._counted(target, each)})
        constant = params.get(node.input(place))
        if constant is not None and constant.contents and self.before in constant.contents:
            name = f"{constant.name}_{self.after}"
            params[name] = Param(
                name, constant.shape, constant.dtype, contents=self._counted(constant.contents), trained=False
            )
            return node.replace(inputs=(*node.inputs[:place], name, *node.inputs[place + 1 :]))
        return node

    def _counted(self, target: Any, each: int = 1) -> tuple[Any, ...]:
        """The target with its axis of classes changed: axis 1 where that holds the count, else the last that does."""
        places = [i for i, d in enumerate(target) if isinstance(d, int) and d == each * self.before]
        chosen = 1 if 1 in places else places[-1]
        return tuple(each * self.after if i == chosen else d for i, d in enumerate(target))

    def describe(self) -> str:
        """One line for people."""
        counted = f" ({self.counted})" if self.counted else ""
        each = f", {self.times} outputs for each" if self.times > 1 else ""
        started = f" ({self.start})" if self.start else ""
        many = f"{self.before} → {self.after} classes{counted}{each}"
        return f"head {self.layer} → {self.name}: {many}, new weights{started}"

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""
        return {
            "edit": "replace-head",
            "layer": self.layer,
            "name": self.name,
            "before": self.before,
            "after": self.after,
            "start": self.start,
            "times": self.times,
        }


def _class_axis(head: Node, index: int) -> int:
    """The axis of a head's parameter that runs over its outputs."""
    if index > 1:
        return 0
    return -1 if head.op == "MatMul" or (head.op in ("Gemm", "FusedGemm") and not head.attrs.get("transB")) else 0


def _resized(found: Stored, axis: int, before: int, after: int) -> tuple[int, ...] | None:
    if found.shape is None:
        return None
    axis %= max(len(found.shape), 1)
    return tuple(after if i == axis and d == before else d for i, d in enumerate(found.shape))


def _float_of(graph: Graph, found: Stored) -> str:
    """The element type of new numbers in the place of stored ones: theirs, if it is a float."""
    before = param_of(graph, found)
    return before.dtype if before is not None and before.dtype in FLOATS else "float32"
