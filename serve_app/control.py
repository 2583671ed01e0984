"""The running server's control socket: how commands reach it, and how a benchmark finds pids.

A unix socket in the server's private run directory, mode 0700: only the same user gets in.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from aiohttp import ClientError, ClientSession, ClientTimeout, UnixConnector, web

from config.errors import AppError

_SOCKET: Final = "control.sock"
_RECORD: Final = "server.json"


class ControlServer:
    """Answers GET /processes and POST /restart-gateways. `data_dir/server.json` names the socket
    while it runs."""

    def __init__(
        self,
        data_dir: Path,
        run_dir: Path,
        processes: Callable[[], list[dict[str, Any]]],
        restart_gateways: Callable[[], Awaitable[None]],
    ) -> None:
        self._record = data_dir / _RECORD
        self._socket = run_dir / _SOCKET
        self._processes = processes
        self._restart_gateways = restart_gateways
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/processes", self._answer)
        app.router.add_post("/restart-gateways", self._restart)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.UnixSite(self._runner, str(self._socket)).start()
        self._record.write_text(json.dumps({"control": str(self._socket)}))

    async def _answer(self, _: web.Request) -> web.Response:
        return web.json_response(await asyncio.to_thread(self._processes))

    async def _restart(self, _: web.Request) -> web.Response:
        try:
            await self._restart_gateways()
        except AppError as error:
            return web.json_response({"detail": error.detail or str(error)}, status=503)
        return web.json_response({})

    async def stop(self) -> None:
        self._record.unlink(missing_ok=True)
        if self._runner is not None:
            await self._runner.cleanup()


async def read_processes(data_dir: Path) -> list[dict[str, Any]]:
    """[{role, pid, node}] of the server on `data_dir`; AppError 'unavailable' when none runs."""
    processes: list[dict[str, Any]] = await _ask(data_dir, "GET", "/processes")
    return processes


async def restart_gateways(data_dir: Path) -> None:
    """Returns when each has been drained and replaced. AppError 'unavailable' when no server runs
    on `data_dir`, or with what keeps the new ones from starting."""
    await _ask(data_dir, "POST", "/restart-gateways")


async def _ask(data_dir: Path, method: str, path: str) -> Any:
    try:
        control = json.loads((data_dir / _RECORD).read_text())["control"]
        async with (
            # What is asked for has bounds of its own.
            ClientSession(connector=UnixConnector(control), timeout=ClientTimeout()) as session,
            session.request(method, f"http://control{path}") as response,
        ):
            body = await response.json()
            if response.status != 200:
                raise AppError("unavailable", body["detail"])
            return body
    except (OSError, ClientError, ValueError, KeyError) as error:
        raise AppError("unavailable", f"No server runs on {data_dir}.") from error
