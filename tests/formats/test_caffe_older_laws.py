"""Laws over generated nets written as V0, V1 and V2: read, traced, changed and read again, they are one net."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from prototxts import load, same_shapes, written

from shapecalc.errors import RefusedError
from shapecalc.verify.definition_file import patched


class Spec(NamedTuple):
    """A layer of any version: its kind as V0 calls it, its settings as V2 calls them, the rates of its parameters."""

    name: str
    kind: str
    bottom: str
    top: str
    settings: dict[str, Any]
    rates: tuple[float, ...] = ()


#: V0's kind -> V1's, V2's, and the message of the settings.
KINDS = {
    "conv": ("CONVOLUTION", "Convolution", "convolution_param"),
    "pool": ("POOLING", "Pooling", "pooling_param"),
    "relu": ("RELU", "ReLU", ""),
    "lrn": ("LRN", "LRN", "lrn_param"),
    "dropout": ("DROPOUT", "Dropout", "dropout_param"),
    "innerproduct": ("INNER_PRODUCT", "InnerProduct", "inner_product_param"),
    "softmax": ("SOFTMAX", "Softmax", ""),
    "softmax_loss": ("SOFTMAX_LOSS", "SoftmaxWithLoss", ""),
}
V0_SETTINGS = {"kernel_size": "kernelsize", "bias_term": "biasterm"}


class Way(NamedTuple):
    """How the fields are put down: between fields, after a name, around texts, and the end of lines."""

    gap: str
    colon: str
    quote: str
    eol: str
    padding: bool  # V0: padding as a layer of its own


def fields(settings: dict[str, Any], way: Way, names: dict[str, str]) -> list[str]:
    return [f"{names.get(key, key)}{way.colon}{value}" for key, value in settings.items()]


def named(spec: Spec, way: Way, kind: str) -> list[str]:
    return [f"name{way.colon}{way.quote}{spec.name}{way.quote}", f"type{way.colon}{kind}"]


def wired(spec: Spec, way: Way, label: str) -> list[str]:
    quoted = [f"bottom{way.colon}{way.quote}{name}{way.quote}" for name in (spec.bottom, label) if name]
    return [*quoted, f"top{way.colon}{way.quote}{spec.top}{way.quote}"]


def lists(spec: Spec, way: Way) -> list[str]:
    rates = [f"blobs_lr{way.colon}{rate:g}" for rate in spec.rates]
    return rates + [f"weight_decay{way.colon}{decay}" for decay in (1, 0)[: len(rates)]]


def block(word: str, parts: list[str], way: Way) -> str:
    start = way.gap.lstrip(",;")
    return f"{word} {{{start}{way.gap.join(parts)}{start}}}"


def label_of(spec: Spec) -> str:
    return "x" if "loss" in spec.kind else ""


def v2(spec: Spec, way: Way) -> list[str]:
    _, kind, message = KINDS[spec.kind]
    parts = [*named(spec, way, f"{way.quote}{kind}{way.quote}"), *wired(spec, way, label_of(spec))]
    for rate, decay in zip(spec.rates, (1, 0), strict=False):
        parts.append(block("param", [f"lr_mult{way.colon}{rate:g}", f"decay_mult{way.colon}{decay}"], way))
    return [
        block("layer", parts + ([block(message, fields(spec.settings, way, {}), way)] if spec.settings else []), way)
    ]


def v1(spec: Spec, way: Way) -> list[str]:
    kind, _, message = KINDS[spec.kind]
    parts = [*named(spec, way, kind), *wired(spec, way, label_of(spec)), *lists(spec, way)]
    settings = [block(message, fields(spec.settings, way, {}), way)] if spec.settings else []
    return [block("layers", parts + settings, way)]


def v0(spec: Spec, way: Way) -> list[str]:
    settings, found = dict(spec.settings), []
    if way.padding and spec.kind == "conv" and settings.get("pad"):
        pad = Spec(f"pad_{spec.name}", "padding", spec.bottom, f"{spec.bottom}_pad", {"pad": settings.pop("pad")})
        found.append(_v0(pad, way, pad.settings))
        spec = spec._replace(bottom=pad.top)
    return [*found, _v0(spec, way, settings)]


def _v0(spec: Spec, way: Way, settings: dict[str, Any]) -> str:
    inner = [*named(spec, way, f"{way.quote}{spec.kind}{way.quote}"), *fields(settings, way, V0_SETTINGS)]
    return block("layers", [block("layer", [*inner, *lists(spec, way)], way), *wired(spec, way, label_of(spec))], way)


VERSIONS: list[Callable[[Spec, Way], list[str]]] = [v0, v1, v2]

GAPS = [" ", "\n  ", ", ", "; ", "\n\n ", "  # note\n  "]
RATES = [(), (1.0, 2.0), (1.0,), (0.0, 0.0), (0.1, 0.2)]


@st.composite
def ways(draw: st.DrawFn) -> Way:
    """A layout."""
    return Way(
        draw(st.sampled_from(GAPS)),
        draw(st.sampled_from([": ", ":"])),
        draw(st.sampled_from("\"'")),
        draw(st.sampled_from(["\n", "\r\n", "\n\n"])),
        draw(st.booleans()),
    )


@st.composite
def nets(draw: st.DrawFn) -> list[Spec]:
    """Some convolutions with what follows them, then one or two fully connected layers and an end."""
    found: list[Spec] = []
    blob = "x"
    for number in range(draw(st.integers(1, 3))):
        name = f"c{number}"
        settings = {"num_output": draw(st.sampled_from([4, 6, 8])), "kernel_size": draw(st.integers(1, 5))}
        settings |= draw(st.sampled_from([{}, {"pad": 2}, {"stride": 2}, {"pad": 1, "bias_term": "false"}]))
        if number and draw(st.booleans()):
            settings["group"] = 2
        found.append(Spec(name, "conv", blob, name, settings, draw(st.sampled_from(RATES))))
        blob = name
        kinds = draw(st.lists(st.sampled_from(["relu", "dropout"]), max_size=2, unique=True))
        found += [Spec(f"{kind}{number}", kind, blob, blob, {}) for kind in kinds]
        if draw(st.booleans()):
            pool = {"pool": draw(st.sampled_from(["MAX", "AVE"])), "kernel_size": draw(st.integers(2, 3)), "stride": 2}
            found.append(Spec(f"p{number}", "pool", blob, f"p{number}", pool))
            blob = f"p{number}"
        if draw(st.booleans()):
            found.append(Spec(f"n{number}", "lrn", blob, f"n{number}", {"local_size": 3, "alpha": 0.5}))
            blob = f"n{number}"
    for name in ("h", "score")[draw(st.integers(0, 1)) :]:
        wide = {"num_output": draw(st.integers(2, 12))}
        found.append(Spec(name, "innerproduct", blob, name, wide, draw(st.sampled_from(RATES))))
        blob = name
    end = draw(st.sampled_from(["softmax", "softmax_loss", ""]))
    return [*found, Spec("end", end, blob, "end", {})] if end else found


def text_of(net: list[Spec], way: Way, version: Callable[[Spec, Way], list[str]]) -> str:
    head = f'name: "N"{way.eol}input: "x" input_dim: 2 input_dim: 4 input_dim: 24 input_dim: 24'
    return way.eol.join([head, *(text for spec in net for text in version(spec, way))]) + way.eol


@settings(max_examples=120, deadline=None)
@given(nets(), ways())
def test_three_versions_are_one_net(net: list[Spec], way: Way) -> None:
    texts = [text_of(net, way, version) for version in VERSIONS]
    models = [load(text) for text in texts]
    assert [written(model, model.graph) for model in models] == texts
    traces = [model.trace(fresh=True) for model in models]
    for trace in traces[:2]:
        same_shapes(trace, traces[2])
        assert [problem.code for problem in trace.problems] == [problem.code for problem in traces[2].problems]


@settings(max_examples=150, deadline=None)
@given(nets(), ways(), st.sampled_from(VERSIONS), st.integers(2, 13), st.integers(20, 48), st.integers(1, 3))
def test_an_edit_is_read_again_as_the_plan(
    net: list[Spec], way: Way, version: Callable[[Spec, Way], list[str]], classes: int, size: int, what: int
) -> None:
    """What is changed: the classes, the size, or both; of the classes alone only the head's words change."""
    text = text_of(net, way, version)
    model = load(text)
    edit: dict[str, int] = ({"classes": classes} if what & 1 else {}) | ({"input": size} if what & 2 else {})
    try:
        plan = model.retarget(**edit)  # type: ignore[arg-type]
    except RefusedError as error:
        assert error.code in ("E301", "E302")  # noqa: PT017  no head or no repair: not a matter of the format
        return
    result = patched(plan)
    again = load(result)
    same_shapes(plan.trace, again.trace(fresh=True))
    assert [node.name for node in again.graph.nodes] == [node.name for node in plan.graph.nodes]
    assert written(again, again.graph) == result
    if what == 1 and plan.edits:
        (head,) = (edit.to_dict() for edit in plan.edits)
        pairs = zip(words(text), words(result), strict=True)
        allowed = {(head["layer"], head["name"]), (str(head["before"]), str(head["after"]))}
        assert {(a, b) for a, b in pairs if a != b} <= allowed


#: Rates are added and changed where a file is for training; the next test is about them.
SPEEDS = re.compile(r"(blobs_lr|weight_decay)\s*:\s*[\d.]+|param\s*\{[^{}]*\}")


def words(text: str) -> list[str]:
    return re.findall(r"[\w.]+", SPEEDS.sub("", re.sub(r"#.*", "", text)))


@settings(max_examples=60, deadline=None)
@given(nets(), ways(), st.sampled_from(VERSIONS[:2]))
def test_a_new_head_learns_ten_times_as_fast_in_lists_too(
    net: list[Spec], way: Way, version: Callable[[Spec, Way], list[str]]
) -> None:
    """V0 and V1 say rates as lists (Caffe's guide to fine-tuning, in the words of its day)."""
    *layers, last = [spec for spec in net if spec.name != "end"]
    loss = Spec("end", "softmax_loss", last.top, "end", {})
    count = last.settings["num_output"]
    model = load(text_of([*layers, last, loss], way, version))
    assume(model.trace(fresh=True).ok)  # of a net that does not fit the head cannot be told
    plan = model.retarget(classes=count + 1)
    field = (
        patched(plan).split(f"{last.name}_{count + 1}", 1)[1].split("softmax_loss" if version is v0 else "SOFTMAX")[0]
    )
    numbers = re.split(r"[\s:,;]+", field)
    rates = [float(numbers[i + 1]) for i, word in enumerate(numbers) if word == "blobs_lr"]
    others = [spec.rates[0] for spec in layers if spec.rates and spec.rates[0] > 0]
    base = max(set(others), key=lambda rate: (others.count(rate), -others.index(rate))) if others else 1.0
    assert rates[0] == 10 * base
    assert rates[1] == 20 * base
