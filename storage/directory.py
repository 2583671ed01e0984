"""What every writer and feed must know of a community, cached: it hardly ever changes.

Permissions are never decided from here: visibility and roles are checked in the transaction.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final
from uuid import UUID

import msgspec

from storage.communities import lookup_key
from storage.postgres import Pool, acquire

_KEPT_SECONDS: Final = 60.0
_MAX_ENTRIES: Final = 20_000
_FIND: Final = """
    select id, slug, country_id, visa_type, kind, visibility, stream_id from community where"""


class Community(msgspec.Struct, frozen=True, gc=False):
    id: UUID
    slug: str
    country_id: int
    visa_type: str | None
    kind: str
    visibility: str
    stream_id: int


class Directory:
    """Communities by id or slug, each at most a minute old. Unknown ones are never kept."""

    def __init__(self, pool: Pool, clock: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._clock = clock
        self._entries: dict[str, tuple[float, Community]] = {}

    async def find(self, id_or_slug: str) -> Community | None:
        entry = self._entries.get(id_or_slug)
        if entry is not None and entry[0] > self._clock():
            return entry[1]
        key = lookup_key(id_or_slug)
        if key is None:
            return None
        column, value = key
        async with acquire(self._pool) as connection:
            row = await connection.fetchrow(f"{_FIND} {column} = $1", value)
        if row is None:
            self._entries.pop(id_or_slug, None)
            return None
        if len(self._entries) >= _MAX_ENTRIES:
            self._entries.clear()
        community = Community(*row)
        self._entries[id_or_slug] = (self._clock() + _KEPT_SECONDS, community)
        return community
