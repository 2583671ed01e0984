"""Whether a generated sentence may be shown: it cites, and its source says the same.

What is compared holds across languages: numbers with their units, dates, names and other words that
a translation leaves as they are, topics, and whether something is denied. Where the language is the
source's own, most of its words must stand there too. A sentence that fails is not mended: the
answer falls back to the sources' own words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Final, Literal, NamedTuple

from ai import vocabulary
from ai.numbers import Date, Quantity, dates, fold, month_of, quantities
from ai.places import mentioned
from ai.sanitising import addresses_the_assistant, visible
from ai.tables import read

Reason = Literal[
    "no_citation", "unknown_citation", "number", "date", "name", "topic", "words", "denial",
    "address", "markup", "instruction", "empty", "beside",
]  # fmt: skip

_CITED: Final = re.compile(r"\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\]")
_ANY_BRACKET: Final = re.compile(r"[\[\]【】［］]")
_ADDRESS: Final = re.compile(
    r"https?:|www\.|\w@\w|@\w{3,}|\b[\w-]+\.(?:com|org|net|info|io|me|ru|de|gov|eu|xyz|top|link)\b"
    r"|(?:\+|00)\d[\d\s().-]{6,}\d|whats ?app|telegram|wechat|微信|bitcoin|\busdt\b",
    re.IGNORECASE,
)
_MARKUP: Final = re.compile(r"<[a-zA-Z/!?]|\]\(|^\s*[|]|javascript:|```|\|[^|]*\|", re.MULTILINE)
_WORD: Final = re.compile(r"[^\W\d_][\w'’-]*")
_LATIN_OR_CYRILLIC: Final = re.compile(r"[A-Za-z\u00c0-\u024f\u0400-\u04ff]")
_MAX_CHARACTERS: Final = 700
_MOST_WORDS: Final = 0.6


class Statement(NamedTuple):
    """What a cited source says: `text` sanitised, `country` alpha-2."""

    text: str
    title: str
    language: str
    country: str | None


class Verified(NamedTuple):
    """`reason` None: it may be shown. `citations` in their order."""

    reason: Reason | None
    citations: tuple[int, ...] = ()


class Asked(NamedTuple):
    """What an answer may be about: topics of the question, and its words that no topic covers."""

    topics: frozenset[str]
    words: tuple[str, ...]


def verify(
    sentence: str, language: str, sources: Mapping[int, Statement], asked: Asked
) -> Verified:
    """`sources` are those that may be cited, by their number in the prompt. What the sentence says
    must stand in those that it cites, and be about what was asked: what a hostile text says beside
    that is said in its source too."""
    if not sentence.strip() or len(sentence) > _MAX_CHARACTERS:
        return Verified("empty")
    if visible(sentence) != sentence:
        return Verified("markup")
    cited = [int(number) for match in _CITED.finditer(sentence) for number in match[1].split(",")]
    bare = _CITED.sub(" ", sentence)
    reason = _refusal(bare, cited, sources)
    if reason is None:
        statements = [sources[number] for number in dict.fromkeys(cited)]
        reason = _unsupported(bare, language, statements)
    if reason is None and not _is_about(bare, language, asked):
        reason = "beside"
    return Verified(reason, tuple(dict.fromkeys(cited)) if reason is None else ())


def _refusal(bare: str, cited: list[int], sources: Mapping[int, Statement]) -> Reason | None:
    if not cited:
        return "no_citation"
    if any(number not in sources for number in cited) or _ANY_BRACKET.search(bare):
        return "unknown_citation"
    if _ADDRESS.search(bare):
        return "address"
    if _MARKUP.search(bare):
        return "markup"
    return "instruction" if addresses_the_assistant(bare) else None


def _unsupported(bare: str, language: str, statements: list[Statement]) -> Reason | None:
    texts = [f"{statement.title}\n{statement.text}" for statement in statements]
    said = frozenset(amount for text in texts for amount in quantities(text))
    if not all(_is_said(amount, said) for amount in quantities(bare)):
        return "number"
    told = frozenset(date for text in texts for date in dates(text))
    if not all(_is_told(date, told) for date in dates(bare)):
        return "date"
    words = frozenset(word for text in texts for word in vocabulary.tokens(text))
    if not _names_stand(bare, language, words, statements):
        return "name"
    about = frozenset(
        topic
        for text, statement in zip(texts, statements, strict=True)
        for topic in vocabulary.topics(text, statement.language).names
    )
    if not vocabulary.topics(bare, language).names <= about:
        return "topic"
    if any(_same_language(statement.language, language) for statement in statements):
        content = [
            word for word in vocabulary.tokens(bare) if not vocabulary.is_empty(word, language)
        ]
        found = sum(_stands(word, words) for word in content)
        if found < _MOST_WORDS * len(content):
            return "words"
    return None if _denies_alike(bare, language, statements) else "denial"


def _is_about(bare: str, language: str, asked: Asked) -> bool:
    words = frozenset(vocabulary.tokens(bare))
    return bool(vocabulary.topics(bare, language).names & asked.topics) or any(
        _stands(word, words) for word in asked.words
    )


def _same_language(one: str, other: str) -> bool:
    return one.partition("-")[0] == other.partition("-")[0]


def _is_said(amount: Quantity, said: frozenset[Quantity]) -> bool:
    return any(
        other.value == amount.value and (not amount.unit or other.unit in ("", amount.unit))
        for other in said
    )


def _is_told(date: Date, told: frozenset[Date]) -> bool:
    return any(date.agrees(other) for other in told)


def _names_stand(
    bare: str, language: str, words: frozenset[str], statements: list[Statement]
) -> bool:
    """Capital letters mark names, and in German all nouns; a word of Latin letters in a text of
    another script is one as well. Countries may be translated where the source is of them."""
    countries = {statement.country for statement in statements}
    named = mentioned(bare)
    if not all(
        country in countries
        or any(word in words for word, of in named.words.items() if of == country)
        for country in named.words.values()
    ):
        return False
    other_script = len(_LATIN_OR_CYRILLIC.findall(bare)) * 2 < sum(map(str.isalpha, bare))
    known = vocabulary.topics(bare, language).words
    for at, match in enumerate(_WORD.finditer(bare)):
        word = match[0]
        is_name = (
            any(character.isupper() for character in word[1:])
            or (word[0].isupper() and at > 0)
            or (other_script and _LATIN_OR_CYRILLIC.match(word) is not None)
        )
        if not is_name:
            continue
        for part in vocabulary.tokens(word):
            if part in named.words or part in known or vocabulary.is_empty(part, language):
                continue
            if month_of(part) is not None or _stands(part, words):
                continue
            return False
    return True


def _stands(word: str, words: frozenset[str]) -> bool:
    if word in words:
        return True
    stem = word[: max(4, len(word) - 2)]
    return len(word) >= 5 and any(other.startswith(stem) for other in words)


def _denies_alike(bare: str, language: str, statements: list[Statement]) -> bool:
    """ "Students cannot work" is not what "Students may work 140 days" says, though its words are.
    The source's sentence that is nearest to the claim must deny as it does."""
    claim = _denies(bare)
    amounts = {amount.value for amount in quantities(bare)}
    topics = vocabulary.topics(bare, language).names
    words = frozenset(vocabulary.tokens(bare))
    best, alike = -1.0, False
    for statement in statements:
        for sentence in re.split(r"(?<=[.!?;。！？।؟])\s*|\n", statement.text):
            if not sentence.strip():
                continue
            own = {amount.value for amount in quantities(sentence)}
            score = (
                3.0 * len(amounts & own)
                + 1.0 * len(topics & vocabulary.topics(sentence, statement.language).names)
                + 0.5 * len(words & frozenset(vocabulary.tokens(sentence)))
            )
            same = _denies(sentence) == claim
            if score > best or (score == best and same):
                best, alike = score, same
    return alike


def _denies(text: str) -> bool:
    words, parts, endings = _denials()
    folded = fold(text).replace("’", "'")
    bare = [word.strip(".,;:!?\"'()«»“”।؟") for word in folded.split()]
    return any(word in words or word.endswith(endings) for word in bare) or any(
        part in folded for part in parts
    )


@cache
def _denials() -> tuple[frozenset[str], tuple[str, ...], tuple[str, ...]]:
    table = read("denials")
    words, parts, endings = (table[name].split() for name in ("words", "parts", "endings"))
    return frozenset(map(fold, words)), tuple(map(fold, parts)), tuple(map(fold, endings))
