"""Pins, tags, permalinks and differences on a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import msgspec
import pytest

from actors.feed import Feed
from actors.feed_messages import FeedRequest, FeedSort, ListTags, ReadFeed
from actors.messages import (
    GUEST,
    Caller,
    DeleteComment,
    DeletePost,
    EditComment,
    EditPost,
    ReadComment,
    ReadCommentHistory,
    ReadPostHistory,
    Reply,
)
from storage import comments
from storage.directory import Directory
from storage.edits import MAX_PINNED
from storage.identity import new_id
from tests.integration.content import RECEIVED_NS, Content, content_on

pytestmark = pytest.mark.integration


@pytest.fixture
async def content(database_url: str) -> AsyncIterator[Content]:
    async with content_on(database_url) as content:
        yield content


def edit(caller: Caller, post: Any, **changes: Any) -> EditPost:
    request = EditPost(caller, UUID(post["id"]), None, None, None, None, None, None, RECEIVED_NS)
    return msgspec.structs.replace(request, **changes)


async def test_a_community_has_a_few_pinned_posts(content: Content) -> None:
    ana, mod = await content.member("ana"), await content.member("mod", "moderator")
    posts = [await content.post(ana) for _ in range(MAX_PINNED + 2)]
    elsewhere = await content.post(ana, "fr")
    outcomes = await content.ask(*(edit(mod, post, pinned=True) for post in posts))
    refused = [place for place, each in enumerate(outcomes) if not isinstance(each, Reply)]
    assert [content.code(outcomes[place]) for place in refused] == ["conflict"] * 2
    [pinned] = await content.ask(edit(mod, elsewhere, pinned=True))
    assert content.body(pinned)["pinned"]
    last = posts[refused[0]]
    [again] = await content.ask(edit(mod, last, pinned=True, locked=True))
    assert content.code(again) == "conflict"
    held = next(post for place, post in enumerate(posts) if place not in refused)
    await content.ask(DeletePost(mod, UUID(held["id"]), RECEIVED_NS))
    [pinned] = await content.ask(edit(mod, last, pinned=True))
    assert content.body(pinned)["pinned"]
    # Pinned already: no more are than may be.
    [same] = await content.ask(edit(mod, last, pinned=True))
    assert isinstance(same, Reply)


async def test_tags_of_a_community_are_counted(content: Content) -> None:
    ana = await content.member("ana")
    feed = Feed(content.pool, Directory(content.pool))
    for tags in (("funds", "visa"), ("visa",), ("visa", "work")):
        await content.post(ana, tags=tags)
    await content.post(ana, "fr", tags=("funds",))
    gone = await content.post(ana, tags=("funds", "gone"))
    await content.ask(DeletePost(ana, UUID(gone["id"]), RECEIVED_NS))

    async def ask(request: FeedRequest) -> Any:
        [outcome] = await feed.handle_batch([request])
        assert isinstance(outcome, Reply), outcome
        assert outcome.public and outcome.channel == f"community:{gone['community_id']}"
        return msgspec.json.decode(outcome.body)

    assert await ask(ListTags(GUEST, "de-student", 30)) == {
        "items": [
            {"tag": "visa", "posts": 3},
            {"tag": "funds", "posts": 1},
            {"tag": "work", "posts": 1},
        ],
        "next_cursor": None,
    }
    first = await ask(ListTags(GUEST, "de-student", 1))
    assert [item["tag"] for item in first["items"]] == ["visa"]
    await content.pool.execute("update community set visibility = 'private' where slug = 'fr'")
    outcomes = await feed.handle_batch([ListTags(ana, "fr", 5), ListTags(ana, "nowhere", 5)])
    assert [content.code(outcome) for outcome in outcomes] == ["not_found"] * 2


@pytest.mark.parametrize("sort", ["hot", "new", "top"])
async def test_a_feed_keeps_to_one_tag(content: Content, sort: FeedSort) -> None:
    ana = await content.member("ana")
    feed = Feed(content.pool, Directory(content.pool))
    posts = [
        await content.post(ana, title=title, tags=tags)
        for title, tags in (
            ("How long does it take?", ("funds", "visa")),
            ("How long does it take?", ("visa",)),
            ("Wie lange dauert das Verfahren?", ("visa", "work")),
            ("How long does it take?", ()),
        )
    ]
    await content.post(ana, "fr", tags=("visa",))

    async def shown(tag: str | None, languages: tuple[str, ...] = ()) -> list[str]:
        """All pages, a post on each."""
        found: list[str] = []
        cursor = None
        while True:
            request = ReadFeed(GUEST, "de-student", sort, "all", 1, cursor, languages, False, tag)
            page = content.body((await feed.handle_batch([request]))[0])
            found += (item["id"] for item in page["items"])
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    ids = [post["id"] for post in posts]
    assert sorted(await shown("visa")) == sorted(ids[:3])
    assert await shown("funds") == ids[:1]
    assert await shown("visa", ("de",)) == ids[2:3]
    assert await shown("unknown") == []
    assert sorted(await shown(None)) == sorted(ids)
    first = ReadFeed(GUEST, "de-student", sort, "all", 1, None, (), False, "visa")
    page = content.body((await feed.handle_batch([first]))[0])
    other = msgspec.structs.replace(first, tag="work", cursor=page["next_cursor"])
    assert content.code((await feed.handle_batch([other]))[0]) == "invalid"


async def test_a_permalink_counts_a_branch_so_far(
    content: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = await content.member("ana")
    post = await content.post(ana)
    top = await content.comment(ana, post["id"])
    for _ in range(3):
        await content.comment(ana, post["id"], parent=top["id"])
    for most, counted in ((4, 3), (2, 2)):
        monkeypatch.setattr(comments, "MAX_BELOW", most)
        [reply] = await content.ask(ReadComment(GUEST, UUID(top["id"]), 0))
        assert content.body(reply)["more_children"] == counted


async def test_a_permalink_shows_a_comment_in_its_place(content: Content) -> None:
    ana, ben = await content.member("ana"), await content.member("ben")
    post = await content.post(ana)
    chain: list[Any] = []
    for n in range(4):
        parent = chain[-1]["id"] if chain else None
        chain.append(await content.comment(ana, post["id"], body=f"Text {n}", parent=parent))
    await content.comment(ben, post["id"], parent=chain[1]["id"])

    async def ask(id: str, context: int) -> Any:
        [reply] = await content.ask(ReadComment(GUEST, UUID(id), context))
        assert isinstance(reply, Reply) and reply.public
        assert reply.channel == f"thread:{post['id']}"
        return content.body(reply)

    page = await ask(chain[1]["id"], 5)
    assert page["more_children"] == 3
    page = await ask(chain[2]["id"], 1)
    ids = [comment["id"] for comment in chain]
    path = f"/posts/{post['id']}"
    assert (page["permalink"], page["post_permalink"]) == (f"{path}/comments/{ids[2]}", path)
    assert page["ancestor_ids"] == ids[:2]
    assert page["context"] == [chain[1]]
    assert page["more_children"] == 1
    assert page["stream"]["offset"] == 5
    shown = {name: page[name] for name in chain[2]} | {"more_children": 0}
    assert shown == chain[2]
    assert (await ask(ids[2], 0))["context"] == []
    assert (await ask(ids[3], 12))["context"] == chain[:3]

    await content.ask(DeleteComment(ana, UUID(ids[3]), RECEIVED_NS))
    page = await ask(ids[3], 1)
    assert (page["deleted"], page["body_markdown"], page["ancestor_ids"]) == (True, "", ids[:3])
    assert (await ask(ids[2], 0))["more_children"] == 0
    unknown = new_id(276)
    await content.pool.execute("update community set visibility = 'private'")
    outcomes = await content.ask(
        ReadComment(ben, UUID(ids[0]), 0),
        ReadComment(ben, unknown, 0),
        ReadComment(ben, UUID(int=1), 0),
    )
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert content.code(outcomes[0]) == "not_found"


async def test_a_history_says_what_each_edit_changed(content: Content) -> None:
    ana = await content.member("ana")
    post = await content.post(ana, title="My title", body="It took two months.")
    await content.ask(edit(ana, post, body_markdown="It took <b>three</b> months."))
    await content.ask(edit(ana, post, title="My new title"))
    [plain] = await content.ask(ReadPostHistory(GUEST, UUID(post["id"])))
    assert all("diff" not in item for item in content.body(plain)["items"])
    [reply] = await content.ask(ReadPostHistory(GUEST, UUID(post["id"]), diff=True))
    newest, middle, first = content.body(reply)["items"]
    assert newest["diff"] == [{"op": "equal", "text": "It took <b>three</b> months."}]
    assert newest["title_diff"] == [
        {"op": "equal", "text": "My "},
        {"op": "insert", "text": "new "},
        {"op": "equal", "text": "title"},
    ]
    assert middle["diff"] == [
        {"op": "equal", "text": "It took "},
        {"op": "delete", "text": "two"},
        {"op": "insert", "text": "<b>three</b>"},
        {"op": "equal", "text": " months."},
    ]
    assert (first["diff"], first["title_diff"]) == (None, None)
    # The last text of a page is compared with the first one of the next.
    [reply] = await content.ask(ReadPostHistory(GUEST, UUID(post["id"]), limit=2, diff=True))
    page = content.body(reply)
    assert page["items"] == [newest, middle]
    request = ReadPostHistory(GUEST, UUID(post["id"]), 2, page["next_cursor"], diff=True)
    assert content.body((await content.ask(request))[0])["items"] == [first]


async def test_pages_with_differences_are_short(content: Content) -> None:
    ana = await content.member("ana")
    post = await content.post(ana)
    comment = await content.comment(ana, post["id"], body="Text 1")
    for n in range(2, 13):
        await content.ask(EditComment(ana, UUID(comment["id"]), f"Text {n}", RECEIVED_NS))
    request = ReadCommentHistory(GUEST, UUID(comment["id"]), 100, diff=True)
    page = content.body((await content.ask(request))[0])
    assert [item["number"] for item in page["items"]] == [*range(12, 2, -1)]
    assert page["items"][-1]["diff"][-1] == {"op": "insert", "text": "3"}
    request = msgspec.structs.replace(request, cursor=page["next_cursor"])
    page = content.body((await content.ask(request))[0])
    assert [(item["number"], item["diff"] is None) for item in page["items"]] == [
        (2, False),
        (1, True),
    ]
