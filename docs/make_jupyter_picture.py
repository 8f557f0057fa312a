"""Takes the README's picture of the widget in JupyterLab: found, corrected, computed, used in code.

python -m docs.make_jupyter_picture NETWORK.onnx [PICTURE]

NETWORK.onnx finds the subject: any segmentation network; the README's picture is by U²-Net.
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

widget = MatteWidget("astronaut.jpg", subject_model="u2net.onnx")
widget""",
    """widget.save("astronaut_cutout.png")
widget.alpha.shape, widget.alpha.dtype""",
)
# The network takes some of the flag for the subject. Brush, its size, and through which points.
STROKES = (
    ("background", 40, [(0.0, 0.42), (0.035, 0.5), (0.06, 0.6), (0.03, 0.7)]),
    ("background", 24, [(0.01, 0.72), (0.012, 0.985), (0.07, 0.99)]),
    ("background", 30, [(0.02, 0.55), (0.02, 0.78)]),
)


def main() -> None:
    network, *others = sys.argv[1:]
    target = Path(others[0]) if others else PICTURE
    look = {"width": WIDTH, "height": HEIGHT, "device_scale_factor": DENSITY}
    with (
        tempfile.TemporaryDirectory() as folder,
        chromium() as browser,
        jupyter(Path(folder)) as lab,
    ):
        shutil.copy(ROOT / "mematte_plugin" / "examples" / "astronaut.jpg", lab.folder)
        shutil.copy(network, lab.folder / "u2net.onnx")
        with notebook(browser, lab, "lab", CELLS, name="hair.ipynb", **look) as book:
            book.page.keyboard.press("Control+B")  # the list of files away
            book.run(0)
            widget = book.cell(0).locator('[data-mematte="widget"]')
            painter = Painter(book, widget).wait()
            painter.press("brush-wand")
            painter.press("wand-find")
            painter.says("Found by itself")
            for brush, size, points in STROKES:
                painter.stroke(points, brush, size)
            book.page.wait_for_timeout(2000)  # until the kernel has them
            painter.press("brush-wand")
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
