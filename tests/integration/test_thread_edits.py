"""Edits, removals and histories on a real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from actors.messages import (
    GUEST,
    Caller,
    DeleteComment,
    DeletePost,
    EditComment,
    EditPost,
    ReadCommentHistory,
    ReadPost,
    ReadPostHistory,
    Reply,
    ThreadRequest,
)
from storage.identity import new_id
from tests.integration.content import RECEIVED_NS, Content, content_on

GERMAN = "Ich habe meinen Antrag im Mai gestellt und warte noch immer auf eine Antwort."
FRENCH = "J'ai déposé ma demande en mai et j'attends toujours une réponse de la préfecture."


@pytest.fixture
async def content(database_url: str) -> AsyncIterator[Content]:
    async with content_on(database_url) as content:
        yield content


def edit(caller: Caller, post: Any, **changes: Any) -> EditPost:
    request = EditPost(caller, UUID(post["id"]), None, None, None, None, None, None, RECEIVED_NS)
    return msgspec.structs.replace(request, **changes)


async def state(content: Content) -> list[object]:
    return [
        await content.pool.fetch(f"select * from {table} order by 1, 2, 3")
        for table in ("post", "comment", "revision", "stream", "stream_event")
    ]


async def test_what_is_asked_again_changes_nothing(content: Content) -> None:
    ana, mod = await content.member("ana"), await content.member("mod", "moderator")
    post = await content.post(ana)
    comment = await content.comment(ana, post["id"])
    doomed = await content.post(ana)
    requests: list[ThreadRequest] = [
        edit(ana, post, title="A better title", tags=("funds",), body_markdown="New *text*."),
        edit(mod, post, locked=True),
        EditComment(ana, UUID(comment["id"]), "Three months.", RECEIVED_NS),
        DeletePost(ana, UUID(doomed["id"]), RECEIVED_NS),
    ]
    gone = await content.comment(ana, post["id"])
    removal = DeleteComment(mod, UUID(gone["id"]), RECEIVED_NS)
    for request in (*requests, removal):
        [first] = await content.ask(request)
        assert isinstance(first, Reply), first
        before = await state(content)
        content.publisher.publications.clear()
        content.publisher.ephemeral.clear()
        [second] = await content.ask(request)
        assert isinstance(second, Reply), second
        assert (second.status, second.body) == (first.status, first.body)
        assert await state(content) == before
        assert content.publisher.publications == []
        assert content.publisher.ephemeral == []


async def test_what_is_gone_is_gone_for_those_who_could_not_remove_it(content: Content) -> None:
    ana, ben = await content.member("ana"), await content.member("ben")
    post = await content.post(ana)
    comment = await content.comment(ana, post["id"])
    removals: list[DeleteComment | DeletePost] = [
        DeleteComment(ana, UUID(comment["id"]), RECEIVED_NS),
        DeletePost(ana, UUID(post["id"]), RECEIVED_NS),
    ]
    for removal in removals:
        [refused] = await content.ask(msgspec.structs.replace(removal, caller=ben))
        assert content.code(refused) == "not_permitted"
        await content.ask(removal)
        [refused] = await content.ask(msgspec.structs.replace(removal, caller=ben))
        assert content.code(refused) == "not_found"
    outcomes = await content.ask(
        edit(ana, post, title="Too late"),
        EditComment(ana, UUID(comment["id"]), "Too late", RECEIVED_NS),
    )
    assert [content.code(outcome) for outcome in outcomes] == ["not_found"] * 2


async def test_a_judged_language_is_judged_again_and_a_given_one_stays(content: Content) -> None:
    ana = await content.member("ana")
    judged = await content.post(ana, title="Warten auf die Antwort", body=GERMAN)
    assert judged["language"] == "de"
    [edited] = await content.ask(
        edit(ana, judged, title="J'attends la réponse", body_markdown=FRENCH)
    )
    assert content.body(edited)["language"] == "fr"
    [given] = await content.ask(edit(ana, judged, language="it"))
    assert content.body(given)["language"] == "it"
    [edited] = await content.ask(
        edit(ana, judged, title="Warten auf die Antwort", body_markdown=GERMAN)
    )
    assert content.body(edited)["language"] == "it"
    assert (await content.pool.fetchval("select revision from post")) == 4


async def test_an_edited_post_is_answered_as_it_is_read(content: Content) -> None:
    ana = await content.member("ana")
    post = await content.post(ana)
    [edited] = await content.ask(edit(ana, post, body_markdown="New *text*.", tags=("a", "b")))
    [read] = await content.ask(ReadPost(GUEST, UUID(post["id"])))
    page = content.body(read)
    del page["stream"]
    assert page == content.body(edited)
    assert page["body_html"] == '<p dir="auto">New <em>text</em>.</p>\n'


async def test_open_feeds_hear_of_a_removed_comment(content: Content) -> None:
    ana = await content.member("ana")
    post = await content.post(ana)
    comments = [await content.comment(ana, post["id"]) for _ in range(2)]
    content.publisher.ephemeral.clear()
    await content.ask(DeleteComment(ana, UUID(comments[0]["id"]), RECEIVED_NS))
    [event] = content.publisher.ephemeral
    assert event.channel == f"community:{post['community_id']}"
    shown = msgspec.json.decode(event.data)
    assert (shown["type"], shown["post_id"]) == ("thread.activity", post["id"])
    assert shown["comment_count"] == 1
    assert shown["last_comment_at"] is not None


async def test_overwritten_events_keep_their_time_to_the_microsecond(content: Content) -> None:
    ana = await content.member("ana")
    post = await content.post(ana)
    comments = [await content.comment(ana, post["id"]) for _ in range(8)]
    content.publisher.publications.clear()
    for comment in comments:
        await content.ask(DeleteComment(ana, UUID(comment["id"]), RECEIVED_NS))
    rows = await content.pool.fetch(
        "select e.off, (extract(epoch from e.created_at) * 1000000)::bigint * 1000"
        " from stream_event e join stream s on s.id = e.stream_id"
        " where s.channel = $1 and e.off <= 8 order by e.off",
        f"thread:{post['id']}",
    )
    live = {p.offset: msgspec.json.decode(p.data) for p in content.publisher.publications}
    assert [(n, live[n]["committed_ns"]) for n in range(1, 9)] == [tuple(row) for row in rows]


async def waits_for_a_lock(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    async with asyncio.timeout(10):
        while not await connection.fetchval(  # noqa: ASYNC110  (Postgres is asked)
            "select exists (select from pg_stat_activity where datname = current_database()"
            " and wait_event_type = 'Lock')"
        ):
            await asyncio.sleep(0.01)


async def test_a_removal_locks_the_post_before_the_comment_as_votes_do(
    content: Content, database_url: str
) -> None:
    ana = await content.member("ana")
    post = await content.post(ana)
    comment = await content.comment(ana, post["id"])
    rival = await asyncpg.connect(database_url)
    watcher = await asyncpg.connect(database_url)
    try:
        async with rival.transaction():
            await rival.execute("select 1 from post for no key update")
            removal = asyncio.create_task(
                content.ask(DeleteComment(ana, UUID(comment["id"]), RECEIVED_NS))
            )
            await waits_for_a_lock(watcher)
            # Refused if the removal held the comment while it waits for the post: a deadlock.
            await rival.execute("select 1 from comment for no key update nowait")
        [gone] = await removal
        assert isinstance(gone, Reply)
    finally:
        await rival.close()
        await watcher.close()


async def test_histories_are_pages_newest_first(content: Content) -> None:
    ana = await content.member("ana")
    post = await content.post(ana, title="Title 1")
    comment = await content.comment(ana, post["id"], body="Text 1")
    for n in range(2, 8):
        await content.ask(
            edit(ana, post, title=f"Title {n}"),
            EditComment(ana, UUID(comment["id"]), f"Text {n}", RECEIVED_NS),
        )
    for request, member, text in (
        (ReadPostHistory(GUEST, UUID(post["id"])), "title", "Title"),
        (ReadCommentHistory(GUEST, UUID(comment["id"])), "body_markdown", "Text"),
    ):
        for limit in (1, 3, 7, 100):
            seen: list[tuple[int, str, bool]] = []
            cursor = None
            while True:
                asked = msgspec.structs.replace(request, limit=limit, cursor=cursor)
                [reply] = await content.ask(asked)
                page = content.body(reply)
                assert len(page["items"]) <= limit
                seen += [(i["number"], i[member], i["replaced_at"] is None) for i in page["items"]]
                cursor = page["next_cursor"]
                if cursor is None:
                    break
            assert seen == [(n, f"{text} {n}", n == 7) for n in range(7, 0, -1)]
        [reply] = await content.ask(msgspec.structs.replace(request, limit=2))
        foreign = content.body(reply)["next_cursor"]
        other = await content.post(ana)
        [refused] = await content.ask(ReadPostHistory(GUEST, UUID(other["id"]), 2, foreign))
        assert content.code(refused) == "invalid"


async def test_nothing_tells_a_stranger_that_a_private_thread_exists(content: Content) -> None:
    ana, ben = await content.member("ana"), await content.member("ben")
    root = await content.member("root", "admin")
    post = await content.post(ana, "fr")
    comment = await content.comment(ana, post["id"])
    await content.pool.execute("update community set visibility = 'private' where slug = 'fr'")
    hidden, unknown = (UUID(post["id"]), UUID(comment["id"])), (new_id(250), new_id(250))

    def requests(post_id: UUID, comment_id: UUID, who: Caller) -> list[Any]:
        return [
            edit(who, {"id": str(post_id)}, title="A new title"),
            DeletePost(who, post_id, RECEIVED_NS),
            EditComment(who, comment_id, "text", RECEIVED_NS),
            DeleteComment(who, comment_id, RECEIVED_NS),
            ReadPostHistory(who, post_id),
            ReadCommentHistory(who, comment_id),
        ]

    assert await content.ask(*requests(*hidden, ben)) == await content.ask(*requests(*unknown, ben))
    # An admin sees it as any other, whatever the access token says of the role.
    stale = msgspec.structs.replace(root, role="member")
    for who in (root, stale):
        [reply] = await content.ask(ReadCommentHistory(who, hidden[1]))
        assert isinstance(reply, Reply)
