"""ComfyUI's page with our nodes in it: examples, help and translations, as a user meets them.

Needs COMFYUI_PATH, Playwright and Chromium; COMFYUI_FRONTEND where the page is not that of the
installed front end.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.chromium import chromium
from tests.browser.comfyui_page import Editor, editor, settle
from tests.comfyui.server import REPOSITORY, Checkout, Server, checkouts, prepare, running

pytestmark = pytest.mark.comfyui

WORKFLOWS = REPOSITORY / "example_workflows"
TWINS = REPOSITORY / "tests" / "comfyui" / "workflows"
EXAMPLES = sorted(path.stem for path in WORKFLOWS.glob("*.json"))
SLOW = "8K picture on a small card"
NODES = sorted(path.stem for path in (REPOSITORY / "comfyui_nodes/web/docs").glob("*.md"))
CHECKOUTS = checkouts()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium with a profile of its own."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module", params=CHECKOUTS or [None], ids=lambda c: c.version if c else "")
def server(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[Server]:
    """ComfyUI with this repository in custom_nodes."""
    checkout: Checkout | None = request.param
    if checkout is None:
        pytest.skip("COMFYUI_PATH names no checkout of ComfyUI")
    base = prepare(tmp_path_factory.mktemp("page"))
    settle(base)
    with running(checkout, base) as server:
        yield server


@pytest.fixture
def page(browser: Any, server: Server) -> Iterator[Editor]:
    """The page, which must not complain of us."""
    with editor(browser, server) as shown:
        yield shown
        assert not shown.faults


def workflow(name: str) -> dict[str, Any]:
    return dict(json.loads((WORKFLOWS / f"{name}.json").read_text()))


def ids_of(name: str, kind: str) -> list[int]:
    return [node["id"] for node in workflow(name)["nodes"] if node["type"] == kind]


def make(node: str) -> str:
    """JavaScript that puts a node into the graph, as n."""
    return f"const n = LiteGraph.createNode('{node}'); app.graph.add(n)"


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_opens_from_the_template_browser(page: Editor, name: str) -> None:
    page.open_template(name)
    types = page.ask("Object.fromEntries(app.graph.nodes.map((n) => [n.id, n.type]))")
    assert types == {str(node["id"]): node["type"] for node in workflow(name)["nodes"]}
    assert page.ask("app.graph.nodes.filter((n) => n.has_errors).map((n) => n.type)") == []
    for node in ids_of(name, "LoadImage"):
        assert page.previews(node)[0][:2] == (512, 512)
    sent = page.ask("(await app.graphToPrompt()).output")
    for node in sent.values():
        if node["class_type"] == "PreviewAny":  # widgets of the page alone, by version
            node["inputs"] = {"source": node["inputs"]["source"]}
    assert sent == json.loads((TWINS / f"{name}.json").read_text())


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != SLOW])
def test_example_runs_and_shows_its_results(page: Editor, server: Server, name: str) -> None:
    page.load(WORKFLOWS / f"{name}.json")
    assert page.run(server)["status"]["status_str"] == "success"
    for kind, most in (("PreviewImage", 64), ("SaveImage", 1), ("MaskPreview", 1)):
        for node in ids_of(name, kind):
            pictures = page.previews(node)
            assert 1 <= len(pictures) <= most
            assert {shown[:2] for shown in pictures} == {(512, 512)}
    for node in ids_of(name, "SaveImage"):
        # The subject fills about half of the example, the rest of the cut-out is clear.
        assert 0.3 < page.transparent(page.previews(node)[0][2]) < 0.6


def test_help_pages_come_with_their_pictures(page: Editor) -> None:
    for node in NODES:
        made = page.ask(f"{{ app.graph.clear(); {make(node)}; return [n.id, n.title] }}")
        panel = page.help_of(made[0])
        panel.get_by_role("heading", name=made[1], exact=True).wait_for()
        panel.get_by_role("heading", name="Outputs").wait_for()
        picture = panel.locator("img").first
        picture.wait_for()
        page.page.wait_for_function(
            "(p) => p.complete && p.naturalWidth > 500", arg=picture.element_handle()
        )


def test_chinese_page_shows_chinese_names(page: Editor) -> None:
    chinese = json.loads((REPOSITORY / "locales" / "zh" / "nodeDefs.json").read_text())
    page.ask("app.extensionManager.setting.set('Comfy.Locale', 'zh')")
    try:
        page.page.reload()
        page.wait_until_ready()
        for node in NODES:
            told = page.ask(
                f"{{ const n = LiteGraph.createNode('{node}'); const seen = (slots) =>"
                " slots.map((s) => s.label ?? s.localized_name ?? s.name);"
                " return [n.title, seen(n.inputs), seen(n.outputs)] }"
            )
            names = chinese[node]
            assert told[0] == names["display_name"]
            assert sorted(told[1]) == sorted(one["name"] for one in names["inputs"].values())
            assert told[2] == [one["name"] for one in names["outputs"].values()]
        node = page.ask(f"{{ app.graph.clear(); {make(NODES[0])}; return n.id }}")
        heading = chinese[NODES[0]]["display_name"]
        page.help_of(node).get_by_role("heading", name=heading, exact=True).wait_for()
    finally:
        page.ask("app.extensionManager.setting.set('Comfy.Locale', 'en')")
