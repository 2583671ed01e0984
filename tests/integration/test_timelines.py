"""Timelines: recorded, changed and deleted by their members; what others see of them."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any
from uuid import UUID

import msgspec
import pytest

from actors.feed import Feed
from actors.messages import GUEST, Caller, Failure, Reply
from actors.public_messages import PublicRead
from actors.visa_messages import (
    CreateTimeline,
    DeleteTimeline,
    EditTimeline,
    ListConsulates,
    ListTimelines,
    ReadTimeline,
    ReadTimelineHistory,
)
from storage.directory import Directory
from storage.timeline_events import TimelineEvent
from storage.timelines import MAX_FORMER, MAX_TIMELINES, MIN_SHARING
from tests.integration.people import NOW, Person, World, pool, world

__all__ = ["pool", "world"]

pytestmark = pytest.mark.integration

NOW_MS = int(NOW) * 1_000
SUBMITTED = ("application_submitted", "2026-03-05")


def steps(*events: tuple[str, str]) -> tuple[TimelineEvent, ...]:
    return msgspec.convert(
        [{"kind": kind, "date": date} for kind, date in events], tuple[TimelineEvent, ...]
    )


def record(who: Person, *events: tuple[str, str], **changes: Any) -> CreateTimeline:
    values: dict[str, Any] = {
        "caller": who.caller,
        "country": "DE",
        "visa_type": "student",
        "consulate": "Mumbai",
        "events": steps(*(events or (SUBMITTED,))),
        "key": None,
    }
    return CreateTimeline(**(values | changes))


def listing(caller: Caller = GUEST, **changes: Any) -> ListTimelines:
    values: dict[str, Any] = {
        "country": "DE",
        "visa_type": None,
        "consulate": None,
        "status": None,
        "mine": False,
        "limit": 30,
        "cursor": None,
    }
    return ListTimelines(caller, **(values | changes))


class Readers:
    def __init__(self, world: World) -> None:
        self._feed = Feed(world.pool, Directory(world.pool), clock_ms=lambda: NOW_MS)

    async def page(self, request: PublicRead) -> Any:
        (outcome,) = await self._feed.handle_batch([request])
        assert isinstance(outcome, Reply), outcome
        return msgspec.json.decode(outcome.body)

    async def code(self, request: PublicRead) -> str:
        (outcome,) = await self._feed.handle_batch([request])
        assert isinstance(outcome, Failure), outcome
        return outcome.code


@pytest.fixture
def readers(world: World) -> Readers:
    return Readers(world)


async def recorded(world: World, request: CreateTimeline) -> Any:
    reply = await world.reply(request)
    assert reply.status == 201 and reply.position
    return msgspec.json.decode(reply.body)


async def test_its_member_sees_everything_and_others_months_without_a_name(
    world: World, readers: Readers
) -> None:
    mina, noor = await world.register("mina"), await world.register("noor")
    mine = await recorded(
        world, record(mina, SUBMITTED, ("decision_approved", "2026-06-01"), consulate=" Mumbai  ")
    )
    assert (mine["form"], mine["consulate"], mine["consulate_hidden"]) == ("own", "Mumbai", True)
    assert (mine["status"], mine["days"], mine["revision"]) == ("approved", 88, 1)
    assert mine["events"][0] == {
        "kind": "application_submitted", "month": "2026-03", "date": "2026-03-05",
    }  # fmt: skip
    id = UUID(mine["id"])
    assert await readers.page(ReadTimeline(mina.caller, id)) == mine
    for caller in (noor.caller, GUEST):
        shown = await readers.page(ReadTimeline(caller, id))
        assert (shown["form"], shown["consulate"], shown["consulate_hidden"]) == (
            "public", None, True,
        )  # fmt: skip
        assert shown["events"][0] == {
            "kind": "application_submitted", "month": "2026-03", "date": None,
        }  # fmt: skip
        assert {shown[name] for name in ("days", "revision", "created_at", "edited_at")} == {None}
        told = msgspec.json.encode(shown).decode()
        assert "mina" not in told and str(mina.id) not in told and "2026-03-05" not in told
    assert await readers.code(ReadTimelineHistory(noor.caller, id)) == "not_permitted"
    assert await readers.code(ReadTimelineHistory(GUEST, id)) == "unauthenticated"


async def test_a_consulate_is_told_where_enough_members_share_it(
    world: World, readers: Readers
) -> None:
    people = [await world.register(f"member{n}") for n in range(MIN_SHARING)]
    for person in people[:-1]:
        await recorded(world, record(person, consulate="mumbai"))
        await recorded(world, record(person, consulate="Mumbai"))  # counts once
        await recorded(world, record(person, visa_type="chancenkarte"))
    await recorded(world, record(people[0], consulate="Accra"))
    before = await readers.page(listing())
    assert {item["consulate"] for item in before["items"]} == {None}
    assert (await readers.page(listing(consulate="Mumbai")))["items"] == []
    consulates = ListConsulates("DE", "student")
    assert (await readers.page(consulates))["items"] == []

    await recorded(world, record(people[-1], consulate="MUMBAI"))
    shown = await readers.page(listing(visa_type="student"))
    assert [item["consulate"] for item in shown["items"]].count(None) == 1  # Accra
    shared = 2 * MIN_SHARING - 1
    assert len((await readers.page(listing(consulate="mUMBAI")))["items"]) == shared
    assert (await readers.page(listing(consulate="Accra")))["items"] == []
    other = await readers.page(listing(visa_type="chancenkarte"))
    assert {item["consulate"] for item in other["items"]} == {None}
    (found,) = (await readers.page(consulates))["items"]
    assert (found["name"].casefold(), found["timelines"]) == ("mumbai", shared)


async def test_pages_and_filters(world: World, readers: Readers) -> None:
    mina, noor = await world.register("mina"), await world.register("noor")
    done = ("decision_refused", "2026-04-01")
    made = [
        await recorded(world, record(mina)),
        await recorded(world, record(noor, SUBMITTED, done)),
        await recorded(world, record(mina, country="FR", visa_type="student")),
        await recorded(world, record(mina, SUBMITTED, done, visa_type="chancenkarte")),
    ]
    ids = [one["id"] for one in made]
    in_germany = sorted((ids[0], ids[1], ids[3]), reverse=True)

    async def listed(request: ListTimelines) -> list[str]:
        return [item["id"] for item in (await readers.page(request))["items"]]

    assert await listed(listing()) == in_germany
    assert await listed(listing(country="de")) == in_germany
    assert await listed(listing(status="refused")) == sorted((ids[1], ids[3]), reverse=True)
    assert await listed(listing(visa_type="student", status="pending")) == [ids[0]]
    mine = sorted((ids[0], ids[2], ids[3]), reverse=True)
    assert await listed(listing(mina.caller, country=None, mine=True)) == mine
    assert await listed(listing(mina.caller, country="FR", mine=True)) == [ids[2]]
    assert await listed(listing(mina.caller, mine=True, consulate="mumbai", limit=1)) == [ids[3]]
    seen: list[str] = []
    cursor = None
    while True:
        page = await readers.page(listing(limit=1, cursor=cursor))
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == in_germany
    first = await readers.page(listing(limit=1))
    for refused, code in (
        (listing(country=None), "invalid"),
        (listing(country="XX"), "invalid"),
        (listing(visa_type="f-1"), "invalid"),
        (listing(country="FR", cursor=first["next_cursor"]), "invalid"),
        (listing(cursor="x"), "invalid"),
        (listing(limit=101), "invalid"),
        (listing(GUEST, mine=True), "unauthenticated"),
    ):
        assert await readers.code(refused) == code, refused


async def test_edits_keep_what_they_replaced(world: World, readers: Readers) -> None:
    mina, noor = await world.register("mina"), await world.register("noor")
    made = await recorded(world, record(mina))
    id = UUID(made["id"])
    longer = steps(SUBMITTED, ("biometrics", "2026-03-20"))
    change = EditTimeline(mina.caller, id, 1, None, None, longer)
    for _ in range(2):  # sent twice it changes once: what stands already is no change
        reply = await world.reply(msgspec.structs.replace(change, revision=None))
        shown = msgspec.json.decode(reply.body)
        assert (shown["revision"], len(shown["events"])) == (2, 2)
        assert shown["edited_at"] is not None
    assert (await world.failure(change)).code == "conflict"
    wrong = msgspec.structs.replace(change, revision=2, visa_type="f-1")
    assert (await world.failure(wrong)).errors == (
        ("visa_type", "the country has no such visa type"),
    )
    theirs = msgspec.structs.replace(change, caller=noor.caller)
    assert (await world.failure(theirs)).code == "not_permitted"
    (former,) = (await readers.page(ReadTimelineHistory(mina.caller, id)))["items"]
    assert (former["number"], former["consulate"]) == (1, "Mumbai")
    assert [event["date"] for event in former["events"]] == ["2026-03-05"]
    for number in range(MAX_FORMER + 2):
        await world.reply(EditTimeline(mina.caller, id, None, None, f"Office {number}", None))
    history = (await readers.page(ReadTimelineHistory(mina.caller, id)))["items"]
    assert [item["number"] for item in history] == list(range(23, 3, -1))


async def test_a_deleted_one_is_gone_with_its_history(world: World, readers: Readers) -> None:
    mina, noor = await world.register("mina"), await world.register("noor")
    judge = await world.register("judge_")
    await world.pool.execute("update account set role = 'moderator' where handle = 'judge_'")
    one, other = [UUID((await recorded(world, record(mina)))["id"]) for _ in range(2)]
    assert (await world.failure(DeleteTimeline(noor.caller, one))).code == "not_permitted"
    for _ in range(2):
        assert (await world.reply(DeleteTimeline(mina.caller, one))).status == 204
    await world.reply(DeleteTimeline(judge.caller, other))
    for request in (ReadTimeline(mina.caller, one), ReadTimelineHistory(mina.caller, one)):
        assert await readers.code(request) == "not_found"
    assert await world.pool.fetchval("select count(*) from timeline") == 0


async def test_a_key_records_once(world: World) -> None:
    mina = await world.register("mina")
    request = record(mina, key="k1")
    replies = await asyncio.gather(*(world.reply(request) for _ in range(3)))
    assert len({msgspec.json.decode(reply.body)["id"] for reply in replies}) == 1
    other = record(mina, key="k1", consulate="Delhi")
    assert (await world.failure(other)).code == "conflict"
    await world.reply(DeleteTimeline(mina.caller, UUID(msgspec.json.decode(replies[0].body)["id"])))
    assert (await world.failure(request)).code == "conflict"


async def test_a_member_has_so_many_at_most(world: World) -> None:
    mina = await world.register("mina")
    outcomes = await world.accounts.handle_batch([record(mina)] * (MAX_TIMELINES + 2))
    assert sum(isinstance(outcome, Reply) for outcome in outcomes) == MAX_TIMELINES
    assert (await world.failure(record(mina))).code == "conflict"


async def test_tomorrow_is_refused_by_the_clock_of_the_server(world: World) -> None:
    mina = await world.register("mina")
    now = dt.datetime.fromtimestamp(NOW, dt.UTC)
    far = (now + dt.timedelta(days=2)).date().isoformat()
    refused = await world.failure(record(mina, ("application_submitted", far)))
    assert refused.errors == (("events[0].date", "is in the future"),)
