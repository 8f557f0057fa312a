"""A widget's options: what they may be, the edge they stand for, the models on offer."""

from __future__ import annotations

from typing import Any

from ..errors import SettingError
from ..foreground.edges import Edge
from ..memory.retention import check_retention
from ..memory.units import parse_bytes
from ..network import NetworkConfig
from ..weights.load import list_models

EDGES = ("levels_black", "levels_white", "choke", "feather", "despill", "colors")
"""The traits of the edge."""


def check_option(session: Any, name: str, value: Any) -> Any:
    """The value of a session's trait as it is kept. Raises SettingError."""
    if name in ("inside", "outside"):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (number and 0 <= value <= 100):
            raise SettingError(f"{name} {value!r}: give 0 to 100, in % of the subject's size")
        return float(value)
    if name == "retention":
        check_retention(value, NetworkConfig())
    elif name == "memory_budget" and value is not None:
        parse_bytes(value)
    elif name in EDGES:
        edge_of(session, **{name: value})
    return value


def edge_of(session: Any, **changed: Any) -> Edge:
    """The edge that a session's traits stand for. Raises SettingError if they contradict."""
    values = {name: getattr(session, name) for name in EDGES} | changed
    levels = (values.pop("levels_black"), values.pop("levels_white"))
    return Edge(levels=None if levels == (0.0, 1.0) else levels, **values)


def model_offers(own: str) -> list[dict[str, str]]:
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
