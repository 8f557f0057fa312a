"""What any learned matte must beat."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def distance_ratio(trimap: NDArray[Any]) -> NDArray[np.float32]:
    """Alpha from the distances to the known regions alone: d_bg / (d_fg + d_bg).

    Args:
        trimap: (H, W) float; 0 background, 1 foreground, anything between unknown.

    Returns: (H, W) float32 in [0, 1]; 0.5 everywhere unknown where a region is missing.
    """
    import cv2

    distances = []
    for known in (trimap >= 1, trimap <= 0):
        if not known.any():
            return np.where((trimap > 0) & (trimap < 1), 0.5, trimap).astype(np.float32)
        distances.append(cv2.distanceTransform((~known).astype(np.uint8), cv2.DIST_L2, 5))
    to_foreground, to_background = distances
    ratio = to_background / (to_foreground + to_background)
    return np.asarray(ratio, np.float32)
