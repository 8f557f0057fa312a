"""The server's files, and that none of them stay."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytest.importorskip("gradio")

from gradio_app.files import current_folder, files_in, job_folder, own_folder, sweep
from gradio_app.settings import Settings
from tests.gradio_app.harness import (
    PHOTO,
    ROOT,
    TRIMAP,
    Service,
    command,
    picture,
    running,
)
from tests.gradio_app.processes import serving
from tests.patience import PATIENCE, until


@pytest.fixture
def brief(tmp_path: Path) -> Iterator[Service]:
    """A service that deletes files soon."""
    with running(tmp_path, Settings(keep_minutes=0.3)) as service:
        yield service


def aged(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_sweeping_deletes_old_files_and_the_folders_left_empty(tmp_path: Path) -> None:
    old, young, empty, kept = (tmp_path / name for name in ("old/deep", "young", "empty", "kept"))
    for folder in (old, young, empty, kept):
        folder.mkdir(parents=True)
    for path in (old / "a", kept / "a"):
        path.write_bytes(b"1")
        aged(path, 100)
    (young / "a").write_bytes(b"1")
    for folder in (old, old.parent, young, empty, kept):
        aged(folder, 100)
    sweep(tmp_path, 50, frozenset({kept / "a"}))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "young"]
    assert files_in(tmp_path) == {kept / "a", young / "a"}


def test_sweeping_keeps_the_empty_folder_of_a_new_job(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    sweep(tmp_path, 50)
    assert (tmp_path / "job").is_dir()


def test_a_servers_folder_is_its_own_and_goes_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "here"))
    with own_folder() as folder:
        assert folder.parent == tmp_path / "here"
        assert current_folder() == folder
        first, second = job_folder(), job_folder()
        assert first != second
        assert first.is_relative_to(folder)
    assert not folder.exists()
    assert os.environ["GRADIO_TEMP_DIR"] == str(tmp_path / "here")


@pytest.mark.slow
def test_everything_old_is_deleted_while_the_service_goes_on(brief: Service) -> None:
    at_first = files_in(brief.folder)
    brief.upload(b"never used", "abandoned.png")
    half_an_upload(brief)
    assert brief.call("matte", [brief.upload(PHOTO), brief.upload(TRIMAP), None, 0, 0])
    assert len(files_in(brief.folder)) > len(at_first)
    until(lambda: files_in(brief.folder) == at_first)
    until(lambda: not any((brief.folder / "jobs").glob("*")))
    assert "Traceback" not in brief.server.text
    assert "deleted since" in brief.error("trimap", [str(brief.folder / "a.png"), 2, 4])
    event, _ = brief.call("matte", [brief.upload(PHOTO), brief.upload(TRIMAP), None, 0, 0])
    assert event == "complete"


def half_an_upload(service: Service) -> None:
    """An upload whose client disconnects in the middle."""
    address = urlsplit(service.url)
    head = (
        f"POST /gradio_api/upload HTTP/1.1\r\nHost: {address.netloc}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 5000000\r\n\r\n"
        '--x\r\nContent-Disposition: form-data; name="files"; filename="half.png"\r\n\r\n'
    )
    before = files_in(service.folder)
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(head.encode() + bytes(1_000_000))
        until(lambda: files_in(service.folder) != before)


@pytest.mark.slow
def test_the_end_leaves_nothing_even_in_the_middle_of_a_job(tmp_path: Path) -> None:
    with running(tmp_path, Settings()) as service:
        photo = service.upload(picture(tmp_path / "large.png", 1800, 1800))
        trimap = service.upload(picture(tmp_path / "unknown.png", 1800, 1800, "trimap"))
        service.start("matte", [photo, trimap, None, 0, 0]).raise_for_status()
        until(lambda: any((service.folder / "jobs").glob("*")))
        assert service.server.stop(signal.SIGINT) == 0
        assert list(service.temporary.iterdir()) == []
        assert "Traceback" not in service.server.text


@pytest.mark.slow
def test_a_port_in_use_is_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with serving(command(Settings(), port), port, tmp_path, PYTHONPATH=str(ROOT)) as server:
            assert server.process.wait(PATIENCE) != 0
    assert f"port {port}: cannot be listened on" in server.text
    assert list((tmp_path / "tmp").iterdir()) == []
