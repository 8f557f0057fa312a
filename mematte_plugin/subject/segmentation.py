"""The subject of a photo by a segmentation network in ONNX: nothing is asked."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..images.photo import Photo
from ..progress import Progress
from ..weights.subjects import subject_files
from .found import STAGE, SubjectMask
from .onnx_network import OnnxNetwork
from .ready import ready

SLACK = 0.05
"""How far probabilities may lie outside [0, 1]: resizing and half precision overshoot."""
BYTES = 127.0
"""Where none is negative and some are beyond it, numbers are not logits but a mask of 0 to 255."""
HAZE = 0.1
"""Less than this is background, and says nothing of how sure the rest is."""


def segment(
    photo: Photo, *, model: str | None = None, progress: Progress | None = None
) -> SubjectMask:
    """What stands out in a photo, by an ONNX network.

    model: catalog name, Hub id, folder or ONNX file; None for the default.
    progress: called during a download, and while the network is loaded and runs.

    The confidence is the mean of |2p - 1| wherever p, the probability that a pixel belongs to the
    subject, is at least 0.1: 1 if each pixel is decided, 0 if it might as well be the other way, or
    if nothing was found.

    Raises WeightsError if the network cannot be fetched, loaded or run, or is not a segmentation
    network; MEMatteError if the extra is missing or memory runs out.
    """
    files = subject_files(model, "subject", progress=progress)
    stamp = files.weights.stat()
    key = str(files.weights), stamp.st_size, stamp.st_mtime_ns
    network: OnnxNetwork = ready("segmentation", key, lambda: OnnxNetwork(files, progress))
    probability = as_probability(network.run(photo, progress))
    if progress is not None:
        progress(1, 1, STAGE)
    return SubjectMask(
        native=_stretched(probability),
        size=photo.size,
        confidence=_decided(probability),
        source="segmentation",
        model=network.name,
        licence=network.licence,
    )


def as_probability(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """A network's numbers as probabilities: they may be logits, or a mask of 0 to 255.

    Their range tells, since names do not.
    """
    low, high = float(values.min()), float(values.max())
    if low >= -SLACK and high <= 1 + SLACK:
        return values.clip(0, 1)
    if low >= 0 and BYTES < high <= 255:
        return values / np.float32(255)
    odds = np.exp(-np.abs(values))  # never overflows
    return np.asarray(np.where(values >= 0, 1, odds) / (1 + odds), np.float32)


def _stretched(probability: NDArray[np.float32]) -> NDArray[np.float32]:
    """Up to 1, as U²-Net's masks are used: their inside often stops short of it.

    A mask that nowhere reaches a half found nothing, and is left alone; so is its background, since
    a subject that fills the picture would be taken for it.
    """
    top = float(probability.max())
    return probability / np.float32(top) if 0.5 <= top < 1 else probability


def _decided(probability: NDArray[np.float32]) -> float:
    part = probability[probability >= HAZE]
    return float(np.abs(2 * part - 1).mean()) if part.size else 0.0
