"""The home feed: what the caller's communities have, mixed by the diversity rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from actors import content
from actors.feed_cursors import home_bound, home_cursor, scope_of
from actors.feed_messages import ReadHome
from actors.home_merge import merge, needed
from actors.messages import Reply
from storage import feeds, home_feed
from storage.feed_keys import Languages
from storage.home_feed import HomeBounds
from storage.postgres import wal_position
from storage.replicas import Readers

_encode: Final = msgspec.json.Encoder().encode


class HomeReader:
    def __init__(self, readers: Readers, clock_ms: Callable[[], int]) -> None:
        self._readers = readers
        self._clock_ms = clock_ms

    async def read(self, request: ReadHome) -> Reply:
        """For guests, and for members who have joined nothing, all public communities."""
        account_id = request.caller.account_id
        languages = Languages.of(request.languages)
        scope = scope_of(request, account_id, languages)
        start = home_bound(request, scope, self._clock_ms())
        carried = start.carried
        bounds = HomeBounds(
            carried.below, carried.held, carried.deferred, start.since, needed(request.limit)
        )
        async with self._readers.acquire(request.position) as connection:
            position = await wal_position(connection)
            joined = account_id is not None and await home_feed.has_joined(connection, account_id)
            candidates = await home_feed.candidates(
                connection, request.sort, account_id, bounds, languages, joined=joined
            )
            merged = merge(candidates, carried, request.limit)
            posts = await feeds.posts_by_id(connection, [post.id for post in merged.posts])
        cursor = None if merged.carried is None else home_cursor(scope, merged.carried, start.since)
        body = _encode({"items": [content.post_view(p) for p in posts], "next_cursor": cursor})
        return Reply(200, body, position)
