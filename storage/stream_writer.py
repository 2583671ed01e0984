"""Appends durable events to one stream, inside the transaction that causes them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from storage.postgres import Connection

# The CTE takes the row lock, which makes offsets contiguous and in the order of commits; the clock
# is read for a row that has passed through it, hence after the lock.
_APPEND: Final = """
with advanced as (
    update stream set top_offset = top_offset + cardinality($3::text[]) where id = $1
    returning top_offset - cardinality($3::text[]) as base
), appended as (
    insert into stream_event (stream_id, off, subject_id, payload, created_at)
    select $1, base + n, $2, payload, clock_timestamp()
      from advanced, unnest($3::text[]) with ordinality as event (payload, n)
)
select base + 1 from advanced
"""


class Appended(NamedTuple):
    """An event that stands in a stream once its transaction commits."""

    channel: str
    offset: int
    payload: str


async def append(
    connection: Connection, stream_id: int, subject_id: UUID, payloads: Sequence[str]
) -> int:
    """Appends in order and returns the first offset; the caller's transaction must be open.

    Holds the stream's row lock until the commit: lock streams before other rows. Raises LookupError
    when there is no such stream.
    """
    if not payloads:
        raise ValueError("nothing to append")
    first = await connection.fetchval(_APPEND, stream_id, subject_id, list(payloads))
    if first is None:
        raise LookupError(f"no stream {stream_id}")
    return int(first)


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
    return (
        moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
    )
