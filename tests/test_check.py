"""The gate over many files: one line a file and size, one exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shapecalc.cli.app import run

Capture = pytest.CaptureFixture[str]


def lines(capsys: Capture) -> list[str]:
    return capsys.readouterr().out.splitlines()


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


def test_every_file_is_asked_for_every_size(capsys: Capture) -> None:
    assert run(["check", "lenet", "alexnet", "--sizes", "28,27", "--sizes", "64x32", "--trace-only"]) == 1
    assert [line.split(":")[0] for line in lines(capsys)] == [
        "ok  lenet 28",
        "ok  lenet 27",
        "NO  lenet 64x32",
        "NO  alexnet 28",
        "NO  alexnet 27",
        "NO  alexnet 64x32",
    ]


def test_what_fits_is_run(capsys: Capture) -> None:
    assert run(["check", "lenet", "--device", "cpu"]) == 0
    (line,) = lines(capsys)
    assert line.startswith("ok  lenet 1×1×28×28: ran on CPU")
    assert line.endswith("8 tensors as predicted")


def test_an_unreadable_file_is_a_row_and_outweighs_a_no(capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"\x08broken")
    arguments = ["check", str(tmp_path / "bad.onnx"), "lenet", "nosuch", "--sizes", "64", "--trace-only", "--json"]
    assert run(arguments) == 3
    found = json.loads(capsys.readouterr().out)
    assert not found["ok"]
    assert [row["verdict"] for row in found["rows"]] == ["unreadable", "no", "unreadable"]


def test_a_literal_with_commas_is_one_size(capsys: Capture) -> None:
    assert run(["check", "lenet", "--sizes", "x:1,1,28,28", "--trace-only"]) == 0
    assert lines(capsys) == ["ok  lenet x:1,1,28,28: fits"]


def test_a_device_that_cannot_run_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from shapecalc.errors import DeviceError
    from shapecalc.verify import gate

    def refuse(*_: object, **__: object) -> None:
        raise DeviceError("no GPU", "E501")

    monkeypatch.setattr(gate, "prove_model", refuse)
    assert run(["check", "lenet", "--device", "cuda"]) == 5
