"""Errors of a model on real photographs with true alpha, beside the distance ratio.

    python benchmarks/development_photographs.py FOLDER [--model NAME] [--json OUT]

FOLDER holds image/, alpha/, trimap_narrow/ and trimap_wide/ with equal file names. Errors over the
unknown region: SAD in thousands, MSE times 1000, mean absolute difference; mean over the pictures.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from mematte_plugin import MattingPipeline
from mematte_plugin.evaluation.baselines import distance_ratio
from mematte_plugin.evaluation.metrics import errors, mean_errors
from mematte_plugin.images import read_gray


def measure(pipe: MattingPipeline, folder: Path) -> dict[str, dict[str, dict[str, float]]]:
    """Per trimap width and method, the mean errors; for the model also the share of kept tokens."""
    results: dict[str, dict[str, dict[str, float]]] = {}
    for width in ("narrow", "wide"):
        ours, baseline, kept = [], [], []
        for path in sorted((folder / "image").iterdir()):
            truth = read_gray(folder / "alpha" / path.name, name="alpha")
            matte = pipe(path, folder / f"trimap_{width}" / path.name)
            ours.append(errors(matte.alpha, truth, matte.trimap))
            baseline.append(errors(distance_ratio(matte.trimap), truth, matte.trimap))
            kept.append(np.mean([mask.mean() for mask in matte.routing] or [1.0]))
        results[width] = {
            "model": {**asdict(mean_errors(ours)), "kept": float(np.mean(kept))},
            "distance ratio": asdict(mean_errors(baseline)),
        }
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="mematte-tiny")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    results = measure(MattingPipeline.from_pretrained(args.model), args.folder)
    for width, methods in results.items():
        for name, figures in methods.items():
            row = ", ".join(f"{k} {v:.4g}" for k, v in figures.items())
            print(f"{width:7} {name:15} {row}")
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
