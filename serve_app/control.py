"""The running server's control socket: how `processes` asks it, and how a benchmark finds pids.

A unix socket in the server's private run directory, mode 0700: only the same user gets in.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from aiohttp import ClientError, ClientSession, UnixConnector, web

from config.errors import AppError

_SOCKET: Final = "control.sock"
_RECORD: Final = "server.json"


class ControlServer:
    """Answers GET /processes. `data_dir/server.json` names the socket while it runs."""

    def __init__(
        self, data_dir: Path, run_dir: Path, processes: Callable[[], list[dict[str, Any]]]
    ) -> None:
        self._record = data_dir / _RECORD
        self._socket = run_dir / _SOCKET
        self._processes = processes
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/processes", self._answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.UnixSite(self._runner, str(self._socket)).start()
        self._record.write_text(json.dumps({"control": str(self._socket)}))

    async def _answer(self, _: web.Request) -> web.Response:
        return web.json_response(await asyncio.to_thread(self._processes))

    async def stop(self) -> None:
        self._record.unlink(missing_ok=True)
        if self._runner is not None:
            await self._runner.cleanup()


async def read_processes(data_dir: Path) -> list[dict[str, Any]]:
    """[{role, pid, node}] of the server on `data_dir`; AppError 'unavailable' when none runs."""
    try:
        control = json.loads((data_dir / _RECORD).read_text())["control"]
        async with (
            ClientSession(connector=UnixConnector(control)) as session,
            session.get("http://control/processes") as response,
        ):
            processes: list[dict[str, Any]] = await response.json()
            return processes
    except (OSError, ClientError, ValueError, KeyError) as error:
        raise AppError("unavailable", f"No server runs on {data_dir}.") from error
