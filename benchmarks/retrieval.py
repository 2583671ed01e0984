"""Bar 11: passages for a question, by words and by vector together, over 100,000 chunks.

Ours: the Retriever as the Search deployment has it, for a guest, in a country that holds two fifths
of the chunks: rights and versions checked row by row, the texts of what the engine found read,
ranks fused. Baseline: the embedded engine's search for the same words, and the bare statement that
orders the country's vectors, each alone, summed. The three take turns, question by question: each
in a loop of its own has the caches to itself, which no service has, and a minute of its own.
The model knows questions' vectors, since what it takes is its own: ours waits for the embedder's
thread alone, the baseline for nothing.

Vectors are made up (32 independent directions in 384 dimensions, as measured embeddings have some
dozens), since a laptop would embed 100,000 chunks for hours.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg
import numpy as np
from numpy.typing import NDArray

from actors.by_words import EngineWords
from actors.embedding import Embedders
from actors.retrieval import Retriever
from actors.retrieval_messages import RetrievalQuery
from ai.embedder import Embedder
from benchmarks.figures import Check, Verdict, conclude, median_ratio
from benchmarks.machine import work_folder
from benchmarks.plan import Plan
from benchmarks.population import make_members
from benchmarks.program import run_bar
from benchmarks.serai import database
from config.embedding import Embedding
from config.settings import Guides, Postgres, Settings
from serve_app.collector import relax_collector
from serve_app.up import prepare_database
from storage.chunk_generations import Generation, serving
from storage.chunk_search import SEARCH_SETTINGS, ChunkFilter, nearest
from storage.chunks import vector_text
from storage.identity import new_id
from storage.postgres import Pool, acquire, connect
from storage.search import generations
from storage.search.engine import Changes, SearchDocument, SearchQuery
from storage.search.tantivy_engine import TantivyEngine

MUST: Final = 1.3
RECALL_MUST: Final = 0.95
CHUNKS: Final = 100_000
PER_POST: Final = 2
GERMANY: Final = 276
_SHARES: Final = {GERMANY: 0.4, 250: 0.2, 840: 0.2, 392: 0.2}
_DIRECTIONS: Final = 32
_DIMENSION: Final = 384
_VOCABULARY: Final = 20_000
_WORDS: Final = 30  # of a chunk
_ASKED_WORDS: Final = 6
_QUESTIONS: Final = 300
_RECALL_AT: Final = 10
_LIMIT: Final = 10
_DEPTH: Final = 40
_BATCH: Final = 2_000
_INDEX: Final = "chunk_1_embedding_idx"

Vectors = NDArray[np.float32]


class Question(NamedTuple):
    text: str
    vector: list[float]


_Work = Callable[[Question], Awaitable[object]]


class Texts:
    """Posts of two chunks each, and questions near some of Germany's."""

    def __init__(self, seed: int = 11) -> None:
        random = np.random.default_rng(seed)
        self._random = random
        self._basis = random.standard_normal((_DIRECTIONS, _DIMENSION), dtype=np.float32)
        numbers = np.arange(1, _VOCABULARY + 1)
        self._weights = (1 / numbers) / (1 / numbers).sum()  # Zipf
        self.countries = random.choice(
            list(_SHARES), CHUNKS // PER_POST, p=list(_SHARES.values())
        ).tolist()
        self._latent = random.standard_normal((CHUNKS, _DIRECTIONS), dtype=np.float32)
        self.vectors = self._embedded(self._latent)
        drawn = random.choice(_VOCABULARY, (CHUNKS, _WORDS), p=self._weights)
        self._words = drawn

    def text(self, chunk: int) -> str:
        return " ".join(f"w{number}" for number in self._words[chunk])

    def questions(self, count: int) -> list[Question]:
        """Words of a chunk, as frequent as they come, and a vector not far from its."""
        german = [n for n, country in enumerate(self.countries) if country == GERMANY]
        chosen = self._random.choice(german, count) * PER_POST
        noise = self._random.standard_normal((count, _DIRECTIONS), dtype=np.float32)
        vectors = self._embedded(self._latent[chosen] + 0.7 * noise)
        return [
            Question(
                " ".join(f"w{word}" for word in self._words[chunk][:_ASKED_WORDS]), vector.tolist()
            )
            for chunk, vector in zip(chosen, vectors, strict=True)
        ]

    def _embedded(self, latent: Vectors) -> Vectors:
        vectors = latent @ self._basis
        vectors += 0.5 * self._random.standard_normal(vectors.shape, dtype=np.float32)
        normalised: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return normalised


class _Known:
    """A model that has met every question before."""

    name = "bench"
    dimension = _DIMENSION

    def __init__(self, questions: Sequence[Question]) -> None:
        self._of = {question.text: question.vector for question in questions}

    def encode(self, texts: Sequence[str], role: str) -> Vectors:
        return np.asarray([self._of[text] for text in texts], dtype=np.float32)


class _KnownEmbedders(Embedders):
    def __init__(self, questions: Sequence[Question]) -> None:
        super().__init__(Embedding(), in_background=False)
        self._embedder = Embedder(lambda: _Known(questions))

    def of(self, generation: Generation) -> Embedder:
        return self._embedder

    def close(self) -> None:
        self._embedder.close()


_POSTS: Final = """
    with i as (select * from unnest($1::uuid[], $2::smallint[], $3::text[], $4::text[])
                             i (id, country, title, body)),
    s as (insert into stream (channel) select 'thread:' || i.id from i returning id, channel)
    insert into post (country_id, id, community_id, author_id, stream_id, title, body_markdown,
                      body_html, language, hot, created_at)
    select i.country, i.id, y.id, $5, s.id, i.title, i.body, '<p>' || i.body || '</p>', 'en', 0,
           now() - random() * interval '700 days'
    from i join s on s.channel = 'thread:' || i.id
    join community y on y.country_id = i.country and y.kind = 'country'"""


async def _fill(pool: Pool, engine: TantivyEngine, texts: Texts) -> None:
    """Posts, their documents, their chunks; the vector index last, which is quicker."""
    (author,) = await make_members(pool, 1)
    ids = [new_id(country) for country in texts.countries]
    async with pool.acquire() as connection:
        number = await generations.add(connection, engine.name, live=True)
        await engine.create(number)
        await generations.finish(connection, engine.name, number)
        await connection.execute(f"drop index {_INDEX}")
        for at in range(0, len(ids), _BATCH):
            part = range(at, min(at + _BATCH, len(ids)))
            bodies = [
                "\n\n".join(texts.text(post * PER_POST + n) for n in range(PER_POST))
                for post in part
            ]
            await connection.execute(
                _POSTS, [ids[post] for post in part], [texts.countries[post] for post in part],
                [f"Question {post}" for post in part], bodies, author.account_id,
            )  # fmt: skip
            documents = [
                SearchDocument(
                    ids[post], "post", ids[post], None, True, texts.countries[post], None, "en",
                    f"Question {post}", (), body, int(time.time()) - post,
                )
                for post, body in zip(part, bodies, strict=True)
            ]  # fmt: skip
            await engine.apply(number, Changes(documents))
            await connection.executemany(
                "insert into chunk_1 (country_id, source_id, ordinal, kind, version, language,"
                " official, created_at, text, embedding) values ($1, $2, $3, 'post', 1, 'en',"
                " false, now(), $4, $5::text::halfvec)",
                [
                    (
                        texts.countries[post], ids[post], n, texts.text(post * PER_POST + n),
                        vector_text(texts.vectors[post * PER_POST + n].tolist()),
                    )
                    for post in part
                    for n in range(PER_POST)
                ],
            )  # fmt: skip
        await connection.execute("set maintenance_work_mem = '1GB'")
        await connection.execute("set max_parallel_maintenance_workers = 2")
        await connection.execute(
            f"create index {_INDEX} on chunk_1 using hnsw (embedding halfvec_cosine_ops)",
            timeout=1_800,
        )
        await connection.execute("analyze", timeout=600)


# What a vector search is without anything else, planned once as ours is.
_BARE: Final = f"""
    select source_id, ordinal from chunk_1 where country_id = $1
    order by embedding <=> (select $2::real[]::halfvec) limit {_DEPTH}"""
_EXACT: Final = f"""
    select source_id, ordinal from chunk_1 where country_id = $1
    order by (embedding <=> $2::text::halfvec) + 0 limit {_RECALL_AT}"""


async def _p50s_ms(questions: Sequence[Question], works: Sequence[_Work]) -> list[float]:
    """Of each. They take turns, so that each finds caches as the others have left them, and each
    is asked every question, far from when the others are."""
    count = len(works)
    took: list[list[float]] = [[] for _ in works]
    for turn in range(len(questions)):
        for number in range(turn, turn + count):
            place = turn + number % count * len(questions) // count
            question = questions[place % len(questions)]
            begun = time.perf_counter()
            await works[number % count](question)
            took[number % count].append((time.perf_counter() - begun) * 1e3)
    return [statistics.median(each) for each in took]


async def _recall(chunks: Pool, url: str, questions: Sequence[Question]) -> float:
    """Of the ten nearest: how many the search that members get finds, on average."""
    exact = await asyncpg.connect(url)
    found = 0
    try:
        async with acquire(chunks) as connection:
            generation = await serving(connection)
            for question in questions:
                rows = await exact.fetch(_EXACT, GERMANY, vector_text(question.vector))
                best: set[tuple[UUID, int]] = {(row[0], row[1]) for row in rows}
                near = await nearest(
                    connection, generation, question.vector, ChunkFilter(None, GERMANY), _DEPTH
                )
                found += len(best & {(chunk.id, chunk.ordinal) for chunk in near[:_RECALL_AT]})
    finally:
        await exact.close()
    return found / (_RECALL_AT * len(questions))


async def measure(plan: Plan) -> int:
    texts = Texts()
    count = max(20, int(plan.seconds(_QUESTIONS)))
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(work_folder())
        url = await stack.enter_async_context(database(folder))
        settings = Postgres(url=url)
        await prepare_database(url, Settings(postgres=settings))
        pool = await connect(url, settings, size=2, statement_timeout_seconds=0)
        stack.push_async_callback(pool.close)
        chunks = await connect(
            url, settings, size=2, more_settings=SEARCH_SETTINGS, keeps_session=True
        )
        stack.push_async_callback(chunks.close)
        engine = TantivyEngine(folder / "search")
        stack.push_async_callback(engine.close)
        await _fill(pool, engine, texts)

        rounds = [texts.questions(count) for _ in range(plan.rounds)]
        embedders = _KnownEmbedders([question for each in rounds for question in each])
        stack.callback(embedders.close)
        retriever = Retriever(chunks, embedders, EngineWords(pool, engine), Guides())
        live = await pool.fetchval("select generation from search_index where live")

        async def hybrid(question: Question) -> object:
            return await retriever.find(RetrievalQuery(question.text, "DE", limit=_LIMIT))

        async def by_words(question: Question) -> object:
            query = SearchQuery(question.text, _DEPTH, country=GERMANY, every_word=False)
            return await engine.search(live, query)

        async def by_vector(question: Question) -> object:
            async with acquire(chunks) as connection:
                return await connection.fetch(_BARE, GERMANY, question.vector)

        relax_collector()  # as in a replica
        works = (hybrid, by_words, by_vector)
        await _p50s_ms(rounds[0][:20], works)  # plans and caches
        figures = [await _p50s_ms(questions, works) for questions in rounds]
        recall = await _recall(chunks, url, rounds[0])
    ours = [figure[0] for figure in figures]
    alone = [figure[1] + figure[2] for figure in figures]
    rows = [
        (number, *figure, both)
        for number, (figure, both) in enumerate(zip(figures, alone, strict=True), 1)
    ]
    checks = [
        Check("hybrid / both engines, p50", median_ratio(ours, alone), "<=", MUST),
        Check("recall@10 of exact search", recall, ">=", RECALL_MUST, ""),
    ]
    details = {"chunks": CHUNKS, "in_country": round(CHUNKS * _SHARES[GERMANY])}
    headings = ("round", "hybrid p50 ms", "words p50 ms", "vector p50 ms", "both p50 ms")
    return conclude(Verdict(11, checks, plan.rounds, details), headings, rows)


if __name__ == "__main__":
    sys.exit(run_bar(measure, "Bar 11: hybrid retrieval against its two engines alone."))
