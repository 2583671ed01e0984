"""Processing statistics, and where one pending case stands among the others.

Nothing is kept here: a page is a count by days in SQL and an estimate over them, and gateways keep
it for everybody for some seconds.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from actors.directory_reads import known_country
from actors.messages import Reply
from actors.pages import member
from actors.survival import CONFIDENCE, DayCount, Estimate, beyond, estimate
from actors.timeline_reads import key_of, require_visa_type
from actors.timeline_rules import consulate_key
from actors.timeline_views import (
    MIN_CASES,
    Comparison,
    CurvePoint,
    DayBounds,
    Flags,
    Interval,
    ProcessingStatistics,
    SampleDates,
    TimelinePosition,
    Waits,
    joined,
    month,
    notices_of,
)
from actors.timelines import require_owner
from actors.visa_messages import ProcessingRead, ReadProcessing, ReadTimelinePosition
from config.errors import AppError
from config.reference import countries_by_numeric
from storage import processing, timelines
from storage.identity import country_of
from storage.postgres import Connection, wal_position
from storage.processing import Comparable, DayRow
from storage.replicas import Readers
from storage.timelines import TimelineRow

_encode: Final = msgspec.json.Encoder().encode
_DECEMBER: Final = 12


class ProcessingReader:
    def __init__(self, readers: Readers, clock_ms: Callable[[], int]) -> None:
        self._readers = readers
        self._clock_ms = clock_ms

    async def answer(self, request: ProcessingRead) -> Reply:
        match request:
            case ReadProcessing():
                return await self._statistics(request)
            case ReadTimelinePosition():
                return await self._position(request)

    async def _statistics(self, request: ReadProcessing) -> Reply:
        country = known_country(request.country)
        require_visa_type(country, request.visa_type)
        wanted = Comparable(
            country.numeric, request.visa_type, key_of(request.consulate),
            None if request.since is None else _first_day("from", request.since),
            None if request.until is None else _next_month(_first_day("to", request.until)),
        )  # fmt: skip
        today = self._today()
        async with self._readers.acquire(request.position) as connection:
            position = await wal_position(connection)
            rows = await processing.days(connection, wanted, today)
        found = estimate(_counts(rows))
        if request.as_csv:
            return Reply(200, _csv(found), position, public=True)
        waits = _waits(rows, found)
        notices = notices_of(
            sufficient=waits.sufficient,
            withdrawn=bool(waits.withdrawn),
            by_consulate=request.consulate is not None,
        )
        shown = ProcessingStatistics(
            **msgspec.structs.asdict(waits),
            country=country.alpha2,
            visa_type=request.visa_type,
            consulate=request.consulate,
            as_of=today.isoformat(),
            confidence=CONFIDENCE,
            sample=_sample(rows),
            curve=_curve(found) if waits.sufficient else [],
            notice=joined(notices),
            notices=notices,
        )
        return Reply(200, _encode(shown), position, public=True)

    async def _position(self, request: ReadTimelinePosition) -> Reply:
        account_id = member(request.caller)
        today = self._today()
        async with self._readers.acquire(request.position) as connection:
            row = await timelines.read(connection, request.timeline_id)
            require_owner(row, account_id)
            if row.status != "pending":
                raise AppError("conflict", "The timeline has ended: it waits for nothing.")
            waited = max(0, (today - row.submitted_on).days)
            rows = await self._others(connection, row, today, waited, by_consulate=True)
            by_consulate = _cases(rows) >= MIN_CASES
            if not by_consulate:
                rows = await self._others(connection, row, today, waited, by_consulate=False)
        counts = _counts(rows)
        found = estimate(counts)
        waits = _waits(rows, found)
        state = found.at(waited) if waits.sufficient else None
        later = [one._replace(days=one.days - waited) for one in rows if one.days > waited]
        notices = notices_of(
            sufficient=waits.sufficient,
            withdrawn=bool(waits.withdrawn),
            by_consulate=False,
            fell_back=not by_consulate,
        )
        country = countries_by_numeric()[country_of(row.id)].alpha2
        shown = TimelinePosition(
            timeline_id=row.id,
            as_of=today.isoformat(),
            waited_days=waited,
            compared_with=Comparison(
                country, row.visa_type, row.consulate if by_consulate else None
            ),
            n=waits.n,
            events=waits.events,
            pending=waits.pending,
            withdrawn=waits.withdrawn,
            sufficient=waits.sufficient,
            decided_share=None if state is None else 1 - state.waiting,
            decided_share_lower=None if state is None else 1 - state.upper,
            decided_share_upper=None if state is None else 1 - state.lower,
            remaining=_waits(later, estimate(beyond(counts, waited))),
            notice=joined(notices),
            notices=notices,
        )
        return Reply(200, _encode(shown))

    async def _others(
        self,
        connection: Connection,
        row: TimelineRow,
        today: dt.date,
        waited: int,
        *,
        by_consulate: bool,
    ) -> list[DayRow]:
        """All comparable cases but this one."""
        key = consulate_key(row.consulate) if by_consulate else None
        if by_consulate and not row.shared:
            return []
        wanted = Comparable(country_of(row.id), row.visa_type, key)
        rows = await processing.days(connection, wanted, today)
        return [
            one._replace(pending=one.pending - 1) if one.days == waited and one.pending else one
            for one in rows
        ]

    def _today(self) -> dt.date:
        return dt.datetime.fromtimestamp(self._clock_ms() / 1000, dt.UTC).date()


def _counts(rows: Sequence[DayRow]) -> list[DayCount]:
    return [DayCount(row.days, row.decided, row.pending + row.withdrawn) for row in rows]


def _cases(rows: Sequence[DayRow]) -> int:
    return sum(row.decided + row.pending + row.withdrawn for row in rows)


def _waits(rows: Sequence[DayRow], found: Estimate) -> Waits:
    sufficient = found.n >= MIN_CASES
    shown = found if sufficient else estimate(())
    p25, p50, p80 = (shown.quantile(part) for part in (0.25, 0.5, 0.8))
    return Waits(
        n=found.n,
        events=found.decided,
        pending=sum(row.pending for row in rows),
        withdrawn=sum(row.withdrawn for row in rows),
        sufficient=sufficient,
        p25_days=p25.day,
        p50_days=p50.day,
        p80_days=p80.day,
        reached=Flags(p25.day is not None, p50.day is not None, p80.day is not None),
        ci=Interval(*(DayBounds(each.lower, each.upper) for each in (p25, p50, p80))),
    )


def _curve(found: Estimate) -> list[CurvePoint]:
    return [
        CurvePoint(p.day, p.waiting, p.lower, p.upper, p.at_risk, p.decided) for p in found.points
    ]


def _sample(rows: Sequence[DayRow]) -> SampleDates | None:
    if not rows:
        return None
    return SampleDates(month(min(row.first for row in rows)), month(max(row.last for row in rows)))


def _csv(found: Estimate) -> bytes:
    """The curve; of too few cases the heading alone."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CurvePoint.__struct_fields__)
    if found.n >= MIN_CASES:
        writer.writerows(msgspec.structs.astuple(point) for point in _curve(found))
    return text.getvalue().encode()


def _first_day(path: str, text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(f"{text}-01")
    except ValueError:
        raise AppError(
            "invalid", "The period does not fit.", errors=((path, "is no month, as 2026-03"),)
        ) from None


def _next_month(day: dt.date) -> dt.date:
    if (day.year, day.month) == (dt.MAXYEAR, _DECEMBER):
        return day.replace(day=31)
    return (day + dt.timedelta(days=31)).replace(day=1)
