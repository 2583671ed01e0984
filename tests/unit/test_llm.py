"""The LLM actor around a fake engine: turns, queue, deadline, caps, cancellation, breaker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from uuid import UUID, uuid4

import msgspec
import pytest
from prometheus_client import REGISTRY

from actors.llm import Llm
from actors.llm_messages import GenerateText, TextChunk
from actors.member_budget import MemberBudget
from ai.engines.engine import ChatMessage, Engine, Generation
from config.errors import AppError
from config.llm import Llm as Settings
from tests.conditions import wait_until
from tests.fake_engine import QUESTION, FakeEngine

AWAY = AppError("unavailable", "away")
ONE_AT_A_TIME = Settings(parallel=1, max_waiting=1, failures_to_open=2, open_seconds=3_600)


def shown(metric: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(metric, labels) or 0


class Clock:
    seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


def actor(engine: Engine, settings: Settings = ONE_AT_A_TIME, tokens_per_day: int = 0) -> Llm:
    return Llm(engine, settings, MemberBudget(tokens_per_day, None))


def ask(llm: Llm, account_id: UUID | None = None) -> AsyncGenerator[TextChunk, None]:
    return llm.stream(GenerateText(QUESTION, account_id))


async def text_of(llm: Llm, account_id: UUID | None = None) -> str:
    async with aclosing(ask(llm, account_id)) as chunks:
        return "".join([chunk.text async for chunk in chunks])


async def code_of(llm: Llm, account_id: UUID | None = None) -> str:
    with pytest.raises(AppError) as raised:
        await text_of(llm, account_id)
    return raised.value.code


async def test_pieces_that_come_together_are_sent_together() -> None:
    engine = FakeEngine("a", "b", "c", "d")
    engine.pause_before = 1
    chunks = []
    async with aclosing(ask(actor(engine))) as stream:
        async for chunk in stream:
            chunks.append(chunk)
            engine.go_on.set()
    assert chunks[0] == TextChunk("a", 1)  # the first is not kept waiting
    assert "".join(chunk.text for chunk in chunks) == "abcd"
    assert sum(chunk.tokens for chunk in chunks) == 4
    assert len(chunks) <= 3


async def test_as_many_run_as_have_a_turn_and_further_ones_wait_and_are_refused() -> None:
    engine = FakeEngine("a")
    engine.pause_before = 0
    llm = actor(engine)
    first = asyncio.create_task(text_of(llm))
    await wait_until(lambda: engine.running == 1)
    second = asyncio.create_task(text_of(llm))
    await wait_until(lambda: llm.statistics().waiting == 1)
    assert llm.depth == 2
    assert [shown("serai_llm_running"), shown("serai_llm_waiting")] == [1, 1]
    with pytest.raises(AppError) as refused:
        await text_of(llm)
    assert refused.value.status == 429 and refused.value.retry_after_seconds
    engine.go_on.set()
    assert list(await asyncio.gather(first, second)) == ["a", "a"]
    assert engine.most_running == 1
    assert (llm.depth, llm.statistics().running) == (0, 0)
    assert [shown("serai_llm_running"), shown("serai_llm_waiting")] == [0, 0]


@pytest.mark.parametrize("how", ["closed", "cancelled"])
async def test_who_goes_away_ends_the_generation_in_the_engine(how: str) -> None:
    engine = FakeEngine("a", "b")
    engine.pause_before = 1
    llm = actor(engine)
    cancelled = shown("serai_llm_streams_total", outcome="cancelled")
    if how == "closed":
        async with aclosing(ask(llm)) as chunks:
            assert await anext(chunks) == TextChunk("a", 1)
    else:
        reader = asyncio.create_task(text_of(llm))
        await wait_until(lambda: engine.running == 1)
        reader.cancel()
        await asyncio.wait([reader])
    assert (engine.running, engine.cut_off, llm.depth) == (0, 1, 0)
    assert shown("serai_llm_streams_total", outcome="cancelled") == cancelled + 1
    engine.go_on.set()
    assert await text_of(llm) == "ab"  # the turn was given back


async def test_who_goes_away_while_waiting_gives_its_place_back() -> None:
    engine = FakeEngine("a")
    engine.pause_before = 0
    llm = actor(engine)
    first = asyncio.create_task(text_of(llm))
    await wait_until(lambda: engine.running == 1)
    second = asyncio.create_task(text_of(llm))
    await wait_until(lambda: llm.depth == 2)
    second.cancel()
    await asyncio.wait([second])
    assert llm.depth == 1
    engine.go_on.set()
    assert await first == "a"


async def test_the_deadline_holds_while_waiting_and_while_generating() -> None:
    engine = FakeEngine("a", "b")
    engine.pause_before = 1
    llm = actor(engine, msgspec.structs.replace(ONE_AT_A_TIME, deadline_seconds=0.05))
    # Not `unavailable`: what is away is waited for without count.
    assert {*await asyncio.gather(code_of(llm), code_of(llm))} == {"overloaded"}
    assert engine.running == 0
    assert not llm.statistics().is_open  # it wrote something: late, not broken


async def test_an_engine_that_goes_on_too_long_is_stopped_at_the_cap() -> None:
    engine = FakeEngine(*"abcdefgh")
    engine.pause_before = 6
    llm = actor(engine, msgspec.structs.replace(ONE_AT_A_TIME, max_tokens=5))
    assert await text_of(llm) == "abcde"
    assert engine.asked[0].max_tokens == 5
    assert engine.running == 0


NOTHING = msgspec.structs.replace(QUESTION, messages=())
NO_TOKENS = msgspec.structs.replace(QUESTION, max_tokens=0)
ENDLESS = msgspec.structs.replace(QUESTION, messages=(ChatMessage("user", "x" * 100_000),))


@pytest.mark.parametrize(
    ("generation", "code"), [(NOTHING, "invalid"), (NO_TOKENS, "invalid"), (ENDLESS, "too_large")]
)
async def test_what_no_engine_could_answer_is_not_sent_to_one(
    generation: Generation, code: str
) -> None:
    engine = FakeEngine("a")
    llm = actor(engine)
    with pytest.raises(AppError) as raised:
        await anext(llm.stream(GenerateText(generation)))
    assert raised.value.code == code
    assert not engine.asked


async def test_an_engine_that_fails_again_and_again_is_left_alone_until_a_try_succeeds() -> None:
    engine = FakeEngine("a", error=AWAY)
    now = Clock()
    settings = msgspec.structs.replace(ONE_AT_A_TIME, open_seconds=10)
    llm = Llm(engine, settings, MemberBudget(0, None), clock=now)
    assert [await code_of(llm) for _ in range(2)] == ["unavailable"] * 2
    with pytest.raises(AppError) as refused:
        await text_of(llm)
    assert refused.value.retry_after_seconds and llm.statistics().is_open
    assert len(engine.asked) == 2
    now.seconds += 10
    engine.error = None
    assert await text_of(llm) == "a"
    assert not llm.statistics().is_open


@pytest.mark.parametrize("code", ["overloaded", "invalid", "too_large"])
async def test_an_engine_that_refuses_is_not_broken(code: str) -> None:
    engine = FakeEngine(error=AppError(code))
    llm = actor(engine)
    assert [await code_of(llm) for _ in range(3)] == [code] * 3
    assert not llm.statistics().is_open


async def test_an_engine_that_does_not_begin_has_failed() -> None:
    engine = FakeEngine("a")
    engine.pause_before = 0
    settings = msgspec.structs.replace(ONE_AT_A_TIME, first_token_seconds=0.02)
    llm = actor(engine, settings)
    assert [await code_of(llm) for _ in range(3)] == ["overloaded"] * 2 + ["unavailable"]
    assert llm.statistics().is_open
    loading = FakeEngine("a")
    loading.pause_before, loading.state = 0, "starting"
    llm = actor(loading, settings)
    assert [await code_of(llm) for _ in range(2)] == ["unavailable"] * 2
    assert not llm.statistics().is_open  # a large model takes minutes to load


async def test_a_member_pays_for_prompt_and_answer_and_gets_the_rest_back() -> None:
    ada, ben = uuid4(), uuid4()
    engine = FakeEngine(*"abcd")
    prompt_tokens = 3
    settings = msgspec.structs.replace(ONE_AT_A_TIME, max_tokens=10)
    llm = actor(engine, settings, tokens_per_day=20)
    assert await text_of(llm, ada) == "abcd"  # 7 of 20
    assert await text_of(llm, ada) == "abcd"  # 14
    assert prompt_tokens + 10 > 20 - 14
    with pytest.raises(AppError) as refused:
        await text_of(llm, ada)
    assert refused.value.code == "rate_limited"
    assert 0 < (refused.value.retry_after_seconds or 0) <= 86_400
    assert await text_of(llm, ben) == "abcd"
    assert await text_of(llm) == "abcd"  # the server's own work


async def test_what_was_refused_costs_nothing() -> None:
    ada = uuid4()
    engine = FakeEngine(error=AWAY)
    settings = msgspec.structs.replace(ONE_AT_A_TIME, max_tokens=10, failures_to_open=1)
    llm = actor(engine, settings, tokens_per_day=20)
    assert await code_of(llm, ada) == "unavailable"
    for _ in range(5):
        assert await code_of(llm, ada) == "unavailable"  # by the breaker, not by the budget
    assert len(engine.asked) == 1


async def test_only_a_dead_engine_asks_for_a_new_process() -> None:
    engine = FakeEngine()
    llm = actor(engine)
    for engine.state in ("idle", "starting", "ready", "away"):
        llm.check_health()
    engine.state = "dead"
    with pytest.raises(RuntimeError):
        llm.check_health()


async def test_a_model_that_does_not_start_hurts_nobody_else() -> None:
    engine = FakeEngine(error=AWAY)
    llm = actor(engine)
    llm.start()
    await wait_until(lambda: engine.starts == 1)
    await llm.close()
    assert engine.is_closed
