"""Whether a generated sentence may be shown: it cites, and a sentence of its source says it.

What is compared holds across languages: numbers with their units and with what else makes them
others (ai/figures.py), dates, names (ai/names.py), topics, and whether something is denied. Where
the language is the source's own, most of its words must stand there too. All of it must stand in
one sentence of a source, its heading and title being read with it: a number of the next sentence is
the number of something else. A sentence that fails is not mended: the answer falls back to the
sources' own words. What this can't see is in docs/assistant.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Final, Literal, NamedTuple

from ai import vocabulary
from ai.figures import Figures, figures
from ai.names import Names, names, stands
from ai.numbers import Date, dates, fold, is_unit
from ai.sanitising import addresses_the_assistant, visible
from ai.sentences import of_document
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
_MAX_CHARACTERS: Final = 700
_MOST_WORDS: Final = 0.6
_SHORT_WORD: Final = 3
# What is compared, in this order.
_ORDER: Final[tuple[Reason, ...]] = ("number", "date", "name", "topic", "words", "denial")


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


class _Claim(NamedTuple):
    language: str
    figures: Figures
    dates: frozenset[Date]
    names: Names
    topics: vocabulary.Found
    words: frozenset[str]
    content: tuple[str, ...]
    """Its words that say something and are neither numbers nor units."""


class _Part(NamedTuple):
    """A sentence of a source. `context`: its heading and the source's title."""

    text: str
    heading: str
    context: str
    source: Statement


def _claim(bare: str, language: str) -> _Claim:
    words = vocabulary.tokens(bare)
    return _Claim(
        language,
        figures(bare, language),
        dates(bare),
        names(bare, language),
        vocabulary.topics(bare, language),
        frozenset(words),
        tuple(
            word
            for word in words
            if not (word[0].isdigit() or is_unit(word) or vocabulary.is_empty(word, language))
        ),
    )


def _unsupported(bare: str, language: str, statements: list[Statement]) -> Reason | None:
    """The reason of the sentence that comes nearest, of all that are cited."""
    claim = _claim(bare, language)
    parts = [
        _Part(sentence.text, sentence.heading, f"{sentence.heading}\n{each.title}", each)
        for each in statements
        for sentence in of_document(each.text)
    ] or [_Part("", "", each.title, each) for each in statements]
    reasons = [_unsaid(claim, part) for part in parts]
    saying = [part for part, reason in zip(parts, reasons, strict=True) if reason is None]
    if not saying:
        return max((reason for reason in reasons if reason is not None), key=_ORDER.index)
    nearest = max(_likeness(claim, part) for part in saying)
    # The number stands there, and another sentence is what the claim speaks of.
    if claim.figures.whole.amounts and any(_likeness(claim, part) > nearest for part in parts):
        return "number"
    # "Students cannot work" is not what "Students may work 140 days" says, though its words are.
    denies = _denies(bare)
    alike = (
        _denies(f"{part.heading}\n{part.text}") == denies
        for part in saying
        if _likeness(claim, part) == nearest
    )
    return None if any(alike) else "denial"


def _unsaid(claim: _Claim, part: _Part) -> Reason | None:
    """What of the claim this sentence does not say."""
    language = part.source.language
    same_language = _same_language(language, claim.language)
    said = figures(part.text, language, part.heading)
    if not claim.figures.stand_in(said, same_language=same_language):
        return "number"
    told = dates(part.text)
    if not all(any(date.agrees(other) for other in told) for date in claim.dates):
        return "date"
    whole = f"{part.text}\n{part.context}"
    words = frozenset(vocabulary.tokens(whole))
    if not claim.names.stand(fold(whole), words, part.source.country):
        return "name"
    if not _shares_topics(claim.topics.names, part):
        return "topic"
    if same_language:
        found = sum(word in claim.topics.words or stands(word, words) for word in claim.content)
        if found < _MOST_WORDS * len(claim.content):
            return "words"
    return None


def _shares_topics(topics: frozenset[str], part: _Part) -> bool:
    """All of them stand there, and one in the sentence itself: what it is about is not what the
    title is about. A sentence of no topic has its heading's, or the title's."""
    levels = [
        vocabulary.topics(text, part.source.language).names
        for text in (part.text, part.heading, part.source.title)
    ]
    own = next(filter(None, levels), frozenset())
    return topics <= frozenset().union(*levels) and (not topics or bool(topics & own))


def _likeness(claim: _Claim, part: _Part) -> float:
    """How near it is to the claim, its numbers aside."""
    text = f"{part.heading}\n{part.text}"
    language = part.source.language
    score = float(len(claim.topics.names & vocabulary.topics(text, language).names))
    if _same_language(language, claim.language):
        words = frozenset(vocabulary.tokens(text))
        for word in claim.words:
            if stands(word, words) and not word[0].isdigit():
                said = not vocabulary.is_empty(word, language)
                score += 1.0 if said else 0.5 if len(word) > _SHORT_WORD else 0.0
    return score


def _is_about(bare: str, language: str, asked: Asked) -> bool:
    words = frozenset(vocabulary.tokens(bare))
    return bool(vocabulary.topics(bare, language).names & asked.topics) or any(
        stands(word, words) for word in asked.words
    )


def _same_language(one: str, other: str) -> bool:
    return one.partition("-")[0] == other.partition("-")[0]


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
