"""Asking over HTTP and rpc: events in their order, JSON, failures, and clients that go away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import msgspec
import pytest

from actors.assistant_messages import AnswerEvent, AskQuestion, GiveFeedback
from actors.messages import GUEST, Reply
from config.errors import AppError
from serve_app.api.routing import ROUTES, SERVICES
from serve_app.gateway.rpc import Rpc
from tests.gateway_app import (
    AS_MEMBER,
    MEMBER,
    POST_ID,
    REFUSED,
    GatewayUnderTest,
    problem_of,
    running_gateway,
)

pytestmark = pytest.mark.integration

URL = "/api/v1/ask"
QUESTION = {"question": "How much is the German student visa?", "country": "de"}
SOURCES, TOKEN, ANSWER = b'[{"n":1}]', b'{"text":"EUR 75 [1]."}', b'{"mode":"generated"}'
EVENTS = [
    AnswerEvent("sources", SOURCES), AnswerEvent("token", TOKEN), AnswerEvent("answer", ANSWER)
]  # fmt: skip

Ask = Callable[[AskQuestion], AsyncGenerator[AnswerEvent, None]]


def answering(
    gateway: GatewayUnderTest,
    events: list[AnswerEvent],
    *,
    error: AppError | None = None,
    then: Callable[[], Awaitable[None]] | None = None,
) -> list[AskQuestion]:
    """What is asked."""
    asked: list[AskQuestion] = []

    async def ask(request: AskQuestion) -> AsyncGenerator[AnswerEvent, None]:
        asked.append(request)
        for event in events:
            yield event
        if then is not None:
            await then()
        if error is not None:
            raise error

    gateway.backends.ask = ask  # type: ignore[method-assign]
    return asked


async def test_events_come_in_the_order_of_the_contract() -> None:
    async with running_gateway() as (gateway, http):
        asked = answering(gateway, EVENTS)
        async with http.post(URL, json=QUESTION, headers=AS_MEMBER) as response:
            assert response.status == 200
            assert response.content_type == "text/event-stream"
            assert response.headers["Cache-Control"] == "no-store, no-transform"
            assert response.headers["X-Request-Id"]
            body = await response.read()
        assert body.split(b"\n\n") == [
            b"event: sources\ndata: " + SOURCES,
            b"event: token\ndata: " + TOKEN,
            b"event: answer\ndata: " + ANSWER,
            b"",
        ]
        assert asked == [AskQuestion(MEMBER, QUESTION["question"], "DE", None, None)]
        assert gateway.limiter.charged == [("ask", str(MEMBER.account_id), "127.0.0.1")]


async def test_json_is_the_final_answer_alone_and_guests_may_ask() -> None:
    async with running_gateway() as (gateway, http):
        asked = answering(gateway, EVENTS)
        headers = {"Accept": "application/json"}
        async with http.post(URL, json=QUESTION, headers=headers) as response:
            assert response.content_type == "application/json"
            assert await response.read() == ANSWER
        assert asked[0].caller == GUEST


async def test_failures_are_problems_before_the_first_event_and_events_after_it() -> None:
    async with running_gateway() as (gateway, http):
        error = AppError("unavailable", "The search is restarting.", retry_after_seconds=2)
        answering(gateway, [], error=error)
        for headers in ({}, {"Accept": "application/json"}):
            async with http.post(URL, json=QUESTION, headers=headers) as response:
                assert response.status == 503
                assert (await problem_of(response))["code"] == "unavailable"
                assert response.headers["Retry-After"] == "2"
        answering(gateway, EVENTS[:1], error=error)
        async with http.post(URL, json=QUESTION) as response:
            assert response.status == 200
            *_, last, rest = (await response.text()).split("\n\n")
        assert rest == ""
        name, data = last.split("\ndata: ")
        assert name == "event: error"
        assert msgspec.json.decode(data)["code"] == "unavailable"


async def test_bad_questions_are_refused() -> None:
    async with running_gateway() as (gateway, http):
        answering(gateway, EVENTS)
        bodies: tuple[Any, ...] = (
            {"question": "ab"},
            {"question": " " * 10},
            {"question": "x" * 1_001},
            {"question": "How much?", "country": "XX"},
            {"question": "How much?", "country": "Germany"},
            {"question": "How much?", "language": "not a language"},
            {"question": "How\u0000 much?"},
            {"question": "How much?", "temperature": 2},
            [],
        )
        for body in bodies:
            async with http.post(URL, json=body) as response:
                assert response.status == 400, body
                assert (await problem_of(response))["code"] == "invalid"
        gateway.limiter.verdict = REFUSED
        async with http.post(URL, json=QUESTION) as response:
            assert response.status == 429


async def test_who_goes_away_ends_the_work() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with running_gateway() as (gateway, http):
        for headers in ({}, {"Accept": "application/json"}):
            begun.clear()
            ended.clear()
            answering(gateway, EVENTS[:1], then=hang)
            request: Any = asyncio.ensure_future(http.post(URL, json=QUESTION, headers=headers))
            async with asyncio.timeout(30):
                await begun.wait()
                if headers:
                    request.cancel()
                    await asyncio.wait({request})
                else:
                    (await request).close()
                await ended.wait()


async def test_feedback_goes_to_the_assistant_for_members() -> None:
    async with running_gateway() as (gateway, http):
        gateway.backends.answer = lambda request: Reply(204)
        path = f"{URL}/{POST_ID}/feedback"
        async with http.post(path, json={"verdict": "wrong", "note": "Old."}) as response:
            assert response.status == 401
        for body in ({"verdict": "maybe"}, {"verdict": "wrong", "note": "x" * 2_001}):
            async with http.post(path, json=body, headers=AS_MEMBER) as response:
                assert response.status == 400
        body = {"verdict": "wrong", "note": "Old."}
        async with http.post(path, json=body, headers=AS_MEMBER) as response:
            assert response.status == 204
        (request,) = gateway.backends.requests
        assert isinstance(request, GiveFeedback)
        assert (request.verdict, request.note, request.caller) == ("wrong", "Old.", MEMBER)


async def test_rpc_answers_the_final_form() -> None:
    async with running_gateway() as (gateway, _):
        asked = answering(gateway, EVENTS)
        rpc = Rpc(ROUTES, gateway.app[SERVICES])
        params = msgspec.json.encode(QUESTION)
        assert await rpc.call(MEMBER, "192.0.2.1", f"POST {URL}", params) == ANSWER
        assert asked[0].country == "DE"
        for method, given in ((f"POST {URL}", b"null"), (f"POST {URL}", b"[]")):
            with pytest.raises(AppError, match="invalid"):
                await rpc.call(MEMBER, "192.0.2.1", method, given)
        with pytest.raises(AppError, match="not_found"):
            await rpc.call(MEMBER, "192.0.2.1", URL, params)
        with pytest.raises(AppError, match="not_found"):
            await rpc.call(MEMBER, "192.0.2.1", f"POST {URL}/{POST_ID}/feedback", b"{}")
