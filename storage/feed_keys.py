"""The order of feeds as values: what a page begins below, and what may stand on it. Pure.

Feeds run from the highest key to the lowest. Bounds are exclusive.
"""

from __future__ import annotations

from typing import Final, NamedTuple
from uuid import UUID

HIGHEST_ID: Final = UUID(int=(1 << 128) - 1)
LOWEST_ID: Final = UUID(int=0)
HIGHEST: Final = float("inf")
LOWEST: Final = float("-inf")
HIGHEST_SCORE: Final = 2**31 - 1

Ranked = tuple[float, UUID]
Scored = tuple[int, UUID]


class Candidate(NamedTuple):
    """A post that a feed of several communities may show. `rank`: of the feed's order, 0 where ids
    alone order it."""

    rank: float
    id: UUID
    author_id: UUID
    community_id: UUID

    @property
    def key(self) -> Ranked:
        return self.rank, self.id


class Languages(NamedTuple):
    """Lower-case BCP 47 tags; `pt` stands for `pt-BR` too. `primary`: their first subtags."""

    tags: tuple[str, ...]
    primary: tuple[str, ...]

    @classmethod
    def of(cls, tags: tuple[str, ...]) -> Languages | None:
        """None: every language."""
        lower = tuple(sorted({tag.lower() for tag in tags}))
        return (
            cls(lower, tuple(sorted({tag.partition("-")[0] for tag in lower}))) if lower else None
        )
