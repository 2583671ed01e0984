"""How people come into communities that are not open: invitations and requests to join.

The account's stream is held by everything that happens between an account and a community, so an
invitation that is accepted twice at once, or withdrawn meanwhile, counts once. An invitation and a
request that meet are an admission: both sides have agreed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from config.errors import AppError
from storage import accounts, community_log, group_notices
from storage.accounts import Account
from storage.communities import MembershipRole, Visibility, not_found
from storage.group_members import Bound
from storage.groups import (
    MODERATOR,
    Group,
    Stage,
    announce,
    find,
    limit_a_day,
    lock_streams,
    no_such_account,
    rank_of,
    require_room,
    role_in,
    stage,
)
from storage.postgres import Connection
from storage.stream_writer import Appended

INVITATIONS_A_DAY: Final = 200
"""Of one community."""
_TOLD_MODERATORS: Final = 20
# Who has said no is left alone for a while.
_DECLINED: Final = "interval '30 days'"
_REFUSED: Final = "interval '7 days'"


class Admitted(NamedTuple):
    """`role` None: not a member yet, the other side has to agree."""

    role: MembershipRole | None
    events: list[Appended]


# ---------------------------------------------------------------- invitations


async def invite(connection: Connection, actor_id: UUID, community: str, handle: str) -> Admitted:
    """By moderators. Whoever has asked to join is let in. Idempotent while the invitation stands.

    Raises AppError `not_found` (also for the account), `not_permitted`, `conflict` (a member,
    banned, declined lately, or asks and is in MAX_MEMBERSHIPS already), `locked` or `rate_limited`.
    """
    target_id = await connection.fetchval(
        "select id from account where lower(handle) = lower($1) and status <> 'deleted'", handle
    )
    if target_id is None:
        raise no_such_account()
    on = await stage(connection, actor_id, community, target_id)
    on.require(MODERATOR)
    on.group.require_live()
    _require_outside(on.target_role)
    if await _has_asked(connection, target_id, on.group.id):
        return Admitted("member", await _admit(connection, on))
    known = await connection.fetchrow(
        f"select declined_at > now() - {_DECLINED} as lately, declined_at is null as open"
        " from invitation where account_id = $1 and community_id = $2",
        target_id,
        on.group.id,
    )
    if known is not None and known["open"]:
        return Admitted(None, [])
    if known is not None and known["lately"]:
        raise AppError("conflict", "This invitation was declined lately.")
    await limit_a_day(  # by the log: an invitation that is withdrawn was sent all the same
        connection,
        "community_log where community_id = $1 and action = 'invited'",
        on.group.id,
        INVITATIONS_A_DAY,
        f"At most {INVITATIONS_A_DAY} invitations a day into one community.",
    )
    await connection.execute(
        "insert into invitation (account_id, community_id, invited_by) values ($1, $2, $3)"
        " on conflict (account_id, community_id) do update"
        " set invited_by = excluded.invited_by, created_at = excluded.created_at,"
        " declined_at = null",
        target_id,
        on.group.id,
        actor_id,
    )
    await community_log.write(connection, on.group.id, actor_id, "invited", target_id)
    recipients = [(target_id, on.on().stream_id)]
    events = await group_notices.write(connection, "invitation", recipients, on.actor, on.group.id)
    return Admitted(None, events)


async def withdraw_invitation(
    connection: Connection, actor_id: UUID, community: str, target_id: UUID
) -> None:
    """By moderators; one that was declined stays so. Idempotent."""
    on = await stage(connection, actor_id, community, target_id)
    on.require(MODERATOR)
    await connection.execute(
        "delete from invitation"
        " where account_id = $1 and community_id = $2 and declined_at is null",
        target_id,
        on.group.id,
    )


async def decline(connection: Connection, account_id: UUID, community: str) -> None:
    """Idempotent. Raises AppError `not_found` where nobody has invited the account."""
    account = await accounts.lock(connection, account_id)
    account.require_active()
    group = await find(connection, community)
    declined = await connection.fetchval(
        "update invitation set declined_at = coalesce(declined_at, clock_timestamp())"
        " where account_id = $1 and community_id = $2 returning true",
        account_id,
        group.id,
    )
    if declined is None:
        raise not_found()


async def is_invited(connection: Connection, account_id: UUID, community_id: UUID) -> bool:
    return bool(
        await connection.fetchval(
            "select exists (select from invitation"
            " where account_id = $1 and community_id = $2 and declined_at is null)",
            account_id,
            community_id,
        )
    )


# ---------------------------------------------------------------- requests


async def ask(connection: Connection, account_id: UUID, community: str, message: str) -> Admitted:
    """Whoever was invited is let in. Idempotent while the request waits.

    Raises AppError `not_found`, `not_permitted` (banned, or by invitation alone), `conflict` (a
    member, open to all, or refused lately) or `locked`.
    """
    group = await find(connection, community)
    told = await connection.fetch(
        "select a.id, a.stream_id from membership m join account a on a.id = m.account_id"
        " where m.community_id = $1 and m.role in ('moderator', 'admin')"
        " and a.status = 'active' and a.id <> $2 order by m.joined_at limit $3",
        group.id,
        account_id,
        _TOLD_MODERATORS,
    )
    own = await connection.fetchval("select stream_id from account where id = $1", account_id)
    await lock_streams(connection, [row["stream_id"] for row in told] + ([own] if own else []))
    account = await accounts.lock(connection, account_id)
    account.require_active()
    group = await find(connection, community)
    role = await role_in(connection, account_id, group.id)
    invited = await is_invited(connection, account_id, group.id)
    _require_may_ask(group, role, account, invited)
    if invited:
        events = await enter(connection, account, group.id)
        return Admitted("member", events)
    known = await connection.fetchrow(
        f"select refused_at is null as waits, refused_at > now() - {_REFUSED} as lately"
        " from join_request where account_id = $1 and community_id = $2",
        account_id,
        group.id,
    )
    if known is not None and known["waits"]:
        return Admitted(None, [])
    if known is not None and known["lately"]:
        raise AppError("conflict", "This request was refused lately.")
    await connection.execute(
        "insert into join_request (account_id, community_id, message) values ($1, $2, $3)"
        " on conflict (account_id, community_id) do update"
        " set message = excluded.message, created_at = excluded.created_at, refused_at = null",
        account_id,
        group.id,
        message,
    )
    recipients = [(row["id"], row["stream_id"]) for row in told]
    events = await group_notices.write(connection, "join_request", recipients, account, group.id)
    return Admitted(None, events)


def _require_may_ask(
    group: Group, role: MembershipRole | None, account: Account, invited: bool
) -> None:
    by_request = group.joining == "request"
    if not (group.visible(role, account.role) or invited or (by_request and role is None)):
        raise not_found()
    if role == "banned":
        raise AppError("not_permitted", "You were banned from this community.")
    if role is not None:
        raise AppError("conflict", "You are a member already.")
    group.require_live()
    if group.joining == "open":
        raise AppError("conflict", "Anybody may join this community: there is nothing to ask.")
    if not (by_request or invited):
        raise AppError("not_permitted", "This community is joined by invitation.")


async def withdraw_request(connection: Connection, account_id: UUID, community: str) -> None:
    """One that was refused stays so. Idempotent."""
    account = await accounts.lock(connection, account_id)
    account.require_active()
    group = await find(connection, community)
    withdrawn = await connection.fetchval(
        "delete from join_request"
        " where account_id = $1 and community_id = $2 and refused_at is null returning true",
        account_id,
        group.id,
    )
    role = await role_in(connection, account_id, group.id)
    if not (withdrawn or group.visible(role, account.role) or group.joining == "request"):
        raise not_found()


async def approve(
    connection: Connection, actor_id: UUID, community: str, target_id: UUID
) -> Admitted:
    """By moderators. Who is a member already stays what they are.

    Raises AppError `not_found` where nobody asks, `not_permitted`, `locked`, or `conflict` where
    they are in MAX_MEMBERSHIPS already.
    """
    on = await stage(connection, actor_id, community, target_id)
    on.require(MODERATOR)
    if rank_of(on.target_role):
        return Admitted(on.target_role, [])
    on.group.require_live()
    if not await _has_asked(connection, target_id, on.group.id):
        raise _no_request()
    return Admitted("member", await _admit(connection, on))


async def refuse(connection: Connection, actor_id: UUID, community: str, target_id: UUID) -> None:
    """By moderators; nobody is told. Idempotent. Raises AppError `not_found`, `not_permitted`."""
    on = await stage(connection, actor_id, community, target_id)
    on.require(MODERATOR)
    refused = await connection.fetchval(
        "update join_request set refused_at = clock_timestamp()"
        " where account_id = $1 and community_id = $2 and refused_at is null returning true",
        target_id,
        on.group.id,
    )
    if refused:
        await community_log.write(connection, on.group.id, actor_id, "refused", target_id)


def _no_request() -> AppError:
    return AppError("not_found", "There is no such request.")


def _require_outside(role: MembershipRole | None) -> None:
    if role == "banned":
        raise AppError("conflict", "This account is banned: lift the ban first.")
    if role is not None:
        raise AppError("conflict", "This account is a member already.")


async def _has_asked(connection: Connection, account_id: UUID, community_id: UUID) -> bool:
    return bool(
        await connection.fetchval(
            "select exists (select from join_request"
            " where account_id = $1 and community_id = $2 and refused_at is null)",
            account_id,
            community_id,
        )
    )


async def _admit(connection: Connection, on: Stage) -> list[Appended]:
    target = on.on()
    events = await enter(connection, target, on.group.id)
    await community_log.write(connection, on.group.id, on.actor.id, "admitted", target.id)
    recipients = [(target.id, target.stream_id)]
    return events + await group_notices.write(
        connection, "join_accepted", recipients, on.actor, on.group.id
    )


async def enter(connection: Connection, account: Account, community_id: UUID) -> list[Appended]:
    """Makes a member of who is none. What was asked and offered is settled by it.

    Raises AppError `conflict` above MAX_MEMBERSHIPS. The account's stream must be locked.
    """
    await require_room(connection, account.id)
    await connection.execute(
        "insert into membership (account_id, community_id) values ($1, $2)",
        account.id,
        community_id,
    )
    await connection.execute(
        "update community set member_count = member_count + 1 where id = $1", community_id
    )
    for table in ("invitation", "join_request"):
        await connection.execute(
            f"delete from {table} where account_id = $1 and community_id = $2",
            account.id,
            community_id,
        )
    return [await announce(connection, account, community_id, "member")]


# ---------------------------------------------------------------- pages


class Invitation(msgspec.Struct, frozen=True):
    """As the invited one sees it: the community shows itself to them."""

    community_id: UUID
    slug: str
    name: str
    visibility: Visibility
    member_count: int
    rules: str
    inviter_id: UUID | None
    inviter_handle: str | None
    inviter_display_name: str | None
    created_at: datetime


_OWN: Final = """
    select c.id, c.slug, c.name, c.visibility, c.member_count, c.rules,
           a.id, a.handle, a.display_name, i.created_at
    from invitation i join community c on c.id = i.community_id
    left join account a on a.id = i.invited_by and a.status <> 'deleted'
    where i.account_id = $1 and i.declined_at is null
      and (i.created_at, i.community_id) < ($2, $3)
    order by i.created_at desc, i.community_id desc limit $4"""


async def own_invitations(
    connection: Connection, account_id: UUID, below: Bound, limit: int
) -> list[Invitation]:
    """Newest first. By the primary key: one account has few."""
    rows = await connection.fetch(_OWN, account_id, *below, limit)
    return [Invitation(*row.values()) for row in rows]


class Waiting(msgspec.Struct, frozen=True):
    """Somebody who was invited, or who asks."""

    account_id: UUID
    handle: str
    display_name: str
    message: str
    created_at: datetime


_WAITING: Final = """
    select a.id, a.handle, a.display_name, {message}, w.created_at
    from {table} w join account a on a.id = w.account_id and a.status <> 'deleted'
    where w.community_id = $1 and w.{open} is null and (w.created_at, w.account_id) < ($2, $3)
    order by w.created_at desc, w.account_id desc limit $4"""
# By invitation_community and join_request_waiting.
_INVITED: Final = _WAITING.format(table="invitation", message="''", open="declined_at")
_ASKING: Final = _WAITING.format(table="join_request", message="w.message", open="refused_at")


async def invited(
    connection: Connection, community_id: UUID, below: Bound, limit: int
) -> list[Waiting]:
    rows = await connection.fetch(_INVITED, community_id, *below, limit)
    return [Waiting(*row.values()) for row in rows]


async def asking(
    connection: Connection, community_id: UUID, below: Bound, limit: int
) -> list[Waiting]:
    rows = await connection.fetch(_ASKING, community_id, *below, limit)
    return [Waiting(*row.values()) for row in rows]
