"""The engine of GPU nodes, for real: vLLM itself, on a CPU (`make test-vllm`)."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import aclosing
from pathlib import Path

import msgspec
import pytest

from ai.engines.engine import ChatMessage, Generation
from ai.engines.vllm_engine import VllmEngine
from config.errors import AppError

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATIENCE_SECONDS = 300.0
SHORT = Generation(
    (ChatMessage("user", "Say hello."),), max_tokens=8, deadline_seconds=PATIENCE_SECONDS
)
LONG = msgspec.structs.replace(
    SHORT, messages=(ChatMessage("user", "Tell a very long story about a river."),), max_tokens=400
)


async def text_of(engine: VllmEngine, generation: Generation) -> str:
    async with aclosing(engine.stream(generation)) as pieces:
        return "".join([piece async for piece in pieces])


async def wait_unfinished(engine: VllmEngine, count: int) -> None:
    """Until vLLM says that it works on so many."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while engine._engine.get_num_unfinished_requests() != count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_it_writes_several_texts_at_a_time(engine: VllmEngine) -> None:
    assert engine.health() == "ready"
    texts = await asyncio.gather(*[text_of(engine, SHORT) for _ in range(4)])
    assert len(set(texts)) == 1 and texts[0]
    assert (engine.statistics().running, engine.statistics().starts) == (0, 1)


async def test_pieces_are_the_text_and_nothing_twice(engine: VllmEngine) -> None:
    async with aclosing(engine.stream(LONG)) as stream:
        pieces = [piece async for piece in stream]
    assert len(pieces) > 50 and all(pieces)
    assert "".join(pieces) == await text_of(engine, LONG)
    word = next(word for word in "".join(pieces).split() if word.isalpha() and len(word) > 3)
    stopped = msgspec.structs.replace(LONG, stop=(word,))
    assert await text_of(engine, stopped) == "".join(pieces).partition(word)[0]


async def test_who_goes_away_frees_the_engine(engine: VllmEngine) -> None:
    async with aclosing(engine.stream(LONG)) as pieces:
        await anext(pieces)
        await wait_unfinished(engine, 1)
    await wait_unfinished(engine, 0)
    reader = asyncio.create_task(text_of(engine, LONG))
    await wait_unfinished(engine, 1)
    reader.cancel()
    await asyncio.wait([reader])
    await wait_unfinished(engine, 0)


async def test_more_than_it_can_hold_is_refused_as_such(engine: VllmEngine) -> None:
    endless = msgspec.structs.replace(SHORT, messages=(ChatMessage("user", "one two " * 2_000),))
    with pytest.raises(AppError) as raised:
        await text_of(engine, endless)
    assert raised.value.code == "too_large"


async def test_a_model_that_is_not_there_is_said(tmp_path: Path) -> None:
    engine = VllmEngine(str(tmp_path / "absent"), context_tokens=512, parallel=1)
    with pytest.raises(AppError) as raised:
        await engine.start()
    assert (raised.value.code, engine.health()) == ("unavailable", "away")
    await engine.close()


async def test_with_its_core_killed_it_is_dead_and_says_so(engine: VllmEngine) -> None:
    """Last: nothing brings it back but a new process."""
    with pytest.raises(AppError) as raised:
        async with aclosing(engine.stream(LONG)) as pieces:
            async for _ in pieces:
                for process in engine._engine.engine_core.resources.engine_manager.processes:
                    if process.is_alive():
                        os.kill(process.pid, signal.SIGKILL)
    assert raised.value.code == "unavailable"
    assert engine.health() == "dead"
    with pytest.raises(AppError):
        await text_of(engine, SHORT)
