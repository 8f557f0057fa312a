"""Everything the README tells people to type works."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mematte_plugin.examples
from mematte_plugin.cli import main
from mematte_plugin.errors import collect_notes
from mematte_plugin.training.recipe import Recipe, Stage
from mematte_plugin.training.trainer import Trainer
from tests.networks import SMALL
from tests.subject.cache import in_cache
from tests.subject.networks import save_dino, save_sam2
from tests.subject.onnx_files import save_birefnet
from tests.training.trainer_bank import small_bank

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
EXAMPLES = Path(mematte_plugin.examples.__path__[0])
COMMANDS = [
    line.split("  #")[0].strip()
    for block in re.findall(r"```bash\n(.*?)```", README, re.S)
    for line in block.splitlines()
    # The demo serves until it is stopped: its own tests start it.
    if line.startswith("mematte ") and not line.startswith("mematte demo")
]


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small networks that find subjects."""
    root = tmp_path_factory.mktemp("networks")
    save_sam2(root / "sam_video", video=True)
    save_dino(root / "dino", bias=2)
    save_birefnet(root / "birefnet")
    return root


@pytest.fixture
def folder(tmp_path: Path, networks: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the pictures that the README speaks of; the Hub's networks are small."""
    for name, example in [
        ("photo.jpg", "astronaut.jpg"),
        ("trimap.png", "astronaut_trimap.png"),
        ("mask.png", "astronaut_mask.png"),
        ("soft.png", "astronaut_small.png"),
    ]:
        shutil.copy(EXAMPLES / example, tmp_path / name)
    for name in ("photos", "trimaps", "shot", "mattes"):
        (tmp_path / name).mkdir()
    shutil.copy(EXAMPLES / "astronaut.jpg", tmp_path / "shot" / "0001.jpg")
    shutil.copy(EXAMPLES / "astronaut_mask.png", tmp_path / "mattes" / "0000.png")
    shutil.copy(EXAMPLES / "astronaut.jpg", tmp_path / "photos" / "one.jpg")
    shutil.copy(EXAMPLES / "astronaut_trimap.png", tmp_path / "trimaps" / "one.png")
    for name, example in [
        ("image/one.jpg", "astronaut.jpg"),
        ("trimap/one.png", "astronaut_trimap.png"),
        ("alpha/one.png", "astronaut_mask.png"),
    ]:
        (tmp_path / "data" / name).parent.mkdir(parents=True)
        shutil.copy(EXAMPLES / example, tmp_path / "data" / name)
    (tmp_path / "ComfyUI" / "custom_nodes").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with in_cache(tmp_path / "cache", networks, monkeypatch):
        yield tmp_path


def train(folder: Path, words: list[str]) -> list[str]:
    """A `mematte train` command shortened, after what comes before it: cut-outs, a bank, a run."""
    with Image.open(folder / "photo.jpg") as photo, Image.open(folder / "mask.png") as mask:
        photo.putalpha(mask.convert("L"))
        (folder / "cutouts").mkdir()
        photo.save(folder / "cutouts" / "astronaut.png")
    if words[2] == "data":
        return words
    bank = small_bank(folder / "bank", count=2)
    if words[2] == "run":
        return [*words, "--minutes", "0"]
    plan = Recipe(network=SMALL, stages=(Stage(64, 1, 1),))
    Trainer(plan, bank, folder / words[3], device="cpu", workers=0).run()
    return words


@pytest.mark.parametrize("command", COMMANDS)
def test_command_line(command: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(command)
    if words[1] in ("trimap", "subject"):
        (folder / words[words.index("-o") + 1]).unlink()  # the README makes it anew
    if words[1] == "train":
        words = train(folder, words)
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in (None, 0)
    if "-o" in words:
        written = folder / words[words.index("-o") + 1]
        assert written.is_file() or list(written.iterdir())


def test_python(folder: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, re.S)
    assert blocks
    with collect_notes():
        for block in blocks:
            if "gradio_client" not in block:  # those need a server: tests/gradio_app/test_readme.py
                exec(block, {})
    with Image.open(folder / "cutout.png") as cutout:
        assert cutout.mode == "RGBA"


def test_one_line_of_python(folder: Path) -> None:
    line = re.search(r"`(cut\(.*?\)\.save\(.*?\))`", README)
    assert line
    exec(f"from mematte_plugin import cut\n{line.group(1)}", {})
    with Image.open(folder / "cutout.png") as cutout:
        alpha = np.asarray(cutout)[..., 3]
    assert 0.3 < (alpha > 128).mean() < 0.8


def test_set_up_is_what_ci_does() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    lines = [
        line
        for block in re.findall(r"```bash\n(.*?)```", README, re.S)
        for line in block.splitlines()
        if "pip install" in line
    ]
    assert len(lines) == 2
    for line in lines:
        for step in line.split(" && ")[1:]:
            words = shlex.split(step)[1:]
            words = words[: words.index("-o")] if "-o" in words else words
            assert " ".join(words).replace(" .[test]", ' ".[test]"') in script.replace(
                " --quiet", ""
            ), step


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target
