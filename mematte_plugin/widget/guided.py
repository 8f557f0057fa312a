"""A widget's photo and its guide: what is given, what is painted over it, and the trimap."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import traitlets
from numpy.typing import NDArray

from ..errors import InputError, MEMatteError, collect_notes
from ..images.arrays import to_unit
from ..images.photo import Photo
from ..images.read import read_photo
from ..trimap.masks import read_mask
from ..trimap.painting import Stroke, Unpainted, from_painting, lays_band, paint_over
from ..trimap.trimap import (
    from_mask,
    normalise_trimap,
    resize_nearest,
)
from .options import MattingOptions
from .traits import Array, AssignedArray

PROXY = 1024
"""Longer side, in pixels, of the small picture that is painted on."""

NO_PHOTO = "Give a photo first."
NO_TRIMAP = (
    "Click the subject with the wand or paint over it. Then mark soft edges as unsure, or paint "
    "background too; or hand in a trimap or mask."
)
NO_FOREGROUND = "No foreground is painted: paint over what surely belongs to the subject."
NO_UNKNOWN = (
    "Nothing is unknown, so there is nothing to compute: paint the soft edges as unsure, or widen "
    "the band."
)


class GuidedPhoto(MattingOptions):
    """A photo whose trimap is given, painted, or both.

    proxy: (h, w, 3) uint8, display-encoded, its longer side at most 1024 pixels: what is painted
        on.

    The arrays of `trimap`, `small_trimap`, `mask` and `labels` are read-only: copy one, edit the
    copy and assign it.
    """

    trimap = AssignedArray(help="(H, W) uint8 of 0, 128, 255, or None; assigning clears strokes")
    mask = AssignedArray(help="(H, W) float32 in [0, 1], or None; assigning clears strokes")
    labels = AssignedArray(help="(h, w) uint8 `Stroke`, of the proxy's size: what is painted")
    photo = Array(read_only=True, help="the `Photo`, or None")
    small_trimap = Array(read_only=True, help="`trimap` at the proxy's size")
    has_base = traitlets.Bool(False, read_only=True, help="a trimap or mask is given").tag(
        sync=True
    )
    band_counts = traitlets.Bool(True, read_only=True, help="the band is in use").tag(sync=True)
    notes: traitlets.List[str] = traitlets.List(
        read_only=True, help="remarks on what was given, or on the last run"
    ).tag(sync=True)

    def __init__(
        self, image: Any, trimap: Any, mask: Any, *, inside: float, outside: float, **traits: Any
    ) -> None:
        self.arrays: dict[str, Any] = {}
        self.proxy = np.zeros((0, 0, 3), np.uint8)
        # What is given, as a trimap: at the proxy's size and at the photo's.
        self._base: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None = None
        self._read(image, trimap, mask, inside, outside)  # before the page shows anything
        super().__init__(inside=inside, outside=outside, **traits)
        self.observe(self._on_band, ["inside", "outside"])
        self.observe(lambda _: self._refresh(), "unpainted")

    def change_photo(self, image: Any, trimap: Any = None, mask: Any = None) -> None:
        """Start over with another photo; a running computation is cancelled.

        image, trimap, mask: as for the constructor, which raises the same errors.
        """
        with self._reporting():
            self._read(image, trimap, mask, **self._band())
        self._on_opened()
        self._refresh()

    def clear(self) -> None:
        """Remove all strokes."""
        self.labels = None

    def _read(self, image: Any, trimap: Any, mask: Any, inside: float, outside: float) -> None:
        """Read photo and guide; change nothing if either cannot be used."""
        if trimap is not None and mask is not None:
            raise InputError("both a trimap and a mask are given; leave one of them out")
        with collect_notes() as notes:
            photo: Any = read_photo(image) if not isinstance(image, Photo | None) else image
            if photo is not None and trimap is None and mask is None and _shows_subject(photo):
                mask = to_unit(photo.alpha)
                photo = replace(photo, alpha=None)  # a rough mask must not cap the matte
            base, read = read_guide(photo, trimap, mask, inside, outside)
        self.set_trait("notes", notes)
        self._on_given()
        self.proxy = np.zeros((0, 0, 3), np.uint8) if photo is None else photo.proxy(PROXY)
        self._set_base(base, read)
        self.set_trait("photo", photo)
        self.set_trait("labels", sealed(np.zeros(self.proxy.shape[:2], np.uint8)))

    def _assign(self, name: str, value: Any) -> None:
        """Assign to `trimap`, `mask` or `labels`."""
        with self._reporting():
            if name == "labels":
                labels = self._checked_labels(value)
            else:
                given = {"trimap": None, "mask": None, name: value}
                with collect_notes() as notes:
                    base, mask = read_guide(self.photo, **given, **self._band())
                self.set_trait("notes", notes)
                self._on_given()
                self._set_base(base, mask)
                labels = np.zeros(self.proxy.shape[:2], np.uint8)
            self.set_trait("labels", sealed(labels))
        self._refresh()

    def _set_base(self, base: NDArray[np.uint8] | None, mask: NDArray[np.float32] | None) -> None:
        height, width = self.proxy.shape[:2]
        self._base = None if base is None else (_shrunk(base, (height, width)), base)
        self.set_trait("has_base", base is not None)
        self.set_trait("mask", mask)

    def _checked_labels(self, value: Any) -> NDArray[np.uint8]:
        size = self.proxy.shape[:2]
        if value is None:
            return np.zeros(size, np.uint8)
        labels = np.asarray(value)
        if labels.shape != size or labels.dtype.kind not in "iu":
            raise InputError(
                f"labels: are {labels.dtype} of shape {labels.shape}; give integers of the proxy's"
                f" shape {size}"
            )
        if labels.size and not min(Stroke) <= labels.min() <= labels.max() <= max(Stroke):
            raise InputError(
                "labels: use 0 unpainted, 1 background, 2 unknown, 3 foreground (Stroke)"
            )
        return labels.astype(np.uint8)  # a copy, which the caller cannot change

    def _band(self) -> dict[str, float]:
        return {"inside": self.inside, "outside": self.outside}

    def _on_band(self, _change: Any) -> None:
        if self.mask is not None:
            with self._reporting(), collect_notes() as notes:
                self._set_base(self._banded(), self.mask)
            self.set_trait("notes", notes)
        self._refresh()

    def _banded(self) -> NDArray[np.uint8] | None:
        """The trimap of the mask."""
        return read_guide(self.photo, None, self.mask, **self._band())[0]

    def _refresh(self) -> None:
        """Make the trimap from what is given and painted."""
        labels, unpainted = self.labels, cast(Unpainted, self.unpainted)
        fault, small, full = "", None, None
        if self._base is not None:
            small, full = self._base
            small = paint_over(small, labels) if labels.any() else small
        elif (labels == Stroke.FOREGROUND).any():
            try:
                with collect_notes() as notes:
                    small = from_painting(
                        labels, unpainted=unpainted, inside=self.inside, outside=self.outside
                    )
                fault = " ".join(notes)
            except MEMatteError as error:
                fault = str(error)
        self.set_trait("small_trimap", sealed(small))  # first: the page waits for it
        if full is not None:
            full = paint_over(full, labels) if labels.any() else full
        elif small is not None:
            full = resize_nearest(small, self.photo.size)
        self.set_trait("trimap", sealed(full))
        in_use = self.mask is not None or (not self.has_base and lays_band(labels, unpainted))
        self.set_trait("band_counts", in_use)
        self._on_changed(fault or self._why_not())

    def _on_opened(self) -> None:
        """For subclasses: another photo is there."""

    def _on_given(self) -> None:
        """For subclasses: a trimap, a mask or a photo is given, and replaces what was."""

    def _on_changed(self, fault: str) -> None:
        """For subclasses: the trimap has changed.

        fault: why no matte can be computed from it, or "".
        """

    def _why_not(self) -> str:
        """Why no matte can be computed, or ""."""
        if self.photo is None:
            return NO_PHOTO
        if self.trimap is None:
            return NO_FOREGROUND if self.labels.any() else NO_TRIMAP
        small = self.small_trimap
        return "" if ((small > 0) & (small < 255)).any() else NO_UNKNOWN


def sealed(array: Any) -> Any:
    """The array, read-only, because writing into it would change neither page nor matte."""
    if array is not None:
        array.flags.writeable = False
    return array


def read_guide(
    photo: Photo | None, trimap: Any, mask: Any, inside: float, outside: float
) -> tuple[NDArray[np.uint8] | None, NDArray[np.float32] | None]:
    """The trimap at the photo's size, and the mask it was made from; None for those not given."""
    for name, value in (("trimap", trimap), ("mask", mask)):
        if value is not None and photo is None:
            raise InputError(f"{name}: {NO_PHOTO}")
    if photo is None or (trimap is None and mask is None):
        return None, None
    if mask is None:
        three = normalise_trimap(trimap, photo.size)
        return np.rint(three * 255).astype(np.uint8), None  # 0.5 becomes 128
    soft = sealed(np.array(read_mask(mask)))  # a copy: the caller's array stays writable
    return from_mask(soft, size=photo.size, inside=inside, outside=outside), soft


def _shrunk(trimap: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A trimap (H, W) at the smaller size (h, w): known where all of it is, so that no thin part of
    the unknown band is lost."""
    if trimap.shape == size:
        return trimap
    import cv2

    mean = cv2.resize(trimap, size[::-1], interpolation=cv2.INTER_AREA)
    small = np.full(size, 128, np.uint8)
    small[mean == 0] = 0
    small[mean == 255] = 255
    return small


def _shows_subject(photo: Photo) -> bool:
    """Whether the photo's own transparency separates subject and background."""
    if photo.alpha is None:
        return False
    half = to_unit(photo.alpha) >= 0.5
    return bool(half.any() and not half.all())
