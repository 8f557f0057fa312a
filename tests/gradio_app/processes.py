"""A server in a process of its own, as a user starts it, and how it ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.patience import PATIENCE, until


class Server:
    """A running server."""

    def __init__(self, process: subprocess.Popen[str], port: int, folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.address = f"http://127.0.0.1:{port}"
        self.lines: list[str] = []
        """Its output so far, stdout and stderr."""
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        return "".join(self.lines)

    def get(self, path: str) -> bytes:
        """The answer to a GET."""
        with urllib.request.urlopen(f"{self.address}{path}", timeout=PATIENCE) as answer:
            return bytes(answer.read())

    def wait_until_ready(self) -> None:
        """Wait until it answers; AssertionError if it ends before."""
        until(lambda: self.process.poll() is not None or self._answers(), lambda: self.text)
        assert self.process.poll() is None, self.text

    def _answers(self) -> bool:
        try:
            self.get("/gradio_api/info")
        except OSError:
            return False
        return True

    def wait_for_line(self, pattern: str) -> str:
        """The first line that holds a pattern."""

        def found() -> list[str]:
            return [line for line in [*self.lines] if re.search(pattern, line)]

        until(
            lambda: found() or self.process.poll() is not None, lambda: f"{pattern!r}: {self.text}"
        )
        self.process.poll() is None or self._reader.join(PATIENCE)
        assert found(), f"{pattern!r} did not appear:\n{self.text}"
        return found()[0]

    def stop(self, number: int = signal.SIGINT) -> int:
        """Send a signal; the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(timeout=PATIENCE)
        self._reader.join(timeout=PATIENCE)
        return code

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)


def free_port() -> int:
    """A free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(
    command: Sequence[str], port: int, folder: Path, **environment: str
) -> Iterator[Server]:
    """Run a command that serves at a port; it has ended when the block is left.

    folder: where it runs, and under which its temporary files lie.
    """
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "FORCE_COLOR", "MEMATTE_DEBUG", "MEMATTE_MODEL")
        and not name.startswith("GRADIO_")
    }
    with subprocess.Popen(
        [*command],
        cwd=folder,
        env={**kept, "TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        server = Server(process, port, folder)
        try:
            yield server
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(timeout=PATIENCE)
                except subprocess.TimeoutExpired:
                    process.kill()
