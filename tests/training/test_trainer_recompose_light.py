"""Light, focus and trimaps of crops that are made on the device."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from mematte_plugin.training import recompose_light as light, recompose_trimaps as trimaps
from mematte_plugin.training.data.trimaps import ASTRAY
from mematte_plugin.training.recompose_camera import out_of_focus, partly_sharp, toned
from mematte_plugin.training.recompose_subjects import over

from .test_trainer_recompose import disc, generator

SIDE, COUNT = 128, 8


def scene() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Grey colours, soft discs and how deep inside or outside them pixels are, negative outside."""
    alpha = disc(SIDE).repeat(COUNT, 1, 1, 1)
    colour = torch.full((COUNT, 3, SIDE, SIDE), 120.0)
    mask = (alpha[0, 0] > 0.5).byte().numpy()
    deep = cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    away = cv2.distanceTransform(1 - mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return colour, alpha, torch.from_numpy(deep - away)


def test_screens_are_vivid_and_nearly_even() -> None:
    walls = light.screens(torch.empty(64, 3, SIDE, SIDE), generator())
    top, bottom = walls.amax(1), walls.amin(1)
    assert ((top - bottom).mean((1, 2)) / top.mean((1, 2)) > 0.4).all()
    spread = light.deviation(walls.mean(1, keepdim=True)).flatten() / walls.mean((1, 2, 3))
    assert 0 < spread.min() < spread.max() < 0.25
    green = (walls[:, 1] > walls[:, 0]) & (walls[:, 1] > walls[:, 2])
    assert 0.25 < green.float().mean() < 0.75  # what studios hang up is frequent


def test_a_screen_spills_on_edges_more_than_on_what_is_deep_inside() -> None:
    colour, alpha, deep = scene()
    wall = torch.zeros_like(colour)
    wall[:, 1] = 220
    lit = light.spilled(colour, alpha, wall, generator())
    green = lit[:, 1] - lit[:, 0]
    edge, core = green[:, (deep > 0) & (deep < 3)].mean(1), green[:, deep > 35].mean(1)
    assert (edge > 3).all()
    assert (core < 0.5 * edge).all()
    assert core.min() < 0.5


def test_light_from_one_side_makes_one_side_brighter_and_the_other_darker() -> None:
    colour, alpha, deep = scene()
    lit = light.directed(colour, alpha, generator())
    rim = (lit - colour).mean(1)[:, (deep > 0) & (deep < 4)]
    assert (rim.amax(1) > 5).all()
    assert (rim.amin(1) < -5).all()


def test_a_rim_light_only_brightens_and_only_the_outline() -> None:
    colour, alpha, deep = scene()
    change = (light.rim_lit(colour, alpha, generator()) - colour).mean(1)
    assert change.min() >= 0
    assert (change[:, (deep > 0) & (deep < 3)].amax(1) > 10).all()
    assert change[:, deep > 25].max() < 1


def test_shadows_darken_near_the_subject_only() -> None:
    ground, alpha, deep = scene()
    shaded = light.shadowed(ground, alpha, generator()) / ground
    assert shaded.max() <= 1 + 1e-6
    assert (shaded[:, :, deep > 10].mean((1, 2)) < shaded[:, :, deep < -30].mean((1, 2))).all()


def test_backgrounds_take_on_the_subjects_colours_with_their_own_texture() -> None:
    texture = torch.rand(COUNT, 3, SIDE, SIDE, generator=generator()) * 60
    subject = torch.tensor([200.0, 120.0, 60.0]).view(1, 3, 1, 1).expand(COUNT, -1, -1, -1)
    spread = torch.full_like(subject, 20.0)
    near = light.likened(texture, subject, spread, generator())
    before, after = ((x.mean((2, 3), keepdim=True) - subject).abs() for x in (texture, near))
    assert (after < before).all()
    for one, other in zip(texture[:, 0].flatten(1), near[:, 0].flatten(1), strict=True):
        assert torch.corrcoef(torch.stack([one, other]))[0, 1] > 0.99


def test_tone_curves_keep_black_white_and_the_order_between() -> None:
    ramp = torch.linspace(0, 255, 256).expand(32, 3, 4, 256)
    bent = toned(ramp, generator())
    assert torch.allclose(bent[..., 0], torch.zeros(()), atol=1e-2)
    assert torch.allclose(bent[..., -1], torch.full((), 255.0), atol=1e-2)
    assert (bent.diff(dim=-1) > -1e-3).all()
    middle = bent[:, 0, 0, 128]
    assert middle.max() - middle.min() > 10


def test_partly_sharp_subjects_keep_their_colour_and_are_blurred_in_places() -> None:
    colour, _, _ = scene()
    lines = torch.zeros(COUNT, 1, SIDE, SIDE)
    lines[..., ::8] = 1
    straight, alpha = partly_sharp(colour, lines, generator())
    assert torch.allclose(straight[alpha.expand_as(straight) > 1e-3], torch.tensor(120.0))
    on_lines = alpha[..., ::8].flatten(1)
    assert (on_lines.amin(1) < 0.5).any()
    assert (on_lines.amax(1) - on_lines.amin(1) > 0.3).any()
    assert torch.allclose(alpha.mean(), lines.mean(), rtol=0.1)


def test_out_of_focus_keeps_the_mean_and_loses_detail_more_or_less() -> None:
    picture = torch.rand(16, 3, SIDE, SIDE, generator=generator()) * 255
    soft = out_of_focus(picture, generator())
    assert torch.allclose(soft.mean((1, 2, 3)), picture.mean((1, 2, 3)), rtol=0.02)
    left = (light.deviation(soft) / light.deviation(picture)).mean((1, 2, 3))
    assert left.max() < 0.8
    assert left.min() < 0.1


def test_over_is_what_two_composites_in_turn_are() -> None:
    a, b = (torch.rand(2, 1, 8, 8, generator=generator(n)) for n in (1, 2))
    front, behind, ground = (torch.rand(2, 3, 8, 8, generator=generator(n)) for n in (3, 4, 5))
    colour, alpha = over(front, a, behind, b)
    once = colour * alpha + ground * (1 - alpha)
    twice = front * a + (behind * b + ground * (1 - b)) * (1 - a)
    assert torch.allclose(once, twice, atol=1e-5)


# ---- trimaps -------------------------------------------------------------------------------------


def hairy(count: int, side: int) -> torch.Tensor:
    """Alphas of discs with strands of which some stick out a long way."""
    alpha = np.zeros((side, side), np.float32)
    middle = (side // 2, side // 2)
    for i, angle in enumerate(np.arange(0, 2 * np.pi, 0.12)):
        reach = side * (0.45 if i % 12 == 0 else 0.24)
        end = np.array(middle) + reach * np.array([np.cos(angle), np.sin(angle)])
        cv2.line(alpha, middle, [int(v) for v in end.round()], 0.6, 1, cv2.LINE_AA)
    cv2.circle(alpha, middle, side // 5, 1.0, -1)
    return torch.from_numpy(alpha).expand(count, 1, side, side)


def test_exact_bands_are_never_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trimaps, "EXACT", 1.1)
    alpha = hairy(32, SIDE)
    trimap = trimaps.random_trimap(alpha, generator())
    assert (alpha[trimap == 1] > 0.99).all()
    assert (alpha[trimap == 0] < 0.01).all()
    assert (trimap == 0.5).any((1, 2, 3)).all()


def test_hand_made_bands_miss_a_few_strands_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trimaps, "EXACT", 0.0)
    alpha = hairy(64, SIDE)
    missed = trimaps.astray(trimaps.random_trimap(alpha, generator()), alpha)
    assert 0 < missed.max() <= ASTRAY
    assert 0.1 < (missed > 0).float().mean() < 0.9


def test_bands_are_narrow_or_wide_and_some_stretches_are_wider_still(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alpha = disc(SIDE).repeat(96, 1, 1, 1)
    mask = (alpha[0, 0] > 0.5).byte().numpy()
    away = torch.from_numpy(cv2.distanceTransform(1 - mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE))

    def reached(share: float) -> float:
        """How often bands are that wide, as a share of the side."""
        ring = (away > share * SIDE - 1) & (away <= share * SIDE + 1)
        return float((unknown[:, ring].mean(1) > 0.8).float().mean())

    for wide in (0.0, 1.0):
        monkeypatch.setattr(trimaps, "WIDE", wide)
        unknown = (trimaps.random_trimap(alpha, generator())[:, 0] == 0.5).float()
        assert reached(0.03) > 0.5
        assert 0.05 < reached(0.12) < reached(0.03) - 0.2
        assert (reached(0.2) > 0.04) == (wide > 0)
        beyond = unknown[:, away > 0.32 * SIDE].mean(1)
        assert 0 < (beyond > 0.1).float().mean() < 0.3
