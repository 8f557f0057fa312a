"""ICC profiles of RGB spaces as numbers, written and read: matrix and curves (ICC.1, version 2)."""

from __future__ import annotations

import struct
from functools import lru_cache

import numpy as np

from .colour_spaces import (
    D50,
    REC709,
    AnyCurve,
    ColourSpace,
    Curve,
    Primaries,
    Table,
    adaptation,
    same,
    srgb,
)

_LEAST = 0.1  # smallest plausible power; the largest is its inverse
_STEPS = 1024
"""Points of a curve other than a power: lines between them are exact to 16 bits."""


def icc_profile(primaries: Primaries, curve: AnyCurve, name: str) -> bytes:
    """A display profile of these primaries and this curve."""
    d50 = np.array(D50)
    colorants = primaries.to_d50()
    colorants[:, 2] += d50 - colorants.sum(axis=1)  # rounding must not tint white
    x, y = primaries.white
    white = (x / y, 1.0, (1 - x - y) / y)
    trc = _curv(curve)
    tags: list[tuple[bytes, bytes]] = [
        (b"desc", _desc(name)),
        (b"cprt", b"text\0\0\0\0Public domain (CC0)\0"),
        (b"wtpt", _xyz(d50)),
        (b"chad", b"sf32\0\0\0\0" + _fixed(adaptation(white, D50).ravel())),
        *((key, _xyz(colorants[:, i])) for i, key in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))),
        *((key, trc) for key in (b"rTRC", b"gTRC", b"bTRC")),
    ]
    return _assembled(tags, version=0x02400000)


def _assembled(tags: list[tuple[bytes, bytes]], version: int) -> bytes:
    at = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    places: dict[bytes, int] = {}
    for key, data in tags:
        if data not in places:
            places[data] = at + len(body)
            body += data + b"\0" * (-len(data) % 4)
        table += key + struct.pack(">II", places[data], len(data))
    size = 128 + len(table) + len(body)
    header = struct.pack(">I4sI4s4s4s", size, b"\0" * 4, version, b"mntr", b"RGB ", b"XYZ ")
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp"
    header = header.ljust(68, b"\0") + _fixed(np.array(D50))
    return header.ljust(128, b"\0") + table + body


def _fixed(values: np.ndarray) -> bytes:
    return b"".join(struct.pack(">i", round(float(v) * 65536)) for v in values)


def _xyz(values: np.ndarray) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(values)


def _desc(name: str) -> bytes:
    text = name.encode("ascii", "replace") + b"\0"
    return b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + b"\0" * (4 + 4 + 2 + 1 + 67)


def _curv(curve: AnyCurve) -> bytes:
    if isinstance(curve, Curve) and curve.plain:
        if curve.gamma == 1:
            return b"curv\0\0\0\0" + struct.pack(">I", 0)
        return b"curv\0\0\0\0" + struct.pack(">IH", 1, min(65535, round(curve.gamma * 256)))
    points = curve.decode(np.linspace(0, 1, _STEPS)).clip(0, 1)
    steps = np.rint(points.astype(np.float64) * 65535).astype(">u2")
    return b"curv\0\0\0\0" + struct.pack(">I", _STEPS) + steps.tobytes()


# ---- reading -------------------------------------------------------------------------------------


def _tags(icc: bytes) -> dict[bytes, bytes]:
    """The profile's elements; empty for anything else."""
    found: dict[bytes, bytes] = {}
    if len(icc) < 132:
        return found
    (count,) = struct.unpack_from(">I", icc, 128)
    for i in range(min(count, 100)):
        if 144 + 12 * i > len(icc):
            break
        key, at, size = struct.unpack_from(">4sII", icc, 132 + 12 * i)
        found[key] = icc[at : at + size]
    return found


def _curve_of(data: bytes) -> AnyCurve | None:
    """The curve of a `curv` or `para` element."""
    if data[:4] == b"curv":
        (count,) = struct.unpack_from(">I", data, 8)
        if count == 0:
            return Curve()
        if count == 1:
            gamma = struct.unpack_from(">H", data, 12)[0] / 256
            return Curve(gamma) if _LEAST <= gamma <= 1 / _LEAST else None
        points = np.frombuffer(data, ">u2", count, 12) / 65535
        return Table(tuple(float(v) for v in points))
    return _parametric(data) if data[:4] == b"para" else None


def _parametric(data: bytes) -> Curve | None:
    (kind,) = struct.unpack_from(">H", data, 8)
    count = {0: 1, 1: 3, 2: 4, 3: 5, 4: 7}.get(kind)
    if count is None:
        return None
    p = [v / 65536 for v in struct.unpack_from(f">{count}i", data, 12)]
    if not _LEAST <= p[0] <= 1 / _LEAST or (kind and p[1] <= 0):
        return None
    if kind in (1, 2):
        offset = p[3] if kind == 2 else 0.0
        return Curve(p[0], p[1], p[2], d=-p[2] / p[1], e=offset, f=offset)
    return Curve(*p)


@lru_cache(maxsize=16)
def space_of(icc: bytes | None) -> ColourSpace | None:
    """The space that a matrix profile of RGB describes, sRGB for None; None for other profiles."""
    if icc is None:
        return srgb()
    try:
        found = _tags(icc)
        if icc[16:20] != b"RGB " or icc[20:24] != b"XYZ ":
            return None
        columns = [struct.unpack_from(">3i", found[key], 8) for key in (b"rXYZ", b"gXYZ", b"bXYZ")]
        curves = [_curve_of(found[key]) for key in (b"rTRC", b"gTRC", b"bTRC")]
    except (struct.error, KeyError, ValueError):
        return None
    to_d50 = np.array(columns, np.float64).T / 65536
    red, green, blue = curves
    if red is None or green is None or blue is None or abs(np.linalg.det(to_d50)) < 1e-4:
        return None
    found_space = ColourSpace(to_d50, (red, green, blue))
    return srgb() if same(found_space, srgb()) else found_space


def decoding_gamma(icc: bytes | None) -> float | None:
    """The power that turns a profile's values into light, if no display has such a power.

    None for profiles of display-encoded values (a power of 1.5 to 3 at half of full scale), and
    for profiles that are more than a matrix and curves.
    """
    space = None if icc is None else space_of(icc)
    if space is None:
        return None
    half = float(space.curves[1].decode(np.float32(0.5)[None])[0])
    if not 0 < half < 1:
        return None
    gamma = float(np.log(half) / np.log(0.5))
    return None if 1.5 <= gamma <= 3 else round(gamma, 3)


def for_rgb(grey: bytes) -> bytes | None:
    """An RGB profile, from a grey one, for grey pixels on three channels."""
    try:
        trc = _tags(grey)[b"kTRC"]
        curve = _curve_of(trc)
    except (struct.error, KeyError, ValueError):
        return None
    return None if curve is None else icc_profile(REC709, curve, "Grey")
