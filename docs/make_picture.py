"""Makes the README's picture with the shipped command and the built-in model.

python docs/make_picture.py
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import mematte_plugin.examples
from mematte_plugin.images.encode import write_image
from mematte_plugin.show.overlays import contact_sheet

EXAMPLES = Path(mematte_plugin.examples.__path__[0])
PICTURE = Path(__file__).parent / "astronaut.jpg"


def main() -> None:
    photo, trimap = EXAMPLES / "astronaut.jpg", EXAMPLES / "astronaut_trimap.png"
    with tempfile.TemporaryDirectory() as folder:
        alpha, green = Path(folder) / "astronaut_alpha.png", Path(folder) / "green.png"
        command = [sys.executable, "-m", "mematte_plugin", "cut", str(photo), str(trimap)]
        subprocess.run([*command, "-o", str(alpha)], check=True)
        subprocess.run([*command, "--background", "#3fa34d", "-o", str(green)], check=True)
        panels = [
            np.asarray(Image.open(path).convert("RGB")) for path in (photo, trimap, alpha, green)
        ]
    sheet = contact_sheet(panels, ["photo", "trimap", "alpha", "over green"], columns=4)
    write_image(PICTURE, sheet, overwrite=True)


if __name__ == "__main__":
    main()
