"""Saved posts and comments."""

from __future__ import annotations

from typing import Any, Final

from actors.member_messages import ListSaves, SetSaved
from actors.messages import Reply
from serve_app.api.call import Call
from serve_app.api.member_schemas import SavePage
from serve_app.api.page_query import PageQuery
from serve_app.api.route import Nothing, Route


async def save_post(call: Call[Nothing, Nothing]) -> Reply:
    request = SetSaved(call.caller, "post", call.uuid("post_id"), True)
    return await call.backends.accounts_write(request)


async def unsave_post(call: Call[Nothing, Nothing]) -> Reply:
    request = SetSaved(call.caller, "post", call.uuid("post_id"), False)
    return await call.backends.accounts_write(request)


async def save_comment(call: Call[Nothing, Nothing]) -> Reply:
    request = SetSaved(call.caller, "comment", call.uuid("comment_id"), True)
    return await call.backends.accounts_write(request)


async def unsave_comment(call: Call[Nothing, Nothing]) -> Reply:
    request = SetSaved(call.caller, "comment", call.uuid("comment_id"), False)
    return await call.backends.accounts_write(request)


async def saves(call: Call[Nothing, PageQuery]) -> Reply:
    request = ListSaves(call.caller, call.query.limit, call.query.cursor)
    return await call.backends.accounts_read(request)


_POST: Final = "/api/v1/posts/{post_id}/save"
_COMMENT: Final = "/api/v1/comments/{comment_id}/save"
ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    Route(
        "GET", "/api/v1/me/saves", saves, "Saved posts and comments", access="member",
        rate="read", query=PageQuery, answer=SavePage, tag="saves",
    ),
    Route(
        "PUT", _POST, save_post, "Save a post", access="member", rate="vote", status=204,
        refusals=("suspended",), tag="saves",
    ),
    Route(
        "DELETE", _POST, unsave_post, "Save a post no longer", access="member", rate="vote",
        status=204, tag="saves",
    ),
    Route(
        "PUT", _COMMENT, save_comment, "Save a comment", access="member", rate="vote",
        status=204, refusals=("suspended",), tag="saves",
    ),
    Route(
        "DELETE", _COMMENT, unsave_comment, "Save a comment no longer", access="member",
        rate="vote", status=204, tag="saves",
    ),
)  # fmt: skip
