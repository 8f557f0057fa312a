"""How a widget's photo is to be cut: model, retention, memory."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

import traitlets

from ..errors import SettingError
from ..memory.retention import MIN_TOKEN_COUNT
from ..memory.units import parse_bytes
from ..pipeline import DEFAULT_MODEL
from ..weights.load import list_models
from .sketch import Sketch
from .traits import Checked


class Options(Sketch):
    """A photo, its trimap, and with which model, retention and memory it is to be cut."""

    retention = Checked("auto", help='"auto", a share, or a number of tokens').tag(sync=True)
    model = traitlets.Unicode(DEFAULT_MODEL, help="name, Hub id or path").tag(sync=True)
    models: traitlets.List[dict[str, str]] = traitlets.List(
        read_only=True, help="name, title and note of each model that is offered"
    ).tag(sync=True)
    memory_budget = traitlets.Any(None, allow_none=True, help='bytes or "4GB"')
    live = traitlets.Bool(False, help="a preview after each change").tag(sync=True)

    def __init__(
        self,
        image: Any,
        trimap: Any,
        mask: Any,
        *,
        model: str,
        inside: float,
        outside: float,
        **traits: Any,
    ) -> None:
        for unknown in [n for n in traits if not (self.has_trait(n) or n == "model_id")]:
            close = get_close_matches(unknown, [*self.traits(), "pipeline"], 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise SettingError(f"{unknown}: is no option of {type(self).__name__}{hint}")
        self.set_trait("models", _offers(model))
        super().__init__(image, trimap, mask, inside, outside, model=model, **traits)
        self.observe(self._on_model, "model")

    def _on_model(self, change: Any) -> None:
        if change["new"] not in [offer["name"] for offer in self.models]:
            self.set_trait("models", [_offer(change["new"]), *self.models])

    @traitlets.validate("memory_budget")
    def _valid_budget(self, proposal: Any) -> Any:
        value = proposal["value"]
        with self._reporting():
            if value is not None:
                parse_bytes(value)
        return value

    @traitlets.validate("retention")
    def _valid_retention(self, proposal: Any) -> Any:
        value = proposal["value"]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        whole = number and value >= MIN_TOKEN_COUNT and float(value).is_integer()
        if value == "auto" or (number and 0 <= value <= 1) or whole:
            return value
        with self._reporting():
            raise SettingError(
                f"retention {value!r}: give auto, a share of tokens from 0 to 1, or a number of "
                f"tokens of at least {MIN_TOKEN_COUNT}"
            )


def _offers(own: str) -> list[dict[str, str]]:
    """The models to choose from, the one in use among them."""
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
        offers.insert(0, _offer(own))
    return offers


def _offer(own: str) -> dict[str, str]:
    return {"name": own, "title": own, "note": "chosen by you"}
