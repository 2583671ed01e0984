"""Several rankings into one: reciprocal rank fusion, then what speaks for a passage beside its
words, then fewer of each thread. Pure.

Ranks and not scores are fused, since engines' scores have no common scale (Cormack, Clarke and
Büttcher, SIGIR 2009; k = 60 is theirs).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Final, NamedTuple, TypeVar

K: Final = 60

# What a source weighs beside its ranks. The first of a ranking has 1/61, the tenth 13 % less: the
# three together lift a passage by some ten places, and none past what fits much better.
OFFICIAL: Final = 0.06
RECENT: Final = 0.06
SAME_LANGUAGE: Final = 0.03
HALF_LIFE_DAYS: Final = 365.0

T = TypeVar("T", bound=Hashable)
P = TypeVar("P")


class Merits(NamedTuple):
    official: bool
    age_days: float
    same_language: bool


def reciprocal_ranks(rankings: Iterable[Sequence[T]], k: int = K) -> dict[T, float]:
    """Each item's sum of 1 / (k + rank); only its best place in a ranking counts."""
    scores: dict[T, float] = {}
    for ranking in rankings:
        for rank, item in enumerate(dict.fromkeys(ranking), 1):
            scores[item] = scores.get(item, 0.0) + 1.0 / (k + rank)
    return scores


def weighted(score: float, merits: Merits) -> float:
    """Between `score` and 1.15 times that."""
    recency = math.exp2(-max(0.0, merits.age_days) / HALF_LIFE_DAYS)
    return score * (
        1.0 + OFFICIAL * merits.official + RECENT * recency + SAME_LANGUAGE * merits.same_language
    )


def thinned(ordered: Iterable[P], thread_of: Callable[[P], Hashable], per_thread: int) -> list[P]:
    """The same order, with at most `per_thread` of each thread: its best ones."""
    taken: Counter[Hashable] = Counter()
    kept = []
    for item in ordered:
        thread = thread_of(item)
        if taken[thread] < per_thread:
            taken[thread] += 1
            kept.append(item)
    return kept
