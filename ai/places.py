"""Countries that a question names, in the languages of the vocabulary.

Names come from pycountry's translations of ISO 3166-1; what people say instead ("USA", "the UK")
and words for what is of a country ("German") stand in tables/country_words.toml. A country that
somebody comes from is told from the one they go to by the words around it.
"""

from __future__ import annotations

import gettext
import re
from functools import cache, lru_cache
from typing import Final, NamedTuple

import pycountry

from ai.numbers import fold
from ai.tables import read
from ai.vocabulary import tokens

_CATALOGUES: Final = (
    "de", "es", "fr", "pt", "hi", "ar", "zh_CN", "ru", "uk", "tr", "fa", "ja", "ko"
)  # fmt: skip
_ORIGIN_RUN: Final = re.compile("(?:来自|从|我是)$")
_SHORT: Final = 4


class Mentioned(NamedTuple):
    """`countries` (alpha-2) that the text may be about, `origins` that somebody comes from, `words`
    that name any country at all, each with its country."""

    countries: frozenset[str]
    origins: frozenset[str]
    words: dict[str, str]


class _Names(NamedTuple):
    exact: dict[str, str]
    stems: tuple[tuple[str, str], ...]  # (beginning of a word, alpha-2), the longest first
    phrases: tuple[tuple[str, str], ...]  # of several words, or of a script without blanks
    adjectives: dict[str, str]
    before: frozenset[str]
    behind: frozenset[str]
    """Words beside a country that somebody comes from."""


@lru_cache(maxsize=2_048)
def mentioned(text: str) -> Mentioned:
    """Those it comes from are left out where another one is named."""
    names = _names()
    folded = fold(text)
    words = tokens(text)
    found: dict[str, bool] = {}
    said: dict[str, str] = {}
    for phrase, country in names.phrases:
        at = folded.find(phrase)
        if at >= 0:
            origin = bool(_ORIGIN_RUN.search(folded[:at]))
            found[country] = found.get(country, True) and origin
            said.update(dict.fromkeys((phrase, *tokens(phrase)), country))
            folded = folded.replace(phrase, " " * len(phrase))
    of: set[str] = set()
    for index, word in enumerate(words):
        named = None if word in said else _named(word, names)
        if named is None or (word == "us" and not _CAPITAL_US.search(text)):
            continue
        said[word] = named.country
        before = words[index - 1] if index else ""
        behind = words[index + 1] if index + 1 < len(words) else ""
        origin = before in names.before or behind in names.behind
        if named.is_adjective:
            if not origin:
                of.add(named.country)
            continue
        found[named.country] = found.get(named.country, True) and origin
    goals = frozenset(country for country, is_origin in found.items() if not is_origin)
    return Mentioned(goals or frozenset(of), frozenset(found) - goals, said)


class _Named(NamedTuple):
    country: str
    is_adjective: bool


def _named(word: str, names: _Names) -> _Named | None:
    for form in (word, *_bare(word)):
        if form in names.adjectives:
            return _Named(names.adjectives[form], True)
        if form in names.exact:
            return _Named(names.exact[form], False)
        for stem, country in names.stems:
            if form.startswith(stem) and len(form) <= len(stem) + 4:
                # "Indian" is no India, while case endings of other alphabets change nothing.
                return _Named(country, form.isascii() and form[len(stem) :] not in _ENDINGS)
    return None


_CAPITAL_US: Final = re.compile(r"\bUS\b|\bU\.S\.")
_ENDINGS: Final = ("", "s", "da", "ya", "nin", "dan", "nda")


def _bare(word: str) -> tuple[str, ...]:
    """Arabic prepositions and articles grow onto the name."""
    return tuple(
        word[length:]
        for length in (1, 2, 3)
        if "\u0600" <= word[0] <= "\u06ff" and len(word) > length + 3
    )


@cache
def _names() -> _Names:
    table = read("country_words")
    exact: dict[str, str] = {}
    stems: dict[str, str] = {}
    phrases: dict[str, str] = {}

    def add(name: str, country: str, *, inflected: bool) -> None:
        words = tokens(name)
        key = fold(name).strip()
        unspaced = any("\u3040" <= c <= "\u9fff" or "\uac00" <= c <= "\ud7af" for c in key)
        if len(words) > 1 or unspaced:
            phrases.setdefault(key, country)
            return
        if not words:
            return
        exact.setdefault(words[0], country)
        if inflected and len(words[0]) > _SHORT:
            # The last letter changes with the case: Германия, Германии.
            is_cyrillic = "\u0400" <= key[0] <= "\u04ff"
            stem = words[0][:-1] if is_cyrillic else words[0]
            stems.setdefault(stem, country)

    for country, line in table["names"].items():
        for name in line.split():
            add(name, country, inflected=False)
    catalogues = [
        gettext.translation("iso3166-1", pycountry.LOCALES_DIR, languages=[language], fallback=True)
        for language in _CATALOGUES
    ]
    for entry in pycountry.countries:
        for english in {entry.name, getattr(entry, "common_name", entry.name)}:
            for name in {english, *(catalogue.gettext(english) for catalogue in catalogues)}:
                add(name.partition(",")[0].partition("(")[0], entry.alpha_2, inflected=True)
    adjectives = {word: country for country, line in table["of"].items() for word in tokens(line)}
    for word in adjectives:
        exact.pop(word, None)
    return _Names(
        exact,
        tuple(sorted(stems.items(), key=lambda item: -len(item[0]))),
        tuple(sorted(phrases.items(), key=lambda item: -len(item[0]))),
        adjectives,
        frozenset(map(fold, table["from"]["before"].split())),
        frozenset(map(fold, table["from"]["behind"].split())),
    )
