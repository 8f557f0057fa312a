"""`mematte demo`: it starts, answers and ends; errors come before anything starts."""

from __future__ import annotations

import json
import re
import signal
import socket
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from mematte_plugin.cli import console, demo as demo_command
from mematte_plugin.cli.shell import run

from ..gradio_app.processes import free_port, serving

ROOT = Path(__file__).parents[2]
Demo = Callable[..., tuple[int, str, str]]


@pytest.fixture
def demo(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Demo:
    """Runs `mematte demo …`, which must not come to serve; gives exit code, stdout and stderr."""
    monkeypatch.setitem(sys.modules, "gradio_app", None)

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        console.stderr.cache_clear()
        code = run(["demo", "--port", str(free_port()), *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.slow
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_it_serves_until_it_is_told_to_stop(tmp_path: Path, name: str, code: int) -> None:
    pytest.importorskip("gradio")
    port = free_port()
    command = [sys.executable, "-m", "mematte_plugin", "demo", "--device", "cpu"]
    # The checkout's own, where that is not installed.
    with serving([*command, "--port", str(port)], port, tmp_path, PYTHONPATH=str(ROOT)) as server:
        server.wait_for_line(f"http://127.0.0.1:{port}")
        api = json.loads(server.get("/gradio_api/info"))
        assert set(api["named_endpoints"]) == {"/matte", "/subject", "/trimap", "/plan"}
        assert b"<html" in server.get("/")
        assert server.stop(getattr(signal, name)) == code
        assert server.lines == [f"MEMatte is at http://127.0.0.1:{port}/\n", "stopped\n"]
    assert not [*(tmp_path / "tmp").iterdir()]


def test_a_wrong_option_is_one_line_before_anything_starts(demo: Demo, tmp_path: Path) -> None:
    pytest.importorskip("gradio")
    for arguments, code, words in [
        (("--model", "mematte-tny"), 1, "did you mean mematte-tiny"),
        (("--model", tmp_path / "none.safetensors"), 1, "does not exist"),
        (("--subject-model", tmp_path / "none.onnx"), 1, "does not exist"),
        (("--clicks-model", "mematte-tiny"), 1, "mematte-tiny"),
        (("--no-find", "--words-model", "sam3"), 2, "--words-model: finds nothing with --no-find"),
        (("--device", "abacus"), 2, "abacus"),
        (("--host", "nowhere.invalid"), 2, "--host nowhere.invalid: is not an address"),
        (("--max-mb", "0"), 2, "--max-mb 0: give a number above 0"),
        (("--max-megapixels", "nan"), 2, "--max-megapixels nan"),
        (("--port", "0"), 2, "--port"),
    ]:
        found, out, err = demo(*arguments)
        assert (found, out) == (code, ""), err
        assert err.count("\n") == 1
        assert words in err


def test_a_port_that_is_taken(demo: Demo) -> None:
    pytest.importorskip("gradio")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        code, _, err = demo("--port", port)
    assert code == 2
    assert err.startswith(f"error: 127.0.0.1, port {port}: cannot be listened on")
    assert "--port" in err


def test_without_the_page_it_says_so(demo: Demo) -> None:
    pytest.importorskip("gradio")
    code, _, err = demo()
    assert code == 1
    assert err.startswith("error: gradio_app: the page is not next to")


@pytest.mark.parametrize("version", [None, "5.49.1", "7.0.0"])
def test_gradio_missing_or_another_one(
    demo: Demo, monkeypatch: pytest.MonkeyPatch, version: str | None
) -> None:
    def installed(name: str) -> str:
        if version is None:
            raise metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(metadata, "version", installed)
    code, out, err = demo()
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert 'pip install "mematte-plugin[gradio]"' in err
    assert version is None or version in err


def test_the_versions_of_gradio_are_those_of_the_extra() -> None:
    needed = re.search(r'^gradio = \["gradio>=([\d.]+),<(\d+)"\]', _pyproject(), re.MULTILINE)
    assert needed is not None
    oldest, too_new = (tuple(map(int, text.split("."))) for text in needed.groups())
    assert (oldest, too_new) == (demo_command.OLDEST, demo_command.TOO_NEW)


def _pyproject() -> str:
    return (ROOT / "pyproject.toml").read_text()
