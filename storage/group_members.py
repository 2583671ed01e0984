"""Roles in a community: given, taken, handed over; who is banned; pages of members.

A moderator acts on members, an admin on moderators as well. An admin is deposed by nobody but an
office of the site: whoever lets a second owner in must not lose the group to them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal, NamedTuple, get_args
from uuid import UUID

import msgspec

from config.errors import AppError
from storage import community_log
from storage.communities import MembershipRole
from storage.groups import ADMIN, MODERATOR, Stage, announce, rank_of, require_other_owner, stage
from storage.postgres import Connection
from storage.stream_writer import Appended

Office = Literal["member", "moderator", "admin"]


async def set_role(
    connection: Connection, actor_id: UUID, community: str, target_id: UUID, role: Office
) -> list[Appended]:
    """Of a member, by an admin; admins may step down by themselves. Idempotent.

    Raises AppError `not_found`, `not_permitted` or `conflict` (the last owner).
    """
    on = await stage(connection, actor_id, community, target_id)
    on.require(ADMIN)
    if not rank_of(on.target_role):
        raise no_member()
    if on.target_role == role:
        return []
    if on.target_role == "admin":
        _require_may_depose(on)
        await _require_successor(connection, on)
    await _store(connection, on, role)
    detail = {"from": str(on.target_role), "to": role}
    await community_log.write(connection, on.group.id, actor_id, "role", target_id, detail)
    return [await announce(connection, on.on(), on.group.id, role)]


async def remove(
    connection: Connection, actor_id: UUID, community: str, target_id: UUID
) -> list[Appended]:
    """Takes the membership; a ban stays. Nothing where there is none. Raises as `set_role`."""
    on = await stage(connection, actor_id, community, target_id)
    _require_above(on)
    if not rank_of(on.target_role):
        return []
    await _end(connection, on)
    await connection.execute(
        "delete from membership where account_id = $1 and community_id = $2", target_id, on.group.id
    )
    await community_log.write(connection, on.group.id, actor_id, "removed", target_id)
    return [await announce(connection, on.on(), on.group.id, None)]


async def ban(
    connection: Connection, actor_id: UUID, community: str, target_id: UUID, reason: str
) -> list[Appended]:
    """Also whoever is no member. Idempotent. Raises as `set_role`."""
    on = await stage(connection, actor_id, community, target_id)
    _require_above(on)
    if on.target_role == "banned":
        return []
    if rank_of(on.target_role):
        await _end(connection, on)
    await _store(connection, on, "banned")
    for table in ("invitation", "join_request"):
        await connection.execute(
            f"delete from {table} where account_id = $1 and community_id = $2",
            target_id,
            on.group.id,
        )
    detail = {"reason": reason} if reason else {}
    await community_log.write(connection, on.group.id, actor_id, "banned", target_id, detail)
    return [await announce(connection, on.on(), on.group.id, None)]


async def unban(connection: Connection, actor_id: UUID, community: str, target_id: UUID) -> None:
    """No member afterwards, but free to become one. Idempotent. Raises as `set_role`."""
    on = await stage(connection, actor_id, community, target_id)
    on.require(MODERATOR)
    if on.target_role == "banned":
        await connection.execute(
            "delete from membership where account_id = $1 and community_id = $2",
            target_id,
            on.group.id,
        )
        await community_log.write(connection, on.group.id, actor_id, "unbanned", target_id)


async def transfer(
    connection: Connection, actor_id: UUID, community: str, target_id: UUID
) -> list[Appended]:
    """An owner makes a member one and becomes a member, in one step. Raises as `set_role`."""
    on = await stage(connection, actor_id, community, target_id)
    on.group.require_group()
    if on.actor_role != "admin":
        if on.target_role == "admin" and await community_log.was_last(
            connection, on.group.id, actor_id, "transferred", target_id
        ):
            return []  # asked again because the first answer was lost
        raise AppError("not_permitted", "Only an owner may hand the group over.")
    if target_id == actor_id:
        raise AppError("invalid", "The group is yours.", errors=(("account_id", "is your own"),))
    if not rank_of(on.target_role):
        raise no_member()
    events = []
    if on.target_role != "admin":
        await _store(connection, on, "admin")
        events.append(await announce(connection, on.on(), on.group.id, "admin"))
    await connection.execute(
        "update membership set role = 'member' where account_id = $1 and community_id = $2",
        actor_id,
        on.group.id,
    )
    events.append(await announce(connection, on.actor, on.group.id, "member"))
    await community_log.write(connection, on.group.id, actor_id, "transferred", target_id)
    return events


def no_member() -> AppError:
    return AppError("not_found", "There is no such member.")


def _require_above(on: Stage) -> None:
    on.require(MODERATOR)
    if on.on().id == on.actor.id:
        raise AppError("not_permitted", "Leave the community instead.")
    if on.target_role == "admin":
        _require_may_depose(on)
    elif rank_of(on.target_role) >= on.rank:
        raise AppError("not_permitted", "Only an admin may do this to a moderator.")


def _require_may_depose(on: Stage) -> None:
    if on.on().id != on.actor.id and on.actor.role != "admin":
        raise AppError("not_permitted", "An admin can only step down by themselves.")


async def _require_successor(connection: Connection, on: Stage) -> None:
    """An office of the site may leave a group without an owner, but not its own."""
    if on.actor.role != "admin" or on.on().id == on.actor.id:
        await require_other_owner(connection, on.group, on.on().id)


async def _end(connection: Connection, on: Stage) -> None:
    """The membership is about to go."""
    if on.target_role == "admin":
        await _require_successor(connection, on)
    await connection.execute(
        "update community set member_count = member_count - 1 where id = $1", on.group.id
    )


async def _store(connection: Connection, on: Stage, role: MembershipRole) -> None:
    await connection.execute(
        "insert into membership (account_id, community_id, role) values ($1, $2, $3)"
        " on conflict (account_id, community_id) do update set role = excluded.role",
        on.on().id,
        on.group.id,
        role,
    )


# ---------------------------------------------------------------- pages


class Member(msgspec.Struct, frozen=True):
    account_id: UUID
    handle: str
    display_name: str
    role: MembershipRole
    joined_at: datetime


class Bound(NamedTuple):
    """A page holds what is below, by time and account."""

    at: datetime
    account_id: UUID


# By membership_joined, or where a role is asked for by membership_special.
_MEMBERS: Final = """
    select m.account_id, a.handle, a.display_name, m.role, m.joined_at
    from membership m join account a on a.id = m.account_id and a.status <> 'deleted'
    where m.community_id = $1 and {role} and (m.joined_at, m.account_id) < ($2, $3)
    order by m.joined_at desc, m.account_id desc limit $4"""
_OF_ROLE: Final[dict[MembershipRole | None, str]] = {
    role: _MEMBERS.format(role=f"m.role = '{role}'" if role else "m.role <> 'banned'")
    for role in (None, *get_args(MembershipRole))
}


async def list_members(
    connection: Connection,
    community_id: UUID,
    role: MembershipRole | None,
    below: Bound,
    limit: int,
) -> list[Member]:
    """The newest first; `role` None: all but the banned."""
    rows = await connection.fetch(_OF_ROLE[role], community_id, *below, limit)
    return [Member(*row.values()) for row in rows]
