"""Objects that may be in the store though no row of media_object names them. Wherever a worker is
killed, a note is left that leads to them:

    noted ─▶ stored ─▶ named, the note gone                 (actors/media/processing.py)
    named no more, noted ─▶ deleted ─▶ the note gone        (storage/media_removal.py)

Each step is a transaction of its own; those on the store hold the lock of the hash.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from storage import media
from storage.objects import Objects, original_key, thumbnail_key
from storage.postgres import Connection, Pool, acquire, in_transaction

_AT_ONCE: Final = 500


async def note(connection: Connection, hash: bytes, thumbnails: Sequence[int]) -> None:
    """Before the transaction that stores them."""
    await connection.execute(
        "insert into stray_object (hash, thumbnails) values ($1, $2) on conflict (hash)"
        " do update set thumbnails = excluded.thumbnails, noted_at = excluded.noted_at",
        hash,
        thumbnails,
    )


async def settle(connection: Connection, hash: bytes) -> None:
    """With the row that names them."""
    await connection.execute("delete from stray_object where hash = $1", hash)


# A note that is there is of somebody who is about to store them: what is left is the sweep's.
_UNNAME: Final = """
    with unnamed as (
        delete from media_object o where o.hash = $1
           and not exists (select from media m where m.object_hash = o.hash)
        returning hash, thumbnails
    )
    insert into stray_object (hash, thumbnails) select hash, thumbnails from unnamed
    on conflict do nothing returning noted_at"""


async def unname(connection: Connection, hash: bytes) -> datetime | None:
    """Deletes the row that names them, if nothing refers to it; the hash must be locked. When they
    were noted, for `delete` after the commit."""
    noted_at: datetime | None = await connection.fetchval(_UNNAME, hash)
    return noted_at


async def delete(pool: Pool, objects: Objects, hash: bytes, noted_at: datetime) -> None:
    """Unless they were stored anew and named meanwhile."""

    async def work(connection: Connection) -> None:
        await media.lock_hash(connection, hash)
        note = await connection.fetchrow(
            "select thumbnails, exists (select from media_object o where o.hash = s.hash) as named"
            " from stray_object s where hash = $1 and noted_at = $2",
            hash,
            noted_at,
        )
        if note is None:
            return
        if not note["named"]:
            smaller = [thumbnail_key(hash, size) for size in note["thumbnails"]]
            await objects.delete([original_key(hash), *smaller])
        await settle(connection, hash)

    await in_transaction(pool, work)


# Who has noted what it will store does so at once.
_LEFT: Final = """
    select hash, noted_at from stray_object where noted_at < clock_timestamp() - interval '1 hour'
    order by noted_at limit $1"""


async def sweep(pool: Pool, objects: Objects) -> None:
    """Deletes what was left behind. Safe to repeat and to run twice at once."""
    while True:
        async with acquire(pool) as connection:
            left = await connection.fetch(_LEFT, _AT_ONCE)
        for row in left:
            await delete(pool, objects, row["hash"], row["noted_at"])
        if len(left) < _AT_ONCE:
            break
