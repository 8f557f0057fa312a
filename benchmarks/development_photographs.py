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
import torch
from PIL import Image

from mematte_plugin.evaluation.baselines import distance_ratio
from mematte_plugin.evaluation.metrics import errors, mean_errors
from mematte_plugin.network import Chunking, MEMatte
from mematte_plugin.weights.load import load_network


def grey(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("L"), np.float32) / 255


def predict(network: MEMatte, image: np.ndarray, trimap: np.ndarray) -> tuple[np.ndarray, float]:
    """Alpha (H, W) with the known regions forced, and the share of tokens kept."""
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    three = np.where((trimap > 0.02) & (trimap < 0.98), 0.5, trimap.round()).astype(np.float32)
    with torch.inference_mode():
        found = network.predict(
            pixels,
            torch.from_numpy(three)[None, None],
            chunking=Chunking(16384, 512),
            only_unknown=True,
        )
    alpha = np.where(three == 0.5, found.alpha[0, 0].numpy(), three)
    return alpha, float(np.mean([k.float().mean().item() for k in found.keep] or [1.0]))


def measure(network: MEMatte, folder: Path) -> dict[str, dict[str, dict[str, float]]]:
    results: dict[str, dict[str, dict[str, float]]] = {}
    for width in ("narrow", "wide"):
        ours, baseline, kept = [], [], []
        for path in sorted((folder / "image").iterdir()):
            image = np.asarray(Image.open(path).convert("RGB"))
            trimap = grey(folder / f"trimap_{width}" / path.name)
            truth = grey(folder / "alpha" / path.name)
            alpha, share = predict(network, image, trimap)
            kept.append(share)
            three = np.where((trimap > 0.02) & (trimap < 0.98), 0.5, trimap.round())
            ours.append(errors(alpha, truth, three))
            baseline.append(errors(distance_ratio(three), truth, three))
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
    results = measure(load_network(args.model), args.folder)
    for width, methods in results.items():
        for name, figures in methods.items():
            row = ", ".join(f"{k} {v:.4g}" for k, v in figures.items())
            print(f"{width:7} {name:15} {row}")
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
