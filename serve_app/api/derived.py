"""What machines make of a thread: its summary, and translations."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from actors.messages import AskTranslation, ReadSummary, ReadTranslation, Reply
from actors.summary_reads import ThreadSummary
from actors.translations import Translation
from serve_app.api.call import Call
from serve_app.api.fields import Language
from serve_app.api.route import Nothing, Route
from serve_app.api.schemas import Stream


class SummaryAnswer(ThreadSummary, frozen=True, kw_only=True):
    stream: Stream


class TranslationQuery(msgspec.Struct, frozen=True):
    to: Language


class TranslationBody(msgspec.Struct, frozen=True):
    to: Language


async def summary(call: Call[Nothing, Nothing]) -> Reply:
    return await call.backends.thread_read(ReadSummary(call.caller, call.uuid("post_id")))


async def post_translation(call: Call[Nothing, TranslationQuery]) -> Reply:
    request = ReadTranslation(call.caller, "post", call.uuid("post_id"), call.query.to)
    return await call.backends.thread_read(request)


async def comment_translation(call: Call[Nothing, TranslationQuery]) -> Reply:
    request = ReadTranslation(call.caller, "comment", call.uuid("comment_id"), call.query.to)
    return await call.backends.thread_read(request)


async def translate_post(call: Call[TranslationBody, Nothing]) -> Reply:
    request = AskTranslation(call.caller, "post", call.uuid("post_id"), call.body.to)
    return await call.backends.thread_write(request)


async def translate_comment(call: Call[TranslationBody, Nothing]) -> Reply:
    request = AskTranslation(call.caller, "comment", call.uuid("comment_id"), call.body.to)
    return await call.backends.thread_write(request)


_POST: Final = "/api/v1/posts/{post_id}"
_COMMENT: Final = "/api/v1/comments/{comment_id}/translation"
_REFUSALS: Final = ("not_supported", "suspended", "too_large")
ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    Route(
        "GET", f"{_POST}/summary", summary, "What a long thread says, made by a machine",
        access="guest", rate="read", answer=SummaryAnswer, shared="everyone", tag="posts",
    ),
    Route(
        "GET", f"{_POST}/translation", post_translation, "A translation that was asked for",
        access="guest", rate="read", query=TranslationQuery, answer=Translation, tag="posts",
    ),
    Route(
        "POST", f"{_POST}/translation", translate_post,
        "Ask for a post in another language, where the server's model translates",
        access="member", rate="ask", body=TranslationBody, answer=Translation,
        refusals=_REFUSALS, tag="posts",
    ),
    Route(
        "GET", _COMMENT, comment_translation, "A translation that was asked for", access="guest",
        rate="read", query=TranslationQuery, answer=Translation, tag="comments",
    ),
    Route(
        "POST", _COMMENT, translate_comment,
        "Ask for a comment in another language, where the server's model translates",
        access="member", rate="ask", body=TranslationBody, answer=Translation,
        refusals=_REFUSALS, tag="comments",
    ),
)  # fmt: skip
