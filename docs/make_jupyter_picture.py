"""Takes the README's picture of the widget in JupyterLab: painted, computed, and used in code.

python -m docs.make_jupyter_picture [PICTURE]
"""

import io
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image

from tests.browser.chromium import chromium
from tests.browser.jupyter_page import ROOT, jupyter, notebook
from tests.browser.widget_page import Painter

PICTURE = Path(__file__).parent / "jupyter.jpg"
WIDTH, HEIGHT, DENSITY = 1120, 1110, 1.2
CELLS = (
    """from mematte_plugin.widget import MatteWidget

widget = MatteWidget("astronaut.jpg")
widget""",
    """widget.save("astronaut_cutout.png")
widget.alpha.shape, widget.alpha.dtype""",
)
# What somebody would paint: brush, its size in pixels, and through which points.
STROKES = (
    ("foreground", 70, [(0.41, 0.15), (0.5, 0.15), (0.48, 0.31), (0.43, 0.28)]),
    ("foreground", 56, [(0.31, 0.43), (0.35, 0.54), (0.5, 0.57), (0.57, 0.49), (0.47, 0.42)]),
    ("foreground", 110, [(0.3, 0.63), (0.21, 0.8), (0.2, 0.97), (0.45, 0.97), (0.45, 0.72)]),
    ("foreground", 90, [(0.33, 0.83), (0.4, 0.62), (0.61, 0.63), (0.62, 0.72), (0.56, 0.84)]),
    ("foreground", 110, [(0.72, 0.87), (0.84, 0.84), (0.84, 0.95), (0.68, 0.97)]),
    ("background", 70, [(0.06, 0.05), (0.05, 0.52), (0.18, 0.32), (0.23, 0.06), (0.12, 0.2)]),
    ("background", 70, [(0.7, 0.05), (0.72, 0.32), (0.79, 0.5), (0.94, 0.58), (0.94, 0.06)]),
    ("background", 90, [(0.8, 0.06), (0.84, 0.4)]),
    ("background", 34, [(0.66, 0.1), (0.66, 0.34), (0.73, 0.46), (0.77, 0.6), (0.93, 0.63)]),
    ("background", 22, [(0.66, 0.28), (0.6, 0.32), (0.566, 0.315), (0.57, 0.34)]),
    ("background", 12, [(0.56, 0.295), (0.542, 0.325)]),
    ("background", 22, [(0.93, 0.64), (0.97, 0.68)]),
    ("unknown", 36, [(0.34, 0.28), (0.33, 0.14), (0.42, 0.07), (0.53, 0.07), (0.6, 0.16)]),
)


def main() -> None:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE
    look = {"width": WIDTH, "height": HEIGHT, "device_scale_factor": DENSITY}
    with (
        tempfile.TemporaryDirectory() as folder,
        chromium() as browser,
        jupyter(Path(folder)) as lab,
    ):
        shutil.copy(ROOT / "mematte_plugin" / "examples" / "astronaut.jpg", lab.folder)
        with notebook(browser, lab, "lab", CELLS, name="hair.ipynb", **look) as book:
            book.page.keyboard.press("Control+B")  # the list of files away
            book.run(0)
            widget = book.cell(0).locator('[data-mematte="widget"]')
            painter = Painter(book, widget).wait()
            for brush, size, points in STROKES:
                painter.stroke(points, brush, size)
            painter.says("Run computes")
            painter.press("run")
            painter.ends()
            book.run(1)
            book.cell(0)
            book.page.mouse.move(2, 2)
            book.page.wait_for_timeout(3000)
            shot = book.page.screenshot()
    picture = Image.open(io.BytesIO(shot)).convert("RGB")
    picture.save(target, quality=82, optimize=True, progressive=True)


if __name__ == "__main__":
    main()
