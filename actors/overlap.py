"""How much two texts share word for word, by the words that search has. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from storage.search.words import folded_words


def overlap(one: str, other: str) -> float:
    """From 0, nothing in common, to 1, the same words: shared ones against all (Dice)."""
    first, second = set(folded_words(one)), set(folded_words(other))
    if not first or not second:
        return 0.0
    return 2 * len(first & second) / (len(first) + len(second))


def most_alike(question: str, parts: Sequence[str]) -> int:
    """The place of the part with most words of the question, the first of several; 0 of none."""
    wanted = set(folded_words(question))
    counts = [len(wanted.intersection(folded_words(part))) for part in parts]
    return counts.index(max(counts)) if counts else 0
