"""Where the subject is, in whatever way the user says it, as a trimap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .errors import InputError, SettingError, WeightsError, warn_user
from .images.arrays import to_unit
from .images.photo import Photo
from .matte import Matte
from .progress import Progress
from .subject.find import find_subject
from .subject.found import SubjectMask
from .subject.ready import release_subjects
from .trimap.labels import Objects
from .trimap.settle import settle
from .trimap.soft import SoftMask, lay_soft_band, read_soft
from .trimap.trimap import check_aspect, from_mask, normalise_trimap, three_valued

UNSURE = 0.5
"""Confidence of a segmentation below which a warning says so; that of a click is judged by who
clicked, and a word below its threshold is refused."""


@dataclass(frozen=True, eq=False)
class Guided:
    """The trimap that a guide stands for, and what is needed to finish its matte.

    trimap: (H, W), exactly 0, 0.5 and 1.
    subject: what was found, if that was asked.
    soft: the soft mask that the trimap was made of, if it was one.
    band: the options of its band.
    capped: the photo's own transparency caps the matte; False if it served as the mask.
    """

    trimap: NDArray[np.float32]
    subject: SubjectMask | None = None
    soft: SoftMask | None = None
    band: dict[str, Any] = field(default_factory=dict)
    capped: bool = True

    @classmethod
    def by(cls, soft: SoftMask, band: dict[str, Any]) -> Guided:
        """A soft mask's; raises as `from_soft` does."""
        return cls(three_valued(lay_soft_band(soft, **band)), soft=soft, band=band)

    def finish(self, run: Callable[[NDArray[np.float32]], Matte]) -> Matte:
        """The matte that `run` computes of a trimap, settled with the soft mask if there is one.

        Where the mask turns out to be wrong, or the band too narrow for the subject's hair, the
        matte is computed once more, with a band around the first one.
        """
        matte = run(self.trimap)
        if self.soft is not None:
            first = settle(matte.alpha, matte.trimap, self.soft)
            matte.alpha = first.alpha
            if first.again:
                around = SoftMask(first.alpha, self.soft.size, self.soft.name)
                matte = run(three_valued(lay_soft_band(around, **self.band)))
                matte.alpha = settle(matte.alpha, matte.trimap, self.soft).alpha
        return replace(matte, subject=self.subject)


@dataclass(frozen=True)
class Guide:
    """What the user gives to say where the subject is; at most one of trimap, mask, alpha, text,
    and points or box. With none of them, the photo's own alpha says it, or the subject is found.

    trimap, mask, alpha: as for `normalise_trimap`, `from_mask` and `from_soft`; the alpha may also
        be a SubjectMask, whose matte then names it.
    points, box, text, subject_model: as for `find_subject`.
    objects, inside, outside, unit, islands: as for `from_mask` and `from_soft`.
    """

    trimap: Any = None
    mask: Any = None
    alpha: Any = None
    points: Any = None
    box: Any = None
    text: str | None = None
    subject_model: str | None = None
    objects: Objects = None
    inside: float | None = None
    outside: float | None = None
    unit: Literal["%", "px"] = "%"
    islands: float | None = None

    def __post_init__(self) -> None:
        """Raises InputError if two guides are given, SettingError for options of another one."""
        given = self.given()
        if len(given) > 1 and set(given) != {"points", "box"}:
            raise InputError(
                f"both {given[0]} and {given[1]} are given, and each says where the subject is;"
                " leave one of them out"
            )
        if self.objects is not None and self.mask is None and given:
            raise SettingError(f"objects: applies to masks only; leave it out with {given[0]}")
        if self.islands is not None and {"trimap", "mask"} & set(given):
            raise SettingError(f"islands: applies to soft masks only; leave it out with {given[0]}")
        if self.subject_model is not None and {"trimap", "mask", "alpha"} & set(given):
            raise SettingError(f"subject_model: finds nothing with {given[0]}; leave it out")

    def given(self) -> list[str]:
        """The names of the guides that are given."""
        names = ("trimap", "mask", "alpha", "points", "box", "text")
        return [name for name in names if getattr(self, name) is not None]

    def guided(
        self,
        photo: Photo,
        *,
        device: str = "auto",
        progress: Progress | None = None,
        keep_networks: bool = False,
    ) -> Guided:
        """The photo's trimap, and what it was made of.

        Networks that find subjects are released again, as the matting after them needs the memory,
        unless keep_networks.

        Raises as the functions do that make it.
        """
        if self.trimap is not None:
            return Guided(normalise_trimap(self.trimap, photo.size))
        band: dict[str, Any] = {"inside": self.inside, "outside": self.outside, "unit": self.unit}
        if self.mask is not None or self.own_alpha(photo):
            mask = self.mask if self.mask is not None else to_unit(_alpha_of(photo))
            made = from_mask(mask, size=photo.size, objects=self.objects, **band)
            return Guided(three_valued(made), capped=not self.own_alpha(photo))
        band["islands"] = self.islands
        if isinstance(self.alpha, SubjectMask):
            check_aspect(self.alpha.size, photo.size, "alpha")
            soft = replace(self.alpha, size=photo.size).soft
            return replace(Guided.by(soft, band), subject=self.alpha)
        if self.alpha is not None:
            return Guided.by(read_soft(self.alpha, photo.size), band)
        try:
            found = find_subject(
                photo,
                points=self.points,
                box=self.box,
                text=self.text,
                model=self.subject_model,
                device=device,
                progress=progress,
            )
        except WeightsError as error:
            if self.given() or self.subject_model is not None:
                raise
            raise WeightsError(
                f"{photo.name}: no network that finds the subject is in reach: {error}; or say what"
                " the subject is: give a trimap, a mask or a soft mask"
            ) from error
        finally:
            if not keep_networks:
                release_subjects()
        if found.source == "segmentation" and found.confidence < UNSURE:
            warn_user(
                f"{photo.name}: {found.model} is not sure of the subject (confidence"
                f" {found.confidence:.2f}); look at the result, or click on the subject (points=,"
                " --point)"
            )
        return replace(Guided.by(found.soft, band), subject=found)

    def own_alpha(self, photo: Photo) -> bool:
        """Whether the photo's own transparency serves as the mask."""
        return not self.given() and photo.alpha is not None and self.subject_model is None


def _alpha_of(photo: Photo) -> NDArray[Any]:
    assert photo.alpha is not None
    return photo.alpha
