"""Matte: one photograph's alpha, its decontaminated colours, and the images made from them."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from PIL import Image

from .errors import OutputError, SettingError, warn_user
from .foreground.bleed import reach_further
from .foreground.edges import Colors, Edge, shape_alpha
from .foreground.estimate import estimate_or_keep
from .foreground.spill import Despill, despilled, key_for
from .images.arrays import scaled_down, to_steps, to_unit
from .images.crops import Crop, crop_around
from .images.encode import FORMATS, check_quality, check_writable, write_image
from .images.photo import Photo
from .notebook import LONGEST, as_html, file_name, one_line
from .progress import Progress
from .show.composite import Background, composite
from .show.overlays import on_checkerboard

if TYPE_CHECKING:
    from .memory.plan import Plan
    from .subject.found import SubjectMask

Kind: TypeAlias = Literal["cutout", "alpha", "foreground"]


@dataclass(eq=False, repr=False)
class Matte:
    """One photograph's matte; all arrays have the photo's size (H, W).

    alpha: (H, W) float32 in [0, 1], the opacity of the subject.
    photo: the photograph it belongs to.
    trimap: (H, W) float32 of 0 (background), 0.5 (unknown) and 1 (foreground).
    routing: one bool (h, w) array per routed block over the padded token grid, True where a token
        took the exact path.
    plan: the memory plan that ran, if there was one.
    model: the name of the weights.
    subject: what `find_subject` found, if it was asked.

    Of a matte made by `shaped` or `cropped`:
    edge: how it was shaped last.
    crop: the box in the whole photo, the size of all arrays but the routing; None for a whole one.
    made_from: of a crop the whole matte, otherwise the network's own.
    key: (3,) the screen's colour that is taken out of the colours, in their encoding; None without.
    """

    alpha: np.ndarray
    photo: Photo
    trimap: np.ndarray
    routing: tuple[np.ndarray, ...] = ()
    plan: "Plan | None" = None
    model: str = ""
    edge: Edge = field(default_factory=Edge)
    crop: Crop | None = None
    made_from: "Matte | None" = None
    key: np.ndarray | None = None
    subject: "SubjectMask | None" = None

    def shaped(
        self,
        *,
        levels: tuple[float, float] | None = None,
        choke: float = 0.0,
        feather: float = 0.0,
        despill: Despill | None = None,
        colors: Colors | None = None,
        crop: bool = False,
        margin: int = 0,
    ) -> "Matte":
        """A new matte with another edge, or other colours under it; this one does not change.

        levels, choke, feather, despill, colors, crop, margin: see `Edge`. Where despill or colors
            are None they stay as they were.

        Applied in this order to the matte as it is now: levels and choke of a shaped matte change
        it further. Choke and feather also change what the trimap called known. The colours are
        always estimated for the network's own alpha.

        Raises SettingError for a value out of its range. Where despill "auto" finds no screen,
        nothing is taken out, and a MEMatteWarning says so.
        """
        return self.with_edge(
            Edge(
                levels=levels,
                choke=choke,
                feather=feather,
                despill=self.edge.despill if despill is None else despill,
                colors=self.edge.colors if colors is None else colors,
                crop=crop,
                margin=margin,
            )
        )

    def with_edge(self, edge: Edge) -> "Matte":
        """`shaped`, with all its settings in one value."""
        if edge == Edge() and edge == self.edge:
            return self
        whole, key = self._whole, self.key
        if edge.despill != self.edge.despill:
            key = key_for(whole.photo, whole.trimap, edge.despill)
        shaped = replace(
            whole,
            alpha=shape_alpha(whole.alpha, edge),
            edge=edge,
            made_from=whole.made_from or whole,
            key=key,
        )
        if edge.crop:
            return shaped.cropped(edge.margin)
        return shaped if self.crop is None else shaped.cropped(self.edge.margin)

    def cropped(self, margin: int = 0) -> "Matte":
        """The box around all that is not transparent, widened by `margin` pixels within the photo.

        Below half a step of 8 bits, or of 16 bits for deeper photos, alpha counts as transparent.
        Files record where the box lies in the photo: see `save` and `crop`. Colours are those of
        the whole photo, and backgrounds are placed as for the whole photo.

        Raises SettingError unless the margin is a whole number of pixels. A matte with nothing
        opaque is returned as it is, with a MEMatteWarning.
        """
        edge, whole = replace(self.edge, crop=True, margin=margin), self._whole
        photo = whole.photo
        crop = crop_around(whole.alpha, int(margin), 0.5 / (255 if photo.bits == 8 else 65535))
        if crop is None:
            warn_user(f"{photo.name}: is transparent all over and therefore not cropped")
            return whole
        box = crop.box
        own = None if photo.alpha is None else photo.alpha[box]
        photo = replace(photo, pixels=photo.pixels[box], alpha=own)
        return replace(
            whole,
            alpha=whole.alpha[box],
            photo=photo,
            trimap=whole.trimap[box],
            edge=edge,
            crop=crop,
            made_from=whole,
        )

    def facts(self) -> dict[str, Any]:
        """The report, JSON-ready: width and height in pixels; model; unknown, the share of unknown
        pixels; kept, the share of tokens that each routed block sent through attention; plan, crop
        and subject, as their own reports give them, or None."""
        return {
            "width": self.photo.size[1],
            "height": self.photo.size[0],
            "model": self.model,
            "unknown": float((self.trimap == 0.5).mean()),
            "kept": [float(keep.mean()) for keep in self.routing],
            "plan": None if self.plan is None else self.plan.to_dict(),
            "crop": None if self.crop is None else self.crop.to_dict(),
            "subject": None if self.subject is None else self.subject.facts(),
        }

    @cached_property
    def foreground(self) -> np.ndarray:
        """(H, W, 3) float32: the subject's colours without the old background's.

        As `estimate_foreground` returns them; after `shaped` also despilled, carried further out,
        or the photo's own. Computed on first use.
        """
        return self.compute_foreground()

    def compute_foreground(self, progress: Progress | None = None) -> np.ndarray:
        """The `foreground`, computed now unless it already is.

        progress: called with (tiles done, tiles, "foreground"), several times a second. What it
            raises ends the computation; a later call starts again.

        Runs on the matte's own device, on a CPU within the plan's budget. Where memory does not
        even allow the smallest tiles on the CPU, it warns and returns the photo's own colours
        rather than lose the alpha.
        """
        known: np.ndarray | None = self.__dict__.get("foreground")  # where cached_property puts it
        if known is None:
            known = self._computed_colours(progress)
            self.__dict__["foreground"] = known
        return known

    def cutout_array(
        self, *, colors: Colors | None = None, decontaminate: bool | None = None
    ) -> np.ndarray:
        """(H, W, 4) float32: colours in the photo's own encoding, and straight alpha.

        In [0, 1] but for the colours of HDR photos.

        colors: "foreground", or "photo" for the photo's own, with the old background's tint;
            default: as the matte was `shaped`.
        decontaminate: the former name of `colors`: False is "photo", True "foreground".
        """
        colours = to_unit(self._colours(colors, decontaminate))
        return np.concatenate([colours, self.alpha[..., None]], axis=2, dtype=np.float32)

    def cutout(
        self, *, bits: int = 8, colors: Colors | None = None, decontaminate: bool | None = None
    ) -> Image.Image:
        """The subject as an RGBA Pillow image with straight alpha, its ICC profile and DPI.

        bits: 8. Pillow has no deeper RGBA, and other values raise SettingError: use `save` or
            `cutout_array`.
        """
        if bits != 8:
            raise SettingError(f"bits {bits!r}: Pillow images hold 8; use save() or cutout_array()")
        return self.photo.pillow(self.cutout_array(colors=colors, decontaminate=decontaminate))

    def cutout_proxy(self, longest: int) -> np.ndarray:
        """(h, w, 4) uint8, display-encoded: a small cut-out to look at, see `Photo.proxy`.

        Its colours are the `foreground`'s if that is computed already. Otherwise they are estimated
        at the small size, which takes a fraction of a second however large the photo is.
        """
        if "foreground" in self.__dict__ or max(self.photo.size) <= longest:
            alpha, colours = (scaled_down(one, longest) for one in (self.alpha, self.foreground))
        else:
            small = self._small(longest)
            alpha, colours = small.alpha, small.foreground
        if self.photo.linear:
            colours = self.photo.filed(light=False).convert(to_unit(colours))
        return to_steps(np.concatenate([colours, alpha[..., None]], axis=2), 8)

    def composite(self, background: Background, *, linear_light: bool = False) -> Image.Image:
        """The subject over another background, as a Pillow image of the photo's size.

        background, linear_light: see `mematte_plugin.composite`.

        8 bits, all that Pillow holds; RGB, or RGBA where the background has transparency of its
        own. Raises InputError unless the background is a colour or an image.
        """
        return self.photo.pillow(self.composite_array(background, linear_light=linear_light))

    def composite_array(self, background: Background, *, linear_light: bool = False) -> np.ndarray:
        """(H, W, 3) float32, the photo's own encoding: the subject over a background.

        background, linear_light: see `mematte_plugin.composite`; a picture's own depth is kept.

        (H, W, 4) where the background has transparency. Raises InputError as `composite` does.
        """
        if self.crop is not None and self.made_from is not None:
            whole = self.made_from.composite_array(background, linear_light=linear_light)
            return whole[self.crop.box]
        photo = self.photo
        return composite(
            self.foreground,
            self.alpha,
            background,
            linear=photo.linear,
            icc_profile=photo.icc_profile,
            primaries=photo.primaries,
            linear_light=linear_light,
        )

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        kind: Kind | None = None,
        bits: int | None = None,
        quality: int | None = None,
        overwrite: bool = False,
        colors: Colors | None = None,
        decontaminate: bool | None = None,
        premultiplied: bool | None = None,
    ) -> None:
        """Write the matte to a file, completely or not at all; the suffix sets the format.

        kind: "cutout" (RGBA), "alpha" (grey) or "foreground" (RGB). Default: alpha for a name that
            ends in `_alpha`, as in hair_alpha.png, otherwise the cut-out.
        bits: as for `write_image`; default: the photo's own depth, where the format has it.
        quality: of JPEG and WebP, 1 to 100; without it, a WebP cut-out is lossless.
        overwrite: replace an existing file.
        colors, decontaminate: as for `cutout_array`. Stored straight, the photo's own colours are
            kept also where alpha is 0.
        premultiplied: as for `write_image`; default: EXR premultiplied, the others straight.

        Files carry the ICC profile and DPI, and a crop's place in the photo: PNG's oFFs, TIFF's
        XPosition and YPosition, EXR's data window inside the display window, EXIF elsewhere. EXR
        holds linear light, as its readers expect: Rec. 709, or a scene-linear photo's own
        `primaries`, which it records. Every other format is display-encoded, scene-linear photos
        as sRGB. Colours beyond white survive in EXR and 32-bit TIFF; elsewhere they are clipped,
        with a MEMatteWarning. Raises OutputError, also for a cut-out as JPEG, or SettingError.
        """
        check_quality(quality)
        check_writable(path, overwrite=overwrite)  # before the colours are estimated
        name = Path(path)
        kind = kind or ("alpha" if name.stem.lower().endswith("_alpha") else "cutout")
        fmt = FORMATS.get(name.suffix.lower())
        if kind == "cutout" and fmt == "jpeg":
            raise OutputError(
                f"{os.fspath(path)}: JPEG has no transparency; save as .png, .tif, .webp or .exr,"
                " or the alpha alone (a name ending in _alpha)"
            )
        if kind not in ("cutout", "alpha", "foreground"):
            raise SettingError(f"kind {kind!r}: use cutout, alpha or foreground")
        own = self.photo.bits
        depths = {"png": min(own, 16), "tiff": own, "exr": 16 if own == 8 else 32}
        depth = bits if bits is not None else depths.get(fmt or "")
        filed = self.photo.filed(light=fmt == "exr")
        pixels = self.alpha
        if kind != "alpha":
            colours = self._colours(colors, decontaminate)
            alpha = self.alpha if kind == "cutout" else None
            steps = {"exr": None, "webp": 8, "jpeg": 8}.get(fmt or "", depth)
            pixels = filed.pixels(colours, alpha, steps, self.photo.name)
        write_image(
            path,
            pixels,
            icc_profile=filed.icc_profile,
            primaries=None if kind == "alpha" else filed.primaries,
            dpi=self.photo.dpi,
            bits=depth,
            crop=self.crop,
            quality=quality,
            overwrite=overwrite,
            premultiplied=premultiplied,
        )

    def __repr__(self) -> str:
        height, width = self.photo.size
        by = f", model {one_line(self.model)}" if self.model else ""
        return f"Matte({file_name(self.photo.name)}, {width}×{height}{by})"

    def _repr_html_(self) -> str | None:
        """For notebooks: the cut-out on a checkerboard, and the matte's facts."""
        return as_html(
            self._rows,
            picture=lambda: on_checkerboard(self.cutout_proxy(LONGEST)),
            described="The cut-out on a checkerboard",
            icc_profile=self.photo.icc_profile,
        )

    def _rows(self) -> Iterator[tuple[str, str]]:
        height, width = self.photo.size
        unknown = float((self.trimap == 0.5).mean())
        yield "photo", file_name(self.photo.name)
        yield "size", f"{width}×{height}"
        yield "model", one_line(self.model) or "–"
        yield "unknown", f"{unknown:.1%}" if unknown else "nothing: the trimap is the matte"
        if self.plan is not None:
            yield "plan", self.plan.short()
            yield "lost", self.plan.lost_in_words
        yield "save", '.save("cutout.png"), or .save("hair_alpha.png") for the alpha alone'

    @property
    def _whole(self) -> "Matte":
        """The matte that this is a crop of, or itself."""
        return self if self.crop is None or self.made_from is None else self.made_from

    def _colours(self, colors: Colors | None, decontaminate: bool | None) -> np.ndarray:
        """(H, W, 3) the colours under the alpha, of any depth."""
        if decontaminate is not None:
            former: Colors = "foreground" if decontaminate else "photo"
            if colors not in (None, former):
                raise SettingError(f"colors {colors!r} and decontaminate {decontaminate}: give one")
            colors = former
        wanted = Edge(colors=self.edge.colors if colors is None else colors).colors
        if wanted == self.edge.colors and (wanted == "foreground" or self.key is not None):
            return self.foreground
        return self.photo.pixels if wanted == "photo" else self.shaped(colors=wanted).foreground

    def _computed_colours(self, progress: Progress | None) -> np.ndarray:
        """The `foreground`, estimated for the network's own alpha: that is how subject and
        background were mixed, whatever the edge has become."""
        origin = self.made_from or self
        if self.crop is not None and origin is not self:
            return origin.compute_foreground(progress)[self.crop.box]
        before = origin.alpha
        if self.edge.colors == "photo":
            return despilled(self.photo.as_float(), before, self.key)
        # The origin keeps its colours only if it was asked for them: they are the largest array.
        known: np.ndarray | None = origin.__dict__.get("foreground")
        found = (
            estimate_or_keep(self.photo, before, self.plan, progress) if known is None else known
        )
        further = reach_further(found, before, self.alpha)
        return despilled(further, before, self.key, in_place=further is not known)

    def _small(self, longest: int) -> "Matte":
        """A small copy to look at, whole in itself; without a trimap of its own."""
        photo = replace(self.photo, pixels=scaled_down(self.photo.pixels, longest), alpha=None)
        small = replace(self, photo=photo, alpha=scaled_down(self.alpha, longest), crop=None)
        origin = self._whole.made_from or self._whole
        if origin is self:
            return small
        before = origin.alpha if self.crop is None else origin.alpha[self.crop.box]
        return replace(small, made_from=replace(small, alpha=scaled_down(before, longest)))
