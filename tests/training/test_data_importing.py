"""Importing your own pictures, in all layouts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mematte_plugin.cli.shell import run
from mematte_plugin.errors import InputError
from mematte_plugin.training.data.bank import build_bank
from mematte_plugin.training.data.compose import Composer
from mematte_plugin.training.data.importing import LONGEST, import_pictures

from .banks import photo, pictures_of

RED, GREEN = (200, 30, 30), (20, 160, 40)
SIDE = 96


def disc(side: int = SIDE, radius: float = 0.3) -> NDArray[np.uint8]:
    """A soft alpha in the middle."""
    y, x = np.mgrid[-0.5 : 0.5 : side * 1j, -0.5 : 0.5 : side * 1j]
    return np.rint(np.clip((radius - np.hypot(x, y)) * 12, 0, 1) * 255).astype(np.uint8)


def flat(colour: tuple[int, int, int], side: int = SIDE) -> NDArray[np.uint8]:
    return np.full((side, side, 3), colour, np.uint8)


def save(path: Path, pixels: NDArray[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def photographed(side: int = SIDE) -> NDArray[np.uint8]:
    """A red subject before green."""
    share = disc(side)[..., None] / 255
    return np.rint(flat(RED, side) * share + flat(GREEN, side) * (1 - share)).astype(np.uint8)


def cutouts(bank: Path) -> dict[str, NDArray[np.uint8]]:
    """RGBA of every foreground."""
    found = {}
    for path in sorted((bank / "foregrounds").iterdir()):
        with Image.open(path) as image:
            assert image.mode == "RGBA"
            found[path.name] = np.asarray(image)
    return found


def reasons(bank: Path) -> dict[str, str]:
    return {
        Path(one["file"]).name: one["reason"]
        for one in json.loads((bank / "skipped.json").read_text())
    }


def check_red_disc(rgba: NDArray[np.uint8]) -> None:
    """The subject as it was: its own colour also where it is nearly transparent."""
    alpha = rgba[..., 3]
    assert alpha.max() == 255
    assert np.count_nonzero(alpha) == pytest.approx(np.count_nonzero(disc()), rel=0.03)
    assert (
        np.abs(np.sort(alpha.ravel())[-2400:].astype(int) - np.sort(disc(), None)[-2400:]).max() < 9
    )
    seen = rgba[alpha > 40][:, :3].astype(int)
    assert np.abs(seen - RED).max() < 25


@pytest.mark.parametrize(
    ("image", "alpha"),
    [
        ("fg/a.jpg", "alpha/a.png"),
        ("fg/a.JPG", "alpha/A.png"),
        ("Adobe-licensed images/fg/a.png", "Adobe-licensed images/alpha/a.jpg"),
        ("Training_set/Other/fg/a.png", "Training_set/Other/alpha/a.png"),
        ("FG/a.png", "GT/a.png"),
        ("Train/FG/a.png", "Train/GT/a.png"),
        ("original/a.jpg", "mask/a.png"),
        ("train/original/a.png", "train/mask/a.png"),
        ("fg/people/a.png", "alpha/people/a.tif"),
    ],
)
def test_every_layout_of_pairs(image: str, alpha: str, tmp_path: Path) -> None:
    given = photographed() if "original" in image else flat(RED)
    save(tmp_path / "data" / image, given)
    save(tmp_path / "data" / alpha, disc())
    counts = import_pictures(tmp_path / "data", tmp_path / "bank")
    assert counts == {"backgrounds": 0, "foregrounds": 1, "skipped": 0}
    (rgba,) = cutouts(tmp_path / "bank").values()
    check_red_disc(rgba)
    assert rgba.shape[0] < SIDE  # trimmed


@pytest.mark.parametrize("suffix", ["png", "webp", "tiff"])
def test_transparent_pictures_are_subjects(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"data/deep/er/a.{suffix}"
    path.parent.mkdir(parents=True)
    rgba = Image.fromarray(np.dstack([flat(RED), disc()]))
    rgba.save(path, **({"lossless": True} if suffix == "webp" else {}))
    import_pictures(tmp_path / "data", tmp_path / "bank")
    (found,) = cutouts(tmp_path / "bank").values()
    check_red_disc(found)


@pytest.mark.parametrize("name", ["bg", "BG", "backgrounds"])
def test_backgrounds_are_backgrounds(name: str, tmp_path: Path) -> None:
    (tmp_path / "data" / name).mkdir(parents=True)
    photo(tmp_path / "data" / name / "hill.png", 0)
    counts = import_pictures(tmp_path / "data", tmp_path / "bank")
    assert counts == {"backgrounds": 1, "foregrounds": 0, "skipped": 0}
    assert [entry["use"] for entry in pictures_of(tmp_path / "bank")] == ["background, texture"]


def test_alphas_trimaps_and_composites_never_become_pictures(tmp_path: Path) -> None:
    data = tmp_path / "data"
    save(data / "fg/a.png", flat(RED, 200))
    for place in ("alpha", "trimaps", "trimap_wide", "merged", "alpha_copy"):
        save(data / place / "a.png", disc(200))
    save(data / "elsewhere/mask/a.png", disc(200))
    counts = import_pictures(data, tmp_path / "bank")
    assert counts == {"backgrounds": 0, "foregrounds": 1, "skipped": 1}
    assert "without a folder fg" in reasons(tmp_path / "bank")["mask"]


def test_unusable_pictures_are_listed_with_the_reason(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for name in ("good", "broken", "resized", "lonely", "twice", "empty", "full", "colour"):
        save(data / f"fg/{name}.png", flat(RED))
    save(data / "fg/good.jpg", flat(RED))
    for name in ("good", "broken", "nobody", "twice"):
        save(data / f"alpha/{name}.png", disc())
    save(data / "alpha/twice.jpg", disc())
    save(data / "alpha/resized.png", disc(64))
    save(data / "alpha/empty.png", disc() * 0)
    save(data / "alpha/full.png", disc() * 0 + 255)
    save(data / "alpha/colour.png", photographed())
    (data / "fg/broken.png").write_bytes(b"no picture")
    save(data / "opaque.jpg", flat(RED))
    save(data / "bg/tiny.png", flat(GREEN, 20))
    counts = import_pictures(data, tmp_path / "bank")
    listed = reasons(tmp_path / "bank")
    assert counts == {"backgrounds": 0, "foregrounds": 1, "skipped": len(listed)}
    for name, words in {
        "good.png": "good.jpg has the same name",
        "broken.png": "",
        "resized.png": "96 x 96, its alpha's 64 x 64",
        "lonely.png": "no alpha of that name",
        "nobody.png": "no picture of that name",
        "twice.png": "2 alphas",
        "empty.png": "empty",
        "full.png": "opaque everywhere",
        "colour.png": "colour picture",
        "opaque.jpg": "no transparency",
        "tiny.png": "too small",
    }.items():
        assert words in listed.pop(name), name
    assert listed == {}


def test_licence_and_author_are_recorded(tmp_path: Path) -> None:
    save(tmp_path / "data/fg/a.png", flat(RED))
    save(tmp_path / "data/alpha/a.png", disc())
    bank = tmp_path / "bank"
    import_pictures(tmp_path / "data", bank)
    (entry,) = pictures_of(bank)
    assert (entry["licence"], entry["author"], entry["original"]) == (
        "unknown",
        "unknown",
        "fg/a.png",
    )
    assert str(tmp_path) not in (bank / "manifest.json").read_text()  # local folders stay private
    stored = next((bank / "foregrounds").iterdir()).stat().st_mtime_ns
    import_pictures(tmp_path / "data", bank, licence="CC BY 4.0", author="Ann")  # added later
    (entry,) = pictures_of(bank)
    assert (entry["licence"], entry["author"]) == ("CC-BY-4.0", "Ann")
    assert next((bank / "foregrounds").iterdir()).stat().st_mtime_ns == stored


def test_credits_of_a_folder_take_precedence(tmp_path: Path) -> None:
    save(tmp_path / "data/fg/a.png", flat(RED))
    save(tmp_path / "data/alpha/a.png", disc())
    (tmp_path / "data/credits.csv").write_text("file,author,licence\na.png,Bob,CC-BY-NC-4.0\n")
    import_pictures(tmp_path / "data", tmp_path / "bank", licence="CC0-1.0", author="Ann")
    (entry,) = pictures_of(tmp_path / "bank")
    assert (entry["licence"], entry["author"]) == ("CC-BY-NC-4.0", "Bob")


def test_importing_again_adds_only_new_or_changed_pictures(tmp_path: Path) -> None:
    data, bank = tmp_path / "data", tmp_path / "bank"
    for name in ("a", "b"):
        save(data / f"fg/{name}.png", flat(RED))
        save(data / f"alpha/{name}.png", disc())
    import_pictures(data, bank)
    before = {p.name: p.stat().st_mtime_ns for p in (bank / "foregrounds").iterdir()}
    save(data / "alpha/b.png", disc(radius=0.4))
    save(data / "fg/c.png", flat(RED))
    save(data / "alpha/c.png", disc())
    assert import_pictures(data, bank)["foregrounds"] == 3
    after = {p.name: p.stat().st_mtime_ns for p in (bank / "foregrounds").iterdir()}
    kept = {name for name in before if after[name] == before[name]}
    assert kept == {"own-data-fg_a.webp"}
    assert len(pictures_of(bank)) == 3
    build_bank(bank, count=1, size=200, photos=[])  # more can be drawn into it
    assert len(pictures_of(bank)) == 4


def test_folders_of_the_same_name_do_not_overwrite_each_other(tmp_path: Path) -> None:
    for i, place in enumerate(("one", "two")):
        save(tmp_path / place / "data/fg/a.png", flat((200, 30, 60 * i)))
        save(tmp_path / place / "data/alpha/a.png", disc())
        import_pictures(tmp_path / place / "data", tmp_path / "bank")
    for place in ("one", "two"):  # and again when repeated
        import_pictures(tmp_path / place / "data", tmp_path / "bank")
    assert len(cutouts(tmp_path / "bank")) == len(pictures_of(tmp_path / "bank")) == 2


@pytest.mark.parametrize(("side", "stored"), [(1400, 1400), (2000, LONGEST)])
def test_large_subjects_stay_large(side: int, stored: int, tmp_path: Path) -> None:
    alpha = np.full((side, 200), 255, np.uint8)
    alpha[:, :40] = 90
    save(tmp_path / "data/fg/a.png", np.full((side, 200, 3), RED, np.uint8))
    save(tmp_path / "data/alpha/a.png", alpha)
    import_pictures(tmp_path / "data", tmp_path / "bank")
    (rgba,) = cutouts(tmp_path / "bank").values()
    assert max(rgba.shape) == stored
    assert set(np.unique(rgba[:, :20, 3])) == {90}


def test_a_bank_inside_the_folder_is_not_its_own_source(tmp_path: Path) -> None:
    data = tmp_path / "data"
    save(data / "a.png", np.dstack([flat(RED), disc()]))
    for _ in range(2):
        assert import_pictures(data, data / "bank")["foregrounds"] == 1


def test_a_folder_without_pictures_is_refused_with_the_layouts(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        import_pictures(tmp_path / "nowhere", tmp_path / "bank")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"nothing to train on; give a folder with fg/"):
        import_pictures(tmp_path / "empty", tmp_path / "bank")
    assert not (tmp_path / "bank").exists()


def test_import_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, bank = tmp_path / "data", tmp_path / "bank"
    save(data / "fg/a.png", flat(RED, 300))
    save(data / "alpha/a.png", disc(300))
    save(data / "fg/alone.png", flat(RED))
    line = ["train", "data", "import", str(data), str(bank), "--licence", "in-house"]
    assert run(line) == 0
    said = capsys.readouterr().out
    assert "0 backgrounds, 1 foregrounds" in said
    assert "1 pictures" in said
    assert "data build" in said  # photographs to put behind them
    assert run([*line, "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)
    assert (counts["foregrounds"], counts["skipped"]) == (1, 1)
    sample = Composer(bank, size=64).sample(np.random.default_rng(0))
    assert cv2.minMaxLoc(sample.alpha)[1] > 0.5
