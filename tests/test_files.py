"""Writing: whole or not at all, even when the process is killed; nothing is overwritten without a word."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import BinaryIO

import pytest
from rich.console import Console

from shapecalc.errors import UsageError
from shapecalc.files import Work, copy_range, copy_whole, write_whole
from shapecalc.report.progress import Bar


def test_an_existing_file_stays(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")
    with pytest.raises(UsageError, match="exists"):
        write_whole(target, lambda file: file.write(b"new"), overwrite=False)
    assert target.read_bytes() == b"old"
    write_whole(target, lambda file: file.write(b"new"), overwrite=True)
    assert target.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_what_replaces_another_is_on_the_disk_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, seen = tmp_path / "a", []
    sync = os.fsync

    def settled(descriptor: int) -> None:
        seen.append(target.read_bytes())
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", settled)
    write_whole(target, lambda file: file.write(b"old"), overwrite=True)
    assert seen == []
    write_whole(target, lambda file: file.write(b"new"), overwrite=True)
    assert seen == [b"old"]
    assert target.read_bytes() == b"new"


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")

    def half(file: BinaryIO) -> None:
        file.write(b"half")
        raise RuntimeError("in between")

    with pytest.raises(RuntimeError, match="in between"):
        write_whole(target, half, overwrite=True)
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_file_made_meanwhile_is_not_lost(tmp_path: Path) -> None:
    target = tmp_path / "a"

    def meanwhile(file: BinaryIO) -> None:
        file.write(b"ours")
        target.write_bytes(b"theirs")

    with pytest.raises(UsageError, match="exists"):
        write_whole(target, meanwhile, overwrite=False)
    assert target.read_bytes() == b"theirs"


@pytest.mark.parametrize("where", ["missing/a.onnx", "folder"])
def test_a_place_that_cannot_be_written_is_said(tmp_path: Path, where: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError) as caught:
        write_whole(tmp_path / where, lambda file: file.write(b"x"), overwrite=True)
    assert caught.value.exit_code == 2


KILLED = """
import sys, time
from pathlib import Path
from shapecalc.files import write_whole
def slowly(file):
    for _ in range(1000):
        file.write(b"new" * 1000)
        file.flush()
        print(".", flush=True)
        time.sleep(0.002)
write_whole(Path(sys.argv[1]), slowly, overwrite=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_killed_in_between_the_old_file_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")
    with subprocess.Popen([sys.executable, "-c", KILLED, str(target)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read(20)
        time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert target.read_bytes() == b"old"
    write_whole(target, lambda file: file.write(b"new"), overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


# -- copying ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "missing",
    [[], ["copy_file_range"], ["copy_file_range", "sendfile"], ["copy_file_range", "sendfile", "preadv"]],
    ids=len,
)
def test_a_copy_is_the_file_whatever_the_system_offers(
    tmp_path: Path, missing: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in missing:
        monkeypatch.delattr(os, name, raising=False)
    data = bytes(range(256)) * 1000
    (tmp_path / "a").write_bytes(data)
    told: list[tuple[int, int]] = []
    copy_whole(tmp_path / "a", tmp_path / "b", Work(lambda done, total: told.append((done, total))))
    assert (tmp_path / "b").read_bytes() == data
    assert told[-1] == (len(data), len(data))


def test_the_kernel_copies_a_range_to_where_the_file_stands(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789" * 100)
    with open(tmp_path / "a", "rb") as origin, open(tmp_path / "b", "wb") as target:
        target.write(b"before ")
        came = copy_range(target, origin.fileno(), 5, 995, Work())
        target.write(b" after")
        with pytest.raises(EOFError):
            copy_range(target, origin.fileno(), 900, 1001, Work())
        assert copy_range(io.BytesIO(), origin.fileno(), 5, 995, Work()) == 5  # no file: by hand
    copied = (b"0123456789" * 100)[5:came]
    assert (tmp_path / "b").read_bytes()[: 13 + len(copied)] == b"before " + copied + b" after"


def test_a_bar_is_shown_after_a_second_of_work() -> None:
    shown = io.StringIO()
    times = iter([10.0, 10.9, 11.5])
    with Bar(Console(file=shown, force_terminal=True, width=80), lambda: next(times)) as bar:
        bar.show(1, 100)
        bar.show(50, 100)
        assert shown.getvalue() == ""
        bar.show(75, 100)
    assert "copying" in shown.getvalue()
