"""`python -m mematte_plugin.training`: pictures to train on, training, export; all resumable."""

from __future__ import annotations

import argparse
import json
import logging
import math
from pathlib import Path

import torch

from .data import build_bank
from .export import export
from .trainer import Recipe, Trainer

RECIPES = Path(__file__).parent / "recipes"


def bank(args: argparse.Namespace) -> None:
    """Collect backgrounds and render foregrounds."""
    build_bank(
        args.bank,
        count=args.count,
        workers=args.workers,
        emoji_archive=args.emoji,
    )


def train(args: argparse.Namespace) -> None:
    """Train or continue."""
    if args.threads:
        torch.set_num_threads(args.threads)
    trainer = Trainer(Recipe.read(args.recipe), args.bank, args.run, args.device)
    trainer.run(minutes=args.minutes, workers=args.workers)


def ship(args: argparse.Namespace) -> None:
    """Write the averaged weights with their card."""
    scores = json.loads(args.scores.read_text()) if args.scores else None
    export(args.run, args.directory, args.bank, scores)


def main() -> None:
    """Parse the arguments and run the command."""
    parser = argparse.ArgumentParser(prog="python -m mematte_plugin.training", description=__doc__)
    commands = parser.add_subparsers(required=True)

    command = commands.add_parser("bank", help=bank.__doc__)
    command.add_argument("bank", type=Path, help="folder of training pictures")
    command.add_argument("--count", type=int, help="foregrounds to render")
    command.add_argument("--workers", type=int, default=1, help="processes")
    command.add_argument("--emoji", type=Path, help="@lobehub/fluent-emoji-3d archive")
    command.set_defaults(run_command=bank)

    command = commands.add_parser("train", help=train.__doc__)
    command.add_argument("run", type=Path, help="checkpoint and log; a run there is continued")
    command.add_argument("--bank", type=Path, required=True, help="folder of training pictures")
    command.add_argument("--recipe", type=Path, default=RECIPES / "mematte-tiny.json")
    command.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    command.add_argument("--minutes", type=float, default=math.inf, help="stop after this long")
    command.add_argument("--workers", type=int, default=1, help="processes that compose crops")
    command.add_argument("--threads", type=int, default=0, help="CPU threads (0: torch's choice)")
    command.set_defaults(run_command=train)

    command = commands.add_parser("export", help=ship.__doc__)
    command.add_argument("run", type=Path, help="folder of the training run")
    command.add_argument("directory", type=Path, help="model folder to write")
    command.add_argument("--bank", type=Path, required=True, help="what it was trained on")
    command.add_argument("--scores", type=Path, help="JSON of development_photographs.py")
    command.set_defaults(run_command=ship)

    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    args.run_command(args)


if __name__ == "__main__":
    main()
