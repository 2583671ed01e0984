"""What members keep about a thread that is moved or merged: follows and saves go along."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Literal
from uuid import UUID

import pytest

from actors.member_messages import FollowThread, ListSaves, SetSaved
from actors.member_state import MemberState
from actors.messages import Caller, MergePosts, MovePost, ReadMarks
from actors.profile import Profile
from tests.integration.content import RECEIVED_NS, Content, content_on

pytestmark = pytest.mark.integration


@pytest.fixture
async def content(database_url: str) -> AsyncIterator[Content]:
    async with content_on(database_url) as content:
        yield content


def own(content: Content) -> MemberState:
    return MemberState(content.pool, Profile(content.pool))


async def save(
    content: Content, who: Caller, kind: Literal["post", "comment"], id: str, saved: bool = True
) -> None:
    await own(content).answer(SetSaved(who, kind, UUID(id), saved))


async def saves(content: Content, who: Caller) -> list[tuple[str, str]]:
    """(id, title of the post)."""
    page = content.body(await own(content).answer(ListSaves(who, 100, None)))
    return [
        (item["post"]["id"], item["post"]["title"])
        if item["kind"] == "post"
        else (item["comment"]["id"], item["post_title"])
        for item in page["items"]
    ]


async def marked(content: Content, who: Caller, *ids: str) -> set[str]:
    [reply] = await content.ask(ReadMarks(who, tuple(UUID(id) for id in ids)))
    return set(content.body(reply)["saved"])


async def move(content: Content, mod: Caller, post: Any, community: str) -> Any:
    request = MovePost(mod, UUID(post["id"]), community, RECEIVED_NS)
    return content.body((await content.ask(request))[0])


async def merge(content: Content, mod: Caller, post: Any, into: Any) -> Any:
    request = MergePosts(mod, UUID(post["id"]), UUID(into["id"]), RECEIVED_NS)
    return content.body((await content.ask(request))[0])


def abroad(id: str, country: int) -> str:
    return f"{id[:15]}{country:03x}{id[18:]}"


async def follows(content: Content, post_id: str) -> dict[str, str]:
    rows = await content.pool.fetch(
        "select a.handle, f.level from thread_follow f join account a on a.id = f.account_id"
        " where f.post_id = $1",
        post_id,
    )
    return {row["handle"]: row["level"] for row in rows}


async def test_all_who_follow_a_thread_follow_it_elsewhere(content: Content) -> None:
    ana, mod = await content.member("ana"), await content.member("mod", "moderator")
    post, into = await content.post(ana, "de"), await content.post(mod, "fr")
    levels = {"lea": "all", "max": "mentions", "nia": "none", "told": "all"}
    for handle, level in levels.items():
        # None of them has written in it.
        reader = await content.member(handle)
        await own(content).answer(FollowThread(reader, UUID(post["id"]), level))  # type: ignore[arg-type]
    # News of the old thread that one has not read yet: what comes is told nevertheless.
    await content.pool.execute(
        "update thread_follow f set unread = true, since = now() - interval '1 day'"
        " from account a where a.id = f.account_id and a.handle = 'told'"
    )
    moved = await move(content, mod, post, "fr")
    assert await follows(content, moved["id"]) == levels
    assert await follows(content, post["id"]) == {}
    assert not await content.pool.fetchval("select bool_or(unread) from thread_follow")
    assert await content.pool.fetchval(
        "select count(*) from thread_follow where since < now() - interval '1 hour'"
    ) == 1  # fmt: skip
    await merge(content, mod, moved, into)
    assert await follows(content, into["id"]) == levels
    assert await follows(content, moved["id"]) == {}


async def test_saves_show_what_was_moved_where_it_is(content: Content) -> None:
    ana, lea = await content.member("ana"), await content.member("lea")
    mod = await content.member("mod", "moderator")
    post = await content.post(ana, "de", title="It wanders")
    comment = await content.comment(ana, post["id"])
    await save(content, lea, "post", post["id"])
    await save(content, lea, "comment", comment["id"])
    before = await content.pool.fetch("select saved_at from saved order by saved_at")

    moved = await move(content, mod, post, "fr")
    there = abroad(comment["id"], 250)
    expected = [(there, "It wanders"), (moved["id"], "It wanders")]
    assert await saves(content, lea) == expected
    assert await content.pool.fetch("select saved_at from saved order by saved_at") == before
    assert await marked(content, lea, moved["id"], there) == {moved["id"], there}

    # Twice more, back to the country where the comment had its first id.
    again = await move(content, mod, await move(content, mod, moved, "us"), "de")
    assert await saves(content, lea) == [
        (comment["id"], "It wanders"), (again["id"], "It wanders"),
    ]  # fmt: skip
    # By an id that it had on the way, and by the one it has.
    await save(content, lea, "comment", there, False)
    assert await saves(content, lea) == [(again["id"], "It wanders")]
    await save(content, lea, "post", again["id"], False)
    assert await saves(content, lea) == []


async def test_a_saved_thread_that_is_merged_leads_to_the_other(content: Content) -> None:
    ana, lea = await content.member("ana"), await content.member("lea")
    mod = await content.member("mod", "moderator")
    post, into = await content.post(ana, "de"), await content.post(ana, "de", title="It stays")
    comment = await content.comment(ana, post["id"])
    for kind, id in (("post", post["id"]), ("comment", comment["id"]), ("post", into["id"])):
        await save(content, lea, kind, id)  # type: ignore[arg-type]
    await merge(content, mod, post, into)
    assert await saves(content, lea) == [(into["id"], "It stays"), (comment["id"], "It stays")]
    moved = await move(content, mod, into, "fr")
    assert [id for id, _ in await saves(content, lea)] == [
        moved["id"], abroad(comment["id"], 250),
    ]  # fmt: skip
    # A page that is long open shows the first of all ids.
    await save(content, lea, "post", post["id"], False)
    await save(content, lea, "comment", comment["id"], False)
    assert await saves(content, lea) == []
    assert await content.pool.fetchval("select count(*) from saved") == 0
