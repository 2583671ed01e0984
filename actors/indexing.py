"""The jobs that keep the search index: 'index' for what changed, 'fill_search' for all there is.

Nothing of a text is read here: the Search deployment reads what stands and writes it under one
lock. What else is made of texts begins here as well, and does not wait for a search engine that is
away: their vectors (storage/search/derived.py) and the job 'derive' (storage/derive_jobs.py).
"""

from __future__ import annotations

from typing import Final, Protocol
from uuid import UUID

import msgspec

from actors.search_messages import Filled, IndexContent
from config.errors import AppError
from storage.derive_jobs import DeriveJob, enqueue_derive
from storage.postgres import Connection, Pool, acquire, in_transaction
from storage.search.derived import enqueue_derived
from storage.search.documents import comments_of, posts_of
from storage.search.index_jobs import IndexJob, enqueue_index

AT_ONCE: Final = 500
"""Ids of one call."""
POSTS_AT_ONCE: Final = 50
_FIRST: Final = UUID(int=0)
_LAST: Final = UUID(int=(1 << 128) - 1)

_decode: Final = msgspec.json.Decoder(IndexJob).decode


class Index(Protocol):
    """The Search deployment. Raises AppError `unavailable` while it or its engine is away."""

    async def index(self, content: IndexContent) -> None: ...
    async def fill(self) -> Filled: ...


class _Nowhere:
    """Where there is no Search deployment."""

    async def index(self, content: IndexContent) -> None:
        raise AppError("unavailable", "There is no search.")

    async def fill(self) -> Filled:
        raise AppError("unavailable", "There is no search.")


NOWHERE: Final[Index] = _Nowhere()


class Indexer:
    def __init__(self, pool: Pool, search: Index) -> None:
        self._pool = pool
        self._search = search

    async def run(self, payload: bytes) -> None:
        """Idempotent. Raises msgspec.DecodeError, AppError."""
        job = _decode(payload)
        derive = DeriveJob(job.posts, job.comments, job.threads)

        async def begin_others(connection: Connection) -> None:
            await enqueue_derive(connection, derive)
            await enqueue_derived(connection, job)

        await in_transaction(self._pool, begin_others)
        if job.posts or job.comments or job.guides:
            await self._in_parts(job)
        for thread in job.threads:
            await self._search.index(IndexContent(threads=(thread,)))
            await self._comments(thread)
        for community in job.communities:
            await self._community(community, job.after or _LAST)

    async def fill(self, _: bytes) -> None:
        """Until the index holds everything; goes on where an earlier run has ended."""
        while not (await self._search.fill()).done:
            pass

    async def _in_parts(self, job: IndexJob) -> None:
        for at in range(0, max(len(job.posts), len(job.comments), len(job.guides)), AT_ONCE):
            part = slice(at, at + AT_ONCE)
            await self._search.index(
                IndexContent(
                    tuple(job.posts[part]), tuple(job.comments[part]), tuple(job.guides[part])
                )
            )

    async def _comments(self, post_id: UUID) -> None:
        after = _FIRST
        while True:
            async with acquire(self._pool) as connection:
                ids = await comments_of(connection, post_id, after, AT_ONCE)
            if not ids:
                return
            await self._search.index(IndexContent(comments=tuple(ids)))
            after = ids[-1]

    async def _community(self, community_id: UUID, before: UUID) -> None:
        """Its newest posts; a job of its own goes on with the others."""
        async with acquire(self._pool) as connection:
            posts = await posts_of(connection, community_id, before, POSTS_AT_ONCE)
        if not posts:
            return
        await self._search.index(IndexContent(posts=tuple(posts)))
        for post in posts:
            await self._comments(post)
        if len(posts) == POSTS_AT_ONCE:
            rest = IndexJob(communities=[community_id], after=posts[-1])
            await in_transaction(self._pool, lambda connection: enqueue_index(connection, rest))
