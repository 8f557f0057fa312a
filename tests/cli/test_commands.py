"""The commands, run in this process: what they write and what they say."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tifffile

from mematte_plugin import BAND_INSIDE, BAND_OUTSIDE, __version__
from mematte_plugin.cli import console
from mematte_plugin.images.encode import write_image
from mematte_plugin.images.read import read_photo

from ..patience import PATIENCE
from .cases import HEIGHT, WIDTH

# ---- cut -----------------------------------------------------------------------------------------


def test_cut_writes_the_cutout_beside_the_photo(scene):
    done = scene.cut("photo.png", "trimap.png")
    assert (done.code, done.err) == (0, "")
    assert done.text.startswith(f"photo_cutout.png: {WIDTH}×{HEIGHT}, ")
    assert "% of the tokens kept" in done.text
    assert done.text.count("\n") == 1
    cutout = scene.load("photo_cutout.png")
    assert cutout.shape == (HEIGHT, WIDTH, 4)
    assert cutout.dtype == np.uint8
    assert (cutout[scene.trimap == 255, 3] == 255).all()
    assert (cutout[scene.trimap == 0, 3] == 0).all()
    assert (cutout[scene.trimap == 255, :3] == scene.pixels[scene.trimap == 255]).all()


def test_cut_with_a_mask(scene):
    done = scene.cut("photo.png", "--mask", "mask.png", "--alpha", "--unit", "px", "--inside", 3)
    assert (done.code, done.err) == (0, "")
    alpha = scene.load("photo_alpha.png")
    assert alpha.shape == (HEIGHT, WIDTH)
    assert alpha[HEIGHT // 2, WIDTH // 2] == 255
    assert alpha[0, 0] == 0


def test_cut_takes_the_photos_own_transparency_for_a_mask(scene):
    scene.save(
        "rgba.png", np.dstack([scene.pixels, np.where(scene.trimap > 0, 255, 0)]).astype("u1")
    )
    assert scene.cut("rgba.png", "-o", "out_alpha.png").code == 0
    assert scene.load("out_alpha.png").shape == (HEIGHT, WIDTH)


def test_cut_in_sixteen_bits(scene):
    assert scene.cut("photo.png", "trimap.png", "--alpha", "--bits", 16).code == 0
    assert scene.load("photo_alpha.png").max() == 65535


@pytest.mark.parametrize("background", ["#ff0000", "behind.png"])
def test_cut_before_another_background(scene, background):
    scene.save("behind.png", np.full((10, 10, 3), (255, 0, 0), np.uint8))
    done = scene.cut("photo.png", "trimap.png", "--background", background, "-o", "card.png")
    assert (done.code, done.err) == (0, "")
    card = scene.load("card.png")
    assert card.shape == (HEIGHT, WIDTH, 3)
    assert (card[scene.trimap == 0] == (255, 0, 0)).all()
    assert (card[scene.trimap == 255] == scene.pixels[scene.trimap == 255]).all()


@pytest.mark.parametrize(("name", "bits"), [("card.tif", 16), ("card.png", 16), ("8.tif", 8)])
def test_a_composite_keeps_the_depth_of_the_photo(scene, name, bits):
    deep = scene.pixels.astype(np.uint16) * 251 + 3
    write_image(scene.folder / "deep.tif", deep)
    depth = ("--bits", bits) if bits == 8 else ()
    done = scene.cut("deep.tif", "trimap.png", "--background", "#102030", "-o", name, *depth)
    assert (done.code, done.err) == (0, "")
    card = read_photo(scene.folder / name)
    assert card.bits == bits
    if bits == 16:
        known = scene.trimap == 255
        assert (card.pixels[known] == deep[known]).all()
        assert (card.pixels[scene.trimap == 0] == (0x1010, 0x2020, 0x3030)).all()


def test_a_composite_of_light_stays_light(scene):
    pytest.importorskip("OpenEXR")
    write_image(scene.folder / "light.exr", scene.pixels.astype(np.float32) / 255)
    known = scene.trimap == 255
    for name in ("card.exr", "card.png"):
        done = scene.cut("light.exr", "trimap.png", "--background", "white", "-o", name)
        assert (done.code, done.err) == (0, "")
    light = read_photo(scene.folder / "light.exr")
    card = read_photo(scene.folder / "card.exr")
    assert (card.pixels[known] == light.pixels[known]).all()
    encoded = read_photo(scene.folder / "card.png")
    assert encoded.bits == 16
    assert np.abs(encoded.as_float() - light.for_network())[known].max() < 1e-4


def test_cut_reports_json(scene):
    done = scene.cut("photo.png", "trimap.png", "-o", "x_alpha.png", "--json", "--retention", "0.1")
    assert (done.code, done.err) == (0, "")
    facts = json.loads(done.text)
    assert facts["output"] == "x_alpha.png"
    assert facts["kind"] == "alpha"
    assert (facts["width"], facts["height"]) == (WIDTH, HEIGHT)
    assert facts["model"] == scene.model
    assert len(facts["kept"]) == 2
    assert max(facts["kept"]) < 0.2
    assert facts["warnings"] == []
    assert facts["seconds"] > 0


def test_cut_lists_its_warnings_in_json_and_on_stderr(scene):
    scene.save("large.png", np.kron(scene.trimap, np.ones((2, 2), np.uint8)))
    done = scene.cut("photo.png", "large.png", "--alpha", "--json")
    assert done.code == 0
    (warning,) = json.loads(done.text)["warnings"]
    assert "resized" in warning
    assert done.err == f"warning: {warning}\n"


def test_cut_reads_and_writes_pipes(scene):
    photo = (scene.folder / "photo.png").read_bytes()
    files = scene.files()
    done = scene.cut("-", "trimap.png", stdin=photo)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(b"\x89PNG")
    assert scene.files() == files
    (scene.folder / "piped.png").write_bytes(done.out)
    assert scene.cut("photo.png", "trimap.png").code == 0
    assert (scene.load("piped.png") == scene.load("photo_cutout.png")).all()
    trimap = (scene.folder / "trimap.png").read_bytes()
    again = scene.cut("photo.png", "-", "-o", "-", stdin=trimap)
    assert again.out == done.out


def test_cut_without_a_router(scene, models):
    done = scene.run("cut", "photo.png", "trimap.png", "--alpha", "--model", models / "unrouted")
    assert done.code == 0
    assert "all tokens kept" in done.text


def test_overwrite_allows_even_an_input(scene):
    assert scene.cut("photo.png", "trimap.png", "-o", "photo.png", "--overwrite").code == 0
    assert scene.load("photo.png").shape == (HEIGHT, WIDTH, 4)


def test_a_known_trimap_is_the_alpha(scene):
    scene.save("known.png", np.where(scene.trimap > 128, 255, 0).astype(np.uint8))
    done = scene.cut("photo.png", "known.png", "--alpha")
    assert done.code == 0
    assert done.err.startswith("warning: trimap known.png: has no grey")
    assert "nothing was unknown" in done.text
    assert (scene.load("photo_alpha.png") == scene.load("known.png")).all()


# ---- trimap --------------------------------------------------------------------------------------


def test_objects_of_a_mask_are_named_and_chosen(scene):
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[20:40, 20:60], labels[50:70, 20:60] = 1, 3
    scene.save("labels.png", labels)
    done = scene.run("trimap", "labels.png", "-o", "t.png")
    assert done.code == 1
    assert "error: mask labels.png: is a map of 2 objects: 1 (800 pixels), 3 (560 " in done.err
    assert "--object 1" in done.err
    done = scene.run("trimap", "labels.png", "-o", "t.png", "--object", "3")
    assert (done.code, done.err) == (0, "")
    scene.save("one.png", np.where(labels == 3, 255, 0).astype(np.uint8))
    assert scene.run("trimap", "one.png", "-o", "expected.png").code == 0
    assert (scene.load("t.png") == scene.load("expected.png")).all()
    done = scene.cut("photo.png", "--mask", "labels.png", "--object", "1,3", "--alpha")
    assert (done.code, done.err) == (0, "")
    for wrong in (("--object", "1"), ("--mask", "labels.png", "--object", "one")):
        guide = ("trimap.png",) if len(wrong) == 2 else ()
        done = scene.cut("photo.png", *guide, *wrong, "-o", "no.png")
        assert done.code != 0
        assert "object" in done.err
        assert not (scene.folder / "no.png").exists()


def test_trimap_from_a_mask(scene):
    done = scene.run(
        "trimap", "mask.png", "-o", "t.png", "--inside", 2, "--outside", 5, "--unit", "px"
    )
    assert (done.code, done.err) == (0, "")
    assert done.text.startswith(f"t.png: {WIDTH}×{HEIGHT}, ")
    row = scene.load("t.png")[HEIGHT // 2]
    assert row[:12].tolist() == [0] * 3 + [128] * 7 + [255] * 2


def test_trimap_of_a_soft_mask(scene):
    soft = np.zeros((HEIGHT, WIDTH), np.uint8)
    soft[:, WIDTH // 2 :] = 255
    soft[:, WIDTH // 3 : WIDTH // 2] = 128
    scene.save("soft.png", soft)
    done = scene.run("trimap", "soft.png", "-o", "t.png", "--soft")
    assert (done.code, done.err) == (0, "")
    trimap = scene.load("t.png")
    assert (trimap[soft == 128] == 128).all()
    assert (trimap[0, 0], trimap[0, -1]) == (0, 255)
    assert scene.run("trimap", "soft.png", "-o", "u.png", "--soft", "--from-alpha").code == 2


def test_trimap_from_an_alpha(scene):
    alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
    alpha[:, 20:] = 100
    alpha[:, 24:] = 255
    scene.save("alpha.png", alpha)
    done = scene.run("trimap", "alpha.png", "-o", "t.png", "--from-alpha", "--outside", 2, "--json")
    assert (done.code, done.err) == (0, "")
    facts = json.loads(done.text)
    assert facts["background"] + facts["unknown"] + facts["foreground"] == pytest.approx(1)
    assert scene.load("t.png")[5, 17:28].tolist() == [0] + [128] * 8 + [255] * 2


def test_trimap_into_a_pipe(scene):
    done = scene.run("trimap", "-", "-o", "-", stdin=(scene.folder / "mask.png").read_bytes())
    assert done.code == 0
    assert done.out.startswith(b"\x89PNG")


# ---- batch ---------------------------------------------------------------------------------------


def test_batch_sums_up(scene):
    photos, trimaps = scene.folder / "photos", scene.folder / "trimaps"
    photos.mkdir()
    trimaps.mkdir()
    for name in ("a", "b", "c"):
        scene.save(f"photos/{name}.png", scene.pixels)
    scene.save("trimaps/a.png", scene.trimap)
    scene.save("trimaps/b_trimap.png", scene.trimap)
    command = (
        "batch",
        photos,
        "--trimaps",
        trimaps,
        "-o",
        "out",
        "--alpha",
        "--model",
        scene.model,
    )
    done = scene.run(*command)
    assert done.code == 1
    assert done.text.startswith("out: 2 done, 0 skipped, 1 failed in ")
    before, failure = done.err.splitlines()
    assert before == "warning: 1 of 3 photos has no trimap: c.png"
    assert failure.startswith("failed: c.png: has no trimap")
    scene.save("trimaps/c.png", scene.trimap)
    again = scene.run(*command, "--json")
    assert (again.code, again.err) == (0, "")
    facts = json.loads(again.text)
    assert (facts["done"], facts["skipped"], facts["failed"]) == (1, 2, 0)
    assert [item["status"] for item in facts["items"]] == ["skipped", "skipped", "done"]
    assert sorted(p.name for p in (scene.folder / "out").iterdir()) == [
        "a_alpha.png",
        "b_alpha.png",
        "c_alpha.png",
    ]


# ---- models, convert, routing, info --------------------------------------------------------------


def test_models_are_listed_with_their_terms(scene):
    plain, short = scene.run("models", "list"), scene.run("models")
    assert plain.code == 0
    assert plain.out == short.out
    rows = {line.split()[0]: line for line in plain.text.splitlines()}
    assert "non-commercial" in rows["vitmatte-small-composition-1k"]
    assert scene.run("models", "--json").out == scene.run("models", "list", "--json").out
    listed = {row["name"]: row for row in json.loads(scene.run("models", "list", "--json").text)}
    assert listed["mematte-tiny"]["commercial"] is True
    assert listed["vitmatte-base-distinctions-646"]["commercial"] is False
    uses = {name: row["purpose"] for name, row in listed.items()}
    assert (uses["mematte-tiny"], uses["birefnet-lite"]) == ("matting", "subject")


def test_models_where_and_download_print_the_path(scene):
    for command in ("where", "download"):
        done = scene.run("models", command, scene.model)
        assert (done.code, done.err) == (0, "")
        assert done.text.strip().endswith("model.safetensors")
    facts = json.loads(scene.run("models", "where", scene.model, "--json").text)
    assert facts["name"] == scene.model


@pytest.mark.parametrize("name", ["vitmatte-small-composition-1k", "nobody/nothing", "a--b/c..d"])
def test_models_where_makes_no_connection(scene, monkeypatch, name):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(scene.folder / "empty"))
    monkeypatch.setattr("mematte_plugin.weights.hub.cached", lambda *_: None)
    done = scene.run("models", "where", name)
    assert done.code == 1
    assert "is not on this machine" in done.err


def test_convert_makes_a_folder_that_cuts(scene):
    done = scene.run("convert", scene.model, "converted", "--licence", "mit", "--json")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.text)["output"] == "converted"
    assert "license: mit" in (scene.folder / "converted/README.md").read_text()
    again = scene.run("convert", scene.model, "converted")
    assert again.code == 1
    assert "--overwrite" in again.err
    assert scene.run("convert", scene.model, "converted", "--overwrite").code == 0
    cut = scene.run("cut", "photo.png", "trimap.png", "--alpha", "--model", "./converted")
    assert cut.code == 0


def test_routing_draws_one_panel_for_each_block(scene):
    done = scene.run("routing", "photo.png", "trimap.png", "-o", "r.png", "--model", scene.model)
    assert (done.code, done.err) == (0, "")
    assert done.text.startswith("r.png: block 2: ")
    assert "block 4: " in done.text
    assert scene.load("r.png").shape[1] > 2 * WIDTH or scene.load("r.png").shape[0] > 2 * HEIGHT


@pytest.mark.parametrize(
    ("network", "trimap", "says"),
    [("unrouted", "trimap.png", "has no router"), ("routed", "known.png", "nothing unknown")],
)
def test_routing_needs_something_that_was_routed(scene, models, network, trimap, says):
    scene.save("known.png", np.where(scene.trimap > 128, 255, 0).astype(np.uint8))
    done = scene.run("routing", "photo.png", trimap, "-o", "r.png", "--model", models / network)
    assert done.code in (1, 2)
    assert says in done.err
    assert not (scene.folder / "r.png").exists()


def test_info_tells_what_a_bug_report_needs(scene):
    facts = json.loads(scene.run("info", "--json").text)
    assert facts["mematte-plugin"] == __version__
    assert {"python", "system", "torch", "devices", "memory", "Hub", "Hub cache"} <= facts.keys()
    assert not any(str(value).startswith("failed") for value in facts.values())
    plain = scene.run("info").text
    assert len(plain.splitlines()) == len(facts)


def test_version(scene):
    assert scene.run("--version").text == f"mematte {__version__}\n"


# ---- help and progress ---------------------------------------------------------------------------

COMMANDS = [
    "cut",
    "trimap",
    "batch",
    "routing",
    "plan",
    "models list",
    "models download",
    "models where",
]


@pytest.mark.parametrize("command", [*COMMANDS, "convert", "info"])
def test_help_shows_an_example_and_explains_every_option(scene, command):
    done = scene.run(*command.split(), "--help")
    assert (done.code, done.err) == (0, "")
    assert f"mematte {command}" in done.text.split("Example")[1]
    assert "\x1b" not in done.text


def test_help_says_the_librarys_default_band(scene):
    text = " ".join(scene.run("trimap", "--help").text.split())
    assert text.index(f"Default: {BAND_INSIDE:g} %") < text.index(f"Default: {BAND_OUTSIDE:g} %")


def test_without_arguments_the_help_comes(scene):
    assert scene.run().out == scene.run("--help").out


def test_the_command_line_starts_without_torch():
    code = (
        "import sys; from mematte_plugin.cli.shell import run; run(['cut', '--help'])\n"
        "heavy = {'torch', 'numpy', 'cv2', 'numba', 'huggingface_hub', 'PIL'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=PATIENCE)


def test_progress_is_drawn_on_a_terminal_only(scene, monkeypatch):
    monkeypatch.setattr("rich.console.Console.is_terminal", True)
    monkeypatch.setenv("TERM", "xterm")
    done = scene.cut("photo.png", "trimap.png", "--alpha")
    assert done.code == 0
    assert "writing" in done.err
    assert done.text.count("\n") == 1


def test_file_names_cannot_command_the_terminal(scene):
    scene.save("odd\x1b[31m\n.png", scene.pixels)
    done = scene.cut("odd\x1b[31m\n.png", "trimap.png", "--alpha")
    assert done.code == 0
    assert "\x1b" not in done.text
    assert done.text.count("\n") == 1
    done = scene.cut("gone\x1b[31m\n.png", "trimap.png", "--alpha", "-o", "x.png")
    assert "\x1b" not in done.err
    assert done.err.count("\n") == 1


def test_a_narrow_code_page_is_no_reason_to_fail(monkeypatch):
    import io

    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    console.say("müller.png: 3×4")
    stream.flush()
    assert stream.buffer.getvalue() == b"m?ller.png: 3?4\n"  # type: ignore[attr-defined]


# ---- colours -------------------------------------------------------------------------------------


def test_cut_keeps_a_backgrounds_transparency_but_in_jpeg(scene):
    behind = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    behind[..., 0] = 255
    behind[:, WIDTH // 2 :] = (0, 255, 0, 255)
    scene.save("behind.png", behind)
    done = scene.cut("photo.png", "trimap.png", "--background", "behind.png", "-o", "card.png")
    assert (done.code, done.err) == (0, "")
    card = scene.load("card.png")
    clear = (scene.trimap == 0) & (behind[..., 3] == 0)
    assert (card[clear, 3] == 0).all()
    assert (card[(scene.trimap == 0) & ~clear] == (0, 255, 0, 255)).all()
    done = scene.cut("photo.png", "trimap.png", "--background", "behind.png", "-o", "card.jpg")
    assert done.code == 0
    assert done.err.count("cannot hold the background's transparency; white is put behind it") == 1
    np.testing.assert_allclose(scene.load("card.jpg")[clear], 255, atol=12)


def test_cut_blends_light_when_asked(scene):
    for name, more in (("plain.png", ()), ("light.png", ("--linear-light",))):
        done = scene.cut("photo.png", "trimap.png", "--background", "white", "-o", name, *more)
        assert (done.code, done.err) == (0, "")
    plain, light = scene.load("plain.png").astype(int), scene.load("light.png").astype(int)
    known = scene.trimap != 128
    assert (plain[known] == light[known]).all()
    assert light[~known].sum() > plain[~known].sum()
    done = scene.cut("photo.png", "trimap.png", "--linear-light")
    assert done.code == 2
    assert "needs --background" in done.err


def test_cut_takes_scene_linear_light_by_name(scene):
    pytest.importorskip("OpenEXR")
    for name in ("out.exr", "out.png"):
        done = scene.cut("photo.png", "trimap.png", "--input-space", "ACEScg", "-o", name)
        assert done.code == 0, done.err
    found = read_photo(scene.folder / "out.exr")
    assert found.primaries is not None
    assert found.primaries.red == pytest.approx((0.713, 0.293))
    known = scene.trimap == 255
    np.testing.assert_allclose(found.pixels[known], scene.pixels[known] / 255, atol=1e-3)
    assert read_photo(scene.folder / "out.png").icc_profile is None
    done = scene.cut("photo.png", "trimap.png", "--input-space", "slog3", "-o", "x.png")
    assert done.code == 2
    assert "input space 'slog3': choose one of srgb, display-p3" in done.err


def test_cut_stores_colours_straight_or_premultiplied(scene):
    done = scene.cut("photo.png", "trimap.png", "--premultiplied", "-o", "out.tif")
    assert (done.code, done.err) == (0, "")
    stored = tifffile.imread(scene.folder / "out.tif")
    assert (stored[..., :3] <= stored[..., 3:]).all()
    done = scene.cut("photo.png", "trimap.png", "--premultiplied", "-o", "out.png")
    assert done.code == 2  # before the network is loaded
    assert "out.png: stores straight colours only; use .tif or .exr" in done.err


def test_a_composite_of_hdr_says_what_is_clipped(scene):
    pytest.importorskip("OpenEXR")
    light = (scene.pixels / np.float32(255)).astype(np.float32)
    light[30:34, 30:34] = 6.5
    write_image(scene.folder / "plate.exr", light)
    behind = ("--background", "black", "-o")
    done = scene.cut("plate.exr", "trimap.png", *behind, "card.png")
    assert done.code == 0
    assert done.err.count("plate.exr: colours up to 6.5 times white are clipped") == 1
    done = scene.cut("plate.exr", "trimap.png", *behind, "card.exr")
    assert (done.code, done.err) == (0, "")
    assert read_photo(scene.folder / "card.exr").pixels.max() == 6.5
