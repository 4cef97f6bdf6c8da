"""Words of a command line: how they are read, what is refused, and the help."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest

import shapecalc
from shapecalc.cli.app import COMMANDS, program, run
from shapecalc.cli.declared import Argument, Command, Group, Option
from shapecalc.cli.helping import WIDEST, of_command, of_program
from shapecalc.cli.reading import take_apart, values

Capture = pytest.CaptureFixture[str]


@dataclass(frozen=True)
class How(Group):
    quick: Annotated[bool, Option("-q", "--quick")] = False
    dry: Annotated[bool, Option("-d", "--dry")] = False


CALLED: list[tuple[str, How]] = []


def command(
    model: Annotated[str, Argument(metavar="MODEL", help="A file.")],
    more: Annotated[list[str] | None, Argument(metavar="[MORE]", help="Others.")] = None,
    shape: Annotated[list[str] | None, Option("--input", "-i", metavar="SHAPE")] = None,
    classes: Annotated[int, Option("--classes", min=1, max=9)] = 3,
    scale: Annotated[float | None, Option("--scale", min=0.5)] = None,
    output: Annotated[Path | None, Option("-o", "--output", metavar="FILE")] = None,
    *,
    how: How,
    old: Annotated[int | None, Option("--old-name", hidden=True)] = None,
) -> int:
    """Does it."""
    CALLED.append((model, how))
    return 7


COMMAND = Command(command)
TAKES = COMMAND.takes


def read(line: str) -> dict[str, Any]:
    """What differs from the defaults."""
    found = values(take_apart(line.split(), TAKES), TAKES)
    return {p.name: found[p.name] for p in TAKES if p.required or found[p.name] != p.default}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("net", {"model": "net"}),
        ("net a b", {"model": "net", "more": ["a", "b"]}),
        ("a --quick b", {"model": "a", "more": ["b"], "quick": True}),
        ("--input 1 net -i 2 -i3 --input=4", {"model": "net", "shape": ["1", "2", "3", "4"]}),
        ("net -i -1x3x224x224", {"model": "net", "shape": ["-1x3x224x224"]}),
        ("net -i --quick", {"model": "net", "shape": ["--quick"]}),
        ("net --input=", {"model": "net", "shape": [""]}),
        ("net --input=a=b", {"model": "net", "shape": ["a=b"]}),
        ("net --classes 4 --classes 5", {"model": "net", "classes": 5}),
        ("net --scale 0.5", {"model": "net", "scale": 0.5}),
        ("net -qd", {"model": "net", "quick": True, "dry": True}),
        ("net -qo x", {"model": "net", "quick": True, "output": Path("x")}),
        ("net -ox", {"model": "net", "output": Path("x")}),
        ("-q -- -net --quick", {"model": "-net", "more": ["--quick"], "quick": True}),
        ("-", {"model": "-"}),
        ("net --old-name 4", {"model": "net", "old": 4}),
    ],
)
def test_words_are_read(line: str, found: dict[str, Any]) -> None:
    assert read(line) == found


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("", "MODEL is missing", "name it. A file."),
        ("net --clases 3", "there is no option --clases", "near: --classes"),
        ("net --old-nam 3", "there is no option --old-nam", "--help shows them"),
        ("net -qx", "there is no option -x", "--help shows them"),
        ("net --quick=yes", "--quick takes no value, not 'yes'", "write --quick alone"),
        ("net -i", "-i wants a value", "write -i SHAPE"),
        ("net --classes x", "--classes x is not a whole number", None),
        ("net --classes 2.5", "--classes 2.5 is not a whole number", None),
        ("net --classes 0", "--classes 0 is out of bounds", None),
        ("net --classes 10", "--classes 10 is out of bounds", None),
        ("net --scale x", "--scale x is not a number", None),
        ("net --scale nan", "--scale nan is out of bounds", None),
    ],
)
def test_words_that_make_no_sense(line: str, message: str, hint: str | None) -> None:
    with pytest.raises(shapecalc.UsageError) as caught:
        read(line)
    assert (caught.value.message, caught.value.hint, caught.value.code) == (message, hint, "E002")


def test_options_that_go_together_are_one_parameter() -> None:
    assert COMMAND.call(values(take_apart(["net", "-d"], TAKES), TAKES)) == 7
    assert CALLED.pop() == ("net", How(quick=False, dry=True))


def test_one_argument_too_many(capsys: Capture) -> None:
    assert run(["trace", "lenet", "alexnet"]) == 2
    assert capsys.readouterr().err.startswith("error[E002 option]: 'alexnet' is one argument too many")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trce"], "error[E002 option]: there is no command 'trce'\n  try      near: trace\n"),
        (["--foo"], "error[E002 option]: there is no option --foo\n  try      --help shows them\n"),
        (["-v"], "error[E002 option]: no command is named\n  try      shapecalc --help lists them\n"),
    ],
)
def test_a_program_called_wrong(words: list[str], message: str, capsys: Capture) -> None:
    assert run(words) == 2
    assert capsys.readouterr().err.endswith(message)


def test_without_words_it_shows_its_help(capsys: Capture) -> None:
    assert run([]) == 2
    shown = capsys.readouterr()
    assert run(["--help"]) == 0
    assert (shown.out, shown.err) == ("", capsys.readouterr().out)


def test_switches_before_the_command_are_not_its_own(capsys: Capture) -> None:
    assert run(["-q", "zoo", "--json"]) == 0
    assert run(["zoo", "-q"]) == 2
    assert "there is no option -q" in capsys.readouterr().err


def test_the_help_of_a_command() -> None:
    assert of_command("do", COMMAND).splitlines() == [
        "Usage: shapecalc do [OPTIONS] MODEL [MORE]",
        "",
        "  Does it.",
        "",
        "Arguments:",
        "  MODEL   A file.",
        "  [MORE]  Others.",
        "",
        "Options:",
        "  -i, --input SHAPE",
        "  --classes VALUE    [default: 3]",
        "  --scale VALUE",
        "  -o, --output FILE",
        "  -q, --quick",
        "  -d, --dry",
        "  -h, --help         Show this and end.",
    ]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_in_the_help_of_its_command(name: str) -> None:
    made = Command(COMMANDS[name])
    text = of_command(name, made)
    words = set(text.replace(",", " ").split())
    assert [p.said.names for p in made.takes if not p.said.hidden and not words.issuperset(p.said.names)] == []
    assert max(map(len, text.splitlines())) <= WIDEST
    assert text.isascii()


def test_every_command_is_in_the_help_with_what_it_answers() -> None:
    text = " ".join(of_program(Command(program), COMMANDS).split())
    assert [
        name for name, made in COMMANDS.items() if f"{name} {' '.join((made.__doc__ or '').split())}" not in text
    ] == []
