"""The engine of OpenAI-compatible servers, against one that misbehaves in every way we know."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from aiohttp import web

from actors.llm import Llm
from actors.llm_messages import GenerateText
from actors.member_budget import MemberBudget
from ai.engines.engine import ChatMessage, Generation
from ai.engines.openai_http import OpenAiHttp
from config.errors import AppError
from config.llm import Llm as Settings
from tests.openai_server import DONE, FINISH, Behaviour, OpenAiServer, answers, event, writes

pytestmark = pytest.mark.integration

KEY = "sk-secret"
ASKED = Generation(
    (ChatMessage("system", "Be brief."), ChatMessage("user", "Which form?")),
    max_tokens=7,
    temperature=0.5,
    stop=("\n",),
)
BEGUN = event("Form ")


@pytest.fixture
async def server() -> AsyncIterator[OpenAiServer]:
    async with OpenAiServer() as running:
        yield running


@pytest.fixture
async def engine(server: OpenAiServer) -> AsyncIterator[OpenAiHttp]:
    made = OpenAiHttp(server.endpoint, "some-model", api_key=KEY)
    yield made
    await made.close()


async def pieces_of(engine: OpenAiHttp, generation: Generation = ASKED) -> list[str]:
    async with aclosing(engine.stream(generation)) as pieces:
        return [piece async for piece in pieces]


async def test_what_is_asked_and_what_comes(server: OpenAiServer, engine: OpenAiHttp) -> None:
    assert engine.health() == "idle"
    for _ in range(2):
        assert await pieces_of(engine) == ["Form ", "I-20"]
    assert engine.health() == "ready"
    assert engine.statistics().running == 0
    assert server.keys == [f"Bearer {KEY}"] * 2
    assert server.requests[0] == {
        "model": "some-model",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Which form?"},
        ],
        "max_tokens": 7,
        "temperature": 0.5,
        "stop": ["\n"],
        "stream": True,
    }


@pytest.mark.parametrize(
    "end", [FINISH, DONE, FINISH + b'data: {"choices":[],"usage":{"total_tokens":3}}\n\n' + DONE]
)
async def test_each_way_to_end(server: OpenAiServer, engine: OpenAiHttp, end: bytes) -> None:
    server.behave = writes(b": ping\n\n", BEGUN[:9], BEGUN[9:], end)
    assert await pieces_of(engine) == ["Form "]


async def test_who_goes_away_hangs_up(server: OpenAiServer, engine: OpenAiHttp) -> None:
    server.behave = server.hang
    async with aclosing(engine.stream(ASKED)) as pieces:
        assert await anext(pieces) == "Form "
    async with asyncio.timeout(30):
        await server.hung_up.wait()
    assert engine.statistics().running == 0


LOG = "a line of 64 bytes that does not end " * 4_000
MISBEHAVIOURS: dict[str, tuple[Behaviour, str]] = {
    "cut off": (writes(BEGUN), "unavailable"),
    "no JSON": (writes(BEGUN, b"data: <html>\n\n"), "unavailable"),
    "other JSON": (writes(BEGUN, b'data: {"choices":7}\n\n'), "unavailable"),
    "no text": (writes(BEGUN, b'data: "\xff"\n\n'), "unavailable"),
    "an error inside": (writes(BEGUN, b'data: {"error":{"message":"x"}}\n\n'), "unavailable"),
    "an endless line": (writes(BEGUN, b"data: " + LOG.encode()), "unavailable"),
    "no events": (answers(200, "<html>Welcome</html>"), "unavailable"),
    "broken": (answers(500, "Traceback"), "unavailable"),
    "no such model": (answers(404, '{"error":{"code":"model_not_found"}}'), "unavailable"),
    "another key": (answers(401), "unavailable"),
    "moved": (answers(302, Location="http://127.0.0.1:9/v1/chat/completions"), "unavailable"),
    "busy": (answers(429, **{"Retry-After": "7"}), "overloaded"),
    "refused": (answers(400, '{"error":{"code":"no_such_field"}}'), "invalid"),
    "too long": (answers(400, '{"error":{"code":"context_length_exceeded"}}'), "too_large"),
    "too long for vLLM": (
        answers(400, '{"error":{"code":400,"message":"The maximum context length is 5 tokens"}}'),
        "too_large",
    ),
    "too long for llama.cpp": (
        answers(400, '{"error":{"code":400,"type":"exceed_context_size_error"}}'),
        "too_large",
    ),
}


@pytest.mark.parametrize("name", MISBEHAVIOURS)
async def test_misbehaviour_is_a_typed_error(
    server: OpenAiServer, engine: OpenAiHttp, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "ai")
    server.behave, code = MISBEHAVIOURS[name]
    with pytest.raises(AppError) as raised:
        await pieces_of(engine)
    assert raised.value.code == code
    assert (engine.health() == "away") is (code == "unavailable")
    if code == "overloaded":
        assert raised.value.retry_after_seconds == 7
    said = caplog.text + raised.value.detail
    assert KEY not in said and "Which form" not in said


async def test_an_answer_without_end_is_left(server: OpenAiServer, engine: OpenAiHttp) -> None:
    async def forever(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        while True:
            await response.write(b": nothing\n" * 1_000)

    server.behave = forever
    with pytest.raises(AppError, match="no end"):
        await pieces_of(engine)


async def test_silence_is_a_failure(server: OpenAiServer) -> None:
    engine = OpenAiHttp(server.endpoint, "some-model", silence_seconds=0.1)
    server.behave = server.hang
    with pytest.raises(AppError) as raised:
        await pieces_of(engine)
    assert raised.value.code == "unavailable"
    await engine.close()
    with pytest.raises(AppError, match="does not answer"):
        await pieces_of(engine)


async def test_nobody_there_is_a_failure() -> None:
    engine = OpenAiHttp("http://127.0.0.1:9/v1", "some-model")
    with pytest.raises(AppError) as raised:
        await pieces_of(engine)
    assert raised.value.code == "unavailable"
    await engine.close()


@pytest.mark.parametrize("fault", ["hangs", "garbage", "broken"])
async def test_the_breaker_opens_and_closes_again(server: OpenAiServer, fault: str) -> None:
    """The actor and the engine together: a server that is broken is soon not asked at all."""
    good = server.behave
    engine = OpenAiHttp(server.endpoint, "some-model")
    seconds = [1_000.0]
    # A behaving server on a busy machine must not seem silent.
    first_token = 0.2 if fault == "hangs" else 30.0
    settings = Settings(failures_to_open=2, open_seconds=10, first_token_seconds=first_token)
    llm = Llm(engine, settings, MemberBudget(0, None), clock=lambda: seconds[0])

    async def text() -> str:
        async with aclosing(llm.stream(GenerateText(ASKED))) as chunks:
            return "".join([chunk.text async for chunk in chunks])

    server.behave = {
        "hangs": server.hang_silently,
        "garbage": answers(200, "<html>"),
        "broken": answers(502),
    }[fault]
    said = []
    for _ in range(4):
        with pytest.raises(AppError) as raised:
            await text()
        said.append(raised.value.code)
    # Silence may be the fault of what was asked, until it is that of two.
    first = "overloaded" if fault == "hangs" else "unavailable"
    assert said == [first, first, "unavailable", "unavailable"]
    assert len(server.requests) == 2
    server.behave = good
    async with asyncio.timeout(60):
        while True:  # on a machine so busy that even this one seems to hang, one tries again
            seconds[0] += 1_000
            with contextlib.suppress(AppError):
                assert await text() == "Form I-20"
                break
    assert not llm.statistics().is_open
    await llm.close()
