"""The part of Accounts that runs communities: making and changing them, roles, who comes in.

What may be done is decided in storage/ (groups.py, group_members.py, admissions.py), in the
transaction that does it; here are the messages and the pages.
"""

from __future__ import annotations

import hashlib
import secrets
import string
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Final, TypeVar
from uuid import UUID

import msgspec

from actors import group_messages as m
from actors.content import Author
from actors.cursors import CursorKind, decode_cursor, encode_cursor
from actors.directory_reads import community_page
from actors.group_slugs import slugs_for
from actors.messages import Caller, Reply
from actors.pages import Bookmark
from config.errors import AppError
from storage import (
    accounts,
    admissions,
    community_log,
    community_pages,
    group_changes,
    group_members,
    groups,
)
from storage.admissions import Admitted, Invitation, Waiting
from storage.communities import may_read, not_found
from storage.community_log import LogEntry
from storage.group_changes import GroupChanges, NewGroup
from storage.group_members import Bound, Member
from storage.groups import MODERATOR, Group
from storage.postgres import Connection, Pool, acquire, in_transaction_at
from storage.stream_writer import Appended, rfc3339

T = TypeVar("T")
Row = TypeVar("Row")

_encode: Final = msgspec.json.Encoder().encode
_hash_encoder: Final = msgspec.msgpack.Encoder()
_HIGHEST: Final = Bound(datetime(9999, 1, 1, tzinfo=UTC), UUID(int=(1 << 128) - 1))
_LETTERS: Final = string.ascii_lowercase + string.digits

_Admission = m.Invite | m.AskToJoin | m.ApproveRequest
_Change = (
    m.TransferGroup
    | m.SetMemberRole
    | m.RemoveMember
    | m.BanMember
    | m.UnbanMember
    | m.WithdrawInvitation
    | m.DeclineInvitation
    | m.WithdrawRequest
    | m.RefuseRequest
)

LogId = Annotated[int, msgspec.Meta(ge=0, le=community_log.NEWEST)]


class Groups:
    """`publish` hands committed events to the shards."""

    def __init__(self, pool: Pool, publish: Callable[[Sequence[Appended]], None]) -> None:
        self._pool = pool
        self._publish = publish

    async def answer(self, request: m.GroupRequest) -> Reply:
        """Raises AppError."""
        account_id = request.caller.account_id
        if isinstance(request, m.ListMembers):
            return await self._list_members(request)
        if account_id is None:
            raise AppError("unauthenticated", "Log in first.")
        match request:
            case m.CreateGroup():
                return await self._create(account_id, request)
            case m.EditGroup():
                return await self._edit(account_id, request)
            case m.ListInvited() | m.ListRequests():
                return await self._list_waiting(request)
            case m.ListOwnInvitations():
                return await self._list_own_invitations(account_id, request)
            case m.ReadCommunityLog():
                return await self._read_log(request)
            case m.Invite() | m.AskToJoin() | m.ApproveRequest():
                return await self._admission(account_id, request)
            case _:
                return await self._change(account_id, request)

    # ------------------------------------------------------------ groups

    async def _create(self, account_id: UUID, request: m.CreateGroup) -> Reply:
        wanted = (request.name, request.rules, request.visibility, request.joining)
        slugs = slugs_for(request.name, _random_letters)
        new = NewGroup(*wanted, slugs, request.key, _hash(wanted))

        async def work(connection: Connection) -> tuple[bytes, list[Appended]]:
            made = await group_changes.create(connection, account_id, new)
            body = await _page_of(connection, made.community_id)
            return body, [] if made.event is None else [made.event]

        body, position = await self._write(work)
        return Reply(201, body, position)

    async def _edit(self, account_id: UUID, request: m.EditGroup) -> Reply:
        changes = GroupChanges(
            request.name, request.rules, request.visibility, request.joining, request.archived
        )

        async def work(connection: Connection) -> tuple[bytes, list[Appended]]:
            events = await group_changes.edit(connection, account_id, request.community, changes)
            group = await groups.find(connection, request.community)
            return await _page_of(connection, group.id), events

        body, position = await self._write(work)
        return Reply(200, body, position)

    # ------------------------------------------------------------ people

    async def _admission(self, account_id: UUID, request: _Admission) -> Reply:
        async def work(connection: Connection) -> tuple[Admitted, list[Appended]]:
            place = (connection, account_id, request.community)
            match request:
                case m.Invite():
                    admitted = await admissions.invite(*place, request.handle)
                case m.AskToJoin():
                    admitted = await admissions.ask(*place, request.message)
                case m.ApproveRequest():
                    admitted = await admissions.approve(*place, request.account_id)
            return admitted, admitted.events

        admitted, position = await self._write(work)
        return Reply(200, _encode({"role": admitted.role}), position)

    async def _change(self, account_id: UUID, request: _Change) -> Reply:
        """What is answered without a body."""

        async def work(connection: Connection) -> tuple[None, list[Appended]]:
            return None, await _changed(connection, account_id, request)

        _, position = await self._write(work)
        return Reply(204, position=position)

    async def _write(
        self, work: Callable[[Connection], Awaitable[tuple[T, list[Appended]]]]
    ) -> tuple[T, int]:
        (result, events), position = await in_transaction_at(self._pool, work)
        if events:
            self._publish(events)
        return result, position

    # ------------------------------------------------------------ lists

    async def _list_members(self, request: m.ListMembers) -> Reply:
        async with acquire(self._pool) as connection:
            group = await _readable(connection, request.caller, request.community)
            if request.role == "banned":
                await _require_moderator(connection, request.caller, group)
            scope = f"{group.id}:{request.role}"
            below = _below(CursorKind.MEMBERS, scope, request.cursor)
            rows = await group_members.list_members(
                connection, group.id, request.role, below, request.limit + 1
            )
        return _page(
            CursorKind.MEMBERS,
            scope,
            rows,
            request.limit,
            _member_view,
            lambda row: Bookmark.of(row.joined_at, row.account_id),
        )

    async def _list_waiting(self, request: m.ListInvited | m.ListRequests) -> Reply:
        invited = isinstance(request, m.ListInvited)
        kind = CursorKind.INVITED if invited else CursorKind.JOIN_REQUESTS
        read = admissions.invited if invited else admissions.asking
        async with acquire(self._pool) as connection:
            group = await _readable(connection, request.caller, request.community)
            await _require_moderator(connection, request.caller, group)
            scope = str(group.id)
            below = _below(kind, scope, request.cursor)
            rows = await read(connection, group.id, below, request.limit + 1)
        return _page(
            kind,
            scope,
            rows,
            request.limit,
            _invited_view if invited else _request_view,
            lambda row: Bookmark.of(row.created_at, row.account_id),
        )

    async def _list_own_invitations(self, account_id: UUID, request: m.ListOwnInvitations) -> Reply:
        scope = str(account_id)
        below = _below(CursorKind.OWN_INVITATIONS, scope, request.cursor)
        async with acquire(self._pool) as connection:
            rows = await admissions.own_invitations(
                connection, account_id, below, request.limit + 1
            )
        return _page(
            CursorKind.OWN_INVITATIONS,
            scope,
            rows,
            request.limit,
            _invitation_view,
            lambda row: Bookmark.of(row.created_at, row.community_id),
        )

    async def _read_log(self, request: m.ReadCommunityLog) -> Reply:
        async with acquire(self._pool) as connection:
            group = await _readable(connection, request.caller, request.community)
            await _require_moderator(connection, request.caller, group)
            scope, before = str(group.id), community_log.NEWEST
            if request.cursor is not None:
                before = decode_cursor(CursorKind.COMMUNITY_LOG, scope, request.cursor, LogId)
            rows = await community_log.read(connection, group.id, before, request.limit + 1)
        kind = CursorKind.COMMUNITY_LOG
        return _page(kind, scope, rows, request.limit, _log_view, lambda row: row.id)


async def _changed(connection: Connection, account_id: UUID, request: _Change) -> list[Appended]:
    place = (connection, account_id, request.community)
    match request:
        case m.TransferGroup():
            return await group_members.transfer(*place, request.account_id)
        case m.SetMemberRole():
            return await group_members.set_role(*place, request.account_id, request.role)
        case m.RemoveMember():
            return await group_members.remove(*place, request.account_id)
        case m.BanMember():
            return await group_members.ban(*place, request.account_id, request.reason)
        case m.UnbanMember():
            await group_members.unban(*place, request.account_id)
        case m.WithdrawInvitation():
            await admissions.withdraw_invitation(*place, request.account_id)
        case m.DeclineInvitation():
            await admissions.decline(*place)
        case m.WithdrawRequest():
            await admissions.withdraw_request(*place)
        case m.RefuseRequest():
            await admissions.refuse(*place, request.account_id)
    return []


# ---------------------------------------------------------------- who may read lists


async def _readable(connection: Connection, caller: Caller, community: str) -> Group:
    """Raises AppError `not_found` for what the caller may not read."""
    group = await groups.find(connection, community)
    if group.visibility != "public" and not await may_read(connection, group.id, caller.account_id):
        raise not_found()
    return group


async def _require_moderator(connection: Connection, caller: Caller, group: Group) -> None:
    account_id = caller.account_id
    account = None if account_id is None else await accounts.find(connection, account_id)
    if account_id is None or account is None:
        raise AppError("unauthenticated", "Log in first.")
    account.require_active()
    role = await groups.role_in(connection, account_id, group.id)
    if group.rank(role, account.role) < MODERATOR:
        raise AppError("not_permitted", "Only moderators of this community may see this.")


# ---------------------------------------------------------------- pages


async def _page_of(connection: Connection, community_id: UUID) -> bytes:
    found = await community_pages.read_community(connection, community_id)
    if found is None:
        raise not_found()
    return community_page(*found, 0).body


def _below(kind: CursorKind, scope: str, cursor: str | None) -> Bound:
    if cursor is None:
        return _HIGHEST
    place = decode_cursor(kind, scope, cursor, Bookmark)
    return Bound(place.at, place.id)


def _page(
    kind: CursorKind,
    scope: str,
    rows: Sequence[Row],
    limit: int,
    view: Callable[[Row], dict[str, object]],
    place_of: Callable[[Row], object],
) -> Reply:
    """`rows` holds one more than the page where there is a next one."""
    page = rows[:limit]
    cursor = encode_cursor(kind, scope, place_of(page[-1])) if len(rows) > limit else None
    return Reply(200, _encode({"items": [view(row) for row in page], "next_cursor": cursor}))


def _author(id: UUID | None, handle: str | None, display_name: str | None) -> Author | None:
    if id is None or handle is None or display_name is None:
        return None
    return Author(id, handle, display_name)


def _member_view(row: Member) -> dict[str, object]:
    return {
        "account": Author(row.account_id, row.handle, row.display_name),
        "role": row.role,
        "joined_at": rfc3339(row.joined_at),
    }


def _invited_view(row: Waiting) -> dict[str, object]:
    return {
        "account": Author(row.account_id, row.handle, row.display_name),
        "created_at": rfc3339(row.created_at),
    }


def _request_view(row: Waiting) -> dict[str, object]:
    return _invited_view(row) | {"message": row.message}


def _invitation_view(row: Invitation) -> dict[str, object]:
    return {
        "community": {
            "id": row.community_id,
            "slug": row.slug,
            "name": row.name,
            "visibility": row.visibility,
            "member_count": row.member_count,
            "rules": row.rules,
        },
        "invited_by": _author(row.inviter_id, row.inviter_handle, row.inviter_display_name),
        "created_at": rfc3339(row.created_at),
    }


def _log_view(row: LogEntry) -> dict[str, object]:
    return {
        "action": row.action,
        "actor": _author(row.actor_id, row.actor_handle, row.actor_display_name),
        "subject": _author(row.subject_id, row.subject_handle, row.subject_display_name),
        "detail": msgspec.Raw(row.detail.encode()),
        "created_at": rfc3339(row.created_at),
    }


def _random_letters(count: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(count))


def _hash(value: object) -> bytes:
    return hashlib.blake2b(_hash_encoder.encode(value), digest_size=16).digest()
