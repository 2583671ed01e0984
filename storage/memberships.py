"""Joining and leaving, and what operators do. `community.member_count` counts the rows of the
membership table, less the banned, and moves with them in one transaction, as does the
`membership.changed` event on the account's own stream.

Lock order: the account's stream, the community where an office changes, the membership.
"""

from __future__ import annotations

from typing import Literal, NamedTuple
from uuid import UUID

from config.errors import AppError
from storage import accounts, admissions, communities, community_log, groups
from storage.communities import MembershipRole
from storage.groups import Group
from storage.postgres import Connection, Pool, in_transaction
from storage.stream_writer import Appended


class Joined(NamedTuple):
    """`event` None: nothing has changed."""

    role: MembershipRole
    event: Appended | None


async def join(connection: Connection, account_id: UUID, community: str) -> Joined:
    """Idempotent; an invitation is accepted by it. Raises AppError `not_found` for a community that
    the account may not see, `not_permitted` for one that it was banned from or that takes nobody
    who comes by themselves, `locked` for an archived one, `conflict` above MAX_MEMBERSHIPS."""
    account = await accounts.lock(connection, account_id)
    account.require_active()
    group = await groups.find(connection, community)
    role = await groups.role_in(connection, account_id, group.id)
    if role not in (None, "banned"):
        return Joined(role, None)
    invited = role is None and await admissions.is_invited(connection, account_id, group.id)
    may_ask = role is None and group.joining == "request"
    if not (group.visible(role, account.role) or invited or may_ask):
        raise communities.not_found()
    if role == "banned":
        raise AppError("not_permitted", "You were banned from this community.")
    group.require_live()
    if not invited:
        _require_open(group)
    (event,) = await admissions.enter(connection, account, group.id)
    return Joined("member", event)


def _require_open(group: Group) -> None:
    if group.joining == "request":
        raise AppError("not_permitted", "A moderator lets people in here: ask to join.")
    if group.joining == "invitation":
        raise AppError("not_permitted", "Nobody joins this community without being invited.")


async def leave(connection: Connection, account_id: UUID, community: str) -> Appended | None:
    """Idempotent; a ban stays. Raises AppError `not_found` as `join`, `conflict` for the last owner
    of a group."""
    account = await accounts.lock(connection, account_id)
    account.require_active()
    group = await groups.find(connection, community)
    role = await groups.role_in(connection, account_id, group.id)
    if not group.visible(role, account.role):
        raise communities.not_found()
    if not groups.rank_of(role):
        return None
    if role == "admin":
        await groups.lock_row(connection, group.id)
        await groups.require_other_owner(connection, group, account_id)
    await connection.execute(
        "delete from membership where account_id = $1 and community_id = $2",
        account_id,
        group.id,
    )
    await _count(connection, group.id, -1)
    return await groups.announce(connection, account, group.id, None)


# ---------------------------------------------------------------- what operators do


async def grant(
    pool: Pool, handle: str, role: Literal["member", "moderator", "admin"], community: str
) -> list[Appended]:
    """Makes a member (also of a private community, and after a ban), or changes the role.

    Raises AppError `not_found` for the account or the community.
    """
    return await _set_role(pool, handle, community, role)


async def ban(pool: Pool, handle: str, community: str) -> list[Appended]:
    """Takes the membership away and lets nobody join again. Raises as `grant`."""
    return await _set_role(pool, handle, community, "banned")


async def unban(pool: Pool, handle: str, community: str) -> None:
    """Not a member afterwards, but free to join. Does nothing without a ban. Raises as `grant`."""

    async def work(connection: Connection) -> None:
        account = await accounts.lock_handle(connection, handle)
        group = await groups.find(connection, community)
        lifted = await connection.fetchval(
            "delete from membership"
            " where account_id = $1 and community_id = $2 and role = 'banned' returning true",
            account.id,
            group.id,
        )
        if lifted:
            await community_log.write(connection, group.id, None, "unbanned", account.id)

    await in_transaction(pool, work)


async def _set_role(
    pool: Pool, handle: str, community: str, role: MembershipRole
) -> list[Appended]:
    async def work(connection: Connection) -> list[Appended]:
        # With the stream locked no other membership of this account changes meanwhile.
        account = await accounts.lock_handle(connection, handle)
        group = await groups.find(connection, community)
        await groups.lock_row(connection, group.id)
        before = await groups.role_in(connection, account.id, group.id)
        if before == role:
            return []
        await connection.execute(
            "insert into membership (account_id, community_id, role) values ($1, $2, $3)"
            " on conflict (account_id, community_id) do update set role = excluded.role",
            account.id,
            group.id,
            role,
        )
        await _count(connection, group.id, (role != "banned") - bool(groups.rank_of(before)))
        await _log(connection, group.id, account.id, before, role)
        shown = None if role == "banned" else role
        return [await groups.announce(connection, account, group.id, shown)]

    return await in_transaction(pool, work)


async def _log(
    connection: Connection,
    community_id: UUID,
    account_id: UUID,
    before: MembershipRole | None,
    role: MembershipRole,
) -> None:
    if role == "banned":
        await community_log.write(connection, community_id, None, "banned", account_id)
    else:
        detail = {"from": before or "", "to": role}
        await community_log.write(connection, community_id, None, "role", account_id, detail)


async def _count(connection: Connection, community_id: UUID, change: int) -> None:
    if change:
        await connection.execute(
            "update community set member_count = member_count + $2 where id = $1",
            community_id,
            change,
        )
