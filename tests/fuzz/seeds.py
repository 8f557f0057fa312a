"""Small files of our own in every format that we can write: what fuzzing starts from."""

from __future__ import annotations

import io
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from PIL import Image, ImageCms

from ..colours import chrm, exif as exif_of, gama, with_chunk

SIZE = (11, 7)


def pixels(*shape: int, dtype: Any = np.uint8, seed: int = 0) -> np.ndarray:
    """A soft disc and some noise of this shape (H, W, …): a picture that serves as a mask, too."""
    rng = np.random.default_rng(seed)
    height, width = shape[:2]
    y, x = np.mgrid[0:height, 0:width]
    disc = (np.hypot(y - height / 2, x - width / 2) < min(height, width) / 3).astype(float)
    unit = disc.reshape(disc.shape + (1,) * (len(shape) - 2)) * 0.8 + rng.random(shape) * 0.2
    if np.dtype(dtype).kind == "f":
        return unit.astype(dtype)
    return np.rint(unit * np.iinfo(dtype).max).astype(dtype)


def seeds() -> dict[str, bytes]:
    """Name and content of every seed."""
    return dict(itertools.chain(_pillow(), _png16(), _tiff(), _exr(), _plugins()))


def _saved(image: Image.Image, fmt: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, fmt, **options)
    return buffer.getvalue()


def _pillow() -> Iterator[tuple[str, bytes]]:
    rgb = Image.fromarray(pixels(*SIZE, 3))
    exif = Image.Exif()
    exif[0x0112] = 6
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        image = (
            Image.fromarray(pixels(*SIZE, dtype=np.uint16)) if mode == "I;16" else rgb.convert(mode)
        )
        yield f"png_{mode.replace(';', '')}.png", _saved(image, "PNG")
    yield "png_meta.png", _saved(rgb, "PNG", exif=exif, icc_profile=icc, dpi=(72, 72))
    for mode in ("L", "RGB", "CMYK"):
        yield f"jpeg_{mode}.jpg", _saved(rgb.convert(mode), "JPEG", exif=exif)
    yield "jpeg_progressive.jpg", _saved(rgb, "JPEG", progressive=True, icc_profile=icc)
    adobe = exif_of(space=65535, index="R03")
    yield "jpeg_adobe.jpg", _saved(rgb, "JPEG", exif=adobe)
    plain = _saved(rgb, "PNG")
    yield "png_gama.png", with_chunk(with_chunk(plain, *gama(1)), *chrm(*(0.6, 0.3) * 4))
    yield "png_cicp.png", with_chunk(plain, b"cICP", bytes([12, 13, 0, 1]))
    yield "gif.gif", _saved(rgb, "GIF")
    yield "bmp.bmp", _saved(rgb, "BMP")
    for name, options in (("lossy", {}), ("lossless", {"lossless": True})):
        yield f"webp_{name}.webp", _saved(rgb.convert("RGBA"), "WEBP", **options)
    yield "avif.avif", _saved(rgb, "AVIF")
    for compression in ("raw", "tiff_lzw", "packbits", "jpeg", "tiff_adobe_deflate"):
        yield f"pil_{compression}.tif", _saved(rgb, "TIFF", compression=compression)
    yield "pil_cmyk.tif", _saved(rgb.convert("CMYK"), "TIFF")
    yield "pil_1.tif", _saved(rgb.convert("1"), "TIFF", compression="group4")
    yield "pil_p.tif", _saved(rgb.convert("P"), "TIFF")


def _png16() -> Iterator[tuple[str, bytes]]:
    for channels in (1, 3, 4):
        deep = pixels(*SIZE, channels, dtype=np.uint16)
        yield f"png16_{channels}.png", cv2.imencode(".png", deep)[1].tobytes()
    light = pixels(*SIZE, 3, dtype=np.float32)
    yield "hdr.hdr", cv2.imencode(".hdr", light)[1].tobytes()


def _tiff() -> Iterator[tuple[str, bytes]]:
    kinds: dict[str, tuple[np.ndarray, dict[str, Any]]] = {}
    for dtype in ("u1", "u2", "f2", "f4"):
        kinds[f"grey_{dtype}"] = pixels(*SIZE, dtype=dtype), {"photometric": "minisblack"}
        kinds[f"rgb_{dtype}"] = pixels(*SIZE, 3, dtype=dtype), {"photometric": "rgb"}
    kinds["rgba"] = (
        pixels(*SIZE, 4, dtype="u2"),
        {"photometric": "rgb", "extrasamples": ["unassalpha"]},
    )
    kinds["planar"] = (
        pixels(3, *SIZE, dtype="u2"),
        {"photometric": "rgb", "planarconfig": "separate"},
    )
    kinds["cmyk"] = pixels(*SIZE, 4), {"photometric": "separated"}
    kinds["tiled"] = pixels(32, 16, 3, dtype="u2"), {"photometric": "rgb", "tile": (16, 16)}
    kinds["zlib"] = (
        pixels(*SIZE, 3, dtype="u2"),
        {"photometric": "rgb", "compression": "zlib", "predictor": True},
    )
    kinds["big"] = pixels(*SIZE, dtype="u2"), {"photometric": "minisblack", "bigtiff": True}
    kinds["swapped"] = pixels(*SIZE, 3, dtype="u2"), {"photometric": "rgb", "byteorder": ">"}
    kinds["turned"] = (
        pixels(*SIZE, 3, dtype="u2"),
        {"photometric": "rgb", "extratags": [(274, "H", 1, 6, True)]},
    )
    for name, (array, options) in kinds.items():
        yield f"tiff_{name}.tif", tiff_bytes(array, **options)


def tiff_bytes(array: np.ndarray, **options: Any) -> bytes:
    """A TIFF as tifffile writes it with these options."""
    buffer = io.BytesIO()
    inner = {key: options.pop(key) for key in ("bigtiff", "byteorder") if key in options}
    with tifffile.TiffWriter(buffer, **inner) as writer:
        writer.write(array, metadata=None, **options)
    return buffer.getvalue()


def exr_bytes(channels: dict[str, np.ndarray], **header: Any) -> bytes:
    """An EXR of one part with these channels."""
    import OpenEXR

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "seed.exr"
        whole = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage, **header}
        with OpenEXR.File(whole, channels) as file:
            file.write(str(path))
        return path.read_bytes()


def _exr() -> Iterator[tuple[str, bytes]]:
    colour = pixels(*SIZE, 4, dtype=np.float16)
    grey = pixels(*SIZE, dtype=np.float32)
    yield "exr_rgba.exr", exr_bytes({"RGBA": colour})
    yield "exr_rgb.exr", exr_bytes({"RGB": colour[..., :3].astype(np.float32)})
    yield "exr_y.exr", exr_bytes({"Y": grey})
    yield "exr_a.exr", exr_bytes({"A": grey})
    yield "exr_ids.exr", exr_bytes({"id": (grey > 0.5).astype(np.uint32)})
    layered = {f"ViewLayer.Combined.{c}": grey for c in "RGBA"}
    yield "exr_layer.exr", exr_bytes(layered)


def _plugins() -> Iterator[tuple[str, bytes]]:
    """Formats of optional packages that are installed."""
    rgb = Image.fromarray(pixels(16, 16, 3))
    try:
        import pillow_heif
    except ImportError:
        pass
    else:
        yield "heif.heic", _heif(pillow_heif, rgb)
    try:
        import imagecodecs
    except ImportError:
        return
    yield "jxl.jxl", bytes(imagecodecs.jpegxl_encode(np.asarray(rgb)))
    deep = pixels(16, 16, 3, dtype=np.uint16)
    yield "jxl16.jxl", bytes(imagecodecs.jpegxl_encode(deep, usecontainer=True))
    yield "avif10.avif", bytes(imagecodecs.avif_encode(deep >> 6, bitspersample=10, speed=9))
    try:
        import rawpy  # noqa: F401
    except ImportError:
        return
    yield "raw.dng", dng_bytes(pixels(32, 48, 3, dtype=np.float64))
    for compression in ("lzw", "zstd", "packbits", "lzma", "webp", "jpeg"):
        eight = compression in ("webp", "jpeg")
        array = pixels(32, 16, 3, dtype="u1" if eight else "u2")
        yield (
            f"tiff_{compression}.tif",
            tiff_bytes(array, photometric="rgb", compression=compression),
        )


def dng_bytes(light: np.ndarray, orientation: int = 1) -> bytes:
    """A camera raw file of a Bayer sensor from linear light (H, W, 3) with sRGB's primaries."""
    balance = np.array((2.0, 1.0, 1.5))  # what the sensor lacks in red and blue
    seen = light / balance
    mosaic = seen[..., 1].copy()
    mosaic[::2, ::2], mosaic[1::2, 1::2] = seen[::2, ::2, 0], seen[1::2, 1::2, 2]
    to_rgb = np.array(
        [[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]]
    )

    def ratios(values: Any) -> tuple[int, ...]:
        return tuple(int(v) for value in values for v in (round(value * 10000), 10000))

    tags = [
        (50706, "B", 4, (1, 4, 0, 0), True),
        (50708, "s", 0, "Test", True),
        (50721, "2i", 9, ratios((to_rgb / balance[:, None]).ravel()), True),
        (50728, "2I", 3, ratios(1 / balance), True),
        (50778, "H", 1, 21, True),
        (50714, "H", 1, 512, True),
        (50717, "H", 1, 16383, True),
        (33421, "H", 2, (2, 2), True),
        (33422, "B", 4, (0, 1, 1, 2), True),
        (50710, "B", 3, (0, 1, 2), True),
        (50711, "H", 1, 1, True),
        (274, "H", 1, orientation, True),
        (271, "s", 0, "Test", True),
        (272, "s", 0, "Test", True),
    ]
    stored = np.rint(512 + mosaic * (16383 - 512)).astype(np.uint16)
    return tiff_bytes(stored, photometric=32803, extratags=tags)


def _heif(pillow_heif: Any, rgb: Image.Image) -> bytes:
    buffer = io.BytesIO()
    pillow_heif.from_pillow(rgb).save(buffer)
    return buffer.getvalue()
