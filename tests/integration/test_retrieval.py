"""What the Retriever finds, and what it must not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from typing import Any
from uuid import UUID

import msgspec
import pytest

from actors.embedding import EmbeddingJobs
from actors.messages import GUEST, AcceptComment, Caller, EditPost
from actors.retrieval import PER_THREAD, Document, Retriever
from actors.retrieval_messages import Passage, RetrievalQuery
from actors.similar_posts import similar_posts
from config.embedding import Embedding
from config.errors import AppError
from config.settings import Guides, Postgres
from storage import chunk_generations, guides
from storage.chunk_generations import FillStep
from storage.chunk_search import SEARCH_SETTINGS, ChunkFilter, nearest
from storage.guides import GuideToImport
from storage.postgres import Pool, connect, in_transaction
from tests.embedding_models import WordEmbedders
from tests.integration.content import RECEIVED_NS, Content, content_on

pytestmark = pytest.mark.integration

TODAY = date(2026, 11, 29)
AWAY = AppError("unavailable", "away")


class World:
    """`words`: what the engine would have found, or the error that it raises."""

    def __init__(self, content: Content, pool: Pool) -> None:
        self.content = content
        self.embedders = WordEmbedders()
        self.jobs = EmbeddingJobs(content.pool, Embedding(), self.embedders)
        self.words: list[Document] | AppError = []
        self.asked: list[tuple[str, ChunkFilter]] = []
        self.retriever = Retriever(pool, self.embedders, self._by_words, Guides(), lambda: TODAY)
        self.pool = pool

    async def _by_words(self, question: str, wanted: ChunkFilter, limit: int) -> list[Document]:
        self.asked.append((question, wanted))
        if isinstance(self.words, AppError):
            raise self.words
        return self.words[:limit]

    async def post(self, who: Caller, title: str, body: str, community: str = "de-student") -> str:
        post = await self.content.post(who, community, title=title, body=body)
        await self.embed(post["id"])
        return str(post["id"])

    async def embed(self, *posts: str) -> None:
        await self.jobs.embed(msgspec.json.encode({"posts": posts}))

    async def find(self, question: str, caller: Caller = GUEST, **more: Any) -> list[Passage]:
        query = RetrievalQuery(question, account_id=caller.account_id, **more)
        return await self.retriever.find(query)

    async def found(self, question: str, caller: Caller = GUEST, **more: Any) -> list[str]:
        return [str(passage.id) for passage in await self.find(question, caller, **more)]

    async def unseen(self, statement: str, *values: object) -> None:
        """A change whose triggers don't run: only what the search itself checks is left."""
        async with self.content.pool.acquire() as connection, connection.transaction():
            await connection.execute("set local session_replication_role = replica")
            await connection.execute(statement, *values)

    async def guide(self, body: str, **changes: Any) -> UUID:
        guide = GuideToImport(
            guides.guide_id(276, "g"), 276, "g", "student", "de", "Visum zum Studium", body, "",
            "Amt", "https://example.org/visum", date(2026, 10, 1), date(2026, 10, 1),
        )  # fmt: skip
        guide = msgspec.structs.replace(guide, **changes)
        async with self.content.pool.acquire() as connection:
            await guides.write_guides(connection, [guide])
        await self.jobs.embed(msgspec.json.encode({"guides": [guide.id]}))
        return guide.id


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    pool = await connect(database_url, Postgres(), size=2, more_settings=SEARCH_SETTINGS)
    async with content_on(database_url) as content:
        made = World(content, pool)
        yield made
        made.embedders.close()
    await pool.close()


async def test_a_passage_says_where_it_is_from(world: World) -> None:
    ana = await world.content.member("ana")
    post = await world.content.post(ana, title="Blocked account", body="How **much** money?")
    answer = await world.content.comment(ana, post["id"], body="Exactly 11,904 euros.")
    await world.content.ask(AcceptComment(ana, UUID(post["id"]), UUID(answer["id"]), RECEIVED_NS))
    await world.embed(post["id"])
    guide = await world.guide("11,904 euros of money in a blocked account", as_of=date(2025, 1, 2))
    found = {p.kind: p for p in await world.find("blocked account: how much money in euros?")}
    assert set(found) == {"post", "comment", "guide"}
    assert found["post"].text == "How much money?"
    assert found["post"].url == f"/posts/{post['id']}"
    assert (found["post"].country, found["post"].visa_type) == ("DE", "student")
    assert (found["post"].authority, found["post"].stale) == ("community", False)
    assert found["comment"].title == "Blocked account"
    assert found["comment"].post_id == UUID(post["id"])
    assert found["comment"].url == f"/posts/{post['id']}/comments/{answer['id']}"
    assert (found["guide"].id, found["guide"].post_id) == (guide, None)
    assert (found["guide"].authority, found["guide"].url) == (
        "official", "https://example.org/visum",
    )  # fmt: skip
    assert (found["guide"].as_of, found["guide"].stale) == (date(2025, 1, 2), True)


async def test_both_rankings_count(world: World) -> None:
    ana = await world.content.member("ana")
    meaning = await world.post(ana, "Money", "blocked account money money")
    both = await world.post(ana, "Money", "blocked account")
    words = await world.post(ana, "Weather", "rain")
    await world.post(ana, "Other", "nothing of it")
    world.words = [("post", UUID(words)), ("post", UUID(both))]
    found = await world.found("blocked account money")
    assert found[0] == both
    assert set(found[1:3]) == {meaning, words}
    question, wanted = world.asked[0]
    assert (question, wanted.account_id, wanted.country_id) == ("blocked account money", None, None)


async def test_private_content_is_found_by_those_who_may_read_it(world: World) -> None:
    ana, eve, bad, boss = [
        await world.content.member(name, role)
        for name, role in (("ana", "member"), ("eve", "member"), ("bad", "member"), ("ad", "admin"))
    ]
    post = await world.post(ana, "Secret", "the secret money", "de")
    world.words = [("post", UUID(post))]
    assert await world.found("secret money") == [post]
    await world.content.pool.execute(
        "update community set visibility = 'private' where slug = 'de'"
    )
    await world.content.pool.execute(
        "insert into membership (account_id, community_id, role)"
        " select i.id, c.id, i.role from community c,"
        " unnest($1::uuid[], $2::text[]) i (id, role) where c.slug = 'de'",
        [ana.account_id, bad.account_id], ["member", "banned"],
    )  # fmt: skip
    for caller, sees in ((GUEST, False), (eve, False), (bad, False), (ana, True), (boss, True)):
        assert await world.found("secret money", caller) == [post] * sees, caller.handle


async def test_what_may_not_be_read_takes_nobodys_place(world: World) -> None:
    """More of it than any ranking is deep, and all of it nearer."""
    ana = await world.content.member("ana")
    public = await world.post(ana, "Account", "money and other things that few ask about")
    private = await world.post(ana, "Money", "money", "de")
    await world.content.pool.execute(
        "update community set visibility = 'private' where slug = 'de'"
    )
    await world.unseen(
        "insert into chunk_1 select country_id, source_id, n, kind, version, language, official,"
        " as_of, created_at, text, embedding from chunk_1, generate_series(1, 300) n"
        " where source_id = $1",
        private,
    )
    assert await world.found("money", country="DE") == [public]
    assert await world.found("money") == [public]


async def test_what_changed_is_not_found_even_where_its_chunks_are_left(world: World) -> None:
    ana = await world.content.member("ana")
    posts = [await world.post(ana, "Money", f"money {n}") for n in range(4)]
    comment = await world.content.comment(ana, posts[3], body="money money")
    await world.content.ask(AcceptComment(ana, UUID(posts[3]), UUID(comment["id"]), RECEIVED_NS))
    await world.embed(posts[3])
    guide = await world.guide("money", title="Money")
    every = {*posts, comment["id"], str(guide)}
    assert set(await world.found("money")) == every
    for statement, gone in (
        ("update post set deleted_at = now() where id = $1", {posts[0]}),
        ("update post set revision = revision + 1 where id = $1", {posts[1]}),
        ("delete from post where id = $1", {posts[2]}),
        ("update post set accepted_comment_id = null where id = $1", {posts[3]}),
        ("update guide set version = version + 1 where id = $1", {str(guide)}),
    ):
        await world.unseen(statement, next(iter(gone)))
        every -= {comment["id"]} if "accepted" in statement else gone
        assert set(await world.found("money")) == every, statement


async def test_only_the_country_and_visa_type_that_were_asked_for(world: World) -> None:
    ana = await world.content.member("ana")
    student, country, card, france = [
        await world.post(ana, "Money", "money", community)
        for community in ("de-student", "de", "de-eu-blue-card", "fr")
    ]
    world.words = [("post", UUID(id)) for id in (student, country, card, france)]
    assert set(await world.found("money", country="de")) == {student, country, card}
    asked = await world.found("money", country="DE", visa_type="student")
    assert set(asked) == {student, country}, "what is of no visa type counts for each"
    assert world.asked[-1][1].country_id == 276
    assert await world.found("money", country="FR") == [france]
    with pytest.raises(AppError, match="invalid"):
        await world.find("money", country="XX")


async def test_members_whom_the_asker_muted_are_not_quoted(world: World) -> None:
    ana, ben = await world.content.member("ana"), await world.content.member("ben")
    post = await world.post(ana, "Money", "money")
    await world.content.pool.execute(
        "insert into account_mute (account_id, muted_id) values ($1, $2)",
        ben.account_id, ana.account_id,
    )  # fmt: skip
    assert await world.found("money", ben) == []
    assert await world.found("money", ana) == [post]


async def test_a_thread_gives_two_passages_at_most(world: World) -> None:
    ana = await world.content.member("ana")
    long = "\n\n".join(f"## Money {n}\n{'money ' * 120}" for n in range(5))
    guide = await world.guide(long, title="Money")
    post = await world.post(ana, "Rent", "other")
    found = await world.found("money")
    assert found == [str(guide)] * PER_THREAD + [post]


async def test_what_is_not_embedded_yet_is_found_by_its_words(world: World) -> None:
    ana = await world.content.member("ana")
    body = "\n\n".join(["## One\n" + "rain " * 150, "## Two\nThe fee is 75 euros."])
    post = await world.content.post(ana, title="Fees", body=body)
    world.words = [("post", UUID(post["id"]))]
    (passage,) = await world.find("fee in euros")
    assert (passage.kind, passage.version) == ("post", 1)
    assert passage.text.endswith("The fee is 75 euros.")
    await world.content.ask(
        EditPost(
            ana, UUID(post["id"]), None, "It is 80 euros.", None, None, None, None, RECEIVED_NS
        )
    )
    (passage,) = await world.find("fee in euros")
    assert (passage.text, passage.version) == ("It is 80 euros.", 2)


async def test_either_half_answers_alone(world: World) -> None:
    ana = await world.content.member("ana")
    post = await world.post(ana, "Money", "money")
    world.words = AWAY
    assert await world.found("money") == [post]
    model = world.embedders.model()
    model.refused["rent"] = AWAY
    with pytest.raises(AppError) as failed:
        await world.find("rent")
    assert failed.value.code == "unavailable"
    world.words = [("post", UUID(post))]
    (passage,) = await world.find("rent")
    assert passage.text == "money"


async def test_a_search_goes_over_to_another_generation(world: World) -> None:
    ana = await world.content.member("ana")
    post = await world.post(ana, "Money", "money")
    assert await world.found("money") == [post]  # the generation is known now
    made = await in_transaction(
        world.content.pool, lambda c: chunk_generations.begin_rebuild(c, "test/new", 16)
    )
    for step in range(2):
        await world.jobs.fill(msgspec.json.encode(FillStep(made.id, step)))
    assert await world.found("money") == [post]
    assert world.embedders.model(made.id).dimension == 16


async def test_a_country_is_searched_by_the_vector_index_of_its_partition(world: World) -> None:
    ana = await world.content.member("ana")
    for n in range(30):
        await world.post(ana, f"Money {n}", "money", ("de", "fr", "jp")[n % 3])
    plans = await _plans(world, ChunkFilter(country_id=276))
    assert "chunk_1_c276_embedding_idx" in plans
    assert "Sort  (" not in plans and "Seq Scan" not in plans
    assert {"chunk_1_c250", "chunk_1_g0"}.isdisjoint(_run(plans))
    assert "chunk_1_c250_embedding_idx" in await _plans(world, ChunkFilter())


async def _plans(world: World, wanted: ChunkFilter) -> str:
    """Of the search by vector, what ran and by which index."""
    said: list[str] = []
    async with world.pool.acquire() as connection:
        await connection.execute("load 'auto_explain'")
        for name, value in (("log_min_duration", "0"), ("log_analyze", "on")):
            await connection.execute(f"set auto_explain.{name} = {value}")
        await connection.execute("set client_min_messages = log")

        def listen(_: object, message: Any) -> None:
            said.append(message.message)

        connection.add_log_listener(listen)
        (generation,) = await chunk_generations.read_generations(connection)
        vector = (await world.embedders.of(generation).query("money")).tolist()
        said.clear()
        assert await nearest(connection, generation, vector, wanted, 5)
        connection.remove_log_listener(listen)
    return "\n".join(text for text in said if "<=>" in text)


def _run(plan: str) -> set[str]:
    """The tables of lines that were executed."""
    return {
        word
        for line in plan.splitlines()
        if "never executed" not in line and " on " in line
        for word in line.split()
    }


async def test_similar_posts_are_those_whose_titles_ask_the_same(world: World) -> None:
    ana = await world.content.member("ana")
    same = await world.post(ana, "How much money for the blocked account", "please help")
    await world.post(ana, "Rain in Berlin", "money for the blocked account")
    elsewhere = await world.post(ana, "How much money for the blocked account", "x", "fr")
    world.retriever.same_title_from = 0.6  # type: ignore[misc]  # of this model

    async def similar(title: str) -> list[tuple[str, float]]:
        found = await similar_posts(world.retriever, title, 276, None, 5)
        return [(str(each.post_id), each.similarity) for each in found]

    ((id, score),) = await similar("Blocked account: how much money?")
    assert id == same != elsewhere
    assert 0.5 < score < 1
    assert await similar("Who knows a dentist?") == []
    world.words = [("post", UUID(same))]
    world.embedders.model().refused["account"] = AWAY
    ((id, score),) = await similar("How much money for the blocked account")
    assert (id, score) == (same, 1.0)
