"""The models known by name: where each comes from and under which terms."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

BUNDLE_ROOT = Path(__file__).parent
"""Each bundled model is a folder in here, named as in the catalog."""


@dataclass(frozen=True)
class Entry:
    """One model that can be asked for by name."""

    name: str
    """What the user types."""
    variant: str
    """Size of the network: tiny, small or base."""
    licence: str
    """Licence of the weights file as published."""
    commercial: bool
    """False where the training data forbid commercial use, whatever the licence of the file."""
    trained_on: str
    """The training data, with their terms."""
    where: Literal["bundled", "hub"]
    """Inside this package, or on the Hugging Face Hub."""
    repo_id: str
    """Hub repository; empty for a bundled model."""
    note: str
    """What a person choosing a model should know."""


def _vitmatte(size: str, dataset: str, dataset_title: str) -> Entry:
    name = f"vitmatte-{size}-{dataset}"
    return Entry(
        name=name,
        variant=size,
        licence="Apache-2.0",
        commercial=False,
        trained_on=dataset_title,
        where="hub",
        repo_id=f"hustvl/{name}",
        note="ViTMatte, the unrouted form of the network. Code and file are Apache-2.0, "
        "but the training set is for non-commercial use.",
    )


_COMPOSITION_1K = "Adobe Composition-1k (non-commercial research only)"
_DISTINCTIONS_646 = "Distinctions-646 (non-commercial research only)"

CATALOG: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry(
            name="mematte-tiny",
            variant="tiny",
            licence="Apache-2.0",
            commercial=True,
            trained_on="synthetic foregrounds over photographs whose licences permit it",
            where="bundled",
            repo_id="",
            note="Trained by this project; comes with the package and works offline.",
        ),
        _vitmatte("small", "composition-1k", _COMPOSITION_1K),
        _vitmatte("base", "composition-1k", _COMPOSITION_1K),
        _vitmatte("small", "distinctions-646", _DISTINCTIONS_646),
        _vitmatte("base", "distinctions-646", _DISTINCTIONS_646),
    )
}
"""Every model by its name."""


def find(name: str) -> Entry | None:
    """The entry of a name, with or without its owner (``hustvl/``); None if unknown."""
    owner, _, short = name.rpartition("/")
    entry = CATALOG.get(short)
    if entry is None or not owner or entry.repo_id == name:
        return entry
    return None


def closest(name: str) -> list[str]:
    """Known names that resemble `name`, best first; all of them if none does."""
    short = name.lower().rpartition("/")[2]
    return get_close_matches(short, CATALOG, n=3, cutoff=0.5) or list(CATALOG)
