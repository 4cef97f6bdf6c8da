"""Writing: whole or not at all, even when the process is killed; nothing is overwritten without a word."""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from shapecalc.copying import Copy, Range, Work, steps
from shapecalc.errors import UsageError
from shapecalc.files import copy_whole, write_whole
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


@pytest.mark.skipif(os.name != "posix", reason="links and pipes")
def test_a_link_is_replaced_itself_and_a_pipe_not_at_all(tmp_path: Path) -> None:
    real, link, pipe = (tmp_path / name for name in ("real", "link", "pipe"))
    real.write_bytes(b"old")
    link.symlink_to("real")
    write_whole(link, lambda file: file.write(b"new"), overwrite=True)
    assert (real.read_bytes(), link.read_bytes(), link.is_symlink()) == (b"old", b"new", False)
    os.mkfifo(pipe)
    with pytest.raises(UsageError, match="pipe is no file that can be replaced"):
        write_whole(pipe, lambda file: file.write(b"new"), overwrite=True)
    assert pipe.is_fifo()


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
    [[], ["copy_file_range"], ["copy_file_range", "preadv"], ["pwrite"]],
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


def test_a_kernel_that_copies_nothing_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux 5.3 to 5.18 did so on some virtual file systems, and reported success (man 2 copy_file_range, BUGS)."""
    monkeypatch.setattr(os, "copy_file_range", lambda *_: 0, raising=False)
    (tmp_path / "a").write_bytes(bytes(9000))
    copy_whole(tmp_path / "a", tmp_path / "b", Work())
    assert (tmp_path / "b").read_bytes() == bytes(9000)


def test_a_file_that_becomes_shorter_while_it_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("copy_file_range", "preadv"):
        monkeypatch.setattr(os, name, lambda *_: 0, raising=False)
    (tmp_path / "a").write_bytes(bytes(9000))
    with pytest.raises(UsageError, match="became shorter while it was copied"):
        copy_whole(tmp_path / "a", tmp_path / "b", Work())
    assert not (tmp_path / "b").exists()


@given(st.integers(0, 5000), st.integers(0, 5000), st.integers(0, 5000), st.sampled_from([1, 7, 64, 1 << 12]))
def test_steps_cover_a_range_and_begin_where_they_divide(start: int, count: int, place: int, step: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("shapecalc.copying.STEP", step)
        found = list(steps(Range(start, start + count, place)))
    covered = [byte for part in found for byte in range(part.start, part.end)]
    assert covered == list(range(start, start + count))
    assert all(part.place - part.start == place - start for part in found)
    assert all(part.place % step == 0 for part in found[1:])


@pytest.mark.parametrize("shift", [0, 5], ids=["alike", "shifted"])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_share_the_ranges_of_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int, shift: int
) -> None:
    monkeypatch.setattr("shapecalc.copying.STEP", 1 << 12)
    data = random.Random(7).randbytes(1 << 17)
    (tmp_path / "a").write_bytes(data)
    told: list[int] = []
    work = Work(lambda done, total: told.append(done))
    with open(tmp_path / "a", "rb") as origin, open(tmp_path / "b", "wb") as target:
        target.write(b"before")
        target.flush()
        ranges = [Range(1 << 16, 1 << 17, shift), Range(0, 1 << 16, (1 << 16) + shift)]
        copy = Copy(origin.fileno(), target.fileno(), ranges, work)
        running = [threading.Thread(target=copy) for _ in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
    assert (tmp_path / "b").read_bytes() == b"before"[:shift] + data[1 << 16 :] + data[: 1 << 16]
    assert told[-1] == 1 << 17


def test_a_range_that_ends_behind_the_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789" * 100)
    with open(tmp_path / "a", "rb") as origin, open(tmp_path / "b", "wb") as target, pytest.raises(EOFError):
        Copy(origin.fileno(), target.fileno(), [Range(900, 1001, 7)], Work())()


def test_a_bar_is_shown_after_a_second_of_work() -> None:
    shown = io.StringIO()
    times = iter([10.0, 10.9, 11.5])
    with Bar(Console(file=shown, force_terminal=True, width=80), lambda: next(times)) as bar:
        bar.show(1, 100)
        bar.show(50, 100)
        assert shown.getvalue() == ""
        bar.show(75, 100)
    assert "copying" in shown.getvalue()
