"""Texts cut for a model that translates, and whether what it wrote may be shown. Pure but for the
model of languages.

A piece is a paragraph or a few lines of one. One that speaks to models instead of to people is not
given to any, and stands in its author's words. What can be checked without knowing the language is
checked: numbers, links and code are those of the original, nothing is added that leads elsewhere,
and the result is in the language that was asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ai.chunking import sentences, size
from ai.language import UNDETERMINED, detect
from ai.numbers import quantities
from ai.sanitising import addresses_the_assistant, plain_markdown

MAX_CHARACTERS: Final = 12_000
"""Of a text that is translated at all."""
MAX_PIECE: Final = 1_200

_FENCE: Final = re.compile(r"^\s*(?:```|~~~)")
_LINK: Final = re.compile(r"https?://[^\s)>\]]+|www\.[^\s)>\]]+|\S+@\S+\.\w+")
_LETTER: Final = re.compile(r"[^\W\d_]")
_HTML: Final = re.compile(r"<[a-zA-Z/!?]")
_MIN_SIZE: Final = 40  # shorter ones may grow or shrink as they like
_GROWTH: Final = 4.0


def pieces(markdown: str) -> list[str]:
    """Joined they are the text; blank lines and code stand alone."""
    found: list[str] = []
    paragraph = ""
    in_code = False
    for line in markdown.splitlines(keepends=True):
        fence = _FENCE.match(line) is not None
        if in_code or fence or not line.strip():
            found += _parts(paragraph)
            paragraph = ""
            found.append(line)
            in_code = in_code != fence
        else:
            paragraph += line
    found += _parts(paragraph)
    return found


def needs_translation(piece: str) -> bool:
    """Not what has no words, and not code: a line of a fence is not told from others, so callers
    go through `spans`."""
    return _LETTER.search(_LINK.sub("", piece)) is not None


def spans(markdown: str) -> Iterator[tuple[str, bool]]:
    """(piece, whether it is to be translated), in order; what is to be is sanitised."""
    in_code = False
    for piece in pieces(markdown):
        fence = _FENCE.match(piece) is not None
        for_people = not in_code and not fence and not addresses_the_assistant(piece)
        shown = plain_markdown(piece) if for_people else ""
        translates = needs_translation(shown)
        yield shown if translates else piece, translates
        in_code = in_code != fence


def is_faithful(source: str, translated: str, language: str) -> bool:
    """Of a whole text. `language`: that it should be in."""
    if not translated.strip() or len(_HTML.findall(translated)) > len(_HTML.findall(source)):
        return False
    if set(_LINK.findall(translated)) != set(_LINK.findall(source)):
        return False
    if {q.value for q in quantities(translated)} != {q.value for q in quantities(source)}:
        return False
    before, after = size(source), size(translated)
    if max(before, after) > _MIN_SIZE and not before / _GROWTH <= after <= before * _GROWTH:
        return False
    found = detect(translated)
    return found in (language.partition("-")[0], UNDETERMINED)


def _parts(paragraph: str) -> Iterator[str]:
    """The paragraph where it fits, else its sentences, as many at a time as fit."""
    part = ""
    for sentence in sentences(paragraph) if len(paragraph) > MAX_PIECE else [paragraph]:
        if part and len(part) + len(sentence) > MAX_PIECE:
            yield part
            part = ""
        part += sentence
    if part:
        yield part
