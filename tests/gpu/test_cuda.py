"""What needs an NVIDIA GPU: `pytest tests/gpu` where there is one; elsewhere each test is skipped with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

import shapecalc
from shapecalc.cli.app import run
from shapecalc.verify import device

REASON = device.why_no_cuda()
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(REASON is not None, reason=f"no CUDA here: {REASON}")]

NETS = ("alexnet", "nin", "lenet", "googlenet", "resnet50", "squeezenet", "mobilenet_v2")


@pytest.mark.parametrize("name", NETS)
def test_cuda_gives_the_numbers_of_the_cpu(name: str) -> None:
    report = shapecalc.load(name).verify(device="cuda")
    assert report.run.device == "cuda"
    assert report.cpu is not None
    assert len(report.cpu) == len(report.shapes)
    assert report.ok, report.failures[:3]


def test_auto_takes_the_gpu() -> None:
    report = shapecalc.load("lenet").verify(device="auto")
    assert report.run.device == "cuda"
    assert "CPU" not in report.run.device_name


def test_a_retargeted_net_is_proved_on_cuda(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "net.onnx"
    arguments = ["retarget", "alexnet", "--classes", "13", "--input", "256", "--device", "cuda", "-o", str(target)]
    assert run(arguments) == 0
    assert target.is_file()
    assert "on CUDA" in capsys.readouterr().out


def test_a_session_that_landed_elsewhere_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "CUDA", "NoSuchExecutionProvider")
    with pytest.raises(shapecalc.ShapecalcError):
        shapecalc.load("lenet").verify(device="cuda")
