"""Threads that are moved and merged keep all that belongs to them, and leave a trace."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import msgspec
import pytest

from actors.messages import (
    GUEST,
    AcceptComment,
    Caller,
    CastVote,
    CommentSort,
    DeleteComment,
    EditComment,
    EditPost,
    MergePosts,
    MovePost,
    ReadComment,
    ReadCommentHistory,
    ReadComments,
    ReadPost,
    ReadPostHistory,
    Reply,
    RestorePost,
    SetPoll,
    VoteInPoll,
)
from config.channels import ACCESS_CHANNEL
from storage import merges, moves
from storage.identity import country_of, new_id
from tests.integration.content import RECEIVED_NS, Content, content_on, create_comment

pytestmark = pytest.mark.integration

SORTS: tuple[CommentSort, ...] = ("best", "new", "old")


@pytest.fixture
async def content(database_url: str) -> AsyncIterator[Content]:
    async with content_on(database_url) as content:
        yield content


def move(caller: Caller, post: Any, community: str) -> MovePost:
    return MovePost(caller, UUID(post["id"]), community, RECEIVED_NS)


def merge(caller: Caller, post: Any, into: Any) -> MergePosts:
    return MergePosts(caller, UUID(post["id"]), UUID(into["id"]), RECEIVED_NS)


async def read(content: Content, post_id: str) -> Any:
    page = content.body((await content.ask(ReadPost(GUEST, UUID(post_id))))[0])
    del page["stream"]
    return page


async def listing(content: Content, post_id: str, sort: CommentSort = "old") -> list[Any]:
    """All comments of a post, a few a page; where the pages end is not compared."""
    items: list[Any] = []
    cursor = None
    while True:
        request = ReadComments(GUEST, UUID(post_id), sort, None, 7, cursor)
        page = content.body((await content.ask(request))[0])
        items += ({**item, "more_children": 0} for item in page["items"])
        cursor = page["next_cursor"]
        if cursor is None:
            return items


async def refusal(content: Content, request: MovePost | MergePosts) -> str:
    [outcome] = await content.ask(request)
    return content.code(outcome)


async def done(content: Content, request: MovePost | MergePosts) -> Any:
    return content.body((await content.ask(request))[0])


async def community_id(content: Content, slug: str) -> str:
    return str(await content.pool.fetchval("select id from community where slug = $1", slug))


def events(content: Content, channel: str) -> list[Any]:
    return [
        msgspec.json.decode(p.data) for p in content.publisher.publications if p.channel == channel
    ]


def in_country(id: str | None, country: int) -> str | None:
    return None if id is None else f"{id[:15]}{country:03x}{id[18:]}"


async def grow(content: Content, chance: random.Random, post: Any, size: int) -> None:
    """A random tree, branches as deep as may be, with votes and removals."""
    members = [await content.member(f"m{new_id(0).hex[-12:]}") for _ in range(2)]
    ids: list[str] = []
    for n in range(size):
        parent = chance.choice([None, *ids, *ids[-2:]]) if ids else None
        comment = await content.comment(
            chance.choice(members), post["id"], body=f"Text {n}", parent=parent
        )
        ids.append(comment["id"])
        if chance.random() < 0.4:
            value = chance.choice((-1, 1))
            await content.ask(CastVote(members[0], "comment", UUID(comment["id"]), value))  # type: ignore[arg-type]
    for id in chance.sample(ids, size // 6):
        await content.ask(DeleteComment(members[0], UUID(id), RECEIVED_NS))


async def test_within_a_country_the_thread_keeps_its_id_and_its_stream(content: Content) -> None:
    ana, mod = await content.member("ana"), await content.member("mod", "moderator")
    post = await content.post(ana, "de-student")
    await content.comment(ana, post["id"])
    comments = await listing(content, post["id"])
    await content.ask(
        EditPost(mod, UUID(post["id"]), None, None, None, None, None, True, RECEIVED_NS)
    )
    content.publisher.publications.clear()
    moved = await done(content, move(mod, post, "de"))
    germany = await community_id(content, "de")
    assert moved == await read(content, post["id"])
    assert moved == {
        **post, "community_id": germany, "visa_type": None, "comment_count": 1, "pinned": False,
    }  # fmt: skip
    assert await listing(content, post["id"]) == comments
    [*overwritten, left] = events(content, f"community:{post['community_id']}")
    assert left["type"] == "post.deleted"
    assert (left["post"]["deleted"], left["post"]["moved_to"]) == (True, post["id"])
    assert overwritten and all(event["post"]["body_markdown"] == "" for event in overwritten)
    [arrived] = events(content, f"community:{germany}")
    assert (arrived["type"], arrived["post"]) == ("post.created", moved)
    [updated] = events(content, f"thread:{post['id']}")
    assert (updated["type"], updated["post"]) == ("post.updated", moved)
    [told] = events(content, ACCESS_CHANNEL)
    assert (told["post_id"], told["community_id"]) == (post["id"], germany)
    # Asked again, it is where it was to go.
    content.publisher.publications.clear()
    assert await done(content, move(mod, post, "de")) == moved
    assert content.publisher.publications == []


async def test_to_another_country_everything_goes_along(content: Content) -> None:
    ana, ben = await content.member("ana"), await content.member("ben")
    mod = await content.member("mod", "moderator")
    post = await content.post(ana, "de-student", tags=("funds",))
    id = UUID(post["id"])
    first = await content.comment(ben, post["id"], body="The first text.")
    second = await content.comment(ana, post["id"], body="Thanks.", parent=first["id"])
    gone = await content.comment(ana, post["id"], body="A removed secret.")
    await content.ask(
        EditPost(ana, id, "A better title", None, None, None, None, None, RECEIVED_NS),
        EditComment(ben, UUID(first["id"]), "The second text.", RECEIVED_NS),
        DeleteComment(ana, UUID(gone["id"]), RECEIVED_NS),
        CastVote(ben, "post", id, 1),
        CastVote(ana, "comment", UUID(first["id"]), 1),
        AcceptComment(ana, id, UUID(first["id"]), RECEIVED_NS),
        SetPoll(ana, id, "", ("A", "B"), False, None, RECEIVED_NS),
    )
    await content.ask(VoteInPoll(ben, id, (1,)))
    before, comments = await read(content, post["id"]), await listing(content, post["id"])
    content.publisher.publications.clear()

    moved = await done(content, move(mod, post, "fr"))
    france = await community_id(content, "fr")
    assert country_of(UUID(moved["id"])) == 250
    assert moved == {
        **before, "id": moved["id"], "community_id": france, "country": "FR", "visa_type": None,
        "accepted_comment_id": in_country(first["id"], 250),
    }  # fmt: skip
    assert moved == await read(content, moved["id"])
    assert await listing(content, moved["id"]) == [
        {
            **comment,
            "id": in_country(comment["id"], 250),
            "parent_id": in_country(comment["parent_id"], 250),
            "post_id": moved["id"],
        }
        for comment in comments
    ]
    for request in (
        ReadPostHistory(GUEST, UUID(moved["id"])),
        ReadCommentHistory(GUEST, UUID(first["id"])),  # by the id that it had
    ):
        assert len(content.body((await content.ask(request))[0])["items"]) == 2
    # Votes can be taken back where they are now.
    [vote] = await content.ask(CastVote(ben, "post", UUID(moved["id"]), 0))
    assert content.body(vote)["up"] == 0
    [vote] = await content.ask(VoteInPoll(ben, UUID(moved["id"]), ()))
    assert content.body(vote) == {"votes": [0, 0], "voters": 0, "mine": []}

    # What is left behind points there and holds nothing.
    left = await read(content, post["id"])
    assert (left["deleted"], left["moved_to"], left["title"]) == (True, moved["id"], "")
    assert await listing(content, post["id"]) == []
    for table in ("comment", "vote", "revision"):
        assert not await content.pool.fetchval(
            f"select exists (select from {table} where country_id = 276)"
        )
    [found] = await content.ask(ReadComment(GUEST, UUID(second["id"]), 1))
    permalink = content.body(found)
    assert permalink["id"] == in_country(second["id"], 250)
    assert permalink["post_id"] == moved["id"]
    texts = await content.pool.fetch(
        "select payload from stream_event e join stream s on s.id = e.stream_id"
        " where s.channel in ($1, $2)",
        f"thread:{post['id']}",
        f"community:{post['community_id']}",
    )
    shown = "".join(row["payload"] for row in texts)
    assert not any(text in shown for text in ("better title", "second text", "Thanks", "secret"))
    for channel in (f"thread:{post['id']}", f"community:{post['community_id']}"):
        last = events(content, channel)[-1]
        assert (last["type"], last["post"]["moved_to"]) == ("post.deleted", moved["id"])
    [arrived] = events(content, f"community:{france}")
    assert (arrived["type"], arrived["post"]) == ("post.created", moved)

    # Asked again, it is there already; elsewhere, it is no longer here.
    content.publisher.publications.clear()
    assert (await done(content, move(mod, post, "fr")))["id"] == moved["id"]
    assert content.publisher.publications == []
    assert await refusal(content, move(mod, post, "de")) == "conflict"
    [restored] = await content.ask(RestorePost(mod, id, RECEIVED_NS))
    assert content.code(restored) == "conflict"
    assert content.code((await content.ask(create_comment(ana, post["id"])))[0]) == "not_found"


async def test_a_moved_tree_keeps_every_comment_once_and_in_order(content: Content) -> None:
    mod = await content.member("mod", "moderator")
    for seed in range(3):
        await moved_tree_keeps_its_order(content, mod, seed)


async def moved_tree_keeps_its_order(content: Content, mod: Caller, seed: int) -> None:
    post = await content.post(mod, "de")
    await grow(content, random.Random(seed), post, 30)
    before = {sort: await listing(content, post["id"], sort) for sort in SORTS}
    here = post
    for slug, country in (("fr", 250), ("us", 840), ("de", 276)):
        here = await done(content, move(mod, here, slug))
        for sort in SORTS:
            now = await listing(content, here["id"], sort)
            assert [(c["id"], c["parent_id"], c["depth"], c["body_markdown"]) for c in now] == [
                (
                    in_country(c["id"], country),
                    in_country(c["parent_id"], country),
                    c["depth"],
                    c["body_markdown"],
                )
                for c in before[sort]
            ]
    assert here["comment_count"] == sum(not c["deleted"] for c in before["old"])
    # Back home, comments have their first ids again, and those of the other countries lead here.
    for comment in before["old"]:
        for country in (276, 250, 840):
            id = in_country(comment["id"], country)
            assert id is not None
            page = content.body((await content.ask(ReadComment(GUEST, UUID(id), 0)))[0])
            assert (page["id"], page["post_id"]) == (comment["id"], here["id"])


async def test_who_follows_a_thread_follows_it_elsewhere(content: Content) -> None:
    ana, ben = await content.member("ana"), await content.member("ben")
    mod = await content.member("mod", "moderator")
    post, into = await content.post(ana, "de"), await content.post(mod, "fr")
    comment = await content.comment(ben, post["id"])
    for caller, level in ((ana, "none"), (ben, "mentions"), (mod, "all")):
        await content.pool.execute(
            "insert into thread_follow (account_id, post_id, level) values ($1, $2, $3)",
            caller.account_id, post["id"], level,
        )  # fmt: skip
    await content.pool.execute(
        "insert into read_position (account_id, post_id, comment_id) values ($1, $2, $3)",
        ben.account_id, post["id"], comment["id"],
    )  # fmt: skip
    await content.pool.execute(
        "insert into thread_follow (account_id, post_id, level) values ($1, $2, 'all')",
        ana.account_id, into["id"],
    )  # fmt: skip

    async def follows(post_id: str) -> dict[str, str]:
        rows = await content.pool.fetch(
            "select a.handle, f.level from thread_follow f join account a on a.id = f.account_id"
            " where f.post_id = $1",
            post_id,
        )
        return {row["handle"]: row["level"] for row in rows}

    moved = await done(content, move(mod, post, "fr"))
    assert await follows(moved["id"]) == {"ana": "none", "ben": "mentions", "mod": "all"}
    reached = await content.pool.fetchrow("select post_id, comment_id from read_position")
    assert reached is not None
    assert [str(id) for id in reached] == [moved["id"], in_country(comment["id"], 250)]
    await done(content, merge(mod, moved, into))
    assert await follows(into["id"]) == {"ana": "all", "ben": "mentions", "mod": "all"}
    assert await follows(moved["id"]) == {}


async def test_edits_meanwhile_are_told_where_the_post_is(content: Content) -> None:
    ana, mod = await content.member("ana"), await content.member("mod", "moderator")
    post = await content.post(ana, "de-student")
    id = UUID(post["id"])
    for n in range(12):
        edits = [
            EditPost(ana, id, f"Title {n} {m}", None, None, None, None, None, RECEIVED_NS)
            for m in range(2)
        ]
        outcomes = await content.ask(
            edits[0],
            move(mod, post, ("de", "de-student")[n % 2]),
            edits[1],
            create_comment(ana, post["id"]),
            CastVote(mod, "post", id, (1, -1)[n % 2]),
        )
        assert all(isinstance(outcome, Reply) for outcome in outcomes), outcomes
    rows = await content.pool.fetch(
        "select s.channel, e.off, e.payload::json ->> 'type' as kind from stream_event e"
        " join stream s on s.id = e.stream_id where e.subject_id = $1 order by s.channel, e.off",
        id,
    )
    for slug in ("de", "de-student"):
        channel = f"community:{await community_id(content, slug)}"
        kinds = [row["kind"] for row in rows if row["channel"] == channel]
        assert [row["off"] for row in rows if row["channel"] == channel] == [
            *range(1, len(kinds) + 1)
        ]
        here = False
        for kind in kinds:
            assert here == (kind != "post.created"), kinds
            here = kind != "post.deleted"
        assert here == (slug == "de-student")


async def test_a_merged_thread_follows_below_its_own_text(content: Content) -> None:
    ana, ben = await content.member("ana"), await content.member("ben")
    mod = await content.member("mod", "moderator")
    into = await content.post(ben, "de", title="The one that stays")
    there = await content.comment(ben, into["id"])
    post = await content.post(ana, "de-student", title="How *long*?", body="I applied in **May**.")
    id = UUID(post["id"])
    answer = await content.comment(ben, post["id"], body="Two months.")
    reply = await content.comment(ana, post["id"], body="Thanks.", parent=answer["id"])
    await content.ask(CastVote(ben, "post", id, 1))
    await content.ask(
        EditPost(ana, id, None, "I applied in **June**.", None, None, None, None, RECEIVED_NS)
    )
    content.publisher.publications.clear()
    content.publisher.ephemeral.clear()

    merged = await done(content, merge(mod, post, into))
    [activity] = content.publisher.ephemeral
    assert msgspec.json.decode(activity.data)["comment_count"] == 4
    assert merged == await read(content, into["id"])
    assert (merged["id"], merged["comment_count"]) == (into["id"], 4)
    comments = {comment["id"]: comment for comment in await listing(content, into["id"])}
    [head] = [comment for comment in comments.values() if "merged_from" in comment]
    assert (head["merged_from"], head["author"]["handle"]) == (post["id"], "ana")
    assert (head["parent_id"], head["depth"], head["up"]) == (None, 0, 1)
    assert head["created_at"] == post["created_at"]
    assert "How *long*?" in head["body_html"] and "<strong>June</strong>" in head["body_html"]
    assert comments[answer["id"]] == {
        **answer, "post_id": into["id"], "parent_id": head["id"], "depth": 1,
    }  # fmt: skip
    assert (comments[reply["id"]]["parent_id"], comments[reply["id"]]["depth"]) == (answer["id"], 2)
    assert set(comments) == {there["id"], head["id"], answer["id"], reply["id"]}
    # Its author's vote and former text came along.
    [vote] = await content.ask(CastVote(ben, "comment", UUID(head["id"]), 0))
    assert content.body(vote)["up"] == 0
    [history] = await content.ask(ReadCommentHistory(GUEST, UUID(head["id"])))
    assert len(content.body(history)["items"]) == 2

    left = await read(content, post["id"])
    assert (left["deleted"], left["moved_to"], left["title"]) == (True, into["id"], "")
    assert await listing(content, post["id"]) == []
    thread = events(content, f"thread:{into['id']}")
    assert [event["type"] for event in thread] == ["comment.created"] * 3
    assert [event["comment"]["id"] for event in thread] == [head["id"], answer["id"], reply["id"]]
    assert thread[0]["comment"] == head
    for channel in (f"thread:{post['id']}", f"community:{post['community_id']}"):
        assert events(content, channel)[-1]["post"]["moved_to"] == into["id"]

    content.publisher.publications.clear()
    assert await done(content, merge(mod, post, into)) == merged
    assert content.publisher.publications == []
    # The text is the comment's alone: removed there, it is nowhere.
    await content.ask(DeleteComment(ana, UUID(head["id"]), RECEIVED_NS))
    assert not await content.pool.fetchval(
        "select exists (select from stream_event where strpos(payload, 'June') > 0)"
    )


async def test_a_merged_tree_keeps_every_comment_once_and_in_order(content: Content) -> None:
    mod = await content.member("mod", "moderator")
    for seed in range(3):
        await merged_tree_keeps_its_order(content, mod, seed)


async def merged_tree_keeps_its_order(content: Content, mod: Caller, seed: int) -> None:
    chance = random.Random(seed)
    post, into = await content.post(mod, "de"), await content.post(mod, "de-student")
    await grow(content, chance, post, 30)
    await grow(content, chance, into, 10)
    deep = None
    for _ in range(15):
        deep = (await content.comment(mod, post["id"], parent=deep))["id"]
    before = {sort: await listing(content, post["id"], sort) for sort in SORTS}
    there = {sort: await listing(content, into["id"], sort) for sort in SORTS}
    merged = await done(content, merge(mod, post, into))
    for sort in SORTS:
        now = await listing(content, into["id"], sort)
        depths = {comment["id"]: comment["depth"] for comment in now}
        assert len(depths) == len(now)
        came = {comment["id"]: comment for comment in before[sort]}
        [head] = [comment for comment in now if "merged_from" in comment]
        assert set(depths) == {*came, *(c["id"] for c in there[sort]), head["id"]}
        # What was there stands as it stood.
        others = [c for c in now if c["id"] not in came and c["id"] != head["id"]]
        assert others == there[sort]
        # What came follows the head without a gap, each a step deeper, in the order it had; at the
        # greatest depth replies stand beside what they answer.
        start = now.index(head)
        block = now[start + 1 : start + 1 + len(came)]
        assert {c["id"] for c in block} == set(came)
        for c in block:
            assert c["depth"] == min(came[c["id"]]["depth"] + 1, 12)
            assert depths[c["parent_id"]] == c["depth"] - 1
        shallow = [c["id"] for c in block if c["depth"] < 12]
        assert shallow == [c["id"] for c in before[sort] if c["depth"] < 11]
    assert merged["comment_count"] == 1 + sum(
        not c["deleted"] for c in (*before["old"], *there["old"])
    )


async def test_who_may_move_and_merge(content: Content) -> None:
    ana, half = await content.member("ana"), await content.member("half")
    mod = await content.member("mod", "moderator")
    post, other = await content.post(ana, "de"), await content.post(ana, "de-student")
    await content.pool.execute(
        "insert into membership (account_id, community_id, role)"
        " select $1, id, 'moderator' from community where slug = 'de'",
        half.account_id,
    )
    for caller in (ana, half):
        assert await refusal(content, move(caller, post, "de-student")) == "not_permitted"
        assert await refusal(content, merge(caller, post, other)) == "not_permitted"
    assert await refusal(content, move(GUEST, post, "fr")) == "unauthenticated"
    assert await refusal(content, move(mod, post, "nowhere")) == "invalid"
    assert await refusal(content, move(mod, post, str(new_id(276)))) == "invalid"
    assert await refusal(content, move(mod, {"id": str(new_id(276))}, "de")) == "not_found"
    abroad = await content.post(ana, "fr")
    for into in (post, abroad):
        assert await refusal(content, merge(mod, post, into)) == "invalid"
    assert await refusal(content, merge(mod, post, {"id": str(new_id(276))})) == "not_found"
    await content.ask(SetPoll(ana, UUID(post["id"]), "", ("A", "B"), False, None, RECEIVED_NS))
    assert await refusal(content, merge(mod, post, other)) == "conflict"


async def test_private_threads_stay_where_they_are(content: Content) -> None:
    ana, root = await content.member("ana"), await content.member("root", "admin")
    post, other = await content.post(ana, "de"), await content.post(ana, "de-student")
    neighbour = await content.post(ana, "de")
    await content.pool.execute("update community set visibility = 'private' where slug = 'de'")
    for request in (
        move(root, post, "de-student"),
        move(root, post, "fr"),
        move(root, other, "de"),
        merge(root, post, other),
        merge(root, other, post),
    ):
        assert await refusal(content, request) == "not_permitted"
    [reply] = await content.ask(merge(root, post, neighbour))
    assert isinstance(reply, Reply)


async def test_threads_beyond_the_bounds_are_refused_as_they_are(
    content: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, mod = await content.member("ana"), await content.member("mod", "moderator")
    post, into = await content.post(ana, "de"), await content.post(ana, "de")
    comments = [await content.comment(ana, post["id"]) for _ in range(3)]
    for comment in comments[:2]:
        await content.ask(CastVote(ana, "comment", UUID(comment["id"]), 1))
    monkeypatch.setattr(moves, "MAX_COMMENTS", 2)
    monkeypatch.setattr(merges, "MAX_COMMENTS", 2)
    assert await refusal(content, move(mod, post, "fr")) == "too_large"
    assert await refusal(content, merge(mod, post, into)) == "too_large"
    monkeypatch.setattr(moves, "MAX_COMMENTS", 3)
    monkeypatch.setattr(moves, "MAX_VOTES", 1)
    assert await refusal(content, move(mod, post, "fr")) == "too_large"
    assert len(await listing(content, post["id"])) == 3
    # Within a country nothing is copied.
    assert (await done(content, move(mod, post, "de-student")))["id"] == post["id"]
