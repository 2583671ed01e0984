"""Members as everybody sees them. Not shared by the edge cache: a page shows posts of many streams,
and what is removed must be gone from it at once."""

from __future__ import annotations

from typing import Any, Final

from actors.feed_messages import ListMemberPosts, ReadMember
from actors.member_reads import MemberView
from actors.messages import Reply
from serve_app.api.call import Call
from serve_app.api.page_query import PageQuery
from serve_app.api.route import Nothing, Route
from serve_app.api.schemas import PostPage


async def member(call: Call[Nothing, Nothing]) -> Reply:
    return await call.backends.feed(ReadMember(call.values["handle"]))


async def posts(call: Call[Nothing, PageQuery]) -> Reply:
    query = call.query
    request = ListMemberPosts(call.values["handle"], query.limit, query.cursor)
    return await call.backends.feed(request)


_MEMBER: Final = "/api/v1/members/{handle}"
ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    Route(
        "GET", _MEMBER, member, "A member, by handle", access="guest", rate="read",
        answer=MemberView, tag="members",
    ),
    Route(
        "GET", f"{_MEMBER}/posts", posts, "Their posts in public communities, newest first",
        access="guest", rate="read", query=PageQuery, answer=PostPage, tag="members",
    ),
)  # fmt: skip
