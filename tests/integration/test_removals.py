"""Who removed what and why, and who may bring it back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import msgspec
import pytest

from actors.messages import (
    GUEST,
    AcceptComment,
    Caller,
    DeleteComment,
    DeletePost,
    ReadComment,
    ReadPost,
    Reply,
    RestoreComment,
    RestorePost,
    ThreadRequest,
)
from tests.integration.content import RECEIVED_NS, Content, content_on

pytestmark = pytest.mark.integration

SECRET_TEXT = "my passport number"


@pytest.fixture
async def content(database_url: str) -> AsyncIterator[Content]:
    async with content_on(database_url) as content:
        yield content


def removal(caller: Caller, kind: str, id: str, reason: str | None = None) -> ThreadRequest:
    delete = DeletePost if kind == "post" else DeleteComment
    return delete(caller, UUID(id), RECEIVED_NS, reason)


def restoration(caller: Caller, kind: str, id: str) -> ThreadRequest:
    restore = RestorePost if kind == "post" else RestoreComment
    return restore(caller, UUID(id), RECEIVED_NS)


async def read(content: Content, kind: str, id: str) -> Any:
    request: ThreadRequest = (
        ReadPost(GUEST, UUID(id)) if kind == "post" else ReadComment(GUEST, UUID(id), 0)
    )
    return content.body((await content.ask(request))[0])


async def stored(content: Content, id: str) -> list[Any]:
    """Payloads of the events about one thing, in the order they were written."""
    rows = await content.pool.fetch(
        "select payload from stream_event where subject_id = $1 order by created_at, off", id
    )
    return [msgspec.json.decode(row["payload"]) for row in rows]


@pytest.mark.parametrize("kind", ["post", "comment"])
async def test_a_removal_says_whose_it_was_and_a_moderators_says_why(
    content: Content, kind: str
) -> None:
    ana, mod = await content.member("ana"), await content.member("mod", "moderator")
    post = await content.post(ana)
    for caller, reason, shown in (
        (ana, "mine", ("author", None)),
        (mod, "spam", ("moderator", "spam")),
        (mod, None, ("moderator", None)),
    ):
        thing = (
            await content.post(ana) if kind == "post" else await content.comment(ana, post["id"])
        )
        assert "deleted_by" not in await read(content, kind, thing["id"])
        await content.ask(removal(caller, kind, thing["id"], reason))
        page = await read(content, kind, thing["id"])
        assert page["deleted"] and page["author"] is None and page["body_markdown"] == ""
        assert (page["deleted_by"], page["deleted_reason"]) == shown
        event = (await stored(content, thing["id"]))[-1]
        assert event["type"] == f"{kind}.deleted"
        assert (event[kind]["deleted_by"], event[kind]["deleted_reason"]) == shown


@pytest.mark.parametrize("kind", ["post", "comment"])
async def test_a_moderators_decision_replaces_the_authors(content: Content, kind: str) -> None:
    ana, mod = await content.member("ana"), await content.member("mod", "moderator")
    post = await content.post(ana)
    thing = post if kind == "post" else await content.comment(ana, post["id"])
    await content.ask(removal(ana, kind, thing["id"]))
    await content.ask(removal(mod, kind, thing["id"], "spam"))
    await content.ask(removal(ana, kind, thing["id"]))
    page = await read(content, kind, thing["id"])
    assert (page["deleted_by"], page["deleted_reason"]) == ("moderator", "spam")
    [refused] = await content.ask(restoration(ana, kind, thing["id"]))
    assert content.code(refused) == "not_permitted"
    assert await content.pool.fetchval("select comment_count from post") == 0


@pytest.mark.parametrize("kind", ["post", "comment"])
async def test_what_comes_back_has_its_text_and_its_place(content: Content, kind: str) -> None:
    ana, mod = await content.member("ana"), await content.member("mod", "moderator")
    post = await content.post(ana, body=SECRET_TEXT)
    thing = post if kind == "post" else await content.comment(ana, post["id"], body=SECRET_TEXT)
    before = await read(content, kind, thing["id"])
    await content.ask(removal(mod, kind, thing["id"], "a mistake"))
    events = await stored(content, thing["id"])
    assert SECRET_TEXT not in str(events)
    [reply] = await content.ask(restoration(mod, kind, thing["id"]))
    assert content.body(reply)["body_markdown"] == SECRET_TEXT
    after = await read(content, kind, thing["id"])
    del before["stream"], after["stream"]
    assert after == before
    assert await content.pool.fetchval("select comment_count from post") == int(kind == "comment")
    last = (await stored(content, thing["id"]))[-1]
    assert last["type"] == f"{kind}.updated"
    assert last[kind]["body_markdown"] == SECRET_TEXT and not last[kind]["deleted"]
    # Removed once more, that event holds it no longer.
    await content.ask(removal(ana, kind, thing["id"]))
    events = await stored(content, thing["id"])
    assert SECRET_TEXT not in str(events) and "a mistake" not in str(events)


@pytest.mark.parametrize("kind", ["post", "comment"])
async def test_who_may_bring_back_what(content: Content, kind: str) -> None:
    ana, ben = await content.member("ana"), await content.member("ben")
    mod = await content.member("mod", "moderator")
    post = await content.post(ana)
    thing = post if kind == "post" else await content.comment(ana, post["id"])

    async def tried(caller: Caller) -> str:
        [outcome] = await content.ask(restoration(caller, kind, thing["id"]))
        return "ok" if isinstance(outcome, Reply) else content.code(outcome)

    assert [await tried(who) for who in (ben, ana, mod)] == ["not_permitted", "ok", "ok"]
    await content.ask(removal(ana, kind, thing["id"]))
    # An author's own removal is no moderator's business.
    assert [await tried(who) for who in (ben, mod)] == ["not_found", "not_permitted"]
    assert await tried(ana) == "ok"
    await content.ask(removal(ana, kind, thing["id"]))
    await content.pool.execute(f"update {kind} set deleted_at = now() - interval '25 hours'")
    assert await tried(ana) == "not_permitted"
    await content.ask(removal(mod, kind, thing["id"]))
    assert [await tried(who) for who in (ana, mod, mod)] == ["not_permitted", "ok", "ok"]


async def test_nothing_is_restored_twice(content: Content) -> None:
    ana = await content.member("ana")
    post = await content.post(ana)
    comment = await content.comment(ana, post["id"])
    await content.ask(removal(ana, "comment", comment["id"]))
    request = restoration(ana, "comment", comment["id"])
    first = (await content.ask(request))[0]
    content.publisher.publications.clear()
    again = (await content.ask(request))[0]
    assert isinstance(first, Reply) and isinstance(again, Reply)
    assert again.body == first.body
    assert content.publisher.publications == []
    assert await content.pool.fetchval("select comment_count from post") == 1


async def test_an_accepted_answer_is_the_authors_choice_and_ends_with_its_comment(
    content: Content,
) -> None:
    ana, ben = await content.member("ana"), await content.member("ben")
    mod = await content.member("mod", "moderator")
    post, other = await content.post(ana), await content.post(ana)
    comment = await content.comment(ben, post["id"])
    foreign = await content.comment(ben, other["id"])
    gone = await content.comment(ben, post["id"])
    await content.ask(removal(ben, "comment", gone["id"]))

    def accept(caller: Caller, comment_id: str | None) -> AcceptComment:
        id = UUID(comment_id) if comment_id else None
        return AcceptComment(caller, UUID(post["id"]), id, RECEIVED_NS)

    outcomes = [
        (await content.ask(accept(caller, id)))[0]
        for caller, id in ((ben, comment["id"]), (ana, foreign["id"]), (ana, gone["id"]))
    ]
    assert [content.code(each) for each in outcomes] == ["not_permitted", "invalid", "invalid"]
    content.publisher.publications.clear()
    for caller, id in ((ana, comment["id"]), (mod, None), (mod, comment["id"])):
        [reply] = await content.ask(accept(caller, id))
        assert content.body(reply)["accepted_comment_id"] == id
        assert (await read(content, "post", post["id"]))["accepted_comment_id"] == id
    for channel in (f"thread:{post['id']}", f"community:{post['community_id']}"):
        assert [kind for _, kind in content.publisher.types(channel)] == ["post.updated"] * 3

    content.publisher.publications.clear()
    await content.ask(removal(ben, "comment", comment["id"]))
    page = await read(content, "post", post["id"])
    assert page["accepted_comment_id"] is None and page["comment_count"] == 0
    last = content.publisher.publications[-1]
    assert last.channel in (f"thread:{post['id']}", f"community:{post['community_id']}")
    shown = msgspec.json.decode(last.data)
    assert (shown["type"], shown["post"]["accepted_comment_id"]) == ("post.updated", None)
    await content.ask(restoration(ben, "comment", comment["id"]))
    assert (await read(content, "post", post["id"]))["accepted_comment_id"] is None
