"""Writing: whole or not at all, even when the process is killed; nothing is overwritten without a word."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import BinaryIO

import pytest

from shapecalc.errors import UsageError
from shapecalc.files import write_whole


def test_an_existing_file_stays(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")
    with pytest.raises(UsageError, match="exists"):
        write_whole(target, lambda file: file.write(b"new"), overwrite=False)
    assert target.read_bytes() == b"old"
    write_whole(target, lambda file: file.write(b"new"), overwrite=True)
    assert target.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


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
