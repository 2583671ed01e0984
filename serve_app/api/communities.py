"""Communities and the caller's membership in them."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from actors.account_messages import JoinCommunity, LeaveCommunity
from actors.feed_messages import ListCommunities, ReadCommunity
from actors.messages import Reply
from config.errors import AppError
from serve_app.api.call import Call
from serve_app.api.fields import Country, Cursor, Limit, SearchText, VisaType
from serve_app.api.route import Nothing, Route
from serve_app.api.schemas import CommunityAnswer, CommunityPage, Membership


class CommunitiesQuery(msgspec.Struct, frozen=True):
    country: Country | None = None
    visa_type: VisaType | None = None
    q: SearchText | None = None
    joined: bool = False
    limit: Limit = 30
    cursor: Cursor | None = None


async def communities(call: Call[Nothing, CommunitiesQuery]) -> Reply:
    query = call.query
    if query.joined and call.caller.account_id is None:
        raise AppError("unauthenticated", "Guests have joined nothing.")
    return await call.backends.feed(
        ListCommunities(
            call.caller,
            query.country.upper() if query.country else None,
            query.visa_type,
            query.q,
            query.joined,
            query.limit,
            query.cursor,
        )
    )


async def community(call: Call[Nothing, Nothing]) -> Reply:
    return await call.backends.feed(ReadCommunity(call.caller, call.text("community")))


async def join(call: Call[Nothing, Nothing]) -> Reply:
    return await call.backends.accounts_write(JoinCommunity(call.caller, call.text("community")))


async def leave(call: Call[Nothing, Nothing]) -> Reply:
    return await call.backends.accounts_write(LeaveCommunity(call.caller, call.text("community")))


_P: Final = "/api/v1/communities"
ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    Route(
        "GET", _P, communities, "Communities", access="guest", rate="read",
        query=CommunitiesQuery, answer=CommunityPage, shared="everyone",
        is_personal=lambda query: query.joined, tag="communities",
    ),
    Route(
        "GET", f"{_P}/{{community}}", community, "One community, by id or slug", access="guest",
        rate="read", answer=CommunityAnswer, shared="everyone", tag="communities",
    ),
    Route(
        "PUT", f"{_P}/{{community}}/membership", join, "Join, also by an invitation",
        access="member", rate="write", answer=Membership,
        refusals=("not_permitted", "suspended", "locked", "conflict"), tag="communities",
    ),
    Route(
        "DELETE", f"{_P}/{{community}}/membership", leave, "Leave", access="member", rate="write",
        status=204, refusals=("suspended", "conflict"), tag="communities",
    ),
)  # fmt: skip
