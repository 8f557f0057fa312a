"""The models known by name: where each comes from and under which terms."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from ..errors import WeightsError

BUNDLE_ROOT = Path(__file__).parent
"""Each bundled model is a folder in here, named as in the catalog."""

Purpose = Literal["matting", "subject", "clicks", "words"]
"""What a model is for: the alpha, or finding the subject by itself, by clicks or by a word."""
USES: dict[Purpose, str] = {
    "matting": "computes alphas",
    "subject": "finds the subject by itself",
    "clicks": "finds the subject by clicks or in a box",
    "words": "finds the subject by a word",
}
"""What a model of each purpose does, for messages."""


@dataclass(frozen=True)
class Entry:
    """One model that can be asked for by name."""

    name: str
    """What the user types."""
    variant: str
    """Size of the network: tiny, small, base or large."""
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
    purpose: Purpose = "matting"
    """What it is for."""
    revision: str = "main"
    """Branch, tag or commit of the Hub repository."""
    together_with: tuple[str, ...] = ()
    """Names of the models that its use needs as well."""


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
        Entry(
            name="birefnet-lite",
            variant="small",
            licence="MIT",
            commercial=False,
            trained_on="research sets, DIS5K and HRSOD among them (the label of the file says MIT)",
            where="hub",
            repo_id="onnx-community/BiRefNet_lite-ONNX",
            note="BiRefNet in ONNX, 224 MB. Finds what stands out in a photo; nothing is asked.",
            purpose="subject",
        ),
        Entry(
            name="sam2.1-hiera-tiny",
            variant="tiny",
            licence="Apache-2.0",
            commercial=True,
            trained_on="SA-1B and SA-V by Meta, which published the weights",
            where="hub",
            repo_id="facebook/sam2.1-hiera-tiny",
            note="SAM 2.1, 156 MB. Finds what is clicked on, or stands in a box.",
            purpose="clicks",
        ),
        Entry(
            name="grounding-dino-tiny",
            variant="tiny",
            licence="Apache-2.0",
            commercial=False,
            trained_on="Objects365, GoldG (with Flickr30k, research only) and captions"
            " (the label of the file says Apache-2.0)",
            where="hub",
            repo_id="IDEA-Research/grounding-dino-tiny",
            note="Grounding DINO, 690 MB. Finds the box of what a word names; SAM 2.1 finds its"
            " mask.",
            purpose="words",
            together_with=("sam2.1-hiera-tiny",),
        ),
        Entry(
            name="sam3",
            variant="large",
            licence="SAM License",
            commercial=True,
            trained_on="SA-Co by Meta, which published the weights",
            where="hub",
            repo_id="facebook/sam3",
            note="SAM 3, 3.4 GB. Finds the mask of what a word names. Meta grants access on"
            " request, under a licence of its own, which excludes some uses.",
            purpose="words",
        ),
    )
}
"""Every model by its name."""


def find(name: str) -> Entry | None:
    """The entry of a name, with or without its owner (``hustvl/``); None if unknown."""
    if "/" not in name:
        return CATALOG.get(name)
    return next((entry for entry in CATALOG.values() if entry.repo_id == name), None)


def named(purpose: Purpose) -> list[str]:
    """The names of the models for this, the default first."""
    return [entry.name for entry in CATALOG.values() if entry.purpose == purpose]


def closest(name: str, purpose: Purpose = "matting") -> list[str]:
    """Known names that resemble `name`, best first; all of them if none does."""
    short, known = name.lower().rpartition("/")[2], named(purpose)
    return get_close_matches(short, known, n=3, cutoff=0.5) or known


def check_purpose(entry: Entry, purpose: Purpose) -> None:
    """Raises WeightsError for a model that is for something else."""
    if entry.purpose == purpose:
        return
    hint = "; give this one as --subject-model (subject_model=)" if purpose == "matting" else ""
    raise WeightsError(
        f"{entry.name}: {USES[entry.purpose]}; choose one that {USES[purpose]}, such as"
        f" {named(purpose)[0]}{hint}"
    )
