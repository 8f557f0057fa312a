"""Model cards: the README.md of a published model."""

from __future__ import annotations

from dataclasses import dataclass

from ..network.config import NetworkConfig
from .formats import variant_of

PAPER = "https://arxiv.org/abs/2412.10702"

_SPDX = {
    "apache-2.0": "apache-2.0",
    "mit": "mit",
    "cc-by-4.0": "cc-by-4.0",
    "cc-by-nc-4.0": "cc-by-nc-4.0",
    "cc-by-nc-sa-4.0": "cc-by-nc-sa-4.0",
    "cc0-1.0": "cc0-1.0",
}
"""Licences that the Hub knows by name."""

UNKNOWN_TERMS = (
    "The converter does not know what these weights were trained on. The official MEMatte and "
    "ViTMatte checkpoints were trained on Adobe's Composition-1k or on Distinctions-646, which are "
    "for non-commercial research only: do not use those commercially, whatever the code's licence."
)


@dataclass(frozen=True)
class Card:
    """What a model card says beyond the network's shape."""

    title: str
    """Heading and name of the model."""
    licence: str
    """SPDX identifier, or any other text where none fits."""
    terms: str
    """In words: what the licence and the training data allow."""
    source: str
    """Where the weights come from."""
    body: str = ""
    """More Markdown: training data, measurements, limits."""


def render(card: Card, config: NetworkConfig, model: str) -> str:
    """The card as Markdown with the Hub's YAML front matter.

    Args:
        card: its words.
        config: shape of the network.
        model: what users write to load it: a Hub id, a catalog name or a folder.
    """
    known = _SPDX.get(card.licence.lower())
    licence = [f"license: {known}"] if known else ["license: other", f"license_name: {_slug(card)}"]
    kind = "MEMatte" if config.routed else "ViTMatte"
    front = [
        "---",
        *licence,
        "library_name: mematte-plugin",
        "pipeline_tag: image-segmentation",
        "tags:",
        *(f"- {tag}" for tag in ("matting", "image-matting", "alpha", "trimap", kind.lower())),
        "---",
    ]
    text = f"""
# {card.title}

{kind} network ({variant_of(config)}: {config.embed_dim} channels, {config.num_heads} heads, \
{config.depth} blocks) that turns a photo and a trimap into an alpha matte at full resolution.
Method: [MEMatte]({PAPER}).

## Terms

Licence: {card.licence}. {card.terms}

## Source

{card.source}

## Use

```bash
pip install mematte-plugin
mematte cut photo.jpg trimap.png --model {model}
```

```python
from mematte_plugin import MattingPipeline

pipe = MattingPipeline.from_pretrained("{model}")
pipe("photo.jpg", "trimap.png").save("cutout.png")
```
"""
    return "\n".join(front) + "\n" + text + (f"\n{card.body.strip()}\n" if card.body else "")


def _slug(card: Card) -> str:
    words = "".join(c if c.isalnum() else " " for c in card.licence.lower()).split()
    return "-".join(words[:6]) or "unknown"
