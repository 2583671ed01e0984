"""The search engine as the Retriever asks it: documents with some of a question's words."""

from __future__ import annotations

from typing import Final

from actors.retrieval import Document
from config.errors import AppError
from storage.chunk_search import ChunkFilter
from storage.postgres import Pool, acquire
from storage.search.engine import SearchEngine, SearchQuery, UnknownGeneration
from storage.search.found import Scope, scope_of

# Comments that are no accepted answers, and other visa types, are left out afterwards.
_SPARE: Final = 2


class EngineWords:
    def __init__(self, pool: Pool, engine: SearchEngine) -> None:
        self._pool = pool
        self._engine = engine
        self._of_guests: Scope | None = None

    async def __call__(self, question: str, wanted: ChunkFilter, limit: int) -> list[Document]:
        """Best first; of private communities those that the account may read. Raises AppError
        `unavailable`."""
        for _ in range(2):
            scope = await self._scope(wanted)
            if scope.generation is None:
                break
            query = SearchQuery(
                question,
                limit * _SPARE,
                readable=scope.readable,
                kinds=tuple(wanted.kinds or ()),
                country=wanted.country_id,
                every_word=False,
            )
            try:
                page = await self._engine.search(scope.generation, query)
            except UnknownGeneration:
                self._of_guests = None  # another index has taken over
            else:
                return [(hit.kind, hit.id) for hit in page.hits]
        raise AppError("unavailable", "The search index is being made.", retry_after_seconds=1.0)

    async def _scope(self, wanted: ChunkFilter) -> Scope:
        """Guests all have the same, which is asked for once."""
        if wanted.account_id is None and self._of_guests is not None:
            return self._of_guests
        async with acquire(self._pool) as connection:
            scope = await scope_of(connection, self._engine.name, wanted.account_id)
        if wanted.account_id is None and scope.generation is not None:
            self._of_guests = scope
        return scope
