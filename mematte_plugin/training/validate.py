"""Measures a network on real photos, at full size, while it trains."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError, MEMatteError, first_line
from ..evaluation.layouts import scan
from ..evaluation.metrics import errors, mean_errors
from ..memory.exhaustion import is_out_of_memory, release
from ..memory.request import request_for
from ..network import MEMatte, Prediction
from .data.photos import UnusableError, eight_bit, read_alpha, read_picture

logger = logging.getLogger(__name__)

_KNOWN = 0.02  # greys this close to black and white count as known, as in the pipeline


@torch.no_grad()
def validate(network: MEMatte, folder: Path, device: torch.device) -> list[dict[str, float | str]]:
    """Mean errors per set of trimaps; each photo counts the same.

    Photos that cannot be used, or do not fit into memory, are logged and left out.

    Args:
        network: in eval mode, on `device`.
        folder: photos, alphas and trimaps in a layout that evaluation/layouts.py knows.
        device: where to compute.

    Returns: per trimap folder its name as "trimap", "pictures", the errors and "kept"; nothing if
    no photo fits into memory. Raises InputError if no photo can be used.
    """
    found, shares = defaultdict(list), defaultdict(list)
    usable = False
    for item in scan(folder).items:
        assert item.trimap is not None  # `items` have one
        try:
            image = eight_bit(read_picture(item.image)[0])
            trimap, truth = read_alpha(item.trimap), read_alpha(item.alpha)
            trimap = np.select([trimap < _KNOWN, trimap > 1 - _KNOWN], [0.0, 1.0], 0.5)
            if not image.shape[:2] == trimap.shape == truth.shape:
                raise UnusableError("photo, trimap and alpha differ in size")
            usable = True
            # They stay on the CPU: only crops of them go to the device.
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
        except (MEMatteError, UnusableError, ValueError) as error:
            logger.warning("validation: %s left out: %s", item.image, error)
    if not usable:
        raise InputError(
            f"{folder}: no photo with alpha and trimap to validate on; see `mematte eval --help`"
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
    """The matte, in steps as large as the free memory allows, and smaller ones if it runs out.

    Raises MEMatteError if not even the smallest steps fit without loss of quality.
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
            reason = first_line(error)[:120]
        release(device)  # not in the except, where the error still holds the memory
        plan = request.step_down(plan, reason)
    raise MEMatteError(
        f"no memory for a photo of {image.shape[3]}×{image.shape[2]} pixels on {device} during "
        "training; validate on smaller photos, or afterwards with `mematte eval`"
    )
