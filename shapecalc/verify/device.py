"""Where a proof runs: the CPU or a CUDA device, never one in place of the other without a word.

`onnxruntime.get_available_providers` lists what was compiled in, not what works; only the providers of a session that
was made are believed.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DeviceError, RefusedError, UsageError, pip_install

if TYPE_CHECKING:
    import onnxruntime

DEVICES = ("auto", "cpu", "cuda")
CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"

#: TF32 keeps 10 bits of mantissa and changes results by 1e-3: off for comparisons.
CUDA_OPTIONS = {"use_tf32": "0"}

#: onnxruntime's severities: 4 is fatal only. It logs errors in red for providers we then report on ourselves.
FATAL = 4


def choose(device: str) -> str:
    """ "cpu" or "cuda" for a request of "auto", "cpu" or "cuda".

    Raises UsageError for another word and DeviceError, with the reason, where CUDA was asked for and cannot run.
    """
    if device not in DEVICES:
        raise UsageError(f"no device {device!r}", "E002", hint=f"one of {', '.join(DEVICES)}")
    if device == "cpu":
        return "cpu"
    reason = why_no_cuda()
    if reason is None:
        return "cuda"
    if device == "cuda":
        raise _unavailable(reason)
    return "cpu"


def _unavailable(reason: str) -> DeviceError:
    return DeviceError(
        "CUDA was asked for and cannot run; nothing was run on the CPU instead",
        "E501",
        because=reason,
        hint=f"--device cpu, or on a machine with an NVIDIA GPU: {pip_install('onnxruntime-gpu[cuda,cudnn]')}",
    )


def why_no_cuda() -> str | None:
    """Why CUDA cannot run here, found without asking onnxruntime to fail; None where nothing speaks against it."""
    import onnxruntime

    if CUDA not in onnxruntime.get_available_providers():
        return f"this onnxruntime {onnxruntime.__version__} was built without CUDA (install onnxruntime-gpu)"
    driver = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        library = ctypes.CDLL(driver)
    except OSError:
        return f"there is no NVIDIA driver ({driver} cannot be loaded)"
    count = ctypes.c_int(0)
    status = library.cuInit(0) or library.cuDeviceGetCount(ctypes.byref(count))
    if status or count.value == 0:
        return f"the NVIDIA driver finds no GPU (CUDA error {status}, {count.value} devices)"
    return None


def _loading_error() -> str:
    """What the dynamic loader says about onnxruntime's CUDA library."""
    import onnxruntime

    folder = Path(onnxruntime.__file__).parent / "capi"
    library = folder / ("onnxruntime_providers_cuda.dll" if os.name == "nt" else "libonnxruntime_providers_cuda.so")
    try:
        ctypes.CDLL(str(library))
    except OSError as error:
        text = str(error)
        # the library resolves a host symbol only onnxruntime provides, so that complaint says nothing about CUDA
        return "onnxruntime did not make a CUDA session" if "Provider_GetHost" in text else text
    return "onnxruntime did not make a CUDA session"


def make_session(
    model: bytes | str, device: str, arrays: dict[str, Any], folder: str | None = None
) -> onnxruntime.InferenceSession:
    """A session of a model (its bytes, or its path) on exactly ``device``.

    ``arrays`` are the numbers of initializers the model only declares, ``folder`` is where the files lie that it names
    as external data.

    Optimisations are off, so every tensor of the file exists. Raises DeviceError if onnxruntime put the session
    elsewhere, RefusedError with onnxruntime's own words if it refuses the model.
    """
    import onnxruntime

    onnxruntime.set_default_logger_severity(FATAL)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = FATAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    # a second copy of every weight, in another order: it costs more than the one run that a proof is
    options.add_session_config_entry("session.disable_prepacking", "1")
    if folder is not None:
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", folder)
    if arrays:
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in arrays.values()]
        options.add_external_initializers(list(arrays), values)
    providers: list[Any] = [CPU]
    if device == "cuda":
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it cannot load; the session will tell
            onnxruntime.preload_dlls()
        providers = [(CUDA, CUDA_OPTIONS), CPU]
    try:
        session = onnxruntime.InferenceSession(model, options, providers=providers)
    except Exception as error:  # noqa: BLE001  onnxruntime raises a class of its own for every status
        raise refused(error) from None
    if device == "cuda" and CUDA not in session.get_providers():
        raise _unavailable(_loading_error())
    return session


def refused(error: Exception) -> RefusedError:
    """onnxruntime's refusal in our form: its words, without its file names."""
    words = " ".join(str(error).split())
    return RefusedError(
        "onnxruntime refuses the model",
        "E403",
        because=(words if len(words) <= 900 else f"{words[:300]} … {words[-600:]}") or type(error).__name__,
        hint="mend what it names; if the file ran before the edit, --dry-run lists what was edited",
    )


def device_name(device: str) -> str:
    """The device in words: the processor's or the GPU's name."""
    if device == "cuda":
        return _gpu_name()
    return f"CPU ({os.cpu_count()} cores)"


def _gpu_name() -> str:
    library = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    handle, name = ctypes.c_int(0), ctypes.create_string_buffer(128)
    if library.cuInit(0) or library.cuDeviceGet(ctypes.byref(handle), 0):
        return "CUDA device 0"
    library.cuDeviceGetName(name, len(name), handle)
    return name.value.decode(errors="replace") or "CUDA device 0"
