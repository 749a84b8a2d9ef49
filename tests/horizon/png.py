"""A browser's picture -> a file of half the size: at most 256 colours, the nearest of what is there. PNG by its rules alone."""

from __future__ import annotations

import struct
import zlib
from collections import Counter

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = 3  # red, green, blue: what Chromium writes, 8 bits each
_MOST = 256  # colours of a palette


def smaller(content: bytes) -> bytes:
    """Return a picture of 8-bit RGB with a palette instead; ValueError for any other kind."""
    chunks = _chunks(content)
    width, height, *kind = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    if kind != [8, 2, 0, 0, 0]:
        raise ValueError(f"not a picture of Chromium's: {kind}")
    rows = _rows(zlib.decompress(chunks[b"IDAT"]), width * _CHANNELS, height)
    pixels = [list(zip(row[0::3], row[1::3], row[2::3], strict=True)) for row in rows]
    index, palette = _palette(Counter(pixel for row in pixels for pixel in row))
    data = b"".join(b"\0" + bytes(map(index.__getitem__, row)) for row in pixels)
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = {b"IHDR": head, b"PLTE": palette, b"IDAT": zlib.compress(data, 9), b"IEND": b""}
    return _SIGNATURE + b"".join(_chunk(name, body) for name, body in parts.items())


def _palette(counts: Counter[tuple[int, ...]]) -> tuple[dict[tuple[int, ...], int], bytes]:
    """Index by colour, and the colours: of those that differ in their last bits alone, the one that is seen most."""
    bits = 0
    while len({tuple(value >> bits for value in colour) for colour in counts}) > _MOST:
        bits += 1
    places: dict[tuple[int, ...], int] = {}
    kept: list[tuple[int, ...]] = []
    index = {}
    for colour, _ in counts.most_common():
        like = tuple(value >> bits for value in colour)
        if like not in places:
            places[like] = len(kept)
            kept.append(colour)
        index[colour] = places[like]
    return index, b"".join(map(bytes, kept))


def _chunks(content: bytes) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    at = len(_SIGNATURE)
    while at < len(content):
        size, name = struct.unpack(">I4s", content[at : at + 8])
        found[name] = found.get(name, b"") + content[at + 8 : at + 8 + size]
        at += size + 12
    return found


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _rows(data: bytes, width: int, height: int) -> list[bytearray]:
    """Take the filters away; `width` in bytes. RFC 2083, section 6."""
    rows, before = [], bytearray(width)
    for start in range(0, height * (width + 1), width + 1):
        kind, row = data[start], bytearray(data[start + 1 : start + 1 + width])
        for at in range(width if kind else 0):
            left = row[at - _CHANNELS] if at >= _CHANNELS else 0
            corner = before[at - _CHANNELS] if at >= _CHANNELS else 0
            row[at] = (row[at] + _guess(kind, left, before[at], corner)) & 255
        rows.append(row)
        before = row
    return rows


def _guess(kind: int, left: int, above: int, corner: int) -> int:
    if kind in (1, 2):
        return left if kind == 1 else above
    if kind == 3:
        return (left + above) // 2
    estimate = left + above - corner
    return min((left, above, corner), key=lambda value: abs(estimate - value))
