"""The Retriever: passages that answer a question, found by words and by meaning.

    question ─▶ engine: by words ─▶ ids ─┐
             └▶ embedder ─▶ by vector ───┴▶ what stands and the asker may read (in SQL, before any
                ranking) ─▶ reciprocal ranks ─▶ authority, age, language ─▶ two of a thread at most

Either half answers alone while the other is away; AppError `unavailable` comes where both are.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar
from uuid import UUID

import asyncpg
import msgspec
from prometheus_client import Counter, Histogram

from actors.content import alpha2
from actors.embedding import Embedders, chunks_of_text
from actors.overlap import most_alike
from actors.retrieval_messages import Passage, RetrievalQuery
from actors.staleness import is_stale
from ai.fusion import Merits, reciprocal_ranks, thinned, weighted
from config.errors import AppError
from config.reference import countries_by_alpha2
from config.settings import Guides
from storage import chunk_generations, chunk_search
from storage.chunk_generations import Generation
from storage.chunk_search import ChunkFilter, FoundChunk
from storage.chunks import SourceKind
from storage.postgres import Pool, acquire

if TYPE_CHECKING:
    from ai.embedder import Vectors

_log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_QUESTION_CHARACTERS: Final = 1_000
PER_THREAD: Final = 2
"""A question and its answer, or two parts of a guide."""
_DEPTH: Final = 40
"""Of each ranking."""

_seconds: Final = Histogram(
    "serai_retrieval_seconds",
    "Time of finding passages: by words, of the question's vector, by vector, all together",
    ["stage"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)
_halves: Final = Counter(
    "serai_retrieval_halves_missing_total", "Rankings that were left out: their part was away",
    ["half"],
)  # fmt: skip

Document = tuple[SourceKind, UUID]
ByWords = Callable[[str, ChunkFilter, int], Awaitable[list[Document]]]
"""Documents that the index has for these words, best first; whoever calls it checks them."""


class Ranked(NamedTuple):
    chunk: FoundChunk
    score: float


class Retriever:
    """`pool`: with chunk_search.SEARCH_SETTINGS, of the primary: what a replica does not know yet
    of a removal would be shown."""

    def __init__(
        self,
        pool: Pool,
        embedders: Embedders,
        by_words: ByWords,
        rule: Guides,
        today: Callable[[], date] | None = None,
    ) -> None:
        self._pool = pool
        self._embedders = embedders
        self.same_title_from: Final = embedders.same_title_from
        self._by_words = by_words
        self._rule = rule
        self._today = today or (lambda: datetime.now(UTC).date())
        self._generation: Generation | None = None

    async def find(self, query: RetrievalQuery) -> list[Passage]:
        """The best `query.limit`. Raises AppError: `invalid` for what is no country,
        `unavailable`."""
        wanted = ChunkFilter(query.account_id, _numeric(query.country), query.visa_type)
        ranked = await self.rank(query.question, wanted, query.language, query.limit)
        best = thinned(ranked, lambda each: each.chunk.post_id or each.chunk.id, PER_THREAD)
        return [self._passage(each) for each in best[: query.limit]]

    async def rank(
        self, question: str, wanted: ChunkFilter, language: str | None = None, limit: int = 10
    ) -> list[Ranked]:
        """All candidates, best first: of a document those chunks that a ranking held."""
        begun = time.monotonic()
        question = " ".join(question.split())[:MAX_QUESTION_CHARACTERS]
        depth = max(_DEPTH, 2 * limit)
        for attempt in (1, 2):
            try:
                chunks, rankings = await self._candidates(question, wanted, depth)
                break
            except asyncpg.UndefinedTableError:
                # Another generation has taken over a moment ago.
                self._generation = None
                if attempt == 2:
                    raise
        scores = reciprocal_ranks(rankings)
        today = self._today()
        ranked = [
            Ranked(chunks[key], weighted(score, _merits(chunks[key], language, today)))
            for key, score in scores.items()
        ]
        ranked.sort(key=lambda each: (-each.score, each.chunk.id, each.chunk.ordinal))
        _seconds.labels("all").observe(time.monotonic() - begun)
        return ranked

    async def nearest(self, question: str, wanted: ChunkFilter, limit: int) -> list[Document]:
        """By meaning alone, most alike first. Raises AppError `unavailable`."""
        question = " ".join(question.split())[:MAX_QUESTION_CHARACTERS]
        generation = await self._serving()
        vector = await _timed("embed", self._embedders.of(generation).query(question))
        try:
            near = await self._nearest(generation, vector.tolist(), wanted, limit)
        except asyncpg.UndefinedTableError as error:
            self._generation = None
            raise AppError(
                "unavailable", "Another model has taken over.", retry_after_seconds=0.1
            ) from error
        return list(dict.fromkeys((chunk.kind, chunk.id) for chunk in near))

    async def title_vectors(self, titles: Sequence[str]) -> list[Vectors]:
        """(dimension,) for each. Raises AppError `unavailable`."""
        embedder = self._embedders.of(await self._serving())
        return await embedder.queries([" ".join(title.split()) for title in titles])

    async def _candidates(
        self, question: str, wanted: ChunkFilter, depth: int
    ) -> tuple[dict[_Key, FoundChunk], list[list[_Key]]]:
        words = asyncio.create_task(
            _or_none("words", _timed("words", self._by_words(question, wanted, depth)))
        )
        try:
            generation = await self._serving()
            embedded = await _or_none(
                "vector", _timed("embed", self._embedders.of(generation).query(question))
            )
            vector = None if embedded is None else embedded.tolist()
            async with acquire(self._pool) as connection:
                near: list[FoundChunk] = []
                if vector is not None:
                    near = await _timed(
                        "vector",
                        chunk_search.nearest(connection, generation, vector, wanted, depth),
                    )
                documents = await words
                if documents is None and vector is None:
                    raise AppError(
                        "unavailable", "Neither search nor its model answers.",
                        retry_after_seconds=2.0,
                    )  # fmt: skip
                best: dict[UUID, FoundChunk] = {}
                for chunk in near:
                    best.setdefault(chunk.id, chunk)
                others = _worth_reading(documents or [], best, depth)
                read: list[FoundChunk] = []
                if others:
                    read = await chunk_search.best_of(
                        connection, generation, others, vector, wanted
                    )
        finally:
            words.cancel()
            await asyncio.gather(words, return_exceptions=True)
        chunks = {_key(chunk): chunk for chunk in near}
        for found in read:
            best[found.id] = chunk = _with_text(found, question)
            chunks[_key(chunk)] = chunk
        by_words = [_key(best[id]) for _, id in documents or () if id in best]
        return chunks, [by_words, [_key(chunk) for chunk in near]]

    async def _nearest(
        self, generation: Generation, vector: Sequence[float], wanted: ChunkFilter, limit: int
    ) -> list[FoundChunk]:
        async with acquire(self._pool) as connection:
            return await chunk_search.nearest(connection, generation, vector, wanted, limit)

    async def _serving(self) -> Generation:
        """Asked for once: one that is replaced is missed when its table is gone."""
        if self._generation is None:
            async with acquire(self._pool) as connection:
                self._generation = await chunk_generations.serving(connection)
        return self._generation

    def _passage(self, ranked: Ranked) -> Passage:
        chunk = ranked.chunk
        return Passage(
            kind=chunk.kind,
            id=chunk.id,
            post_id=chunk.post_id,
            country=alpha2(chunk.country_id),
            visa_type=chunk.visa_type,
            title=chunk.title,
            url=_url(chunk),
            authority="official" if chunk.official else "community",
            language=chunk.language,
            as_of=chunk.as_of,
            stale=chunk.as_of is not None
            and chunk.last_checked is not None
            and is_stale(chunk.as_of, chunk.last_checked, self._today(), self._rule),
            created_at=chunk.created_at,
            text=chunk.text or "",
            score=ranked.score,
            version=chunk.version,
        )


_Key = tuple[UUID, int]


def _worth_reading(
    documents: Sequence[Document], known: Mapping[UUID, FoundChunk], depth: int
) -> list[Document]:
    """Of those that words alone have found, which could come first: half as many as a ranking is
    deep. Behind them nothing does, since a place in the other ranking would have to make up for it.
    Comments are counted by themselves: most are no accepted answers, and fall out."""
    bound = depth // 2
    counts = {True: 0, False: 0}
    chosen = []
    for kind, id in documents:
        if id not in known and counts[kind == "comment"] < bound:
            counts[kind == "comment"] += 1
            chosen.append((kind, id))
    return chosen


def _key(chunk: FoundChunk) -> _Key:
    return chunk.id, chunk.ordinal


async def _or_none(half: str, work: Awaitable[T]) -> T | None:
    """None: what it needs is away."""
    try:
        return await work
    except AppError as error:
        if error.code != "unavailable":
            raise
        _halves.labels(half).inc()
        _log.warning("retrieval goes on without %s: %s", half, error)
        return None


async def _timed(stage: str, work: Awaitable[T]) -> T:
    with _seconds.labels(stage).time():
        return await work


def _numeric(country: str | None) -> int | None:
    if country is None:
        return None
    known = countries_by_alpha2().get(country.upper())
    if known is None:
        raise AppError("invalid", errors=(("country", "is no country"),))
    return known.numeric


def _with_text(chunk: FoundChunk, question: str) -> FoundChunk:
    """That of a document which is not embedded yet: the part with most of the words."""
    if chunk.text is not None:
        return chunk
    parts = chunks_of_text(chunk.title or " ", chunk.body_markdown or "")
    ordinal = most_alike(question, parts)
    return msgspec.structs.replace(chunk, text=parts[ordinal], ordinal=ordinal)


def _merits(chunk: FoundChunk, language: str | None, today: date) -> Merits:
    of = chunk.as_of or chunk.created_at.date()
    same = language is not None and language.split("-")[0] == chunk.language.split("-")[0]
    return Merits(chunk.official, (today - of).days, same)


def _url(chunk: FoundChunk) -> str:
    if chunk.kind == "guide":
        return chunk.source_url or ""
    path = f"/posts/{chunk.post_id}"
    return path if chunk.kind == "post" else f"{path}/comments/{chunk.id}"
