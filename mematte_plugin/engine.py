"""One photo through one plan: runs the network, and steps down when memory runs out."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from time import monotonic

import numpy as np
import torch
from numpy.typing import NDArray

from .errors import MEMatteError, SettingError, first_line, warn_user
from .images.photo import Photo
from .matte import Matte
from .memory.exhaustion import is_out_of_memory, release, trim_memory
from .memory.free import (
    cpu_count,
    fused_attention,
    lost_card_is_named,
    ran_out,
    refuses_half,
    resolve_device,
)
from .memory.law import LARGE
from .memory.meter import PeakMeter
from .memory.plan import RAN_OUT, Plan
from .memory.request import Request, request_for, resolve_dtype
from .memory.retention import Retention, max_tokens
from .memory.workload import weights
from .network import Light, MEMatte, Prediction
from .network.mematte import DecoderMode
from .progress import Progress
from .torch_state import own_state

STEP_DOWNS = 4
"""Retries with less after running out of memory."""
REPORT_SECONDS = 0.1
"""Shortest time between two reports of the same progress."""
WARM_UP = 64
"""Side in pixels of the picture of a new engine's first run on the CPU."""

logger = logging.getLogger(__name__)


class Engine:
    """A network on a device, and the runs through it; `MattingPipeline` is its public form.

    network: the network that computes, on `device` in `dtype`, in evaluation mode.
    device: where it computes: the CPU if "auto" found no room for the weights on a card.
    dtype: "float32", "float16" or "bfloat16".
    model: the name that mattes carry.
    """

    def __init__(
        self,
        network: MEMatte,
        *,
        device: str | torch.device = "auto",
        dtype: str | torch.dtype = "auto",
        model: str = "",
    ) -> None:
        self.device = resolve_device(device)
        self.dtype, self._half = resolve_dtype(dtype, str(self.device))
        self.model = model
        self._auto_device = str(device) == "auto"
        self._auto_dtype = str(dtype) == "auto"
        self.network = self._placed(network, self.dtype)
        # Rounded weights cannot be turned back into float32.
        rounded = self._auto_dtype and self.dtype != "float32"
        self._origin = network if rounded else self.network
        self._copy: tuple[str, str, MEMatte] | None = None  # device, precision
        if self.device.type == "cpu":
            self._warm_up()

    def _warm_up(self) -> None:
        """A first small run: what libraries load and keep then belongs to the idle pipeline, and
        oneDNN never recovers if its first convolution finds no memory.

        Raises MEMatteError if there is not even memory for that.
        """
        try:
            with own_state(threads=cpu_count()):
                pixels = torch.zeros(1, 3, WARM_UP, WARM_UP, dtype=torch.uint8)
                trimap = torch.full((1, 1, WARM_UP, WARM_UP), 0.5, dtype=torch.float32)
                trimap[..., :24], trimap[..., -24:] = 0, 1
                self.network.predict(pixels, trimap)
        except Exception as error:
            if self.dtype != "float32" and refuses_half(error):
                raise SettingError(
                    f"{_refused(self.device, self.dtype)}; use dtype float32"
                ) from error
            if not is_out_of_memory(error):
                raise
            raise MEMatteError(
                f"out of memory even for {WARM_UP}×{WARM_UP} pixels; close other programs or use a "
                "smaller model"
            ) from error

    def _placed(self, network: MEMatte, dtype: str) -> MEMatte:
        """The network on the device; on the CPU if "auto" chose a card without room for it."""
        try:
            with lost_card_is_named(self.device, "the weights"):
                return _in_place(network, self.device, dtype)
        except Exception as error:
            if dtype != "float32" and refuses_half(error):
                raise SettingError(f"{_refused(self.device, dtype)}; use dtype float32") from error
            if not ran_out(error, self.device):
                raise
        # Outside of the except: its frames hold what was moved already.
        release(self.device)
        if not self._auto_device or self.device.type == "cpu":
            raise SettingError(
                f"device {str(self.device)!r} has no room for the weights; close other programs or "
                "use device cpu"
            )
        warn_user(f"{self.device} has no room for the weights; the CPU is used, which is slower")
        self.device = torch.device("cpu")
        if self._auto_dtype:
            self.dtype, self._half = resolve_dtype("auto", "cpu")
            dtype = self.dtype
        return _in_place(network, self.device, dtype)

    def run(
        self,
        photo: Photo,
        trimap: NDArray[np.float32],
        *,
        retention: Retention = "auto",
        budget: int | None = None,
        decoder: DecoderMode = "exact",
        progress: Progress | None = None,
    ) -> Matte:
        """The network's matte of one photo whose trimap (H, W) holds exactly 0, 0.5 and 1."""
        trimap = np.require(trimap, requirements=["C", "W"])  # as a `Photo` has its arrays
        unknown = float(np.count_nonzero(trimap == 0.5)) / trimap.size
        if unknown == 0:
            return Matte(alpha=trimap.copy(), photo=photo, trimap=trimap)
        if progress is not None:
            progress(0, self.network.config.depth, "encoder")
        named = lost_card_is_named(self.device, photo.name)
        exact = own_state(self.device, threads=cpu_count())
        with named, exact, PeakMeter(self.device) as meter:
            request = self._request(photo, trimap, retention, unknown, decoder)
            kept = self._copy
            run = partial(self._run, photo=photo, trimap=trimap, decoder=decoder, progress=progress)
            failed = ""
            try:
                found, plan = run(request, budget)
            except _HalfError as error:
                if not self._auto_dtype:
                    raise MEMatteError(f"{error}; use dtype float32") from error
                failed = str(error)
            if failed:  # outside of the except: its frames hold what is to be freed
                request = self._in_float32(request, budget, failed)
                found, plan = run(request, budget)
            routing = tuple(keep[0].cpu().numpy() for keep in found.keep)
        alpha = found.alpha[0, 0].numpy()
        del found
        measured = meter.peak
        if self.device.type == "cpu":  # elsewhere torch's cache is worth keeping
            trim_memory()  # nothing here is held in cycles
            measured = None if measured is None else measured + request.held
        if measured is not None and kept is not None and kept is self._copy:
            measured += request.copied  # it was there already
        for loss in plan.lost:
            warn_user(f"{photo.name}: memory is short: {loss}")
        return Matte(
            alpha=alpha,
            photo=photo,
            trimap=trimap,
            routing=routing,
            plan=replace(plan, measured_peak=measured),
            model=self.model,
        )

    def _request(
        self,
        photo: Photo,
        trimap: NDArray[np.float32],
        retention: Retention,
        unknown: float,
        decoder: DecoderMode,
    ) -> Request:
        config = self.network.config
        request = request_for(
            photo.size,
            config,
            self.device,
            self.dtype,
            max_tokens=max_tokens(retention, photo.size, config),
            unknown=unknown,
            depth=photo.pixels.dtype.itemsize,
        )
        return replace(
            request,
            workload=replace(request.workload, official=decoder == "official"),
            model=self.model,
            half=self._half,
            held=photo.pixels.nbytes + trimap.nbytes,
            copied=self._copied(),
        )

    def _copied(self) -> int:
        """Bytes of the second copy of the weights on the device."""
        copy = self._copy
        if copy is None or copy[0] != str(self.device):
            return 0
        return weights(self.network.config, copy[2].dtype.itemsize)

    def _in_float32(self, request: Request, budget: int | None, failed: str) -> Request:
        """The same request in float32, in which this engine computes from now on.

        Raises MEMatteError if there is no room for that.
        """
        work = replace(request.workload, itemsize=4)
        fused = fused_attention(self.device, torch.float32, work.config.head_dim)
        request = replace(request, workload=work, dtype="float32", half=None, fused=fused)
        try:
            request.plan(budget)
            if self.dtype != "float32":
                self.network = _in_place(self._origin, self.device, "float32")
        except Exception as error:
            if not isinstance(error, MEMatteError) and not ran_out(error, self.device):
                raise
            why = f": {error}" if isinstance(error, MEMatteError) else ""
            raise MEMatteError(f"{failed}, and there is no memory for float32{why}") from error
        self.dtype, self._half = "float32", None
        self._origin = self.network
        warn_user(f"{failed}: it is computed in float32, and so are the next photos")
        return request

    def _run(
        self,
        request: Request,
        budget: int | None,
        *,
        photo: Photo,
        trimap: NDArray[np.float32],
        decoder: DecoderMode,
        progress: Progress | None,
    ) -> tuple[Prediction, Plan]:
        """The prediction, stepping down when memory runs out, and the plan that succeeded."""
        plan = request.plan(budget)
        for attempt in range(STEP_DOWNS + 1):
            reporter = Reporter(progress, plan)
            try:
                return self._predict(plan, photo, trimap, decoder, reporter), plan
            except Exception as error:
                if not ran_out(error, plan.device):
                    raise
                reason = f"{reporter.stage}: {first_line(error)[:120]}"
            # Outside of the except: its frames hold what is to be freed.
            release(self.device)
            if attempt == STEP_DOWNS:
                break
            logger.warning("%s: out of memory (%s); trying with less", photo.name, reason)
            request, plan = self._smaller(request, plan, reason)
        raise MEMatteError(
            f"{photo.name}: out of memory {STEP_DOWNS + 1} times ({reason}); close other programs, "
            f"use another device or a smaller picture. The last plan was:\n{plan}"
        )

    def _smaller(self, request: Request, plan: Plan, reason: str) -> tuple[Request, Plan]:
        try:
            return request, request.step_down(plan, reason)
        except MEMatteError:
            if not self._auto_device or plan.device == "cpu":
                raise
        on_cpu = replace(
            request,
            workload=replace(request.workload, backend="cpu", itemsize=4),
            device="cpu",
            dtype="float32",
            half=None,
            fused=True,
        )
        steps = (*plan.steps, f"{RAN_OUT} ({reason})", "runs on the CPU")
        return on_cpu, on_cpu.plan(None, steps=steps)

    def _predict(
        self,
        plan: Plan,
        photo: Photo,
        trimap: NDArray[np.float32],
        decoder: DecoderMode,
        progress: Progress,
    ) -> Prediction:
        network = self._network_for(plan)
        try:
            found = network.predict(
                torch.from_numpy(photo.pixels).permute(2, 0, 1)[None],
                torch.from_numpy(trimap)[None, None],
                max_tokens=plan.max_tokens,
                chunking=plan.chunking,
                decoder=decoder,
                only_unknown=decoder == "exact",
                light=_light(photo),
                progress=progress,
            )
        except (RuntimeError, TypeError) as error:
            if plan.dtype == "float32" or not refuses_half(error):
                raise
            raise _HalfError(f"{photo.name}: {_refused(plan.device, plan.dtype)}") from error
        if not found.alpha.min().isfinite():  # NaN if one is: no copy of the picture's size
            if plan.dtype == "float32":
                raise MEMatteError(
                    f"{photo.name}: the network's result is not finite; its weights are damaged, "
                    "use others"
                )
            raise _HalfError(f"{photo.name}: the network's result is not finite in {plan.dtype}")
        return found

    def _network_for(self, plan: Plan) -> MEMatte:
        """The network on the plan's device in the plan's precision."""
        if (plan.device, plan.dtype) == (str(self.device), self.dtype):
            self._copy = None
            return self.network
        copy = self._copy
        if copy is None or copy[:2] != (plan.device, plan.dtype):
            copy = self._copy = None  # before there is another one
            dtype = getattr(torch, plan.dtype)
            network = self._origin.copied(torch.device(plan.device), dtype)
            copy = self._copy = plan.device, plan.dtype, network
        return copy[2]


class _HalfError(MEMatteError):
    """Half precision fails: the device refuses it, or the result is not finite."""


def _refused(device: torch.device | str, dtype: str) -> str:
    return f"device {str(device)!r} does not compute in {dtype}"


def _in_place(network: MEMatte, device: torch.device, dtype: str) -> MEMatte:
    """The network itself if it is on the device in this precision, else a copy."""
    precision = getattr(torch, dtype)
    with own_state(device, inference=False):
        where = torch.empty(0, device=device).device  # with its index
        if not network.is_in(where, precision):
            network = network.copied(where, precision)
        return network.eval()


class Reporter:
    """A progress callback that passes reports on and remembers the stage.

    The network reports before every strip, some thousand times for a large picture; a repeated
    report is passed on ten times a second, which is enough for an interrupt.

    Args:
        report: called with (done, total, stage), or None.
        plan: on the CPU, freed memory goes back to the system after each step of a large picture's
            encoder, and after a small one's. Otherwise the C library's heap would grow to the sum
            of what the steps need in turn, and no prediction would hold.
    """

    def __init__(self, report: Progress | None, plan: Plan) -> None:
        self.report = report
        self.stage = "start"
        self._on_cpu = plan.device == "cpu"
        self._large = plan.tokens >= LARGE
        self._last: tuple[int, int, str] | None = None
        self._reported = 0.0

    def __call__(self, done: int, total: int, stage: str) -> None:
        """Progress: (done, total, stage)."""
        self.stage = stage
        now, new = monotonic(), self._last != (done, total, stage)
        if not new and now < self._reported + REPORT_SECONDS:
            return
        if new and done and self._on_cpu and stage == "encoder" and (self._large or done == total):
            trim_memory()
        self._last = done, total, stage
        self._reported = now
        if self.report is not None:
            self.report(done, total, stage)


def _light(photo: Photo) -> Light | None:
    """How the photo's values become display-encoded; None if they are."""
    curve = photo.to_display
    if curve is None:
        return None
    gamma, matrix = curve
    return Light(gamma, None if matrix is None else tuple(map(tuple, matrix.tolist())))
