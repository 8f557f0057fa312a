"""Boxes of ISO base media files (HEIC, AVIF, JPEG XL): what they say before decoding."""

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
    """Type, and start and end of the content, of the boxes in data[start:end], in order."""
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


def primary_colours(data: bytes) -> list[tuple[bytes, bytes]]:
    """Kind (nclx, prof, rICC) and content of the colr properties of the primary picture.

    All of the file's if none is its own: a grid may have them on its tiles only.
    """
    primary = 0
    if pitm := _content(data, b"meta", b"pitm"):
        primary = int.from_bytes(pitm[4:8] if pitm[0] else pitm[4:6], "big")
    ipma = _content(data, b"meta", b"iprp", b"ipma")
    linked = _linked(ipma, primary) if ipma else set()
    found = [
        (number in linked, (body[:4], body[4:]))
        for number, (kind, body) in enumerate(_properties(data), 1)
        if kind == b"colr"
    ]
    return [colour for own, colour in found if own] or [colour for _, colour in found]


def avif_bits(data: bytes) -> int:
    """Bits of a sample of an AVIF, 8, 10 or 12: the deepest of colour and alpha."""
    bits = 8
    for kind, body in _properties(data):
        if kind == b"av1C" and len(body) > 2:
            high, twelve = body[2] >> 6 & 1, body[2] >> 5 & 1
            bits = max(bits, 12 if high and twelve else 10 if high else 8)
    return bits


def _properties(data: bytes) -> list[tuple[bytes, bytes]]:
    """Type and content of the item properties: ispe, pixi, av1C, colr, irot, imir, ..."""
    ipco = _content(data, b"meta", b"iprp", b"ipco") or b""
    return [(kind, ipco[start:end]) for kind, start, end in boxes(ipco)]


def _content(data: bytes, *path: bytes) -> bytes | None:
    """The content of the first box at this path of types."""
    for step in path:
        found = next(((a, b) for kind, a, b in boxes(data) if kind == step), None)
        if found is None:
            return None
        data = data[found[0] : found[1]]
        if step == b"meta":
            data = data[4:]  # version and flags
    return data


def _linked(ipma: bytes, item: int) -> set[int]:
    """The numbers, from 1, of the properties that an ipma box links to an item."""
    wide, size = bool(ipma[0]), 2 if ipma[3] & 1 else 1
    at = 8
    for _ in range(int.from_bytes(ipma[4:8], "big")):
        if at + 5 > len(ipma):
            break
        found = int.from_bytes(ipma[at : at + (4 if wide else 2)], "big")
        at += 4 if wide else 2
        number = ipma[at]
        at += 1
        if found == item:
            raw = (ipma[at + i * size : at + (i + 1) * size] for i in range(number))
            return {int.from_bytes(value, "big") & (0x7FFF if size == 2 else 0x7F) for value in raw}
        at += number * size
    return set()
