"""What people get: the wheel, the source archive, and what a clone asks pip for."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from mematte_plugin import __version__

from .patience import PATIENCE

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DEPENDENCIES = PYPROJECT["project"]["dependencies"]


def distribution_of(requirement: str) -> str:
    return re.split(r"[\s<>=!~;\[]", requirement, maxsplit=1)[0]


def build(source: Path, target: str, folder: Path) -> Path:
    """A wheel or sdist of a source tree, without the network."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=PATIENCE)
    (built,) = folder.glob("*.whl" if target == "wheel" else "*.tar.gz")
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling")
    return build(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def files_of(folder: str) -> set[str]:
    """Files below a folder of the checkout, without what the system or Python left there."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix != ".pyc" and not path.name.startswith(".")
    }


# ---- the wheel -----------------------------------------------------------------------------------


def test_the_wheel_holds_the_packages_and_nothing_else(wheel: Path) -> None:
    names = names_in(wheel)
    tops = {PurePosixPath(name).parts[0] for name in names}
    info = f"mematte_plugin-{__version__}.dist-info"
    assert tops == {"mematte_plugin", "comfyui_nodes", "gradio_app", info}
    assert {f"{info}/licenses/LICENSE", f"{info}/licenses/NOTICE"} <= names


def test_the_wheel_holds_all_that_the_packages_need(wheel: Path) -> None:
    names = names_in(wheel)
    # The widget's scripts are in the wheel as one bundle, without their sources.
    sources = files_of("mematte_plugin/widget/js")
    assert sources
    assert files_of("mematte_plugin") - sources <= names
    assert "mematte_plugin/widget/static/widget.js" in names
    assert files_of("comfyui_nodes") <= names
    assert files_of("gradio_app") <= names
    for folder in ("locales", "example_workflows"):
        assert files_of(folder)
        assert {f"comfyui_nodes/{name}" for name in files_of(folder)} <= names
    assert "mematte_plugin/weights/mematte-tiny/model.safetensors" in names
    assert {"gradio_app/app.py", "gradio_app/README.md", "gradio_app/requirements.txt"} <= names
    assert any(name.startswith("comfyui_nodes/web/docs/") for name in names)


def test_comfyui_install_works_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "packages")
    (tmp_path / "base" / "custom_nodes").mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-m", "mematte_plugin", "comfyui", "install", "base", "--json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "packages")},
        check=True,
        capture_output=True,
        timeout=PATIENCE,
    )
    told = json.loads(done.stdout)
    pack = Path(told["folder"])
    expected = {"__init__.py", *files_of("locales"), *files_of("example_workflows")}
    assert {name for name in told["files"] if (pack / name).is_file()} == expected


def test_the_source_archive_builds_the_same_wheel_and_works_as_a_clone(
    wheel: Path, tmp_path: Path
) -> None:
    sdist = build(ROOT, "sdist", tmp_path)
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = (path for path in tmp_path.iterdir() if path.is_dir())
    (tmp_path / "again").mkdir()
    assert names_in(build(source, "wheel", tmp_path / "again")) == names_in(wheel)
    documents = {path.name for path in ROOT.glob("*.md")}
    needed = {"__init__.py", "requirements.txt", "locales", "example_workflows", "tests/reference"}
    for name in documents | needed | {"CITATION.cff"}:
        assert (source / name).exists(), name


# ---- what pip and ComfyUI read -------------------------------------------------------------------


def test_a_clone_asks_for_what_the_package_needs_but_for_torch() -> None:
    lines = [line.strip() for line in (ROOT / "requirements.txt").read_text().splitlines()]
    asked = [line for line in lines if line and not line.startswith("#")]
    assert asked == [one for one in DEPENDENCIES if distribution_of(one) != "torch"]
    assert len(asked) == len(DEPENDENCIES) - 1


def test_nobody_elses_packages_are_pinned() -> None:
    # A pack that moves torch, numpy or opencv to another version breaks the other packs.
    for requirement in DEPENDENCIES:
        assert re.fullmatch(r"[\w-]+>=[\d.]+", requirement), requirement
    for name in ("torchvision", "torchaudio", "transformers", "timm"):
        assert name not in map(distribution_of, DEPENDENCIES)


def test_both_places_tell_the_same_version() -> None:
    assert PYPROJECT["project"]["version"] == __version__
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)  # the ComfyUI registry takes no other


def test_the_registry_finds_its_fields() -> None:
    comfy = PYPROJECT["tool"]["comfy"]
    assert comfy["DisplayName"]
    assert "PublisherId" in comfy
    assert "web" not in comfy  # comfyui_nodes.WEB_DIRECTORY says it: not twice
    assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", PYPROJECT["project"]["name"])
