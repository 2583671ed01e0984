"""Uploaded files as rows: whose they are, how far they have come, who may read them.

pending ─▶ processing ─▶ ready        (`object_hash` names the object that it shares)
                    └──▶ refused      (`reason` says why)
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Final, Literal
from uuid import UUID

import msgspec

from config.errors import AppError
from storage import accounts
from storage.identity import NO_COUNTRY, lowest_id_at, new_id
from storage.jobs import enqueue
from storage.postgres import Connection, Pool, acquire, in_transaction

State = Literal["pending", "processing", "ready", "refused"]
ENTRYPOINT: Final = "media"
_WINDOW: Final = timedelta(hours=24)
_MILLISECOND: Final = timedelta(milliseconds=1)
# Advisory locks: of a member's quota, and of one content hash (storage/media_removal.py).
_QUOTA_LOCK: Final = 0x5E7A2
_HASH_LOCK: Final = 0x5E7A3


class File(msgspec.Struct, frozen=True):
    """A file as its caller sees it. `content_type` and `size_bytes` are of the object once there is
    one, before that of the upload as announced.

    `readable`: content that the caller may read shows it; `public`: content that guests may read.
    """

    id: UUID
    owner_id: UUID
    file_name: str
    state: State
    reason: str
    content_type: str
    size_bytes: int
    hash: bytes | None
    width: int | None
    height: int | None
    pages: int | None
    thumbnails: list[int]
    readable: bool
    public: bool


class Made(msgspec.Struct, frozen=True):
    """What processing made of an upload."""

    content_type: str
    size_bytes: int
    width: int | None = None
    height: int | None = None
    pages: int | None = None
    thumbnails: Sequence[int] = ()


def no_file() -> AppError:
    """Also for files that the caller may not know of."""
    return AppError("not_found", "There is no such file.")


async def create(
    pool: Pool, owner_id: UUID, file_name: str, content_type: str, size: int, bytes_per_day: int
) -> UUID:
    """A file that is announced. Raises AppError `rate_limited` over the day's quota, `suspended`,
    `unauthenticated`."""
    id = new_id(NO_COUNTRY)

    async def work(connection: Connection) -> None:
        await require_active(connection, owner_id)
        # Announcements that cross would each find room for themselves.
        await connection.execute(
            "select pg_advisory_xact_lock($1, hashtext($2::text))", _QUOTA_LOCK, str(owner_id)
        )
        await _require_room(connection, owner_id, size, bytes_per_day)
        await connection.execute(
            "insert into media (id, owner_id, file_name, content_type, size_bytes)"
            " values ($1, $2, $3, $4, $5)",
            id, owner_id, file_name, content_type, size,
        )  # fmt: skip

    await in_transaction(pool, work)
    return id


async def require_active(connection: Connection, account_id: UUID) -> None:
    """Raises AppError `suspended` or `unauthenticated`."""
    account = await accounts.find(connection, account_id)
    if account is None:
        raise accounts.no_account()
    account.require_active()


async def _require_room(
    connection: Connection, owner_id: UUID, size: int, bytes_per_day: int
) -> None:
    """By index media_owner. Files that are gone no longer count: those are orphans of a day ago."""
    rows = await connection.fetch(
        "select size_bytes, created_at + $2 - clock_timestamp() as remaining from media"
        " where owner_id = $1 and id >= $3 and created_at > clock_timestamp() - $2::interval"
        " order by id",
        owner_id,
        _WINDOW,
        lowest_id_at((time.time_ns() // 1_000_000) - _WINDOW // _MILLISECOND),
    )
    used = sum(row["size_bytes"] for row in rows)
    wait: timedelta | None = None
    for row in rows:
        if used + size <= bytes_per_day:
            break
        used, wait = used - row["size_bytes"], row["remaining"]
    if wait is not None:
        raise AppError(
            "rate_limited",
            f"At most {bytes_per_day} bytes of files in 24 hours.",
            retry_after_seconds=max(1.0, wait.total_seconds()),
        )


# `limit 1`: looked up one by one, each in its country's partition; joined, all would be read.
_FIND: Final = """
    select m.id, m.owner_id, m.file_name, m.state, m.reason,
           coalesce(o.content_type, m.content_type), coalesce(o.size_bytes, m.size_bytes),
           m.object_hash, o.width, o.height, o.pages, coalesce(o.thumbnails, '{}'),
           coalesce(r.readable, false), coalesce(r.public, false)
    from media m
    left join media_object o on o.hash = m.object_hash
    left join lateral (
        select bool_or(may_read(b.role, y.visibility, s.role)) as readable,
               bool_or(may_read(null, y.visibility, null)) as public
        from media_attachment a
        cross join lateral (select community_id from post
            where country_id = a.country_id and id = a.post_id and deleted_at is null limit 1) p
        left join lateral (select id, deleted_at from comment
            where country_id = a.country_id and id = a.content_id limit 1) c on true
        join community y on y.id = p.community_id
        left join account b on b.id = $2
        left join membership s on s.community_id = y.id and s.account_id = $2
        where a.media_id = m.id
          and (a.content_id = a.post_id or (c.id is not null and c.deleted_at is null))
    ) r on true
    where m.id = $1"""


async def find(connection: Connection, media_id: UUID, caller_id: UUID | None) -> File:
    """As `caller_id` (None: a guest) sees it. Raises AppError `not_found`."""
    row = await connection.fetchrow(_FIND, media_id, caller_id)
    if row is None:
        raise no_file()
    file = File(*row.values())
    if not (file.readable or file.owner_id == caller_id):
        raise no_file()
    return file


async def begin(pool: Pool, owner_id: UUID, media_id: UUID) -> None:
    """The bytes are there: has them processed, once."""

    async def work(connection: Connection) -> None:
        begun = await connection.fetchval(
            "update media set state = 'processing'"
            " where id = $1 and owner_id = $2 and state = 'pending' returning true",
            media_id,
            owner_id,
        )
        if begun:
            await enqueue(connection, ENTRYPOINT, {"media_id": media_id})

    await in_transaction(pool, work)


async def is_processing(connection: Connection, media_id: UUID) -> bool:
    """False: it is done, or was removed meanwhile."""
    found = await connection.fetchval(
        "select true from media where id = $1 and state = 'processing'", media_id
    )
    return bool(found)


async def refuse(pool: Pool, media_id: UUID, reason: str) -> None:
    async def work(connection: Connection) -> None:
        await connection.execute(
            "update media set state = 'refused', reason = $2"
            " where id = $1 and state = 'processing'",
            media_id,
            reason,
        )

    await in_transaction(pool, work)


_ABANDONED: Final = """
    update media m set state = 'refused', reason = 'It could not be processed: upload it again.'
    where m.state = 'processing' and not exists (
        select from pgqueuer q where q.entrypoint = $1 and q.status in ('queued', 'picked')
           and convert_from(q.payload, 'UTF8')::json ->> 'media_id' = m.id::text)"""


async def refuse_abandoned(pool: Pool) -> None:
    """Files whose job is held or was dropped: their owner is told. A job that an operator puts back
    before goes on as if nothing had been."""
    async with acquire(pool) as connection:
        await connection.execute(_ABANDONED, ENTRYPOINT)


async def link(connection: Connection, media_id: UUID, hash: bytes) -> bool:
    """Makes the file ready where an object of this hash is known. The hash must be locked."""
    linked = await connection.fetchval(
        "update media set state = 'ready', object_hash = $2"
        " where id = $1 and state = 'processing'"
        " and exists (select from media_object where hash = $2) returning true",
        media_id,
        hash,
    )
    return bool(linked)


async def add_object(connection: Connection, hash: bytes, made: Made) -> None:
    """The hash must be locked, and its objects stored."""
    await connection.execute(
        "insert into media_object (hash, content_type, size_bytes, width, height, pages,"
        " thumbnails) values ($1, $2, $3, $4, $5, $6, $7)",
        hash, made.content_type, made.size_bytes, made.width, made.height, made.pages,
        made.thumbnails,
    )  # fmt: skip


async def lock_hash(connection: Connection, hash: bytes) -> None:
    """Until the transaction ends nobody else stores or removes the objects of this hash: what is
    removed as the last reference goes must not be what somebody else has just stored."""
    number = int.from_bytes(hash[:4], signed=True)
    await connection.execute("select pg_advisory_xact_lock($1, $2)", _HASH_LOCK, number)
