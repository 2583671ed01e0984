"""Writing the timelines of a dump: found by their ids where they are there already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from storage.identity import country_of
from storage.postgres import Connection
from storage.timelines import TimelineText

_encode: Final = msgspec.json.Encoder().encode


class TimelineToImport(msgspec.Struct, frozen=True):
    """`reference`: its member's handle in the dump."""

    id: UUID
    reference: str
    text: TimelineText


_WRITE: Final = """
    insert into timeline (country_id, id, account_id, visa_type, consulate, consulate_key, events,
                          status, submitted_on, ended_on, created_at)
    select i.country, i.id, a.id, i.visa_type, i.consulate, i.consulate_key, i.events, i.status,
           i.submitted_on, i.ended_on, to_timestamp(id_ms(i.id) / 1000.0)
      from unnest($1::smallint[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[],
                  $7::jsonb[], $8::text[], $9::date[], $10::date[])
           i (country, id, reference, visa_type, consulate, consulate_key, events, status,
              submitted_on, ended_on)
      join account a on a.imported_ref = i.reference
    on conflict do nothing returning id"""


async def write_timelines(connection: Connection, timelines: Sequence[TimelineToImport]) -> int:
    """In one statement; how many were new. Their accounts are there, no two have one id."""
    texts = [each.text for each in timelines]
    rows = await connection.fetch(
        _WRITE,
        [country_of(each.id) for each in timelines],
        [each.id for each in timelines],
        [each.reference for each in timelines],
        [text.visa_type for text in texts],
        [text.consulate for text in texts],
        [text.consulate_key for text in texts],
        [_encode(text.events).decode() for text in texts],
        [text.status for text in texts],
        [text.submitted_on for text in texts],
        [text.ended_on for text in texts],
    )
    return len(rows)
