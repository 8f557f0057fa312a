"""One method in a process of its own: loads, warms up, then measures a case whenever told to.

Spoken to by `turns.py` in lines of JSON. The process ends when its input does, so that none is left
behind when the comparing process is killed.
"""

from __future__ import annotations

import gc
import json
import os
import queue
import sys
import threading
import time
from pathlib import Path
from typing import Any, TextIO

WARM_SIDE = 256
GIB = 1 << 30


def serve() -> None:
    """Answer the commands that come in on stdin, one line each."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    commands: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(commands,), daemon=True).start()
    job = json.loads(sys.argv[1])
    try:
        _first_to_go()
        worker = _Worker(job)
    except Exception as error:
        _answer(answers, _fault(error))
        return
    _answer(answers, {"ready": True})
    while True:
        command = json.loads(commands.get())
        try:
            reply = worker.measure(command)
        except Exception as error:
            reply = _fault(error)
        worker.make_room()  # not in the except: there the error still holds its tensors
        _answer(answers, reply)


class _Worker:
    def __init__(self, job: dict[str, Any]) -> None:
        import torch

        from .methods import Context, build
        from .names import parse_method
        from .scenes import make_scene

        torch.set_num_threads(job["threads"])
        self.device: str = job["device"]
        if self.device.startswith("cuda"):
            torch.cuda.set_device(self.device if ":" in self.device else 0)
        self.method = parse_method(job["method"])
        official = Path(job["official"]) if job.get("official") else None
        self.run = build(self.method, Context(self.device, job.get("memory_budget"), official))
        scene = make_scene(WARM_SIDE, WARM_SIDE, 0.4)
        self.run(scene.image, scene.trimap)
        self.held: tuple[str, str] = ("", "")

    def measure(self, command: dict[str, Any]) -> dict[str, Any]:
        """One run of one case; see `turns.Turn` for the answer."""
        import numpy as np

        from mematte_plugin.memory.meter import PeakMeter

        wanted = (command["image"], command["trimap"])
        if wanted != self.held:
            self.image, self.trimap = (np.load(path) for path in wanted)
            self.held = wanted
            if self.device.startswith("cuda"):
                self.run(self.image, self.trimap)  # kernels are chosen anew for each size
        refusal = self._too_large()
        if refusal:
            return {"skipped": refusal}
        gc.collect()
        before = self._used()
        if self.device.startswith("cuda"):
            import torch

            # The process is ours: nobody misses the former peak.
            torch.cuda.reset_peak_memory_stats(self.device)
        with PeakMeter(self.device) as meter:
            begin = time.perf_counter()
            outcome, seconds = self._timed()
            wall = time.perf_counter() - begin
        if command.get("save"):
            np.save(command["save"], outcome.alpha)
        reply = {
            "seconds": wall if seconds is None else seconds,
            "peak": meter.peak or 0,
            "total": before + (meter.peak or 0),
            "kept": outcome.kept,
            "predicted": outcome.predicted,
        }
        return reply

    def _used(self) -> int:
        import psutil
        import torch

        if self.device.startswith("cuda"):
            return torch.cuda.memory_allocated(self.device)
        return int(psutil.Process().memory_info().rss)

    def _timed(self) -> tuple[Any, float | None]:
        if not self.device.startswith("cuda"):
            return self.run(self.image, self.trimap), None
        import torch

        new_event: Any = torch.cuda.Event
        first, last = (new_event(enable_timing=True) for _ in range(2))
        first.record()
        outcome = self.run(self.image, self.trimap)
        last.record()
        torch.cuda.synchronize(self.device)
        return outcome, first.elapsed_time(last) / 1000

    def make_room(self) -> None:
        """Others take turns: hold nothing back that they need."""
        from mematte_plugin.memory.exhaustion import release

        if self.device.startswith("cuda"):
            import torch

            free, total = torch.cuda.mem_get_info(self.device)
            if free > total / 2:  # else keep the cache: refilling it would cost time
                return
        release(self.device)

    def _too_large(self) -> str | None:
        """Why the run would only wake the kernel's out-of-memory killer; cards just say so."""
        if self.device != "cpu":
            return None
        from mematte_plugin.memory.free import free_memory

        need = attention_bytes(self.method, *self.trimap.shape)
        free = free_memory(self.device).free
        if need <= free:
            return None
        return f"its attention alone needs {need / GIB:.0f} GiB, {free / GIB:.0f} are free"


def attention_bytes(method: Any, height: int, width: int) -> int:
    """Least memory of a method that holds whole attention matrices; 0 for the others.

    Two copies in the official code, three with relative positions in transformers.
    """
    from mematte_plugin.network import VARIANTS

    from .methods import cap_of

    copies = {"official": 2, "transformers": 3}.get(method.kind, 0)
    if not copies:
        return 0
    tokens = cap_of(1.0 if method.retention is None else method.retention, height, width)
    size = 4 if method.dtype == "fp32" else 2
    return copies * VARIANTS[method.variant].num_heads * tokens * tokens * size


def _listen(commands: queue.Queue[str]) -> None:
    for line in sys.stdin:
        commands.put(line)
    os._exit(0)  # nobody waits for an answer; also in the middle of a run


def _first_to_go() -> None:
    """If memory runs out, the kernel shall take this process and no other."""
    try:
        Path("/proc/self/oom_score_adj").write_text("1000")
    except OSError:
        return


def _answer(answers: TextIO, reply: dict[str, Any]) -> None:
    answers.write(json.dumps(reply) + "\n")
    answers.flush()


def _fault(error: Exception) -> dict[str, str]:
    from mematte_plugin import SettingError
    from mematte_plugin.memory.exhaustion import is_out_of_memory

    text = " ".join(str(error).split())[:300]
    if isinstance(error, SettingError):
        return {"skipped": text}
    if is_out_of_memory(error):
        return {"failed": "out of memory"}
    return {"failed": f"{type(error).__name__}: {text}"}


if __name__ == "__main__":
    serve()
