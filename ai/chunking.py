"""Texts cut into the chunks that are embedded, found and quoted: whole blocks where they fit, else
whole sentences, else words. Pure.

A chunk is bounded by what a model reads of it at once. Latin letters take a quarter of a token,
ideographs and kana most of one, so that those count thrice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

MAX_SIZE: Final = 900
"""About 230 tokens: half of what multilingual-e5 reads, beside the title. Two facts in a chunk
blur each other's vector, and a reader is shown the whole of it."""
SECTION_SIZE: Final = 300
"""A heading begins a new chunk behind so much text."""
MAX_CHUNKS: Final = 64
"""Of one text: 57,000 letters, or 19,000 ideographs. What follows is found by its words alone."""

_WIDE: Final = re.compile(r"[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\uff00-\uff60]")
# A full stop ends a sentence before white space only; the others do anywhere: Chinese and Japanese,
# Arabic and Urdu, Hindi, Burmese, Khmer, Amharic. Thai has none: its spaces stand between phrases.
_END: Final = re.compile(r"[.!?…]+|[。！？｡．؟۔।॥။៕។።፧]+|\n+")
_ANYWHERE: Final = frozenset("。！？｡．؟۔।॥။៕។።፧\n")
_CLOSING: Final = frozenset("\"'”’»)]」』）】》")
_WORD: Final = re.compile(r"\S+\s*")
_GAP: Final = 2  # the blank line between blocks


class Block(NamedTuple):
    """A paragraph, a list, a table …; a heading belongs to what follows it."""

    text: str
    heading: bool = False


def size(text: str) -> int:
    return len(text) + 2 * len(_WIDE.findall(text))


def chunks(blocks: Iterable[Block], max_size: int = MAX_SIZE) -> list[str]:
    """At most MAX_CHUNKS, none empty, each of `max_size` at most, in the order of the text. Blank
    lines part the blocks of a chunk, so that headings can be told from lines of lists."""
    found: list[str] = []
    current: list[str] = []
    current_size = 0
    headings = 0  # how many of the last of `current` are headings

    def close(keep: int = 0) -> None:
        nonlocal current, current_size, headings
        text = "\n\n".join(current[: len(current) - keep]).strip()
        if text:
            found.append(text)
        current = current[len(current) - keep :]
        current_size = sum(size(piece) + _GAP for piece in current)
        headings = keep

    for block in blocks:
        if block.heading and current_size >= SECTION_SIZE and not headings:
            close()
        for piece in _pieces(block.text.strip(), max_size):
            needed = size(piece) + _GAP
            if current_size + needed > max_size + _GAP:
                kept = headings if headings < len(current) else 0
                kept_size = sum(size(each) + _GAP for each in current[len(current) - kept :])
                close(kept if kept_size + needed <= max_size + _GAP else 0)
            current.append(piece)
            current_size += needed
            headings = headings + 1 if block.heading else 0
        if len(found) >= MAX_CHUNKS:
            return found[:MAX_CHUNKS]
    close()
    return found[:MAX_CHUNKS]


def sentences(text: str) -> Iterator[str]:
    """The text, cut after each sentence; joined they are the text."""
    start = 0
    for match in _END.finditer(text):
        end = match.end()
        while end < len(text) and text[end] in _CLOSING:
            end += 1
        if text[match.start()] not in _ANYWHERE and end < len(text) and not text[end].isspace():
            continue
        while end < len(text) and text[end].isspace():
            end += 1
        if end > start:
            yield text[start:end]
            start = end
    if start < len(text):
        yield text[start:]


def _pieces(block: str, max_size: int) -> Iterator[str]:
    """The block where it fits, else as many of its sentences at a time as fit."""
    if size(block) <= max_size:
        if block:
            yield block
        return
    yield from _packed(
        (part for each in sentences(block) for part in _fitting(each, max_size)), max_size
    )


def _fitting(sentence: str, max_size: int) -> Iterator[str]:
    """A sentence that is too long by words, and a word by characters."""
    if size(sentence) <= max_size:
        yield sentence
        return
    step = max(1, max_size // 3)
    words = (
        word[place : place + step] if size(word) > max_size else word
        for word in _WORD.findall(sentence) or [sentence]
        for place in (range(0, len(word), step) if size(word) > max_size else (0,))
    )
    yield from _packed(words, max_size)


def _packed(parts: Iterable[str], max_size: int) -> Iterator[str]:
    current: list[str] = []
    current_size = 0
    for part in parts:
        if current and current_size + size(part) > max_size:
            yield "".join(current).strip()
            current, current_size = [], 0
        current.append(part)
        current_size += size(part)
    if text := "".join(current).strip():
        yield text
