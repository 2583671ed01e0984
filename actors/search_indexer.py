"""Keeps the search engine in step with Postgres.

    change committed, job 'index' ─▶ IndexContent ─▶ lock ─▶ read what stands ─▶ write it, unlock
    new database, lost directory, rebuild command ─▶ job 'fill_search' ─▶ FillIndex, page by page

A change goes to the live index and to the one that is being filled. Reading and writing happen
under one lock (storage/search/generations.py), so that a later state is never overwritten by an
earlier.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar
from uuid import UUID

from prometheus_client import Counter

from actors.search_messages import Filled, IndexContent
from config.errors import AppError
from storage.postgres import Connection, Pool, in_transaction
from storage.search import generations
from storage.search.documents import read_documents, read_page
from storage.search.engine import Changes, Kind, SearchEngine, UnknownGeneration
from storage.search.generations import Generation
from storage.search.index_jobs import enqueue_fill

_log = logging.getLogger(__name__)

T = TypeVar("T")

PAGE: Final = 500
_KINDS: Final[tuple[Kind, ...]] = ("guide", "post", "comment")
_KINDS_AFTER: Final = dict(zip(_KINDS, (*_KINDS[1:], None), strict=True))
_FIRST_PAUSE_SECONDS: Final = 0.2
_LONGEST_PAUSE_SECONDS: Final = 5.0
_RENEW_SECONDS: Final = 3_600.0

_indexed = Counter("serai_search_indexed", "Documents written to or taken out of the index")


class SearchIndexer:
    def __init__(self, pool: Pool, engine: SearchEngine, page: int = PAGE) -> None:
        self._pool = pool
        self._engine = engine
        self._page = page
        # Those of this process wait here, and not with a connection in their hands.
        self._one = asyncio.Lock()

    async def settle(self) -> None:
        """Forgets indexes that the engine does not have, or that are of another version or
        database; has one made and filled where none is left, and goes on filling one that is not
        finished."""

        async def work(connection: Connection) -> None:
            await generations.lock(connection)
            known = await generations.read(connection, self._engine.name)
            kept = [one for one in known if one.fits and await self._is_there(one)]
            lost = [one.number for one in known if one not in kept]
            await generations.forget(connection, lost)
            if not any(one.live for one in kept):
                # One that was being filled beside the lost one is as good as a new one.
                await generations.forget(connection, [one.number for one in kept])
                number = await generations.add(connection, self._engine.name, live=True)
                await self._engine.create(number)
                await enqueue_fill(connection)
            elif not all(one.finished for one in kept):
                await enqueue_fill(connection)

        async with self._one:
            await in_transaction(self._pool, work)

    async def keep(self, on_settled: Callable[[], None]) -> None:
        """`settle`, again until it has succeeded; then, each hour, `renew`. Ends when cancelled."""
        await self._insist(self.settle)
        on_settled()
        while True:
            await asyncio.sleep(_RENEW_SECONDS)
            await self._insist(self.renew)

    async def _insist(self, work: Callable[[], Awaitable[None]]) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                return await work()
            except AppError as error:
                _log.warning("the search index is not ready: %s", error)
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE_SECONDS, 2 * pause)

    async def _is_there(self, one: Generation) -> bool:
        """One that nobody has begun to fill has not been made yet."""
        return (one.after_kind is None and not one.live) or await self._engine.has(one.number)

    # ------------------------------------------------------------ changes

    async def index(self, requests: Sequence[IndexContent]) -> None:
        """All of them in one write. Raises AppError."""
        threads = {id for request in requests for id in request.threads}
        posts = {id for request in requests for id in request.posts} | threads
        comments = {id for request in requests for id in request.comments}
        guides = {id for request in requests for id in request.guides}

        async def work(connection: Connection) -> None:
            await generations.lock(connection)
            targets = await generations.read(connection, self._engine.name)
            documents = await read_documents(connection, list(posts), list(comments), list(guides))
            standing = {document.id for document in documents}
            gone = [id for id in posts | comments | guides if id not in standing]
            changes = Changes(documents, gone, list(threads))
            for target in targets:
                await self._apply(target, changes)
            _indexed.inc(len(documents) + len(gone))

        await self._run(work)

    async def _apply(self, target: Generation, changes: Changes) -> None:
        if not target.live and not await self._engine.has(target.number):
            return  # filling it has not begun, and will read what stands then
        await self._engine.apply(target.number, changes)

    async def _run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Once more where the engine turns out to have lost its index."""
        try:
            async with self._one:
                return await in_transaction(self._pool, work)
        except UnknownGeneration:
            await self.settle()
        try:
            async with self._one:
                return await in_transaction(self._pool, work)
        except UnknownGeneration as error:
            raise AppError("unavailable", "The search index is being made.") from error

    # ------------------------------------------------------------ all of it

    async def fill(self) -> Filled:
        """The next page of the index that is not finished; with the last one it is the live one and
        all others are deleted. Raises AppError."""

        async def work(connection: Connection) -> Filled:
            await generations.lock(connection)
            known = await generations.read(connection, self._engine.name)
            target = next((one for one in known if not one.finished), None)
            if target is None:
                await self._engine.keep_only([one.number for one in known])
                return Filled(True, sum(one.documents for one in known if one.live))
            if target.after_kind is None and not target.live:
                await self._engine.create(target.number)
            return await self._fill(connection, target)

        return await self._run(work)

    async def renew(self) -> None:
        """Begins a rebuild where the files of the live index hold words of removed texts, and it is
        a day old: those are gone when it has been filled. Raises AppError."""

        async def work(connection: Connection) -> None:
            await generations.lock(connection)
            known = await generations.read(connection, self._engine.name)
            for one in known:
                if one.live and one.is_old and await self._engine.has_remains(one.number):
                    await generations.begin_rebuild(connection, self._engine.name)

        await self._run(work)

    async def _fill(self, connection: Connection, target: Generation) -> Filled:
        kind, after = _place(target)
        while kind is not None:
            page = await read_page(connection, kind, after, self._page)
            if page.after is not None:
                await self._engine.apply(target.number, Changes(page.documents))
                count = len(page.documents)
                await generations.advance(connection, target.number, kind, page.after, count)
                return Filled(False, target.documents + count)
            kind, after = _KINDS_AFTER[kind], generations.FIRST
        await generations.finish(connection, self._engine.name, target.number)
        return Filled(False, target.documents)


def _place(target: Generation) -> tuple[Kind | None, tuple[int, UUID]]:
    if target.after_kind is None:
        return _KINDS[0], generations.FIRST
    kind = next(kind for kind in _KINDS if kind == target.after_kind)
    assert target.after_country is not None and target.after_id is not None
    return kind, (target.after_country, target.after_id)
