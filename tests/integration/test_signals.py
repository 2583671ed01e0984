"""Scores of texts: computed by a job, kept while the text stands, shown to moderators alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import msgspec
import pytest

from actors.deriving import Deriver
from actors.embedding import EmbeddingJobs
from actors.feed import Feed
from actors.feed_messages import ListSignals
from actors.messages import Caller, DeleteComment, DeletePost, EditPost, Failure, MovePost, Reply
from config.embedding import Embedding
from storage.derive_jobs import DeriveJob, enqueue_derive
from storage.directory import Directory
from storage.postgres import Connection, in_transaction
from tests.embedding_models import WordEmbedders
from tests.integration.content import RECEIVED_NS, Content, content_on

pytestmark = pytest.mark.integration

SCAM = "Guaranteed visa, we sell appointments for 200 dollars. Pay in USDT, only on Telegram."
HONEST = "My appointment was on Monday and the visa came after six weeks by post."


@pytest.fixture
async def content(database_url: str) -> AsyncIterator[Content]:
    async with content_on(database_url) as made:
        yield made


async def derive(content: Content, *, posts: Any = (), comments: Any = ()) -> None:
    job = {"posts": [post["id"] for post in posts], "comments": [c["id"] for c in comments]}
    await Deriver(content.pool).run(msgspec.json.encode(job))


async def listed(content: Content, caller: Caller, **wanted: Any) -> Any:
    request = ListSignals(
        caller, wanted.get("community"), wanted.get("kind"), wanted.get("least", 0.5),
        wanted.get("limit", 10), wanted.get("cursor"),
    )  # fmt: skip
    [outcome] = await Feed(content.pool, Directory(content.pool)).handle_batch([request])
    if isinstance(outcome, Failure):
        return outcome.code
    assert isinstance(outcome, Reply)
    assert not outcome.public
    return msgspec.json.decode(outcome.body)


async def kept(content: Content) -> set[str]:
    rows = await content.pool.fetch("select target_id from moderation_signal")
    return {str(row["target_id"]) for row in rows}


async def test_only_what_is_of_note_is_kept_and_moderators_see_why(content: Content) -> None:
    eve = await content.member("eve")
    admin = await content.member("admin_", role="admin")
    post = await content.post(eve, title="Look here", body=SCAM)
    honest = await content.post(eve, body=HONEST)
    comment = await content.comment(eve, honest["id"], body=SCAM)
    await derive(content, posts=[post, honest], comments=[comment])
    assert await kept(content) == {post["id"], comment["id"]}
    page = await listed(content, admin)
    assert {(item["kind"], item["id"]) for item in page["items"]} == {
        ("post", post["id"]), ("comment", comment["id"]),
    }  # fmt: skip
    item = next(item for item in page["items"] if item["kind"] == "post")
    assert item["author"]["handle"] == "eve"
    assert (item["title"], item["excerpt"], item["country"]) == ("Look here", SCAM, "DE")
    assert item["scores"]["scam"] > 0.9
    assert item["scores"]["off_topic"] == 0.0
    assert {"appointments", "guarantee", "payment"} <= set(item["reasons"])


async def test_the_same_text_again_and_again_is_spam(content: Content) -> None:
    eve = await content.member("eve")
    ana = await content.member("ana")
    thread = await content.post(ana, body=HONEST)
    comments = [await content.comment(eve, thread["id"], body=HONEST) for _ in range(4)]
    others = await content.comment(ana, thread["id"], body=HONEST)
    await derive(content, comments=[*comments, others])
    rows = await content.pool.fetch("select target_id, spam from moderation_signal order by 1")
    assert [(str(row["target_id"]), round(row["spam"], 2)) for row in rows] == sorted(
        [(comments[1]["id"], 0.6), (comments[2]["id"], 0.6), (comments[3]["id"], 0.85)]
    )


async def test_a_language_that_nobody_writes_there_is_noted(content: Content) -> None:
    ana = await content.member("ana")
    usual = [await content.post(ana, body=f"{HONEST} Number {n}.") for n in range(21)]
    foreign = "Мне нужна виза для учёбы, сколько ждать ответа посольства в этом году?"
    strange = await content.post(ana, title="Сколько ждать?", body=foreign)
    answer = await content.comment(ana, strange["id"], body=foreign)
    spanish = "La embajada me devolvió el pasaporte con el visado después de seis semanas."
    odd = await content.comment(ana, usual[0]["id"], body=spanish)
    await derive(content, posts=[*usual, strange], comments=[answer, odd])
    rows = await content.pool.fetch("select target_id, language from moderation_signal")
    found = {str(row["target_id"]): row["language"] for row in rows}
    assert set(found) == {strange["id"], odd["id"]}
    assert round(found[odd["id"]], 3) == 0.4
    admin = await content.member("admin_", role="admin")
    assert (await listed(content, admin))["items"] == [], "scams come first"


async def test_a_post_unlike_all_others_is_noted_once_it_is_embedded(content: Content) -> None:
    ana = await content.member("ana")
    usual = [
        await content.post(ana, title=f"Visa question {n}", body=f"{HONEST} It was number {n}.")
        for n in range(22)
    ]
    strange = await content.post(
        ana, title="Biryani with saffron", body="Fry onions slowly, add basmati rice and yoghurt."
    )
    await derive(content, posts=[strange])
    assert await kept(content) == set()
    jobs = EmbeddingJobs(content.pool, Embedding(), WordEmbedders())
    posts = [post["id"] for post in (*usual, strange)]
    await jobs.embed(msgspec.json.encode({"posts": posts}))
    payload = await content.pool.fetchval(
        "select payload from pgqueuer where entrypoint = 'derive'"
    )
    await Deriver(content.pool).run(payload)
    rows = await content.pool.fetch("select target_id, off_topic, reasons from moderation_signal")
    assert [(str(row["target_id"]), row["reasons"]) for row in rows] == [
        (strange["id"], ["unlike_others"])
    ]
    assert rows[0]["off_topic"] > 0.5


async def test_scores_go_with_their_text(content: Content) -> None:
    eve = await content.member("eve")
    admin = await content.member("admin_", role="admin")
    post = await content.post(eve, body=SCAM)
    comments = [await content.comment(eve, post["id"], body=SCAM) for _ in range(2)]
    await derive(content, posts=[post], comments=comments)
    assert len(await kept(content)) == 3
    await content.ask(DeleteComment(eve, UUID(comments[0]["id"]), RECEIVED_NS))
    assert await kept(content) == {post["id"], comments[1]["id"]}
    edit = EditPost(eve, UUID(post["id"]), None, HONEST, None, None, None, None, RECEIVED_NS)
    await content.ask(edit)
    assert await kept(content) == set()  # the thread is looked at anew
    await derive(content, posts=[post], comments=comments)
    assert await kept(content) == {comments[1]["id"]}
    await content.ask(MovePost(admin, UUID(post["id"]), "de", RECEIVED_NS))
    assert await kept(content) == set()
    await derive(content, comments=comments)
    assert (await listed(content, admin, community="de"))["items"]
    await content.ask(DeletePost(admin, UUID(post["id"]), RECEIVED_NS))
    assert await kept(content) == set()


async def test_what_became_harmless_loses_its_score(content: Content) -> None:
    eve = await content.member("eve")
    post = await content.post(eve, body=SCAM)
    await derive(content, posts=[post])
    await content.pool.execute("update post set body_markdown = $1", HONEST)
    await content.pool.execute(
        "insert into moderation_signal (target_id, is_post, post_id, community_id, revision,"
        " scorer, scam, spam, language, off_topic, reasons)"
        " select id, true, id, community_id, 1, 0, 1, 0, 0, 0, '{}' from post"
    )
    await derive(content, posts=[post])
    assert await kept(content) == set()


async def test_moderators_see_their_communities_and_nobody_else_sees_any(content: Content) -> None:
    eve, mod = await content.member("eve"), await content.member("mod")
    site = await content.member("site", role="moderator")
    for community in ("de-student", "fr"):
        await derive(content, posts=[await content.post(eve, community, body=SCAM)])
    await content.pool.execute(
        "insert into membership (account_id, community_id, role)"
        " select $1, id, 'moderator' from community where slug = 'de-student'",
        mod.account_id,
    )
    assert await listed(content, eve) == "not_permitted"
    assert await listed(content, eve, community="de-student") == "not_permitted"
    assert await listed(content, mod) == "not_permitted"
    assert await listed(content, mod, community="fr") == "not_permitted"
    assert await listed(content, mod, community="nowhere") == "not_found"
    assert len((await listed(content, mod, community="de-student"))["items"]) == 1
    first = await listed(content, site, limit=1)
    second = await listed(content, site, limit=1, cursor=first["next_cursor"])
    assert second["next_cursor"] is None
    assert {item["country"] for item in first["items"] + second["items"]} == {"DE", "FR"}
    assert await listed(content, site, limit=1, kind="spam", cursor=first["next_cursor"]) == (
        "invalid"
    )
    assert (await listed(content, site, kind="spam"))["items"] == []
    await content.pool.execute("update community set visibility = 'private' where slug = 'fr'")
    assert len((await listed(content, site))["items"]) == 1
    assert await listed(content, site, community="fr") == "not_found"


async def test_a_moved_thread_is_looked_at_with_all_its_comments(content: Content) -> None:
    eve = await content.member("eve")
    post = await content.post(eve, body=HONEST)
    comment = await content.comment(eve, post["id"], body=SCAM)
    await Deriver(content.pool).run(msgspec.json.encode({"threads": [post["id"]]}))
    assert await kept(content) == {comment["id"]}


async def test_nothing_to_do_is_no_job_and_the_same_is_one(content: Content) -> None:
    eve = await content.member("eve")
    id = UUID((await content.post(eve))["id"])

    async def twice(connection: Connection) -> None:
        await enqueue_derive(connection, DeriveJob())
        for _ in range(2):
            await enqueue_derive(connection, DeriveJob(posts=[id]))

    await in_transaction(content.pool, twice)
    rows = await content.pool.fetch("select payload from pgqueuer where entrypoint = 'derive'")
    assert [msgspec.json.decode(row["payload"]) for row in rows] == [{"posts": [str(id)]}]
