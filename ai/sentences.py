"""Sentences of a text, with the heading that each stands under.

A bullet or a line of a list is a sentence. Full stops that end none (abbreviations, ordinals,
decimals) are told by what stands around them; where that is in doubt the text is not cut, since a
sentence too long still says what its source says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple

from ai.numbers import fold, month_of
from ai.tables import read

_MARKER: Final = re.compile(r"^\s*(?:[-*+•–▪·]\s+|\d{1,2}[.)]\s+|>\s+)")
_HEADING: Final = re.compile(r"^\s{0,3}#{1,6}\s+(.+?)\s*#*$")
_RULE: Final = re.compile(r"^[\s|:\-=_*]+$")
# A mark that ends a sentence, what closes behind it, and where the next begins.
_END: Final = re.compile(r"(?:([.!?…]+)([\"'»”’)\]]*)\s+|([。！？；।॥۔؟]+)([」』”’）)]*)\s*)")
_LAST_WORD: Final = re.compile(r"([\w§]+)$")
_ORDINAL: Final = re.compile(r"(?<![\d.,])\d{1,2}$")
_CITATION: Final = re.compile(r"\s*(?:\[\d{1,3}\]\s*)+")
_SHORT_HEADING: Final = 70
_ENDS: Final = ".!?…。！？।؟۔"


@cache
def _abbreviations() -> frozenset[str]:
    return frozenset(read("stop_words")["abbreviations"].split())


class Sentence(NamedTuple):
    """`heading` is empty where none stands above it."""

    text: str
    heading: str


def of_document(text: str) -> list[Sentence]:
    """In the order of the text. Lines end sentences; a short line alone between blank ones, or one
    that ends in a colon, is the heading of what follows."""
    lines = [line.strip() for line in text.split("\n")]
    found: list[Sentence] = []
    heading = ""
    for index, line in enumerate(lines):
        if not line or _RULE.match(line):
            continue
        marked = _HEADING.match(line)
        if marked is not None:
            heading = marked[1].strip()
            continue
        bare = _MARKER.sub("", line).strip()
        if _is_heading(lines, index, bare):
            heading = bare.rstrip(":：")
            continue
        found.extend(Sentence(sentence, heading) for sentence in split(bare))
    return found


def _is_heading(lines: list[str], index: int, bare: str) -> bool:
    if not bare or _MARKER.match(lines[index]) or len(bare) > _SHORT_HEADING:
        return False
    if not any(lines[index + 1 :]):
        return False
    alone = (index == 0 or not lines[index - 1]) and not lines[index + 1]
    # "Für wen gilt das?" is a heading, "What now? I am in Berlin." is none.
    if bare[-1] in ":：":  # "You need 40 points:" says something itself
        return not any(character.isdigit() for character in bare)
    return alone and (bare[-1] not in _ENDS or bare[-1] in "?？؟")


def split(line: str) -> list[str]:
    """The sentences of one line, each with its own end and the citations right behind it."""
    return [part for part in (piece.strip() for piece in _pieces(line)) if part]


def _pieces(line: str) -> Iterator[str]:
    start = 0
    for match in _END.finditer(line):
        if match.start() < start or (match[1] and not _ends(line, match)):
            continue
        end = match.end()
        cited = _CITATION.match(line, end)
        if cited is not None:
            end = cited.end()
        yield line[start:end]
        start = end
    yield line[start:]


def _ends(line: str, match: re.Match[str]) -> bool:
    """Whether this full stop ends a sentence."""
    if match[1] != ".":
        return True
    rest = line[match.end() :]
    if not rest:
        return True
    word = _LAST_WORD.search(line, 0, match.start())
    if word is not None:
        last = word[1]
        if last.casefold() in _abbreviations() or (len(last) == 1 and last.isalpha()):
            return False
        if _ORDINAL.search(line, 0, match.start()) and month_of(fold(rest.split()[0])) is not None:
            return False  # "am 1. Juli"
    first = rest.lstrip("\"'«“‘([")[:1]
    return not first.islower()
