"""Publishing a model: its card, and the upload to the Hugging Face Hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import OutputError, WeightsError
from ..network.config import NetworkConfig
from .files import CONFIG, MODEL, README
from .hub import endpoint, hub_errors, one_line, status_of
from .load import load_network

PAPER = "https://arxiv.org/abs/2412.10702"

KNOWN_LICENCES = frozenset(
    ("apache-2.0", "mit", "cc-by-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc0-1.0")
)
"""Licences that the Hub knows by name."""

UNKNOWN_TERMS = (
    "The converter does not know what these weights were trained on. The official MEMatte and "
    "ViTMatte checkpoints were trained on Adobe's Composition-1k or on Distinctions-646, which are "
    "for non-commercial research only: do not use those commercially, whatever the code's licence."
)


@dataclass(frozen=True)
class Card:
    """What a model card (README.md) says beyond the network's shape."""

    title: str
    """Heading and name of the model."""
    licence: str
    """SPDX identifier, or any other text if none fits."""
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
    licence = card.licence.lower()
    if licence in KNOWN_LICENCES:
        license_lines = [f"license: {licence}"]
    else:
        words = "".join(c if c.isalnum() else " " for c in licence).split()
        name = "-".join(words[:6]) or "unknown"
        license_lines = ["license: other", f"license_name: {name}"]
    kind = "MEMatte" if config.routed else "ViTMatte"
    front = [
        "---",
        *license_lines,
        "library_name: mematte-plugin",
        "pipeline_tag: image-segmentation",
        "tags:",
        *(f"- {tag}" for tag in ("matting", "image-matting", "alpha", "trimap", kind.lower())),
        "---",
    ]
    text = f"""
# {card.title}

{kind} network ({config.embed_dim} channels, {config.num_heads} heads, {config.depth} blocks) that \
turns a photo and a trimap into an alpha matte at full resolution.
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


def push_to_hub(
    directory: str | Path, repo_id: str, *, private: bool = False, token: str | None = None
) -> str:
    """Publish a model folder (see `save_network`) and return its address.

    The repository is created if it does not exist; existing files are replaced in one commit.

    Args:
        directory: holds config.json, model.safetensors and README.md.
        repo_id: ``owner/name``.
        private: for a repository that is created now.
        token: default is the one of `hf auth login` or HF_TOKEN.

    Raises:
        WeightsError: the folder does not hold a network that loads.
        OutputError: the Hub refuses the upload.
    """
    from huggingface_hub import HfApi

    load_network(Path(directory))  # nothing is published that does not load
    uploaded = [CONFIG, MODEL, README]
    missing = [name for name in uploaded if not (Path(directory) / name).is_file()]
    if missing:
        raise WeightsError(
            f"{directory} has no {', '.join(missing)}; make the folder with `mematte convert`"
        )
    api = HfApi(token=token)
    try:
        api.create_repo(repo_id, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=repo_id,
            folder_path=directory,
            allow_patterns=uploaded,
            commit_message="Upload with mematte-plugin",
        )
    except hub_errors() as error:
        remedy = "run `hf auth login` with a token that may write there"
        if status_of(error) not in {401, 403}:
            remedy = "check the id and the connection, then try again"
        raise OutputError(
            f"{repo_id}: {endpoint()} does not accept the model ({one_line(error)}); {remedy}"
        ) from error
    return f"{endpoint()}/{repo_id}"
