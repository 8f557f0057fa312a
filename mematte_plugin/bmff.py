"""Boxes of ISO base media files (HEIC, AVIF, JPEG XL): what they say before anything is decoded."""

from __future__ import annotations

from collections.abc import Iterator

HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"mif2")


def brands(head: bytes) -> tuple[bytes, ...]:
    """The major brand of a file and the ones it is compatible with; empty without an ftyp box."""
    if head[4:8] != b"ftyp":
        return ()
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return (head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4)))


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """Type, and where the content begins and ends, of the boxes in data[start:end], in order."""
    at, last = start, len(data) if end is None else end
    while at + 8 <= last:
        size, kind, head = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        elif size == 0:
            size = last - at
        if size < head:
            return
        yield kind, at + head, min(at + size, last)
        at += size


def picture_properties(data: bytes) -> list[tuple[bytes, bytes]]:
    """Type and content of the item properties (ipco): ispe, pixi, av1C, colr, irot, imir, ..."""
    found = []
    for kind, start, end in boxes(data):
        if kind == b"meta":
            for inner, first, last in boxes(data, start + 4, end):
                if inner == b"iprp":
                    for deeper, one, two in boxes(data, first, last):
                        if deeper == b"ipco":
                            found += [(k, data[a:b]) for k, a, b in boxes(data, one, two)]
    return found


def avif_bits(data: bytes) -> int:
    """Bits of a sample of an AVIF, 8, 10 or 12: the deepest of colour and alpha."""
    bits = 8
    for kind, body in picture_properties(data):
        if kind == b"av1C" and len(body) > 2:
            high, twelve = body[2] >> 6 & 1, body[2] >> 5 & 1
            bits = max(bits, 12 if high and twelve else 10 if high else 8)
    return bits
