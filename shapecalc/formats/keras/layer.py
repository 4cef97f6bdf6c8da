"""One layer of a definition, as the tables of layer types see it, and what they make of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

from ...errors import ModelError
from ...graph import Activation
from ...source import Origin, Span
from . import older
from .store import Home, Scope
from .text import Document, Value
from .view import View, plain_text

#: How a layer's ``data_format`` is called in the graph.
LAYOUTS = {"channels_last": "NHWC", "channels_first": "NCHW"}


class Layer:
    """A layer's entry: ``kind`` is its class, ``name`` its own name, ``path`` that with the models around it.

    ``modern`` tells Keras 3 (which writes the module of every class) from older ones. ``config`` are its settings.
    """

    def __init__(self, document: Document, entry: Value, scope: Scope = Scope(), modern: bool = True) -> None:  # noqa: B008
        self.document = document
        self.entry = entry
        self.kind = plain_text(entry.get("class_name"))
        self.module = plain_text(entry.get("module"))
        self.modern = modern
        value = entry.get("config")
        if not modern and value is not None and isinstance(value.data, dict):
            self.kind, value = older.kind_of(self.kind, value), older.settings_of(self.kind, value)
        self.config = View(document, value if value is not None else entry, self.kind or "a layer")
        self.name = plain_text(entry.get("name")) or plain_text(self.config.value.get("name"))
        self.path = scope.prefix + self.name
        self.scope = scope
        self.store = ""
        self.own = self.name  # of a layer inside a wrapper: what it is called there
        self.config.owner = self.path or self.kind or "a layer"
        if not self.kind or value is None or not isinstance(value.data, dict):
            raise self.refuse("a layer has a class_name and a config", "E202")

    def inside(self, entry: Value, name: str) -> Layer:
        """The layer that this one wraps, under the wrapper's own name."""
        inner = Layer(self.document, entry, modern=self.modern)
        inner.own, inner.name, inner.path = inner.name, self.name, self.path
        inner.config.owner = f"{self.path} ({name})"
        return inner

    def home(self, weight: Weight, number: int) -> Home:
        """Where a weight's numbers are in a file; ``number`` counts those of the layer at the same place."""
        place = f"{self.store}/{weight.at}" if weight.at else self.store
        return Home(f"{place}/vars/{number}", self.scope.outer or self.name, self.name, weight.name, weight.trained)

    @property
    def within(self) -> Scope:
        """Where the layers of this one stand, which is a model itself."""
        return Scope(f"{self.path}/", f"{self.store}/", self.scope.outer or self.name)

    def refuse(self, message: str, code: str = "E109", hint: str | None = None) -> ModelError:
        """What Keras would not build."""
        return self.config.refuse(message, code, at=self.entry, hint=hint)

    @property
    def operation(self) -> bool:
        """Whether it is a function of ``keras.ops`` in the graph rather than a layer."""
        return ".ops" in self.module

    @property
    def trainable(self) -> bool:
        """Whether training changes it: what is frozen says no."""
        value = self.config.value.get("trainable")
        return value is None or value.data is not False

    @cached_property
    def layout(self) -> str | None:
        """ "NHWC" or "NCHW" where it says so; channels come last where it has the setting and leaves it open."""
        if "data_format" not in self.config.value.data:
            return None
        return LAYOUTS[self.config.choice("data_format", tuple(LAYOUTS), "channels_last")]

    @cached_property
    def origin(self) -> Origin:
        """Where it stands, with the places of its settings (`parts`)."""
        span = self.entry.span
        line = self.document.line(span.start)
        return Origin(self.document.name, line, plain_text(self.entry.get("class_name")), span, parts(self.entry))


def parts(entry: Value) -> dict[str, Span]:
    """Place of every setting an edit may replace, by its name.

    ``entry`` is the whole layer, ``entry.name`` the name beside its settings (a functional model has both),
    ``inbound_nodes`` what it is called on.
    """
    found = {"entry": entry.span}
    for key in ("name", "inbound_nodes"):
        value = entry.get(key)
        if value is not None:
            found["entry.name" if key == "name" else key] = value.span
    config = entry.get("config")
    if config is not None and isinstance(config.data, dict):
        found.update((key, value.span) for key, value in config.data.items())
    return found


class Weight(NamedTuple):
    """A parameter, named ``<layer>/<name>``; ``trained`` is False for statistics that are not learned.

    With ``contents`` it is a constant of the definition: one number, or a list of them. ``at`` is the part of the
    layer that Keras 3 files it under.
    """

    name: str
    trained: bool = True
    contents: tuple[float, ...] | None = None
    shape: tuple[int, ...] | None = None
    at: str = ""


class Made(NamedTuple):
    """A node to be: it reads the values the layer is called on, then ``weights`` (None: an input left out).

    ``takes`` is how many of the values it reads (None: all), ``outputs`` how many it writes, ``domain`` "keras" marks
    operators ONNX does not have (`shapecalc.ops.keras`). ``layout`` is the layer's own, None that of what it reads.
    """

    op: str
    attrs: Mapping[str, Any] = {}
    weights: tuple[Weight | None, ...] = ()
    domain: str = ""
    activation: Activation | None = None
    layout: str | None = None
    takes: int | None = 1
    outputs: int = 1


Row: TypeAlias = Callable[[Layer], Made]

BIAS = Weight("bias")


def weighted(layer: Layer, *names: str) -> tuple[Weight, ...]:
    """Parameters of these names, and a bias unless the layer has none."""
    weights = tuple(Weight(name) for name in names)
    return (*weights, BIAS) if layer.config.flag("use_bias", True) else weights


def plain(op: str, domain: str = "", **attrs: Any) -> Row:
    """A layer without settings that matter to its output."""
    return lambda layer: Made(op, attrs, domain=domain)


def unread(reason: str) -> Made:
    """A layer whose output is not known, and why."""
    return Made("Unread", {"reason": reason}, domain="keras", takes=None)
