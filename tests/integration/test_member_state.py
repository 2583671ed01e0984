"""Saves, follows, mutes, read positions, settings and marks, by the real actors."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest

from actors.account_messages import ListNotifications, ReadMe
from actors.group_messages import AskToJoin
from actors.member_messages import (
    FollowCommunity,
    FollowThread,
    ListMutedAccounts,
    ListMutedCommunities,
    ListSaves,
    MarkThreadRead,
    MemberRequest,
    MuteAccount,
    MuteCommunity,
    SetSaved,
    UpdateMe,
)
from actors.messages import GUEST, ReadMarks, Reply
from actors.thread import Thread
from storage.accounts import suspend
from storage.directory import Directory
from storage.identity import new_id
from storage.memberships import ban, grant
from storage.mutes import MAX_MUTES
from tests.integration.content import RecordingPublisher
from tests.integration.people import Person, World, pool, world

__all__ = ["pool", "world"]

pytestmark = pytest.mark.integration


async def comment(world: World, post: UUID, author: Person, at: int | None = None) -> UUID:
    id = new_id(276, at)
    await world.pool.execute(
        "insert into comment (country_id, id, post_id, depth, author_id, body_markdown,"
        " body_html, language, created_at) values (276, $1, $2, 0, $3, 'words', '', 'en', now())",
        id,
        post,
        author.id,
    )
    return id


async def ok(world: World, request: Any) -> Any:
    reply = await world.reply(request)
    assert not reply.public
    return msgspec.json.decode(reply.body) if reply.body else None


async def marks(world: World, who: Person, *ids: UUID) -> Any:
    thread = Thread(world.pool, Directory(world.pool), RecordingPublisher())
    (outcome,) = await thread.handle_batch([ReadMarks(who.caller, ids)])
    assert isinstance(outcome, Reply)
    return msgspec.json.decode(outcome.body)


async def saved(world: World, who: Person, limit: int = 10, cursor: str | None = None) -> Any:
    return await ok(world, ListSaves(who.caller, limit, cursor))


async def test_saves_come_newest_first_and_only_what_may_still_be_read(world: World) -> None:
    mina, noor = await world.register("mina"), await world.register("noor")
    berlin, secret = await world.community("berlin"), await world.community("secret", "private")
    await grant(world.pool, "mina", "member", "secret")
    post = await world.post(berlin, noor, "Papers")
    gone, hidden = await world.post(berlin, noor), await world.post(secret, noor)
    words = await comment(world, post, noor)
    lost = await comment(world, post, noor)
    of_gone = await comment(world, gone, noor)
    for kind, id in (("post", post), ("comment", words), ("post", gone), ("comment", lost)):
        for _ in range(2):
            await world.reply(SetSaved(mina.caller, kind, id, True))  # type: ignore[arg-type]
    await world.reply(SetSaved(mina.caller, "comment", of_gone, True))
    await world.reply(SetSaved(mina.caller, "post", hidden, True))
    assert (await marks(world, mina, post, words, hidden, noor.id))["saved"] != []
    await world.pool.execute("update post set deleted_at = now() where id = $1", gone)
    await world.pool.execute("update comment set deleted_at = now() where id = $1", lost)
    await world.pool.execute("delete from membership")

    page = await saved(world, mina)
    assert page["next_cursor"] is None
    first, second = page["items"]
    assert (first["kind"], first["comment"]["id"], first["post_title"]) == (
        "comment", str(words), "Papers",
    )  # fmt: skip
    assert first["comment"]["body_markdown"] == "words"
    assert (second["kind"], second["post"]["id"]) == ("post", str(post))
    assert first["saved_at"] >= second["saved_at"]
    assert (await saved(world, noor))["items"] == []
    await world.reply(SetSaved(mina.caller, "post", post, False))
    await world.reply(SetSaved(mina.caller, "post", post, False))
    assert len((await saved(world, mina))["items"]) == 1


async def test_pages_of_saves_neither_skip_nor_repeat(world: World) -> None:
    mina = await world.register("mina")
    berlin = await world.community("berlin")
    posts = [await world.post(berlin, mina) for _ in range(12)]
    for post in posts:
        await world.reply(SetSaved(mina.caller, "post", post, True))
    # More than a page looks through at once was deleted.
    await world.pool.execute(
        "update post set deleted_at = now() where id = any($1::uuid[])", posts[2:11]
    )
    seen, cursor, pages = [], None, 0
    while pages == 0 or cursor is not None:
        page = await saved(world, mina, 2, cursor)
        assert len(page["items"]) <= 2
        seen += [item["post"]["id"] for item in page["items"]]
        cursor, pages = page["next_cursor"], pages + 1
    assert seen == [str(id) for id in (posts[11], posts[1], posts[0])]
    assert pages > 1


async def test_what_may_not_be_read_can_be_neither_saved_nor_followed(world: World) -> None:
    mina, noor = await world.register("mina"), await world.register("noor")
    secret, berlin = await world.community("secret", "private"), await world.community("berlin")
    hidden, gone = await world.post(secret, noor), await world.post(berlin, noor)
    words, of_open = await comment(world, hidden, noor), await comment(world, gone, noor)
    await world.pool.execute("update post set deleted_at = now() where id = $1", gone)
    await world.pool.execute("update account set role = 'admin' where handle = 'noor'")
    unknown = (new_id(276), UUID(int=5))
    request: MemberRequest
    for who, ids in ((mina, (hidden, gone, *unknown)), (noor, unknown)):
        for id in ids:
            for request in (
                SetSaved(who.caller, "post", id, True), FollowThread(who.caller, id, "all"),
            ):  # fmt: skip
                assert (await world.failure(request)).code == "not_found", request
        for id in unknown:
            request = SetSaved(who.caller, "comment", id, True)
            assert (await world.failure(request)).code == "not_found"
    assert (await world.failure(SetSaved(mina.caller, "comment", words, True))).code == "not_found"
    for request in (
        MarkThreadRead(mina.caller, hidden, words), MarkThreadRead(noor.caller, hidden, of_open),
        FollowCommunity(mina.caller, "secret", "all"), MuteCommunity(mina.caller, "secret", True),
        FollowCommunity(noor.caller, "no\0where", "all"), MuteAccount(mina.caller, "nobody", True),
        MuteCommunity(noor.caller, str(new_id(0)), True), MuteAccount(mina.caller, "a\0b", True),
    ):  # fmt: skip
        assert (await world.failure(request)).code == "not_found", request
    await world.reply(SetSaved(noor.caller, "comment", words, True))


async def test_guests_and_the_suspended_keep_nothing(world: World) -> None:
    mina, noor = await world.register("mina"), await world.register("noor")
    berlin = await world.community("berlin")
    post = await world.post(berlin, noor)
    words = await comment(world, post, noor)
    await suspend(world.pool, "mina")
    for caller, code in ((GUEST, "unauthenticated"), (mina.caller, "suspended")):
        for request in (
            SetSaved(caller, "post", post, True), SetSaved(caller, "comment", words, True),
            FollowThread(caller, post, "all"), FollowCommunity(caller, "berlin", "all"),
            MuteAccount(caller, "noor", True), MuteCommunity(caller, "berlin", True),
            MarkThreadRead(caller, post, words), UpdateMe(caller, "Mina", None, None),
        ):  # fmt: skip
            assert (await world.failure(request)).code == code, request
    for table in ("saved", "thread_follow", "community_follow", "account_mute", "read_position"):
        assert await world.pool.fetchval(f"select count(*) from {table}") == 0
    assert await world.pool.fetchval("select display_name from account where handle = 'mina'") == (
        "mina"
    )


async def test_a_thread_is_read_forwards_alone(world: World) -> None:
    mina, noor = await world.register("mina"), await world.register("noor")
    lou = await world.register("lou")
    post = await world.post(await world.community("berlin"), noor)
    ids = [await comment(world, post, noor, at) for at in range(1, 6)]
    own, muted = await comment(world, post, mina, 10), await comment(world, post, lou, 11)
    await world.reply(MuteAccount(mina.caller, "lou", True))
    await world.pool.execute("update comment set deleted_at = now() where id = $1", ids[4])

    async def read(id: UUID) -> Any:
        return await ok(world, MarkThreadRead(mina.caller, post, id))

    assert await read(ids[1]) == {"comment_id": str(ids[1]), "unread": 2}
    assert await read(ids[0]) == {"comment_id": str(ids[1]), "unread": 2}
    found = await marks(world, mina, post)
    assert (found["read"], found["unread"]) == ({str(post): str(ids[1])}, {str(post): 2})
    # A deleted comment keeps its place in the thread.
    assert await read(ids[4]) == {"comment_id": str(ids[4]), "unread": 0}
    assert await read(own) == {"comment_id": str(own), "unread": 0}
    assert await read(muted) == {"comment_id": str(muted), "unread": 0}
    assert (await marks(world, noor, post))["read"] == {}


async def test_reading_a_thread_reads_its_notifications(world: World) -> None:
    mina, noor = await world.register("mina"), await world.register("noor")
    berlin = await world.community("berlin")
    post, other = await world.post(berlin, noor), await world.post(berlin, noor)
    first, second = await comment(world, post, noor, 1), await comment(world, post, noor, 2)
    await world.reply(FollowThread(mina.caller, post, "all"))
    await world.pool.execute("update thread_follow set unread = true")
    for n, (about, words) in enumerate(((post, first), (post, second), (other, first)), start=1):
        await world.pool.execute(
            "insert into notification (id, account_id, kind, actor_id, post_id, comment_id,"
            " span_id, created_at) values ($1, $2, 'thread', $3, $4, $5, $4, now())",
            new_id(0, n),
            mina.id,
            noor.id,
            about,
            words,
        )
    await world.reply(MarkThreadRead(mina.caller, post, first))
    page = await ok(world, ListNotifications(mina.caller, 10, None))
    assert [item["read"] for item in page["items"]] == [False, False, True]
    assert await world.pool.fetchval("select unread from thread_follow") is False


async def test_marks_hold_all_of_mine_and_nothing_of_others(world: World) -> None:
    mina, noor = await world.register("mina"), await world.register("noor")
    berlin, hamburg = await world.community("berlin"), await world.community("hamburg")
    post, other = await world.post(berlin, noor), await world.post(berlin, noor)
    words = await comment(world, post, noor)
    assert await ok(world, FollowThread(mina.caller, post, "mentions")) == {"level": "mentions"}
    await world.reply(FollowCommunity(mina.caller, "berlin", "all"))
    await world.reply(FollowCommunity(mina.caller, str(hamburg), "none"))
    await world.reply(SetSaved(mina.caller, "comment", words, True))
    await world.reply(MarkThreadRead(mina.caller, post, words))
    await world.pool.execute(
        "insert into vote (country_id, target_id, account_id, value) values (276, $1, $2, -1)",
        words,
        mina.id,
    )
    await world.pool.execute("update community set joining = 'request' where slug = 'hamburg'")
    await world.reply(AskToJoin(mina.caller, "hamburg", ""))
    asked = (post, other, words, berlin, hamburg, new_id(0), UUID(int=1))
    assert await marks(world, mina, *asked) == {
        "votes": {str(words): -1},
        "saved": [str(words)],
        "read": {str(post): str(words)},
        "unread": {str(post): 0},
        "follows": {str(post): "mentions", str(berlin): "all", str(hamburg): "none"},
        "asked": [str(hamburg)],
    }
    empty: dict[str, Any] = {
        "votes": {}, "saved": [], "read": {}, "unread": {}, "follows": {}, "asked": []
    }  # fmt: skip
    assert await marks(world, noor, *asked) == await marks(world, mina) == empty
    await world.reply(FollowThread(mina.caller, post, None))
    await world.reply(FollowCommunity(mina.caller, "berlin", None))
    await world.reply(FollowCommunity(mina.caller, "nowhere", None))
    await world.pool.execute("update join_request set refused_at = now()")
    left = await marks(world, mina, *asked)
    assert (left["follows"], left["asked"]) == ({str(hamburg): "none"}, [])


async def test_unread_comments_of_what_became_private_are_not_counted(world: World) -> None:
    mina, noor = await world.register("mina"), await world.register("noor")
    post = await world.post(await world.community("berlin"), noor)
    first = await comment(world, post, noor, 1)
    await world.reply(MarkThreadRead(mina.caller, post, first))
    await comment(world, post, noor, 2)
    assert (await marks(world, mina, post))["unread"] == {str(post): 1}
    await world.pool.execute("update community set visibility = 'private'")
    assert (await marks(world, mina, post))["unread"] == {str(post): 0}


async def test_following_no_longer_takes_its_notification_along(world: World) -> None:
    mina, noor = await world.register("mina"), await world.register("noor")
    post = await world.post(await world.community("berlin"), noor)
    words = await comment(world, post, noor)
    await world.reply(FollowThread(mina.caller, post, "all"))
    await world.pool.execute("update thread_follow set unread = true")
    await world.pool.execute(
        "insert into notification (id, account_id, kind, actor_id, post_id, comment_id, span_id,"
        " created_at) values ($1, $2, 'thread', $3, $4, $5, $4, now())",
        new_id(0),
        mina.id,
        noor.id,
        post,
        words,
    )
    await world.reply(FollowThread(mina.caller, post, None))
    assert (await ok(world, ListNotifications(mina.caller, 10, None)))["unread"] == 0


async def test_mutes(world: World) -> None:
    mina, noor = await world.register("mina"), await world.register("noor")
    lou = await world.register("lou")
    berlin, secret = await world.community("berlin"), await world.community("secret", "private")
    await grant(world.pool, "mina", "member", "secret")
    for key in ("NOOR", str(noor.id), "lou"):
        await world.reply(MuteAccount(mina.caller, key, True))
    for key in ("berlin", str(secret)):
        await world.reply(MuteCommunity(mina.caller, key, True))
    assert (await world.failure(MuteAccount(mina.caller, "mina", True))).code == "invalid"

    page = await ok(world, ListMutedAccounts(mina.caller, 1, None))
    rest = await ok(world, ListMutedAccounts(mina.caller, 1, page["next_cursor"]))
    assert [item["handle"] for item in page["items"] + rest["items"]] == ["lou", "noor"]
    assert rest["next_cursor"] is None
    assert rest["items"][0] | {"muted_at": ""} == {
        "id": str(noor.id), "handle": "noor", "display_name": "noor", "muted_at": "",
    }  # fmt: skip
    page = await ok(world, ListMutedCommunities(mina.caller, 10, None))
    assert [item["slug"] for item in page["items"]] == ["secret", "berlin"]
    await ban(world.pool, "mina", "secret")
    page = await ok(world, ListMutedCommunities(mina.caller, 10, None))
    assert [item["id"] for item in page["items"]] == [str(berlin)]

    for key in ("noor", str(lou.id), "nobody"):
        await world.reply(MuteAccount(mina.caller, key, False))
    for key in ("berlin", "secret", "nowhere"):
        await world.reply(MuteCommunity(mina.caller, key, False))
    for table in ("account_mute", "community_mute"):
        assert await world.pool.fetchval(f"select count(*) from {table}") == 0
    for request in (ListMutedAccounts, ListMutedCommunities, ListSaves):
        assert (await world.failure(request(mina.caller, 101, None))).code == "invalid"
        assert (await world.failure(request(mina.caller, 10, "x"))).code == "invalid"


async def test_no_more_mutes_than_feeds_can_bear(world: World) -> None:
    mina, _ = await world.register("mina"), await world.register("noor")
    await world.pool.execute(
        "insert into account_mute (account_id, muted_id)"
        " select $1, gen_random_uuid() from generate_series(1, $2)",
        mina.id,
        MAX_MUTES - 1,
    )
    for _ in range(2):
        await world.reply(MuteAccount(mina.caller, "noor", True))
    await world.register("lou")
    assert (await world.failure(MuteAccount(mina.caller, "lou", True))).code == "conflict"


async def test_settings(world: World) -> None:
    mina = await world.register("mina")
    me = await ok(world, ReadMe(mina.caller))
    assert (me["languages"], me["default_follow_level"]) == (["de", "en"], "all")
    changed = await ok(world, UpdateMe(mina.caller, "  Mina  K. ", ("pt-BR", "pt-BR"), "mentions"))
    assert changed == me | {
        "display_name": "Mina K.", "languages": ["pt-BR"], "default_follow_level": "mentions",
    }  # fmt: skip
    assert await ok(world, UpdateMe(mina.caller, None, None, None)) == changed
    assert (await ok(world, UpdateMe(mina.caller, None, (), None)))["languages"] == []
    for name, languages, path in (
        ("\u202eanim", None, "display_name"), (None, ("de", "no\0t"), "languages[1]"),
    ):  # fmt: skip
        failure = await world.failure(UpdateMe(mina.caller, name, languages, None))
        assert (failure.code, failure.errors[0][0]) == ("invalid", path)
