"""A real streaming replica of a test's Postgres, whose replay can be paused."""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

import asyncpg

from storage.embedded.placement import place
from storage.embedded.postgres import EmbeddedPostgres
from storage.embedded.process import ChildProcess
from tests.stores import short_directory, with_database

_BACKUP_SECONDS: Final = 120.0


class StreamingReplica:
    """Of the server at `primary_url`; made by `start`, which takes some seconds. The caller ends it
    with `close`."""

    def __init__(self, primary_url: str) -> None:
        self._primary_url = primary_url
        self._directory = short_directory()
        self._data_dir = self._directory / "postgres"
        self._server = EmbeddedPostgres(self._data_dir, durable=False)
        self._url = ""

    async def start(self) -> None:
        """Also after `kill`: it goes on with the data that it has."""
        where = place(self._data_dir)
        if not where.database.exists():
            await self._back_up()
        self._url = await self._server.start()

    async def close(self) -> None:
        with suppress(ProcessLookupError):
            self.go_on()
        await self._server.close()
        shutil.rmtree(self._directory)

    def url(self, database_url: str) -> str:
        """Of the replica of this database of the primary."""
        return with_database(self._url, urlsplit(database_url).path.lstrip("/"))

    async def kill(self) -> None:
        """SIGKILL for all of its processes at once."""
        self._signal(signal.SIGKILL)
        await self._server.wait_exit()
        await self._server.stop()

    def hang(self) -> None:
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    async def pause_replay(self) -> None:
        await self._execute("select pg_wal_replay_pause()")

    async def resume_replay(self) -> None:
        await self._execute("select pg_wal_replay_resume()")

    async def promote(self) -> None:
        await self._execute("select pg_promote()")

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self._url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def _signal(self, number: signal.Signals) -> None:
        pid = self._server.pid
        if pid is None:
            return
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for each in (pid, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(each, number)

    async def _back_up(self) -> None:
        where = place(self._data_dir)
        options = parse_qs(urlsplit(self._primary_url).query)
        user = urlsplit(self._primary_url).username or ""
        where.database.mkdir(mode=0o700)
        if where.account is not None:
            os.chown(where.database, where.account.uid, where.account.gid)
        child = ChildProcess(
            [
                where.programs / "pg_basebackup",
                f"--pgdata={where.database}",
                f"--host={options['host'][0]}",
                f"--port={options['port'][0]}",
                f"--username={user}",
                "--checkpoint=fast",
                "--wal-method=stream",
                "--write-recovery-conf",
                "--no-sync",
            ],
            output=self._directory / "backup.log",
            death_signal=signal.SIGTERM,
            account=where.account,
        )
        assert await child.wait_exit_within(_BACKUP_SECONDS), child.output_tail()
        assert await child.wait_exit() == 0, child.output_tail()
