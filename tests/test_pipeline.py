"""The pipeline as programs use it, on small networks and real arrays."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mematte_plugin import (
    InputError,
    Matte,
    MattingPipeline,
    MEMatteError,
    MEMatteWarning,
    Photo,
    SettingError,
    collect_notes,
    cut,
    engine,
    plan_memory,
)
from mematte_plugin.weights.save import save_network
from tests.networks import random_input, random_network
from tests.parity import tolerance

HEIGHT, WIDTH = 70, 101


@pytest.fixture(scope="module")
def pipe(device: str) -> MattingPipeline:
    return MattingPipeline(random_network(), device=device, dtype="float32")


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    image, trimap = random_input(HEIGHT, WIDTH, seed=4)
    pixels = (image[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    return pixels, (trimap[0, 0].numpy() * 255).astype(np.uint8)


def test_every_kind_of_input_gives_the_same_matte(
    pipe: MattingPipeline, pair: tuple[np.ndarray, np.ndarray], tmp_path: Path, device: str
) -> None:
    image, trimap = pair
    Image.fromarray(image).save(tmp_path / "photo.png")
    Image.fromarray(trimap).save(tmp_path / "trimap.png")
    expected = pipe(image, trimap).alpha
    assert expected.shape == (HEIGHT, WIDTH)
    assert expected.dtype == np.float32
    known = trimap != 127
    assert np.array_equal(expected[known], (trimap[known] == 255).astype(np.float32))
    assert expected[~known].std() > 0

    unit = torch.from_numpy(image).float() / 255
    three = torch.from_numpy(trimap).float() / 255
    for photo, guide in [
        (tmp_path / "photo.png", str(tmp_path / "trimap.png")),
        (Image.fromarray(image), Image.fromarray(trimap)),
        ((image.astype(np.uint16) * 257), trimap.astype(np.uint16) * 257),
        (image / 255, trimap / 255),
        (unit, three),
        (unit.permute(2, 0, 1), three),
        ((tmp_path / "photo.png").read_bytes(), trimap),
    ]:
        assert np.abs(pipe(photo, guide).alpha - expected).max() < tolerance(device)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_tensors_are_taken_as_they_are(
    pipe: MattingPipeline, pair: tuple[np.ndarray, np.ndarray], dtype: torch.dtype
) -> None:
    images = (torch.from_numpy(pair[0]).float() / 255).to(dtype)[None].repeat(2, 1, 1, 1)
    trimap = (torch.from_numpy(pair[1]).float() / 255).to(dtype)[None]
    first, second = pipe(images, trimap)
    expected = pipe(images[0].float(), trimap[0].float())
    for matte in (first, second):
        np.testing.assert_array_equal(matte.alpha, expected.alpha)
        assert matte.photo.pixels.dtype == np.float32


def test_arrays_that_torch_cannot_use_are_copied(
    pipe: MattingPipeline, pair: tuple[np.ndarray, np.ndarray]
) -> None:
    expected = pipe(*pair).alpha
    fixed = pair[0].copy()
    fixed.flags.writeable = False
    reversed_twice = np.ascontiguousarray(pair[0][::-1])[::-1]
    for pixels in (fixed, reversed_twice):
        assert np.array_equal(pipe(Photo(pixels), pair[1]).alpha, expected)


@pytest.mark.parametrize("unknown", [20, 100, 128, 214, 240])
def test_any_grey_means_unknown(
    pipe: MattingPipeline, pair: tuple[np.ndarray, np.ndarray], unknown: int
) -> None:
    image, trimap = pair
    other = np.where(trimap == 127, unknown, trimap).astype(np.uint8)
    other[other == 0] = 3  # JPEG's near-black and near-white
    other[other == 255] = 252
    assert np.array_equal(pipe(image, other).alpha, pipe(image, trimap).alpha)


def test_batches_give_lists_and_equal_the_single_runs(
    pipe: MattingPipeline, pair: tuple[np.ndarray, np.ndarray]
) -> None:
    image, trimap = pair
    flipped = image[::-1].copy()
    alone = [pipe(image, trimap).alpha, pipe(flipped, trimap).alpha]
    batch = torch.from_numpy(np.stack([image, flipped])).permute(0, 3, 1, 2)
    for images, trimaps in [
        ([image, flipped], trimap),
        ([image, flipped], [trimap, trimap]),
        (batch, np.stack([trimap, trimap])),
    ]:
        mattes = pipe(images, trimaps)
        assert isinstance(mattes, list)
        for matte, expected in zip(mattes, alone, strict=True):
            assert np.array_equal(matte.alpha, expected)
    with pytest.raises(InputError, match="3 trimaps"):
        pipe([image, flipped], [trimap] * 3)


def test_a_known_trimap_is_returned_without_running_the_network(
    pipe: MattingPipeline, pair: tuple[np.ndarray, np.ndarray]
) -> None:
    image, _ = pair
    trimap = np.zeros((HEIGHT, WIDTH), np.uint8)
    trimap[10:40, 20:60] = 255
    seen: list[str] = []
    with pytest.warns(MEMatteWarning, match="has no grey"):
        matte = pipe(image, trimap, progress=lambda done, total, stage: seen.append(stage))
    assert np.array_equal(matte.alpha, trimap / np.float32(255))
    assert set(seen) <= {"reading"}
    # In one line not even the model is looked for.
    with pytest.warns(MEMatteWarning, match="has no grey"):
        assert np.array_equal(cut(image, trimap, model="no-such/model").alpha, matte.alpha)


def test_an_all_unknown_trimap_works_and_warns(
    pipe: MattingPipeline, pair: tuple[np.ndarray, np.ndarray]
) -> None:
    with pytest.warns(MEMatteWarning, match="unknown"):
        matte = pipe(pair[0], np.full((HEIGHT, WIDTH), 128, np.uint8))
    assert matte.alpha.std() > 0


def test_retention_caps_tokens_and_reaches_zero(
    pipe: MattingPipeline, pair: tuple[np.ndarray, np.ndarray]
) -> None:
    image, trimap = pair
    tokens = 6 * 8  # 70 x 101 is padded to 96 x 128
    assert all(mask.shape == (6, 8) for mask in pipe(image, trimap).routing)
    for retention, most in [(0.25, tokens // 4), (20, 20), (0, 0), (1.0, tokens), (1, tokens)]:
        matte = pipe(image, trimap, retention=retention)
        assert max(mask.sum() for mask in matte.routing) <= most


def test_the_official_patches_are_planned_for(
    pipe: MattingPipeline, pair: tuple[np.ndarray, np.ndarray]
) -> None:
    # However small the photo, they have 512 pixels a side.
    plans = [pipe(*pair, decoder=name).plan for name in ("exact", "official")]
    exact, official = (plan.phases["decoder"] for plan in plans if plan is not None)
    assert official > 2 * exact
    with pytest.raises(SettingError, match="at least"):
        pipe(*pair, decoder="official", memory_budget=exact)


@pytest.mark.parametrize("retention", [-1, 2, 1.5, -0.1, float("nan"), float("inf"), "half", 17.5])
def test_impossible_retention_is_refused(
    pipe: MattingPipeline, pair: tuple[np.ndarray, np.ndarray], retention: object
) -> None:
    with pytest.raises(SettingError, match="retention"):
        pipe(*pair, retention=retention)  # type: ignore[call-overload]


def test_a_model_without_router_refuses_a_cap(pair: tuple[np.ndarray, np.ndarray]) -> None:
    dense = MattingPipeline(random_network(routed=False), device="cpu")
    with pytest.raises(SettingError, match="no router"):
        dense(*pair, retention=0.5)
    assert dense(*pair, retention=1.0).routing == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "cuda:77"}, "not available"),
        ({"device": "toaster"}, "not available"),
        ({"device": "meta"}, "not available"),
        ({"device": None}, "not available"),
        ({"dtype": "int8"}, "choose auto"),
    ],
)
def test_devices_and_precisions_that_are_not_there(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        MattingPipeline(random_network(), **options)


def test_progress_reports_both_stages_and_an_interrupt_passes_through(
    pipe: MattingPipeline, pair: tuple[np.ndarray, np.ndarray]
) -> None:
    seen: list[tuple[int, int, str]] = []
    pipe(*pair, progress=lambda *step: seen.append(step))
    assert [stage for stage, _ in groupby(stage for *_, stage in seen)] == [
        "reading", "encoder", "decoder"
    ]  # fmt: skip
    for stage in ("encoder", "decoder"):
        dones = [(done, total) for done, total, name in seen if name == stage]
        total = dones[0][1]
        assert dones == sorted(dones)  # ever onward
        assert dones[-1] == (total, total)

    def stop(done: int, total: int, stage: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pipe(*pair, progress=stop)


def test_an_interrupt_can_land_between_any_two_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a large picture is worked on for seconds without one block being done."""
    monkeypatch.setattr(engine, "REPORT_SECONDS", 0)
    pipe = MattingPipeline(random_network(guidance="nearest"), device="cpu")
    image, trimap = random_input(900, 1000)
    given = image[0], trimap[0, 0]
    told: list[tuple[int, int, str]] = []
    expected = pipe(*given, memory_budget="1GB", progress=lambda *one: told.append(one))
    steps = {step: told.count(step) for step in told}
    depth = pipe.network.config.depth
    # Guidance and embedding before the first block, and many strips in each of them.
    assert all(steps[done, depth, "encoder"] > 5 for done in range(depth))

    class Interrupted(Exception):
        pass

    for last in range(0, len(told), len(told) // 4):
        left = last

        def stop(*_: object) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Interrupted

        with pytest.raises(Interrupted):
            pipe(*given, memory_budget="1GB", progress=stop)
        assert left == -1
    np.testing.assert_array_equal(pipe(*given, memory_budget="1GB").alpha, expected.alpha)


def test_unchanged_progress_is_told_only_now_and_then(pair: tuple[np.ndarray, np.ndarray]) -> None:
    plan = plan_memory((HEIGHT, WIDTH), "tiny", "1GB", "cpu")
    told: list[tuple[int, int, str]] = []
    report = engine.Reporter(lambda *one: told.append(one), plan)
    for done in (0, 1):
        for _ in range(1000):
            report(done, 2, "encoder")
    assert len(told) < 20  # a slow machine may tell a few more than two
    assert [*dict.fromkeys(told)] == [(0, 2, "encoder"), (1, 2, "encoder")]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_network_that_is_in_place_is_not_touched(
    pair: tuple[np.ndarray, np.ndarray], dtype: str
) -> None:
    """Its weights may belong to somebody who moves them on his own."""
    network = random_network().cast(getattr(torch, dtype))

    def weights() -> list[tuple[int, int, torch.dtype, int]]:
        tensors = (*network.parameters(), *network.buffers())
        return [(id(one), one.data_ptr(), one.dtype, one._version) for one in tensors]

    before = weights()
    pipe = MattingPipeline(network, device="cpu", dtype=dtype)
    assert pipe.network is network
    pipe(*pair)
    assert weights() == before


def test_overflowing_weights_are_an_error_not_a_wrong_matte(
    pair: tuple[np.ndarray, np.ndarray],
) -> None:
    network = random_network()
    with torch.no_grad():
        network.decoder.matting_head.matting_convs[0].weight.mul_(float("inf"))
    with pytest.raises(MEMatteError, match="not finite"):
        MattingPipeline(network, device="cpu")(*pair)


def test_cut_takes_a_mask_a_trimap_or_the_photos_own_alpha(
    pair: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    image, trimap = pair
    model = str(save_network(random_network(), tmp_path / "model"))
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[20:50, 30:80] = 255
    from_mask = cut(image, mask=mask, model=model, device="cpu", inside=4, outside=6, unit="px")
    assert isinstance(from_mask, Matte)
    assert (from_mask.trimap == 0.5).any()
    assert from_mask.trimap[35, 55] == 1
    rgba = np.dstack([image, mask])
    own = cut(rgba, model=model, device="cpu", inside=4, outside=6, unit="px")
    assert np.array_equal(own.alpha, from_mask.alpha)
    larger = np.kron(mask, np.ones((2, 2), np.uint8))
    with pytest.warns(MEMatteWarning, match="resized"):
        scaled = cut(image, mask=larger, model=model, device="cpu", inside=4, outside=6, unit="px")
    assert np.abs(scaled.trimap - from_mask.trimap).mean() < 0.05
    assert cut(image, trimap, model=model, device="cpu").alpha.shape == (HEIGHT, WIDTH)
    with pytest.raises(InputError, match="mask: is 50×50"):
        cut(image, mask=np.ones((50, 50), np.uint8) * 255, model=model, device="cpu")
    with pytest.raises(InputError, match="both"):
        cut(image, trimap, mask=mask, model=model)


# ---- the photo's own transparency ----------------------------------------------------------------


def _transparent() -> tuple[np.ndarray, np.ndarray]:
    """A photo whose right half was cut away before, softly, and a trimap over all of it."""
    photo = np.random.default_rng(0).integers(0, 256, (64, 64, 4), np.uint8)
    photo[..., 3] = np.linspace(510, 0, 64).clip(0, 255)
    trimap = np.full((64, 64), 128, np.uint8)
    trimap[:16], trimap[48:] = 0, 255
    return photo, trimap


def test_nothing_is_more_opaque_than_in_the_photo() -> None:
    photo, trimap = _transparent()
    pipe = MattingPipeline(random_network(), device="cpu")
    plain = pipe(photo[..., :3], trimap).alpha
    with pytest.warns(MEMatteWarning, match="its own transparency caps the matte, also on 496 pix"):
        capped = pipe(photo, trimap).alpha
    np.testing.assert_array_equal(capped, np.minimum(plain, photo[..., 3] / np.float32(255)))
    photo[..., 3] = 255
    np.testing.assert_array_equal(pipe(photo, trimap).alpha, plain)


def test_it_caps_a_trimap_that_knows_everything_and_no_mask_that_it_is_itself() -> None:
    photo, trimap = _transparent()
    trimap[16:48] = 0
    with collect_notes() as notes:
        capped = cut(photo, trimap).alpha
    assert any("its own transparency caps" in note for note in notes)
    np.testing.assert_array_equal(capped[48:], photo[48:, :, 3] / np.float32(255))
    photo[..., 3] = 0
    photo[20:44, 20:44, 3] = 255
    own = cut(photo, inside=2, outside=6, unit="px").alpha  # a rough mask, whose band may reach out
    assert own[32, 32] == 1
    given = cut(photo, mask=photo[..., 3], inside=2, outside=6, unit="px").alpha
    assert (given <= photo[..., 3] / 255).all()
    assert own.sum() >= given.sum()
