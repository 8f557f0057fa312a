"""Running out of memory: recognising it, and giving back unused memory. Recognising a lost card."""

from __future__ import annotations

import ctypes
import errno
import gc
import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_PHRASES = re.compile(
    "|".join(
        (
            r"^([\w.]*Error: )?(CUDA|HIP|XPU|MPS backend) out of memory\b",
            r"\b(CUDA|CUDA driver|HIP) error: out of memory\b",
            # cuBLAS, cuDNN, cuSOLVER, cuSPARSE and ROCm's
            r"\b[A-Z]+_STATUS_(\w+_)?ALLOC(ATION)?_FAILED\b",
            r"\bCUFFT_ALLOC_FAILED\b",
            r"\bDefaultCPUAllocator: (can't allocate memory|not enough memory)\b",
            r"^std::bad_alloc\b",
            r"^Invalid buffer size: [\d.]+ \w?i?B",  # MPS: one array beyond what Metal can hold
            r"\bThere is not enough GPU video memory available\b",  # DirectML
            r"\bUR_RESULT_ERROR_OUT_OF_(DEVICE|HOST)_MEMORY\b",  # XPU
            r"\bAvailable memory of \S+ is smaller than requested\b",  # ONNX Runtime
        )
    ),
    re.MULTILINE,
)
"""RuntimeErrors that mean exhausted memory, in the words of torch and its libraries.

oneDNN's "could not create a primitive" is not among them: it does not say why, and if memory was
short when a process first used oneDNN, the error stays (seen with 3.12), so that a second attempt
with less would be in vain.
"""

_VAGUE = re.compile(
    r"\b(GET|FIND) was unable to find an engine to execute this computation\b"
    r"|\bC(UBLAS|UDNN|USOLVER|USPARSE)_STATUS_NOT_INITIALIZED\b"
    r"|\bCUDNN_STATUS_INTERNAL_ERROR\b"
)
"""Errors of cuDNN and cuBLAS that mean no memory for a workspace or a handle, or else a missing
engine or library (pytorch#108645)."""

_LOST = re.compile(
    r"\b(CUDA|CUDA driver|HIP) error: ("
    r"(an )?illegal (memory access|instruction)|unspecified launch failure|misaligned address"
    r"|the launch timed out|device-side assert|hardware stack error|invalid program counter"
    r"|operation not supported on global/shared address space"
    r"|uncorrectable (ECC|NVLink) error|unknown error|driver shutting down"
    r"|no (CUDA-capable|ROCm-capable) device is detected"
    r"|(CUDA|ROCm)-capable device\(s\) is/are busy or unavailable)"
    r"|\bUR_RESULT_ERROR_(DEVICE_LOST|OUT_OF_RESOURCES)\b"  # XPU; it recovers from neither
    r"|\bGPU is lost\b"  # NVML
    r"|\bThe GPU device instance has been suspended\b"  # DirectML
)
"""Errors that mean that a card has stopped working for this process."""

_OPENCV_NO_MEMORY = -4
_WINDOWS_NO_PAGING_FILE = 1455


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory has run out, so that less might do.

    Recognised by type (torch's, MemoryError, ENOMEM) or by the exact phrases of torch, OpenCV and
    the libraries below them. An error raised `from` such an error counts too; one that merely
    occurred while another was being handled does not. Errors that only mention memory (pinned,
    shared, its format, illegal access) and interrupts do not count.
    """
    seen: list[BaseException] = []
    now: BaseException | None = error
    while now is not None and now not in seen:
        if not isinstance(now, Exception):
            return False
        if _says_so(now):
            return True
        seen.append(now)
        now = now.__cause__
    return False


def may_be_out_of_memory(error: BaseException) -> bool:
    """Whether cuDNN or cuBLAS raised this for exhausted memory or for another reason: the free
    memory decides."""
    return isinstance(error, RuntimeError) and bool(_VAGUE.search(str(error)))


def is_lost(error: BaseException) -> bool:
    """Whether an error means that a card has stopped working for this process.

    Every later operation on the card fails, too, and its memory can no longer be read.
    """
    return isinstance(error, RuntimeError) and bool(_LOST.search(str(error)))


def _says_so(error: Exception) -> bool:
    # A library that is not imported cannot have raised anything.
    torch_type = getattr(sys.modules.get("torch.cuda"), "OutOfMemoryError", None)
    opencv_type = getattr(sys.modules.get("cv2"), "error", None)
    if isinstance(error, MemoryError) or (torch_type and isinstance(error, torch_type)):
        return True
    if isinstance(error, OSError):
        paging = getattr(error, "winerror", None) == _WINDOWS_NO_PAGING_FILE
        return error.errno == errno.ENOMEM or paging
    if opencv_type and isinstance(error, opencv_type):
        return getattr(error, "code", None) == _OPENCV_NO_MEMORY
    return isinstance(error, RuntimeError) and bool(_PHRASES.search(str(error)))


def release(device: torch.device | str) -> None:
    """Give unreferenced memory back to the device and to the system.

    Frees cycles, empties torch's cache on a GPU, and lets glibc return the memory that it keeps for
    later (`malloc_trim`); other C libraries have no such function.
    """
    gc.collect()
    kind = str(device).partition(":")[0]
    if kind != "cpu" and "torch" in sys.modules:
        # torch.cuda, torch.mps, torch.xpu, …; some kinds of device have no such module.
        backend = getattr(sys.modules["torch"], kind, None)
        try:
            getattr(backend, "empty_cache", lambda: None)()
        except RuntimeError as error:
            if not is_lost(error):  # a lost card has nothing to give back
                raise
    trim_memory()


def trim_memory() -> None:
    """Give freed memory that glibc holds back to the system; does nothing elsewhere."""
    if sys.platform == "linux":
        try:
            ctypes.CDLL(None).malloc_trim(0)
        except (OSError, AttributeError):  # musl
            return
