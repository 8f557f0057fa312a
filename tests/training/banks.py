"""A small bank for the tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mematte_plugin.training.data.bank import build_bank
from mematte_plugin.training.data.textures import pattern


def photo(path: Path, seed: int) -> Path:
    """Write a stand-in for a photograph, 400 x 300."""
    Image.fromarray(pattern(np.random.default_rng(seed), 300, 400)).save(path)
    return path


def make_bank(folder: Path) -> Path:
    """Six foregrounds and two backgrounds; three more pictures cannot be used."""
    pictures = folder / "pictures"
    pictures.mkdir()
    rows = ["file,author,licence"]
    for i, licence in enumerate(["CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0"]):
        photo(pictures / f"p{i}.png", i)
        rows.append(f"p{i}.png,someone,{licence}")
    (pictures / "broken.png").write_bytes(b"not a picture")
    Image.new("RGB", (20, 20)).save(pictures / "tiny.png")
    rows += ["broken.png,someone,CC0-1.0", "tiny.png,someone,CC0-1.0"]
    (pictures / "credits.csv").write_text("\n".join(rows))
    directory = folder / "bank"
    counts = build_bank(directory, count=6, size=200, photos=[pictures])
    assert counts == {"backgrounds": 2, "foregrounds": 6, "skipped": 3}
    return directory


def pictures_of(bank: Path) -> list[dict[str, Any]]:
    """The entries of a bank's manifest, as the file has them."""
    return json.loads((bank / "manifest.json").read_text(encoding="utf-8"))["pictures"]
