"""Which sentences stand for a whole thread: central ones that don't repeat each other. Pure.

Centrality is the mean similarity to all others (as LexRank without its damping), weighted by what
readers thought of the comment; maximal marginal relevance (Carbonell and Goldstein, 1998) picks
from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

MIN_CHARACTERS: Final = 30
MAX_CHARACTERS: Final = 320
_OF_A_COMMENT: Final = 2
_RELEVANCE: Final = 0.5
_QUESTIONS: Final = ("?", "？", "؟")


class Candidate(NamedTuple):
    """`source`: of the comment, `weight` above 0: how much readers thought of it."""

    text: str
    source: int
    weight: float


def is_candidate(sentence: str) -> bool:
    """Says something by itself: neither a question, nor a word or two, nor an address."""
    words = [word for word in sentence.split() if "://" not in word and not word.startswith("@")]
    bare = " ".join(words)
    wide = sum(character >= "\u1100" for character in bare)
    return (
        len(bare) + 2 * wide >= MIN_CHARACTERS
        and len(sentence) <= MAX_CHARACTERS
        and not sentence.rstrip().endswith(_QUESTIONS)
    )


def count_for(comments: int) -> int:
    """How many sentences a summary of so many comments has."""
    return 3 if comments < 20 else 4 if comments < 40 else 5


def choose(candidates: Sequence[Candidate], vectors: Vectors, count: int) -> list[int]:
    """Places of `count` candidates at most, in the order of the candidates. `vectors`: float32
    (candidates, dimension), each of length 1."""
    if not candidates:
        return []
    similar = vectors @ vectors.T
    size = len(candidates)
    central = (similar.sum(axis=1) - 1.0) / max(1, size - 1)
    spread = float(central.max() - central.min()) or 1.0
    relevance = [
        float((central[n] - central.min()) / spread) * candidates[n].weight for n in range(size)
    ]
    # Similarities of one thread lie close together: between the lowest and 1 there is room for all.
    lowest = float(similar.min())
    room = 1.0 - lowest or 1.0
    chosen: list[int] = []
    left = set(range(size))
    while left and len(chosen) < count:

        def gain(n: int) -> tuple[float, int]:
            nearest = max((float(similar[n, other]) - lowest for other in chosen), default=0.0)
            return _RELEVANCE * relevance[n] - (1.0 - _RELEVANCE) * nearest / room, -n

        best = max(left, key=gain)
        chosen.append(best)
        left.discard(best)
        source = candidates[best].source
        if sum(candidates[n].source == source for n in chosen) >= _OF_A_COMMENT:
            left = {n for n in left if candidates[n].source != source}
    return sorted(chosen)
