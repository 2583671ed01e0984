"""Serai itself for a bar: `python -m serve_app up` with its own database, port and folder."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from aiohttp import ClientError, ClientSession, ClientTimeout

from benchmarks.machine import BenchmarkError, free_port, module, running
from config.errors import AppError
from serve_app.control import read_processes
from storage.embedded.postgres import EmbeddedPostgres

_READY_SECONDS: Final = 90.0
_LIST_SECONDS: Final = 10.0
_PROBE_SECONDS: Final = 0.2
_LOG_TAIL: Final = 2_000


class Serai:
    """A running server. `secret` signs access tokens, so that a bar need not log its people in."""

    def __init__(self, folder: Path, port: int, secret: str) -> None:
        self._folder = folder
        self.port = port
        self.secret = secret
        self.url = f"http://127.0.0.1:{port}"

    async def pids(self, *roles: str) -> list[int]:
        """Of the processes with these roles; BenchmarkError when one of the roles has none."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + _LIST_SECONDS
        while True:
            # The gateway answers a moment before the server lists its processes, and one that was
            # replaced is missing for a moment.
            found: list[dict[str, Any]] = []
            with suppress(AppError):
                found = await read_processes(self._folder)
            missing = set(roles) - {entry["role"] for entry in found}
            if not missing:
                return [entry["pid"] for entry in found if entry["role"] in roles]
            if loop.time() > give_up:
                raise BenchmarkError(f"no process has the role {', '.join(sorted(missing))}")
            await asyncio.sleep(_PROBE_SECONDS)


@asynccontextmanager
async def database(folder: Path) -> AsyncIterator[str]:
    """The URL of an embedded PostgreSQL with durable commits, empty."""
    server = EmbeddedPostgres(folder / "database")
    url = await server.start()
    try:
        yield url
    finally:
        await server.close()


@asynccontextmanager
async def serai_on(postgres_url: str, folder: Path, **environment: str) -> AsyncIterator[Serai]:
    """A server on that database, rate limits off, ready to answer."""
    data, log = folder / "data", folder / "serai.log"
    data.mkdir()
    data.chmod(0o755)
    server = Serai(data, free_port(), secrets.token_urlsafe(48))
    env = {
        "SERAI_DATA_DIR": str(data),
        "SERAI_GATEWAY__PORT": str(server.port),
        "SERAI_GATEWAY__DRAIN_SECONDS": "0.2",
        "SERAI_RATE_LIMIT__ENABLED": "false",
        "SERAI_POSTGRES__URL": postgres_url,
        "SERAI_AUTH__SECRET": server.secret,
        "SERAI_LOG_LEVEL": "WARNING",
        **environment,
    }
    async with running(module("serve_app", "up"), env=env, log=log) as process:
        await _wait_ready(server, process, log)
        yield server


async def _wait_ready(server: Serai, process: asyncio.subprocess.Process, log: Path) -> None:
    try:
        async with (
            asyncio.timeout(_READY_SECONDS),
            ClientSession(timeout=ClientTimeout(total=5)) as session,
        ):
            while process.returncode is None:
                try:
                    async with session.get(f"{server.url}/readyz") as response:
                        if response.status == 200:
                            return
                except (ClientError, TimeoutError):
                    pass
                await asyncio.sleep(_PROBE_SECONDS)
    except TimeoutError:
        pass
    raise BenchmarkError(f"the server did not start:\n{log.read_text()[-_LOG_TAIL:]}")
