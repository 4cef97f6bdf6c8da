"""The documentation is true: what it prints is printed, what it quotes is there, what it lists is complete."""

from __future__ import annotations

import ast
import html
import inspect
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
from tools.make_errors_seen import page as errors_seen
from tools.make_pages import filled, pages
from tools.make_screens import COMMANDS, SCREENS, masked, printed
from typer.main import get_command

import shapecalc
from shapecalc.cli.app import application
from shapecalc.dialects import DIALECTS
from shapecalc.errors import TITLES
from shapecalc.formats import Options, Source
from shapecalc.model import Model
from shapecalc.ops import Operator
from shapecalc.source import apply_patch
from shapecalc.surgery.coding import KINDS
from shapecalc.zoo import entries

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
REFERENCE = (DOCS / "reference.md").read_text(encoding="utf-8")
ELLIPSIS = "…"

Printed = Callable[[str], str]


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def name_of(value: Any) -> str:
    return str(value.relative_to(ROOT)) if isinstance(value, Path) else str(value)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Printed:
    """Runs a command of the docs once; all run in one folder, so that one can read what another wrote."""
    folder = tmp_path_factory.mktemp("docs")
    shutil.copytree(DOCS / "examples", folder, dirs_exist_ok=True)
    outputs: dict[str, str] = {}

    def once(command: str) -> str:
        if command not in outputs:
            outputs[command] = printed(command, folder)
        return outputs[command]

    return once


# -- what the docs show is what the commands print --------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_a_screen_is_what_the_command_prints(name: str, run: Printed) -> None:
    command = COMMANDS[name]
    assert masked(read(SCREENS / f"{name}.txt")) == masked(f"$ {command}\n{run(command)}")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_picture_shows_its_screen(name: str) -> None:
    _, *lines = read(SCREENS / f"{name}.txt").splitlines()
    texts = re.findall(r"<text [^>]*>([^<]*)</text>", read(SCREENS / f"{name}.svg"))
    shown = re.sub(r"\s+", "", html.unescape("".join(texts[1:])))  # the first is the window's title
    assert shown == re.sub(r"\s+", "", "".join(lines))


def test_masking_hides_times_and_nothing_else() -> None:
    assert masked("run in 1.5 ms\n  ok") == masked("run\n  in 20 ms ok")
    assert masked("CPU (2 cores)") == masked("CPU (16 cores)")
    assert masked("24 of 24 tensors") != masked("23 of 24 tensors")


def sessions(page: Path) -> Iterator[tuple[str, list[str]]]:
    """(command, pieces of output) of every console block; an ellipsis separates pieces."""
    for block in blocks(read(page), "console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, [piece for piece in map(masked, output.split(ELLIPSIS)) if piece]


SESSIONS = [(page, command, pieces) for page in PAGES for command, pieces in sessions(page) if pieces]


@pytest.mark.parametrize(("page", "command", "pieces"), SESSIONS, ids=name_of)
def test_a_session_is_what_the_command_prints(page: Path, command: str, pieces: list[str], run: Printed) -> None:
    rest = masked(run(command))
    for piece in pieces:
        assert piece in rest
        rest = rest[rest.index(piece) + len(piece) :]


def test_the_tutorial_has_sessions() -> None:
    assert sum(page.name == "tutorial.md" for page, *_ in SESSIONS) >= 6


# -- tables ------------------------------------------------------------------------------------------------------------

WINDOW = re.compile(r"^\| (conv|pool|pool, ceil) (\d+)/(\d+) pad (\d+) \| (\d+) \| (.*) \|$", re.MULTILINE)
CASES = WINDOW.findall(read(DOCS / "rounding.md"))
LAYERS = {
    "conv": 'type: "Convolution" convolution_param { num_output: 1 kernel_size: %s stride: %s pad: %s }',
    "pool": 'type: "Pooling" pooling_param { kernel_size: %s stride: %s pad: %s }',
    "pool, ceil": 'type: "Pooling" pooling_param { round_mode: CEIL kernel_size: %s stride: %s pad: %s }',
}


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_a_row_of_the_rounding_table(case: tuple[str, ...]) -> None:
    kind, *window, size, cells = case
    text = 'input: "x" input_shape { dim: [1, 1, %s, %s] } layer { name: "l" bottom: "x" top: "l" %s }'
    model = shapecalc.loads(text % (size, size, LAYERS[kind] % tuple(window)), format="caffe")
    traces = [model.trace(dialect=name) for name in DIALECTS]
    sizes = [str((t.layer("l").outputs[0].shape or ())[2]) if t.ok else "–" for t in traces]
    assert sizes == cells.split(" | ")


def test_the_rounding_table_is_there() -> None:
    assert len(CASES) >= 10
    assert f"| window F/S | n | {' | '.join(DIALECTS)} |" in read(DOCS / "rounding.md")


def test_the_page_of_error_texts_is_made_from_the_table() -> None:
    assert read(DOCS / "errors-seen.md") == errors_seen()


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
def test_a_page_has_the_tables_of_the_code(page: Path) -> None:
    """``python -m tests.tools.make_pages`` makes them anew."""
    assert read(page) == filled(read(page))


def test_a_table_that_is_not_the_code_s_is_seen() -> None:
    text = "by hand\n<!-- made: caffe.forks -->\nold\n<!-- end -->\n"
    assert "by hand" in filled(text)
    assert filled(text) != text
    with pytest.raises(KeyError):
        filled(text.replace("caffe.forks", "caffe.nothing"))


# -- links -------------------------------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """The anchors GitHub makes of headings."""
    headings = re.findall(r"^#+ (.*)$", read(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


LINKS = [
    (page, link)
    for page in PAGES
    for link in re.findall(
        r"\]\(([^)\s]+)\)", re.sub(r"^```text\n.*?^```", "", read(page), flags=re.DOTALL | re.MULTILINE)
    )
    if not link.startswith(("http:", "https:"))
]


@pytest.mark.parametrize(("page", "link"), LINKS, ids=name_of)
def test_a_link_leads_somewhere(page: Path, link: str) -> None:
    path, _, anchor = link.partition("#")
    target = page if not path else (page.parent / path).resolve()
    assert target.exists()
    assert not anchor or anchor in anchors(target)


DECISIONS = sorted((DOCS / "decisions").glob("0*.md"))


def test_every_decision_is_in_the_index() -> None:
    linked = re.findall(r"\]\((0[^)]*)\)", read(DOCS / "decisions" / "README.md"))
    assert linked == [page.name for page in DECISIONS]


@pytest.mark.parametrize("page", DECISIONS, ids=name_of)
def test_a_decision_has_its_parts(page: Path) -> None:
    parts = re.findall(r"^## (.*)$", read(page), re.MULTILINE)
    assert parts == ["Context", "Decision", "Consequences", "Considered"]
    assert read(page).startswith(f"# {int(page.name[:4])}. ")


# -- code --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", blocks(read(ROOT / "README.md"), "python"))
def test_python_of_the_readme_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})


BOTTLENECK = blocks(read(DOCS / "keras-bottleneck.md"), "python")


@pytest.mark.parametrize("code", BOTTLENECK)
def test_python_of_the_bottleneck_page_prints_what_it_says(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(DOCS / "examples", tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "keras-bottleneck.md", "exec"), {"__name__": "page"})
    assert capsys.readouterr().out.strip() == code.rpartition("# ")[2].strip()


QUOTES = [
    (path, code)
    for page in (DOCS / "adding-an-operator.md", DOCS / "adding-a-format.md")
    for path, code in re.findall(r"^```python\n# (\S+\.py)\n(.*?)^```", read(page), re.DOTALL | re.MULTILINE)
]


@pytest.mark.parametrize(("path", "code"), QUOTES)
def test_quoted_code_is_there(path: str, code: str) -> None:
    assert code.strip() in read(ROOT / path)


def chain() -> tuple[dict[str, Any], str]:
    """The reader and the definition of the page on adding a format."""
    page = read(DOCS / "adding-a-format.md")
    module: dict[str, Any] = {"__name__": "chain"}
    exec(compile(blocks(page, "python")[0], "adding-a-format.md", "exec"), module)
    return module, blocks(page, "text")[0]


def test_the_format_of_the_docs_works() -> None:
    module, text = chain()
    assert module["sniff"](text.encode())
    graph = module["read"](Source("my.chain", None, text.encode()), Options())
    trace = Model(graph, "chain").trace()
    assert [layer.outputs[0].shape for layer in trace.layers] == [(1, 96, 55, 55), (1, 96, 27, 27), (1, 13)]
    spans = [node.origin.span for node in graph.nodes]
    assert "".join(text[s.start : s.end] for s in spans) == "".join(text.splitlines(keepends=True)[2:])
    assert apply_patch(text, []) == text


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("pool pool1 3 2", "pool pool1 3", "my.chain:4: error[E203 syntax]: 4 words expected, found 3"),
        ("dense fc 13", "dense fc 0", "my.chain:5: error[E203 syntax]: '0' is no size"),
        ("pool pool1", "lstm pool1", "my.chain:4: error[E204 unsupported layer]: no layer type 'lstm'"),
    ],
)
def test_the_format_of_the_docs_refuses(old: str, new: str, message: str) -> None:
    module, text = chain()
    with pytest.raises(shapecalc.ModelError) as caught:
        module["read"](Source("my.chain", None, text.replace(old, new).encode()), Options())
    assert str(caught.value).splitlines()[0] == message


def test_every_rule_of_a_row_is_explained() -> None:
    rules = set(inspect.signature(Operator.__init__).parameters) - {"self", "name", "shapes", "source", "elementwise"}
    named = set(re.findall(r"^\| `(\w+)` \| ", read(DOCS / "adding-an-operator.md"), re.MULTILINE))
    assert {name for name in named if not name.startswith("test_")} == rules


def test_tests_the_docs_name_exist() -> None:
    tree = ast.parse(read(ROOT / "tests" / "test_operators.py"))
    there = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert set(re.findall(r"`(test_\w+)`", read(DOCS / "adding-an-operator.md"))) <= there


# -- the reference is complete -----------------------------------------------------------------------------------------


def command_options() -> Iterator[tuple[str, str]]:
    """(command, option) of everything the command line takes."""
    group: Any = get_command(application())
    for command in [group, *group.commands.values()]:
        name = "" if command is group else str(command.name)
        for param in command.params:
            yield from ((name, option) for option in param.opts if option.startswith("-"))


OPTIONS = sorted({option for _, option in command_options()})


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_is_in_the_reference(option: str) -> None:
    assert re.search(rf"`{re.escape(option)}[` ]", REFERENCE)


def test_every_option_of_the_reference_is_there() -> None:
    tables = re.findall(r"^\| ((?:`-.*?`(?:, )?)+) \|", REFERENCE, re.MULTILINE)
    named = {option for cell in tables for option in re.findall(r"`(-[\w-]+)", cell)}
    assert named - {"-h", "--help"} <= set(OPTIONS)


def test_every_command_has_its_section() -> None:
    group: Any = get_command(application())
    assert re.findall(r"^### `shapecalc (\w+)", REFERENCE, re.MULTILINE) == list(group.commands)


def section(title: str) -> str:
    """The text of one section of the reference, its subsections included."""
    level, _, rest = re.split(rf"^(#+) ({re.escape(title)})$", REFERENCE, flags=re.MULTILINE)[1:]
    return re.split(rf"^#{{1,{len(level)}}} ", rest, flags=re.MULTILINE)[0]


@pytest.mark.parametrize("name", shapecalc.__all__)
def test_every_public_name_is_in_the_reference(name: str) -> None:
    assert re.search(rf"`{name}[`(]", section("Python"))


def test_every_error_code_is_in_the_reference_with_its_title() -> None:
    rows = re.findall(r"^\| (E\d{3}) \| (.*?) \|", REFERENCE, re.MULTILINE)
    assert dict(rows) == TITLES
    assert len(rows) == len(TITLES)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_error_codes_in_the_docs_exist(page: Path) -> None:
    assert set(re.findall(r"\bE\d{3}\b", read(page))) <= set(TITLES)
    for code, title in re.findall(r"\[(E\d{3}) ([^\]]*)\]", read(page)):
        assert TITLES[code] == title


def why_dictionaries() -> list[dict[str, Any]]:
    """An answer with a text, its cause, a step, a fork of another net, a repair."""
    text = "mat1 and mat2 shapes cannot be multiplied (1x1250 and 800x500)"
    found = shapecalc.load("lenet").why(error=text, run=False).to_dict()
    step = next(s for s in shapecalc.load("alexnet").why(256, run=False).to_dict()["cause"]["chain"] if s["uneven"])
    return [found, found["error"], found["about"], found["cause"], step, step["uneven"], found["repairs"][0]]


def compare_dictionaries() -> list[dict[str, Any]]:
    found = shapecalc.load("alexnet").compare(256, dialects=["caffe", "onnx"]).to_dict()
    return [found, found["layers"][0], found["changes"][0], found["changes"][0]["ways"][0]]


def dictionaries(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Section -> the dictionaries whose fields it explains, as they come from a small model."""
    model = shapecalc.load("lenet")
    trace, plan = model.trace(32), model.retarget(classes=13, input=32)
    wider = model.retarget(input=30, repair="window")
    report = plan.verify(device="cpu")
    advice = model.advice(trace).to_dict()
    found = trace.to_dict()
    edits = [edit.to_dict() for made in (plan, wider) for edit in made.edits]
    proof = report.to_dict()
    numpy.savez_compressed(folder / "w.npz", **{"conv1/W": numpy.zeros((20, 1, 5, 5))})  # type: ignore[arg-type]
    match = model.match(folder / "w.npz").to_dict() | {"about_error": None}
    return {
        "shapecalc.match/1": [match, match["rows"][0]],
        "shapecalc.trace/1": [found, found["layers"][0], found["problems"][0], advice],
        "shapecalc.plan/1": [plan.to_dict(), plan.to_dict()["repairs"][0], *edits],
        "shapecalc.verify/1": [proof, proof["tensors"][0], proof["before_edit"][0]],
        "shapecalc.cost/1": [model.cost().to_dict() | {"model": ""}, model.cost().to_dict()["layers"][0]],
        "shapecalc.sizes/1": [model.sizes(limit=64).to_dict()],
        "shapecalc.why/1": why_dictionaries(),
        "shapecalc.compare/1": compare_dictionaries(),
        "shapecalc.zoo/1": [entry.row for entry in entries().values()],
    }


def test_every_field_of_the_json_is_in_the_reference(tmp_path: Path) -> None:
    for title, values in dictionaries(tmp_path).items():
        text = section(title)
        missing = [key for value in values for key in value if f"`{key}`" not in text]
        assert (title, missing) == (title, [])
        assert f'"{title}"' in REFERENCE or title == "shapecalc.zoo/1"


def test_the_edits_named_are_the_edits_there_are() -> None:
    _, _, table = section("shapecalc.plan/1").partition("An edit has")
    kinds = re.findall(r"^\| `([a-z-]+)` \| ", table, re.MULTILINE)
    assert sorted(set(kinds) - {"edit"}) == sorted(KINDS)
