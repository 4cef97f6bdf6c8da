"""Generated definitions, each written in one of the styles people use, against the same net worked out by hand: the
layers' shapes, the parameters' shapes, and the source after its number of classes was changed."""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import assume, given, settings
from hypothesis import strategies as st

import shapecalc
from shapecalc.surgery.plan import Surgery
from shapecalc.verify.definition_file import patched


class Step(NamedTuple):
    """A convolution and what follows it: outputs, kernel, stride, padding, and the pooling's window or 0."""

    outputs: int
    kernel: int
    stride: int
    pad: int
    pool: int
    cover: bool


STEPS = st.builds(
    Step,
    st.integers(1, 6),
    st.integers(1, 3),
    st.integers(1, 2),
    st.integers(0, 1),
    st.sampled_from([0, 2, 3]),
    st.booleans(),
)


def worked_out(steps: list[Step], classes: int, size: int) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Shapes behind each convolution and the head, and of each weight, counted window by window."""
    layers: list[tuple[int, ...]] = []
    weights: list[tuple[int, ...]] = []
    channels = 3
    for step in steps:
        size = len(range(0, size + 2 * step.pad - step.kernel + 1, step.stride))
        weights.append((step.outputs, channels, step.kernel, step.kernel))
        channels = step.outputs
        layers.append((1, channels, size, size))
        if step.pool:
            starts = range(0, size, step.pool)
            size = sum(1 for start in starts if step.cover or start + step.pool <= size)
    return [*layers, (1, classes)], [*weights, (classes, channels * size * size)]


def fits(steps: list[Step], size: int) -> bool:
    """Whether every window finds a place."""
    for step in steps:
        size = len(range(0, size + 2 * step.pad - step.kernel + 1, step.stride))
        if step.pool:
            if size < step.pool:
                return False
            size = sum(1 for start in range(0, size, step.pool) if step.cover or start + step.pool <= size)
        if size < 1:
            return False
    return True


HEAD = "import chainer\nimport chainer.functions as F\nimport chainer.links as L\n"


def links(steps: list[Step]) -> list[str]:
    return [f"L.Convolution2D(None, {s.outputs}, {s.kernel}, stride={s.stride}, pad={s.pad})" for s in steps]


def pools(steps: list[Step]) -> str:
    return repr([(step.pool, step.cover) for step in steps])


FORWARD = """
    def {call}(self, x):
        for {each}:
            x = F.relu(conv(x))
            if pool:
                x = F.max_pooling_2d(x, pool, cover_all=cover)
        return self.head(x)
"""


def init(body: list[str], *, scope: bool = False) -> str:
    indent = "            " if scope else "        "
    opened = ["        with self.init_scope():"] if scope else []
    lines = ["        super(Net, self).__init__()", *opened, *(indent + line for line in body)]
    return "    def __init__(self, n_class=CLASSES):\n" + "\n".join(lines) + "\n"


def style_assigned(steps: list[Step]) -> str:
    made = [f"self.c{i} = {link}" for i, link in enumerate(links(steps))]
    each = "i, (pool, cover) in enumerate(POOLS)"
    forward = FORWARD.format(call="forward", each=each).replace("conv(x)", "getattr(self, f'c{i}')(x)")
    return "(chainer.Chain):\n" + init([*made, "self.head = L.Linear(None, n_class)"], scope=True) + forward


def style_added(steps: list[Step]) -> str:
    made = [f"self.add_link('c%d' % {i}, {link})" for i, link in enumerate(links(steps))]
    each = "i, (pool, cover) in enumerate(POOLS)"
    forward = FORWARD.format(call="__call__", each=each).replace("conv(x)", "self['c{}'.format(i)](x)")
    return "(chainer.Chain):\n" + init([*made, "self.add_link('head', L.Linear(n_class))"]) + forward


def style_keywords(steps: list[Step]) -> str:
    named = ", ".join(f"c{i}={link}" for i, link in enumerate(links(steps)))
    body = f"        super(Net, self).__init__({named}, head=L.Linear(None, out_size=n_class))\n"
    each = "conv, (pool, cover) in zip([l for l in self.children() if l is not self.head], POOLS)"
    forward = FORWARD.format(call="__call__", each=each)
    return "(chainer.Chain):\n    def __init__(self, n_class=CLASSES):\n" + body + forward


def style_list(steps: list[Step]) -> str:
    made = [f"self.convs.append({link})" for link in links(steps)]
    body = ["self.convs = chainer.ChainList()", *made, "self.head = L.Linear(None, n_class)"]
    each = "conv, (pool, cover) in zip(self.convs, POOLS)"
    return "(chainer.Chain):\n" + init(body, scope=True) + FORWARD.format(call="forward", each=each)


def style_loop(steps: list[Step]) -> str:
    rows = [(step.outputs, step.kernel, step.stride, step.pad) for step in steps]
    body = [
        f"for i, (n, k, s, p) in enumerate({rows!r}):",
        "    setattr(self, f'c{i}', L.Convolution2D(None, n, k, s, p))",
        "self.head = L.Linear(None, n_class)",
    ]
    each = "conv, (pool, cover) in [(getattr(self, 'c' + str(i)), POOLS[i]) for i in range(len(POOLS))]"
    return "(chainer.Chain):\n" + init(body, scope=True) + FORWARD.format(call="forward", each=each)


def style_sequential(steps: list[Step]) -> str:
    layers = []
    for link, step in zip(links(steps), steps, strict=True):
        layers += [link, "F.relu"]
        if step.pool:
            layers.append(f"lambda x: F.max_pooling_2d(x, {step.pool}, cover_all={step.cover})")
    body = [f"self.body = chainer.Sequential({', '.join(layers)})", "self.head = L.Linear(None, n_class)"]
    return (
        "(chainer.Chain):\n"
        + init(body, scope=True)
        + "\n    def forward(self, x):\n        return self.head(self.body(x))\n"
    )


STYLES = [style_assigned, style_added, style_keywords, style_list, style_loop, style_sequential]


@st.composite
def nets(draw: st.DrawFn) -> tuple[str, list[Step], int, int]:
    steps = draw(st.lists(STEPS, min_size=1, max_size=4))
    classes, size = draw(st.integers(2, 9)), draw(st.integers(8, 40))
    style = draw(st.sampled_from(STYLES))
    constants = f"CLASSES = {classes}\nPOOLS = {pools(steps)}\n\n\n"
    return f"{HEAD}{constants}class Net{style(steps)}", steps, classes, size


def seen(model: shapecalc.Model, size: int) -> tuple[list[Any], list[Any]]:
    trace = model.trace((1, 3, size, size), fresh=True)
    assert trace.problems == []
    layers = [layer for layer in trace.layers if layer.op in ("Conv", "Gemm")]
    return [layer.outputs[0].shape for layer in layers], [
        trace.values[model.graph.node(layer.name).inputs[1]] for layer in layers
    ]


@settings(max_examples=200, deadline=None)
@given(nets(), st.integers(10, 30))
def test_a_generated_class_is_the_net_it_says(net: tuple[str, list[Step], int, int], wanted: int) -> None:
    text, steps, classes, size = net
    assume(fits(steps, size))
    model = shapecalc.loads(text, format="chainer", name="net.py")
    assert seen(model, size) == worked_out(steps, classes, size)
    plan = model.retarget(classes=wanted, input=size)
    assert isinstance(plan, Surgery)
    changed = patched(plan)
    assert changed == text.replace(f"CLASSES = {classes}\n", f"CLASSES = {wanted}\n")
    assert seen(shapecalc.loads(changed, format="chainer"), size) == worked_out(steps, wanted, size)


def test_a_size_that_the_class_does_not_say_can_be_given() -> None:
    """Then what is fully connected is held to it, as in a net that was trained."""
    text = f"{HEAD}CLASSES = 5\nPOOLS = [(2, True)]\n\n\nclass Net{style_assigned([Step(4, 3, 1, 0, 2, True)])}"
    model = shapecalc.loads(text, format="chainer", name="net.py", arguments={"insize": 12})
    assert model.trace().inputs[0].shape == (1, 3, 12, 12)
    (problem,) = model.trace(16).problems
    assert (problem.code, problem.layer) == ("E101", "head")
    assert model.trace(16, fresh=True).problems == []
