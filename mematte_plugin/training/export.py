"""From a training run to a model that ships: weights, configuration and an honest card."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from ..errors import InputError
from ..weights.card import Card
from ..weights.save import save_network
from .checkpoint import CHECKPOINT, load_state
from .data import data_section
from .recipe import Recipe
from .start import averaged_network

Scores = dict[str, dict[str, dict[str, float]]]
"""Per trimap width, per method, the figures: "sad", "mse", "mad" and, for a model, "kept"."""

TERMS = (
    "Trained by the mematte-plugin project on pictures that permit it: commercial use is allowed. "
    "None of the data sets that forbid it, and no other matting model, was used."
)
LIMITS = """A small network, trained with synthetic subjects over few real photographs. It is weak
where subject and background share colour and texture, on see-through things (glass, smoke, veils),
and where the unknown band is so wide that the known colours are far away. Look at the result."""


def export(
    run: Path,
    directory: Path,
    bank: Path,
    scores: Scores | None = None,
    *,
    limits: str | None = None,
) -> Path:
    """Write a run's averaged weights (float16) with a model card.

    Args:
        run: folder of the training run.
        directory: where config.json, model.safetensors and README.md go; its name is the model's.
        bank: the pictures it was trained on; their manifest becomes the card's data section.
        scores: measurements to put into the card.
        limits: what it does badly, in Markdown; a few general words by default.

    Returns: the directory.
    Raises WeightsError where the folder holds no run, InputError where the bank has no manifest,
    OutputError where nothing can be written.
    """
    state = load_state(run / CHECKPOINT)
    recipe = Recipe.from_dict(state["recipe"], str(run))
    try:
        manifest = json.loads((bank / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{bank}: no readable manifest.json ({error}); give the folder it was trained on"
        ) from None
    limits_section = f"## Limits\n\n{(limits or LIMITS).strip()}"
    body = "\n\n".join([data_section(manifest), *_scores_section(scores), limits_section])
    card = Card(directory.name, "Apache-2.0", TERMS, _source(recipe, state["step"]), body)
    training = {"recipe": state["recipe"], "step": state["step"], "scores": scores}
    return save_network(
        averaged_network(state),
        directory,
        dtype=torch.float16,
        card=card,
        metadata={"training": training},
    )


def _source(recipe: Recipe, step: int) -> str:
    """How the weights came to be, in words."""
    stages, left = [], step
    for stage in recipe.stages:
        steps = min(left, stage.steps)
        left -= steps
        if steps:
            stages.append(f"{steps} steps of {stage.batch} {recipe.data} crops of {stage.crop} px")
    start = recipe.init or recipe.init_backbone
    terms = ["unknown L1", "known L1", "Laplacian", "gradient penalty"]
    if recipe.network.get("routed", True):
        terms.append(f"{recipe.retention_weight:g} × (mean kept share - {recipe.retention:g})²")
        if recipe.routing_hint:
            points = ", ".join(f"{w:g} at {s:.0%}" for s, w in recipe.routing_hint)
            terms.append(f"routing hint (weight {points} of the run)")
    if recipe.distillation:
        terms.append(f"{recipe.distillation:g} × feature distillation from a dense teacher")
    words = [
        f"{' and '.join(stages)} ({recipe.crops_until(step)} crops in all)",
        f"AdamW, peak learning rate {recipe.lr:g}, {recipe.schedule} schedule",
        f"seed {recipe.seed}",
        f"from {'the weights of ' + Path(start).name if start else 'random weights'}",
        "losses: " + " + ".join(terms),
    ]
    averaged = f"The averaged weights (decay {recipe.ema:g}) are stored."
    return " ".join(filter(None, ["; ".join(words) + ".", averaged, recipe.notes]))


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
