"""The folder alone as a Hugging Face Space: its card, and that it starts and answers offline."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mematte_plugin import cut, list_models
from tests.patience import PATIENCE

from .processes import Server, free_port, serving

gradio_client = pytest.importorskip("gradio_client")
pytest.importorskip("gradio")

ROOT = Path(__file__).parents[2]
APP = ROOT / "gradio_app"
EXAMPLES = ROOT / "mematte_plugin" / "examples"
PHOTO, TRIMAP = EXAMPLES / "astronaut.jpg", EXAMPLES / "astronaut_trimap.png"
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
"""What the Hub knows as colorFrom and colorTo."""

# `python app.py` without the installed package's gradio_app; a connection to another machine raises
# an error and is printed.
ALONE = """
import ipaddress, runpy, sys
sys.modules["gradio_app"] = None
def is_local(host):
    try:
        return host in (None, "", "localhost") or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
def guard(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if not is_local(host):
        print("WENT OUT", host, flush=True)
        raise OSError("no network")
sys.addaudithook(guard)
sys.path[0] = ""
runpy.run_path("app.py", run_name="__main__")
"""


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The Space, running."""
    folder = tmp_path_factory.mktemp("space")
    shutil.copytree(APP, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    port = free_port()
    with serving(
        [sys.executable, "-c", ALONE], port, folder, GRADIO_SERVER_PORT=str(port)
    ) as server:
        server.wait_until_ready()
        yield server


@pytest.mark.slow
def test_it_answers_offline_as_the_package_does(space: Server, tmp_path: Path) -> None:
    client = gradio_client.Client(space.address, verbose=False, download_files=str(tmp_path))
    file = gradio_client.handle_file
    cutout, alpha, report = client.predict(file(PHOTO), file(TRIMAP), api_name="/matte")
    matte = cut(PHOTO, TRIMAP, device="cpu")
    matte.save(tmp_path / "cutout.png")
    matte.save(tmp_path / "alpha.png", kind="alpha", bits=16)
    for theirs, ours in ((cutout, "cutout.png"), (alpha, "alpha.png")):
        assert Path(theirs).read_bytes() == (tmp_path / ours).read_bytes()
    assert report["photo"] == PHOTO.name
    assert "WENT OUT" not in space.text


@pytest.mark.slow
def test_its_page_names_no_other_machine(space: Server) -> None:
    page = space.get("/").decode()
    loaded = re.findall(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=[\"']([^\"']+)", page)
    assert loaded
    assert not [one for one in loaded if re.match(r"(https?:)?//", one)]


def test_it_runs_in_a_checkout_too() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import gradio_app.app, sys; print(gradio_app.app.__package__)"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.stdout == "gradio_app\n"


# ---- the card ------------------------------------------------------------------------------------


def test_the_card_holds_what_the_hub_reads() -> None:
    repocard = pytest.importorskip("huggingface_hub.repocard")
    card = repocard.SpaceCard.load(APP / "README.md")
    data = card.data.to_dict()
    assert data["sdk"] == "gradio"
    constraints = (ROOT / "constraints.txt").read_text()
    assert f"\ngradio=={data['sdk_version']}\n" in constraints
    assert re.fullmatch(r"3\.\d+", data["python_version"])  # unquoted, 3.10 would be 3.1
    assert (APP / data["app_file"]).is_file()
    assert {data["colorFrom"], data["colorTo"]} <= COLOURS
    assert len(data["short_description"]) <= 60
    assert data["license"] == "apache-2.0"
    assert data["title"]
    assert data["emoji"]
    on_hub = {model.entry.repo_id for model in list_models() if model.entry.repo_id}
    finders = {list_models(purpose=use)[0].entry.repo_id for use in ("subject", "clicks", "words")}
    assert set(data["models"]) == on_hub | finders


def test_the_card_and_the_requirements_name_what_is_there() -> None:
    lines = (APP / "requirements.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["mematte-plugin[subject]"]
    card = (APP / "README.md").read_text()
    for target in re.findall(r"\]\((?!https?://)([^)]+)\)", card):
        assert (APP / target).is_file(), target


# ---- ZeroGPU -------------------------------------------------------------------------------------

# What `spaces` does there, as seen from here: yielded values come from another process, and of an
# exception only the name of its class.
SPACES = """
import pickle
def GPU(*, duration):
    def decorate(function):
        def run(*arguments):
            try:
                for value in function(*pickle.loads(pickle.dumps(arguments))):
                    yield pickle.loads(pickle.dumps(value))
            except Exception as error:
                raise RuntimeError(type(error).__name__) from None
        return run
    return decorate
"""

JOB = """
import sys
from pathlib import Path
from mematte_plugin import InputError
from gradio_app.inputs import Guide
from gradio_app.job import Result, Task, carry_out
from gradio_app.settings import Settings
photo, trimap, folder = map(Path, sys.argv[1:])
def results(trimap, name):
    (folder / name).mkdir()
    task = Task(photo=photo, guide=Guide("trimap", trimap), folder=folder / name)
    return [step for step in carry_out(task, Settings(device="cpu")) if isinstance(step, Result)]
print(results(trimap, "one")[0].alpha)
try:
    results(folder / "none.png", "two")
except InputError as error:
    print(error)
"""


@pytest.mark.slow
def test_jobs_and_their_errors_come_through_on_zero_gpu(tmp_path: Path) -> None:
    (tmp_path / "spaces.py").write_text(SPACES)
    done = subprocess.run(
        [sys.executable, "-c", JOB, str(PHOTO), str(TRIMAP), str(tmp_path)],
        env={
            **os.environ,
            "SPACES_ZERO_GPU": "true",
            "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT))),
        },
        check=True,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    alpha, message = done.stdout.splitlines()
    with Image.open(alpha) as written, Image.open(TRIMAP) as given:
        assert np.asarray(written)[np.asarray(given.convert("L")) == 255].min() == 65535
    assert "upload it again" in message
