"""What the core itself computes, without ComfyUI: ``python reference.py CASES.pt RESULTS.pt``.

Run by ComfyUI's interpreter, so that the same libraries count to the last bit.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np
import torch

from mematte_plugin import MattingPipeline, Photo, cut
from mematte_plugin.trimap.trimap import from_mask


def answer(pipe: MattingPipeline, case: dict[str, Any]) -> dict[str, torch.Tensor]:
    """case: image (H, W, 3), and trimap or mask (H, W), float32 in [0, 1]."""
    image = np.ascontiguousarray(case["image"].numpy())
    if "trimap" in case:
        trimap = case["trimap"].numpy()
        matte = pipe(Photo(image), trimap)
    else:
        trimap = from_mask(case["mask"].numpy())
        matte = cut(Photo(image), mask=case["mask"].numpy(), device="cpu")
    return {
        "alpha": torch.from_numpy(matte.alpha),
        "foreground": torch.from_numpy(matte.foreground),
        "trimap": torch.from_numpy(matte.trimap),
        "white": torch.from_numpy(matte.composite_array("white")),
    }


def main(source: str, target: str) -> None:
    pipe = MattingPipeline.from_pretrained("mematte-tiny", device="cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save([answer(pipe, case) for case in torch.load(source)], target)


if __name__ == "__main__":
    main(*sys.argv[1:])
