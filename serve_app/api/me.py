"""The caller's own account, and what the caller did with posts and comments."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from msgspec import Meta

from actors.messages import ReadMarks, ReadMe, Reply
from config.errors import AppError
from serve_app.api.call import Call
from serve_app.api.route import Nothing, Route
from serve_app.api.schemas import Marks, Me

# As many as fit into a request line.
MAX_IDS: Final = 200


class MarksQuery(msgspec.Struct, frozen=True):
    ids: Annotated[
        str,
        Meta(
            max_length=MAX_IDS * 37, description=f"Up to {MAX_IDS} ids of posts and comments, a,b,c"
        ),
    ]


async def me(call: Call[Nothing, Nothing]) -> Reply:
    return await call.backends.accounts_read(ReadMe(call.caller))


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
        "GET", "/api/v1/me/marks", marks, "Own votes, saves and read marks", access="member",
        rate="read", query=MarksQuery, answer=Marks, tag="me",
    ),
)  # fmt: skip
