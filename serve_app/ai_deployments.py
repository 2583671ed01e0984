"""The deployments that search, answer and write; as in deployments.py."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from actors.messages import Failure
from config.errors import AppError
from config.settings import Settings
from serve_app.collector import relax_collector
from serve_app.deployments import (
    CalledDeployment,
    encode,
    llm_client,
    sender_of,
    start_logging,
)
from storage.postgres import connect


class SearchDeployment(CalledDeployment):
    """One replica where the engine is embedded: it owns the folder of the index."""

    async def __init__(self, settings: Settings) -> None:  # type: ignore[misc]
        from actors.by_words import EngineWords
        from actors.embedding import Embedders
        from actors.retrieval import Retriever
        from actors.search import Search
        from actors.search_messages import SearchRequest
        from storage.chunk_search import SEARCH_SETTINGS
        from storage.search.engines import open_engine

        start_logging(settings)
        self._pool = await connect(
            settings.postgres.url, settings.postgres, application_name="search"
        )
        self._chunks = await connect(
            settings.postgres.url,
            settings.postgres,
            application_name="search by meaning",
            more_settings=SEARCH_SETTINGS,
            keeps_session=True,
        )
        self._engine = open_engine(settings)
        self._embedders = Embedders(settings.embedding, in_background=False)
        by_words = EngineWords(self._pool, self._engine)
        retriever = Retriever(self._chunks, self._embedders, by_words, settings.guides)
        self._search = Search(self._pool, self._engine, settings.guides, retriever)
        self._search.start()
        await self._listen(settings, "search", SearchRequest, self._search.handle_batch)
        relax_collector()

    async def check_health(self) -> None:
        self._search.check_health()

    async def __del__(self) -> None:
        await self._server.close()
        await self._search.close()
        await self._engine.close()
        self._embedders.close()
        await self._chunks.close()
        await self._pool.close()


class LlmDeployment:
    """A replica is an engine with a queue of its own. It gets no batches: a call is a stream, and
    what cancels the call cancels the generation."""

    async def __init__(self, settings: Settings) -> None:  # type: ignore[misc]
        from actors.llm import Llm
        from actors.llm_messages import GenerateText
        from actors.member_budget import MemberBudget
        from ai.engines.chosen import chosen_engine
        from storage.redis import RedisGuard, open_redis
        from storage.spent_tokens import SpentTokens

        start_logging(settings)
        self._redis = RedisGuard(open_redis(settings.redis.url))
        self._redis.start()
        engine = chosen_engine(settings.llm, gpus=settings.deployments.llm.num_gpus)
        budget = MemberBudget(settings.llm.member_tokens_per_day, SpentTokens(self._redis))
        self._llm = Llm(engine, settings.llm, budget)
        if not settings.llm.is_built_in:
            self._llm.start()  # else a laptop pays for it only when somebody asks
        self._decoder = msgspec.msgpack.Decoder(GenerateText)

    async def stream(self, payload: bytes) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._llm.stream(self._decoder.decode(payload))) as chunks:
            try:
                async for chunk in chunks:
                    yield encode(chunk)
            except AppError as error:
                yield encode(Failure.of(error))

    async def statistics(self) -> bytes:
        return encode(self._llm.statistics())

    def check_health(self) -> None:
        self._llm.check_health()

    def record_autoscaling_stats(self) -> dict[str, float]:
        return {"depth": self._llm.depth}

    async def __del__(self) -> None:
        await self._llm.close()
        await self._redis.close()


class AssistantDeployment(CalledDeployment):
    """Answers are streams, as the model's are; feedback comes in batches."""

    async def __init__(self, settings: Settings) -> None:  # type: ignore[misc]
        from actors.assistant import Assistant
        from actors.assistant_messages import AskQuestion, AssistantRequest
        from serve_app.search_client import SearchClient

        start_logging(settings)
        self._pool = await connect(
            settings.postgres.url, settings.postgres, application_name="assistant"
        )
        self._search = SearchClient(sender_of(settings, "search"))
        self._assistant = Assistant(
            self._pool, self._search.retrieve, llm_client(settings), settings.assistant
        )
        self._questions = msgspec.msgpack.Decoder(AskQuestion)
        self._streams = 0
        await self._listen(settings, "assistant", AssistantRequest, self._assistant.handle_batch)

    async def stream(self, payload: bytes) -> AsyncGenerator[bytes, None]:
        self._streams += 1
        try:
            async with aclosing(self._assistant.ask(self._questions.decode(payload))) as events:
                try:
                    async for event in events:
                        yield encode(event)
                except AppError as error:
                    yield encode(Failure.of(error))
        finally:
            self._streams -= 1

    def record_autoscaling_stats(self) -> dict[str, float]:
        return {"calls": self._server.ongoing + self._streams}

    async def __del__(self) -> None:
        await self._server.close()
        await self._search.close()
        await self._pool.close()
