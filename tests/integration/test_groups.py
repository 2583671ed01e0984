"""Making groups and changing them: slugs, limits, visibility, archives, and what is told of it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest

from actors import group_messages as m
from actors.feed import Feed
from actors.feed_messages import ListCommunities, ReadCommunity, ReadFeed
from actors.messages import (
    GUEST,
    CastVote,
    CreateComment,
    CreatePost,
    DeleteComment,
    DeletePost,
    EditComment,
    EditPost,
    Failure,
    Reply,
)
from actors.thread import Thread
from config.channels import ACCESS_CHANNEL
from storage.accounts import grant_role, suspend
from storage.directory import Directory
from storage.group_changes import GROUPS_A_DAY, VISIBILITY_CHANGES_A_DAY
from storage.memberships import grant
from storage.seed import seed
from tests.integration.content import RECEIVED_NS, RecordingPublisher
from tests.integration.group_world import Groups
from tests.integration.people import Person, World, pool, world

__all__ = ["pool", "world"]

pytestmark = pytest.mark.integration


@pytest.fixture
def groups(world: World) -> Groups:
    return Groups(world)


async def access_events(world: World) -> list[str]:
    return [event["community_id"] for _, event in await world.events(ACCESS_CHANNEL)]


# ---------------------------------------------------------------- making one


async def test_whoever_makes_a_group_owns_it(groups: Groups, world: World) -> None:
    mina = await world.register("mina")
    made = await groups.make(mina, "Nurses in Leipzig", rules="Be kind.")
    assert (made["slug"], made["kind"], made["country"]) == ("nurses-in-leipzig", "group", None)
    assert (made["visibility"], made["joining"], made["archived"]) == ("public", "open", False)
    assert (made["member_count"], made["rules"], made["stream"]["offset"]) == (1, "Be kind.", 0)
    assert await groups.members(mina, made["slug"]) == [("mina", "admin")]
    ((_, event),) = await world.events(mina.channel)
    assert (event["type"], event["role"]) == ("membership.changed", "admin")
    assert await groups.log(mina, made["slug"]) == [("created", "mina", None, {})]
    posted = await thread(world).handle_batch([post(mina, made["slug"])])
    assert isinstance(posted[0], Reply)


async def test_a_key_makes_one_group(groups: Groups, world: World) -> None:
    mina = await world.register("mina")
    first = await groups.make(mina, key="k")
    assert await groups.make(mina, key="k") == first
    assert await groups.make(mina, "Another name", key="k") == "conflict"
    again = [m.CreateGroup(mina.caller, "Both at once", "", "public", "open", "k2")] * 2
    bodies = [o.body for o in await world.accounts.handle_batch(again) if isinstance(o, Reply)]
    assert len(bodies) == 2 and bodies[0] == bodies[1]
    assert await world.pool.fetchval("select count(*) from community") == 2
    assert await world.pool.fetchval("select count(*) from stream where channel like 'c%'") == 2


async def test_slugs_are_unique_and_none_of_the_directory(groups: Groups, world: World) -> None:
    async with world.pool.acquire() as connection:
        await seed(connection)
    mina = await world.register("mina")
    wanted = [m.CreateGroup(mina.caller, "Nurses", "", "public", "open", None)] * 5
    outcomes = await world.accounts.handle_batch(wanted)
    slugs = [msgspec.json.decode(o.body)["slug"] for o in outcomes if isinstance(o, Reply)]
    assert len(set(slugs)) == 5 and {"nurses", "nurses-2", "nurses-3"} < set(slugs)
    assert [(await groups.make(mina, name))["slug"] for name in ("DE", "de student")] == [
        "g-de",
        "g-de-student",
    ]


async def test_groups_a_day_are_limited(groups: Groups, world: World) -> None:
    mina, noor = await world.register("mina"), await world.register("noor")
    wanted = [
        m.CreateGroup(mina.caller, f"Group {n}", "", "public", "open", None)
        for n in range(GROUPS_A_DAY + 2)
    ]
    refused = [o for o in await world.accounts.handle_batch(wanted) if isinstance(o, Failure)]
    assert [failure.code for failure in refused] == ["rate_limited"] * 2
    assert 86_000 < (refused[0].retry_after_seconds or 0) <= 86_400
    assert (await groups.make(noor))["slug"] == "nurses-in-leipzig"
    await world.pool.execute("update community set created_at = now() - interval '25 hours'")
    assert (await groups.make(mina, "One more"))["slug"] == "one-more"


async def test_who_may_not_act_makes_no_group(groups: Groups, world: World) -> None:
    mina = await world.register("mina")
    guest = m.CreateGroup(GUEST, "Nurses", "", "public", "open", None)
    assert (await world.failure(guest)).code == "unauthenticated"
    await suspend(world.pool, "mina")
    assert await groups.make(mina) == "suspended"


# ---------------------------------------------------------------- changing one


async def test_changes_and_what_is_told_of_them(groups: Groups, world: World) -> None:
    mina = await world.register("mina")
    made = await groups.make(mina)
    slug, channel = made["slug"], f"community:{made['id']}"
    changed = await groups.edit(mina, slug, name="Nurses", rules="New", joining="request")
    assert (changed["name"], changed["slug"], changed["joining"]) == ("Nurses", slug, "request")
    assert changed["stream"]["offset"] == 1
    assert (await groups.edit(mina, slug, name="Nurses"))["stream"]["offset"] == 1
    assert await access_events(world) == []
    assert (await groups.edit(mina, slug, visibility="private"))["joining"] == "request"
    assert await access_events(world) == [made["id"]]
    # More is never told than who hears the channel may know.
    (_, first), (_, second) = await world.events(channel)
    assert {*first} == {
        "type",
        "at",
        "sent_ns",
        "community_id",
        "visibility",
        "joining",
        "archived",
    }
    assert (first["type"], second["visibility"]) == ("community.updated", "private")
    assert "Nurses" not in str((first, second))
    await groups.edit(mina, slug, visibility="public", joining="open")
    assert len(await access_events(world)) == 1
    live = [(p.channel, p.offset) for p in world.published if not p.channel.startswith("user:")]
    assert live == [(channel, 1), (channel, 2), (ACCESS_CHANNEL, 1), (channel, 3)]
    assert [entry[0] for entry in await groups.log(mina, slug)] == [
        "created", "edited", "joining", "visibility", "visibility", "joining",
    ]  # fmt: skip


async def test_a_private_group_is_not_open(groups: Groups, world: World) -> None:
    mina = await world.register("mina")
    slug = (await groups.make(mina))["slug"]
    failure = await world.failure(
        m.EditGroup(mina.caller, slug, None, None, "private", "open", None)
    )
    assert (failure.code, failure.errors[0][0]) == ("invalid", "joining")
    assert (await groups.edit(mina, slug, visibility="private"))["joining"] == "invitation"


async def test_only_admins_change_a_group(groups: Groups, world: World) -> None:
    mina, noor, root = [await world.register(handle) for handle in ("mina", "noor", "chief")]
    slug = (await groups.make(mina))["slug"]
    assert await groups.edit(noor, slug, rules="Mine") == "not_permitted"
    await groups.join(noor, slug)
    assert await groups.role(mina, slug, noor, "moderator") is None
    assert await groups.edit(noor, slug, rules="Mine") == "not_permitted"
    await groups.edit(mina, slug, visibility="private")
    assert await groups.edit(root, slug, rules="x") == "not_found"
    await grant_role(world.pool, "chief", "admin")
    assert (await groups.edit(root, slug, rules="x"))["rules"] == "x"
    assert await groups.edit(mina, "nowhere", rules="x") == "not_found"


async def test_of_the_directory_only_the_rules_change(groups: Groups, world: World) -> None:
    mina = await world.register("mina")
    async with world.pool.acquire() as connection:
        await seed(connection)
    await grant(world.pool, "mina", "admin", "de")
    assert (await groups.edit(mina, "de", rules="Be kind."))["rules"] == "Be kind."
    for change in ({"name": "Mine"}, {"visibility": "private"}, {"archived": True}):
        assert await groups.edit(mina, "de", **change) == "not_permitted"
    assert await groups.leave(mina, "de") is None, "a community of the directory needs no owner"


async def test_visibility_can_not_be_toggled_for_ever(groups: Groups, world: World) -> None:
    mina = await world.register("mina")
    slug = (await groups.make(mina))["slug"]
    for n in range(VISIBILITY_CHANGES_A_DAY):
        answer = await groups.edit(mina, slug, visibility=("private", "public")[n % 2])
        assert isinstance(answer, dict)
    assert await groups.edit(mina, slug, visibility="private") == "rate_limited"
    assert isinstance(await groups.edit(mina, slug, rules="x"), dict)


# ---------------------------------------------------------------- archives


def thread(world: World) -> Thread:
    return Thread(world.pool, Directory(world.pool), RecordingPublisher())


def post(who: Person, community: str) -> CreatePost:
    return CreatePost(who.caller, community, "A title", "text", None, (), None, RECEIVED_NS)


async def code(actor: Thread, request: Any) -> str:
    (outcome,) = await actor.handle_batch([request])
    return outcome.code if isinstance(outcome, Failure) else "ok"


async def test_an_archive_is_read_only(groups: Groups, world: World) -> None:
    """Whatever one's office; what is one's own may still be removed."""
    mina, noor = await world.register("mina"), await world.register("noor")
    await grant_role(world.pool, "noor", "admin")
    slug = (await groups.make(mina))["slug"]
    actor = thread(world)
    (made,) = await actor.handle_batch([post(mina, slug)])
    assert isinstance(made, Reply)
    id = UUID(msgspec.json.decode(made.body)["id"])
    comment = CreateComment(mina.caller, id, None, "text", None, RECEIVED_NS)
    (made,) = await actor.handle_batch([comment])
    assert isinstance(made, Reply)
    comment_id = UUID(msgspec.json.decode(made.body)["id"])
    assert (await groups.edit(mina, slug, archived=True))["archived"] is True

    def writes(who: Person) -> list[Any]:
        caller = who.caller
        return [
            post(who, slug),
            CreateComment(caller, id, None, "more", None, RECEIVED_NS),
            CastVote(caller, "post", id, 1),
            CastVote(caller, "comment", comment_id, 1),
        ]

    edits = [
        EditPost(mina.caller, id, "Another", None, None, None, None, None, RECEIVED_NS),
        EditPost(mina.caller, id, None, None, None, None, True, None, RECEIVED_NS),
        EditComment(mina.caller, comment_id, "another", RECEIVED_NS),
    ]
    for request in (*writes(mina), *writes(noor), *edits):
        assert await code(actor, request) == "locked", request
    (outcome,) = await Feed(world.pool, Directory(world.pool)).handle_batch(
        [ReadFeed(GUEST, slug, "new", "all", 10, None)]
    )
    assert isinstance(outcome, Reply) and len(msgspec.json.decode(outcome.body)["items"]) == 1

    await groups.edit(mina, slug, archived=False)
    for request in (*writes(mina), *edits):
        assert await code(actor, request) == "ok", request
    await groups.edit(mina, slug, archived=True)
    for request in (
        DeleteComment(mina.caller, comment_id, RECEIVED_NS),
        DeletePost(mina.caller, id, RECEIVED_NS),
    ):
        assert await code(actor, request) == "ok", request


async def test_the_banned_are_not_told_of_an_archive(groups: Groups, world: World) -> None:
    mina, noor = await world.register("mina"), await world.register("noor")
    slug = (await groups.make(mina, visibility="private"))["slug"]
    await groups.edit(mina, slug, archived=True)
    assert await code(thread(world), post(noor, slug)) == "invalid"
    await groups.edit(mina, slug, visibility="public")
    await groups.ban(mina, slug, noor)
    assert await code(thread(world), post(noor, slug)) == "not_permitted"


# ---------------------------------------------------------------- who finds it


async def test_private_groups_are_unlisted(groups: Groups, world: World) -> None:
    """One that may be asked shows its card, and nothing more, to whoever knows its slug."""
    mina, noor = await world.register("mina"), await world.register("noor")
    feed = Feed(world.pool, Directory(world.pool))
    closed = (await groups.make(mina, "Closed", visibility="private"))["slug"]
    asked = (await groups.make(mina, "Asked", visibility="private", joining="request"))["slug"]
    listing = ListCommunities(noor.caller, None, None, None, False, 100, None)
    (outcome,) = await feed.handle_batch([listing])
    assert isinstance(outcome, Reply) and msgspec.json.decode(outcome.body)["items"] == []

    async def read(who: Person, slug: str) -> Any:
        (outcome,) = await feed.handle_batch([ReadCommunity(who.caller, slug)])
        if isinstance(outcome, Failure):
            return outcome.code
        assert not outcome.public
        return msgspec.json.decode(outcome.body)

    assert await read(noor, closed) == "not_found"
    card = await read(noor, asked)
    assert (card["joining"], "stream" in card) == ("request", False)
    assert "stream" in await read(mina, asked) and "stream" in await read(mina, closed)
    (outcome,) = await feed.handle_batch([ReadFeed(noor.caller, asked, "new", "all", 10, None)])
    assert isinstance(outcome, Failure) and outcome.code == "not_found"
    assert await groups.members(noor, asked) == "not_found"
    assert await groups.members(None, asked) == "not_found"
