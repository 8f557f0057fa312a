"""`mematte comfyui install` and `uninstall`: what they write, refuse to touch, and leave behind."""

from __future__ import annotations

import json
import logging
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mematte_plugin import __version__
from mematte_plugin.cli import console
from mematte_plugin.cli.shell import run

ROOT = Path(__file__).parents[2]
NAME = "mematte-plugin"
MARKER = ".mematte-install.json"
Mematte = Callable[..., tuple[int, str, str]]


@pytest.fixture
def mematte(capsys: pytest.CaptureFixture[str]) -> Mematte:
    """Runs `mematte comfyui …`; gives exit code, stdout and stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        console.stderr.cache_clear()
        code = run(["comfyui", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def comfy(tmp_path: Path) -> Path:
    """A folder that looks like ComfyUI, with somebody else's pack."""
    root = tmp_path / "ComfyUI"
    (root / "custom_nodes" / "other").mkdir(parents=True)
    (root / "custom_nodes" / "other" / "__init__.py").write_text("NODE_CLASS_MAPPINGS = {}\n")
    for name in ("main.py", "folder_paths.py"):
        (root / name).write_text("")
    return root


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_install_and_uninstall_again(mematte: Mematte, comfy: Path) -> None:
    before = files(comfy)
    pack = comfy / "custom_nodes" / NAME
    pack.mkdir()  # empty, as an install leaves it that fails at once
    code, out, err = mematte("install", comfy)
    assert (code, err) == (0, "")
    written = files(pack)
    for folder in ("locales", "example_workflows"):
        ours = {name: content for name, content in written.items() if name.startswith(folder)}
        assert ours == {f"{folder}/{name}": c for name, c in files(ROOT / folder).items()}
    places = {name.split("/")[0] for name in written}
    assert places == {"__init__.py", "locales", "example_workflows", MARKER}
    assert str(pack) in out
    assert __version__ in out

    (pack / "__pycache__").mkdir()  # ComfyUI has run
    code, out, err = mematte("uninstall", comfy)
    assert (code, err) == (0, "")
    assert str(pack) in out
    assert files(comfy) == before
    assert [path.name for path in (comfy / "custom_nodes").iterdir()] == ["other"]
    assert mematte("uninstall", comfy)[0] == 1


@pytest.mark.parametrize("given", ["", "custom_nodes", "..", "base", "new"])
def test_install_finds_the_folder_from_wherever_people_point(
    mematte: Mematte, comfy: Path, given: str
) -> None:
    (comfy / "base" / "custom_nodes").mkdir(parents=True)
    (comfy / "new").mkdir()
    for name in ("main.py", "folder_paths.py"):
        (comfy / "new" / name).write_text("")
    expected = comfy / given if given in ("base", "new") else comfy
    code, out, _ = mematte("install", comfy / given, "--json")
    assert code == 0
    facts = json.loads(out)
    assert Path(facts["folder"]).resolve() == (expected / "custom_nodes" / NAME).resolve()
    assert facts["action"] == "installed"
    assert "__init__.py" in facts["files"]
    assert (expected / "custom_nodes" / NAME / "__init__.py").is_file()


@pytest.mark.parametrize(
    ("kind", "fault"),
    [("missing", "does not exist"), ("file", "is not a folder"), ("empty", "is not a ComfyUI")],
)
def test_install_says_what_is_wrong_with_a_path(
    mematte: Mematte, tmp_path: Path, kind: str, fault: str
) -> None:
    path = tmp_path / kind
    if kind == "file":
        path.write_text("")
    elif kind == "empty":
        path.mkdir()
    before = files(tmp_path)
    code, out, err = mematte("install", path)
    assert (code, out) == (1, "")
    assert f"{path}: {fault}" in err
    assert "main.py" in err
    assert files(tmp_path) == before


def test_installing_again_updates_an_earlier_install(mematte: Mematte, comfy: Path) -> None:
    pack = comfy / "custom_nodes" / NAME
    mematte("install", comfy)
    now = files(pack)
    # As an earlier version would have left it: an older door and a file that is gone today.
    marker = json.loads((pack / MARKER).read_text())
    (pack / "locales" / "xx").mkdir()
    (pack / "locales" / "xx" / "main.json").write_bytes((pack / "__init__.py").read_bytes())
    marker["files"]["locales/xx/main.json"] = marker["files"]["__init__.py"]
    (pack / MARKER).write_text(json.dumps(marker))
    next((pack / "example_workflows").iterdir()).unlink()
    code, out, _ = mematte("install", comfy)
    assert code == 0
    assert "updated" in out
    assert files(pack) == now
    assert json.loads(mematte("install", comfy, "--json")[1])["action"] == "unchanged"
    assert files(pack) == now


@pytest.mark.parametrize("kind", ["clone", "file", "link", "marker"])
def test_neither_touches_a_pack_that_install_did_not_write(
    mematte: Mematte, comfy: Path, tmp_path: Path, kind: str
) -> None:
    pack = comfy / "custom_nodes" / NAME
    if kind == "clone":
        (pack / "comfyui_nodes").mkdir(parents=True)
        (pack / "__init__.py").write_text("")
    elif kind == "file":
        pack.write_text("")
    elif kind == "link":
        mematte("install", comfy)
        pack.rename(tmp_path / "elsewhere")
        pack.symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    else:
        mematte("install", comfy)
        (pack / MARKER).write_text("{")
    before = files(tmp_path)
    for command in ("install", "uninstall"):
        code, out, err = mematte(command, comfy, "--force")
        assert (code, out) == (1, "")
        assert str(pack) in err
        assert "unexpected" not in err
        assert files(tmp_path) == before


def test_edited_and_added_files_stay(mematte: Mematte, comfy: Path) -> None:
    mematte("install", comfy)
    pack = comfy / "custom_nodes" / NAME
    original = (pack / "__init__.py").read_bytes()
    (pack / "__init__.py").write_text("# mine\n")
    (pack / "notes.txt").write_text("mine")
    before = files(pack)
    code, _, err = mematte("install", comfy)
    assert code == 1
    assert "__init__.py" in err
    assert "--force" in err
    assert files(pack) == before
    assert mematte("install", comfy, "--force")[0] == 0
    assert (pack / "__init__.py").read_bytes() == original

    (pack / "__init__.py").write_text("# mine\n")
    code, out, err = mematte("uninstall", comfy, "--json")
    assert code == 0
    assert json.loads(out)["kept"] == ["__init__.py", "notes.txt"]
    assert all(str(pack / name) in err for name in ("__init__.py", "notes.txt"))
    assert sorted(files(pack)) == [MARKER, "__init__.py", "notes.txt"]
    assert mematte("uninstall", comfy, "--force")[0] == 0
    assert files(pack) == {"notes.txt": b"mine"}


def test_uninstall_removes_nothing_outside_the_pack(mematte: Mematte, comfy: Path) -> None:
    mematte("install", comfy)
    marker = comfy / "custom_nodes" / NAME / MARKER
    found = json.loads(marker.read_text())
    found["files"]["../other/__init__.py"] = found["files"]["__init__.py"]
    found["files"][str(comfy / "main.py")] = found["files"]["__init__.py"]
    marker.write_text(json.dumps(found))
    mematte("uninstall", comfy, "--force")
    assert (comfy / "custom_nodes" / "other" / "__init__.py").is_file()
    assert (comfy / "main.py").is_file()


def test_a_folder_that_cannot_be_written(mematte: Mematte, comfy: Path) -> None:
    shutil.rmtree(comfy / "custom_nodes")
    (comfy / "custom_nodes").write_text("")
    code, _, err = mematte("install", comfy)
    assert code == 1
    assert str(comfy / "custom_nodes") in err
    assert "unexpected" not in err


# ---- what was written, in ComfyUI's hands --------------------------------------------------------


def test_the_door_says_in_one_line_that_the_package_is_missing(
    mematte: Mematte, comfy: Path
) -> None:
    mematte("install", comfy)
    door = comfy / "custom_nodes" / NAME / "__init__.py"
    code = (
        f"import runpy; found = runpy.run_path({str(door)!r}); print('comfy_entrypoint' in found)"
    )
    # -I -S: no installed packages, no current folder.
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
    (line,) = done.stderr.splitlines()
    assert "not installed in the Python that runs ComfyUI" in line
    assert f'"{sys.executable}" -m pip install' in line


def test_the_door_says_what_else_is_wrong(
    mematte: Mematte,
    comfy: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    mematte("install", comfy)
    (tmp_path / "comfyui_nodes").mkdir()
    (tmp_path / "comfyui_nodes" / "__init__.py").write_text("import comfy_of_the_future\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "comfyui_nodes", raising=False)
    with caplog.at_level(logging.ERROR):
        runpy.run_path(str(comfy / "custom_nodes" / NAME / "__init__.py"))
    (record,) = caplog.records
    assert "comfy_of_the_future" in record.getMessage()
    assert "\n" not in record.getMessage()
