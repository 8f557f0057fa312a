"""The formats: which files can be read, recognised by their first bytes, and what others are."""

import re

from ..errors import InputError
from .bmff import HEIC_BRANDS, brands

_RAW = (
    "dng cr2 cr3 crw nef nrw arw srf sr2 raf orf rw2 pef srw 3fr iiq x3f mrw erf kdc dcr mos mef"
    " rwl"
)
_DEVELOPED = "png jpg jpeg jpe jfif tif tiff webp exr bmp gif avif heic heif hif jxl hdr"

CAMERA_RAW = frozenset(f".{suffix}" for suffix in _RAW.split())
"""Suffixes of undeveloped camera files, which often lie next to a JPEG of the same name."""

READABLE = CAMERA_RAW | {f".{suffix}" for suffix in _DEVELOPED.split()}
"""Suffixes of files that can be read, some with the extras, for looking through a folder."""

PICTURE_FORMATS = "PNG, JPEG, TIFF, WebP, HEIC, AVIF, JPEG XL, EXR, HDR, GIF, BMP and camera raw"

_START = 2048
"""Bytes that are examined."""

_PICTURES: tuple[tuple[str, tuple[bytes, ...]], ...] = (
    ("PNG", (b"\x89PNG\r\n\x1a\n",)),
    ("JPEG", (b"\xff\xd8\xff",)),
    ("TIFF", (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    ("GIF", (b"GIF87a", b"GIF89a")),
    ("BMP", (b"BM",)),
    ("EXR", (b"v/1\x01",)),
    ("JXL", (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")),
    ("HDR", (b"#?RADIANCE", b"#?RGBE")),
    # Canon CRW, Fujifilm, Olympus, Panasonic, Minolta, Sigma.
    ("RAW", (b"II\x1a\0\0\0HEAPCCDR", b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR")),
    ("RAW", (b"IIU\0", b"\0MRM", b"FOVb")),
)

# Handed in by mistake: (first bytes, what it is, what to do about it).
_IMPOSTORS: tuple[tuple[bytes, str, str], ...] = (
    (b"%PDF", "a PDF document", "export the page as PNG"),
    (b"%!PS", "a PostScript file", "export it as PNG"),
    (b"PK\x03\x04", "a zip archive (or a document, like .kra, .ora or .pptx)", "unpack it first"),
    (b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it first"),
    (b"Rar!\x1a\x07", "a RAR archive", "unpack it first"),
    (b"8BPS", "a Photoshop document", "export it as TIFF or PNG"),
    (b"gimp xcf", "a GIMP document", "export it as TIFF or PNG"),
    (b"BLENDER", "a Blender file", "render it to EXR or PNG"),
    (b"AFFINITY", "an Affinity document", "export it as TIFF or PNG"),
    (b"\0\xffKA", "an Affinity document", "export it as TIFF or PNG"),
    (b"version https://git-lfs", "a Git LFS pointer, not the picture", "run `git lfs pull`"),
    (b"\x1aE\xdf\xa3", "a video (Matroska or WebM)", "export its frames as PNG"),
    (b"OggS", "an Ogg video or sound", "export frames as PNG"),
    (b"\x93NUMPY", "a numpy array", "load it with numpy.load and hand in the array"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", "load it and hand in the array"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 picture", "convert it to TIFF or PNG"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 codestream", "convert it to TIFF or PNG"),
    (b"II\xbc", "a JPEG XR picture", "convert it to TIFF or PNG"),
    (b"SDPX", "a DPX frame", "convert it to EXR or TIFF"),
    (b"XPDS", "a DPX frame", "convert it to EXR or TIFF"),
    (b"SIMPLE  =", "a FITS picture", "convert it to TIFF"),
    (b"DDS ", "a DirectDraw texture", "convert it to PNG"),
    (b"qoif", "a QOI picture", "convert it to PNG"),
    (b"\0\0\x01\0", "an icon", "export it as PNG"),
    (b"\x80\x02", "a Python pickle", "load it and hand in the array"),
    (b"\x80\x04", "a Python pickle", "load it and hand in the array"),
)

_PNM = re.compile(rb"P[1-7FfHh][ \t\r\n#]")


def sniff(data: bytes, name: str) -> str:
    """The format by its first bytes. Raises InputError that says what the file is instead."""
    if not data:
        raise InputError(f"{name}: the file is empty; copy or export it again")
    head = data[:_START]
    for fmt, magic in _PICTURES:
        if head.startswith(magic):
            return _jpeg(data, name) if fmt == "JPEG" else fmt
    if head[:4] == b"RIFF":
        if head[8:12] == b"WEBP":
            return "WEBP"
        raise InputError(f"{name}: is a video or sound (AVI, WAV), not an image; {_FRAMES}")
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide"):
        return _base_media(head, name)
    for magic_bytes, what, remedy in _IMPOSTORS:
        if head.startswith(magic_bytes):
            raise InputError(f"{name}: is {what}, not an image that can be read; {remedy}")
    if _PNM.match(head):
        raise InputError(f"{name}: is a PNM or PFM picture; convert it to PNG, TIFF or EXR")
    if head[128:132] == b"DICM":
        raise InputError(f"{name}: is a DICOM picture; export it as TIFF or PNG")
    raise InputError(f"{name}: {_text(head)}")


_FRAMES = "export its frames as PNG"


def _base_media(head: bytes, name: str) -> str:
    """HEIC, AVIF and Canon's CR3 among the videos."""
    found = brands(head)
    if b"avif" in found or b"avis" in found:
        return "AVIF"
    if found[:1] == (b"crx ",):
        return "RAW"
    if any(brand in HEIC_BRANDS for brand in found):
        return "HEIF"
    raise InputError(f"{name}: is a video (MP4 or QuickTime), not an image; {_FRAMES}")


def _jpeg(data: bytes, name: str) -> str:
    """Raises InputError for relatives of JPEG that few programs read."""
    if data[3:4] == b"\xf7":
        raise InputError(f"{name}: is a JPEG-LS picture; convert it to TIFF or PNG")
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            bits = data[at + 4]
            if bits != 8 or marker in (0xC3, 0xC7, 0xCB, 0xCF):
                kind = "lossless" if marker in (0xC3, 0xC7, 0xCB, 0xCF) else f"{bits}-bit"
                raise InputError(
                    f"{name}: is a {kind} JPEG, as medicine and raw files hold; convert it to TIFF"
                )
            break
        if marker == 0xDA or length < 2:
            break
        at += 2 + length
    return "JPEG"


def _text(head: bytes) -> str:
    """What a file of no known format is."""
    for mark, encoding in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if head.startswith(mark):
            head = head[2:].decode(encoding, "ignore").encode()
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in start:
        return "is an SVG drawing, not pixels; export it as PNG"
    if start.startswith((b"<!doctype html", b"<html")):
        return "is a web page, not an image; download the picture itself"
    if b"\0" not in start and all(byte >= 9 for byte in start):
        return f"is text, not an image; give it one of {PICTURE_FORMATS}"
    return f"is not an image that can be read; use one of {PICTURE_FORMATS}"
