"""Whether an account may act, and whether it may know of a post, a comment or a community.

For what members keep about content (saves, follows, read positions): nothing is locked, since what
becomes unreadable later is left out where it is read.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

import asyncpg

from config.errors import AppError
from storage.accounts import STANDING, no_account
from storage.communities import lookup_key, not_found
from storage.content_locks import no_comment, no_post
from storage.identity import country_of, is_v7
from storage.postgres import Connection

_ACCOUNT: Final = f"select {STANDING} from account a where a.id = $1"
_POST: Final = f"""
    select {STANDING}, p.id is not null and p.deleted_at is null
           and may_read(a.role, y.visibility, m.role) as readable
    from account a
    left join post p on p.country_id = $2 and p.id = $3
    left join community y on y.id = p.community_id
    left join membership m on m.community_id = y.id and m.account_id = a.id
    where a.id = $1"""
_COMMENT: Final = f"""
    select {STANDING}, c.id is not null and may_read(a.role, y.visibility, m.role) as readable,
           c.post_id, c.deleted_at is not null as deleted
    from account a
    left join comment c on c.country_id = $2 and c.id = $3
    left join post p on p.country_id = $2 and p.id = c.post_id
    left join community y on y.id = p.community_id
    left join membership m on m.community_id = y.id and m.account_id = a.id
    where a.id = $1"""
_COMMUNITY: Final = f"""
    select {STANDING}, y.id is not null and may_read(a.role, y.visibility, m.role) as readable,
           y.id
    from account a
    left join community y on y.{{column}} = $2
    left join membership m on m.community_id = y.id and m.account_id = a.id
    where a.id = $1"""


async def require_active(connection: Connection, account_id: UUID) -> None:
    """Raises AppError `suspended` or `unauthenticated`; so do the others."""
    _standing(await connection.fetchrow(_ACCOUNT, account_id))


async def lock_active(connection: Connection, account_id: UUID) -> None:
    """`require_active`, and no other holder of this lock until the commit."""
    row = await connection.fetchrow(f"{_ACCOUNT} for no key update", account_id)
    _standing(row)


async def require_post(connection: Connection, account_id: UUID, post_id: UUID) -> None:
    """Raises AppError `not_found` for what is not there, deleted, or not for this account."""
    country = country_of(post_id) if is_v7(post_id) else None
    row = _standing(await connection.fetchrow(_POST, account_id, country, post_id))
    if not row["readable"]:
        raise no_post()


async def require_comment(connection: Connection, account_id: UUID, comment_id: UUID) -> None:
    """As `require_post`."""
    row = await _comment(connection, account_id, comment_id)
    if not row["readable"] or row["deleted"]:
        raise no_comment()


async def require_comment_of(
    connection: Connection, account_id: UUID, comment_id: UUID, post_id: UUID
) -> None:
    """Also of a deleted comment: its place in the thread stays. Raises as `require_post`."""
    row = await _comment(connection, account_id, comment_id)
    if not row["readable"] or row["post_id"] != post_id:
        raise no_comment()


async def require_community(connection: Connection, account_id: UUID, id_or_slug: str) -> UUID:
    """Its id. Raises as `require_post`."""
    key = lookup_key(id_or_slug)
    if key is None:
        await require_active(connection, account_id)
        raise not_found()
    column, value = key
    row = _standing(await connection.fetchrow(_COMMUNITY.format(column=column), account_id, value))
    if not row["readable"]:
        raise not_found()
    id: UUID = row["id"]
    return id


async def _comment(connection: Connection, account_id: UUID, comment_id: UUID) -> asyncpg.Record:
    country = country_of(comment_id) if is_v7(comment_id) else None
    return _standing(await connection.fetchrow(_COMMENT, account_id, country, comment_id))


def _standing(row: asyncpg.Record | None) -> asyncpg.Record:
    if row is None or row["standing"] == "deleted":
        raise no_account()
    if row["standing"] == "suspended":
        raise AppError("suspended", "This account is suspended.")
    return row
