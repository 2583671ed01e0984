"""What a file is, by its first bytes: neither its name nor what its sender says counts. Pure."""

from __future__ import annotations

from typing import Final, Literal

Kind = Literal["jpeg", "png", "gif", "webp", "avif", "pdf"]
HEAD_BYTES: Final = 32

# What a member may announce. SVG is none of them: it is a program for whoever opens it.
ACCEPTED_TYPES: Final[dict[str, Kind]] = {
    "image/jpeg": "jpeg",
    "image/png": "png",
    "image/gif": "gif",
    "image/webp": "webp",
    "image/avif": "avif",
    "application/pdf": "pdf",
}


def sniff(head: bytes) -> Kind | None:
    """`head`: the first HEAD_BYTES of the file, or all of a shorter one."""
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    if head[4:12] in (b"ftypavif", b"ftypavis"):
        return "avif"
    # Readers also take a file that begins with something else: that is how one file is two.
    if head.startswith(b"%PDF-"):
        return "pdf"
    return None
