"""What the README shows of the demo as a service works as it is written there."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gradio")

from mematte_plugin import read_photo
from tests.gradio_app.harness import MASK, PHOTO, TRIMAP, Service
from tests.patience import PATIENCE, until

README = (Path(__file__).parents[2] / "README.md").read_text()
ADDRESS = "http://127.0.0.1:7860"


def block(language: str, word: str) -> str:
    """The one block of code in the README that holds a word."""
    blocks = re.findall(rf"```{language}\n(.*?)```", README, re.S)
    (found,) = (code for code in blocks if word in code)
    return str(found)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the pictures that the README speaks of."""
    for name, file in (("photo.jpg", PHOTO), ("trimap.png", TRIMAP), ("mask.png", MASK)):
        shutil.copy(file, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_gradio_client(service: Service, folder: Path) -> None:
    before = service.jobs
    code = block("python", "gradio_client").replace(ADDRESS, service.url)
    found: dict[str, object] = {}
    exec(code, found)
    found["client"].close()  # type: ignore[attr-defined]
    assert read_photo(str(found["cutout"])).size == read_photo(PHOTO).size
    assert found["report"]["unknown"] > 0  # type: ignore[index]
    assert found["plan"]["size"] == [4320, 7680]  # type: ignore[index]
    # The trimap and the two files of the job that was not cancelled; of the other one nothing, or
    # both, if it was done already.
    until(lambda: len(service.jobs - before) in (3, 5))


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl(service: Service, folder: Path) -> None:
    code = block("bash", "curl").replace(ADDRESS, service.url)
    subprocess.run(["bash", "-euc", code], cwd=folder, check=True, timeout=PATIENCE)
    cutout, alpha = (read_photo(folder / f"photo_{end}.png") for end in ("cutout", "alpha"))
    assert cutout.alpha is not None
    steps = np.abs(cutout.alpha / 255.0 - alpha.pixels[..., 0] / 65535.0)
    assert steps.max() <= 0.5 / 255 + 1e-6  # 8 bits of 16
