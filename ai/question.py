"""What a question asks for: country, kind of visa, topics, kind of answer, and words that only a
literal match can answer."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import cache
from typing import Final, NamedTuple

from ai import vocabulary
from ai.numbers import fold, quantities
from ai.places import mentioned
from ai.tables import read
from config.reference import Category, visa_types

_MAX_CHARACTERS: Final = 1_000
_SPACES: Final = re.compile(r"\s+")
_BRACKETS: Final = re.compile(r"\([^)]*\)")
_NUMBER: Final = re.compile(r"\d[\d.,']*\d|\d")
_LEVELS: Final = frozenset(("a1", "a2", "b1", "b2", "c1", "c2"))
_SPOKEN: Final = {
    "eu-blue-card": frozenset(("blue card", "blaue karte", "blaue karte eu", "ब्लू कार्ड", "蓝卡")),
    "f-1-opt": frozenset(("opt", "stem opt")),
    "express-entry": frozenset(("एक्सप्रेस एंट्री", "快速通道")),
    "chancenkarte": frozenset(("opportunity card", "карта шансов", "карты шансов", "карту шансов")),
}


class Question(NamedTuple):
    """`countries` (alpha-2) are those that it is about, none where it names none. `visa_codes` are
    (country, code) of visas that it names. `rest` are words that have to be found literally,
    `numbers` those that it holds."""

    text: str
    language: str
    countries: frozenset[str]
    visa_codes: frozenset[tuple[str, str]]
    category: Category | None
    topics: frozenset[str]
    kinds: frozenset[str]
    rest: tuple[str, ...]
    numbers: frozenset[Decimal]


def parse(
    text: str, language: str, country: str | None = None, visa_type: str | None = None
) -> Question:
    """`country` and `visa_type` are what the asker has chosen, and come before what the text says:
    another country that it names is then a word to be found."""
    text = _SPACES.sub(" ", text[:_MAX_CHARACTERS]).strip()
    named = mentioned(text)
    goals = frozenset({country}) if country is not None else named.countries
    codes, code_words, code_names = _visas_named(text, goals)
    if not goals and codes:
        of_codes = frozenset(code[0] for code in codes)
        goals = of_codes if len(of_codes) == 1 else goals
    if goals:
        codes = frozenset(code for code in codes if code[0] in goals)
    explained = {
        word for word, of in named.words.items() if of in goals or of in named.origins
    } | code_words
    about = _without_names(text, code_names)
    topics = vocabulary.topics(about, language).names
    category = _category(text, language, country, visa_type, codes)
    if category == "family" and len(topics) > 1:
        topics -= {"family"}  # "spouse" is then a part of the visa's name
    kinds = vocabulary.kinds(text, language)
    rest = vocabulary.rest_of(text, language, explained)
    return Question(
        text,
        language,
        goals,
        codes,
        category,
        topics or _implied(kinds),
        kinds,
        tuple(word for word in rest if not word[0].isdigit()),
        frozenset(quantity.value for quantity in quantities(_without_codes(text, codes)))
        - _years(text),
    )


def _implied(kinds: frozenset[str]) -> frozenset[str]:
    """Of "how much is a visa?" and the like."""
    if "hours" in kinds:
        return frozenset({"work"})
    if "duration" in kinds:
        return frozenset({"duration"})
    return frozenset({"fee"}) if "amount" in kinds else frozenset()


def _years(text: str) -> frozenset[Decimal]:
    """What people add to ask for what holds now."""
    return frozenset(
        Decimal(number)
        for number in _NUMBER.findall(fold(text))
        if number.isdigit() and 2020 <= int(number) <= 2030
    )


def _category(
    text: str,
    language: str,
    country: str | None,
    visa_type: str | None,
    codes: frozenset[tuple[str, str]],
) -> Category | None:
    if visa_type is not None:
        return category_of(country, visa_type)
    of_codes = {category_of(*code) for code in codes} - {None}
    if len(of_codes) == 1:
        return of_codes.pop()
    spoken = vocabulary.visas(text, language)
    specific: tuple[Category, ...] = ("visit", "family", "work", "study")
    return next((category for category in specific if category in spoken), None)


def category_of(country: str | None, visa_type: str | None) -> Category | None:
    """None where the directory does not know the visa."""
    return _categories().get((country or "", visa_type or ""))


@cache
def _categories() -> dict[tuple[str, str], Category]:
    return {(visa.country.alpha2, visa.code): visa.category for visa in visa_types()}


def _without_names(text: str, names: set[str]) -> str:
    """An Employment Pass is no question about work."""
    folded = fold(text)
    for name in sorted(names, key=len, reverse=True):
        folded = folded.replace(name, " ")
    return folded


def _visas_named(
    text: str, goals: frozenset[str]
) -> tuple[frozenset[tuple[str, str]], set[str], set[str]]:
    """(country, code) of each visa named, and the folded words and phrases that name them. What is
    a sum of money or a language level as well (500, B2) names a visa only where its country is one
    of `goals`, or where it is called a subclass."""
    padded = f" {' '.join(vocabulary.tokens(text))} "
    folded = fold(text)
    found: set[tuple[str, str]] = set()
    words: set[str] = set()
    phrases: set[str] = set()
    for phrase, codes in _visa_phrases():
        hit = f" {phrase} " in padded or (not phrase.isascii() and phrase in folded)
        if hit and (phrase.isdigit() or phrase in _LEVELS):
            hit = f"subclass {phrase} " in padded or any(code[0] in goals for code in codes)
        if hit:
            found |= codes
            words.update(vocabulary.tokens(phrase))
            phrases.add(phrase)
    return frozenset(found), words, phrases


@cache
def _visa_phrases() -> tuple[tuple[str, frozenset[tuple[str, str]]], ...]:
    """Those that say more than a kind of visa: codes with a digit or of their own, and names."""
    # What says only of what kind a visa is, if anything.
    generic = frozenset(read("stop_words")["generic_visas"].split())
    phrases: dict[str, set[tuple[str, str]]] = {}
    for visa in visa_types():
        spellings = {visa.code, visa.code.replace("-", " "), visa.code.replace("-", "")}
        spellings |= {_BRACKETS.sub("", visa.name_en), _BRACKETS.sub("", visa.name_local)}
        spellings |= _SPOKEN.get(visa.code, frozenset())
        for spelled in spellings:
            words = vocabulary.tokens(spelled)
            proper = [word for word in words if word not in generic and len(word) > 1]
            if not proper or (len(words) == 1 and words[0].isdigit() and len(words[0]) < 3):
                continue
            short = len(words) == 1 and len(words[0]) < 3 and not any(c.isdigit() for c in words[0])
            if not short:
                phrases.setdefault(" ".join(words), set()).add((visa.country.alpha2, visa.code))
    return tuple((phrase, frozenset(codes)) for phrase, codes in phrases.items())


def _without_codes(text: str, codes: frozenset[tuple[str, str]]) -> str:
    for _, code in codes:
        for spelled in (code, code.replace("-", " "), code.replace("-", "")):
            text = re.sub(re.escape(spelled), " ", text, flags=re.IGNORECASE)
    return text


def cache_form(text: str) -> str:
    """Equal for questions that differ in case, accents, digits' script, blanks and end marks."""
    return " ".join(vocabulary.tokens(text))
