"""A widget's options: the traits, what they may be, and the edge they stand for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

import traitlets

from ..errors import MEMatteError, SettingError
from ..foreground.edges import Edge
from ..memory.retention import check_retention
from ..memory.units import parse_bytes
from ..network import NetworkConfig
from ..pipeline import DEFAULT_MODEL, MattingPipeline
from ..trimap.trimap import BAND_INSIDE, BAND_OUTSIDE
from ..weights.load import list_models
from .traits import Checked

UNNAMED = "own"
"""What a pipeline without a name is called."""
EDGES = ("levels_black", "levels_white", "choke", "feather", "despill", "colors")
"""The traits of the edge."""


class MattingOptions(traitlets.HasTraits):
    """How to matte a photo. Those with sync are shared with the page."""

    inside = Checked(BAND_INSIDE, help="band inward, % of the subject's size").tag(sync=True)
    outside = Checked(BAND_OUTSIDE, help="band outward, %").tag(sync=True)
    unpainted = traitlets.Enum(
        ("auto", "background", "unknown"), "auto", help="what unpainted pixels are"
    ).tag(sync=True)
    retention = Checked("auto", help='"auto", a share, or a number of tokens').tag(sync=True)
    model = traitlets.Unicode(DEFAULT_MODEL, help="name, Hub id or path").tag(sync=True)
    models: traitlets.List[dict[str, str]] = traitlets.List(
        read_only=True, help="name, title and note of each model on offer"
    ).tag(sync=True)
    memory_budget = traitlets.Any(None, help='bytes, "4GB", or None')
    live = traitlets.Bool(False, help="a preview after each change").tag(sync=True)

    levels_black = traitlets.Float(0.0, help="alpha up to this becomes 0").tag(sync=True)
    levels_white = traitlets.Float(1.0, help="alpha from this on becomes 1").tag(sync=True)
    choke = traitlets.Float(0.0, help="pixels of the photo, inward").tag(sync=True)
    feather = traitlets.Float(0.0, help="pixels of the photo").tag(sync=True)
    despill = traitlets.Unicode("off", help='"auto", "off", or a screen\'s colour').tag(sync=True)
    colors = traitlets.Enum(("foreground", "photo"), "foreground", help="colours under the alpha")

    message = traitlets.Unicode("", read_only=True, help="a sentence for the user").tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        for unknown in [n for n in traits if not (self.has_trait(n) or n == "model_id")]:
            close = get_close_matches(unknown, [*self.traits(), "pipeline"], 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise SettingError(f"{unknown}: is not an option of {type(self).__name__}{hint}")
        self._offer_models(traits["model"])
        super().__init__(**traits)
        self.observe(lambda change: self._offer_models(change.new), "model")

    def _offer_models(self, own: str) -> None:
        self.set_trait("models", _model_offers(own))

    @traitlets.validate("inside", "outside", "retention", "memory_budget", *EDGES)
    def _valid_option(self, proposal: Any) -> Any:
        return self._checked(proposal["trait"].name, proposal["value"])

    def _checked(self, name: str, value: Any) -> Any:
        """A trait's value as it is kept. Raises SettingError."""
        with self._reporting():
            if name in ("inside", "outside"):
                number = isinstance(value, int | float) and not isinstance(value, bool)
                if not (number and 0 <= value <= 100):
                    raise SettingError(
                        f"{name} {value!r}: give 0 to 100, in % of the subject's size"
                    )
                return float(value)
            if name == "retention":
                check_retention(value, NetworkConfig())
            elif name == "memory_budget" and value is not None:
                parse_bytes(value)
            elif name in EDGES:
                self._edge(**{name: value})
        return value

    def _edge(self, **changed: Any) -> Edge:
        """Raises SettingError for traits that contradict each other."""
        values = {name: getattr(self, name) for name in EDGES} | changed
        levels = (values.pop("levels_black"), values.pop("levels_white"))
        return Edge(levels=None if levels == (0.0, 1.0) else levels, **values)

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        """Repeat an error in `message`."""
        try:
            yield
        except MEMatteError as error:
            self.set_trait("message", str(error))
            raise


def _model_offers(own: str) -> list[dict[str, str]]:
    """Name, title and note of the models to choose from, `own` among them."""
    offers = []
    for model in list_models():
        entry = model.entry
        terms = "free for any use" if entry.commercial else "not for commercial use"
        if entry.where == "bundled":
            origin = "built in"
        else:
            origin = "downloaded" if model.path else "downloaded when first used"
        offers.append({"name": entry.name, "title": entry.name, "note": f"{origin}, {terms}"})
    if own not in [offer["name"] for offer in offers]:
        offers.insert(0, {"name": own, "title": own, "note": "chosen by you"})
    return offers


def model_name(pipeline: Any) -> str:
    """The model of a constructor's `pipeline` argument. Raises SettingError for another type."""
    if isinstance(pipeline, MattingPipeline):
        return pipeline.model or UNNAMED
    if pipeline is None or isinstance(pipeline, str):
        return pipeline or DEFAULT_MODEL
    raise SettingError(
        f"pipeline {type(pipeline).__name__}: give a MattingPipeline or a model's name"
    )
