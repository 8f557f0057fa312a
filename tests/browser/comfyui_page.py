"""ComfyUI's page in headless Chromium: what a user does with the mouse, and what is then seen."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.comfyui.server import Server
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SETTINGS = {
    "Comfy.TutorialCompleted": True,  # else a dialog covers the page at first
    "Comfy.Graph.CanvasInfo": False,
    "Comfy.Minimap.Visible": False,
}
PACK = "mematte-plugin"
READY = "() => window.app?.graph && window.app.extensionManager?.setting"
# The pictures that a node shows, once they are loaded.
PREVIEWS = """(id) => {
  const node = app.graph.getNodeById(id)
  const shown = (node.imgs ?? []).filter((picture) => picture.complete && picture.naturalWidth)
  return shown.map((picture) => [picture.naturalWidth, picture.naturalHeight, picture.src])
}"""
# The share of transparent pixels of a picture, as a browser decodes it.
TRANSPARENT = """async (address) => {
  const picture = new Image()
  picture.src = address
  await picture.decode()
  const canvas = new OffscreenCanvas(picture.naturalWidth, picture.naturalHeight)
  const context = canvas.getContext("2d")
  context.drawImage(picture, 0, 0)
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data
  let clear = 0
  for (let i = 3; i < pixels.length; i += 4) if (pixels[i] === 0) clear++
  return clear / (pixels.length / 4)
}"""
SHOW_ALL = """() => {
  const boxes = app.graph.nodes.map((n) => [n.pos[0], n.pos[1] - 30,
                                            n.pos[0] + n.size[0], n.pos[1] + n.size[1]])
  const low = (k) => Math.min(...boxes.map((b) => b[k]))
  const high = (k) => Math.max(...boxes.map((b) => b[k]))
  const [left, top, right, bottom] = [low(0), low(1), high(2), high(3)]
  const area = app.canvas.canvas.getBoundingClientRect()
  const edge = 30
  const scale = Math.min((area.width - 2 * edge) / (right - left),
                         (area.height - 2 * edge) / (bottom - top), 1.5)
  app.canvas.ds.scale = scale
  app.canvas.ds.offset = [(area.width / scale - (left + right)) / 2,
                          (area.height / scale - (top + bottom)) / 2]
  app.canvas.setDirty(true, true)
}"""


@dataclass
class Editor:
    """The page with a graph in it."""

    page: Page
    faults: list[str] = field(default_factory=list)
    """What the page complained of that has to do with us."""

    def watch(self) -> None:
        """Collect complaints from now on."""

        def told(kind: str, text: str) -> None:
            # A page in the user's language is asked for first; most nodes have only one.
            if "mematte" in text.lower() and not re.search(r"/docs/\w+/\w+\.md$", text):
                self.faults.append(f"{kind}: {text}")

        self.page.on("console", lambda m: m.type == "error" and told("console", m.text))
        self.page.on("pageerror", lambda e: told("page", f"{e} {e.stack}"))
        self.page.on("response", lambda r: r.status >= 400 and told(str(r.status), r.url))

    def wait_until_ready(self) -> None:
        """After the page was opened, or opened again."""
        self.page.wait_for_function(READY, timeout=1000 * PATIENCE)
        self.page.get_by_test_id("queue-button").wait_for()
        self.page.wait_for_function("() => app.graph.nodes.length > 0")  # the default graph

    def open_template(self, name: str) -> None:
        """Choose an example in the template browser."""
        before = self.ask("app.graph.nodes.length && app.graph.id")
        self.ask("app.extensionManager.command.execute('Comfy.BrowseTemplates')")
        self.page.get_by_text(PACK, exact=True).first.click()
        card = self.page.get_by_test_id(f"template-workflow-{name}")
        card.locator("img").first.wait_for()
        card.click()
        self.page.wait_for_function("(before) => app.graph.id !== before", arg=before)

    def load(self, path: Path) -> None:
        """Open a workflow file."""
        self.page.evaluate("(graph) => app.loadGraphData(graph)", json.loads(path.read_text()))

    def run(self, server: Server, timeout: float = PATIENCE) -> dict[str, Any]:
        """Press Run and wait for the end; the entry of the server's history."""
        before = set(server.get("/history"))
        self.page.get_by_test_id("queue-button").click()
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            done = {k: v for k, v in server.get("/history").items() if k not in before}
            if done:
                return dict(done.popitem()[1])
            time.sleep(0.2)
        raise AssertionError(f"no result after {timeout} s:\n{server.log_text()[-4000:]}")

    def previews(self, node_id: int) -> list[tuple[int, int, str]]:
        """Width, height and address of the pictures in a node, when there are any."""
        self.page.wait_for_function(f"(id) => ({PREVIEWS})(id).length > 0", arg=node_id)
        return [tuple(shown) for shown in self.page.evaluate(PREVIEWS, node_id)]

    def transparent(self, address: str) -> float:
        """The share of a picture's pixels that are wholly transparent."""
        return float(self.page.evaluate(TRANSPARENT, address))

    def help_of(self, node_id: int) -> Any:
        """The help panel of a node, opened with the button above it; a locator."""
        self.ask(
            f"app.canvas.deselectAll(), app.canvas.centerOnNode(app.graph.getNodeById({node_id}))"
        )
        self.ask(f"app.canvas.selectNode(app.graph.getNodeById({node_id}))")
        self.page.get_by_test_id("info-button").click()
        return self.page.locator(".node-help-content").first

    def ask(self, script: str) -> Any:
        """The value of an expression of JavaScript, or of what a block in braces returns."""
        body = script if script.startswith("{") else f"({script})"
        return self.page.evaluate(f"async () => {body}")

    def show_all(self) -> None:
        """Zoom so that the whole graph is seen."""
        self.page.evaluate(SHOW_ALL)
        self.page.wait_for_timeout(1000)  # until it is drawn


def settle(base: Path, **settings: Any) -> None:
    """Settings of the page, as the user's server keeps them; before it starts."""
    folder = base / "user" / "default"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "comfy.settings.json").write_text(json.dumps({**SETTINGS, **settings}))


@contextmanager
def editor(
    browser: Browser, server: Server, width: int = 1600, height: int = 950, density: float = 1
) -> Iterator[Editor]:
    """ComfyUI's page of a server, ready; density is the screen's pixels per pixel of the page."""
    page = browser.new_page(
        viewport={"width": width, "height": height}, device_scale_factor=density
    )
    # The core's own examples are a package of their own, which not every installation has.
    page.route("**/templates/index*.json", lambda route: route.fulfill(json=[]))
    shown = Editor(page)
    shown.watch()
    try:
        page.goto(f"http://127.0.0.1:{server.port}/")
        shown.wait_until_ready()
        yield shown
    finally:
        page.close()
