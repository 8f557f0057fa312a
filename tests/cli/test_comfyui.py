"""`mematte comfyui install` and `uninstall`: what they write, refuse to touch, and leave behind."""

from __future__ import annotations

import json
import logging
import runpy
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from mematte_plugin import __version__
from mematte_plugin.cli import comfyui_pack, console
from mematte_plugin.cli.shell import run

ROOT = Path(__file__).parents[1]
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
    """A folder that looks like ComfyUI, with a pack of somebody else."""
    root = tmp_path / "ComfyUI"
    (root / "custom_nodes" / "other").mkdir(parents=True)
    (root / "custom_nodes" / "other" / "__init__.py").write_text("NODE_CLASS_MAPPINGS = {}\n")
    for name in ("main.py", "folder_paths.py"):
        (root / name).write_text("")
    return root


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, and links by where they lead."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_symlink() or path.is_file())
    return {
        path.relative_to(folder).as_posix(): (
            str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        )
        for path in found
    }


# ---- install -------------------------------------------------------------------------------------


def test_install_writes_a_door_and_what_comfyui_looks_for_in_a_pack(
    mematte: Mematte, comfy: Path
) -> None:
    before = files(comfy)
    code, out, _ = mematte("install", comfy)
    assert code == 0
    pack = comfy / "custom_nodes" / NAME
    written = files(pack)
    for folder in ("locales", "example_workflows"):
        ours = {name: content for name, content in written.items() if name.startswith(folder)}
        assert ours == {f"{folder}/{name}": c for name, c in files(ROOT / folder).items()}
        assert f"{folder}: {len(ours)} files" in out
    assert {name.split("/")[0] for name in written} == {
        "__init__.py",
        "locales",
        "example_workflows",
        MARKER,
    }
    assert str(pack) in out
    assert __version__ in out
    # Nothing else has changed, and nothing is left lying about.
    shutil.rmtree(pack)
    assert files(comfy) == before
    assert sorted(path.name for path in (comfy / "custom_nodes").iterdir()) == ["other"]


@pytest.mark.parametrize("given", ["", "custom_nodes", "..", "base"])
def test_install_finds_the_folder_from_wherever_people_point(
    mematte: Mematte, comfy: Path, given: str
) -> None:
    base = comfy / "base"
    (base / "custom_nodes").mkdir(parents=True)
    expected = base if given == "base" else comfy
    code, out, _ = mematte("install", comfy / given, "--json")
    assert code == 0
    told = json.loads(out)
    assert Path(told["folder"]).resolve() == (expected / "custom_nodes" / NAME).resolve()
    assert told["action"] == "installed"
    assert "__init__.py" in told["files"]
    assert (expected / "custom_nodes" / NAME / "__init__.py").is_file()


def test_install_makes_a_missing_custom_nodes(mematte: Mematte, comfy: Path) -> None:
    shutil.rmtree(comfy / "custom_nodes")
    assert mematte("install", comfy)[0] == 0
    assert (comfy / "custom_nodes" / NAME / "__init__.py").is_file()


@pytest.mark.parametrize("kind", ["missing", "file", "empty"])
def test_install_says_what_is_wrong_with_a_path(
    mematte: Mematte, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / kind
    if kind == "file":
        path.write_text("")
    elif kind == "empty":
        path.mkdir()
    before = files(tmp_path)
    code, out, err = mematte("install", path)
    assert (code, out) == (1, "")
    assert str(path) in err
    assert "main.py" in err
    assert files(tmp_path) == before


def test_installing_twice_writes_once(mematte: Mematte, comfy: Path) -> None:
    mematte("install", comfy)
    pack = comfy / "custom_nodes" / NAME
    (pack / "__pycache__").mkdir()  # ComfyUI ran meanwhile
    (pack / "__pycache__" / "__init__.cpython-311.pyc").write_bytes(b"")
    times = {path: path.stat().st_mtime_ns for path in pack.rglob("*")}
    code, out, _ = mematte("install", comfy)
    assert code == 0
    assert "up to date" in out
    assert {path: path.stat().st_mtime_ns for path in pack.rglob("*")} == times


def test_installing_again_updates_an_earlier_install(
    mematte: Mematte, comfy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = comfy / "custom_nodes" / NAME
    now = comfyui_pack.contents()
    gone = {**now, "__init__.py": b"# older\n", "locales/xx/main.json": b"{}"}
    with monkeypatch.context() as patch:
        patch.setattr(comfyui_pack, "contents", lambda: gone)
        assert mematte("install", comfy)[0] == 0
    assert (pack / "locales/xx/main.json").is_file()
    next(iter((pack / "example_workflows").iterdir())).unlink()  # not needed by the user: returns
    code, out, _ = mematte("install", comfy)
    assert code == 0
    assert "updated" in out
    written = files(pack)
    del written[MARKER]
    assert written == now


def test_a_failed_update_leaves_the_old_install(
    mematte: Mematte, comfy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mematte("install", comfy)
    before = files(comfy)
    # No file system has names of that length.
    broken = {**comfyui_pack.contents(), "locales/" + "n" * 300: b""}
    monkeypatch.setattr(comfyui_pack, "contents", lambda: broken)
    code, _, err = mematte("install", comfy)
    assert code == 1
    assert "error: " in err
    assert "unexpected" not in err
    assert files(comfy) == before


@pytest.mark.parametrize("kind", ["clone", "foreign", "file", "link", "added", "marker"])
def test_install_does_not_touch_what_it_did_not_write(
    mematte: Mematte, comfy: Path, tmp_path: Path, kind: str
) -> None:
    pack = comfy / "custom_nodes" / NAME
    word = NAME
    if kind == "clone":
        (pack / "comfyui_nodes").mkdir(parents=True)
        (pack / "mematte_plugin").mkdir()
        (pack / "__init__.py").write_text("")
        word = "clone"
    elif kind == "foreign":
        pack.mkdir()
        (pack / "mine.py").write_text("")
        word = "mine.py"
    elif kind == "file":
        pack.write_text("")
    elif kind == "link":
        (tmp_path / "elsewhere").mkdir()
        pack.symlink_to(tmp_path / "elsewhere", target_is_directory=True)
        word = "link"
    elif kind == "added":
        mematte("install", comfy)
        (pack / "notes.txt").write_text("mine")
        word = "notes.txt"
    else:
        mematte("install", comfy)
        (pack / MARKER).write_text("{")
        word = MARKER
    before = files(tmp_path)
    for force in ((), ("--force",)):
        code, out, err = mematte("install", comfy, *force)
        assert (code, out) == (1, "")
        assert word in err
        assert files(tmp_path) == before


def test_install_replaces_changed_files_only_by_force(mematte: Mematte, comfy: Path) -> None:
    mematte("install", comfy)
    door = comfy / "custom_nodes" / NAME / "__init__.py"
    original = door.read_bytes()
    door.write_text("# mine\n")
    code, _, err = mematte("install", comfy)
    assert code == 1
    assert "__init__.py" in err
    assert "--force" in err
    assert door.read_text() == "# mine\n"
    assert mematte("install", comfy, "--force")[0] == 0
    assert door.read_bytes() == original


@pytest.mark.parametrize("kind", ["project", "folders", "install"])
def test_install_warns_of_a_second_copy(mematte: Mematte, comfy: Path, kind: str) -> None:
    copy = comfy / "custom_nodes" / "Mematte-clone"
    copy.mkdir()
    if kind == "project":
        (copy / "pyproject.toml").write_text('[project]\nname = "mematte-plugin"\n')
    elif kind == "folders":
        (copy / "mematte_plugin").mkdir()
        (copy / "comfyui_nodes").mkdir()
    else:
        (copy / MARKER).write_text("{}")
    code, _, err = mematte("install", comfy)
    assert code == 0
    assert str(copy) in err
    assert f"{copy.name}.disabled" in err
    copy.rename(copy.with_name(f"{copy.name}.disabled"))
    assert str(copy) not in mematte("install", comfy)[2]


# ---- the Python that runs ComfyUI ----------------------------------------------------------------


def python_of(environment: Path) -> Path:
    return environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


@pytest.mark.parametrize("where", ["venv", ".venv", "../python_embeded"])
def test_install_says_what_to_run_in_comfyuis_own_python(
    mematte: Mematte, comfy: Path, where: str
) -> None:
    environment = comfy / where
    if where.startswith(".."):  # the portable Windows edition
        environment.mkdir()
        python = environment / "python.exe"
        python.write_text("")
        packages = environment / "Lib" / "site-packages"
    else:
        venv.create(environment, with_pip=False)
        python = python_of(environment)
        (packages,) = environment.glob("[Ll]ib/**/site-packages")
    code, _, err = mematte("install", comfy)
    assert code == 0
    assert "warning: " in err
    assert f"{python.resolve().parent.name}/{python.name} -m pip install {NAME}" in err
    # An old one is told, the same is fine.
    for version in ("0.0.1", __version__):
        info = packages / f"mematte_plugin-{version}.dist-info"
        info.mkdir(parents=True)
        err = mematte("install", comfy)[2]
        assert ("--upgrade" in err) == (version == "0.0.1")
        assert ("warning" in err) == (version == "0.0.1")
        info.rmdir()


def test_install_has_nothing_to_say_where_it_runs_in_comfyuis_python(
    mematte: Mematte, comfy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = comfy / "venv"
    venv.create(environment, with_pip=False)
    (packages,) = environment.glob("[Ll]ib/**/site-packages")
    (packages / f"mematte_plugin-{__version__}.dist-info").mkdir()
    monkeypatch.setattr(sys, "prefix", str(environment))
    code, out, err = mematte("install", comfy, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["python"] == str(python_of(environment))


# ---- what was written, in ComfyUI's hands --------------------------------------------------------


def test_the_door_tells_in_one_line_where_the_package_is_missing(
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


def test_the_door_tells_what_else_is_wrong(
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


# ---- uninstall -----------------------------------------------------------------------------------


def test_uninstall_leaves_the_folder_as_it_was(mematte: Mematte, comfy: Path) -> None:
    before = files(comfy)
    mematte("install", comfy)
    (comfy / "custom_nodes" / NAME / "__pycache__").mkdir()
    code, out, err = mematte("uninstall", comfy)
    assert (code, err) == (0, "")
    assert str(comfy / "custom_nodes" / NAME) in out
    assert files(comfy) == before
    assert sorted(path.name for path in (comfy / "custom_nodes").iterdir()) == ["other"]
    code, _, err = mematte("uninstall", comfy)
    assert code == 1
    assert "is not there" in err


def test_uninstall_keeps_what_was_changed_or_added(mematte: Mematte, comfy: Path) -> None:
    mematte("install", comfy)
    pack = comfy / "custom_nodes" / NAME
    changed = next(iter((pack / "example_workflows").rglob("*.json")))
    changed.write_text("{}")
    (pack / "notes.txt").write_text("mine")
    kept = [changed.relative_to(pack).as_posix(), "notes.txt"]

    code, out, err = mematte("uninstall", comfy, "--json")
    assert code == 0
    assert json.loads(out)["kept"] == kept
    for name in kept:
        assert str(pack / name) in err
    assert sorted(files(pack)) == sorted([*kept, MARKER])

    code, _, err = mematte("uninstall", comfy, "--force")
    assert code == 0
    assert "notes.txt" in err
    assert files(pack) == {"notes.txt": b"mine"}


@pytest.mark.parametrize("kind", ["clone", "link"])
def test_uninstall_refuses_what_it_did_not_write(
    mematte: Mematte, comfy: Path, tmp_path: Path, kind: str
) -> None:
    pack = comfy / "custom_nodes" / NAME
    real = pack if kind == "clone" else tmp_path / "elsewhere"
    (real / "comfyui_nodes").mkdir(parents=True)
    (real / "__init__.py").write_text("")
    if kind == "link":
        pack.symlink_to(real, target_is_directory=True)
    before = files(tmp_path)
    code, out, err = mematte("uninstall", comfy, "--force")
    assert (code, out) == (1, "")
    assert str(pack) in err
    assert files(tmp_path) == before


def test_uninstall_removes_nothing_outside_the_pack(mematte: Mematte, comfy: Path) -> None:
    mematte("install", comfy)
    marker = comfy / "custom_nodes" / NAME / MARKER
    told = json.loads(marker.read_text())
    told["files"]["../other/__init__.py"] = told["files"]["__init__.py"]
    marker.write_text(json.dumps(told))
    mematte("uninstall", comfy, "--force")
    assert (comfy / "custom_nodes" / "other" / "__init__.py").is_file()


def test_help_shows_examples(mematte: Mematte) -> None:
    for command in ("install", "uninstall"):
        code, out, _ = mematte(command, "--help")
        assert code == 0
        assert f"mematte comfyui {command} ComfyUI" in out
