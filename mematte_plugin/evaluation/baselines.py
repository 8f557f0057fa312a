"""Classical methods, which any learned matte must beat."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import InputError, SettingError
from ..network.flow import FlowAlpha, first_alpha
from ..network.guidance import strips_of
from ..progress import in_thread

PIP = 'pip install "mematte-plugin[bench]"'


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


def closed_form(image: NDArray[Any], trimap: NDArray[Any]) -> NDArray[np.float32]:
    """Closed-form matting (Levin, Lischinski, Weiss 2008), by pymatting.

    Args:
        image: (H, W, 3) float in [0, 1].
        trimap: (H, W) float; 0 background, 1 foreground, anything between unknown.

    Returns: (H, W) float32 in [0, 1].

    Raises InputError where foreground or background is missing, or the solver does not converge;
    SettingError like `load_pymatting`.
    """
    return _pymatting("estimate_alpha_cf", image, trimap)


def knn(image: NDArray[Any], trimap: NDArray[Any]) -> NDArray[np.float32]:
    """KNN matting (Chen, Li, Tang 2013), by pymatting; otherwise as `closed_form`."""
    return _pymatting("estimate_alpha_knn", image, trimap)


def flow(image: NDArray[Any], trimap: NDArray[Any]) -> NDArray[np.float32]:
    """Information-flow matting, which the built-in model starts from; see network/flow.py.

    Arguments and result as for `closed_form`, but 0.5 everywhere unknown where a region is missing.
    """
    rgb = torch.from_numpy(image).float().permute(2, 0, 1)[None]
    known = torch.from_numpy(trimap).float()[None, None]
    alphas = FlowAlpha(strips_of(rgb, known), (trimap.shape[0], trimap.shape[1])).crop(rgb, 0, 0)
    alpha = torch.where((known > 0) & (known < 1), first_alpha(alphas), known)
    return alpha[0, 0].numpy()


def load_pymatting() -> None:
    """Import what `closed_form` and `knn` need; the very first time it compiles for a minute.

    Raises SettingError where pymatting is missing or cannot be imported.
    """
    if find_spec("pymatting") is None:
        raise SettingError(f"closed-form and knn matting need the package pymatting: {PIP}")
    in_thread(lambda: _estimator("estimate_alpha_cf")).result()


@lru_cache
def _estimator(name: str) -> Callable[..., NDArray[Any]]:
    try:
        import pymatting
    except Exception as error:  # numba raises several kinds for a numpy that it refuses
        raise SettingError(
            f"pymatting cannot be loaded ({error}); install matching versions: {PIP}"
        ) from error
    estimator: Callable[..., NDArray[Any]] = getattr(pymatting, name)
    return estimator


def _pymatting(name: str, image: NDArray[Any], trimap: NDArray[Any]) -> NDArray[np.float32]:
    for what, known in (("foreground", trimap >= 1), ("background", trimap <= 0)):
        if not known.any():
            raise InputError(f"the trimap has no {what}, which classical methods need")

    load_pymatting()

    def solve() -> NDArray[Any]:
        # It prints when it retries with another preconditioner, and stdout carries results.
        with contextlib.redirect_stdout(io.StringIO()):
            return _estimator(name)(image.astype(np.float64), trimap.astype(np.float64))

    try:
        # Not in the caller's thread: an interrupt inside numba's compiled code crashes the process,
        # and its OpenMP changes the thread count, torch's too, of the thread that starts it.
        return in_thread(solve).result().astype(np.float32)
    except ValueError as error:  # what pymatting raises when its solver gives up
        raise InputError(f"pymatting found no solution ({error})") from error
