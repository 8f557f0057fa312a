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


def primary_colours(data: bytes) -> list[tuple[bytes, bytes]]:
    """Kind (nclx, prof, rICC) and content of the colr properties of the primary picture.

    All of the file's where none is its own: those of a grid may hang on its tiles only.
    """
    meta = _inside(data, b"meta", 0, len(data))
    if meta is None:
        return []
    start, end = meta[0] + 4, meta[1]
    pitm = _inside(data, b"pitm", start, end)
    primary = 0
    if pitm is not None:
        length = 4 if data[pitm[0]] else 2
        primary = int.from_bytes(data[pitm[0] + 4 : pitm[0] + 4 + length], "big")
    iprp = _inside(data, b"iprp", start, end)
    ipma = None if iprp is None else _inside(data, b"ipma", *iprp)
    linked = set() if ipma is None else _linked(data, ipma[0], primary)
    found = [
        (number in linked, (body[:4], body[4:]))
        for number, (kind, body) in enumerate(picture_properties(data), 1)
        if kind == b"colr"
    ]
    return [colour for own, colour in found if own] or [colour for _, colour in found]


def _linked(data: bytes, at: int, item: int) -> set[int]:
    """The numbers, from 1, of the properties that an ipma box links to an item."""
    wide, size = bool(data[at]), 2 if data[at + 3] & 1 else 1
    count = int.from_bytes(data[at + 4 : at + 8], "big")
    at += 8
    for _ in range(count):
        if at + 5 > len(data):
            break
        found = int.from_bytes(data[at : at + (4 if wide else 2)], "big")
        at += 4 if wide else 2
        number = data[at]
        at += 1
        if found == item:
            raw = (data[at + i * size : at + (i + 1) * size] for i in range(number))
            return {int.from_bytes(value, "big") & (0x7FFF if size == 2 else 0x7F) for value in raw}
        at += number * size
    return set()


def _inside(data: bytes, kind: bytes, start: int, end: int) -> tuple[int, int] | None:
    """Where the content of the first box of that type begins and ends."""
    return next(((a, b) for found, a, b in boxes(data, start, end) if found == kind), None)


def avif_bits(data: bytes) -> int:
    """Bits of a sample of an AVIF, 8, 10 or 12: the deepest of colour and alpha."""
    bits = 8
    for kind, body in picture_properties(data):
        if kind == b"av1C" and len(body) > 2:
            high, twelve = body[2] >> 6 & 1, body[2] >> 5 & 1
            bits = max(bits, 12 if high and twelve else 10 if high else 8)
    return bits
