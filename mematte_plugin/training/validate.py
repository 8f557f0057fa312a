"""Measuring a network in training on real photographs, at full size; needs numpy and cv2 only."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError, MEMatteError
from ..evaluation.layouts import scan
from ..evaluation.metrics import errors, mean_errors
from ..memory.exhaustion import is_out_of_memory, release
from ..memory.request import request_for
from ..network import MEMatte, Prediction

logger = logging.getLogger(__name__)

_KNOWN = 0.02  # greys this near to black and white count as known, as in the pipeline


@torch.no_grad()
def validate(network: MEMatte, folder: Path, device: torch.device) -> list[dict[str, float | str]]:
    """Mean errors per set of trimaps, each picture counting the same.

    Pictures that cannot be used are named in the log and left out; so are those for which there is
    not enough memory, however small the steps.

    Args:
        network: in eval mode, on `device`.
        folder: photographs, alphas and trimaps in a layout that evaluation/layouts.py knows.
        device: where to compute.

    Returns: per trimap folder its name as "trimap", "pictures", the errors and "kept".
    Raises InputError where not one picture can be used. Too little memory for all of them is no
    such fault: then nothing is returned.
    """
    found, shares = defaultdict(list), defaultdict(list)
    usable = False
    for item in scan(folder).items:
        assert item.trimap is not None  # `items` have one
        try:
            image, trimap, truth = _image(item.image), _grey(item.trimap), _grey(item.alpha)
            trimap = np.select([trimap < _KNOWN, trimap > 1 - _KNOWN], [0.0, 1.0], 0.5)
            if not image.shape[:2] == trimap.shape == truth.shape:
                raise InputError(f"{item.image}: photograph, trimap and alpha differ in size")
            usable = True
            # They stay on the CPU: what is cut out of them goes to the device.
            prediction = _predicted(
                network,
                torch.from_numpy(image).permute(2, 0, 1)[None],
                torch.from_numpy(trimap.astype(np.float32))[None, None],
                device,
            )
            alpha = prediction.alpha[0, 0].cpu().numpy()
            alpha = np.where(trimap == 0.5, alpha, trimap)
            found[item.trimap_name].append(errors(alpha, truth, trimap))
            kept = [keep.float().mean().item() for keep in prediction.keep]
            shares[item.trimap_name].append(float(np.mean(kept or [1.0])))
        except (MEMatteError, ValueError) as error:
            logger.warning("validation: left out: %s", error)
    if not usable:
        raise InputError(
            f"{folder}: no photograph with alpha and trimap to validate on; see"
            " `mematte eval --help`"
        )
    return [
        {
            "trimap": name,
            "pictures": float(len(all_errors)),
            **{k: v for k, v in asdict(mean_errors(all_errors)).items() if v is not None},
            "kept": float(np.mean(shares[name])),
        }
        for name, all_errors in found.items()
    ]


def _predicted(network: MEMatte, image: Tensor, trimap: Tensor, device: torch.device) -> Prediction:
    """The matte, in steps as large as the free memory allows and smaller ones where it runs out.

    Raises MEMatteError where not even the smallest steps fit without loss.
    """
    request = request_for(
        (image.shape[2], image.shape[3]),
        network,
        device,
        "float32",
        unknown=float((trimap == 0.5).float().mean()),
        depth=image.dtype.itemsize,
        present=True,
    )
    release(device)  # what the training step has freed
    plan = request.plan(None)
    while not plan.lost:
        try:
            return network.predict(image, trimap, chunking=plan.chunking, only_unknown=True)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            reason = str(error).strip().partition("\n")[0][:120]
        release(device)  # not in the except: there the error still holds what is to be freed
        plan = request.step_down(plan, reason)
    raise MEMatteError(
        f"no room for a picture of {image.shape[3]}×{image.shape[2]} pixels on {device} beside the "
        "training; validate on smaller pictures, or apart from it with `mematte eval`"
    )


def _image(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB."""
    import cv2

    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise InputError(f"{path}: not a readable picture")
    return np.ascontiguousarray(np.asarray(bgr)[..., ::-1])


def _grey(path: Path) -> np.ndarray:
    """(H, W) float32 in [0, 1]."""
    import cv2

    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
    if grey is None:
        raise InputError(f"{path}: not a readable picture")
    values = np.asarray(grey)
    full = {"uint8": 255, "uint16": 65535}.get(values.dtype.name, 1)
    return np.asarray(values, np.float32) / np.float32(full)
