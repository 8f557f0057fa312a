"""Which pictures of a folder that holds both are photos, and which are guides."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TypeAlias

from .folder_scan import Named
from .name_words import bases, folded
from .pair_pattern import Fields, Pattern, projected

_Key: TypeAlias = tuple[tuple[str, ...], str]
"""Folder and folded stem."""

_OF_MASKS = frozenset((".png", ".tif", ".tiff", ".exr", ".bmp", ".gif"))
"""Suffixes of a guide, if a name could be either; JPEG and camera raw are photographs."""


def split_shared(images: Sequence[Named], *, masks: bool) -> tuple[list[Named], list[Named]]:
    """(photos, guides) of a folder that holds both.

    hair_mask is a guide only if there is a photo hair. If there is also hair_mask_mask, hair_mask
    is a photo itself; of hair_mask.jpg and hair_mask.png then, and if both could be the guide of
    hair, the JPEG is the photo.
    """
    groups: dict[_Key, list[Named]] = defaultdict(list)
    by_full_name: dict[_Key, _Key] = {}
    for image in images:
        key = image.place, folded(image.stem)
        groups[key].append(image)
        by_full_name[image.place, folded(image.stem + image.suffix)] = key
    has_guide: set[_Key] = set()
    guides: set[Named] = set()
    # The longest names first: a guide's name is longer than its photo's.
    for key in sorted(groups, key=lambda key: (-len(key[1]), key)):
        place, stem = key
        owner = by_full_name.get(key)  # photo.jpg.png
        for base, _, _ in bases(stem, masks=masks):
            named = place, base
            owner = owner or (named if named in groups else by_full_name.get(named))
        if owner is None:
            continue
        group = groups[key]
        likely = [image for image in group if image.suffix.lower() in _OF_MASKS]
        if len(likely) == 1 and len(group) > 1:
            group = likely
        elif key in has_guide:
            continue  # a photo, or several, whose results collide
        guides.update(group)
        has_guide.add(owner)
    return _split(images, guides)


def split_by_pattern(
    images: Sequence[Named], pair: tuple[Pattern, Pattern]
) -> tuple[list[Named], list[Named]]:
    """(photos, guides) of a folder that holds both, as a pattern says.

    What may be either is a guide if there is a photo of its fields, and else a photo.
    """
    photo_side, guide_side = pair
    names = guide_side.fields
    may_be_photo: dict[Fields, set[Named]] = defaultdict(set)
    for image in images:
        if (fields := photo_side.read(image)) is not None:
            may_be_photo[projected(fields, names, fold=True)].add(image)
    guides = set()
    for image in images:
        if (fields := guide_side.read(image)) is not None:
            owners = may_be_photo.get(projected(fields, names, fold=True), set())
            if photo_side.read(image) is None or owners - {image}:
                guides.add(image)
    return _split([i for i in images if i in guides or photo_side.read(i) is not None], guides)


def named_like_guides(photos: Sequence[Named], *, masks: bool) -> list[Named]:
    """The photos whose names a guide could have."""
    return [photo for photo in photos if any(True for _ in bases(photo.stem, masks=masks))]


def _split(images: Sequence[Named], guides: set[Named]) -> tuple[list[Named], list[Named]]:
    photos = [image for image in images if image not in guides]
    return photos, [image for image in images if image in guides]
