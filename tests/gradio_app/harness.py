"""A real server in a process of its own, and how programs talk to it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
from PIL import Image

from gradio_app.settings import Settings
from tests.gradio_app.processes import Server, free_port, serving
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from gradio_client import Client

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "mematte_plugin" / "examples"
PHOTO, TRIMAP, MASK = (EXAMPLES / f"astronaut{end}" for end in (".jpg", "_trimap.png", "_mask.png"))
CODE = """
import contextlib, json, sys
from gradio_app.serving import serve
from gradio_app.settings import Settings
with contextlib.suppress(KeyboardInterrupt):
    serve(Settings(**json.loads(sys.argv[1])), port=int(sys.argv[2]))
"""


@dataclass(frozen=True)
class Service:
    """A running demo as programs see it."""

    server: Server
    """Its process."""
    temporary: Path
    """Where it may keep temporary files."""

    @property
    def url(self) -> str:
        """Its address."""
        return self.server.address

    @property
    def folder(self) -> Path:
        """Where it keeps its files."""
        (folder,) = self.temporary.glob("mematte-demo-*")
        return folder

    @property
    def jobs(self) -> set[Path]:
        """The files of results that are there."""
        return {path for path in (self.folder / "jobs").rglob("*") if path.is_file()}

    def client(self, downloads: Path) -> Client:
        """A client of its endpoints."""
        from gradio_client import Client

        return Client(self.url, verbose=False, download_files=str(downloads))

    def upload(self, data: bytes | Path, name: str = "photo.png") -> str:
        """The path that the server gives to an uploaded file."""
        if isinstance(data, Path):
            data, name = data.read_bytes(), data.name
        files = {"files": (name, data)}
        answer = httpx.post(f"{self.url}/gradio_api/upload", files=files, timeout=PATIENCE)
        answer.raise_for_status()
        return str(answer.json()[0])

    def start(self, endpoint: str, data: Any) -> httpx.Response:
        """Ask for a job, as with curl."""
        address = f"{self.url}/gradio_api/call/{endpoint}"
        return httpx.post(address, json={"data": data}, timeout=PATIENCE)

    def call(self, endpoint: str, data: Any) -> tuple[str, Any]:
        """The last event of a job and what it holds, as curl shows them."""
        started = self.start(endpoint, data)
        started.raise_for_status()
        address = f"{self.url}/gradio_api/call/{endpoint}/{started.json()['event_id']}"
        events = httpx.get(address, timeout=PATIENCE).text.strip().split("\n\n")
        event, _, content = events[-1].partition("\n")
        return event.removeprefix("event: "), json.loads(content.removeprefix("data: "))

    def error(self, endpoint: str, data: Any) -> str:
        """The message with which a job is refused."""
        event, content = self.call(endpoint, data)
        assert event == "error", content
        return str(content["error"])


def command(settings: Settings, port: int) -> list[str]:
    """What serves with these settings."""
    return [sys.executable, "-c", CODE, json.dumps(asdict(settings)), str(port)]


@contextmanager
def running(folder: Path, settings: Settings) -> Iterator[Service]:
    """A service that answers; its files go below `folder`."""
    port = free_port()
    with serving(command(settings, port), port, folder, PYTHONPATH=str(ROOT)) as server:
        server.wait_until_ready()
        yield Service(server, folder / "tmp")


def picture(path: Path, height: int, width: int, kind: str = "noise") -> Path:
    """An image file: noise, or a trimap that is unknown all over but for two corners."""
    if kind == "noise":
        values = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    else:
        values = np.full((height, width), 128, np.uint8)
        values[:8, :8], values[-8:, -8:] = 0, 255
    Image.fromarray(values).save(path)
    return path


def pixels(path: str | Path) -> np.ndarray:
    """What an image file holds, as it is stored."""
    with Image.open(path) as image:
        return np.asarray(image)
