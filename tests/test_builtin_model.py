"""What the built-in weights do on pictures that people bring, where a small network is tempted to
spoil its own good start."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mematte_plugin.examples
from mematte_plugin import Matte, MattingPipeline

EXAMPLES = Path(mematte_plugin.examples.__path__[0])


@pytest.fixture(scope="module")
def pipe() -> MattingPipeline:
    return MattingPipeline.from_pretrained("mematte-tiny", device="cpu")


@pytest.fixture(scope="module")
def astronaut(pipe: MattingPipeline) -> Matte:
    return pipe(EXAMPLES / "astronaut.jpg", EXAMPLES / "astronaut_trimap.png")


@pytest.mark.parametrize("saturation", [1.0, 0.5])
@pytest.mark.parametrize("hue", [(0, 1, 0), (0, 0, 1), (1, 0, 0)], ids=["green", "blue", "red"])
def test_a_saturated_screen_does_not_spoil_the_matte(
    pipe: MattingPipeline, astronaut: Matte, hue: tuple[int, int, int], saturation: float
) -> None:
    screen = 0.8 * (1 - saturation * (1 - np.array(hue, np.float32)))
    share = astronaut.alpha[..., None]
    picture = astronaut.foreground * share + screen * (1 - share)
    trimap = np.asarray(Image.open(EXAMPLES / "astronaut_trimap.png").convert("L"))
    again = pipe(np.rint(picture * 255).clip(0, 255).astype(np.uint8), trimap)
    band = (trimap > 5) & (trimap < 250)
    assert np.abs(again.alpha - astronaut.alpha)[band].mean() <= 0.06


def test_what_is_empty_or_solid_in_a_wide_band_comes_out_so(pipe: MattingPipeline) -> None:
    y, x = np.mgrid[:256, :256].astype(np.float32)
    distance = np.hypot(x - 128, y - 128)
    alpha = np.clip((70 - distance) / 20 + 0.5, 0, 1)  # soft over 20 pixels
    grain = np.random.default_rng(0).normal(0, 0.01, (256, 256, 3)).astype(np.float32)
    subject, ground = np.float32([0.85, 0.75, 0.6]), np.float32([0.15, 0.25, 0.4])
    picture = alpha[..., None] * subject + (1 - alpha[..., None]) * ground + grain
    trimap = np.where(distance < 35, 255, np.where(distance > 110, 0, 128)).astype(np.uint8)
    matte = pipe(np.rint(picture * 255).clip(0, 255).astype(np.uint8), trimap)
    grey = np.rint(matte.alpha * 255)
    band = trimap == 128
    assert (grey[band & (alpha == 0)] == 0).mean() >= 0.4
    assert (grey[band & (alpha == 1)] == 255).mean() >= 0.4
