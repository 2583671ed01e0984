"""A country moves to partitions of its own while its members go on writing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest

import storage.partitions as module
from actors.messages import Caller, CastVote
from config.errors import AppError
from storage.identity import country_of
from storage.partitions import list_partitions, promote
from tests.conditions import wait_until
from tests.integration.content import Content, content_on

JAPAN = 392  # in a group; South Korea stays in another one, Togo in Japan's
TOGO = 768
PARENTS = (*module.PARENTS, "chunk_1")


@pytest.fixture
async def content(database_url: str) -> AsyncIterator[Content]:
    async with content_on(database_url) as made:
        yield made


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 7)


class Crowd:
    """Writes, edits, votes and takes votes back until told to stop; knows what was acknowledged."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self.posts: list[str] = []
        self.comments: list[str] = []
        self.votes: dict[str, int] = {}
        self._stop = asyncio.Event()

    async def write(self, rounds: int, who: Caller) -> None:
        for number in range(rounds):
            for community in ("jp", "tg"):
                post = await self._content.post(who, community, title=f"Question {number}")
                self.posts.append(post["id"])
                comment = await self._content.comment(who, post["id"], body=f"Answer {number}")
                self.comments.append(comment["id"])
                for value in (1, 0, -1)[: 1 + number % 3]:
                    vote = CastVote(who, "post", UUID(post["id"]), value)  # type: ignore[arg-type]
                    (outcome,) = await self._content.ask(vote)
                    self._content.body(outcome)
                    self.votes[post["id"]] = value
            await asyncio.sleep(0)

    async def go_on(self, who: Caller) -> None:
        while not self._stop.is_set():
            await self.write(1, who)

    def stop(self) -> None:
        self._stop.set()


async def check(content: Content, crowd: Crowd) -> None:
    rows = await content.pool.fetch("select id, country_id, comment_count, up, down from post")
    found = {str(row["id"]): row for row in rows}
    assert set(found) == set(crowd.posts)
    assert all(row["country_id"] == country_of(row["id"]) for row in rows)
    assert all(row["comment_count"] == 1 for row in rows)
    votes = {
        str(row["target_id"]): row["value"]
        for row in await content.pool.fetch("select target_id, value from vote")
    }
    assert votes == {id: value for id, value in crowd.votes.items() if value}
    for id, value in crowd.votes.items():
        assert found[id]["up"] - found[id]["down"] == value
    comments = await content.pool.fetch("select id from comment")
    assert {str(row["id"]) for row in comments} == set(crowd.comments)


async def alone(content: Content) -> set[str]:
    async with content.pool.acquire() as connection:
        every = await list_partitions(connection)  # type: ignore[arg-type]
    numbers = [number for each in every for number in each.countries]
    assert len(numbers) == len(PARENTS) * len(set(numbers)) == len(PARENTS) * 1_024
    return {each.parent for each in every if each.countries == {JAPAN}}


async def test_under_load_nothing_is_lost(content: Content, database_url: str) -> None:
    crowd = Crowd(content)
    people = [await content.member(f"member{number}") for number in range(4)]
    await crowd.write(10, people[0])
    assert await alone(content) == set()
    async with asyncio.TaskGroup() as group:
        for person in people:
            group.create_task(crowd.go_on(person))
        seen: list[tuple[str, int]] = []
        changed = await promote(
            database_url, JAPAN, on_progress=lambda table, rows: seen.append((table, rows))
        )
        written = len(crowd.posts)
        await wait_until(lambda: len(crowd.posts) >= written + 20)
        crowd.stop()
    assert changed == list(PARENTS)
    assert await alone(content) == set(PARENTS)
    assert {"post", "comment", "vote"} <= {table for table, _ in seen}
    await check(content, crowd)
    own = await content.pool.fetchval("select count(*) from only post_c392")
    assert own == sum(country_of(UUID(id)) == JAPAN for id in crowd.posts)
    assert await promote(database_url, JAPAN) == []
    assert not await content.pool.fetchval(
        "select exists (select from pg_trigger where tgname = 'partition_move')"
    )


async def test_a_killed_promotion_goes_on(
    content: Content, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd = Crowd(content)
    ada = await content.member("ada")
    await crowd.write(12, ada)

    class Killed(BaseException):
        pass

    def kill(table: str, rows: int) -> None:
        if table == "comment":
            raise Killed

    with pytest.raises(Killed):
        await promote(database_url, JAPAN, on_progress=kill)
    assert await alone(content) == {"post"}
    await crowd.write(5, ada)  # meanwhile the mirror goes on
    first: list[int] = []
    await promote(
        database_url,
        JAPAN,
        on_progress=lambda table, rows: first.append(rows) if table == "comment" else None,
    )
    assert first[0] > module.BATCH, "it went on where it stood"
    assert await alone(content) == set(PARENTS)
    await check(content, crowd)


async def test_a_schema_that_has_changed_begins_anew(content: Content, database_url: str) -> None:
    crowd = Crowd(content)
    await crowd.write(6, await content.member("ada"))

    def kill(table: str, rows: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await promote(database_url, JAPAN, on_progress=kill)
    await content.pool.execute("alter table post add column later text")
    await promote(database_url, JAPAN)
    assert await alone(content) == set(PARENTS)
    await check(content, crowd)


async def test_the_swap_reads_no_row(content: Content, database_url: str) -> None:
    """With a constraint that implies the bound Postgres attaches without a look at the table."""
    await Crowd(content).write(3, await content.member("ada"))
    said: list[str] = []
    connect = asyncpg.connect

    async def listening(url: str, **options: Any) -> Any:
        connection = await connect(url, **options)
        connection.add_log_listener(lambda _, message: said.append(message.message))
        await connection.execute("set client_min_messages = debug1")
        return connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncpg, "connect", listening)
        await promote(database_url, JAPAN)
    implied = [text for text in said if "is implied by existing constraints" in text]
    assert len(implied) == 2 * len(PARENTS), said


async def test_one_promotion_at_a_time_and_of_known_countries(
    content: Content, database_url: str
) -> None:
    with pytest.raises(AppError, match="No partition"):
        await promote(database_url, 5_000)
    holder = await asyncpg.connect(database_url)
    try:
        await holder.execute("select pg_advisory_lock($1)", module._LOCK_KEY)
        with pytest.raises(AppError, match="Another promotion"):
            await promote(database_url, TOGO)
    finally:
        await holder.close()
