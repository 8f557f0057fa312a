"""Colour decontamination against composites whose true foreground is known."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mematte_plugin import Matte
from mematte_plugin.errors import InputError, MEMatteError, MEMatteWarning, SettingError
from mematte_plugin.foreground import estimate as foreground, multilevel
from mematte_plugin.foreground.estimate import BLEED, estimate_foreground
from mematte_plugin.images.read import read_photo
from mematte_plugin.memory.request import plan_memory

from ..patience import PATIENCE
from ..simulated_card import DEVICE, Card


def scene(height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True foreground (H, W, 3), alpha (H, W) with ragged edges, composite on green blotches."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    true = np.stack([0.8 + 0.1 * np.sin(x / 70), 0.4 + 0.2 * np.sin(y / 90), 0.2 + 0 * x], axis=-1)
    back = np.stack([0.1 + 0 * x, 0.6 + 0.3 * np.sin(x / 40) * np.sin(y / 30), 0.1 + 0 * x], -1)
    dx, dy = (x - width / 2) / (0.36 * width), (y - height / 2) / (0.36 * height)
    distance = np.hypot(dx, dy)
    ragged = np.sin(np.arctan2(dy, dx) * 40) * np.clip(1 - 4 * np.abs(distance - 1), 0, 1)
    alpha = (0.5 + 6 * (1 - distance) + 0.8 * ragged).clip(0, 1)
    alpha[alpha < 0.01], alpha[alpha > 0.99] = 0, 1
    mixed = alpha[..., None] * true + (1 - alpha[..., None]) * back
    return true.astype(np.float32), alpha.astype(np.float32), mixed.astype(np.float32)


TRUE, ALPHA, IMAGE = scene(420, 450)
BAND = (ALPHA > 0) & (ALPHA < 1)


@pytest.fixture(scope="module")
def whole(device: str) -> np.ndarray:
    return estimate_foreground(IMAGE, ALPHA, device=device)


def test_the_old_background_is_gone_from_the_colours(whole: np.ndarray) -> None:
    before, after = (float(np.abs(colours - TRUE)[BAND].mean()) for colours in (IMAGE, whole))
    assert after < 0.25 * before
    assert (whole.dtype, whole.shape) == (np.float32, IMAGE.shape)
    assert whole.min() >= 0
    assert whole.max() <= 1


def test_known_foreground_is_untouched_and_the_background_not_handed_on(whole: np.ndarray) -> None:
    np.testing.assert_array_equal(whole[ALPHA == 1], IMAGE[ALPHA == 1])
    row = ALPHA[210] > 0
    edge = int(np.flatnonzero(row)[0])
    assert (whole[210, edge - BLEED + 1 : edge] > 0.1).any(axis=1).all()  # for scaling
    assert not whole[:60, :60].any()


def test_tiles_show_no_seams(whole: np.ndarray) -> None:
    tile = 225
    tiled = estimate_foreground(IMAGE, ALPHA, whole_pixels=1, tile=tile, overlap=64)
    weight = ALPHA[..., None]
    errors = [float(np.abs(colours - TRUE)[BAND].mean()) for colours in (whole, tiled)]
    assert errors[1] < 1.05 * errors[0]  # as right as in one piece
    assert float((np.abs(tiled - whole) * weight)[BAND].mean()) < 0.01

    # What one sees, colour times alpha, steps no more across tile borders than in one piece.
    both = BAND[:, 1:] & BAND[:, :-1]
    borders = np.zeros_like(both)
    borders[:, tile - 1 :: tile] = True
    steps = [np.abs(np.diff(colours * weight, axis=1)).max(axis=2) for colours in (whole, tiled)]
    one_piece, in_tiles = (float(step[both & borders].max()) for step in steps)
    assert in_tiles < one_piece + 0.01
    np.testing.assert_array_equal(tiled[ALPHA == 1], IMAGE[ALPHA == 1])


def test_integers_keep_their_depth_where_known() -> None:
    image = (IMAGE[::3, ::3] * 65535).round().astype(np.uint16)
    alpha = ALPHA[::3, ::3]
    found = estimate_foreground(image, alpha)
    known = np.rint(found[alpha == 1] * 65535).astype(np.uint16)
    np.testing.assert_array_equal(known, image[alpha == 1])


def test_the_trimap_overrules_alpha() -> None:
    image, alpha = IMAGE[::3, ::3], ALPHA[::3, ::3]
    trimap = np.ones_like(alpha)
    np.testing.assert_array_equal(estimate_foreground(image, alpha, trimap=trimap), image)
    assert not estimate_foreground(image, alpha, trimap=0 * trimap).any()  # nothing left to show
    half = np.where(np.arange(alpha.shape[1]) < alpha.shape[1] // 2, 0, alpha).astype(np.float32)
    trimap = np.where(half == alpha, np.float32(0.5), np.float32(0))
    np.testing.assert_array_equal(
        estimate_foreground(image, alpha, trimap=trimap), estimate_foreground(image, half)
    )


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1), (33, 2)])
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_smallest_and_uniform_pictures(size: tuple[int, int], value: float) -> None:
    image = np.full((*size, 3), 0.25, np.float32)
    found = estimate_foreground(image, np.full(size, value, np.float32))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, 0.25 if value else 0, atol=1e-3)


def test_shapes_must_agree() -> None:
    with pytest.raises(InputError, match="do not agree"):
        estimate_foreground(IMAGE, ALPHA[:-1])
    with pytest.raises(InputError, match="trimap"):
        estimate_foreground(IMAGE, ALPHA, trimap=ALPHA[:-1])


def test_importing_it_loads_no_compiler() -> None:
    script = "import sys, mematte_plugin.matte; print('numba' in sys.modules, 'cv2' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.slow
def test_it_agrees_with_the_authors_program() -> None:
    pymatting = pytest.importorskip("pymatting")
    for part in (np.s_[:], np.s_[:, 40::3]):
        image, alpha = np.ascontiguousarray(IMAGE[part]), np.ascontiguousarray(ALPHA[part])
        theirs = pymatting.estimate_foreground_ml(image, alpha)
        band = (alpha > 0) & (alpha < 1)
        assert np.abs(estimate_foreground(image, alpha) - theirs)[band].mean() < 0.5 / 255


def test_light_beyond_white_is_kept_and_nothing_else_changes() -> None:
    image, alpha = IMAGE[::2, ::2], ALPHA[::2, ::2]
    band = (alpha > 0) & (alpha < 1)
    bright = estimate_foreground(image * 8, alpha)
    assert bright[band].max() > 6
    np.testing.assert_allclose(bright, estimate_foreground(image, alpha) * 8, atol=0.1)
    np.testing.assert_array_equal(bright[alpha == 1], (image * 8)[alpha == 1])
    below = estimate_foreground(image - 0.5, alpha)
    assert -0.5 <= below[band].min() < -0.1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float64])
def test_every_depth_gives_the_same_colours(dtype: type[np.generic]) -> None:
    alpha, whole = ALPHA[::3, ::3], 1 if dtype().dtype.kind == "f" else np.iinfo(dtype).max
    image = (IMAGE[::3, ::3] * whole).astype(dtype)
    image.flags.writeable = False
    found = estimate_foreground(image, alpha)
    np.testing.assert_allclose(found, estimate_foreground(IMAGE[::3, ::3], alpha), atol=0.02)


def test_where_nothing_is_opaque_the_colours_still_are_the_subjects() -> None:
    y = np.linspace(-1, 1, 120, dtype=np.float32)
    alpha = 0.8 * np.exp(-8 * (y[:, None] ** 2 + y**2))  # smoke: no colour of it is known
    smoke, sky = np.float32([0.9, 0.85, 0.8]), np.float32([0.1, 0.3, 0.6])
    image = alpha[..., None] * smoke + (1 - alpha[..., None]) * sky
    found = estimate_foreground(image, alpha)
    core = alpha > 0.5
    assert np.abs(found - smoke)[core].mean() < 0.5 * np.abs(image - smoke)[core].mean()


def test_repeated_calls_neither_leak_nor_change_torchs_threads() -> None:
    code = (
        "import numpy as np, psutil, torch\n"
        "from mematte_plugin.foreground.estimate import estimate_foreground\n"
        "torch.set_num_threads(1)\n"
        "image, alpha = np.random.rand(60, 80, 3), np.linspace(0, 1, 4800).reshape(60, 80)\n"
        "for _ in range(5): estimate_foreground(image, alpha)\n"
        "before = psutil.Process().memory_info().rss\n"
        "for _ in range(20): estimate_foreground(image, alpha)\n"
        "grown = psutil.Process().memory_info().rss - before\n"
        "assert grown < 3e6, grown\n"
        "assert torch.get_num_threads() == 1, torch.get_num_threads()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
def test_an_interrupt_during_the_estimation_is_an_interrupt() -> None:
    code = (
        "import os, signal, threading\n"
        "import numpy as np\n"
        "from mematte_plugin.foreground.estimate import estimate_foreground\n"
        "image, alpha = np.random.rand(1200, 1200, 3), np.full((1200, 1200), 0.5)\n"
        "estimate_foreground(image[:9, :9], alpha[:9, :9])\n"
        "threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "try:\n"
        "    while True: estimate_foreground(image, alpha)\n"
        "except KeyboardInterrupt:\n"
        "    print('stopped')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "stopped\n", "")


# ---- progress and interrupts ---------------------------------------------------------------------


class Stop(Exception):
    """As a front end raises it from its callback."""


def test_progress_counts_the_tiles_that_are_computed() -> None:
    reports: list[tuple[int, int, str]] = []
    estimate_foreground(
        IMAGE,
        ALPHA,
        whole_pixels=1,
        tile=150,
        overlap=24,
        progress=lambda *one: reports.append(one),
    )
    totals, stages = {total for _, total, _ in reports}, {stage for *_, stage in reports}
    assert stages == {"foreground"}
    (total,) = totals - {1}  # 0 of 1 until they are counted
    assert 4 < total <= 9
    done = [one for one, *_ in reports]
    assert sorted(set(done)) == list(range(total + 1))
    assert done == sorted(done)


def test_an_interrupt_between_tiles_and_within_one_leaves_the_next_call_right(
    whole: np.ndarray,
) -> None:
    for options in ({"whole_pixels": 1, "tile": 75, "overlap": 24}, {}):
        for fatal in (0, 1, 2):
            calls = 0

            def stop(*_: object, fatal: int = fatal) -> None:
                nonlocal calls
                calls += 1
                if calls > fatal:
                    raise Stop

            with pytest.raises(Stop):
                estimate_foreground(IMAGE, ALPHA, progress=stop, **options)
            assert calls == fatal + 1
    np.testing.assert_array_equal(estimate_foreground(IMAGE, ALPHA), whole)


# ---- little memory -------------------------------------------------------------------------------


class _Short:
    """The estimate, with memory for so many pixels and no more."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, pixels: int) -> None:
        real = multilevel.foreground_colours
        self.sizes: list[int] = []

        def estimate(
            image: torch.Tensor, alpha: torch.Tensor, tick: Callable[[], None]
        ) -> torch.Tensor:
            self.sizes.append(alpha.numel())
            if alpha.numel() > pixels:
                raise MemoryError(f"Unable to allocate for {alpha.shape}")
            return real(image, alpha, tick)

        monkeypatch.setattr(multilevel, "foreground_colours", estimate)


def test_short_of_memory_the_tiles_become_smaller(
    whole: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = _Short(monkeypatch, 260 * 260)
    colours = estimate_foreground(IMAGE, ALPHA, overlap=32)
    assert short.sizes[0] > 260 * 260 >= short.sizes[-1]
    errors = [float(np.abs(one - TRUE)[BAND].mean()) for one in (whole, colours)]
    assert errors[1] < 1.1 * errors[0]
    np.testing.assert_array_equal(colours[ALPHA == 1], IMAGE[ALPHA == 1])


def test_with_no_memory_at_all_there_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    short = _Short(monkeypatch, 0)
    with pytest.raises(MEMatteError, match=r"450×420: out of memory.*close other programs"):
        estimate_foreground(IMAGE, ALPHA)
    assert 2 < len(short.sizes) < 10


def test_tiles_fit_the_room_that_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    short = _Short(monkeypatch, 10**9)
    image, alpha = IMAGE[::2, ::2], ALPHA[::2, ::2]
    for room, most in [(10**10, alpha.size), (4_000_000, 39_000), (0, 160 * 160)]:
        short.sizes.clear()
        estimate_foreground(image, alpha, overlap=32, room=room)
        assert max(short.sizes) <= most
    assert max(short.sizes) > 120 * 120  # and not smaller than makes sense


def test_a_matte_keeps_its_foreground_within_its_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    short = _Short(monkeypatch, 10**9)
    photo = read_photo((IMAGE * 255).astype(np.uint8))
    plan = replace(plan_memory(ALPHA.shape, "tiny", "1GB", "cpu"), budget=17_500_000)
    for chosen, tiled in ((None, False), (plan, True)):
        short.sizes.clear()
        matte = Matte(alpha=ALPHA, photo=photo, trimap=ALPHA, plan=chosen)
        assert matte.foreground.shape == IMAGE.shape
        assert (max(short.sizes) < ALPHA.size) == tiled


def test_without_memory_for_the_colours_the_alpha_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _Short(monkeypatch, 0)
    image, alpha = (IMAGE[::3, ::3] * 255).astype(np.uint8), ALPHA[::3, ::3]
    matte = Matte(alpha=alpha, photo=read_photo(image), trimap=alpha)
    with pytest.warns(MEMatteWarning, match="tint stays in the colours: .*out of memory"):
        matte.save(tmp_path / "cutout.png")
    saved = np.asarray(Image.open(tmp_path / "cutout.png"))
    np.testing.assert_array_equal(saved[..., 3], np.rint(alpha * 255))
    np.testing.assert_array_equal(saved[alpha > 0][:, :3], image[alpha > 0])
    assert not saved[alpha == 0].any()


def test_a_device_that_fails_is_replaced_by_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    # "meta" is a device on every machine, and none that can compute.
    monkeypatch.setattr(foreground, "resolve_device", torch.device)
    image, alpha = IMAGE[::3, ::3], ALPHA[::3, ::3]
    found = estimate_foreground(image, alpha, device="meta")
    np.testing.assert_array_equal(found, estimate_foreground(image, alpha))


def test_on_a_card_the_colours_are_those_of_the_cpu(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    image, alpha = IMAGE[::4, ::4], ALPHA[::4, ::4]
    tiles = {"whole_pixels": 0, "tile": 64, "overlap": 16}
    expected = estimate_foreground(image, alpha, **tiles)
    computed = []
    estimated = foreground._estimated
    monkeypatch.setattr(
        foreground, "_estimated", lambda *given: computed.append(given[2]) or estimated(*given)
    )
    with Card() as card:
        found = estimate_foreground(image, alpha, device=DEVICE, **tiles)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert set(computed) == {"meta"}
    assert not caplog.records  # nor had the CPU to help
    # A tile's colours come down once; before, its range and whether there are sure colours.
    assert card.waits["cpu"] == len(computed)
    assert card.waits.total() <= 5 * len(computed) + 1  # and one to try the device


def test_a_default_device_of_the_host_program_is_not_used() -> None:
    image, alpha = IMAGE[::3, ::3], ALPHA[::3, ::3]
    expected = estimate_foreground(image, alpha)
    with torch.device("meta"):
        np.testing.assert_array_equal(estimate_foreground(image, alpha), expected)


def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(SettingError, match="'abacus' is not available here"):
        estimate_foreground(IMAGE, ALPHA, device="abacus")


def test_a_matte_from_another_machine_gets_its_colours_here() -> None:
    alpha = ALPHA[::3, ::3]
    photo = read_photo((IMAGE[::3, ::3] * 255).astype(np.uint8))
    plan = replace(plan_memory(alpha.shape, "tiny", "1GB", "cpu"), device="cuda:77")
    there = Matte(alpha=alpha, photo=photo, trimap=alpha, plan=plan).foreground
    here = Matte(alpha=alpha, photo=photo, trimap=alpha).foreground
    np.testing.assert_array_equal(there, here)
