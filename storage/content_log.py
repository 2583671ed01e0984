"""What one change leaves in the streams of content: events appended, earlier ones overwritten."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from storage.content_locks import Streams
from storage.postgres import Connection
from storage.stream_writer import append


class LogEntry(msgspec.Struct, frozen=True):
    """An event as its stream holds it after the transaction. `written_us`: when it was first
    written, of the overwritten ones; None of those that this transaction appended."""

    channel: str
    offset: int
    payload: str
    written_us: int | None = None


class ThreadActivity(msgspec.Struct, frozen=True):
    """How many comments a thread has left or gained, for open feeds."""

    community_id: UUID
    post_id: UUID
    comment_count: int
    last_comment_at: datetime | None


class Edited(msgspec.Struct, frozen=True):
    """The row as it is now, and what its streams gained: overwritten events first. `log` is empty
    where nothing was to be changed."""

    row: Any  # PostRow | CommentRow
    log: list[LogEntry] = []
    activity: ThreadActivity | None = None


async def append_to(
    connection: Connection, streams: Streams, subject_id: UUID, payload: str
) -> list[LogEntry]:
    """One event on each of the streams, which the caller has locked."""
    return [
        LogEntry(channel, await append(connection, id, subject_id, [payload]), payload)
        for id, channel in streams.items()
    ]


# `append` of storage/stream_writer.py for events about different things.
_APPEND_MANY: Final = """
    with advanced as (
        update stream set top_offset = top_offset + cardinality($3::text[]) where id = $1
        returning top_offset - cardinality($3::text[]) as base, clock_timestamp() as stamp
    ), appended as (
        insert into stream_event (stream_id, off, subject_id, payload, created_at)
        select $1, base + place, subject, payload, stamp
        from advanced, unnest($2::uuid[], $3::text[]) with ordinality e (subject, payload, place)
    )
    select base + 1 from advanced"""


async def append_many(
    connection: Connection, streams: Streams, events: Sequence[tuple[UUID, str]]
) -> list[LogEntry]:
    """Events (subject, payload) in order on each of the streams, which the caller has locked."""
    log: list[LogEntry] = []
    for id, channel in streams.items() if events else ():
        first = await connection.fetchval(
            _APPEND_MANY, id, [subject for subject, _ in events], [text for _, text in events]
        )
        log += (LogEntry(channel, first + n, text) for n, (_, text) in enumerate(events))
    return log


# By stream_event_subject, in every partition.
_STORED: Final = """
    select e.stream_id, e.off, e.payload, e.created_at, s.channel,
           (extract(epoch from e.created_at) * 1000000)::bigint as created_us
    from stream_event e join stream s on s.id = e.stream_id
    where e.subject_id = any($1::uuid[]) and ($2::text is null or s.channel = $2)
    order by e.stream_id, e.off"""
_REPLACE: Final = (
    "update stream_event set payload = $4 where stream_id = $1 and off = $2 and created_at = $3"
)


async def overwrite_events(
    connection: Connection,
    subject_ids: Sequence[UUID],
    redact: Callable[[str], str],
    *,
    channel: str | None = None,
) -> list[LogEntry]:
    """Overwrites every stored event of posts and comments, on one channel or on all. The caller has
    locked the content, so that no two overwrite the same."""
    rows = await connection.fetch(_STORED, list(subject_ids), channel)
    entries = [
        LogEntry(row["channel"], row["off"], redact(row["payload"]), row["created_us"])
        for row in rows
    ]
    await connection.executemany(
        _REPLACE,
        [
            (row["stream_id"], row["off"], row["created_at"], entry.payload)
            for row, entry in zip(rows, entries, strict=True)
        ],
    )
    return entries
