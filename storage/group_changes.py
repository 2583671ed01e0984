"""Making groups and changing them."""

from __future__ import annotations

from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from config.channels import ACCESS_CHANNEL
from config.errors import AppError
from storage import access_changes, accounts, community_log
from storage.communities import Joining, Visibility
from storage.groups import ADMIN, Group, announce, limit_a_day, require_room, stage
from storage.identity import NO_COUNTRY, new_id
from storage.postgres import Connection
from storage.search.index_jobs import IndexJob, enqueue_index
from storage.stream_writer import Appended, append_event, event_payload

GROUPS_A_DAY: Final = 10
"""That one member may make."""
VISIBILITY_CHANGES_A_DAY: Final = 10
"""Of one group: each that makes it private has every gateway ask again who may follow it."""


class NewGroup(msgspec.Struct, frozen=True):
    """`slugs`: what to try, in order. `key` and `hash`: the idempotency record."""

    name: str
    rules: str
    visibility: Visibility
    joining: Joining
    slugs: tuple[str, ...]
    key: str | None
    hash: bytes


class Made(NamedTuple):
    """`event` None: an earlier answer is repeated."""

    community_id: UUID
    event: Appended | None


_CREATE: Final = """
    insert into community (id, country_id, slug, name, kind, visibility, joining, rules,
                           member_count, stream_id, created_by)
    values ($1, 0, $2, $3, 'group', $4, $5, $6, 1, $7, $8)
    on conflict (slug) do nothing
    returning id"""
_KEY: Final = "select request_hash, resource_id from idempotency where account_id = $1 and key = $2"


async def create(connection: Connection, account_id: UUID, new: NewGroup) -> Made:
    """The account is its first owner. Raises AppError `rate_limited` above GROUPS_A_DAY, `conflict`
    above MAX_MEMBERSHIPS and for a key that was used with another body."""
    account = await accounts.lock(connection, account_id)
    account.require_active()
    id = new_id(NO_COUNTRY)
    if new.key is not None:
        fresh = await connection.fetchval(
            "select take_keys($1, $2, $3, $4)", [account_id], [new.key], [new.hash], [id]
        )
        if not fresh:
            return Made(await _earlier(connection, account_id, new), None)
    await limit_a_day(
        connection,
        "community where created_by = $1",
        account_id,
        GROUPS_A_DAY,
        f"At most {GROUPS_A_DAY} new groups a day.",
    )
    await require_room(connection, account_id)
    stream_id = await connection.fetchval(
        "insert into stream (channel) values ('community:' || $1::uuid) returning id", id
    )
    for slug in new.slugs:
        if await connection.fetchval(
            _CREATE, id, slug, new.name, new.visibility, new.joining, new.rules, stream_id,
            account_id,
        ):  # fmt: skip
            break
    else:
        raise AppError("conflict", "Choose another name.", errors=(("name", "is taken"),))
    await connection.execute(
        "insert into membership (account_id, community_id, role) values ($1, $2, 'admin')",
        account_id,
        id,
    )
    await community_log.write(connection, id, account_id, "created")
    return Made(id, await announce(connection, account, id, "admin"))


async def _earlier(connection: Connection, account_id: UUID, new: NewGroup) -> UUID:
    row = await connection.fetchrow(_KEY, account_id, new.key)
    if row is None:  # forgotten this very moment
        raise AppError("unavailable", "Send it once more.", retry_after_seconds=1.0)
    if row["request_hash"] != new.hash:
        raise AppError("conflict", "This Idempotency-Key was used with another body.")
    id: UUID = row["resource_id"]
    return id


# ---------------------------------------------------------------- changing one


class GroupChanges(msgspec.Struct, frozen=True):
    """None leaves a field as it is."""

    name: str | None
    rules: str | None
    visibility: Visibility | None
    joining: Joining | None
    archived: bool | None


async def edit(
    connection: Connection, account_id: UUID, community: str, changes: GroupChanges
) -> list[Appended]:
    """By admins; nothing where all stands so already. A private group that anybody may join is
    none: made private, it is joined by invitation unless `joining` says otherwise.

    Raises AppError `not_found`, `not_permitted`, `invalid` (private and open) or `rate_limited`.
    """
    on = await stage(
        connection,
        account_id,
        community,
        with_stream=True,
        with_access=changes.visibility == "private",
    )
    on.require(ADMIN)
    before = on.group
    after = _applied(before, changes)
    if after == before:
        return []
    if (after.name, after.visibility, after.joining, after.archived) != (
        before.name, before.visibility, before.joining, before.archived,
    ):  # fmt: skip
        before.require_group()
    if after.visibility != before.visibility:
        await limit_a_day(
            connection,
            "community_log where community_id = $1 and action = 'visibility'",
            before.id,
            VISIBILITY_CHANGES_A_DAY,
            f"A group's visibility changes {VISIBILITY_CHANGES_A_DAY} times a day at most.",
        )
    await connection.execute(
        "update community set name = $2, rules = $3, visibility = $4, joining = $5,"
        " archived_at = case when $6 then coalesce(archived_at, clock_timestamp()) end"
        " where id = $1",
        before.id, after.name, after.rules, after.visibility, after.joining, after.archived,
    )  # fmt: skip
    if after.visibility != before.visibility:
        await enqueue_index(connection, IndexJob(communities=[before.id]))
    for action, detail in _log_of(before, after):
        await community_log.write(connection, before.id, account_id, action, None, detail)
    return await _tell(connection, before, after)


def _applied(group: Group, changes: GroupChanges) -> Group:
    fields = {
        name: value
        for name in changes.__struct_fields__
        if (value := getattr(changes, name)) is not None
    }
    after = msgspec.structs.replace(group, **fields)
    if after.visibility == "private" and after.joining == "open":
        if changes.joining is not None:
            reason = "a private group is joined by request or by invitation"
            raise AppError("invalid", f"joining: {reason}.", errors=(("joining", reason),))
        after = msgspec.structs.replace(after, joining="invitation")
    return after


def _log_of(before: Group, after: Group) -> list[tuple[community_log.Action, dict[str, str]]]:
    found: list[tuple[community_log.Action, dict[str, str]]] = []
    if (before.name, before.rules) != (after.name, after.rules):
        found.append(("edited", {}))
    if before.visibility != after.visibility:
        found.append(("visibility", {"to": after.visibility}))
    if before.joining != after.joining:
        found.append(("joining", {"to": after.joining}))
    if before.archived != after.archived:
        found.append(("archived" if after.archived else "unarchived", {}))
    return found


async def _tell(connection: Connection, before: Group, after: Group) -> list[Appended]:
    """No text of members: pages show it, and nothing has to be found where it is removed."""
    fields = {
        "community_id": after.id,
        "visibility": after.visibility,
        "joining": after.joining,
        "archived": after.archived,
    }
    payload = event_payload("community.updated", fields)
    events = [await append_event(connection, after.channel, after.stream_id, after.id, payload)]
    if before.visibility == "public" and after.visibility == "private":
        payload = access_changes.became_private(after.id)
        stream = access_changes.STREAM_ID
        events.append(await append_event(connection, ACCESS_CHANNEL, stream, after.id, payload))
    return events
