"""`python -m blender JOB.json`: render the pictures of a job, one file each.

JOB holds: out (folder), indices (list), seed, size, samples, textures (paths of photographs).
The surroundings' light comes from the panoramas that bpy brings (CC0).
Every picture becomes `INDEX.npz` with `premultiplied`, (S, S, 4) uint16 of sRGB light premultiplied
by alpha, and `kind`. A picture that fails is told on stderr and does not stop the others.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .scene import Picture, render
from .subjects import draw


def shown(rng: np.random.Generator, linear: NDArray[Any]) -> NDArray[np.uint16]:
    """Linear premultiplied light as a camera exposes and renders it."""
    alpha = np.clip(linear[..., 3:], 0, 1)
    light = np.maximum(linear[..., :3] / np.maximum(alpha, 1e-4), 0)
    body = alpha[..., 0] > 0.5
    grey = light.mean(2)[body] if body.any() else np.ones(1)
    # The upper quarter guides the exposure: black fur shall stay black.
    level = 0.55 * np.percentile(grey, 90) + 0.45 * grey.mean()
    light = light * (rng.uniform(0.22, 0.42) / max(float(level), 1e-4))
    light = light * (1 + light / 16) / (1 + light)
    srgb = np.where(light < 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    picture = np.concatenate([srgb * alpha, alpha], 2)
    return np.clip(np.rint(picture * 65535), 0, 65535).astype(np.uint16)


def worlds() -> tuple[Path, ...]:
    """The panoramas that come with bpy."""
    import bpy

    folder = Path(bpy.utils.system_resource("DATAFILES")) / "studiolights" / "world"
    return tuple(sorted(folder.glob("*.exr")))


def main(job_file: str) -> int:
    """Render all; how many failed."""
    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    out = Path(job["out"])
    failed = 0
    for index in job["indices"]:
        start = time.monotonic()
        try:
            rng = np.random.default_rng([job["seed"], 3, index])
            kind, subject = draw(rng)
            picture = Picture(
                job["size"],
                job["samples"],
                worlds=worlds(),
                textures=tuple(map(Path, job["textures"])),
            )
            pixels = shown(rng, render(rng, subject, picture))
            temporary = out / f"{index}.part.npz"
            np.savez(temporary, premultiplied=pixels, kind=np.array(kind))
            os.replace(temporary, out / f"{index}.npz")
            sys.stderr.write(f"{index} {kind} {time.monotonic() - start:.0f} s\n")
        except Exception:  # whatever happens within Blender costs one picture
            failed += 1
            sys.stderr.write(f"{index} failed\n{traceback.format_exc()}")
    return failed


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1]) else 0)
