"""The Search actor: answers what is asked of the index, and keeps it. A plain class that serve_app
deploys."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from actors.messages import Failure, Outcome, Reply
from actors.outcomes import settle, settle_all
from actors.retrieval import Retriever
from actors.retrieval_messages import RetrievalQuery
from actors.search_indexer import SearchIndexer
from actors.search_messages import (
    FillIndex,
    FindSimilar,
    IndexContent,
    SearchContent,
    SearchRequest,
    SuggestTitles,
)
from actors.search_pages import Searcher, being_made
from actors.similar_posts import find_similar
from config.errors import AppError
from config.settings import Guides
from storage.postgres import Pool
from storage.search.engine import SearchEngine, UnknownGeneration

_encode: Final = msgspec.json.Encoder().encode


class Search:
    """One replica where the engine is embedded, any number with a server. Without a retriever
    nothing is found by meaning."""

    def __init__(
        self,
        pool: Pool,
        engine: SearchEngine,
        guides: Guides | None = None,
        retriever: Retriever | None = None,
    ) -> None:
        self._pool = pool
        self._retriever = retriever
        self._searcher = Searcher(pool, engine, guides or Guides(), retriever)
        self._indexer = SearchIndexer(pool, engine)
        self._keeping: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()

    def start(self) -> None:
        """Returns at once: neither the database nor the engine need answer yet."""
        work = self._indexer.keep(self._settled.set)
        self._keeping = asyncio.create_task(work, name="search-keeping")

    async def wait_settled(self) -> None:
        """Until there is an index; it may still be filled."""
        await self._settled.wait()

    def check_health(self) -> None:
        """Raises RuntimeError when the index is kept no longer, for whatever reason but a missing
        database or engine."""
        if self._keeping is not None and self._keeping.done() and not self._keeping.cancelled():
            raise RuntimeError("the index is not kept any more") from self._keeping.exception()

    async def close(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)

    async def handle_batch(self, requests: Sequence[SearchRequest]) -> list[Outcome]:
        """One outcome a request, in order. What is to be indexed goes to the engine as one
        write."""
        outcomes: list[Outcome] = [Failure("internal")] * len(requests)
        to_index = [n for n, each in enumerate(requests) if isinstance(each, IndexContent)]

        async def one(place: int) -> None:
            outcomes[place] = await settle(self._answer(requests[place]))

        async def index() -> None:
            asked = [each for each in requests if isinstance(each, IndexContent)]
            for place, outcome in zip(
                to_index, await settle_all(self._index(asked), len(asked)), strict=True
            ):
                outcomes[place] = outcome

        async with asyncio.TaskGroup() as tasks:
            if to_index:
                tasks.create_task(index())
            for place, request in enumerate(requests):
                if not isinstance(request, IndexContent):
                    tasks.create_task(one(place))
        return outcomes

    async def _index(self, requests: Sequence[IndexContent]) -> list[Outcome]:
        await self._indexer.index(requests)
        return [Reply(204)] * len(requests)

    async def _found(self, ask: Callable[[], Awaitable[Reply]]) -> Reply:
        """Once more where another index has taken the place of the one that was asked; where the
        engine has lost it, another is made."""
        with suppress(UnknownGeneration):
            return await ask()
        with suppress(UnknownGeneration):
            return await ask()
        await self._indexer.settle()
        raise being_made()

    async def _answer(self, request: SearchRequest) -> Reply:
        match request:
            case SearchContent():
                return await self._found(lambda: self._searcher.search(request))
            case SuggestTitles():
                return await self._found(lambda: self._searcher.suggest(request))
            case FindSimilar():
                return await find_similar(self._pool, self._by_meaning(), request)
            case RetrievalQuery():
                return Reply(body=_encode(await self._by_meaning().find(request)))
            case FillIndex():
                return Reply(body=_encode(await self._indexer.fill()))
            case IndexContent():
                (outcome,) = await self._index([request])
                assert isinstance(outcome, Reply)
                return outcome

    def _by_meaning(self) -> Retriever:
        if self._retriever is None:
            raise AppError("unavailable", "Nothing is found by meaning here.")
        return self._retriever
