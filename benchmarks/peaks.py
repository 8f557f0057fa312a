"""Measured against predicted peaks in a process of its own; `prediction.py` starts it."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

WARM_SIDE = 256
TO_PNG = 1
"""Compression of the pictures that are read: fast to write."""


@dataclass(frozen=True)
class Peak:
    """One combination, and what came of it."""

    variant: str
    """A key of `network.VARIANTS`."""
    width: int
    """In pixels."""
    height: int
    """In pixels."""
    unknown: float
    """Share of unknown pixels."""
    retention: float
    """Share of tokens kept in each routed block."""
    budget: float | None = None
    """Times the least possible budget; None gives what is free."""
    dtype: str = "float32"
    """Precision of the network."""
    way: str = "fresh"
    """"fresh": a process of its own; "shared": one process for all of a network's."""
    predicted: int = 0
    """Bytes that the plan promised."""
    measured: int = 0
    """Bytes that the run took (`Plan.measured_peak`)."""
    whole: int = 0
    """Bytes with reading the files before; 0 on a GPU."""
    phase: str = ""
    """Where the plan expected the peak."""
    seconds: tuple[float, ...] = ()
    """Of the run."""
    failed: str = ""
    """Why there is no result."""

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells it from others."""
        size = (self.width, self.height)
        return (
            self.variant,
            *size,
            self.unknown,
            self.retention,
            self.budget,
            self.dtype,
            self.way,
        )

    @property
    def ratio(self) -> float | None:
        """Measured over predicted."""
        return self.measured / self.predicted if self.predicted else None


def serve() -> None:
    """Measure the combinations in the first argument (JSON) and print each as a line of JSON."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    job = json.loads(sys.argv[1])
    import torch

    torch.set_num_threads(job["threads"])
    pipes: dict[tuple[str, str], Any] = {}
    for values in job["cases"]:
        case = Peak(**{**values, "seconds": tuple(values["seconds"])})
        name = (case.variant, case.dtype)
        if name not in pipes:
            pipes.clear()
            pipes[name] = pipeline_for(case, job["device"])
        answers.write(json.dumps(asdict(_measured(case, pipes[name]))) + "\n")
        answers.flush()


def pipeline_for(case: Peak, device: str) -> Any:
    """A warm pipeline of a network that keeps exactly the share asked for."""
    from mematte_plugin import MattingPipeline

    from .methods import random_network, want_all
    from .scenes import make_scene

    network = random_network(case.variant)
    want_all(network)
    pipe = MattingPipeline(network, device=device, dtype=case.dtype)
    scene = make_scene(WARM_SIDE, WARM_SIDE, 0.4)
    pipe(scene.image, scene.trimap, retention=case.retention)
    return pipe


def _measured(case: Peak, pipe: Any) -> Peak:
    from dataclasses import replace

    from mematte_plugin import MEMatteError
    from mematte_plugin.memory.exhaustion import is_out_of_memory
    from mematte_plugin.memory.meter import PeakMeter

    with tempfile.TemporaryDirectory() as folder:
        image, trimap = _files(case, Path(folder))
        budget = budget_of(case, pipe)
        begin = time.perf_counter()
        try:
            with PeakMeter("cpu") as meter:
                matte = pipe(image, trimap, retention=case.retention, memory_budget=budget)
        except MEMatteError as error:
            return replace(case, failed=" ".join(str(error).split())[:300])
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            return replace(case, failed="out of memory")
    plan = matte.plan
    return replace(
        case,
        predicted=plan.predicted_peak,
        measured=plan.measured_peak or 0,
        whole=(meter.peak or 0) if pipe.device.type == "cpu" else 0,
        phase=plan.worst,
        seconds=(time.perf_counter() - begin,),
        failed="; ".join(step for step in plan.steps if step.startswith("out of memory")),
    )


def _files(case: Peak, folder: Path) -> tuple[Path, Path]:
    import cv2

    from .scenes import make_scene

    scene = make_scene(case.height, case.width, case.unknown)
    image, trimap = folder / "image.png", folder / "trimap.png"
    cv2.imwrite(str(image), scene.image[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, TO_PNG])
    cv2.imwrite(str(trimap), scene.trimap, [cv2.IMWRITE_PNG_COMPRESSION, TO_PNG])
    return image, trimap


def budget_of(case: Peak, pipe: Any) -> int | None:
    """What a combination may take, in bytes; None: what is free."""
    from mematte_plugin.memory.law import Job
    from mematte_plugin.memory.plan import least_budget

    from .methods import cap_of

    if case.budget is None:
        return None
    job = Job(
        case.height,
        case.width,
        pipe.network.config,
        pipe.network.dtype.itemsize,
        pipe.device.type,
        unknown=case.unknown,
        max_tokens=cap_of(case.retention, case.height, case.width),
    )
    return int(case.budget * least_budget(job))


if __name__ == "__main__":
    serve()
