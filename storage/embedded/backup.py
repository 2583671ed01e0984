"""Backups of a Postgres with Postgres' own programs, and their way back into an embedded one.

    DIR/base   a base backup (pg_basebackup), complete by itself
    DIR/wal    what was written since, as it was written (pg_receivewal), while somebody follows

A restore replays `wal` on top of `base`, to its end or to a moment, as an archive recovery: that
begins a new timeline, by which storage/incarnation.py knows that clients must read anew.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from config.errors import AppError
from storage.embedded.placement import Placement, package_directory, place
from storage.embedded.postgres import EmbeddedPostgres
from storage.embedded.process import ChildProcess
from storage.incarnation import settle_epoch
from storage.postgres import translate

_BASE: Final = "base"
_WAL: Final = "wal"
_FIRST_SEGMENT_SECONDS: Final = 30.0
# With a slot the server keeps what the follower has not got yet.
_SLOT: Final = "serai_backup"
_DROP_SLOT: Final = f"""
    select pg_drop_replication_slot(slot_name) from pg_replication_slots
    where slot_name = '{_SLOT}' and not active"""
_CREATE_SLOT: Final = f"select pg_create_physical_replication_slot('{_SLOT}', true)"
_STOP: Final = ((signal.SIGINT, 10.0),)
_RECOVERY_SETTINGS: Final = (
    "restore_command",
    "recovery_target_action",
    "recovery_target_time",
    "hot_standby",
)


async def back_up(url: str, target: Path) -> None:
    """Writes `target/base`. Raises AppError: `conflict` where there is one already, `unavailable`
    with what pg_basebackup said."""
    _make_new(target / _BASE)
    program = ["pg_basebackup", f"--pgdata={target / _BASE}", "--checkpoint=fast"]
    child = _start(url, target, [*program, "--wal-method=stream"])
    try:
        status = await child.wait_exit()
    finally:
        await child.end(_STOP)
    if status:
        shutil.rmtree(target / _BASE, ignore_errors=True)
        raise AppError("unavailable", f"The backup failed: {child.output_tail()}")


class Follower:
    """Keeps `target/wal` up to what the server has flushed, from `start` on until `stop`. Start it
    before the base backup: what it lacks is then in the base."""

    def __init__(self, url: str, target: Path) -> None:
        self._url = url
        self._target = target
        self._child: ChildProcess | None = None

    async def start(self) -> None:
        """Returns once it receives. Raises AppError as `back_up`."""
        wal = self._target / _WAL
        _make_new(wal)
        await self._execute(_DROP_SLOT, _CREATE_SLOT)
        program = ["pg_receivewal", f"--directory={wal}", f"--slot={_SLOT}", "--synchronous"]
        self._child = _start(self._url, self._target, program)
        async with asyncio.timeout(_FIRST_SEGMENT_SECONDS):
            while not any(wal.iterdir()):
                if not self._child.running:
                    raise AppError("unavailable", f"Following failed: {self._child.output_tail()}")
                await asyncio.sleep(0.05)

    async def wait(self) -> None:
        """Until it ends by itself, which is a failure: AppError `unavailable`."""
        assert self._child is not None
        await self._child.wait_exit()
        raise AppError("unavailable", f"Following ended: {self._child.output_tail()}")

    async def stop(self) -> None:
        """The server keeps nothing for it any more. After a kill the next `start` sees to that."""
        if self._child is not None:
            await self._child.end(_STOP)
            with suppress(AppError):
                await self._execute(_DROP_SLOT)

    async def _execute(self, *statements: str) -> None:
        with translate():
            connection = await asyncpg.connect(self._url)
            try:
                for statement in statements:
                    await connection.execute(statement)
            finally:
                await connection.close()


async def restore(source: Path, data_dir: Path, *, until: datetime | None = None) -> None:
    """Makes the database below `data_dir` from a backup, replays, and stops it again. The caller
    holds the lock of the data directory.

    Raises AppError: `conflict` where a database is there (move it away first), `invalid` where
    `source` is no backup, `unavailable` when the replay fails (then nothing is left behind).
    """
    if not (source / _BASE / "backup_label").exists():
        raise AppError("invalid", f"There is no base backup in {source}.")
    where = await asyncio.to_thread(place, data_dir)
    if where.database.exists():
        raise AppError("conflict", f"There is a database in {where.database}: move it away first.")
    server = EmbeddedPostgres(data_dir)
    try:
        await asyncio.to_thread(_lay_out, source, where, until)
        await _conclude(await server.start())
        await server.stop()
    except BaseException:
        await server.stop()
        shutil.rmtree(where.database, ignore_errors=True)
        raise
    finally:
        await server.close()
        shutil.rmtree(_archive(where), ignore_errors=True)


async def _conclude(url: str) -> None:
    """Nobody may ever replay by these settings again, and the streams get their new epoch."""
    connection = await asyncpg.connect(url)
    try:
        for name in _RECOVERY_SETTINGS:
            await connection.execute(f"alter system reset {name}")
        await settle_epoch(connection)
    finally:
        await connection.close()


def _lay_out(source: Path, where: Placement, until: datetime | None) -> None:
    database = where.database
    shutil.copytree(source / _BASE, database, symlinks=True)
    archive = _archive(where)
    shutil.rmtree(archive, ignore_errors=True)
    if (source / _WAL).is_dir():
        shutil.copytree(source / _WAL, archive)
    else:
        archive.mkdir()
    for partial in archive.glob("*.partial"):  # the segment that was being written
        partial.rename(partial.with_suffix(""))
    (database / "recovery.signal").touch()
    values = {
        "restore_command": f'cp "{archive}/%f" "%p"',
        "recovery_target_action": "promote",
        "recovery_target_time": until.isoformat() if until is not None else "",
        "hot_standby": "off",  # else connections were taken before the end
    }
    with (database / "postgresql.auto.conf").open("a") as file:
        file.writelines(f"{name} = '{values[name]}'\n" for name in _RECOVERY_SETTINGS)
    database.chmod(0o700)
    if where.account is not None:
        for path in (database, archive, *database.rglob("*"), *archive.rglob("*")):
            os.chown(path, where.account.uid, where.account.gid, follow_symlinks=False)


def _archive(where: Placement) -> Path:
    return where.database.with_name("db.wal")


def _make_new(folder: Path) -> None:
    if folder.exists():
        raise AppError("conflict", f"{folder} is there already: choose another place.")
    folder.mkdir(parents=True)


def _start(url: str, target: Path, command: list[str]) -> ChildProcess:
    """The password goes by the environment: a command line is for all to read."""
    parts = urlsplit(url)
    environment = {"PGPASSWORD": parts.password} if parts.password else {}
    host = parts.netloc.rpartition("@")[2]
    user = f"{parts.username}@" if parts.username else ""
    plain = urlunsplit(parts._replace(netloc=f"{user}{host}"))
    program = package_directory() / "pginstall" / "bin" / command[0]
    return ChildProcess(
        [program, *command[1:], f"--dbname={plain}", "--no-password"],
        output=target / f"{command[0]}.log",
        death_signal=signal.SIGINT,
        environment=environment,
    )
