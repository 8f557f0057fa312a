"""What was found: a soft mask of the subject, and how sure it is."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..trimap.soft import SoftMask, lay_soft_band, resized
from ..trimap.thickness import distances

STAGE = "subject"
"""What progress calls the search for the subject."""
Source = Literal["segmentation", "points", "box", "text"]

LIKELY = 0.6
"""From this on, far from the outline, a pixel belongs to the subject."""
FAR = 0.04
"""How far that is, as a share of the subject's size: a matte's band is narrower."""
_LEAST_FAR = 3  # pixels of the network's


@dataclass(frozen=True, eq=False, repr=False)
class SubjectMask:
    """A soft mask of a photo's subject, as a network found it.

    Masks of one photo can be joined (`one | other`), reduced to what both have (`one & other`) and
    taken from each other (`one - other`).

    native: (h, w) float32 in [0, 1], at the network's own resolution and stretched to it: the
        trimap's band depends on how coarse it is.
    size: (H, W) of the photo in pixels.
    confidence: 0 to 1, how sure the network is of it.
    source: "segmentation", "points", "box" or "text".
    model: the network's name or Hub id.
    licence: of its weights, as published; empty if unknown.
    prompt: the word, if there was one.
    """

    native: NDArray[np.float32]
    size: tuple[int, int]
    confidence: float
    source: Source
    model: str = ""
    licence: str = ""
    prompt: str = ""

    @cached_property
    def mask(self) -> NDArray[np.float32]:
        """(H, W) float32 in [0, 1], of the photo's size."""
        return resized(self.native, self.size)

    @property
    def soft(self) -> SoftMask:
        """The mask as trimaps are made of it.

        Far from its outline a network's grey is doubt about what the thing is, not opacity: it was
        trained on masks of black and white. So what it thinks likely there is taken for sure.
        """
        return SoftMask(_decided(self.native), self.size, "mask")

    def trimap(self) -> NDArray[np.uint8]:
        """(H, W) uint8 of 0, 128 and 255: `from_soft` of it at its own resolution."""
        return lay_soft_band(self.soft)

    def facts(self) -> dict[str, Any]:
        """The report, JSON-ready: source, confidence, model, licence, prompt and share, the part
        of the picture that it covers."""
        return {
            "source": self.source,
            "confidence": round(self.confidence, 4),
            "model": self.model,
            "licence": self.licence,
            "prompt": self.prompt,
            "share": round(float(self.native.mean()), 4),
        }

    def __or__(self, other: SubjectMask) -> SubjectMask:
        mine, theirs = self._aligned(other)
        return replace(
            self,
            native=np.maximum(mine, theirs),
            confidence=min(self.confidence, other.confidence),
        )

    def __and__(self, other: SubjectMask) -> SubjectMask:
        mine, theirs = self._aligned(other)
        return replace(
            self,
            native=np.minimum(mine, theirs),
            confidence=min(self.confidence, other.confidence),
        )

    def __sub__(self, other: SubjectMask) -> SubjectMask:
        mine, theirs = self._aligned(other)
        return replace(
            self,
            native=np.minimum(mine, 1 - theirs),
            confidence=min(self.confidence, other.confidence),
        )

    def _aligned(self, other: SubjectMask) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        if self.size != other.size:
            (height, width), (rows, columns) = self.size, other.size
            raise InputError(
                f"masks of photos of {width}×{height} and {columns}×{rows} cannot be joined; find"
                " both in the same photo"
            )
        shape = max(self.native.shape, other.native.shape, key=lambda size: size[0] * size[1])
        return resized(self.native, shape), resized(other.native, shape)

    def __repr__(self) -> str:
        height, width = self.size
        return f"SubjectMask({self.source}, {width}×{height}, confidence {self.confidence:.2f})"


def _decided(native: NDArray[np.float32]) -> NDArray[np.float32]:
    subject = native >= 0.5
    far = max(_LEAST_FAR, FAR * math.sqrt(np.count_nonzero(subject)))
    opaque = (native >= LIKELY) & (distances(subject) > far)
    empty = (native <= 1 - LIKELY) & (distances(~subject) > far)
    decided = np.where(opaque, np.float32(1), np.where(empty, np.float32(0), native))
    return np.asarray(decided, np.float32)
