"""The assistant's routes with the real actor behind them: whatever it answers is documented, and
how often it asks the database."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial
from typing import Any, Final

import aiohttp
import asyncpg
import msgspec
import pytest

from actors.assistant import Assistant
from actors.assistant_messages import AnswerEvent, AskQuestion, AssistantRequest, FinalAnswer
from actors.messages import Failure, Reply
from config.errors import AppError
from serve_app.api import ask
from serve_app.api.route import Route
from storage.identity import new_id
from tests.gateway_app import AS_MEMBER, MEMBER, GatewayUnderTest, running_gateway
from tests.integration.assistant_world import ENGLISH, AssistantWorld, assistant_world
from tests.integration.test_documented_codes import code_of
from tests.integration.test_statement_counts import _listen, statements

pytestmark = pytest.mark.integration

ASK, FEEDBACK = ask.ROUTES
_AS_JSON: Final = {"Accept": "application/json"}


@pytest.fixture
async def world(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[AssistantWorld]:
    create_pool: Any = asyncpg.create_pool
    monkeypatch.setattr(asyncpg, "create_pool", partial(create_pool, init=_listen))
    async with assistant_world(database_url) as world:
        yield world


def served(gateway: GatewayUnderTest, assistant: Assistant) -> None:
    async def ask(request: AskQuestion) -> AsyncGenerator[AnswerEvent, None]:
        async for event in assistant.ask(request):
            yield event

    async def call(request: AssistantRequest) -> Reply:
        (outcome,) = await assistant.handle_batch([request])
        if isinstance(outcome, Failure):
            raise outcome.error()
        return outcome

    gateway.backends.ask = ask  # type: ignore[method-assign]
    gateway.backends.assistant = call  # type: ignore[method-assign]


async def test_what_the_assistant_answers_is_documented(world: AssistantWorld) -> None:
    await world.guide()
    body = {"question": ENGLISH}
    feedback = {"verdict": "helpful"}
    async with running_gateway() as (gateway, http):
        served(gateway, world.assistant())

        async def code(route: Route[Any, Any], json: Any, path: str = "", **headers: str) -> str:
            return await code_of(http, route, path, json=json, headers=headers)

        assert await code(ASK, body, **_AS_JSON) == "ok"
        unknown = f"{ask.ROUTES[0].path}/{new_id(276)}/feedback"
        assert await code(FEEDBACK, feedback, unknown, **AS_MEMBER) == "not_found"
        assert await code(FEEDBACK, feedback, unknown) == "unauthenticated"
        no_id = f"{ask.ROUTES[0].path}/x/feedback"
        assert await code(FEEDBACK, feedback, no_id, **AS_MEMBER) == "not_found"
        assert await code(ASK, {"question": "?"}) == "invalid"
        for refusal in ("unavailable", "overloaded"):
            world.failure = AppError(refusal)
            assert await code(ASK, {"question": f"{refusal}: {ENGLISH}"}) == refusal


async def test_how_often_it_asks_the_database(world: AssistantWorld) -> None:
    """Of a hit in the cache, a miss, and feedback; retrieval has a table of its own."""
    await world.guide()
    await world.pool.execute(
        "insert into account (id, handle, display_name, stream_id) values ($1, 'amina', 'A', 1)",
        MEMBER.account_id,
    )
    async with running_gateway() as (gateway, http):
        served(gateway, world.assistant())
        for headers in (_AS_JSON, _AS_JSON | AS_MEMBER):
            answer = await answer_of(http, ENGLISH, headers)  # statements are prepared
        statements.clear()
        await answer_of(http, ENGLISH, _AS_JSON)
        assert len(statements) == 1, statements
        statements.clear()
        await answer_of(http, ENGLISH, _AS_JSON | AS_MEMBER)
        assert len(statements) == 2, statements
        statements.clear()
        await answer_of(http, f"{ENGLISH} Really?", _AS_JSON)
        # The look into the cache, what the test finds its passages by, and what is kept.
        assert len(statements) == 2 + 5, statements
        statements.clear()
        path = FEEDBACK.path.format(answer_id=answer.answer_id)
        async with http.post(path, json={"verdict": "wrong"}, headers=AS_MEMBER) as response:
            assert response.status == 204
        assert len(statements) == 1, statements


async def answer_of(
    http: aiohttp.ClientSession, question: str, headers: dict[str, str]
) -> FinalAnswer:
    async with http.post(ASK.path, json={"question": question}, headers=headers) as response:
        assert response.status == 200, await response.text()
        return msgspec.json.decode(await response.read(), type=FinalAnswer)
