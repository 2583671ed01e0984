"""Processing statistics over recorded timelines, and where a pending case stands among them."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from actors.feed import Feed
from actors.messages import GUEST, Caller, Failure, Reply
from actors.public_messages import PublicRead
from actors.survival import estimate
from actors.timeline_rules import consulate_key, outline
from actors.visa_messages import ReadProcessing, ReadTimelinePosition
from config.reference import countries_by_alpha2
from storage.directory import Directory
from storage.identity import new_id
from storage.postgres import Pool
from storage.timeline_events import TimelineEvent
from tests.integration.people import pool
from tests.lifelines_agreement import Case, counts_of, disagreement
from tests.timeline_data import STARTER, WRITTEN, rows

__all__ = ["pool"]

pytestmark = pytest.mark.integration

NOW_MS = int(WRITTEN.timestamp()) * 1_000
TODAY = WRITTEN.date()
COLUMNS = (
    "country_id", "id", "account_id", "visa_type", "consulate", "consulate_key", "events", "status",
    "submitted_on", "ended_on",
)  # fmt: skip


class Statistics:
    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self._feed = Feed(pool, Directory(pool), clock_ms=lambda: NOW_MS)

    async def outcome(self, request: PublicRead) -> Any:
        (outcome,) = await self._feed.handle_batch([request])
        return outcome

    async def page(self, request: PublicRead) -> Any:
        outcome = await self.outcome(request)
        assert isinstance(outcome, Reply), outcome
        return msgspec.json.decode(outcome.body)

    async def add(
        self,
        submitted: dt.date,
        ended: dt.date | None = None,
        *,
        status: str = "approved",
        account_id: UUID | None = None,
        country: str = "DE",
        visa_type: str = "student",
        consulate: str = "Mumbai",
        events: str = "[]",
    ) -> UUID:
        number = countries_by_alpha2()[country].numeric
        id = new_id(number)
        record = (
            number, id, account_id or uuid4(), visa_type, consulate, consulate_key(consulate),
            events, "pending" if ended is None else status, submitted, ended,
        )  # fmt: skip
        await self.pool.copy_records_to_table("timeline", records=[record], columns=COLUMNS)
        return id

    async def add_days(self, days: int, *, decided: bool = True, **more: Any) -> UUID:
        begun = TODAY - dt.timedelta(days=days)
        return await self.add(begun, TODAY if decided else None, **more)


@pytest.fixture
async def statistics(pool: Pool) -> Statistics:
    return Statistics(pool)


async def test_the_starter_timelines_as_lifelines_has_them(statistics: Statistics) -> None:
    cases: dict[tuple[str, str], list[Case]] = {}
    for row in rows(STARTER):
        events = msgspec.convert(row["events"], list[TimelineEvent])
        status, begun, ended = outline(events)
        await statistics.add(
            begun, ended, status=status, country=row["country"], visa_type=row["visa_type"],
            consulate=row["consulate"],
        )  # fmt: skip
        case = (((ended or TODAY) - begun).days, status in ("approved", "refused"))
        cases.setdefault((row["country"], row["visa_type"]), []).append(case)
    sufficient = 0
    for (country, visa_type), group in cases.items():
        shown = await statistics.page(ReadProcessing(country, visa_type, None, None, None))
        assert (shown["n"], shown["events"]) == (len(group), sum(event for _, event in group))
        assert shown["n"] == shown["events"] + shown["pending"] + shown["withdrawn"]
        assert shown["sufficient"] == (len(group) >= 10)
        if not shown["sufficient"]:
            assert shown["curve"] == [] and shown["p50_days"] is None
            continue
        sufficient += 1
        assert disagreement(group) < 1e-9
        own = estimate(counts_of(group))
        assert [(p["days"], p["waiting"]) for p in shown["curve"]] == [
            (p.day, pytest.approx(p.waiting, abs=1e-12)) for p in own.points
        ]
        for name, part in (("p25", 0.25), ("p50", 0.5), ("p80", 0.8)):
            day, lower, upper = own.quantile(part)
            assert shown[f"{name}_days"] == day
            assert shown["reached"][name] == (day is not None)
            assert shown["ci"][name] == {"lower_days": lower, "upper_days": upper}
        assert shown["as_of"] == "2026-11-20"
        assert "self_selected" in [notice["code"] for notice in shown["notices"]]
        assert shown["notice"] == " ".join(notice["text"] for notice in shown["notices"])
    assert sufficient > 10


async def test_filters_and_few_cases(statistics: Statistics) -> None:
    for month in range(1, 10):
        await statistics.add(dt.date(2026, month, 3), dt.date(2026, 10, 1))
    nine = await statistics.page(ReadProcessing("DE", "student", None, None, None))
    assert (nine["n"], nine["sufficient"], nine["curve"], nine["sample"]) == (
        9, False, [], {"from": "2026-01", "to": "2026-09"},
    )  # fmt: skip
    assert nine["notices"][0]["code"] == "insufficient"
    for _ in range(4):
        await statistics.add(dt.date(2026, 1, 2), consulate="Accra")
    every = await statistics.page(ReadProcessing("de", None, None, None, None))
    assert (every["n"], every["pending"], every["sufficient"]) == (13, 4, True)
    assert every["p80_days"] is None and every["reached"] == {
        "p25": True, "p50": True, "p80": False,
    }  # fmt: skip
    for since, until, n in (
        ("2026-09", None, 1), (None, "2026-08", 12), ("2026-03", "2026-03", 1),
        ("2026-10", None, 0), (None, "9999-12", 13), ("0001-01", None, 13),
    ):  # fmt: skip
        page = await statistics.page(ReadProcessing("DE", "student", None, since, until))
        assert page["n"] == n, (since, until)
    # A consulate that four members share is not told apart; one that nine share is.
    for consulate, n in (("ACCRA", 0), ("mumbai", 9), ("Lagos", 0)):
        page = await statistics.page(ReadProcessing("DE", "student", consulate, None, None))
        assert page["n"] == n
    assert (await statistics.page(ReadProcessing("FR", None, None, None, None)))["sample"] is None
    for wrong in (
        ReadProcessing("XX", None, None, None, None),
        ReadProcessing("DE", "f-1", None, None, None),
        ReadProcessing("DE", None, None, "0000-01", None),
    ):
        assert isinstance(await statistics.outcome(wrong), Failure)


async def test_csv_holds_the_curve(statistics: Statistics) -> None:
    request = ReadProcessing("DE", "student", None, None, None, as_csv=True)
    reply = await statistics.outcome(request)
    assert reply.body == b"days,waiting,lower,upper,at_risk,decided\n"
    for day in range(1, 11):
        await statistics.add_days(day)
    reply = await statistics.outcome(request)
    assert reply.public
    lines = reply.body.decode().splitlines()
    assert len(lines) == 11
    assert lines[1].startswith("1,0.9,") and lines[1].endswith(",10,1")


async def test_where_am_i(statistics: Statistics) -> None:
    mine = uuid4()
    me = Caller(mine, "mina", "Mina")
    id = await statistics.add_days(20, decided=False, account_id=mine)
    await statistics.add_days(3, account_id=mine, visa_type="chancenkarte")
    few = await statistics.page(ReadTimelinePosition(me, id))
    assert (few["n"], few["sufficient"], few["decided_share"]) == (0, False, None)
    for day in range(1, 41):
        await statistics.add_days(day, consulate="Mumbai" if day % 2 else "Delhi")
    shown = await statistics.page(ReadTimelinePosition(me, id))
    # By the 20 others of Mumbai: days 1, 3 … 39, of which ten are over.
    assert shown["compared_with"] == {
        "country": "DE", "visa_type": "student", "consulate": "Mumbai",
    }  # fmt: skip
    assert (shown["n"], shown["events"], shown["waited_days"]) == (20, 20, 20)
    assert shown["decided_share"] == pytest.approx(0.5)
    assert shown["decided_share_lower"] < 0.5 < shown["decided_share_upper"]
    # Day 21 is the first, day 29 the fifth of the ten that are left.
    remaining = shown["remaining"]
    assert (remaining["n"], remaining["p50_days"], remaining["sufficient"]) == (10, 9, True)

    theirs = Caller(uuid4(), "noor", "Noor")
    for caller, code in ((theirs, "not_permitted"), (GUEST, "unauthenticated")):
        failure = await statistics.outcome(ReadTimelinePosition(caller, id))
        assert failure.code == code
    over = await statistics.add_days(5, account_id=mine)
    assert (await statistics.outcome(ReadTimelinePosition(me, over))).code == "conflict"
    gone = await statistics.outcome(ReadTimelinePosition(me, new_id(276)))
    assert gone.code == "not_found"


async def test_those_of_one_consulate_are_too_few(statistics: Statistics) -> None:
    mine = uuid4()
    id = await statistics.add_days(15, decided=False, account_id=mine, consulate="Accra")
    for day in range(1, 10):
        await statistics.add_days(day, consulate="Accra")
    for day in range(10, 20):
        await statistics.add_days(day, consulate="Mumbai")
    shown = await statistics.page(ReadTimelinePosition(Caller(mine, "m", "M"), id))
    assert shown["compared_with"]["consulate"] is None
    assert (shown["n"], shown["sufficient"]) == (19, True)
    assert "all_consulates" in [notice["code"] for notice in shown["notices"]]
    # Of the four that took longer nothing is said.
    assert (shown["remaining"]["n"], shown["remaining"]["p50_days"]) == (4, None)
    assert not shown["remaining"]["sufficient"]
