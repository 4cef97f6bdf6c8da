"""Damage done to texts, word by word: prototxt, Python and JSON."""

from __future__ import annotations

import ast
import copy
import json
import re
from typing import Any

from .fuzz_bytes import NEGATIVE, NUMBERS, Chance, Mutation, cut, flip, truncate

WORD = re.compile(r"\"[^\"\n]*\"|'[^'\n]*'|[A-Za-z_]\w*|-?\d+(?:\.\d+)?|\s+|.", re.DOTALL)
#: What a file of the format does not say often, and what it never should.
UNUSUAL = (
    *map(str, (*NUMBERS, *NEGATIVE)),
    *("1e300", "nan", "inf", "0.5", "-0.0", "0x7fffffff", "1e-400", "9" * 400, '"9"', "true", "null", "None", "[]"),
    *(
        "{}",
        "()",
        '""',
        "''",
        '"../../x"',
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        ":",
        ",",
        ";",
        "#",
        "<",
        ">",
        "\\",
        "\0",
        "\n",
    ),
    *("*", "**", "//", "%", "<<", "@", "=", "==", "lambda: 0", "self", "F", "L", "range(10**9)", "yield", "await"),
    *("MAX", "AVE", "SUM", "TEST", "TRAIN", "dim: 0", "dim: -1", "axis: 9", "pad: 999999999", "kernel_size: 0"),
    *("stride: 0", "group: 0", "num_output: 0", "dilation: 0", "global_pooling: true", "\ufeff", "\U0001f600", "é"),
)


def words(text: str) -> list[str]:
    return WORD.findall(text)


def _rewritten(parts: list[str]) -> bytes:
    return "".join(parts).encode("utf-8", "surrogatepass")


def _as_text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def word(chance: Chance, data: bytes, other: bytes) -> bytes:
    """Some words become others: of this file, of another, or unusual ones."""
    parts, others = words(_as_text(data)), words(_as_text(other))
    solid = [i for i, part in enumerate(parts) if not part.isspace()]
    for _ in range(chance.choice((1, 1, 2, 3, 6))):
        source = chance.choice((parts, others, UNUSUAL))
        if solid and source:
            parts[chance.choice(solid)] = chance.choice(source)
    return _rewritten(parts)


def number(chance: Chance, data: bytes, other: bytes) -> bytes:
    """Some numbers become others."""
    parts = words(_as_text(data))
    places = [i for i, part in enumerate(parts) if part[-1:].isdigit()]
    for _ in range(chance.choice((1, 1, 2, 4))):
        if places:
            parts[chance.choice(places)] = str(chance.choice(NUMBERS + NEGATIVE))
    return _rewritten(parts)


def name(chance: Chance, data: bytes, other: bytes) -> bytes:
    """Names or texts exchanged for others of their kind: cycles, duplicates, layers that are not there."""
    parts = words(_as_text(data))
    quoted = chance.random() < 0.5
    places = [
        i for i, part in enumerate(parts) if (part[:1] in "\"'" if quoted else part[:1].isalpha() or part[:1] == "_")
    ]
    for _ in range(chance.choice((1, 1, 2, 3))):
        if places:
            parts[chance.choice(places)] = parts[chance.choice(places)]
    return _rewritten(parts)


def line(chance: Chance, data: bytes, other: bytes) -> bytes:
    """Lines left out, written twice, exchanged, or taken from another file."""
    lines = _as_text(data).splitlines(keepends=True) or [""]
    others = _as_text(other).splitlines(keepends=True) or [""]
    for _ in range(chance.choice((1, 1, 2, 4))):
        at, to = chance.randrange(len(lines)), chance.randrange(len(lines))
        what = chance.randrange(4)
        if what == 0 and len(lines) > 1:
            del lines[at]
        elif what == 1:
            lines[at:at] = [lines[at]] * chance.choice((1, 1, 50))
        elif what == 2:
            lines[at], lines[to] = lines[to], lines[at]
        else:
            start = chance.randrange(len(others))
            lines[at:at] = others[start : start + chance.choice((1, 5, 30))]
    return _rewritten(lines)


def nested(chance: Chance, data: bytes, other: bytes) -> bytes:
    """Brackets, blocks or operators in each other, hundreds or hundreds of thousands of times."""
    text = _as_text(data)
    at = chance.randrange(len(text) + 1)
    opened, closed = chance.choice((("(", ")"), ("[", "]"), ("{", "}"), ("layer {", "}"), ("-", ""), ("not ", "")))
    if chance.random() < 0.3:
        opened, closed = chance.choice((("x.", ""), ("lambda: ", ""), ("if 1:\n ", ""), ("f(", ")"), ('{"a":', "}")))
    times = chance.choice((5, 90, 990, 30_000))
    middle = chance.choice(("", "1", text[at : at + 20]))
    return _rewritten([text[:at], opened * times, middle, closed * times, text[at:]])


def block(chance: Chance, data: bytes, other: bytes) -> bytes:
    """A whole block ``word { … }`` left out, written twice, or put elsewhere."""
    text, source = _as_text(data), _as_text(chance.choice((data, other)))
    blocks, others = list(BLOCK.finditer(text)), list(BLOCK.finditer(source))
    if not blocks or not others:
        return number(chance, data, other)
    found, new = chance.choice(blocks), chance.choice(others).group()
    made = chance.choice(("", found.group() * 2, found.group() * 40, new, new + found.group()))
    return _rewritten([text[: found.start()], made, text[found.end() :]])


def value(chance: Chance, data: bytes, other: bytes) -> bytes:
    """A value of a JSON text becomes another of the file, or an unusual one, or is left out."""
    try:
        made = json.loads(data)
    except (ValueError, RecursionError):
        return word(chance, data, other)
    places = _inside(made)
    for _ in range(chance.choice((1, 1, 2, 4))):
        if places:
            (container, key), (source, place) = chance.choice(places), chance.choice(places)
            new = chance.choice((*NUMBERS, *NEGATIVE, *ODD)) if chance.random() < 0.5 else source.get(place)
            container[key] = json.loads(json.dumps(new))
    return json.dumps(made)[: 1 << 20].encode()


def syntax(chance: Chance, data: bytes, other: bytes) -> bytes:
    """Python that still parses: statements and expressions left out, written twice, exchanged, numbers changed."""
    try:
        tree, source = ast.parse(data), ast.parse(chance.choice((data, other)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return line(chance, data, other)
    try:
        for _ in range(chance.choice((1, 1, 2, 3))):
            _exchanged(chance, tree, source)
        return ast.unparse(ast.fix_missing_locations(tree)).encode("utf-8", "replace")[: 1 << 20]
    except (ValueError, RecursionError, AttributeError, TypeError):
        return line(chance, data, other)


def _exchanged(chance: Chance, tree: ast.AST, source: ast.AST) -> None:
    """One statement or expression of a tree in the place of another."""
    holder, field, index = chance.choice(_slots(tree))
    kind = ast.stmt if isinstance(getattr(holder, field)[index], ast.stmt) else ast.expr
    others = [n for n in ast.walk(source) if isinstance(n, kind) and not isinstance(n, ast.Starred | ast.Slice)]
    if kind is ast.stmt:
        got = copy.deepcopy(chance.choice(others))
        getattr(holder, field)[index : index + chance.randrange(2)] = [got] * chance.choice((0, 1, 1, 2))
        setattr(holder, field, getattr(holder, field) or [ast.Pass()])
    else:
        edge = ast.Constant(chance.choice((*NUMBERS, -1, None, True, 0.5, "", "a")))
        getattr(holder, field)[index] = copy.deepcopy(chance.choice((edge, chance.choice(others))))


def _slots(tree: ast.AST) -> list[tuple[ast.AST, str, int]]:
    """Every place in a list of statements or expressions: bodies, arguments, elements."""
    found = []
    for node in ast.walk(tree):
        for field, value in ast.iter_fields(node):
            if isinstance(value, list):
                found += [(node, field, i) for i, item in enumerate(value) if isinstance(item, ast.stmt | ast.expr)]
    return found


def _inside(value: Any) -> list[tuple[Any, Any]]:
    """(object, key) of every entry of every object inside a JSON value."""
    if isinstance(value, list):
        return [place for item in value for place in _inside(item)]
    if not isinstance(value, dict):
        return []
    return [(value, key) for key in value] + [place for item in value.values() for place in _inside(item)]


BLOCK = re.compile(r"\w+\s*:?\s*\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}")
ODD: tuple[Any, ...] = (
    None,
    True,
    "",
    "same",
    "valid",
    [],
    {},
    [0],
    [-1],
    [1, 1, 1],
    [None],
    0.5,
    1e300,
    "channels_first",
    [[1, 2]],
)

BLOCKS: tuple[Mutation, ...] = (block,) * 5 + (number,) * 4 + (name,) * 4
VALUES: tuple[Mutation, ...] = (value,) * 14
SYNTAX: tuple[Mutation, ...] = (syntax,) * 20
WORDS: tuple[Mutation, ...] = (word, word, number, number, number, name, name, line, line, nested, flip, truncate, cut)
