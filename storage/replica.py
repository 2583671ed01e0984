"""One read replica: what it has replayed, and whether reads may go to it."""

from __future__ import annotations

import asyncio
import logging
from typing import Final
from urllib.parse import urldefrag

import asyncpg
import msgspec
from prometheus_client import Counter, Gauge

from config.errors import AppError
from config.settings import Postgres
from storage.postgres import CONNECT_TIMEOUT_SECONDS, Pool, connect
from storage.read_gate import ReadGate
from storage.replica_lag import LagBounds, PrimaryLog

_log = logging.getLogger(__name__)

PROBE_SECONDS: Final = 2.0
"""A server that has not answered a probe by then counts as gone."""

LAG_SECONDS: Final = Gauge(
    "serai_replica_lag_seconds", "How far behind the primary", ["replica"],
    multiprocess_mode="livemax",
)  # fmt: skip
LAG_BYTES: Final = Gauge(
    "serai_replica_lag_bytes", "Log of the primary that is not replayed yet", ["replica"],
    multiprocess_mode="livemax",
)  # fmt: skip
IN_USE: Final = Gauge(
    "serai_replica_in_use", "1: reads go to it, 0: it is left out", ["replica"],
    multiprocess_mode="livemin",
)  # fmt: skip
REMOVED: Final = Counter("serai_replica_removed_total", "Taken out of use", ["replica", "reason"])

_PRIMARY: Final = """
    select (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint as position, epoch
    from incarnation"""
_REPLICA: Final = """
    select pg_is_in_recovery() as following,
           (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint as position, epoch,
           extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp())::float8 as since
    from incarnation"""
FAILURES: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)


class Probe:
    """A connection of its own to one server, so that a busy pool does not look like a dead one."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None

    async def ask(self, statement: str) -> asyncpg.Record | None:
        """None: no answer in time, or none at all."""
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                if self._connection is None or self._connection.is_closed():
                    self._connection = await asyncpg.connect(
                        self._url,
                        timeout=CONNECT_TIMEOUT_SECONDS,
                        server_settings={"application_name": "serai replica watch"},
                    )
                return await self._connection.fetchrow(statement)
        except FAILURES:
            self.close()
            return None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


class PrimarySeen(msgspec.Struct, frozen=True):
    """`epoch` empty: it does not answer."""

    log: PrimaryLog
    epoch: str


class PrimaryProbe:
    def __init__(self, url: str) -> None:
        self._probe = Probe(url)
        self._log = PrimaryLog()

    async def look(self) -> PrimarySeen:
        row = await self._probe.ask(_PRIMARY)
        if row is None:
            return PrimarySeen(self._log, "")
        self._log.saw(asyncio.get_running_loop().time(), row["position"])
        return PrimarySeen(self._log, row["epoch"])

    def close(self) -> None:
        self._probe.close()


class Replica:
    """`replayed` is what it had replayed when it was last asked. `gate` is there while it is
    `in_use`. Its number is its place in the settings, from 1."""

    def __init__(self, url: str, number: int, settings: Postgres, application_name: str) -> None:
        self._url, region = urldefrag(url)
        self.is_near = region == settings.region
        self.gate: ReadGate | None = None
        self.in_use = False
        self.replayed = 0
        self._settings = settings
        self._application_name = application_name
        self._bounds = LagBounds(settings.max_replica_lag_seconds, settings.max_replica_lag_bytes)
        self._name = str(number)
        self._reason = ""  # why it is left out
        self._probe = Probe(self._url)
        self._lag_seconds = LAG_SECONDS.labels(self._name)
        self._lag_bytes = LAG_BYTES.labels(self._name)
        self._shown = IN_USE.labels(self._name)
        self._shown.set(0)

    async def look(self, primary: PrimarySeen) -> None:
        """Takes it out of use or back, by how it stands now."""
        row = await self._probe.ask(_REPLICA)
        if row is None:
            self._leave("unreachable")
            # Reads that hang in it fail now and are answered by the primary.
            self._drop_pool()
            return
        if not row["following"]:
            self._leave("not in recovery")
        elif primary.epoch not in ("", row["epoch"]):
            self._leave("another epoch")
        else:
            self.replayed = row["position"] or 0  # null: it has replayed nothing yet
            seconds = primary.log.lag_seconds(self.replayed)
            if row["since"] is not None:
                seconds = min(seconds, max(0.0, row["since"]))
            behind = primary.log.lag_bytes(self.replayed)
            self._lag_seconds.set(seconds)
            self._lag_bytes.set(behind)
            if self._bounds.allow(seconds, behind, in_use=self.in_use):
                await self._join()
            else:
                self._leave("behind")

    async def close(self) -> None:
        self.in_use = False
        self._shown.set(0)
        self._probe.close()
        self._drop_pool()

    async def _join(self) -> None:
        if self.in_use:
            return
        if self.gate is None:
            try:
                async with asyncio.timeout(PROBE_SECONDS):
                    pool = await self._open()
            except (AppError, TimeoutError):
                return  # the next look tries again
            waiting = self._settings.waiting_reads_per_connection
            self.gate = ReadGate(pool, f"replica {self._name}", waiting)
        self.in_use = True
        self._reason = ""
        self._shown.set(1)
        _log.info("replica %s: reads go to it", self._name)

    async def _open(self) -> Pool:
        return await connect(
            self._url,
            self._settings,
            application_name=self._application_name,
            statement_timeout_seconds=self._settings.read_timeout_seconds,
        )

    def _leave(self, reason: str) -> None:
        if self.in_use:
            self.in_use = False
            self._shown.set(0)
            REMOVED.labels(self._name, reason).inc()
        if reason != self._reason:
            self._reason = reason
            _log.warning("replica %s: left out (%s)", self._name, reason)

    def _drop_pool(self) -> None:
        if self.gate is not None:
            self.gate.pool.terminate()
            self.gate = None
