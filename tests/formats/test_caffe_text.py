"""The grammar of a prototxt: what it accepts, what it says of the rest, and that spans are exact."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapecalc.errors import ModelError
from shapecalc.formats.caffe.text import DEEPEST, Field, Message, parse
from shapecalc.source import Span


def plain(message: Message) -> list[Any]:
    """A tree without its spans: (name, value) pairs."""
    return [(f.name, plain(f.value) if isinstance(f.value, Message) else f.value) for f in message.fields]


READ = [
    ("", []),
    ("# only a comment", []),
    ("a: 1", [("a", 1)]),
    ("a: 1, b: 2; c: 3", [("a", 1), ("b", 2), ("c", 3)]),
    ("a { b: 1 }", [("a", [("b", 1)])]),
    ("a: { b: 1 }", [("a", [("b", 1)])]),
    ("a < b: 1 >", [("a", [("b", 1)])]),
    ("a {}", [("a", [])]),
    ("a { b < c { d: 1 } > }", [("a", [("b", [("c", [("d", 1)])])])]),
    ("a: 'x' # why\nb: 2", [("a", "x"), ("b", 2)]),
    ('a: "x" \'y\'\n "z"', [("a", "xyz")]),
    (r"""a: "\n\t\\\"\x41\101\u00e9" """, [("a", '\n\t\\"AAé')]),
    ("a: 'it\"s'", [("a", 'it"s')]),
    ("a: '#no comment'", [("a", "#no comment")]),
    ("a: MAX", [("a", "MAX")]),
    ("a: true b: False", [("a", "true"), ("b", "False")]),
    ("a: 1e-05", [("a", 1e-05)]),
    ("a: 1. b: .5 c: 2.f d: 1e3F", [("a", 1.0), ("b", 0.5), ("c", 2.0), ("d", 1000.0)]),
    ("a: -3 b: - 4 c: -0.5", [("a", -3), ("b", -4), ("c", -0.5)]),
    ("a: 0x1F b: 010 c: 0", [("a", 31), ("b", 8), ("c", 0)]),
    ("a: -inf", [("a", float("-inf"))]),
    ("a: [1, 2, 3]", [("a", 1), ("a", 2), ("a", 3)]),
    ("a: [] b: 1", [("b", 1)]),
    ("a: [{ b: 1 }, { b: 2 }]", [("a", [("b", 1)]), ("a", [("b", 2)])]),
    ("[my.extension]: 1", [("[my.extension]", 1)]),
    ("\ufeffa: 1", [("a", 1)]),
    ("a:1\r\nb:2\r\n", [("a", 1), ("b", 2)]),
]


@pytest.mark.parametrize(("text", "tree"), READ, ids=[text[:30] for text, _ in READ])
def test_reads(text: str, tree: list[Any]) -> None:
    assert plain(parse(text).root) == tree


REFUSED = [
    ("a", "net:1", "expected ':' or '{' after a, found the end of the file"),
    ("a: 1\nb: ", "net:2", "expected a value, found the end of the file"),
    ("a { b: 1\n", "net:2", "expected '}' for the '{' of line 1, found the end of the file"),
    ("a < b: 1 }", "net:1", "expected the name of a field, found '}'"),
    ("a: 'x\ny'", "net:1", "expected the closing quote before the end of the line"),
    ("a: 1\n\n@", "net:3", "expected a field, a number or a string, found '@'"),
    ("a: 1abc", "net:1", "expected a field, a number or a string, found '1abc'"),
    ("a: 1.2.3", "net:1", "expected a field, a number or a string, found '1.2.3'"),
    ("a: 09", "net:1", "expected octal digits after the 0 of '09'"),
    ("a: -MAX", "net:1", "expected a number after '-', found 'MAX'"),
    ("a: [1 2]", "net:1", "expected ',' or ']', found '2'"),
    ("a b: 1", "net:1", "expected ':' or '{' after a, found 'b'"),
    ("1: 2", "net:1", "expected the name of a field, found '1'"),
    ("a: " + "9" * 65, "net:1", "expected a number of at most 64 characters"),
    ("\n".join(["a {"] * (DEEPEST + 1)), f"net:{DEEPEST + 1}", "expected at most 100 messages inside one another"),
]


@pytest.mark.parametrize(("text", "location", "message"), REFUSED, ids=[row[2][:40] for row in REFUSED])
def test_refuses_with_line_and_what_was_expected(text: str, location: str, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        parse(text, "net")
    assert (caught.value.location, caught.value.message, caught.value.code) == (location, message, "E203")


def test_spans_and_lines() -> None:
    text = 'name: "net"\nlayer {\n  pad: 2 # two\n  top: "a" "b"\n}\n'
    document = parse(text)
    name, layer = document.root.fields
    assert isinstance(layer.value, Message)
    pad, top = layer.value.fields
    assert [f.line for f in (name, layer, pad, top)] == [1, 2, 3, 4]
    assert [text[slice(*f.span)] for f in (name, pad, top)] == ['name: "net"', "pad: 2", 'top: "a" "b"']
    assert [text[slice(*f.value_span)] for f in (name, pad, top)] == ['"net"', "2", '"a" "b"']
    assert text[slice(*layer.value_span)] == text[18:-1]
    assert document.write([(pad.value_span, "3"), (name.value_span, '"new"')]) == (
        'name: "new"\nlayer {\n  pad: 3 # two\n  top: "a" "b"\n}\n'
    )


# -- laws -------------------------------------------------------------------------------------------------------------

names = st.text(string.ascii_letters + "_", min_size=1, max_size=6)
scalars = st.one_of(
    st.integers(-(2**31), 2**31),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8).map(lambda text: ("string", text)),
    st.sampled_from(["MAX", "TRAIN", "true"]).map(lambda text: ("word", text)),
)
trees = st.recursive(
    st.lists(st.tuples(names, scalars), max_size=4),
    lambda inner: st.lists(st.tuples(names, st.one_of(scalars, inner)), max_size=4),
    max_leaves=12,
)


def quoted(text: str, quote: str) -> str:
    special = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", quote: "\\" + quote}
    return quote + "".join(special.get(letter, letter) for letter in text) + quote


def written(tree: list[Any], draw: st.DataObject) -> str:
    """A tree in one of the many ways people write it."""
    pieces = []
    for name, value in tree:
        gap = draw.draw(st.sampled_from([" ", "\n", "\t", " # comment\n", ""]))
        if isinstance(value, list):
            left, right = draw.draw(st.sampled_from([("{", "}"), ("<", ">")]))
            pieces.append(f"{name}{draw.draw(st.sampled_from(['', ':', ' : ']))}{left} {written(value, draw)} {right}")
        elif isinstance(value, tuple):
            kind, word = value
            pieces.append(f"{name}:{gap}{word if kind == 'word' else quoted(word, draw.draw(st.sampled_from(QUOTES)))}")
        else:
            pieces.append(f"{name}:{gap}{value!r}")
        pieces.append(draw.draw(st.sampled_from(["\n", " ", ";", ", ", " # end\n"])))
    return "".join(pieces)


QUOTES = ["'", '"']


def bare(tree: list[Any]) -> list[Any]:
    return [(n, bare(v) if isinstance(v, list) else v[1] if isinstance(v, tuple) else v) for n, v in tree]


def fields_of(message: Message) -> list[Field]:
    found = []
    for field in message.fields:
        found.append(field)
        if isinstance(field.value, Message):
            found += fields_of(field.value)
    return found


@given(trees, st.data())
@settings(deadline=None)
def test_a_tree_written_and_read_is_the_same_tree(tree: list[Any], draw: st.DataObject) -> None:
    assert plain(parse(written(tree, draw)).root) == bare(tree)


@given(trees, st.data())
@settings(deadline=None)
def test_the_spans_of_a_tree_are_its_source(tree: list[Any], draw: st.DataObject) -> None:
    text = written(tree, draw)
    document = parse(text)
    fields = fields_of(document.root)
    scalar = [(f.value_span, text[slice(*f.value_span)]) for f in fields if not isinstance(f.value, Message)]
    assert document.write() == text
    assert document.write(scalar) == text
    for field in fields:
        (again,) = parse(text[slice(*field.span)]).root.fields
        assert (again.name, again.kind) == (field.name, field.kind)
        assert again.value_span == Span(*(p - field.span.start for p in field.value_span))


PIECES = [
    "a",
    "layer",
    "{",
    "}",
    "<",
    ">",
    ":",
    "1",
    "-",
    "'",
    '"',
    "\\",
    "#",
    "\n",
    "[",
    "]",
    ".",
    "e5",
    "?",
    "\x00",
    "é",
]


@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=40).map("".join)))
@settings(deadline=None, max_examples=500)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        document = parse(text)
    except ModelError as error:
        assert error.location is not None  # noqa: PT017  both ways out are right
    else:
        assert document.write() == text


def test_a_thousand_comments_and_deep_lists_take_no_time() -> None:
    text = "#\n" * 200_000 + "a: [" + "1, " * 100_000 + "1]"
    assert len(parse(text).root.fields) == 100_001
