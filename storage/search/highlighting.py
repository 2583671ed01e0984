"""Marks the words that were asked for, in a part of the text that holds many of them. Pure.

The text is the one that Postgres holds when it is shown, so that nothing removed is quoted; the
words are compared as the index compares them (words.py). What comes out is escaped, `<mark>` apart.
"""

from __future__ import annotations

from html import escape
from typing import Final, NamedTuple

from storage.search.words import Word, typos_of, words

SNIPPET_CHARACTERS: Final = 220
# Words that stand before the first marked one, so that it is read in a sentence.
_LEAD_WORDS: Final = 6
# A text may be much longer than what is quoted of it; behind this nothing is looked for.
_SEARCHED_CHARACTERS: Final = 20_000
# Who plants texts and asks for them must not keep a processor busy with edits: so many words of a
# question are looked for with typos, and so many comparisons are made for a text. What people write
# takes some tens of them.
_NEARLY_WORDS: Final = 8
_COMPARISONS: Final = 500


class Span(NamedTuple):
    start: int
    end: int


class _Nearly(NamedTuple):
    """A word that is looked for with typos."""

    text: str
    letters: frozenset[str]
    typos: int


class Highlighter:
    """For one question. `begins`: its last word may be the beginning of one."""

    def __init__(self, question: str, *, begins: bool = True) -> None:
        asked = [word for word in words(question) if word.text]
        self._exact = frozenset(word.text for word in asked)
        self._beginning = asked[-1].text if asked and begins and not asked[-1].pair else ""
        spelt = dict.fromkeys(word.text for word in asked if not word.pair and typos_of(word.text))
        self._nearly = [
            _Nearly(text, frozenset(text), typos_of(text)) for text in list(spelt)[:_NEARLY_WORDS]
        ]
        self._known: dict[str, bool] = {}
        self._comparisons = 0

    def whole(self, text: str) -> str:
        """All of a short text, escaped and marked."""
        return _marked(text, Span(0, len(text)), self._spans(list(words(text))))

    def snippet(self, text: str) -> str:
        """Some of it: where most of the words are near each other, or its beginning."""
        text = text[:_SEARCHED_CHARACTERS]
        found = list(words(text))
        spans = self._spans(found)
        window = _window(text, found, spans)
        quoted = _marked(text, window, spans)
        before = "… " if window.start > 0 else ""
        return f"{before}{quoted}{' …' if window.end < len(text) else ''}".replace("\n", " ")

    def _spans(self, found: list[Word]) -> list[Span]:
        spans: list[Span] = []
        self._comparisons = 0
        for word in found:
            if self._matches(word):
                # Pairs overlap.
                if spans and word.start <= spans[-1].end:
                    spans[-1] = Span(spans[-1].start, max(word.end, spans[-1].end))
                else:
                    spans.append(Span(word.start, word.end))
        return spans

    def _matches(self, word: Word) -> bool:
        text = word.text
        known = self._known.get(text)
        if known is None:
            known = text in self._exact or (
                not word.pair and bool(self._beginning) and text.startswith(self._beginning)
            )
            if not known and not word.pair and self._nearly:
                if self._comparisons >= _COMPARISONS:
                    return False  # in this text; in the next one it may be compared
                known = self._is_nearly(text)
            self._known[text] = known
        return known

    def _is_nearly(self, text: str) -> bool:
        letters = set(text)
        for asked, its, typos in self._nearly:
            # An edit takes or brings one letter that the other word does not have: this refuses
            # almost all words that `within` would refuse, at a tenth of its price.
            if (
                -typos <= len(asked) - len(text) <= typos
                and len(its) - (shared := len(its & letters)) <= typos
                and len(letters) - shared <= typos
            ):
                self._comparisons += 1
                if within(asked, text, typos):
                    return True
        return False


def within(one: str, other: str, edits: int) -> bool:
    """Whether so many letters inserted, left out, replaced or swapped with their neighbour make
    `other` of `one` (optimal string alignment). For few edits: each makes it four times as long."""
    if abs(len(one) - len(other)) > edits:
        return False
    if one == other:
        return True
    if edits == 0:
        return False
    # Letters that are equal at the beginning are equal in one of the best alignments.
    same = 0
    for letter, its in zip(one, other, strict=False):
        if letter != its:
            break
        same += 1
    one, other = one[same:], other[same:]
    return (
        within(one[1:], other[1:], edits - 1)
        or within(one[1:], other, edits - 1)
        or within(one, other[1:], edits - 1)
        or (one[:2] == other[1::-1] and within(one[2:], other[2:], edits - 1))
    )


def _window(text: str, found: list[Word], spans: list[Span]) -> Span:
    if len(text) <= SNIPPET_CHARACTERS:
        return Span(0, len(text))
    first = _densest(spans)
    begin = 0
    if first is not None and first.end > SNIPPET_CHARACTERS:
        place = next(n for n, word in enumerate(found) if word.end > first.start)
        lead = found[max(0, place - _LEAD_WORDS)].start
        begin = max(lead, first.end - SNIPPET_CHARACTERS)
    limit = begin + SNIPPET_CHARACTERS
    if limit >= len(text):
        return Span(begin, len(text))
    end = max((word.end for word in found if begin < word.end <= limit), default=limit)
    # A word that goes on beyond the window is cut where the window ends, if it is all there is.
    return Span(begin, end if end > begin else limit)


def _densest(spans: list[Span]) -> Span | None:
    """The first of those that stand together."""
    best: Span | None = None
    most = last = 0
    for place, span in enumerate(spans):
        last = max(last, place)
        while last < len(spans) and spans[last].end - span.start <= SNIPPET_CHARACTERS:
            last += 1
        if last - place > most:
            best, most = span, last - place
    return best


def _marked(text: str, window: Span, spans: list[Span]) -> str:
    parts: list[str] = []
    place = window.start
    for span in spans:
        start, end = max(span.start, place), min(span.end, window.end)
        if start < end:
            parts += (escape(text[place:start]), "<mark>", escape(text[start:end]), "</mark>")
            place = end
    parts.append(escape(text[place : window.end]))
    return "".join(parts)
