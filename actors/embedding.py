"""The jobs that make vectors of texts: 'embed' of what changed, 'fill_embeddings' of all there is.

They run in the AI workers. Models take a second or so for a long text, and are asked outside of any
transaction; what was written meanwhile is read again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import asyncpg
import msgspec

from actors.plain_blocks import plain_blocks
from ai.chunking import Block, chunks
from ai.embedder import Embedder, configured_name, embedder_named
from config.embedding import Embedding
from config.errors import AppError
from storage import chunk_generations
from storage import chunks as stored
from storage.chunk_generations import FillStep, Generation
from storage.chunks import EmbedJob, Piece, Source
from storage.derive_jobs import DeriveJob, enqueue_derive
from storage.postgres import Connection, Pool, acquire, in_transaction

if TYPE_CHECKING:
    from ai.embedder import Vectors

_log = logging.getLogger(__name__)

FILLED_AT_ONCE: Final = 8
_TRIES: Final = 3

_decode_job: Final = msgspec.json.Decoder(EmbedJob).decode
_decode_step: Final = msgspec.json.Decoder(FillStep).decode


class Embedders:
    """The models of the generations that there are, each loaded at its first use."""

    def __init__(self, settings: Embedding, *, in_background: bool) -> None:
        self.same_title_from: Final = settings.same_title_from
        self._settings = settings
        self._in_background = in_background
        self._known: dict[tuple[str, int], Embedder] = {}

    def of(self, generation: Generation) -> Embedder:
        key = generation.model, generation.dimension
        if key not in self._known:
            configured = configured_name(self._settings)
            if generation.state == "serving" and generation.model != configured:
                _log.warning(
                    "vectors are of %s, the settings name %s: `embeddings rebuild` goes over to it",
                    generation.model, configured,
                )  # fmt: skip
            self._known[key] = embedder_named(
                self._settings, *key, in_background=self._in_background
            )
        return self._known[key]

    def close(self) -> None:
        for embedder in self._known.values():
            embedder.close()


@lru_cache(maxsize=4)
def _of_process(settings: Embedding) -> Embedders:
    """Handlers are made anew with each connection to the database; a model is loaded once."""
    return Embedders(settings, in_background=True)


class ServingModel:
    """The model whose vectors are searched, for jobs that compare texts with each other."""

    def __init__(self, pool: Pool, settings: Embedding, embedders: Embedders | None = None) -> None:
        self._pool = pool
        self._embedders = embedders or _of_process(settings)

    async def passages(self, texts: Sequence[str]) -> tuple[str, list[Vectors]]:
        """Its name, and the vector of each text. Raises as `Embedder.passages`."""
        async with acquire(self._pool) as connection:
            generation = await chunk_generations.serving(connection)
        return generation.model, await self._embedders.of(generation).passages(texts)


class EmbeddingJobs:
    def __init__(self, pool: Pool, settings: Embedding, embedders: Embedders | None = None) -> None:
        self._pool = pool
        self._embedders = embedders or _of_process(settings)

    async def embed(self, payload: bytes) -> None:
        """Idempotent. Raises msgspec.DecodeError; AppError `unavailable` where a model or the
        database is away, `overloaded` where the texts changed faster than they were embedded."""
        wanted = _decode_job(payload)
        async with acquire(self._pool) as connection:
            generations = await chunk_generations.read_generations(connection)
        for generation in generations:
            await self._bring(generation, wanted)
        # What stands far from its community is told by its vector.
        derive = DeriveJob(wanted.posts)
        await in_transaction(
            self._pool, lambda connection: enqueue_derive(connection, derive, after="embed")
        )

    async def fill(self, payload: bytes) -> None:
        """One step; it enqueues the next. Raises as `embed`."""
        step = _decode_step(payload)

        async with acquire(self._pool) as connection:
            generations = await chunk_generations.read_generations(connection)
            generation = next((g for g in generations if g[0] == step.generation), None)
            if generation is None or generation.step != step.step:
                return
            places = await stored.documents_after(connection, generation.place, FILLED_AT_ONCE)
        await self._bring(
            generation,
            EmbedJob(
                posts=[place.id for place in places if place.kind == "post"],
                guides=[place.id for place in places if place.kind == "guide"],
            ),
        )

        async def work(connection: Connection) -> None:
            locked = await chunk_generations.lock_step(connection, step)
            if locked is None:
                return
            if places:
                await chunk_generations.advance(connection, locked, places[-1])
            else:
                await chunk_generations.finish(connection, locked)

        await in_transaction(self._pool, work)

    async def _bring(self, generation: Generation, wanted: EmbedJob) -> None:
        """Until the generation has what stands."""
        try:
            for _ in range(_TRIES):
                async with acquire(self._pool) as connection:
                    sources = await stored.read_sources(connection, wanted)
                    there = await stored.up_to_date(connection, generation, sources)
                missing = [source for source in sources if source.id not in there]
                if await self._write(generation, missing):
                    return
        except asyncpg.UndefinedTableError:
            return  # another generation took its place, and has this from its own filling
        raise AppError("overloaded", "A text changes faster than it is embedded.")

    async def _write(self, generation: Generation, sources: Sequence[Source]) -> bool:
        """False: at least one of them has changed meanwhile."""
        settled = True
        for source in sources:
            if await self._is_there(generation, source):
                continue  # another job has brought it while this one was at those before
            try:
                pieces = await self._embedded(generation, source)
            except AppError as error:
                if error.code != "invalid":
                    raise
                # It is found by its words alone; the others must not wait for it.
                _log.warning("%s %s can't be embedded: %s", source.kind, source.id, error)
                continue

            async def work(
                connection: Connection, source: Source = source, pieces: list[Piece] = pieces
            ) -> bool:
                return await stored.replace_chunks(connection, generation, source, pieces)

            settled &= await in_transaction(self._pool, work)
        return settled

    async def _is_there(self, generation: Generation, source: Source) -> bool:
        async with acquire(self._pool) as connection:
            return bool(await stored.up_to_date(connection, generation, [source]))

    async def _embedded(self, generation: Generation, source: Source) -> list[Piece]:
        texts = chunks_of(source)
        vectors = await self._embedders.of(generation).passages(
            [with_title(source.title, text) for text in texts]
        )
        return [Piece(text, vector.tolist()) for text, vector in zip(texts, vectors, strict=True)]


def chunks_of(source: Source) -> list[str]:
    """A post without text is its title; a comment without any is nothing."""
    return chunks_of_text("" if source.kind == "comment" else source.title, source.body_markdown)


def chunks_of_text(title: str, body_markdown: str) -> list[str]:
    """`title` stands for a text that has nothing to read."""
    found = chunks(Block(*block) for block in plain_blocks(body_markdown))
    return found or ([title] if title else [])


def with_title(title: str, text: str) -> str:
    """What is embedded: a chunk alone often doesn't say what it is about."""
    return text if text.startswith(title) else f"{title}\n{text}"
