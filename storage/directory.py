"""What every writer and feed must know of a community, cached: it hardly ever changes.

Permissions are never decided from here: visibility and roles are checked in the transaction.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final
from uuid import UUID

import msgspec

from config.errors import AppError
from storage.communities import lookup_key
from storage.postgres import Pool, acquire

_KEPT_SECONDS: Final = 60.0
# Nobody's posts to a community that isn't there may cost a query each.
_MISSES_KEPT_SECONDS: Final = 1.0
_MAX_ENTRIES: Final = 20_000
_FIND: Final = """
    select id, slug, country_id, visa_type, kind, visibility, stream_id from community
    where id = any($1::uuid[]) or slug = any($2::text[])"""


class Community(msgspec.Struct, frozen=True, gc=False):
    id: UUID
    slug: str
    country_id: int
    visa_type: str | None
    kind: str
    visibility: str
    stream_id: int


class Directory:
    """Communities by id or slug, each at most a minute old; unknown ones for a second. While the
    primary is away those that were known stay known, so that replicas can go on answering."""

    def __init__(self, pool: Pool, clock: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._clock = clock
        self._entries: dict[str, tuple[float, Community | None]] = {}

    async def find(self, id_or_slug: str) -> Community | None:
        return (await self.find_all([id_or_slug]))[id_or_slug]

    async def find_all(self, wanted: Iterable[str]) -> dict[str, Community | None]:
        """All of them, by what they were asked by: one query for what is not known."""
        now = self._clock()
        found: dict[str, Community | None] = {}
        asked: dict[str, UUID | str] = {}
        for text in wanted:
            entry = self._entries.get(text)
            key = lookup_key(text)
            if entry is not None and entry[0] > now:
                found[text] = entry[1]
            elif key is None:
                found[text] = None
            else:
                asked[text] = key[1]
        if asked:
            try:
                found |= await self._read(asked)
            except AppError as error:
                kept = {text: self._entries[text][1] for text in asked if text in self._entries}
                if not error.retryable or None in kept.values() or len(kept) < len(asked):
                    raise
                found |= kept
        return found

    async def _read(self, asked: dict[str, UUID | str]) -> dict[str, Community | None]:
        keys = asked.values()
        async with acquire(self._pool) as connection:
            rows = await connection.fetch(
                _FIND,
                [key for key in keys if isinstance(key, UUID)],
                [key for key in keys if isinstance(key, str)],
            )
        communities: dict[UUID | str, Community] = {}
        for row in rows:
            community = Community(*row)
            communities[community.id] = communities[community.slug] = community
        found = {text: communities.get(key) for text, key in asked.items()}
        if len(self._entries) + len(found) > _MAX_ENTRIES:
            self._entries.clear()
        now = self._clock()
        for text, each in found.items():
            kept = _MISSES_KEPT_SECONDS if each is None else _KEPT_SECONDS
            self._entries[text] = (now + kept, each)
        return found
