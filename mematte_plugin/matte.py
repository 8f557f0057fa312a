"""The result of matting: alpha, decontaminated colours, and what one makes of them."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from PIL import Image

from .errors import OutputError, SettingError
from .foreground.edges import Colors, Edge
from .foreground.shaping import compute_colours, crop_matte, shape_matte, small_colours
from .foreground.spill import Despill
from .images.arrays import STRIP, scaled_down, to_steps, to_unit
from .images.crops import Crop
from .images.encode import FORMATS, check_quality, check_writable, write_image
from .images.photo import Photo, warn_if_clipped
from .notebook import LONGEST, as_html, file_name, one_line
from .progress import Progress
from .show.composite import Background, composite
from .show.overlays import on_checkerboard

Kind: TypeAlias = Literal["cutout", "alpha", "foreground"]


@dataclass(eq=False, repr=False)
class Matte:
    """One photograph's matte; all arrays have the photo's size (H, W).

    alpha: (H, W) float32 in [0, 1], the opacity of the subject.
    photo: the photograph it belongs to.
    trimap: (H, W) float32 of 0 (background), 0.5 (unknown) and 1 (foreground).
    routing: one bool (h, w) array per routed block over the padded token grid, True where a token
        took the exact path.
    scores: the router's scores that led there, if they were kept.
    plan: the memory plan that ran, if one was made.
    model: the name of the weights.

    Of a matte that was made by `shaped` or `cropped`:
    edge: how it was shaped last.
    crop: where it lay in the whole photo; all arrays but the routing are of the crop's size. None
        for a whole one.
    made_from: of a crop the whole matte, otherwise the one that the network gave.
    key: (3,) the screen's colour that is taken out of the colours, in their encoding; None without.
    """

    alpha: np.ndarray
    photo: Photo
    trimap: np.ndarray
    routing: tuple[np.ndarray, ...] = ()
    scores: Any = None
    plan: Any = None
    model: str = ""
    edge: Edge = field(default_factory=Edge)
    crop: Crop | None = None
    made_from: "Matte | None" = None
    key: np.ndarray | None = None

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
        """A new matte with another edge, or other colours under it; this one stays as it is.

        levels: (black, white): alpha up to black becomes exactly 0, from white on exactly 1, linear
            between them.
        choke: pixels, also fractions, by which the edge moves inward; negative, outward.
        feather: pixels, the standard deviation of a Gaussian blur of the alpha.
        despill: "auto" finds a green, blue or red screen in the known background and takes its
            colour out of the edge's colours; a colour names the screen; "off". None: as it was.
        colors: "foreground" for the estimated colours, "photo" for the photo's own pixels, kept
            where alpha is 0, too. None: as it was.
        crop, margin: also crop to what is not transparent, see `cropped`.

        Applied in this order, on what this matte is now: levels and choke of a shaped matte change
        it further. Choke and feather also change what the trimap called known. The colours are
        estimated for the network's own alpha, whatever becomes of it.

        Raises SettingError for a value out of its range, see `Edge`. Where "auto" finds no screen,
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
        """As `shaped`, all of it said by one value."""
        return shape_matte(self, edge)

    def cropped(self, margin: int = 0) -> "Matte":
        """The box around all that is not transparent, and so many pixels more, as far as there are.

        What is less than half a step of 8 bits counts as transparent, half a step of 16 bits where
        the photo is deeper. Files tell where the box lay in the photo: see `save` and `crop`.
        Colours and composites are those of the whole photo, so that nothing changes at the box's
        border; backgrounds are placed as for the whole photo.

        Raises SettingError for a margin that is no whole number of pixels. A matte with nothing in
        it is returned as it is, with a MEMatteWarning.
        """
        return crop_matte(self, margin)

    def facts(self) -> dict[str, Any]:
        """What a report tells, as plain JSON-ready values.

        width, height in pixels; model; unknown, the share of unknown pixels; kept, the share of
        tokens that each routed block sent through attention; plan, as `Plan.to_dict`, or None;
        crop, as `Crop.to_dict`, or None.
        """
        height, width = self.photo.size
        return {
            "width": width,
            "height": height,
            "model": self.model,
            "unknown": float((self.trimap == 0.5).mean()),
            "kept": [float(keep.mean()) for keep in self.routing],
            "plan": None if self.plan is None else self.plan.to_dict(),
            "crop": None if self.crop is None else self.crop.to_dict(),
        }

    @cached_property
    def foreground(self) -> np.ndarray:
        """(H, W, 3) float32: the subject's colours without the old background's.

        In the photo's own encoding and range, the photo exactly where alpha is 1, black far from
        the subject; see `foreground.estimate_foreground`. Computed on first use, see
        `compute_foreground`. After `shaped` as that says: despilled, carried further out, or the
        photo's own.
        """
        return self.compute_foreground()

    def compute_foreground(self, progress: Progress | None = None) -> np.ndarray:
        """The `foreground`, computed now unless it was before.

        progress: called with (tiles done, tiles, "foreground") and at least a few times a second,
            so that what it raises ends the computation; a later call starts again.

        On the device that the matte was computed on. Stays within the plan's budget where there is
        one and it is the main memory's. Where that fails, even with the smallest tiles on the CPU,
        it warns and the photo's own colours take their place: the alpha is not lost for that.
        """
        kept: np.ndarray | None = self.__dict__.get("foreground")  # where cached_property puts it
        if kept is None:
            kept = compute_colours(self, progress)
            self.__dict__["foreground"] = kept
        return kept

    def cutout_array(
        self, *, colors: Colors | None = None, decontaminate: bool | None = None
    ) -> np.ndarray:
        """(H, W, 4) float32: colours in the photo's own encoding, and straight alpha.

        In [0, 1] but for the colours of HDR photos.

        colors: "foreground", or "photo" for the photo's own, the old background's tint included.
            Default: as the matte was `shaped`, or the foreground.
        decontaminate: the former name: False says "photo", True "foreground".
        """
        colours = to_unit(self._colours(colors, decontaminate))
        return np.concatenate([colours, self.alpha[..., None]], axis=2, dtype=np.float32)

    def cutout(
        self,
        *,
        bits: int = 8,
        colors: Colors | None = None,
        decontaminate: bool | None = None,
    ) -> Image.Image:
        """The subject as an RGBA Pillow image with straight alpha, its ICC profile and DPI.

        bits: 8; Pillow has no deeper RGBA, so that 16 raises SettingError (use `save`, or
        `cutout_array`).
        """
        if bits != 8:
            raise SettingError(f"bits {bits!r}: Pillow images hold 8; use save() or cutout_array()")
        array = self.cutout_array(colors=colors, decontaminate=decontaminate)
        return self._pillow(array)

    def cutout_proxy(self, longest: int) -> np.ndarray:
        """(h, w, 4) uint8, display-encoded: a small cut-out to look at, see `Photo.proxy`.

        Its colours are the `foreground`'s where that is known already. Otherwise they are estimated
        in the small size, which takes a fraction of a second however large the photo is.
        """
        alpha = scaled_down(self.alpha, longest)
        known: np.ndarray | None = self.__dict__.get("foreground")
        if known is not None:
            colours = scaled_down(known, longest)
        elif alpha is self.alpha:
            colours = self.foreground
        else:
            colours = small_colours(self, alpha, longest)
        if self.photo.linear:
            colours = self.photo.filed(light=False).convert(to_unit(colours))
        return to_steps(np.concatenate([colours, alpha[..., None]], axis=2), 8)

    def composite(self, background: Background, *, linear_light: bool = False) -> Image.Image:
        """The subject before another background, as an RGB Pillow image of the photo's size.

        background: a colour ("white", "#20c0ff", "hsl(…)", "rgba(255, 0, 0, 0.5)", (255, 255, 255),
            or floats in [0, 1]), or an image as `images.read_photo` takes it; of another size it is
            scaled to cover the photo and cropped in the middle. Colours by name or number are
            sRGB; they and pictures are converted into the photo's space.
        linear_light: blend light itself instead of the photo's encoding.

        Where the background has transparency of its own, the result is RGBA. Pillow holds 8 bits;
        `composite_array` keeps the photo's depth and says how it is blended.
        Raises InputError for what is neither a colour nor an image.
        """
        return self._pillow(self.composite_array(background, linear_light=linear_light))

    def composite_array(self, background: Background, *, linear_light: bool = False) -> np.ndarray:
        """(H, W, 3) float32, the photo's own encoding: the subject before a background.

        background, linear_light: as for `composite`; a picture's own depth is kept. See
            `compositing.composite` for how it is blended; (H, W, 4) where it has transparency.

        Raises InputError for what is neither a colour nor an image.
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
        """Write the matte to a file, all of it or nothing; the suffix chooses the format.

        kind: "cutout" (RGBA), "alpha" (grey) or "foreground" (RGB). Default: alpha for a name that
            ends in `_alpha`, as in hair_alpha.png, otherwise the cut-out.
        bits: as for `writing.write_image`; default the photo's own depth, where the format has it.
        quality: of JPEG and WebP, 1 to 100; a WebP cut-out then loses a little, otherwise nothing.
        overwrite: replace an existing file.
        colors, decontaminate: as for `cutout_array`; the photo's own are kept where alpha is 0,
            too, if they are stored straight.
        premultiplied: as for `writing.write_image`; default EXR premultiplied, the others straight.

        ICC profile and DPI are carried, and of a crop its place in the photo: PNG's oFFs, TIFF's
        XPosition and YPosition, EXR's data window inside the display window, EXIF elsewhere. EXR is
        written in linear light, as its readers expect: of Rec. 709, or of the `primaries` that
        scene-linear photos have, which it says. Every other format is display-encoded, scene-linear
        photos as sRGB. Colours beyond white survive in EXR and 32-bit TIFF; elsewhere they are
        clipped, with a MEMatteWarning.
        Raises OutputError, for a cut-out as JPEG too, and SettingError for an unknown kind.
        """
        check_quality(quality)
        check_writable(path, overwrite=overwrite)  # before the colours are estimated
        kind = kind or self.kind_of(path)
        suffix = Path(path).suffix.lower()
        fmt = FORMATS.get(suffix)
        if kind == "cutout" and fmt == "jpeg":
            raise OutputError(
                f"{os.fspath(path)}: JPEG has no transparency; save as .png, .tif, .webp or .exr,"
                " or the alpha alone (a name ending in _alpha)"
            )
        depth = bits if bits is not None else self._depth(fmt)
        way = self.photo.filed(light=fmt == "exr")
        write_image(
            path,
            self._saved(
                kind, fmt, depth, partial(self._colours, colors, decontaminate), way.convert
            ),
            icc_profile=way.icc_profile,
            primaries=None if kind == "alpha" else way.primaries,
            dpi=self.photo.dpi,
            bits=depth,
            crop=self.crop,
            quality=quality,
            overwrite=overwrite,
            premultiplied=premultiplied,
        )

    @staticmethod
    def kind_of(path: str | os.PathLike[str]) -> Kind:
        """What `save` writes under this name unless told otherwise."""
        return "alpha" if Path(path).stem.lower().endswith("_alpha") else "cutout"

    def __repr__(self) -> str:
        height, width = self.photo.size
        by = f", model {one_line(self.model)}" if self.model else ""
        return f"Matte({file_name(self.photo.name)}, {width}×{height}{by})"

    def _repr_html_(self) -> str | None:
        """For notebooks: the cut-out on a checkerboard, and what there is to know about it."""
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

    def _colours(self, colors: Colors | None, decontaminate: bool | None) -> np.ndarray:
        """(H, W, 3) what lies under the alpha, of any depth."""
        if decontaminate is not None:
            former: Colors = "foreground" if decontaminate else "photo"
            if colors not in (None, former):
                raise SettingError(
                    f"colors {colors!r} and decontaminate {decontaminate}: say it once"
                )
            colors = former
        wanted = Edge(colors=self.edge.colors if colors is None else colors).colors
        if wanted == self.edge.colors and (wanted == "foreground" or self.key is not None):
            return self.foreground
        return self.photo.pixels if wanted == "photo" else self.shaped(colors=wanted).foreground

    def _saved(
        self,
        kind: Kind,
        fmt: str | None,
        bits: int | None,
        colours_of: Callable[[], np.ndarray],
        convert: Callable[[np.ndarray], np.ndarray],
    ) -> np.ndarray:
        """What goes into the file, in its depth: strip by strip, for all of it as floats would be
        half a gigabyte for a cut-out of 8K."""
        if kind == "alpha":
            return self.alpha
        if kind not in ("cutout", "foreground"):
            raise SettingError(f"kind {kind!r}: use cutout, alpha or foreground")
        colours = colours_of()
        dtype = None if fmt == "exr" else {8: np.uint8, 16: np.uint16}.get(bits or 0)
        out = np.empty((*self.alpha.shape, 4 if kind == "cutout" else 3), dtype or np.float32)
        brightest = 0.0
        for top in range(0, len(out), STRIP):
            rows = slice(top, top + STRIP)
            part = to_unit(colours[rows])
            brightest = max(brightest, float(part.max()))
            part = convert(part)
            if kind == "cutout":
                part = np.concatenate([part, self.alpha[rows, :, None]], axis=2, dtype=np.float32)
            out[rows] = part if dtype is None else to_steps(part, bits or 8)
        if dtype or fmt in ("webp", "jpeg"):
            warn_if_clipped(brightest, self.photo.name)
        return out

    def _depth(self, fmt: str | None) -> int | None:
        """The photo's depth, or the nearest one that the format has."""
        bits = self.photo.bits
        return {"png": min(bits, 16), "tiff": bits, "exr": 16 if bits == 8 else 32}.get(fmt or "")

    def _pillow(self, array: np.ndarray) -> Image.Image:
        if self.photo.linear:
            array[..., :3] = self.photo.filed(light=False).convert(array[..., :3])
        im = Image.fromarray(np.rint(array.clip(0, 1) * 255).astype(np.uint8))
        # Where Pillow looks when it saves; dpi it takes from there for some formats only.
        if self.photo.icc_profile:
            im.info["icc_profile"] = self.photo.icc_profile
        if self.photo.dpi:
            im.info["dpi"] = self.photo.dpi
        return im
