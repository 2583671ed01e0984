"""Invitations into communities, and requests to join them."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from actors.group_messages import (
    ApproveRequest,
    AskToJoin,
    DeclineInvitation,
    Invite,
    ListInvited,
    ListOwnInvitations,
    ListRequests,
    RefuseRequest,
    WithdrawInvitation,
    WithdrawRequest,
)
from actors.messages import Reply
from serve_app.api.call import Call
from serve_app.api.fields import Handle, JoinMessage
from serve_app.api.group_schemas import Admission, InvitationPage, InvitedPage, JoinRequestPage
from serve_app.api.page_query import PageQuery
from serve_app.api.route import Nothing, Route


class InviteBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    handle: Handle


class AskBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`message`: for the moderators."""

    message: JoinMessage = ""


async def invite(call: Call[InviteBody, Nothing]) -> Reply:
    request = Invite(call.caller, call.text("community"), call.body.handle)
    return await call.backends.accounts_write(request)


async def invited(call: Call[Nothing, PageQuery]) -> Reply:
    query = call.query
    request = ListInvited(call.caller, call.text("community"), query.limit, query.cursor)
    return await call.backends.accounts_read(request)


async def withdraw_invitation(call: Call[Nothing, Nothing]) -> Reply:
    request = WithdrawInvitation(call.caller, call.text("community"), call.uuid("account_id"))
    return await call.backends.accounts_write(request)


async def own_invitations(call: Call[Nothing, PageQuery]) -> Reply:
    request = ListOwnInvitations(call.caller, call.query.limit, call.query.cursor)
    return await call.backends.accounts_read(request)


async def decline(call: Call[Nothing, Nothing]) -> Reply:
    request = DeclineInvitation(call.caller, call.text("community"))
    return await call.backends.accounts_write(request)


async def ask(call: Call[AskBody, Nothing]) -> Reply:
    request = AskToJoin(call.caller, call.text("community"), call.body.message)
    return await call.backends.accounts_write(request)


async def withdraw_request(call: Call[Nothing, Nothing]) -> Reply:
    request = WithdrawRequest(call.caller, call.text("community"))
    return await call.backends.accounts_write(request)


async def requests(call: Call[Nothing, PageQuery]) -> Reply:
    query = call.query
    request = ListRequests(call.caller, call.text("community"), query.limit, query.cursor)
    return await call.backends.accounts_read(request)


async def approve(call: Call[Nothing, Nothing]) -> Reply:
    request = ApproveRequest(call.caller, call.text("community"), call.uuid("account_id"))
    return await call.backends.accounts_write(request)


async def refuse(call: Call[Nothing, Nothing]) -> Reply:
    request = RefuseRequest(call.caller, call.text("community"), call.uuid("account_id"))
    return await call.backends.accounts_write(request)


_C: Final = "/api/v1/communities/{community}"
_OWN: Final = "/api/v1/me/invitations"
_RUNS: Final = ("not_permitted", "suspended")
_ADMITS: Final = (*_RUNS, "locked")
ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    Route(
        "POST", f"{_C}/invitations", invite, "Invite: moderators", access="member", rate="write",
        body=InviteBody, answer=Admission, refusals=(*_ADMITS, "conflict"), tag="groups",
    ),
    Route(
        "GET", f"{_C}/invitations", invited, "Whose invitations stand: moderators",
        access="member", rate="read", query=PageQuery, answer=InvitedPage, refusals=_RUNS,
        tag="groups",
    ),
    Route(
        "DELETE", f"{_C}/invitations/{{account_id}}", withdraw_invitation,
        "Withdraw an invitation: moderators", access="member", rate="write", status=204,
        refusals=_RUNS, tag="groups",
    ),
    Route(
        "GET", _OWN, own_invitations, "The own invitations; joining accepts one", access="member",
        rate="read", query=PageQuery, answer=InvitationPage, tag="groups",
    ),
    Route(
        "DELETE", f"{_OWN}/{{community}}", decline, "Decline an invitation", access="member",
        rate="write", status=204, refusals=("suspended",), tag="groups",
    ),
    Route(
        "PUT", f"{_C}/join-request", ask, "Ask to join", access="member", rate="write",
        body=AskBody, body_optional=True, answer=Admission, refusals=(*_ADMITS, "conflict"),
        tag="groups",
    ),
    Route(
        "DELETE", f"{_C}/join-request", withdraw_request, "Ask no longer", access="member",
        rate="write", status=204, refusals=("suspended",), tag="groups",
    ),
    Route(
        "GET", f"{_C}/join-requests", requests, "Who asks to join: moderators", access="member",
        rate="read", query=PageQuery, answer=JoinRequestPage, refusals=_RUNS, tag="groups",
    ),
    Route(
        "PUT", f"{_C}/join-requests/{{account_id}}", approve, "Let somebody in: moderators",
        access="member", rate="write", answer=Admission, refusals=(*_ADMITS, "conflict"),
        tag="groups",
    ),
    Route(
        "DELETE", f"{_C}/join-requests/{{account_id}}", refuse, "Refuse a request: moderators",
        access="member", rate="write", status=204, refusals=_RUNS, tag="groups",
    ),
)  # fmt: skip
