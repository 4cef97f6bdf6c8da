"""Nothing of a definition is executed, and no definition takes long or much: only ModelError comes out."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

import shapecalc
from shapecalc.errors import ModelError, ShapecalcError

HEAD = "import chainer\nimport chainer.functions as F\nimport chainer.links as L\n"


def chain(init: str = "pass", forward: str = "return self.c(x)") -> str:
    lines = ["super().__init__(c=L.Convolution2D(3, 4, 3))", *init.split("\n")]
    body = "".join(f"        {line}\n" for line in lines)
    after = "".join(f"        {line}\n" for line in forward.split("\n"))
    init = f"    insize = 32\n    def __init__(self):\n{body}"
    return f"{HEAD}class A(chainer.Chain):\n{init}    def forward(self, x):\n{after}"


EFFECTS = [
    "open(PATH, 'w').write('x')",
    "__import__('pathlib').Path(PATH).touch()",
    "import os; os.system('touch ' + PATH)",
    "exec('open(PATH, \"w\")')",
    "eval('open(PATH, \"w\")')",
    "[].__class__.__base__.__subclasses__()",
    "(lambda: open(PATH, 'w'))()",
]


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("place", ["module", "init", "forward", "default", "decorator", "class body"])
def test_nothing_is_executed(tmp_path: Path, effect: str, place: str) -> None:
    target = tmp_path / "made"
    text = chain()
    if place == "module":
        text = effect + "\n" + text
    elif place == "init":
        text = chain(init=effect)
    elif place == "forward":
        text = chain(forward=f"{effect}\nreturn self.c(x)")
    elif effect.startswith("import"):
        pytest.skip("a statement has no place there")
    elif place == "default":
        text = text.replace("forward(self, x)", f"forward(self, x, y={effect})")
    elif place == "decorator":
        text = text.replace("    def forward", f"    @({effect})\n    def forward")
    else:
        text = text.replace("    insize", f"    made = {effect}\n    insize")
    source = tmp_path / "net.py"
    source.write_text(f"PATH = {str(target)!r}\n{text}")
    assert [node.name for node in shapecalc.load(source).graph.nodes] == ["c"]
    assert [source] == list(tmp_path.iterdir())


def test_an_import_that_would_fail_is_not_made(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("raise SystemExit('run')\nN = 7\n")
    path = tmp_path / "net.py"
    path.write_text(
        "import no_such_module\nfrom beside import N\n" + chain("self.add_link('d', L.Linear(N))", "return self.d(x)")
    )
    assert shapecalc.load(path).trace().outputs[0].shape == (1, 7)


def test_no_file_outside_the_folder_is_opened(tmp_path: Path) -> None:
    (tmp_path / "outside.py").write_text("N = 7\n")
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "linked.py").symlink_to(tmp_path / "outside.py")
    path = inner / "net.py"
    for line in ("from ..outside import N", "from linked import N", "from outside import N"):
        path.write_text(f"{line}\n" + chain("self.add_link('d', L.Linear(N))", "return self.d(x)"))
        with pytest.raises(ModelError, match="N, whose value is not known"):
            shapecalc.load(path)


HOSTILE = {
    "a huge power": chain("a = 10 ** 10 ** 8"),
    "a huge text": chain("a = 'a' * 10 ** 10"),
    "a huge list": chain("a = [0] * 10 ** 9"),
    "a long loop": chain("for i in range(10 ** 12): pass"),
    "an endless loop": chain("while True: pass"),
    "loops in loops": chain("[0 for i in range(9999) for j in range(9999) for k in range(9999)]"),
    "doubling": chain("a = [1]\nfor i in range(60): a = a + a"),
    "extending itself": chain("a = [1]\nfor i in range(60): a.extend(a)"),
    "lists in lists": chain("a = []\nfor i in range(80): a = [a, a]\nb = a == a"),
    "printing lists in lists": chain("a = []\nfor i in range(80): a = [a, a]\nb = '%s' % (a,)"),
    "a wide format": chain("a = '%1000000000d' % 1"),
    "a wide format by value": chain("a = '{:{}}'.format(1, 10 ** 9)"),
    "a wide f-string": chain("w = 10 ** 9\na = f'{1:{w}}'"),
    "recursion": chain(forward="return self.forward(x)"),
    "a function of itself": chain("f = lambda g: g(g)\nf(f)"),
    "making itself": chain("self.b = A()"),
    "brackets": HEAD + "x = " + "(" * 5000 + ")" * 5000,
    "signs": HEAD + "x = " + "-" * 100_000 + "1",
    "attributes": HEAD + "x = " + "a." * 50_000 + "b",
    "a long sum": chain("a = " + "+".join(["1"] * 20_000)),
    "a null byte": "import chainer\0",
    "growing sizes": chain(
        forward="s = x.shape[2]\nfor i in range(99): s = (s * s + 1) // 3\nreturn F.reshape(x, (s,))"
    ),
    "too many layers": chain(forward="for i in range(99999): x = F.relu(x)\nreturn x"),
    "a chain in itself": chain("self.add_link('a', self)"),
    "chains without end": chain(
        "c = self\nfor i in range(99):\n    d = chainer.Chain()\n    c.add_link('a', d)\n    c = d"
    ),
    "doubled bases": HEAD
    + "".join(f"class A{i + 1}(A{i}, A{i}): pass\n" for i in range(99)).replace("A0", "chainer.Chain"),
    "too many axes": chain("self.add_link('d', L.ConvolutionND(10 ** 8, 3, 3, 3))", "return self.d(x)"),
    "a format that looks inside": chain("a = '{0.__class__}'.format(1)"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_definitions_are_refused(name: str) -> None:
    with pytest.raises(ModelError):
        shapecalc.loads(HOSTILE[name], format="chainer")


WORDS = [*"()[]{}:,.=+-*/%", *"x self 1 0 -1 None 3.5 'a' // ** F.relu L.Linear len range h.shape lambda".split()]


@pytest.mark.parametrize("seed", range(4))
def test_mutated_definitions_raise_nothing_else(seed: int) -> None:
    chance = random.Random(seed)
    texts = [
        *(path.read_text() for path in sorted((Path(__file__).parents[2] / "zoo").glob("*.py"))),
        chain(),
        *HOSTILE.values(),
    ]
    for _ in range(150):
        words = re.findall(r"\s+|\w+|[^\w\s]", chance.choice([text for text in texts if len(text) < 5000]))
        for _ in range(chance.randint(1, 3)):
            words[chance.randrange(len(words))] = chance.choice([*WORDS, chance.choice(words)])
        try:
            shapecalc.loads("".join(words), format="chainer").trace((1, 3, 32, 32))
        except ShapecalcError:
            continue
