"""Search by meaning, passages and similar posts through the Search actor, with the real engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from actors.embedding import EmbeddingJobs
from actors.messages import GUEST, AcceptComment, Caller
from actors.retrieval_messages import RetrievalQuery
from actors.search_messages import FindSimilar, SearchRequest
from config.embedding import Embedding
from config.errors import AppError
from serve_app.search_client import SearchClient
from tests.embedding_models import WordEmbedders
from tests.integration.content import RECEIVED_NS
from tests.integration.search_world import SearchWorld, search_world

pytestmark = pytest.mark.integration


class World:
    def __init__(self, search: SearchWorld) -> None:
        self.search = search
        self.content = search.content
        self.embedders = WordEmbedders()
        self._jobs = EmbeddingJobs(self.content.pool, Embedding(), self.embedders)

    async def post(self, who: Caller, title: str, body: str, community: str = "de-student") -> str:
        post = await self.content.post(who, community, title=title, body=body)
        return str(post["id"])

    async def settle(self) -> int:
        """Runs the jobs of search, and those that they enqueue; how many of these there were."""
        await self.search.run_jobs()
        rows = await self.content.pool.fetch(
            "delete from pgqueuer where entrypoint = 'embed' returning payload"
        )
        for row in rows:
            await self._jobs.embed(row["payload"])
        return len(rows)

    async def found(self, q: str, caller: Caller = GUEST, **more: Any) -> list[str]:
        return await self.search.found(q, caller, meaning=True, **more)


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with search_world(database_url, tmp_path) as search:
        made = World(search)
        yield made
        made.embedders.close()


async def test_what_is_written_is_embedded_behind_its_index(world: World) -> None:
    ana = await world.content.member("ana")
    post = await world.post(ana, "Blocked account", "How much money?")
    comment = await world.content.comment(ana, post, body="Exactly 11,904 euros.")
    assert await world.settle() == 1, "of a comment there is nothing to embed"
    await world.content.ask(AcceptComment(ana, UUID(post), UUID(comment["id"]), RECEIVED_NS))
    assert await world.settle() > 0
    assert await world.settle() == 0
    passages = await world.search.ask(RetrievalQuery("euros for the blocked account", "DE"))
    assert {passage["id"] for passage in passages} == {post, comment["id"]}
    assert passages[0]["text"] in ("How much money?", "Exactly 11,904 euros.")


async def test_by_meaning_also_what_has_none_of_the_words(world: World) -> None:
    ana = await world.content.member("ana")
    near = await world.post(ana, "Blocked account", "money")
    far = await world.post(ana, "Weather", "rain")
    await world.settle()
    assert await world.search.found("account euros money") == [near]
    assert await world.found("account euros money") == [near, far]
    assert await world.found("nobody wrote this") != []
    assert await world.search.found("nobody wrote this") == []
    with pytest.raises(AppError, match="order of its own"):
        await world.found("account", sort="new")


async def test_pages_by_meaning_neither_repeat_nor_skip(world: World) -> None:
    ana = await world.content.member("ana")
    posts = {await world.post(ana, f"Money {n}", "account") for n in range(7)}
    await world.settle()
    seen: list[str] = []
    cursor = None
    while True:
        page = await world.search.page("money", limit=3, meaning=True, cursor=cursor)
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert sorted(seen) == sorted(posts)


async def test_filters_hold_for_both_halves(world: World) -> None:
    ana = await world.content.member("ana")
    student = await world.post(ana, "Money for the account", "This is a question about money.")
    country = await world.post(ana, "Geld", "Das ist eine Frage zu dem Geld auf dem Konto.", "de")
    france = await world.post(ana, "Money in France", "This is a question about money.", "fr")
    await world.settle()
    today = datetime.now(UTC).date()
    for filters, expected in (
        ({}, {student, country, france}),
        ({"country": "DE"}, {student, country}),
        ({"country": "DE", "visa_type": "student"}, {student}),
        ({"language": "de"}, {country}),
        ({"kinds": ("guide",)}, set()),
        ({"since": today - timedelta(days=1), "until": today}, {student, country, france}),
        ({"since": date(2020, 1, 1), "until": date(2020, 1, 2)}, set()),
    ):
        assert set(await world.found("money", **filters)) == expected, filters


async def test_private_posts_are_similar_for_those_who_may_read_them(world: World) -> None:
    ana, eve = await world.content.member("ana"), await world.content.member("eve")
    title = "How much money for the blocked account"
    post = await world.post(ana, title, "please")
    await world.settle()

    async def similar(caller: Caller, community: str) -> list[dict[str, Any]]:
        answer = await world.search.ask(FindSimilar(caller, title, community, 5))
        return msgspec.convert(answer["items"], list[dict[str, Any]])

    (item,) = await similar(GUEST, "de")
    assert (item["post"]["id"], item["similarity"]) == (post, 1.0)
    assert item["post"]["title"] == title
    await world.content.pool.execute(
        "update community set visibility = 'private' where slug = 'de-student'"
    )
    assert await similar(eve, "de") == []
    with pytest.raises(AppError, match="not_found"):
        await similar(eve, "de-student")
    await world.content.pool.execute(
        "insert into membership (account_id, community_id)"
        " select $1, id from community where slug = 'de-student'",
        ana.account_id,
    )
    assert [item["post"]["id"] for item in await similar(ana, "de-student")] == [post]
    assert await similar(ana, "fr") == []


async def test_the_assistants_client_gets_passages(world: World) -> None:
    ana = await world.content.member("ana")
    post = await world.post(ana, "Blocked account", "How much money?")
    await world.settle()
    decode = msgspec.msgpack.Decoder(list[SearchRequest]).decode

    async def send(payload: bytes) -> bytes:
        outcomes = await world.search.search.handle_batch(decode(payload))
        return msgspec.msgpack.encode(outcomes)

    client = SearchClient(send)
    try:
        (passage,) = await client.retrieve(RetrievalQuery("money for the account", "DE", limit=3))
        assert (str(passage.id), passage.text, passage.country) == (post, "How much money?", "DE")
        with pytest.raises(AppError, match="invalid"):
            await client.retrieve(RetrievalQuery("money", "XX"))
    finally:
        await client.close()
