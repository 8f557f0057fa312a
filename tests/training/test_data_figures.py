"""Subjects in 3D: bodies, strands, drawing."""

from __future__ import annotations

import numpy as np
import pytest

from mematte_plugin.training.data.figures.drawing import draw_subject
from mematte_plugin.training.data.figures.forms import (
    Solid,
    Strands,
    Subject,
    ball,
    surface_points,
    turned,
)
from mematte_plugin.training.data.figures.growth import Style, grow, outside
from mematte_plugin.training.data.figures.subjects import SUBJECTS, WEIGHTS, draw, kind_of
from mematte_plugin.training.data.foregrounds import generate_figure
from mematte_plugin.training.data.textures import PhotoPool


def test_surface_points_lie_outside_on_the_union() -> None:
    parts = (ball((0, 0, 0), (1, 2, 0.5)), ball((0.8, 0, 0), (1, 1, 1), turned(y=30)))
    points, normals, owner = surface_points(np.random.default_rng(0), parts, 2000)
    assert len(points) > 800
    for number, part in enumerate(parts):
        distance = np.linalg.norm(part.local(points), axis=1)
        np.testing.assert_allclose(distance[owner == number], 1, atol=1e-9)
        assert (distance[owner != number] > 1).all()
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)
    # A step along the normal leads away from the body.
    assert (np.linalg.norm(parts[0].local(points + 0.01 * normals), axis=1) > 1).all()


def test_hair_falls_and_stays_outside_the_head() -> None:
    rng = np.random.default_rng(1)
    head = (ball((0, 0, 0), (1, 1, 1)),)
    roots, normals, _ = surface_points(rng, head, 400)
    style = Style(length=3.0, gravity=2.0, locks=50, stray=0.0)
    paths = grow(rng, roots, normals, style, bodies=head)
    np.testing.assert_allclose(paths[:, 0], roots, atol=0.02)
    assert paths[:, -1, 2].mean() < paths[:, 0, 2].mean() - 1  # downward
    assert np.linalg.norm(paths, axis=2).min() > 0.999
    length = np.linalg.norm(np.diff(paths, axis=1), axis=2).sum(1)
    assert 1.5 < length.mean() < 4.5


def test_points_inside_are_pushed_to_the_surface() -> None:
    body = ball((1, 0, 0), (2, 1, 1))
    pushed = outside(np.array([[[1.5, 0.0, 0.0], [9.0, 0.0, 0.0]]]), (body,), 1.0)
    np.testing.assert_allclose(pushed, [[[3.0, 0, 0], [9.0, 0, 0]]], atol=1e-9)


@pytest.mark.parametrize("name", [name for name in SUBJECTS if name != "hat"])  # a person
def test_subjects_are_whole_and_repeatable(name: str) -> None:
    subject = SUBJECTS[name](np.random.default_rng(5))
    again = SUBJECTS[name](np.random.default_rng(5))
    assert subject.strands
    for strands, same in zip(subject.strands, again.strands, strict=True):
        count, steps, _ = strands.points.shape
        assert strands.radius.shape == (count, steps)
        assert strands.colours.shape == (count, 3)
        assert np.isfinite(strands.points).all()
        assert (strands.radius > 0).all()
        assert 0 <= strands.colours.min() <= strands.colours.max() <= 1
        np.testing.assert_array_equal(strands.points, same.points)


def test_weights_name_every_subject() -> None:
    assert set(WEIGHTS) == set(SUBJECTS)
    assert sum(WEIGHTS.values()) == pytest.approx(1)
    assert draw(np.random.default_rng(4))[0] == kind_of(np.random.default_rng(4))


def test_a_drawn_ball_has_the_size_the_camera_gives_it() -> None:
    thread = Strands(np.array([[[0, 0, 0], [0, 0, 0.1]]]), np.full((1, 2), 0.001), np.ones((1, 3)))
    solid = Solid((ball((0, 0, 0), (1, 1, 1)),), np.array([0.5, 0.3, 0.2]))
    subject = Subject((solid,), (thread,), lift=0.0, reach=2.0)
    found = []
    for seed in range(3):
        foreground = draw_subject(np.random.default_rng(seed), subject, 96, PhotoPool([]))
        found.append(np.sqrt((foreground.alpha / 255).sum() / np.pi))
        assert foreground.alpha[48, 48] == 255
        assert foreground.alpha[0, 0] == 0
    # `reach` is half the picture at the middle: 24 px a unit; the limb is seen a little larger.
    assert all(24 < radius < 26.5 for radius in found)


def test_figures_are_cutouts_with_soft_edges() -> None:
    pool = PhotoPool([])
    foreground = generate_figure(np.random.default_rng(4), 128, pool)
    soft = (foreground.alpha > 10) & (foreground.alpha < 245)
    assert soft.mean() > 0.003
    again = generate_figure(np.random.default_rng(4), 128, pool)
    np.testing.assert_array_equal(again.alpha, foreground.alpha)
    np.testing.assert_array_equal(again.colour, foreground.colour)
