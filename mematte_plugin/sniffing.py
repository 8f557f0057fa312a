"""What a file is, told by its first bytes; what is no picture is named with a remedy."""

from .errors import InputError

PICTURE_FORMATS = "PNG, JPEG, TIFF, WebP, EXR, GIF, BMP and AVIF"

# What people hand in by mistake: (first bytes, what it is, what to do about it).
_IMPOSTORS: tuple[tuple[bytes, str, str], ...] = (
    (b"%PDF", "a PDF document", "export the page as PNG"),
    (b"%!PS", "a PostScript file", "export it as PNG"),
    (b"PK\x03\x04", "a zip archive", "unpack it first"),
    (b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (b"8BPS", "a Photoshop document", "export it as TIFF or PNG"),
    (b"gimp xcf", "a GIMP document", "export it as TIFF or PNG"),
    (b"version https://git-lfs", "a Git LFS pointer, not the picture", "run `git lfs pull`"),
)


def sniff(data: bytes, name: str) -> str:
    """The format by its magic bytes; InputError saying what the file is instead."""
    if not data:
        raise InputError(f"{name}: the file is empty; copy or export it again")
    head = data[:64]
    for fmt, magic in (
        ("PNG", (b"\x89PNG\r\n\x1a\n",)),
        ("JPEG", (b"\xff\xd8\xff",)),
        ("TIFF", (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
        ("GIF", (b"GIF87a", b"GIF89a")),
        ("BMP", (b"BM",)),
        ("EXR", (b"v/1\x01",)),
    ):
        if head.startswith(magic):
            return fmt
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        if head[8:12] in (b"avif", b"avis") or b"avif" in head[16:]:
            return "AVIF"
        raise InputError(f"{name}: is a HEIC picture or a video; export it as PNG, JPEG or TIFF")
    for magic_bytes, what, remedy in _IMPOSTORS:
        if head.startswith(magic_bytes):
            raise InputError(f"{name}: is {what}, not an image; {remedy}")
    start = data[:2048].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in start:
        raise InputError(f"{name}: is an SVG drawing, not pixels; export it as PNG")
    if start.startswith((b"<!doctype html", b"<html")):
        raise InputError(f"{name}: is a web page, not an image; download the picture itself")
    if b"\0" not in start and all(byte >= 9 for byte in start):
        raise InputError(f"{name}: is text, not an image; give it one of {PICTURE_FORMATS}")
    raise InputError(f"{name}: is not an image that can be read; use one of {PICTURE_FORMATS}")
