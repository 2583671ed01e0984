"""The caller's own account, and what the caller did with posts and comments."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from msgspec import Meta

from actors.account_messages import ReadMe
from actors.member_messages import UpdateMe
from actors.messages import ReadMarks, Reply
from config.errors import AppError
from serve_app.api.call import Call
from serve_app.api.fields import DisplayName, FollowLevel, Languages
from serve_app.api.route import Nothing, Route
from serve_app.api.schemas import Marks, Me

# As many as fit into a request line.
MAX_IDS: Final = 200


class MarksQuery(msgspec.Struct, frozen=True):
    ids: Annotated[
        str,
        Meta(
            max_length=MAX_IDS * 37,
            description=f"Up to {MAX_IDS} ids of posts, comments and communities, a,b,c",
        ),
    ]


class MePatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is absent or null stays as it is. `default_follow_level`: what threads that the account
    takes part in are followed with, by itself."""

    display_name: DisplayName | None = None
    languages: Languages | None = None
    default_follow_level: FollowLevel | None = None


async def me(call: Call[Nothing, Nothing]) -> Reply:
    return await call.backends.accounts_read(ReadMe(call.caller))


async def update(call: Call[MePatch, Nothing]) -> Reply:
    patch = call.body
    if patch == MePatch():
        raise AppError("invalid", "The body names nothing to change.")
    request = UpdateMe(call.caller, patch.display_name, patch.languages, patch.default_follow_level)
    return await call.backends.accounts_write(request)


async def marks(call: Call[Nothing, MarksQuery]) -> Reply:
    texts = [text for text in call.query.ids.split(",") if text]
    if len(texts) > MAX_IDS:
        raise AppError("invalid", errors=(("ids", f"Expected at most {MAX_IDS} ids"),))
    try:
        ids = tuple(dict.fromkeys(msgspec.convert(texts, list[UUID])))
    except msgspec.ValidationError:
        raise AppError("invalid", errors=(("ids", "Expected ids, separated by commas"),)) from None
    return await call.backends.thread_read(ReadMarks(call.caller, ids))


ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    Route(
        "GET", "/api/v1/me", me, "The own account", access="member", rate="read", answer=Me,
        refusals=("suspended",), tag="me",
    ),
    Route(
        "PATCH", "/api/v1/me", update, "Change the own account's settings", access="member",
        rate="write", body=MePatch, answer=Me, refusals=("suspended",), tag="me",
    ),
    Route(
        "GET", "/api/v1/me/marks", marks, "Own votes, saves, follows and read marks",
        access="member", rate="read", query=MarksQuery, answer=Marks, tag="me",
    ),
)  # fmt: skip
