"""What one item, one replay or one lost connection means to the others of its batch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import pytest

from actors.messages import Failure, Reply
from actors.thread import Thread
from storage.directory import Directory
from storage.identity import new_id
from tests.integration.content import Content, content_on, create_comment, create_post


@pytest.fixture
async def content(database_url: str) -> AsyncIterator[Content]:
    async with content_on(database_url) as content:
        yield content


class FailingPool:
    """A pool whose acquisitions with these numbers, from 1, find no server."""

    def __init__(self, pool: Any, failing: set[int]) -> None:
        self._pool = pool
        self._failing = failing
        self.acquired = 0

    def acquire(self, *, timeout: float) -> Any:
        self.acquired += 1
        if self.acquired in self._failing:
            raise ConnectionRefusedError
        return self._pool.acquire(timeout=timeout)

    def get_max_size(self) -> int:
        size: int = self._pool.get_max_size()
        return size


def failing(content: Content, numbers: set[int]) -> Content:
    pool: Any = FailingPool(content.pool, numbers)
    thread = Thread(pool, Directory(content.pool), content.publisher)
    return Content(content.pool, thread, content.publisher)


async def test_a_replay_that_cannot_be_read_fails_alone(content: Content) -> None:
    ana = await content.member("ana")
    post = await content.post(ana, key="p")
    await content.comment(ana, post["id"], key="c")
    content.publisher.publications.clear()
    for batch in (
        (create_comment(ana, post["id"], key="c"), create_comment(ana, post["id"])),
        (create_post(ana, key="p"), create_post(ana)),
    ):
        outcomes = await failing(content, {2}).ask(*batch)
        assert content.code(outcomes[0]) == "unavailable"
        assert isinstance(outcomes[1], Reply)
    types = [t for c in (f"thread:{post['id']}", f"community:{post['community_id']}")
             for _, t in content.publisher.types(c)]  # fmt: skip
    assert types == ["comment.created", "post.created"]


async def test_replays_of_a_batch_are_read_together(content: Content) -> None:
    ana = await content.member("ana")
    post = await content.post(ana)
    batch = [create_comment(ana, post["id"], key=f"k{n}") for n in range(5)]
    first = await content.ask(*batch)
    pool = FailingPool(content.pool, set())
    thread = Thread(pool, Directory(content.pool), content.publisher)  # type: ignore[arg-type]
    again = await thread.handle_batch(batch)
    assert [content.body(outcome) for outcome in again] == [content.body(o) for o in first]
    assert pool.acquired == 2


async def test_a_half_that_was_committed_stays_answered(content: Content) -> None:
    ana = await content.member("ana")
    post = await content.post(ana)
    content.publisher.publications.clear()
    # The whole batch is refused by the database for the sake of one text, then tried by halves:
    # the second half finds no server.
    outcomes = await failing(content, {3}).ask(
        create_comment(ana, post["id"], body="good"), create_comment(ana, post["id"], body="a\0b")
    )
    assert content.body(outcomes[0])["body_markdown"] == "good"
    assert content.code(outcomes[1]) == "unavailable"
    assert content.publisher.types(f"thread:{post['id']}") == [(1, "comment.created")]


async def test_a_second_use_of_a_key_in_a_batch_fails_alone(content: Content) -> None:
    ana = await content.member("ana")
    post = await content.post(ana)
    outcomes = await failing(content, {2}).ask(
        create_comment(ana, post["id"], key="k"), create_comment(ana, post["id"], key="k")
    )
    assert isinstance(outcomes[0], Reply)
    assert content.code(outcomes[1]) == "unavailable"


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not await condition():  # noqa: ASYNC110  (Postgres is asked)
            await asyncio.sleep(0.01)


async def test_a_key_that_is_forgotten_meanwhile_is_to_be_sent_again(
    content: Content, database_url: str
) -> None:
    ana = await content.member("ana")
    post = await content.post(ana)
    await content.comment(ana, post["id"], key="old")
    rival = await asyncpg.connect(database_url)
    watcher = await asyncpg.connect(database_url)

    async def blocked() -> bool:
        return bool(
            await watcher.fetchval(
                "select exists (select from pg_stat_activity where datname = current_database()"
                " and wait_event_type = 'Lock')"
            )
        )

    try:
        async with rival.transaction():
            await rival.execute("select 1 from post for update")
            batch = asyncio.create_task(
                content.ask(
                    create_comment(ana, post["id"], key="old"), create_comment(ana, post["id"])
                )
            )
            await until(blocked)  # its keys are taken, the post is not
            await watcher.execute("delete from idempotency")
        outcomes = await batch
    finally:
        await rival.close()
        await watcher.close()
    assert isinstance(outcomes[0], Failure)
    assert (outcomes[0].code, outcomes[0].retry_after_seconds) == ("unavailable", 1.0)
    assert isinstance(outcomes[1], Reply)


async def test_communities_of_a_batch_are_one_query_and_misses_are_remembered(
    content: Content,
) -> None:
    ana = await content.member("ana")
    now = 0.0
    pool = FailingPool(content.pool, set())
    directory = Directory(pool, lambda: now)  # type: ignore[arg-type]
    thread = Thread(content.pool, directory, content.publisher)
    batch = [create_post(ana, f"nowhere-{n}") for n in range(20)]
    batch += [create_post(ana, "de"), create_post(ana, "de-student"), create_post(ana, "no slug")]
    for _ in range(2):
        outcomes = await thread.handle_batch(batch)
        assert [content.code(o) for o in outcomes[:20]] == ["invalid"] * 20
        assert content.code(outcomes[22]) == "invalid"
        assert {content.body(o)["country"] for o in outcomes[20:22]} == {"DE"}
        assert pool.acquired == 1
    await content.pool.execute("update community set slug = 'nowhere-1' where slug = 'fr'")
    now = 1.0
    assert (await directory.find("nowhere-1")) is not None
    assert pool.acquired == 2


async def test_a_private_community_is_refused_as_one_that_is_not_there(content: Content) -> None:
    ana = await content.member("ana")
    await content.pool.execute("update community set visibility = 'private' where slug = 'fr'")
    private, unknown, no_id = await content.ask(
        create_post(ana, "fr"), create_post(ana, "nowhere"), create_post(ana, str(new_id(250)))
    )
    assert content.code(private) == "invalid"
    assert private == unknown == no_id
