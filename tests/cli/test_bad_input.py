"""What people get wrong: one clear line each, the right exit code, and nothing written."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from .cases import FAILURE, HEIGHT, USAGE, WIDTH, assert_refused

# ---- files that are no pictures ------------------------------------------------------------------


def bomb() -> bytes:
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", zlib.crc32(chunk[4:])) + b"\0" * 64


def cut_off(scene, suffix: str) -> bytes:
    path = scene.folder.parent / f"whole{suffix}"
    Image.fromarray(scene.pixels).save(path)
    data = path.read_bytes()
    return data[: len(data) // 2]


BAD_FILES = {
    "missing": (lambda s: None, "no such file"),
    "empty": (lambda s: b"", "empty"),
    "text": (lambda s: b"hello, this is text", "text, not an image"),
    "cut off PNG": (lambda s: cut_off(s, ".png"), "cut off"),
    "cut off JPEG": (lambda s: cut_off(s, ".jpg"), "cut off"),
    "bomb": (lambda s: bomb(), "60000×60000"),
    "zip": (lambda s: b"PK\x03\x04" + b"\0" * 40, "zip archive"),
}


@pytest.mark.parametrize("role", ["photo", "trimap", "mask", "background"])
@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_in_any_role(scene, role, case):
    make, says = BAD_FILES[case]
    data = make(scene)
    if data is not None:
        (scene.folder / "bad.png").write_bytes(data)
    arguments = {
        "photo": ("bad.png", "trimap.png"),
        "trimap": ("photo.png", "bad.png"),
        "mask": ("photo.png", "--mask", "bad.png"),
        "background": ("photo.png", "trimap.png", "--background", "bad.png"),
    }[role]
    before = scene.files()
    done = scene.cut(*arguments)
    if role == "background" and case == "missing":
        says = "neither a colour"
    assert_refused(scene, done, before, FAILURE, "bad.png", says)


def test_an_output_path_that_is_too_long(scene):
    before = scene.files()
    done = scene.cut("photo.png", "trimap.png", "-o", "x" * 5000 + ".png")
    assert_refused(scene, done, before, FAILURE, "too long")


def test_a_file_that_looks_like_an_option(scene):
    scene.save("-dash.png", scene.pixels)
    before = scene.files()
    done = scene.cut("-dash.png", "trimap.png")
    assert_refused(scene, done, before, USAGE, "write ./-dash.png")
    assert scene.cut("./-dash.png", "trimap.png").code == 0


def test_a_folder_is_no_picture(scene):
    (scene.folder / "folder").mkdir()
    before = scene.files()
    done = scene.cut("folder", "trimap.png")
    assert_refused(scene, done, before, FAILURE, "is a folder")


def test_an_empty_pipe(scene):
    before = scene.files()
    done = scene.cut("-", "trimap.png", "-o", "out.png")
    assert_refused(scene, done, before, FAILURE, "stdin", "empty")


# ---- trimaps -------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(HEIGHT, WIDTH * 2), (WIDTH, HEIGHT)])
@pytest.mark.parametrize("how", ["trimap", "mask"])
def test_a_trimap_or_mask_of_another_shape(scene, shape, how):
    values = np.zeros(shape, np.uint8)
    values[20:40, 20:40] = 255
    scene.save("other.png", values)
    before = scene.files()
    done = scene.cut("photo.png", *(["--mask"] if how == "mask" else []), "other.png")
    assert_refused(scene, done, before, FAILURE, str(shape[1]), str(WIDTH))


def test_photo_and_trimap_swapped(scene):
    before = scene.files()
    done = scene.cut("trimap.png", "photo.png")
    assert_refused(scene, done, before, FAILURE, "colour picture", "swapped")


ODD_TRIMAPS = {
    "all unknown": (lambda t: np.full_like(t, 128), "all unknown"),
    "no foreground": (lambda t: np.where(t == 255, 128, t), "no foreground"),
    "inverted": (lambda t: 255 - t, "inverted"),
}


@pytest.mark.parametrize("case", ODD_TRIMAPS)
def test_odd_trimaps_work_with_one_warning(scene, case):
    make, says = ODD_TRIMAPS[case]
    scene.save("odd.png", make(scene.trimap).astype(np.uint8))
    done = scene.cut("photo.png", "odd.png", "--alpha")
    assert done.code == 0
    assert done.err.startswith("warning: trimap odd.png: ")
    assert says in done.err
    assert done.err.count("\n") == 1
    assert scene.load("photo_alpha.png").shape == (HEIGHT, WIDTH)


@pytest.mark.parametrize("channels", [3, 4])
def test_grey_trimaps_in_colour_files_work(scene, channels):
    opaque = np.full_like(scene.trimap, 255)
    scene.save("rgb.png", np.dstack([scene.trimap] * 3 + [opaque] * (channels - 3)))
    done = scene.cut("photo.png", "rgb.png", "--alpha")
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize("grey", [0, 255])
def test_an_empty_or_full_mask(scene, grey):
    scene.save("flat.png", np.full((HEIGHT, WIDTH), grey, np.uint8))
    before = scene.files()
    assert_refused(scene, scene.cut("photo.png", "--mask", "flat.png"), before, FAILURE, "mask")
    done = scene.run("trimap", "flat.png", "-o", "t.png")
    assert_refused(scene, done, before, FAILURE, "flat.png")


# ---- options -------------------------------------------------------------------------------------

BAD_OPTIONS = {
    ("--retention", "-1"): "retention",
    ("--retention", "2"): "retention",
    ("--retention", "1e999"): "retention",
    ("--retention", "nan"): "retention",
    ("--retention", "much"): "much",
    ("--device", "toaster"): "toaster",
    ("--device", "cuda:99"): "cuda:99",
    ("--dtype", "float8"): "float8",
    ("--alpha", "--background", "white"): "choose one",
    ("--json", "-o", "-"): "--json",
    ("--bits", "many"): "--bits",
    ("--nonsense",): "--nonsense",
}


@pytest.mark.parametrize("options", BAD_OPTIONS, ids=" ".join)
def test_bad_options(scene, options):
    before = scene.files()
    done = scene.run("cut", "photo.png", "trimap.png", "--model", scene.model, *options)
    assert_refused(scene, done, before, USAGE, BAD_OPTIONS[options])


BAD_MASK_OPTIONS = [("--unit", "cm"), ("--inside", "-3"), ("--outside", "nan")]


@pytest.mark.parametrize("options", BAD_MASK_OPTIONS, ids=" ".join)
def test_bad_bands(scene, options):
    before = scene.files()
    done = scene.cut("photo.png", "--mask", "mask.png", *options)
    assert_refused(scene, done, before, USAGE, options[1])
    done = scene.run("trimap", "mask.png", "-o", "t.png", *options)
    assert_refused(scene, done, before, USAGE, options[1])


def test_retention_needs_a_router(scene, models):
    before = scene.files()
    arguments = ("cut", "photo.png", "trimap.png", "--retention", "0.5")
    done = scene.run(*arguments, "--model", models / "unrouted")
    assert_refused(scene, done, before, USAGE, "no router")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("cut",), "IMAGE"),
        (("cute",), "cute"),
        (
            ("batch", ".", "-o", "out", "--trimaps", ".", "--masks", "."),
            "both --trimaps and --masks",
        ),
        (("batch", ".", "-o", "out", "--trimaps", ".", "--suffix", "gif"), ".gif"),
        (("batch", ".", "-o", "out", "--trimaps", ".", "--bits", "7"), "not 7"),
        (("routing", "photo.png", "-o", "r.png"), "trimap or --mask"),
        (("trimap", "mask.png", "-o", "t.png", "--from-alpha", "--inside", "3"), "--inside"),
        (("trimap", "mask.png", "-o", "t.png", "--from-alpha", "--unit", "furlong"), "furlong"),
        (("cut", "-", "-", "-o", "x.png"), "only one"),
        (("models", "where"), "NAME"),
        (("models", "download", "nobody/x", "--for", "fun"), "--for fun: give one of matting, sub"),
        (("models", "--json", "where", "mematte-tiny"), "after the command"),
    ],
)
def test_commands_that_are_not_understood(scene, arguments, says):
    before = scene.files()
    assert_refused(scene, scene.run(*arguments), before, USAGE, says)


def test_no_guide_and_no_network_to_find_the_subject(scene, tmp_path_factory, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path_factory.mktemp("c")))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    before = scene.files()
    done = scene.cut("photo.png")
    assert_refused(scene, done, before, FAILURE, "photo.png", "HF_HUB_OFFLINE", "trimap, a mask")


def test_two_guides(scene):
    before = scene.files()
    for command in ("cut", "routing"):
        done = scene.run(command, "photo.png", "trimap.png", "--mask", "mask.png")
        assert_refused(scene, done, before, USAGE, "both a trimap and --mask")


BANDS = [("--inside", "50"), ("--outside", "0"), ("--unit", "px")]


@pytest.mark.parametrize("band", BANDS, ids=" ".join)
def test_a_band_beside_a_trimap_is_not_ignored(scene, band):
    before = scene.files()
    for command in ("cut", "routing"):
        done = scene.run(command, "photo.png", "trimap.png", *band)
        assert_refused(scene, done, before, USAGE, band[0], "trimap")
    done = scene.run("batch", ".", "--trimaps", ".", "-o", "out", *band)
    assert_refused(scene, done, before, USAGE, band[0], "trimap")


# ---- models --------------------------------------------------------------------------------------


def test_an_unknown_model_lists_the_closest(scene):
    before = scene.files()
    done = scene.run("cut", "photo.png", "trimap.png", "--model", "mematte-tinny")
    assert_refused(scene, done, before, FAILURE, "mematte-tinny", "mematte-tiny")


def test_a_network_for_subjects_is_not_taken_for_matting(scene):
    before = scene.files()
    done = scene.run("cut", "photo.png", "trimap.png", "--model", "birefnet-lite")
    assert_refused(scene, done, before, FAILURE, "birefnet-lite", "--subject-model", "mematte-tiny")


ODD_NAMES = {"": "name is empty", "x" * 5000: "too long", "~nobody-here/x": "~nobody-here/x"}


@pytest.mark.parametrize("name", ODD_NAMES, ids=["empty", "long", "no such home"])
def test_odd_names_of_models(scene, name):
    before = scene.files()
    done = scene.run("cut", "photo.png", "trimap.png", "--model", name)
    assert_refused(scene, done, before, FAILURE, ODD_NAMES[name])
    assert len(done.err) < 500
    done = scene.run("models", "where", name)
    assert_refused(scene, done, before, FAILURE, ODD_NAMES[name])


BAD_CHECKPOINTS = {
    "corrupt.pth": b"\x80\x02garbage" * 40,
    "corrupt.safetensors": b"\xff" * 200,
    "subject.onnx": b"\x08\x0a\x12\x04test" * 40,
    "empty.pth": b"",
    "malicious.pth": b"cos\nsystem\n(S'touch pwned'\ntR.",
}


@pytest.mark.parametrize("name", BAD_CHECKPOINTS)
def test_bad_checkpoints(scene, name):
    (scene.folder / name).write_bytes(BAD_CHECKPOINTS[name])
    before = scene.files()
    done = scene.run("cut", "photo.png", "trimap.png", "--model", name)
    assert_refused(scene, done, before, FAILURE, name)
    done = scene.run("convert", name, "converted")
    assert_refused(scene, done, before, FAILURE, name)


# ---- outputs -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "code", "says"),
    [
        ("none/out.png", FAILURE, "does not exist"),
        ("photo.png", FAILURE, "is the input itself"),
        ("trimap.png", FAILURE, "is the input itself"),
        ("there.png", FAILURE, "exists"),
        ("folder", FAILURE, "is a folder"),
        ("out.xyz", USAGE, "unknown suffix"),
        ("out", USAGE, "no suffix"),
        ("out.jpg", USAGE, "no transparency"),
    ],
)
def test_outputs_that_cannot_be_written_fail_before_the_work(
    scene, monkeypatch, output, code, says
):
    scene.save("there.png", scene.pixels)
    (scene.folder / "folder").mkdir()

    def never(*_: object, **__: object) -> None:
        raise AssertionError("too late")

    monkeypatch.setattr("mematte_plugin.pipeline.cut", never)
    before = scene.files()
    done = scene.cut("photo.png", "trimap.png", "-o", output)
    assert_refused(scene, done, before, code, output, says)


@pytest.mark.parametrize(
    ("output", "bits"), [("o.png", 7), ("o.png", 32), ("o.webp", 16), ("o_alpha.jpg", 16)]
)
def test_depths_that_the_format_lacks_fail_before_the_work(scene, monkeypatch, output, bits):
    monkeypatch.setattr("mematte_plugin.pipeline.cut", lambda *_, **__: 1 / 0)
    before = scene.files()
    done = scene.cut("photo.png", "trimap.png", "-o", output, "--bits", bits)
    assert_refused(scene, done, before, USAGE, output, str(bits))


def test_a_full_temporary_folder(scene, monkeypatch):
    import errno
    import tempfile

    def full(*_: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    before = scene.files()
    for done in (
        scene.cut("photo.png", "trimap.png", "-o", "-"),
        scene.run("trimap", "mask.png", "-o", "-"),
    ):
        assert_refused(scene, done, before, FAILURE, "stdout", "No space left", "TMPDIR")
    assert scene.cut("photo.png", "trimap.png", "--alpha").code == 0  # needs none


def test_a_temporary_folder_that_fills_up(scene, monkeypatch):
    import errno

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    before = scene.files()
    done = scene.run("trimap", "mask.png", "-o", "-")
    assert_refused(scene, done, before, FAILURE, "stdout (through ", "disk is full")
    assert "picture.png" not in done.err


def test_a_full_disk(scene, monkeypatch):
    import errno

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    before = scene.files()
    done = scene.cut("photo.png", "trimap.png", "--alpha")
    assert_refused(scene, done, before, FAILURE, "photo_alpha.png", "disk is full")


# ---- what is not the user's fault ----------------------------------------------------------------


def test_a_bug_asks_for_a_report(scene, monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise KeyError("oops\nline two")

    monkeypatch.setattr("mematte_plugin.pipeline.cut", broken)
    done = scene.cut("photo.png", "trimap.png")
    assert done.code == FAILURE
    assert done.err.startswith("error: unexpected KeyError: 'oops")
    assert "mematte info" in done.err
    assert done.err.count("\n") == 1
    monkeypatch.setenv("MEMATTE_DEBUG", "1")
    assert "Traceback" in scene.cut("photo.png", "trimap.png").err


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")],
)
def test_too_little_memory_is_no_bug(scene, monkeypatch, error):
    def greedy(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("mematte_plugin.pipeline.cut", greedy)
    done = scene.cut("photo.png", "trimap.png")
    assert done.code == FAILURE
    assert done.err.startswith("error: not enough memory; ")
    assert done.err.count("\n") == 1
