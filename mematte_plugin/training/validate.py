"""Measuring a network in training on real photographs, at full size; needs numpy and cv2 only."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from ..errors import InputError, MEMatteError
from ..evaluation.layouts import find
from ..evaluation.metrics import errors, mean_errors
from ..network import MEMatte
from ..network.config import Chunking

logger = logging.getLogger(__name__)

_KNOWN = 0.02  # greys this near to black and white count as known, as in the pipeline
_CHUNKING = Chunking(tile=512)


@torch.no_grad()
def validate(network: MEMatte, folder: Path, device: torch.device) -> list[dict[str, float | str]]:
    """Mean errors per set of trimaps, each picture counting the same.

    Pictures that cannot be used are named in the log and left out.

    Args:
        network: in eval mode, on `device`.
        folder: photographs, alphas and trimaps in a layout that evaluation/layouts.py knows.
        device: where to compute.

    Returns: per trimap folder its name as "trimap", "pictures", the errors and "kept".
    Raises InputError where not one picture can be measured.
    """
    found, shares = defaultdict(list), defaultdict(list)
    for item in find(folder):
        try:
            image, trimap, truth = _image(item.image), _grey(item.trimap), _grey(item.alpha)
            trimap = np.select([trimap < _KNOWN, trimap > 1 - _KNOWN], [0.0, 1.0], 0.5)
            if not image.shape[:2] == trimap.shape == truth.shape:
                raise InputError(f"{item.image}: photograph, trimap and alpha differ in size")
            prediction = network.predict(
                torch.from_numpy(image).permute(2, 0, 1)[None].to(device),
                torch.from_numpy(trimap.astype(np.float32))[None, None].to(device),
                chunking=_CHUNKING,
            )
            alpha = prediction.alpha[0, 0].float().cpu().numpy()
            alpha = np.where(trimap == 0.5, alpha, trimap)
            found[item.trimap_name].append(errors(alpha, truth, trimap))
            kept = [keep.float().mean().item() for keep in prediction.keep]
            shares[item.trimap_name].append(float(np.mean(kept or [1.0])))
        except (MEMatteError, ValueError) as error:
            logger.warning("validation: left out: %s", error)
    if not found:
        raise InputError(f"{folder}: no picture to validate on; see `mematte eval --help`")
    return [
        {
            "trimap": name,
            "pictures": float(len(all_errors)),
            **{k: v for k, v in asdict(mean_errors(all_errors)).items() if v is not None},
            "kept": float(np.mean(shares[name])),
        }
        for name, all_errors in found.items()
    ]


def _image(path: Path) -> np.ndarray:
    """(H, W, 3) float32 RGB in [0, 1]."""
    import cv2

    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise InputError(f"{path}: not a readable picture")
    return np.ascontiguousarray(np.asarray(bgr)[..., ::-1], np.float32) / 255


def _grey(path: Path) -> np.ndarray:
    """(H, W) float32 in [0, 1]."""
    import cv2

    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
    if grey is None:
        raise InputError(f"{path}: not a readable picture")
    values = np.asarray(grey)
    full = {"uint8": 255, "uint16": 65535}.get(values.dtype.name, 1)
    return np.asarray(values, np.float32) / np.float32(full)
