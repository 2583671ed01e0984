"""What statistics read of timelines: cases counted by the days they took, or have waited so far."""

from __future__ import annotations

import datetime as dt
from typing import Final, NamedTuple

import msgspec

from storage.postgres import Connection
from storage.timelines import MIN_SHARING


class Comparable(msgspec.Struct, frozen=True):
    """Which cases: submitted from `since` (inclusive) to `until` (exclusive). A consulate counts
    only where enough members share it."""

    country_id: int
    visa_type: str | None
    consulate_key: str | None
    since: dt.date | None = None
    until: dt.date | None = None


class DayRow(NamedTuple):
    """`first` and `last`: submissions of these cases."""

    days: int
    decided: int
    pending: int
    withdrawn: int
    first: dt.date
    last: dt.date


# By timeline_waits alone; who shares a consulate by timeline_place.
_DAYS: Final = f"""
    select greatest(coalesce(ended_on, $6) - submitted_on, 0) as days,
           count(*) filter (where status in ('approved', 'refused')) as decided,
           count(*) filter (where status = 'pending') as pending,
           count(*) filter (where status = 'withdrawn') as withdrawn,
           min(submitted_on) as first, max(submitted_on) as last
      from timeline
     where country_id = $1 and ($2::text is null or visa_type = $2)
       and ($3::text is null or consulate_key = $3 and (visa_type, consulate_key) in (
           select visa_type, consulate_key from timeline
            where country_id = $1 and ($2::text is null or visa_type = $2) and consulate_key = $3
            group by visa_type, consulate_key having count(distinct account_id) >= {MIN_SHARING}))
       and ($4::date is null or submitted_on >= $4) and ($5::date is null or submitted_on < $5)
     group by 1 order by 1"""


async def days(connection: Connection, wanted: Comparable, today: dt.date) -> list[DayRow]:
    """Pending cases are counted up to today; what is dated later was dated further east."""
    rows = await connection.fetch(
        _DAYS, wanted.country_id, wanted.visa_type, wanted.consulate_key, wanted.since,
        wanted.until, today,
    )  # fmt: skip
    return [DayRow(*row.values()) for row in rows]
