"""Communities as those who run them see and change them.

    stage ─▶ locks: streams by id (who acts, whom it concerns, the community's), the community's row
          ─▶ what both are to the community, which stays so until the commit

Every change of a role holds the community's row, so that two can't take its last owner away.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple
from uuid import UUID

import msgspec

from config.errors import AppError
from storage import access_changes, accounts
from storage.accounts import Account, SiteRole
from storage.communities import (
    JOINING_COLUMN,
    Joining,
    MembershipRole,
    Relation,
    Visibility,
    lookup_key,
    not_found,
)
from storage.postgres import Connection
from storage.stream_writer import Appended, append_event, event_payload

_DAY_SECONDS: Final = 86_400
MAX_MEMBERSHIPS: Final = 2_000
"""Of one account: its home feed looks into each. Operators may go beyond."""

Rank = Literal[0, 1, 2, 3]
MEMBER: Final = 1
MODERATOR: Final = 2
ADMIN: Final = 3
_RANKS: Final[dict[str | None, Rank]] = {"member": MEMBER, "moderator": MODERATOR, "admin": ADMIN}


def rank_of(role: MembershipRole | None) -> Rank:
    """0: no member, or banned."""
    return _RANKS.get(role, 0)


class Group(msgspec.Struct, frozen=True):
    """A community of any kind. Those of the directory (`kind` not 'group') have no owners."""

    id: UUID
    slug: str
    name: str
    rules: str
    kind: str
    visibility: Visibility
    joining: Joining
    archived: bool
    stream_id: int

    @property
    def channel(self) -> str:
        return f"community:{self.id}"

    def visible(self, role: MembershipRole | None, site_role: SiteRole) -> bool:
        return Relation(self.id, self.visibility, role).visible(site_role)

    def rank(self, role: MembershipRole | None, site_role: SiteRole) -> Rank:
        """An office of the site counts in every community that its holder may read."""
        if not self.visible(role, site_role):
            return 0
        by_site = _RANKS[site_role] if site_role != "member" else 0
        return max(rank_of(role), by_site)

    def require_group(self) -> None:
        if self.kind != "group":
            raise AppError("not_permitted", "This community belongs to the directory.")

    def require_live(self) -> None:
        if self.archived:
            raise AppError("locked", "This community is archived.")


_FIND: Final = f"""
    select c.id, c.slug, c.name, c.rules, c.kind, c.visibility, {JOINING_COLUMN},
           c.archived_at is not null, c.stream_id
    from community c where """


async def find(connection: Connection, id_or_slug: str) -> Group:
    """Raises AppError `not_found`. Says nothing about who may know of it."""
    key = lookup_key(id_or_slug)
    row = None if key is None else await connection.fetchrow(_FIND + f"c.{key[0]} = $1", key[1])
    if row is None:
        raise not_found()
    return Group(*row.values())


async def role_in(
    connection: Connection, account_id: UUID, community_id: UUID
) -> MembershipRole | None:
    role: MembershipRole | None = await connection.fetchval(
        "select role from membership where account_id = $1 and community_id = $2",
        account_id,
        community_id,
    )
    return role


async def require_room(connection: Connection, account_id: UUID) -> None:
    """Raises AppError `conflict` above MAX_MEMBERSHIPS. The account's stream must be locked."""
    held = await connection.fetchval(
        "select count(*) from (select from membership"
        " where account_id = $1 and role <> 'banned' limit $2) m",
        account_id,
        MAX_MEMBERSHIPS,
    )
    if held >= MAX_MEMBERSHIPS:
        raise AppError(
            "conflict", f"An account is a member of {MAX_MEMBERSHIPS} communities at most."
        )


async def lock_streams(connection: Connection, ids: list[int]) -> None:
    await connection.execute(
        "select 1 from stream where id = any($1::bigint[]) order by id for update", ids
    )


class Stage(NamedTuple):
    """`target` None: the action is about nobody."""

    group: Group
    actor: Account
    actor_role: MembershipRole | None
    target: Account | None
    target_role: MembershipRole | None

    @property
    def rank(self) -> Rank:
        return self.group.rank(self.actor_role, self.actor.role)

    def require(self, rank: int) -> None:
        if self.rank < rank:
            office = "an admin" if rank == ADMIN else "a moderator"
            raise AppError("not_permitted", f"Only {office} of this community may do this.")

    def on(self) -> Account:
        """Whom it is about."""
        assert self.target is not None
        return self.target


async def stage(
    connection: Connection,
    actor_id: UUID,
    community: str,
    target_id: UUID | None = None,
    *,
    more_streams: tuple[int, ...] = (),
    with_stream: bool = False,
    with_access: bool = False,
) -> Stage:
    """Locks everything that an action may change; the transaction must hold no locks yet.

    Raises AppError `not_found` for a community that the actor may not see and for a target that is
    no account, `suspended` or `unauthenticated` for the actor.
    """
    found = await find(connection, community)
    people = [actor_id] if target_id is None else [actor_id, target_id]
    streams = await connection.fetch(
        "select stream_id from account where id = any($1::uuid[])", people
    )
    ids = [row["stream_id"] for row in streams] + list(more_streams)
    if with_stream:
        ids.append(found.stream_id)
    if with_access:
        ids.append(access_changes.STREAM_ID)
    await lock_streams(connection, ids)
    actor = await accounts.lock(connection, actor_id)
    actor.require_active()
    target = None if target_id is None else await _target(connection, target_id)
    await lock_row(connection, found.id)
    group = await find(connection, str(found.id))
    actor_role = await role_in(connection, actor_id, group.id)
    if not group.visible(actor_role, actor.role):
        raise not_found()
    target_role = None if target_id is None else await role_in(connection, target_id, group.id)
    return Stage(group, actor, actor_role, target, target_role)


async def lock_row(connection: Connection, community_id: UUID) -> None:
    """Until the commit no role in the community changes. After streams, before memberships."""
    await connection.execute(
        "select 1 from community where id = $1 for no key update", community_id
    )


async def _target(connection: Connection, account_id: UUID) -> Account:
    try:
        target = await accounts.lock(connection, account_id)
    except AppError:
        raise no_such_account() from None
    if target.standing == "deleted":
        raise no_such_account()
    return target


def no_such_account() -> AppError:
    return AppError("not_found", "There is no such account.")


async def require_other_owner(connection: Connection, group: Group, account_id: UUID) -> None:
    """Raises AppError `conflict`: a group keeps an owner. Its row must be locked."""
    if group.kind == "group" and not await connection.fetchval(
        "select exists (select from membership m join account a on a.id = m.account_id"
        " where m.community_id = $1 and m.role = 'admin' and m.account_id <> $2"
        " and a.status <> 'deleted')",
        group.id,
        account_id,
    ):
        raise AppError(
            "conflict",
            "The last owner can't go: hand the group over, make somebody else an admin, or"
            " archive it.",
        )


async def announce(
    connection: Connection, account: Account, community_id: UUID, role: MembershipRole | None
) -> Appended:
    """`membership.changed` on the account's own stream. `role` None: no member (any more)."""
    payload = event_payload("membership.changed", {"community_id": community_id, "role": role})
    return await append_event(connection, account.channel, account.stream_id, community_id, payload)


async def limit_a_day(connection: Connection, what: str, key: UUID, most: int, detail: str) -> None:
    """`what`: a table and a condition on $1, the key. Raises AppError `rate_limited` with the time
    until the oldest one counts no more."""
    row = await connection.fetchrow(
        "select count(*), extract(epoch from now() - min(created_at)) from ("
        f" select created_at from {what} and created_at > now() - interval '1 day'"
        " order by created_at desc limit $2) lately",
        key,
        most,
    )
    assert row is not None  # an aggregate
    count, passed_seconds = row.values()
    if count >= most:
        wait = max(1.0, _DAY_SECONDS - float(passed_seconds))
        raise AppError("rate_limited", detail, retry_after_seconds=wait)
