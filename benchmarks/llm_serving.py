"""Bar 12: text through the LLM deployment against the engine alone.

One llama.cpp with the small model that comes along serves both. Ours goes through client, Serve,
queue and actor to it, the baseline straight. Answers of the two take turns, each to a prompt of its
own, so that no cache of prompts helps either. In every round several streams run at a time, as many
as the engine has turns for.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from itertools import count
from pathlib import Path
from typing import Any, Final

import msgspec
import ray
import uvloop
from ray import serve
from ray.serve.schema import LoggingConfig

from actors.llm_messages import LlmFrame, TextChunk
from ai.engines.engine import ChatMessage, Generation
from ai.engines.llama_cpp import LlamaCpp, built_in_weights
from benchmarks.figures import Check, Verdict, conclude, median_ratio
from benchmarks.machine import BenchmarkError, work_folder
from benchmarks.plan import Plan, read_plan
from config.llm import Llm
from config.settings import Redis, Settings
from serve_app.ai_deployments import LlmDeployment
from serve_app.app import start_ray
from serve_app.deployment_stream import FrameStream, OpenStream, deployment_stream
from serve_app.llm_client import LlmClient

MUST: Final = 1.15
_STREAMS: Final = (1, 2)
_ANSWERS: Final = 8
_TOKENS: Final = 48
_CONTEXT_TOKENS: Final = 1_024
_DEADLINE_SECONDS: Final = 300.0
_PASSAGE: Final = (
    "Bring the form, two photographs and proof of the address to the office in the old town hall."
    " Appointments are given out in the morning; who comes later is asked to come back. "
)

_decode: Final = msgspec.msgpack.Decoder(LlmFrame).decode
_number: Final = count()

Ask = Callable[[Generation], AsyncGenerator[str, None]]


class Answer(msgspec.Struct, frozen=True):
    first_seconds: float
    seconds: float
    tokens: int


class _Counted:
    """Frames on their way through; a chunk says how many tokens it holds, its text does not."""

    tokens = 0

    def __init__(self, frames: FrameStream) -> None:
        self._frames = frames

    async def __anext__(self) -> bytes:
        frame = await self._frames.__anext__()
        message = _decode(frame)
        if isinstance(message, TextChunk):
            self.tokens += message.tokens
        return frame

    def cancel(self) -> None:
        self._frames.cancel()


def _question() -> Generation:
    """None begins like another."""
    text = (
        f"{next(_number)} is the number of this letter. {3 * _PASSAGE}What should I bring, and why?"
    )
    return Generation(
        (ChatMessage("user", text),), max_tokens=_TOKENS, deadline_seconds=_DEADLINE_SECONDS
    )


async def _through_deployment(open_stream: OpenStream, settings: Llm) -> Answer:
    counted: list[_Counted] = []

    def opened(payload: bytes) -> FrameStream:
        counted.append(_Counted(open_stream(payload)))
        return counted[-1]

    client = LlmClient(settings, opened)
    answer = await _timed(lambda asked: client.stream(asked, account_id=None))
    return msgspec.structs.replace(answer, tokens=counted[-1].tokens)


async def _timed(ask: Ask) -> Answer:
    loop = asyncio.get_running_loop()
    begun_at = loop.time()
    first_at = 0.0
    pieces_read = 0
    async with aclosing(ask(_question())) as pieces:
        async for _ in pieces:
            first_at = first_at or loop.time()
            pieces_read += 1
    if pieces_read < 2:
        raise BenchmarkError("an answer of a word or none")
    return Answer(first_at - begun_at, loop.time() - begun_at, pieces_read)


def _medians(answers: list[Answer]) -> tuple[float, float]:
    """Seconds to the first token, and a token."""
    rest = [(each.seconds - each.first_seconds) / (each.tokens - 1) for each in answers]
    return statistics.median(each.first_seconds for each in answers), statistics.median(rest)


async def _round(plan: Plan, streams: int, ours: Any, alone: Any) -> list[tuple[float, float]]:
    found: tuple[list[Answer], list[Answer]] = ([], [])
    sides = [(found[0], ours), (found[1], alone)]
    for _ in range(max(2, round(plan.seconds(_ANSWERS)))):
        for answers, ask in sides:
            answers.extend(await asyncio.gather(*[ask() for _ in range(streams)]))
        sides.reverse()
    return [_medians(answers) for answers in found]


async def _measure(plan: Plan, engine: LlamaCpp, settings: Llm, handle: Any) -> int:
    open_stream = deployment_stream(handle)

    async def ours() -> Answer:
        return await _through_deployment(open_stream, settings)

    async def alone() -> Answer:
        return await _timed(engine.stream)

    for ask in (ours, alone):
        await ask()
    rows: list[tuple[object, ...]] = []
    checks = []
    for streams in _STREAMS:
        first: tuple[list[float], list[float]] = ([], [])
        each: tuple[list[float], list[float]] = ([], [])
        for number in range(1, plan.rounds + 1):
            sides = await _round(plan, streams, ours, alone)
            for place, (name, figures) in enumerate(
                zip(("deployment", "engine alone"), sides, strict=True)
            ):
                first[place].append(figures[0])
                each[place].append(figures[1])
                rows.append((streams, number, name, 1_000 * figures[0], 1 / figures[1]))
        at = f"{streams} at a time"
        checks += [
            Check(f"time to first token, {at}", median_ratio(*first), "<=", MUST),
            Check(f"time a token, {at}", median_ratio(*each), "<=", MUST),
        ]
    return conclude(
        Verdict(12, checks, plan.rounds),
        ("streams", "round", "", "first token ms", "tokens/s of a stream"),
        rows,
    )


async def _with_engine(plan: Plan, folder: Path) -> int:
    engine = LlamaCpp(
        built_in_weights(),
        context_tokens=_CONTEXT_TOKENS,
        parallel=max(_STREAMS),
        silence_seconds=_DEADLINE_SECONDS,
    )
    try:
        await engine.start()
        endpoint, api_key = await engine.address()
        settings = Settings(
            llm=Llm(
                engine="openai",
                endpoint=endpoint,
                api_key=api_key,
                model=built_in_weights().stem,
                parallel=max(_STREAMS),
                deadline_seconds=_DEADLINE_SECONDS,
                first_token_seconds=_DEADLINE_SECONDS,
            ),
            redis=Redis(url="redis://127.0.0.1:9"),  # nobody's budget is asked for
        )
        handle = await asyncio.to_thread(_start, folder, settings)
        return await _measure(plan, engine, settings.llm, handle)
    finally:
        await engine.close()


def _start(folder: Path, settings: Settings) -> Any:
    """A cluster of our own, on loopback; the handle of the deployment."""
    metrics = folder / "metrics"
    metrics.mkdir()
    start_ray(folder / "ray", None, metrics)
    serve.start(proxy_location="Disabled", logging_config=LoggingConfig(log_level="WARNING"))
    deployment: Any = serve.deployment(
        LlmDeployment, name="llm", max_ongoing_requests=1_000, ray_actor_options={"num_cpus": 0}
    )
    return serve.run(deployment.bind(settings), name="bench", route_prefix=None)


def main() -> int:
    plan = read_plan(None, "Bar 12: text through the LLM deployment against the engine alone.")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - as cluster.py starts the server
    with work_folder() as folder:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(_with_engine(plan, folder))
        except BenchmarkError as error:
            print(f"not measured: {error}", file=sys.stderr)
            return 2
        finally:
            if ray.is_initialized():
                serve.shutdown()  # type: ignore[no-untyped-call]
                ray.shutdown()


if __name__ == "__main__":
    sys.exit(main())
