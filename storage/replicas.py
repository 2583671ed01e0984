"""Where a read goes: to a replica that has replayed the session's last write, else to the primary.

    request.position ─▶ replicas in use that have replayed it ─▶ of the own region, least busy
                              │ none                                   │ fails, or finds nothing
                              ▼                                        ▼
                          the primary  ◀──────────────────────── AskPrimary

A watcher asks every server each second (docs/adr/0008): replicas that lag, vanish or follow another
incarnation of the database are left out until they are fit again.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import asyncpg
from prometheus_client import Counter

from config.errors import AppError
from config.settings import Postgres
from storage.postgres import Connection, Pool, connect, translate, wal_position
from storage.read_gate import ReadGate
from storage.replica import FAILURES, PrimaryProbe, Replica

_log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
WAITING_PER_CONNECTION: Final = Postgres().waiting_reads_per_connection
_ABSENT: Final = frozenset({"not_found", "not_permitted"})

ASKED_AGAIN: Final = Counter(
    "serai_reads_asked_again_total",
    "Reads that the primary answered after a replica: failed, behind (it knew less than before),"
    " absent (what is not there yet may be on its way)",
    ["reason"],
)


class AskPrimary(AppError):
    """A replica failed, or can't say for sure: the primary answers the same question. Whoever lets
    it pass tells the client to try again, which is true as well."""

    def __init__(self, reason: str) -> None:
        super().__init__("unavailable", "Send it once more.", retry_after_seconds=1.0)
        ASKED_AGAIN.labels(reason).inc()


class Readers:
    """The servers that one process reads from. Without replicas everything goes to the primary."""

    def __init__(
        self,
        primary: Pool,
        replicas: Sequence[Replica] = (),
        watched: PrimaryProbe | None = None,
        *,
        waiting_per_connection: int = WAITING_PER_CONNECTION,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self.primary = primary
        self._gate = ReadGate(primary, "primary", waiting_per_connection)
        self.replicas = replicas
        self._watched = watched
        self._look_seconds = look_seconds
        self._watcher: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def acquire(self, position: int = 0) -> AsyncIterator[Connection]:
        """A connection for reads, whose snapshots show all that was committed up to `position`.

        Raises AppError `overloaded` when too many reads wait, and AskPrimary: `actors/outcomes.py`
        asks again. What else is raised in the block passes through, asyncpg's errors translated.
        """
        replica = self._choose(position)
        if replica is None or replica.gate is None:
            with translate():
                async with self._gate.connection() as connection:
                    yield connection
            return
        with translate(), _or_primary(replica):
            async with replica.gate.connection() as connection:
                # A standby that crashed comes back with less than it had replayed before.
                if position and await wal_position(connection) < position:
                    raise AskPrimary("behind")
                yield connection

    async def start(self) -> None:
        """Replicas that are fit are in use from the first read on."""
        if self.replicas and self._watched is not None:
            await self._look(self._watched)
            self._watcher = asyncio.create_task(
                self._watch(self._watched), context=contextvars.Context()
            )

    async def close(self) -> None:
        """Waits for the reads in flight at the primary, ends those at replicas."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.wait({self._watcher})
        if self._watched is not None:
            self._watched.close()
        for replica in self.replicas:
            await replica.close()
        await self.primary.close()

    @property
    def busy(self) -> int:
        """Reads that wait for the primary or run there."""
        return self._gate.busy

    def _choose(self, position: int) -> Replica | None:
        fit = [r for r in self.replicas if r.in_use and r.replayed >= position]
        if not fit:
            return None
        near = [replica for replica in fit if replica.is_near] or fit
        return min(near, key=lambda r: (r.gate.busy if r.gate else 0, random.random()))

    async def _watch(self, primary: PrimaryProbe) -> None:
        while True:
            await asyncio.sleep(self._look_seconds)
            try:
                await self._look(primary)
            except Exception:
                _log.exception("the replicas could not be looked at")

    async def _look(self, primary: PrimaryProbe) -> None:
        seen = await primary.look()
        await asyncio.gather(*(replica.look(seen) for replica in self.replicas))


async def open_readers(
    settings: Postgres,
    *,
    application_name: str,
    look_seconds: float = LOOK_SECONDS,
    keeps_session: bool = False,
) -> Readers:
    """`keeps_session` as of `connect`, for the primary. Raises AppError `unavailable` when that
    can't be reached; replicas may come later."""
    primary = await connect(
        settings.url,
        settings,
        application_name=application_name,
        statement_timeout_seconds=settings.read_timeout_seconds,
        keeps_session=keeps_session,
    )
    readers = Readers(
        primary,
        [
            Replica(url, number, settings, application_name)
            for number, url in enumerate(settings.replica_urls, start=1)
        ],
        PrimaryProbe(settings.url),
        waiting_per_connection=settings.waiting_reads_per_connection,
        look_seconds=look_seconds,
    )
    await readers.start()
    return readers


@contextmanager
def _or_primary(replica: Replica) -> Iterator[None]:
    """What a replica can't answer becomes AskPrimary; that it takes too long is no such thing, or
    an overload of the replicas would become one of the primary."""
    try:
        yield
    except AskPrimary:
        raise
    except AppError as error:
        if error.code in _ABSENT:
            raise AskPrimary("absent") from error
        raise
    except FAILURES as error:
        is_late = isinstance(error, asyncpg.QueryCanceledError | TimeoutError)
        if is_late and replica.in_use:
            raise
        raise AskPrimary("failed") from error
