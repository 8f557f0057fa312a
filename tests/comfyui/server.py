"""A real ComfyUI server in a process and folders of its own, spoken to over HTTP."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import psutil

from tests.patience import PATIENCE

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
FOLDERS = ("custom_nodes", "input", "output", "temp", "user", "models")

Graph: TypeAlias = dict[str, dict[str, Any]]
"""A workflow in API format: node id -> class_type and inputs."""


@dataclass(frozen=True)
class Checkout:
    """One ComfyUI to test with."""

    path: Path
    """The folder that holds its main.py."""
    python: str
    """The interpreter that has its requirements and ours."""
    frontend: Path | None
    """The static folder of the front end, for the browser; None: the installed one."""

    @property
    def version(self) -> str:
        """As the checkout itself says, such as 0.3.64."""
        text = (self.path / "comfyui_version.py").read_text().partition("__version__ =")[2]
        return text.strip().strip("\"'")


def checkouts() -> list[Checkout]:
    """What COMFYUI_PATH, COMFYUI_PYTHON and COMFYUI_FRONTEND name; the first and the last may hold
    several paths, separated as in PATH."""
    paths = _paths("COMFYUI_PATH")
    frontends: list[Path | None] = [*_paths("COMFYUI_FRONTEND")]
    frontends += [None] * (len(paths) - len(frontends))
    python = os.environ.get("COMFYUI_PYTHON") or sys.executable
    return [Checkout(p, python, f) for p, f in zip(paths, frontends, strict=False)]


def _paths(variable: str) -> list[Path]:
    return [Path(p) for p in os.environ.get(variable, "").split(os.pathsep) if p]


def skip_without_checkout() -> None:
    """Skip a whole test module if there is no checkout."""
    import pytest

    if not checkouts():
        pytest.skip("COMFYUI_PATH names no checkout of ComfyUI", allow_module_level=True)


class RefusedError(Exception):
    """ComfyUI found a graph invalid before running it.

    answer: what it said, with the faults by node id under ``node_errors``.
    """

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__(json.dumps(answer, indent=1))
        self.answer = answer


@dataclass(frozen=True)
class Run:
    """How a graph went, from ComfyUI's history."""

    graph: Graph
    """What was asked for."""
    entry: dict[str, Any]
    """The history entry as it is."""

    @property
    def status(self) -> str:
        """success or error; an interrupted run is an error too."""
        return str(self.entry["status"]["status_str"])

    @property
    def outputs(self) -> dict[str, Any]:
        """What output nodes showed, by node id."""
        return dict(self.entry["outputs"])

    @property
    def messages(self) -> dict[str, dict[str, Any]]:
        """execution_start, execution_cached, execution_success, execution_error or
        execution_interrupted, with their data."""
        return dict(self.entry["status"]["messages"])

    @property
    def cached(self) -> set[str]:
        """Ids of the nodes whose results were there already."""
        return set(self.messages.get("execution_cached", {}).get("nodes", []))

    @property
    def error(self) -> dict[str, Any] | None:
        """node_id, node_type, exception_type, exception_message, traceback; None where all went
        well or the run was interrupted."""
        return self.messages.get("execution_error")

    @property
    def seconds(self) -> float:
        """From start to end by the server's clock."""
        times = [data["timestamp"] for data in self.messages.values()]
        return float(max(times) - min(times)) / 1000


@dataclass
class MessageLog:
    """Messages of the server's web socket so far."""

    path: Path
    """One JSON object a line."""
    _seen: list[dict[str, Any]] = field(default_factory=list)

    def messages(self) -> list[dict[str, Any]]:
        """All of them: type and data."""
        if self.path.exists():
            lines = self.path.read_text().rpartition("\n")[0].splitlines()
            self._seen = [json.loads(line) for line in lines]
        return self._seen

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The data of those of one type."""
        return [message["data"] for message in self.messages() if message["type"] == kind]

    def until(self, kind: str, timeout: float = PATIENCE, **values: Any) -> None:
        """Wait for a message of this type whose data hold these values."""
        end = time.monotonic() + timeout
        while not any(values.items() <= data.items() for data in self.of(kind)):
            if time.monotonic() > end:
                raise AssertionError(f"no {kind} with {values} after {timeout} s")
            time.sleep(0.02)


@dataclass
class Server:
    """A running ComfyUI; made by `running`."""

    checkout: Checkout
    base: Path
    """Base directory: custom_nodes, input, output, models and so on."""
    port: int
    process: psutil.Popen
    log: Path
    """Standard output and error."""
    client: str = field(default="tests")

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def alive(self) -> bool:
        """The process has not ended."""
        return self.process.poll() is None

    def get(self, path: str) -> Any:
        """The JSON answer of a GET."""
        with urllib.request.urlopen(self.url + path, timeout=PATIENCE) as answer:
            return json.load(answer)

    def post(self, path: str, content: Any) -> Any:
        """The JSON answer of a POST of JSON; None if it is empty."""
        request = urllib.request.Request(
            self.url + path, json.dumps(content).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            body = answer.read()
        return json.loads(body) if body else None

    def object_info(self) -> dict[str, Any]:
        """Every node that it knows, by id."""
        return dict(self.get("/object_info"))

    def submit(self, graph: Graph) -> str:
        """Queue a graph and return its prompt id. Raises RefusedError if it is not valid."""
        try:
            answer = self.post("/prompt", {"prompt": graph, "client_id": self.client})
        except urllib.error.HTTPError as error:
            raise RefusedError(json.load(error)) from None
        if answer["node_errors"]:  # a branch was dropped, the rest would run
            raise RefusedError(answer)
        return str(answer["prompt_id"])

    def wait(self, prompt_id: str, timeout: float = PATIENCE) -> dict[str, Any]:
        """The history entry of a graph, as soon as it has ended."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            if not self.alive:
                raise AssertionError(f"the server has ended:\n{self.log_text()[-4000:]}")
            history = self.get(f"/history/{prompt_id}")
            if prompt_id in history:
                return dict(history[prompt_id])
            time.sleep(0.02)
        raise AssertionError(f"no result after {timeout} s:\n{self.log_text()[-4000:]}")

    def run(self, graph: Graph, timeout: float = PATIENCE) -> Run:
        """Submit a graph and wait for its end."""
        return Run(graph, self.wait(self.submit(graph), timeout))

    def running(self) -> list[str]:
        """Prompt ids that are computed now."""
        return [item[1] for item in self.get("/queue")["queue_running"]]

    def interrupt(self) -> None:
        """Stop what runs, as the page's button does."""
        self.post("/interrupt", {})

    def free(self) -> None:
        """Unload models and forget cached results.

        The page's button sends both flags at once; ComfyUI may take up the first alone and sleep
        over the second until the next graph. One flag does both.
        """
        self.post("/free", {"free_memory": True})

    def rss(self) -> int:
        """Resident bytes of the process."""
        return int(self.process.memory_info().rss)

    def log_text(self) -> str:
        """What it printed so far."""
        return self.log.read_text(errors="replace")

    @contextmanager
    def listening(self) -> Iterator[MessageLog]:
        """The messages that the server sends to our client meanwhile."""
        url = f"{self.url}/ws?clientId={self.client}"
        command = [self.checkout.python, str(HERE / "listen.py"), url]
        with tempfile.NamedTemporaryFile(suffix=".jsonl") as sink:
            process = subprocess.Popen(command, stdout=sink)
            log = MessageLog(Path(sink.name))
            try:
                log.until("status")
                yield log
            finally:
                process.terminate()
                process.wait(PATIENCE)
                log.messages()  # the last look before the file is gone

    def stop(self) -> None:
        """End the process."""
        if self.alive:
            self.process.terminate()
            try:
                self.process.wait(10)
            except psutil.TimeoutExpired:
                self.process.kill()
                self.process.wait(PATIENCE)


def prepare(base: Path, packs: Sequence[Path] = (REPOSITORY,)) -> Path:
    """A fresh base directory whose custom_nodes link to the packs."""
    for name in FOLDERS:
        (base / name).mkdir(parents=True, exist_ok=True)
    for pack in packs:
        link = (
            base
            / "custom_nodes"
            / ("mematte-plugin" if pack == REPOSITORY else pack.name.replace("_", "-"))
        )
        link.symlink_to(pack, target_is_directory=True)
    return base


@contextmanager
def running(
    checkout: Checkout,
    base: Path,
    *,
    flags: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    timeout: float = PATIENCE,
    cpu: bool = True,
) -> Iterator[Server]:
    """A server on a free port, ready to answer; ended afterwards.

    base: see `prepare`.
    flags: added to its command line.
    environment: added to ours.
    cpu: False for the card.
    """
    port = _free_port()
    command = [checkout.python, str(HERE / "launch.py"), str(checkout.path)]
    command += ["--cpu"] if cpu else []
    command += ["--base-directory", str(base), "--database-url", "sqlite:///:memory:"]
    command += ["--disable-auto-launch", "--port", str(port), *flags]
    if checkout.frontend is not None:
        command += ["--front-end-root", str(checkout.frontend)]
    log = base / "server.log"
    with log.open("wb") as sink:
        process = psutil.Popen(
            command,
            stdout=sink,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
        )
    server = Server(checkout, base, port, process, log)
    try:
        _wait_until_ready(server, timeout)
        yield server
    finally:
        server.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(server: Server, timeout: float) -> None:
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        if not server.alive:
            break
        try:
            server.get("/queue")
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
        else:
            return
    raise AssertionError(f"ComfyUI does not start:\n{server.log_text()[-4000:]}")
