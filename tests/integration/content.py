"""A thread actor on a real database, and short ways to make content through it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from actors.messages import (
    Caller,
    CreateComment,
    CreatePost,
    Failure,
    Outcome,
    Reply,
    ThreadRequest,
)
from actors.shard_messages import Ephemeral, Publication
from actors.thread import Thread
from config.settings import Postgres
from storage.directory import Directory
from storage.identity import new_id
from storage.postgres import Pool, connect
from storage.seed import seed
from storage.streams import ensure_partitions

RECEIVED_NS = 1_790_000_000_000_000_000


class RecordingPublisher:
    def __init__(self) -> None:
        self.publications: list[Publication] = []
        self.ephemeral: list[Ephemeral] = []

    def publish(self, publications: Sequence[Publication]) -> None:
        self.publications.extend(publications)

    def publish_ephemeral(self, events: Sequence[Ephemeral]) -> None:
        self.ephemeral.extend(events)

    def types(self, channel: str) -> list[tuple[int, str]]:
        return [
            (p.offset, msgspec.json.decode(p.data)["type"])
            for p in self.publications
            if p.channel == channel
        ]


class Content:
    def __init__(self, pool: Pool, thread: Thread, publisher: RecordingPublisher) -> None:
        self.pool = pool
        self.thread = thread
        self.publisher = publisher

    async def ask(self, *requests: ThreadRequest) -> list[Outcome]:
        return await self.thread.handle_batch(requests)

    async def member(self, handle: str, role: str = "member") -> Caller:
        id = new_id(0)
        await self.pool.execute(
            "with s as (insert into stream (channel) values ('user:' || $1::text) returning id)"
            " insert into account (id, handle, email, display_name, role, stream_id)"
            " select $2, $3, $3 || '@example.org', $3, $4, s.id from s",
            str(id), id, handle, role,
        )  # fmt: skip
        return Caller(id, handle, handle, role)  # type: ignore[arg-type]

    async def post(self, caller: Caller, community: str = "de-student", **fields: Any) -> Any:
        return self.body((await self.ask(create_post(caller, community, **fields)))[0])

    async def comment(self, caller: Caller, post_id: str, **fields: Any) -> Any:
        return self.body((await self.ask(create_comment(caller, post_id, **fields)))[0])

    @staticmethod
    def body(outcome: Outcome) -> Any:
        assert isinstance(outcome, Reply), outcome
        return msgspec.json.decode(outcome.body) if outcome.body else None

    @staticmethod
    def code(outcome: Outcome) -> str:
        assert isinstance(outcome, Failure), outcome
        return outcome.code


@asynccontextmanager
async def content_on(database_url: str) -> AsyncIterator[Content]:
    pool = await connect(database_url, Postgres())
    try:
        async with pool.acquire() as connection:
            await seed(connection)
            await ensure_partitions(connection, datetime.now(UTC).date(), 1)
        publisher = RecordingPublisher()
        yield Content(pool, Thread(pool, Directory(pool), publisher), publisher)
    finally:
        await pool.close()


def create_post(
    caller: Caller,
    community: str = "de-student",
    *,
    title: str = "How long does it take?",
    body: str = "I applied in **May**.",
    key: str | None = None,
    tags: tuple[str, ...] = (),
) -> CreatePost:
    return CreatePost(caller, community, title, body, None, tags, key, RECEIVED_NS)


def create_comment(
    caller: Caller,
    post_id: str,
    *,
    body: str = "Two months.",
    parent: str | None = None,
    key: str | None = None,
) -> CreateComment:
    return CreateComment(
        caller, UUID(post_id), UUID(parent) if parent else None, body, key, RECEIVED_NS
    )
