"""What a text is about, whatever its language: topics, kinds of question, words that say nothing.

The tables in ai/tables list words of fourteen languages. A topic is found where a language's
words for it begin a word of the text, so a Hindi question and a German sentence meet in the topic
`funds`. What no table knows is left to be found literally.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from typing import Final, NamedTuple

from ai.numbers import fold
from ai.tables import read

LANGUAGES: Final = frozenset(
    ("en", "de", "es", "fr", "pt", "hi", "ar", "zh", "ru", "uk", "tr", "fa", "ja", "ko")
)
_UNSPACED: Final = frozenset(("zh", "ja", "ko"))
_COMPOUNDING: Final = 5
_NO_TOPIC: Final = "none"
# Marks belong to the words of Hindi, though they are no letters to `\w`.
_MARKS: Final = "\u0900-\u0903\u093a-\u094f\u0951-\u0957\u0962\u0963"
_TOKEN: Final = re.compile(rf"[^\W_](?:[\w{_MARKS}]|(?<=\w)[-'’.](?=\w))*")
_HANGUL: Final = re.compile("[\uac00-\ud7af]")
_PARTICLES: Final = "은는이가을를의에도로와과요"
_IDEOGRAPH: Final = re.compile("[\u3040-\u30ff\u3400-\u9fff]")
# Digits, numerals beside a measure, and the kana that words end in.
_COUNT: Final = re.compile(
    "[0-9\u3041-\u309f]+|[一二三四五六七八九十两]+(?=[个個月周週年天日か小時]|\\s|$)"
)
_ARABIC_PREFIX: Final = re.compile("^(?:وال|بال|كال|فال|لل|ال|و|ب|ل|ك|ف)(?=..)")


class _Entry(NamedTuple):
    """`words` in a row, each the beginning of a word of the text, or whole where `exact`."""

    words: tuple[str, ...]
    exact: tuple[bool, ...]


class _Table(NamedTuple):
    by_first: dict[str, tuple[tuple[str, _Entry], ...]]
    """(name, entry) by the first two characters of the first word."""
    anywhere: tuple[tuple[str, str], ...]
    """(name, text)."""


class Found(NamedTuple):
    """`names` of what the text is about, and the words that said so."""

    names: frozenset[str]
    words: frozenset[str]


def tokens(text: str) -> list[str]:
    """Folded words; a run of ideographs is one."""
    return [
        part for token in _TOKEN.findall(fold(text)) for part in re.split(r"['’]", token) if part
    ]


def topics(text: str, language: str) -> Found:
    """By the words of `language` and of English, which all others borrow from; by all where the
    language is none of LANGUAGES."""
    return _find(_without_idioms(text, language), "topics", _read(language))


def _without_idioms(text: str, language: str) -> str:
    """ "Two working days" say nothing about work."""
    folded = fold(text)
    for spoken in _read(language):
        for idiom in _idioms(spoken):
            if idiom in folded:
                folded = folded.replace(idiom, " ")
    return folded


@cache
def _idioms(language: str) -> tuple[str, ...]:
    rows = read("topics")[_NO_TOPIC]
    return tuple(fold(idiom) for idiom in _entries(rows.get(language, "")))


def kinds(text: str, language: str) -> frozenset[str]:
    """Of a question: `amount`, `duration`, `hours`, `date`."""
    return _find(text, "kinds", _read(language)).names


def visas(text: str, language: str) -> frozenset[str]:
    """The kinds of visa that it speaks of: `study`, `work`, `family`, `visit`."""
    return _find(text, "visas", _read(language)).names


def marks(text: str, language: str) -> frozenset[str]:
    """What makes its numbers others: `year`, `month`, `half`, `least` and so on."""
    return _find(text, "marks", _read(language)).names


@cache
def ordinary(language: str) -> frozenset[str]:
    """Folded words of the language, and of English, that name nobody."""
    table = read("ordinary_words")["words"]
    return frozenset(word for spoken in _read(language) for word in tokens(table.get(spoken, "")))


def is_empty(word: str, language: str) -> bool:
    """Whether the folded word says nothing about what a text is about."""
    parts = word.split("-") if "-" in word else [word]
    return all(
        any(
            form in _stop_words(spoken)
            for spoken in _read(language)
            for form in forms(part, spoken)
        )
        for part in parts
    )


def _read(language: str) -> tuple[str, ...]:
    primary = language.partition("-")[0].lower()
    if primary == "en":
        return ("en",)
    return (primary, "en") if primary in LANGUAGES else tuple(sorted(LANGUAGES))


@lru_cache(maxsize=8_192)
def _find(text: str, table: str, languages: tuple[str, ...]) -> Found:
    folded = fold(text)
    words = tokens(text)
    names: set[str] = set()
    said: set[str] = set()
    for language in languages:
        entries = _tables()[table][language]
        spelled = [forms(word, language) for word in words]
        for index, beginnings in enumerate(spelled):
            for beginning in beginnings:
                for name, entry in entries.by_first.get(beginning[:2], ()):
                    if _stands_at(entry, spelled, index):
                        names.add(name)
                        said.update(words[index : index + len(entry.words)])
        for name, part in entries.anywhere:
            if part in folded:
                names.add(name)
                said.add(part)
                said.update(word for word in words if part in word)
    return Found(frozenset(names), frozenset(said))


def forms(word: str, language: str) -> tuple[str, ...]:
    """The word, and in Arabic and Persian the word without article and prepositions."""
    if language in ("ar", "fa"):
        bare = _ARABIC_PREFIX.sub("", word)
        if bare != word:
            return (word, bare)
    return (word,)


def _stands_at(entry: _Entry, spelled: list[tuple[str, ...]], index: int) -> bool:
    if index + len(entry.words) > len(spelled):
        return False
    return all(
        any(form == word if exact else form.startswith(word) for form in spelled[index + offset])
        for offset, (word, exact) in enumerate(zip(entry.words, entry.exact, strict=True))
    )


@cache
def _tables() -> dict[str, dict[str, _Table]]:
    topics = {name: rows for name, rows in read("topics").items() if name != _NO_TOPIC}
    asking = read("stop_words")
    visas, marks = read("visa_words"), read("marks")
    return {
        name: {language: _table(rows, language) for language in LANGUAGES}
        for name, rows in (
            ("topics", topics),
            ("kinds", asking["kinds"]),
            ("visas", visas),
            ("marks", marks),
        )
    }


def _table(rows: dict[str, dict[str, str]], language: str) -> _Table:
    by_first: dict[str, list[tuple[str, _Entry]]] = {}
    anywhere: list[tuple[str, str]] = []
    for name, by_language in rows.items():
        for spelled in _entries(by_language.get(language, "")):
            folded = fold(spelled.rstrip("$")).strip()
            is_latin = folded.isascii()
            if language in _UNSPACED and not is_latin:
                anywhere.append((name, folded))
                continue
            if language == "de" and len(folded) >= _COMPOUNDING and folded.isalpha():
                anywhere.append((name, folded))
            words = tuple(tokens(spelled.replace("$", "")))
            if words:
                exact = tuple(part.endswith("$") for part in spelled.split())
                padded = exact + (False,) * (len(words) - len(exact))
                entry = _Entry(words, padded[: len(words)])
                by_first.setdefault(words[0][:2], []).append((name, entry))
    return _Table({first: tuple(entries) for first, entries in by_first.items()}, tuple(anywhere))


def _entries(line: str) -> Iterator[str]:
    return (entry.strip() for entry in line.split("|") if entry.strip())


@cache
def _stop_words(language: str) -> frozenset[str]:
    table = read("stop_words")["words"]
    return frozenset(
        word for spelled in table.get(language, "").split() for word in tokens(spelled)
    )


def unexplained(word: str, known: Iterable[str], language: str) -> Iterator[str]:
    """What is left of a folded word of a script that writes words together, without those that are
    known: nothing of it may name somebody. Single letters count, kana of endings do not."""
    for part in sorted({*known, *_stop_words(_read(language)[0])}, key=len, reverse=True):
        if part == word or len(part) > 1 or not _HANGUL.search(part):
            word = word.replace(part, " ")
    for piece in _COUNT.sub(" ", word).split():
        bare = piece.rstrip(_PARTICLES)
        if bare:
            yield bare


def rest_of(text: str, language: str, known: Iterable[str] = ()) -> list[str]:
    """The folded words of a question that neither a topic, nor a kind of question, nor `known`
    explains: they have to be found literally. Runs of ideographs are cut into pairs."""
    said = {
        word
        for table in ("topics", "kinds", "visas")
        for word in _find(_without_idioms(text, language), table, _read(language)).words
    }
    said.update(known)
    unspaced = [word for word in said if _IDEOGRAPH.search(word)]
    found: list[str] = []
    for word in tokens(text):
        if _IDEOGRAPH.search(word):
            found.extend(_unexplained_ideographs(word, unspaced))
        elif _HANGUL.search(word) and word not in said:
            found.extend(_unexplained_hangul(word))
        elif word not in said and not is_empty(word, language) and not _is_small(word):
            found.append(word)
    return list(dict.fromkeys(found))


def _is_small(word: str) -> bool:
    return len(word) == 1 and not word.isdigit()


@cache
def _by_length(language: str) -> tuple[str, ...]:
    return tuple(sorted(_stop_words(language), key=len, reverse=True))


def _unexplained_hangul(word: str) -> Iterator[str]:
    """Particles grow onto words, and words together."""
    for part in _by_length("ko"):
        if len(part) > 1:
            word = word.replace(part, " ")
    for piece in word.split():
        bare = piece.rstrip(_PARTICLES)
        if len(bare) > 1:
            yield bare


def _unexplained_ideographs(run: str, said: list[str]) -> Iterator[str]:
    for part in sorted(said, key=len, reverse=True):
        run = run.replace(part, " ")
    for language in ("zh", "ja"):
        for part in _by_length(language):
            run = run.replace(part, " ")
    for piece in run.split():
        if len(piece) > 1:
            yield from (piece[at : at + 2] for at in range(len(piece) - 1))
