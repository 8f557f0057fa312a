"""Which guide belongs to which photo: by names alone, so the files are empty."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from mematte_plugin.batch.folder_scan import Named
from mematte_plugin.batch.listing import BatchListing, list_batch
from mematte_plugin.batch.pairing import pair_by_names
from mematte_plugin.batch.run import BatchOptions
from mematte_plugin.errors import InputError, SettingError


@pytest.fixture
def listing(tmp_path):
    """listing(photos, guides) of two folders; without guides, of one that holds both."""

    def made(photos: str, guides: str | None, **options: object) -> BatchListing:
        folder = tmp_path / "photos"
        other = folder if guides is None else tmp_path / "masks"
        for place, names in ((folder, photos), (other, guides or "")):
            place.mkdir(exist_ok=True)
            for name in names.split():
                (place / name).parent.mkdir(parents=True, exist_ok=True)
                (place / name).touch()
        return list_batch(folder, other, tmp_path / "out", BatchOptions(masks=True, **options))

    return made


def frames(form: str, first: int, last: int) -> str:
    return " ".join(form.format(n) for n in range(first, last + 1))


def pairs(listing: BatchListing) -> str:
    """As "a.jpg=a.png"; photos without a guide stand alone."""
    shown = []
    for entry in listing.entries:
        shown.append(entry.photo.name + (f"={entry.guide.name}" if entry.guide else ""))
        assert bool(entry.guide) != bool(entry.problem)
    return " ".join(shown)


@pytest.mark.parametrize(
    ("photos", "guides", "expected", "how"),
    [
        ("a.jpg b.jpg", "a.png b_mask.png", "a.jpg=a.png b.jpg=b_mask.png", ""),
        ("a.jpg", "a_mask.png a_trimap.png", "a.jpg=a_mask.png", ""),
        ("a.jpg b.jpg", "a-mask.png mask_b.png", "a.jpg=a-mask.png b.jpg=mask_b.png", "by name"),
        ("a.jpg b.jpg", "a_alpha.png b_matte.png", "a.jpg=a_alpha.png b.jpg=b_matte.png", "name"),
        ("a.jpg b.jpg", "a.jpg.png b.jpg_mask.png", "a.jpg=a.jpg.png b.jpg=b.jpg_mask.png", ""),
        ("IMG_0.JPG IMG_1.JPG", "img_0.png img_1.png", "IMG_0.JPG=img_0.png IMG_1.JPG=img_1.png",
         "capitals"),
        ("plate.0001.exr plate.0002.exr", "matte.0001.exr matte.0002.exr",
         "plate.0001.exr=matte.0001.exr plate.0002.exr=matte.0002.exr", "words and numbers"),
        ("shot_0012.png shot_0013.png", "mask-12.png mask-13.png",
         "shot_0012.png=mask-12.png shot_0013.png=mask-13.png", "words and numbers"),
        ("s1_0001_plate.exr s1_0002_plate.exr", "s1_0002_matte.exr s1_0001_matte.exr",
         "s1_0001_plate.exr=s1_0001_matte.exr s1_0002_plate.exr=s1_0002_matte.exr", "words"),
        ("a_plate.1.png b_plate.1.png", "a_matte.1.png b_matte.1.png",
         "a_plate.1.png=a_matte.1.png b_plate.1.png=b_matte.1.png", "words"),
        ("plate_v2.1.exr plate_v2.2.exr", "matte_v1.1.exr matte_v1.2.exr",
         "plate_v2.1.exr=matte_v1.1.exr plate_v2.2.exr=matte_v1.2.exr", "without the version"),
        ("plate_v1.1.exr plate_v2.1.exr", "matte_v2.1.exr",
         "plate_v1.1.exr plate_v2.1.exr=matte_v2.1.exr", "words"),
        ("hero_0001.jpg hero_0002.jpg", "1.png 2.png",
         "hero_0001.jpg=1.png hero_0002.jpg=2.png", "number alone"),
        ("cat_1.jpg cat_2.jpg", "person_1.png person_2.png",
         "cat_1.jpg=person_1.png cat_2.jpg=person_2.png", "number alone"),
        ("label_1.jpg key_1.jpg", "label_mask_1.png key_mask_1.png",
         "key_1.jpg=key_mask_1.png label_1.jpg=label_mask_1.png", "words"),
        ("1.jpg 2.jpg", "label_1.png seg-002.png", "1.jpg=label_1.png 2.jpg=seg-002.png", "words"),
        # Gaps on either side move nothing.
        ("plate.1.exr plate.2.exr plate.4.exr plate.5.exr",
         "matte.1.exr matte.3.exr matte.4.exr matte.5.exr",
         "plate.1.exr=matte.1.exr plate.2.exr plate.4.exr=matte.4.exr plate.5.exr=matte.5.exr",
         "words"),
        # What a photo is called is its own affair.
        ("face.jpg face_mask.jpg", "face.png face_mask.png",
         "face.jpg=face.png face_mask.jpg=face_mask.png", ""),
        ("face.jpg face_mask.jpg", "face_mask.png", "face.jpg face_mask.jpg=face_mask.png", ""),
    ],
)  # fmt: skip
def test_names_that_belong_together(listing, photos, guides, expected, how):
    made = listing(photos, guides)
    assert pairs(made) == expected
    assert how in " ".join(made.notes)
    if not how:
        assert "paired by" not in " ".join(made.notes)


@pytest.mark.parametrize(
    ("photos", "guides", "says"),
    [
        ("a.jpg", "a_alpha.png a_matte.png", "has 2 masks (a_alpha.png, a_matte.png"),
        ("001.jpg", "1.png 0001.png", "has 2 masks"),
        ("Ab.jpg", "ab.png AB.png", "has 2 masks"),
        ("plate_v3.1.exr", "matte_v1.1.exr matte_v2.1.exr", "has 2 masks"),
        ("img_1.jpg photo_1.jpg", "mask_1.png", "but so may"),
    ],
)
def test_ambiguous_guides_are_reported_and_not_chosen(listing, photos, guides, says):
    made = listing(photos, guides)
    assert all(says in entry.problem and entry.guide is None for entry in made.entries)


@pytest.mark.parametrize(
    ("photos", "guides", "remedy"),
    [
        (frames("{:05}.jpg", 1, 5), frames("{:05}.png", 0, 4), "{n}:{n-1}"),
        (frames("{:05}.jpg", 0, 4), frames("{:05}.png", 1, 5), "{n}:{n+1}"),
        (frames("f_{}.jpg", 1, 5), frames("mask{:03}.png", 0, 4), "f_{n}:mask{n-1}"),
        (frames("hero {}.jpg".replace(" ", "_"), 1, 4), frames("{:05}.png", 0, 3),
         "hero_{n}:{n-1}"),
        (frames("{}.jpg", 11, 19), frames("{}.png", 1, 15), "{n}:{n-4}"),
        (f"{frames('{}.jpg', 1, 4)} {frames('{}.jpg', 6, 9)}", frames("{}.png", 0, 7), "{n}:{n-1}"),
        (f"{frames('a_plate_{}.jpg', 1, 4)} {frames('b_plate_{}.jpg', 1, 4)}",
         f"{frames('a_mask_{}.png', 1, 4)} {frames('b_mask_{}.png', 0, 3)}",
         "b_plate_{n}:b_mask_{n-1}"),
    ],
)  # fmt: skip
def test_frames_that_count_from_another_start_are_refused(listing, photos, guides, remedy):
    with pytest.raises(InputError, match="would be cut with the mask of another frame") as refused:
        listing(photos, guides)
    shifted, equal = re.findall(r"--pair '([^']*)'", str(refused.value))
    if remedy not in ("{n}:{n-4}", "b_plate_{n}:b_mask_{n-1}"):
        assert shifted == remedy
    # Both remedies work: with one the numbers differ, with the other they do not.
    for pair, same in ((shifted, False), (equal, True)):
        made = listing(photos, guides, pair=pair)
        cut = [entry for entry in made.entries if entry.guide]
        assert cut
        for entry in cut:
            numbers = [
                int(re.findall(r"\d+", path.stem)[-1]) for path in (entry.photo, entry.guide)
            ]
            assert (numbers[0] == numbers[1]) is same


def test_an_unused_guide_is_reported(listing):
    made = listing(frames("{:05}.jpg", 1, 5), frames("{:05}.png", 0, 5))
    assert pairs(made) == frames("{0:05}.jpg={0:05}.png", 1, 5)
    (note,) = made.notes
    assert "1 of 6 masks is not used: 00000.png; if the masks count from another start" in note
    assert made.missing == ()
    other = listing("", "", pair=note.split("'")[1])
    assert [entry.guide and int(entry.guide.stem) for entry in other.entries] == [0, 1, 2, 3, 4]


def test_masks_of_missing_photos_are_reported_without_a_pattern(listing):
    made = listing("a1.jpg a2.jpg a9.jpg b.jpg", "a1.png a2.png a5.png a9.png b.png")
    (note,) = made.notes
    assert note.endswith("1 of 5 masks is not used: a5.png")


def test_photos_without_a_guide_are_reported_in_one_line(listing):
    made = listing(frames("{:05}.jpg", 1, 900), "00007.png")
    assert made.missing == ("899 of 900 photos have no mask: 00001.jpg, 00002.jpg, 00003.jpg, …",)


@pytest.mark.parametrize(
    ("photos", "guides", "pair"),
    [
        ("plate.1001.exr plate.1002.exr", "matte.1.exr matte.2.exr", "plate.{n}:matte.{n-1000}"),
        ("cat_1.jpg cat_2.jpg cat_3.jpg", "person_1.png person_2.png", "cat_{n}:person_{n}"),
        ("shot1_1.jpg shot1_2.jpg", "shot2_1.png shot2_2.png", "shot1_{n}:shot2_{n}"),
    ],
)
def test_where_nothing_pairs_the_remedy_does(listing, photos, guides, pair):
    with pytest.raises(InputError, match=r"none of the .* photos has a mask") as refused:
        listing(photos, guides)
    assert f"--pair '{pair}'" in str(refused.value)
    assert "=" in pairs(listing(photos, guides, pair=pair))


def test_guides_in_inner_folders_are_reported(listing):
    with pytest.raises(InputError, match="holds folders, which only --recursive looks into"):
        listing("1.jpg 2.jpg", "a/1.png a/2.png")


def test_one_photo_and_one_mask_of_another_name_are_no_pair(listing):
    with pytest.raises(InputError, match=r"cat_1\.jpg: has no mask"):
        listing("cat_1.jpg", "dog_1.png")


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        ("face.jpg face_mask.png", "face.jpg=face_mask.png"),
        ("face.jpg face_mask.jpg", "face.jpg=face_mask.jpg"),
        ("face_mask.jpg a.jpg a_mask.png", "a.jpg=a_mask.png face_mask.jpg"),
        ("face_mask.jpg face_mask_mask.png", "face_mask.jpg=face_mask_mask.png"),
        ("face.jpg face_mask.jpg face_mask_mask.png", "face.jpg face_mask.jpg=face_mask_mask.png"),
        ("face.jpg face_mask.jpg face_mask.png face_mask_mask.png",
         "face.jpg=face_mask.png face_mask.jpg=face_mask_mask.png"),
        ("face.jpg face_mask.jpg face_mask.png", "face.jpg=face_mask.png face_mask.jpg"),
        ("a.jpg A_Mask.png b.jpg mask-b.png c.jpg c.jpg.png",
         "a.jpg=A_Mask.png b.jpg=mask-b.png c.jpg=c.jpg.png"),
        # Loose rules would make guides of photos here.
        ("plate.1.png plate.2.png matte.1.png a.png a_mask.png",
         "a.png=a_mask.png matte.1.png plate.1.png plate.2.png"),
    ],
)  # fmt: skip
def test_in_a_shared_folder_an_ending_makes_a_guide_only_with_its_photo(listing, images, expected):
    assert pairs(listing(images, None)) == expected


def test_a_photo_named_like_a_mask_is_reported_in_a_shared_folder(listing):
    made = listing("face_mask.jpg a.jpg a_mask.png", None)
    assert "1 file is taken for a photo, though named as a mask is: face_mask.jpg" in made.notes[0]


@pytest.mark.parametrize(
    ("photos", "guides", "pair", "expected"),
    [
        ("a_plate.0001.exr b_plate.0001.exr x.exr", "a_matte.1.exr b_matte.1.exr",
         "{name}_plate.{n}:{name}_matte.{n}",
         "a_plate.0001.exr=a_matte.1.exr b_plate.0001.exr=b_matte.1.exr"),
        ("5.jpg 6.jpg", "5.png", "{n}:{n-1}", "5.jpg 6.jpg=5.png"),
        ("1.jpg 2.jpg", "garbage.png", "{n}:garbage", "1.jpg=garbage.png 2.jpg=garbage.png"),
        ("a-x7.jpg b-y8.jpg", "x7_1.png y8_2.png", "*-{id}:{id}_*",
         "a-x7.jpg=x7_1.png b-y8.jpg=y8_2.png"),
        ("A_1.jpg", "a_1.png", "{name}_{n}:{name}_{n}", "A_1.jpg=a_1.png"),
        ("raw.1.jpg raw.1.tif", "raw.1.png", "{name}.tif:{name}", "raw.1.tif=raw.1.png"),
        ("a.jpg a.png b.jpg b.png", None, "{name}.jpg:{name}.png", "a.jpg=a.png b.jpg=b.png"),
        ("a.jpg a_m.png b_m.jpg b_m_m.png", None, "{name}:{name}_m",
         "a.jpg=a_m.png b_m.jpg=b_m_m.png"),
    ],
)  # fmt: skip
def test_a_pattern_says_what_belongs_together(listing, photos, guides, pair, expected):
    assert pairs(listing(photos, guides, pair=pair)) == expected


@pytest.mark.parametrize(
    ("pair", "says"),
    [
        ("abc", "write PHOTO:GUIDE"),
        ("{n}:", "write PHOTO:GUIDE"),
        ("{n}:{n}:{n}", "write PHOTO:GUIDE"),
        ("{name:{name}", "'{name' is not a field"),
        ("{na me}:{n}", "is not a field"),
        ("a:b", "has no field"),
        ("{a}:{b}", "the guide has {b}"),
        ("{name+1}:{name}", "only numbers take"),
        ("{n}_{n+1}:{n}", "is there twice"),
        ("{s}/{n}:{s}_{n}", "--recursive"),
    ],
)
def test_patterns_that_are_none_are_refused(listing, pair, says):
    with pytest.raises(SettingError, match=re.escape(says)):
        listing("1.jpg", "1.png", pair=pair)


def test_a_pattern_that_no_photo_has_is_refused(listing):
    with pytest.raises(InputError, match=r"no photo is named as --pair '{name}_plate' says"):
        listing("a.jpg", "a.png", pair="{name}_plate:{name}")


# ---- folders inside the folder -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "pair", "expected"),
    [
        (("1.jpg a/1.jpg b/1.jpg", "1.png a/1.png b/1.png"), None, ["1.png", "a/1.png", "b/1.png"]),
        (("A/1.jpg", "a/1.png"), None, ["a/1.png"]),
        (("a/1.jpg b/2.jpg", "1.png 2.png"), None, ["1.png", "2.png"]),
        (("a/1.jpg b/1.jpg c/2.jpg", "1.png 2.png"), None, [None, None, "2.png"]),
        (("a/1.jpg b/2.jpg", "b/1.png b/2.png"), None, [None, "b/2.png"]),
        (("a/plate.1.exr b/plate.1.exr", "a_matte.1.exr b_matte.1.exr"), None,
         ["a_matte.1.exr", "b_matte.1.exr"]),
        (("a/rgb/1.exr b/rgb/1.exr", "a/masks/1.png b/masks/1.png"), None,
         ["a/masks/1.png", "b/masks/1.png"]),
        (("a/1.jpg b/1.jpg", "a_1.png b_1.png"), "{s}/{n}:{s}_{n}", ["a_1.png", "b_1.png"]),
        (("a/1.jpg b/1.jpg", "1.png"), "{n}:{n}", [None, None]),
        (("a/p/1.jpg a/m/1.png b/p/1.jpg b/m/1.png", None), "{s}/p/{n}:{s}/m/{n}",
         ["../photos/a/m/1.png", "../photos/b/m/1.png"]),
    ],
)  # fmt: skip
def test_a_tree_is_paired_place_by_place(listing, tmp_path, names, pair, expected):
    made = listing(*names, recursive=True, pair=pair)
    masks = tmp_path / "masks"
    assert [entry.guide and os.path.relpath(entry.guide, masks) for entry in made.entries] == [
        name and str(Path(name)) for name in expected
    ]
    for entry in made.entries:
        place = entry.photo.relative_to(tmp_path / "photos").with_suffix(".png")
        assert entry.output == tmp_path / "out" / place


def test_links_in_a_circle_come_to_an_end(listing, tmp_path):
    inner = tmp_path / "photos" / "a"
    inner.mkdir(parents=True)
    try:
        (inner / "up").symlink_to(tmp_path / "photos", target_is_directory=True)
        (inner / "itself").symlink_to(inner / "itself")
        (tmp_path / "photos" / "b").symlink_to(inner, target_is_directory=True)
    except OSError:
        pytest.skip("no links here")
    made = listing("a/1.jpg 2.jpg", "a/1.png 2.png", recursive=True)
    assert pairs(made) == "2.jpg=2.png 1.jpg=1.png"


def test_guides_and_results_inside_the_photos_folder_are_no_photos(tmp_path):
    for name in ("a.jpg", "s/b.jpg", "masks/a.png", "masks/s/b.png", "out/a.png", ".thumbs/a.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    options = BatchOptions(masks=True, recursive=True)
    made = list_batch(tmp_path, tmp_path / "masks", tmp_path / "out", options)
    assert pairs(made) == "a.jpg=a.png b.jpg=b.png"


def test_folders_that_are_not_looked_into_are_named_as_the_remedy(listing):
    with pytest.raises(InputError, match="--recursive"):
        listing("a/1.jpg", "a/1.png")


# ---- results that would collide ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("photos", "says"),
    [
        ("a.jpg a.tif", r"a\.tif: would have the same result as a\.jpg"),
        ("s/a.jpg s/a.png", r"a\.png: would have the same result as s/a\.jpg"),
        ("mu\u0308.jpg m\u00fc.jpg", "would have the same result"),
    ],
)
def test_two_photos_with_one_result_are_refused(listing, photos, says):
    with pytest.raises(InputError, match=says):
        listing(photos, "a.png", recursive=True)


@pytest.mark.parametrize(
    ("photos", "guides", "expected"),
    [
        ("a.jpg a.tif b.jpg b.tif", "a_mask.png b_mask.png", "a.jpg=a_mask.png b.jpg=b_mask.png"),
        ("a.jpg a.tif b.jpg b.tif", "a.png b.png", "a.jpg=a.png b.jpg=b.png"),
        ("a.jpg a.png b.jpg b.png", None, "a.jpg=a.png b.jpg=b.png"),
    ],
)
def test_the_suggested_pattern_lets_one_of_two_photos_be_cut(listing, photos, guides, expected):
    with pytest.raises(InputError, match="would have the same result") as refused:
        listing(photos, guides)
    (pair,) = re.findall(r"--pair '([^']*)'", str(refused.value))
    assert pairs(listing(photos, guides, pair=pair)) == expected


def test_capitals_collide_where_the_disk_takes_them_for_small_letters(
    listing, tmp_path, monkeypatch
):
    if (tmp_path.with_name(tmp_path.name.swapcase())).exists():
        pytest.skip("the disk cannot hold both names")
    assert pairs(listing("A.jpg a.jpg", "A.png a.png")) == "A.jpg=A.png a.jpg=a.png"
    # A second name for the folder, as a disk without capitals has it.
    swapped = tmp_path.with_name(tmp_path.name.swapcase())
    swapped.symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(InputError, match=r"a\.jpg: would have the same result as A\.jpg"):
        listing("", "")


NAME_PARTS = st.sampled_from(
    re.findall(r"\w+", "plate matte mask frame v2 IMG img face Trimap ü ß 1 2 01 002")
)
SOME_NAMES = st.lists(
    st.lists(NAME_PARTS, min_size=1, max_size=4).map("_".join), min_size=1, max_size=6, unique=True
)


@given(SOME_NAMES, SOME_NAMES, st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_pairs_hold_whatever_the_names(photos, guides, random):
    def named(stems):
        return [Named(Path(f"{stem}.png"), (), stem, ".png") for stem in stems]

    def found(photos, guides):
        try:
            pairing = pair_by_names(named(photos), named(guides), "mask", Path("masks"))
        except InputError:
            return None
        assert len(set(pairing.guide_of.values())) == len(pairing.guide_of)
        assert all(bool(pairing.problem(i)) != (i in pairing.guide_of) for i in range(len(photos)))
        return {photos[photo]: guides[guide] for photo, guide in pairing.guide_of.items()}

    pairs = found(photos, guides)
    for photo, guide in (pairs or {}).items():
        numbers = [
            sorted(int(part) for part in name.split("_") if part.isdecimal())
            for name in (photo, guide)
        ]
        assert set(numbers[0]) <= set(numbers[1]) or set(numbers[1]) <= set(numbers[0])
        # A photo whose name a guide has gets no other guide.
        assert photo not in guides or guide == photo
    random.shuffle(photos)
    random.shuffle(guides)
    assert found(photos, guides) == pairs


@pytest.mark.slow
def test_a_hundred_thousand_frames_are_paired(tmp_path):
    # By a rule that looks at words: quadratic work would not come to an end.
    count = 100_000 if sys.gettrace() is None else 1000
    photos, guides = (
        [Named(tmp_path / f"{word}.{n}.png", (), f"{word}.{n}", ".png") for n in range(count)]
        for word in ("plate", "matte")
    )
    pairing = pair_by_names(photos, guides, "mask", tmp_path)
    assert pairing.guide_of == {n: n for n in range(count)}
