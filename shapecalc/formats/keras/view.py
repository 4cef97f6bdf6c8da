"""Typed access to a layer's configuration; what is not of the wanted kind is a ModelError that names the layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...errors import ModelError
from .text import Document, Value

#: No size, stride or count of a layer is larger.
LARGEST = 1 << 31


class View:
    """The settings of one layer: ``owner`` is what messages call it, ``value`` the JSON object."""

    def __init__(self, document: Document, value: Value, owner: str) -> None:
        self.document = document
        self.value = value
        self.owner = owner

    def refuse(
        self, message: str, code: str = "E109", *, at: Value | None = None, hint: str | None = None
    ) -> ModelError:
        """An error about this layer, at a value of it."""
        return ModelError(
            f"{self.owner}: {message}", code, location=self.document.location(at or self.value), hint=hint
        )

    def find(self, *names: str) -> Value | None:
        """The first of these settings that is there and not null: a setting was renamed between versions."""
        for name in names:
            value = self.value.get(name)
            if value is not None and value.data is not None:
                return value
        return None

    def has(self, *names: str) -> bool:
        """Whether one of these settings is there and not null."""
        return self.find(*names) is not None

    def _wrong(self, name: str, value: Value, wanted: str) -> ModelError:
        found = repr(value.plain())
        return self.refuse(f"{name} must be {wanted}, found {found[:60]}", at=value)

    def integer(self, name: str, default: int | None = None, *, low: int = -LARGEST) -> int:
        """A whole number of at least ``low``."""
        value = self.find(name)
        if value is None:
            if default is None:
                raise self.refuse(f"{name} is missing")
            return default
        return self._integer(name, value, low)

    def _integer(self, name: str, value: Value, low: int) -> int:
        data = value.data
        if isinstance(data, float) and math.isfinite(data) and data == int(data):
            data = int(data)
        if isinstance(data, bool) or not isinstance(data, int) or not low <= data <= LARGEST:
            raise self._wrong(name, value, f"a whole number of at least {low}" if low > -LARGEST else "a whole number")
        return data

    def number(self, name: str, default: float) -> float:
        """A finite number."""
        value = self.find(name)
        return default if value is None else self._number(name, value)

    def _number(self, name: str, value: Value) -> float:
        data = unwrapped(value).data
        if isinstance(data, bool) or not isinstance(data, (int, float)) or not math.isfinite(data):
            raise self._wrong(name, value, "a number")
        if abs(data) > 1e300:
            raise self._wrong(name, value, "a number that a float holds")
        return float(data)

    def numbers(self, name: str) -> tuple[float, ...] | None:
        """A list of numbers, a lone one as a list of one; None where the setting is absent."""
        value = self.find(name)
        if value is None:
            return None
        items = flattened(unwrapped(value))
        return tuple(self._number(name, item) for item in items)

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self.find(name)
        if value is None:
            return default
        if value.data not in (True, False):
            raise self._wrong(name, value, "true or false")
        return bool(value.data)

    def text(self, name: str, default: str = "") -> str:
        """A text."""
        value = self.find(name)
        if value is None:
            return default
        if not isinstance(value.data, str):
            raise self._wrong(name, value, "a text")
        return value.data

    def choice(self, name: str, words: Sequence[str], default: str) -> str:
        """One of these words, however it is capitalised."""
        text = self.text(name, default).lower()
        if text not in words:
            value = self.find(name) or self.value
            raise self._wrong(name, value, " or ".join(repr(word) for word in words))
        return text

    def sizes(
        self, name: str, rank: int, default: int | Sequence[int] | None = None, *, low: int = 1
    ) -> tuple[int, ...]:
        """One whole number an axis, or one for all."""
        value = self.find(name)
        if value is None:
            if default is None:
                raise self.refuse(f"{name} is missing")
            return (default,) * rank if isinstance(default, int) else tuple(default)
        items = value.items()
        if not items:
            return (self._integer(name, value, low),) * rank
        found = tuple(self._integer(name, item, low) for item in items)
        if len(found) == 1:
            return found * rank
        if len(found) != rank:
            raise self._wrong(name, value, f"{rank} numbers" if rank > 1 else "one number")
        return found

    def integers(self, name: str, default: Sequence[int] = (), *, low: int = -LARGEST) -> tuple[int, ...]:
        """A list of whole numbers, a lone one as a list of one."""
        value = self.find(name)
        if value is None:
            return tuple(default)
        items = value.items() if isinstance(value.data, list) else [value]
        return tuple(self._integer(name, item, low) for item in items)


def unwrapped(value: Value) -> Value:
    """The numbers inside ``{"class_name": "__numpy__", "config": {"value": [...]}}``, other values as they are."""
    inner = value.get("config") if value.get("class_name") is not None else value
    return (inner.get("value") if inner is not None else None) or value


def flattened(value: Value) -> list[Value]:
    """The leaves of nested arrays, in order."""
    found: list[Value] = []
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item.data, list):
            waiting.extend(reversed(item.data))
        else:
            found.append(item)
    return found


def plain_text(value: Value | None) -> str:
    """A text, or an empty one."""
    data: Any = value.data if value is not None else None
    return data if isinstance(data, str) else ""


def own_name(entry: Value) -> str:
    """The name of a layer: beside its configuration, or in it."""
    config = entry.get("config")
    return plain_text(entry.get("name")) or plain_text(config.get("name") if config is not None else None)
