"""Accounts, communities and posts for tests of feeds and jobs, written straight into the tables."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from actors.messages import Caller
from config.settings import Postgres
from storage.identity import NO_COUNTRY, country_of, new_id, time_ms_of
from storage.postgres import Pool, connect

NOW_MS = 1_790_000_000_000
DAY_MS = 86_400_000


class World:
    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    async def account(self, handle: str, *, status: str = "active") -> Caller:
        id = new_id(NO_COUNTRY)
        await self.pool.execute(
            "with s as (insert into stream (channel) values ('user:' || $1::uuid) returning id)"
            " insert into account (id, handle, display_name, status, stream_id)"
            " select $1, $2, upper($2), $3, id from s",
            id,
            handle,
            status,
        )
        return Caller(id, handle, handle.upper())

    async def community(
        self, slug: str, country: int = NO_COUNTRY, *, private: bool = False, name: str = ""
    ) -> UUID:
        id = new_id(country)
        await self.pool.execute(
            "with s as (insert into stream (channel) values ('community:' || $1::uuid)"
            " returning id)"
            " insert into community (id, country_id, slug, name, kind, visibility, stream_id)"
            " select $1, $2, $3, $4, 'group', $5, id from s",
            id,
            country,
            slug,
            name or slug,
            "private" if private else "public",
        )
        return id

    async def join(self, caller: Caller, community_id: UUID, role: str = "member") -> None:
        await self.pool.execute(
            "insert into membership (account_id, community_id, role) values ($1, $2, $3)",
            caller.account_id,
            community_id,
            role,
        )

    async def post(
        self,
        community_id: UUID,
        author: Caller,
        *,
        up: int = 0,
        age_days: float = 0.0,
        pinned: bool = False,
        body: str = "text",
    ) -> UUID:
        id = new_id(country_of(community_id), NOW_MS - int(age_days * DAY_MS))
        await self.pool.execute(
            "with s as (insert into stream (channel) values ('thread:' || $1::uuid) returning id)"
            " insert into post (country_id, id, community_id, author_id, stream_id, title,"
            "   body_markdown, body_html, language, up, hot, pinned, created_at)"
            " select id_country($1), $1, $2, $3, id, 'A title', $7, '', 'en', $4,"
            "   hot_rank($4, 0, $5), $6, to_timestamp($5 / 1000.0) from s",
            id,
            community_id,
            author.account_id,
            up,
            time_ms_of(id),
            pinned,
            body,
        )
        return id

    async def comment(
        self, post_id: UUID, author: Caller, parent_id: UUID | None = None, *, body: str = "text"
    ) -> UUID:
        id = new_id(country_of(post_id))
        await self.pool.execute(
            "insert into comment (country_id, id, post_id, parent_id, depth, author_id,"
            " body_markdown, body_html, language, created_at)"
            " values (id_country($1), $1, $2, $3, 0, $4, $5, '', 'en', now())",
            id,
            post_id,
            parent_id,
            author.account_id,
            body,
        )
        return id


@asynccontextmanager
async def world(database_url: str) -> AsyncIterator[World]:
    pool = await connect(database_url, Postgres())
    try:
        yield World(pool)
    finally:
        await pool.close()
