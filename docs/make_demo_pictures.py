"""Takes the README's pictures of the web demo: its page with a subject that was found, and a result
on a phone in the dark.

python -m docs.make_demo_pictures NETWORK.onnx

NETWORK.onnx finds the subject: any segmentation network, such as U²-Net.
"""

import io
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from tests.browser.chromium import chromium
from tests.gradio_app.processes import free_port, serving

FOLDER = Path(__file__).parent
DESK = {"viewport": {"width": 1280, "height": 1050}, "device_scale_factor": 1.25}
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "color_scheme": "dark",
    "has_touch": True,
    "is_mobile": True,
}


EXAMPLE = FOLDER.parent / "mematte_plugin" / "examples" / "astronaut.jpg"


def main() -> None:
    port = free_port()
    network = sys.argv[1]
    command = [sys.executable, "-m", "mematte_plugin", "demo", "--port", str(port)]
    command += ["--subject-model", str(Path(network).resolve())]
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(command, port, Path(folder)) as server,
        chromium() as browser,
    ):
        server.wait_until_ready()
        for name, options, show in (("demo", DESK, found), ("demo_phone", PHONE, result)):
            page = browser.new_page(**options)
            page.goto(server.address)
            show(page)
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            picture.save(FOLDER / f"{name}.jpg", quality=82, optimize=True, progressive=True)
            page.close()


def found(page: Any) -> None:
    """The astronaut's subject and its cut-out."""
    page.locator("#photo input[type=file]").first.set_input_files(EXAMPLE)
    page.locator("#canvas .shot").wait_for()
    page.locator("#find").click()
    wait(page)
    page.mouse.wheel(0, 240)
    page.wait_for_timeout(500)


def result(page: Any) -> None:
    """An example's result."""
    page.locator("#examples button").first.click()
    wait(page)
    page.locator("#results").scroll_into_view_if_needed()
    page.locator("#results").evaluate("element => element.scrollIntoView()")
    page.wait_for_timeout(500)


def wait(page: Any) -> None:
    page.locator("#report table").wait_for(timeout=300_000)
    page.wait_for_timeout(4000)  # until notes are gone and pictures have come


if __name__ == "__main__":
    main()
