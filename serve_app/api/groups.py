"""Groups that members make: their settings, their members' roles, bans, and the log of all that."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import msgspec

from actors.group_messages import (
    BanMember,
    CreateGroup,
    EditGroup,
    ListMembers,
    ReadCommunityLog,
    RemoveMember,
    SetMemberRole,
    TransferGroup,
    UnbanMember,
)
from actors.messages import Reply
from config.errors import AppError
from serve_app.api.call import Call
from serve_app.api.fields import Cursor, GroupName, Limit, Reason, Rules
from serve_app.api.group_schemas import LogPage, MemberFilter, MemberPage
from serve_app.api.page_query import PageQuery
from serve_app.api.route import Nothing, Route
from serve_app.api.schemas import CommunityAnswer
from storage.communities import Joining, Visibility
from storage.group_members import Office


class GroupBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`joining`: open where the group is public, else by invitation, unless something is said."""

    name: GroupName
    rules: Rules = ""
    visibility: Visibility = "public"
    joining: Joining | None = None


class GroupPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is absent or null stays as it is. Of communities of the directory only the rules."""

    name: GroupName | None = None
    rules: Rules | None = None
    visibility: Visibility | None = None
    joining: Joining | None = None
    archived: bool | None = None


class TransferBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`account_id`: of a member."""

    account_id: UUID


class RoleBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    role: Office


class BanBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`reason`: for the log."""

    reason: Reason | None = None


class MembersQuery(msgspec.Struct, frozen=True):
    """`role`: all members where none is given; `banned` is for moderators."""

    role: MemberFilter | None = None
    limit: Limit = 30
    cursor: Cursor | None = None


async def create(call: Call[GroupBody, Nothing]) -> Reply:
    body = call.body
    joining = body.joining or ("open" if body.visibility == "public" else "invitation")
    if body.visibility == "private" and joining == "open":
        reason = "a private group is joined by request or by invitation"
        raise AppError("invalid", errors=(("joining", reason),))
    request = CreateGroup(
        call.caller, one_line(body.name), body.rules, body.visibility, joining, call.key
    )
    return await call.backends.accounts_write(request)


async def edit(call: Call[GroupPatch, Nothing]) -> Reply:
    patch = call.body
    if patch == GroupPatch():
        raise AppError("invalid", "The body names nothing to change.")
    name = None if patch.name is None else one_line(patch.name)
    return await call.backends.accounts_write(
        EditGroup(
            call.caller,
            call.text("community"),
            name,
            patch.rules,
            patch.visibility,
            patch.joining,
            patch.archived,
        )
    )


async def transfer(call: Call[TransferBody, Nothing]) -> Reply:
    request = TransferGroup(call.caller, call.text("community"), call.body.account_id)
    return await call.backends.accounts_write(request)


async def members(call: Call[Nothing, MembersQuery]) -> Reply:
    query = call.query
    return await call.backends.accounts_read(
        ListMembers(call.caller, call.text("community"), query.role, query.limit, query.cursor)
    )


async def set_role(call: Call[RoleBody, Nothing]) -> Reply:
    request = SetMemberRole(
        call.caller, call.text("community"), call.uuid("account_id"), call.body.role
    )
    return await call.backends.accounts_write(request)


async def remove(call: Call[Nothing, Nothing]) -> Reply:
    request = RemoveMember(call.caller, call.text("community"), call.uuid("account_id"))
    return await call.backends.accounts_write(request)


async def ban(call: Call[BanBody, Nothing]) -> Reply:
    request = BanMember(
        call.caller, call.text("community"), call.uuid("account_id"), call.body.reason or ""
    )
    return await call.backends.accounts_write(request)


async def unban(call: Call[Nothing, Nothing]) -> Reply:
    request = UnbanMember(call.caller, call.text("community"), call.uuid("account_id"))
    return await call.backends.accounts_write(request)


async def log(call: Call[Nothing, PageQuery]) -> Reply:
    request = ReadCommunityLog(
        call.caller, call.text("community"), call.query.limit, call.query.cursor
    )
    return await call.backends.accounts_read(request)


def one_line(name: str) -> str:
    """Without surrounding spaces; the limit counts what is left."""
    name = " ".join(name.split())
    if len(name) < 3:
        raise AppError("invalid", errors=(("name", "Expected 3 or more visible characters"),))
    return name


_P: Final = "/api/v1/communities"
_C: Final = f"{_P}/{{community}}"
_RUNS: Final = ("not_permitted", "suspended")
ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    Route(
        "POST", _P, create, "Make a group", access="member", rate="write", body=GroupBody,
        answer=CommunityAnswer, status=201, idempotent=True, refusals=("suspended",), tag="groups",
    ),
    Route(
        "PATCH", _C, edit, "Change a group: admins", access="member", rate="write",
        body=GroupPatch, answer=CommunityAnswer, refusals=_RUNS, tag="groups",
    ),
    Route(
        "POST", f"{_C}/transfer", transfer, "Hand a group over to a member", access="member",
        rate="write", body=TransferBody, status=204, refusals=_RUNS, tag="groups",
    ),
    Route(
        "GET", f"{_C}/members", members, "Members", access="guest", rate="read",
        query=MembersQuery, answer=MemberPage, refusals=_RUNS, tag="groups",
    ),
    Route(
        "PUT", f"{_C}/members/{{account_id}}", set_role, "Give a member a role: admins",
        access="member", rate="write", body=RoleBody, status=204,
        refusals=(*_RUNS, "conflict"), tag="groups",
    ),
    Route(
        "DELETE", f"{_C}/members/{{account_id}}", remove, "Remove a member: moderators",
        access="member", rate="write", status=204, refusals=_RUNS, tag="groups",
    ),
    Route(
        "PUT", f"{_C}/bans/{{account_id}}", ban, "Ban an account: moderators", access="member",
        rate="write", body=BanBody, body_optional=True, status=204, refusals=_RUNS, tag="groups",
    ),
    Route(
        "DELETE", f"{_C}/bans/{{account_id}}", unban, "Lift a ban: moderators", access="member",
        rate="write", status=204, refusals=_RUNS, tag="groups",
    ),
    Route(
        "GET", f"{_C}/log", log, "What moderators did: moderators", access="member", rate="read",
        query=PageQuery, answer=LogPage, refusals=_RUNS, tag="groups",
    ),
)  # fmt: skip
