"""The stored form of a tag, which is also the one that is looked for. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Final

MAX_TAGS: Final = 10
MAX_TAG_CHARACTERS: Final = 40


def stored_tag(text: str) -> str:
    """One spelling of what reads the same: NFC, lower case, single spaces, no `#` before it. Raises
    ValueError with what is wrong."""
    tag = " ".join(text.split()).lstrip("# ")
    # Lower case may take the normal form apart, but not once more.
    tag = unicodedata.normalize("NFC", unicodedata.normalize("NFC", tag).lower())
    if not tag:
        raise ValueError("Expected no empty tag")
    if len(tag) > MAX_TAG_CHARACTERS:
        raise ValueError(f"Expected at most {MAX_TAG_CHARACTERS} characters")
    if not tag.isprintable():
        raise ValueError("Expected printable characters")
    return tag


def stored_tags(texts: Iterable[str]) -> tuple[str, ...]:
    """Without repetitions, in the order given. Raises ValueError as `stored_tag`."""
    return tuple(dict.fromkeys(map(stored_tag, texts)))
