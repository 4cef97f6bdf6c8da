"""Typed access to the fields of a message, as protobuf's parser would check them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...errors import ModelError
from ...source import Span
from .text import Field, Message

#: Sizes are int32 in a Blob (blob.cpp, CHECK_LE against INT_MAX).
INT_MAX = 2**31 - 1
EMPTY = Message((), 1, Span(0, 0))

_TRUTH = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}


class View:
    """A message and the name of its file. A field that is absent has the default the caller names.

    Raises ModelError with ``file:line`` for a value of the wrong kind, or a single field that is given twice.
    """

    __slots__ = ("file", "message")

    def __init__(self, message: Message, file: str) -> None:
        self.message = message
        self.file = file

    # -- fields -------------------------------------------------------------------------------------------------------
    def all(self, name: str) -> list[Field]:
        """Every field called ``name``."""
        return [field for field in self.message.fields if field.name == name]

    def one(self, name: str) -> Field | None:
        """The field called ``name``, None where it is absent."""
        found = self.all(name)
        if len(found) > 1:
            raise self.error(
                found[1], f"{name} is given twice, first on line {found[0].line}", hint="keep one; Caffe stops here too"
            )
        return found[0] if found else None

    def has(self, *names: str) -> bool:
        """Whether any of these fields is there."""
        return any(field.name in names for field in self.message.fields)

    def error(self, field: Field, message: str, code: str = "E203", hint: str | None = None) -> ModelError:
        """What is wrong with a field, with its place."""
        return ModelError(message, code, location=f"{self.file}:{field.line}", hint=hint)

    def wrong(self, field: Field, wanted: str) -> ModelError:
        """The value of a field is of another kind."""
        shown = "a message" if isinstance(field.value, Message) else repr(field.value)
        return self.error(field, f"{field.name} expects {wanted}, found {shown[:60]}")

    # -- messages -----------------------------------------------------------------------------------------------------
    def view(self, name: str) -> View:
        """The message called ``name``, an empty one where it is absent."""
        field = self.one(name)
        return View(EMPTY, self.file) if field is None else View(self._message(field), self.file)

    def views(self, name: str) -> list[View]:
        """Every message called ``name``."""
        return [View(self._message(field), self.file) for field in self.all(name)]

    def _message(self, field: Field) -> Message:
        if not isinstance(field.value, Message):
            raise self.wrong(field, "a message { … }")
        return field.value

    # -- scalars ------------------------------------------------------------------------------------------------------
    def text(self, name: str, default: str = "") -> str:
        """A string."""
        field = self.one(name)
        return default if field is None else self._text(field)

    def texts(self, name: str) -> list[str]:
        """Every string called ``name``."""
        return [self._text(field) for field in self.all(name)]

    def _text(self, field: Field) -> str:
        if field.kind != "string" or not isinstance(field.value, str):
            raise self.wrong(field, "a string in quotes")
        return field.value

    def integer(self, name: str, default: int, low: int = -INT_MAX) -> int:
        """A whole number of at least ``low``."""
        field = self.one(name)
        return default if field is None else self._integer(field, low)

    def integers(self, name: str, low: int = -INT_MAX) -> list[int]:
        """Every whole number called ``name``."""
        return [self._integer(field, low) for field in self.all(name)]

    def count(self, name: str, default: int) -> int:
        """A whole number of at least 0 (protobuf's uint32)."""
        return self.integer(name, default, low=0)

    def counts(self, name: str) -> list[int]:
        """Every uint32 called ``name``."""
        return self.integers(name, low=0)

    def _integer(self, field: Field, low: int) -> int:
        value = field.value
        if field.kind != "number" or not isinstance(value, int):
            raise self.wrong(field, "a whole number")
        if not low <= value <= INT_MAX:
            raise self.wrong(field, f"a whole number from {low} to {INT_MAX}" if low > -INT_MAX else "an int32")
        return value

    def real(self, name: str, default: float) -> float:
        """A floating-point number."""
        field = self.one(name)
        return default if field is None else self._real(field)

    def reals(self, name: str) -> list[float]:
        """Every floating-point number called ``name``."""
        return [self._real(field) for field in self.all(name)]

    def _real(self, field: Field) -> float:
        if field.kind == "number" and isinstance(field.value, (int, float)):
            return float(field.value)
        if isinstance(field.value, str) and field.value.lower() in ("inf", "infinity", "nan"):
            return float(field.value)
        raise self.wrong(field, "a number")

    def flag(self, name: str, default: bool) -> bool:
        """true or false, in any case, or 1 or 0."""
        field = self.one(name)
        if field is None:
            return default
        value = _TRUTH.get(str(field.value).lower()) if field.kind in ("word", "number") else None
        if value is None:
            raise self.wrong(field, "true or false")
        return value

    def choice(self, name: str, names: Mapping[str, int], default: str) -> str:
        """An enum by name or by number."""
        field = self.one(name)
        return default if field is None else self.chosen(field, names)

    def chosen(self, field: Field, names: Mapping[str, int]) -> str:
        """The name of a field's enum value."""
        for name, number in names.items():
            if (field.kind == "word" and field.value == name) or (field.kind == "number" and field.value == number):
                return name
        raise self.wrong(field, f"one of {', '.join(names)}")

    def __iter__(self) -> Iterator[Field]:
        return iter(self.message.fields)
