"""How much a text looks like a visa scam: a number for people who decide, and why. Pure.

Groups of patterns (ai/tables/scams.toml) each say how sure a hit makes us; they are joined as
independent witnesses, 1 - Π(1 - weight). What speaks against it (a warning, a question, a report of
one's own) multiplies what is left. Patterns are blind to what nobody thought of, so this is a hint
and never a reason to act by itself.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Final, NamedTuple

from ai.tables import read

_READ_CHARACTERS: Final = 6_000
_INVISIBLE: Final = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\u0640]")
_ACCENTS: Final = re.compile("[\u0300-\u036f]")
# Letters that no decomposition takes a stroke or dot from.
_STROKES: Final = str.maketrans("ıłđøħ", "ildoh")
_BLANKS: Final = re.compile(r"\s+")


class Score(NamedTuple):
    """`value` 0..1; `reasons` name what was found, the strongest first."""

    value: float
    reasons: tuple[str, ...]


class _Group(NamedTuple):
    name: str
    weight: float
    pattern: re.Pattern[str]


def score_scam(text: str) -> Score:
    """The first 6,000 characters count."""
    folded = fold(text[:_READ_CHARACTERS])
    found = [group for group in _witnesses() if group.pattern.search(folded)]
    if not found:
        return Score(0.0, ())
    doubt = 1.0
    for group in found:
        doubt *= 1.0 - group.weight
    value = 1.0 - doubt
    for group in _objections():
        if group.pattern.search(folded):
            value *= group.weight
    found.sort(key=lambda group: -group.weight)
    return Score(round(value, 3), tuple(group.name for group in found))


def fold(text: str) -> str:
    """Small letters without accents, compatibility forms, invisible characters; blanks are one."""
    plain = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).casefold().translate(_STROKES)
    bare = _ACCENTS.sub("", unicodedata.normalize("NFD", plain))
    return _BLANKS.sub(" ", unicodedata.normalize("NFC", bare)).strip()


@cache
def _witnesses() -> tuple[_Group, ...]:
    return tuple(_compiled("weight"))


@cache
def _objections() -> tuple[_Group, ...]:
    return tuple(_compiled("factor"))


def _compiled(kind: str) -> list[_Group]:
    found = []
    for name, group in read("scams").items():
        weight, patterns = group.get(kind), group["patterns"]
        if isinstance(weight, float) and isinstance(patterns, list):
            found.append(_Group(name, weight, re.compile("|".join(map(_folded_pattern, patterns)))))
    return found


def _folded_pattern(pattern: str) -> str:
    """As `fold`, but for the case: `\\S` is not `\\s`."""
    bare = _ACCENTS.sub("", unicodedata.normalize("NFD", pattern))
    return unicodedata.normalize("NFC", bare)
