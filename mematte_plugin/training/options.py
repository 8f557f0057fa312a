"""The options of a training run, for whichever command line offers them. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEFAULT_RECIPE = "mematte-tiny"


@dataclass(frozen=True)
class Option:
    """One option and what it is for."""

    kind: Callable[[str], Any]
    """Makes its value of text."""
    default: Any
    """Without the option."""
    help: str
    """For the reader of --help."""
    required: bool = False
    """Whether there is no doing without it."""

    @property
    def flag_help(self) -> str:
        """The help, with the default where that says something."""
        telling = self.default not in (None, 0, "")
        return f"{self.help} Default: {self.default}." if telling else self.help


RUN = {
    "data": Option(
        Path, None, "Folder of training pictures: built, imported or packed.", required=True
    ),
    "recipe": Option(
        str,
        DEFAULT_RECIPE,
        "What to compute: a JSON file, or a built-in recipe: mematte-tiny, mematte-tiny-finetune"
        " (goes on from mematte-tiny) or paper-vits (the paper's, for cards).",
    ),
    "minutes": Option(float, None, "Stop after so many minutes; the same command goes on later."),
    "workers": Option(
        int, None, "Processes that make the pictures. Default: 1 on a CPU, all cores beside a GPU."
    ),
    "device": Option(str, "auto", "auto, cpu or cuda."),
    "precision": Option(
        str,
        None,
        "no, bf16 or fp16; auto is bf16 on CUDA cards that have it, else no."
        " Default: the recipe's.",
    ),
    "teacher": Option(
        str,
        None,
        "The frozen teacher of a recipe that distils, as paper-vits: a run's folder, a model's"
        " folder or file, a name or a Hub id.",
    ),
    "init": Option(
        str,
        None,
        "Finished weights to go on from, such as mematte-tiny; given as --teacher is. What the"
        " recipe's network has beyond them starts anew.",
    ),
    "init_backbone": Option(
        str,
        None,
        "A plain ViT (DINO, DeiT, EfficientSAM) to start the encoder from: file or Hub id.",
    ),
    "validate": Option(
        Path, None, "Folder of photographs with true alpha to measure on, now and then."
    ),
    "validate_every": Option(int, 2000, "Steps between validations."),
    "preview_every": Option(int, 1000, "Steps between preview pictures; 0 for none."),
    "threads": Option(int, 0, "CPU threads of the training itself; 0 is torch's choice."),
}
"""Of `run`, by Python name; dashes stand for underscores on a command line."""

EXPORT = {
    "data": Option(
        Path,
        None,
        "The pictures it was trained on, for the model card and its licence.",
        required=True,
    ),
    "scores": Option(Path, None, "What `mematte eval -o report.json` wrote, for the model card."),
    "limits": Option(Path, None, "Markdown for the model card: what the model does badly."),
}
"""Of `export`."""
