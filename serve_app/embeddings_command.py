"""`python -m serve_app embeddings`: which model the vectors are of, and vectors of another one."""

from __future__ import annotations

import argparse
import asyncio

from ai.embedder import configured_name, load_model
from config.embedding import Embedding
from config.errors import AppError
from storage import chunk_generations
from storage.chunk_generations import Generation
from storage.chunks import Amounts, count_chunks
from storage.postgres import Pool, acquire, in_transaction


async def run(options: argparse.Namespace, pool: Pool, settings: Embedding) -> None:
    """Prints what there is, or what was done. Raises AppError: `conflict` while a rebuild is under
    way, `unavailable` where the configured model can't be had."""
    match options.action:
        case "status":
            async with acquire(pool) as connection:
                for generation in await chunk_generations.read_generations(connection):
                    print(_line(generation, await count_chunks(connection, generation)))
                    if generation.state == "serving":
                        serving = generation
            if serving.model != configured_name(settings):
                print(f"The settings name {configured_name(settings)}: `rebuild` goes over to it.")
        case "rebuild":
            model = await asyncio.to_thread(load_model, settings)
            made = await in_transaction(
                pool,
                lambda connection: chunk_generations.begin_rebuild(
                    connection, model.name, model.dimension
                ),
            )
            print(
                f"Vectors of {made.model} ({made.dimension} dimensions) are made by the AI workers;"
                " searches use the former ones until all are there."
            )
        case "cancel":
            if not await in_transaction(pool, chunk_generations.cancel_rebuild):
                raise AppError("not_found", "No rebuild is under way.")
            print("given up")


def _line(generation: Generation, amounts: Amounts) -> str:
    state = generation.state if generation.finished else f"{generation.state}, not complete"
    return (
        f"{generation.model}  {generation.dimension} dimensions  {amounts.chunks:,} chunks"
        f" of {amounts.embedded:,} documents, {amounts.documents:,} to embed  ({state})"
    )
