"""Drafts kept on the server: one text on many devices, and its bounds."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest

from actors.cursors import CursorKind, encode_cursor
from actors.member_messages import CreateDraft, DeleteDraft, ListDrafts, ReadDraft, ReplaceDraft
from actors.messages import GUEST, Caller
from storage.accounts import suspend
from storage.drafts import EXCERPT_CHARACTERS, MAX_DRAFTS
from storage.identity import new_id
from storage.memberships import ban, grant
from tests.integration.people import Person, World, pool, world

__all__ = ["pool", "world"]

pytestmark = pytest.mark.integration


def new(who: Person | Caller, **changes: Any) -> CreateDraft:
    values: dict[str, Any] = {
        "caller": who.caller if isinstance(who, Person) else who,
        "kind": "post",
        "community": None,
        "post_id": None,
        "parent_id": None,
        "title": "Half a title",
        "body_markdown": "Half a text",
        "language": None,
        "tags": (),
        "key": None,
    }
    return CreateDraft(**(values | changes))


def change(who: Person, id: str, revision: int, text: str, community: str | None = None) -> Any:
    return ReplaceDraft(
        who.caller, UUID(id), revision, community, "Half a title", text, "de", ("tag",)
    )


async def ok(world: World, request: Any) -> Any:
    reply = await world.reply(request)
    return msgspec.json.decode(reply.body) if reply.body else reply.status


async def test_a_draft_is_there_on_every_device(world: World) -> None:
    mina, noor = await world.register("mina"), await world.register("noor")
    berlin = await world.community("berlin")
    draft = await ok(world, new(mina, community="berlin", language="de", tags=("a", "b")))
    assert draft | {"id": "", "created_at": "", "updated_at": ""} == {
        "id": "", "kind": "post", "community_id": str(berlin), "post_id": None,
        "parent_id": None, "title": "Half a title", "body_markdown": "Half a text",
        "language": "de", "tags": ["a", "b"], "revision": 1, "created_at": "", "updated_at": "",
    }  # fmt: skip
    id = UUID(draft["id"])
    assert await ok(world, ReadDraft(mina.caller, id)) == draft
    for request in (ReadDraft(noor.caller, id), change(noor, draft["id"], 1, "mine now")):
        assert (await world.failure(request)).code == "not_found"
    assert await ok(world, DeleteDraft(noor.caller, id)) == 204
    assert await ok(world, ReadDraft(mina.caller, id)) == draft
    for _ in range(2):
        assert await ok(world, DeleteDraft(mina.caller, id)) == 204
    assert (await world.failure(ReadDraft(mina.caller, id))).code == "not_found"
    assert await world.pool.fetchval("select count(*) from draft") == 0


async def test_of_two_devices_the_second_is_told(world: World) -> None:
    mina = await world.register("mina")
    id = (await ok(world, new(mina)))["id"]
    first = await ok(world, change(mina, id, 1, "from the phone"))
    assert (first["revision"], first["tags"]) == (2, ["tag"])
    failure = await world.failure(change(mina, id, 1, "from the laptop"))
    assert (failure.code, failure.errors) == ("conflict", (("revision", "is 2 now"),))
    # The phone's own change, sent again because its answer was lost.
    assert await ok(world, change(mina, id, 1, "from the phone")) == first
    assert (await ok(world, change(mina, id, 2, "both")))["revision"] == 3


async def test_a_key_makes_one_draft(world: World) -> None:
    mina = await world.register("mina")
    first = await ok(world, new(mina, key="k"))
    changed = await ok(world, change(mina, first["id"], 1, "more"))
    renamed = msgspec.structs.replace(mina.caller, display_name="Mina")
    assert await ok(world, new(renamed, key="k")) == changed
    assert (await world.failure(new(mina, key="k", title="Other"))).code == "conflict"
    await world.reply(DeleteDraft(mina.caller, UUID(first["id"])))
    assert (await world.failure(new(mina, key="k"))).code == "not_found"
    assert await world.pool.fetchval("select count(*) from draft") == 0


async def test_what_a_draft_can_be_of(world: World) -> None:
    mina, noor = await world.register("mina"), await world.register("noor")
    berlin, secret = await world.community("berlin"), await world.community("secret", "private")
    post, hidden = await world.post(berlin, noor), await world.post(secret, noor)
    words = new_id(276)
    await world.pool.execute(
        "insert into comment (country_id, id, post_id, depth, author_id, body_markdown,"
        " body_html, language, created_at) values (276, $1, $2, 0, $3, '', '', 'en', now())",
        words,
        post,
        noor.id,
    )
    good: list[dict[str, Any]] = [
        {"kind": "edit", "post_id": post},
        {"kind": "comment", "post_id": post},
        {"kind": "comment", "post_id": post, "parent_id": words, "title": ""},
    ]
    for values in good:
        await world.reply(new(mina, **values))
    faulty: list[tuple[str, dict[str, Any]]] = [
        ("post_id", {"post_id": post}),
        ("post_id", {"kind": "edit"}),
        ("post_id", {"kind": "comment", "parent_id": words}),
        ("community_id", {"kind": "edit", "post_id": post, "community": "berlin"}),
        ("parent_id", {"kind": "edit", "post_id": post, "parent_id": words}),
        ("parent_id", {"parent_id": words}),
    ]
    for path, values in faulty:
        failure = await world.failure(new(mina, **values))
        assert (failure.code, failure.errors[0][0]) == ("invalid", path), values
    absent: list[dict[str, Any]] = [
        {"community": "secret"},
        {"community": "nowhere"},
        {"kind": "comment", "post_id": hidden},
        {"kind": "comment", "post_id": new_id(276)},
        {"kind": "comment", "post_id": post, "parent_id": new_id(276)},
    ]
    for values in absent:
        assert (await world.failure(new(mina, **values))).code == "not_found", values
    of_thread = await ok(world, ListDrafts(mina.caller, post, 10, None))
    assert [item["kind"] for item in of_thread["items"]] == ["comment", "comment", "edit"]
    id = of_thread["items"][0]["id"]
    assert (await world.failure(change(mina, id, 1, "x", "berlin"))).code == "invalid"


async def test_a_text_can_be_kept_where_its_community_was_lost(world: World) -> None:
    mina = await world.register("mina")
    secret = await world.community("secret", "private")
    await grant(world.pool, "mina", "member", "secret")
    draft = await ok(world, new(mina, community="secret"))
    await ban(world.pool, "mina", "secret")
    kept = await ok(world, change(mina, draft["id"], 1, "more", str(secret)))
    assert (kept["community_id"], kept["body_markdown"]) == (str(secret), "more")
    moved = await ok(world, change(mina, draft["id"], 2, "more"))
    assert moved["community_id"] is None
    refused = change(mina, draft["id"], 3, "more", "secret")
    assert (await world.failure(refused)).code == "not_found"


async def test_those_changed_last_come_first_with_their_beginning(world: World) -> None:
    mina, noor = await world.register("mina"), await world.register("noor")
    ids = [(await ok(world, new(mina, body_markdown="w" * 1000)))["id"] for _ in range(5)]
    await world.reply(new(noor))
    await world.reply(change(mina, ids[1], 1, "short"))
    seen, excerpts, cursor = [], [], None
    for _ in range(3):
        page = await ok(world, ListDrafts(mina.caller, None, 2, cursor))
        seen += [item["id"] for item in page["items"]]
        excerpts += [item["excerpt"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert cursor is None
    assert seen == [ids[1], ids[4], ids[3], ids[2], ids[0]]
    assert excerpts == ["short", *["w" * EXCERPT_CHARACTERS] * 4]
    forged = encode_cursor(
        CursorKind.DRAFTS, f"{mina.id}:None", ("0001-01-01T00:00:00+14:00", UUID(ids[0]))
    )
    for limit, text in ((101, None), (10, "x"), (10, forged)):
        failure = await world.failure(ListDrafts(mina.caller, None, limit, text))
        assert failure.code == "invalid"


async def test_a_hundred_and_no_more(world: World) -> None:
    mina = await world.register("mina")
    await world.pool.execute(
        "insert into draft (account_id, id, kind, title, body_markdown)"
        " select $1, gen_random_uuid(), 'post', '', '' from generate_series(1, $2)",
        mina.id,
        MAX_DRAFTS - 1,
    )
    last = await ok(world, new(mina, key="last"))
    assert (await world.failure(new(mina, key="over"))).code == "conflict"
    assert await ok(world, new(mina, key="last")) == last
    await world.reply(DeleteDraft(mina.caller, UUID(last["id"])))
    # The refused one has not used up its key.
    await world.reply(new(mina, key="over"))


async def test_guests_and_the_suspended_keep_no_drafts(world: World) -> None:
    mina = await world.register("mina")
    id = (await ok(world, new(mina)))["id"]
    await suspend(world.pool, "mina")
    for request in (new(mina), change(mina, id, 1, "x")):
        assert (await world.failure(request)).code == "suspended"
    assert (await world.failure(new(GUEST))).code == "unauthenticated"
    assert (await world.failure(ListDrafts(GUEST, None, 10, None))).code == "unauthenticated"
