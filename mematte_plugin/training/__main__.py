"""`python -m mematte_plugin.training`: train from a recipe, resumable, for any length of time."""

from __future__ import annotations

import argparse
import logging
import math
from pathlib import Path

import torch

from .trainer import Recipe, Trainer

RECIPES = Path(__file__).parent / "recipes"


def main() -> None:
    """Parse the arguments and train."""
    parser = argparse.ArgumentParser(prog="python -m mematte_plugin.training", description=__doc__)
    parser.add_argument("directory", type=Path, help="checkpoint and log; a run there is continued")
    parser.add_argument("--bank", type=Path, required=True, help="folder of training pictures")
    parser.add_argument("--recipe", type=Path, default=RECIPES / "mematte-tiny.json")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after this long")
    parser.add_argument("--workers", type=int, default=1, help="processes that compose crops")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (0: torch's choice)")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if args.threads:
        torch.set_num_threads(args.threads)
    trainer = Trainer(Recipe.read(args.recipe), args.bank, args.directory, args.device)
    trainer.run(minutes=args.minutes, workers=args.workers)


if __name__ == "__main__":
    main()
