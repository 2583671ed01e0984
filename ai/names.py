"""Words of a generated sentence that may name somebody, and must stand in its source.

Capital letters mark names, and in German all nouns. Scripts without capitals mark nothing: there
every word may be a name that no table knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from ai import vocabulary
from ai.numbers import is_unit, month_of, quantities
from ai.places import Mentioned, mentioned

_WORD: Final = re.compile(r"[^\W\d_][\w'’-]*")
_LATIN_OR_CYRILLIC: Final = re.compile(r"[A-Za-z\u00c0-\u024f\u0400-\u04ff]")
_UNSPACED: Final = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


class Names(NamedTuple):
    """`words` folded; `countries` may be named in another language than the source's."""

    words: tuple[str, ...]
    countries: Mentioned
    language: str

    def stand(self, text: str, words: frozenset[str], country: str | None) -> bool:
        """In `text` and its `words`, both folded, of a source that is of `country`."""
        named = self.countries.words
        there = {of for word, of in named.items() if word in words} | {country}
        return there.issuperset(named.values()) and all(
            _is_in(word, text, words, self.language) for word in self.words
        )


def names(bare: str, language: str) -> Names:
    countries = mentioned(bare)
    is_cased = len(_LATIN_OR_CYRILLIC.findall(bare)) * 2 >= sum(map(str.isalpha, bare))
    found = [*_capital(bare, language)] if is_cased else []
    # In a text of letters with capitals, a word of another script is one that nobody translated.
    found += (
        word
        for word in _unknown(bare, language, countries)
        if not (is_cased and _LATIN_OR_CYRILLIC.match(word))
    )
    return Names(
        tuple(
            word
            for word in dict.fromkeys(found)
            if word not in countries.words
            and not vocabulary.is_empty(word, language)
            and not is_unit(word)
            and month_of(word) is None
        ),
        countries,
        language,
    )


def stands(word: str, words: frozenset[str]) -> bool:
    """The folded word, or another with its beginning: endings change."""
    if word in words:
        return True
    stem = word[: max(4, len(word) - 2)]
    return len(word) >= 5 and any(other.startswith(stem) for other in words)


def _is_in(word: str, text: str, words: frozenset[str], language: str) -> bool:
    if _UNSPACED.search(text) and word in text:
        return True
    return any(stands(form, words) for form in vocabulary.forms(word, language))


def _capital(bare: str, language: str) -> Iterator[str]:
    """The first word of a sentence is written like a name: one that the tables know is none."""
    known = vocabulary.topics(bare, language).words
    ordinary = vocabulary.ordinary(language)
    for at, match in enumerate(_WORD.finditer(bare)):
        word = match[0]
        first = at == 0 and not any(map(str.isupper, word[1:]))
        for part in vocabulary.tokens(word) if any(map(str.isupper, word)) else ():
            if part not in known and not (first and part in ordinary):
                yield part


def _unknown(bare: str, language: str, countries: Mentioned) -> Iterator[str]:
    known = vocabulary.topics(bare, language).words | countries.words.keys()
    ordinary = vocabulary.ordinary(language)
    for word in vocabulary.tokens(bare):
        if _UNSPACED.search(word):
            # A run that holds the word of a topic is no such word itself.
            inside = {part for part in known if part in word and part != word}
            yield from vocabulary.unexplained(word, (inside or known) | ordinary, language)
        elif not any(
            form in ordinary or form in known or quantities(form)
            for form in vocabulary.forms(word, language)
        ):
            yield word
