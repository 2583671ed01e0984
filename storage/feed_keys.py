"""The order of feeds as values: what a page begins below, and what may stand on it. Pure.

Feeds run from the highest key to the lowest. Bounds are exclusive.
"""

from __future__ import annotations

from typing import Final, NamedTuple
from uuid import UUID

from config.language_tags import canonical_language

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
    """What a feed is filtered by. `primary`: the first subtags of all, in lower case; of those in
    `whole` every variety is meant, of the others the tags in `regional` alone."""

    primary: tuple[str, ...]
    whole: tuple[str, ...]
    regional: tuple[str, ...]

    @classmethod
    def of(cls, tags: tuple[str, ...]) -> Languages | None:
        """BCP 47 tags; None for none, which means every language."""
        if not tags:
            return None
        canonical = {canonical_language(tag) for tag in tags}
        whole = {tag for tag in canonical if "-" not in tag}
        regional = {tag for tag in canonical - whole if tag.partition("-")[0] not in whole}
        primary = whole | {tag.partition("-")[0] for tag in regional}
        return cls(tuple(sorted(primary)), tuple(sorted(whole)), tuple(sorted(regional)))
