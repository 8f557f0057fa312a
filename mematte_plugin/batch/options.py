"""How every photo of a batch is cut and saved."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ..errors import SettingError
from ..foreground.edges import Edge
from ..guide import Guide
from ..images.colour_spaces import check_input_space
from ..images.encode import FORMATS
from ..memory.units import parse_bytes
from ..subject.prompts import Places
from ..trimap.labels import Objects, parse_objects

if TYPE_CHECKING:
    from ..images.photo import Photo
    from ..memory.retention import Retention
    from ..pipeline import Budget


@dataclass(frozen=True)
class BatchOptions:
    """How every photo of a batch is cut and saved."""

    masks: bool = False
    """The guides are rough masks, from which trimaps are made, rather than trimaps."""
    alphas: bool = False
    """The guides are soft masks or alphas, of any resolution, as for `from_soft`."""
    places: Places = field(default_factory=Places)
    """Without guides: points and a box, the same for every photo, as for `find_subject`."""
    text: str | None = None
    """Without guides: the word for the subject, as for `find_subject`."""
    subject_model: str | None = None
    """Without guides: the network that finds the subject, as for `find_subject`."""
    objects: Objects = None
    """For masks that are label maps: the ids of the subject; None for the only one."""
    inside: float | None = None
    """For masks and alphas: reach of the unknown band into the subject; None for the default."""
    outside: float | None = None
    """For masks and alphas: reach of the unknown band out of it; None for the default."""
    unit: Literal["%", "px"] = "%"
    """Unit of inside and outside, % of the subject's size or pixels."""
    islands: float | None = None
    """For alphas and found subjects, as for `from_soft`."""
    layer: str | None = None
    """Of EXR photos of several layers, the one to cut; see `Layer`."""
    guide_layer: str | None = None
    """Of EXR trimaps, masks or alphas of several layers, the layer or channel to take."""
    input_space: str | None = None
    """The photos' colour space, whatever their files say; as for `read_photo`."""
    premultiplied: bool | None = None
    """How cut-outs in EXR and TIFF store their colours; as for `Matte.save`."""
    kind: Literal["cutout", "alpha"] = "cutout"
    """What is saved."""
    suffix: str = ".png"
    """Suffix of the output files, which sets their format."""
    bits: int | None = None
    """Depth of the output, as for `Matte.save`."""
    quality: int | None = None
    """Of JPEG and WebP, as for `Matte.save`."""
    edge: Edge = field(default_factory=Edge)
    """How every matte is shaped and cropped, as by `Matte.with_edge`."""
    retention: Retention = "auto"
    """As for `MattingPipeline`."""
    memory_budget: Budget = None
    """As for `MattingPipeline`; a photo for which it is too small fails."""
    overwrite: bool = False
    """Cut photos again whose output exists."""
    pair: str | None = None
    """How the names of photos and guides are paired, such as "{name}_plate.{n}:{name}_matte.{n}";
    None pairs names with the same words and numbers."""
    recursive: bool = False
    """Also cut photos in folders inside the folder; the results are laid out in the same way."""

    @property
    def role(self) -> Literal["trimap", "mask", "alpha"]:
        """What a guide is."""
        return "mask" if self.masks else "alpha" if self.alphas else "trimap"

    def guide(self, photo: Photo, given: object) -> Guide:
        """The guide of a photo. given: its trimap, mask or alpha; None to find the subject."""
        options: dict[str, Any] = {self.role: given}
        if given is None:
            points, box = self.places.in_photo(photo.size)
            options = {"points": points, "box": box, "text": self.text}
            options["subject_model"] = self.subject_model
        elif self.role == "trimap":
            return Guide(given)
        if not self.masks:
            options["islands"] = self.islands
        return Guide(
            **options,
            objects=self.objects,
            inside=self.inside,
            outside=self.outside,
            unit=self.unit,
        )

    def __post_init__(self) -> None:
        parse_objects(self.objects)
        if self.masks and self.alphas:
            raise SettingError("masks and alphas: the guides are one of them; leave one out")
        if self.text is not None and self.places:
            raise SettingError("text: cannot be joined with points or a box; leave one of them out")
        if self.memory_budget is not None:
            parse_bytes(self.memory_budget)
        check_input_space(self.input_space)
        formats = {s: f for s, f in FORMATS.items() if self.kind == "alpha" or f != "jpeg"}
        if self.suffix not in formats:
            what = "cut-outs" if self.kind == "cutout" else "alphas"
            raise SettingError(f"suffix {self.suffix!r}: {what} are saved as {', '.join(formats)}")
