"""How a text will look, while it is written: rendered by what renders it later."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from actors.messages import RenderMarkdown, Reply
from serve_app.api.call import Call
from serve_app.api.fields import PostText
from serve_app.api.route import Nothing, Route


class PreviewBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    body_markdown: PostText


class Preview(msgspec.Struct, frozen=True):
    body_html: str


async def preview(call: Call[PreviewBody, Nothing]) -> Reply:
    return await call.backends.thread_read(RenderMarkdown(call.body.body_markdown))


ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    Route(
        "POST", "/api/v1/preview", preview, "Markdown as it would be shown", access="member",
        rate="read", body=PreviewBody, answer=Preview, tag="posts",
    ),
)  # fmt: skip
