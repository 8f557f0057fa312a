"""What is handed in by mistake is named for what it is, with a remedy that works."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from mematte_plugin.errors import InputError
from mematte_plugin.images.formats import sniff
from mematte_plugin.images.read import read_gray, read_photo


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("photo.txt", "x")
    return buffer.getvalue()


def _npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((3, 3)))
    return buffer.getvalue()


def _pillow(fmt: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, fmt)
    return buffer.getvalue()


def _jpeg(marker: int, bits: int) -> bytes:
    start = b"\xff\xd8\xff\xe0\x00\x10JFIF\0" + bytes(9)
    return start + bytes([0xFF, marker, 0, 11, bits]) + b"\0\x10\0\x10\1\1\x11\0"


def _rare_bmp() -> bytes:
    found = bytearray(_pillow("BMP"))
    found[30] = 9  # its compression
    return bytes(found)


def _ftyp(brand: bytes) -> bytes:
    return b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0isom" + brand + bytes(40)


IMPOSTORS: dict[str, tuple[bytes, str]] = {
    "PDF": (_pillow("PDF"), "PDF document.*export the page as PNG"),
    "EPS": (_pillow("EPS"), "PostScript"),
    "zip": (_zip(), "zip archive.*unpack"),
    "PSD": (b"8BPS\0\1" + bytes(40), "Photoshop document.*export it as TIFF or PNG"),
    "SVG": (b"<?xml version='1.0'?>\n<svg xmlns='x'/>", "SVG drawing"),
    "SVG after a comment": (b"<!-- Inkscape -->\n<svg/>", "SVG drawing"),
    "SVG in UTF-16": ("<svg/>".encode("utf-16"), "SVG drawing"),
    "web page": (b"\n<!DOCTYPE html><html>", "web page.*download the picture itself"),
    "JSON": (b'{"error": "not found"}', "is text"),
    "MP4": (_ftyp(b"isom"), "video .*export its frames"),
    "QuickTime": (_ftyp(b"qt  "), "video .*export its frames"),
    "old QuickTime": (b"\0\0\0\x08wide\0\0\1\0mdat" + bytes(40), "video"),
    "AVI": (b"RIFF\0\0\0\0AVI LIST" + bytes(40), "video"),
    "Matroska": (b"\x1aE\xdf\xa3" + bytes(40), "video"),
    "numpy": (_npy(), r"numpy array.*numpy\.load"),
    "icon": (_pillow("ICO"), "icon"),
    "JPEG 2000": (_pillow("JPEG2000"), "JPEG 2000 picture.*convert it"),
    "PPM": (_pillow("PPM"), "PNM or PFM"),
    "PFM": (b"PF\n3 3\n-1.0\n" + bytes(36), "PNM or PFM"),
    "DDS": (_pillow("DDS"), "DirectDraw"),
    "DPX": (b"SDPX" + bytes(40), "DPX frame.*EXR or TIFF"),
    "DICOM": (bytes(128) + b"DICM" + bytes(40), "DICOM"),
    "12-bit JPEG": (_jpeg(0xC1, 12), "12-bit JPEG"),
    "lossless JPEG": (_jpeg(0xC3, 8), "lossless JPEG"),
    "JPEG-LS": (b"\xff\xd8\xff\xf7" + bytes(40), "JPEG-LS"),
    "BMP of a rare kind": (_rare_bmp(), r"\(BMP\) of a kind that cannot be read .*; convert it"),
    "nothing known": (bytes(range(1, 255)), "not an image that can be read; use one of PNG, JPEG"),
}


@pytest.mark.parametrize("kind", IMPOSTORS)
def test_impostors_are_named(kind: str) -> None:
    data, named = IMPOSTORS[kind]
    with pytest.raises(InputError, match=f"(?s)^photo: .*{named}") as caught:
        read_photo(data, name="photo")
    assert "\n" not in str(caught.value)
    assert "damaged" not in str(caught.value)
    with pytest.raises(InputError, match=named):
        read_gray(data, name="mask")


@pytest.mark.parametrize(
    ("data", "fmt"),
    [
        (_ftyp(b"heic"), "HEIF"),
        (_ftyp(b"heix"), "HEIF"),
        (_ftyp(b"mif1"), "HEIF"),
        (_ftyp(b"avif"), "AVIF"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "AVIF"),
        (_ftyp(b"crx "), "RAW"),
        (b"FUJIFILMCCD-RAW 0201", "RAW"),
        (b"IIRO\x08\0\0\0", "RAW"),
        (b"IIU\0\x18\0\0\0", "RAW"),
        (b"\xff\x0a\0", "JXL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JXL"),
        (b"#?RADIANCE\n", "HDR"),
        (b"#?RGBE\n", "HDR"),
    ],
)
def test_pictures_of_cameras_and_phones_are_not_taken_for_videos(data: bytes, fmt: str) -> None:
    assert sniff(data, "x") == fmt


def test_an_unknown_raw_file_is_named_raw() -> None:
    pytest.importorskip("rawpy")
    for data in (
        _ftyp(b"crx "),
        b"FUJIFILMCCD-RAW 0201" + bytes(400),
        b"IIRO\x08\0\0\0" + bytes(99),
    ):
        with pytest.raises(InputError, match="camera raw file"):
            read_photo(data)


def test_a_stream_is_read_from_its_start() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (5, 4), "red").save(buffer, "PNG")
    assert buffer.tell() > 0
    assert read_photo(buffer).size == (4, 5)


def test_a_stream_that_cannot_be_rewound_is_read_as_it_is() -> None:
    class Pipe:
        def __init__(self, data: bytes) -> None:
            self.data = data

        def read(self) -> bytes:
            return self.data

    buffer = io.BytesIO()
    Image.new("RGB", (5, 4), "red").save(buffer, "PNG")
    assert read_photo(Pipe(buffer.getvalue())).size == (4, 5)
