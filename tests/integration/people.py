"""An Accounts actor on a fresh database, and people who use it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from actors.access_token import verify
from actors.account_messages import Register, Tokens
from actors.accounts import Accounts
from actors.messages import Caller, Failure, Outcome, Reply
from actors.passwords import Passwords
from actors.people_messages import PeopleRequest
from actors.shard_messages import Publication
from config.settings import Auth, Postgres
from storage.identity import new_id
from storage.postgres import Pool, connect
from storage.streams import ensure_partitions

SECRET = "the secret of the tests, long enough"
PASSWORD = "correct horse battery"
NOW = 1_800_000_000.0


@dataclass
class Person:
    caller: Caller
    refresh_token: str

    @property
    def id(self) -> UUID:
        assert self.caller.account_id is not None
        return self.caller.account_id

    @property
    def channel(self) -> str:
        return f"user:{self.id}"


@dataclass
class World:
    pool: Pool
    accounts: Accounts
    published: list[Publication] = field(default_factory=list)

    async def ask(self, request: PeopleRequest) -> Outcome:
        (outcome,) = await self.accounts.handle_batch([request])
        return outcome

    async def reply(self, request: PeopleRequest) -> Reply:
        outcome = await self.ask(request)
        assert isinstance(outcome, Reply), outcome
        return outcome

    async def failure(self, request: PeopleRequest) -> Failure:
        outcome = await self.ask(request)
        assert isinstance(outcome, Failure), outcome
        return outcome

    async def register(self, handle: str) -> Person:
        reply = await self.reply(register(handle))
        return person(tokens(reply))

    async def community(self, slug: str, visibility: str = "public") -> UUID:
        id = new_id(276)
        await self.pool.execute(
            "with s as (insert into stream (channel) select 'community:' || $1::uuid returning id)"
            " insert into community (id, country_id, slug, name, kind, visibility, stream_id)"
            " select $1, 276, $2, $2, 'group', $3, id from s",
            id,
            slug,
            visibility,
        )
        return id

    async def join_many(self, who: Person, count: int) -> None:
        """Communities that nobody else is in."""
        await self.pool.execute(
            "with made as (insert into community (id, country_id, slug, name, kind, visibility,"
            "     stream_id) select id, 0, 'many-' || id, '', 'group', 'public', 0"
            "   from unnest($1::uuid[]) i (id) returning id)"
            " insert into membership (account_id, community_id) select $2, id from made",
            [new_id(0) for _ in range(count)],
            who.id,
        )

    async def post(self, community_id: UUID, author: Person, title: str = "A title") -> UUID:
        id = new_id(276)
        await self.pool.execute(
            "with s as (insert into stream (channel) values ('thread:' || $1::uuid) returning id)"
            " insert into post (country_id, id, community_id, author_id, stream_id, title,"
            " body_markdown, body_html, language, hot, created_at)"
            " select 276, $1, $2, $3, id, $4, '', '', 'en', 0, now() from s",
            id,
            community_id,
            author.id,
            title,
        )
        return id

    async def events(self, channel: str) -> list[tuple[int, dict[str, Any]]]:
        """(offset, payload) of what stands in the stream."""
        rows = await self.pool.fetch(
            "select e.off, e.payload from stream s join stream_event e on e.stream_id = s.id"
            " where s.channel = $1 order by e.off",
            channel,
        )
        return [(row["off"], msgspec.json.decode(row["payload"])) for row in rows]

    async def role(self, who: Person, community_id: UUID) -> str | None:
        role: str | None = await self.pool.fetchval(
            "select role from membership where account_id = $1 and community_id = $2",
            who.id,
            community_id,
        )
        return role

    async def member_count(self, community_id: UUID) -> int:
        count = await self.pool.fetchval(
            "select member_count from community where id = $1", community_id
        )
        return int(count)


def register(handle: str, **changes: Any) -> Register:
    values: dict[str, Any] = {
        "handle": handle,
        "email": f"{handle}@example.org",
        "password": PASSWORD,
        "languages": ("de", "en"),
        "user_agent": "test",
    }
    return Register(**(values | changes))


def tokens(reply: Reply) -> Tokens:
    return msgspec.json.decode(reply.body, type=Tokens)


def person(given: Tokens) -> Person:
    caller, _ = verify(given.access_token, SECRET, NOW)
    return Person(caller, given.refresh_token)


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    pool = await connect(database_url, Postgres(pool_size=4))
    async with pool.acquire() as connection:
        await ensure_partitions(connection, datetime.now(UTC).date(), 1)
    yield pool
    await pool.close()


@pytest.fixture
async def world(pool: Pool) -> AsyncIterator[World]:
    published: list[Publication] = []
    accounts = Accounts(
        pool,
        Auth(),
        SECRET,
        published.extend,
        passwords=Passwords(memory_kib=8, passes=1),
        clock=lambda: NOW,
    )
    yield World(pool, accounts, published)
    accounts.close()
