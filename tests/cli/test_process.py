"""The command line as a process: pipes, signals and what Python itself would like to print."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mematte_plugin.weights.save import save_network

from ..networks import random_network
from ..patience import PATIENCE

MODULE = [sys.executable, "-m", "mematte_plugin"]

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals, /dev/full")

# `mematte`, except that the network stops half way, says so and waits.
PAUSED_IN_THE_NETWORK = """
import sys, time
from mematte_plugin.network import MEMatte
predict = MEMatte.predict
def paused(self, *args, progress=None, **options):
    def report(done, total, stage):
        if stage == "decoder":
            print("ready", flush=True)
            time.sleep(600)
    return predict(self, *args, progress=report, **options)
MEMatte.predict = paused
from mematte_plugin.cli import main
main()
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(save_network(random_network(), tmp_path_factory.mktemp("model")))


@pytest.fixture
def folder(tmp_path):
    trimap = np.full((40, 48), 128, np.uint8)
    trimap[:8] = 0
    trimap[-8:] = 255
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)).save(
        tmp_path / "photo.png"
    )
    Image.fromarray(trimap).save(tmp_path / "trimap.png")
    return tmp_path


def environment() -> dict[str, str]:
    quiet = {k: v for k, v in os.environ.items() if k not in ("FORCE_COLOR", "MEMATTE_DEBUG")}
    root = Path(__file__).parents[2]
    return {**quiet, "PYTHONPATH": str(root), "PYTHONIOENCODING": "utf-8"}


def mematte(
    folder: Path, *arguments: str, **options: object
) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [*MODULE, *arguments],
        check=False,
        cwd=folder,
        env=environment(),
        timeout=PATIENCE,
        stderr=subprocess.PIPE,
        **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, **options},
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_pictures_go_through_pipes(folder, model):
    with (folder / "photo.png").open("rb") as photo:
        done = mematte(
            folder, "cut", "-", "trimap.png", "-o", "-", "--alpha", "--model", model, stdin=photo
        )
    assert (done.returncode, done.stderr) == (0, b"")
    (folder / "alpha.png").write_bytes(done.stdout)
    with Image.open(folder / "alpha.png") as alpha:
        assert alpha.size == (48, 40)


def test_the_error_is_the_last_word(folder):
    done = mematte(folder, "trimap", "none.png", "-o", "t.png")
    assert done.returncode == 1
    assert done.stdout == b""
    assert done.stderr == b"error: mask none.png: there is no such file; check the path\n"
    assert mematte(folder, "trimap").returncode == 2


# `mematte`, except that it stops when the result is written but not yet in place.
PAUSED_WHILE_WRITING = """
import pathlib, time
def paused(self, target):
    print("ready", flush=True)
    time.sleep(600)
pathlib.Path.replace = paused
from mematte_plugin.cli import main
main()
"""

# Imports torch once a signal has come, which then is there while it does.
SLOW_TORCH = """
import os, signal, sys
heard, told = os.pipe()
os.set_blocking(told, False)
signal.set_wakeup_fd(told)
class Slow:
    def find_spec(self, name, *_):
        if name == "torch":
            print("ready", flush=True)
            os.read(heard, 1)
            sys.meta_path.remove(self)
sys.meta_path.insert(0, Slow())
from mematte_plugin.cli import main
try:
    main()
finally:
    print("whole" if hasattr(sys.modules.get("torch"), "nn") else "broken", flush=True)
"""


@posix
@pytest.mark.parametrize(
    ("script", "name"),
    [
        (PAUSED_IN_THE_NETWORK, "SIGINT"),
        (PAUSED_WHILE_WRITING, "SIGTERM"),
        pytest.param(PAUSED_WHILE_WRITING, "SIGHUP", marks=pytest.mark.slow),
        pytest.param(PAUSED_IN_THE_NETWORK, "SIGTERM", marks=pytest.mark.slow),
        pytest.param(PAUSED_IN_THE_NETWORK, "SIGHUP", marks=pytest.mark.slow),
    ],
)
def test_asked_to_end_it_leaves_nothing_behind(folder, model, script, name):
    before = names(folder)
    number = getattr(signal, name)
    code, err = stopped(folder, script, number, "cut", "photo.png", "trimap.png", "--model", model)
    assert (code, err) == (128 + number, b"stopped\n")
    assert names(folder) == before


@posix
def test_an_interrupt_waits_for_torch(folder):
    code, err = stopped(folder, SLOW_TORCH, signal.SIGINT, "models", "list", says=b"whole\n")
    assert (code, err) == (130, b"stopped\n")


def stopped(
    folder: Path, script: str, number: int, *arguments: str, says: bytes = b""
) -> "tuple[int, bytes]":
    """Exit code and stderr of a script that says ready and then gets a signal."""
    with subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE)
    assert out == says
    return process.returncode, err


@posix
def test_an_interrupted_batch_says_how_far_it_came(folder, model):
    photos, trimaps = folder / "photos", folder / "trimaps"
    photos.mkdir()
    trimaps.mkdir()
    for name, source, target in (("a", "photo", photos), ("a", "trimap", trimaps)):
        (target / f"{name}.png").write_bytes((folder / f"{source}.png").read_bytes())
    # A batch passes no callback to the network, the pause does.
    code, err = stopped(
        folder,
        PAUSED_IN_THE_NETWORK,
        signal.SIGINT,
        *("batch", "photos", "--trimaps", "trimaps", "-o", "out", "--model", model),
    )
    assert code == 130
    assert err == b"stopped after 0 of 1 photos; the same command resumes there\n"
    assert not (folder / "out").exists()


@posix
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_behind_stdout(folder):
    Image.new("L", (40, 40)).save(folder / "mask.png")
    with Image.open(folder / "mask.png") as mask:
        mask.paste(255, (10, 10, 30, 30))
        mask.save(folder / "mask.png")
    for arguments in (("trimap", "mask.png", "-o", "-"), ("--version",)):
        with Path("/dev/full").open("wb") as full:
            done = mematte(folder, *arguments, stdout=full)
        assert done.returncode == 1
        assert done.stderr.startswith(b"error: stdout: cannot be written (No space left")
        assert done.stderr.count(b"\n") == 1


@posix
def test_a_reader_that_closes_the_pipe(folder):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        done = mematte(folder, "plan", "--table", stdout=closed)
    assert (done.returncode, done.stderr) == (1, b"")


@posix
def test_a_terminal_sees_colour_and_progress_and_a_pipe_does_not(folder, model):
    import pty

    def watched(*arguments: str) -> "tuple[int, bytes, bytes]":
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [*MODULE, *arguments],
            cwd=folder,
            env={**environment(), "TERM": "xterm"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=theirs,
        ) as process:
            os.close(theirs)
            seen = b""
            try:
                while block := os.read(ours, 65536):
                    seen += block
            except OSError:  # how Linux says that the other side is gone
                pass
            os.close(ours)
            out, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, out, seen

    code, out, seen = watched(
        "cut", "photo.png", "trimap.png", "--alpha", "--json", "--model", model
    )
    assert code == 0
    assert json.loads(out)["output"] == "photo_alpha.png"
    assert b"reading" in seen
    code, out, seen = watched("trimap", "none.png", "-o", "t.png")
    assert (code, out) == (1, b"")
    assert b"\x1b[" in seen
