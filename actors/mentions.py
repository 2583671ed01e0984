"""Who is addressed in a text: the `@handle`s that a reader would take for mentions."""

from __future__ import annotations

from typing import Final

from actors.markdown import parse

MAX_MENTIONS: Final = 20  # more in one text is spam, and each becomes a notification


def mentioned_handles(markdown: str) -> tuple[str, ...]:
    """Lower-cased, unique, in order of appearance, the first 20. Not those in code, in e-mail
    addresses, in bare links, or longer than a handle may be. Nothing says that they exist."""
    if "@" not in markdown:
        return ()
    found: dict[str, None] = {}
    for block in parse(markdown):
        for token in block.children or ():
            if token.type == "mention":
                found.setdefault(token.content[1:].lower())
                if len(found) == MAX_MENTIONS:
                    return tuple(found)
    return tuple(found)
