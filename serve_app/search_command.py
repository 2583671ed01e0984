"""`python -m serve_app search`: what the index holds, and another one beside it."""

from __future__ import annotations

import argparse

from config.settings import Settings
from storage import jobs
from storage.postgres import Pool, acquire, in_transaction
from storage.search import generations
from storage.search.engines import engine_name
from storage.search.generations import Generation
from storage.search.index_jobs import ENTRYPOINT, FILL_ENTRYPOINT


async def run(options: argparse.Namespace, pool: Pool, settings: Settings) -> None:
    """Prints what there is, or what was begun."""
    engine = engine_name(settings)
    match options.action:
        case "rebuild":
            if await in_transaction(
                pool, lambda connection: generations.begin_rebuild(connection, engine)
            ):
                print("A new index is filled by the server; the former one is searched until then.")
            else:
                print("An index is being filled already.")
        case "status":
            async with acquire(pool) as connection:
                known = await generations.read(connection, engine)
            print(*(_line(engine, one) for one in known) if known else ("no index",), sep="\n")
            print(await behind(pool))


async def behind(pool: Pool) -> str:
    """How far the index is behind the database."""
    depths = await jobs.depths(pool, [ENTRYPOINT, FILL_ENTRYPOINT])
    depth = depths[ENTRYPOINT]
    held = sum(each.held for each in depths.values())
    waiting = f"{depth.due} changes wait, the oldest for {depth.waited_seconds:.0f} s"
    return f"{waiting}; {held} jobs are held (`jobs list --failed`)" if held else waiting


def _line(engine: str, one: Generation) -> str:
    state = "searched" if one.live else "beside it"
    if not one.finished:
        state += f", being filled: {one.documents:,} documents so far"
    return f"{engine} index {one.number}  ({state})"
