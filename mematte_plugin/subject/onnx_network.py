"""A segmentation network in ONNX, as onnxruntime runs it: quiet, bounded and cancellable."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import MEMatteError, WeightsError
from ..images.photo import Photo
from ..locks import ForkSafeLock
from ..memory.exhaustion import is_out_of_memory, release
from ..memory.free import computing_threads
from ..progress import Progress, in_thread, watched
from ..weights.subjects import SubjectFiles, tensor_files
from .extra import needed
from .found import STAGE
from .preparation import LARGEST, preparation_in

FATAL = 4
"""onnxruntime's level of logging; what it raises is told by us."""
LINGER = 2.0
"""Seconds to wait for a cancelled run, which ends after its current operation."""
SMALLEST = 4
"""Pixels; a smaller output is not a mask."""
OPT_OUT = "ORT_DISABLE_TELEMETRY"
_lock = ForkSafeLock()
_DTYPES: dict[str, type[np.floating[Any]]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
}
_OUT_OF_MEMORY = re.compile(r"bad_alloc|[Ff]ailed to allocate memory|BFCArena|std::length_error")
_NEWER = re.compile(r"Opset (\d+) is under development|Unsupported model IR version: (\d+)")
_CODE = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ")
_PLACE = re.compile(r"/\S*onnxruntime\S*:\d+ .*?\) |Load model from \S+ failed:")
"""Where in its source code it failed, and what is said anyway."""

T = TypeVar("T")


class _Tensor(NamedTuple):
    """An input or output as the file declares it."""

    name: str
    type: str
    shape: tuple[int | None, ...]
    """None for a side that may have any length."""


@dataclass(frozen=True)
class _Input:
    """The picture that a network takes."""

    name: str
    dtype: type[np.floating[Any]]
    channels_last: bool
    fixed: tuple[int | None, int | None]
    """(h, w); None where it takes any."""


class OnnxNetwork:
    """A segmentation network: one picture in, one mask out.

    files: its ONNX file, and the folder with its preprocessor_config.json, if it has one.
    progress: called while it is loaded; what it raises ends the wait.

    Raises WeightsError if the file is not such a network, is damaged, or needs a newer onnxruntime;
    MEMatteError if onnxruntime is missing or memory runs out.
    """

    def __init__(self, files: SubjectFiles, progress: Progress | None = None) -> None:
        self.name, self.licence = files.name, files.licence
        self._source = str(files.weights)
        self._preparation = preparation_in(files.folder)
        self._runtime = silent_runtime()
        _check_files(files.weights)
        self._session, inputs, outputs = self._called(self._load, progress)
        self._input = _input_of(inputs, self._source)
        self._output = _output_of(outputs, self._source)

    def run(self, photo: Photo, progress: Progress | None = None) -> NDArray[np.float32]:
        """(h, w) float32, finite: the network's own numbers, of the whole photo.

        progress: called a few times a second; what it raises ends the run.

        Raises WeightsError if the network does not run or its output is not a mask, MEMatteError if
        memory runs out.
        """
        size = self._preparation.size_for(photo.size, self._input.fixed)
        pixels = self._preparation.pixels(photo, size)
        if self._input.channels_last:
            pixels = pixels.transpose(0, 2, 3, 1)
        fed = {self._input.name: np.ascontiguousarray(pixels, self._input.dtype)}
        del pixels
        options = self._runtime.RunOptions()
        options.log_severity_level = FATAL

        def stop() -> None:
            options.terminate = True

        found = self._called(
            lambda: self._session.run([self._output], fed, options)[0], progress, stop
        )
        return _mask_in(found, size, self._source)

    def _load(self) -> tuple[Any, list[_Tensor], list[_Tensor]]:
        options = self._runtime.SessionOptions()
        options.log_severity_level = FATAL
        options.intra_op_num_threads = computing_threads()
        options.inter_op_num_threads = 1
        # Memory comes from the system and goes back to it; an arena would keep its peak.
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False
        session = self._runtime.InferenceSession(
            self._source,
            options,
            providers=["CPUExecutionProvider"],
            enable_fallback=0,  # it would print, and try the same once more
        )
        # Copies: what the session returns keeps it alive.
        inputs, outputs = (
            [
                _Tensor(one.name, one.type, tuple(_side(side) for side in one.shape or ()))
                for one in every
            ]
            for every in (session.get_inputs(), session.get_outputs())
        )
        return session, inputs, outputs

    def _called(
        self,
        call: Callable[[], T],
        progress: Progress | None,
        stop: Callable[[], None] = lambda: None,
    ) -> T:
        """The call's result, computed in another thread while this one reports."""

        def tick() -> None:
            if progress is not None:
                progress(0, 1, STAGE)

        tick()
        future = in_thread(call)
        try:
            return watched(future, tick)
        except BaseException as error:
            if not future.done() or future.exception() is not error:  # the callback's
                stop()
                wait([future], LINGER)
                raise
            if not isinstance(error, Exception):
                raise
            reason = error
        raise self._explained(reason)

    def _explained(self, error: Exception) -> MEMatteError:
        text = str(error)
        if is_out_of_memory(error) or _OUT_OF_MEMORY.search(text):
            release("cpu")
            return MEMatteError(
                f"{self.name}: no memory for finding the subject with it; close other programs,"
                " choose a smaller network, or give a mask or a trimap"
            )
        if newer := _NEWER.search(text):
            what = f"opset {newer[1]}" if newer[1] else f"version {newer[2]} of the ONNX format"
            return WeightsError(
                f"{self._source} needs {what}, which onnxruntime {self._runtime.__version__} does"
                " not know; run pip install --upgrade onnxruntime, or choose another network"
            )
        broken = "INVALID_PROTOBUF" in text or "No graph was found" in text
        if broken or isinstance(error, UnicodeDecodeError):
            return WeightsError(
                f"{self._source} is not an ONNX network, or is damaged; download it again, or"
                " choose another"
            )
        reason = _one_line(_PLACE.sub("", _CODE.sub("", text)))
        return WeightsError(
            f"{self._source} cannot be run by onnxruntime ({reason}); download it again, or choose"
            " another network"
        )


def silent_runtime() -> Any:
    """onnxruntime, which reports nothing to anybody.

    From version 1.29 on it tells its maker what it runs, keeps a database for that in the home
    folder, and lets forked processes hang at their exit, unless a variable forbids it before the
    import. Raises MEMatteError if it is not installed.
    """
    with _lock:
        forbid = "onnxruntime" not in sys.modules and OPT_OUT not in os.environ
        if forbid:
            os.environ[OPT_OUT] = "1"
        try:
            runtime = needed("onnxruntime")
        finally:
            if forbid:
                del os.environ[OPT_OUT]
    runtime.disable_telemetry_events()  # the host program may have imported it
    return runtime


def _check_files(weights: Path) -> None:
    try:
        with weights.open("rb"):
            pass
    except OSError as error:
        raise WeightsError(f"{weights} cannot be read: {error.strerror}") from None
    for name in tensor_files(weights):
        if not (weights.parent / name).is_file():
            raise WeightsError(
                f"{weights}: {name} is missing next to it, which holds its weights; download that"
                " file, too"
            )


# ---- what goes in and what comes out -------------------------------------------------------------


def _input_of(inputs: Sequence[_Tensor], source: str) -> _Input:
    if len(inputs) != 1:
        names = _one_line(", ".join(one.name for one in inputs[:4]))
        raise _foreign(source, f"it takes {len(inputs)} inputs ({names}) instead of one picture")
    name, kind, shape = inputs[0]
    if kind not in _DTYPES or len(shape) != 4:
        raise _foreign(source, f"its input is {kind} of {_shown(shape)} instead of one picture")
    channels_last = shape[1] != 3 and shape[3] == 3
    channels = shape[3] if channels_last else shape[1]
    if channels not in (3, None) or shape[0] not in (1, None):
        raise _foreign(source, f"its input is {_shown(shape)} instead of one picture in RGB")
    height, width = shape[1:3] if channels_last else shape[2:]
    if max(height or 1, width or 1) > LARGEST:
        raise _foreign(source, f"its input is {_shown(shape)} instead of one picture of usual size")
    return _Input(name, _DTYPES[kind], channels_last, (height, width))


def _output_of(outputs: Sequence[_Tensor], source: str) -> str:
    """The name of the first output that can be a mask; others are coarser, or something else."""
    for output in outputs:
        if output.type in _DTYPES and _may_be_mask(output.shape):
            return output.name
    shapes = " and ".join(_shown(output.shape) for output in outputs[:3])
    raise _foreign(source, f"its output is {shapes} instead of one mask")


def _may_be_mask(shape: tuple[int | None, ...]) -> bool:
    if not shape:
        return True  # the file does not say
    single, sides = shape[:-2], shape[-2:]
    if len(shape) == 4 and shape[1] not in (1, None):  # channels last
        single, sides = (shape[0], shape[3]), shape[1:3]
    return (
        2 <= len(shape) <= 4
        and all(one in (1, None) for one in single)
        and all(side is None or side >= SMALLEST for side in sides)
    )


def _mask_in(found: Any, size: tuple[int, int], source: str) -> NDArray[np.float32]:
    """(h, w) of an output (1, 1, h, w), (1, h, w, 1), (1, h, w) or (h, w)."""
    values, shape = np.asarray(found), np.shape(found)
    if values.ndim == 4:
        values = values[..., 0] if shape[1] != 1 and shape[3] == 1 else values[:, 0]
        values = values if 1 in (shape[1], shape[3]) else values[:0]
    if values.ndim == 3:
        values = values[0] if len(values) == 1 else values[:0, :0, 0]
    (height, width), (rows, columns) = values.shape[:2], size
    alike = abs(height * columns - width * rows) <= max(rows, columns)
    if values.ndim != 2 or min(height, width) < SMALLEST or not alike:
        raise _foreign(source, f"its output is {_shown(shape)} instead of one mask")
    if not np.isfinite(values).all():
        raise WeightsError(
            f"{source}: its mask holds NaN or infinite values; the network is damaged or its"
            " precision too low: use another"
        )
    return np.ascontiguousarray(values, np.float32)


def _side(given: Any) -> int | None:
    """A side's length; None for a name, or where the file does not say."""
    return given if isinstance(given, int) and given > 0 else None


def _shown(shape: Sequence[int | None]) -> str:
    return f"({', '.join('?' if side is None else str(side) for side in shape)})"


def _one_line(text: str) -> str:
    """A text from the file, which may hold anything, for a message."""
    line = "".join(one if one.isprintable() else "?" for one in " ".join(text.split()))
    return line if len(line) <= 160 else f"{line[:159]}…"


def _foreign(source: str, why: str) -> WeightsError:
    return WeightsError(f"{source} is not a segmentation network: {why}; choose another network")
