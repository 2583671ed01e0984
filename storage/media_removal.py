"""Removing files: rows first, then objects, each under the lock of their hash."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from storage import attachments, media, stray_objects
from storage.objects import UPLOADS, Objects, upload_key
from storage.postgres import Connection, Pool, acquire, in_transaction

_AT_ONCE: Final = 500
_STEP: Final = 50
# An address of an upload is good for a day at most; what is left by then was never announced as
# complete, or its process died.
_UPLOADS_KEPT: Final = timedelta(days=2)

# `unattached_since` may be wrong where content that gains a file crosses content that loses it:
# what is attached is never removed.
_ATTACHED: Final = "exists (select from media_attachment a where a.media_id = m.id)"
_RIGHTED: Final = f"""
    update media m set unattached_since = null
    where unattached_since < clock_timestamp() - make_interval(hours => $1) and {_ATTACHED}"""
# What its owner is still writing about waits for another day.
_KEPT_BY_DRAFTS: Final = """
    update media m set unattached_since = clock_timestamp()
    where unattached_since < clock_timestamp() - make_interval(hours => $1)
      and exists (select from draft d where d.account_id = m.owner_id
                  and position('/media/' || m.id in d.body_markdown) > 0)"""
_ORPHANS: Final = """
    select id from media where unattached_since < clock_timestamp() - make_interval(hours => $1)
    order by unattached_since limit $2"""


async def remove_orphans(pool: Pool, objects: Objects, orphan_hours: int) -> int:
    """Removes files that belong to nothing for `orphan_hours`; how many. Safe to repeat and to run
    twice at once."""
    while await attachments.check(pool, _AT_ONCE) == _AT_ONCE:
        pass
    async with acquire(pool) as connection:
        await connection.execute(_RIGHTED, orphan_hours)
        await connection.execute(_KEPT_BY_DRAFTS, orphan_hours)
    removed = 0
    while True:
        async with acquire(pool) as connection:
            rows = await connection.fetch(_ORPHANS, orphan_hours, _AT_ONCE)
        found = [row["id"] for row in rows]
        now_gone = [await _remove(pool, objects, id, orphan_hours) for id in found]
        removed += sum(now_gone)
        # Nothing removed: others hold them. They are there at the next round.
        if len(found) < _AT_ONCE or not any(now_gone):
            break
    stale = [key async for key in objects.older_than(UPLOADS, _UPLOADS_KEPT)]
    await objects.delete(stale)
    await stray_objects.sweep(pool, objects)
    return removed


async def remove_files_of(pool: Pool, objects: Objects, account_id: UUID) -> int:
    """Some files of an account that is being erased, also such that content shows; how many. 0:
    there are none left."""
    async with acquire(pool) as connection:
        rows = await connection.fetch(
            "select id from media where owner_id = $1 limit $2", account_id, _STEP
        )
    for row in rows:
        while not await _remove(pool, objects, row["id"], None):
            async with acquire(pool) as connection:
                if not await connection.fetchval("select true from media where id = $1", row["id"]):
                    break  # somebody else has removed it
    return len(rows)


async def _remove(pool: Pool, objects: Objects, media_id: UUID, orphan_hours: int | None) -> bool:
    """False: it is gone, or attached meanwhile (where `orphan_hours` is given)."""

    async def work(connection: Connection) -> _Removed | None:
        hash: bytes | None = await connection.fetchval(
            "select object_hash from media where id = $1", media_id
        )
        if hash is not None:
            await media.lock_hash(connection, hash)
        if not await connection.fetchval(_DELETE, media_id, orphan_hours, hash):
            return None
        return _Removed(hash, await stray_objects.unname(connection, hash) if hash else None)

    removed = await in_transaction(pool, work)
    if removed is None:
        return False
    # Before the commit a crash would leave a row without bytes, which equal uploads are linked to;
    # after it a note is left, and uploads are swept.
    await objects.delete([upload_key(media_id)])
    if removed.hash and removed.noted_at:
        await stray_objects.delete(pool, objects, removed.hash, removed.noted_at)
    return True


class _Removed(NamedTuple):
    """`noted_at`: nothing else refers to the object."""

    hash: bytes | None
    noted_at: datetime | None


# The hash may have come meanwhile: then this is the next round's.
_DELETE: Final = f"""
    delete from media m where id = $1 and object_hash is not distinct from $3
       and ($2::int is null or not {_ATTACHED}
            and unattached_since < clock_timestamp() - make_interval(hours => $2))
    returning true"""
