"""Devices: CUDA never falls back in silence, a missing one is one clear error, and nothing red is printed."""

from __future__ import annotations

import subprocess
import sys

import pytest

import shapecalc
from shapecalc.verify import device

without_cuda = pytest.mark.skipif(device.why_no_cuda() is None, reason="this machine has CUDA")


@without_cuda
def test_cuda_without_a_gpu_ends_with_status_5_and_the_reason() -> None:
    command = [sys.executable, "-m", "shapecalc", "verify", "lenet", "--device", "cuda"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 5
    assert done.stdout == ""
    first, because, *_ = done.stderr.splitlines()
    assert first == "error[E501 device]: CUDA was asked for and cannot run; nothing was run on the CPU instead"
    assert because.split()[0] == "because"
    assert "onnxruntime:" not in done.stderr  # its own log lines


@without_cuda
def test_auto_without_a_gpu_is_the_cpu_and_says_so() -> None:
    report = shapecalc.load("lenet").verify(device="auto")
    assert report.run.device == "cpu"
    assert report.run.device_name.startswith("CPU")


def test_a_session_elsewhere_than_asked_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check believes `get_providers` of the session alone: here nothing speaks against CUDA until it is made."""
    monkeypatch.setattr(device, "why_no_cuda", lambda: None)
    monkeypatch.setattr(device, "CUDA", "NoSuchExecutionProvider")
    with pytest.raises(shapecalc.ShapecalcError) as caught:
        shapecalc.load("lenet").verify(device="cuda")
    assert caught.value.exit_code in (4, 5)


def test_an_unknown_device_names_those_there_are() -> None:
    with pytest.raises(shapecalc.UsageError, match="no device 'tpu'") as caught:
        shapecalc.load("lenet").verify(device="tpu")
    assert caught.value.hint == "one of auto, cpu, cuda"
