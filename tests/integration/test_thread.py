from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import msgspec
import pytest

from actors.messages import (
    GUEST,
    CastVote,
    DeleteComment,
    DeletePost,
    EditComment,
    EditPost,
    ReadCommentHistory,
    ReadComments,
    ReadMarks,
    ReadPost,
    ReadPostHistory,
    Reply,
)
from actors.ranking import hot_rank
from storage.identity import country_of, new_id, time_ms_of
from tests.integration.content import (
    RECEIVED_NS,
    Content,
    content_on,
    create_comment,
)


@pytest.fixture
async def content(database_url: str) -> AsyncIterator[Content]:
    async with content_on(database_url) as content:
        yield content


async def test_a_post_lands_in_its_countrys_partition_with_its_event(content: Content) -> None:
    ana = await content.member("ana")
    post = await content.post(ana, tags=("funds",))
    assert post["country"] == "DE"
    assert post["visa_type"] == "student"
    assert post["author"] == {"id": str(ana.account_id), "handle": "ana", "display_name": "ana"}
    assert "<strong>May</strong>" in post["body_html"]
    assert country_of(UUID(post["id"])) == 276
    table = await content.pool.fetchval("select tableoid::regclass::text from post")
    assert table == "post_c276"
    channel = f"community:{post['community_id']}"
    assert content.publisher.types(channel) == [(1, "post.created")]
    event = msgspec.json.decode(content.publisher.publications[0].data)
    assert event["post"] == post
    assert event["sent_ns"] == RECEIVED_NS
    assert event["committed_ns"] > 0


async def test_what_was_written_is_what_is_read(content: Content) -> None:
    ana = await content.member("ana")
    post = await content.post(ana)
    [reply] = await content.ask(ReadPost(GUEST, UUID(post["id"])))
    assert isinstance(reply, Reply)
    assert reply.public
    page = content.body(reply)
    stream = page.pop("stream")
    assert page == post
    assert stream["channel"] == f"thread:{post['id']}" == reply.channel
    assert stream["offset"] == 0


async def test_comments_nest_and_stop_at_depth_12(content: Content) -> None:
    ana = await content.member("ana")
    post = await content.post(ana)
    parent = None
    chain = []
    for _ in range(15):
        comment = await content.comment(ana, post["id"], parent=parent)
        chain.append(comment)
        parent = comment["id"]
    assert [c["depth"] for c in chain] == [*range(13), 12, 12]
    assert chain[13]["parent_id"] == chain[11]["id"] == chain[14]["parent_id"]
    events = content.publisher.types(f"thread:{post['id']}")
    assert events == [(n, "comment.created") for n in range(1, 16)]
    last = msgspec.json.decode(content.publisher.publications[-1].data)["comment"]
    assert last == chain[14]


async def test_one_bad_item_never_fails_its_batch(content: Content) -> None:
    ana, ben = await content.member("ana"), await content.member("ben")
    mod = await content.member("mod", "moderator")
    post, locked, other = [await content.post(ana) for _ in range(3)]
    await content.ask(
        EditPost(mod, UUID(locked["id"]), None, None, None, None, True, None, RECEIVED_NS)
    )
    stranger = await content.comment(ana, other["id"])
    await content.pool.execute("update account set status = 'suspended' where handle = 'ben'")
    outcomes = await content.ask(
        create_comment(ana, post["id"], body="fine"),
        create_comment(ana, str(new_id(276))),
        create_comment(ana, locked["id"]),
        create_comment(mod, locked["id"], body="moderators may"),
        create_comment(ben, post["id"]),
        create_comment(ana, post["id"], parent=stranger["id"]),
        create_comment(ana, post["id"], body="also fine"),
    )
    assert content.body(outcomes[0])["body_markdown"] == "fine"
    assert content.code(outcomes[1]) == "not_found"
    assert content.code(outcomes[2]) == "locked"
    assert content.body(outcomes[3])["body_markdown"] == "moderators may"
    assert content.code(outcomes[4]) == "suspended"
    assert content.code(outcomes[5]) == "invalid"
    assert content.body(outcomes[6])["body_markdown"] == "also fine"
    assert await content.pool.fetchval("select count(*) from comment") == 4


async def test_a_retry_returns_the_first_answer(content: Content) -> None:
    ana, ben = await content.member("ana"), await content.member("ben")
    post = await content.post(ana, key="p")
    assert await content.post(ana, key="p") == post
    first = await content.comment(ana, post["id"], key="k")
    again = await content.comment(ana, post["id"], key="k")
    assert again == first
    batch = await content.ask(
        create_comment(ana, post["id"], key="k"),
        create_comment(ana, post["id"], key="k", body="another text"),
        create_comment(ana, post["id"], key="new"),
        create_comment(ana, post["id"], key="new"),
        create_comment(ben, post["id"], key="k"),
    )
    assert content.body(batch[0]) == first
    assert content.code(batch[1]) == "conflict"
    assert content.body(batch[2]) == content.body(batch[3])
    assert content.body(batch[4])["id"] != first["id"]
    assert await content.pool.fetchval("select count(*) from comment") == 3
    assert await content.pool.fetchval("select comment_count from post") == 3


async def test_a_refused_write_leaves_its_key_free(content: Content) -> None:
    ana = await content.member("ana")
    post = await content.post(ana)
    await content.pool.execute("update post set locked = true")
    [refused] = await content.ask(create_comment(ana, post["id"], key="k"))
    assert content.code(refused) == "locked"
    await content.pool.execute("update post set locked = false")
    assert (await content.comment(ana, post["id"], key="k"))["post_id"] == post["id"]


async def test_concurrent_batches_give_contiguous_offsets(content: Content) -> None:
    ana = await content.member("ana")
    posts = [await content.post(ana) for _ in range(3)]

    async def batch(n: int) -> None:
        requests = [
            create_comment(ana, posts[(n + i) % 3]["id"], key=f"{n % 4}-{i}") for i in range(20)
        ]
        for outcome in await content.ask(*requests):
            assert isinstance(outcome, Reply) or outcome.code == "conflict", outcome

    await asyncio.gather(*(batch(n) for n in range(8)))
    for post in posts:
        rows = await content.pool.fetch(
            "select e.off, s.top_offset from stream_event e join stream s on s.id = e.stream_id"
            " where s.channel = $1 order by e.off",
            f"thread:{post['id']}",
        )
        assert [row["off"] for row in rows] == list(range(1, len(rows) + 1))
        assert rows[0]["top_offset"] == len(rows)
    assert await content.pool.fetchval("select count(*) from comment") == 80  # 4 x 20 keys
    assert await content.pool.fetchval("select sum(comment_count) from post") == 80


async def test_votes_are_one_per_member_and_move_the_rank(content: Content) -> None:
    ana, ben = await content.member("ana"), await content.member("ben")
    post = await content.post(ana)
    target = UUID(post["id"])
    outcomes = await content.ask(
        CastVote(ana, "post", target, 1), CastVote(ben, "post", target, -1)
    )
    assert content.body(outcomes[0]) == {"up": 1, "down": 1, "score": 0, "mine": 1}
    [again] = await content.ask(CastVote(ben, "post", target, -1))
    assert content.body(again) == {"up": 1, "down": 1, "score": 0, "mine": -1}
    [changed] = await content.ask(CastVote(ben, "post", target, 1))
    assert content.body(changed) == {"up": 2, "down": 0, "score": 2, "mine": 1}
    assert await content.pool.fetchval("select hot from post") == hot_rank(2, 0, time_ms_of(target))
    [removed] = await content.ask(CastVote(ana, "post", target, 0))
    assert content.body(removed) == {"up": 1, "down": 0, "score": 1, "mine": 0}
    [marks] = await content.ask(ReadMarks(ben, (target,)))
    assert content.body(marks)["votes"] == {str(target): 1}
    [missing] = await content.ask(CastVote(ana, "comment", target, 1))
    assert content.code(missing) == "not_found"


async def test_comment_votes_and_imported_counts(content: Content) -> None:
    ana = await content.member("ana")
    post = await content.post(ana)
    comment = await content.comment(ana, post["id"])
    await content.pool.execute("update comment set up = 40, down = 2")
    [vote] = await content.ask(CastVote(ana, "comment", UUID(comment["id"]), 1))
    assert content.body(vote) == {"up": 41, "down": 2, "score": 39, "mine": 1}
    event = content.publisher.ephemeral[-1]
    assert event.channel == f"thread:{post['id']}"
    assert event.counter
    assert msgspec.json.decode(event.data)["up"] == 41


async def test_edits_keep_history_and_are_the_authors(content: Content) -> None:
    ana, ben = await content.member("ana"), await content.member("ben")
    post = await content.post(ana)
    id = UUID(post["id"])
    comment = await content.comment(ana, post["id"], body="first")
    comment_id = UUID(comment["id"])
    edit = EditPost(ana, id, "A better title", None, None, None, None, None, RECEIVED_NS)
    [edited] = await content.ask(edit)
    assert content.body(edited)["title"] == "A better title"
    assert content.body(edited)["edited_at"] is not None
    refused = await content.ask(
        msgspec.structs.replace(edit, caller=ben),
        msgspec.structs.replace(edit, title=None, locked=True),
        EditComment(ben, comment_id, "mine", RECEIVED_NS),
    )
    assert [content.code(outcome) for outcome in refused] == ["not_permitted"] * 3
    [changed] = await content.ask(EditComment(ana, comment_id, "second", RECEIVED_NS))
    assert content.body(changed)["body_markdown"] == "second"
    histories = await content.ask(ReadPostHistory(GUEST, id), ReadCommentHistory(GUEST, comment_id))
    titles = [item["title"] for item in content.body(histories[0])["items"]]
    assert titles == ["A better title", post["title"]]
    texts = [item["body_markdown"] for item in content.body(histories[1])["items"]]
    assert texts == ["second", "first"]
    assert content.publisher.types(f"thread:{id}") == [
        (1, "comment.created"),
        (2, "post.updated"),
        (3, "comment.updated"),
    ]


async def test_removal_reaches_the_log(content: Content) -> None:
    ana = await content.member("ana")
    mod = await content.member("mod", "moderator")
    post = await content.post(ana, title="A secret title", body="A secret body")
    comment = await content.comment(ana, post["id"], body="A secret comment")
    reply = await content.comment(mod, post["id"], parent=comment["id"], body="No names please")
    content.publisher.publications.clear()
    [gone] = await content.ask(DeleteComment(mod, UUID(comment["id"]), RECEIVED_NS))
    assert isinstance(gone, Reply) and gone.status == 204
    assert content.publisher.types(f"thread:{post['id']}") == [
        (1, "comment.created"),  # overwritten, at its old offset
        (3, "comment.deleted"),
    ]
    [page] = await content.ask(
        ReadComments(GUEST, UUID(post["id"]), "best", None, 50, None),
    )
    shown = content.body(page)["items"]
    assert [(c["id"], c["deleted"], c["body_markdown"]) for c in shown] == [
        (comment["id"], True, ""),
        (reply["id"], False, "No names please"),
    ]
    await content.ask(DeletePost(ana, UUID(post["id"]), RECEIVED_NS))
    stored = await content.pool.fetchval("select string_agg(payload, ' ') from stream_event")
    assert "secret" not in stored
    [deleted] = await content.ask(ReadPost(GUEST, UUID(post["id"])))
    assert content.body(deleted)["deleted"] and content.body(deleted)["title"] == ""
    [refused] = await content.ask(create_comment(ana, post["id"]))
    assert content.code(refused) == "not_found"


async def test_deleted_comments_without_replies_leave_the_page(content: Content) -> None:
    ana = await content.member("ana")
    post = await content.post(ana)
    first = await content.comment(ana, post["id"])
    second = await content.comment(ana, post["id"], parent=first["id"])
    for comment in (first, second):
        await content.ask(DeleteComment(ana, UUID(comment["id"]), RECEIVED_NS))
    [page] = await content.ask(ReadComments(GUEST, UUID(post["id"]), "old", None, 50, None))
    assert content.body(page)["items"] == []


async def test_pages_follow_their_cursor_and_know_their_position(content: Content) -> None:
    ana = await content.member("ana")
    post = await content.post(ana)
    made = [await content.comment(ana, post["id"], body=f"number {n}") for n in range(7)]
    cursor, seen = None, []
    while True:
        [reply] = await content.ask(ReadComments(GUEST, UUID(post["id"]), "old", None, 3, cursor))
        page = content.body(reply)
        assert page["stream"]["offset"] == 7
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert sorted(seen) == sorted(c["id"] for c in made)
    [refused] = await content.ask(ReadComments(GUEST, UUID(post["id"]), "new", None, 3, "nonsense"))
    assert content.code(refused) == "invalid"


async def test_private_communities_are_invisible_to_strangers(content: Content) -> None:
    ana, ben = await content.member("ana"), await content.member("ben")
    community = await content.pool.fetchval("select id from community where slug = 'fr'")
    await content.pool.execute("update community set visibility = 'private' where slug = 'fr'")
    await content.pool.execute(
        "insert into membership (account_id, community_id) values ($1, $2)",
        ana.account_id,
        community,
    )
    post = await content.post(ana, "fr")
    outcomes = await content.ask(
        create_comment(ben, post["id"]),
        ReadPost(ben, UUID(post["id"])),
        ReadPost(GUEST, UUID(post["id"])),
        ReadComments(GUEST, UUID(post["id"]), "best", None, 10, None),
        CastVote(ben, "post", UUID(post["id"]), 1),
    )
    assert [content.code(outcome) for outcome in outcomes] == ["not_found"] * 5
    [mine] = await content.ask(ReadPost(ana, UUID(post["id"])))
    assert isinstance(mine, Reply) and not mine.public


async def test_each_batch_enqueues_one_job_of_a_kind(content: Content) -> None:
    ana = await content.member("ana")
    post = await content.post(ana)
    await content.ask(*(create_comment(ana, post["id"]) for _ in range(3)))
    await content.ask(create_comment(ana, str(new_id(276))))
    rows = await content.pool.fetch("select entrypoint, payload from pgqueuer order by id")
    jobs = [(row["entrypoint"], msgspec.json.decode(row["payload"])) for row in rows]
    of_post, of_comments = [payload for kind, payload in jobs if kind == "notify"]
    assert of_post == {"posts": [post["id"]]}
    assert [told["reply_to"] for told in of_comments["comments"]] == [None] * 3
    indexed = [payload for kind, payload in jobs if kind == "index"]
    assert len(indexed) == 2 and len(jobs) == 4
    assert indexed[0]["posts"] == [post["id"]] and len(indexed[1]["comments"]) == 3


async def test_a_guests_write_is_refused_alone(content: Content) -> None:
    ana = await content.member("ana")
    post = await content.post(ana)
    outcomes = await content.ask(
        create_comment(GUEST, post["id"]),
        create_comment(ana, post["id"]),
        CastVote(GUEST, "post", UUID(post["id"]), 1),
        DeletePost(GUEST, UUID(post["id"]), RECEIVED_NS),
    )
    assert content.body(outcomes[1])["post_id"] == post["id"]
    assert [content.code(outcomes[n]) for n in (0, 2, 3)] == ["unauthenticated"] * 3
