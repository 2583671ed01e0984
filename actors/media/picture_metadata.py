"""Pictures without what their camera knew, their own bytes untouched. Pure.

For pictures inside of other files; those that come alone are made anew (images.py). What is kept is
listed, what is not known goes. ISO 10918-1 (JPEG), ISO 15444-1 (JPEG 2000).
"""

from __future__ import annotations

from typing import Final


class Damaged(ValueError):
    """Where its parts begin and end can't be told."""


_START: Final = b"\xff\xd8"
_END: Final = 0xD9
_SCAN: Final = 0xDA
_COMMENT: Final = 0xFE
_APPLICATIONS: Final = range(0xE0, 0xF0)
_RESTARTS: Final = range(0xD0, 0xD8)
_ALONE: Final = frozenset({0x01, *_RESTARTS})
# Without these a picture is shown in other colours. All other segments of applications are Exif,
# XMP, IPTC, second pictures with their own Exif, and the like.
_KEPT: Final = {0xE0: b"JFIF\0", 0xE2: b"ICC_PROFILE\0", 0xEE: b"Adobe"}


def jpeg_without_metadata(jpeg: bytes) -> bytes:
    """Raises Damaged. One that is cut off among its pixels stays so; what follows its end goes."""
    if not jpeg.startswith(_START):
        raise Damaged
    out = bytearray(_START)
    place, scanned = 2, False
    while True:
        # Bytes between segments, and repeated 0xFF, are filling.
        place = jpeg.find(b"\xff", place)
        while jpeg[place + 1 : place + 2] == b"\xff" and place >= 0:
            place += 1
        if place < 0 or place + 1 >= len(jpeg):
            if scanned:
                return bytes(out)
            raise Damaged
        marker = jpeg[place + 1]
        place += 2
        if marker == _END:
            return bytes(out + b"\xff\xd9")
        if marker == 0:
            continue
        out_marker = bytes((0xFF, marker))
        if marker in _ALONE:
            out += out_marker
            continue
        end = place + int.from_bytes(jpeg[place : place + 2])
        if end < place + 2 or end > len(jpeg):
            raise Damaged
        if _is_kept(marker, jpeg[place + 2 : place + 16]):
            out += out_marker + jpeg[place:end]
        place = end
        if marker == _SCAN:
            place, scanned = _end_of_scan(jpeg, end), True
            out += jpeg[end:place]


def _is_kept(marker: int, begins: bytes) -> bool:
    if marker in _APPLICATIONS:
        return marker in _KEPT and begins.startswith(_KEPT[marker])
    return marker != _COMMENT


def _end_of_scan(jpeg: bytes, place: int) -> int:
    """Where the next marker stands: in pixels 0xFF is followed by zero, or by a restart."""
    while (place := jpeg.find(b"\xff", place)) >= 0 and place + 1 < len(jpeg):
        if jpeg[place + 1] and jpeg[place + 1] not in _RESTARTS:
            return place
        place += 2
    return len(jpeg)


_CODESTREAM: Final = b"\xff\x4f\xff\x51"
_CODESTREAM_COMMENT: Final = 0x64
_TILE: Final = 0x90
_SIGNATURE: Final = b"\0\0\0\x0cjP  "
# Boxes and, of the header, the boxes in it. Others hold XML, Exif, places, or name files.
_BOXES: Final = frozenset({b"jP  ", b"ftyp", b"rreq", b"jp2h", b"jp2c"})
_HEADER_BOXES: Final = frozenset({b"ihdr", b"bpcc", b"colr", b"pclr", b"cmap", b"cdef", b"res "})


def jp2_without_metadata(jp2: bytes) -> bytes:
    """As `jpeg_without_metadata`, of JPEG 2000 in boxes or bare."""
    if jp2.startswith(_CODESTREAM):
        return _codestream(jp2)
    if not jp2.startswith(_SIGNATURE):
        raise Damaged
    return _boxes(jp2, _BOXES)


def _boxes(data: bytes, kept: frozenset[bytes]) -> bytes:
    out = bytearray()
    place = 0
    while place < len(data):
        size, kind, begin = int.from_bytes(data[place : place + 4]), data[place + 4 : place + 8], 8
        if size == 1:
            size, begin = int.from_bytes(data[place + 8 : place + 16]), 16
        end = place + size if size else len(data)
        if end < place + begin or end > len(data):
            raise Damaged
        if kind in kept:
            body = data[place + begin : end]
            if kind == b"jp2h":
                body = _boxes(body, _HEADER_BOXES)
            elif kind == b"jp2c":
                body = _codestream(body)
            out += (len(body) + 8).to_bytes(4) + kind + body
        place = end
    return bytes(out)


def _codestream(data: bytes) -> bytes:
    """Its main header loses the comments; tiles stay as they are."""
    if not data.startswith(_CODESTREAM):
        raise Damaged
    out = bytearray(data[:2])
    place = 2
    while data[place : place + 1] == b"\xff" and data[place + 1 : place + 2] != bytes((_TILE,)):
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4])
        if end < place + 4 or end > len(data):
            raise Damaged
        if data[place + 1] != _CODESTREAM_COMMENT:
            out += data[place:end]
        place = end
    return bytes(out + data[place:])
