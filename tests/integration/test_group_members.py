"""Roles, removals, bans, and whose group it is; also when two act at once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from actors import group_messages as m
from storage import admissions, community_log, group_members
from storage.accounts import grant_role
from storage.identity import new_id
from storage.memberships import ban, grant
from tests.integration.group_world import Groups
from tests.integration.people import Person, World, pool, world

__all__ = ["pool", "world"]

pytestmark = pytest.mark.integration

ROUNDS = 8


class Club:
    """A group of mina's with a moderator, two members and a stranger."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.groups = Groups(world)
        self.people: dict[str, Person] = {}
        self.slug = ""
        self.made: dict[str, Any] = {}

    def __getattr__(self, handle: str) -> Person:
        if handle not in self.__dict__.get("people", {}):
            raise AttributeError(handle)
        return self.people[handle]

    async def found(self) -> None:
        for handle in ("mina", "moder", "anna", "ben", "out"):
            self.people[handle] = await self.world.register(handle)
        self.made = await self.groups.make(self.mina)
        self.slug = self.made["slug"]
        for handle in ("moder", "anna", "ben"):
            assert await self.groups.join(self.people[handle], self.slug) == "member"
        assert await self.groups.role(self.mina, self.slug, self.moder, "moderator") is None

    async def roles(self) -> dict[str, str]:
        return dict(await self.groups.members(self.mina, self.slug))

    async def told(self, who: Person) -> list[Any]:
        events = await self.world.events(who.channel)
        return [event["role"] for _, event in events if event["type"] == "membership.changed"]


@pytest.fixture
async def club(world: World) -> Club:
    club = Club(world)
    await club.found()
    return club


# ---------------------------------------------------------------- roles


async def test_admins_give_roles_and_everyone_hears_of_their_own(club: Club) -> None:
    groups, slug = club.groups, club.slug
    assert await groups.role(club.mina, slug, club.anna, "moderator") is None
    assert await groups.role(club.mina, slug, club.anna, "moderator") is None
    assert await groups.role(club.mina, slug, club.anna, "member") is None
    assert await club.told(club.anna) == ["member", "moderator", "member"]
    assert await groups.role(club.mina, slug, club.out, "member") == "not_found"
    assert await groups.role(club.moder, slug, club.anna, "moderator") == "not_permitted"
    assert await groups.role(club.anna, slug, club.anna, "admin") == "not_permitted"
    nobody = m.SetMemberRole(club.mina.caller, slug, new_id(0), "member")
    assert await groups.say(nobody) == "not_found"
    assert (await groups.log(club.mina, slug))[-2:] == [
        ("role", "mina", "anna", {"from": "member", "to": "moderator"}),
        ("role", "mina", "anna", {"from": "moderator", "to": "member"}),
    ]
    assert await groups.log(club.moder, slug) == await groups.log(club.mina, slug)
    assert await groups.log(club.anna, slug) == "not_permitted"
    assert await groups.log(club.out, slug) == "not_permitted"


async def test_nobody_deposes_an_owner(club: Club) -> None:
    groups, slug = club.groups, club.slug
    await groups.role(club.mina, slug, club.anna, "admin")
    for refused in (
        await groups.role(club.anna, slug, club.mina, "member"),
        await groups.remove(club.anna, slug, club.mina),
        await groups.ban(club.anna, slug, club.mina),
        await groups.remove(club.moder, slug, club.mina),
        await groups.ban(club.moder, slug, club.anna),
    ):
        assert refused == "not_permitted"
    assert await groups.role(club.mina, slug, club.mina, "member") is None
    assert (await club.roles())["mina"] == "member"
    await grant_role(club.world.pool, "out", "admin")
    assert await groups.ban(club.out, slug, club.anna) is None, "an office of the site may"


async def test_moderators_act_on_members_alone(club: Club) -> None:
    groups, slug = club.groups, club.slug
    await groups.role(club.mina, slug, club.anna, "moderator")
    assert await groups.remove(club.moder, slug, club.anna) == "not_permitted"
    assert await groups.ban(club.moder, slug, club.anna) == "not_permitted"
    assert await groups.remove(club.moder, slug, club.moder) == "not_permitted"
    assert await groups.remove(club.ben, slug, club.moder) == "not_permitted"
    assert await groups.remove(club.moder, slug, club.ben) is None
    assert await groups.remove(club.moder, slug, club.ben) is None
    assert await groups.remove(club.mina, slug, club.anna) is None
    assert await club.roles() == {"mina": "admin", "moder": "moderator"}
    assert await groups.count(club.made) == 2
    assert await club.told(club.ben) == ["member", None]
    assert await groups.join(club.ben, slug) == "member", "who was removed may come again"


async def test_bans(club: Club) -> None:
    groups, slug = club.groups, club.slug
    assert await groups.ban(club.moder, slug, club.ben, "Sells visas.") is None
    assert await groups.ban(club.moder, slug, club.ben) is None
    assert await groups.ban(club.moder, slug, club.out) is None
    assert await groups.count(club.made) == 3
    assert await groups.join(club.ben, slug) == await groups.join(club.out, slug) == "not_permitted"
    assert await groups.remove(club.moder, slug, club.ben) is None
    assert await groups.join(club.ben, slug) == "not_permitted", "removing lifts no ban"
    assert await groups.members(club.moder, slug, "banned") == [
        ("out", "banned"), ("ben", "banned"),
    ]  # fmt: skip
    assert await groups.members(club.anna, slug, "banned") == "not_permitted"
    assert await groups.unban(club.anna, slug, club.ben) == "not_permitted"
    assert await groups.unban(club.moder, slug, club.ben) is None
    assert await groups.unban(club.moder, slug, club.ben) is None
    assert await groups.join(club.ben, slug) == "member"
    told = ("banned", "moder", "ben", {"reason": "Sells visas."})
    assert told in await groups.log(club.mina, slug)
    assert ("unbanned", "moder", "ben", {}) in await groups.log(club.mina, slug)


async def test_what_operators_do_is_logged(club: Club) -> None:
    await grant(club.world.pool, "anna", "moderator", club.slug)
    await ban(club.world.pool, "ben", club.slug)
    assert (await club.groups.log(club.mina, club.slug))[-2:] == [
        ("role", None, "anna", {"from": "member", "to": "moderator"}),
        ("banned", None, "ben", {}),
    ]


# ---------------------------------------------------------------- owners


async def test_the_last_owner_stays(club: Club) -> None:
    groups, slug = club.groups, club.slug
    failure = await club.world.failure(
        m.SetMemberRole(club.mina.caller, slug, club.mina.id, "member")
    )
    assert failure.code == "conflict" and "hand the group over" in failure.detail
    assert await groups.leave(club.mina, slug) == "conflict"
    await groups.role(club.mina, slug, club.anna, "admin")
    assert await groups.leave(club.mina, slug) is None
    assert await groups.leave(club.mina, slug) is None
    assert await groups.leave(club.anna, slug) == "conflict"


async def test_a_deleted_account_is_no_owner(club: Club) -> None:
    await club.groups.role(club.mina, club.slug, club.anna, "admin")
    await club.world.pool.execute("update account set status = 'deleted' where handle = 'anna'")
    assert await club.groups.leave(club.mina, club.slug) == "conflict"
    assert "anna" not in await club.roles()


async def test_a_group_is_handed_over(club: Club) -> None:
    groups, slug = club.groups, club.slug
    assert await groups.transfer(club.moder, slug, club.anna) == "not_permitted"
    assert await groups.transfer(club.mina, slug, club.out) == "not_found"
    assert await groups.transfer(club.mina, slug, club.mina) == "invalid"
    assert await groups.transfer(club.mina, slug, club.anna) is None
    roles = await club.roles()
    assert (roles["mina"], roles["anna"]) == ("member", "admin")
    assert (await club.told(club.mina), await club.told(club.anna)) == (
        ["admin", "member"],
        ["member", "admin"],
    )
    # Asked again because its answer was lost, it is as the first time; then it is not hers.
    log = await groups.log(club.anna, slug)
    assert await groups.transfer(club.mina, slug, club.anna) is None
    assert await groups.log(club.anna, slug) == log
    assert log[-1] == ("transferred", "mina", "anna", {})
    assert await groups.transfer(club.mina, slug, club.moder) == "not_permitted"
    await groups.role(club.anna, slug, club.moder, "member")
    assert await groups.transfer(club.mina, slug, club.anna) == "not_permitted"


async def owners(club: Club) -> int:
    return [*(await club.roles()).values()].count("admin")


async def test_two_owners_leave_at_once_and_one_stays(club: Club) -> None:
    groups, slug = club.groups, club.slug
    for _ in range(ROUNDS):
        await groups.role(club.mina, slug, club.anna, "admin")
        left = await asyncio.gather(*(groups.leave(who, slug) for who in (club.mina, club.anna)))
        assert sorted(left, key=str) == [None, "conflict"]
        assert await groups.count(club.made) == 3
        (gone, kept) = (club.mina, club.anna) if left[0] is None else (club.anna, club.mina)
        assert await groups.join(gone, slug) == "member"
        if kept is club.anna:
            assert await groups.transfer(club.anna, slug, club.mina) is None


async def test_the_owner_leaves_while_the_group_is_handed_over(club: Club) -> None:
    groups, slug = club.groups, club.slug
    for _ in range(ROUNDS):
        given, left, stepped = await asyncio.gather(
            groups.transfer(club.mina, slug, club.anna),
            groups.leave(club.mina, slug),
            groups.role(club.mina, slug, club.mina, "member"),
        )
        assert given is None, "nothing that comes before it may take mina's office away"
        assert left in (None, "conflict") and stepped in (None, "conflict", "not_permitted")
        assert await owners(club) == 1
        await groups.join(club.mina, slug)
        assert await groups.transfer(club.anna, slug, club.mina) is None


async def test_who_receives_the_group_leaves_meanwhile(club: Club) -> None:
    groups, slug = club.groups, club.slug
    for _ in range(ROUNDS):
        given, left = await asyncio.gather(
            groups.transfer(club.mina, slug, club.anna), groups.leave(club.anna, slug)
        )
        assert (given, left) in ((None, "conflict"), ("not_found", None))
        assert await owners(club) == 1
        await groups.join(club.anna, slug)
        if given is None:
            assert await groups.transfer(club.anna, slug, club.mina) is None


async def test_two_owners_step_down_at_once(club: Club) -> None:
    groups, slug = club.groups, club.slug
    await groups.role(club.mina, slug, club.anna, "admin")
    for _ in range(ROUNDS):
        done = await asyncio.gather(
            groups.role(club.anna, slug, club.anna, "moderator"),
            groups.role(club.mina, slug, club.mina, "moderator"),
        )
        assert sorted(done, key=str) == [None, "conflict"]
        assert await owners(club) == 1
        owner, other = (club.mina, club.anna) if done[1] else (club.anna, club.mina)
        assert await groups.role(owner, slug, other, "admin") is None


# ---------------------------------------------------------------- lists


async def test_members_newest_first_for_whoever_may_read(club: Club) -> None:
    groups, slug = club.groups, club.slug
    everyone = [("ben", "member"), ("anna", "member"), ("moder", "moderator"), ("mina", "admin")]
    assert await groups.members(None, slug) == everyone
    assert await groups.members(None, slug, "moderator") == [("moder", "moderator")]
    assert await groups.members(None, slug, "admin") == [("mina", "admin")]
    assert await groups.members(None, slug, "banned") == "unauthenticated"
    await groups.edit(club.mina, slug, visibility="private")
    assert await groups.members(club.anna, slug) == everyone
    assert await groups.members(club.out, slug) == "not_found"
    assert await groups.members(None, "nowhere") == "not_found"


async def test_foreign_cursors_are_refused(club: Club) -> None:
    page = await club.groups.say(m.ListMembers(club.mina.caller, club.slug, None, 1, None))
    caller, slug = club.mina.caller, club.slug
    for request in (
        m.ListMembers(caller, slug, "admin", 1, page["next_cursor"]),
        m.ListMembers(caller, slug, None, 1, "nonsense"),
    ):
        assert await club.groups.say(request) == "invalid"


async def test_nothing_of_members_is_said_in_the_community(club: Club) -> None:
    """Joins are never broadcast: the channel has heard nothing at all."""
    await club.groups.ban(club.mina, club.slug, club.ben)
    assert await club.world.events(f"community:{club.made['id']}") == []


async def test_pages_come_from_an_index_in_their_order(world: World) -> None:
    """Nothing is sorted and no table read through, whatever the size of the community."""
    bound = (datetime(2026, 1, 1, tzinfo=UTC), new_id(0))
    pages = [
        (group_members._OF_ROLE[role], "membership_special" if role else "membership_joined")
        for role in (None, "moderator", "admin", "banned")
    ]
    pages += [
        (admissions._INVITED, "invitation_community"),
        (admissions._ASKING, "join_request_waiting"),
    ]
    async with world.pool.acquire() as connection, connection.transaction():
        for method in ("seqscan", "sort", "bitmapscan", "hashjoin", "mergejoin"):
            await connection.execute(f"set local enable_{method} = off")
        for query, index in pages:
            rows = await connection.fetch(f"explain {query}", new_id(0), *bound, 30)
            plan = "\n".join(row[0] for row in rows)
            assert index in plan and "Sort" not in plan, plan
        rows = await connection.fetch(f"explain {community_log._PAGE}", new_id(0), 9, 30)
        plan = "\n".join(row[0] for row in rows)
        assert "community_log_page" in plan and "Sort" not in plan, plan
