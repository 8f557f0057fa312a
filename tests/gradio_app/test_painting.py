"""Painted colours become what was meant, and paintings of other pictures are refused."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gradio")

from gradio_app.engine import Settings, trimap_of
from gradio_app.painting import (
    BRUSHES,
    OPACITY,
    Brush,
    draw,
    guide_of,
    labels_of,
    read_layers,
)
from mematte_plugin import InputError, Stroke

SIZE = (60, 80)


def layer(*strokes: tuple[Stroke, slice, slice], size: tuple[int, int] = SIZE) -> np.ndarray:
    """(h, w, 4): rectangles in the brushes' colours."""
    pixels = np.zeros((*size, 4), np.uint8)
    colours = {brush.stroke: brush.colour for brush in BRUSHES}
    for stroke, rows, columns in strokes:
        pixels[rows, columns] = (*colours[stroke], round(OPACITY * 255))
    return pixels


def saved(pixels: np.ndarray, path: Path) -> Path:
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize("brush", BRUSHES, ids=lambda brush: brush.stroke.name)
@pytest.mark.parametrize("off", [-2, 0, 2])
def test_a_canvas_gives_colours_back_slightly_off(brush: Brush, off: int) -> None:
    colour = np.clip(np.array(brush.colour) + off, 0, 255)
    pixels = np.full((2, 2, 4), [*colour, 153], np.uint8)
    assert (labels_of(pixels) == brush.stroke).all()


@pytest.mark.parametrize("order", list(itertools.permutations(BRUSHES)))
def test_the_stroke_on_top_counts(order: tuple[Brush, ...]) -> None:
    colour, covered = np.zeros(3), 0.0
    for brush in order:  # as a canvas lays one translucent colour over another
        total = OPACITY + covered * (1 - OPACITY)
        colour = (OPACITY * np.array(brush.colour) + covered * (1 - OPACITY) * colour) / total
        covered = total
        pixels = np.array([[[*np.rint(colour), round(covered * 255)]]], np.uint8)
        assert labels_of(pixels) == brush.stroke


def test_what_is_erased_or_hardly_there_is_unpainted() -> None:
    pixels = layer((Stroke.FOREGROUND, slice(0, 30), slice(None)))
    pixels[:10, :, 3] = 0
    pixels[10:20, :, 3] = 9
    labels = labels_of(pixels)
    assert (labels[:20] == Stroke.UNPAINTED).all()
    assert (labels[20:30] == Stroke.FOREGROUND).all()


def test_upper_layers_cover_lower_ones(tmp_path: Path) -> None:
    lower = saved(layer((Stroke.FOREGROUND, slice(0, 40), slice(None))), tmp_path / "1.png")
    upper = saved(layer((Stroke.BACKGROUND, slice(20, 60), slice(None))), tmp_path / "2.png")
    labels = read_layers([lower, upper], SIZE)
    assert (labels[:20] == Stroke.FOREGROUND).all()
    assert (labels[20:] == Stroke.BACKGROUND).all()


def test_only_the_subject_is_a_mask_with_a_band() -> None:
    subject = (Stroke.FOREGROUND, slice(10, 50), slice(20, 60))
    guide = guide_of(labels_of(layer(subject)), 5, 10)
    trimap = trimap_of(guide, SIZE, Settings())
    assert trimap[30, 40] == 255
    assert trimap[0, 0] == 0
    assert trimap[10, 40] == 128


def test_what_is_painted_as_unsure_stays_unknown_around_a_mask() -> None:
    subject = (Stroke.FOREGROUND, slice(10, 50), slice(20, 60))
    unsure = (Stroke.UNKNOWN, slice(0, 5), slice(0, 10))
    trimap = trimap_of(guide_of(labels_of(layer(subject, unsure)), 2, 4), SIZE, Settings())
    assert (trimap[:5, :10] == 128).all()
    assert trimap[0, 79] == 0
    assert trimap[30, 40] == 255


def test_with_background_the_rest_is_unknown() -> None:
    strokes = (
        (Stroke.FOREGROUND, slice(20, 40), slice(30, 50)),
        (Stroke.BACKGROUND, slice(0, 5), slice(None)),
    )
    trimap = trimap_of(guide_of(labels_of(layer(*strokes)), 2, 4), (120, 160), Settings())
    assert trimap[60, 80] == 255
    assert trimap[0, 0] == 0
    assert trimap[110, 10] == 128


@pytest.mark.parametrize(
    ("strokes", "message"),
    [
        ((), "nothing is painted"),
        (((Stroke.BACKGROUND, slice(0, 9), slice(None)),), "only other colours are painted"),
    ],
)
def test_without_a_subject_there_is_nothing_to_cut(
    strokes: tuple[tuple[Stroke, slice, slice], ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        guide_of(labels_of(layer(*strokes)), 2, 4)


def test_a_painting_of_another_size_is_refused(tmp_path: Path) -> None:
    other = saved(layer(size=(30, 30)), tmp_path / "layer.png")
    with pytest.raises(InputError, match=r"painting: is 30×30, but .* is 80×60"):
        read_layers([other], SIZE)


@pytest.mark.parametrize("content", [b"<svg/>", b"", b"\x89PNG\r\n\x1a\nbroken"])
def test_what_is_no_painting_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "layer.png"
    path.write_bytes(content)
    with pytest.raises(InputError, match="painting: cannot be read"):
        read_layers([path], SIZE)


def test_strokes_let_the_photo_show() -> None:
    grey = np.full((*SIZE, 3), 100, np.uint8)
    drawn = draw(grey, layer((Stroke.FOREGROUND, slice(0, 30), slice(None))))
    assert (drawn[30:] == 100).all()
    blue = np.array(BRUSHES[0].colour)
    assert np.abs(drawn[0, 0] - (OPACITY * blue + (1 - OPACITY) * 100)).max() <= 1
