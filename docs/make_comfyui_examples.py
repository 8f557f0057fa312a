"""Makes the pictures that the ComfyUI example workflows begin with.

python -m docs.make_comfyui_examples
"""

import io
import struct
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

import mematte_plugin.examples
from mematte_plugin import MattingPipeline

PHOTOS = Path(mematte_plugin.examples.__path__[0])
TARGET = Path(__file__).parents[1] / "comfyui_nodes" / "examples"
SIDE = 512
COARSE = 128
"""Pixels a side of the soft mask: a quarter of the photograph, as of a network's answer in 4K."""
FRAMES, FRAME_MS = 4, 250
LIGHTS = [(255, 190, 110), (255, 150, 90), (250, 215, 160), (140, 190, 230), (235, 120, 100)]
"""Colours of the lights: warm ones and a blue, nothing near the photograph's own."""


def painted(photo: Image.Image, mask: Image.Image, quality: int) -> bytes:
    """A WebP as ComfyUI keeps a painted mask: transparent where painted, colours kept below."""
    pixels = np.dstack([np.asarray(photo), 255 - np.asarray(mask)])
    file = io.BytesIO()
    options = {"quality": quality, "alpha_quality": 100, "method": 6, "exact": True}
    Image.fromarray(pixels).save(file, "WEBP", **options)
    return file.getvalue()


def animated(stills: list[bytes], size: tuple[int, int], milliseconds: int) -> bytes:
    """An animated WebP of whole frames.

    Pillow's own animations lose the colours below transparency, so still pictures are put into
    the container's frames as they are. The format: developers.google.com, "WebP Container
    Specification".
    """

    def chunk(name: bytes, data: bytes) -> bytes:
        return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)

    def u24(value: int) -> bytes:
        return struct.pack("<I", value)[:3]

    width, height = size
    has_alpha, is_animated, replaces = 0x10, 0x02, 0x02
    canvas = u24(width - 1) + u24(height - 1)
    body = chunk(b"VP8X", bytes([has_alpha | is_animated, 0, 0, 0]) + canvas)
    body += chunk(b"ANIM", struct.pack("<IH", 0, 0))  # background colour, endless
    for still in stills:
        picture = still[still.index(b"ALPH") :]  # what follows RIFF and VP8X: ALPH and VP8
        body += chunk(
            b"ANMF", u24(0) * 2 + canvas + u24(milliseconds) + bytes([replaces]) + picture
        )
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def soft_mask(photo: Image.Image) -> Image.Image:
    """The subject as background removal shows it: soft, coarse and without single hairs."""
    pipe = MattingPipeline.from_pretrained("mematte-tiny")
    alpha = pipe(np.asarray(photo), PHOTOS / "astronaut_trimap.png").alpha
    fine = Image.fromarray(np.rint(alpha * 255).astype(np.uint8))
    coarse = fine.resize((COARSE, COARSE), Image.Resampling.BOX)
    coarse = coarse.filter(ImageFilter.GaussianBlur(0.8))  # networks see no finer
    return coarse.resize(photo.size, Image.Resampling.BICUBIC)


def camera_move(photo: Image.Image, mask: Image.Image) -> bytes:
    """A few frames of a camera that comes nearer, each with its own mask."""
    stills = []
    for k in range(FRAMES):
        side = SIDE * (1 - 0.06 * k)
        left = (SIDE - side) * 0.45
        box = (left, 0, left + side, side)
        frame = photo.resize((SIDE, SIDE), Image.Resampling.LANCZOS, box)
        stills.append(painted(frame, mask.resize((SIDE, SIDE), Image.Resampling.NEAREST, box), 78))
    return animated(stills, (SIDE, SIDE), FRAME_MS)


def bokeh() -> Image.Image:
    """An evening street out of focus: a new background, drawn by this program."""
    random = np.random.default_rng(7)
    rows = np.linspace(0, 1, SIDE)[:, None, None]
    top, bottom = np.array([18, 24, 48]), np.array([62, 40, 52])
    pixels = np.broadcast_to(top * (1 - rows) + bottom * rows, (SIDE, SIDE, 3)).copy()
    for _ in range(70):
        light = Image.new("L", (SIDE, SIDE))
        x, y = random.uniform(-20, SIDE + 20), SIDE * np.clip(random.normal(0.48, 0.2), 0, 1)
        radius = random.uniform(8, 38)
        ring = ImageDraw.Draw(light)
        ring.ellipse(
            (x - radius, y - radius, x + radius, y + radius), fill=200, outline=255, width=3
        )
        soft = np.asarray(light.filter(ImageFilter.GaussianBlur(2.5)), float)[..., None] / 255
        colour = np.array(LIGHTS[random.integers(len(LIGHTS))])
        pixels += soft * colour * random.uniform(0.12, 0.5)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def main() -> None:
    photo = Image.open(PHOTOS / "astronaut.jpg").convert("RGB")
    mask = Image.open(PHOTOS / "astronaut_mask.png").convert("L")
    TARGET.mkdir(parents=True, exist_ok=True)
    (TARGET / "astronaut.webp").write_bytes(painted(photo, mask, 92))
    (TARGET / "astronaut_soft.webp").write_bytes(painted(photo, soft_mask(photo), 80))
    (TARGET / "astronaut_frames.webp").write_bytes(camera_move(photo, mask))
    bokeh().save(TARGET / "bokeh.webp", quality=82, method=6)


if __name__ == "__main__":
    main()
