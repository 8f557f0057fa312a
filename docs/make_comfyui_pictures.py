"""Makes the pictures of the ComfyUI help pages and of the example workflows.

python -m docs.make_comfyui_pictures

They show what the nodes give: the nodes call the same functions.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageSequence

import mematte_plugin.examples
from mematte_plugin import (
    Matte,
    MattingPipeline,
    composite,
    cut,
    from_mask,
    normalise_trimap,
    routing_overlay,
    trimap_overlay,
)
from mematte_plugin.show.overlays import checkerboard

ROOT = Path(__file__).parents[1]
PHOTOS = Path(mematte_plugin.examples.__path__[0])
PACK = ROOT / "comfyui_nodes"
HELP = PACK / "web" / "docs"
WORKFLOWS = ROOT / "example_workflows"
PANEL, THUMBNAIL = 400, 400
DARK = "#14264f"
HAIR = (150, 0, 310, 160)
"""Left, upper, right, lower edge of a square with hair in it."""
STRANDS = (235, 20, 305, 90)
"""Its edge, where a halo shows."""

Pixels = np.ndarray


def small(pixels: Pixels, box: tuple[int, int, int, int] | None = None) -> Pixels:
    """(H, W, 3) or (H, W) uint8 or float in [0, 1], cropped and brought to a panel's size."""
    if pixels.dtype != np.uint8:
        pixels = np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    picture = Image.fromarray(pixels).convert("RGB")
    return np.asarray(picture.resize((PANEL, PANEL), Image.Resampling.LANCZOS, box))


def over(matte: Matte, background: object, colours: Pixels | None = None) -> Pixels:
    """The subject over something, (H, W, 3)."""
    return composite(matte.foreground if colours is None else colours, matte.alpha, background)


def masked(photo: Pixels, mask: Pixels) -> Pixels:
    """The photo with its mask painted over it in red."""
    red = np.array([220, 50, 50], np.uint8)
    return np.where(mask[..., None] > 127, (photo // 2 + red // 2), photo).astype(np.uint8)


def halves(left: Pixels, right: Pixels) -> Pixels:
    """The left half of one panel next to the right half of another, a white line between."""
    joined = left.copy()
    joined[:, PANEL // 2 :] = right[:, PANEL // 2 :]
    joined[:, PANEL // 2 - 1 : PANEL // 2 + 1] = 255
    return joined


def help_page(node: str, panels: list[Pixels], captions: list[str], columns: int) -> None:
    """The picture of a node's help page: panels with captions that can be read in a side bar."""
    gap, text = 8, 15 * columns
    rows = -(-len(panels) // columns)
    cell = PANEL + round(1.6 * text)
    sheet = Image.new("RGB", (columns * (PANEL + gap) - gap, rows * (cell + gap) - gap), "#202020")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=text)
    for i, (panel, caption) in enumerate(zip(panels, captions, strict=True)):
        left, top = i % columns * (PANEL + gap), i // columns * (cell + gap)
        sheet.paste(Image.fromarray(panel), (left, top))
        draw.text((left + 4, top + PANEL + text // 6), caption, "#ebebeb", font)
    sheet.thumbnail((720, 1200), Image.Resampling.LANCZOS)
    save(HELP / f"{node}.jpg", np.asarray(sheet))


def save(path: Path, pixels: Pixels) -> None:
    """Write a small JPEG."""
    Image.fromarray(pixels).save(path, quality=82, optimize=True, progressive=True)


def frames_over(pipe: MattingPipeline, background: Pixels) -> list[Pixels]:
    """The frames of the batch example over the background."""
    results = []
    with Image.open(PACK / "examples" / "astronaut_frames.webp") as film:
        for frame in ImageSequence.Iterator(film):
            pixels, alpha = np.asarray(frame.convert("RGB")), np.asarray(frame.getchannel("A"))
            matte = pipe(pixels, from_mask(255 - alpha))
            results.append(small(over(matte, background)))
    return results


def soft_and_finished(box: tuple[int, int, int, int]) -> Pixels:
    """A part of the soft example: what its mask cuts out, and what the nodes make of it."""
    with Image.open(PACK / "examples" / "astronaut_soft.webp") as picture:
        pixels, mask = np.asarray(picture.convert("RGB")), 255 - np.asarray(picture.getchannel("A"))
    matte = cut(pixels, alpha=mask)
    before = composite(pixels, mask.astype(np.float32) / 255, DARK)
    return halves(small(before, box), small(over(matte, DARK), box))


def main() -> None:
    photo = np.asarray(Image.open(PHOTOS / "astronaut.jpg").convert("RGB"))
    mask = np.asarray(Image.open(PHOTOS / "astronaut_mask.png").convert("L"))
    bokeh = np.asarray(Image.open(PACK / "examples" / "bokeh.webp").convert("RGB"))
    size = photo.shape[:2]
    pipe = MattingPipeline.from_pretrained("mematte-tiny")
    trimap = normalise_trimap(from_mask(mask), size)
    matte = pipe(photo, trimap)
    board = checkerboard(size)
    maps = [small(routing_overlay(photo, keep)) for keep in matte.routing]
    bands = [from_mask(mask, inside=width / 2, outside=width) for width in (1, 4, 14)]
    bands = [small(trimap_overlay(photo, normalise_trimap(band, size))) for band in bands]

    pictures = {
        "MEMatteLoadModel": (
            [small(photo, HAIR), small(matte.alpha, HAIR)],
            ["photo", "alpha of mematte-tiny"],
        ),
        "MEMatteTrimapFromMask": (
            bands,
            ["1 %: too narrow", "4 %: right", "14 %: too wide"],
        ),
        "MEMatteMatting": (
            [small(photo), small(trimap), small(matte.alpha), small(over(matte, board))],
            ["image", "trimap", "alpha", "cutout"],
        ),
        "MEMatteMaskToAlpha": (
            [small(masked(photo, mask)), small(over(matte, board))],
            ["image and mask", "cutout"],
        ),
        "MEMatteForeground": (
            [small(over(matte, DARK, photo), STRANDS), small(over(matte, DARK), STRANDS)],
            ["the photo's colours", "foreground"],
        ),
        "MEMatteRouting": (maps, [f"{n} block" for n in ("first", "second", "third")]),
        "MEMatteComposite": (
            [small(over(matte, "white")), small(over(matte, bokeh))],
            ["color: white", "background connected"],
        ),
    }
    HELP.mkdir(parents=True, exist_ok=True)
    for node, (panels, captions) in pictures.items():
        help_page(node, panels, captions, columns=3 if len(panels) == 3 else 2)

    frames = frames_over(pipe, bokeh)
    grid = np.vstack([np.hstack(frames[:2]), np.hstack(frames[2:4])])
    thumbnails = {
        "Cut-out from a painted mask": halves(
            small(masked(photo, mask)), small(over(matte, board))
        ),
        "Any mask to a finished matte": soft_and_finished(HAIR),
        "Hair over a new background": small(over(matte, bokeh)),
        "8K picture on a small card": halves(
            small(photo, (110, 0, 350, 240)), small(matte.alpha, (110, 0, 350, 240))
        ),
        "Batch of frames": small(grid),
        "Routing maps": maps[0],
    }
    for name, pixels in thumbnails.items():
        save(WORKFLOWS / f"{name}.jpg", pixels)


if __name__ == "__main__":
    main()
