"""What the sources themselves say to a question: sentences, word for word, or nothing.

The gate: a source is used only if it is of the country and kind of visa asked about, and one of its
sentences speaks of what is asked (its topics, by the words of any language) and holds the kind of
thing that is asked for (an amount, a time). Words of the question that no table knows must stand in
the source. Scores of retrieval order what has passed and let nothing pass: vectors of unrelated
texts are as near as those of related ones (docs/adr/0020). Thresholds were set on the questions of
benchmarks/evaluation_questions.jsonl, so that refusing too much comes before answering wrongly.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import Final, Literal, NamedTuple

import msgspec

from ai import vocabulary
from ai.numbers import Quantity, dates, quantities
from ai.question import Question, category_of
from ai.sanitising import addresses_the_assistant, plain
from ai.sentences import Sentence, of_document
from ai.tables import read

MAX_SOURCES: Final = 4
MAX_SENTENCES: Final = 3
_MAX_LISTED: Final = 8
_MAX_SENTENCE_CHARACTERS: Final = 600
# Weights of what a question is made of, and the part of them that a source must explain.
_TOPIC: Final = 1.5
_PLACE: Final = 1.0
_KIND_OF_VISA: Final = 0.5
_FOREIGN_WORD: Final = 1.0
_OWN_WORD: Final = 1.5
_EXPLAINED: Final = 0.75
_EXPLAINED_BY_WORDS: Final = 0.85
_NEAR_THE_BEST: Final = 0.62
_BESIDE_OFFICIAL: Final = 0.72
_OLD_DAYS: Final = 550

_CURRENCIES: Final = frozenset(read("number_words")["units"]) - {
    "%", "hour", "day", "week", "month", "year",
}  # fmt: skip
_TIMES: Final = frozenset(("hour", "day", "week", "month", "year"))
_UNITS: Final = {
    "amount": _CURRENCIES,
    "duration": _TIMES - {"hour"},
    "hours": frozenset(("hour", "day", "week")),
}
# People who sell something leave a way to reach them.
_CONTACT: Final = re.compile(
    r"https?://|www\.|@\w|\bt\.me\b|whats ?app|telegram|wechat|微信|\bdm me\b|\bviber\b|ватсап"
    r"|телеграм|واتس|تلغرام|व्हाट्सएप|टेलीग्राम|(?:\+|00)\d[\d\s().-]{7,}\d|\bbitcoin|\busdt\b|\bcrypto",
    re.IGNORECASE,
)
_QUESTION_MARKS: Final = "?？؟"

SourceKind = Literal["post", "comment", "guide"]


class Source(msgspec.Struct, frozen=True):
    """A passage that retrieval has found. `country` alpha-2, `as_of` of a guide, `written` when."""

    kind: SourceKind
    title: str
    text: str
    country: str | None
    visa_type: str | None
    language: str
    official: bool
    as_of: date | None
    stale: bool
    written: date


class Evidence(NamedTuple):
    """`place` of the source among those given; its sentences in the order of the text; `text` all
    that the source says, sanitised."""

    place: int
    sentences: tuple[str, ...]
    title: str
    text: str
    score: float


class Choice(NamedTuple):
    """`evidence`, the best first; empty: nothing supports an answer."""

    evidence: tuple[Evidence, ...]
    disagree: bool
    stale: bool
    only_community: bool


NOTHING: Final = Choice((), False, False, False)


class _Scored(NamedTuple):
    score: float
    direct: bool
    said: int
    under_heading: bool
    sentence: Sentence
    amounts: frozenset[Quantity]


def choose(question: Question, sources: Sequence[Source], today: date) -> Choice:
    """The evidence in `sources`, which come in the order of retrieval."""
    countries = question.countries or _implied_countries(question, sources)
    found: list[tuple[Evidence, list[_Scored]]] = []
    for place, source in enumerate(sources):
        if not _in_scope(question, source, countries):
            continue
        judged = _judge(question, source, place)
        if judged is not None:
            found.append(judged)
    if not found:
        return NOTHING
    found.sort(key=lambda item: -item[0].score)
    best = found[0][0].score
    official = any(sources[evidence.place].official for evidence, _ in found)
    kept = [
        (evidence, scored)
        for evidence, scored in found
        if evidence.score
        >= best
        * (
            _BESIDE_OFFICIAL
            if official and not sources[evidence.place].official
            else _NEAR_THE_BEST
        )
    ]
    kept = _without_repeats(kept)[:MAX_SOURCES]
    used = [sources[evidence.place] for evidence, _ in kept]
    return Choice(
        tuple(evidence for evidence, _ in kept),
        _disagree(question, kept),
        any(_is_old(source, today) for source in used),
        not any(source.official for source in used),
    )


def _in_scope(question: Question, source: Source, countries: frozenset[str]) -> bool:
    """Sources of no country are for questions of none."""
    if countries:
        if source.country not in countries:
            return False
    elif source.country is not None:
        return False
    codes = {code for country, code in question.visa_codes if country == source.country}
    if codes and source.visa_type is not None and source.visa_type not in codes:
        return False
    if codes or question.category is None or source.visa_type is None:
        return True
    category = category_of(source.country, source.visa_type)
    return category is None or category == question.category


def _implied_countries(question: Question, sources: Sequence[Source]) -> frozenset[str]:
    """A question that names no country is about one all the same where all sources that know its
    own words are of that one."""
    if not question.rest:
        return frozenset()
    knowing = {
        source.country
        for source in sources
        if all(_stands(word, _words(source)) for word in question.rest)
    }
    return frozenset(knowing - {None}) if len(knowing) == 1 else frozenset()  # type: ignore[arg-type]


def _words(source: Source) -> frozenset[str]:
    return frozenset(vocabulary.tokens(f"{source.title}\n{source.text}"))


def _judge(question: Question, source: Source, place: int) -> tuple[Evidence, list[_Scored]] | None:
    title, text = plain(source.title), plain(source.text)
    if not source.official and (
        addresses_the_assistant(f"{title}\n{text}")
        or addresses_the_assistant(f"{source.title}\n{source.text}")
    ):
        return None
    if source.kind == "post" and _is_question(title, text):
        return None
    sentences = [
        sentence
        for sentence in of_document(text)
        if len(sentence.text) <= _MAX_SENTENCE_CHARACTERS and _is_statement(sentence.text)
    ]
    about_title = vocabulary.topics(title, source.language).names
    # A comment answers the question that its thread's title asks; a post is about its title.
    context = frozenset() if source.kind == "guide" else about_title
    about_text = vocabulary.topics(text, source.language).names | about_title
    if not _explains(question, source, title, text, about_text):
        return None
    scored = [
        judged
        for sentence in sentences
        if (judged := _score(question, source, sentence, context, about_text)) is not None
    ]
    if not scored:
        return None
    best = max(each.score for each in scored)
    if any(each.said for each in scored):  # the question's own words say where to look
        scored = [each for each in scored if each.said]
    direct = any(each.direct for each in scored)
    chosen = [
        each
        for each in scored
        if (each.score >= best * _NEAR_THE_BEST and (each.direct or each.said or not direct))
        # What stands under a heading about it belongs together, unless one number is asked for.
        or (each.under_heading and not question.kinds)
    ]
    limit = MAX_SENTENCES if direct or question.kinds else _MAX_LISTED
    shown = set(sorted((-each.score, at) for at, each in enumerate(chosen))[:limit])
    chosen = [each for at, each in enumerate(chosen) if (-each.score, at) in shown]
    score = best + 1.6 * source.official + 0.5 * (source.language == question.language)
    score += 1.0 / (1 + place) - 0.5 * (source.kind == "post")
    evidence = Evidence(place, tuple(each.sentence.text for each in chosen), title, text, score)
    return evidence, chosen


def _is_question(title: str, text: str) -> bool:
    return any(mark in title or mark in text for mark in _QUESTION_MARKS)


def _is_statement(sentence: str) -> bool:
    return (
        sentence.rstrip("\"'”»)")[-1:] not in _QUESTION_MARKS
        and _CONTACT.search(sentence) is None
        and any(character.isalpha() for character in sentence)
    )


def _explains(
    question: Question, source: Source, title: str, text: str, about: frozenset[str]
) -> bool:
    """Whether enough of the question is found in the source as a whole."""
    words = frozenset(vocabulary.tokens(f"{title}\n{text}"))
    same_language = source.language.partition("-")[0] == question.language.partition("-")[0]
    total = found = 0.0
    for topic in question.topics:
        total += _TOPIC
        found += _TOPIC * (topic in about)
    if question.countries:
        total += _PLACE
        found += _PLACE
    if question.category is not None and source.visa_type is not None:
        total += _KIND_OF_VISA
        found += _KIND_OF_VISA
    for word in question.rest:
        # What a text of the same language lacks, it does not speak of; a foreign one may.
        weight = _OWN_WORD if same_language or word.isascii() else _FOREIGN_WORD
        total += weight
        found += weight * _stands(word, words)
    if question.numbers:
        values = {quantity.value for quantity in quantities(f"{title}\n{text}")}
        if not question.numbers <= values:
            return False
    if not question.topics:
        known = [word for word in question.rest if _stands(word, words)]
        if not known or len(known) < _EXPLAINED_BY_WORDS * len(question.rest):
            return False
    return total > 0 and found >= _EXPLAINED * total


def _stands(word: str, words: frozenset[str]) -> bool:
    """Equal, or with another ending, or as a part of a longer word."""
    if word in words:
        return True
    if len(word) < 5:
        return len(word) == 2 and not word.isascii() and any(word in other for other in words)
    stem = word[: max(5, len(word) - 2)]
    return any(other.startswith(stem) or (len(word) >= 6 and word in other) for other in words)


def _score(
    question: Question,
    source: Source,
    sentence: Sentence,
    context: frozenset[str],
    about_text: frozenset[str],
) -> _Scored | None:
    """None where the sentence alone, or with its heading, does not speak of what is asked."""
    own = vocabulary.topics(sentence.text, source.language).names
    heading = vocabulary.topics(sentence.heading, source.language).names
    words = frozenset(vocabulary.tokens(sentence.text))
    said = sum(_stands(word, words) for word in question.rest)
    under = frozenset(vocabulary.tokens(sentence.heading))
    said += sum(_stands(word, under) and not _stands(word, words) for word in question.rest)
    amounts = quantities(sentence.text)
    direct = question.topics & own
    around = question.topics & (heading | context)
    if not direct and not around and not (said and not question.topics):
        return None
    if not _holds_what_is_asked(question, sentence.text, amounts):
        return None
    lacking = question.topics - (own | heading | context)
    if len(lacking) > len(question.topics) // 2 and not said:
        return None
    if lacking and not said and not lacking <= about_text:
        return None
    score = 3.0 * len(direct) + 1.6 * len(around - direct) + 2.5 * said
    # A thread about more than what is asked answers something narrower.
    score -= 0.6 * len(context - question.topics)
    score += 2.0 * bool(question.kinds)
    score += 1.0 * bool(question.numbers & {amount.value for amount in amounts})
    return _Scored(score, bool(direct), said, question.topics <= heading, sentence, amounts)


def _holds_what_is_asked(question: Question, text: str, amounts: frozenset[Quantity]) -> bool:
    kinds = question.kinds
    if "hours" in kinds:
        kinds = frozenset({"hours"})
    elif "duration" in kinds:
        kinds = frozenset({"duration"})
    for kind in kinds:
        if kind == "date":
            if not dates(text) and not any(
                amount.unit in _TIMES or 1990 <= amount.value <= 2100 for amount in amounts
            ):
                return False
        elif not any(_answers(kind, amount, question) for amount in amounts):
            return False
    return True


def _answers(kind: str, amount: Quantity, question: Question) -> bool:
    if amount.unit in _UNITS[kind]:
        return True
    # "58 points", "a salary of 45,934.20": without a unit, but no year and no number of a list.
    if kind != "amount" or amount.unit not in ("", "%") or 1990 <= amount.value <= 2100:
        return False
    if question.topics & {"points", "language_test"}:
        return amount.value >= 4
    return bool(question.topics & {"salary", "funds"}) and amount.value >= 500


def _without_repeats(
    found: list[tuple[Evidence, list[_Scored]]],
) -> list[tuple[Evidence, list[_Scored]]]:
    """Two chunks of one text may share a sentence."""
    said: set[str] = set()
    kept: list[tuple[Evidence, list[_Scored]]] = []
    for evidence, scored in found:
        fresh = tuple(sentence for sentence in evidence.sentences if sentence not in said)
        if fresh:
            said.update(fresh)
            kept.append((evidence._replace(sentences=fresh), scored))
    return kept


def _disagree(question: Question, kept: list[tuple[Evidence, list[_Scored]]]) -> bool:
    """Whether two sources give other numbers, of one unit, to what is asked."""
    kind = next((kind for kind in ("hours", "duration", "amount") if kind in question.kinds), None)
    units = _UNITS[kind] if kind is not None else _CURRENCIES
    said: list[dict[str, set[object]]] = []
    for _, scored in kept:
        by_unit: dict[str, set[object]] = {}
        for each in scored:
            if each.direct or len(kept) > 1:
                for amount in each.amounts:
                    if amount.unit in units:
                        by_unit.setdefault(amount.unit, set()).add(amount.value)
        said.append(by_unit)
    return any(
        one[unit].isdisjoint(other[unit])
        for place, one in enumerate(said)
        for other in said[place + 1 :]
        for unit in one.keys() & other.keys()
    )


def _is_old(source: Source, today: date) -> bool:
    return source.stale or (source.as_of is None and (today - source.written).days > _OLD_DAYS)
