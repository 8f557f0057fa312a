"""From a training run to a model that ships: weights, configuration and an honest card."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch

from ..errors import WeightsError
from ..network import MEMatte, NetworkConfig
from ..weights.card import Card
from ..weights.save import save_network
from .trainer import CHECKPOINT

Scores = dict[str, dict[str, dict[str, float]]]
"""Per trimap width, per method, the figures: what benchmarks/development_photographs.py writes."""

TERMS = (
    "Trained by the mematte-plugin project on pictures that permit it: commercial use is allowed. "
    "None of the data sets that forbid it, and no other matting model, was used."
)
LIMITS = """## Limits

A small network, trained for a short time on a CPU with synthetic subjects over few real
photographs. It follows hair and fur against backgrounds of another colour. It is weak where subject
and background share colour and texture, on see-through things (glass, smoke, veils), and where the
unknown band is so wide that the known colours are far away. On the photographs above classical
methods (closed-form and KNN matting) still score better. Routing works but is worth little yet: how
many tokens are kept changes the alpha only slightly. Look at the result."""


def averaged_network(run: Path) -> tuple[MEMatte, dict[str, Any]]:
    """The averaged weights of a run, in eval mode, and its checkpoint.

    Raises WeightsError where the folder holds no run.
    """
    path = run / CHECKPOINT
    if not path.is_file():
        raise WeightsError(f"{run}: no {CHECKPOINT} there; give the folder of a training run")
    state = torch.load(path, map_location="cpu", weights_only=True)
    network = MEMatte(NetworkConfig.from_dict(state["recipe"]["network"]))
    network.load_state_dict(state["average"])
    return network.eval(), state


def export(run: Path, directory: Path, bank: Path, scores: Scores | None = None) -> Path:
    """Write a run's averaged weights (float16) with a model card.

    Args:
        run: folder of the training run.
        directory: where config.json, model.safetensors and README.md go; its name is the model's.
        bank: the pictures it was trained on; their manifest becomes the card's data section.
        scores: measurements to put into the card.

    Returns: the directory.
    """
    network, state = averaged_network(run)
    recipe = state["recipe"]
    crops = state["step"] * recipe["batch"]
    source = (
        f"{state['step']} steps of {recipe['batch']} crops ({crops} crops of {recipe['crop']} px), "
        f"AdamW, peak learning rate {recipe['lr']}, seed {recipe['seed']}, float32, from random "
        "weights; unknown L1 + known L1 + Laplacian + gradient penalty + (mean kept share - "
        f"{recipe['retention']})² + {recipe['routing_hint']} × routing hint, decisions by "
        f"Gumbel-softmax, no teacher. The averaged weights (decay {recipe['ema']}) are stored. "
        f"{recipe['notes']}"
    ).strip()
    manifest = json.loads((bank / "manifest.json").read_text())
    body = "\n\n".join([_data_section(manifest), *_scores_section(scores), LIMITS])
    card = Card(directory.name, "Apache-2.0", TERMS, source, body)
    training = {"recipe": recipe, "step": state["step"], "scores": scores}
    return save_network(
        network, directory, dtype=torch.float16, card=card, metadata={"training": training}
    )


def _data_section(manifest: list[dict[str, str]]) -> str:
    files: dict[tuple[str, str, str, str], set[str]] = defaultdict(set)
    for entry in manifest:
        rendered = entry["source"] == "rendered"
        author = "this project" if rendered else entry["author"]
        key = (entry["source"], author, entry["licence"], entry["use"])
        files[key].add(entry["file"] if rendered else entry["original"])
    rows = [
        f"| {source} | {author} | {licence} | {use} | {len(names)} |"
        for (source, author, licence, use), names in sorted(files.items())
    ]
    return "\n".join(
        [
            "## Data",
            "",
            "| source | author | licence | used as | pictures |",
            "|---|---|---|---|---|",
            *rows,
        ]
    )


def _scores_section(scores: Scores | None) -> list[str]:
    if scores is None:
        return []
    rows = [
        f"| {width} | {method} | {f['sad']:.2f} | {f['mse']:.1f} | {f['mad']:.4f} | "
        + (f"{f['kept']:.0%} |" if "kept" in f else "– |")
        for width, methods in scores.items()
        for method, f in methods.items()
    ]
    head = [
        "## Measured",
        "",
        "Nine real photographs (800 px wide) of the alphamatting.com training set, at full size,",
        "never trained on; errors over the unknown region: SAD in thousands, MSE × 10⁻³, mean",
        "absolute difference, tokens kept for attention.",
        "",
        "| trimap | method | SAD | MSE | MAD | kept |",
        "|---|---|---|---|---|---|",
    ]
    return ["\n".join([*head, *rows])]
