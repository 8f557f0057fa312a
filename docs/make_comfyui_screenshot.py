"""Takes the README's picture of ComfyUI: an example that was run in the page.

COMFYUI_PATH=… python -m docs.make_comfyui_screenshot [EXAMPLE] [PICTURE]

With several checkouts in COMFYUI_PATH the last one is shown. See CONTRIBUTING.md for the variables.
"""

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.browser.chromium import CHROMIUM, FLAGS
from tests.browser.comfyui_page import editor, settle
from tests.comfyui.server import REPOSITORY, checkouts, prepare, running

EXAMPLE = "Hair over a new background"
PICTURE = REPOSITORY / "docs" / "comfyui.jpg"
WIDTH, HEIGHT = 1480, 860
DENSITY = 1.4


def main() -> None:
    example = sys.argv[1] if len(sys.argv) > 1 else EXAMPLE
    target = Path(sys.argv[2]) if len(sys.argv) > 2 else PICTURE
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        base = prepare(Path(folder))
        settle(base)
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        with (
            running(checkouts()[-1], base) as server,
            editor(browser, server, WIDTH, HEIGHT, DENSITY) as page,
        ):
            page.page.wait_for_timeout(3000)  # it still complains of its default graph's models
            page.load(REPOSITORY / "example_workflows" / f"{example}.json")
            page.run(server, timeout=600)
            page.ask("app.extensionManager.command.execute('Workspace.ToggleFocusMode')")
            page.page.wait_for_timeout(6000)  # until messages are gone
            page.show_all()
            shot = page.page.screenshot()
        browser.close()
    picture = Image.open(io.BytesIO(shot)).convert("RGB")
    picture.save(target, quality=80, optimize=True, progressive=True)


if __name__ == "__main__":
    main()
