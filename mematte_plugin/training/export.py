"""From a training run to a model: weights, configuration and model card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ..errors import InputError
from ..weights.publish import Card
from ..weights.save import save_network
from .checkpoint import CHECKPOINT, load_state
from .data.credits import data_section
from .data.storing import bank_entries
from .origins import TERMS, ingredients_of_pictures, ingredients_of_run, recorded, terms_of
from .recipe import Recipe
from .start import averaged_network

Scores = dict[str, dict[str, dict[str, float]]]
"""Figures by set of trimaps, method and name in FIGURES."""

FIGURES = {
    "pictures": ("pictures", "{:.0f}"),
    "sad": ("SAD", "{:.2f}"),
    "mse": ("MSE", "{:.1f}"),
    "mad": ("MAD", "{:.4f}"),
    "grad": ("Grad", "{:.2f}"),
    "conn": ("Conn", "{:.2f}"),
    "kept": ("kept", "{:.0%}"),
}
"""Heading and format of the measured figures; missing ones are omitted."""
LIMITS = """A small network, trained with synthetic subjects over few real photographs. It is weak
where subject and background share colour and texture, on see-through things (glass, smoke, veils),
and where the unknown band is so wide that the known colours are far away. Look at the result."""


def export(
    run: Path,
    directory: Path,
    bank: Path,
    report: Mapping[str, Any] | None = None,
    *,
    limits: str | None = None,
) -> Path:
    """Write a run's averaged weights (float16) with a model card.

    The licence on the card follows from the pictures, and from the weights that the run started
    from and learned from (see `origins`).

    Args:
        run: folder of the training run.
        directory: gets config.json, model.safetensors and README.md; its name is the model's.
        bank: the pictures it was trained on; their manifest becomes the card's data section.
        report: measurements for the card, as `mematte eval -o report.json` writes them: "scores" by
            set of trimaps and method, and "routing" likewise.
        limits: what the model does badly, in Markdown; default: a general statement.

    Returns: the directory. Raises WeightsError if the folder holds no run, InputError if `bank` is
    not a bank, OutputError if nothing can be written.
    """
    state = load_state(run / CHECKPOINT)
    recipe = Recipe.from_dict(state["recipe"], str(run))
    entries = list(bank_entries(Path(bank)).values())
    limits_section = f"## Limits\n\n{(limits or LIMITS).strip()}"
    report = report or {}
    try:
        measured = [*_scores_section(report["scores"])] if report else []
        measured += _routing_section(report.get("routing", {}))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"scores: not a report of `mematte eval` ({type(error).__name__}: {error})"
        ) from None
    body = "\n\n".join([data_section(entries), *measured, limits_section])
    used = recorded(run)
    pictures = ingredients_of_pictures(entries)
    terms = terms_of(ingredients_of_run(recipe, entries) if used is None else [*used, *pictures])
    card = Card(directory.name, terms.licence, terms.words, _source(recipe, state["step"]), body)
    training = {"recipe": state["recipe"], "step": state["step"], "scores": report.get("scores")}
    return save_network(
        averaged_network(state),
        directory,
        dtype=torch.float16,
        card=card,
        metadata={"training": training, TERMS: asdict(terms)},
    )


def _source(recipe: Recipe, step: int) -> str:
    """How the weights were made, in words."""
    stages, left = [], step
    for stage in recipe.stages:
        steps = min(left, stage.steps)
        left -= steps
        if steps:
            stages.append(f"{steps} steps of {stage.batch} stored crops of {stage.crop} px")
    different = ""
    if recipe.reuse > 1:
        different = f", about {recipe.crops_until(step) // recipe.reuse} of them different"
    start = recipe.init
    terms = ["unknown L1", "known L1", "Laplacian", "gradient penalty"]
    if recipe.squared:
        terms.append(f"{recipe.squared:g} × unknown squared error")
    if recipe.network.get("routed", True):
        terms.append(f"{recipe.retention_weight:g} × (mean kept share - {recipe.retention:g})²")
        if recipe.routing_hint:
            points = ", ".join(f"{w:g} at {s:.0%}" for s, w in recipe.routing_hint)
            terms.append(f"routing hint (weight {points} of the run)")
    if recipe.distillation:
        terms.append(f"{recipe.distillation:g} × feature distillation from a dense teacher")
    words = [
        f"{' and '.join(stages)} ({recipe.crops_until(step)} crops in all{different})",
        f"AdamW, peak learning rate {recipe.lr:g}, {recipe.schedule} schedule",
        f"seed {recipe.seed}",
        f"from {'the weights of ' + Path(start).name if start else 'random weights'}",
        "losses: " + " + ".join(terms),
    ]
    averaged = f"The averaged weights (decay {recipe.ema:g}) are stored."
    return " ".join(filter(None, ["; ".join(words) + ".", averaged, recipe.notes]))


def _scores_section(scores: Scores) -> list[str]:
    rows = [
        (width, method, f) for width, methods in scores.items() for method, f in methods.items()
    ]
    names = [name for name in FIGURES if any(f.get(name) is not None for *_, f in rows)]
    lines = [
        f"| {width} | {method} | "
        + " | ".join("–" if f.get(n) is None else FIGURES[n][1].format(f[n]) for n in names)
        + " |"
        for width, method, f in rows
    ]
    head = [
        "## Measured",
        "",
        "On photographs at full size, never trained on; errors over the unknown region (Rhemann et",
        "al. 2009), mean over the pictures: SAD, Grad and Conn in thousands, MSE × 10⁻³, mean",
        "absolute difference; share of the tokens kept for attention.",
        "",
        f"| trimap | method | {' | '.join(FIGURES[name][0] for name in names)} |",
        "|" + "---|" * (len(names) + 2),
    ]
    return ["\n".join([*head, *lines])]


def _routing_section(routing: Mapping[str, Mapping[str, list[dict[str, Any]]]]) -> list[str]:
    lines = [
        f"| {width} | {method} | {one['block']} | "
        + " | ".join(
            "–" if one[k] is None else f"{one[k]:.0%}" for k in ("overall", "inside", "outside")
        )
        + " |"
        for width, methods in routing.items()
        for method, blocks in methods.items()
        for one in blocks
    ]
    head = [
        "Tokens kept per routed block: of all, of those that hold unknown pixels, of the others.",
        "",
        "| trimap | method | block | all | unknown | known |",
        "|---|---|---|---|---|---|",
    ]
    return ["\n".join([*head, *lines])] if lines else []
