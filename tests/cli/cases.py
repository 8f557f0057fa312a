"""What the tests of the command line share: a small scene on disk, and a way to run commands."""

import io
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mematte_plugin.cli import console
from mematte_plugin.cli.shell import run
from mematte_plugin.weights.save import save_network

from ..networks import random_network

HEIGHT, WIDTH = 64, 80
FAILURE, USAGE = 1, 2


def saved_models(folder: Path) -> Path:
    """The folder, with a tiny random network of either kind in it."""
    save_network(random_network(), folder / "routed")
    save_network(random_network(routed=False), folder / "unrouted")
    return folder


@dataclass
class Outcome:
    """What a command left behind."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()


class Scene:
    """A folder with photo.png, trimap.png and mask.png, and the command line run in it."""

    def __init__(self, folder: Path, model: Path, monkeypatch, capsysbinary) -> None:
        self.folder = folder
        self.model = str(model)
        self._monkeypatch = monkeypatch
        self._capture = capsysbinary
        rng = np.random.default_rng(0)
        self.pixels = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
        self.trimap = np.zeros((HEIGHT, WIDTH), np.uint8)
        self.trimap[8:-8, 8:-8] = 128
        self.trimap[24:-24, 24:-24] = 255
        self.save("photo.png", self.pixels)
        self.save("trimap.png", self.trimap)
        self.save("mask.png", np.where(self.trimap > 0, 255, 0).astype(np.uint8))
        monkeypatch.chdir(folder)
        for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "MEMATTE_DEBUG"):
            monkeypatch.delenv(name, raising=False)

    def save(self, name: str, array: np.ndarray, **options: object) -> str:
        Image.fromarray(array).save(self.folder / name, **options)
        return name

    def load(self, name: str) -> np.ndarray:
        with Image.open(self.folder / name) as image:
            return np.asarray(image)

    def files(self) -> dict[str, tuple[int, int]]:
        """Every file, with what changes when it is written."""
        stats = ((path, path.stat()) for path in self.folder.rglob("*"))
        return {str(path): (stat.st_size, stat.st_mtime_ns) for path, stat in stats}

    def run(self, *arguments: object, stdin: bytes = b"") -> Outcome:
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        self._capture.readouterr()
        console.stderr.cache_clear()  # it knows whether it is a terminal
        code = run([str(argument) for argument in arguments])
        captured = self._capture.readouterr()
        return Outcome(code, captured.out, captured.err.decode())

    def cut(self, *arguments: object, stdin: bytes = b"") -> Outcome:
        return self.run("cut", *arguments, "--model", self.model, "--device", "cpu", stdin=stdin)


def assert_refused(
    scene: Scene, done: Outcome, before: dict[str, tuple[int, int]], code: int, *words: str
) -> None:
    """One clear line on stderr with these words, and no file touched."""
    assert done.code == code, done.err
    assert done.out == b""
    lines = done.err.splitlines()
    assert lines[-1].startswith("error: ")
    assert all(line.startswith("warning: ") for line in lines[:-1])
    assert "Traceback" not in done.err
    assert "unexpected" not in done.err
    for word in words:
        assert word in lines[-1]
    assert scene.files() == before
