"""The assistant: questions, answered as server-sent events or as one JSON document; feedback.

The stream is bounded in time, and ends with its client: what is being generated for somebody who
has gone away is cancelled. Between events a comment keeps proxies from closing the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from aiohttp import ClientConnectionResetError, hdrs, web
from msgspec import Meta

from actors.assistant_messages import (
    AnswerEvent,
    AskQuestion,
    FinalAnswer,
    GiveFeedback,
    Verdict,
)
from actors.messages import Reply
from config.errors import AppError
from config.reference import countries_by_alpha2
from serve_app.api.call import Call
from serve_app.api.errors import problem_response
from serve_app.api.fields import Country, Language, VisaType
from serve_app.api.route import Nothing, Route

EVENTS: Final = "text/event-stream"
_JSON: Final = "application/json"
# Of a whole answer, waiting for the model included.
_MOST_SECONDS: Final = 120.0
_HEARTBEAT_SECONDS: Final = 10.0
# How often a client that has gone away is noticed while nothing is written to it.
_LOOK_SECONDS: Final = 0.5
_HEARTBEAT: Final = b": still at it\n\n"
_HEADERS: Final = {
    hdrs.CONTENT_TYPE: f"{EVENTS}; charset=utf-8",
    hdrs.CACHE_CONTROL: "no-store, no-transform",
    # nginx would keep the stream back until it has collected a buffer full of it.
    "X-Accel-Buffering": "no",
}


class QuestionBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`language`: of the answer's own words; without it, that of the question. Without `country`
    the one that the question names."""

    question: Annotated[str, Meta(min_length=3, max_length=1_000)]
    country: Country | None = None
    visa_type: VisaType | None = None
    language: Language | None = None


class FeedbackBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`note` is read by people."""

    verdict: Verdict
    note: Annotated[str, Meta(max_length=2_000)] = ""


async def ask(call: Call[QuestionBody, Nothing]) -> Reply | web.StreamResponse:
    events = call.backends.ask(_question(call))
    if call.http is not None and _wants_events(call.http):
        return await _stream(call, call.http, events)
    try:
        async with asyncio.timeout(_MOST_SECONDS), aclosing(_watched(call.http, events)) as watched:
            async for event in watched:
                if event is not None and event.name == "answer":
                    return Reply(body=event.data)
    except TimeoutError:
        raise _late() from None
    raise AppError("unavailable", "The assistant gave no answer.")


def _late() -> AppError:
    return AppError("unavailable", "The answer took too long.")


def _question(call: Call[QuestionBody, Nothing]) -> AskQuestion:
    body = call.body
    country = body.country.upper() if body.country is not None else None
    if country is not None and country not in countries_by_alpha2():
        raise AppError("invalid", "There is no such country.", errors=(("country", "is unknown"),))
    if not body.question.strip():
        raise AppError("invalid", "Ask something.", errors=(("question", "is blank"),))
    return AskQuestion(call.caller, body.question, country, body.visa_type, body.language)


def _wants_events(request: web.Request) -> bool:
    accept = request.headers.get(hdrs.ACCEPT, "").lower()
    return EVENTS in accept or _JSON not in accept


async def _stream(
    call: Call[Any, Any], request: web.Request, events: AsyncGenerator[AnswerEvent, None]
) -> web.StreamResponse:
    """A failure before the first event is an answer of its own, later ones are the last event."""
    async with aclosing(_watched(request, events)) as watched:
        first = await anext(watched, None)
        response = web.StreamResponse(headers=_HEADERS)
        response.headers.update(call.headers)
        call.services.headers.complete(request, response, call.request_id)
        try:
            await response.prepare(request)
            await response.write(_framed(first))
            try:
                async with asyncio.timeout(_MOST_SECONDS):
                    async for event in watched:
                        await response.write(_framed(event))
            except (TimeoutError, AppError) as error:
                failure = error if isinstance(error, AppError) else _late()
                await response.write(_problem(failure, call.request_id))
            await response.write_eof()
        except ClientConnectionResetError:
            pass  # nobody is left to be told
        return response


def _framed(event: AnswerEvent | None) -> bytes:
    """JSON of one line needs no further care."""
    return _HEARTBEAT if event is None else _event(event.name, event.data)


def _event(name: str, data: bytes) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


def _problem(error: AppError, request_id: str) -> bytes:
    body = problem_response(error, request_id).body
    assert isinstance(body, bytes)
    return _event("error", body)


async def _watched(
    request: web.Request | None, events: AsyncGenerator[AnswerEvent, None]
) -> AsyncGenerator[AnswerEvent | None, None]:
    """The events, until the client has gone away; None where a heartbeat is due."""
    loop = asyncio.get_running_loop()
    next_beat = loop.time() + _HEARTBEAT_SECONDS
    waiting: asyncio.Task[AnswerEvent | None] | None = None
    try:
        while True:
            if waiting is None:
                waiting = asyncio.create_task(_next(events))
            await asyncio.wait({waiting}, timeout=_LOOK_SECONDS)
            if waiting.done():
                event, waiting = waiting.result(), None
                if event is None:
                    return
                next_beat = loop.time() + _HEARTBEAT_SECONDS
                yield event
            elif _is_gone(request):
                return
            elif loop.time() >= next_beat:
                next_beat = loop.time() + _HEARTBEAT_SECONDS
                yield None
    finally:
        if waiting is not None:
            waiting.cancel()
            await asyncio.wait({waiting})
        await events.aclose()


async def _next(events: AsyncGenerator[AnswerEvent, None]) -> AnswerEvent | None:
    return await anext(events, None)


def _is_gone(request: web.Request | None) -> bool:
    return request is not None and (request.transport is None or request.transport.is_closing())


async def feedback(call: Call[FeedbackBody, Nothing]) -> Reply:
    answer_id: UUID = call.uuid("answer_id")
    return await call.backends.assistant(
        GiveFeedback(call.caller, answer_id, call.body.verdict, call.body.note)
    )


_P: Final = "/api/v1/ask"
ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    Route(
        "POST", _P, ask,
        "Ask the assistant. Events: `sources`, then `token`s, then `answer`; `error`. With"
        " `Accept: application/json` the final answer alone",
        access="guest", rate="ask", body=QuestionBody, answer=FinalAnswer, streams=True,
        by_rpc=True, tag="assistant",
    ),
    Route(
        "POST", f"{_P}/{{answer_id}}/feedback", feedback,
        "Say whether an answer was helpful or wrong", access="member", rate="vote",
        body=FeedbackBody, status=204, tag="assistant",
    ),
)  # fmt: skip
