"""The table `search_index`: which index is searched, which one is being filled.

Whatever reads content and writes it to an index does so in a transaction that holds `lock`: two
that did it side by side could leave the older text.
"""

from __future__ import annotations

from typing import Final, NamedTuple
from uuid import UUID

from storage.postgres import Connection
from storage.search.engine import SHAPE
from storage.search.index_jobs import enqueue_fill

_LOCK_KEY: Final = int.from_bytes(b"serai-se")
FIRST: Final = (-1, UUID(int=0))
OLD_SECONDS: Final = 86_400.0
PATIENCE_SECONDS: Final = 90.0
_MARGIN_SECONDS: Final = 5.0


class Generation(NamedTuple):
    """`after_…`: how far it has been filled, None: not begun; `fits`: it was made for this version
    and database; `is_old`: filled a day ago or earlier."""

    number: int
    live: bool
    finished: bool
    fits: bool
    documents: int
    after_kind: str | None
    after_country: int | None
    after_id: UUID | None
    is_old: bool


async def lock(connection: Connection) -> None:
    """Until the end of the transaction, whose statements get more time: an engine that is busy
    holds up those behind it, and none of their jobs is to blame."""
    await connection.execute(
        "select set_config('statement_timeout', $1, true)", f"{PATIENCE_SECONDS:.0f}s"
    )
    await connection.execute(
        "select pg_advisory_xact_lock($1)", _LOCK_KEY, timeout=PATIENCE_SECONDS + _MARGIN_SECONDS
    )


async def read(connection: Connection, engine: str) -> list[Generation]:
    rows = await connection.fetch(
        "select generation, live, finished_at is not null, shape = $2 and epoch ="
        " (select epoch from incarnation), documents, after_kind, after_country, after_id,"
        " coalesce(finished_at < now() - make_interval(secs => $3), false)"
        " from search_index where engine = $1 order by generation",
        engine,
        SHAPE,
        OLD_SECONDS,
    )
    return [Generation(*row) for row in rows]


async def add(connection: Connection, engine: str, *, live: bool) -> int:
    number: int = await connection.fetchval(
        "insert into search_index (engine, shape, epoch, live)"
        " select $1, $2, epoch, $3 from incarnation returning generation",
        engine,
        SHAPE,
        live,
    )
    return number


async def forget(connection: Connection, numbers: list[int]) -> None:
    await connection.execute(
        "delete from search_index where generation = any($1::bigint[])", numbers
    )


async def advance(
    connection: Connection, number: int, kind: str, after: tuple[int, UUID], documents: int
) -> None:
    await connection.execute(
        "update search_index set after_kind = $2, after_country = $3, after_id = $4,"
        " documents = documents + $5 where generation = $1",
        number, kind, *after, documents,
    )  # fmt: skip


async def begin_rebuild(connection: Connection, engine: str) -> bool:
    """A new index beside the live one, and the job that fills it. False: one is being filled."""
    known = await read(connection, engine)
    if not all(one.finished for one in known):
        return False
    await add(connection, engine, live=not known)
    await enqueue_fill(connection)
    return True


async def finish(connection: Connection, engine: str, number: int) -> None:
    """It is the live one from now on, the only one of this engine."""
    await connection.execute(
        "delete from search_index where engine = $1 and generation <> $2", engine, number
    )
    await connection.execute(
        "update search_index set live = true, finished_at = clock_timestamp()"
        " where generation = $1",
        number,
    )
