"""PostgreSQL as a child of this process: made on first use, reachable by a unix socket only."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from pathlib import Path
from typing import Final
from urllib.parse import quote

import asyncpg

from config.errors import AppError
from storage.embedded.endpoint import Endpoint, live_socket
from storage.embedded.placement import Placement, place
from storage.embedded.process import ChildProcess, end_leftovers, processes_in

_PORT: Final = 5432
_SOCKET: Final = f".s.PGSQL.{_PORT}"
_NAME: Final = "serai"  # of the superuser and of the database
_INITDB_SECONDS: Final = 120.0
# Replaying a gigabyte of log (max_wal_size) after a crash takes a while on a slow disk.
_READY_SECONDS: Final = 120.0
_LOCK_RETRY_SECONDS: Final = 15.0
_PROBE_SECONDS: Final = 0.03
# Postgres says so for a moment after its predecessor was killed.
_LOCKED_MESSAGES: Final = ("already exists", "pre-existing shared memory block")
# Fast: end the sessions, write a checkpoint. Immediate: recover on the next start.
_FAST_STOP: Final = ((signal.SIGINT, 10.0), (signal.SIGQUIT, 3.0))
_PATIENT_STOP: Final = ((signal.SIGTERM, 30.0), *_FAST_STOP)

_SETTINGS: Final = {
    "listen_addresses": "",
    "port": str(_PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "effective_cache_size": "512MB",
    "random_page_cost": "1.1",
    "jit": "off",
    # What is kept for a backup or replica that has died must not fill the disk.
    "max_slot_wal_keep_size": "4GB",
    # Partitioned tables: a statement may lock hundreds of them.
    "max_locks_per_transaction": "256",
    "synchronous_commit": "on",
    "idle_in_transaction_session_timeout": "5min",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    # One file a weekday, overwritten after a week.
    "logging_collector": "on",
    "log_filename": "postgresql-%a.log",
    "log_truncate_on_rotation": "on",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_lock_waits": "on",
}
_VOLATILE_SETTINGS: Final = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_wal_size": "4GB",
}


class EmbeddedPostgres:
    """A PostgreSQL server below `data_dir`, with its extensions (pgvector, pg_trgm, …) installed.

    The caller holds the lock of the data directory: `start` ends whatever server still runs there.
    With `durable=False` (tests) commits survive kill -9 of the server, but not a loss of power.
    """

    role: Final = "postgres"

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        self._data_dir = data_dir.resolve()
        self._durable = durable
        self._endpoint = Endpoint(self._data_dir)
        self._child: ChildProcess | None = None

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None and self._child.running else None

    async def start(self) -> str:
        """The URL of the database, the same after every restart of this object's server.

        Call it in the main thread. Raises `AppError("unavailable")`; when it raises or is
        cancelled, no server is left.
        """
        if self.pid is not None:
            raise AppError("conflict", "this PostgreSQL already runs")
        where = await asyncio.to_thread(place, self._data_dir)
        await _settle(where)
        if not where.database.exists():
            await self._initialise(where)
        sockets = self._endpoint.acquire(where.account)
        try:
            await self._launch(where, sockets)
            await _ensure_database(sockets)
        except BaseException:
            await self.stop()
            raise
        return _url(sockets)

    async def stop(self, *, fast: bool = True) -> None:
        """Ends the server within some 13 seconds; `fast=False` first waits 30 s for its clients.

        No acknowledged transaction is lost either way. Does nothing when it is not running.
        """
        child, self._child = self._child, None
        if child is not None:
            await child.end(_FAST_STOP if fast else _PATIENT_STOP)

    async def close(self) -> None:
        """`stop`, and gives up the address."""
        await self.stop()
        self._endpoint.release()

    async def wait_exit(self) -> int:
        """Returns the exit status once the server has ended, at once when it is not running."""
        return 0 if self._child is None else await self._child.wait_exit()

    async def _initialise(self, where: Placement) -> None:
        partial = where.database.with_name("db.partial")
        output = self._data_dir / "initdb.log"
        # The character classes of pg_trgm come from LC_CTYPE: with C it drops all but ASCII.
        for character_type in ("C.UTF-8", "en_US.UTF-8", "C"):
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(mode=0o700)
            if where.account is not None:
                os.chown(partial, where.account.uid, where.account.gid)
            child = ChildProcess(
                [
                    where.programs / "initdb",
                    f"--pgdata={partial}",
                    f"--username={_NAME}",
                    "--data-checksums",
                    "--encoding=UTF8",
                    "--locale-provider=builtin",
                    "--builtin-locale=C.UTF-8",
                    "--locale=C",
                    f"--lc-ctype={character_type}",
                    # The socket lies in a directory of mode 0700; there is no other way in.
                    "--auth-local=trust",
                    "--auth-host=reject",
                    *([] if self._durable else ["--no-sync"]),
                ],
                output=output,
                death_signal=signal.SIGTERM,
                account=where.account,
            )
            try:
                if not await child.wait_exit_within(_INITDB_SECONDS):
                    raise AppError("unavailable", f"initdb did not end: {child.output_tail()}")
            finally:
                status = await child.end(())
            if status == 0:
                # Renamed when complete: a start that is killed here begins anew.
                partial.rename(where.database)
                return
            if "invalid locale" not in child.output_tail():
                break
        raise AppError("unavailable", f"initdb failed: {child.output_tail()}")

    async def _launch(self, where: Placement, sockets: Path) -> None:
        """Returns when the server accepts connections."""
        deadline = asyncio.get_running_loop().time() + _LOCK_RETRY_SECONDS
        while True:
            for stale in (sockets / _SOCKET, sockets / f"{_SOCKET}.lock"):
                stale.unlink(missing_ok=True)
            self._child = child = ChildProcess(
                [where.programs / "postgres", "-D", where.database, *self._options(where, sockets)],
                output=self._data_dir / "startup.log",
                death_signal=signal.SIGINT,
                account=where.account,
            )
            if await _ready(child, sockets):
                return
            message = child.output_tail()
            locked = any(text in message for text in _LOCKED_MESSAGES)
            if not locked or asyncio.get_running_loop().time() > deadline:
                raise AppError("unavailable", f"PostgreSQL does not start: {message}")
            await asyncio.sleep(0.2)
            await _settle(where)

    def _options(self, where: Placement, sockets: Path) -> list[str]:
        settings = _SETTINGS | {
            "unix_socket_directories": str(sockets),
            "log_directory": str(where.logs),
        }
        if not self._durable:
            settings |= _VOLATILE_SETTINGS
        return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def running_postgres_url(data_dir: Path) -> str | None:
    """The URL of the server that runs on `data_dir` now (for other commands), else None."""
    path = live_socket(data_dir.resolve(), _SOCKET)
    return None if path is None else _url(path.parent)


def _url(sockets: Path, database: str = _NAME) -> str:
    # The port is spelled out because libpq and asyncpg would else read PGPORT.
    return f"postgresql://{_NAME}@/{database}?host={quote(str(sockets))}&port={_PORT}"


async def _settle(where: Placement) -> None:
    """Ends the orphans of a killed server and removes a lock file that no server holds."""
    await end_leftovers(where.database, "postgres", _FAST_STOP)
    _remove_stale_lock(where)


def _remove_stale_lock(where: Placement) -> None:
    lock = where.database / "postmaster.pid"
    try:
        pid = int(lock.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return
    # Postgres itself removes the file of a dead process (and looks for surviving backends). It
    # believes any living one, also a zombie or a stranger who got the number after a reboot.
    if Path(f"/proc/{pid}").exists() and not processes_in(where.database, "postgres"):
        lock.unlink(missing_ok=True)


async def _ready(child: ChildProcess, sockets: Path) -> bool:
    """False when the child ended instead; raises when it neither serves nor ends in time."""
    ended = asyncio.create_task(child.wait_exit())
    try:
        async with asyncio.timeout(_READY_SECONDS):
            while not ended.done():
                if (sockets / _SOCKET).exists() and await _accepts(sockets):
                    return True
                await asyncio.wait({ended}, timeout=_PROBE_SECONDS)
    except TimeoutError as error:
        raise AppError(
            "unavailable", f"PostgreSQL is not ready after {_READY_SECONDS} s"
        ) from error
    finally:
        ended.cancel()
        await asyncio.wait({ended})
    return False


async def _accepts(sockets: Path) -> bool:
    try:
        connection = await asyncpg.connect(_url(sockets, "postgres"), timeout=_READY_SECONDS)
    except (OSError, asyncpg.PostgresError):
        return False
    await connection.close()
    return True


async def _ensure_database(sockets: Path) -> None:
    try:
        connection = await asyncpg.connect(_url(sockets, "postgres"))
        try:
            if not await connection.fetchval(
                "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", _NAME
            ):
                await connection.execute(f"CREATE DATABASE {_NAME}")
        finally:
            await connection.close()
    except (OSError, asyncpg.PostgresError) as error:
        raise AppError("unavailable", f"cannot create the database {_NAME}: {error}") from error
