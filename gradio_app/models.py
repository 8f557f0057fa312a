"""The models that visitors may choose: the operator's own and those of the catalog."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from mematte_plugin import SettingError, list_models

from .settings import Settings


@dataclass(frozen=True)
class Offer:
    """One model to choose."""

    name: str
    """Its name in requests, never a path."""
    title: str
    """Its name on the page."""
    note: str
    """Licence and origin, in a sentence."""
    source: str
    """What to load: the name, or the operator's Hub id or path."""


def offered(settings: Settings) -> dict[str, Offer]:
    """Every model by its name, the operator's first."""
    known = {}
    for entry in (model.entry for model in list_models()):
        bundled = entry.where == "bundled"
        terms = "free for any use" if entry.commercial else "not for commercial use"
        origin = "built in" if bundled else f"from the Hub, {entry.repo_id}"
        title = f"{entry.name} ({'built in' if bundled else terms})"
        note = f"{entry.licence}, {terms}; trained on {entry.trained_on}; {origin}."
        known[entry.name] = Offer(entry.name, title, note, entry.name)
    own = settings.model
    if own in known:
        return {own: known[own], **known}
    # The last part of a path tells visitors enough, and nothing about the machine.
    name = PurePath(own.replace("\\", "/")).stem or "own"
    if name in known:
        name = f"own-{name}"
    note = "Chosen by the operator of this demo, who knows its terms."
    return {name: Offer(name, name, note, own), **known}


def chosen(name: object, settings: Settings) -> Offer:
    """The model of this name; the operator's for None or an empty name.

    Raises SettingError for every other name, including paths and Hub ids: only the operator
    decides what is loaded.
    """
    known = offered(settings)
    if name is None or name == "":
        return next(iter(known.values()))
    if not isinstance(name, str) or name not in known:
        raise SettingError(f"model {short(name)}: is not offered here; choose {', '.join(known)}")
    return known[name]


def short(value: object) -> str:
    """A value from a request, for a message."""
    return repr(value) if len(repr(value)) <= 80 else f"{repr(value)[:77]}…"
