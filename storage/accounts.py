"""The account table: who people are, and whether they may act at all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import asyncpg
import msgspec

from config.errors import AppError
from storage.identity import parse_id
from storage.postgres import Connection, Pool, in_transaction
from storage.sessions import end_sessions_of
from storage.stream_writer import Appended, append_event, event_payload

SiteRole = Literal["member", "moderator", "admin"]
Standing = Literal["active", "suspended", "deleted"]
Level = Literal["all", "mentions", "none"]  # of following, as in storage/follows.py

# A suspension lapses by itself: the stored status is not the whole truth.
STANDING: Final = """case when a.status = 'suspended' and a.suspended_until <= now() then 'active'
    else a.status end as standing"""
_COLUMNS: Final = f"""a.id, a.handle, a.email, a.password_hash, a.display_name, a.languages,
    a.role, {STANDING}, a.stream_id, a.created_at, a.default_follow_level"""

# Text that is no handle never reaches SQL.
HANDLE: Final = re.compile(r"[A-Za-z0-9_]{3,30}", re.ASCII)


class Account(msgspec.Struct, frozen=True):
    """`password_hash` None: imported and not claimed. `standing` as at the moment of reading."""

    id: UUID
    handle: str
    email: str | None
    password_hash: str | None
    display_name: str
    languages: list[str]
    role: SiteRole
    standing: Standing
    stream_id: int
    created_at: datetime
    default_follow_level: Level

    @property
    def channel(self) -> str:
        return f"user:{self.id}"

    def require_active(self) -> None:
        """Raises AppError `suspended` or `unauthenticated`."""
        if self.standing == "suspended":
            raise AppError("suspended", "This account is suspended.")
        if self.standing == "deleted":
            raise no_account()

    def __repr__(self) -> str:
        return f"Account({self.id}, {self.handle!r})"


def no_account() -> AppError:
    """A token may outlive its account."""
    return AppError("unauthenticated", "There is no such account any more.")


async def taken(connection: Connection, handle: str, email: str) -> tuple[str, ...]:
    """Which of `handle` and `email` other accounts have, compared without case."""
    row = await connection.fetchrow(
        "select exists (select from account"
        " where lower(handle) in (lower($1), retired_handle($1))) as handle,"
        " exists (select from account where lower(email) = lower($2)) as email",
        handle,
        email,
    )
    assert row is not None
    return tuple(name for name, found in row.items() if found)


_CREATE: Final = f"""
with stream as (
    insert into stream (channel) values ('user:' || $1::uuid) returning id
), a as (
    insert into account (id, handle, email, password_hash, display_name, languages, stream_id)
    select $1, $2, $3, $4, $5, $6::text[], id from stream
    returning *
)
select {_COLUMNS} from a"""


_RETIRED: Final = """
select exists (select from account where lower(handle) = retired_handle($1))"""


async def create(
    connection: Connection,
    id: UUID,
    handle: str,
    email: str,
    password_hash: str,
    languages: Sequence[str],
) -> Account:
    """The account and its stream. Raises AppError `conflict` with the path of what is taken."""
    try:
        row = await connection.fetchrow(
            _CREATE, id, handle, email, password_hash, handle, list(languages)
        )
    except asyncpg.UniqueViolationError as error:
        path = {"account_handle": "handle", "account_email": "email"}.get(
            error.constraint_name or ""
        )
        if path is None:
            raise
        raise conflict((path,)) from error
    assert row is not None
    # Asked after the insert: it has waited for whoever was giving this handle up.
    if await connection.fetchval(_RETIRED, handle):
        raise conflict(("handle",))
    return _account(row)


def conflict(paths: Sequence[str]) -> AppError:
    return AppError(
        "conflict",
        "An account with this name or address exists.",
        errors=tuple((path, "is taken") for path in paths),
    )


async def find_login(connection: Connection, login: str) -> Account | None:
    """By e-mail address where there is an @, else by handle; without case."""
    column = "email" if "@" in login else "handle"
    row = await connection.fetchrow(
        f"select {_COLUMNS} from account a where lower(a.{column}) = lower($1)", login
    )
    return None if row is None else _account(row)


async def find(connection: Connection, id: UUID) -> Account | None:
    row = await connection.fetchrow(f"select {_COLUMNS} from account a where a.id = $1", id)
    return None if row is None else _account(row)


async def find_id(connection: Connection, id_or_handle: str) -> UUID | None:
    """Of an account that was not deleted."""
    key: UUID | str
    try:
        column, key = "id", parse_id(id_or_handle)
    except ValueError:
        if HANDLE.fullmatch(id_or_handle) is None:
            return None
        column, key = "lower(handle)", id_or_handle.lower()
    id: UUID | None = await connection.fetchval(
        f"select id from account where {column} = $1 and status <> 'deleted'", key
    )
    return id


_UPDATE_SETTINGS: Final = f"""
    update account a set display_name = coalesce($2, a.display_name),
           languages = coalesce($3::text[], a.languages),
           default_follow_level = coalesce($4, a.default_follow_level)
     where a.id = $1 returning {_COLUMNS}"""


async def update_settings(
    connection: Connection,
    id: UUID,
    display_name: str | None,
    languages: Sequence[str] | None,
    default_follow_level: Level | None,
) -> Account:
    """None leaves a value as it is. Raises AppError `suspended` or `unauthenticated`; the caller's
    transaction must be open, so that nothing is changed then."""
    listed = None if languages is None else list(languages)
    row = await connection.fetchrow(
        _UPDATE_SETTINGS, id, display_name, listed, default_follow_level
    )
    if row is None:
        raise no_account()
    account = _account(row)
    account.require_active()
    return account


class CallerState(msgspec.Struct, frozen=True, gc=False):
    """What has become of the holder of an access token since it was signed."""

    standing: Standing
    role: SiteRole
    session_ended: bool


_CALLERS: Final = f"""
select q.place, {STANDING}, a.role, s.ended_at is not null as session_ended
  from unnest($1::uuid[], $2::uuid[]) with ordinality as q (account, session, place)
  join account a on a.id = q.account
  left join session s on s.id = q.session"""


async def caller_states(
    connection: Connection, callers: Sequence[tuple[UUID, UUID | None]]
) -> list[CallerState | None]:
    """One answer per (account id, session id), in order; None: no such account."""
    states: list[CallerState | None] = [None] * len(callers)
    if callers:
        rows = await connection.fetch(
            _CALLERS, [account for account, _ in callers], [session for _, session in callers]
        )
        for row in rows:
            place, *columns = row.values()
            states[place - 1] = CallerState(*columns)
    return states


async def lock(connection: Connection, id: UUID) -> Account:
    """The account, with its own lock and that of its stream, which comes before all others: whether
    it is suspended stays as it is until the commit. Raises AppError `unauthenticated` when there
    is no such account.
    """
    row = await connection.fetchrow(
        f"select {_COLUMNS} from account a join stream s on s.id = a.stream_id"
        " where a.id = $1 for no key update of s, a",
        id,
    )
    if row is None:
        raise no_account()
    return _account(row)


async def replace_password_hash(connection: Connection, id: UUID, old: str, new: str) -> None:
    """Does nothing when the password was changed meanwhile."""
    await connection.execute(
        "update account set password_hash = $3 where id = $1 and password_hash = $2", id, old, new
    )


async def end(connection: Connection, account: Account) -> Appended:
    """The end of a locked account, at once and for good: nobody can log in, its sessions end.
    Erasing what it has left is a job of its own."""
    await connection.execute("update account set status = 'deleted' where id = $1", account.id)
    await end_sessions_of(connection, account.id, "deleted")
    payload = event_payload("session.ended", {"session_id": None, "reason": "deleted"})
    return await append_event(connection, account.channel, account.stream_id, account.id, payload)


# ---------------------------------------------------------------- what operators do


async def suspend(pool: Pool, handle: str, until: datetime | None = None) -> list[Appended]:
    """Ends all sessions and appends `session.ended` with session_id null. `until` None: until
    further notice. Raises AppError `not_found`. The events reach people by the shards' sweep, or
    sooner if the caller publishes them."""

    async def work(connection: Connection) -> list[Appended]:
        account = await lock_handle(connection, handle)
        await connection.execute(
            "update account set status = 'suspended', suspended_until = $2 where id = $1",
            account.id,
            until,
        )
        await end_sessions_of(connection, account.id, "suspended")
        payload = event_payload("session.ended", {"session_id": None, "reason": "suspended"})
        event = await append_event(
            connection, account.channel, account.stream_id, account.id, payload
        )
        return [event]

    return await in_transaction(pool, work)


async def unsuspend(pool: Pool, handle: str) -> None:
    """Raises AppError `not_found`. An account that is not suspended stays as it is."""

    async def work(connection: Connection) -> None:
        account = await lock_handle(connection, handle)
        await connection.execute(
            "update account set status = 'active', suspended_until = null"
            " where id = $1 and status = 'suspended'",
            account.id,
        )

    await in_transaction(pool, work)


async def grant_role(pool: Pool, handle: str, role: SiteRole) -> None:
    """A role on the whole site. Access tokens carry the old one until they are refreshed.

    Raises AppError `not_found`.
    """

    async def work(connection: Connection) -> None:
        account = await lock_handle(connection, handle)
        await connection.execute("update account set role = $2 where id = $1", account.id, role)

    await in_transaction(pool, work)


async def lock_handle(connection: Connection, handle: str) -> Account:
    """`lock` by handle, for operators. Raises AppError `not_found`, also for deleted accounts."""
    id = await connection.fetchval(
        "select id from account where lower(handle) = lower($1) and status <> 'deleted'", handle
    )
    if id is None:
        raise AppError("not_found", f"There is no account {handle!r}.")
    return await lock(connection, id)


def _account(row: asyncpg.Record) -> Account:
    return Account(*(row[name] for name in Account.__struct_fields__))
