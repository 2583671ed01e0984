"""Pages of what was found, each checked in Postgres before it is shown.

A cursor holds the marks of what was shown already: whatever the index does between two pages,
nothing comes twice, and nothing that stands still is passed over. So pages end after MAX_SHOWN
items.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Final
from uuid import UUID

import msgspec
from prometheus_client import Counter, Histogram

from actors.cursors import CursorKind, decode_cursor, encode_cursor
from actors.messages import GUEST, Reply
from actors.retrieval import Retriever
from actors.search_messages import SearchContent, SuggestTitles
from actors.search_views import (
    SearchResults,
    Suggestions,
    facets_of,
    item_of,
    suggestion_of,
)
from ai.fusion import reciprocal_ranks
from config.errors import AppError
from config.reference import countries_by_alpha2
from config.settings import Guides
from storage.chunk_search import ChunkFilter
from storage.postgres import Pool, acquire
from storage.search.engine import (
    Hit,
    SearchEngine,
    SearchPage,
    SearchQuery,
    UnknownGeneration,
)
from storage.search.found import Found, Scope, read_found, scope_of
from storage.search.highlighting import Highlighter

MAX_SHOWN: Final = 300
_SPARE: Final = 20
_ROUNDS: Final = 4
_MARK_BYTES: Final = 4

_seconds = Histogram(
    "serai_search_seconds",
    "Time of one search, Postgres included",
    ["kind"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0),
)
_failures = Counter("serai_search_failures", "Questions that the engine did not answer")
_withheld = Counter(
    "serai_search_withheld", "Hits that Postgres said must not be shown, or not any more"
)
_encode: Final = msgspec.json.Encoder().encode


class _Shown(msgspec.Struct, frozen=True, array_like=True):
    """What a cursor holds. `marks`: the last bytes of the ids that were shown, which are random."""

    every_word: bool
    marks: Annotated[bytes, msgspec.Meta(max_length=MAX_SHOWN * _MARK_BYTES)]

    def __len__(self) -> int:
        return len(self.marks) // _MARK_BYTES

    def rest_of(self, hits: Sequence[Hit]) -> list[Hit]:
        known = {self.marks[at : at + _MARK_BYTES] for at in range(0, len(self.marks), _MARK_BYTES)}
        return [hit for hit in hits if _mark(hit.id) not in known]

    def and_these(self, ids: Sequence[UUID]) -> _Shown:
        return _Shown(self.every_word, self.marks + b"".join(map(_mark, ids)))


class _Chosen(msgspec.Struct, frozen=True):
    """`more`: there may be others behind `found`."""

    found: list[Found]
    more: bool
    page: SearchPage


class Searcher:
    """Reads the primary: what a replica does not know yet of a removal would be shown."""

    def __init__(
        self,
        pool: Pool,
        engine: SearchEngine,
        rule: Guides,
        retriever: Retriever | None = None,
    ) -> None:
        self._pool = pool
        self._engine = engine
        self._rule = rule
        self._retriever = retriever

    async def search(self, request: SearchContent) -> Reply:
        """Raises AppError; UnknownGeneration where the engine has lost the index."""
        begun = time.perf_counter()
        if request.meaning and request.sort != "relevance":
            reason = "what is found by meaning has an order of its own"
            raise AppError("invalid", f"sort: {reason}.", errors=(("sort", reason),))
        country = _country(request.country)
        key = _key(request)
        shown = _Shown(True, b"")
        if request.cursor is not None:
            shown = decode_cursor(CursorKind.SEARCH, key, request.cursor, _Shown)
        scope = await self._scope(request.caller.account_id)
        query = SearchQuery(
            request.q,
            limit=0,
            readable=scope.readable,
            kinds=request.kinds,
            country=country,
            visa_type=request.visa_type,
            language=request.language,
            since=_midnight(request.since),
            until=_midnight(request.until, days=1),
            sort=request.sort,
            every_word=shown.every_word and not request.meaning,
            facets=True,
        )
        chosen = await self._choose(scope, query, request, shown)
        if request.cursor is None and not chosen.found and not chosen.more:
            # Nothing has all of the words: what has some of them is better than nothing.
            shown = _Shown(False, b"")
            query = msgspec.structs.replace(query, every_word=False)
            chosen = await self._choose(scope, query, request, shown)
        cursor = None
        shown = shown.and_these([found.id for found in chosen.found])
        if chosen.more and len(shown) < MAX_SHOWN:
            cursor = encode_cursor(CursorKind.SEARCH, key, shown)
        seconds = time.perf_counter() - begun
        _seconds.labels("search").observe(seconds)

        def body() -> bytes:
            marker = Highlighter(request.q)
            return _encode(
                SearchResults(
                    [item_of(found, marker, self._rule) for found in chosen.found],
                    cursor,
                    chosen.page.total,
                    facets_of(chosen.page),
                    round(seconds * 1000, 1),
                )
            )

        # A hundred long texts take long to mark, and others search meanwhile.
        return Reply(body=await asyncio.to_thread(body))

    async def suggest(self, request: SuggestTitles) -> Reply:
        """Raises as `search`."""
        begun = time.perf_counter()
        country = _country(request.country)
        scope = await self._scope(request.caller.account_id)
        query = SearchQuery(
            request.q,
            limit=0,
            readable=scope.readable,
            kinds=("post", "guide"),
            country=country,
            visa_type=request.visa_type,
            titles_only=True,
        )
        chosen = await self._choose(scope, query, request, _Shown(True, b""))
        marker = Highlighter(request.q)
        seconds = time.perf_counter() - begun
        _seconds.labels("suggest").observe(seconds)
        items = [suggestion_of(found, marker) for found in chosen.found]
        return Reply(body=_encode(Suggestions(items, round(seconds * 1000, 1))))

    async def _scope(self, account_id: UUID | None) -> Scope:
        async with acquire(self._pool) as connection:
            scope = await scope_of(connection, self._engine.name, account_id)
        if scope.generation is None:
            raise being_made()
        return scope

    async def _choose(
        self,
        scope: Scope,
        query: SearchQuery,
        request: SearchContent | SuggestTitles,
        shown: _Shown,
    ) -> _Chosen:
        """The best that were not shown yet. Where many of them must not be shown, others are looked
        for, some times. No connection waits for the engine."""
        limit = min(request.limit, MAX_SHOWN - len(shown))
        wanted = len(shown) + limit + _SPARE
        found: list[Found] = []
        for _ in range(_ROUNDS):
            page = await self._page(request, scope, msgspec.structs.replace(query, limit=wanted))
            rest = shown.rest_of(page.hits)
            there = await self._standing(rest, request.caller.account_id)
            _withheld.inc(len(rest) - len(there))
            found = [there[hit.id] for hit in rest if hit.id in there]
            exhausted = len(page.hits) < wanted
            if exhausted or len(found) > limit:
                break
            wanted *= 2
        return _Chosen(found[:limit], len(found) > limit, page)

    async def _standing(self, hits: Sequence[Hit], account_id: UUID | None) -> dict[UUID, Found]:
        if not hits:
            return {}
        async with acquire(self._pool) as connection:
            return await read_found(connection, hits, account_id)

    async def _page(
        self, request: SearchContent | SuggestTitles, scope: Scope, query: SearchQuery
    ) -> SearchPage:
        by_words = await self._ask(scope, query)
        if not (isinstance(request, SearchContent) and request.meaning and request.q):
            return by_words
        if self._retriever is None:
            raise AppError("unavailable", "Nothing is found by meaning here.")
        wanted = ChunkFilter(
            request.caller.account_id,
            query.country,
            query.visa_type,
            query.kinds or None,
            visa_type_alone=True,
            language=query.language,
            since=query.since,
            until=query.until,
        )
        near = await self._retriever.nearest(request.q, wanted, query.limit)
        kinds = {hit.id: hit.kind for hit in by_words.hits} | {id: kind for kind, id in near}
        scores = reciprocal_ranks([[hit.id for hit in by_words.hits], [id for _, id in near]])
        best = sorted(scores, key=lambda id: (-scores[id], id))[: query.limit]
        hits = [Hit(id, kinds[id], scores[id]) for id in best]
        return msgspec.structs.replace(by_words, hits=hits)

    async def _ask(self, scope: Scope, query: SearchQuery) -> SearchPage:
        assert scope.generation is not None
        try:
            return await self._engine.search(scope.generation, query)
        except (UnknownGeneration, AppError):
            _failures.inc()
            raise


def being_made() -> AppError:
    return AppError("unavailable", "The search index is being made.", retry_after_seconds=1.0)


def _mark(id: UUID) -> bytes:
    return id.bytes[-_MARK_BYTES:]


def _key(request: SearchContent) -> str:
    """What must be equal on the next page."""
    asked = msgspec.structs.replace(request, caller=GUEST, cursor=None, limit=0)
    return msgspec.json.encode(asked).decode()


def _country(alpha2: str | None) -> int | None:
    if alpha2 is None:
        return None
    country = countries_by_alpha2().get(alpha2.upper())
    if country is None:
        raise AppError("invalid", errors=(("country", "is no country"),))
    return country.numeric


def _midnight(day: date | None, *, days: int = 0) -> int | None:
    if day is None:
        return None
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) + days * 86_400
