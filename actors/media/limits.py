"""What a file may be and may cost, and how it is refused. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from config.media import Media

ORIGINAL: Final = "original"
"""The file that members get, in the folder of results; thumbnails are named by their size."""


class Limits(msgspec.Struct, frozen=True):
    """The first three are the settings'; the others hold the process that opens the file."""

    max_pixels: int
    max_frames: int
    max_pages: int
    # 50 million pixels take 200 MB decoded and twice that while they are turned.
    memory_bytes: int = 1536 << 20
    cpu_seconds: int = 60
    file_bytes: int = 128 << 20

    @classmethod
    def of(cls, settings: Media) -> Limits:
        return cls(settings.max_pixels, settings.max_frames, settings.max_pages)


class Refused(Exception):
    """The file is not taken; the text is told to its owner."""


class Processed(msgspec.Struct, frozen=True):
    """What the process that opened the file says of it: `reason` alone, or all but that.
    `thumbnails`: which sizes were made."""

    reason: str = ""
    content_type: str = ""
    width: int | None = None
    height: int | None = None
    pages: int | None = None
    thumbnails: list[int] = []
