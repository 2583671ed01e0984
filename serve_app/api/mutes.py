"""Members and communities that the caller does not want to hear of. Nobody is told."""

from __future__ import annotations

from typing import Any, Final

from actors.member_messages import (
    ListMutedAccounts,
    ListMutedCommunities,
    MuteAccount,
    MuteCommunity,
)
from actors.messages import Reply
from config.errors import AppError
from serve_app.api.call import Call
from serve_app.api.member_schemas import MutedAccountPage, MutedCommunityPage
from serve_app.api.page_query import PageQuery
from serve_app.api.route import Nothing, Route


async def mute_account(call: Call[Nothing, Nothing]) -> Reply:
    return await call.backends.accounts_write(MuteAccount(call.caller, _account(call), True))


async def unmute_account(call: Call[Nothing, Nothing]) -> Reply:
    return await call.backends.accounts_write(MuteAccount(call.caller, _account(call), False))


async def mute_community(call: Call[Nothing, Nothing]) -> Reply:
    request = MuteCommunity(call.caller, call.text("community"), True)
    return await call.backends.accounts_write(request)


async def unmute_community(call: Call[Nothing, Nothing]) -> Reply:
    request = MuteCommunity(call.caller, call.text("community"), False)
    return await call.backends.accounts_write(request)


async def muted_accounts(call: Call[Nothing, PageQuery]) -> Reply:
    request = ListMutedAccounts(call.caller, call.query.limit, call.query.cursor)
    return await call.backends.accounts_read(request)


async def muted_communities(call: Call[Nothing, PageQuery]) -> Reply:
    request = ListMutedCommunities(call.caller, call.query.limit, call.query.cursor)
    return await call.backends.accounts_read(request)


def _account(call: Call[Nothing, Nothing]) -> str:
    """A handle or an id in the path."""
    text = call.values["account"]
    if not (text.isascii() and text.replace("-", "").replace("_", "").isalnum()):
        raise AppError("not_found", "There is no such account.")
    return text.lower()


_ACCOUNTS: Final = "/api/v1/me/mutes/accounts"
_COMMUNITIES: Final = "/api/v1/me/mutes/communities"
ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    Route(
        "GET", _ACCOUNTS, muted_accounts, "Muted members", access="member", rate="read",
        query=PageQuery, answer=MutedAccountPage, tag="mutes",
    ),
    Route(
        "PUT", f"{_ACCOUNTS}/{{account}}", mute_account, "Mute a member", access="member",
        rate="vote", status=204, refusals=("conflict", "suspended"), tag="mutes",
    ),
    Route(
        "DELETE", f"{_ACCOUNTS}/{{account}}", unmute_account, "Mute a member no longer",
        access="member", rate="vote", status=204, tag="mutes",
    ),
    Route(
        "GET", _COMMUNITIES, muted_communities, "Muted communities", access="member",
        rate="read", query=PageQuery, answer=MutedCommunityPage, tag="mutes",
    ),
    Route(
        "PUT", f"{_COMMUNITIES}/{{community}}", mute_community, "Mute a community",
        access="member", rate="vote", status=204, refusals=("conflict", "suspended"), tag="mutes",
    ),
    Route(
        "DELETE", f"{_COMMUNITIES}/{{community}}", unmute_community,
        "Mute a community no longer", access="member", rate="vote", status=204, tag="mutes",
    ),
)  # fmt: skip
