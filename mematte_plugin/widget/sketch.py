"""The photo of a widget and its trimap: what is given, and what is painted over it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import RLock
from typing import Any, cast

import numpy as np
import traitlets
from numpy.typing import NDArray

from ..errors import InputError, MEMatteError, SettingError, collect_notes
from ..images.decoded import to_unit
from ..images.photo import Photo
from ..images.read import read_photo
from ..trimap.masks import read_mask
from ..trimap.painting import Stroke
from ..trimap.trimap import BAND_INSIDE, BAND_OUTSIDE, normalise_trimap, trimap_for
from . import guide
from .traits import Array, Checked, HandedIn

PROXY = 1024
"""Longer side in pixels of what is painted on."""

NOTHING_YET = (
    "Paint over the subject. Then mark soft edges as unsure, or paint background too; "
    "or hand in a trimap or mask."
)
NO_PHOTO = "Give a photo first."
NO_FOREGROUND = "No foreground is painted: paint over what surely belongs to the subject."
NO_UNKNOWN = (
    "Nothing is unknown, so that there is nothing to compute: paint the soft edges as unsure, or "
    "widen the band."
)


class Sketch(traitlets.HasTraits):
    """A photo whose trimap is given, painted, or both.

    proxy: (h, w, 3) uint8, display-encoded, its longer side at most 1024 pixels: what is painted
        on.

    The arrays of `trimap`, `small_trimap`, `mask` and `labels` are read-only: copy, edit, set them.
    """

    # Arrays are Python's alone.
    trimap = HandedIn(help="(H, W) uint8 of 0, 128, 255, or None; setting it clears the strokes")
    mask = HandedIn(help="(H, W) float32 in [0, 1], or None; setting it clears the strokes")
    labels = HandedIn(help="(h, w) uint8 `Stroke`, of the proxy's size: what has been painted")
    photo = Array(None, allow_none=True, read_only=True, help="the `Photo`")
    small_trimap = Array(None, allow_none=True, read_only=True, help="`trimap`, at proxy size")
    # Plain values are tagged for front ends, which share them with the page.
    inside = Checked(BAND_INSIDE, help="band inward, % of the subject").tag(sync=True)
    outside = Checked(BAND_OUTSIDE, help="band outward, % of the subject").tag(sync=True)
    unpainted = traitlets.Enum(
        ("auto", "background", "unknown"), "auto", help="what unpainted pixels are"
    ).tag(sync=True)
    has_base = traitlets.Bool(False, read_only=True, help="trimap or mask is given").tag(sync=True)
    band_counts = traitlets.Bool(True, read_only=True, help="a band is laid").tag(sync=True)
    message = traitlets.Unicode("", read_only=True, help="a sentence for the user").tag(sync=True)
    notes: traitlets.List[str] = traitlets.List(
        read_only=True, help="what else to know of what was given, or of the last run"
    ).tag(sync=True)

    def __init__(
        self, image: Any, trimap: Any, mask: Any, inside: float, outside: float, **traits: Any
    ) -> None:
        self._state = RLock()  # for what belongs together, never while observers are called
        # While a message of the page is handled, or the computing thread tells: ipywidgets takes no
        # two threads at once. Observers of either run with it.
        self._lock = RLock()
        self._version = 0
        self._base: NDArray[np.uint8] | None = None
        self._small_base: NDArray[np.uint8] | None = None
        self.proxy = np.zeros((0, 0, 3), np.uint8)
        # What can be wrong is looked at before there is anything in the page.
        self._take(image, trimap, mask, inside, outside)
        super().__init__(inside=inside, outside=outside, **traits)
        self.observe(self._on_band, ["inside", "outside"])
        self.observe(lambda _: self._refresh(), "unpainted")

    def change_photo(self, image: Any, trimap: Any = None, mask: Any = None) -> None:
        """Begin again with another photo. What is being computed is given up.

        image, trimap, mask: as for the constructor, which raises the same.
        """
        with self._reporting():
            self._take(image, trimap, mask, self.inside, self.outside)
        self._opened()
        self._refresh()

    def clear(self) -> None:
        """Take all strokes away."""
        self.labels = None

    def _take(self, image: Any, trimap: Any, mask: Any, inside: float, outside: float) -> None:
        """Read photo and guide, all or nothing."""
        if trimap is not None and mask is not None:
            raise InputError("both a trimap and a mask are given; leave one of them out")
        with collect_notes() as notes:
            photo: Any = image  # a Photo, or None for none
            if image is not None and not isinstance(image, Photo):
                photo = read_photo(image)
            if photo is not None and trimap is None and mask is None and _shows_subject(photo):
                mask = to_unit(photo.alpha)
                photo = replace(photo, alpha=None)  # as a mask it is rough, and caps nothing
            given = None if trimap is None else _given_trimap(photo, trimap)
            soft = None if mask is None else _given_mask(photo, mask)
            base = (
                given if soft is None else trimap_for(photo, soft, inside=inside, outside=outside)
            )
        self.set_trait("notes", notes)
        proxy = np.zeros((0, 0, 3), np.uint8) if photo is None else photo.proxy(PROXY)
        with self._state:
            self.proxy = proxy
            self._put_base(base, proxy.shape[:2])
        self.set_trait("photo", photo)
        self.set_trait("mask", soft)
        self.set_trait("labels", _sealed(np.zeros(proxy.shape[:2], np.uint8)))

    def _hand_in(self, name: str, value: Any) -> None:
        """What an assignment to `trimap`, `mask` or `labels` does."""
        with self._reporting():
            if name == "labels":
                self.set_trait("labels", self._checked_labels(value))
            else:
                self._replace_base(name, value)
        self._refresh()

    def _replace_base(self, name: str, value: Any) -> None:
        with collect_notes() as notes:
            soft = _given_mask(self.photo, value) if name == "mask" and value is not None else None
            if soft is not None:
                base: NDArray[np.uint8] | None = self._band(soft)
            else:
                base = None if value is None else _given_trimap(self.photo, value)
        self.set_trait("notes", notes)
        self._put_base(base, self.proxy.shape[:2])
        self.set_trait("mask", soft)
        self.set_trait("labels", _sealed(np.zeros(self.proxy.shape[:2], np.uint8)))

    def _put_base(self, base: NDArray[np.uint8] | None, size: tuple[int, ...]) -> None:
        small = None if base is None else guide.shrunk(base, (size[0], size[1]))
        with self._state:
            self._base, self._small_base = base, small
        self.set_trait("has_base", base is not None)

    def _checked_labels(self, value: Any) -> NDArray[np.uint8]:
        size = self.proxy.shape[:2]
        if value is None:
            return _sealed(np.zeros(size, np.uint8))
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
        return _sealed(labels.astype(np.uint8))  # a copy: the caller may go on with theirs

    def _band(self, mask: NDArray[np.float32]) -> NDArray[np.uint8]:
        return trimap_for(self.photo, mask, inside=self.inside, outside=self.outside)

    def _on_band(self, _change: Any) -> None:
        if self.mask is not None:
            with self._reporting():
                base = self._band(self.mask)
                self._put_base(base, self.proxy.shape[:2])
        self._refresh()

    def _refresh(self) -> None:
        """The trimap from what is given and painted, and what follows from it."""
        problem = ""
        small, base = self._small_base, self._base
        unpainted = cast(guide.Unpainted, self.unpainted)
        try:
            with collect_notes() as notes:
                if small is None:
                    small = guide.only_painted(self.labels, unpainted, self.inside, self.outside)
                elif self.labels.any():
                    small = guide.painted_over(small, self.labels)
            problem = " ".join(notes)
        except MEMatteError as error:
            small, problem = None, str(error)
        self.set_trait("small_trimap", _sealed(small))  # the page waits for this one
        if base is None:
            full = None if small is None else guide.grown(small, self.photo.size)
        else:
            full = guide.painted_over(base, self.labels) if self.labels.any() else base
        self.set_trait("trimap", _sealed(full))
        lays_band = base is None and guide.lays_band(self.labels, unpainted)
        self.set_trait("band_counts", lays_band or self.mask is not None)
        with self._state:
            # After it: a job that begins in between takes its result for older than it is.
            self._version += 1
        self._changed(problem or self._why_not())

    def _opened(self) -> None:
        """There is another photo."""

    def _changed(self, fault: str) -> None:
        """The trimap was made anew. fault: why nothing can be computed from it; or empty."""

    def _why_not(self) -> str:
        """Why nothing can be computed; empty where it can."""
        trimap = self.trimap
        if self.photo is None:
            return NO_PHOTO
        if trimap is None:
            return NOTHING_YET
        if not self.has_base and not (self.small_trimap == 255).any():
            return NO_FOREGROUND
        if not ((self.small_trimap > 0) & (self.small_trimap < 255)).any():
            return NO_UNKNOWN
        return ""

    @traitlets.validate("inside", "outside")
    def _valid_band(self, proposal: Any) -> float:
        value, name = proposal["value"], proposal["trait"].name
        number = isinstance(value, int | float) and not isinstance(value, bool)
        with self._reporting():
            if not (number and 0 <= value <= 100):
                raise SettingError(f"{name} {value!r}: give 0 to 100, in % of the subject's size")
        return float(value)

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        """Errors of what is inside also stand in the message."""
        try:
            yield
        except MEMatteError as error:
            self.set_trait("message", str(error))
            raise


def _sealed(array: Any) -> Any:
    """The array, read-only: what is written into it would change nothing that is seen or computed,
    so that it has to be set as a whole. None stays None."""
    if array is not None:
        array.flags.writeable = False
    return array


def _given_trimap(photo: Any, trimap: Any) -> NDArray[np.uint8]:
    if photo is None:
        raise InputError(f"trimap: {NO_PHOTO}")
    three = normalise_trimap(trimap, photo.size)
    return np.rint(three * 255).astype(np.uint8)  # 0.5 becomes 128


def _given_mask(photo: Any, mask: Any) -> NDArray[np.float32]:
    if photo is None:
        raise InputError(f"mask: {NO_PHOTO}")
    # A copy: sealing must not reach the caller's array, nor what they do to it come here.
    return _sealed(np.array(read_mask(mask)))


def _shows_subject(photo: Photo) -> bool:
    """Whether the photo's own transparency tells subject from background."""
    if photo.alpha is None:
        return False
    half = to_unit(photo.alpha) >= 0.5
    return bool(half.any() and not half.all())
