"""Invitations and requests to join: every step, who is told, and what happens at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import storage.groups
from actors import group_messages as m
from storage import admissions
from storage.identity import new_id
from tests.integration.group_world import Groups
from tests.integration.people import Person, World, pool, world

__all__ = ["pool", "world"]

pytestmark = pytest.mark.integration

ROUNDS = 6


@pytest.fixture
def groups(world: World) -> Groups:
    return Groups(world)


async def people(world: World, *handles: str) -> list[Person]:
    return [await world.register(handle) for handle in handles]


async def own_invitations(groups: Groups, who: Person) -> list[tuple[str, str]]:
    page = await groups.say(m.ListOwnInvitations(who.caller, 100, None))
    return [(item["community"]["slug"], item["invited_by"]["handle"]) for item in page["items"]]


async def waiting(groups: Groups, who: Person, slug: str) -> Any:
    page = await groups.say(m.ListRequests(who.caller, slug, 100, None))
    if isinstance(page, str):
        return page
    return [(item["account"]["handle"], item["message"]) for item in page["items"]]


# ---------------------------------------------------------------- invitations


async def test_an_invitation_is_accepted_by_joining(groups: Groups, world: World) -> None:
    mina, noor = await people(world, "mina", "noor")
    made = await groups.make(mina, visibility="private")
    slug = made["slug"]
    assert await groups.join(noor, slug) == "not_found"
    assert await groups.invite(mina, slug, "NOOR") is None
    assert await groups.invite(mina, slug, "noor") is None
    assert await own_invitations(groups, noor) == [(slug, "mina")]
    assert await groups.notified(noor) == [("invitation", "mina", slug)]
    (event,) = [e for _, e in await world.events(noor.channel)]
    assert event["notification"]["community_id"] == made["id"]
    assert "Nurses" not in str(event), "a stream keeps no text of members"
    assert await groups.members(noor, slug) == "not_found", "who is invited may not read yet"

    assert await groups.join(noor, slug) == "member"
    assert await groups.join(noor, slug) == "member"
    assert (await groups.count(made), await own_invitations(groups, noor)) == (2, [])
    assert await groups.notified(noor) == [("invitation", "mina", slug)]
    await groups.remove(mina, slug, noor)
    assert await groups.join(noor, slug) == "not_found", "an invitation is good once"
    assert await groups.notified(noor) == [("invitation", "mina", None)]


async def test_declining_is_heard_for_a_while(groups: Groups, world: World) -> None:
    mina, noor = await people(world, "mina", "noor")
    slug = (await groups.make(mina, visibility="private"))["slug"]
    await groups.invite(mina, slug, "noor")
    for _ in range(2):
        assert await groups.say(m.DeclineInvitation(noor.caller, slug)) is None
    assert await own_invitations(groups, noor) == []
    assert await groups.join(noor, slug) == "not_found"
    assert await groups.invite(mina, slug, "noor") == "conflict"
    await world.pool.execute("update invitation set declined_at = now() - interval '31 days'")
    assert await groups.invite(mina, slug, "noor") is None
    assert len(await groups.notified(noor)) == 1, "the newer one replaces the older"
    assert await groups.say(m.DeclineInvitation(mina.caller, slug)) == "not_found"
    assert await groups.say(m.DeclineInvitation(mina.caller, "nowhere")) == "not_found"


async def test_who_may_invite_whom(groups: Groups, world: World) -> None:
    mina, noor, out = await people(world, "mina", "noor", "out")
    slug = (await groups.make(mina))["slug"]
    await groups.join(noor, slug)
    assert await groups.invite(noor, slug, "out") == "not_permitted"
    assert await groups.invite(mina, slug, "nobody") == "not_found"
    assert await groups.invite(mina, slug, "noor") == "conflict"
    await groups.ban(mina, slug, out)
    assert await groups.invite(mina, slug, "out") == "conflict"
    await groups.unban(mina, slug, out)
    await groups.edit(mina, slug, archived=True)
    assert await groups.invite(mina, slug, "out") == "locked"
    await groups.edit(mina, slug, archived=False, visibility="private")
    assert await groups.invite(out, slug, "out") == "not_found"
    assert await groups.invite(mina, slug, "out") is None
    page = await groups.say(m.ListInvited(mina.caller, slug, 10, None))
    assert [item["account"]["handle"] for item in page["items"]] == ["out"]
    assert await groups.say(m.ListInvited(noor.caller, slug, 10, None)) == "not_permitted"
    assert await groups.say(m.WithdrawInvitation(noor.caller, slug, out.id)) == "not_permitted"
    assert await groups.say(m.WithdrawInvitation(mina.caller, slug, out.id)) is None
    assert await groups.say(m.WithdrawInvitation(mina.caller, slug, out.id)) is None
    assert await groups.join(out, slug) == "not_found"
    await groups.invite(mina, slug, "out")
    await groups.ban(mina, slug, out)
    assert await own_invitations(groups, out) == [], "a ban withdraws what was offered"


async def test_invitations_a_day_are_limited_also_those_withdrawn(
    groups: Groups, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admissions, "INVITATIONS_A_DAY", 3)
    mina, noor = await people(world, "mina", "noor")
    slug = (await groups.make(mina))["slug"]
    for _ in range(3):
        assert await groups.invite(mina, slug, "noor") is None
        assert await groups.invite(mina, slug, "noor") is None, "it stands"
        assert await groups.say(m.WithdrawInvitation(mina.caller, slug, noor.id)) is None
    assert await groups.invite(mina, slug, "noor") == "rate_limited"
    await world.pool.execute("update community_log set created_at = now() - interval '25 hours'")
    assert await groups.invite(mina, slug, "noor") is None


async def test_nobody_enters_an_archived_group(groups: Groups, world: World) -> None:
    mina, noor, out = await people(world, "mina", "noor", "out")
    for joining in ("open", "request", "invitation"):
        slug = (await groups.make(mina, joining=joining))["slug"]
        await groups.invite(mina, slug, "noor")
        await groups.edit(mina, slug, archived=True)
        assert await groups.join(noor, slug) == "locked"
        assert await groups.join(out, slug) == "locked"
        assert await groups.join(mina, slug) == "admin", "who is inside stays"
        await groups.edit(mina, slug, archived=False)
        assert await groups.join(noor, slug) == "member", "the invitation still stands"


async def test_whom_somebody_muted_they_are_not_told_of(groups: Groups, world: World) -> None:
    mina, noor = await people(world, "mina", "noor")
    await world.pool.execute(
        "insert into account_mute (account_id, muted_id) values ($1, $2), ($2, $1)",
        mina.id,
        noor.id,
    )
    before = len(await world.events(mina.channel))
    closed = (await groups.make(mina, visibility="private"))["slug"]
    asked = (await groups.make(mina, joining="request"))["slug"]
    await groups.invite(mina, closed, "noor")
    await groups.ask(noor, asked)
    assert await own_invitations(groups, noor) == [(closed, "mina")]
    assert await waiting(groups, mina, asked) == [("noor", "")]
    await groups.approve(mina, asked, noor)
    for who in (mina, noor):
        assert await groups.notified(who) == []
        told = [event["type"] for _, event in await world.events(who.channel)]
        assert "notification.created" not in told
    assert len(await world.events(mina.channel)) == before + 2, "that she owns two groups"


async def test_an_account_is_in_so_many_communities_at_most(
    groups: Groups, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage.groups, "MAX_MEMBERSHIPS", 3)
    mina, noor = await people(world, "mina", "noor")
    slugs = [
        (await groups.make(mina, joining=joining))["slug"]
        for joining in ("open", "request", "open")
    ]
    assert await groups.make(mina) == "conflict"
    await world.join_many(noor, 2)
    await groups.ask(noor, slugs[1])
    await groups.ban(mina, slugs[2], noor)
    assert await groups.join(noor, slugs[0]) == "member", "a ban is no membership"
    assert await groups.join(noor, slugs[0]) == "member"
    assert await groups.approve(mina, slugs[1], noor) == "conflict"
    assert await groups.invite(mina, slugs[1], "noor") == "conflict"
    await groups.unban(mina, slugs[2], noor)
    assert await groups.join(noor, slugs[2]) == "conflict"
    await groups.leave(noor, slugs[0])
    assert await groups.approve(mina, slugs[1], noor) == "member"


async def test_an_invitation_accepted_twice_and_withdrawn_at_once(
    groups: Groups, world: World
) -> None:
    mina, noor = await people(world, "mina", "noor")
    made = await groups.make(mina, visibility="private")
    slug = made["slug"]
    for _ in range(ROUNDS):
        await groups.invite(mina, slug, "noor")
        first, second, *_ = await asyncio.gather(
            groups.join(noor, slug),
            groups.join(noor, slug),
            groups.say(m.WithdrawInvitation(mina.caller, slug, noor.id)),
            groups.say(m.DeclineInvitation(noor.caller, slug)),
        )
        assert {first, second} <= {"member", "not_found"}
        inside = await world.role(noor, made["id"]) == "member"
        assert inside == ("member" in (first, second))
        assert await groups.count(made) == 1 + inside
        assert await own_invitations(groups, noor) == []
        await groups.remove(mina, slug, noor)
        await world.pool.execute("delete from invitation")


# ---------------------------------------------------------------- requests


async def test_a_request_is_approved(groups: Groups, world: World) -> None:
    mina, noor, moder = await people(world, "mina", "noor", "moder")
    made = await groups.make(mina, joining="request")
    slug = made["slug"]
    await groups.invite(mina, slug, "moder")
    await groups.join(moder, slug)
    await groups.role(mina, slug, moder, "moderator")
    assert await groups.join(noor, slug) == "not_permitted"
    assert await groups.ask(noor, slug, "I am a nurse.") is None
    assert await groups.ask(noor, slug, "Again") is None
    assert await waiting(groups, moder, slug) == [("noor", "I am a nurse.")]
    assert await waiting(groups, noor, slug) == "not_permitted"
    assert await groups.notified(mina) == [("join_request", "noor", slug)]
    assert ("join_request", "noor", slug) in await groups.notified(moder)
    assert await groups.approve(noor, slug, noor) == "not_permitted"

    assert await groups.approve(moder, slug, noor) == "member"
    assert await groups.approve(mina, slug, noor) == "member"
    assert (await groups.count(made), await waiting(groups, mina, slug)) == (3, [])
    assert await groups.notified(noor) == [("join_accepted", "moder", slug)]
    told = [event["type"] for _, event in await world.events(noor.channel)]
    assert told == ["membership.changed", "notification.created"]
    assert ("admitted", "moder", "noor", {}) in await groups.log(mina, slug)
    assert await groups.ask(noor, slug) == "conflict"
    nobody = m.ApproveRequest(mina.caller, slug, new_id(0))
    assert await groups.say(nobody) == "not_found"


async def test_a_request_is_refused_or_withdrawn(groups: Groups, world: World) -> None:
    mina, noor, anna = await people(world, "mina", "noor", "anna")
    slug = (await groups.make(mina, joining="request", visibility="private"))["slug"]
    assert await groups.join(noor, slug) == "not_permitted", "it may be asked, so it shows itself"
    await groups.ask(noor, slug)
    for _ in range(2):
        assert await groups.refuse(mina, slug, noor) is None
    assert await groups.approve(mina, slug, noor) == "not_found"
    assert await groups.ask(noor, slug) == "conflict"
    assert await groups.notified(noor) == []
    await world.pool.execute("update join_request set refused_at = now() - interval '8 days'")
    assert await groups.ask(noor, slug) is None
    assert await groups.notified(mina) == [("join_request", "noor", slug)]

    await groups.ask(anna, slug)
    for _ in range(2):
        assert await groups.say(m.WithdrawRequest(anna.caller, slug)) is None
    assert [who for who, _ in await waiting(groups, mina, slug)] == ["noor"]
    assert await groups.approve(mina, slug, anna) == "not_found"
    log = await groups.log(mina, slug)
    assert log.count(("refused", "mina", "noor", {})) == 1


async def test_who_may_not_ask(groups: Groups, world: World) -> None:
    mina, noor = await people(world, "mina", "noor")
    opened = (await groups.make(mina, "Open"))["slug"]
    closed = (await groups.make(mina, "Closed", joining="invitation"))["slug"]
    hidden = (await groups.make(mina, "Hidden", visibility="private"))["slug"]
    asked = (await groups.make(mina, "Asked", visibility="private", joining="request"))["slug"]
    assert [await groups.ask(noor, slug) for slug in (opened, closed, hidden, "nowhere")] == [
        "conflict",
        "not_permitted",
        "not_found",
        "not_found",
    ]
    assert await groups.say(m.WithdrawRequest(noor.caller, hidden)) == "not_found"
    await groups.ban(mina, asked, noor)
    assert await groups.ask(noor, asked) == "not_found"
    await groups.edit(mina, asked, visibility="public")
    assert await groups.ask(noor, asked) == "not_permitted"
    await groups.unban(mina, asked, noor)
    await groups.edit(mina, asked, archived=True)
    assert await groups.ask(noor, asked) == "locked"


async def test_a_request_and_an_invitation_that_meet(groups: Groups, world: World) -> None:
    mina, noor, anna = await people(world, "mina", "noor", "anna")
    slug = (await groups.make(mina, joining="request"))["slug"]
    await groups.ask(noor, slug)
    assert await groups.invite(mina, slug, "noor") == "member"
    await groups.invite(mina, slug, "anna")
    assert await groups.ask(anna, slug) == "member"
    assert await groups.notified(noor) == [("join_accepted", "mina", slug)]
    assert await groups.notified(anna) == [("invitation", "mina", slug)]


async def test_everything_about_one_request_at_once(groups: Groups, world: World) -> None:
    mina, noor = await people(world, "mina", "noor")
    made = await groups.make(mina, joining="request")
    slug = made["slug"]
    for _ in range(ROUNDS):
        await groups.ask(noor, slug)
        answers = await asyncio.gather(
            groups.approve(mina, slug, noor),
            groups.approve(mina, slug, noor),
            groups.refuse(mina, slug, noor),
            groups.say(m.WithdrawRequest(noor.caller, slug)),
            groups.ban(mina, slug, noor),
        )
        assert set(answers[:2]) <= {"member", "not_found"} and set(answers[2:]) == {None}
        assert await world.role(noor, made["id"]) == "banned"
        assert (await groups.count(made), await waiting(groups, mina, slug)) == (1, [])
        await groups.unban(mina, slug, noor)
        await world.pool.execute("delete from join_request")
