"""Colour spaces as numbers: primaries, transfer curves, and conversion between spaces.

Whites are adapted by Bradford's matrix, as ICC profiles and ACES do.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np

from ..errors import SettingError

Pair: TypeAlias = "tuple[float, float]"

D50 = (0.9642, 1.0, 0.8249)
"""XYZ of the white of ICC's profile connection space."""

_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


@dataclass(frozen=True)
class Primaries:
    """CIE 1931 x and y of red, green, blue and white."""

    red: Pair
    green: Pair
    blue: Pair
    white: Pair = (0.3127, 0.3290)

    @property
    def numbers(self) -> tuple[float, ...]:
        """Eight numbers in the order of the fields, as in EXR's `chromaticities`."""
        return (*self.red, *self.green, *self.blue, *self.white)

    @classmethod
    def of(cls, numbers: object) -> Primaries | None:
        """From eight numbers; None if they do not span a colour space."""
        try:
            values = [float(v) for v in np.ravel(np.asarray(numbers, float))]
            pairs = [(values[i], values[i + 1]) for i in range(0, 8, 2)]
            found = cls(*pairs)
            matrix = found.to_xyz()
        except (ValueError, IndexError, TypeError, np.linalg.LinAlgError, ZeroDivisionError):
            return None
        sane = np.isfinite(matrix).all() and abs(np.linalg.det(matrix)) > 1e-4
        return found if sane and len(values) == 8 else None

    def close_to(self, other: Primaries) -> bool:
        """Equal to the third digit, to which files round."""
        return bool(np.allclose(self.numbers, other.numbers, atol=1.5e-3))

    def to_xyz(self) -> np.ndarray:
        """(3, 3): linear RGB to XYZ with this white, whose Y is 1."""
        corners = np.array([_xyz(*xy) for xy in (self.red, self.green, self.blue)]).T
        white = np.array(_xyz(*self.white))
        return corners * np.linalg.solve(corners, white)

    def to_d50(self) -> np.ndarray:
        """(3, 3): linear RGB to XYZ adapted to D50."""
        return adaptation(_xyz(*self.white), D50) @ self.to_xyz()


def _xyz(x: float, y: float) -> tuple[float, float, float]:
    return x / y, 1.0, (1 - x - y) / y


def adaptation(source: tuple[float, ...], target: tuple[float, ...]) -> np.ndarray:
    """(3, 3): XYZ under one white to XYZ under another, by Bradford's method."""
    one, other = _BRADFORD @ np.array(source), _BRADFORD @ np.array(target)
    return np.asarray(np.linalg.solve(_BRADFORD, np.diag(other / one) @ _BRADFORD))


_D60 = (0.32168, 0.33767)  # ACES white
_C = (0.310, 0.316)
REC709 = Primaries((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
P3 = Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
ADOBE = Primaries((0.640, 0.330), (0.210, 0.710), (0.150, 0.060))
REC2020 = Primaries((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))
AP0 = Primaries((0.7347, 0.2653), (0.0, 1.0), (0.0001, -0.0770), _D60)
AP1 = Primaries((0.713, 0.293), (0.165, 0.830), (0.128, 0.044), _D60)

H273_PRIMARIES: dict[int, Primaries] = {
    1: REC709,
    4: Primaries((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), _C),
    5: Primaries((0.64, 0.33), (0.29, 0.60), (0.15, 0.06)),
    **dict.fromkeys((6, 7), Primaries((0.630, 0.340), (0.310, 0.595), (0.155, 0.070))),
    9: REC2020,
    11: Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: P3,
}
"""Colour primaries by their number in ITU-T H.273, as in nclx and cICP."""


# ---- curves --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Curve:
    """Light = (a·v + b)^gamma + e for values v from d on, c·v + f below: ICC's parametric curve.

    Below zero it is mirrored, as in extended sRGB.
    """

    gamma: float = 1.0
    a: float = 1.0
    b: float = 0.0
    c: float = 0.0
    d: float = 0.0
    e: float = 0.0
    f: float = 0.0

    @property
    def plain(self) -> bool:
        """A power alone."""
        return (self.a, self.b, self.c, self.d, self.e, self.f) == (1, 0, 0, 0, 0, 0)

    def decode(self, values: np.ndarray) -> np.ndarray:
        """Stored values to linear light, float32; beyond [0, 1] too."""
        values = np.asarray(values, np.float32)
        if self.plain:
            return _power(values, self.gamma)
        size = np.abs(values)
        high = (self.a * np.maximum(size, self.d) + self.b).clip(0) ** self.gamma + self.e
        light = np.where(size >= self.d, high, self.c * size + self.f)
        return np.copysign(light, values).astype(np.float32)

    def encode(self, light: np.ndarray) -> np.ndarray:
        """Linear light to stored values, float32."""
        light = np.asarray(light, np.float32)
        if self.plain:
            return _power(light, 1 / self.gamma)
        size = np.abs(light)
        split = max(0.0, self.a * self.d + self.b) ** self.gamma + self.e
        base = np.maximum(size, split) - self.e
        high = (base.clip(0) ** (1 / self.gamma) - self.b) / self.a
        low = (size - self.f) / self.c if self.c else np.full_like(size, self.d)
        return np.copysign(np.where(size >= split, high, low), light).astype(np.float32)


def _power(values: np.ndarray, exponent: float) -> np.ndarray:
    if exponent == 1:
        return values
    return np.asarray(np.copysign(np.abs(values) ** np.float32(exponent), values), np.float32)


@dataclass(frozen=True)
class Table:
    """Rising light at equally spaced stored values from 0 to 1."""

    points: tuple[float, ...]

    def decode(self, values: np.ndarray) -> np.ndarray:
        """Stored values to linear light, float32; values outside the table get its end."""
        grid = np.linspace(0, 1, len(self.points))
        return np.interp(values, grid, self.points).astype(np.float32)

    def encode(self, light: np.ndarray) -> np.ndarray:
        """Linear light to stored values, float32."""
        rising = np.maximum.accumulate(self.points)
        grid = np.linspace(0, 1, len(self.points))
        return np.interp(light, rising, grid).astype(np.float32)


AnyCurve: TypeAlias = "Curve | Table"

LINEAR = Curve()
SRGB_CURVE = Curve(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
ADOBE_CURVE = Curve(563 / 256)
_A, _B = 1.09929682680944, 0.018053968510807
REC709_CURVE = Curve(1 / 0.45, 1 / _A, (_A - 1) / _A, 1 / 4.5, 4.5 * _B)
_SMPTE240_CURVE = Curve(1 / 0.45, 1 / 1.1115, 0.1115 / 1.1115, 1 / 4.0, 0.0912)

Transfer: TypeAlias = "Curve | Table | Literal['pq', 'hlg']"

H273_TRANSFER: dict[int, Transfer] = {
    **dict.fromkeys((1, 6, 11, 12, 14, 15), REC709_CURVE),
    4: Curve(2.2),
    5: Curve(2.8),
    7: _SMPTE240_CURVE,
    8: LINEAR,
    13: SRGB_CURVE,
    16: "pq",
    17: Curve(2.6),
    18: "hlg",
}
"""Transfer characteristics by their number in ITU-T H.273."""

REFERENCE_WHITE = 203.0
"""cd/m² that become 1.0: the diffuse white of HDR pictures (ITU-R BT.2408)."""


def hdr_to_linear(values: np.ndarray, transfer: str, primaries: Primaries) -> np.ndarray:
    """PQ or HLG (ITU-R BT.2100) to linear display light, 1.0 = `REFERENCE_WHITE`; float32.

    HLG as a display of 1000 cd/m² shows it.
    """
    signal = np.asarray(values, np.float64).clip(0, 1)
    if transfer == "pq":
        m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
        power = signal ** (1 / m2)
        light = (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1) * 10000
    else:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
        luminance = (scene @ primaries.to_xyz()[1])[..., None]
        light = 1000 * np.maximum(luminance, 1e-9) ** 0.2 * scene
    return np.asarray(light / REFERENCE_WHITE, np.float32)


# ---- spaces --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ColourSpace:
    """How stored numbers become colours.

    to_d50: (3, 3), linear RGB to XYZ adapted to D50.
    curves: of red, green and blue.
    """

    to_d50: np.ndarray
    curves: tuple[AnyCurve, AnyCurve, AnyCurve]

    @classmethod
    def of(cls, primaries: Primaries, curve: AnyCurve) -> ColourSpace:
        """A space whose channels share one curve."""
        return cls(primaries.to_d50(), (curve, curve, curve))

    def decode(self, values: np.ndarray) -> np.ndarray:
        """(…, 3) stored values to linear light of this space's primaries, float32."""
        return self._curved(values, "decode")

    def encode(self, light: np.ndarray) -> np.ndarray:
        """(…, 3) linear light to stored values, float32."""
        return self._curved(light, "encode")

    def _curved(self, values: np.ndarray, way: str) -> np.ndarray:
        one = self.curves[0]
        if self.curves[1] == one and self.curves[2] == one:
            return np.asarray(getattr(one, way)(values))
        return np.stack(
            [getattr(curve, way)(values[..., i]) for i, curve in enumerate(self.curves)], axis=-1
        )


@lru_cache(maxsize=1)
def srgb() -> ColourSpace:
    """The space of pictures that do not name theirs."""
    return ColourSpace.of(REC709, SRGB_CURVE)


def same(one: ColourSpace, other: ColourSpace) -> bool:
    """Equal numbers mean equal colours, to the precision of files."""
    if one is other:
        return True
    if not np.allclose(one.to_d50, other.to_d50, atol=5e-4):
        return False
    steps = np.repeat(np.linspace(0, 1, 33, dtype=np.float32)[:, None], 3, axis=1)
    return bool(np.allclose(one.decode(steps), other.decode(steps), atol=2e-4))


def matrix(source: ColourSpace, target: ColourSpace) -> np.ndarray:
    """(3, 3) float32: linear colours of one space to those of another."""
    return np.linalg.solve(target.to_d50, source.to_d50).astype(np.float32)


def convert(values: np.ndarray, source: ColourSpace, target: ColourSpace) -> np.ndarray:
    """(…, 3) float values of one space as values of another, float32, not clipped."""
    if same(source, target):
        return np.asarray(values, np.float32)
    return target.encode(source.decode(values) @ matrix(source, target).T)


# ---- names ---------------------------------------------------------------------------------------


INPUT_SPACES: dict[str, tuple[Primaries, Curve]] = {
    "srgb": (REC709, SRGB_CURVE),
    "display-p3": (P3, SRGB_CURVE),
    "adobe-rgb": (ADOBE, ADOBE_CURVE),
    "rec2020": (REC2020, REC709_CURVE),
    "linear-srgb": (REC709, LINEAR),
    "linear-p3": (P3, LINEAR),
    "linear-rec2020": (REC2020, LINEAR),
    "acescg": (AP1, LINEAR),
    "aces2065-1": (AP0, LINEAR),
}
"""The values of `input_space=` and `--input-space`. Linear ones are scene-linear light."""

_ALIASES = {
    "linear": "linear-srgb",
    "linear-rec709": "linear-srgb",
    "scene-linear": "linear-srgb",
    "rec709-linear": "linear-srgb",
    "srgb-linear": "linear-srgb",
    "p3": "display-p3",
    "adobergb": "adobe-rgb",
    "ap1": "acescg",
    "ap0": "aces2065-1",
    "aces": "aces2065-1",
    # in EXR files: colorInteropID (OpenEXR, 2025) and oiio:ColorSpace
    "lin-rec709-scene": "linear-srgb",
    "lin-rec709": "linear-srgb",
    "lin-srgb": "linear-srgb",
    "lin-p3d65-scene": "linear-p3",
    "lin-rec2020-scene": "linear-rec2020",
    "lin-ap1-scene": "acescg",
    "lin-ap1": "acescg",
    "aces-acescg": "acescg",
    "lin-ap0-scene": "aces2065-1",
    "lin-ap0": "aces2065-1",
    "aces-aces2065-1": "aces2065-1",
    "srgb-rec709-scene": "srgb",
    "srgb-rec709-display": "srgb",
    "srgb-p3d65-scene": "display-p3",
    "srgb-p3d65-display": "display-p3",
}


def space_name(name: str) -> str | None:
    """The name in `INPUT_SPACES` of a space, however it is spelled; None for an unknown one."""
    plain = "-".join(name.lower().replace("_", " ").replace("-", " ").split())
    plain = _ALIASES.get(plain, plain)
    return plain if plain in INPUT_SPACES else None


def check_input_space(name: str | None) -> str | None:
    """The name in `INPUT_SPACES`, or None for None. Raises SettingError for an unknown one."""
    if name is None:
        return None
    found = space_name(name) if isinstance(name, str) else None
    if found is None:
        raise SettingError(f"input space {name!r}: choose one of {', '.join(INPUT_SPACES)}")
    return found
