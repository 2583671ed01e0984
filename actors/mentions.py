"""Who is addressed in a text: the `@handle`s that a reader would take for mentions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from actors.bare_links import split
from actors.markdown_events import mentions, parse, unpacked

MAX_MENTIONS: Final = 20  # more in one text is spam, and each becomes a notification


def mentioned_handles(markdown: str) -> tuple[str, ...]:
    """Lower-cased, unique, in order of appearance, the first 20. Not those in code, in e-mail
    addresses, in bare links, or longer than a handle may be. Nothing says that they exist."""
    if "@" not in markdown:
        return ()
    found: dict[str, None] = {}
    for text in _running_text(markdown):
        for handle in mentions(text):
            found.setdefault(handle.lower())
            if len(found) == MAX_MENTIONS:
                return tuple(found)
    return tuple(found)


def _running_text(markdown: str) -> Iterator[str]:
    in_code = False
    for event in parse(markdown):
        kind, value = unpacked(event)
        if kind == "Text" and not in_code:
            yield from (piece for piece, href in split(value) if href is None)
        elif kind in ("Start", "End") and unpacked(value)[0] == "CodeBlock":
            in_code = kind == "Start"
