"""The numbers of a sentence, each in its clause, with what makes it another number there.

"140 full days or 280 half days a year" says neither 280 full days nor 140 days a month. What is
compared is in tables/marks.toml, in the languages of the vocabulary; within one language also the
word between a number and its unit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from ai import vocabulary
from ai.names import stands
from ai.numbers import Quantity, fold, quantities

_TIMES: Final = frozenset(("hour", "day", "week", "month", "year"))
_BOUNDS: Final = frozenset(("least", "most"))
_KINDS: Final = frozenset(("full", "half", "working"))
# A comma or a colon between digits is a part of the number.
_CLAUSE_END: Final = re.compile(
    r"(?<!\d)[,:،]|[,:،](?!\d)|[;؛()（），；：、—–/]"
    r"|(?<=\s)(?:and|or|und|oder|bzw|y|o|et|ou|e|и|или|і|й|або|та|ve|veya|या|और|و|او|أو|یا|또는|및)(?=\s)"
    r"|或者?|以及|または|及び|および"
)
_BESIDE: Final = re.compile(r"(?<![\d.,])(\d[\d.,]*)[\s\u00a0-]+([^\W\d_]+)[\s\u00a0-]+([^\W\d_]+)")


class _Clause(NamedTuple):
    amounts: frozenset[Quantity]
    marks: frozenset[str]
    topics: frozenset[str]
    beside: tuple[tuple[Quantity, str], ...]
    """(number without unit, the word between it and its unit)"""

    def unit_of(self, amount: Quantity) -> str | None:
        """The unit that the number has here; None: it does not stand here, or as another thing."""
        units = [
            each.unit
            for each in self.amounts
            if each.value == amount.value and (not amount.unit or each.unit in ("", amount.unit))
        ]
        return max(units, default=None)


class Figures(NamedTuple):
    """`around`: the marks of the heading."""

    whole: _Clause
    clauses: tuple[_Clause, ...]
    around: frozenset[str]

    def stand_in(self, source: Figures, *, same_language: bool) -> bool:
        """Every number stands there as the same; without any, the times that are spoken of."""
        if not self.whole.amounts:
            return self.whole.marks & _TIMES <= source.whole.marks | source.around
        return all(
            any(
                self._is_same(amount, clause, source, same_language=same_language)
                for clause in source._clauses_of(amount)
            )
            for amount in self.whole.amounts
        )

    def _clauses_of(self, amount: Quantity) -> list[_Clause]:
        found = [clause for clause in self.clauses if clause.unit_of(amount) is not None]
        return found or ([self.whole] if self.whole.unit_of(amount) is not None else [])

    def _is_same(
        self, amount: Quantity, there: _Clause, source: Figures, *, same_language: bool
    ) -> bool:
        # With one number, all of a claim is about it.
        own = self.whole if len(self.whole.amounts) == 1 else self._clauses_of(amount)[0]
        topics = own.topics or self.whole.topics
        if topics and there.topics and not topics & there.topics:
            return False
        if own.marks & _KINDS != there.marks & _KINDS:
            return False
        units = {amount.unit, there.unit_of(amount)} | ({"day"} if own.marks & _KINDS else set())
        times = there.marks & _TIMES - units
        shared = source._shared(amount, units)
        if not own.marks & _TIMES - units <= (times or shared & _TIMES):
            return False
        bounds = (there.marks | shared) & _BOUNDS
        if bounds and own.marks & _BOUNDS and not own.marks & bounds:
            return False
        return not same_language or _same_word_beside(amount, own, there)

    def _shared(self, amount: Quantity, units: set[str | None]) -> frozenset[str]:
        """Marks of clauses that are about this number too: those that hold no other, and of days
        and weeks all: "140 full days or 280 half days a year"."""
        return self.around.union(
            *(
                clause.marks
                for clause in self.clauses
                if units & _TIMES or not clause.amounts or clause.unit_of(amount) is not None
            )
        )


@lru_cache(maxsize=2_048)
def figures(text: str, language: str, heading: str = "") -> Figures:
    return Figures(
        _clause(text, language),
        tuple(_clause(each, language) for each in _CLAUSE_END.split(text) if each.strip()),
        vocabulary.marks(heading, language),
    )


def _clause(text: str, language: str) -> _Clause:
    return _Clause(
        quantities(text),
        vocabulary.marks(text, language),
        vocabulary.topics(text, language).names,
        tuple(_beside(fold(text), language)),
    )


def _beside(folded: str, language: str) -> Iterator[tuple[Quantity, str]]:
    for match in _BESIDE.finditer(folded):
        number, word, unit = match.groups()
        if not vocabulary.is_empty(word, language) and any(
            each.unit in _TIMES for each in quantities(f"{number} {unit}")
        ):
            yield from ((each, word) for each in quantities(f"{number} {word}") if not each.unit)


def _same_word_beside(amount: Quantity, own: _Clause, there: _Clause) -> bool:
    ours, theirs = (
        frozenset(word for each, word in clause.beside if each.value == amount.value)
        for clause in (own, there)
    )
    return all(stands(word, theirs) for word in ours) and all(stands(word, ours) for word in theirs)
