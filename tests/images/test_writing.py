"""Writing: exact, complete or not at all, and with its metadata."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from mematte_plugin.errors import OutputError
from mematte_plugin.images import encode as encoding
from mematte_plugin.images.encode import check_writable, write_image
from mematte_plugin.images.files import atomic_write, leftovers, temporary_stem, write_text
from mematte_plugin.images.read import read_photo

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("suffix", "dtype"),
    [
        (".png", np.uint8), (".png", np.uint16), (".tif", np.uint8), (".tiff", np.uint16),
        (".tif", np.float32), (".exr", np.float32),
    ],
)  # fmt: skip
@pytest.mark.parametrize("channels", [(), (3,), (4,)])
def test_round_trip_is_exact(
    tmp_path: Path, suffix: str, dtype: Any, channels: tuple[int, ...]
) -> None:
    if suffix == ".exr":
        pytest.importorskip("OpenEXR")
    shape = (7, 9, *channels)
    if dtype is np.float32:
        array = RNG.random(shape, dtype=np.float32)
    else:
        array = RNG.integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)
    path = tmp_path / f"out{suffix}"
    write_image(path, array, icc_profile=SRGB, dpi=(300, 200))
    photo = read_photo(path)
    found = photo.pixels[..., 0] if not channels else photo.pixels
    if channels == (4,):
        assert photo.alpha is not None
        found = np.dstack([found, photo.alpha])
    assert found.dtype == dtype
    np.testing.assert_allclose(found, array, atol=1e-6 if suffix == ".exr" else 0)
    if suffix != ".exr":  # it has no place for them
        assert photo.icc_profile == (SRGB if channels else None)
        assert photo.dpi == pytest.approx((300, 200), abs=0.1)


def test_webp_cutouts_are_lossless_also_where_transparent(tmp_path: Path) -> None:
    array = RNG.integers(0, 256, (7, 9, 4), dtype=np.uint8)
    array[:3, :, 3] = 0
    write_image(tmp_path / "a.webp", array, icc_profile=SRGB, dpi=(300, 150.5))
    photo = read_photo(tmp_path / "a.webp")
    assert photo.alpha is not None
    np.testing.assert_array_equal(np.dstack([photo.pixels, photo.alpha]), array)
    assert photo.icc_profile == SRGB
    assert photo.dpi == pytest.approx((300, 150.5))


def test_floats_are_rounded_not_cut(tmp_path: Path) -> None:
    for bits, top in ((8, 255), (16, 65535)):
        array = np.array([[0.0, 0.7 / top, 1 - 0.4 / top, 1.0]], np.float32)
        write_image(tmp_path / f"{bits}.png", array, bits=bits)
        found = read_photo(tmp_path / f"{bits}.png").pixels[0, :, 0]
        assert found.tolist() == [0, 1, top, top]


def test_other_programs_see_straight_alpha_in_a_16_bit_png(tmp_path: Path) -> None:
    array = np.full((3, 4, 4), 0.5, np.float32)
    array[..., 0] = 1
    write_image(tmp_path / "a.png", array, bits=16, icc_profile=SRGB, dpi=(72, 72))
    with Image.open(tmp_path / "a.png") as im:
        im.load()
        assert (im.mode, im.getpixel((0, 0))) == ("RGBA", (255, 128, 128, 128))
        assert im.info["icc_profile"] == SRGB


def test_jpeg_and_binary_files(tmp_path: Path) -> None:
    grey = np.full((16, 16), 0.5, np.float32)
    write_image(tmp_path / "alpha.jpg", grey)
    assert abs(int(read_photo(tmp_path / "alpha.jpg").pixels[8, 8, 0]) - 128) <= 1
    buffer = io.BytesIO()
    write_image(buffer, grey, fmt="png", bits=8)
    assert read_photo(buffer.getvalue()).size == (16, 16)


def test_existing_files_are_replaced_only_on_request(tmp_path: Path) -> None:
    path, grey = tmp_path / "a.png", np.zeros((2, 2), np.uint8)
    write_image(path, grey)
    path.chmod(0o640)
    before = path.read_bytes()
    with pytest.raises(OutputError, match=r"a\.png: exists; pass --overwrite"):
        write_image(path, grey + 9)
    assert path.read_bytes() == before
    write_image(path, grey + 9, overwrite=True)
    assert read_photo(path).pixels[0, 0, 0] == 9
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_symbolic_link_is_written_through(tmp_path: Path) -> None:
    real, link = tmp_path / "real.png", tmp_path / "link.png"
    write_image(real, np.zeros((2, 2), np.uint8))
    link.symlink_to(real)
    write_image(link, np.full((2, 2), 7, np.uint8), overwrite=True)
    assert link.is_symlink()
    assert read_photo(real).pixels[0, 0, 0] == 7


RGBA = np.zeros((4, 4, 4), np.float32)


@pytest.mark.parametrize(
    ("name", "array", "options", "fault"),
    [
        ("a.psd", RGBA, {}, r"unknown suffix '\.psd'; use one of \.png"),
        ("a", RGBA, {}, "no suffix"),
        ("a.jpg", RGBA, {}, r"no transparency; use \.png"),
        ("missing/a.png", RGBA, {}, "does not exist"),
        ("file/a.png", RGBA, {}, "is a file, not a folder"),
        (".", RGBA, {"fmt": "png"}, "is a folder"),
        ("a.png", RGBA, {"bits": 12}, "png holds 8 or 16 bits, not 12"),
        ("a.webp", np.zeros((1, 16384), np.uint8), {}, "at most 16383"),
        ("a.png", np.zeros((2, 2, 2)), {}, "shape"),
        ("a" * 300 + ".png", RGBA, {}, "File name too long"),
        ("a" * 5000 + ".png", RGBA, {}, "File name too long"),
        ("a/" * 2500 + "a.png", RGBA, {}, "File name too long|does not exist"),
        ("a\0b.png", RGBA, {}, r"a\\x00b\.png': holds a NUL"),
    ],
)
def test_impossible_outputs_say_so_and_leave_nothing(
    tmp_path: Path, name: str, array: np.ndarray, options: dict[str, Any], fault: str
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=fault):
        write_image(tmp_path / name, array, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_names_may_be_as_long_as_the_file_system_allows(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / ("\u9aea" * 80 + suffix)  # 3 bytes each, of 255 that a name may have
    write_image(path, RGBA)
    write_image(path, RGBA, overwrite=True)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("target", [None, b"a.png", 3, Path])
@pytest.mark.parametrize("way", [check_writable, lambda target: write_image(target, RGBA)])
def test_what_is_no_path_is_refused(way: Any, target: Any) -> None:
    with pytest.raises(OutputError, match="give a path"):
        way(target)


def test_no_name_and_a_folder_are_called_by_their_name(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no output name given"):
        check_writable("")
    with pytest.raises(OutputError, match="is a folder"):
        check_writable(tmp_path)


def test_a_failing_clean_up_does_not_hide_the_fault(tmp_path: Path, monkeypatch: Any) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise OSError("disk gone")

    monkeypatch.setitem(encoding._ENCODERS, "png", (fail, *encoding._ENCODERS["png"][1:]))
    monkeypatch.setattr(Path, "unlink", fail)
    with pytest.raises(OutputError, match="disk gone"):
        write_image(tmp_path / "a.png", RGBA)


def test_check_writable_fails_before_the_work(tmp_path: Path) -> None:
    check_writable(tmp_path / "a.png")
    (tmp_path / "a.png").touch()
    with pytest.raises(OutputError, match="exists"):
        check_writable(tmp_path / "a.png")
    check_writable(tmp_path / "a.png", overwrite=True)
    with pytest.raises(OutputError, match="unknown suffix"):
        check_writable(tmp_path / "a.doc")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_device_is_reported_and_not_replaced() -> None:
    with pytest.raises(OutputError, match="disk is full"):
        write_image("/dev/full", RGBA, fmt="png")
    assert not Path("/dev/full").is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".exr"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path, suffix: str) -> None:
    if suffix == ".exr":
        pytest.importorskip("OpenEXR")
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"old")
    script = f"""
import resource
import numpy as np
from mematte_plugin.errors import OutputError
from mematte_plugin import write_image
array = np.random.default_rng(0).random((200, 200, 4), dtype=np.float32)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write_image({str(path)!r}, array, overwrite=True)
except OutputError as error:
    print("refused:", error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False,
        cwd=Path(__file__).parents[1],
    )  # fmt: skip
    assert f"refused: {path}" in done.stdout, done.stderr
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_ctrl_c_in_the_middle_leaves_the_old_file(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"old")
    real = encoding._ENCODERS["tiff"]

    def interrupted(*given: Any) -> None:
        real[0](*given)  # the temporary file is there when the signal comes
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setitem(encoding._ENCODERS, "tiff", (interrupted, *real[1:]))
    with pytest.raises(KeyboardInterrupt):
        write_image(path, RGBA, overwrite=True)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_text_files_are_whole_and_not_over_others(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    write_text(path, "α ± 1\n")
    assert path.read_text(encoding="utf-8") == "α ± 1\n"
    with pytest.raises(OutputError, match="--overwrite"):
        write_text(path, "other")
    write_text(path, "other", overwrite=True)
    assert path.read_text() == "other"
    with pytest.raises(OutputError, match="create it first"):
        write_text(tmp_path / "none" / "report.md", "")
    assert os.listdir(tmp_path) == ["report.md"]
    write_text(os.devnull, "gone", overwrite=True)
    assert not Path(os.devnull).is_file()  # written to, not replaced


@pytest.mark.parametrize("name", ["a.png", "ü" * 80 + ".png", "x" * 200 + ".png"])
def test_the_temporary_files_of_a_killed_run_are_found_by_name(tmp_path: Path, name: str) -> None:
    other = "x" * 199 + "y.png"
    with atomic_write(tmp_path / other) as theirs, atomic_write(tmp_path / name) as ours:
        theirs.touch()
        ours.touch()
        assert leftovers(tmp_path)[temporary_stem(name)] == [ours]
    assert leftovers(tmp_path) == {}
