"""Layers depend in one direction, and importing the package costs next to nothing."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import mematte_plugin

from .patience import PATIENCE

PACKAGE = Path(mematte_plugin.__file__).parent
NODES = Path(__file__).parents[1] / "comfyui_nodes"
DEMO = Path(__file__).parents[1] / "gradio_app"
BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
# Each layer may use only those before it. A layer is a loose file or a folder of the package.
LAYERS = (
    *("errors", "locks", "progress", "notebook", "torch_state", "examples"),
    *("images", "network", "trimap", "weights", "memory", "subject"),
    *("foreground", "show", "matte", "engine", "guide", "pipeline", "jobs"),
    *("batch", "evaluation", "training", "widget", "cli"),
)


def internal_imports(path: Path) -> set[str]:
    """The package's modules that a file imports, as dotted names below the package."""
    package = path.relative_to(PACKAGE).parts[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ImportFrom):
            continue
        assert not (node.module or "").startswith("mematte_plugin"), (
            f"{path}: imports inside the package are relative"
        )
        if node.level:
            start = package[: len(package) - node.level + 1]
            for alias in node.names:
                parts = [*start, *(node.module or "").split("."), alias.name]
                name = ".".join(part for part in parts if part)
                found.add(name if name in MODULES else name.rpartition(".")[0])
    return found - {""}


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in PACKAGE.rglob("*.py")}


def layer(module: str) -> str:
    return module.partition(".")[0]


def test_no_import_runs_up_the_layers() -> None:
    for module, path in MODULES.items():
        if module in {"", "__main__"}:
            continue
        assert layer(module) in LAYERS, f"{module}: say in LAYERS where the new layer belongs"
        own = LAYERS.index(layer(module))
        up = {used for used in internal_imports(path) if LAYERS.index(layer(used)) > own}
        assert not up, f"{module} imports {', '.join(sorted(up))}, of a later layer"


def test_no_modules_import_one_another_in_a_circle() -> None:
    graph = {module: internal_imports(path) for module, path in MODULES.items()}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_few_files_lie_loose_in_the_package() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= 14


def test_no_file_is_too_long_to_read() -> None:
    for folder in (PACKAGE, NODES, DEMO, BENCHMARKS):
        for path in folder.rglob("*.py"):
            assert len(path.read_text().splitlines()) <= 400, path


def test_only_the_command_line_imports_training_and_evaluation() -> None:
    for module, path in MODULES.items():
        if layer(module) not in {"training", "evaluation", "cli"}:
            used = {layer(one) for one in internal_imports(path)}
            assert not used & {"training", "evaluation"}, path


def test_importing_is_light_and_silent() -> None:
    code = (
        "import json, os, socket, sys\n"
        "before = dict(os.environ)\n"
        "def refuse(*args, **kwargs): raise AssertionError('network used on import')\n"
        "socket.socket.connect = refuse\n"
        "import mematte_plugin\n"
        "from mematte_plugin import MattingPipeline, Matte, cut, load_network\n"
        "assert dict(os.environ) == before\n"
        "heavy = ['cv2', 'numba', 'pymatting', 'tifffile', 'OpenEXR', 'huggingface_hub', 'typer']\n"
        "print(json.dumps([name for name in heavy if name in sys.modules]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    assert json.loads(done.stdout) == []
    assert done.stderr == ""


def test_every_public_name_is_there() -> None:
    for name in mematte_plugin.__all__:
        assert getattr(mematte_plugin, name) is not None
    assert set(mematte_plugin.__all__) <= {*dir(mematte_plugin), "__version__"}


def test_the_comfyui_nodes_use_public_names_and_meet_comfyui_in_one_file() -> None:
    for path in NODES.glob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "core":
                assert node.attr in mematte_plugin.__all__, f"{path.name}: core.{node.attr}"
        imported = {
            name.split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""] * (node.level == 0)
            )
        }
        assert path.name == "core.py" or "mematte_plugin" not in imported, path.name
        assert path.name == "host.py" or not imported & {"comfy", "folder_paths"}, path.name


def test_the_demo_uses_public_names_and_its_own_folder_relatively() -> None:
    # Relatively, because as a Space the folder has another name.
    allowed = {*mematte_plugin.__all__, "examples"}
    for path in DEMO.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                packages = {alias.name.split(".")[0] for alias in node.names}
                assert not packages & {"mematte_plugin", "gradio_app"}, path.name
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = {alias.name for alias in node.names}
                assert (node.module or "").split(".")[0] != "gradio_app", path.name
                assert node.module != "mematte_plugin" or names <= allowed, path.name
                assert not (node.module or "").startswith("mematte_plugin."), path.name
