"""How text becomes words: the same for documents, questions and what is highlighted. Pure.

Letters are folded (case, accents, Arabic and Persian variants, the Arabic article), so that
spelling variants meet. Scripts written without spaces (Chinese, Japanese, Korean endings, Thai …)
become pairs of characters, which need no dictionary. Offsets are those of the text as it was given.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import groupby
from typing import Final, NamedTuple

MAX_WORD_CHARACTERS: Final = 64

# Thai, Lao, Myanmar, Khmer, kana, Han, Hangul.
_UNSPACED: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\uff66-\uff9d\U00020000-\U0003134f"
)
_RUN: Final = re.compile(f"[{_UNSPACED}]+|[^{_UNSPACED}]+")
_IS_UNSPACED: Final = re.compile(f"[{_UNSPACED}]")
# Marks that writers leave out: accents, Hebrew points, Arabic vowels, hamza and Koranic signs,
# nukta.
_DROPPED: Final = re.compile(
    "[\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0670\u06d6-\u06ed\u093c\u0640\u200c\u200d]"
)
# What has no decomposition but is typed without: Latin strokes, and Arabic letters that stand for
# each other.
_FOLDED: Final = str.maketrans("łøđħıŀæœىةیک", "lodhilaoيهيك")
_ASCII_WORD: Final = re.compile("[a-z0-9]+")
_ARTICLE: Final = re.compile("^(?:[وفبك]?ال|لل)(?=[\u0620-\u064a]{3})")


class Word(NamedTuple):
    """`text` is folded; text[start:end] is where it stands. `pair`: two characters of a script
    without spaces, which are never spelt almost right."""

    text: str
    start: int
    end: int
    pair: bool = False


@cache
def _pattern() -> re.Pattern[str]:
    """Letters and digits with the marks that belong to them: `\\w` alone would cut Hindi words."""
    marks = [code for code in range(0x300, 0x20000) if unicodedata.category(chr(code))[0] == "M"]
    # As ranges, behind what almost all characters are: each is tried for each character.
    ranges = ""
    for _, run in groupby(enumerate(marks), lambda pair: pair[1] - pair[0]):
        codes = [code for _, code in run]
        ranges += f"\\U{codes[0]:08x}-\\U{codes[-1]:08x}"
    return re.compile(f"[^\\W_][\\w{ranges}\u200c\u200d]*")


def words(text: str) -> Iterator[Word]:
    if text.isascii():
        for found in _ASCII_WORD.finditer(text.lower()):
            yield Word(found[0][:MAX_WORD_CHARACTERS], found.start(), found.end())
        return
    for found in _pattern().finditer(text):
        whole, start = found[0], found.start()
        if whole.isascii():
            yield from _pieces(whole.lower(), start)
        elif _IS_UNSPACED.search(whole) is None:
            yield Word(fold(whole)[:MAX_WORD_CHARACTERS], start, start + len(whole))
        else:
            for run in _RUN.finditer(whole):
                yield from _run(run[0], start + run.start())


def folded_words(text: str) -> list[str]:
    return [word.text for word in words(text) if word.text]


@lru_cache(maxsize=16_384)
def fold(word: str) -> str:
    decomposed = unicodedata.normalize("NFKD", word.casefold())
    stripped = _DROPPED.sub("", decomposed).translate(_FOLDED)
    return _ARTICLE.sub("", unicodedata.normalize("NFC", stripped))


def typos_of(word: str) -> int:
    """How many a word of this length may have."""
    return 0 if len(word) < 5 or word.isdigit() else 1 if len(word) < 9 else 2


def _pieces(word: str, start: int) -> Iterator[Word]:
    """ASCII: underscores join no words."""
    for piece in word.split("_"):
        if piece:
            yield Word(piece[:MAX_WORD_CHARACTERS], start, start + len(piece))
        start += len(piece) + 1


def _run(run: str, start: int) -> Iterator[Word]:
    if _IS_UNSPACED.match(run) is None:
        text = fold(run)
        if text:
            yield Word(text[:MAX_WORD_CHARACTERS], start, start + len(run))
    elif len(run) == 1:
        yield Word(fold(run), start, start + 1, True)
    else:
        for place in range(len(run) - 1):
            yield Word(fold(run[place : place + 2]), start + place, start + place + 2, True)
