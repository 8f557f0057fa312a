"""A folder that holds photos and their guides: which is which."""

from __future__ import annotations

from collections.abc import Sequence

from .folder_scan import Named
from .name_words import bases, folded
from .pair_pattern import Fields, parse_pair, projected

_OF_MASKS = frozenset((".png", ".tif", ".tiff", ".exr", ".bmp", ".gif"))
"""Suffixes that masks have, too, where a name says both; JPEG and camera raw are photographs."""


def split_shared(images: Sequence[Named], *, masks: bool) -> tuple[list[Named], list[Named]]:
    """(photos, guides) of a folder that holds both.

    hair_mask is a guide only where there is a photo hair. With hair_mask_mask beside it, hair_mask
    is a photo itself; of hair_mask.jpg and hair_mask.png then, and where both could be the guide of
    hair, the JPEG is the photo.
    """
    groups: dict[tuple[tuple[str, ...], str], list[Named]] = {}
    for image in images:
        groups.setdefault((image.place, folded(image.stem)), []).append(image)
    by_full_name = {(image.place, folded(image.stem + image.suffix)): image for image in images}
    has_guide: set[tuple[tuple[str, ...], str]] = set()
    guides: set[Named] = set()
    # The longest names first: a guide's name is longer than its photo's.
    for key in sorted(groups, key=lambda key: (-len(key[1]), key)):
        place, stem = key
        base = _base(place, stem, groups, by_full_name, masks=masks)
        if base is None:
            continue
        group = groups[key]
        likely = [image for image in group if image.suffix.lower() in _OF_MASKS]
        if key not in has_guide and len(group) == 1:
            found = group
        elif len(likely) == 1 and len(group) > 1:
            found = likely
        elif key in has_guide:
            continue  # a photo, or several, which the collision of their results tells
        else:
            found = group
        guides.update(found)
        has_guide.add(base)
    return [image for image in images if image not in guides], [
        image for image in images if image in guides
    ]


def split_by_pattern(images: Sequence[Named], pair: str) -> tuple[list[Named], list[Named]]:
    """(photos, guides) of a folder that holds both, as a pattern says.

    What may be either is a guide where the photo of its fields is there, and else a photo.
    """
    photo_side, guide_side = parse_pair(pair)
    names = guide_side.fields
    may_be_photo: dict[Fields, set[Named]] = {}
    for image in images:
        if (fields := photo_side.read(image)) is not None:
            may_be_photo.setdefault(projected(fields, names, fold=True), set()).add(image)
    photos, guides = [], []
    for image in images:
        mine, fields = photo_side.read(image), guide_side.read(image)
        owners = (
            set()
            if fields is None
            else may_be_photo.get(projected(fields, names, fold=True), set())
        )
        if fields is not None and (mine is None or owners - {image}):
            guides.append(image)
        elif mine is not None:
            photos.append(image)
    return photos, guides


def named_like_guides(photos: Sequence[Named], *, masks: bool) -> list[Named]:
    """Those that are called as a guide is."""
    return [photo for photo in photos if any(True for _ in bases(photo.stem, masks=masks))]


def _base(
    place: tuple[str, ...],
    stem: str,
    groups: dict[tuple[tuple[str, ...], str], list[Named]],
    by_full_name: dict[tuple[tuple[str, ...], str], Named],
    *,
    masks: bool,
) -> tuple[tuple[str, ...], str] | None:
    """The group of photos whose guide a stem names."""
    if photo := by_full_name.get((place, stem)):  # photo.jpg.png
        return place, folded(photo.stem)
    for base, _, _ in bases(stem, masks=masks):
        if (place, base) in groups:
            return place, base
        if photo := by_full_name.get((place, base)):  # photo.jpg_mask.png
            return place, folded(photo.stem)
    return None
