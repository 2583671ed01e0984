"""A thread in a public community, people who are not its author, and the job that tells them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest

from actors.messages import Caller
from actors.notifying import Notifier, NotifyJob
from actors.shard_messages import Publication
from storage.follows import Level, follow_community, follow_thread
from storage.notices import EditedText, FreshComment
from storage.notifications import list_notifications
from storage.streams import ensure_partitions
from tests.integration.feed_world import World, world


@dataclass
class Scene:
    """Ada's post in a public community, and people who are not her."""

    here: World
    ada: Caller
    ben: Caller
    cem: Caller
    community: UUID
    post: UUID
    published: list[Publication] = field(default_factory=list)

    async def notify(
        self,
        *,
        comments: Sequence[UUID | FreshComment] = (),
        posts: Sequence[UUID] = (),
        edited: Sequence[EditedText] = (),
        followers_at_once: int = 100,
    ) -> None:
        fresh = [c if isinstance(c, FreshComment) else FreshComment(c) for c in comments]
        job = NotifyJob(fresh, list(posts), list(edited))
        notifier = Notifier(self.here.pool, self.published.extend, followers_at_once)
        await notifier.run(msgspec.json.encode(job))

    async def follow(self, who: Caller, level: Level, post: UUID | None = None) -> None:
        assert who.account_id is not None
        async with self.here.pool.acquire() as connection:
            await follow_thread(connection, who.account_id, post or self.post, level)

    async def follow_community(self, who: Caller, level: Level) -> None:
        assert who.account_id is not None
        async with self.here.pool.acquire() as connection:
            await follow_community(connection, who.account_id, self.community, level)

    async def mute(self, who: Caller, muted: Caller) -> None:
        await self.here.pool.execute(
            "insert into account_mute (account_id, muted_id) values ($1, $2)",
            who.account_id,
            muted.account_id,
        )

    async def level(self, who: Caller) -> str | None:
        found: str | None = await self.here.pool.fetchval(
            "select level from thread_follow where account_id = $1 and post_id = $2",
            who.account_id,
            self.post,
        )
        return found

    async def counts(self, who: Caller) -> list[tuple[str, int]]:
        """(kind, count) of the account's notifications, oldest first."""
        assert who.account_id is not None
        async with self.here.pool.acquire() as connection:
            found = await list_notifications(connection, who.account_id, None, 100)
        return [(each.kind, each.count) for each in reversed(found)]

    async def told(self) -> list[tuple[str, str, UUID | None]]:
        """(handle, kind, comment) of all notifications, in the order of writing."""
        rows = await self.here.pool.fetch(
            "select a.handle, n.kind, n.comment_id from notification n"
            " join account a on a.id = n.account_id order by n.created_at, a.handle"
        )
        return [tuple(row) for row in rows]


@pytest.fixture
async def scene(database_url: str) -> AsyncIterator[Scene]:
    async with world(database_url) as here:
        async with here.pool.acquire() as connection:
            await ensure_partitions(connection, datetime.now(UTC).date(), 1)
        ada, ben, cem = [await here.account(name) for name in ("ada", "ben", "cem")]
        community = await here.community("c")
        yield Scene(here, ada, ben, cem, community, await here.post(community, ada))
