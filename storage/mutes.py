"""The mute tables: members and communities that an account does not want to hear of.

Feeds leave them out, muted authors cause no notifications, and muted communities none of new posts.
What is muted is not told.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from config.errors import AppError
from storage.postgres import Connection

# Feeds look them up for every page.
MAX_MUTES: Final = 1000

Place = tuple[datetime, UUID]

_MUTE: Final = """
    with mine as (
        select count(*) as n, coalesce(bool_or({column} = $2), false) as there
          from {table} where account_id = $1
    ), added as (
        insert into {table} (account_id, {column})
        select $1, $2 from mine where n < $3 and not there
        on conflict do nothing
    )
    select there or n < $3 from mine"""
_MUTE_ACCOUNT: Final = _MUTE.format(table="account_mute", column="muted_id")
_MUTE_COMMUNITY: Final = _MUTE.format(table="community_mute", column="community_id")


async def mute_account(connection: Connection, account_id: UUID, muted_id: UUID) -> None:
    """Idempotent. Raises AppError `conflict` above MAX_MUTES."""
    if not await connection.fetchval(_MUTE_ACCOUNT, account_id, muted_id, MAX_MUTES):
        raise _too_many()


async def mute_community(connection: Connection, account_id: UUID, community_id: UUID) -> None:
    """As `mute_account`."""
    if not await connection.fetchval(_MUTE_COMMUNITY, account_id, community_id, MAX_MUTES):
        raise _too_many()


def _too_many() -> AppError:
    return AppError("conflict", f"At most {MAX_MUTES} can be muted at a time.")


async def unmute_account(connection: Connection, account_id: UUID, muted_id: UUID) -> None:
    await connection.execute(
        "delete from account_mute where account_id = $1 and muted_id = $2", account_id, muted_id
    )


async def unmute_community(connection: Connection, account_id: UUID, community_id: UUID) -> None:
    await connection.execute(
        "delete from community_mute where account_id = $1 and community_id = $2",
        account_id,
        community_id,
    )


class MutedAccount(msgspec.Struct, frozen=True):
    id: UUID
    handle: str
    display_name: str
    muted_at: datetime


class MutedCommunity(msgspec.Struct, frozen=True):
    id: UUID
    slug: str
    name: str
    muted_at: datetime


# An account has MAX_MUTES rows at most: they are sorted as they are.
_ACCOUNTS: Final = """
    select a.id, a.handle, a.display_name, x.muted_at
      from account_mute x join account a on a.id = x.muted_id and a.status <> 'deleted'
     where x.account_id = $1 and ($2::timestamptz is null or (x.muted_at, a.id) < ($2, $3::uuid))
     order by x.muted_at desc, a.id desc limit $4"""
_COMMUNITIES: Final = """
    select y.id, y.slug, y.name, x.muted_at
      from community_mute x
      join community y on y.id = x.community_id
      join account a on a.id = x.account_id
      left join membership m on m.community_id = y.id and m.account_id = x.account_id
     where x.account_id = $1 and may_read(a.role, y.visibility, m.role)
       and ($2::timestamptz is null or (x.muted_at, y.id) < ($2, $3::uuid))
     order by x.muted_at desc, y.id desc limit $4"""


async def list_accounts(
    connection: Connection, account_id: UUID, before: Place | None, limit: int
) -> list[MutedAccount]:
    """Newest first."""
    rows = await connection.fetch(_ACCOUNTS, account_id, *(before or (None, None)), limit)
    return [MutedAccount(*row.values()) for row in rows]


async def list_communities(
    connection: Connection, account_id: UUID, before: Place | None, limit: int
) -> list[MutedCommunity]:
    """Newest first; without those that the account may not read any more."""
    rows = await connection.fetch(_COMMUNITIES, account_id, *(before or (None, None)), limit)
    return [MutedCommunity(*row.values()) for row in rows]
