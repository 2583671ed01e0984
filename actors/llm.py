"""The LLM actor: one engine, and what keeps many askers from drowning it.

    arrival ─▶ room in the queue? ─▶ breaker closed? ─▶ member's budget ─▶ wait for a turn ─▶ engine
               429                   503                429                deadline

Streams that have their turn run in the engine at the same time; batching them is its work. A stream
ends in the engine when its reader goes away, at the deadline, and at the cap of tokens.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Final
from uuid import UUID

import msgspec

from actors.circuit_breaker import (
    CLOSED,
    Answer,
    BreakerRule,
    BreakerState,
    begin,
    end,
    refused_for,
)
from actors.llm_messages import GenerateText, TextChunk
from actors.llm_metrics import (
    BREAKERS_OPEN,
    FIRST_TOKEN_SECONDS,
    OUTCOMES,
    RUNNING,
    TOKEN_RATE,
    TOKENS,
    WAITING,
)
from actors.member_budget import MemberBudget
from ai.engines.engine import Engine, EngineStatistics, Generation
from config.errors import AppError
from config.llm import Llm as LlmSettings

_log = logging.getLogger(__name__)

# A chunk costs a Serve call's time, a token costs less: one chunk carries what came in this time.
_CHUNK_SECONDS: Final = 0.04
_BYTES_PER_TOKEN: Final = 4
# Few tokens stand for more: what is longer can't fit, and need not be sent to the engine.
_MOST_BYTES_PER_TOKEN: Final = 16
_RETRY_SECONDS: Final = 5.0
_LATE: Final = "The answer took too long."


class LlmStatistics(msgspec.Struct, frozen=True):
    engine: EngineStatistics
    waiting: int
    running: int
    is_open: bool
    """Nobody asks the engine: it has failed too often."""


class _Bill:
    tokens = 0


class _Outbox:
    """What the engine has written and nobody has sent."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self.has_some = asyncio.Event()

    def put(self, piece: str) -> None:
        self._pieces.append(piece)
        self.has_some.set()

    def take(self) -> TextChunk:
        chunk = TextChunk("".join(self._pieces), len(self._pieces))
        self._pieces.clear()
        self.has_some.clear()
        return chunk


class Llm:
    def __init__(
        self,
        engine: Engine,
        settings: LlmSettings,
        budget: MemberBudget,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` is the breaker's, in seconds."""
        self._clock = clock
        self._engine = engine
        self._settings = settings
        self._budget = budget
        self._turns = asyncio.Semaphore(settings.turns)
        self.depth: int = 0
        """Streams that run and that wait: what autoscaling goes by."""
        self._running = 0
        self._starting: asyncio.Task[None] | None = None
        self._breaker = CLOSED
        self._rule = BreakerRule(settings.failures_to_open, settings.open_seconds)

    async def stream(self, request: GenerateText) -> AsyncGenerator[TextChunk, None]:
        """Closing it, or cancelling who waits for it, ends the generation in the engine. Raises
        AppError as `Engine.stream` does, 'overloaded' at the deadline, and 'rate_limited' where too
        many wait or the budget is used up: until midnight, which `retry_after_seconds` says."""
        outcome = "cancelled"
        self._refuse_if_full()
        self.depth += 1
        self._show_depth()
        try:
            async with aclosing(self._admitted(request)) as chunks:
                async for chunk in chunks:
                    yield chunk
            outcome = "answered"
        except AppError as error:
            outcome = error.code
            raise
        except Exception:
            outcome = "internal"
            raise
        finally:
            self.depth -= 1
            self._show_depth()
            OUTCOMES.labels(outcome).inc()

    def statistics(self) -> LlmStatistics:
        return LlmStatistics(
            self._engine.statistics(),
            waiting=self.depth - self._running,
            running=self._running,
            is_open=bool(self._breaker.open_until),
        )

    def check_health(self) -> None:
        """Raises RuntimeError where only a new process helps."""
        if self._engine.health() == "dead":
            raise RuntimeError("the engine is dead")

    def start(self) -> None:
        """Begins to load the model; who asks meanwhile waits for it."""
        self._starting = asyncio.create_task(self._start(), name="llm-start")

    async def close(self) -> None:
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait([self._starting])
        await self._engine.close()

    async def _start(self) -> None:
        try:
            await self._engine.start()
        except AppError as error:
            _log.error("the model does not start: %s", error)

    async def _admitted(self, request: GenerateText) -> AsyncGenerator[TextChunk, None]:
        loop = asyncio.get_running_loop()
        generation = self._bounded(request.generation)
        give_up_at = loop.time() + generation.deadline_seconds
        self._refuse_if_open()
        prompt_tokens = _tokens_in(generation)
        most_tokens = prompt_tokens + generation.max_tokens
        async with self._paid(request.account_id, most_tokens) as bill, self._turn(give_up_at):
            self._refuse_if_open()
            bill.tokens = prompt_tokens
            async with aclosing(self._chunks(generation, give_up_at)) as chunks:
                async for chunk in chunks:
                    bill.tokens += chunk.tokens
                    yield chunk

    def _bounded(self, asked: Generation) -> Generation:
        most_bytes = self._settings.context_tokens * _MOST_BYTES_PER_TOKEN
        if sum(len(message.content) for message in asked.messages) > most_bytes:
            raise AppError("too_large", "That is more than the model reads at once.")
        if not asked.messages or asked.max_tokens < 1:
            raise AppError("invalid", "There is nothing to answer.")
        return msgspec.structs.replace(
            asked,
            max_tokens=min(asked.max_tokens, self._settings.max_tokens),
            deadline_seconds=min(asked.deadline_seconds, self._settings.deadline_seconds),
        )

    def _refuse_if_full(self) -> None:
        if self.depth >= self._settings.turns + self._settings.max_waiting:
            OUTCOMES.labels("rate_limited").inc()
            raise AppError(
                "rate_limited",
                "Too many questions wait for the assistant.",
                retry_after_seconds=_RETRY_SECONDS,
            )

    def _refuse_if_open(self) -> None:
        seconds = refused_for(self._breaker, self._clock())
        if seconds:
            raise AppError("unavailable", "The model does not answer.", retry_after_seconds=seconds)

    @asynccontextmanager
    async def _paid(self, account_id: UUID | None, tokens: int) -> AsyncGenerator[_Bill, None]:
        """Takes `tokens` from the member's budget, and gives back what is not on the bill."""
        bill = _Bill()
        if account_id is None:
            yield bill
            return
        await self._budget.take(account_id, tokens)
        try:
            yield bill
        finally:
            await self._budget.give_back(account_id, tokens - bill.tokens)

    @asynccontextmanager
    async def _turn(self, give_up_at: float) -> AsyncGenerator[None, None]:
        try:
            async with asyncio.timeout_at(give_up_at):
                await self._turns.acquire()
        except TimeoutError as error:
            raise AppError("overloaded", _LATE, retry_after_seconds=_RETRY_SECONDS) from error
        self._running += 1
        self._show_depth()
        try:
            yield
        finally:
            self._running -= 1
            self._turns.release()

    def _show_depth(self) -> None:
        RUNNING.set(self._running)
        WAITING.set(self.depth - self._running)

    async def _chunks(
        self, generation: Generation, give_up_at: float
    ) -> AsyncGenerator[TextChunk, None]:
        """The engine is read by a task of its own: while a chunk is sent the next one grows."""
        outbox = _Outbox()
        reader = asyncio.create_task(self._read(generation, give_up_at, outbox))
        reader.add_done_callback(lambda _: outbox.has_some.set())
        try:
            while True:
                await outbox.has_some.wait()
                chunk = outbox.take()
                if chunk.text:
                    TOKENS.inc(chunk.tokens)
                    yield chunk
                elif reader.done():
                    break
                if not reader.done():
                    await asyncio.wait([reader], timeout=_CHUNK_SECONDS)
                if reader.done():
                    outbox.has_some.set()
            await reader
        finally:
            reader.cancel()
            await asyncio.wait([reader])

    async def _read(self, generation: Generation, give_up_at: float, outbox: _Outbox) -> None:
        """Tells the breaker how it ended. Raises AppError."""
        loop = asyncio.get_running_loop()
        begun_at = loop.time()
        patience = self._settings.first_token_seconds
        given = min(patience, give_up_at - begun_at)
        pieces_read = 0
        answer: Answer = "unknown"
        self._set_breaker(begin(self._breaker))
        try:
            async with (
                asyncio.timeout(given) as timeout,
                aclosing(self._engine.stream(generation)) as pieces,
            ):
                async for piece in pieces:
                    if not pieces_read:
                        FIRST_TOKEN_SECONDS.observe(loop.time() - begun_at)
                        timeout.reschedule(give_up_at)
                    pieces_read += 1
                    outbox.put(piece)
                    if pieces_read >= generation.max_tokens:
                        break
            answer = "succeeded"
            if pieces_read > 1 and (seconds := loop.time() - begun_at) > 0:
                TOKEN_RATE.observe(pieces_read / seconds)
        except TimeoutError as error:
            # Late because it waited for its turn, or for a model to be loaded, is no failure.
            had_time = 2 * given >= min(patience, generation.deadline_seconds)
            is_loading = not pieces_read and self._engine.health() == "starting"
            if not pieces_read and had_time and not is_loading:
                answer = "failed"
            # A job waits as long as it takes for what is away: a text that takes the engine too
            # long would be written, and paid, for ever.
            code = "unavailable" if is_loading else "overloaded"
            raise AppError(code, _LATE, retry_after_seconds=_RETRY_SECONDS) from error
        except AppError as error:
            # What is refused was at least answered.
            answer = "failed" if error.code == "unavailable" else "succeeded"
            raise
        finally:
            self._set_breaker(end(self._breaker, answer, self._rule, self._clock()))

    def _set_breaker(self, state: BreakerState) -> None:
        self._breaker = state
        BREAKERS_OPEN.set(1 if state.open_until else 0)


def _tokens_in(generation: Generation) -> int:
    """About: only the engine knows exactly, and does not say."""
    size = sum(len(message.content.encode()) for message in generation.messages)
    return size // _BYTES_PER_TOKEN + 1
