"""Small networks that find subjects, for a demo's operator."""

from __future__ import annotations

from pathlib import Path


def save_finders(folder: Path) -> dict[str, str]:
    """Settings that name small networks: what is bright is found, clicks show something random, and
    no word is in any picture."""
    from tests.subject.networks import save_dino, save_sam2
    from tests.subject.onnx_files import save_bright

    return {
        "subject_model": str(save_bright(folder / "bright.onnx")),
        "clicks_model": str(save_sam2(folder / "tiny-sam")),
        "words_model": str(save_dino(folder / "tiny-dino", bias=-3)),
    }
