"""Numbers, amounts, durations and dates as languages write them, made comparable.

`quantities("EUR 11,904 per year")` and `quantities("सालाना ११,९०४ यूरो")` hold the same value. A
number keeps the unit that stands beside it: 140 days are not 140 euros. Words up to twelve count as
numbers, and months have one number in every language.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from functools import cache
from typing import Final, NamedTuple

from ai.tables import read

_MAX_CHARACTERS: Final = 20_000

# Digits with separators between them; a separator at the end is punctuation. `'` and blanks stand
# only before groups of three. Indian grouping (1,19,040) has groups of two.
_NUMBER: Final = re.compile(
    r"(?<![\d.,])\d+(?:[.,'’٬٫]\d+|[\u00a0\u202f\u2009 ](?=\d{3}(?!\d))\d{3})*"
)
_WORD: Final = re.compile(r"[^\W\d_][\w\u0300-\u036f\u0900-\u0dff\u0610-\u065f\u0670]*")
_ISO_DATE: Final = re.compile(r"(?<!\d)(\d{4})-(\d{1,2})-(\d{1,2})(?!\d)")
_CJK_DATE: Final = re.compile(
    r"(?:(\d{4})\s*[年년]\s*)?(\d{1,2})\s*[月월]\s*(?:(\d{1,2})\s*[日일号]?)?"
)
# Names of months that mean something else too: "you may work".
_ALSO_WORDS: Final = frozenset(("may", "mai", "march", "mars", "mart", "dec", "dez", "ocak"))
_YEARS: Final = range(1900, 2200)
_NEAR: Final = 14  # characters between a number and its unit


class Quantity(NamedTuple):
    """`unit` is a currency code, `%`, `day`, `week`, `month`, `year`, `hour`, or empty."""

    value: Decimal
    unit: str


class Date(NamedTuple):
    """What is not said is None."""

    year: int | None
    month: int
    day: int | None

    def agrees(self, other: Date) -> bool:
        """The other says no less, and nothing else."""
        return (
            self.month == other.month
            and self.day in (None, other.day)
            and self.year in (None, other.year)
        )


class _Words(NamedTuple):
    units: tuple[tuple[str, str], ...]  # (spelling, unit), the longest first
    numbers: dict[str, int]
    months: tuple[tuple[str, int], ...]


@cache
def _words() -> _Words:
    table = read("number_words")
    units = [
        (fold(spelling), unit) for unit, line in table["units"].items() for spelling in line.split()
    ]
    numbers = {
        fold(spelling): int(value)
        for value, line in table["numbers"].items()
        for spelling in line.split()
    }
    months = [
        (fold(spelling), int(value))
        for value, line in table["months"].items()
        for spelling in line.split()
    ]
    units.sort(key=lambda item: -len(item[0]))
    months.sort(key=lambda item: -len(item[0]))
    return _Words(tuple(units), numbers, tuple(months))


def fold(text: str) -> str:
    """For comparing: compatible forms, ASCII digits, no case, no marks that writers leave out."""
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    kept: list[str] = []
    for character in decomposed:
        if character.isdecimal() and not character.isascii():
            kept.append(str(unicodedata.decimal(character)))
        elif character in _FOLDED:
            kept.append(_FOLDED[character])
        elif unicodedata.combining(character) and character not in _MEANINGFUL_MARKS:
            continue
        elif character not in "\u0640\u200c\u200d\u00ad":
            kept.append(character)
    # Only Hangul needs to be put together again: its syllables were taken apart.
    return unicodedata.normalize("NFC", "".join(kept))


# Vowel signs and viramas of Indic scripts combine, and a word is another without them.
_MEANINGFUL_MARKS: Final = frozenset(
    chr(code) for code in range(0x0900, 0x0E00) if code not in (0x093C, 0x09BC, 0x0A3C, 0x0ABC)
)
_FOLDED: Final = {
    "أ": "ا", "إ": "ا", "آ": "ا", "ٱ": "ا", "ى": "ي", "ی": "ي", "ئ": "ي", "ؤ": "و", "ة": "ه",
    "ک": "ك", "ہ": "ه", "ς": "σ", "ı": "i", "ß": "ss", "ё": "е", "٪": "%", "٬": ",", "٫": ".",
}  # fmt: skip


def quantities(text: str) -> frozenset[Quantity]:
    """Every number of the text with its unit, those written as words too."""
    folded = fold(text[:_MAX_CHARACTERS])
    found: set[Quantity] = set()
    for match in _NUMBER.finditer(folded):
        value = _value(match[0])
        if value is not None:
            found.add(Quantity(value * _scale(folded, match.end()), _unit(folded, match)))
    words = _words()
    for match in _WORD.finditer(folded):
        number = words.numbers.get(match[0])
        if number is not None:
            found.add(Quantity(Decimal(number), _unit(folded, match)))
    found |= _ideographic(folded)
    return frozenset(found)


_IDEOGRAPHS: Final = {c: n for n, c in enumerate("一二三四五六七八九十", 1)} | {"两": 2, "半": 0}
_COUNTED: Final = re.compile(
    r"([一二两三四五六七八九十])(个月|個月|个星期|小时|周|週|天|日|年|か月|ヶ月|週間|時間)"
)


def _ideographic(folded: str) -> set[Quantity]:
    return {
        Quantity(Decimal(_IDEOGRAPHS[match[1]]), _unit_of(match[2]))
        for match in _COUNTED.finditer(folded)
    }


_SCALES: Final = (
    ("million", 10**6), ("millionen", 10**6), ("लाख", 10**5), ("lakh", 10**5), ("करोड़", 10**7),
    ("万", 10**4), ("萬", 10**4), ("만", 10**4), ("thousand", 10**3), ("tausend", 10**3),
    ("مليون", 10**6), ("الف", 10**3), ("тыс", 10**3), ("тысяч", 10**3), ("mil ", 10**3),
    ("हज़ार", 10**3), ("bin ", 10**3), ("هزار", 10**3), ("млн", 10**6), ("천", 10**3),
)  # fmt: skip
_FOLDED_SCALES: Final = tuple((fold(word), value) for word, value in _SCALES)


def _scale(folded: str, end: int) -> int:
    rest = folded[end : end + 12].lstrip(" \u00a0")
    return next((value for word, value in _FOLDED_SCALES if rest.startswith(word)), 1)


def _value(spelled: str) -> Decimal | None:
    """A group of exactly three digits behind a separator counts as thousands, whatever it is."""
    parts = re.split(r"[.,'’٬٫\s\u00a0\u202f\u2009]", spelled)
    separators = re.findall(r"[.,'’٬٫\s\u00a0\u202f\u2009]", spelled)
    if not separators:
        return Decimal(spelled)
    *whole, last = parts
    grouped = len(last) == 3 and all(len(part) in (2, 3) for part in whole[1:])
    if grouped and len(whole[0]) <= 3 and whole[0] != "0" and len(set(separators)) == 1:
        return Decimal("".join(parts))
    is_decimal = len(set(separators[:-1])) <= 1 and separators[:-1] != separators[-1:] * (
        len(separators) - 1
    )
    if len(separators) == 1 or is_decimal:
        return Decimal(f"{''.join(whole)}.{last}") if len(last) < 10 else None
    return None  # a date, a version, a telephone number: its parts say nothing as one


def _unit(folded: str, match: re.Match[str]) -> str:
    """Of what stands right behind the number, else right before it, else behind one more word:
    "two full weeks", "140 ganze Tage"."""
    after = folded[match.end() : match.end() + _NEAR].lstrip(" \u00a0\u202f-–")
    before = folded[max(0, match.start() - _NEAR) : match.start()].rstrip(" \u00a0\u202f")
    return _unit_at(after) or _unit_before(before) or _unit_at(after.partition(" ")[2], _TIMES)


_TIMES: Final = frozenset(("hour", "day", "week", "month", "year"))


def _unit_at(text: str, among: frozenset[str] | None = None) -> str:
    for spelling, unit in _words().units:
        if text.startswith(spelling) and (among is None or unit in among):
            # Short Latin spellings must be words; longer ones and other scripts take endings.
            following = text[len(spelling) :][:1]
            if not (spelling.isascii() and len(spelling) <= 4 and following.isalnum()):
                return unit
    return ""


def _unit_before(text: str) -> str:
    for spelling, unit in _words().units:
        if unit in _TIMES or not text.endswith(spelling):
            continue
        preceding = text[: -len(spelling)][-1:]
        if not (spelling.isalpha() and preceding.isalpha()):
            return unit
    return ""


def is_unit(word: str) -> bool:
    """Whether the folded word spells a unit as the table does, without an ending."""
    return any(word == spelling for spelling, _ in _words().units)


def _unit_of(word: str) -> str:
    return next((unit for spelling, unit in _words().units if word.startswith(spelling)), "")


def dates(text: str) -> frozenset[Date]:
    """Every date with a month: a year alone is a number."""
    folded = fold(text[:_MAX_CHARACTERS])
    found: set[Date] = set()
    for match in _ISO_DATE.finditer(folded):
        if 1 <= int(match[2]) <= 12:
            found.add(Date(int(match[1]), int(match[2]), int(match[3])))
    for match in _CJK_DATE.finditer(folded):
        if 1 <= int(match[2]) <= 12 and (match[1] or match[3]):
            found.add(
                Date(int(match[1]) if match[1] else None, int(match[2]),
                     int(match[3]) if match[3] else None)
            )  # fmt: skip
    for match in _WORD.finditer(folded):
        month = month_of(match[0])
        if month is not None:
            date = _around(folded, match, month)
            if match[0] not in _ALSO_WORDS or date.day or date.year:
                found.add(date)
    return frozenset(found)


_DAY_BEFORE: Final = re.compile(r"(?<![\d.,])(\d{1,2})(?:\.|st|nd|rd|th|º|er)?\s+(?:de\s+|of\s+)?$")
_DAY_AFTER: Final = re.compile(r"^\.?\s+(\d{1,2})(?:st|nd|rd|th)?(?![\d:.%]|,\d)")
_YEAR_AFTER: Final = re.compile(
    r"^\.?(?:\s+\d{1,2}(?:st|nd|rd|th)?)?,?\s+(?:de\s+|of\s+|del\s+)?(\d{4})(?!\d)"
)


def _around(folded: str, match: re.Match[str], month: int) -> Date:
    before, after = folded[max(0, match.start() - 12) : match.start()], folded[match.end() :][:18]
    day = _DAY_BEFORE.search(before) or _DAY_AFTER.match(after)
    year = _YEAR_AFTER.match(after)
    number = int(day[1]) if day is not None else None
    return Date(
        int(year[1]) if year is not None and int(year[1]) in _YEARS else None,
        month,
        number if number is not None and 1 <= number <= 31 else None,
    )


def month_of(word: str) -> int | None:
    """1 to 12 of a folded word that names a month."""
    for spelling, month in _words().months:
        # Case endings follow in Slavic languages and Turkish; "may" and "mar" are words as well.
        if word == spelling or (len(spelling) >= 5 and word.startswith(spelling)):
            return month
    return None
