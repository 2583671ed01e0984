"""Checklists: brought by operators, ticked by members, linked to official pages."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from actors.feed import Feed
from actors.messages import Failure, Reply
from actors.public_messages import PublicRead
from actors.visa_messages import (
    ListBegunChecklists,
    ListChecklists,
    ListOfficialLinks,
    ReadChecklist,
    ReadChecklistProgress,
    SetChecklistItem,
)
from serve_app.checklists_command import import_checklists, withdraw_checklist
from serve_app.importing import import_dump
from storage.directory import Directory
from storage.seed import seed
from tests.integration.people import NOW, World, pool, world

__all__ = ["pool", "world"]

pytestmark = pytest.mark.integration

STARTER = Path(__file__).parents[2] / "config" / "starter"
PAGE = "https://www.make-it-in-germany.com/en/"


class Board:
    def __init__(self, world: World) -> None:
        self.world = world
        self._feed = Feed(world.pool, Directory(world.pool), clock_ms=lambda: int(NOW) * 1_000)

    async def outcome(self, request: PublicRead) -> Any:
        (outcome,) = await self._feed.handle_batch([request])
        return outcome

    async def page(self, request: PublicRead) -> Any:
        outcome = await self.outcome(request)
        assert isinstance(outcome, Reply), outcome
        assert outcome.public
        return msgspec.json.decode(outcome.body)

    async def bring(self, *checklists: dict[str, Any], folder: Path) -> int:
        file = folder / "lists.jsonl"
        file.write_bytes(b"\n".join(msgspec.json.encode(each) for each in checklists))
        return await import_checklists(file, self.url)

    url: str = ""


@pytest.fixture
async def board(world: World, database_url: str) -> Board:
    async with world.pool.acquire() as connection:
        await seed(connection)
    board = Board(world)
    board.url = database_url
    return board


def checklist(id: str = "cl-de", **changes: Any) -> dict[str, Any]:
    items = [{"id": "i1", "text": "A passport"}, {"id": "i2", "text": "A form", "source_url": PAGE}]
    line = {"id": id, "country": "DE", "visa_type": "student", "language": "en", "title": "To do"}
    return line | {"items": items} | changes


async def test_they_are_listed_and_read(board: Board, tmp_path: Path) -> None:
    made = [checklist("a", language="de"), checklist("b", country="FR"), checklist("c")]
    assert await board.bring(*made, folder=tmp_path) == 0

    async def listed(**wanted: Any) -> list[str]:
        values = {"country": None, "visa_type": None, "languages": (), "limit": 1, "cursor": None}
        found: list[str] = []
        while True:
            page = await board.page(ListChecklists(**(values | wanted)))
            found += [item["id"] for item in page["items"]]
            wanted["cursor"] = page["next_cursor"]
            if page["next_cursor"] is None:
                return found

    assert await listed() == ["a", "b", "c"]
    assert await listed(country="de") == ["a", "c"]
    assert await listed(country="DE", languages=("en",)) == ["c"]
    assert await listed(visa_type="student", languages=("de", "fr")) == ["a"]
    assert await listed(country="DE", visa_type="chancenkarte") == []
    wrong = ListChecklists("DE", "f-1", (), 30, None)
    assert isinstance(await board.outcome(wrong), Failure)
    shown = await board.page(ReadChecklist("c"))
    assert (shown["country"], shown["item_count"]) == ("DE", 2)
    assert [(item["id"], item["source"]) for item in shown["items"]] == [
        ("i1", None),
        ("i2", {"url": PAGE, "status": "unchecked", "http_status": None, "freshness": "stale",
                "last_checked_at": None, "last_changed_at": None}),
    ]  # fmt: skip
    assert (await board.outcome(ReadChecklist("none"))).code == "not_found"


async def test_ticks_stay_when_a_checklist_is_brought_anew(board: Board, tmp_path: Path) -> None:
    mina = await board.world.register("mina")
    await board.bring(checklist(), folder=tmp_path)

    async def tick(item: str, done: bool = True, id: str = "cl-de") -> Any:
        reply = await board.world.reply(SetChecklistItem(mina.caller, id, item, done))
        return msgspec.json.decode(reply.body)

    first = await tick("i1")
    assert await tick("i1") == first  # the time stays
    assert (first["done"], first["total"]) == (1, 2)
    assert (await tick("i2"))["done"] == 2
    assert [item["item_id"] for item in (await tick("i2", False))["items"]] == ["i1"]
    await tick("i2")

    fewer = checklist(items=[{"id": "i2", "text": "Another form"}, {"id": "i3", "text": "New"}])
    await board.bring(fewer, folder=tmp_path)
    progress = ReadChecklistProgress(mina.caller, "cl-de")
    shown = msgspec.json.decode((await board.world.reply(progress)).body)
    assert (shown["done"], shown["total"]) == (1, 2)
    begun = ListBegunChecklists(mina.caller, 30, None)
    (one,) = msgspec.json.decode((await board.world.reply(begun)).body)["items"]
    assert (one["checklist"]["id"], one["done"], one["total"]) == ("cl-de", 1, 2)
    await board.bring(checklist(), folder=tmp_path)
    shown = msgspec.json.decode((await board.world.reply(progress)).body)
    assert [item["item_id"] for item in shown["items"]] == ["i1", "i2"]
    assert shown["items"][0] == first["items"][0]

    for request in (
        SetChecklistItem(mina.caller, "cl-de", "i9", True),
        SetChecklistItem(mina.caller, "none", "i1", True),
    ):
        assert (await board.world.failure(request)).code == "not_found"
    await withdraw_checklist("cl-de", board.world.pool)
    assert (await board.world.failure(progress)).code == "not_found"
    assert msgspec.json.decode((await board.world.reply(begun)).body)["items"] == []


async def test_begun_ones_come_page_by_page(board: Board, tmp_path: Path) -> None:
    mina = await board.world.register("mina")
    names = [f"list-{n}" for n in range(3)]
    await board.bring(*(checklist(name) for name in names), folder=tmp_path)
    for name in names:
        await board.world.reply(SetChecklistItem(mina.caller, name, "i1", True))
    found: list[str] = []
    cursor = None
    while True:
        reply = await board.world.reply(ListBegunChecklists(mina.caller, 1, cursor))
        page = msgspec.json.decode(reply.body)
        found += [item["checklist"]["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == names[::-1]


@pytest.mark.parametrize(
    "changes",
    [
        {"country": "de"},
        {"visa_type": "f-1"},
        {"id": "Upper"},
        {"items": []},
        {"items": [{"id": "i1", "text": "a"}, {"id": "i1", "text": "b"}]},
        {"items": [{"id": "i1", "text": "a", "source_url": "http://insecure.example.org"}]},
        {"items": [{"id": "i1", "text": "a", "note": "b"}]},
        {"title": "x\0y"},
    ],
    ids=str,
)
async def test_bad_lines_are_refused(board: Board, tmp_path: Path, changes: dict[str, Any]) -> None:
    assert await board.bring(checklist(**changes), checklist("good"), folder=tmp_path) == 1
    shown = await board.world.pool.fetch("select id from checklist")
    assert [row["id"] for row in shown] == ["good"]


async def test_the_starter_content_names_official_pages(board: Board) -> None:
    await import_dump(STARTER, board.url)
    urls: list[str] = []
    cursor = None
    while True:
        page = await board.page(ListOfficialLinks("DE", "student", 3, cursor))
        urls += [item["url"] for item in page["items"]]
        kinds = {source["kind"] for item in page["items"] for source in item["sources"]}
        assert kinds <= {"visa_type", "guide", "checklist"}
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert urls == sorted(set(urls)) and PAGE in urls
    every = await board.page(ListOfficialLinks(None, None, 100, None))
    assert len(every["items"]) > len(urls)
    assert {item["freshness"] for item in every["items"]} == {"stale"}
    now = dt.datetime.fromtimestamp(NOW, dt.UTC)
    await board.world.pool.execute(
        "insert into official_link (url, status, http_status, last_checked_at, last_ok_at,"
        " content_hash) values ($1, 'ok', 200, $2, $2, 'x')",
        PAGE,
        now - dt.timedelta(days=14),
    )
    found = await board.page(ListOfficialLinks("DE", "student", 100, None))
    fresh = {item["url"]: item["freshness"] for item in found["items"]}
    assert fresh[PAGE] == "fresh" and set(fresh.values()) == {"fresh", "stale"}
    await board.world.pool.execute(
        "update official_link set last_ok_at = last_ok_at - interval '1 second'"
    )
    found = await board.page(ListOfficialLinks("DE", "student", 100, None))
    assert {item["freshness"] for item in found["items"]} == {"stale"}


async def test_starter_timelines_are_imported_once(board: Board) -> None:
    for written in (603, 0):
        summary = await import_dump(STARTER, board.url)
        assert (summary.timelines.read, summary.timelines.written) == (603, written)
        assert summary.timelines.refused == 0
        assert summary.checklists.written == (31 if written else 0)
    ids = [row["id"] for row in await board.world.pool.fetch("select id from timeline limit 5")]
    assert all(isinstance(id, UUID) for id in ids)


async def test_every_invalid_timeline_of_a_dump_is_refused(board: Board, tmp_path: Path) -> None:
    for name in ("accounts.jsonl", "accounts_extra.jsonl"):
        (tmp_path / name).write_bytes((STARTER / name).read_bytes())
    invalid = Path(__file__).parents[1] / "data" / "timelines_invalid.jsonl"
    (tmp_path / "timelines.jsonl").write_bytes(invalid.read_bytes())
    summary = await import_dump(tmp_path, board.url)
    assert (summary.timelines.read, summary.timelines.refused) == (39, 39)
    reasons = [refusal.reason for refusal in summary.refusals]
    assert "account: no imported account 'nobody_here_404'" in reasons
    assert await board.world.pool.fetchval("select count(*) from timeline") == 0
