"""A bank of training pictures that is quick to make: fuzzy blobs over clouds."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np


def small_bank(folder: Path, count: int = 6, side: int = 160) -> Path:
    """Write backgrounds/*.jpg, foregrounds/*.webp (RGBA) and manifest.json."""
    rng = np.random.default_rng(0)
    for name in ("backgrounds", "foregrounds"):
        (folder / name).mkdir(parents=True)
    entries = []
    for i in range(count):
        ground = cv2.resize(rng.integers(0, 255, (5, 6, 3), np.uint8), (300, 240))
        cv2.imwrite(str(folder / f"backgrounds/ground-{i}.jpg"), ground)
        lumps = cv2.resize(rng.random((12, 12), np.float32), (side, side))
        y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
        alpha = np.clip((0.9 - np.hypot(x, y) - 0.5 * lumps) * 12, 0, 1)
        colour = cv2.resize(rng.integers(0, 255, (8, 8, 3), np.uint8), (side, side))
        rgba = np.dstack([colour, np.rint(alpha * 255).astype(np.uint8)])
        name = f"foregrounds/rendered-{i:06d}.webp"
        cv2.imwrite(str(folder / name), rgba)
        entries.append(
            {
                "file": name,
                "source": "rendered",
                "original": f"blob index={i}",
                "author": "nobody",
                "licence": "rendered",
                "sha256": "",
                "use": "foreground",
            }
        )
    (folder / "manifest.json").write_text(json.dumps(entries))
    return folder
