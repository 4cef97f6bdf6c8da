"""Generated Keras definitions: read, traced, patched, read again; sizes against closed rules written here."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import keras_models as k
from hypothesis import given, settings
from hypothesis import strategies as st

import shapecalc
from shapecalc.source import apply_patch
from shapecalc.verify.definition_file import patched

Config = dict[str, Any]
LIMIT = settings(max_examples=80, deadline=None)


class Step(NamedTuple):
    """A layer of a chain: its class, and its settings."""

    kind: str
    config: Config


def _same(n: int, stride: int) -> int:
    return -(-n // stride)


def _out(step: Step, n: int) -> int:
    """One axis behind a layer with a window: ⌈n/s⌉, or ⌊(n − k)/s⌋ + 1."""
    config = step.config
    kernel = config["kernel_size" if "kernel_size" in config else "pool_size"][0]
    stride = (config.get("strides") or [kernel])[0]
    return _same(n, stride) if config.get("padding") == "same" else (n - kernel) // stride + 1


padding = st.sampled_from(["valid", "same"])
sizes = st.integers(1, 3)
convolutions = st.builds(
    lambda filters, n, s, pad: Step(
        "Conv2D", {"filters": filters, "kernel_size": [n, n], "strides": [s, s], "padding": pad}
    ),
    st.integers(1, 4), sizes, sizes, padding,
)  # fmt: skip
poolings = st.builds(
    lambda kind, n, s, pad: Step(kind, {"pool_size": [n, n], "strides": [s, s], "padding": pad}),
    st.sampled_from(["MaxPooling2D", "AveragePooling2D"]), sizes, sizes, padding,
)  # fmt: skip
plain = st.builds(
    Step,
    st.sampled_from(["BatchNormalization", "Dropout", "Activation"]),
    st.just({"activation": "relu", "rate": 0.5}),
)
chains = st.lists(st.one_of(convolutions, poolings, plain), min_size=1, max_size=5)


def _entries(steps: list[Step], layout: str) -> list[Config]:
    axis = {"axis": 1} if layout == "channels_first" else {}
    rows = []
    for i, step in enumerate(steps):
        where = {"data_format": layout} if step.kind not in ("BatchNormalization", "Dropout", "Activation") else {}
        extra = axis if step.kind == "BatchNormalization" else {}
        rows.append(k.layer(step.kind, f"l{i}", **step.config, **where, **extra))
    where = {"data_format": layout}
    return [*rows, k.layer("GlobalAveragePooling2D", "gap", **where), k.layer("Dense", "top", units=10)]


def _wanted(steps: list[Step], size: int) -> list[tuple[int, int]]:
    """(size, channels) behind every layer, as far as they fit."""
    found, channels = [], 3
    for step in steps:
        if step.kind not in ("BatchNormalization", "Dropout", "Activation"):
            size = _out(step, size)
        channels = step.config.get("filters", channels)
        found.append((size, channels))
        if size < 1:
            break
    return found


def _text(entries: list[Config], size: int, layout: str, shape: str, modern: bool) -> str:
    """The chain as a sequence, as a functional model, or as one inside another."""
    given = (3, size, size) if layout == "channels_first" else (size, size, 3)
    if shape == "sequence":
        return k.sequential(*entries, shape=given, modern=modern)
    names = ["image", *(entry["config"]["name"] for entry in entries)]
    rows = [k.called(e, before, modern=modern) for e, before in zip(entries, names[:-1], strict=True)]
    if shape == "functional":
        return k.functional("image", names[-1], k.fed("image", *given, modern=modern), *rows, modern=modern)
    features = {**k.layer("Sequential", "features"), "name": "features"}
    features["config"]["layers"] = entries[:-1]
    outer = [
        k.fed("image", *given, modern=modern),
        k.called(features, "image", modern=modern),
        k.called(entries[-1], [("features", 1, 0)], modern=modern),
    ]
    return k.functional("image", names[-1], *outer, modern=modern)


@LIMIT
@given(
    chains,
    st.integers(4, 20),
    st.sampled_from(["channels_last", "channels_first"]),
    st.sampled_from(["sequence", "functional", "nested"]),
    st.booleans(),
)
def test_shapes_are_those_of_the_closed_rules(
    steps: list[Step], size: int, layout: str, shape: str, modern: bool
) -> None:
    model = shapecalc.loads(_text(_entries(steps, layout), size, layout, shape, modern), format="keras")
    trace, wanted = model.trace(), _wanted(steps, size)
    fits = wanted[-1][0] >= 1
    assert trace.ok == fits
    for i, (n, channels) in enumerate(wanted if fits else wanted[:-1]):
        name = f"features/l{i}" if shape == "nested" else f"l{i}"
        expected = (1, channels, n, n) if layout == "channels_first" else (1, n, n, channels)
        assert trace.layer(name).outputs[0].shape == expected


@LIMIT
@given(
    chains,
    st.integers(8, 20),
    st.sampled_from(["channels_last", "channels_first"]),
    st.sampled_from(["sequence", "functional", "nested"]),
    st.booleans(),
    st.integers(2, 30).filter(lambda n: n != 10),
    st.one_of(st.none(), st.integers(8, 30)),
    st.sampled_from([None, 1, 4]),
)
def test_patched_reads_as_the_plan(
    steps: list[Step],
    size: int,
    layout: str,
    shape: str,
    modern: bool,
    classes: int,
    other: int | None,
    indent: int | None,
) -> None:
    text = json.dumps(json.loads(_text(_entries(steps, layout), size, layout, shape, modern)), indent=indent)
    model = shapecalc.loads(text, format="keras", name="net")
    if not model.trace().ok or (other is not None and not model.trace(other).ok):
        return
    plan = model.retarget(classes=classes, input=other)
    edited = patched(plan)
    again = shapecalc.loads(edited, format="keras").trace()
    assert again.ok
    assert [value.shape for value in again.outputs] == [value.shape for value in plan.trace.outputs] == [(1, classes)]
    maps = [[layer.outputs[0].shape for layer in trace.layers] for trace in (again, plan.trace)]
    assert maps[0] == maps[1]
    assert edited.count("\n") == text.count("\n")  # nothing is laid out anew
    back = shapecalc.loads(edited, format="keras", name="net").retarget(classes=10, input=size if other else None)
    assert len(json.loads(patched(back))["config"]) == len(json.loads(text)["config"])


@LIMIT
@given(chains, st.sampled_from(["sequence", "functional", "nested"]), st.booleans())
def test_every_layer_knows_its_place(steps: list[Step], shape: str, modern: bool) -> None:
    text = _text(_entries(steps, "channels_last"), 16, "channels_last", shape, modern)
    graph = shapecalc.loads(text, format="keras").graph
    assert apply_patch(text, []) == text
    for node in graph.nodes:
        span = node.origin.span
        assert span is not None
        assert json.loads(text[span.start : span.end])["class_name"] == node.origin.op
