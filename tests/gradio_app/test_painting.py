"""Painted colours become what was meant, and paintings of other pictures are refused."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gradio")

from gradio_app.inputs import Guide, trimap_of
from gradio_app.painting import BRUSHES, OPACITY, Brush, labels_of, read_painting
from gradio_app.settings import Settings
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
    labels = read_painting([lower, upper], SIZE)
    assert (labels[:20] == Stroke.FOREGROUND).all()
    assert (labels[20:] == Stroke.BACKGROUND).all()


SUBJECT = (Stroke.FOREGROUND, slice(10, 50), slice(20, 60))
UNSURE = (Stroke.UNKNOWN, slice(0, 5), slice(0, 10))
BACKGROUND = (Stroke.BACKGROUND, slice(0, 5), slice(None))


@pytest.mark.parametrize(
    ("strokes", "values"),
    [
        ((SUBJECT, UNSURE), {(30, 40): 255, (10, 40): 128, (2, 2): 128, (0, 79): 0}),
        ((SUBJECT, BACKGROUND), {(30, 40): 255, (10, 40): 255, (2, 2): 0, (55, 5): 128}),
    ],
    ids=["a subject gets a band", "with background the rest is unknown"],
)
def test_a_painting_is_a_guide(
    strokes: tuple[tuple[Stroke, slice, slice], ...], values: dict[tuple[int, int], int]
) -> None:
    guide = Guide("painting", labels_of(layer(*strokes)), 5, 10)
    trimap = trimap_of(guide, SIZE, Settings())
    assert {place: trimap[place] for place in values} == values


@pytest.mark.parametrize("strokes", [(), (BACKGROUND,)])
def test_without_a_subject_there_is_nothing_to_cut(
    strokes: tuple[tuple[Stroke, slice, slice], ...],
) -> None:
    with pytest.raises(InputError, match=r"painting: .* painted; paint over the subject"):
        trimap_of(Guide("painting", labels_of(layer(*strokes))), SIZE, Settings())


def test_a_painting_of_another_size_is_refused(tmp_path: Path) -> None:
    other = saved(layer(size=(30, 30)), tmp_path / "layer.png")
    with pytest.raises(InputError, match=r"painting: is 30×30, but the photo on the page is 80×60"):
        read_painting([other], SIZE)


@pytest.mark.parametrize("content", [b"<svg/>", b"", b"\x89PNG\r\n\x1a\nbroken"])
def test_what_is_no_painting_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "layer.png"
    path.write_bytes(content)
    with pytest.raises(InputError, match="painting: cannot be read"):
        read_painting([path], SIZE)
