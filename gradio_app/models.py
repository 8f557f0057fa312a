"""The models that visitors may choose: the operator's own and those known by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from mematte_plugin import SettingError, list_models

from .settings import Settings


@dataclass(frozen=True)
class Offer:
    """One model to choose."""

    name: str
    """What requests call it: never a path."""
    title: str
    """What the page calls it."""
    note: str
    """Licence and origin, in a sentence."""
    source: str
    """What loads it: the name, or the operator's Hub id or path."""


def offered(settings: Settings) -> dict[str, Offer]:
    """Every model by its name, the operator's first."""
    known = {}
    for model in list_models():
        entry = model.entry
        terms = "free for any use" if entry.commercial else "not for commercial use"
        origin = "built in" if entry.where == "bundled" else f"from the Hub, {entry.repo_id}"
        known[entry.name] = Offer(
            name=entry.name,
            title=f"{entry.name} ({'built in' if entry.where == 'bundled' else terms})",
            note=f"{entry.licence}, {terms}; trained on {entry.trained_on}; {origin}.",
            source=entry.name,
        )
    own = settings.model
    if own in known:
        return {own: known[own], **known}
    # The last part of a path tells visitors enough, and nothing of the machine.
    name = PurePath(own.replace("\\", "/")).stem or "own"
    if name in known:
        name = f"own-{name}"
    note = "Chosen by whoever runs this demo; its terms are theirs to tell."
    return {name: Offer(name=name, title=name, note=note, source=own), **known}


def chosen(name: object, settings: Settings) -> Offer:
    """The model of this name; the operator's for None or nothing.

    Raises SettingError for every other name, a path or a Hub id included: what is loaded here is
    for the operator to decide.
    """
    known = offered(settings)
    if name is None or name == "":
        return next(iter(known.values()))
    if not isinstance(name, str) or name not in known:
        shown = repr(name) if len(repr(name)) <= 80 else f"{repr(name)[:77]}…"
        raise SettingError(f"model {shown}: is not offered here; choose {', '.join(known)}")
    return known[name]
