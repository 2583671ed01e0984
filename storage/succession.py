"""Groups whose last owner has left: the longest-serving moderator or else member becomes owner; a
group with nobody in it is archived.
"""

from __future__ import annotations

from typing import Final, NamedTuple
from uuid import UUID

from storage import accounts, community_log
from storage.groups import announce, find, lock_row, lock_streams
from storage.postgres import Connection
from storage.stream_writer import Appended, append_event, event_payload

# Nobody else owns it. By membership_special.
_OWNERLESS: Final = """
    select c.id, c.stream_id from membership mine join community c on c.id = mine.community_id
    where mine.account_id = $1 and mine.role = 'admin' and c.kind = 'group'
      and not exists (
          select from membership m join account a on a.id = m.account_id
          where m.community_id = c.id and m.role = 'admin' and m.account_id <> $1
            and a.status <> 'deleted')
    order by c.id limit 1"""
_HEIR: Final = """
    select m.account_id, m.role, a.stream_id
    from membership m join account a on a.id = m.account_id
    where m.community_id = $1 and m.account_id <> $2 and m.role in ('moderator', 'member')
      and a.status <> 'deleted'
    order by m.role desc, a.status = 'suspended', m.joined_at, m.account_id limit 1"""
_SET_ROLE: Final = "update membership set role = $3 where community_id = $1 and account_id = $2"


class Settled(NamedTuple):
    """`found` False: none of the account's groups is without an owner."""

    found: bool
    events: list[Appended]


async def settle_one(connection: Connection, account_id: UUID) -> Settled:
    """Gives one group of an account that has ended another owner; the transaction holds no locks.

    What changed before the locks were taken is looked at by the next call.
    """
    group = await connection.fetchrow(_OWNERLESS, account_id)
    if group is None:
        return Settled(False, [])
    community_id: UUID = group["id"]
    heir = await connection.fetchrow(_HEIR, community_id, account_id)
    # Streams by id, then the row that every change of a role holds.
    await lock_streams(
        connection, [group["stream_id"], *([] if heir is None else [heir["stream_id"]])]
    )
    if heir is not None:
        account = await accounts.lock(connection, heir["account_id"])
    await lock_row(connection, community_id)
    again = await connection.fetchrow(_HEIR, community_id, account_id)
    if not await _is_ownerless(connection, account_id, community_id) or again != heir:
        return Settled(True, [])
    await connection.execute(_SET_ROLE, community_id, account_id, "member")
    if heir is None:
        return Settled(True, await _archive(connection, community_id))
    await connection.execute(_SET_ROLE, community_id, heir["account_id"], "admin")
    detail = {"from": heir["role"], "to": "admin"}
    await community_log.write(connection, community_id, None, "role", heir["account_id"], detail)
    return Settled(True, [await announce(connection, account, community_id, "admin")])


async def _is_ownerless(connection: Connection, account_id: UUID, community_id: UUID) -> bool:
    first = await connection.fetchrow(_OWNERLESS, account_id)
    return first is not None and first["id"] == community_id


async def _archive(connection: Connection, community_id: UUID) -> list[Appended]:
    archived = await connection.fetchval(
        "update community set archived_at = clock_timestamp()"
        " where id = $1 and archived_at is null returning true",
        community_id,
    )
    if not archived:
        return []
    await community_log.write(connection, community_id, None, "archived")
    group = await find(connection, str(community_id))
    fields = {
        "community_id": group.id,
        "visibility": group.visibility,
        "joining": group.joining,
        "archived": True,
    }
    payload = event_payload("community.updated", fields)
    return [await append_event(connection, group.channel, group.stream_id, group.id, payload)]
