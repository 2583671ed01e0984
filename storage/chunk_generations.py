"""The tables of chunks: one for each model that vectors are of (docs/adr/0018).

    serving  ─ searched, and kept in step by the job 'embed'
    building ─ made for another model: filled by the job 'fill_embeddings', kept in step as well,
               then it takes the place of the serving one, whose table is dropped

The job fills in small steps, each a transaction that also says how far it came and enqueues the
next: a worker that is killed loses one step.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from config.errors import AppError
from storage.jobs import enqueue
from storage.postgres import Connection

State = Literal["building", "serving"]
FILL_ENTRYPOINT: Final = "fill_embeddings"
_DROP_LOCK: Final = "5s"


class Place(NamedTuple):
    """Of a document in the order that filling has: posts, then guides, each by country and id."""

    kind: Literal["post", "guide"]
    country_id: int
    id: UUID


FIRST: Final = Place("post", -1, UUID(int=0))


class Generation(NamedTuple):
    id: int
    model: str
    dimension: int
    state: State
    step: int
    place: Place
    finished: bool


class FillStep(msgspec.Struct, frozen=True):
    generation: int
    step: int


_COLUMNS: Final = (
    "id, model, dimension, state, step, last_kind, last_country, last_id,"
    " finished_at is not null as finished"
)


async def read_generations(connection: Connection) -> list[Generation]:
    """The serving one first."""
    rows = await connection.fetch(
        f"select {_COLUMNS} from embedding_generation order by state desc"
    )
    return [_generation(row) for row in rows]


async def serving(connection: Connection) -> Generation:
    row = await connection.fetchrow(
        f"select {_COLUMNS} from embedding_generation where state = 'serving'"
    )
    assert row is not None  # there always is one
    return _generation(row)


async def lock_step(connection: Connection, step: FillStep) -> Generation | None:
    """The generation, locked. None: the step was made, or the generation is not there any more."""
    row = await connection.fetchrow(
        f"select {_COLUMNS} from embedding_generation where id = $1 and step = $2 for update",
        step.generation,
        step.step,
    )
    return None if row is None else _generation(row)


async def advance(connection: Connection, generation: Generation, place: Place) -> None:
    """In the transaction that wrote what stands up to `place`: the next step can begin."""
    await connection.execute(
        "update embedding_generation set step = step + 1, last_kind = $2, last_country = $3,"
        " last_id = $4 where id = $1",
        generation.id, *place,
    )  # fmt: skip
    await enqueue(connection, FILL_ENTRYPOINT, FillStep(generation.id, generation.step + 1))


async def finish(connection: Connection, generation: Generation) -> None:
    """Everything is in it. One that was building serves from this transaction's commit on, and the
    former one's table is gone: whoever still searches it finds no such table, and looks anew.

    Raises AppError `overloaded` where long statements keep the former table locked: try again.
    """
    if generation.state == "building":
        former = await connection.fetchval(
            "delete from embedding_generation where state = 'serving' returning id"
        )
        await _drop(connection, former)
    await connection.execute(
        "update embedding_generation set state = 'serving', step = step + 1,"
        " last_kind = null, last_country = null, last_id = null, finished_at = clock_timestamp()"
        " where id = $1",
        generation.id,
    )


async def mark_incomplete(connection: Connection) -> None:
    """Before content is written that no job 'embed' is enqueued for: whoever is stopped before
    `begin_fill` leaves that much behind."""
    await connection.execute(
        "update embedding_generation set finished_at = null where state = 'serving'"
    )


async def begin_fill(connection: Connection) -> None:
    """Everything that the serving generation lacks is embedded, in the background. Nothing, where
    that is about to begin anyway."""
    row = await connection.fetchrow(
        f"select {_COLUMNS} from embedding_generation where state = 'serving' for update"
    )
    assert row is not None  # there always is one
    generation = _generation(row)
    step = FillStep(generation.id, generation.step)
    waits = await connection.fetchval(
        "select exists (select from pgqueuer where entrypoint = $1 and status = 'queued'"
        " and payload = $2)",
        FILL_ENTRYPOINT,
        msgspec.json.encode(step),
    )
    if generation.place == FIRST and waits:
        return
    await connection.execute(
        "update embedding_generation set step = step + 1, last_kind = null, last_country = null,"
        " last_id = null, finished_at = null where id = $1",
        generation.id,
    )
    await enqueue(connection, FILL_ENTRYPOINT, FillStep(generation.id, generation.step + 1))


async def begin_rebuild(connection: Connection, model: str, dimension: int) -> Generation:
    """A generation for another model (or the same once more), and the job that fills it. Raises
    AppError `conflict` while one is being built."""
    await connection.execute("lock table embedding_generation in exclusive mode")
    generations = await read_generations(connection)
    if len(generations) > 1:
        raise AppError("conflict", "A rebuild is under way. `cancel` gives it up.")
    id = generations[0].id + 1
    await connection.execute("select make_chunks($1, $2)", id, dimension)
    await connection.execute(
        "insert into embedding_generation (id, model, dimension, state)"
        " values ($1, $2, $3, 'building')",
        id, model, dimension,
    )  # fmt: skip
    await enqueue(connection, FILL_ENTRYPOINT, FillStep(id, 0))
    return (await read_generations(connection))[1]


async def cancel_rebuild(connection: Connection) -> bool:
    """False: there is none. The jobs of it find nothing to do."""
    id = await connection.fetchval(
        "delete from embedding_generation where state = 'building' returning id"
    )
    if id is None:
        return False
    await _drop(connection, id)
    return True


def table_of(generation: Generation) -> str:
    return f"chunk_{generation.id:d}"


async def _drop(connection: Connection, id: int) -> None:
    await connection.execute(f"set local lock_timeout = '{_DROP_LOCK}'")
    await connection.execute(f"drop table chunk_{id:d}")


def _generation(row: asyncpg.Record) -> Generation:
    place = FIRST
    if row["last_kind"] is not None:
        place = Place(row["last_kind"], row["last_country"], row["last_id"])
    return Generation(
        row["id"], row["model"], row["dimension"], row["state"], row["step"], place, row["finished"]
    )
