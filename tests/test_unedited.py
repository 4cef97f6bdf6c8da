"""What is read and written without an edit is the same file, byte for byte: every format, every real file there is."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

import shapecalc
from shapecalc.errors import ModelError, UsageError

ROOT = Path(__file__).parents[1]
CORPUS = ROOT.parent / "shared" / "corpus"
_ONNX = importlib.util.find_spec("onnx")
#: Light models come inside the onnx package; the corpus lies beside the project.
LIGHT = Path(str(_ONNX.origin)).parent / "backend" / "test" / "data" / "light" if _ONNX else ROOT / "absent"
FILES = [
    path
    for folder in (ROOT / "zoo", LIGHT, CORPUS / "caffe", CORPUS / "keras", CORPUS / "onnx")
    for path in sorted(folder.glob("*"))
    if path.suffix in (".prototxt", ".py", ".json", ".keras", ".onnx")
]


def opened(path: Path) -> shapecalc.Model:
    """In the phase that is whole; Chainer's classes by their first name where a file has several."""
    for phase in ("TEST", "TRAIN"):
        try:
            return shapecalc.load(path, phase=phase)
        except ModelError as error:
            last = error
    pytest.skip(f"not read: {last.message}")


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_written_without_an_edit_it_is_the_same_file(path: Path, tmp_path: Path) -> None:
    saved = opened(path).save(tmp_path / path.name)
    assert saved.read_bytes() == path.read_bytes()


def test_every_format_was_asked() -> None:
    assert {path.suffix for path in FILES if path.parent.name == "zoo"} == {".prototxt", ".py", ".onnx"}
    assert len([path for path in FILES if path.parent == LIGHT]) > 5


@pytest.mark.skipif(not CORPUS.is_dir(), reason="../shared/corpus is absent")
def test_the_whole_corpus_was_asked() -> None:
    counts = {name: len([p for p in FILES if p.parent.name == name]) for name in ("caffe", "keras", "onnx")}
    assert counts == {name: len([*(CORPUS / name).iterdir()]) for name in counts}


def test_another_format_is_not_written(tmp_path: Path) -> None:
    model = shapecalc.load("caffenet")
    with pytest.raises(UsageError, match=r"a caffe definition is saved as \.prototxt"):
        model.save(tmp_path / "net.onnx")
    with pytest.raises(UsageError, match="exists"):
        model.save(model.save(tmp_path / "net.prototxt"))
