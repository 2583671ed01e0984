"""Appends durable events to one stream, inside the transaction that causes them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from storage.postgres import Connection

# RETURNING is evaluated with the row lock held, which makes offsets contiguous and in the order of
# commits, and the clock one that is read after the lock. The microseconds are computed as readers
# of stream_event do.
_APPEND: Final = """
with advanced as (
    update stream set top_offset = top_offset + cardinality($3::text[]) where id = $1
    returning top_offset - cardinality($3::text[]) as base, clock_timestamp() as stamp
), appended as (
    insert into stream_event (stream_id, off, subject_id, payload, created_at)
    select $1, base + place, $2, payload, stamp
      from advanced, unnest($3::text[]) with ordinality as event (payload, place)
)
select base + 1, (extract(epoch from stamp) * 1000000)::bigint from advanced"""


# Locked where a repetition is looked for, so that of two at once the second sees the first.
_STREAM: Final = """
select id, (select epoch from incarnation) as epoch from stream where channel = $1"""
_NEW_STREAM: Final = "insert into stream (channel) values ($1) on conflict (channel) do nothing"
# stream_event_subject serves it, in the newest partitions: now() lets the others be left out.
_REPEATED: Final = """
select off, (extract(epoch from created_at) * 1000000)::bigint as stamp_us from stream_event
 where subject_id = $1 and stream_id = $2
   and created_at > now() - make_interval(secs => $3)
 order by off limit 1"""


class Appended(NamedTuple):
    """An event that stands in a stream once its transaction commits. `committed_ns` is the clock
    within the transaction, as readers of the stream get it (`with_committed_ns`)."""

    channel: str
    offset: int
    payload: str
    committed_ns: int


async def append(
    connection: Connection, stream_id: int, subject_id: UUID, payloads: Sequence[str]
) -> int:
    """Appends in order and returns the first offset; the caller's transaction must be open.

    Holds the stream's row lock until the commit: lock streams before other rows. Raises LookupError
    when there is no such stream.
    """
    first, _ = await _append(connection, stream_id, subject_id, payloads)
    return first


async def append_event(
    connection: Connection, channel: str, stream_id: int, subject_id: UUID, payload: str
) -> Appended:
    """`append` for one event, with all that its live copy needs."""
    offset, committed_ns = await _append(connection, stream_id, subject_id, [payload])
    return Appended(channel, offset, payload, committed_ns)


class AppendedToChannel(NamedTuple):
    """`repeated`: an earlier event with the same subject, nothing was appended."""

    epoch: str
    stream_id: int
    offset: int
    committed_ns: int
    repeated: bool


async def append_to_channel(
    connection: Connection,
    channel: str,
    subject_id: UUID,
    payload: str,
    *,
    once_within_seconds: float = 0.0,
) -> AppendedToChannel:
    """Appends one event to the stream of a channel, which is made where there is none.

    With `once_within_seconds` an event of that time with the same subject is answered instead. The
    caller's transaction must be open, READ COMMITTED.
    """
    query = _STREAM + " for no key update" if once_within_seconds else _STREAM
    row = await connection.fetchrow(query, channel)
    if row is None:
        await connection.execute(_NEW_STREAM, channel)
        row = await connection.fetchrow(query, channel)
        if row is None:
            raise LookupError(f"the stream of {channel} is gone")
    stream_id, epoch = row["id"], str(row["epoch"])
    if once_within_seconds:
        earlier = await connection.fetchrow(_REPEATED, subject_id, stream_id, once_within_seconds)
        if earlier is not None:
            stamp_ns = earlier["stamp_us"] * 1_000
            return AppendedToChannel(epoch, stream_id, earlier["off"], stamp_ns, repeated=True)
    offset, committed_ns = await _append(connection, stream_id, subject_id, [payload])
    return AppendedToChannel(epoch, stream_id, offset, committed_ns, repeated=False)


async def _append(
    connection: Connection, stream_id: int, subject_id: UUID, payloads: Sequence[str]
) -> tuple[int, int]:
    if not payloads:
        raise ValueError("nothing to append")
    row = await connection.fetchrow(_APPEND, stream_id, subject_id, list(payloads))
    if row is None:
        raise LookupError(f"no stream {stream_id}")
    first, stamp_us = row.values()
    return first, stamp_us * 1_000


def event_payload(type_: str, fields: Mapping[str, object], sent_ns: int | None = None) -> str:
    """The JSON of a durable event, without `committed_ns`, which only live copies carry.

    `sent_ns` is the realtime clock when the server received the write (default: now).
    """
    sent_ns = time.time_ns() if sent_ns is None else sent_ns
    at = rfc3339(datetime.fromtimestamp(sent_ns / 1e9, UTC))
    event = {"type": type_, "at": at, **fields, "sent_ns": sent_ns}
    return msgspec.json.encode(event).decode()


def rfc3339(moment: datetime) -> str:
    """UTC with milliseconds, as every time in the API."""
    # A page of 500 comments has a thousand: isoformat takes twice as long, strftime ten times.
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ" % (  # noqa: UP031 - an f-string is slower here too
        moment.year,
        moment.month,
        moment.day,
        moment.hour,
        moment.minute,
        moment.second,
        moment.microsecond // 1000,
    )
