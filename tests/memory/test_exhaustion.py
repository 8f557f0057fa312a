"""What is taken for running out of memory, and what is not."""

import errno
import platform
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mematte_plugin.errors import InputError
from mematte_plugin.memory.exhaustion import is_out_of_memory

from .processes import run_python

TOO_MANY = 2**50

RUN_OUT = {
    "torch": lambda: torch.empty(TOO_MANY),
    "numpy": lambda: np.empty(TOO_MANY),
    "python": lambda: bytearray(TOO_MANY),
    "opencv": lambda: cv2.resize(np.zeros((9, 9), np.uint8), (2**24, 2**20)),
}
OTHER = {
    "shape": lambda: torch.empty(4).view(3),
    "memory format": lambda: torch.empty(4).contiguous(memory_format=torch.channels_last),
    "opencv": lambda: cv2.resize(np.zeros((0, 0), np.uint8), (9, 9)),
    "no file": lambda: Path("/nowhere/CUDA out of memory").read_bytes(),
    "numpy": lambda: np.zeros(4).reshape(3),
}
PHRASES = [
    "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 2.00 GiB",
    "HIP out of memory. Tried to allocate 20.00 MiB",
    "The following operation failed.\nRuntimeError: CUDA out of memory. Tried to allocate 1 GiB",
    "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported",
    "CUDA driver error: out of memory",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "cuFFT error: CUFFT_ALLOC_FAILED",
    "MPS backend out of memory (MPS allocated: 8.00 GB, max allowed: 9.07 GB)",
    "Invalid buffer size: 18.54 GB",
    "[enforce fail at alloc_cpu.cpp:80] data. DefaultCPUAllocator: not enough memory: you tried to "
    "allocate 4294967296 bytes.",
    "std::bad_alloc",
    "Could not allocate tensor with 4915840 bytes. There is not enough GPU video memory available!",
    "level_zero backend failed with error: 39 (UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY)",
    "Available memory of 1048576 is smaller than requested bytes of 4194304",
]
MENTIONED = [
    "CUDA error: an illegal memory access was encountered",
    "cannot pin 'torch.cuda.FloatTensor' only dense CPU tensors can be pinned memory",
    "unable to open shared memory object </torch_1> in read-write mode",
    "unsupported memory format option Preserve",
    "Expected memory format channels_last",
    "To avoid CUDA out of memory errors, set max_split_size_mb",
    "could not create a primitive",
    "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED",
    "cuDNN error: CUDNN_STATUS_NOT_SUPPORTED",
    "CUDA error: device-side assert triggered",
    "Invalid buffer size",
]


def error_of(act):
    try:
        act()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize("name", RUN_OUT)
def test_real_shortage_is_seen(name):
    assert is_out_of_memory(error_of(RUN_OUT[name]))


@pytest.mark.parametrize("name", OTHER)
def test_real_errors_of_another_kind_are_not_shortage(name):
    assert not is_out_of_memory(error_of(OTHER[name]))


@pytest.mark.parametrize("text", PHRASES)
def test_phrases_of_torch_and_its_libraries(text):
    assert is_out_of_memory(RuntimeError(text))
    assert not is_out_of_memory(ValueError(text))  # nobody says it so


@pytest.mark.parametrize("text", MENTIONED)
def test_mentioning_memory_is_not_enough(text):
    assert not is_out_of_memory(RuntimeError(text))


def test_types_speak_for_themselves():
    assert is_out_of_memory(torch.OutOfMemoryError("Allocation on device 0"))
    assert is_out_of_memory(OSError(errno.ENOMEM, "Cannot allocate memory"))
    assert not is_out_of_memory(OSError(errno.ENOSPC, "No space left on device"))
    assert not is_out_of_memory(KeyboardInterrupt("CUDA out of memory"))


def test_only_what_an_error_was_raised_from_counts():
    caused, beside = InputError("photo.png: too large"), InputError("photo.png: too large")
    caused.__cause__ = MemoryError()
    beside.__context__ = MemoryError()
    assert is_out_of_memory(caused)
    assert not is_out_of_memory(beside)
    ring = RuntimeError("a")
    ring.__cause__ = ValueError("b")
    ring.__cause__.__cause__ = ring
    assert not is_out_of_memory(ring)


@pytest.mark.skipif(
    sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="glibc's allocator"
)
def test_release_gives_freed_memory_back():
    dropped = run_python(
        "import numpy as np, psutil\n"
        "from mematte_plugin.memory.exhaustion import release\n"
        "pieces = [np.ones(60_000, np.uint8) for _ in range(4000)]\n"
        "last = np.ones(60_000, np.uint8)\n"  # lies above, so that freeing alone returns nothing
        "del pieces\n"
        "before = psutil.Process().memory_info().rss\n"
        "release('cpu')\n"
        "print(before - psutil.Process().memory_info().rss)\n"
    )
    assert int(dropped) > 200e6  # of 240
