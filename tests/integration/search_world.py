"""A search engine beside a thread actor on a real database; jobs run when a test says so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from actors.by_words import EngineWords
from actors.indexing import Indexer
from actors.messages import GUEST, Caller, Failure, Reply
from actors.retrieval import Retriever
from actors.search import Search
from actors.search_messages import (
    Filled,
    FillIndex,
    IndexContent,
    SearchContent,
    SearchRequest,
    SuggestTitles,
)
from config.settings import Guides
from storage.postgres import Pool
from storage.search.engine import SearchEngine
from storage.search.index_jobs import ENTRYPOINT, FILL_ENTRYPOINT
from storage.search.tantivy_engine import TantivyEngine
from tests.embedding_models import WordEmbedders
from tests.integration.content import Content, content_on


class AskedSearch:
    """The actor, asked without a deployment around it."""

    def __init__(self, search: Search) -> None:
        self.search = search

    async def ask(self, request: SearchRequest) -> Any:
        (outcome,) = await self.search.handle_batch([request])
        if isinstance(outcome, Failure):
            raise outcome.error()
        assert isinstance(outcome, Reply)
        return msgspec.json.decode(outcome.body) if outcome.body else None

    async def index(self, content: IndexContent) -> None:
        await self.ask(content)

    async def fill(self) -> Filled:
        return msgspec.convert(await self.ask(FillIndex()), Filled)


class SearchWorld(AskedSearch):
    def __init__(self, content: Content, search: Search, engine: SearchEngine) -> None:
        super().__init__(search)
        self.content = content
        self.engine = engine

    async def documents(self) -> int:
        """In the index that is searched."""
        live = "select generation from search_index where live"
        return await self.engine.count(await self.content.pool.fetchval(live))

    async def run_jobs(self) -> int:
        """Those of search that wait in the queue; how many there were."""
        indexer = Indexer(self.content.pool, self)
        handlers = {ENTRYPOINT: indexer.run, FILL_ENTRYPOINT: indexer.fill}
        count = 0
        while rows := await self.content.pool.fetch(
            "delete from pgqueuer where entrypoint = any($1) returning entrypoint, payload",
            list(handlers),
        ):
            for row in rows:
                await handlers[row["entrypoint"]](row["payload"])
            count += len(rows)
        return count

    async def page(self, q: str, caller: Caller = GUEST, limit: int = 20, **more: Any) -> Any:
        return await self.ask(SearchContent(caller, q, limit, **more))

    async def found(self, q: str, caller: Caller = GUEST, **more: Any) -> list[str]:
        """Ids, best first."""
        return [item["id"] for item in (await self.page(q, caller, **more))["items"]]

    async def suggested(self, q: str, caller: Caller = GUEST) -> list[str]:
        answer = await self.ask(SuggestTitles(caller, q, 8))
        return [item["title"] for item in answer["items"]]


@asynccontextmanager
async def search_on(content: Content, directory: Path) -> AsyncIterator[SearchWorld]:
    """The embedded engine, whose index is there and has not been filled."""
    async with search_actor(content.pool, directory) as (search, engine):
        yield SearchWorld(content, search, engine)


@asynccontextmanager
async def search_actor(pool: Pool, directory: Path) -> AsyncIterator[tuple[Search, TantivyEngine]]:
    engine = TantivyEngine(directory)
    embedders = WordEmbedders()
    retriever = Retriever(pool, embedders, EngineWords(pool, engine), Guides())
    search = Search(pool, engine, retriever=retriever)
    try:
        search.start()
        await search.wait_settled()
        yield search, engine
    finally:
        await search.close()
        await engine.close()
        embedders.close()


@asynccontextmanager
async def search_world(database_url: str, directory: Path) -> AsyncIterator[SearchWorld]:
    """Filled, with what there is in a new database."""
    async with content_on(database_url) as content, search_on(content, directory) as world:
        await world.run_jobs()
        yield world
