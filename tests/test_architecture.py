"""Layers depend in one direction, and importing the package costs next to nothing."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import mematte_plugin

from .patience import PATIENCE

PACKAGE = Path(mematte_plugin.__file__).parent
NODES = Path(__file__).parents[1] / "comfyui_nodes"
DEMO = Path(__file__).parents[1] / "gradio_app"
# What each layer may use of the package, besides itself.
MASKS = {"masks", "mask_values", "mask_shapes", "mask_colours", "grey_levels", "labels"}
MASKS |= {"trimap_remarks"}
PICTURES = {"images", "decoding", "decoded", "exr", "headers", "notes", "png", "sniffing", "tiff"}
PICTURES |= {"tiff_layout", "tiff_samples", "encoding"}
PICTURES |= {"writing", "heif", "jpegxl", "raw", "radiance", "bmff", "inks", "exr_layers", "crops"}
PICTURES |= {"colour_names", "colour_spaces", "colour_tags", "photo", "photo_colour", "profiles"}
NAMES = {"folder_scan", "frame_numbers", "name_words", "pair_pattern", "pairing", "sequences"}
NAMES |= {"shared_folder"}
LAYERS: dict[str, set[str]] = {
    "errors": set(),
    "examples": set(),
    "waiting": set(),
    "display": set(),
    "network": {"errors"},
    "weights": {"errors", "network", "torch_state", "waiting"},
    "memory": {"display", "errors", "network", "notes", "torch_state"},
    **{name: PICTURES | {"errors"} for name in PICTURES},
    "photo": PICTURES | {"display", "errors"},
    "images": PICTURES | {"display", "errors"},
    "thickness": set(),
    "bands": {"thickness"},
    "labels": {"errors"},
    "grey_levels": {"notes"},
    "trimap_remarks": {"notes", "grey_levels"},
    "mask_shapes": {"errors", "images"},
    "mask_colours": {"decoded", "labels"},
    "mask_values": {"errors", "notes", "grey_levels", "labels", "mask_shapes"},
    "masks": PICTURES | MASKS | {"errors"},
    "trimap": PICTURES | MASKS | {"bands", "errors"},
    "arithmetic": set(),
    "torch_state": {"arithmetic", "errors"},
    "multilevel": set(),
    "foreground": PICTURES | {"errors", "memory", "multilevel", "torch_state", "waiting"},
    "compositing": PICTURES | {"errors"},
    "bleed": set(),
    "spill": PICTURES | {"display", "errors"},
    "edges": {"errors", "spill"},
    "shaping": PICTURES | {"bleed", "edges", "errors", "foreground", "matte", "spill"},
    "matte": PICTURES
    | {"compositing", "display", "edges", "errors", "foreground", "shaping", "spill", "views"},
    "views": PICTURES | {"compositing", "errors"},
    "retention": {"errors", "network"},
    "planning": {"errors", "memory", "network", "weights"},
    "cards": {"errors", "memory", "network", "planning", "retention"},
    "pipeline": PICTURES
    | {"errors", "memory", "network", "weights", "matte", "planning", "retention", "trimap"}
    | {"torch_state"},
    "cutting": PICTURES
    | {"errors", "memory", "network", "weights", "matte", "pipeline", "retention", "trimap"}
    | {"edges", "labels", "spill"},
    "jobs": set(),
    "widget": PICTURES
    | {"errors", "weights", "matte", "pipeline", "cutting", "retention", "trimap", "views"}
    | {"compositing", "display", "edges", "memory", "jobs", "masks", "network"},
    "folder_scan": {"decoding", "errors"},
    "name_words": {"folder_scan"},
    **{name: NAMES | {"batch_report", "errors"} for name in NAMES - {"folder_scan", "name_words"}},
    "pair_pattern": NAMES | {"decoding", "errors"},
    "claims": set(),
    "batch_report": {"crops"},
    "batch_plan": NAMES | {"sniffing", "errors", "writing", "batch", "batch_report"},
    "batch_places": {"batch_plan", "claims"},
    "batch": PICTURES
    | {"batch_places", "batch_plan", "batch_report", "claims"}
    | {"errors", "memory", "pipeline", "matte", "trimap", "network", "retention"}
    | {"edges", "labels"},
    "evaluation": PICTURES
    | {"errors", "network", "weights", "pipeline", "retention", "trimap", "waiting"},
    "training": {"errors", "memory", "network", "planning", "weights", "evaluation", "bands"}
    | {"writing", "foreground", "images"},  # to import people's pictures
}


def uses(path: Path) -> set[str]:
    """Top-level names of the package that a file imports relatively."""
    depth = len(path.relative_to(PACKAGE).parts)
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == depth:
            names = [node.module] if node.module else [alias.name for alias in node.names]
            found |= {name.split(".")[0] for name in names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mematte_plugin"):
            raise AssertionError(f"{path}: imports inside the package are relative")
    return found


def test_dependencies_point_one_way() -> None:
    for path in PACKAGE.rglob("*.py"):
        layer = path.relative_to(PACKAGE).with_suffix("").parts[0]
        if layer in {"__init__", "__main__", "cli"}:
            continue
        assert layer in LAYERS, f"{path.name}: say in this test what the new layer may use"
        excess = uses(path) - LAYERS[layer] - {layer, "__version__"}
        assert not excess, f"{path.relative_to(PACKAGE)} uses {', '.join(sorted(excess))}"


def test_nobody_imports_training_or_evaluation_but_the_command_line() -> None:
    for path in PACKAGE.rglob("*.py"):
        layer = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if layer not in {"training", "evaluation", "cli"}:
            assert not uses(path) & {"training", "evaluation"}, path


def test_importing_is_light_and_silent() -> None:
    code = (
        "import json, socket, sys\n"
        "def refuse(*args, **kwargs): raise AssertionError('network used on import')\n"
        "socket.socket.connect = refuse\n"
        "import mematte_plugin\n"
        "from mematte_plugin import MattingPipeline, Matte, cut, load_network\n"
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
    assert set(mematte_plugin.__all__) <= set(dir(mematte_plugin))


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
