"""The LLM deployment as its callers have it: client, Serve (in this process), actor, engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from ray import serve

from actors.llm import LlmStatistics
from ai.engines.engine import ChatMessage, Generation
from config.errors import AppError
from config.llm import Llm
from config.settings import Redis, Settings
from serve_app.ai_deployments import LlmDeployment
from serve_app.deployment_stream import deployment_stream
from serve_app.llm_client import LlmClient
from tests.openai_server import OpenAiServer, answers

pytestmark = pytest.mark.integration

QUESTION = Generation((ChatMessage("user", "Which form?"),), deadline_seconds=60)


@pytest.fixture
async def server() -> AsyncIterator[OpenAiServer]:
    async with OpenAiServer() as running:
        yield running


async def test_from_the_caller_to_the_engine_and_back(server: OpenAiServer, redis_url: str) -> None:
    llm = Llm(engine="openai", endpoint=server.endpoint, model="m", failures_to_open=1)
    settings = Settings(llm=llm, redis=Redis(url=redis_url))
    deployment: Any = serve.deployment(LlmDeployment, name="llm")
    application = deployment.bind(settings)
    handle = serve.run(application, name="llm", route_prefix=None, _local_testing_mode=True)
    client = LlmClient(llm, deployment_stream(handle))

    async def statistics() -> LlmStatistics:
        answer = await handle.options(method_name="statistics").remote()
        return msgspec.msgpack.decode(answer, type=LlmStatistics)

    async with aclosing(client.stream(QUESTION, account_id=uuid4())) as pieces:
        assert "".join([piece async for piece in pieces]) == "Form I-20"

    server.behave = server.hang
    async with aclosing(client.stream(QUESTION, account_id=None)) as pieces:
        assert await anext(pieces) == "Form "
        assert (await statistics()).running == 1
    async with asyncio.timeout(30):
        await server.hung_up.wait()
        while (await statistics()).running:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    server.behave = answers(500)
    with pytest.raises(AppError) as raised:
        await anext(client.stream(QUESTION, account_id=None))
    assert raised.value.code == "unavailable"
    shown = await statistics()
    assert shown.is_open and shown.engine.health == "away"
