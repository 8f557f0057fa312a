"""Photographs out of panoramas: views into a scene that was recorded all around.

A view of a panorama of 1024 columns is soft, as the background of a portrait is.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def read_panorama(data: bytes) -> Array | None:
    """Linear light of a Radiance (.hdr) or OpenEXR file: (H, W, 3) float32; None if unreadable.

    OpenEXR files need the package OpenEXR.
    """
    if data[:4] == b"\x76\x2f\x31\x01":
        return _read_exr(data)
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    if bgr is None or bgr.ndim != 3 or bgr.dtype != np.float32:
        return None
    return np.ascontiguousarray(np.asarray(bgr)[..., 2::-1])


def _read_exr(data: bytes) -> Array | None:
    try:
        import OpenEXR
    except ImportError:
        return None
    with tempfile.TemporaryDirectory() as folder:  # the library reads files only
        path = Path(folder) / "panorama.exr"
        path.write_bytes(data)
        try:
            with OpenEXR.File(str(path)) as file:
                channels = file.channels()
                whole = next((channels[n].pixels for n in ("RGB", "RGBA") if n in channels), None)
                if whole is None and set("RGB") <= set(channels):
                    whole = np.stack([channels[name].pixels for name in "RGB"], 2)
        except RuntimeError:
            return None
    return None if whole is None else np.asarray(whole[..., :3], np.float32)


def developed(linear: Array, *, exposure: float = 1.0) -> Array:
    """Linear light as a camera renders it: (H, W, 3) uint8 sRGB, highlights rolled off."""
    light = np.maximum(np.nan_to_num(linear, posinf=1e4), 0)
    grey = light.mean(2)
    middle = float(np.exp(np.log(grey + 1e-4).mean()))
    light = light * (0.18 * exposure / max(middle, 1e-4))
    rolled = light * (1 + light / 16) / (1 + light)  # Reinhard et al. 2002, white at 4
    shown = np.where(rolled < 0.0031308, 12.92 * rolled, 1.055 * rolled ** (1 / 2.4) - 0.055)
    return np.clip(np.rint(shown * 255), 0, 255).astype(np.uint8)


def view(
    panorama: Array, *, yaw: float, pitch: float, angle: float, height: int, width: int
) -> Array:
    """A perspective view: (height, width, 3), of the panorama's dtype.

    panorama: (H, W, 3), equirectangular, W columns for 360 degrees, rows from up to down.
    yaw, pitch: where the camera looks, degrees; pitch is positive upward.
    angle: horizontal field of view, degrees.
    """
    rows, columns = panorama.shape[:2]
    reach = np.tan(np.radians(angle) / 2)
    x = np.linspace(-reach, reach, width, dtype=np.float32)[None]
    y = np.linspace(reach, -reach, height, dtype=np.float32)[:, None] * np.float32(height / width)
    tilt = np.radians(pitch)
    forward = np.cos(tilt) - y * np.sin(tilt)
    up = np.sin(tilt) + y * np.cos(tilt)
    longitude = np.arctan2(x, forward) + np.radians(yaw)
    latitude = np.arctan2(up, np.hypot(x, forward))
    u = (longitude / (2 * np.pi) + 0.5) * columns - 0.5
    v = (0.5 - latitude / np.pi) * rows - 0.5
    # Wrapping in longitude by hand: remap's own wrapping would also wrap over the poles.
    padded = cv2.copyMakeBorder(panorama, 0, 0, 4, 4, cv2.BORDER_WRAP)
    u = np.mod(u, columns) + 4
    return np.asarray(
        cv2.remap(
            padded,
            u.astype(np.float32),
            np.broadcast_to(v, u.shape).astype(np.float32),
            cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )
    )


def views(rng: np.random.Generator, linear: Array, count: int) -> list[Array]:
    """Views all around, (480, 640, 3) uint8 each, at exposures a photographer might choose."""
    start = rng.uniform(0, 360)
    return [
        # Developed first: interpolating linear light would ring around lamps.
        view(
            developed(linear, exposure=float(np.exp(rng.normal(0.2, 0.25)))),
            yaw=start + 360 * i / count + rng.normal(0, 8),
            pitch=rng.uniform(-18, 14),
            angle=rng.uniform(60, 105),
            height=480,
            width=640,
        )
        for i in range(count)
    ]
