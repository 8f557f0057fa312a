"""Takes the README's pictures of the web demo: its page with a result, and on a phone in the dark.

python -m docs.make_demo_pictures
"""

import io
import sys
import tempfile
from pathlib import Path

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


def main() -> None:
    port = free_port()
    command = [sys.executable, "-m", "mematte_plugin", "demo", "--port", str(port)]
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(command, port, Path(folder)) as server,
        chromium() as browser,
    ):
        server.wait_until_ready()
        for name, options, part in (("demo", DESK, "page"), ("demo_phone", PHONE, "results")):
            page = browser.new_page(**options)
            page.goto(server.address)
            page.locator("#examples button").first.click()
            page.locator("#report table").wait_for(timeout=120_000)
            page.wait_for_timeout(4000)  # until notes are gone and pictures have come
            if part == "results":
                page.locator("#results").scroll_into_view_if_needed()
                page.locator("#results").evaluate("element => element.scrollIntoView()")
                page.wait_for_timeout(500)
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            picture.save(FOLDER / f"{name}.jpg", quality=82, optimize=True, progressive=True)
            page.close()


if __name__ == "__main__":
    main()
