"""How every photo of a batch is cut and saved."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ..errors import SettingError
from ..foreground.edges import Edge
from ..images.colour_spaces import check_input_space
from ..images.encode import FORMATS
from ..memory.units import parse_bytes
from ..trimap.labels import Objects, parse_objects

if TYPE_CHECKING:
    from ..memory.retention import Retention
    from ..pipeline import Budget


@dataclass(frozen=True)
class BatchOptions:
    """How every photo of a batch is cut and saved."""

    masks: bool = False
    """The guides are rough masks, from which trimaps are made, rather than trimaps."""
    objects: Objects = None
    """For masks that are label maps: the ids of the subject; None for the only one."""
    inside: float | None = None
    """For masks: reach of the unknown band into the subject; None for `BAND_INSIDE`."""
    outside: float | None = None
    """For masks: reach of the unknown band out of the subject; None for `BAND_OUTSIDE`."""
    unit: Literal["%", "px"] = "%"
    """For masks: unit of inside and outside, % of the subject's size or pixels."""
    layer: str | None = None
    """Of EXR photos of several layers, the one to cut; see `Layer`."""
    guide_layer: str | None = None
    """Of EXR trimaps or masks of several layers, the layer or channel to take."""
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

    def __post_init__(self) -> None:
        parse_objects(self.objects)
        if self.memory_budget is not None:
            parse_bytes(self.memory_budget)
        check_input_space(self.input_space)
        formats = {s: f for s, f in FORMATS.items() if self.kind == "alpha" or f != "jpeg"}
        if self.suffix not in formats:
            what = "cut-outs" if self.kind == "cutout" else "alphas"
            raise SettingError(f"suffix {self.suffix!r}: {what} are saved as {', '.join(formats)}")
