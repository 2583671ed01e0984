"""The membership table. `community.member_count` counts its rows, less the banned, and moves with
them in one transaction, as does the `membership.changed` event on the account's own stream.

Lock order: the account's stream, the membership, the community.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple
from uuid import UUID

from config.errors import AppError
from storage import accounts, communities
from storage.accounts import Account
from storage.communities import MembershipRole
from storage.postgres import Connection, Pool, in_transaction
from storage.stream_writer import Appended, append_event, event_payload


class Joined(NamedTuple):
    """`event` None: nothing has changed."""

    role: MembershipRole
    event: Appended | None


_JOIN: Final = """
insert into membership as m (account_id, community_id) values ($1, $2)
on conflict (account_id, community_id) do update set role = m.role
returning role, xmax = 0 as fresh"""


async def join(connection: Connection, account_id: UUID, community: str) -> Joined:
    """Idempotent. Raises AppError `not_found` for a community that the account may not see,
    `not_permitted` for one that it was banned from or that takes nobody who comes by themselves."""
    account = await accounts.lock(connection, account_id)
    account.require_active()
    relation = await communities.find(connection, community, account_id)
    if relation is None or not relation.visible(account.role):
        raise communities.not_found()
    if relation.visibility == "private" and not relation.is_member:
        raise AppError("not_permitted", "Nobody joins a private community without being invited.")
    row = await connection.fetchrow(_JOIN, account_id, relation.community_id)
    assert row is not None
    if row["role"] == "banned":
        raise AppError("not_permitted", "You were banned from this community.")
    if not row["fresh"]:
        return Joined(row["role"], None)
    await _count(connection, relation.community_id, +1)
    return Joined(
        row["role"], await _announce(connection, account, relation.community_id, row["role"])
    )


async def leave(connection: Connection, account_id: UUID, community: str) -> Appended | None:
    """Idempotent; a ban stays. Raises AppError `not_found` as `join`."""
    account = await accounts.lock(connection, account_id)
    account.require_active()
    relation = await communities.find(connection, community, account_id)
    if relation is None or not relation.visible(account.role):
        raise communities.not_found()
    left = await connection.fetchval(
        "delete from membership where account_id = $1 and community_id = $2 and role <> 'banned'"
        " returning account_id",
        account_id,
        relation.community_id,
    )
    if left is None:
        return None
    await _count(connection, relation.community_id, -1)
    return await _announce(connection, account, relation.community_id, None)


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
        relation = await communities.find(connection, community, account.id)
        if relation is None:
            raise communities.not_found()
        await connection.execute(
            "delete from membership"
            " where account_id = $1 and community_id = $2 and role = 'banned'",
            account.id,
            relation.community_id,
        )

    await in_transaction(pool, work)


async def _set_role(
    pool: Pool, handle: str, community: str, role: MembershipRole
) -> list[Appended]:
    async def work(connection: Connection) -> list[Appended]:
        # With the stream locked no other membership of this account changes meanwhile.
        account = await accounts.lock_handle(connection, handle)
        before = await communities.find(connection, community, account.id)
        if before is None:
            raise communities.not_found()
        if before.role == role:
            return []
        await connection.execute(
            "insert into membership (account_id, community_id, role) values ($1, $2, $3)"
            " on conflict (account_id, community_id) do update set role = excluded.role",
            account.id,
            before.community_id,
            role,
        )
        await _count(connection, before.community_id, (role != "banned") - before.is_member)
        shown = None if role == "banned" else role
        return [await _announce(connection, account, before.community_id, shown)]

    return await in_transaction(pool, work)


async def _count(connection: Connection, community_id: UUID, change: int) -> None:
    if change:
        await connection.execute(
            "update community set member_count = member_count + $2 where id = $1",
            community_id,
            change,
        )


async def _announce(
    connection: Connection, account: Account, community_id: UUID, role: MembershipRole | None
) -> Appended:
    payload = event_payload("membership.changed", {"community_id": community_id, "role": role})
    return await append_event(connection, account.channel, account.stream_id, community_id, payload)
